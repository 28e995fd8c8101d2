"""Instances for the tests of what others are given: any pixels, in any photometric interpretation and syntax."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import gdcm
import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    UltrasoundMultiFrameImageStorage,
)

UID_OF_INSTANCE = "2.25.70.1.1"
UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
JPEG_XL = UID("1.2.840.10008.1.2.4.110")  # lossless; pydicom does not know it yet
COMPRESSED = (RLELossless, JPEGLSLossless, JPEG2000Lossless, JPEGLosslessSV1, JPEG_XL)


def instance(pixels: np.ndarray, photometric: str = "MONOCHROME2", *, stored: int = 0, **more: object) -> Dataset:
    """An instance of `pixels` [frame, row, column, (sample)], in Explicit VR Little Endian; its meta names it."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    colour = pixels.ndim == 4
    ds.SOPClassUID = UltrasoundMultiFrameImageStorage if colour else CTImageStorage
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = "2.25.70", "2.25.70.1", UID_OF_INSTANCE
    ds.Modality = "US" if colour else "CT"
    ds.NumberOfFrames, ds.Rows, ds.Columns = pixels.shape[:3]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 3 if colour else 1, photometric
    if colour:
        ds.PlanarConfiguration = 0
    bits = 8 * pixels.dtype.itemsize
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, stored or bits, (stored or bits) - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    if photometric == "PALETTE COLOR":
        for k, name in enumerate(("Red", "Green", "Blue")):
            setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
            entries = np.roll(np.arange(256), 40 * k).astype("<u2") * 257
            ds.add_new(f"{name}PaletteColorLookupTableData", "OW", entries.tobytes())
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    little = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    ds.add_new("PixelData", "OB" if bits == 8 else "OW", little + bytes(len(little) % 2))
    return ds


def file_in(ds: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The instance as a file in that transfer syntax; changes it. Fragments are taken as they are."""
    if ds["PixelData"].is_undefined_length:
        return _written(ds, syntax)
    if syntax == JPEGLosslessSV1:
        return _jpeg_lossless(file_in(ds))
    if syntax == JPEG_XL:
        ds.PixelData = encapsulate([imagecodecs.jpegxl_encode(frame, lossless=True) for frame in _unsigned(ds)])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    elif UID(syntax).is_compressed:
        plugin = {RLELossless: "pydicom", JPEGLSLossless: "pyjpegls", JPEG2000Lossless: "pylibjpeg"}[UID(syntax)]
        ds.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    return _written(ds, syntax)


def _written(ds: Dataset, syntax: str) -> bytes:
    big = syntax == ExplicitVRBigEndian
    if big and ds.BitsAllocated > 8:
        ds.PixelData = np.frombuffer(ds.PixelData, f"<u{ds.BitsAllocated // 8}").byteswap().tobytes()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.file_meta.FileMetaInformationVersion, ds.file_meta.ImplementationClassUID = b"\0\1", "2.25.1"
    ds.preamble = bytes(128)
    out = io.BytesIO()
    pydicom.dcmwrite(out, ds, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=not big, force_encoding=True)
    return out.getvalue()


def _unsigned(ds: Dataset) -> np.ndarray:
    """The stored bits of each value, without a sign, which JPEG XL does not have."""
    words = np.frombuffer(ds.PixelData, f"<u{ds.BitsAllocated // 8}") & ((1 << ds.BitsStored) - 1)
    shape = (ds.NumberOfFrames, ds.Rows, ds.Columns, *([3] if ds.SamplesPerPixel == 3 else []))
    return words[: np.prod(shape)].reshape(shape)


def _jpeg_lossless(content: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "in.dcm", Path(folder) / "out.dcm"
        before.write_bytes(content)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(before))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(after))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return after.read_bytes()
