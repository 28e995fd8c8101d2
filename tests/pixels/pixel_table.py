"""The pixel table: what every way out of the system gives of every kind of picture.

A case is drawn, encoded, sent through de-identification, the job's reader and every DICOMweb answer, and what comes
out is compared with what was drawn (lossless) or with what another decoder makes of the same stream (lossy).
`python -m tools.pixels_page` writes the result into docs/reference/pixels.md.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_color_lut, convert_color_space, pixel_array

from model_container.images import pixels as job
from model_container.images import volume
from readfirst.domain.decoding import NATIVE
from readfirst.domain.deid import Deidentified, deidentify, known_identifiers, load_profile, read_header
from readfirst.domain.dicomweb import recoding, rendering
from readfirst.domain.dicomweb.content_negotiation import Offer, file_as, frames_as
from readfirst.domain.pseudonyms import Pseudonyms
from tests.pixels.pixel_streams import FRAMES, LOSSY, ROWS, Case, drawn, expected, halved, read_elsewhere, stored_file
from tests.spec.images import UID_OF_INSTANCE

EXACT, EQUAL, NONE = "exact", "equal", "–"
WAYS = ("clean copy", "job", "frames", "frames as stored", "file", "rendered")
OCTETS, STORED = Offer("application/octet-stream", True, None), Offer("*/*", None, "*")
FILE, FILE_AS_STORED = Offer("application/dicom", True, None), Offer("application/dicom", True, "*")


def right(case: Case) -> dict[str, str]:
    """What `outcome` should be."""
    word = EQUAL if case.syntax in LOSSY else EXACT
    return {**dict.fromkeys(WAYS, word), **({} if case.grey else {"job": NONE})}


def outcome(case: Case) -> dict[str, str]:
    """What each way out of the system gives: EXACT, EQUAL to another decoder's reading, NONE, or what is wrong."""
    values = drawn(case)
    content, streams = stored_file(case, values)
    truth = expected(case, values, streams)
    ways: dict[str, Callable[[], str]] = {
        "clean copy": lambda: _clean_copy(case, content, streams, truth),
        "job": lambda: _job(case, content, truth),
        "frames": lambda: _frames(case, content, truth),
        "frames as stored": lambda: _frames_as_stored(case, content, streams, truth),
        "file": lambda: _file(case, content, truth),
        "rendered": lambda: _rendered(case, content, truth),
    }
    found = {}
    for name, way in ways.items():
        said = way()
        found[name] = (EQUAL if case.syntax in LOSSY else EXACT) if said == "" else said
    return found


_NAMES = Pseudonyms(bytes(range(32)), "table")


def _differs(got: np.ndarray, right: np.ndarray) -> str:
    """Empty if all values are the same, else by how much they differ."""
    if got.shape != right.shape:
        return f"shape {got.shape}"
    apart = int(np.abs(got.astype(np.int64) - right.astype(np.int64)).max())
    return f"off by {apart}" if apart else ""


def as_rgb(right: np.ndarray, case: Case) -> np.ndarray:
    """Colours as a screen shows them. Decoders of JPEG 2000 have undone its own transformations."""
    if case.photometric.startswith("YBR_FULL"):
        return np.stack([convert_color_space(frame, "YBR_FULL", "RGB") for frame in right])
    return right


def _by_header(content: bytes) -> np.ndarray:
    """The values of a file without compression, by its header alone."""
    ds = recoding.opened(content)
    values = pixel_array(ds, raw=True)
    return values.reshape(FRAMES, ROWS, -1, *([3] if ds.SamplesPerPixel == 3 else []))


