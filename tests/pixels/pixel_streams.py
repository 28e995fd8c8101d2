"""Pictures of every kind in every transfer syntax that is taken: drawn, encoded, and read by decoders of others."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import imagecodecs
import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels import get_encoder

from readfirst.domain import uid_registry
from readfirst.domain.decoding import NATIVE, RLE
from tests.spec.images import file_in, instance

ROWS, FRAMES = 33, 2
_JPEG = "1.2.840.10008.1.2.4."
BASELINE, EXTENDED, LOSSLESS_14, SV1, LS, NEAR = (_JPEG + n for n in ("50", "51", "57", "70", "80", "81"))
J2K, J2K_LOSSY, HT, HT_RPCL, HT_LOSSY = (_JPEG + n for n in ("90", "91", "201", "202", "203"))
XL, XL_OF_JPEG, XL_LOSSY = (_JPEG + n for n in ("110", "111", "112"))
ENCAPSULATED, DEFLATED_FRAMES = "1.2.840.10008.1.2.1.98", "1.2.840.10008.1.2.8.1"
LOSSY = frozenset((BASELINE, EXTENDED, NEAR, J2K_LOSSY, HT_LOSSY, XL_OF_JPEG, XL_LOSSY))
DISTANCE = 3  # of near-lossless JPEG-LS: how far a value may move


@dataclass(frozen=True)
class Case:
    """One kind of picture in one transfer syntax."""

    syntax: str
    photometric: str
    depth: int
    signed: int

    @property
    def name(self) -> str:
        """For test ids and tables."""
        return f"{self.photometric.replace(' ', '_')} {self.depth} bits {'signed' if self.signed else 'unsigned'}"

    @property
    def columns(self) -> int:
        """Odd, so that padding and frames' ends do not fall together, but where pixels come in pairs."""
        return 36 if self.photometric == "YBR_FULL_422" else 35

    @property
    def modality(self) -> str:
        """Whose picture it is. Radiographs and ultrasound are searched for text too, which takes a while each."""
        if (self.photometric, self.depth, self.signed) == ("MONOCHROME1", 12, 0):
            return "DX"
        return "US" if self.photometric in ("RGB", "YBR_FULL_422") else "CT"

    @property
    def grey(self) -> bool:
        """Whether the job reads it."""
        return self.photometric.startswith("MONOCHROME")

    @property
    def colour(self) -> bool:
        """Whether each pixel has three values."""
        return self.photometric.startswith(("RGB", "YBR"))


_GREY = [(p, depth, signed) for p in ("MONOCHROME1", "MONOCHROME2") for depth in (8, 10, 12, 16) for signed in (0, 1)]
_PALETTE = [("PALETTE COLOR", 8, 0), ("PALETTE COLOR", 16, 0)]
_RGB, _YBR, _HALF = ("RGB", 8, 0), ("YBR_FULL", 8, 0), ("YBR_FULL_422", 8, 0)
_EIGHT = [(p, 8, 0) for p in ("MONOCHROME1", "MONOCHROME2")]
_TWELVE = [(p, 12, 0) for p in ("MONOCHROME1", "MONOCHROME2")]
_DEEP, _SMALL = [*_GREY, *_PALETTE], [_RGB, _YBR]
_TAKES: tuple[tuple[tuple[str, ...], list[tuple[str, int, int]]], ...] = (
    ((*sorted(NATIVE), ENCAPSULATED), [*_DEEP, *_SMALL, _HALF]),
    ((DEFLATED_FRAMES, RLE, LOSSLESS_14, SV1, LS), [*_DEEP, *_SMALL]),
    ((J2K, HT, HT_RPCL), [*_DEEP, *_SMALL, ("YBR_RCT", 8, 0)]),
    ((J2K_LOSSY, HT_LOSSY), [*_GREY, _RGB, ("YBR_ICT", 8, 0)]),
    ((BASELINE,), [*_EIGHT, *_SMALL, _HALF]),
    ((EXTENDED,), [*_EIGHT, *_TWELVE, _YBR, _HALF]),
    ((NEAR,), [*_GREY, *_SMALL]),
    ((XL,), [*_DEEP, _RGB]),
    ((XL_OF_JPEG,), [*_EIGHT, _HALF]),
    ((XL_LOSSY,), [*_EIGHT, _RGB]),
)
"""What each transfer syntax may hold (PS3.5 8.2 and 10); of compressed palettes only what loses nothing."""


def cases() -> Iterator[Case]:
    """All rows."""
    yield from (Case(syntax, *kind) for syntaxes, kinds in _TAKES for syntax in syntaxes for kind in kinds)


def title(syntax: str) -> str:
    """A transfer syntax as the standard calls it."""
    return uid_registry.name_of(syntax) or syntax


# ---------------------------------------------------------------- what is drawn, and its stream


