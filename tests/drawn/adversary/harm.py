"""What cleaning must not change: references within the study, numbers, intervals, shapes, samples; and validity."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator

import pydicom
from pydicom.dataset import Dataset

from readfirst.domain import uid_registry
from readfirst.domain.deid.dicom.standard_tables import is_tag, rows

NUMBERS = frozenset(
    ("DS", "IS", "US", "SS", "UL", "SL", "FL", "FD", "AT", "SV", "UV", "OF", "OD", "OL", "OW", "OB", "OV")
)
_LISTED = frozenset(int(row.tag, 16) for row in rows() if is_tag(row.tag))
# Written anew: colours, and what says how the copy was made.
_ANEW = frozenset((0x0028_2000, 0x0028_0301, 0x0028_0302, 0x0028_0303))


def flat(ds: Dataset, path: str = "", parent: int = 0) -> Iterator[tuple[str, pydicom.DataElement]]:
    """(path, element) of every element with a value, at any depth."""
    for element in ds:
        here = f"{path}/{element.keyword or element.tag}"
        if element.VR == "SQ":
            for number, item in enumerate(element.value or ()):
                yield from flat(item, f"{here}[{number}]")
        elif element.value not in (None, "", b""):
            yield here, element


def _by_path(ds: Dataset) -> dict[str, list[pydicom.DataElement]]:
    """Elements by their path without the numbers of items: a profile may take items of people and places away."""
    found: dict[str, list[pydicom.DataElement]] = {}
    for path, element in flat(ds):
        found.setdefault(re.sub(r"\[\d+\]", "", path), []).append(element)
    return found


def changed_numbers(before: Dataset, after: Dataset) -> list[str]:
    """Where a number, a code of what a number means, or a sample of the object is not what it was."""
    clean, wrong = _by_path(after), []
    for path, elements in _by_path(before).items():
        first = elements[0]
        if first.VR not in NUMBERS or first.tag in _LISTED or first.tag in _ANEW or first.tag.is_private:
            continue
        left = [e.value for e in clean.get(path, ())]
        for element in elements:
            if element.value in left:
                left.remove(element.value)
            else:
                wrong.append(f"{path}: {element.value!r:.60}")
    return wrong


def broken_references(before: Dataset, after: Dataset) -> list[str]:
    """UIDs of the object that do not name in the clean copy what they named: mapped otherwise, twice, or gone.

    One UID has one clean form wherever it occurs, and different ones have different forms.
    """
    clean, wrong = _by_path(after), []
    forms: dict[str, set[str]] = {}
    for path, elements in _by_path(before).items():
        own = [str(e.value) for e in elements if e.VR == "UI" and not uid_registry.of_dicom(str(e.value))]
        if own:
            kept = [str(e.value) for e in clean.get(path, ())][: len(own)]
            wrong += [f"{path} is gone"] * (len(kept) < len(own))
            for uid, now in zip(own, kept, strict=False):
                forms.setdefault(uid, set()).add(now)
    wrong += [f"{uid} has {len(each)} forms" for uid, each in forms.items() if len(each) > 1]
    names = [next(iter(each)) for each in forms.values()]
    return wrong + (["two UIDs have one form"] if len(set(names)) < len(names) else [])


def moved_apart(before: Dataset, after: Dataset, shift: int) -> list[str]:
    """Days of the object that stayed and did not move by the patient's shift, and times that changed."""
    clean = dict(flat(after))
    wrong = []
    for path, element in flat(before):
        kept = clean.get(path)
        if kept is None or kept.value in ("", None) or "BirthDate" in path:
            continue
        if element.VR == "TM" and str(kept.value) != str(element.value) and str(kept.value) != "000000":
            wrong.append(f"{path}: {element.value} -> {kept.value}")
        if element.VR in ("DA", "DT"):
            then, now = str(element.value), str(kept.value)
            moved = (_day(then) - datetime.timedelta(days=shift)).strftime("%Y%m%d") + then[8:]
            if now != moved and not now.startswith("19000101"):
                wrong.append(f"{path}: {then} -> {now}")
    return wrong


def _day(value: str) -> datetime.date:
    return datetime.date(int(value[:4]), int(value[4:6]), int(value[6:8]))


def uptake_factor(ds: Dataset) -> tuple[float, ...]:
    """What a standardised uptake value is made of: decayed dose, weight, and the numbers around them."""
    drug = ds.RadiopharmaceuticalInformationSequence[0]
    started = datetime.datetime.strptime(str(drug.RadiopharmaceuticalStartDateTime)[:14], "%Y%m%d%H%M%S").astimezone(
        datetime.UTC
    )
    scanned = datetime.datetime.strptime(f"{ds.SeriesDate}{ds.SeriesTime}"[:14], "%Y%m%d%H%M%S").astimezone(
        datetime.UTC
    )
    waited = (scanned - started).total_seconds()
    dose = float(drug.RadionuclideTotalDose) * 2 ** (-waited / float(drug.RadionuclideHalfLife))
    return dose, float(ds.PatientWeight), float(ds.PatientSize), float(ds.RescaleSlope), waited
