"""Chapter: what lies beside the pixels in a compressed picture is gone, and the pixels are the same."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import (
    HTJ2K,
    UID,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from readfirst.domain.deid.dicom.pixel_data import LEFT_OUT
from readfirst.domain.deid.engine import SPELLED
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Reason, Refused
from tests.model.files import jpeg_lossless
from tests.spec.deid.conftest import Clean, Cleaner, attempt, file_of

SECRET = b"Room 12 asks for the blue folder"  # nobody's name: found by where it lies, not by what it says
SIZE = 64
Place = Callable[[bytes], bytes]


# ---------------------------------------------------------------- streams, by the encoders that senders use


def grey(bits: int) -> np.ndarray:
    """A picture with smooth parts, noise, and runs of one value."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    noise = np.random.default_rng(4).integers(0, 9, (SIZE, SIZE))
    picture = (rows * columns) * (2**bits - 16) // SIZE**2 + noise
    picture[:20] = 3
    return picture.astype(np.uint8 if bits == 8 else np.uint16)


def with_pixels(ct: Dataset, picture: np.ndarray, bits: int) -> Dataset:
    ct.Rows, ct.Columns = picture.shape[:2]
    ct.BitsAllocated, ct.BitsStored, ct.HighBit = picture.itemsize * 8, bits, bits - 1
    if picture.ndim == 3:
        ct.SamplesPerPixel, ct.PhotometricInterpretation, ct.PlanarConfiguration = 3, "RGB", 0
    ct.PixelData = picture.tobytes()
    ct["PixelData"].VR = "OB" if bits == 8 else "OW"
    return ct


def by_pydicom(syntax: UID) -> Callable[[Dataset], bytes]:
    def stream(ct: Dataset) -> bytes:
        more = {"jls_error": 2} if syntax == JPEGLSNearLossless else {}
        with_pixels(ct, grey(12), 12).compress(syntax, generate_instance_uid=False, **more)
        return next(generate_frames(ct.PixelData, number_of_frames=1))

    return stream


def by_gdcm(ct: Dataset) -> bytes:
    content = jpeg_lossless(file_of(with_pixels(ct, grey(12), 12)))
    ct.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    return next(generate_frames(pydicom.dcmread(io.BytesIO(content)).PixelData, number_of_frames=1))


def by_pillow(syntax: UID, colour: bool = False) -> Callable[[Dataset], bytes]:
    def stream(ct: Dataset) -> bytes:
        picture = np.stack([grey(8), grey(8).T, grey(8)[::-1]], axis=2) if colour else grey(8)
        with_pixels(ct, picture, 8)
        if colour:
            ct.PhotometricInterpretation = "YBR_FULL_422"
        ct.file_meta.TransferSyntaxUID = syntax
        out = io.BytesIO()
        Image.fromarray(picture).save(out, "JPEG", quality=90)
        return out.getvalue()

    return stream


def colour_codestream(ct: Dataset) -> bytes:
    picture = np.stack([grey(8), grey(8).T, grey(8)[::-1]], axis=2)
    with_pixels(ct, picture, 8).PhotometricInterpretation = "YBR_RCT"
    ct.file_meta.TransferSyntaxUID = JPEG2000Lossless
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG2000", no_jp2=True, irreversible=False)
    return out.getvalue()


def drawn(name: str, syntax: UID) -> Callable[[Dataset], bytes]:
    def stream(ct: Dataset) -> bytes:
        with_pixels(ct, grey(12), 12).file_meta.TransferSyntaxUID = syntax
        return bytes(np.load(Path(__file__).parents[2] / "model" / "data" / "htj2k.npz")[name].tobytes())

    return stream


JPEGS = {
    "baseline": by_pillow(JPEGBaseline8Bit),
    "baseline, colours": by_pillow(JPEGBaseline8Bit, colour=True),
    "extended": by_pillow(JPEGExtended12Bit),
    "lossless": by_gdcm,
    "JPEG-LS": by_pydicom(JPEGLSLossless),
    "JPEG-LS near lossless": by_pydicom(JPEGLSNearLossless),
}
CODESTREAMS = {
    "JPEG 2000": by_pydicom(JPEG2000Lossless),
    "JPEG 2000, colours": colour_codestream,
    "HTJ2K": drawn("lossless", HTJ2KLossless),
    "HTJ2K RPCL": drawn("lossless", HTJ2KLosslessRPCL),
    "HTJ2K lossy": drawn("lossy", HTJ2K),
}
RLES = {"RLE": by_pydicom(RLELossless)}


