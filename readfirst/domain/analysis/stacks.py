"""Slices in space: where they lie, which of them can make one volume, and which show different pictures of one place.

What makes a different picture is decided by place, not by how a header is written: slices that lie above each other,
no place twice, are one picture, whatever changes along the patient. Only where slices share places, or where parts
that are complete by themselves lie between each other, an attribute tells them apart (kernel, phase, time, …).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import pairwise
from statistics import median

from readfirst.domain.instance_facts import InstanceFacts

Stack = list[InstanceFacts]

SAME_PLACE = 0.05  # mm
MISSING = 1.5  # a step longer than this many usual steps hides a slice
_PARALLEL = 0.01  # of a direction cosine: slices that differ less are parallel
_SAME_SPACING = 0.001  # mm
_UPRIGHT = 0.02  # how far directions may be from unit length and a right angle
_IN_COMMON = 0.25  # of the shorter of two parts that continue each other: so many places may be in both


# ---------------------------------------------------------------- one slice


def is_placed(instance: InstanceFacts) -> bool:
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


def normal_of(instance: InstanceFacts) -> tuple[float, float, float]:
    """The direction in which a stack of such slices grows."""
    if instance.orientation is None:
        raise ValueError("the slice has no orientation")
    rx, ry, rz, cx, cy, cz = instance.orientation
    return (ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx)


def height_of(instance: InstanceFacts) -> float:
    """Where the slice lies along its normal, from feet to head, in mm."""
    if instance.position is None:
        raise ValueError("the slice has no position")
    normal = normal_of(instance)
    sign = 1.0 if normal[2] >= 0 else -1.0
    return sign * sum(p * n for p, n in zip(instance.position, normal, strict=True))


def level_of(instance: InstanceFacts) -> float:
    """The height of the slice's centre along the patient (z, mm): to compare slices of different tilt and size."""
    if instance.position is None or instance.orientation is None or instance.pixel_spacing is None:
        raise ValueError("the slice does not say where it lies")
    down, across = instance.pixel_spacing
    along_row, along_column = instance.orientation[2], instance.orientation[5]
    middle = along_row * across * (instance.columns - 1) + along_column * down * (instance.rows - 1)
    return instance.position[2] + middle / 2


# ---------------------------------------------------------------- slices of one field of view


def fields_of_view(slices: Sequence[InstanceFacts]) -> list[Stack]:
    """Slices that can make one volume, together: parallel, of one size and pixel spacing."""
    stacks: list[Stack] = []
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


# ---------------------------------------------------------------- slices of one picture


def pictures(stack: Stack) -> list[Stack] | None:
    """The pictures that a stack holds, each in order from feet to head with no place twice; None where several lie at
    one place and nothing tells for sure which belongs to which.

    A part of another picture's places that is not complete by itself is left out.
    """
    ends = _heights(stack)[0], _heights(stack)[-1]
    by_value = list(_partitions(stack, said=not _doubled(stack) and _is_complete(stack, ends)))
    several = [parts for parts in by_value if len(parts) < len(stack)]
    whole = [full for parts in several if (full := [part for part in parts if _is_complete(part, ends)])]
    if whole:
        most = max(whole, key=lambda full: (len(full), -sum(_doubled(part) for part in full)))
        answers = [pictures(part) for part in most]
        known = [picture for answer in answers if answer for picture in answer]
        return known or None
    if not _doubled(stack):
        return [sorted(stack, key=height_of)]
    for parts in by_value:
        if continued := _continued(parts):
            return [continued]
    return _by_order(stack)


def _partitions(stack: Stack, *, said: bool) -> Iterator[list[Stack]]:
    """The stack by each attribute that is not the same for all of it. `said`: which every slice says; slices at even
    steps, no place twice, are not two pictures because some of them leave a value out or write it unreadably."""
    width = max((len(one.apart) for one in stack), default=0)
    keys: list[Callable[[InstanceFacts], Hashable]] = [lambda i: i.acquisition_number, lambda i: i.rendering]
    keys += [lambda i, k=k: i.apart[k] if k < len(i.apart) else "" for k in range(width)]  # type: ignore[misc]
    seen: set[tuple[int, ...]] = set()
    for key in keys:
        groups: dict[Hashable, Stack] = {}
        for one in stack:
            groups.setdefault(key(one), []).append(one)
        if said and any(name in (None, "") for name in groups):
            continue
        names = {name: k for k, name in enumerate(groups)}
        pattern = tuple(names[key(one)] for one in stack)
        if len(groups) > 1 and pattern not in seen:
            seen.add(pattern)
            yield list(groups.values())


