"""Which series of a study a model gets, and in which order: by rule, so that the same study gives the same work.

Coverage first, thickness second: of the series that a gate admits, the one that leaves nothing of the patient out, and
of several such the thinnest. What no series covers as a whole is read in part, and says so (`Selection.missing`).
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median

from readfirst.domain.analysis.eligibility import Ineligible, NotEligible, Selection, out_of_scope
from readfirst.domain.analysis.image_types import refused_as
from readfirst.domain.analysis.models import Gate
from readfirst.domain.analysis.radiograph_selection import select_picture
from readfirst.domain.analysis.stacks import (
    MISSING,
    SAME_PLACE,
    Stack,
    fields_of_view,
    height_of,
    is_placed,
    level_of,
    normal_of,
    pictures,
)
from readfirst.domain.instance_facts import InstanceFacts

__all__ = ["Choice", "Ineligible", "NotEligible", "Selection", "choose", "run_key", "select_series"]

_AXIAL = math.cos(math.radians(35))  # a gantry tilts up to 30 degrees
_SHIFTED = 3.0  # mm beside the stack's axis: slices of another field of view lie elsewhere
_COARSEST = 10.0  # mm: a gate that names no spacing still does not take two slices so far apart for neighbours

OTHER_PICTURE, SAME_POSITIONS, BEYOND = "another-picture", "same-positions", "beyond-what-was-read"
NOT_AXIAL, NO_DENSITIES = "not-axial", "no-densities"
LEFT_OUT = {
    SAME_POSITIONS: "Another reconstruction or moment of the same positions.",
    BEYOND: "Positions that the series read does not cover.",
    OTHER_PICTURE: "Another picture of the study was read.",
    NOT_AXIAL: "Not an axial slice.",
    NO_DENSITIES: "Values that are not densities, or a picture that is not grey.",
    "localizer": "A localizer.",
    "projection": "A slab or projection through several slices.",
    "reformatted": "Reformatted from other slices.",
    "rendered": "A rendering.",
    "screen": "A screen, protocol, dose or captured page.",
    "map": "A map of something other than density.",
    "derived": "Derived from other images.",
    "unclear": "Its ImageType cannot be read.",
}
"""Why a slice or file of a study is not analysed, beside the codes of `Ineligible`: for people, without content."""

Key = tuple[tuple[str, str], int]  # the instance's place, and the frame
"""A slice: its SOP Instance UID and frame (0 in a file that has but one)."""


@dataclass
class _Judged:
    """A series: what of it a gate admits, and the volumes that it can give, or why none."""

    slices: list[InstanceFacts]
    eligible: list[InstanceFacts] = field(default_factory=list)
    reasons: dict[Key, str] = field(default_factory=dict)  # of the slices that are not eligible
    answers: list[Selection] = field(default_factory=list)
    refusal: NotEligible | None = None
    lost: int = 0  # frames of parts that never came


@dataclass(frozen=True)
class Choice:
    """Every series that can be read, the best first, or why there is none; and what becomes of all other slices."""

    selections: tuple[Selection, ...]
    refusal: NotEligible | None
    _reasons: dict[Key, str] = field(default_factory=dict)
    _eligible: tuple[InstanceFacts, ...] = ()
    _lost: dict[str, int] = field(default_factory=dict)  # frames of parts that never came, by series

    def as_read(self, series_uid: str, slices: Sequence[InstanceFacts], gate: Gate) -> Selection:
        """What was ordered to be read, in any version, with what it leaves out by today's rules."""
        if gate.projection:
            return Selection(series_uid, tuple(slices), 0.0)
        steps = [height_of(b) - height_of(a) for a, b in pairwise(slices)]
        read = Selection(series_uid, tuple(slices), round(median(steps), 4) if steps else 1.0)
        return replace(read, missing=self.missing(read, gate))

    def missing(self, read: Selection, gate: Gate) -> int:
        """How many slices of the patient are not read with these; a part that never came counts with its frames."""
        lost = max((n for series_uid, n in self._lost.items() if series_uid != read.series_uid), default=0)
        return max(_missing(read, self._eligible, gate), lost)

    def left_out(self, read: Selection | None, reach: float, why: str = "") -> dict[Key, str]:
        """Why each slice that is not read is left out: a code of LEFT_OUT or of Ineligible, or `why` none was."""
        chosen = {key_of(one) for one in read.instances} if read else set()
        told = {key: reason for key, reason in self._reasons.items() if key not in chosen}
        rest = [one for one in self._eligible if key_of(one) not in chosen]
        if read is None:
            code = why or (str(self.refusal.code) if self.refusal else OTHER_PICTURE)
            return told | {key_of(one): code for one in rest}
        near = read.spacing / 2 + SAME_PLACE if read.missing else reach  # as `missing` counts them
        far = {key_of(one) for one in _beyond(read, rest, near)} if read.spacing else set()
        other = SAME_POSITIONS if read.spacing else OTHER_PICTURE
        return told | {key_of(one): BEYOND if key_of(one) in far else other for one in rest}


