"""`readfirst analyse STUDY_DIR OUT_DIR`: the GPU job's own analysis, on a folder of this machine."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydicom.dataset import Dataset

from readfirst.domain.analysis.eligibility import Selection, is_unreadable
from readfirst.domain.analysis.findings import Analysis
from readfirst.domain.analysis.messages import AnalysisRequest
from readfirst.domain.analysis.series_selection import choose, run_key
from readfirst.domain.blob_paths import BatchFacts, RefusedFile, counted
from readfirst.domain.deid import read_header
from readfirst.domain.deid.dicom.codec import with_preamble
from readfirst.domain.instance_facts import InstanceFacts, facts_of
from readfirst.domain.intake.person import Stated, persons
from readfirst.domain.reading.accounting import Accounting, Received
from readfirst.domain.reading.books import account
from readfirst.domain.refusals import ADVICE, Reason, Refused, Skipped

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
        read = read_study(study)
        for reason, count in sorted(read.told.items()):
            typer.echo(f"left out, {count} file{'s' * (count > 1)}: {reason}", err=True)
        gate = default_model().gate
        choice = choose(read.instances, gate)
    if choice.refusal:
        typer.echo(f"NOT ANALYSED ({choice.refusal.code}): {choice.refusal.text}", err=True)
        raise typer.Exit(2)
    for selection in choice.selections:  # one that cannot be decoded leaves its place to the next best
        accounting = account(read.received, read.instances, read.replaced, choice, selection, gate,
                             with_read={selection.series_uid})  # fmt: skip
        result = analyse_series(selection, read.contents, out, clock, accounting)
        if not is_unreadable(result.outcome, result.reason):
            break
    if result.outcome == "out-of-scope":
        typer.echo(f"NOT ANALYSED ({result.reason})", err=True)
        raise typer.Exit(2)
    _show(result, out)


@dataclass
class StudyFolder:
    """The images of a folder: facts and contents (by path), each instance once; and why other files are left out."""

    instances: list[InstanceFacts] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)  # for the person at the machine
    skipped: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)  # reason codes, beside `replaced`
    replaced: list[RefusedFile] = field(default_factory=list)
    copies: int = 0

    @property
    def received(self) -> Received:
        """What came, for the books."""
        files = len(self.instances) + self.copies + len(self.replaced)
        return Received(files, identical=self.copies, skipped=self.skipped, refused=self.refused)


def read_study(folder: Path) -> StudyFolder:
    """Every DICOM image in a folder, as the pipeline would take it: an instance (series and SOP UID) counts once, and
    of two that differ the last one by name."""
    import pydicom

    read = StudyFolder()
    found: list[InstanceFacts] = []
    stated: dict[str, Stated] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        header = read_header(io.BytesIO(content))
        if not isinstance(header, Dataset):
            _leave_out(read, header)
            continue
        content = with_preamble(content)
        ds = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
        name = str(path)
        found.append(facts_of(ds, path=name, digest=hashlib.sha256(content).hexdigest()))
        read.contents[name] = content
        said = {field: str(ds.get(keyword) or "").strip(" \0") for field, keyword in _STATED.items()}
        stated[name] = Stated(**said)
    # Originals may write one person's ID in several ways, or not at all.
    groups = persons(Counter(stated.values()))
    whose = {one: str(number) for number, group in enumerate(groups) for one in group}
    _count_once(read, [i.model_copy(update={"patient": whose[stated[i.path]]}) for i in found])
    return read


def _leave_out(read: StudyFolder, why: Skipped | Refused) -> None:
    if isinstance(why, Skipped):
        read.skipped[why.what] += 1
        read.told[f"not an image ({why.what})"] += 1
    else:
        read.refused[why.reason.value] += 1
        read.told[f"{why.reason.value}{why.detail and f' ({why.detail})'}. {why.advice}"] += 1


def _count_once(read: StudyFolder, found: list[InstanceFacts]) -> None:
    batches = [BatchFacts(patient="", instances=(one,), series={one.series_uid: one.series_uid}) for one in found]
    each = counted(batches, {})
    read.instances, read.copies, read.replaced = list(each.instances), each.copies, list(each.replaced)
    if each.copies:
        read.told["says the same as another one"] += each.copies
    for one in each.replaced:
        read.told[f"{one.reason}. {ADVICE[Reason(one.reason)]}"] += 1


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
