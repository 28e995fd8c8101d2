"""Pictures with invented names burned in, for measuring the search for text: what must go, what must stay."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

KINDS = ("bright", "dim", "small", "rotated", "anatomy", "border")
MARKERS = ("L", "R", "AP", "PA", "LAT", "ERECT", "SUPINE", "PORTABLE", "DECUB", "10 cm")
_FONTS = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf",
)
_FAMILY = ("QUILLFEATHER", "Brakspear", "OYELARAN", "Castellanos", "MÜLLER", "Nakagawa", "VANDERBERG", "Kowalczyk")
_GIVEN = ("OSWINA", "Tobias", "ADEBAYO", "Ximena", "ZOE", "Haruto", "ANNEKE", "Bartosz")


@dataclass(frozen=True)
class Line:
    """One line of text burned in: where its ink is (left, top, right, bottom) and what it says."""

    text: str
    box: tuple[int, int, int, int]
    ink: NDArray[np.bool_]  # of the whole picture


@dataclass(frozen=True)
class Picture:
    """A generated picture."""

    kind: str
    pixels: NDArray[np.uint8]  # rows, columns
    lines: tuple[Line, ...]


def identity_line(rng: random.Random) -> str:
    """One line as modalities burn it in."""
    family, given = rng.choice(_FAMILY), rng.choice(_GIVEN)
    return rng.choice(
        (
            f"{family}, {given}",
            f"{family} {given[0]}.",
            f"ID: {rng.randrange(10**6, 10**7)}",
            f"DOB {rng.randrange(1, 29):02d}/{rng.randrange(1, 13):02d}/19{rng.randrange(30, 99)}",
            f"MRN {rng.randrange(10**5, 10**6)} {family}",
            f"{given} {family} {rng.randrange(20, 90)}Y",
            f"Acc {rng.randrange(10**6, 10**7)}",
            f"Dr {family}",
        )
    )


def anatomy(rng: random.Random, size: int = 512) -> NDArray[np.uint8]:
    """A picture without text: an outline of a body, soft organs, noise."""
    noise = np.random.default_rng(rng.randrange(2**32))
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    picture = np.full((size, size), 6.0, dtype=np.float32)
    body = (x / 0.42) ** 2 + (y / 0.36) ** 2 < 1
    picture[body] = 70
    for _ in range(rng.randrange(6, 12)):
        cx, cy = rng.uniform(-0.28, 0.28), rng.uniform(-0.22, 0.22)
        organ = ((x - cx) / rng.uniform(0.03, 0.16)) ** 2 + ((y - cy) / rng.uniform(0.03, 0.16)) ** 2 < 1
        picture[organ & body] = rng.choice((20, 45, 95, 120, 190))
    smooth = Image.fromarray(picture.astype(np.uint8)).resize((size // 2, size // 2)).resize((size, size))
    return np.clip(np.asarray(smooth, dtype=np.float32) + noise.normal(0, 4, (size, size)), 0, 255).astype(np.uint8)


def _font(rng: random.Random, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    present = [f for f in _FONTS if Path(f).exists()]
    return ImageFont.truetype(rng.choice(present), size) if present else ImageFont.load_default(size)


def ink(text: str, rng: random.Random, height: int, rotated: bool) -> NDArray[np.uint8]:
    """How much of each pixel a line of text covers, 0 to 255."""
    font = _font(rng, height)
    left, top, right, bottom = font.getbbox(text)
    image = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), text, fill=255, font=font)
    return np.asarray(image.rotate(90, expand=True) if rotated else image)


def draw(pixels: NDArray[np.uint8], mask: NDArray[np.uint8], left: int, top: int, level: int) -> NDArray[np.bool_]:
    """Blends a text's ink into the picture, in place; where its ink is."""
    height, width = mask.shape
    part = pixels[top : top + height, left : left + width].astype(np.float32)
    alpha = mask[: part.shape[0], : part.shape[1]].astype(np.float32) / 255
    pixels[top : top + height, left : left + width] = (part * (1 - alpha) + level * alpha).astype(np.uint8)
    inked = np.zeros(pixels.shape, dtype=bool)
    inked[top : top + height, left : left + width] = mask[: part.shape[0], : part.shape[1]] > 127
    return inked