def select_series(instances: Sequence[InstanceFacts], gate: Gate) -> Selection | NotEligible:
    """The series that covers most and is thinnest (or the radiograph, by its own rule), or why there is none.

    Several answers are possible for several series; the reason returned is that of the largest one.
    """
    choice = choose(instances, gate)
    if choice.selections:
        return choice.selections[0]
    return choice.refusal or NotEligible(Ineligible.EMPTY, "The study holds no image.")


def choose(instances: Sequence[InstanceFacts], gate: Gate) -> Choice:
    """Judges every series of a study by a model's gate."""
    if not instances:
        return Choice((), NotEligible(Ineligible.EMPTY, "The study holds no image."))
    if len({i.patient for i in instances if i.patient}) > 1:
        return Choice((), NotEligible(Ineligible.SEVERAL_PERSONS, "The study holds images of several persons."))
    slices = [piece for instance in instances for piece in instance.slices()]
    if gate.projection:
        return _choose_picture(instances, slices, gate)
    series = _by(slices, lambda i: i.series_uid)
    series.sort(key=len, reverse=True)
    judged = [_judge(one, gate, instances) for one in series]
    eligible = tuple(one for series in judged for one in series.eligible)
    reasons = {key: reason for one in judged for key, reason in one.reasons.items()}
    lost = {one.slices[0].series_uid: one.lost for one in judged if one.lost}
    books = Choice((), next((one.refusal for one in judged if one.refusal), None), reasons, eligible, lost)
    found = [replace(a, missing=books.missing(a, gate)) for one in judged for a in one.answers]
    return replace(books, selections=tuple(sorted(found, key=_preference)), refusal=None if found else books.refusal)


def _choose_picture(instances: Sequence[InstanceFacts], slices: list[InstanceFacts], gate: Gate) -> Choice:
    """The radiograph that the gate admits; of the others, those that it does not admit say why."""
    answer = select_picture(instances, gate)
    refusals = {key_of(one): out_of_scope([one], gate, instances) for one in slices}
    reasons = {key: str(refused.code) for key, refused in refusals.items() if refused}
    rest = tuple(one for one in slices if key_of(one) not in reasons)
    if isinstance(answer, NotEligible):
        return Choice((), answer, reasons, rest)
    return Choice((answer,), None, reasons, rest)


def reach_of(gate: Gate) -> float:
    """How far from the nearest slice read a position may lie and still be covered at the gate's spacing, in mm."""
    return min(gate.max_spacing, _COARSEST) / 2 + SAME_PLACE


def run_key(selection: Selection, model_digest: str) -> str:
    """32 hex digits that name this work: the same slices in the same order for the same model, whatever the run.

    A study that is read in part is other work than the same slices read as the whole: its results say so.
    """
    if not all(instance.digest for instance in selection.instances):
        raise ValueError("a run key needs the digest of every instance")
    digests = [f"{i.digest}#{i.frame}" if i.frame else i.digest for i in selection.instances]
    part = [f"missing {selection.missing}"] if selection.missing else []
    return hashlib.sha256("\n".join(["readfirst-run-1", model_digest, *digests, *part]).encode()).hexdigest()[:32]


def _preference(selection: Selection) -> tuple[float, float, int, int, str, int, int, str]:
    """Leaving out least, thin, long, first; to the last, so that the same study gives the same work in whatever order
    its files came."""
    first = selection.instances[0]
    number = first.series_number if first.series_number is not None else 1 << 30
    return (
        round(selection.missing * selection.spacing), round(selection.spacing, 2), -len(selection.instances), number,
        selection.series_uid, first.acquisition_number or 0, first.instance_number or 0, first.sop_uid,
    )  # fmt: skip


