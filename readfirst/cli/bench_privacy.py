"""`readfirst bench privacy`: what de-identifiers leave of planted identifiers, ours beside those installed here.

The peers (requirements-bench.txt) are baselines: they are never imported by the product. Each gets the same files and
its own defaults, or what its documentation names for full removal.
"""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from rich.console import Console
from rich.table import Table

from readfirst.cli.bench_planted import Planted, planted, residuals, useful_kept
from readfirst.domain.deid import KnownIdentifiers, deidentify, known_identifiers, load_profile, read_header
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Refused

Tool = Callable[[bytes], bytes | None]  # None: the tool refused the file


def ours(content: bytes) -> bytes | None:
    """Readfirst with `triage-default`, as the pipeline calls it."""
    header = read_header(io.BytesIO(content))
    known = known_identifiers(header) if isinstance(header, Dataset) else KnownIdentifiers()
    target = io.BytesIO()
    done = deidentify(
        io.BytesIO(content),
        target,
        names=Pseudonyms(b"a root secret for the bench, 32 bytes", "bench"),
        handle="BENCH000",
        profile=load_profile("triage-default"),
        known=known,
    )
    return None if isinstance(done, Refused) else target.getvalue()


def _dicognito(content: bytes) -> bytes:
    from dicognito.anonymizer import Anonymizer

    ds = pydicom.dcmread(io.BytesIO(content), force=True)
    Anonymizer(seed="bench").anonymize(ds)
    return _saved(ds)


def _dicom_anonymizer(content: bytes) -> bytes:
    from dicomanonymizer import anonymize_dataset

    ds = pydicom.dcmread(io.BytesIO(content), force=True)
    anonymize_dataset(ds, delete_private_tags=True)
    return _saved(ds)


def _deid(content: bytes) -> bytes:
    from deid.config import DeidRecipe
    from deid.dicom import get_identifiers, replace_identifiers

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.dcm"
        path.write_bytes(content)
        found = get_identifiers([str(path)], expand_sequences=False)
        clean = replace_identifiers([str(path)], ids=found, deid=DeidRecipe(), save=False, remove_private=True)
        return _saved(clean[0])


def _dentdeid(content: bytes) -> bytes:
    from dentdeid.dicom.meta import MetaConfig, deidentify_dataset
    from dentdeid.keys import Pseudonymizer

    ds = pydicom.dcmread(io.BytesIO(content), force=True)
    deidentify_dataset(ds, MetaConfig(), Pseudonymizer(b"a key for the bench, 32 bytes long"))
    return _saved(ds)


def _saved(ds: Dataset) -> bytes:
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=False)
    return out.getvalue()


PEERS: dict[str, Tool] = {
    "dentdeid": _dentdeid,
    "dicognito": _dicognito,
    "deid": _deid,
    "dicomanonymizer": _dicom_anonymizer,
}


@dataclass
class Score:
    """One tool's result: residuals per kind of place; what it lost; what it could not do."""

    residual: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    kept: int = 0
    had: int = 0


def measure(tool: Tool, files: list[Planted]) -> Score:
    """Runs a tool over the planted files. A peer that raises is counted as failed, not as clean."""
    score = Score()
    for file in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                clean = tool(file.content)
        except Exception as error:  # a peer may raise anything: the table shows it
            score.failed[file.kind] = type(error).__name__
            continue
        if clean is None:
            score.failed[file.kind] = "refused"
            continue
        score.residual[file.kind] = len(residuals(clean, file.needles))
        kept, had = useful_kept(file.content, clean)
        score.kept, score.had = score.kept + kept, score.had + had
    return score


def run(seed: int = 1, console: Console | None = None) -> dict[str, Score]:
    """Measures every tool that is installed, prints the table, returns the scores."""
    files = list(planted(seed))
    tools = {"readfirst": ours} | {name: tool for name, tool in PEERS.items() if util.find_spec(name)}
    scores = {name: measure(tool, files) for name, tool in tools.items()}
    table = Table("hiding place", "planted", *scores, title="Identifiers left (a word: not cleaned at all)")
    for file in files:
        row = [s.failed.get(file.kind) or str(s.residual.get(file.kind, "")) for s in scores.values()]
        table.add_row(file.kind, str(file.count), *row)
    total = sum(f.count for f in files)
    table.add_row("all", str(total), *(str(sum(s.residual.values())) for s in scores.values()), style="bold")
    table.add_row("useful attributes kept", "", *(f"{s.kept}/{s.had}" for s in scores.values()))
    (console or Console()).print(table)
    missing = [name for name in PEERS if name not in scores]
    if missing:
        (console or Console()).print(f"Not installed, not measured: {', '.join(missing)} (requirements-bench.txt)")
    return scores
