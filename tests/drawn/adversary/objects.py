"""Objects of every kind about a drawn person, each valid, small, and with numbers that must stay as they are."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import ImageCms
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from tests.drawn.adversary.people import Somebody, dicom_day
from tests.spec.deid import objects as told
from tests.spec.deid.objects import code

_TOLD_ROOT = "1.2.826.0.1.3680043.9.7"


def item(**values: Any) -> Dataset:
    """A data set with these values."""
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def _header(one: Somebody, sop_class: str, modality: str) -> Dataset:
    day = dicom_day(one.studied)
    ds = item(
        SpecificCharacterSet=one.who.charset, SOPClassUID=sop_class, SOPInstanceUID=f"{one.root}.1.3",
        StudyInstanceUID=f"{one.root}.1.1", SeriesInstanceUID=f"{one.root}.1.2", FrameOfReferenceUID=f"{one.root}.1.4",
        PatientName=one.who.pn, PatientID=one.who.number, PatientBirthDate=dicom_day(one.born), PatientSex="F",
        StudyDate=day, StudyTime="081500", SeriesDate=day, SeriesTime="081600", AcquisitionDate=day,
        AcquisitionTime="081630.5", ContentDate=day, ContentTime="081700", AccessionNumber=one.accession,
        StudyID=one.study_id, SeriesNumber="4", InstanceNumber="17", AcquisitionNumber="1",
        ReferringPhysicianName=one.physician, InstitutionName=one.institution, PatientAddress=one.street,
        PatientTelephoneNumbers=one.who.phone, PatientTelecomInformation=one.email, Modality=modality,
        Manufacturer="ACME", PositionReferenceIndicator="", PatientWeight="71.5", PatientSize="1.68",
    )  # fmt: skip
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def with_pixels(
    ds: Dataset, pixels: np.ndarray[Any, Any], photometric: str = "MONOCHROME2", frames: int = 0
) -> Dataset:
    """The data set with these numbers as its picture."""
    shape = pixels.shape[1:] if frames else pixels.shape
    ds.Rows, ds.Columns = shape[:2]
    ds.SamplesPerPixel = shape[2] if len(shape) > 2 else 1
    if ds.SamplesPerPixel > 1:
        ds.PlanarConfiguration = 0
    if frames:
        ds.NumberOfFrames = frames
    ds.PhotometricInterpretation = photometric
    ds.BitsAllocated = ds.BitsStored = 8 * pixels.itemsize
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, int(pixels.dtype.kind == "i")
    ds.add_new(0x7FE0_0010, "OW" if pixels.itemsize > 1 else "OB", pixels.tobytes())
    return ds


def _numbers(rng: random.Random, shape: tuple[int, ...], kind: str = "<u2") -> np.ndarray[Any, Any]:
    return np.random.default_rng(rng.randrange(2**32)).integers(0, 200, shape).astype(kind)


def _plane(ds: Dataset) -> None:
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-170, -180, -100.5], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [0.7, 0.7], "1.25"


def ct(one: Somebody, rng: random.Random) -> Dataset:
    """A slice of an abdomen."""
    ds = _header(one, uid.CTImageStorage, "CT")
    _plane(ds)
    ds.BodyPartExamined, ds.ImageType, ds.KVP = "ABDOMEN", ["ORIGINAL", "PRIMARY", "AXIAL"], "120"
    ds.RescaleIntercept, ds.RescaleSlope, ds.ConvolutionKernel = "-1024", "1", "BONEPLUS"
    ds.RescaleType, ds.PatientPosition = "HU", "HFS"
    return with_pixels(ds, _numbers(rng, (8, 8)))


def mr(one: Somebody, rng: random.Random) -> Dataset:
    """A slice of a knee."""
    ds = _header(one, uid.MRImageStorage, "MR")
    _plane(ds)
    ds.BodyPartExamined, ds.ImageType = "KNEE", ["ORIGINAL", "PRIMARY", "M", "NORM"]
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "SE", "SK", "", "2D"
    ds.RepetitionTime, ds.EchoTime, ds.EchoTrainLength, ds.SequenceName = "500", "12.5", "1", "*se2d1"
    ds.PatientPosition, ds.Laterality = "FFS", "R"
    return with_pixels(ds, _numbers(rng, (8, 8)))


def cr(one: Somebody, rng: random.Random) -> Dataset:
    """A radiograph of a hand."""
    ds = _header(one, uid.ComputedRadiographyImageStorage, "CR")
    ds.BodyPartExamined, ds.ViewPosition, ds.PatientOrientation = "HAND", "PA", ["L", "F"]
    ds.ImageType, ds.Laterality, ds.KVP, ds.ExposureTime = ["ORIGINAL", "PRIMARY"], "L", "55", "12"
    del ds.FrameOfReferenceUID, ds.PositionReferenceIndicator
    return with_pixels(ds, _numbers(rng, (8, 8)))


def dx(one: Somebody, rng: random.Random) -> Dataset:
    """A digital radiograph of a chest."""
    ds = _header(one, uid.DigitalXRayImageStorageForPresentation, "DX")
    del ds.FrameOfReferenceUID, ds.PositionReferenceIndicator
    ds.PresentationIntentType, ds.BodyPartExamined, ds.ImageType = (
        "FOR PRESENTATION",
        "CHEST",
        ["ORIGINAL", "PRIMARY", ""],
    )
    ds.AnatomicRegionSequence, ds.ImageLaterality = [code("51185008", "SCT", "Chest")], "U"
    ds.DetectorType, ds.ImagerPixelSpacing, ds.PatientOrientation = "DIRECT", [0.14, 0.14], ["L", "F"]
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType, ds.PresentationLUTShape = "0", "1", "US", "IDENTITY"
    ds.LossyImageCompression, ds.BurnedInAnnotation, ds.AcquisitionContextSequence = "00", "NO", []
    ds.WindowCenter, ds.WindowWidth = "100", "200"
    return with_pixels(ds, _numbers(rng, (8, 8)))


def us(one: Somebody, rng: random.Random) -> Dataset:
    """A cine of three frames in colour."""
    ds = _header(one, uid.UltrasoundMultiFrameImageStorage, "US")
    del ds.FrameOfReferenceUID, ds.PositionReferenceIndicator
    ds.ImageType, ds.FrameTime, ds.LossyImageCompression = ["ORIGINAL", "PRIMARY", "ABDOMINAL"], "33.3", "00"
    ds.FrameIncrementPointer, ds.PatientOrientation, ds.Laterality = 0x0018_1063, [], "L"
    ds.SequenceOfUltrasoundRegions = [item(
        RegionSpatialFormat=1, RegionDataType=1, RegionFlags=2, RegionLocationMinX0=1, RegionLocationMinY0=1,
        RegionLocationMaxX1=30, RegionLocationMaxY1=30, PhysicalUnitsXDirection=3, PhysicalUnitsYDirection=3,
        PhysicalDeltaX=0.0125, PhysicalDeltaY=0.0125,
    )]  # fmt: skip
    return with_pixels(ds, np.zeros((3, 32, 32, 3), np.uint8) + np.uint8(40), "RGB", frames=3)


def pet(one: Somebody, rng: random.Random) -> Dataset:
    """A slice with everything that a standardised uptake value is computed from."""
    ds = _header(one, uid.PositronEmissionTomographyImageStorage, "PT")
    _plane(ds)
    day = dicom_day(one.studied)
    ds.ImageType, ds.BodyPartExamined, ds.Units, ds.CountsSource = (
        ["ORIGINAL", "PRIMARY"],
        "ABDOMEN",
        "BQML",
        "EMISSION",
    )
    ds.SeriesType, ds.NumberOfSlices, ds.ImageIndex, ds.CorrectedImage = ["STATIC", "IMAGE"], 90, 7, ["DECY", "ATTN"]
    ds.DecayCorrection, ds.DecayFactor, ds.ScatterFractionFactor, ds.DoseCalibrationFactor = "START", "1.02", "0.3", "1"
    ds.FrameReferenceTime, ds.ActualFrameDuration, ds.CollimatorType = "150000", "180000", "NONE"
    ds.RadiopharmaceuticalInformationSequence = [item(
        Radiopharmaceutical="Fluorodeoxyglucose", RadiopharmaceuticalStartTime="071530",
        RadiopharmaceuticalStartDateTime=f"{day}071530", RadionuclideTotalDose="370500000",
        RadionuclideHalfLife="6586.2", RadionuclidePositronFraction="0.97",
        RadionuclideCodeSequence=[code("77004003", "SCT", "^18^Fluorine")],
    )]  # fmt: skip
    ds.PatientOrientationCodeSequence, ds.PatientGantryRelationshipCodeSequence = [], []
    ds.RescaleIntercept, ds.RescaleSlope, ds.LossyImageCompression = "0", "2.5", "00"
    return with_pixels(ds, _numbers(rng, (8, 8), "<i2"))


def dose(one: Somebody, rng: random.Random) -> Dataset:
    """A dose grid of two planes and a histogram."""
    ds = _header(one, uid.RTDoseStorage, "RTDOSE")
    _plane(ds)
    ds.DoseUnits, ds.DoseType, ds.DoseSummationType, ds.DoseGridScaling = "GY", "PHYSICAL", "PLAN", "0.00025"
    ds.GridFrameOffsetVector, ds.FrameIncrementPointer, ds.DoseComment = ["0", "2.5"], 0x3004_000C, "lung"
    ds.ReferencedRTPlanSequence = [
        item(ReferencedSOPClassUID=uid.RTPlanStorage, ReferencedSOPInstanceUID=f"{one.root}.2.6")
    ]
    ds.DVHSequence = [item(
        DVHReferencedROISequence=[item(DVHROIContributionType="INCLUDED", ReferencedROINumber="1")],
        DVHType="CUMULATIVE", DoseUnits="GY", DoseType="PHYSICAL", DVHDoseScaling="1", DVHVolumeUnits="CM3",
        DVHNumberOfBins="2", DVHData=["0.5", "12.25", "0.5", "3.75"],
    )]  # fmt: skip
    ds.ReferencedStructureSetSequence = [
        item(ReferencedSOPClassUID=uid.RTStructureSetStorage, ReferencedSOPInstanceUID=f"{one.root}.2.5")
    ]
    return with_pixels(ds, _numbers(rng, (2, 8, 8), "<u4"), frames=2)


def _dimensions(ds: Dataset, one: Somebody, *pointers: tuple[int, int]) -> None:
    ds.DimensionOrganizationSequence = [item(DimensionOrganizationUID=f"{one.root}.1.6")]
    ds.DimensionIndexSequence = [
        item(DimensionOrganizationUID=f"{one.root}.1.6", DimensionIndexPointer=p, FunctionalGroupPointer=g)
        for p, g in pointers
    ]


def seg(one: Somebody, rng: random.Random) -> Dataset:
    """A segmentation of the image, one frame."""
    ds = _header(one, uid.SegmentationStorage, "SEG")
    ds.SOPInstanceUID, ds.SeriesInstanceUID = f"{one.root}.2.9", f"{one.root}.3.9"
    ds.ImageType, ds.SegmentationType = ["DERIVED", "PRIMARY"], "FRACTIONAL"
    ds.SegmentationFractionalType, ds.MaximumFractionalValue = "PROBABILITY", 255
    ds.ContentLabel, ds.ContentDescription, ds.ContentCreatorName = "SEGMENTATION", "", one.physician
    ds.LossyImageCompression, ds.DeviceSerialNumber, ds.ManufacturerModelName, ds.SoftwareVersions = "00", "1", "S", "1"
    ds.SegmentSequence = [item(
        SegmentNumber=1, SegmentLabel="Liver", SegmentAlgorithmType="AUTOMATIC", SegmentAlgorithmName="net",
        SegmentedPropertyCategoryCodeSequence=[code("123037004", "SCT", "Anatomical Structure")],
        SegmentedPropertyTypeCodeSequence=[code("10200004", "SCT", "Liver")],
        RecommendedDisplayCIELabValue=[30000, 20000, 20000],
    )]  # fmt: skip
    ds.ReferencedSeriesSequence = [
        item(SeriesInstanceUID=f"{one.root}.1.2", ReferencedInstanceSequence=[image_of(one)])
    ]
    _dimensions(ds, one, (0x0062_000B, 0x0062_000A), (0x0020_0032, 0x0020_9113))
    ds.SharedFunctionalGroupsSequence = [item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[item(PixelSpacing=[0.7, 0.7], SliceThickness="1.25", SpacingBetweenSlices="1.25")],
    )]  # fmt: skip
    purpose = code("121322", "DCM", "Source image for image processing operation")
    source = item(ReferencedSOPClassUID=uid.CTImageStorage, ReferencedSOPInstanceUID=f"{one.root}.1.3",
                  PurposeOfReferenceCodeSequence=[purpose])  # fmt: skip
    ds.PerFrameFunctionalGroupsSequence = [item(
        DerivationImageSequence=[item(
            SourceImageSequence=[source], DerivationCodeSequence=[code("113076", "DCM", "Segmentation")])],
        FrameContentSequence=[item(DimensionIndexValues=[1, 1])],
        PlanePositionSequence=[item(ImagePositionPatient=[-170, -180, -100.5])],
        SegmentIdentificationSequence=[item(ReferencedSegmentNumber=1)],
    )]  # fmt: skip
    return with_pixels(ds, _numbers(rng, (1, 8, 8), "<u1"), frames=1)


def colours() -> bytes:
    """A colour profile."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile + bytes(len(profile) & 1)


