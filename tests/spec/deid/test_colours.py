"""Chapter: a colour profile keeps its colours and loses everything else."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from pydicom.dataset import Dataset

from readfirst.domain.deid.pixels import icc
from readfirst.domain.pseudonyms import Pseudonyms
from tests.spec.deid.conftest import Clean, Cleaner, attempt, file_of

PROFILES = ("triage-default", "research-sharing", "strict")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PICTURE = Image.fromarray(np.random.default_rng(4).integers(0, 256, (32, 32, 3), dtype=np.uint8))


def opened(data: bytes) -> Any:
    return ImageCms.ImageCmsProfile(io.BytesIO(data))


def in_srgb(data: bytes) -> np.ndarray:
    """The picture as a viewer shows it that follows a profile."""
    transform = ImageCms.buildTransform(opened(data), ImageCms.createProfile("sRGB"), "RGB", "RGB")
    return np.asarray(ImageCms.applyTransform(PICTURE, transform)).astype(int)  # type: ignore[arg-type]


def of_a_scanner(secret: bytes) -> bytes:
    """A wide-gamut matrix profile of version 2 that names somebody in every place that it can."""
    curve = b"curv\0\0\0\0" + struct.pack(">LHxx", 1, round(1.8 * 256))
    rows = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">L", len(secret) + 1) + secret + bytes(79),
        b"cprt": b"text\0\0\0\0" + secret + b"\0",
        b"dmnd": b"desc\0\0\0\0" + struct.pack(">L", len(secret) + 1) + secret + bytes(79),
        b"ZZZZ": b"data\0\0\0\0" + secret,
        b"wtpt": b"XYZ " + secret[:4] + struct.pack(">3l", 0xF6D6, 0x10000, 0xD32D),
        b"rXYZ": b"XYZ \0\0\0\0" + struct.pack(">3l", 0xCC33, 0x49BA, 0),
        b"gXYZ": b"XYZ \0\0\0\0" + struct.pack(">3l", 0x229B, 0xB63F, 0),
        b"bXYZ": b"XYZ \0\0\0\0" + struct.pack(">3l", 0x0809, 0x0007, 0xD32D),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, body = b"", b""
    for tag, value in rows.items():
        table += struct.pack(">4sLL", tag, 132 + 12 * len(rows) + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    body += secret + bytes(-len(secret) % 4)
    size = 132 + len(table) + len(body)
    head = struct.pack(">L4s", size, secret[:4]) + b"\2\x20\0\0scnrRGB XYZ " + struct.pack(">6H", 2023, 5, 6, 7, 8, 9)
    head += b"acsp" + secret[:4] + bytes(4) + secret[:8] + bytes(8) + bytes(4)
    head += struct.pack(">3l", 0xF6D6, 0x10000, 0xD32D) + secret[:4]
    return head.ljust(128, b"\0") + struct.pack(">L", len(rows)) + table + body


def slide(ct: Dataset, profile: bytes) -> Dataset:
    """A picture of a slide with the profile in its optical path."""
    ct.SOPClassUID, ct.Modality = "1.2.840.10008.5.1.4.1.1.77.1.6", "SM"
    ct.SamplesPerPixel, ct.PhotometricInterpretation, ct.PlanarConfiguration = 3, "RGB", 0
    ct.BitsAllocated = ct.BitsStored = 8
    ct.HighBit, ct.NumberOfFrames, ct.PixelData = 7, "1", bytes(8 * 8 * 3)
    path = Dataset()
    path.OpticalPathIdentifier, path.ICCProfile = "1", profile + bytes(len(profile) % 2)
    ct.OpticalPathSequence = [path]
    return ct


def kept(done: object) -> bytes:
    assert isinstance(done, Clean), done
    return bytes(done.ds.OpticalPathSequence[0].ICCProfile)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("original", [SRGB, of_a_scanner(b"Quillfeather 48213")])
def test_the_colours_of_a_slide_stay_and_nobody_shows(
    ct: Dataset, names: Pseudonyms, profile: str, original: bytes
) -> None:
    left = kept(attempt(file_of(slide(ct, original)), names, profile=profile))
    assert np.abs(in_srgb(left) - in_srgb(original)).max() <= 1
    assert b"Quil" not in left
    assert struct.pack(">6H", 2023, 5, 6, 7, 8, 9) not in left, "the day of a calibration is the device's"


def test_a_profile_that_many_share_keeps_its_name() -> None:
    clean = icc.cleaned(SRGB)
    assert clean is not None
    assert opened(clean).profile.profile_description == "sRGB built-in"


def test_cleaning_a_clean_profile_changes_nothing() -> None:
    clean = icc.cleaned(of_a_scanner(b"Quillfeather 48213"))
    assert clean is not None
    assert icc.cleaned(clean) == clean


@pytest.mark.parametrize(
    "broken",
    [b"\0\0", SRGB[:200], SRGB[:36] + b"xxxx" + SRGB[40:], SRGB.replace(b"para", b"text"), b"Quillfeather" * 40],
    ids=["two bytes", "cut off", "another mark", "another curve", "a name"],  # the profile holds the time of its making
)
def test_what_is_no_profile_gives_way_to_srgb_where_one_must_be(ct: Dataset, names: Pseudonyms, broken: bytes) -> None:
    left = kept(attempt(file_of(slide(ct, broken)), names))
    assert left == icc.standard()
    assert np.abs(in_srgb(left) - np.asarray(PICTURE)).max() <= 1


def test_what_is_no_profile_goes_where_none_must_be(ct: Dataset, clean: Cleaner) -> None:
    ct.ICCProfile = b"Quillfeather, no profile"
    assert "ICCProfile" not in clean(ct).ds


def test_every_cut_and_every_flipped_byte_of_a_profile_is_judged_without_a_fault() -> None:
    original = of_a_scanner(b"Quillfeather 48213")
    for at in range(0, len(original), 3):
        assert isinstance(icc.cleaned(original[:at]), bytes | None)
        flipped = original[:at] + bytes([original[at] ^ 0xFF]) + original[at + 1 :]
        assert b"Quil" not in (icc.cleaned(flipped) or b"")
