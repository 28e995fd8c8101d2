"""Drawn files with a real picture: lines and barcodes burned in, words in compressed streams and in unused bits."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import config, uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames

from benchmarks.burned_in_forms import CODES, barcode, speckle, turned
from benchmarks.burned_in_pictures import anatomy, draw, ink
from tests.drawn.adversary.cases import file_of
from tests.drawn.adversary.objects import KINDS, with_pixels
from tests.drawn.adversary.people import Somebody, dicom_day, somebody
from tests.drawn.adversary.places import spelled_bytes
from tests.drawn.attacks import LATIN_OF

SCANNED = ("CT", "MR", "PET")  # screened for level and upright rows of letters
SHOWN = ("CR", "DX", "US", "cine", "SC")  # searched for text in any direction, and for barcodes
_ANGLES = (0, 0, 0, 10, -15, 30, 45, -45, 90, 270)
_SYNTAXES = (
    uid.ExplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEG2000Lossless,
    uid.JPEGLSLossless,
    uid.JPEGBaseline8Bit,
)


@dataclass(frozen=True)
class Picture:
    """A file with a picture: what was drawn, whom it shows, its numbers, where the ink of each line or code is."""

    what: str
    one: Somebody
    content: bytes
    pixels: NDArray[Any]  # (frames,) rows, columns (, samples), decoded
    inked: tuple[NDArray[np.bool_], ...]  # (frames,) rows, columns


def draw_picture(seed: int) -> Picture:
    """A picture of a modality with up to three lines, in one of the compressions that a clean copy keeps."""
    rng = random.Random(f"picture-{seed}")
    one, modality = somebody(rng), rng.choice((*SCANNED, *SHOWN))
    grey, notes, inked = _ground(rng, seed, modality), [modality], []
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        where = np.zeros(grey.shape, dtype=bool)
        at: Any = rng.randrange(len(grey)) if modality == "cine" else ...
        if _burn(grey[at], where[at], inked, one, rng, modality, notes, at):
            inked.append(where)
    with config.disable_value_validation():
        ds = _object(one, rng, modality, grey)
        content = file_of(ds, _compressed(ds, one, rng, notes))
        import pydicom

        pixels = pydicom.dcmread(io.BytesIO(content)).pixel_array
    return Picture("; ".join(notes), one, content, pixels, tuple(inked))


def _ground(rng: random.Random, seed: int, modality: str) -> NDArray[np.uint8]:
    if modality == "cine":
        return np.stack([speckle(5 * seed + k, (200, 320), 70, 10) for k in range(5)])
    return anatomy(rng, 320) if modality in SCANNED else speckle(seed, (280, 360), 70, 10)


def line_of(one: Somebody, rng: random.Random) -> str:
    """A line of the person as modalities burn it in; fonts have letters of the Latin script only."""
    family = LATIN_OF.get(one.who.family, one.who.family if one.who.script in ("latin", "accents") else "")
    given = LATIN_OF.get(one.who.given, one.who.given if one.who.script in ("latin", "accents") else "")
    lines = [
        *(f"ID: {one.who.number}", f"DOB {one.born:%d/%m/%Y}", f"Acc {one.accession}", one.institution),
        *(f"{one.studied:%d %b %Y}", f"Dr {one.physician.split('^')[0]}"),
    ]
    if family and given:
        lines += [f"{family}, {given}", f"{family.upper()} {given[0]}.", f"{given} {family} {dicom_day(one.born)}"]
    return rng.choice(lines)


def _burn(
    frame: NDArray[np.uint8], where: NDArray[np.bool_], taken: list[NDArray[np.bool_]], one: Somebody,
    rng: random.Random, modality: str, notes: list[str], at: Any,
) -> bool:  # fmt: skip
    """Burns a line or a code into a frame, in place, apart from what is there; whether there was room."""
    if modality == "SC" and rng.random() < 0.4:
        bars, what = barcode(rng.choice(CODES), one.accession.replace("-", "")[-8:]), "code"
        mask = np.pad(255 - bars, 12, constant_values=255)  # dark bars on light paper
    else:
        size = rng.randrange(13, 26)
        angle = rng.choice((0, 0, 90)) if modality in SCANNED else rng.choice(_ANGLES)
        text = line_of(one, rng)
        mask, what = turned(ink(text, rng, size, rotated=False), angle), f"{text!r} {angle}°"
        level = rng.choice((160, 200, 240, 255)) if modality not in SCANNED else rng.choice((235, 250))
    height, width = mask.shape
    if height + 8 > frame.shape[0] or width + 8 > frame.shape[1]:
        return False
    for _ in range(60):
        left, top = rng.randrange(4, frame.shape[1] - width - 3), rng.randrange(4, frame.shape[0] - height - 3)
        box = np.s_[max(0, top - 10) : top + height + 10, max(0, left - 10) : left + width + 10]
        if not any(each[at][box].any() for each in taken):
            break
    else:
        return False
    if what == "code":
        frame[top : top + height, left : left + width] = np.where(mask > 127, 250, 0)
        where[top + 12 : top + height - 12, left + 12 : left + width - 12] = mask[12:-12, 12:-12] < 128
    else:
        where |= draw(frame, mask, left, top, level)
    notes.append(what)
    return True


def _object(one: Somebody, rng: random.Random, modality: str, grey: NDArray[np.uint8]) -> Dataset:
    kind = {"cine": "US", "SC": "CR"}.get(modality, modality)
    ds = KINDS[kind](one, rng)
    for keyword in (
        "PixelData",
        "PlanarConfiguration",
        "NumberOfFrames",
        "FrameIncrementPointer",
        "SequenceOfUltrasoundRegions",
    ):
        if keyword in ds:
            del ds[keyword]
    if modality == "SC":
        ds.SOPClassUID, ds.ConversionType, ds.Modality = uid.SecondaryCaptureImageStorage, "WSD", "OT"
    if modality in SCANNED:
        numbers = grey.astype("<i2" if modality != "MR" else "<u2") * 8
        return with_pixels(ds, numbers - 1000 if modality == "CT" else numbers)
    if modality == "cine":
        ds.FrameTime, ds.FrameIncrementPointer = "33.3", 0x0018_1063
        return with_pixels(ds, np.repeat(grey[..., None], 3, axis=-1), "RGB", frames=len(grey))
    if modality == "US":
        ds.SOPClassUID = uid.UltrasoundImageStorage
    return with_pixels(ds, grey)


def _compressed(ds: Dataset, one: Somebody, rng: random.Random, notes: list[str]) -> str:
    """Compresses the picture, or hides letters in the bits of an uncompressed one that hold no value."""
    syntax = rng.choice(_SYNTAXES)
    if syntax == uid.JPEGBaseline8Bit and (ds.BitsAllocated != 8 or ds.SamplesPerPixel != 1):
        syntax = uid.RLELossless
    notes.append(syntax.name)
    if syntax == uid.ExplicitVRLittleEndian:
        if ds.BitsAllocated == 16 and not ds.PixelRepresentation:
            ds.BitsStored, ds.HighBit = 12, 11
            raw = np.frombuffer(ds.PixelData, "<u2").copy()
            letters = np.unpackbits(np.frombuffer(spelled_bytes(one, rng) * 40, np.uint8))[: len(raw)]
            raw[: len(letters)] |= letters.astype("<u2") << 15
            ds.PixelData = raw.tobytes()
            notes.append("letters in unused bits")
        return syntax
    if syntax == uid.JPEGBaseline8Bit:
        frames = [_jpeg(f) for f in np.frombuffer(ds.PixelData, np.uint8).reshape(-1, ds.Rows, ds.Columns)]
        ds.LossyImageCompression = "01"
    else:
        ds.compress(syntax, generate_instance_uid=False)
        frames = list(generate_frames(ds.PixelData, number_of_frames=int(ds.get("NumberOfFrames", 1) or 1)))
    ds.PixelData = encapsulate([_with_words(f, spelled_bytes(one, rng)) for f in frames])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    return syntax


def _jpeg(frame: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=92)
    return out.getvalue()


def _with_words(stream: bytes, words: bytes) -> bytes:
    """A stream with words where its grammar has room: a comment, and behind the end."""
    if stream[:2] == b"\xff\xd8":
        comment = b"\xff\xfe" + (len(words) + 2).to_bytes(2, "big") + words
        return stream[:2] + comment + stream[2:] + words
    if stream[:4] == b"\xff\x4f\xff\x51":
        start = stream.index(b"\xff\x90")
        comment = b"\xff\x64" + (len(words) + 4).to_bytes(2, "big") + b"\0\1" + words
        return stream[:start] + comment + stream[start:] + words
    return stream  # RLE has room in gaps only, which decoders complain of: tests/spec/deid/test_streams.py