def _clean_copy(case: Case, content: bytes, streams: list[bytes], right: np.ndarray) -> str:
    """De-identified: either the streams that were sent, or values without compression."""
    header, out = read_header(io.BytesIO(content)), io.BytesIO()
    if not isinstance(header, Dataset):
        return str(header)
    profile = load_profile("triage-default")
    done = deidentify(io.BytesIO(content), out, names=_NAMES, handle="TABLE", profile=profile,
                      known=known_identifiers(header))  # fmt: skip
    if not isinstance(done, Deidentified):
        return f"{done.reason} {done.detail}"
    clean = recoding.opened(out.getvalue())
    if clean.file_meta.TransferSyntaxUID not in NATIVE:
        kept = list(generate_frames(clean.PixelData, number_of_frames=FRAMES))
        if [one.rstrip(b"\0") for one in kept] == [one.rstrip(b"\0") for one in streams]:
            return ""
        return _differs(np.stack([read_elsewhere(one, case) for one in kept]), right)
    if case.photometric == "YBR_FULL_422" and case.syntax in NATIVE:
        return "" if clean.PixelData.startswith(b"".join(halved(one).tobytes() for one in right)) else "other bytes"
    restored = clean.PhotometricInterpretation == "RGB" != case.photometric
    return _differs(_by_header(out.getvalue()), as_rgb(right, case) if restored else right)


def _job(case: Case, content: bytes, right: np.ndarray) -> str:
    """The job takes grey pictures: slices, and radiographs of either polarity."""
    ds = recoding.opened(content)
    try:
        form = job.Format.of(ds, ("MONOCHROME1", "MONOCHROME2"))
    except job.UnreadablePixels:
        return "refused" if case.grey else NONE
    native = form.syntax in NATIVE
    found = [job.native(ds, form, k) if native else job.decode(job.packed(ds, form, k)) for k in range(FRAMES)]
    return _differs(np.stack([volume.meant(one, form) for one in found]), right)


def _frames(case: Case, content: bytes, right: np.ndarray) -> str:
    """Plain bytes, laid out as the header says."""
    frames, kind = frames_as(content, [2, 1], OCTETS)
    wanted = [halved(one) if case.photometric == "YBR_FULL_422" else one for one in right]
    if kind != "application/octet-stream":
        return kind
    got = [np.frombuffer(one, wanted[0].dtype) for one in frames]
    return _differs(np.stack(got), np.stack([wanted[1].ravel(), wanted[0].ravel()]))


def _frames_as_stored(case: Case, content: bytes, streams: list[bytes], right: np.ndarray) -> str:
    frames, kind = frames_as(content, [1, 2], STORED)
    if not streams:
        return "" if frames == frames_as(content, [1, 2], OCTETS)[0] else "other bytes"
    same = [one.rstrip(b"\0") for one in frames] == [one.rstrip(b"\0") for one in streams]
    return "" if same and kind.endswith(f"transfer-syntax={case.syntax}") else f"other bytes, {kind}"


def _file(case: Case, content: bytes, right: np.ndarray) -> str:
    """Explicit VR Little Endian; and as stored, byte by byte."""
    if file_as(content, FILE_AS_STORED) != content:
        return "changed as stored"
    plain = file_as(content, FILE)
    got = recoding.opened(plain)
    if (got.SOPInstanceUID, got.BitsStored, got.PixelRepresentation) != (UID_OF_INSTANCE, case.depth, case.signed):
        return "another header"
    if got.PhotometricInterpretation == "YBR_FULL_422":
        return "" if got.PixelData.startswith(b"".join(halved(one).tobytes() for one in right)) else "other bytes"
    restored = got.PhotometricInterpretation == "RGB" != case.photometric
    return _differs(_by_header(plain), as_rgb(right, case) if restored else right)


def _rendered(case: Case, content: bytes, right: np.ndarray) -> str:
    """As PNG: eight bits as they are, more of them by a window of 256 values, each of which is a grey of its own."""
    ds = recoding.opened(content)
    plain = case.depth == 8 and not case.signed
    window = None if plain else (128, 256)
    png = rendering.encoded(rendering.grey_or_colour(ds, 1, window), kind="PNG")
    got = np.asarray(Image.open(io.BytesIO(png)))
    if case.colour:
        return _differs(got, as_rgb(right, case)[1])
    if case.photometric == "PALETTE COLOR":
        return _differs(got, apply_color_lut(np.clip(right[1], 0, 255), ds) >> 8)
    grey = np.clip(right[1].astype(int), 0, 255)
    return _differs(got, 255 - grey if case.photometric == "MONOCHROME1" else grey)
