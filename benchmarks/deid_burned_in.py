"""`readfirst bench burned-in`: names burned into generated pictures, what the search takes away and what it leaves."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
)
from rich.table import Table

from benchmarks import burned_in_forms, burned_in_pictures
from benchmarks.burned_in_forms import Form
from benchmarks.burned_in_pictures import Picture
from benchmarks.planted_identifiers import base, person
from readfirst.cli.printing import Terminal
from readfirst.domain.deid import KnownIdentifiers, PixelCheck, deidentify, load_profile
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Refused

_NAMES = Pseudonyms(b"a root secret for the bench, 32 bytes", "bench")
_COVERED = 0.9  # of a line's ink


@dataclass
class Score:
    """What became of the lines of one kind of picture."""

    lines: int = 0
    covered: int = 0
    kept_back: int = 0  # lines of pictures that were refused: a person looks at those
    pictures: int = 0
    changed: int = 0
    suspects: int = 0

    @property
    def shown(self) -> int:
        """Lines that left with a clean copy."""
        return self.lines - self.covered - self.kept_back


_CLASSES = {
    "US": UltrasoundImageStorage,
    "CT": CTImageStorage,
    "MR": MRImageStorage,
    "SC": SecondaryCaptureImageStorage,
    "DX": DigitalXRayImageStorageForPresentation,
    "CR": ComputedRadiographyImageStorage,
}


def cleaned(
    stored: NDArray[Any], modality: str, frames: int = 1, photometric: str = "MONOCHROME2"
) -> tuple[NDArray[np.bool_], PixelCheck] | Refused:
    """Where cleaning changed stored numbers ((frames,) rows, columns (, 3)); or why they were refused."""
    ds = base(person(1))
    ds.Modality, ds.SOPClassUID, ds.PhotometricInterpretation = modality, _CLASSES[modality], photometric
    if photometric == "RGB":
        ds.SamplesPerPixel, ds.PlanarConfiguration = 3, 0
    if frames > 1:
        ds.NumberOfFrames = frames
    ds.Rows, ds.Columns = stored.shape[1:3] if frames > 1 else stored.shape[:2]
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    ds.BitsAllocated = ds.BitsStored = 8 * stored.itemsize
    ds.HighBit = ds.BitsStored - 1
    ds.PixelData = stored.tobytes()
    ds["PixelData"].VR = "OW" if stored.itemsize > 1 else "OB"
    source, target = io.BytesIO(), io.BytesIO()
    ds.save_as(source, enforce_file_format=True)
    profile = load_profile("triage-default")
    done = deidentify(
        source, target, names=_NAMES, handle="BENCH000", profile=profile, known=KnownIdentifiers(), looked_at=False
    )
    if isinstance(done, Refused):
        return done
    left = pydicom.dcmread(io.BytesIO(target.getvalue())).pixel_array
    return np.asarray(left != stored, dtype=np.bool_), done.receipt.pixels


def _as_stored(pixels: NDArray[np.uint8], modality: str) -> NDArray[Any]:
    """CT slices hold a picture in 16 bits, as Hounsfield units."""
    return pixels.astype(np.int16) * 8 - 1000 if modality == "CT" else pixels


def measured(pictures: Iterable[Picture], modality: str) -> dict[str, Score]:
    """The scores by kind of picture."""
    scores: dict[str, Score] = {}
    for picture in pictures:
        score = scores.setdefault(picture.kind, Score())
        score.pictures += 1
        score.lines += len(picture.lines)
        outcome = cleaned(_as_stored(picture.pixels, modality), modality)
        if isinstance(outcome, Refused):
            score.kept_back += len(picture.lines)
            continue
        changed, check = outcome
        score.changed += bool(changed.any())
        score.suspects += bool(check.suspects)
        score.covered += sum(bool(changed[line.ink].mean() >= _COVERED) for line in picture.lines)
    return scores


def by_form(each: Iterable[Form]) -> dict[str, dict[str, Score]]:
    """The scores of forms by axis, then by the value on it; a form counts as one line."""
    scores: dict[str, dict[str, Score]] = {}
    for form in each:
        score = scores.setdefault(form.axis, {}).setdefault(form.value, Score())
        score.pictures += 1
        score.lines += 1
        frames = form.inked.shape[0] if form.inked.ndim == 3 else 1
        outcome = cleaned(form.pixels, form.modality, frames, form.photometric)
        if isinstance(outcome, Refused):
            score.kept_back += 1
            continue
        changed = np.asarray(outcome[0].reshape(*form.inked.shape, -1).any(axis=-1))
        score.changed += bool(changed.any())
        score.covered += bool(changed[form.inked].mean() >= _COVERED)
    return scores


def before_and_after(pictures: Iterable[Picture], path: Path) -> None:
    """An image file: pictures as they came above, as they leave below; what was taken away is outlined by its fill."""
    rows: list[list[NDArray[np.uint8]]] = [[], []]
    for picture in pictures:
        outcome = cleaned(picture.pixels, "US")
        if isinstance(outcome, Refused):
            continue
        shown = np.where(outcome[0], np.uint8(64), picture.pixels)
        for row, image in zip(rows, (picture.pixels, shown), strict=True):
            row.append(np.asarray(image, dtype=np.uint8))
    Image.fromarray(np.vstack([np.hstack(row) for row in rows])).save(path, quality=70)


def _table(title: str, scores: dict[str, Score]) -> Table:
    table = Table("kind", "lines", "taken away", "kept back", "shown", "pictures changed", title=title)
    for kind, s in scores.items():
        table.add_row(kind, *map(str, (s.lines, s.covered, s.kept_back, s.shown, f"{s.changed}/{s.pictures}")))
    every = scores.values()
    sums = (sum(s.lines for s in every), sum(s.covered for s in every), sum(s.kept_back for s in every))
    changed = f"{sum(s.changed for s in every)}/{sum(s.pictures for s in every)}"
    table.add_row("all", *map(str, (*sums, sum(s.shown for s in every), changed)), style="bold")
    return table


def run(console: Terminal | None = None) -> Iterator[dict[str, Score]]:
    """Prints a table for each set of pictures as it is measured; yields its scores."""
    out = console or Terminal()
    sets = (
        ("Names burned into ultrasound stills (searched)", "US", burned_in_pictures.burned_in()),
        ("Names burned into CT slices (screened)", "CT", burned_in_pictures.burned_in(seed=5)),
        ("Pictures without text, ultrasound", "US", burned_in_pictures.clean()),
        ("Pictures without text, CT", "CT", burned_in_pictures.clean(seed=6)),
        ("Side markers, which must stay (here: shown)", "US", burned_in_pictures.marked()),
    )
    for title, modality, pictures in sets:
        scores = measured(pictures, modality)
        out.print(_table(title, scores))
        if modality == "CT":
            suspects, count = sum(s.suspects for s in scores.values()), sum(s.pictures for s in scores.values())
            out.print(f"The screen sent {suspects} of {count} slices to the search.")
        yield scores
    for axis, scores in by_form(burned_in_forms.forms()).items():
        out.print(_table(f"Burned in, by {axis}", scores))
        yield scores


if __name__ == "__main__":  # draws the documentation's picture: python -m benchmarks.deid_burned_in FILE.webp
    chosen = [p for p in burned_in_pictures.burned_in(each=1) if p.kind in ("bright", "dim", "rotated", "anatomy")]
    before_and_after(chosen, Path(sys.argv[1]))