def _by(instances: Iterable[InstanceFacts], key: Callable[[InstanceFacts], Hashable]) -> list[list[InstanceFacts]]:
    groups: dict[Hashable, list[InstanceFacts]] = {}
    for instance in instances:
        groups.setdefault(key(instance), []).append(instance)
    return list(groups.values())


def key_of(instance: InstanceFacts) -> Key:
    """What names a slice in a study's books."""
    return instance.place, instance.frame


# ---------------------------------------------------------------- one series


def _judge(series: Sequence[InstanceFacts], gate: Gate, study: Sequence[InstanceFacts]) -> _Judged:
    """One series against the gate: what it is first, then whether it holds usable slices that leave none of it out."""
    judged = _Judged(list(series), refusal=out_of_scope(series, gate, study))
    if judged.refusal:
        judged.reasons = {key_of(one): str(judged.refusal.code) for one in series}
        return judged
    _sort_out(judged)
    if not judged.eligible:
        return judged
    judged.lost = _lost(series)
    if judged.lost:
        judged.refusal = NotEligible(
            Ineligible.MISSING, "A part of the series did not come: it is a concatenation of several files."
        )
        return judged
    stacks = fields_of_view(judged.eligible)
    stacks.sort(key=len, reverse=True)
    answers = [answer for stack in stacks for answer in _answers(stack, gate)]
    good = [answer for answer in answers if isinstance(answer, Selection)]
    judged.answers = [one for one in good if not _beyond(one, judged.eligible, _within(one))]
    if not judged.answers:
        judged.refusal = next((a for a in answers if isinstance(a, NotEligible)), None)
        if len(stacks) > 1 and (good or judged.refusal is None):
            judged.refusal = NotEligible(
                Ineligible.SHIFTED, "The fields of view of the slices differ, and none covers the full series."
            )
        judged.refusal = judged.refusal or NotEligible(
            Ineligible.MISSING, "No picture of the series covers all of its positions."
        )
    return judged


def _sort_out(judged: _Judged) -> None:
    """Parts the slices of a series that can be judged from those that show something else, with a reason for each."""
    asked: tuple[tuple[Callable[[InstanceFacts], str], Ineligible, str], ...] = (
        (lambda i: refused_as(i.image_type, i.derivation, i.sop_class), Ineligible.NO_AXIAL,
         "The series holds localisers or derived pictures only."),
        (lambda i: "" if is_placed(i) else str(Ineligible.GEOMETRY), Ineligible.GEOMETRY,
         "The slices do not say where they lie."),
        (lambda i: "" if abs(normal_of(i)[2]) >= _AXIAL else NOT_AXIAL, Ineligible.NO_AXIAL,
         "The series holds no axial slices."),
        (lambda i: NO_DENSITIES if i.unfit else "", Ineligible.UNREADABLE, ""),
    )  # fmt: skip
    left = judged.slices
    for reason_of, code, text in asked:
        told = [(one, reason_of(one)) for one in left]
        judged.reasons |= {key_of(one): reason for one, reason in told if reason}
        if all(reason for _, reason in told):
            judged.refusal = NotEligible(code, text or f"{left[0].unfit[:1].upper()}{left[0].unfit[1:]}.")
            return
        left = [one for one, reason in told if not reason]
    judged.eligible = left


def _within(read: Selection) -> float:
    """How far beside the slices read another reconstruction's may lie, in mm: less than where the next would be."""
    return read.spacing - SAME_PLACE if len(read.instances) > 1 else SAME_PLACE


def _lost(series: Sequence[InstanceFacts]) -> int:
    """Frames of a concatenation's parts that did not come (PS3.3 C.7.6.16.2.2.4), as far as the others say; each lost
    part counts like the longest one that came."""
    lost = 0
    for parts in _by((one for one in series if one.part), lambda i: i.part.uid if i.part else ""):
        came: dict[int, int] = {}
        for one in parts:
            if one.part:
                came[one.part.number] = came.get(one.part.number, 0) + 1
        total = max(one.part.total for one in parts if one.part)
        lost += max(0, max(total, *came) - len(came)) * max(came.values())
    return lost


def _answers(stack: Stack, gate: Gate) -> list[Selection | NotEligible]:
    found = pictures(stack)
    if found is None:
        return [
            NotEligible(
                Ineligible.MIXED,
                "Several slices lie at one place, and nothing tells for sure which belong to one moment.",
            )
        ]
    return [_judge_picture(picture, gate) for picture in found]