def wsi(one: Somebody, rng: random.Random) -> Dataset:
    """A tile of a slide: specimen, optical path, colours."""
    ds = _header(one, uid.VLWholeSlideMicroscopyImageStorage, "SM")
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.AcquisitionDateTime = f"{dicom_day(one.studied)}081630"
    ds.DimensionOrganizationType, ds.ManufacturerModelName, ds.SoftwareVersions = "TILED_FULL", "S", "1"
    ds.DeviceSerialNumber = "9"
    _dimensions(ds, one, (0x0048_021E, 0x0048_021A), (0x0048_021F, 0x0048_021A))
    ds.SharedFunctionalGroupsSequence = [item(
        PixelMeasuresSequence=[item(PixelSpacing=[0.06, 0.06], SliceThickness="0.001")],
        WholeSlideMicroscopyImageFrameTypeSequence=[item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])],
        OpticalPathIdentificationSequence=[item(OpticalPathIdentifier="1")],
    )]  # fmt: skip
    ds.VolumetricProperties, ds.FocusMethod, ds.ExtendedDepthOfField = "VOLUME", "AUTO", "NO"
    ds.ImagedVolumeWidth, ds.ImagedVolumeHeight, ds.ImagedVolumeDepth = 2.0, 2.0, 1.0
    ds.TotalPixelMatrixColumns = ds.TotalPixelMatrixRows = 32
    ds.TotalPixelMatrixOriginSequence = [item(XOffsetInSlideCoordinateSystem="20", YOffsetInSlideCoordinateSystem="40")]
    ds.ImageOrientationSlide, ds.NumberOfOpticalPaths, ds.TotalPixelMatrixFocalPlanes = [0, -1, 0, -1, 0, 0], 1, 1
    ds.ContainerIdentifier, ds.IssuerOfTheContainerIdentifierSequence = f"{one.accession}-A1", []
    ds.ContainerTypeCodeSequence = [code("433466003", "SCT", "Microscope slide")]
    ds.AcquisitionContextSequence = []
    ds.SpecimenDescriptionSequence = [item(
        SpecimenIdentifier=f"{one.accession}-A1-1", SpecimenUID=f"{one.root}.1.7",
        IssuerOfTheSpecimenIdentifierSequence=[], SpecimenPreparationSequence=[],
        SpecimenShortDescription=f"skin of {one.who.family}",
    )]  # fmt: skip
    ds.OpticalPathSequence = [item(
        OpticalPathIdentifier="1", IlluminationTypeCodeSequence=[code("111744", "DCM", "Brightfield illumination")],
        IlluminationColorCodeSequence=[code("11744", "DCM", "Full Spectrum")],
        ICCProfile=colours(), ColorSpace="SRGB",
    )]  # fmt: skip
    ds.BurnedInAnnotation, ds.LossyImageCompression, ds.SpecimenLabelInImage = "NO", "00", "NO"
    return with_pixels(ds, np.zeros((1, 32, 32, 3), np.uint8) + np.uint8(200), "RGB", frames=1)


