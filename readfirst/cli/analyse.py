"""`readfirst analyse STUDY_DIR OUT_DIR`: the GPU job's own analysis, on a folder of this machine."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from readfirst.domain.analysis.eligibility import Selection, is_unreadable
from readfirst.domain.analysis.findings import Analysis
from readfirst.domain.analysis.messages import AnalysisRequest
from readfirst.domain.analysis.series_selection import choose, run_key
from readfirst.domain.deid import read_header
from readfirst.domain.deid.dicom.codec import with_preamble
from readfirst.domain.instance_facts import InstanceFacts, facts_of
from readfirst.domain.intake.person import Stated, persons
from readfirst.domain.reading.accounting import Accounting, Received
from readfirst.domain.reading.books import account
from readfirst.domain.refusals import Refused, Skipped

if TYPE_CHECKING:
    from model_container.analyse import Clock

_STATED = {
    "patient_id": "PatientID",
    "issuer": "IssuerOfPatientID",
    "name": "PatientName",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(analyse)


def analyse(
    study: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A folder of DICOM files.")],
    out: Annotated[Path, typer.Argument(help="Where result.json, pictures and DICOM outputs go.")],
) -> None:
    """Run the default model on a study in a folder. SYNTHETIC MODEL, NOT FOR DIAGNOSIS."""
    from model_container.analyse import Clock, calm_collector
    from readfirst.domain.analysis.models import default_model

    calm_collector()
    clock = Clock()
    with clock.stage("read"):
        left_out: Counter[str] = Counter()
        instances, contents = read_study(study, left_out)
        for reason, count in sorted(left_out.items()):
            typer.echo(f"left out, {count} file{'s' * (count > 1)}: {reason}", err=True)
        gate = default_model().gate
        choice = choose(instances, gate)
    if choice.refusal:
        typer.echo(f"NOT ANALYSED ({choice.refusal.code}): {choice.refusal.text}", err=True)
        raise typer.Exit(2)
    for selection in choice.selections:  # one that cannot be decoded leaves its place to the next best
        accounting = account(Received(len(instances), skipped=left_out), instances, (), choice, selection, gate)
        result = analyse_series(selection, contents, out, clock, accounting)
        if not is_unreadable(result.outcome, result.reason):
            break
    if result.outcome == "out-of-scope":
        typer.echo(f"NOT ANALYSED ({result.reason})", err=True)
        raise typer.Exit(2)
    _show(result, out)


def read_study(folder: Path, left_out: Counter[str] | None = None) -> tuple[list[InstanceFacts], dict[str, bytes]]:
    """The facts and contents (by path) of every DICOM image in a folder; why others are left out is counted."""
    import pydicom

    left_out = Counter() if left_out is None else left_out
    instances, contents = [], {}
    stated: dict[str, Stated] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        header = read_header(io.BytesIO(content))
        if isinstance(header, Skipped):
            left_out[f"not an image ({header.what})"] += 1
            continue
        if isinstance(header, Refused):
            left_out[f"{header.reason.value}{header.detail and f' ({header.detail})'}. {header.advice}"] += 1
            continue
        content = with_preamble(content)
        ds = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
        name = str(path)
        instances.append(facts_of(ds, path=name, digest=hashlib.sha256(content).hexdigest()))
        contents[name] = content
        said = {field: str(ds.get(keyword) or "").strip(" \0") for field, keyword in _STATED.items()}
        stated[name] = Stated(**said)
    # Originals may write one person's ID in several ways, or not at all.
    groups = persons(Counter(stated.values()))
    whose = {one: str(number) for number, group in enumerate(groups) for one in group}
    return [i.model_copy(update={"patient": whose[stated[i.path]]}) for i in instances], contents


def analyse_series(
    selection: Selection, contents: dict[str, bytes], out: Path, clock: Clock, accounting: Accounting | None = None
) -> Analysis:
    """Runs the job's analysis on a series and writes its files into `out`, result.json last."""
    from model_container.analyse import analyse, decode, out_of_scope
    from model_container.engines.engine import OutOfScope
    from model_container.engines.registry import ModelRegistry
    from readfirst.domain.analysis.models import default_model

    with clock.stage("load"):
        manifest, engine = ModelRegistry().load(default_model().digest)
    out.mkdir(parents=True, exist_ok=True)

    def put(name: str, content: bytes, _: str) -> str:
        (out / name).write_bytes(content)
        return name

    order = AnalysisRequest(
        token="", handle="", run_key=run_key(selection, manifest.digest), model_name=manifest.name,
        model_digest=manifest.digest, series_uid=selection.series_uid, instances=selection.instances, receipts=(),
        missing=selection.missing, accounting=accounting,
    )  # fmt: skip
    with clock.stage("decode"):
        volume = decode(selection.instances, contents)
    if isinstance(volume, OutOfScope):
        result = out_of_scope(order, manifest, f"{volume.code}: {volume.text}", clock, engine.device)
    else:
        result = analyse(order, volume, manifest, engine, put, lambda *_: None, clock)
    put("result.json", result.model_dump_json(indent=1).encode(), "application/json")
    return result


def _show(result: Analysis, out: Path) -> None:
    from rich.table import Table

    from readfirst.cli.printing import Terminal, Whole

    table = Table("finding", "size", "place", "probability", "slice", "picture", title=result.model.disclaimer)
    for f in result.findings:
        table.add_row(
            f"{f.key} {f.kind}",
            f"{f.diameter_mm:.0f} mm" if f.diameter_mm else "",
            f.site,
            f"{f.probability:.2f}",
            str(f.slice + 1),
            Whole(f.overlay),
        )
    console = Terminal()
    console.print(table)
    if result.accounting and result.accounting.part:
        console.print(f"READ IN PART: {result.accounting.part}", markup=False)
    if result.accounting:
        console.print(result.accounting.sentence, markup=False)
    console.print(f"risk {result.risk:.2f}, {'HIGH' if result.high_risk else 'not high'}: {result.why}", markup=False)
    stages = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in result.seconds.items())
    console.print(f"{result.slices} slices on {result.device}: {stages}; files in {out}", markup=False)
