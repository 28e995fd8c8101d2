"""Finds and reads text in a grey picture with PP-OCR's two networks, which rapidocr's wheel holds as ONNX files.

The detector (DBNet) marks where text may be, at two sizes of the picture and once more with large structures taken
away; a candidate is text when the recogniser reads it, or when the detector is sure of it twice. Organs that look like
letters to the one are nothing to the other, which keeps false alarms out without letting dim text in.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two exclusive

_THRESHOLD = 0.3  # of the detector's map
_THRESHOLD_LINE = 0.55  # between the lines of a block the map stays below
_THRESHOLD_THIN = 0.6  # where large structures are taken away, edges of organs come near to it
_SURE = 0.8  # mean of a candidate's map that needs no reading, seen at both sizes
_READ = 0.55  # the recogniser's mean confidence in its characters
_READ_ONE = 0.9  # for a single character
_SLANT = (6.0, 84.0)  # degrees between which a line is read along its own direction
_GOES_ON = 6  # heights of a slanted line, within which its ink is followed beyond its ends
_LEAST = 12  # pixels of the map
_TALLEST = 96  # pixels of the searched picture: what is larger on its short side is no line of text
_DETECTOR, _RECOGNISER = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"

# Side, projection and position markers: the reader needs them, and they name nobody.
MARKER = re.compile(
    r"L|R|LT|RT|LEFT|RIGHT|AP|PA|LAT|LATERAL|ERECT|UPRIGHT|SUPINE|PRONE|SITTING|STANDING|PORTABLE|MOBILE|DECUB|DECUBITUS|"
    r"OBL|OBLIQUE|LAO|RAO|LPO|RPO|LLD|RLD|INSP|EXP|CC|MLO|[RL]CC|[RL]MLO|WB|NWB|FLEX|EXT|AXIAL|SKYLINE|\d{1,3}(?:CM|MM)"
)


class NoDetector(Exception):
    """The text detector is not installed; pictures cannot be verified without it."""


@dataclass(frozen=True)
class Text:
    """A place with text: its box in the picture, what it reads, how sure the reading is.

    A slanted line has `parts`: upright boxes that cover it and little else.
    """

    box: Box
    reading: str
    confidence: float
    parts: tuple[Box, ...] = ()

    @property
    def read(self) -> bool:
        """Whether the recogniser reads more than one letter or digit here."""
        return sum(c.isalnum() for c in self.reading) > 1 and self.confidence >= _READ

    @property
    def read_surely(self) -> bool:
        """Whether it reads as a word: enlarged noise reads as two letters or digits now and then."""
        return self.read and (sum(c.isalnum() for c in self.reading) > 2 or self.confidence >= _READ_ONE)

    @property
    def marker(self) -> str:
        """The side or projection marker that it reads as; "" for any other text."""
        bare = re.sub(r"[^A-Z0-9]", "", self.reading.upper())
        return bare if MARKER.fullmatch(bare) else ""


@lru_cache(maxsize=1)
def networks() -> tuple[Any, Any, Any, list[str]]:
    """cv2, detector, recogniser and the recogniser's characters. Raises NoDetector."""
    found = util.find_spec("rapidocr")
    if found is None or found.origin is None or util.find_spec("onnxruntime") is None:
        raise NoDetector("rapidocr and onnxruntime are not installed")
    import cv2
    import onnxruntime

    models = Path(found.origin).parent / "models"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # a thread that waits burns a core
    sessions = [
        onnxruntime.InferenceSession(str(models / name), options, providers=["CPUExecutionProvider"])
        for name in (_DETECTOR, _RECOGNISER)
    ]
    characters = sessions[1].get_modelmeta().custom_metadata_map["character"].splitlines()
    return cv2, sessions[0], sessions[1], ["", *characters, " "]


