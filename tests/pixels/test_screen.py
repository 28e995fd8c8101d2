"""The screen's quick arithmetic says what its definition says, and what was made for one look serves the next."""

from __future__ import annotations

import io
import random
from itertools import pairwise, product

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import RLELossless

from benchmarks.burned_in_pictures import anatomy, draw, ink
from benchmarks.planted_identifiers import base, person
from readfirst.domain.deid import Deidentified, KnownIdentifiers, deidentify, load_profile
from readfirst.domain.deid.pixels import decode
from readfirst.domain.deid.pixels.screen import places
from readfirst.domain.deid.pixels.text import Box
from readfirst.domain.pseudonyms import Pseudonyms

Part = tuple[int, int, int, int, int]  # left, top, width, height, highest level


def _picture(seed: int, level: int, upright: bool = False, size: int = 176) -> NDArray[np.uint8]:
    """A small body with a line of text on it."""
    rng = random.Random(f"screen-{seed}")
    pixels = anatomy(rng, size)
    draw(pixels, ink("LEHNER 7-19", rng, 14, upright), 20, 24, level)
    return pixels


def _pictures() -> dict[str, NDArray[np.generic]]:
    noise = np.random.default_rng(5)
    bright, dark, upright = _picture(1, 240), _picture(2, 0), _picture(3, 210, upright=True)
    word = np.full((96, 150), 40, np.uint8)
    cv2.putText(word, "WILMA", (20, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 200, 5)
    tissue = np.clip(noise.normal(100, 2, (110, 130)), 0, 140).astype(np.uint8)
    tissue[:20, :20] = 240
    draw(tissue, ink("14.03.1961", random.Random(1), 15, False), 10, 60, 118)
    return {
        "bright": bright,
        "in Hounsfield units": bright.astype(np.int16) * 8 - 1000,
        "dark, turned bytes": (dark.astype(np.uint16) * 9).astype(">u2"),
        "upright": upright,
        "faint": tissue.astype(np.int16),
        "32 bits": upright.astype(np.int32) * 70_001,
        "a word whose letters touch": word,
        "noise": noise.integers(0, 4096, (80, 90), dtype=np.uint16),
        "nothing": np.full((40, 33), 7, np.int16),
    }


@pytest.mark.parametrize("what", _pictures())
def test_the_screen_finds_what_its_definition_finds(what: str) -> None:
    """Pixel by pixel and pair by pair, as slowly as it is written down."""
    frame = _pictures()[what]
    found = places(frame)
    assert sorted(found) == sorted(_defined(frame))
    assert bool(found) == (what not in ("noise", "nothing")), "the picture shows neither more nor less than it should"


def test_the_memory_of_one_frame_leaves_nothing_in_the_next() -> None:
    frames = list(_pictures().values())
    alone = [places(frame) for frame in frames]
    in_turn = [places(frame) for _ in range(2) for frame in reversed(frames)]
    assert in_turn == alone[::-1] * 2


def test_a_compressed_slice_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What measured the head serves the screen."""
    decoded = []
    plain = decode.decode
    monkeypatch.setattr(decode, "decode", lambda *given: decoded.append(1) or plain(*given))
    ds = base(person(4))
    ds.Rows = ds.Columns = 176
    ds.PixelData = (_picture(4, 70).astype(np.uint16) * 8).tobytes()
    ds.compress(RLELossless)
    source = io.BytesIO()
    ds.save_as(source, enforce_file_format=True)
    names, known = Pseudonyms(b"a root secret for the tests, 32 bytes", "clinic"), KnownIdentifiers()
    profile = load_profile("triage-default")
    done = deidentify(source, io.BytesIO(), names=names, handle="TEST0000", profile=profile, known=known)
    assert isinstance(done, Deidentified) and done.receipt.pixels.outcome == "screened"
    assert len(decoded) == 1


def _defined(stored: NDArray[np.generic]) -> list[Box]:
    frame = stored.astype(np.int64)
    low, high = np.percentile(frame[::2, ::2], (0.2, 99.9))
    span = max(float(high - low), 1.0)
    grey = np.clip((frame.astype(np.float32) - low) * (255 / span), 0, 255).astype(np.uint8)
    found: list[Box] = []
    for operation, sign in ((cv2.MORPH_TOPHAT, 1), (cv2.MORPH_BLACKHAT, -1)):
        thin = cv2.morphologyEx(grey, operation, np.ones((9, 9), np.uint8))
        some, noise = thin[::2, ::2], _noise(thin.astype(np.float32))
        clear = min(60, max(14, int(some.mean() + 3 * some.std())))
        bright = cv2.dilate((thin >= clear + noise).astype(np.uint8), np.ones((9, 9), np.uint8))
        for mask, row in ((thin >= clear, 3), ((thin >= noise) & (bright == 0), 4)):
            found += [*_spikes(mask, frame * sign, row), *_alike(mask, frame * sign, span, row)]
    height, width = frame.shape
    return [(max(0, a), max(0, b), min(width, c), min(height, d)) for a, b, c, d in found]


def _noise(thin: NDArray[np.float32]) -> NDArray[np.float32]:
    blocks = max(1, thin.shape[1] // 16), max(1, thin.shape[0] // 16)
    mean, square = (cv2.resize(t, blocks, interpolation=cv2.INTER_AREA) for t in (thin, thin * thin))
    over = mean + 3 * np.sqrt(np.maximum(square - mean * mean, 0))
    middle = cv2.medianBlur(np.clip(2 * over, 0, 255).astype(np.uint8), 7).astype(np.float32) / 2
    return np.maximum(np.float32(4), cv2.resize(middle, thin.shape[::-1], interpolation=cv2.INTER_LINEAR))


def _parts(
    mask: NDArray[np.bool_], levels: NDArray[np.int64]
) -> list[tuple[Box, NDArray[np.bool_], NDArray[np.int64]]]:
    """Left, top, width and height of each connected part; its pixels within them; the levels there."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    parts = []
    for label, (x, y, width, height, _) in enumerate(stats.tolist()):
        here = slice(y, y + height), slice(x, x + width)
        parts.append(((x, y, width, height), labels[here] == label, levels[here]))
    return parts[1:]


def _spikes(mask: NDArray[np.bool_], levels: NDArray[np.int64], row: int) -> list[Box]:
    """Rows of thin pixels of one of the two most common values."""
    values, counts = np.unique(levels[mask], return_counts=True)
    found: list[Box] = []
    for index in np.argsort(-counts)[:2]:
        around = np.median(counts[max(0, index - 8) : index + 9])
        if counts[index] < 48 or (len(counts) > 64 and counts[index] < 2 * around):
            continue
        parts = _parts(mask & (levels == values[index]), levels)
        letters = [(*box, 0) for box, part, _ in parts if part.sum() >= 3 and 4 <= max(box[2:]) <= 56]
        found += _rows(letters, ((1.0, row),))
    return found


def _alike(mask: NDArray[np.bool_], levels: NDArray[np.int64], span: float, row: int) -> list[Box]:
    """Rows of parts of nearly one level, and words whose letters touch."""
    letters: list[Part] = []
    words: list[Box] = []
    for box, part, inside in _parts(mask, levels):
        left, top, width, height = box
        long, short = max(width, height), min(width, height)
        if part.sum() >= 6 and 5 <= long <= 56:
            letters.append((*box, int(inside[part].max())))
        flat = 20 < long <= 420 and 6 <= short <= 34 and long >= 2.2 * short
        if flat and 0.3 <= part.sum() / (width * height) <= 0.85 and _is_crossed(part, inside):
            words.append((left - 24, top - 24, left + width + 24, top + height + 24))
    return _rows(letters, ((0.002 * span, row), (0.01 * span, row + 1))) + words


def _is_crossed(part: NDArray[np.bool_], levels: NDArray[np.int64]) -> bool:
    """Whether half of the lines along a part cross as many strokes as a word has."""
    height, width = part.shape
    own = levels[part]
    core = part & (levels >= own.max() - 0.2 * (own.max() - own.min()))
    lines = core if width >= height else core.T
    needed = max(4, max(width, height) / min(width, height))
    strokes = [sum(bool(b and not a) for a, b in pairwise([False, *line])) for line in lines]
    return sum(count >= needed for count in strokes) >= 0.5 * len(strokes)


def _rows(letters: list[Part], asked: tuple[tuple[float, int], ...]) -> list[Box]:
    turned = [(top, left, height, width, level) for left, top, width, height, level in letters]
    level = [(x - 12 * h, y - 24, x + 6 * h + 24, y + h + 24) for x, y, h in _ends(letters, asked)]
    return level + [(x - 24, y - 12 * h, x + h + 24, y + 6 * h + 24) for y, x, h in _ends(turned, asked)]


def _ends(letters: list[Part], asked: tuple[tuple[float, int], ...]) -> list[tuple[int, int, int]]:
    tall = [part for part in letters if part[3] >= 4 and part[2] <= 2.5 * part[3]]
    ends = set()
    for tolerance, count in asked:
        pairs = [(a, b) for a, b in product(tall, tall) if a is not b and _follows(a, b, tolerance)]
        last = {b for _, b in pairs}
        for _ in range(count - 2):
            last = {b for a, b in pairs if a in last}
        ends |= last
    return [(left, top, height) for left, top, _, height, _ in ends]


def _follows(one: Part, other: Part, tolerance: float) -> bool:
    taller = max(one[3], other[3])
    gap = other[0] - one[0] - one[2]
    return (
        abs(one[4] - other[4]) <= tolerance
        and abs(one[3] - other[3]) <= max(2, 0.35 * taller)
        and abs(one[1] + one[3] - other[1] - other[3]) <= max(2, 0.25 * taller)
        and -1 <= gap <= 1.5 * taller
    )
