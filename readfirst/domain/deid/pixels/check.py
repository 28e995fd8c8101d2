"""Decides whether a picture must be searched, searches it, blanks what it finds, and proves that nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from readfirst.domain.deid.dicom.elements import Bulk, Unreadable
from readfirst.domain.deid.pixels.decode import Frame
from readfirst.domain.deid.pixels.frames import Images, filled
from readfirst.domain.deid.pixels.screen import may_hold_text, places
from readfirst.domain.deid.pixels.text import Box, Grey, NoDetector, Text, find_text
from readfirst.domain.refusals import Reason

GROUP = 16  # frames that are searched together, as their brightest and their middle values
TOGETHER = 128 * 1024 * 1024  # bytes of frames in memory at a time
_PROJECTED = 5  # pictures that stand for a group: a smaller one needs none
ROUNDS = 3  # of blanking, before a picture is given up
_SURE_MARKER = 0.9
_APART = 28  # pixels around a marker that must be free of other text


@dataclass(frozen=True)
class Finding:
    """A group of frames and the text in it."""

    frames: int
    blank: tuple[Box, ...]
    markers_kept: tuple[str, ...]
    markers_blanked: tuple[str, ...]


@dataclass(frozen=True)
class Checked:
    """The outcome: new pixel data where something was blanked (None: as they were)."""

    pixels: Bulk | None
    findings: tuple[Finding, ...]
    searched: int  # frames that the detector has seen

    @property
    def frames(self) -> int:
        """How many frames were looked at."""
        return sum(f.frames for f in self.findings)


def check_pixels(images: Images, regions: tuple[Box, ...] = ()) -> Checked:
    """Searches every frame. Raises Unreadable where the picture cannot be proven to show no name.

    `regions` are the places of ultrasound data: when the search is not sure of a frame, all around them is blanked.
    """
    try:
        findings = tuple(_searched(group, images, regions) for group in _groups(images))
    except NoDetector as error:
        raise Unreadable(Reason.PIXELS_UNVERIFIED, "no text detector is installed") from error
    return _checked(images, findings, images.shape.frames)


def _checked(images: Images, findings: tuple[Finding, ...], searched: int) -> Checked:
    if sum(f.frames for f in findings) != images.shape.frames:
        raise Unreadable(Reason.PIXELS_UNVERIFIED, "another number of frames than the header says")
    if not any(f.blank for f in findings):
        return Checked(None, findings, searched)
    boxes = [list(f.blank) for f in findings for _ in range(f.frames)]
    return Checked(images.blanked(boxes), findings, searched)


def screen_pixels(images: Images) -> Checked:
    """For pictures that hardly ever hold text: only frames on which something stands like letters are searched."""
    findings, suspects = [], 0
    try:
        for frame in images.frames():
            boxes = places(frame if frame.ndim == 2 and images.palette is None else images.grey(frame))
            suspect = bool(boxes) and _text_at(boxes, images.grey(frame))
            suspects += suspect
            findings.append(_searched([frame], images, ()) if suspect else Finding(1, (), (), ()))
    except NoDetector as error:
        raise Unreadable(Reason.PIXELS_UNVERIFIED, "no text detector is installed") from error
    return _checked(images, tuple(findings), suspects)


def _text_at(boxes: list[Box], grey: Grey) -> bool:
    """Whether there is text at one of the places: a search of a corner costs a fraction of the whole picture's."""
    todo = _joined(boxes)
    if sum((b[2] - b[0]) * (b[3] - b[1]) for b in todo) > grey.size // 2:
        return True
    return any(find_text(np.ascontiguousarray(grey[top:bottom, left:right])) for left, top, right, bottom in todo)


def _joined(boxes: list[Box]) -> list[Box]:
    """The boxes, those that overlap as one."""
    joined: list[Box] = []
    for box in boxes:
        while other := next((b for b in joined if _overlap(b, box)), None):
            joined.remove(other)
            box = (min(box[0], other[0]), min(box[1], other[1]), max(box[2], other[2]), max(box[3], other[3]))
        joined.append(box)
    return joined


def _groups(images: Images) -> Iterator[list[Frame]]:
    frames = images.frames()
    together = max(1, min(GROUP, TOGETHER // images.frame_bytes))
    while group := list(islice(frames, together)):
        yield group


def projections(group: list[Frame], images: Images) -> list[Grey]:
    """The pictures that stand for a group: text that stays shows in the middle values, text that comes and goes in
    the brightest or, where it is dark, in the darkest; the first and last frame stand beside them."""
    if len(group) <= _PROJECTED:
        return [images.grey(frame) for frame in group]
    stack = np.stack(group)
    middle = np.sort(stack, axis=0)[len(group) // 2]
    return [images.grey(p) for p in (stack.max(axis=0), stack.min(axis=0), middle, group[0], group[-1])]


def _searched(group: list[Frame], images: Images, regions: tuple[Box, ...]) -> Finding:
    """Blanks and searches again until nothing is found; the markers that stay are known by their places."""
    blank: list[Box] = []
    kept: dict[Box, str] = {}
    lost: list[str] = []
    for turn in range(ROUNDS + 1):
        frames = [filled(frame, blank) for frame in group] if blank else group
        found = [text for picture in projections(frames, images) for text in find_text(picture)]
        rest = _without_markers(found, kept, lost, first=turn == 0)
        if not rest:  # what a projection hides, a frame by itself may show
            hidden = frames[1:-1] if len(frames) > _PROJECTED else []
            inner = (grey for grey in map(images.grey, hidden) if may_hold_text(grey))
            rest = _without_markers([t for grey in inner for t in find_text(grey)], kept, lost, first=turn == 0)
        if not rest:
            return Finding(len(group), tuple(blank), tuple(sorted(kept.values())), tuple(sorted(set(lost))))
        blank += [_grown(text.box, images) for text in rest]
        if turn == ROUNDS - 1 and regions:
            blank += _around(regions, images)
    raise Unreadable(Reason.PIXELS_UNVERIFIED, "text is still found after blanking")


def _without_markers(found: list[Text], kept: dict[Box, str], lost: list[str], first: bool) -> list[Text]:
    """The text that has to go. Markers are kept when they stand alone and are read with confidence."""
    rest = []
    for text in found:
        alone = not any(_near(text.box, other.box) for other in found if not _overlap(text.box, other.box))
        if any(_overlap(text.box, box) for box in kept) and text.marker:
            continue
        if first and text.marker and text.confidence >= _SURE_MARKER and alone:
            kept[text.box] = text.marker
        else:
            rest.append(text)
            if text.marker:
                lost.append(text.marker)
    return rest


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _near(a: Box, b: Box) -> bool:
    return _overlap((a[0] - _APART, a[1] - _APART, a[2] + _APART, a[3] + _APART), b)


def _grown(box: Box, images: Images) -> Box:
    return (
        max(0, box[0] - 2),
        max(0, box[1] - 2),
        min(images.shape.columns, box[2] + 2),
        min(images.shape.rows, box[3] + 2),
    )


def _around(regions: tuple[Box, ...], images: Images) -> list[Box]:
    """Everything outside the box that holds all regions."""
    left, top = min(r[0] for r in regions), min(r[1] for r in regions)
    right, bottom = max(r[2] for r in regions), max(r[3] for r in regions)
    columns, rows = images.shape.columns, images.shape.rows
    sides = [(0, 0, columns, top), (0, bottom, columns, rows), (0, top, left, bottom), (right, top, columns, bottom)]
    return [s for s in sides if s[0] < s[2] and s[1] < s[3]]
