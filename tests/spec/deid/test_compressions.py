"""Chapter: what one decoder table reads is taken; what it does not is refused by name, with what the sender can do."""

from __future__ import annotations

import struct
import zlib

import imagecodecs
import numpy as np
import openjpeg
import pytest
from pydicom._uid_dict import UID_dictionary
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGExtended12Bit, JPEGLSLossless, RLELossless

from readfirst.domain import uid_registry
from readfirst.domain.decoding import DECODED, DEFLATED_FRAMES, ENCAPSULATED
from readfirst.domain.deid.dicom.standard_tables import _types
from readfirst.domain.deid.engine import UNCOMPRESSED
from readfirst.domain.deid.rules.value_rules import registered
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Reason, Refused
from tests.spec.deid.conftest import Cleaner, attempt, file_of

SECRET = b"Room 12 asks for the blue folder"
JXL_LOSSLESS, JXL = "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.112"
SIZE = 48


def picture(bits: int, signed: bool = False, colour: bool = False) -> np.ndarray:
    """Values over the whole range of so many bits."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    values = (rows * columns * (2**bits - 1)) // ((SIZE - 1) ** 2) - (2 ** (bits - 1) if signed else 0)
    values = np.stack([values, values.T[::-1], values[:, ::-1]], axis=2) if colour else values
    return values.astype(f"<{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


def shaped(ct: Dataset, values: np.ndarray, bits: int) -> Dataset:
    ct.Rows, ct.Columns = values.shape[:2]
    ct.BitsAllocated, ct.BitsStored, ct.HighBit = values.itemsize * 8, bits, bits - 1
    ct.PixelRepresentation = int(values.dtype.kind == "i")
    if values.ndim == 3:
        ct.SamplesPerPixel, ct.PhotometricInterpretation, ct.PlanarConfiguration = 3, "RGB", 0
    return ct


def packed(ct: Dataset, stream: bytes | list[bytes], syntax: str) -> bytes:
    """The file with these pictures; its transfer syntax may be one that pydicom does not write."""
    ct.PixelData = encapsulate([stream] if isinstance(stream, bytes) else stream)
    ct["PixelData"].VR = "OB"
    ct.file_meta.TransferSyntaxUID = RLELossless
    padded = [uid.encode() + b"\0" * (len(uid) & 1) for uid in (RLELossless, syntax)]
    old, new = (b"\2\0\x10\0UI" + struct.pack("<H", len(uid)) + uid for uid in padded)
    return file_of(ct).replace(old, new)


def jxl(values: np.ndarray, bits: int) -> bytes:
    return bytes(imagecodecs.jpegxl_encode(values, lossless=True, bitspersample=bits))


def deflated(values: np.ndarray, bits: int) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(values.tobytes() + SECRET) + packer.flush() + SECRET


def jpeg12(values: np.ndarray, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg_encode(values, level=95, bitspersample=12))


RARE = {
    "JPEG XL lossless, 8 bits": (JXL_LOSSLESS, jxl, 8, False, False),
    "JPEG XL lossless, 12 bits": (JXL_LOSSLESS, jxl, 12, False, False),
    "JPEG XL lossless, 16 bits": (JXL_LOSSLESS, jxl, 16, False, False),
    "JPEG XL, colours": (JXL, jxl, 8, False, True),
    "deflated frames": (DEFLATED_FRAMES, deflated, 12, False, False),
    "deflated frames, signed": (DEFLATED_FRAMES, deflated, 12, True, False),
    "deflated frames, colours": (DEFLATED_FRAMES, deflated, 8, False, True),
    "encapsulated, not compressed": (ENCAPSULATED, lambda v, _: v.tobytes() + SECRET, 16, True, False),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", RARE)
@pytest.mark.parametrize("frames", [1, 3])
def test_a_compression_that_few_programs_read_is_decoded_and_stored_uncompressed(
    kind: str, frames: int, ct: Dataset, clean: Cleaner
) -> None:
    syntax, encode, bits, signed, colour = RARE[kind]
    values = picture(bits, signed, colour)
    if frames > 1:
        ct.NumberOfFrames = frames
    stream = encode(values, bits)
    done = clean(packed(shaped(ct, values, bits), [stream] * frames, syntax))
    assert done.ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(done.ds.pixel_array, values if frames == 1 else np.stack([values] * frames))
    assert UNCOMPRESSED in done.receipt.notes
    assert SECRET not in done.content


@pytest.mark.filterwarnings("ignore")
def test_jpeg_extended_of_12_bits_is_read(ct: Dataset, clean: Cleaner) -> None:
    values = picture(12)
    stream = jpeg12(values, 12)
    done = clean(packed(shaped(ct, values, 12), stream, JPEGExtended12Bit))
    assert np.array_equal(done.ds.pixel_array, imagecodecs.jpeg_decode(stream))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bits", [12, 13, 16])
def test_signed_jpeg_ls_keeps_its_codes_and_its_values(bits: int, ct: Dataset, clean: Cleaner) -> None:
    values = picture(bits, signed=True)
    ct = shaped(ct, values, bits)
    ct.PixelData = values.tobytes()
    ct.compress(JPEGLSLossless, generate_instance_uid=False)
    done = clean(ct)
    assert done.ds.file_meta.TransferSyntaxUID == JPEGLSLossless
    assert np.array_equal(done.ds.pixel_array, values)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("signed", [True, False], ids=["header signed", "header unsigned"])
def test_jpeg_2000_is_read_where_header_and_stream_differ_in_their_sign(
    signed: bool, ct: Dataset, clean: Cleaner
) -> None:
    values = picture(12, signed)
    said = (values & 4095).astype("<u2") if signed else values.astype("<i2")
    stream = openjpeg.utils.encode_array(said, bits_stored=12 if signed else 13, codec_format=0)
    done = clean(packed(shaped(ct, values, 12), bytes(stream), JPEG2000Lossless))
    assert np.array_equal(done.ds.pixel_array, values)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("at", [8, 12], ids=["columns", "rows"])
def test_a_jpeg_2000_picture_of_another_size_is_not_decoded(at: int, ct: Dataset, names: Pseudonyms) -> None:
    values = picture(12)
    stream = bytearray(openjpeg.utils.encode_array(values, bits_stored=12, codec_format=0))
    stream[at : at + 4] = (60_000).to_bytes(4, "big")
    refused = attempt(packed(shaped(ct, values, 12), bytes(stream), JPEG2000Lossless), names)
    assert isinstance(refused, Refused)
    assert "of the size that the header says" in refused.detail


# ---------------------------------------------------------------- what is not taken


PICTURES = ("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.7")
SYNTAXES = [uid for uid in uid_registry.table() if uid_registry.is_transfer_syntax(uid) and uid.startswith(PICTURES)]
NOT_TAKEN = [uid for uid in SYNTAXES if uid not in DECODED]


@pytest.mark.parametrize("syntax", NOT_TAKEN, ids=uid_registry.name_of)
def test_a_compression_that_nobody_decodes_is_refused_by_name_and_says_what_to_do(
    syntax: str, ct: Dataset, names: Pseudonyms
) -> None:
    refused = attempt(packed(ct, b"stream", syntax), names)
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.TRANSFER_SYNTAX
    name, _, instead = refused.detail.partition(f" ({syntax}): ")
    assert name == uid_registry.name_of(syntax)
    assert len(instead) > 10


def test_a_transfer_syntax_of_nobody_is_refused_without_being_repeated(ct: Dataset, names: Pseudonyms) -> None:
    refused = attempt(packed(ct, b"stream", "1.2.826.0.1.3680043.4711"), names)
    assert isinstance(refused, Refused)
    assert "4711" not in refused.detail


# ---------------------------------------------------------------- the table of the standard


def test_the_table_has_what_the_library_has_and_every_class_whose_attributes_are_known() -> None:
    assert not UID_dictionary.keys() - uid_registry.table().keys()
    assert not _types()["classes"].keys() - uid_registry.table().keys()
    assert uid_registry.name_of("1.2.840.10008.5.1.4.1.1.66.7") == "Label Map Segmentation Storage"


@pytest.mark.parametrize(
    "sop_class",
    ["1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.601.3", "1.2.840.10008.5.1.4.1.1.2.9"],
    ids=["label map", "thermography", "of a later edition"],
)
def test_a_class_under_dicom_s_root_stays_as_it_is_everywhere(ct: Dataset, clean: Cleaner, sop_class: str) -> None:
    ct.SOPClassUID = sop_class
    other = Dataset()
    other.ReferencedSOPClassUID, other.ReferencedSOPInstanceUID = sop_class, "1.2.826.0.1.3680043.9.7.1.77"
    ct.SourceImageSequence = [other]
    done = clean(ct)
    assert done.ds.SOPClassUID == done.ds.file_meta.MediaStorageSOPClassUID == sop_class
    assert done.ds.SourceImageSequence[0].ReferencedSOPClassUID == sop_class
    assert done.ds.SourceImageSequence[0].ReferencedSOPInstanceUID != other.ReferencedSOPInstanceUID


@pytest.mark.parametrize("uid", ["1.2.840.10008.20240229.142205", "1.2.840.10008.5.1.4.1.1.2.48213", "1.2.840.10008."])
def test_a_number_of_somebody_under_dicom_s_root_does_not_stay(uid: str) -> None:
    assert not registered(uid)


def test_a_study_that_was_numbered_like_a_class_gets_a_uid_of_its_own(ct: Dataset, clean: Cleaner) -> None:
    ct.StudyInstanceUID = "1.2.840.10008.5.1.4.1.1.2"
    done = clean(ct)
    assert done.ds.StudyInstanceUID == done.identity.clean_study_uid != ct.StudyInstanceUID