def drawn(case: Case) -> np.ndarray:
    """Random values over the whole range, the lowest and the highest among them: [frame, row, column, (sample)].

    What a lossy coding may move is drawn from the middle half, so that no value leaves its bits.
    """
    depth, signed = case.depth, case.signed
    low, high = (-(1 << depth - 1), (1 << depth - 1) - 1) if signed else (0, (1 << depth) - 1)
    if case.syntax in LOSSY:
        low, high = (3 * low + high) // 4, (low + 3 * high) // 4
    shape = (FRAMES, ROWS, case.columns, *([3] if case.colour else []))
    values = np.random.default_rng(depth + signed).integers(low, high + 1, shape)
    values[:, 0, :2], values[:, -1, -2:] = low, high
    if case.photometric == "YBR_FULL_422":  # two pixels of a row share their colour
        values[:, :, 1::2, 1:] = values[:, :, ::2, 1:]
    return values.astype(f"{'i' if signed else 'u'}{1 if depth <= 8 else 2}")


def _masked(frame: np.ndarray, case: Case) -> np.ndarray:
    """The stored bits of each value without a sign, for codings that have none."""
    words = frame.view(frame.dtype.str.replace("i", "u"))
    return np.ascontiguousarray(words & np.array((1 << case.depth) - 1, words.dtype))


def _kind(case: Case) -> str:
    """JPEG's name of the colours; lossless JPEG does not know any, and changes none."""
    if not case.colour:
        return "GRAYSCALE"
    return "YCBCR" if case.photometric.startswith("YBR") and case.syntax not in (LOSSLESS_14, SV1) else "RGB"


def _jpeg(frame: np.ndarray, case: Case, **how: object) -> bytes:
    half = case.photometric == "YBR_FULL_422"
    lossless = bool(how.get("lossless"))
    kind = _kind(case)
    colours = {"colorspace": kind, "outcolorspace": kind}
    if case.colour:
        how = {**how, "subsampling": "422" if half else "444"}
    bits = 12 if case.depth == 12 and not lossless else case.depth
    made = bytes(imagecodecs.jpeg8_encode(_masked(frame, case), bitspersample=bits, **colours, **how))
    return _unnamed(made) if lossless and case.photometric == "YBR_FULL" else made


def _unnamed(stream: bytes) -> bytes:
    """The stream without the marks by which its encoder calls the colours RGB."""
    frame = stream.index(b"\xff\xc3")
    scan = stream.index(b"\xff\xda")
    parts = [bytearray(stream[:2]), bytearray(stream[frame:scan]), bytearray(stream[scan:])]
    for part, first, step in ((parts[1], 10, 3), (parts[2], 5, 2)):
        part[first : first + 3 * step : step] = b"\1\2\3"
    return b"".join(parts)


def _jpeg_2000(frame: np.ndarray, case: Case, *, reversible: bool) -> bytes:
    mixed = case.photometric in ("YBR_RCT", "YBR_ICT")
    level = None if reversible else 0 if case.depth > 8 else 60
    made = imagecodecs.jpeg2k_encode(frame, level, codecformat="J2K", bitspersample=case.depth, mct=mixed,
                                     reversible=reversible)  # fmt: skip
    return bytes(made)


def _high_throughput(frame: np.ndarray, case: Case, *, reversible: bool) -> bytes:
    """OpenJPH's progression is RPCL in any case."""
    mixed = case.photometric in ("YBR_RCT", "YBR_ICT")
    how = {"rgb": mixed, "reversible": reversible} if case.colour else {"reversible": reversible}
    return bytes(imagecodecs.htj2k_encode(frame, None if reversible else 0.001, **how))


def _jpeg_ls(frame: np.ndarray, case: Case, distance: int = 0) -> bytes:
    ds = instance(frame[None], case.photometric, stored=case.depth)
    options = {"jls_error": distance} if distance else {}
    syntax = NEAR if distance else LS
    return bytes(get_encoder(syntax).encode(ds, index=0, encoding_plugin="pyjpegls", **options))


def _rle(frame: np.ndarray, case: Case) -> bytes:
    ds = instance(frame[None], case.photometric, stored=case.depth)
    return bytes(get_encoder(RLE).encode(ds, index=0, encoding_plugin="pydicom"))


def _plain(frame: np.ndarray, case: Case) -> bytes:
    made = halved(frame) if case.photometric == "YBR_FULL_422" else frame
    return made.tobytes()


def _deflated(frame: np.ndarray, case: Case) -> bytes:
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packing.compress(_plain(frame, case)) + packing.flush()


def _xl_of_jpeg(frame: np.ndarray, case: Case) -> bytes:
    return bytes(imagecodecs.jpegxl_encode_jpeg(_jpeg(frame, case, level=90)))


