"""What a rule of choice answers: the pictures to analyse, or why a study has none; and what every gate asks first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from readfirst.domain.analysis.image_types import says_nothing
from readfirst.domain.analysis.models import Gate
from readfirst.domain.analysis.said import UNREADABLE, admits_part
from readfirst.domain.instance_facts import InstanceFacts


class Ineligible(StrEnum):
    """Why no series of a study can be analysed. The value is the stable code."""

    EMPTY = "no-images"
    SEVERAL_PERSONS = "several-persons"
    MODALITY = "modality-out-of-scope"
    BODY_PART = "body-part-out-of-scope"
    AGE = "age-out-of-scope"
    NO_AXIAL = "no-original-axial-series"
    GEOMETRY = "geometry-unknown"
    TOO_FEW = "too-few-slices"
    COVERAGE = "too-little-covered"
    MISSING = "slices-missing"
    UNEVEN = "slices-uneven"
    SHIFTED = "slices-shifted"
    MIXED = "moments-not-told-apart"
    TOO_THICK = "slices-too-far-apart"
    TOO_COARSE = "pixels-too-coarse"
    UNREADABLE = "pixels-unreadable"
    NO_ORIGINAL = "no-original-picture"
    RAW = "for-processing-only"
    VIEW = "view-out-of-scope"
    SEVERAL = "several-views"


@dataclass(frozen=True)
class NotEligible:
    """No series can be analysed: a code and a sentence for people, without content."""

    code: Ineligible
    text: str


@dataclass(frozen=True)
class Selection:
    """The series to analyse: its slices from feet to head, and the usual step between them in mm.

    A slice is an instance or, where `frame` is set, a frame of one. A radiograph is a single one, without a step.
    `missing`: how many slices of the patient lie beyond them, in other series that the gate admits: with any, the
    study is read in part.
    """

    series_uid: str
    instances: tuple[InstanceFacts, ...]
    spacing: float
    missing: int = 0


def out_of_scope(
    series: Sequence[InstanceFacts], gate: Gate, study: Iterable[InstanceFacts] = ()
) -> NotEligible | None:
    """Why the gate does not admit a series by what its header says of modality, body part and age.

    The age may be said in another series of the study. What is said and cannot be read is not admitted.
    """
    if series[0].modality not in gate.modalities:
        return NotEligible(Ineligible.MODALITY, f"The model reads {', '.join(gate.modalities)} only.")
    parts = {i.body_part for i in series if i.body_part}
    if parts and not any(part != UNREADABLE and admits_part(part, gate.body_parts) for part in parts):
        words = "The header does not say in a known word which body part it is. " if parts == {UNREADABLE} else ""
        return NotEligible(Ineligible.BODY_PART, f"{words}The model reads {gate.body_parts[0].lower()} studies only.")
    said = {i.patient_age for i in series if i.patient_age} or {i.patient_age for i in study if i.patient_age}
    if any(not _admits_age(age, gate) for age in said):
        words = "The header does not say the age in a form that can be read. " if UNREADABLE in said else ""
        return NotEligible(Ineligible.AGE, f"{words}The model is for ages {gate.min_age} to {gate.max_age}.")
    return None


def is_unreadable(outcome: str, reason: str) -> bool:
    """Whether a series turned out not to be decodable, by an analysis' outcome and reason: the next best is taken."""
    return outcome == "out-of-scope" and reason.partition(":")[0] == Ineligible.UNREADABLE


def unsaid(series: Sequence[InstanceFacts]) -> tuple[str, ...]:
    """What the header does not say at all, so that the pixels had to decide: for people."""
    asked = (
        ("age", any(i.patient_age for i in series)),
        ("body part", any(i.body_part for i in series)),
        ("original or derived", not all(says_nothing(i.image_type) for i in series)),
    )
    return tuple(what for what, told in asked if not told)


def _admits_age(age: str, gate: Gate) -> bool:
    years = years_of(age)
    return years is not None and gate.min_age <= years <= gate.max_age


def years_of(age: str) -> float | None:
    """A patient's age (VR AS) in years; None where it cannot be read."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", age)
    return int(match[1]) / {"D": 365.25, "W": 52.2, "M": 12, "Y": 1}[match[2]] if match else None
