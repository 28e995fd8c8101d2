"""`readfirst bench privacy`: what de-identifiers leave of planted identifiers, ours beside those installed here.

The peers (requirements-bench.txt) are baselines: they are never imported by the product. Each gets the same files and
its own defaults, or what its documentation names for full removal.
"""

from __future__ import annotations

import datetime
import io
import tempfile
import tomllib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import resources, util
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from rich.table import Table

from benchmarks.planted_identifiers import (
    CLINICAL,
    USEFUL,
    Person,
    Planted,
    base,
    person,
    planted,
    residuals,
    useful_kept,
)
from readfirst.cli.printing import Terminal
from readfirst.domain.deid import KnownIdentifiers, deidentify, known_identifiers, load_profile, read_header
from readfirst.domain.deid.text.scrubber import Scrubber
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


@dataclass
class Rate:
    """Correct actions of all actions."""

    right: int = 0
    all: int = 0

    def add(self, *outcomes: bool) -> None:
        """Counts outcomes."""
        self.right += sum(outcomes)
        self.all += len(outcomes)


def metrics(persons: int = 25) -> dict[str, Rate]:
    """Action classes after the MIDI-B challenge, over invented persons with two files each."""
    rates = {name: Rate() for name in _CLASSES}
    for seed in range(persons):
        who = person(seed)
        clean = [_cleaned_pair(who, number) for number in (1, 2)]
        (before, first), (_, second) = clean
        for file in (p for p in planted(seed) if p.kind in ("free text", "attributes of the table")):
            content = ours(file.content)
            left = len(residuals(content, file.needles)) if content else file.count
            rates["text_removed"].add(*(n >= left for n in range(file.count)))
        rates["tag_retained"].add(*(k in first and first[k].value == before[k].value for k in USEFUL))
        rates["text_retained"].add(*(t in first.ImageComments.split("\r\n") for t in CLINICAL))
        rates["text_notnull"].add(bool(first.AdditionalPatientHistory), "chest" in first.AdditionalPatientHistory)
        shifts = {_day(before[k].value) - _day(first[k].value) for k in _DATES}
        rates["date_shifted"].add(*(_day(before[k].value) > _day(first[k].value) for k in _DATES), len(shifts) == 1)
        rates["uid_changed"].add(*(before[k].value != first[k].value for k in _UIDS))
        rates["uid_consistent"].add(*(first[k].value == second[k].value for k in _UIDS if k != "SOPInstanceUID"))
        rates["patid_consistent"].add(first.PatientID == second.PatientID, first.PatientID != before.PatientID)
    return rates


_CLASSES = (
    *("tag_retained", "text_removed", "text_retained", "text_notnull"),
    *("date_shifted", "uid_changed", "uid_consistent", "patid_consistent"),
)
_DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")


def _day(value: str) -> int:
    return datetime.date(int(value[:4]), int(value[4:6]), int(value[6:8])).toordinal()


def _cleaned_pair(who: Person, number: int) -> tuple[Dataset, Dataset]:
    """A person's file before and after."""
    ds = base(who)
    ds.SOPInstanceUID = f"{who.root}.3.{number}"
    ds.ImageComments = "\r\n".join(CLINICAL)
    ds.AdditionalPatientHistory = f"{who.family}, {who.given}: chest pain, ID {who.patient_id}"
    out = io.BytesIO()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.save_as(out, enforce_file_format=True)
    clean = ours(out.getvalue())
    return ds, pydicom.dcmread(io.BytesIO(clean or b""), force=True)


@dataclass(frozen=True)
class Precision:
    """One group of phrases: what stayed and went as it should, and what did not."""

    name: str
    stays: Rate
    goes: Rate
    lost: tuple[tuple[str, str], ...]  # patient, phrase


def precision() -> list[Precision]:
    """Clinical phrases beside patients of similar names (clinical_phrases.toml)."""
    document = tomllib.loads((resources.files("benchmarks") / "clinical_phrases.toml").read_text("utf-8"))
    results = []
    for group in document["group"]:
        stays, goes, lost = Rate(), Rate(), []
        for patient in group["patients"]:
            scrubber = Scrubber(KnownIdentifiers(names=frozenset((patient,))))
            family = patient.split("^")[0].lower()
            for phrase in group["stays"].strip().splitlines():
                stays.add(scrubber.scrub(phrase) == phrase)
                lost += [] if scrubber.scrub(phrase) == phrase else [(patient, phrase)]
            for phrase in group["goes"].strip().splitlines():
                if family in phrase.lower():
                    goes.add(family not in scrubber.scrub(phrase).lower())
        results.append(Precision(group["name"], stays, goes, tuple(lost)))
    return results


def _precision_table() -> Table:
    table = Table("phrases", "clinical ones kept", "names taken away", title="Words beside patients of that name")
    for result in precision():
        table.add_row(result.name, *(f"{r.right}/{r.all}" for r in (result.stays, result.goes)))
    return table


def run(seed: int = 1, console: Terminal | None = None) -> dict[str, Score]:
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
    (console or Terminal()).print(table)
    actions = Table("action class", "correct", "of all", title="Our actions, after the MIDI-B challenge")
    for name, rate in metrics().items():
        actions.add_row(name, f"{rate.right}/{rate.all}", f"{100 * rate.right / rate.all:.2f} %")
    (console or Terminal()).print(actions)
    (console or Terminal()).print(_precision_table())
    missing = [name for name in PEERS if name not in scores]
    if missing:
        (console or Terminal()).print(f"Not installed, not measured: {', '.join(missing)} (requirements-bench.txt)")
    return scores
