"""What a rule of choice answers: the pictures to analyse, or why a study has none; and what every gate asks first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from readfirst.domain.instances import InstanceFacts
from readfirst.domain.models import Gate


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
    TOO_THICK = "slices-too-far-apart"
    TOO_COARSE = "pixels-too-coarse"
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
    """

    series_uid: str
    instances: tuple[InstanceFacts, ...]
    spacing: float


def out_of_scope(series: Sequence[InstanceFacts], gate: Gate) -> NotEligible | None:
    """Why the gate does not admit a series by what its header says of modality, body part and age."""
    first = series[0]
    if first.modality not in gate.modalities:
        return NotEligible(Ineligible.MODALITY, f"The model reads {', '.join(gate.modalities)} only.")
    parts = {i.body_part for i in series if i.body_part}
    if parts and not parts & set(gate.body_parts):
        return NotEligible(Ineligible.BODY_PART, f"The model reads {gate.body_parts[0].lower()} studies only.")
    age = _years(first.patient_age)
    if age is not None and not gate.min_age <= age <= gate.max_age:
        return NotEligible(Ineligible.AGE, f"The model is for ages {gate.min_age} to {gate.max_age}.")
    return None


def _years(age: str) -> float | None:
    match = re.fullmatch(r"(\d{1,3})([DWMY])", age)
    return int(match[1]) / {"D": 365.25, "W": 52.2, "M": 12, "Y": 1}[match[2]] if match else None