# ---------------------------------------------------------------- places


def jpeg_segment(code: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, code, len(body) + 2) + body


def after_soi(segment: bytes) -> Place:
    return lambda stream: stream[:2] + segment + stream[2:]


def before_scan(segment: bytes) -> Place:
    def place(stream: bytes) -> bytes:
        at = stream.rindex(b"\xff\xda")
        return stream[:at] + segment + stream[at:]

    return place


def longer_frame_header(stream: bytes) -> bytes:
    for code in (0xC0, 0xC3, 0xF7):
        at = stream.find(bytes((0xFF, code)))
        if at > 0:
            size = int.from_bytes(stream[at + 2 : at + 4], "big")
            longer = struct.pack(">H", size + len(SECRET))
            return stream[: at + 2] + longer + stream[at + 4 : at + 2 + size] + SECRET + stream[at + 2 + size :]
    raise AssertionError


table = bytes([0x03]) + (SECRET * 2)[:64]
JPEG_PLACES: dict[str, Place] = {
    "comment": after_soi(jpeg_segment(0xFE, SECRET)),
    "comment before the scan": before_scan(jpeg_segment(0xFE, SECRET)),
    "EXIF": after_soi(jpeg_segment(0xE1, b"Exif\0\0II*\0" + SECRET)),
    "XMP": after_soi(jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + SECRET)),
    "colour profile": after_soi(jpeg_segment(0xE2, b"ICC_PROFILE\0\1\1" + SECRET)),
    "application's own": after_soi(jpeg_segment(0xED, SECRET)),
    "JFIF thumbnail": after_soi(jpeg_segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\4\4" + SECRET)),
    "between segments": after_soi(SECRET),
    "before the start": lambda stream: SECRET + stream,
    "behind the end": lambda stream: stream + SECRET,
    "a second picture behind the end": lambda stream: stream + b"\xff\xd8" + jpeg_segment(0xFE, SECRET) + b"\xff\xd9",
    "frame header too long": longer_frame_header,
    "a quantisation table that nothing uses": after_soi(jpeg_segment(0xDB, table)),
    "a Huffman table that nothing uses": after_soi(
        jpeg_segment(0xC4, bytes([0x03, *[0] * 7, len(SECRET), *[0] * 8]) + SECRET)
    ),
}


def boxed(kind: bytes, before: bool = True) -> Place:
    def box(name: bytes, body: bytes) -> bytes:
        return struct.pack(">L4s", 8 + len(body), name) + body

    def place(stream: bytes) -> bytes:
        header = box(b"ihdr", struct.pack(">LLHBBBB", SIZE, SIZE, 1, 11, 7, 0, 0)) + box(b"colr", b"\1\0\0\0\0\0\x11")
        secret = box(kind, bytes(16) * (kind == b"uuid") + SECRET)
        file = b"\0\0\0\x0cjP  \r\n\x87\n" + box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + box(b"jp2h", header)
        return file + (secret if before else b"") + box(b"jp2c", stream) + (b"" if before else secret)

    return place


def in_main_header(segment: bytes) -> Place:
    def place(stream: bytes) -> bytes:
        at = 4 + int.from_bytes(stream[4:6], "big")
        return stream[:at] + segment + stream[at:]

    return place


def in_tile_part(segment: bytes, behind: bool = False) -> Place:
    """In the last tile part's header, or behind its packets."""

    def place(stream: bytes) -> bytes:
        at = stream.rindex(b"\xff\x90\0\x0a")
        size = int.from_bytes(stream[at + 6 : at + 10], "big")
        end = at + size if size else len(stream) - 2
        where = end if behind else at + 12
        longer = struct.pack(">L", end - at + len(segment))
        return stream[: at + 6] + longer + stream[at + 10 : where] + segment + stream[where:]

    return place