def find_text(picture: Grey, clear: bool = False) -> list[Text]:
    """All text in a grey picture. Raises NoDetector.

    `clear`: the contrast is that of the place, so that text shows in the picture as it is if there is any: where it
    does not, no large structures are taken away to look for it.
    """
    cv2 = networks()[0]
    small, large = _scales(max(picture.shape))
    maps = [_map(picture, small), _map(picture, large)]
    if clear and max(float(m.max()) for m in maps) < _THRESHOLD:
        return []
    maps.append(_map(_without_large(picture, large), large))
    maps[2][maps[2] < _THRESHOLD_THIN] = 0
    candidates, slanted = _candidates(maps, _TALLEST / large if large < 1 else _TALLEST)
    found: list[Text] = []
    for where, along in ((candidates, False), (slanted, True)):
        if where.any():
            # Lines that stand close together are one candidate at the small size: each size is judged by itself too.
            masks = [((m > _THRESHOLD_LINE) & (where > 0)).astype(np.uint8) for m in (maps[1], maps[0])]
            for mask in (*masks, cv2.dilate(where, np.ones((3, 3), np.uint8))):
                _judge_parts(picture, mask, maps, found, along)
    return found


def _candidates(maps: list[NDArray[np.float32]], tallest: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Where the maps show what may be a line, and what may only be a long slanted one; in the maps the rest goes."""
    cv2 = networks()[0]
    candidates, slanted = np.zeros(maps[0].shape, np.uint8), np.zeros(maps[0].shape, np.uint8)
    for probability in maps:
        count, labels, stats, _ = cv2.connectedComponentsWithStats((probability > _THRESHOLD).astype(np.uint8))
        for index in range(1, count):
            _, _, w, h, area = stats[index]
            here = labels == index
            if area >= 24 and 3 <= min(w, h) <= tallest:
                candidates[here] = 1
            elif area >= 24 and min(w, h) > tallest and _narrow(here, tallest):
                slanted[here] = 1
            else:
                probability[here] = 0
    return candidates, slanted


def _judge_parts(
    picture: Grey, mask: NDArray[np.uint8], maps: list[NDArray[np.float32]], found: list[Text], along: bool
) -> None:
    """Adds the parts of a mask that are text to what is found; `along`: only what is read along a slanted line."""
    height, width = picture.shape
    count, labels, stats, _ = networks()[0].connectedComponentsWithStats(mask)
    for index in range(1, count):
        x, y, w, h, area = map(int, stats[index])
        if min(w, h) < 2 or area < _LEAST:  # a speck of a candidate, which is judged as a whole at last
            continue
        pad = 2 + min(w, h) // 5  # the detector's map is smaller than the letters
        box = (max(0, x - pad), max(0, y - pad), min(width, x + w + pad), min(height, y + h + pad))
        if any(covers(text.box, box) for text in found if not text.parts):
            continue
        here = [m[y : y + h, x : x + w] for m in maps]
        text = _judged_along(picture, (x, y), labels[y : y + h, x : x + w] == index, here)
        if text is None and not along:
            text = _judged(picture, box, here)
        if text is not None and not _lies_along(text, found):
            found.append(text)


def _narrow(part: NDArray[np.bool_], tallest: float) -> bool:
    """Whether a part is a long slanted line: its own short side counts, not that of its upright box."""
    sides = networks()[0].minAreaRect(np.argwhere(part).astype(np.float32))[1]
    return bool(min(sides) <= tallest and max(sides) >= 2.2 * min(sides))


def enlarged(picture: Grey, scale: int) -> Grey:
    """The picture at a number of times its size."""
    cv2 = networks()[0]
    size = picture.shape[1] * scale, picture.shape[0] * scale
    return picture if scale == 1 else np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def covers(a: Box, b: Box) -> bool:
    """Whether the first box holds most of the second."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return width > 0 and height > 0 and width * height > 0.7 * (b[2] - b[0]) * (b[3] - b[1])


def _scales(side: int) -> tuple[float, float]:
    """Two sizes at which the letters of modalities are as large as the detector likes them."""
    return min(1.0, 1024 / side), min(2.0, 2048 / side)


def _map(picture: Grey, scale: float) -> NDArray[np.float32]:
    """The detector's map of text, in the size of the picture."""
    cv2, detector, _, _ = networks()
    height, width = (max(32, -int(-side * scale // 32) * 32) for side in picture.shape)
    method = cv2.INTER_CUBIC if scale >= 1 else cv2.INTER_AREA
    scaled = cv2.resize(picture, (width, height), interpolation=method).astype(np.float32) / 127.5 - 1
    (answer,) = detector.run(None, {detector.get_inputs()[0].name: np.repeat(scaled[None, None], 3, axis=1)})
    back = cv2.resize(answer[0, 0], picture.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(back, dtype=np.float32)


def _without_large(picture: Grey, scale: float) -> Grey:
    """What is thinner than a stroke of a letter, in black or white, made bright: dim text over anatomy shows."""
    cv2 = networks()[0]
    kernel = np.ones((9, 9), np.uint8) if scale >= 1 else np.ones((15, 15), np.uint8)
    smooth = cv2.GaussianBlur(picture, (3, 3), 0)
    thin = cv2.max(
        cv2.morphologyEx(smooth, cv2.MORPH_TOPHAT, kernel), cv2.morphologyEx(smooth, cv2.MORPH_BLACKHAT, kernel)
    )
    return np.asarray(cv2.normalize(np.minimum(thin, 60), None, 0, 255, cv2.NORM_MINMAX), dtype=np.uint8)


def _judged(picture: Grey, box: Box, maps: list[NDArray[np.float32]]) -> Text | None:
    """The candidate as text, or None."""
    left, top, right, bottom = box
    reading, confidence = _read(picture[top:bottom, left:right])
    letters = sum(c.isalnum() for c in reading)
    sure = all(_is_sure(m) for m in maps[:2])
    flat = min(right - left, bottom - top) * 1.6 < max(right - left, bottom - top)
    if (letters > 1 and confidence >= _READ) or (sure and (flat or (letters == 1 and confidence >= _READ_ONE))):
        return Text((int(left), int(top), int(right), int(bottom)), reading, confidence)
    return None


def _is_sure(part: NDArray[np.float32]) -> bool:
    """Whether the detector's map shows a candidate so clearly that it needs no reading."""
    shown = part[part > _THRESHOLD]
    return shown.size > 0 and float(shown.mean()) > _SURE


def _judged_along(
    picture: Grey, corner: tuple[int, int], part: NDArray[np.bool_], maps: list[NDArray[np.float32]]
) -> Text | None:
    """A slanted candidate as text, read along its own direction; None where it is level, upright or no text."""
    cv2 = networks()[0]
    if min(part.shape) < 12:
        return None
    centre, sides, angle = cv2.minAreaRect(np.argwhere(part)[:, ::-1].astype(np.float32))
    if sides[0] < sides[1]:
        sides, angle = sides[::-1], angle + 90
    angle = (angle + 90) % 180 - 90  # of the line against the rows, read from left to right
    if not _SLANT[0] < abs(angle) < _SLANT[1] or sides[0] < 2.2 * sides[1]:
        return None
    pad = 2 + 0.2 * sides[1]
    long, short = sides[0] + 2 * pad, sides[1] + 2 * pad
    middle = (centre[0] + corner[0], centre[1] + corner[1])
    reading, confidence = _read_line(_turned(picture, middle, long, short, angle))
    whole = all(_is_sure(m[part]) for m in maps[:2])
    before, after = _reach(picture, middle, long, short, angle)
    shift, way = (after - before) / 2, (math.cos(math.radians(angle)), math.sin(math.radians(angle)))
    middle = (middle[0] + shift * way[0], middle[1] + shift * way[1])
    parts = strips(middle, long + before + after, short, angle, picture.shape)
    text = Text(_around_all(parts), reading, confidence, parts)
    return text if text.read or whole else None


def _reach(picture: Grey, middle: tuple[float, float], long: float, short: float, angle: float) -> tuple[float, float]:
    """How far the ink of a slanted line goes on beyond its ends: the map lacks letters there, like the first of a date.

    In pixels. Where ink cannot be told from the noise, half a letter.
    """
    margin = math.ceil(_GOES_ON * short)
    crop = _turned(picture, middle, long + 2 * margin, short, angle).astype(np.float32)
    line = crop[:, margin:-margin]
    away = np.abs(crop - np.median(line))
    ink, noise = np.percentile(away[:, margin:-margin], (97, 50))
    if ink < 4 * noise:
        return short / 2, short / 2
    inked = (away > ink / 2).sum(axis=0) > 1
    ends = inked[:margin][::-1], inked[-margin:]
    before, after = (_until_a_gap(end, math.ceil(0.8 * short)) for end in ends)
    return before + 0.2 * short, after + 0.2 * short


def _until_a_gap(inked: NDArray[np.bool_], gap: int) -> int:
    """How many columns there are up to the last inked one before a gap of so many."""
    last = -1
    for column in np.flatnonzero(inked).tolist():
        if column - last > gap:
            break
        last = column
    return last + 1


def _lies_along(text: Text, found: list[Text]) -> bool:
    """Whether a slanted text is one that is known: its middle lies on that line."""
    x, y = (text.box[0] + text.box[2]) / 2, (text.box[1] + text.box[3]) / 2
    parts = (part for other in found if text.parts for part in other.parts)
    return any(left <= x < right and top <= y < bottom for left, top, right, bottom in parts)


def _turned(picture: Grey, centre: tuple[float, float], long: float, short: float, angle: float) -> Grey:
    """What lies in a slanted rectangle, level."""
    cv2 = networks()[0]
    width, height = max(8, round(long)), max(8, round(short))
    turn = cv2.getRotationMatrix2D(centre, angle, 1.0)
    turn[:, 2] += (width / 2 - centre[0], height / 2 - centre[1])
    crop = cv2.warpAffine(picture, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, dtype=np.uint8)


def strips(
    centre: tuple[float, float], long: float, short: float, angle: float, shape: tuple[int, ...]
) -> tuple[Box, ...]:
    """Upright boxes along a slanted rectangle (its middle, sides and angle in degrees) that cover it."""
    count = max(1, math.ceil(long / max(4.0, short / 2)))
    along = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    half = (
        (long / count * abs(along[0]) + short * abs(along[1])) / 2,
        (long / count * abs(along[1]) + short * abs(along[0])) / 2,
    )
    boxes = []
    for index in range(count):
        way = ((index + 0.5) / count - 0.5) * long
        x, y = centre[0] + way * along[0], centre[1] + way * along[1]
        box = (
            max(0, math.floor(x - half[0])),
            max(0, math.floor(y - half[1])),
            min(shape[1], math.ceil(x + half[0])),
            min(shape[0], math.ceil(y + half[1])),
        )
        boxes += [box] if box[0] < box[2] and box[1] < box[3] else []
    return tuple(boxes)


def _around_all(boxes: tuple[Box, ...]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _read(crop: Grey) -> tuple[str, float]:
    """What a line says; standing lines are turned both ways."""
    height, width = crop.shape
    if height > 1.5 * width:
        turned = [_read_line(np.ascontiguousarray(np.rot90(crop, quarter))) for quarter in (1, 3)]
        return max(turned, key=lambda r: (len(r[0]) > 0, r[1]))
    return _read_line(crop)


def _read_line(crop: Grey) -> tuple[str, float]:
    cv2, _, recogniser, characters = networks()
    width = min(960, max(48, -int(-48 * crop.shape[1] / crop.shape[0] // 8) * 8))
    line = cv2.resize(crop, (width, 48), interpolation=cv2.INTER_CUBIC).astype(np.float32) / 127.5 - 1
    (answer,) = recogniser.run(None, {recogniser.get_inputs()[0].name: np.repeat(line[None, None], 3, axis=1)})
    best, sure = answer[0].argmax(axis=1), answer[0].max(axis=1)
    kept = [i for i in range(len(best)) if best[i] and (i == 0 or best[i] != best[i - 1])]
    reading = "".join(characters[best[i]] if best[i] < len(characters) else "?" for i in kept)
    return reading, float(np.mean(sure[kept])) if kept else 0.0
