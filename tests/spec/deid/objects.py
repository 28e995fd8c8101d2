"""Objects of one study that are not images, each about the same invented person and the same CT image."""

from __future__ import annotations

import math
import struct

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

IMAGE = "1.2.826.0.1.3680043.9.7.1.3"
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
STUDY, SERIES, FRAME = "1.2.826.0.1.3680043.9.7.1.1", "1.2.826.0.1.3680043.9.7.1.2", "1.2.826.0.1.3680043.9.7.1.4"


def about_her(sop_class: str, modality: str, number: int) -> Dataset:
    """What every object of the study says of itself and the person."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, f"1.2.826.0.1.3680043.9.7.2.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, f"1.2.826.0.1.3680043.9.7.3.{number}"
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Quillfeather^Oswina", "48213", "19510423", "F"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20240229", "142205", "S5512", "ACC998877"
    ds.ReferringPhysicianName, ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "Brakspear^Tobias", modality, "7", "1"
    ds.Manufacturer = "ACME"
    return ds


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """A coded entry."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def image() -> Dataset:
    """A reference to the image."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT_CLASS, IMAGE
    return item


def evidence() -> Dataset:
    """The image in its study and series."""
    series, study = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = SERIES, [image()]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = STUDY, [series]
    return study


def content(kind: str, concept: Dataset | None, relation: str = "CONTAINS", **values: object) -> Dataset:
    """A content item."""
    item = Dataset()
    item.RelationshipType, item.ValueType = relation, kind
    if concept is not None:
        item.ConceptNameCodeSequence = [concept]
    for name, value in values.items():
        setattr(item, name, value)
    return item


def number(concept: Dataset, value: str, unit: str, *children: Dataset) -> Dataset:
    """A measurement with its unit, and what it was taken from."""
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = value, [code(unit, "UCUM", unit)]
    item = content("NUM", concept, MeasuredValueSequence=[measured])
    if children:
        item.ContentSequence = list(children)
    return item


def report() -> Dataset:
    """A report: a diameter, the line it was measured along, its image, the observer, a date."""
    ds = about_her("1.2.840.10008.5.1.4.1.1.88.33", "SR", 1)
    ds.ContentDate, ds.ContentTime, ds.CompletionFlag, ds.VerificationFlag = (
        "20240229",
        "150000",
        "COMPLETE",
        "UNVERIFIED",
    )
    ds.ReferencedPerformedProcedureStepSequence, ds.PerformedProcedureCodeSequence = [], []
    ds.CurrentRequestedProcedureEvidenceSequence = [evidence()]
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = [code("126000", "DCM", "Imaging Measurement Report")]
    source = content("IMAGE", None, "SELECTED FROM", ReferencedSOPSequence=[image()])
    line = content("SCOORD", code("121055", "DCM", "Path"), "INFERRED FROM", ContentSequence=[source])
    line.GraphicType, line.GraphicData = "POLYLINE", [1.0, 2.0, 3.0, 4.0]
    ds.ContentSequence = [
        content("PNAME", code("121008", "DCM", "Person Observer Name"), "HAS OBS CONTEXT", PersonName="Zubrowska^V"),
        content("TEXT", code("121071", "DCM", "Finding"), TextValue="Nodule, told to Oswina Quillfeather"),
        number(code("81827009", "SCT", "Diameter"), "12.4", "mm", line),
        content("IMAGE", code("121112", "DCM", "Source of Measurement"), ReferencedSOPSequence=[image()]),
        content("DATE", code("111060", "DCM", "Study Date"), "HAS ACQ CONTEXT", Date="20240229"),
    ]
    return ds


def key_objects() -> Dataset:
    """A selection of key images."""
    ds = about_her("1.2.840.10008.5.1.4.1.1.88.59", "KO", 2)
    ds.ContentDate, ds.ContentTime, ds.ReferencedPerformedProcedureStepSequence = "20240229", "150000", []
    ds.CurrentRequestedProcedureEvidenceSequence = [evidence()]
    ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
    ds.ConceptNameCodeSequence = [code("113000", "DCM", "Of Interest")]
    ds.ContentSequence = [
        content("TEXT", code("113012", "DCM", "Key Object Description"), TextValue="shown to Oswina Quillfeather"),
        content("IMAGE", None, ReferencedSOPSequence=[image()]),
    ]
    return ds


def presentation() -> Dataset:
    """A presentation state with a text, a line and a circle, on two layers."""
    ds = about_her("1.2.840.10008.5.1.4.1.1.11.1", "PR", 3)
    ds.ContentLabel, ds.ContentDescription, ds.ContentCreatorName = "MARKS", "for Quillfeather", "Zubrowska^V"
    ds.PresentationCreationDate, ds.PresentationCreationTime = "20240229", "151500"
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedImageSequence = SERIES, [image()]
    ds.ReferencedSeriesSequence = [series]
    ds.PresentationLUTShape = "IDENTITY"
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = [1, 1], [8, 8]
    area.PresentationSizeMode, area.PresentationPixelAspectRatio = "SCALE TO FIT", [1, 1]
    ds.DisplayedAreaSelectionSequence = [area]
    marks, notes = Dataset(), Dataset()
    marks.ReferencedImageSequence, marks.GraphicLayer = [image()], "ZUBROWSKA"
    marks.GraphicObjectSequence = [
        drawn("POLYLINE", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "N"),
        drawn("CIRCLE", [3.0, 3.0, 3.0, 5.0], "Y"),
    ]
    text = Dataset()
    text.BoundingBoxAnnotationUnits, text.UnformattedTextValue = "PIXEL", "Oswina's nodule"
    text.BoundingBoxTopLeftHandCorner, text.BoundingBoxBottomRightHandCorner = [1.0, 1.0], [4.0, 2.0]
    text.BoundingBoxTextHorizontalJustification = "LEFT"
    notes.ReferencedImageSequence, notes.GraphicLayer, notes.TextObjectSequence = [image()], "NOTES", [text]
    ds.GraphicAnnotationSequence = [marks, notes]
    ds.GraphicLayerSequence = [layer("NOTES", 1), layer("ZUBROWSKA", 2)]
    return ds


def drawn(shape: str, points: list[float], filled: str) -> Dataset:
    """A shape of a presentation state."""
    item = Dataset()
    item.GraphicAnnotationUnits, item.GraphicDimensions = "PIXEL", 2
    item.NumberOfGraphicPoints, item.GraphicData = len(points) // 2, points
    item.GraphicType, item.GraphicFilled = shape, filled
    return item


def layer(name: str, order: int) -> Dataset:
    """A layer of a presentation state."""
    item = Dataset()
    item.GraphicLayer, item.GraphicLayerOrder = name, order
    return item


def ecg() -> Dataset:
    """A recording of one lead with an annotation on it."""
    ds = about_her("1.2.840.10008.5.1.4.1.1.9.1.2", "ECG", 4)
    ds.ContentDate, ds.ContentTime, ds.AcquisitionDateTime = "20240229", "142500", "20240229142500"
    channel, group = Dataset(), Dataset()
    channel.ChannelSourceSequence = [code("2:1", "MDC", "Lead I")]
    channel.ChannelSensitivity, channel.ChannelSensitivityUnitsSequence = "1", [code("uV", "UCUM", "microvolt")]
    channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline, channel.ChannelSampleSkew = "1", "0", "0"
    channel.WaveformBitsStored = 16
    group.WaveformOriginality, group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = "ORIGINAL", 1, 100
    group.SamplingFrequency, group.ChannelDefinitionSequence = "500", [channel]
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    wave = [round(900 * math.sin(i / 8)) for i in range(100)]
    group.WaveformData = struct.pack("<100h", *wave)
    group["WaveformData"].VR = "OW"
    ds.WaveformSequence = [group]
    note, rate = Dataset(), Dataset()
    note.UnformattedTextValue, note.ReferencedWaveformChannels = "Oswina coughed", [1, 1]
    rate.ConceptNameCodeSequence = [code("8867-4", "LN", "Heart rate")]
    rate.NumericValue, rate.MeasurementUnitsCodeSequence = "71", [code("/min", "UCUM", "/min")]
    rate.ReferencedWaveformChannels = [1, 0]
    ds.WaveformAnnotationSequence = [note, rate]
    ds.AcquisitionContextSequence = []
    return ds


def structures() -> Dataset:
    """A structure set with one contour."""
    ds = about_her("1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT", 5)
    ds.StructureSetLabel, ds.StructureSetDate, ds.StructureSetTime = "QUILLFEATHER", "20240229", "160000"
    frame, study, series = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID, series.ContourImageSequence = SERIES, [image()]
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", STUDY
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = FRAME, [study]
    ds.ReferencedFrameOfReferenceSequence = [frame]
    roi, contours, contour, observation = Dataset(), Dataset(), Dataset(), Dataset()
    roi.ROINumber, roi.ReferencedFrameOfReferenceUID, roi.ROIName = "1", FRAME, "GTV"
    roi.ROIGenerationAlgorithm = "MANUAL"
    ds.StructureSetROISequence = [roi]
    contour.ContourImageSequence, contour.ContourGeometricType = [image()], "CLOSED_PLANAR"
    contour.NumberOfContourPoints, contour.ContourData = "3", ["0", "0", "0", "1", "0", "0", "1.5", "2.25", "0"]
    contours.ReferencedROINumber, contours.ContourSequence = "1", [contour]
    ds.ROIContourSequence = [contours]
    observation.ObservationNumber, observation.ReferencedROINumber = "1", "1"
    observation.RTROIInterpretedType, observation.ROIInterpreter = "GTV", "Zubrowska^V"
    ds.RTROIObservationsSequence = [observation]
    return ds


def plan() -> Dataset:
    """A plan with one beam and a brachytherapy source."""
    ds = about_her("1.2.840.10008.5.1.4.1.1.481.5", "RTPLAN", 6)
    ds.RTPlanLabel, ds.RTPlanDate, ds.RTPlanTime, ds.RTPlanGeometry = "QUILLFEA_LUNG", "20240229", "161500", "PATIENT"
    structure, source = Dataset(), Dataset()
    structure.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    structure.ReferencedSOPInstanceUID = structures().SOPInstanceUID
    ds.ReferencedStructureSetSequence = [structure]
    source.SourceNumber, source.SourceType, source.SourceIsotopeName = "1", "LINE", "Ir-192"
    source.SourceIsotopeHalfLife, source.ReferenceAirKermaRate = "73.83", "40700"
    source.SourceStrengthReferenceDate, source.SourceStrengthReferenceTime = "20231101", "080000"
    ds.SourceSequence = [source]
    ds.BeamSequence = [beam()]
    group, used = Dataset(), Dataset()
    used.ReferencedBeamNumber, used.BeamMeterset = "1", "100"
    group.FractionGroupNumber, group.NumberOfFractionsPlanned = "1", "5"
    group.NumberOfBeams, group.NumberOfBrachyApplicationSetups = "1", "0"
    group.ReferencedBeamSequence = [used]
    ds.FractionGroupSequence = [group]
    return ds


def beam() -> Dataset:
    """A static beam with two control points."""
    item, device, first, last, jaws = Dataset(), Dataset(), Dataset(), Dataset(), Dataset()
    device.RTBeamLimitingDeviceType, device.NumberOfLeafJawPairs = "ASYMX", "1"
    item.TreatmentMachineName, item.BeamNumber, item.BeamName, item.BeamType = "LINAC1", "1", "LAO", "STATIC"
    item.RadiationType, item.TreatmentDeliveryType, item.SourceAxisDistance = "PHOTON", "TREATMENT", "1000"
    item.BeamLimitingDeviceSequence, item.NumberOfControlPoints = [device], "2"
    item.NumberOfWedges = item.NumberOfCompensators = item.NumberOfBoli = item.NumberOfBlocks = "0"
    item.FinalCumulativeMetersetWeight = "1"
    jaws.RTBeamLimitingDeviceType, jaws.LeafJawPositions = "ASYMX", ["-50", "50"]
    first.ControlPointIndex, first.CumulativeMetersetWeight, first.NominalBeamEnergy = "0", "0", "6"
    first.BeamLimitingDevicePositionSequence, first.GantryAngle = [jaws], "45"
    first.GantryRotationDirection = first.BeamLimitingDeviceRotationDirection = "NONE"
    first.PatientSupportRotationDirection = first.TableTopEccentricRotationDirection = "NONE"
    first.BeamLimitingDeviceAngle = first.PatientSupportAngle = first.TableTopEccentricAngle = "0"
    first.IsocenterPosition = ["0", "0", "0"]
    last.ControlPointIndex, last.CumulativeMetersetWeight = "1", "1"
    item.ControlPointSequence = [first, last]
    return item


EVERY = (report, key_objects, presentation, ecg, structures, plan)