CODESTREAM_PLACES: dict[str, Place] = {
    "comment": in_main_header(jpeg_segment(0x64, b"\0\1" + SECRET)),
    "component registration": in_main_header(jpeg_segment(0x63, SECRET)),
    "tile-part lengths": in_main_header(jpeg_segment(0x55, b"\0\x60" + SECRET)),
    "packet lengths": in_main_header(jpeg_segment(0x57, b"\0" + SECRET)),
    "comment in a tile part": in_tile_part(jpeg_segment(0x64, b"\0\1" + SECRET)),
    "packet lengths in a tile part": in_tile_part(jpeg_segment(0x58, b"\0" + SECRET)),
    "before the start": lambda stream: SECRET + stream,
    "behind the end": lambda stream: stream + SECRET,
    **{f"box {kind.decode()}": boxed(kind) for kind in (b"xml ", b"uuid", b"asoc", b"lbl ", b"uinf", b"free")},
    "box behind the codestream": boxed(b"xml ", before=False),
}


def between_rle(gap: int) -> Place:
    """Before the segment of that number."""

    def place(stream: bytes) -> bytes:
        count, *offsets = struct.unpack_from("<16L", stream)
        at = offsets[gap]
        moved = [o + len(SECRET) if k >= gap else o for k, o in enumerate(offsets[:count])]
        return struct.pack("<16L", count, *moved, *[0] * (15 - count)) + stream[64:at] + SECRET + stream[at:]

    return place


def in_rle_header(stream: bytes) -> bytes:
    return stream[:16] + SECRET + stream[16 + len(SECRET) :]


def too_long_a_run(stream: bytes) -> bytes:
    """The last plane's bytes as one run each of literals, of which the last goes on behind the plane."""
    count, *offsets = struct.unpack_from("<16L", stream)
    plane = (grey(12) & 255).astype(np.uint8).tobytes()
    runs = b"".join(b"\x7f" + plane[k : k + 128] for k in range(0, len(plane) - 128, 128))
    last = bytes([64 - 1]) + plane[-128:-64] + bytes([64 + len(SECRET) - 1]) + plane[-64:] + SECRET
    return stream[: offsets[count - 1]] + runs + last


RLE_PLACES: dict[str, Place] = {
    "behind the last segment": lambda stream: stream + SECRET,
    "before the first segment": between_rle(0),
    "between two segments": between_rle(1),
    "unused fields of the header": in_rle_header,
    "a run that is too long": too_long_a_run,
}
CASES = [
    (syntax, encode, name, place)
    for encoders, places in ((JPEGS, JPEG_PLACES), (CODESTREAMS, CODESTREAM_PLACES), (RLES, RLE_PLACES))
    for syntax, encode in encoders.items()
    for name, place in places.items()
]


# ---------------------------------------------------------------- the tests


def in_fragments(ct: Dataset, fragments: list[bytes], frames: int = 1, table: bytes = b"") -> Dataset:
    """Encapsulated pixel data of exactly these fragments."""

    def item(body: bytes) -> bytes:
        return struct.pack("<HHL", 0xFFFE, 0xE000, len(body)) + body

    if frames > 1:
        ct.NumberOfFrames = frames
    ct.PixelData = item(table) + b"".join(map(item, fragments)) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    ct["PixelData"].VR = "OB"
    ct["PixelData"].is_undefined_length = True
    return ct


def even(stream: bytes) -> bytes:
    return stream + b"\0" * (len(stream) & 1)


def reads(ds: Dataset) -> Iterator[tuple[str, np.ndarray]]:
    """The pixels as every decoder that is installed reads them."""
    for plugin in get_decoder(ds.file_meta.TransferSyntaxUID).available_plugins:
        if plugin == "gdcm" and ds.file_meta.TransferSyntaxUID == JPEGExtended12Bit:
            continue  # 8 bits only
        yield plugin, pixel_array(ds, decoding_plugin=plugin)


def same_pixels(before: Dataset, after: Dataset) -> bool:
    """Whether every decoder reads from the clean copy what it reads from a picture in which nothing was hidden."""
    wanted, got = dict(reads(before)), dict(reads(after))
    return wanted.keys() == got.keys() and all(np.array_equal(wanted[k], got[k]) for k in wanted)


