"""DICOM files for the job's tests: the phantom's slices, written in other ways."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import gdcm
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    DigitalXRayImageStorageForPresentation,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    JPEGLosslessSV1,
)

MOVED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope",
         "RescaleIntercept", "BodyPartExamined", "SliceLocation", "KVP")  # fmt: skip


def rewritten(content: bytes, change: Callable[[Dataset], object]) -> bytes:
    """The file after a change."""
    ds = pydicom.dcmread(io.BytesIO(content))
    change(ds)
    return saved(ds)


def saved(ds: Dataset) -> bytes:
    """The data set as a file."""
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def compressed(content: bytes, syntax: UID) -> bytes:
    """The file in a compression that pydicom can write."""
    return rewritten(content, lambda ds: ds.compress(syntax, generate_instance_uid=False))


def jpeg_lossless(content: bytes) -> bytes:
    """The file as JPEG lossless, by GDCM."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in.dcm").write_bytes(content)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(Path(folder) / "in.dcm"))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(Path(folder) / "out.dcm"))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return (Path(folder) / "out.dcm").read_bytes()


def with_picture(content: bytes, picture: bytes, syntax: UID) -> bytes:
    """The file with this compressed picture in place of its own."""

    def change(ds: Dataset) -> None:
        ds.PixelData = encapsulate([picture])
        ds["PixelData"].VR = "OB"
        ds.file_meta.TransferSyntaxUID = syntax

    return rewritten(content, change)


def picture_of(content: bytes) -> bytes:
    """The compressed picture of a file of one frame."""
    return next(generate_frames(pydicom.dcmread(io.BytesIO(content)).PixelData, number_of_frames=1))


def enhanced(contents: Sequence[bytes], syntax: UID | None = None) -> bytes:
    """The same slices as one enhanced CT file, every frame with a rescaling of its own."""
    slices = [pydicom.dcmread(io.BytesIO(c)) for c in contents]
    ds = pydicom.dcmread(io.BytesIO(contents[0]))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    for keyword in MOVED:
        ds.pop(keyword, None)
    ds.NumberOfFrames = len(slices)
    pixels = [np.frombuffer(s.PixelData, "<i2") - 3 * k for k, s in enumerate(slices)]
    ds.PixelData = np.stack(pixels).astype("<i2").tobytes()
    ds.SharedFunctionalGroupsSequence = [_shared(slices[0])]
    ds.PerFrameFunctionalGroupsSequence = [_frame(s, k) for k, s in enumerate(slices)]
    if syntax == JPEGLosslessSV1:
        ds.PixelData = encapsulate([
            picture_of(jpeg_lossless(rewritten(c, lambda d, p=p: setattr(d, "PixelData", p.astype("<i2").tobytes()))))
            for c, p in zip(contents, pixels, strict=True)
        ])  # fmt: skip
        ds["PixelData"].VR = "OB"
        ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    elif syntax:
        ds.compress(syntax, generate_instance_uid=False)
    return saved(ds)


def item(**values: object) -> Dataset:
    """A sequence item."""
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def _shared(first: Dataset) -> Dataset:
    region = item(CodeValue="51185008", CodingSchemeDesignator="SCT", CodeMeaning="Thorax")
    return item(
        PixelMeasuresSequence=[item(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)],
        PlaneOrientationSequence=[item(ImageOrientationPatient=first.ImageOrientationPatient)],
        FrameAnatomySequence=[item(AnatomicRegionSequence=[region], FrameLaterality="U")],
    )


def _frame(one: Dataset, k: int) -> Dataset:
    kind = item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
    rescale = item(RescaleSlope=1, RescaleIntercept=int(one.RescaleIntercept) + 3 * k, RescaleType="HU")
    return item(
        PlanePositionSequence=[item(ImagePositionPatient=one.ImagePositionPatient)],
        PixelValueTransformationSequence=[rescale],
        CTImageFrameTypeSequence=[kind],
        FrameContentSequence=[item(StackID="1", InStackPositionNumber=k + 1)],
    )


def radiograph(**changes: object) -> bytes:
    """A chest radiograph as a DX system writes it: a bright heart between dark lungs, 12 bits, with a window."""
    rows, columns = np.mgrid[:160, :128]
    grey = np.full(rows.shape, 3000)
    for middle in (38, 90):
        grey[((rows - 80) / 55) ** 2 + ((columns - middle) / 22) ** 2 < 1] = 900
    study = "1.2.826.0.1.3680043.8.498.31"
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in {
        "SOPClassUID": DigitalXRayImageStorageForPresentation, "SOPInstanceUID": f"{study}.1.1",
        "StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.1", "Modality": "DX", "PatientID": "TOKEN",
        "PatientName": "", "PatientBirthDate": "", "PatientSex": "", "StudyDate": "20201105", "StudyTime": "101500",
        "AcquisitionDate": "20201105", "AcquisitionTime": "101530", "AccessionNumber": "ABCD1234",
        "StudyID": "ABCD1234", "ReferringPhysicianName": "", "SeriesNumber": 1, "InstanceNumber": 1,
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA", "PatientOrientation": ["L", "F"], "ImageType": ["ORIGINAL", "PRIMARY"],
        "PresentationIntentType": "FOR PRESENTATION", "ImagerPixelSpacing": [0.15, 0.15], "Rows": 160, "Columns": 128,
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16, "BitsStored": 12,
        "HighBit": 11, "PixelRepresentation": 0, "WindowCenter": 2000, "WindowWidth": 4000, "RescaleSlope": 1,
        "RescaleIntercept": 0, "RescaleType": "US", "PatientAge": "061Y", "PixelData": grey.astype("<u2").tobytes(),
        **changes,
    }.items():  # fmt: skip
        if value is not None:
            setattr(ds, keyword, value)
    return saved(ds)