def _judge_picture(ordered: Stack, gate: Gate) -> Selection | NotEligible:
    """Parallel slices in order, no place twice: no gap, enough of them, fine enough."""
    if len(ordered) < gate.min_slices:
        return NotEligible(
            Ineligible.TOO_FEW, f"The series has {len(ordered)} usable slices; the model needs {gate.min_slices}."
        )
    steps = [height_of(b) - height_of(a) for a, b in pairwise(ordered)]
    usual = median(steps) if steps else ordered[0].slice_thickness or 0.0
    gaps = sum(1 for step in steps if step > usual * MISSING)
    if gaps:
        return NotEligible(Ineligible.MISSING, f"The series has {gaps} gap(s) where slices are missing.")
    if steps and min(steps) < usual / MISSING:
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
    """How far a slice lies beside where the others would have it, in mm: beside the line from the first to the last
    one, or beside the slice below it more than that line runs on.

    A tilted gantry moves each slice by the same step, so its slices lie on that line.
    """
    places = [i.position for i in ordered if i.position]
    first, last = places[0], places[-1]
    bottom, height = height_of(ordered[0]), height_of(ordered[-1]) - height_of(ordered[0])
    beside: list[tuple[float, ...]] = []
    for instance, place in zip(ordered, places, strict=True):
        share = (height_of(instance) - bottom) / height if height else 0.0
        beside.append(tuple(p - a - share * (b - a) for p, a, b in zip(place, first, last, strict=True)))
    jumps = (math.dist(one, other) for one, other in pairwise(beside))
    return max((*(math.hypot(*one) for one in beside), *jumps), default=0.0)


# ---------------------------------------------------------------- what a series leaves out of the patient


def _beyond(read: Selection, others: Iterable[InstanceFacts], reach: float) -> list[InstanceFacts]:
    """The slices that lie farther than `reach` (mm) from every slice read, as far as places can be compared."""
    levels = sorted(level_of(one) for one in read.instances)
    own = read.instances[0].frame_of_reference
    return [one for one in others if _comparable(one, own) and _distance(level_of(one), levels) > reach]


def _comparable(one: InstanceFacts, frame_of_reference: str) -> bool:
    return not one.frame_of_reference or not frame_of_reference or one.frame_of_reference == frame_of_reference


def _distance(level: float, levels: Sequence[float]) -> float:
    k = bisect_left(levels, level)
    return min(abs(level - near) for near in levels[max(0, k - 1) : k + 1])


def _missing(read: Selection, eligible: Sequence[InstanceFacts], gate: Gate) -> int:
    """How many slices, at the step of those read, other series have where these have none.

    In another frame of reference places mean nothing here: there only a longer series has more, and one that goes on
    where these end, as if the numbers were of one frame.
    """
    own, step = read.instances[0].frame_of_reference, read.spacing or 1.0
    here: list[InstanceFacts] = []
    elsewhere: list[InstanceFacts] = []
    for one in eligible:
        (here if _comparable(one, own) else elsewhere).append(one)
    missing = 0
    if _beyond(read, here, reach_of(gate)):
        missing = _apart([level_of(one) for one in _beyond(read, here, step / 2 + SAME_PLACE)], step)
    length, levels = _length(read.instances), sorted(level_of(one) for one in read.instances)
    for group in _by(elsewhere, lambda i: i.frame_of_reference):
        more = _length(group) - length
        if more > 2 * reach_of(gate):
            missing = max(missing, round(more / step))
        away = {level: _distance(level, levels) for level in map(level_of, group)}
        beyond = [level for level, distance in away.items() if distance > reach_of(gate)]
        if 2 * len(beyond) > len(away) and min(away.values()) <= _COARSEST:
            missing = max(missing, _apart(beyond, step))
    return missing


def _apart(levels: Iterable[float], step: float) -> int:
    """How many slices at this step the levels stand for: they may lie at another step, and in several stretches."""
    ordered = sorted(levels)
    steps = [b - a for a, b in pairwise(ordered)]
    usual = median(steps) if steps else step
    length = sum(min(gap, MISSING * max(usual, step)) for gap in steps) + usual
    return max(1, round(length / step))


def _length(slices: Sequence[InstanceFacts]) -> float:
    levels = [level_of(one) for one in slices]
    return max(levels) - min(levels)