def plain(ct: Dataset, stream: bytes, frames: int = 1) -> Dataset:
    """The data set with nothing hidden in it, read back from a file."""
    ds = in_fragments(ct, [even(stream)] * frames, frames)
    return pydicom.dcmread(io.BytesIO(file_of(ds)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("syntax", "encode", "name", "place"), CASES, ids=[f"{c[0]}: {c[2]}" for c in CASES])
def test_nothing_stays_beside_the_pixels_in(
    syntax: str, encode: Callable[[Dataset], bytes], name: str, place: Place, ct: Dataset, clean: Cleaner
) -> None:
    stream = encode(ct)
    before, hidden = plain(ct, stream), even(place(stream))
    assert SECRET in hidden or name.startswith("a quantisation")
    done = clean(in_fragments(ct, [hidden]))
    assert SECRET[:12] not in done.content
    assert same_pixels(before, done.ds)
    assert LEFT_OUT in done.receipt.notes


IN_SEVERAL = {
    "lossless": (by_gdcm, JPEG_PLACES["comment"]),
    "baseline": (by_pillow(JPEGBaseline8Bit), JPEG_PLACES["behind the end"]),
    "JPEG-LS": (by_pydicom(JPEGLSLossless), JPEG_PLACES["XMP"]),
    "JPEG 2000": (by_pydicom(JPEG2000Lossless), CODESTREAM_PLACES["comment"]),
    "JP2": (by_pydicom(JPEG2000Lossless), CODESTREAM_PLACES["box xml "]),
    "RLE": (by_pydicom(RLELossless), RLE_PLACES["behind the last segment"]),
}
TOLD_BY = ("basic table", "extended table", "starts")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "told_by"),
    [(kind, by) for kind in IN_SEVERAL for by in TOLD_BY if (kind, by) != ("RLE", "starts")],  # RLE has no mark there
)
def test_nothing_stays_where_frames_lie_in_several_fragments(
    kind: str, told_by: str, ct: Dataset, clean: Cleaner
) -> None:
    """The text crosses the seam between two fragments of each frame; an empty fragment lies between."""
    encode, place = IN_SEVERAL[kind]
    stream = encode(ct)
    before, hidden = plain(ct, stream, frames=2), even(place(stream))
    cut = hidden.index(SECRET) + 8
    cut += cut & 1
    fragments = [hidden[:cut], b"", hidden[cut:]] * 2
    offsets = (0, len(hidden) + 24)
    if told_by == "extended table":
        ct.ExtendedOffsetTable = struct.pack("<2Q", *offsets)
        ct.ExtendedOffsetTableLengths = struct.pack("<2Q", len(hidden), len(hidden))
    done = clean(in_fragments(ct, fragments, 2, struct.pack("<2L", *offsets) if told_by == "basic table" else b""))
    assert SECRET[8:20] not in done.content
    assert same_pixels(before, done.ds)
    assert "ExtendedOffsetTable" not in done.ds


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("encode", [by_gdcm, by_pydicom(JPEG2000Lossless), by_pydicom(RLELossless)])
@pytest.mark.parametrize("table", [SECRET, SECRET[:8]], ids=["too long", "of the right length"])
def test_an_offset_table_that_is_none_is_written_anew(
    encode: Callable[[Dataset], bytes], table: bytes, ct: Dataset, clean: Cleaner
) -> None:
    stream = encode(ct)
    before = plain(ct, stream, frames=2)
    ct.ExtendedOffsetTable = ct.ExtendedOffsetTableLengths = SECRET[:16]
    done = clean(in_fragments(ct, [even(stream)] * 2, 2, table))
    assert SECRET[:8] not in done.content
    assert same_pixels(before, done.ds)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("encode", [by_pydicom(JPEGLSLossless), by_gdcm, by_pydicom(RLELossless)])
