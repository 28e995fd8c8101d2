"""Other forms of a stored instance: Explicit VR Little Endian files, and frames as plain little-endian bytes.

Values are exact to the bit wherever the stored form is lossless; the instance keeps its SOP Instance UID.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread, dcmwrite
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGExtended12Bit

from readfirst.domain.decoding import NATIVE, RLE, Stored, Undecodable, decode

# Bytes of a word of each VR that is swapped with the byte order (PS3.5 7.3).
_WORD = {
    **dict.fromkeys(("OW", "US", "SS", "AT"), 2),
    **dict.fromkeys(("OL", "OF", "UL", "SL", "FL"), 4),
    **dict.fromkeys(("OD", "OV", "FD", "UV", "SV"), 8),
}
_OF_FRAGMENTS = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")


def explicit_little_endian(ds: Dataset) -> bytes:
    """The data set as an Explicit VR Little Endian file; changes it. Raises Undecodable.

    Colours of a lossy JPEG become RGB, as its decoders give them; those of lossless pictures stay what they are.
    """
    if is_compressed(ds):
        if "PixelData" not in ds:
            raise Undecodable("there are no pixels in the file")
        _decompress(ds)
    elif ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian:
        for holder, tag in _binary(ds):
            element = holder[tag]
            element.value = swapped(bytes(element.value), word_of(holder, element))
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.preamble = ds.preamble or bytes(128)
    out = io.BytesIO()
    dcmwrite(out, ds, implicit_vr=False, little_endian=True, force_encoding=True)
    return out.getvalue()


def opened(data: bytes) -> Dataset:
    """The data set of a file's bytes."""
    return dcmread(io.BytesIO(data))


def is_compressed(ds: Dataset) -> bool:
    """Whether its pixels lie in fragments."""
    return str(ds.file_meta.TransferSyntaxUID) not in NATIVE


def frame_count(ds: Dataset) -> int:
    """How many frames the header says; 1 where it says nothing."""
    return int(ds.get("NumberOfFrames") or 1)


def compressed_frame(ds: Dataset, number: int) -> bytes:
    """Frame `number` (from 1) of an encapsulated picture, as it is stored. Raises Undecodable."""
    offsets = tuple(ds[name].value for name in _OF_FRAGMENTS) if all(name in ds for name in _OF_FRAGMENTS) else None
    try:
        return bytes(get_frame(ds.PixelData, number - 1, extended_offsets=offsets, number_of_frames=frame_count(ds)))
    except Exception as error:  # broken fragments make pydicom raise many kinds
        raise Undecodable("the frames cannot be told apart") from error


def plain_frames(ds: Dataset, numbers: Iterable[int]) -> Iterator[bytes]:
    """Frames (from 1) as uncompressed little-endian bytes, laid out as the header's attributes say.

    Raises Undecodable.
    """
    if not is_compressed(ds):
        yield from (_native(ds, number) for number in numbers)
        return
    found = decoded(ds, [number - 1 for number in numbers], as_rgb=ds.get("PhotometricInterpretation") == "RGB")
    yield from (_as_described(frame, ds) for frame in found)


def swapped(data: bytes, word: int) -> bytes:
    """The bytes of each word the other way round."""
    whole = len(data) // word * word
    return np.frombuffer(data[:whole], f">u{word}").astype(f"<u{word}").tobytes() + data[whole:]