def places(stack: Sequence[InstanceFacts]) -> list[Stack]:
    """The slices by place, from feet to head."""
    found: list[Stack] = []
    for one in sorted(stack, key=height_of):
        if found and height_of(one) - height_of(found[-1][0]) <= SAME_PLACE:
            found[-1].append(one)
        else:
            found.append([one])
    return found


def _doubled(stack: Stack) -> int:
    """How many slices lie where another one lies."""
    return len(stack) - len(places(stack))


def _heights(stack: Stack) -> list[float]:
    return [height_of(place[0]) for place in places(stack)]


def _is_complete(part: Stack, ends: tuple[float, float]) -> bool:
    """Whether a part is a picture by itself of all places between two ends: at even steps, less than a step shorter."""
    own = _heights(part)
    steps = [b - a for a, b in pairwise(own)]
    if not steps:
        return ends[1] - ends[0] <= SAME_PLACE
    usual = median(steps)
    even = max(steps) <= MISSING * usual and min(steps) >= usual / MISSING
    return even and max(own[0] - ends[0], ends[1] - own[-1]) < usual - SAME_PLACE


def _continued(parts: Sequence[Stack]) -> Stack | None:
    """Parts that continue each other along the patient, as one; of places in two of them, the lower part's slice."""
    ordered = sorted(parts, key=lambda part: _heights(part)[0])
    if any(_doubled(part) for part in ordered) or len(ordered) == sum(len(part) for part in ordered):
        return None
    for lower, upper in pairwise(ordered):
        low, high = _heights(lower), _heights(upper)
        if high[-1] <= low[-1] or low[0] >= high[0]:
            return None
        common = max(sum(h >= high[0] - SAME_PLACE for h in low), sum(h <= low[-1] + SAME_PLACE for h in high))
        if common > _IN_COMMON * min(len(low), len(high)):
            return None
    if any(_heights(third)[0] <= _heights(first)[-1] for first, third in zip(ordered, ordered[2:], strict=False)):
        return None
    return [place[0] for place in places([one for part in ordered for one in part])]


# ---------------------------------------------------------------- moments that only an order tells apart


def _by_order(stack: Stack) -> list[Stack] | None:
    """The moments of a stack by its clocks or numbers. Every order that tells them apart must tell the same."""
    told = [found for order in _orders(stack) if (found := _moments(stack, order))]
    ways = {frozenset(frozenset((i.sop_uid, i.frame) for i in moment) for moment in found) for found in told}
    return [sorted(moment, key=height_of) for moment in told[0]] if len(ways) == 1 else None


def _orders(stack: Stack) -> Iterator[dict[int, float]]:
    """The stack's slices (by identity) as each clock, and each numbering that is complete, orders them."""
    width = max((len(one.moments) for one in stack), default=0)
    columns: list[list[float | None]] = [
        [one.moments[k] if k < len(one.moments) else None for one in stack] for k in range(width)
    ]
    columns.append([one.acquisition_number for one in stack])
    columns.append([None if one.frame else one.instance_number for one in stack])
    if len({one.sop_uid for one in stack}) == 1:
        columns.append([one.frame or None for one in stack])
    for column in columns:
        if len(set(column)) > 1 and None not in column:
            yield {id(one): float(value) for one, value in zip(stack, column, strict=True) if value is not None}


def _moments(stack: Stack, order: dict[int, float]) -> list[Stack] | None:
    """Moments that were taken one after the other: of the whole stack, or of one stretch of it before the table moved
    on (a stretch may be one place). Every place must have as many slices: of a moment that lacks one, nobody can say
    where the next begins."""
    at = {id(one): k for k, place in enumerate(places(stack)) for one in place}
    count = len(stack) // (max(at.values()) + 1)
    left = sorted(stack, key=lambda i: (order[id(i)], at[id(i)]))
    moments: list[Stack] = [[] for _ in range(count)]
    while left:
        stretch = _first_stretch(left, at)
        passes = [left[k * len(stretch) : (k + 1) * len(stretch)] for k in range(count)]
        for one, following in zip(passes, [*passes[1:], left[count * len(stretch) :]], strict=True):
            if {at[id(i)] for i in one} != stretch or len(one) != len(stretch):
                return None
            if following and order[id(one[-1])] >= order[id(following[0])]:
                return None
        for moment, one in zip(moments, passes, strict=True):
            moment += one
        left = left[count * len(stretch) :]
    return moments if all(not _doubled(moment) for moment in moments) else None


def _first_stretch(ordered: Stack, at: dict[int, int]) -> set[int]:
    """The places that come before one of them comes again."""
    seen: set[int] = set()
    for one in ordered:
        if at[id(one)] in seen:
            break
        seen.add(at[id(one)])
    return seen