def _xl(frame: np.ndarray, case: Case, **how: object) -> bytes:
    return bytes(imagecodecs.jpegxl_encode(_masked(frame, case), **how))


_ENCODERS: dict[str, Callable[[np.ndarray, Case], bytes]] = {
    ENCAPSULATED: _plain, DEFLATED_FRAMES: _deflated, RLE: _rle,
    BASELINE: partial(_jpeg, level=90), EXTENDED: partial(_jpeg, level=90),
    LOSSLESS_14: partial(_jpeg, lossless=True, predictor=6), SV1: partial(_jpeg, lossless=True, predictor=1),
    LS: _jpeg_ls, NEAR: partial(_jpeg_ls, distance=DISTANCE),
    J2K: partial(_jpeg_2000, reversible=True), J2K_LOSSY: partial(_jpeg_2000, reversible=False),
    HT: partial(_high_throughput, reversible=True), HT_RPCL: partial(_high_throughput, reversible=True),
    HT_LOSSY: partial(_high_throughput, reversible=False),
    XL: partial(_xl, lossless=True), XL_LOSSY: partial(_xl, lossless=False, distance=1.0), XL_OF_JPEG: _xl_of_jpeg,
}  # fmt: skip


def halved(frame: np.ndarray) -> np.ndarray:
    """Y Y Cb Cr for each two pixels of a row, whose colours are the same or are averaged (PS3.3 C.7.6.3.1.2)."""
    pairs = frame.astype(np.uint16).reshape(frame.shape[0], -1, 2, 3)
    colour = (pairs[:, :, 0, 1:] + pairs[:, :, 1, 1:] + 1) // 2
    return np.concatenate([pairs[..., 0], colour], axis=2).astype(frame.dtype)


# ---------------------------------------------------------------- another decoder's reading of a stream


def _by_jpeg(stream: bytes, case: Case) -> np.ndarray:
    kind = _kind(case)
    return imagecodecs.jpeg8_decode(stream, colorspace=kind, outcolorspace=kind)


def _by_jpeg_2000(stream: bytes, _: Case) -> np.ndarray:
    return imagecodecs.jpeg2k_decode(stream)


def by_openjph(stream: bytes, _: Case) -> np.ndarray:
    """A decoder that shares no code with OpenJPEG, which is ours."""
    return imagecodecs.htj2k_decode(stream, planar=False)


def _by_charls(stream: bytes, _: Case) -> np.ndarray:
    return imagecodecs.jpegls_decode(stream)


def _by_libjxl(stream: bytes, case: Case) -> np.ndarray:
    if case.syntax == XL_OF_JPEG:
        return _by_jpeg(bytes(imagecodecs.jpegxl_decode_jpeg(stream)), case)
    return imagecodecs.jpegxl_decode(stream)


_DECODERS: dict[str, Callable[[bytes, Case], np.ndarray]] = {
    **dict.fromkeys((BASELINE, EXTENDED, LOSSLESS_14, SV1), _by_jpeg),
    **dict.fromkeys((LS, NEAR), _by_charls),
    **dict.fromkeys((J2K, J2K_LOSSY, HT_LOSSY), _by_jpeg_2000),
    **dict.fromkeys((HT, HT_RPCL), by_openjph),
    **dict.fromkeys((XL, XL_OF_JPEG, XL_LOSSY), _by_libjxl),
}


def read_elsewhere(stream: bytes, case: Case) -> np.ndarray:
    """What another decoder than ours (where there is one) makes of a stream, in the words of the header."""
    values = _DECODERS[case.syntax](stream, case)
    if not case.signed:
        return values
    spare = 8 * values.dtype.itemsize - case.depth
    whole = values.view(values.dtype.str.replace("u", "i"))
    return np.right_shift(np.left_shift(whole, spare), spare)


# ---------------------------------------------------------------- a case as a file, and its true values


def stored_file(case: Case, values: np.ndarray) -> tuple[bytes, list[bytes]]:
    """The case as a file, and the compressed stream of each frame (none where it is native)."""
    ds = instance(values, case.photometric, stored=case.depth, Modality=case.modality, PatientID="T-1")
    if case.syntax in NATIVE:
        if case.photometric == "YBR_FULL_422":
            ds.PixelData = b"".join(halved(frame).tobytes() for frame in values)
        return file_in(ds, case.syntax), []
    streams = [_ENCODERS[case.syntax](frame, case) for frame in values]
    ds.PixelData = encapsulate(streams)
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    return file_in(ds, case.syntax), streams


def expected(case: Case, values: np.ndarray, streams: list[bytes]) -> np.ndarray:
    """The values that everybody should get: those drawn, or another decoder's of a lossy stream."""
    return np.stack([read_elsewhere(s, case) for s in streams]) if case.syntax in LOSSY else values
