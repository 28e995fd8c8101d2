"""What a retrieve may ask for, and what it gets: transfer syntaxes, frames, the instance's own name."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from readfirst.domain.dicomweb import recoding
from readfirst.domain.dicomweb.content_negotiation import NotAcceptable, Offer, file_as, frames_as, offers
from tests.spec.images import UID_OF_INSTANCE, UNCOMPRESSED, file_in, instance

OCTETS = Offer("application/octet-stream", True, None)
RED, GREEN = (76, 85, 255), (150, 44, 21)  # as YBR_FULL


def ramp(frames: int = 2) -> np.ndarray:
    return np.arange(frames * 32 * 34).reshape(frames, 32, 34).astype("i2")


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", [Offer("*/*", None, None)]),
        ("application/dicom; transfer-syntax=*", [Offer("application/dicom", False, "*")]),
        ('multipart/related; type="application/dicom"', [Offer("application/dicom", True, None)]),
        ("a/b;q=0.1, c/d", [Offer("c/d", False, None), Offer("a/b", False, None)]),
        ("a/b;q=0", []),
        ("a/b;q=many", []),
    ],
)
def test_an_accept_header_is_a_list_of_offers_the_best_first(accept: str, expected: list[Offer]) -> None:
    assert offers(accept) == expected


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
@pytest.mark.parametrize("asked", [None, str(ExplicitVRLittleEndian)])
def test_every_uncompressed_instance_can_be_had_as_explicit_little_endian(syntax: str, asked: str | None) -> None:
    got = recoding.opened(file_as(file_in(instance(ramp()), syntax), Offer("application/dicom", True, asked)))
    assert got.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(got.pixel_array, ramp())


@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, RLELossless])
def test_stored_bytes_are_given_to_who_takes_them_as_stored(syntax: str) -> None:
    stored = file_in(instance(ramp()), syntax)
    assert file_as(stored, Offer("application/dicom", True, "*")) == stored
    assert file_as(stored, Offer("application/dicom", True, str(syntax))) == stored
    with pytest.raises(NotAcceptable):
        file_as(stored, Offer("application/dicom", True, str(JPEG2000Lossless)))


def test_an_instance_keeps_its_name_however_often_it_is_decompressed() -> None:
    stored = file_in(instance(ramp()), RLELossless)
    for _ in range(2):
        got = recoding.opened(file_as(stored, Offer("application/dicom", True, None)))
        assert got.SOPInstanceUID == got.file_meta.MediaStorageSOPInstanceUID == UID_OF_INSTANCE


def test_a_recoded_big_endian_file_has_every_value_that_it_had() -> None:
    """Numbers, tags and words in binary, in sequences too."""
    item = Dataset()
    item.LUTDescriptor = [4, 0, 16]
    item.add_new("LUTData", "OW", np.arange(4, dtype=">u2").tobytes())
    ds = instance(ramp(), VOILUTSequence=[item], CTDIvol=1.25, RescaleIntercept=-1024, ConvolutionKernel=["B", "", "x"])
    long = Dataset()
    long.add_new("LUTData", "US", list(range(1 << 16)))  # written as UN
    ds.ModalityLUTSequence = [long]
    ds.add_new("FrameIncrementPointer", "AT", [0x00181065])
    ds.add_new("PointCoordinatesData", "OF", np.array([1.5, -2], dtype=">f4").tobytes())
    got = recoding.opened(file_as(file_in(ds, ExplicitVRBigEndian), Offer("application/dicom", True, None)))
    assert list(np.frombuffer(got.VOILUTSequence[0].LUTData, "<u2")) == [0, 1, 2, 3]
    assert got.ModalityLUTSequence[0].LUTData == np.arange(1 << 16, dtype="<u2").tobytes()
    assert list(np.frombuffer(got.PointCoordinatesData, "<f4")) == [1.5, -2]
    assert (got.CTDIvol, got.RescaleIntercept, got.FrameIncrementPointer) == (1.25, -1024, 0x00181065)
    assert list(got.ConvolutionKernel) == ["B", "", "x"]


def test_ill_formed_values_hinder_nobody_from_the_pictures() -> None:
    stored = file_in(instance(ramp(), KVP=120), ImplicitVRLittleEndian).replace(b"120", b"12x")
    got = recoding.opened(file_as(stored, Offer("application/dicom", True, None)))
    assert got.get_item("KVP").value.startswith(b"12x") and np.array_equal(got.pixel_array, ramp())


def extended(values: np.ndarray) -> bytes:
    """A file whose frames are found by an Extended Offset Table."""
    ds = recoding.opened(file_in(instance(values), JPEG2000Lossless))
    frames = list(generate_frames(ds.PixelData, number_of_frames=len(values)))
    ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(frames)
    ds["PixelData"].VR = "OB"
    out = io.BytesIO()
    ds.save_as(out)
    return out.getvalue()


def test_an_extended_offset_table_finds_the_frames_and_goes_with_the_compression() -> None:
    stored = extended(ramp(3))
    kept = list(generate_frames(recoding.opened(stored).PixelData, number_of_frames=3))
    assert frames_as(stored, [3, 1], Offer("*/*", True, "*"))[0] == [kept[2], kept[0]]
    assert frames_as(stored, [2], OCTETS)[0] == [ramp(3)[1].tobytes()]
    got = recoding.opened(file_as(stored, Offer("application/dicom", True, None)))
    assert "ExtendedOffsetTable" not in got and "ExtendedOffsetTableLengths" not in got
    assert np.array_equal(got.pixel_array, ramp(3))


def halved(*colours: tuple[int, int, int], rows: int = 8, columns: int = 8) -> Dataset:
    """Frames of one colour each, native, two pixels sharing their Cb and Cr."""
    ds = instance(np.zeros((len(colours), rows, columns, 3), "u1"), "YBR_FULL_422")
    ds.PixelData = b"".join(bytes((y, y, cb, cr)) * (rows * columns // 2) for y, cb, cr in colours)
    return ds


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_native_frames_whose_pixels_share_their_colour_are_cut_where_they_end(syntax: str) -> None:
    stored = file_in(halved(RED, GREEN, RED), syntax)
    for number, colour in enumerate((RED, GREEN, RED), start=1):
        y, cb, cr = colour
        assert frames_as(stored, [number], OCTETS)[0] == [bytes((y, y, cb, cr)) * 32]


def test_what_is_called_halved_and_is_whole_is_cut_as_whole() -> None:
    ds = instance(np.full((2, 8, 8, 3), 7, "u1"), "YBR_FULL_422")
    assert [len(f) for f in frames_as(file_in(ds), [], OCTETS)[0]] == [192, 192]


def jpeg(colour: tuple[int, int, int]) -> bytes:
    """A JPEG of one colour as most ultrasound is sent: YBR_FULL_422."""
    out = io.BytesIO()
    Image.fromarray(np.full((16, 16, 3), colour, np.uint8)).save(out, "JPEG", quality=95, subsampling="4:2:2")
    ds = halved(RED, rows=16, columns=16)
    ds.PixelData = encapsulate([out.getvalue()])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return _saved(ds)


def _saved(ds: Dataset) -> bytes:
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return out.getvalue()


def test_a_frame_of_a_jpeg_has_the_layout_that_the_metadata_states() -> None:
    (frame,), _ = frames_as(jpeg((254, 0, 0)), [1], OCTETS)
    assert len(frame) == 16 * 16 * 2
    assert np.abs(np.frombuffer(frame, np.uint8).reshape(-1, 4).astype(int) - (76, 76, 85, 255)).max() <= 2


def test_a_jpeg_that_is_retrieved_uncompressed_says_that_its_colours_are_rgb() -> None:
    got = recoding.opened(file_as(jpeg((254, 0, 0)), Offer("application/dicom", True, None)))
    assert (got.PhotometricInterpretation, got.PlanarConfiguration) == ("RGB", 0)
    assert np.abs(np.frombuffer(got.PixelData, np.uint8).reshape(-1, 3).astype(int) - (254, 0, 0)).max() <= 3


def test_frames_of_single_bits_are_packed_anew() -> None:
    values = np.random.default_rng(3).integers(0, 2, (3, 5, 7)).astype("u1")
    ds = instance(values)
    ds.BitsAllocated = ds.BitsStored = 1
    ds.HighBit, ds.PixelData = 0, np.packbits(values.ravel(), bitorder="little").tobytes()
    for number, frame in enumerate(frames_as(file_in(ds), [], OCTETS)[0]):
        assert np.array_equal(np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")[:35].reshape(5, 7),
                              values[number])  # fmt: skip


@pytest.mark.parametrize(
    ("offer", "syntax"),
    [
        (Offer("image/jp2", True, None), ExplicitVRLittleEndian),
        (Offer("application/octet-stream", True, str(ExplicitVRBigEndian)), ExplicitVRBigEndian),
        (Offer("application/octet-stream", True, str(JPEG2000Lossless)), RLELossless),
        (Offer("image/jpeg", True, None), RLELossless),
    ],
)
def test_what_cannot_be_had_is_refused(offer: Offer, syntax: str) -> None:
    with pytest.raises(NotAcceptable):
        frames_as(file_in(instance(ramp()), syntax), [1], offer)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_pixels_that_are_not_all_there_are_refused(syntax: str) -> None:
    ds = pydicom.dcmread(io.BytesIO(file_in(instance(ramp(1)), syntax)))
    if syntax == RLELossless:
        ds.PixelData = encapsulate([b"\x01\0\0\0" * 16])
    else:
        ds.PixelData = ds.PixelData[:100]
    with pytest.raises(NotAcceptable):
        frames_as(_saved(ds), [1], OCTETS)


def test_frames_that_are_not_in_the_fragments_are_refused_as_stored_too() -> None:
    ds = recoding.opened(file_in(instance(ramp(1)), RLELossless))
    ds.NumberOfFrames = 3
    with pytest.raises(NotAcceptable):
        frames_as(_saved(ds), [3], Offer("*/*", True, "*"))


def test_a_deflated_file_s_frames_are_plain() -> None:
    stored = file_in(instance(ramp()), DeflatedExplicitVRLittleEndian)
    for syntax in (None, "*", str(DeflatedExplicitVRLittleEndian), str(ExplicitVRLittleEndian)):
        assert frames_as(stored, [1], Offer("application/octet-stream", True, syntax))[0] == [ramp()[0].tobytes()]


def test_a_frame_beyond_the_last_does_not_exist() -> None:
    with pytest.raises(IndexError):
        frames_as(file_in(instance(ramp())), [3], OCTETS)
