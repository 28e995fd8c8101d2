"""Decides whether a picture must be searched, searches it, blanks what it finds, and proves that nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from readfirst.domain.deid.dicom.elements import Bulk, Unreadable
from readfirst.domain.deid.pixels.barcodes import find_barcodes
from readfirst.domain.deid.pixels.decode import Frame
from readfirst.domain.deid.pixels.frames import Images, filled
from readfirst.domain.deid.pixels.screen import places
from readfirst.domain.deid.pixels.text import Box, NoDetector, Text, covers, enlarged, find_text
from readfirst.domain.refusals import Reason

GROUP = 16  # frames that are searched together, as their brightest and their middle values
TOGETHER = 128 * 1024 * 1024  # bytes of frames in memory at a time
_PROJECTED = 5  # pictures that stand for a group: a smaller one needs none
ROUNDS = 3  # of blanking, before a picture is given up
_CLOSE = 224  # pixels of a block's longer side that is searched at twice its size
_REACH = 48  # pixels around a line, at least, in which the other lines of its block are looked for
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
            texts = _text_at(_joined(boxes), frame, images)
            suspects += bool(texts)
            findings.append(_searched([frame], images, (), texts) if texts else Finding(1, (), (), ()))
    except NoDetector as error:
        raise Unreadable(Reason.PIXELS_UNVERIFIED, "no text detector is installed") from error
    return _checked(images, tuple(findings), suspects)


def _text_at(boxes: list[Box], frame: Frame, images: Images) -> list[Text]:
    """Text at the places, each with its own contrast: a corner costs a fraction of the picture's search."""
    return [text for box in boxes for text in _in_part(frame, images, box)]


def _in_part(frame: Frame, images: Images, box: Box, scale: int = 1) -> list[Text]:
    """Text in a part of a frame, whose contrast is spread over all greys; `scale` times as large."""
    left, top, right, bottom = box
    grey = images.grey(np.ascontiguousarray(frame[top:bottom, left:right]))
    return [_moved(text, left, top, scale) for text in find_text(enlarged(grey, scale))]


def _moved(text: Text, left: int, top: int, scale: int) -> Text:
    def back(box: Box) -> Box:
        return left + box[0] // scale, top + box[1] // scale, left - (-box[2] // scale), top - (-box[3] // scale)

    return replace(text, box=back(text.box), parts=tuple(map(back, text.parts)))


def _seen(frame: Frame, images: Images, near: tuple[Box, ...], within: Box | None = None) -> list[Text]:
    """The text and the barcodes of a frame, or of what is within a box. Where there is one line there are others:
    around what is found, and around `near`, the frame is searched again, closer and with the contrast of that place."""
    grey = images.grey(frame)
    left, top, right, bottom = within or (0, 0, grey.shape[1], grey.shape[0])
    part = np.ascontiguousarray(grey[top:bottom, left:right])
    found = [_moved(text, left, top, 1) for text in (*find_text(part), *find_barcodes(part))]
    blocks = _joined([_block(b, frame) for b in (*near, *(t.box for t in found if not t.marker))])
    for block in blocks:
        width, height = block[2] - block[0], block[3] - block[1]
        scale = 2 if max(width, height) <= _CLOSE else 1
        closer = [text for text in _in_part(frame, images, block, scale) if text.read_surely]
        found += [t for t in closer if not any(covers(f.box, t.box) for f in found if not f.parts)]
    return found


def _block(box: Box, frame: Frame) -> Box:
    """The surroundings in which other lines of a block are: three lines each way."""
    reach = max(_REACH, 3 * min(box[2] - box[0], box[3] - box[1]))
    rows, columns = frame.shape[:2]
    return max(0, box[0] - reach), max(0, box[1] - reach), min(columns, box[2] + reach), min(rows, box[3] + reach)


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


def projections(group: list[Frame]) -> list[Frame]:
    """The frames that stand for a group: text that stays shows in the middle values, text that comes and goes in
    the brightest or, where it is dark, in the darkest; the first and last frame stand by themselves."""
    if len(group) <= _PROJECTED:
        return group
    stack = np.stack(group)
    middle = np.sort(stack, axis=0)[len(group) // 2]
    return [stack.max(axis=0), stack.min(axis=0), middle, group[0], group[-1]]


def _searched(group: list[Frame], images: Images, regions: tuple[Box, ...], known: list[Text] | None = None) -> Finding:
    """Blanks and searches again until nothing is found; the markers that stay are known by their places.

    `known` is the text that the screen has found: what it reads there goes, whether or not the frame shows it again.
    """
    near = tuple(text.box for text in known or ())
    blank: list[Box] = []
    kept: dict[Box, str] = {}
    lost: list[str] = []
    again: list[Box] | None = None  # what was blanked since the inner frames were searched; None: they were not
    for turn in range(ROUNDS + 1):
        frames = [filled(frame, blank) for frame in group] if blank else group
        found = [text for frame in projections(frames) for text in _seen(frame, images, near)]
        found += [text for text in known or () if text.read and turn == 0]
        rest = _without_markers(found, kept, lost, first=turn == 0)
        if not rest:
            rest = _without_markers(_inner(frames, images, again), kept, lost, first=turn == 0)
            again = []
        if not rest:
            return Finding(len(group), tuple(blank), tuple(sorted(kept.values())), tuple(sorted(set(lost))))
        blank += [_grown(box, images) for text in rest for box in text.parts or (text.box,)]
        near = (*near, *(text.box for text in rest))
        again = None if again is None else [*again, *(text.box for text in rest)]
        if turn == ROUNDS - 1 and regions:
            blank += _around(regions, images)
    raise Unreadable(Reason.PIXELS_UNVERIFIED, "text is still found after blanking")


def _inner(frames: list[Frame], images: Images, again: list[Box] | None) -> list[Text]:
    """The text of the frames that only projections stand for: what those hide, a frame by itself shows.

    What is the same in the first frame, which was searched, is not searched again; nor, in a second look, is what is
    away from the places `again` that have been blanked since the first.
    """
    found: list[Text] = []
    for frame in frames[1:-1] if len(frames) > _PROJECTED else ():
        changed = _changed(frames[0], frame)
        if changed is None:
            continue
        for box in [changed] if again is None else _joined([_block(b, frame) for b in again]):
            found += _seen(frame, images, (), box)
    return found


def _changed(one: Frame, other: Frame) -> Box | None:
    """Around all pixels in which two frames differ; None where they are the same."""
    differs = one != other
    if differs.ndim == 3:
        differs = differs.any(axis=2)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not rows.size:
        return None
    left, top = max(0, int(columns[0]) - _REACH), max(0, int(rows[0]) - _REACH)
    right, bottom = int(columns[-1]) + 1 + _REACH, int(rows[-1]) + 1 + _REACH
    return left, top, min(differs.shape[1], right), min(differs.shape[0], bottom)


def _without_markers(found: list[Text], kept: dict[Box, str], lost: list[str], first: bool) -> list[Text]:
    """The text that has to go. Markers are kept when they stand alone and are read with confidence.

    After the first look two letters count only when they are read with confidence: noise along the edge of what was
    blanked is taken for such.
    """
    rest = []
    for text in found if first else [t for t in found if t.read_surely or not t.read]:
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
