"""Searches a group of frames for text and barcodes, blanks what it finds, and proves that nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from readfirst.domain.deid.dicom.elements import Unreadable
from readfirst.domain.deid.pixels.barcodes import find_barcodes
from readfirst.domain.deid.pixels.decode import Frame
from readfirst.domain.deid.pixels.frames import Images, filled
from readfirst.domain.deid.pixels.text import Box, Text, covers, enlarged, find_text
from readfirst.domain.refusals import Reason

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


def search(group: list[Frame], images: Images, regions: tuple[Box, ...], known: list[Text] | None = None) -> Finding:
    """Blanks text until none is found, first in the pictures that stand for the group, then in each inner frame.

    `regions`: of ultrasound data; where text is still found in the last round, all around them is blanked. `known` is
    the text that the screen has found: what it reads there goes, whether or not the frame shows it again.
    Raises Unreadable where text is still found at the end.
    """
    state = _Blanking(group, images, regions)
    state.until_none_is_found(projections, known or [])
    if len(group) > _PROJECTED:
        # What projections hide, a frame by itself shows; what is the same in the first frame was searched there.
        changed = {i: box for i in range(1, len(group) - 1) if (box := _changed(group[0], group[i])) is not None}
        state.until_none_is_found(lambda frames: [frames[i] for i in changed], [], list(changed.values()))
    kept, lost = tuple(sorted(state.kept.values())), tuple(sorted(set(state.lost)))
    return Finding(len(group), tuple(state.blank), kept, lost)


@dataclass
class _Blanking:
    """What has been blanked in a group so far, and which markers stay (by their places) or are lost."""

    group: list[Frame]
    images: Images
    regions: tuple[Box, ...]
    blank: list[Box] = field(default_factory=list)
    kept: dict[Box, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def until_none_is_found(
        self,
        pictures_of: Callable[[list[Frame]], list[Frame]],
        known: list[Text],
        within: list[Box] | None = None,
    ) -> None:
        """Searches pictures of the frames, blanks, and searches those again that showed something.

        Of the other pictures, the surroundings of what was blanked are looked at again, closer: where one frame has a
        line, another may have the fainter one of the same block. `within`: the part of each picture that is searched.
        """
        again: set[int] | None = None  # the pictures that are searched; None: all
        places = tuple(text.box for text in known)
        for turn in range(ROUNDS + 1):
            frames = [filled(frame, self.blank) for frame in self.group] if self.blank else self.group
            found: list[tuple[int, Text]] = [(-1, text) for text in known if text.read and turn == 0]
            for index, picture in enumerate(pictures_of(frames)):
                part = within[index] if within else None
                searched = again is None or index in again
                look = _seen(picture, self.images, places, part) if searched else self._closer(picture, places)
                found += [(index, text) for text in look]
            rest = self._without_markers([text for _, text in found], first=turn == 0)
            if not rest:
                return
            again = {index for index, text in found if any(text is one for one in rest)}
            places = tuple(text.box for text in rest)
            self.blank += [_grown(box, self.images) for text in rest for box in text.parts or (text.box,)]
            if turn == ROUNDS - 1 and self.regions:
                self.blank += _around(self.regions, self.images)
        raise Unreadable(Reason.PIXELS_UNVERIFIED, "text is still found after blanking")

    def _closer(self, picture: Frame, places: tuple[Box, ...]) -> list[Text]:
        return [text for block in _blocks(places, picture) for text in _in_block(picture, self.images, block)]

    def _without_markers(self, found: list[Text], first: bool) -> list[Text]:
        """The text that has to go. Markers are kept when they stand alone and are read with confidence.

        Two letters count only when they are read with confidence after the first look, and beside what was blanked:
        noise along the edge of that is taken for such.
        """
        rest = []
        for text in found:
            doubtful = text.read and not text.read_surely
            if doubtful and (not first or any(_overlap(text.box, box) for box in self.blank)):
                continue
            alone = not any(_near(text.box, other.box) for other in found if not _overlap(text.box, other.box))
            if any(_overlap(text.box, box) for box in self.kept) and text.marker:
                continue
            if first and text.marker and text.confidence >= _SURE_MARKER and alone:
                self.kept[text.box] = text.marker
            else:
                rest.append(text)
                if text.marker:
                    self.lost.append(text.marker)
        return rest


def projections(group: list[Frame]) -> list[Frame]:
    """The frames that stand for a group: text that stays shows in the middle values, text that comes and goes in
    the brightest or, where it is dark, in the darkest; the first and last frame stand by themselves."""
    if len(group) <= _PROJECTED:
        return group
    stack = np.stack(group)
    middle = np.sort(stack, axis=0)[len(group) // 2]
    return [stack.max(axis=0), stack.min(axis=0), middle, group[0], group[-1]]


def text_in(frame: Frame, images: Images, box: Box, scale: int = 1) -> list[Text]:
    """Text in a part of a frame, whose contrast is spread over all greys; `scale` times as large."""
    left, top, right, bottom = box
    grey = images.grey(np.ascontiguousarray(frame[top:bottom, left:right]))
    return [_moved(text, left, top, scale) for text in find_text(enlarged(grey, scale), clear=True)]


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
    for block in _blocks((*near, *(t.box for t in found if not t.marker)), frame):
        closer = _in_block(frame, images, block)
        found += [t for t in closer if not any(covers(f.box, t.box) for f in found if not f.parts)]
    return found


def _in_block(frame: Frame, images: Images, block: Box) -> list[Text]:
    """The words in a block, at twice its size where it is small. One as large as the frame was searched already."""
    width, height = block[2] - block[0], block[3] - block[1]
    scale = 2 if max(width, height) <= _CLOSE else 1
    if scale == 1 and (height, width) == frame.shape[:2]:
        return []
    return [text for text in text_in(frame, images, block, scale) if text.read_surely]


def _blocks(places: tuple[Box, ...], frame: Frame) -> list[Box]:
    """The surroundings of places in which other lines of their blocks are: three lines each way."""
    rows, columns = frame.shape[:2]
    blocks = []
    for box in places:
        reach = max(_REACH, 3 * min(box[2] - box[0], box[3] - box[1]))
        grown = box[0] - reach, box[1] - reach, box[2] + reach, box[3] + reach
        blocks.append((max(0, grown[0]), max(0, grown[1]), min(columns, grown[2]), min(rows, grown[3])))
    return joined(blocks)


def joined(boxes: list[Box]) -> list[Box]:
    """The boxes, those that overlap as one."""
    joined: list[Box] = []
    for box in boxes:
        while other := next((b for b in joined if _overlap(b, box)), None):
            joined.remove(other)
            box = (min(box[0], other[0]), min(box[1], other[1]), max(box[2], other[2]), max(box[3], other[3]))
        joined.append(box)
    return joined


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
