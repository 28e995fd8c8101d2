"""`readfirst deidentify SRC DST`: de-identifies files and folders on this machine, as the pipeline does."""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from pydicom.dataset import Dataset
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from readfirst.cli.printing import Terminal, Whole
from readfirst.domain.deid import (
    Deidentified,
    IdentityRecord,
    KnownIdentifiers,
    Profile,
    ProfileError,
    Receipt,
    deidentify,
    known_identifiers,
    load_profile,
    read_header,
)
from readfirst.domain.deid.report import report_html, report_of
from readfirst.domain.pseudonyms import Pseudonyms, handle_of
from readfirst.domain.refusals import ADVICE, Refused, Skipped


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("deidentify")(command)


@dataclass
class Study:
    """What belongs to one study while its files are cleaned."""

    known: KnownIdentifiers = field(default_factory=KnownIdentifiers)
    files: list[Path] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    identity: IdentityRecord | None = None
    refused: Counter[str] = field(default_factory=Counter)


@dataclass
class Outcome:
    """The whole run. Refused and skipped files are listed for the person at the machine, whose files they are."""

    studies: dict[str, Study] = field(default_factory=lambda: defaultdict(Study))
    refused: list[tuple[Path, Refused]] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)


def command(
    source: Annotated[Path, typer.Argument(exists=True, help="A file or a folder.")],
    target: Annotated[Path, typer.Argument(help="An empty or new folder for the clean copies.")],
    profile: Annotated[str, typer.Option(help="triage-default, research-sharing, strict, or a TOML file.")] = (
        "triage-default"
    ),
    key_file: Annotated[Path, typer.Option(help="The root secret; made if it does not exist.")] = Path("readfirst.key"),
    clinic: Annotated[str, typer.Option(help="Whose identifiers these are: equal IDs of two clinics never meet.")] = (
        "local"
    ),
) -> None:
    """De-identify DICOM files. Names and folders of the originals never reach the output: they can name people."""
    console = Terminal()
    try:
        chosen = load_profile(profile)
        names = Pseudonyms(_root(key_file, target), clinic)
        _empty(target)
    except (ProfileError, ValueError, OSError) as error:
        console.print(f"[red]{escape(str(error))}[/red]")
        raise typer.Exit(2) from None
    outcome = run(source, target, chosen, names, console)
    _summary(outcome, chosen, console)
    if not any(s.receipts for s in outcome.studies.values()):
        raise typer.Exit(1)


def run(source: Path, target: Path, profile: Profile, names: Pseudonyms, console: Terminal) -> Outcome:
    """Reads all headers first, so that every file of a study is cleaned of what any of them names."""
    outcome = Outcome()
    paths = sorted(_files(source))
    with Progress(console=console, transient=True) as progress:
        for path in progress.track(paths, description="Reading headers"):
            _read(path, names, outcome)
        total = sum(len(s.files) for s in outcome.studies.values())
        task = progress.add_task("De-identifying", total=total)
        for token, study in outcome.studies.items():
            for path in study.files:
                _clean(path, target / handle_of(token), token, study, profile, names, outcome)
                progress.advance(task)
    for token, study in outcome.studies.items():
        if study.receipts:
            _write_papers(target / handle_of(token), handle_of(token), study, profile)
    return outcome


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
    else:
        yield from (p for p in source.rglob("*") if p.is_file() and not p.is_symlink())


def _read(path: Path, names: Pseudonyms, outcome: Outcome) -> None:
    with path.open("rb") as file:
        header = read_header(file)
    if isinstance(header, Skipped):
        outcome.skipped.append((path, header.what))
    elif isinstance(header, Dataset):
        study = outcome.studies[names.study_token(str(header.StudyInstanceUID))]
        study.known |= known_identifiers(header)
        study.files.append(path)
    else:
        outcome.refused.append((path, header))


def _clean(
    path: Path, folder: Path, token: str, study: Study, profile: Profile, names: Pseudonyms, outcome: Outcome
) -> None:
    """Writes beside the target first: a refused file leaves nothing behind."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "unfinished.part"
    with path.open("rb") as file, part.open("wb") as copy:
        done = deidentify(file, copy, names=names, handle=handle_of(token), profile=profile, known=study.known)
    if isinstance(done, Deidentified):
        part.replace(folder / f"{done.facts.sop_uid}.dcm")
        study.receipts.append(done.receipt)
        study.identity = done.identity if study.identity is None else study.identity.merge(done.identity)
    else:
        part.unlink()
        study.refused[done.reason] += 1
        outcome.refused.append((path, done))


def _write_papers(folder: Path, handle: str, study: Study, profile: Profile) -> None:
    (folder / "receipts.json").write_text(
        "[" + ",\n".join(r.model_dump_json() for r in study.receipts) + "]\n", encoding="utf-8"
    )
    report = report_of(handle, profile, study.receipts, {str(k): v for k, v in study.refused.items()})
    (folder / "report.html").write_text(report_html(report), encoding="utf-8")


def _root(key_file: Path, target: Path) -> bytes:
    """The root secret, 32 bytes as hex. Whoever has it can test guesses: it must not lie among the clean files."""
    if key_file.resolve().is_relative_to(target.resolve()):
        raise ValueError("The key file must not lie in the folder of the clean copies.")
    if not key_file.exists():
        key_file.touch(mode=0o600)
        key_file.write_text(secrets.token_hex(32) + "\n", encoding="ascii")
    return bytes.fromhex(key_file.read_text("ascii").strip())


def _empty(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target} is not empty.")
    target.mkdir(parents=True, exist_ok=True)


def _summary(outcome: Outcome, profile: Profile, console: Terminal) -> None:
    table = Table("study", "clean", "refused", "places blanked", title=f"De-identified with {profile.name}")
    for token, study in outcome.studies.items():
        blanked = sum(r.pixels.regions_blanked for r in study.receipts)
        table.add_row(handle_of(token), str(len(study.receipts)), str(sum(study.refused.values())), str(blanked))
    console.print(table)
    if outcome.skipped:
        kinds = Counter(what for _, what in outcome.skipped)
        listed = ", ".join(f"{count} {what}" for what, count in sorted(kinds.items()))
        console.print(f"Skipped: {listed}", markup=False)
    if outcome.refused:
        refused = Table("file", "reason", "what to do", title="Refused")
        for path, why in outcome.refused:
            refused.add_row(Whole(path), escape(f"{why.reason} {why.detail}".strip()), ADVICE[why.reason])
        console.print(refused)
    console.print(profile.legal.strip(), markup=False)