def word_of(ds: Dataset, element: Any) -> int:
    """How many bytes of a binary value are swapped together. Wide pixels are words of their own, as writers have it."""
    word = _WORD.get(known_vr(element), 1)
    return max(word, int(ds.get("BitsAllocated") or 0) // 8) if word == 2 and element.tag == 0x7FE00010 else word


def known_vr(element: Any) -> str:
    """The element's VR. A value that is too long for its VR's length field is written as UN (PS3.5 6.2.2): of a public
    attribute the dictionary knows what it is (where it leaves a choice, words)."""
    if element.VR != "UN" or element.tag.is_private or not dictionary_has_tag(element.tag):
        return str(element.VR)
    vr = str(dictionary_VR(element.tag))
    return "UN" if vr == "SQ" else "OW" if " " in vr else vr


def _binary(ds: Dataset) -> Iterator[tuple[Dataset, int]]:
    """Every element of words in binary, in sequences too, with the item that holds it."""
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield from _binary(item)
        elif isinstance(element.value, bytes) and word_of(ds, element) > 1:
            yield ds, element.tag


def _decompress(ds: Dataset) -> None:
    lossy = ds.file_meta.TransferSyntaxUID in (JPEGBaseline8Bit, JPEGExtended12Bit)
    photometric = colours_after(ds, as_rgb=lossy)
    data = b"".join(frame.tobytes() for frame in decoded(ds, range(frame_count(ds)), as_rgb=lossy))
    del ds.PixelData  # so that nothing of its old form is left
    for name in _OF_FRAGMENTS:
        ds.pop(name, None)
    ds.add_new("PixelData", "OB" if int(ds.BitsAllocated) <= 8 else "OW", data + bytes(len(data) % 2))
    ds.PhotometricInterpretation = photometric
    if int(ds.get("SamplesPerPixel") or 1) > 1:
        ds.PlanarConfiguration = 0


def colours_after(ds: Dataset, *, as_rgb: bool) -> str:
    """The photometric interpretation of decoded pixels: decoders of JPEG 2000 undo its own transformation."""
    said = str(ds.get("PhotometricInterpretation", ""))
    if not said.startswith("YBR"):
        return said
    return "RGB" if as_rgb or said in ("YBR_RCT", "YBR_ICT") else "YBR_FULL"


def decoded(ds: Dataset, indices: Iterable[int], *, as_rgb: bool, bare: bool = True) -> Iterator[NDArray[np.generic]]:
    """Compressed frames (from 0), decoded: [row, column] or [row, column, sample]. Raises Undecodable.

    `bare`: what lies in bits that no pixel uses (old overlays) stays, where the compression keeps words.
    """
    try:
        samples = int(ds.get("SamplesPerPixel") or 1)
        form = Stored(
            str(ds.file_meta.TransferSyntaxUID), int(ds.Rows), int(ds.Columns), int(ds.BitsAllocated),
            int(ds.BitsStored), int(ds.get("HighBit", ds.BitsStored - 1)), int(ds.get("PixelRepresentation") or 0),
            samples, str(ds.get("PhotometricInterpretation", "")), int(ds.get("PlanarConfiguration") or 0),
            bare=bare and ds.file_meta.TransferSyntaxUID == RLE, own_colours=not as_rgb,
        )  # fmt: skip
        for index in indices:
            yield decode(form, compressed_frame(ds, index + 1))
    except Undecodable:
        raise
    except Exception as error:  # a header that contradicts itself, no frames, no decoder
        raise Undecodable("the pixels cannot be told apart") from error


def _as_described(frame: NDArray[np.generic], ds: Dataset) -> bytes:
    """A decoded frame laid out as the header says, which is what a reader of the metadata expects of it."""
    if frame.ndim < 3:
        return frame.tobytes()
    if _halved(ds):
        return _with_half_colour(frame)
    return (frame.transpose(2, 0, 1) if ds.get("PlanarConfiguration") == 1 else frame).tobytes()


def _with_half_colour(frame: NDArray[np.generic]) -> bytes:
    """Y Y Cb Cr for each two pixels of a row (PS3.3 C.7.6.3.1.2); a decoder had made it three values for each."""
    wide = np.asarray(frame[:, : frame.shape[1] // 2 * 2], np.uint16)
    pairs = wide.reshape(wide.shape[0], -1, 2, 3)
    colour = (pairs[:, :, 0, 1:] + pairs[:, :, 1, 1:] + 1) // 2
    return np.concatenate([pairs[..., 0], colour], axis=2).astype(frame.dtype).tobytes()


def _halved(ds: Dataset) -> bool:
    return str(ds.get("PhotometricInterpretation", "")).endswith("_422")


def _native(ds: Dataset, number: int) -> bytes:
    count, element = frame_count(ds), ds["PixelData"]
    bits = int(ds.Rows) * int(ds.Columns) * int(ds.get("SamplesPerPixel") or 1) * int(ds.BitsAllocated)
    pixels = bytes(element.value)
    if ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian:
        pixels = swapped(pixels, word_of(ds, element))
    if _halved(ds) and len(pixels) * 8 < bits * count:  # else the name is wrong, and the pixels are whole
        bits = bits // 3 * 2
    if len(pixels) * 8 < bits * number:
        raise Undecodable("fewer pixels than rows and columns say")
    if int(ds.BitsAllocated) > 1:
        return pixels[(number - 1) * bits // 8 : number * bits // 8]
    # Frames of one bit a pixel are packed without padding between them (PS3.5 8.1.1): cut, then pack anew.
    first, last = (number - 1) * bits, number * bits
    every = np.unpackbits(np.frombuffer(pixels[first // 8 : (last + 7) // 8], np.uint8), bitorder="little")
    return np.packbits(every[first % 8 : first % 8 + bits], bitorder="little").tobytes()
