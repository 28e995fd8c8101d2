"""Identifiers burned in as other than level, bright lines: by angle, contrast, size, modality, barcode and frame."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.burned_in_pictures import draw, identity_line, ink

ANGLES = (0, 5, 10, 15, 20, 30, 40, 45, -10, -15, -30, -45, 90, 180, 270)
CONTRASTS = (25, 40, 60, 90, 140)
SIZES = (8, 10, 12, 16, 24, 36)
FAINT = (8, 10, 14, 20, 30)
NOISES = (0, 2, 4)
MODALITIES = ("US", "US in colour", "DX, MONOCHROME1", "CT", "MR", "CR, 16 bits", "SC")
CODES = ("Code39", "Code128", "ITF", "QRCode", "DataMatrix", "PDF417", "Aztec")
TURNS = (0, 30, 45, 90, -20)
GREYS = (130, 150, 170, 210)


@dataclass(frozen=True)
class Form:
    """A picture with something burned in: an axis, the value on it, numbers as they are stored, and where the ink is.

    `pixels` and `inked` are (rows, columns) or (frames, rows, columns); colour has three samples more in `pixels`.
    """

    axis: str
    value: str
    modality: str
    pixels: NDArray[Any]
    inked: NDArray[np.bool_]
    photometric: str = "MONOCHROME2"


def speckle(seed: int, shape: tuple[int, ...] = (300, 360), level: float = 60, spread: float = 12) -> NDArray[np.uint8]:
    """Even tissue with noise."""
    noise = np.random.default_rng(seed).normal(level, spread, shape)
    return np.asarray(noise.clip(0, 255), dtype=np.uint8)


def turned(mask: NDArray[np.uint8], angle: float) -> NDArray[np.uint8]:
    """The ink of a line at an angle in degrees, against the clock."""
    return np.asarray(Image.fromarray(mask).rotate(angle, expand=True, resample=Image.Resampling.BICUBIC))


def line(seed: int, height: int, angle: float = 0) -> NDArray[np.uint8]:
    """The ink of an identity line."""
    rng = random.Random(seed)
    return turned(ink(identity_line(rng), rng, height, rotated=False), angle)


def put(pixels: NDArray[np.uint8], mask: NDArray[np.uint8], seed: int, level: int) -> NDArray[np.bool_]:
    """Draws a mask somewhere in the picture, in place; where its ink is."""
    rng = random.Random(seed)
    left = rng.randrange(6, max(7, pixels.shape[1] - mask.shape[1] - 6))
    top = rng.randrange(6, max(7, pixels.shape[0] - mask.shape[0] - 6))
    return draw(pixels, mask, left, top, level)


def barcode(kind: str, text: str, scale: int = 2) -> NDArray[np.uint8]:
    """A barcode as ink: bars are 255."""
    import zxingcpp

    linear = kind in ("Code39", "Code128", "ITF")
    made = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, kind))
    image = np.asarray(made.to_image(scale=scale if linear or kind == "PDF417" else 2 * scale))
    return 255 - (np.repeat(image, 60, axis=0) if image.shape[0] < 4 else image)


def by_angle(each: int = 2) -> Iterator[Form]:
    """Lines of 18 pixels, well visible, at angles."""
    for number, angle in enumerate(a for a in ANGLES for _ in range(each)):
        pixels = speckle(number)
        yield Form("angle", f"{angle}°", "US", pixels, put(pixels, line(number, 18, angle), number, 210))


def by_contrast(each: int = 3) -> Iterator[Form]:
    """Level lines that are little brighter than a speckle of 12 grey levels."""
    for number, above in enumerate(c for c in CONTRASTS for _ in range(each)):
        pixels = speckle(100 + number)
        inked = put(pixels, line(100 + number, 18), number, 60 + above)
        yield Form("contrast in speckle", f"{above} levels", "US", pixels, inked)


def by_size(each: int = 3) -> Iterator[Form]:
    """Level lines of heights in pixels of their font."""
    for number, size in enumerate(s for s in SIZES for _ in range(each)):
        pixels = speckle(200 + number, (300, 520))
        yield Form("size", f"{size} px", "US", pixels, put(pixels, line(200 + number, size), number, 190))


def by_modality(each: int = 2) -> Iterator[Form]:
    """Lines in the numbers that modalities store."""
    for number, name in enumerate(m for m in MODALITIES for _ in range(each)):
        grey = speckle(300 + number, spread=6)
        inked = put(grey, line(300 + number, 16), number, 200)
        modality, photometric = name.split()[0].strip(","), "MONOCHROME2"
        pixels: NDArray[Any] = grey
        if name == "US in colour":
            pixels, photometric = np.stack([grey, grey // 2 + 60, np.full_like(grey, 70)], axis=-1), "RGB"
        elif name.startswith("DX"):
            pixels, photometric = (4095 - grey.astype(np.uint16) * 16), "MONOCHROME1"
        elif modality == "CT":
            pixels = grey.astype(np.int16) * 8 - 1000
        elif modality in ("MR", "CR"):
            pixels = grey.astype(np.uint16) * (5 if modality == "MR" else 250)
        yield Form("modality", name, modality, pixels, inked, photometric)


def by_barcode() -> Iterator[Form]:
    """Codes of a patient's number, dark on light."""
    for number, (kind, angle) in enumerate((k, a) for k in CODES for a in TURNS):
        pixels = speckle(400 + number, (420, 560), 215, 5)
        mask = np.asarray(Image.fromarray(barcode(kind, str(55209310 + number))).rotate(angle, expand=True))
        yield Form("barcode", f"{kind}", "SC", pixels, put(pixels, mask, number, 20))


def by_frame(frames: int = 12) -> Iterator[Form]:
    """A line in one inner frame of a cine, neither the brightest nor the darkest thing of its place."""
    for number, level in enumerate(GREYS):
        pixels = speckle(500 + number, (frames, 160, 320), 90, 20)
        inked = np.zeros(pixels.shape, dtype=bool)
        at = 1 + (5 * number + 3) % (frames - 2)
        inked[at] = put(pixels[at], line(500 + number, 18), number, level)
        yield Form("grey line in one inner frame", f"{level - 90} above 90 +- 20", "US", pixels, inked)


def by_faintness(lines: int = 3) -> Iterator[Form]:
    """Blocks of small lines on the tissue of a CT slice, by their contrast and the noise there."""
    for number, (above, spread) in enumerate((f, n) for f in FAINT for n in NOISES):
        pixels = speckle(600 + number, (512, 512), 150, spread)
        pixels[:60], pixels[60:70] = 5, 250
        inked = np.zeros(pixels.shape, dtype=bool)
        rng = random.Random(600 + number)
        left, top = rng.randrange(20, 300), rng.randrange(90, 420)
        for _ in range(lines):
            mask = ink(identity_line(rng), rng, 10, rotated=False)
            inked |= draw(pixels, mask, left, top, 150 + above)
            top += 13
        stored = pixels.astype(np.int16) * 8 - 1000
        yield Form("faint block on CT", f"{above} levels, noise {spread}", "CT", stored, inked)


def forms() -> Iterator[Form]:
    """All of them."""
    for axis in (by_angle, by_contrast, by_size, by_modality, by_barcode, by_frame, by_faintness):
        yield from axis()
