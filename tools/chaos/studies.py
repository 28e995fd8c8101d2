"""The studies of a day at two clinics, drawn by a seed: what is sent when, and what has to become of each."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from readfirst.domain.reading import study_record
from readfirst.local.phantom import invent_identifiers, write_phantom_study
from readfirst.local.watching import token_of
from tools.chaos.judge import Due

CLINICS = ("lakeside", "hillcrest")
KINDS = ("flagged", "late", "twice", "stat", "bad", "healthy", "prior", "out of scope", "two parts")
_CHEST = 11  # an anatomy whose large nodule the default model finds
_SLICES, _SIZE = 20, 256
_TRIES, _PAUSE = 200, 2.0  # seconds


@dataclass
class Upload:
    """Files under a folder of the inbox; `announce`: whether a message says how many they are."""

    folder: str
    files: list[Path]
    announce: bool = True


@dataclass
class Study:
    """A study with its uploads."""

    due: Due
    uploads: list[Upload]
    options: dict[str, Any] = field(default_factory=dict)


def draw(folder: Path, seed: int, count: int) -> tuple[list[Study], dict[str, str]]:
    """So many studies of every kind in turn, and what is planted in all of them: names, and the beginnings of numbers,
    which are alike so that one search finds those of all."""
    rng = random.Random(f"{seed} studies")
    common = invent_identifiers(1_000_000 + seed)
    root = common.pop("uid root") + f".{seed}"
    kinds = [KINDS[place % len(KINDS)] for place in range(count)]
    rng.shuffle(kinds)
    made = [_study(folder / f"{k:03}", kind, rng, common, f"{root}.{k + 1}", k) for k, kind in enumerate(kinds)]
    planted = {what: value for what, value in common.items() if not what.endswith(" uid")}
    return made, {**planted, "uid root": root + "."}


def _study(folder: Path, kind: str, rng: random.Random, common: dict[str, str], root: str, number: int) -> Study:
    mine = {name: f"{common[name]}{number:03}" for name in ("patient id", "accession", "study id", "other id")}
    uids = {"uid root": root, "study uid": f"{root}.1", "series uid": f"{root}.2", "frame uid": f"{root}.3"}
    planted = write_phantom_study(
        folder,
        seed=rng.randrange(1 << 30),
        chest=_CHEST,
        nodules=() if kind == "healthy" else (26.0, 9.0),
        slices=2 if kind == "out of scope" else _SLICES,
        size=_SIZE,
        identifiers={**common, **mine, **uids, "order uid": f"{root}.4"},
    )
    images = sorted(folder.iterdir())
    bad = _bad_files(folder) if kind == "bad" else []
    label = {"healthy": study_record.NOT_FLAGGED, "out of scope": study_record.NOT_ANALYSED}.get(
        kind, study_record.FLAGGED
    )
    clinic = rng.choice(CLINICS)
    due = Due(
        kind,
        clinic,
        token_of(clinic, planted["study uid"]),
        len(images),
        label,
        letters=int(label == study_record.FLAGGED and kind != "prior"),
        files=_digests(images + bad),
        bad=_digests(bad),
    )
    options = {"stat": {"priority": "stat"}, "prior": {"purpose": "prior"}}.get(kind, {})
    return Study(due, _uploads(kind, f"{number:03}", images, bad), options)


def _digests(files: list[Path]) -> frozenset[str]:
    return frozenset(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)


def _bad_files(folder: Path) -> list[Path]:
    """What travels with a study and is not an image of it."""
    contents = {"letter.pdf": b"%PDF-1.4 " * 200, "empty.dcm": b"", "noise": b"\0not dicom at all" * 9}
    for name, content in contents.items():
        (folder / name).write_bytes(content and content + folder.name.encode())
    return [folder / name for name in contents]


def _uploads(kind: str, folder: str, images: list[Path], bad: list[Path]) -> list[Upload]:
    if kind == "twice":
        return [Upload(folder, images), Upload(f"{folder}-again", images)]
    if kind in ("late", "two parts"):
        cut, announce = len(images) - 3, kind == "two parts"  # each part with an announcement of its own, or none
        return [Upload(folder, images[:cut], announce), Upload(f"{folder}-rest", images[cut:], announce)]
    return [Upload(folder, images + bad)]


def addresses(port: int, past: int) -> dict[str, str]:
    """The clinics' addresses on a port; `past` is the one behind the weather, where this process looks."""
    from readfirst.adapters.uploads.clinic_urls import clinic_urls

    made = {clinic: clinic_urls(clinic, timedelta(hours=6)).inbox for clinic in CLINICS}
    return {clinic: url.replace(f":{past}/", f":{port}/") for clinic, url in made.items()}


def streams(studies: list[Study], count: int) -> list[Iterator[tuple[Study, Upload]]]:
    """What each of so many senders sends, at the same time as the others: the files of several studies interleave."""
    return [((study, upload) for study in studies[k::count] for upload in study.uploads) for k in range(count)]


def send_stubbornly(url: str, study: Study, upload: Upload) -> int:
    """Sends until it is sent, as a clinic's program does; returns how often that failed before."""
    from azure.core.exceptions import AzureError

    from readfirst.upload_client import send

    files = [(file, file.name) for file in upload.files]
    for failed in range(_TRIES):
        try:
            send(url, files, folder=upload.folder, announce=upload.announce, **study.options)
        except AzureError:
            time.sleep(_PAUSE)
            continue
        return failed
    raise TimeoutError("an upload could not be sent at all")
