"""Which series of a study a model gets, and in which order: by rule, so that the same study gives the same work."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from statistics import median

from readfirst.domain.instances import InstanceFacts
from readfirst.domain.models import Gate
from readfirst.domain.projections import select_picture
from readfirst.domain.selection import Ineligible, NotEligible, Selection, out_of_scope

__all__ = ["Ineligible", "NotEligible", "Selection", "run_key", "select_series"]

_AXIAL = math.cos(math.radians(35))  # a gantry tilts up to 30 degrees
_MISSING = 1.5  # a step longer than this many usual steps hides a slice
_SAME_PLACE = 0.05  # mm
_PARALLEL = 0.01  # of a direction cosine: slices that differ less are parallel
_SAME_SPACING = 0.001  # mm
_UPRIGHT = 0.02  # how far directions may be from unit length and a right angle
_AS_LONG = 0.9  # of the whole stack: a part that covers less is but a part of it
_SHIFTED = 3.0  # mm beside the stack's axis: slices of another field of view lie elsewhere


def select_series(instances: Sequence[InstanceFacts], gate: Gate) -> Selection | NotEligible:
    """The thinnest complete original axial series that the gate admits (or the radiograph, by its own rule), or the
    reason why there is none.

    Several answers are possible for several series; the reason returned is that of the largest one.
    """
    if not instances:
        return NotEligible(Ineligible.EMPTY, "The study holds no image.")
    if len({i.patient for i in instances if i.patient}) > 1:
        return NotEligible(Ineligible.SEVERAL_PERSONS, "The study holds images of several persons.")
    if gate.projection:
        return select_picture(instances, gate)
    series = _by([piece for instance in instances for piece in instance.slices()], lambda i: i.series_uid)
    series.sort(key=len, reverse=True)
    answers = [_judge(one, gate) for one in series]
    good = [answer for answer in answers if isinstance(answer, Selection)]
    return min(good, key=_preference) if good else answers[0]


def run_key(selection: Selection, model_digest: str) -> str:
    """32 hex digits that name this work: the same slices in the same order for the same model, whatever the run."""
    if not all(instance.digest for instance in selection.instances):
        raise ValueError("a run key needs the digest of every instance")
    digests = [f"{i.digest}#{i.frame}" if i.frame else i.digest for i in selection.instances]
    return hashlib.sha256("\n".join(["readfirst-run-1", model_digest, *digests]).encode()).hexdigest()[:32]


def _preference(selection: Selection) -> tuple[float, int, int, str, int, str]:
    """Thin, long, first; to the last, so that the same study gives the same work in whatever order its files came."""
    first = selection.instances[0]
    number = first.series_number if first.series_number is not None else 1 << 30
    return (
        round(selection.spacing, 2), -len(selection.instances), number, selection.series_uid,
        first.acquisition_number or 0, first.sop_uid,
    )  # fmt: skip


def _by(instances: Sequence[InstanceFacts], key: Callable[[InstanceFacts], Hashable]) -> list[list[InstanceFacts]]:
    groups: dict[Hashable, list[InstanceFacts]] = {}
    for instance in instances:
        groups.setdefault(key(instance), []).append(instance)
    return list(groups.values())


def _judge(series: Sequence[InstanceFacts], gate: Gate) -> Selection | NotEligible:
    """One series against the gate: what it is first, then whether it holds usable slices."""
    refused = out_of_scope(series, gate)
    if refused:
        return refused
    slices = [i for i in series if _is_original(i)]
    if not slices:
        return NotEligible(Ineligible.NO_AXIAL, "The series holds localisers or derived pictures only.")
    placed = [i for i in slices if _is_placed(i)]
    if not placed:
        return NotEligible(Ineligible.GEOMETRY, "The slices do not say where they lie.")
    axial = [i for i in placed if abs(_normal(i)[2]) >= _AXIAL]
    if not axial:
        return NotEligible(Ineligible.NO_AXIAL, "The series holds no axial slices.")
    stacks = _stacks(axial)
    stacks.sort(key=len, reverse=True)
    answers = [_one_rendering(stack, gate) for stack in stacks]
    good = [a for a in answers if isinstance(a, Selection)]
    return min(good, key=_preference) if good else answers[0]


def _one_rendering(stack: Sequence[InstanceFacts], gate: Gate) -> Selection | NotEligible:
    """Several phases or reconstructions in one series lie at the same places, or between each other. One that is
    complete by itself is a stack of its own, for a mixture shows nothing; a part that covers less is but a part."""
    parts = _by(stack, lambda i: (i.acquisition_number, i.rendering))
    parts += _by(stack, lambda i: i.acquisition_number) + _by(stack, lambda i: i.rendering)
    least = _AS_LONG * _extent(stack)
    long = (part for part in parts if len(part) < len(stack) and _extent(part) >= least)
    found = [answer for part in long if isinstance(answer := _judge_stack(part, gate), Selection)]
    return min(found, key=_preference) if found else _judge_stack(stack, gate)


def _extent(stack: Sequence[InstanceFacts]) -> float:
    """From the lowest slice to the highest one, in mm."""
    heights = [_height(instance) for instance in stack]
    return max(heights) - min(heights)


def _is_original(instance: InstanceFacts) -> bool:
    kinds = {value.upper() for value in instance.image_type}
    return not kinds & {"LOCALIZER", "DERIVED", "SECONDARY", "SCREEN SAVE", "PROJECTION IMAGE"}


def _is_placed(instance: InstanceFacts) -> bool:
    """A slice that says where it lies; a file of several frames that does not say it of each is none."""
    known = instance.position and instance.pixel_spacing and min(instance.pixel_spacing) > 0 and _is_upright(instance)
    return bool(known and instance.rows and instance.columns and (instance.frame or instance.frames == 1))


def _is_upright(instance: InstanceFacts) -> bool:
    """Whether rows and columns have directions, and these a right angle between them."""
    if instance.orientation is None:
        return False
    row, column = instance.orientation[:3], instance.orientation[3:]
    lengths = (sum(v * v for v in one) for one in (row, column))
    across = sum(a * b for a, b in zip(row, column, strict=True))
    return all(abs(v - 1) < _UPRIGHT for v in lengths) and abs(across) < _UPRIGHT


def _normal(instance: InstanceFacts) -> tuple[float, float, float]:
    if instance.orientation is None:
        raise ValueError("the slice has no orientation")
    rx, ry, rz, cx, cy, cz = instance.orientation
    return (ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx)


def _height(instance: InstanceFacts) -> float:
    """Where the slice lies along its normal, from feet to head, in mm."""
    if instance.position is None:
        raise ValueError("the slice has no position")
    normal = _normal(instance)
    sign = 1.0 if normal[2] >= 0 else -1.0
    return sign * sum(p * n for p, n in zip(instance.position, normal, strict=True))


def _stacks(slices: Sequence[InstanceFacts]) -> list[list[InstanceFacts]]:
    """Slices that can make one volume: parallel, of one size and pixel spacing."""
    stacks: list[list[InstanceFacts]] = []
    for one in slices:
        mine = next((stack for stack in stacks if _fits(one, stack[0])), None)
        if mine is None:
            stacks.append([one])
        else:
            mine.append(one)
    return stacks


def _fits(one: InstanceFacts, other: InstanceFacts) -> bool:
    return (
        (one.rows, one.columns) == (other.rows, other.columns)
        and _near(one.orientation or (), other.orientation or (), _PARALLEL)
        and _near(one.pixel_spacing or (), other.pixel_spacing or (), _SAME_SPACING)
    )


def _near(some: Sequence[float], others: Sequence[float], within: float) -> bool:
    return all(abs(a - b) <= within for a, b in zip(some, others, strict=True))


def _judge_stack(stack: Sequence[InstanceFacts], gate: Gate) -> Selection | NotEligible:
    """One stack of parallel slices: ordered, each place once, no gap, enough of them, fine enough."""
    ordered = _each_place_once(stack)
    if len(ordered) < gate.min_slices:
        return NotEligible(
            Ineligible.TOO_FEW, f"The series has {len(ordered)} usable slices; the model needs {gate.min_slices}."
        )
    steps = [_height(b) - _height(a) for a, b in pairwise(ordered)]
    usual = median(steps) if steps else ordered[0].slice_thickness or 0.0
    gaps = sum(1 for step in steps if step > usual * _MISSING)
    if gaps:
        return NotEligible(Ineligible.MISSING, f"The series has {gaps} gap(s) where slices are missing.")
    if steps and min(steps) < usual / _MISSING:
        return NotEligible(Ineligible.UNEVEN, "The slices do not lie at even steps.")
    if _shift(ordered) > _SHIFTED:
        return NotEligible(Ineligible.SHIFTED, "The slices do not lie above each other: their fields of view differ.")
    if usual > gate.max_spacing:
        return NotEligible(
            Ineligible.TOO_THICK, f"The slices lie {usual:.1f} mm apart; the model takes up to {gate.max_spacing:g} mm."
        )
    covered = sum(steps) + usual
    if covered < gate.min_coverage:
        return NotEligible(
            Ineligible.COVERAGE, f"The series covers {covered:.0f} mm; the model needs {gate.min_coverage:g} mm."
        )
    first = ordered[0]
    if max(first.pixel_spacing or (0.0,)) > gate.max_pixel or min(first.rows, first.columns) < gate.min_pixels:
        return NotEligible(Ineligible.TOO_COARSE, "The pictures are too coarse for the model.")
    return Selection(first.series_uid, tuple(ordered), round(usual, 4))


def _shift(ordered: Sequence[InstanceFacts]) -> float:
    """How far the slice that lies farthest beside the line from the first to the last one is from it, in mm.

    A tilted gantry moves each slice by the same step, so its slices lie on that line.
    """
    places = [i.position for i in ordered if i.position]
    first, last = places[0], places[-1]
    bottom, height = _height(ordered[0]), _height(ordered[-1]) - _height(ordered[0])
    farthest = 0.0
    for instance, place in zip(ordered, places, strict=True):
        share = (_height(instance) - bottom) / height if height else 0.0
        on_line = [a + share * (b - a) for a, b in zip(first, last, strict=True)]
        farthest = max(farthest, math.dist(place, on_line))
    return farthest


def _each_place_once(stack: Sequence[InstanceFacts]) -> list[InstanceFacts]:
    """From feet to head; of slices at one place, the one of the first acquisition."""
    ordered = sorted(stack, key=lambda i: (_height(i), i.acquisition_number or 0, i.sop_uid))
    kept: list[InstanceFacts] = []
    for instance in ordered:
        if not kept or _height(instance) - _height(kept[-1]) > _SAME_PLACE:
            kept.append(instance)
    return kept