def test_a_picture_with_nothing_beside_its_pixels_keeps_its_bytes(
    encode: Callable[[Dataset], bytes], ct: Dataset, clean: Cleaner
) -> None:
    once = clean(in_fragments(ct, [even(encode(ct))]))
    again = clean(once.content)
    assert again.ds.PixelData == once.ds.PixelData
    assert LEFT_OUT not in again.receipt.notes


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("encode", "place"),
    [
        (by_pillow(JPEGBaseline8Bit), lambda s, name: s[:-2] + name + s[-2:]),
        (by_pydicom(JPEG2000Lossless), lambda s, name: in_tile_part(name, behind=True)(s)),
    ],
    ids=["behind the last coded pixel of a JPEG", "behind the last packet of a JPEG 2000 tile"],
)
def test_a_name_that_the_codes_themselves_spell_is_stored_away(
    encode: Callable[[Dataset], bytes], place: Callable[[bytes, bytes], bytes], ct: Dataset, clean: Cleaner
) -> None:
    """Only decoding shows that nobody needs these bytes; a known name is found there, and the codes go."""
    stream = encode(ct)
    before = plain(ct, stream)
    done = clean(in_fragments(ct, [even(place(stream, b"QUILLFEATHER OSWINA"))]))
    assert b"QUILLFEATHER" not in done.content
    assert done.ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert SPELLED in done.receipt.notes
    assert np.array_equal(done.ds.pixel_array, before.pixel_array)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("encode", "spoil", "why"),
    [
        (by_gdcm, lambda s: s[: len(s) // 2], "no end-of-image marker"),
        (by_gdcm, lambda s: s[:2] + jpeg_segment(0xFA, SECRET) + s[2:], "of a kind that is not known"),
        (by_gdcm, lambda s: b"\0" * 40, "no start of a JPEG picture"),
        (by_pydicom(JPEG2000Lossless), lambda s: s[: len(s) // 2], "tile part breaks off"),
        (by_pydicom(JPEG2000Lossless), in_main_header(jpeg_segment(0x74, SECRET)), "of a kind that is not known"),
        (by_pydicom(JPEG2000Lossless), lambda s: boxed(b"xml ")(s).replace(b"\0\0\0\x11", b"\0\0\0\x12"), "colours"),
        (by_pydicom(JPEG2000Lossless), lambda s: boxed(b"xml ")(s).replace(b"colr\1", b"pclr\1"), "palette"),
        (by_pydicom(RLELossless), lambda s: s[: len(s) // 2], "before its plane is full"),
        (by_pydicom(RLELossless), lambda s: b"\1" + s[1:], "not one RLE segment for each byte"),
    ],
)
def test_a_stream_that_cannot_be_told_apart_is_refused_with_the_cause(
    encode: Callable[[Dataset], bytes], spoil: Place, why: str, ct: Dataset, names: Pseudonyms
) -> None:
    refused = attempt(file_of(in_fragments(ct, [even(spoil(encode(ct)))])), names)
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.PIXELS_UNVERIFIED
    assert why in refused.detail


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("frames", "fragments", "why"),
    [(1, 2, "more pictures"), (3, 2, "fewer pictures"), (2, 3, "more pictures")],
)
def test_frames_are_never_cut_off_or_made_up(
    frames: int, fragments: int, why: str, ct: Dataset, names: Pseudonyms
) -> None:
    """What the number of frames says and what is there must agree."""
    stream = even(by_gdcm(ct))
    refused = attempt(file_of(in_fragments(ct, [stream] * fragments, frames)), names)
    assert isinstance(refused, Refused)
    assert why in refused.detail


@pytest.mark.filterwarnings("ignore")
def test_the_lengths_of_tile_parts_are_true_after_a_comment_went(ct: Dataset, clean: Cleaner) -> None:
    stream = by_pydicom(JPEG2000Lossless)(ct)
    at = stream.rindex(b"\xff\x90\0\x0a")
    size = int.from_bytes(stream[at + 6 : at + 10], "big") or len(stream) - 2 - at
    lengths = jpeg_segment(0x55, b"\0\x60" + struct.pack(">HL", 0, size))
    hidden = in_tile_part(jpeg_segment(0x64, b"\0\1" + SECRET))(in_main_header(lengths)(stream))
    done: Clean = clean(in_fragments(ct, [even(hidden)]))
    (bare,) = generate_frames(done.ds.PixelData, number_of_frames=1)
    said = bare.index(b"\xff\x55") + 6
    start = bare.index(b"\xff\x90\0\x0a")
    assert int.from_bytes(bare[said + 2 : said + 6], "big") == bare.rindex(b"\xff\xd9") - start


@pytest.mark.filterwarnings("ignore")
def test_a_picture_encapsulated_by_pydicom_stays_readable(ct: Dataset, clean: Cleaner) -> None:
    stream = by_pydicom(JPEGLSLossless)(ct)
    ct.NumberOfFrames = 3
    ct.PixelData = encapsulate([stream] * 3, fragments_per_frame=2)
    ct["PixelData"].VR = "OB"
    done = clean(ct)
    assert done.ds.pixel_array.shape == (3, SIZE, SIZE)
    assert np.array_equal(done.ds.pixel_array[2], grey(12))
