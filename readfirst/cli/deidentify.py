"""`readfirst deidentify SRC DST`: de-identifies files and folders on this machine, as the pipeline does."""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
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
    stated_person,
)
from readfirst.domain.deid.reports.study_report import report_html, report_of
from readfirst.domain.intake.person import Person, Stated, person_of, persons
from readfirst.domain.pseudonyms import Pseudonyms, handle_of
from readfirst.domain.refusals import ADVICE, Reason, Refused, Skipped


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("deidentify")(command)


@dataclass
class Study:
    """What belongs to one study while its files are cleaned."""

    uid: str = ""
    known: KnownIdentifiers = field(default_factory=KnownIdentifiers)
    stated: Counter[Stated] = field(default_factory=Counter)
    files: list[Path] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    digests: dict[tuple[str, str], str] = field(default_factory=dict)  # of the clean copies, by series and instance
    copies: int = 0  # files that say the same as one that counts
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
            _read(path, names, profile, outcome)
        total = sum(len(s.files) for s in outcome.studies.values())
        task = progress.add_task("De-identifying", total=total)
        for token, study in outcome.studies.items():
            person = _person(study, names)
            for path in study.files:
                if isinstance(person, Refused):
                    _refuse(path, person, study, outcome)
                else:
                    _clean(path, target / handle_of(token), token, study, person, profile, names, outcome)
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


def _read(path: Path, names: Pseudonyms, profile: Profile, outcome: Outcome) -> None:
    with path.open("rb") as file:
        header = read_header(file, profile.scope)
    if isinstance(header, Skipped):
        outcome.skipped.append((path, header.what))
    elif isinstance(header, Dataset):
        study = outcome.studies[names.study_token(str(header.StudyInstanceUID))]
        study.uid = str(header.StudyInstanceUID)
        study.known |= known_identifiers(header)
        study.stated[stated_person(header)] += 1
        study.files.append(path)
    else:
        outcome.refused.append((path, header))


def _person(study: Study, names: Pseudonyms) -> Person | Refused:
    """Whose study it is, by all its files."""
    groups = persons(study.stated)
    if len(groups) > 1:
        return Refused(Reason.SEVERAL_PERSONS, f"{len(groups)} persons")
    return person_of(groups[0], study.stated, names, study.uid)


def _clean(
    path: Path,
    folder: Path,
    token: str,
    study: Study,
    person: Person,
    profile: Profile,
    names: Pseudonyms,
    outcome: Outcome,
) -> None:
    """Writes beside the target first: a refused file leaves nothing behind."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "unfinished.part"
    with path.open("rb") as file, part.open("wb") as copy:
        done = deidentify(
            file, copy, names=names, handle=handle_of(token), profile=profile, known=study.known, person=person
        )
    if isinstance(done, Deidentified):
        _keep(path, part, done, study, outcome)
    else:
        part.unlink()
        _refuse(path, done, study, outcome)


def _keep(path: Path, part: Path, done: Deidentified, study: Study, outcome: Outcome) -> None:
    """Keeps a clean copy, once. Of two files that name one instance of one series and say different things, the first
    one counts: nobody can tell which of them is right, and neither overwrites the other."""
    facts = done.facts
    place = (facts.series_uid, facts.sop_uid)
    if place not in study.digests:
        study.digests[place] = facts.digest
        part.replace(_free(part.parent, facts.sop_uid))
        study.receipts.append(done.receipt)
        study.identity = done.identity if study.identity is None else study.identity.merge(done.identity)
        return
    part.unlink()
    if study.digests[place] == facts.digest:
        study.copies += 1
    else:
        _refuse(path, Refused(Reason.DUPLICATE), study, outcome)


def _free(folder: Path, sop_uid: str) -> Path:
    """Where a clean copy goes. Two series can name their instances alike."""
    tried = (folder / f"{sop_uid}{f'-{n}' if n else ''}.dcm" for n in count())
    return next(path for path in tried if not path.exists())


def _refuse(path: Path, why: Refused, study: Study, outcome: Outcome) -> None:
    study.refused[why.reason] += 1
    outcome.refused.append((path, why))


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
    table = Table(
        "study", "clean", "identical copies", "refused", "places blanked", title=f"De-identified with {profile.name}"
    )
    for token, study in outcome.studies.items():
        blanked = sum(r.pixels.regions_blanked for r in study.receipts)
        counts = (len(study.receipts), study.copies, sum(study.refused.values()), blanked)
        table.add_row(handle_of(token), *map(str, counts))
    console.print(table)
    if outcome.skipped:
        kinds = Counter(what for _, what in outcome.skipped)
        listed = ", ".join(f"{number} {what}" for what, number in sorted(kinds.items()))
        console.print(f"Skipped: {listed}", markup=False)
    if outcome.refused:
        refused = Table("file", "reason", "what to do", title="Refused")
        for path, why in outcome.refused:
            refused.add_row(Whole(path), escape(f"{why.reason} {why.detail}".strip()), ADVICE[why.reason])
        console.print(refused)
    console.print(profile.legal.strip(), markup=False)