def image_of(one: Somebody) -> Dataset:
    """A reference to the image of the study."""
    return item(ReferencedSOPClassUID=uid.CTImageStorage, ReferencedSOPInstanceUID=f"{one.root}.1.3")


def _retold(make: Callable[[], Dataset]) -> Callable[[Somebody, random.Random], Dataset]:
    """An object of the specification's invented person, about the drawn one."""

    def run(one: Somebody, rng: random.Random) -> Dataset:
        ds = make()
        if "FrameOfReferenceUID" not in ds and ds.Modality == "RTSTRUCT":
            ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = told.FRAME, ""
        if ds.Modality.startswith("RT"):
            ds.OperatorsName = one.physician
        own = _header(one, str(ds.SOPClassUID), str(ds.Modality))
        _retell(ds, one)
        for keyword in (
            *("SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyID"),
            *("ReferringPhysicianName", "InstitutionName", "PatientAddress", "PatientTelephoneNumbers", "StudyDate"),
        ):
            ds[keyword] = own[keyword]
        return ds

    run.__name__ = make.__name__
    return run


def _retell(ds: Dataset, one: Somebody) -> None:
    swaps = {
        "Quillfeather": one.who.family, "QUILLFEATHER": one.who.family.upper()[:12], "Oswina": one.who.given,
        "QUILLFEA": one.who.family.upper()[:8], "Brakspear^Tobias": one.physician, _TOLD_ROOT: one.root,
        "20240229": dicom_day(one.studied),
    }  # fmt: skip
    for element in ds:
        if element.VR == "SQ":
            for inner in element.value or Sequence():
                _retell(inner, one)
        elif element.VR in ("LO", "SH", "ST", "LT", "UT", "PN", "UI", "DA", "DT") and element.value:
            value = str(element.value)
            for old, new in swaps.items():
                value = value.replace(old, new)
            element.value = value


KINDS: dict[str, Callable[[Somebody, random.Random], Dataset]] = {
    "CT": ct, "MR": mr, "CR": cr, "DX": dx, "US": us, "PET": pet, "RTDOSE": dose, "SEG": seg, "WSI": wsi,
    "SR": _retold(told.report), "KO": _retold(told.key_objects), "PR": _retold(told.presentation),
    "ECG": _retold(told.ecg), "RTSTRUCT": _retold(told.structures), "RTPLAN": _retold(told.plan),
}  # fmt: skip