def burned_in(seed: int = 1, each: int = 6, lines: int = 3) -> Iterator[Picture]:
    """36 pictures of 512 x 512 with three lines each: 108 lines."""
    for number, kind in enumerate(k for k in KINDS for _ in range(each)):
        rng = random.Random(f"{seed}-{number}")
        pixels = anatomy(rng)
        taken: list[tuple[int, int, int, int]] = []
        drawn = [_place(pixels, kind, rng, taken) for _ in range(lines)]
        yield Picture(kind, pixels, tuple(drawn))


def _place(pixels: NDArray[np.uint8], kind: str, rng: random.Random, taken: list[tuple[int, int, int, int]]) -> Line:
    size = pixels.shape[0]
    text = identity_line(rng)
    mask = ink(text, rng, 11 if kind == "small" else rng.randrange(15, 24), kind == "rotated")
    height, width = mask.shape
    for _ in range(500):
        if kind == "border":
            left, top = rng.choice((1, size - width - 1)), rng.randrange(1, size - height - 1)
        elif kind == "anatomy":
            left, top = rng.randrange(100, max(101, 400 - width)), rng.randrange(120, 380)
        else:
            left, top = rng.randrange(4, size - width - 4), rng.choice((rng.randrange(4, 60), rng.randrange(440, 490)))
            top = min(top, size - height - 4)
            if kind == "rotated":
                left, top = (
                    rng.choice((rng.randrange(4, 40), rng.randrange(460, 488))),
                    rng.randrange(4, size - height - 4),
                )
                left = min(left, size - width - 2)
        box = (left, top, left + width, top + height)
        if not any(box[0] < b[2] + 6 and b[0] < box[2] + 6 and box[1] < b[3] + 6 and b[1] < box[3] + 6 for b in taken):
            break
    taken.append(box)
    level = {"dim": rng.randrange(20, 44), "anatomy": rng.choice((235, 250))}.get(kind, rng.randrange(200, 256))
    return Line(text, box, draw(pixels, mask, left, top, level))


def clean(seed: int = 2, count: int = 20) -> Iterator[Picture]:
    """Pictures without text."""
    for number in range(count):
        yield Picture("clean", anatomy(random.Random(f"{seed}-{number}")), ())


def marked(seed: int = 3, count: int = 100) -> Iterator[Picture]:
    """Pictures with two isolated side or projection markers each: 200 markers."""
    for number in range(count):
        rng = random.Random(f"{seed}-{number}")
        pixels = anatomy(rng)
        drawn = []
        for corner in rng.sample(range(4), 2):
            text = MARKERS[rng.randrange(len(MARKERS))]
            mask = ink(text, rng, rng.randrange(22, 40), False)
            left = 14 if corner % 2 == 0 else pixels.shape[1] - mask.shape[1] - 14
            top = 14 if corner < 2 else pixels.shape[0] - mask.shape[0] - 14
            inked = draw(pixels, mask, left, top, rng.randrange(190, 256))
            drawn.append(Line(text, (left, top, left + mask.shape[1], top + mask.shape[0]), inked))
        yield Picture("marked", pixels, tuple(drawn))


def block(seed: int = 4, count: int = 6) -> Picture:
    """A picture with a block of small lines, one close under the other."""
    rng = random.Random(seed)
    pixels = anatomy(rng)
    drawn, top = [], 6
    for _ in range(count):
        text = identity_line(rng)
        mask = ink(text, rng, 13, False)
        inked = draw(pixels, mask, 6, top, 230)
        drawn.append(Line(text, (6, top, 6 + mask.shape[1], top + mask.shape[0]), inked))
        top += mask.shape[0] + 3
    return Picture("block", pixels, tuple(drawn))
