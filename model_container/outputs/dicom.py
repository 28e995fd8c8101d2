"""Standard DICOM results: segmentation (SEG), structured report (SR, TID 1500) and key images (Secondary Capture).

All of them carry the identity of the clean study (its tokens), dates of the clean study and never the clock's, the
model's name, version and digest, and the sentence that the model is synthetic. Their UIDs derive from the run key, so
the same work gives the same objects.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
from PIL.Image import Image
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as Concept
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from model_container.engines.engine import Detection
from model_container.grid import Grid, upright
from model_container.images.volume import Volume
from readfirst.domain.analysis.findings import Code, Finding
from readfirst.domain.analysis.messages import AnalysisRequest
from readfirst.domain.analysis.models import Channel, Manifest
from readfirst.domain.instance_facts import FUNCTIONAL_GROUPS

MANUFACTURER = "Readfirst"
_SERIES = {"seg": 9101, "sr": 9102, "sc": 9103}
_PRESENCE = Concept("705057003", "SCT", "Presence")
_PRESENT = Concept("52101004", "SCT", "Present")
_ABSENT = Concept("2667000", "SCT", "Absent")
_PROBABILITY = Concept("probability", "99READFIRST", "Calibrated probability")
_RISK = Concept("risk", "99READFIRST", "Probability that the study needs urgent reading")
_LONG_AXIS = Concept("103339001", "SCT", "Long Axis")
_RADIOGRAPHY = Concept("168537006", "SCT", "Plain radiography")
_PROCEDURES = {
    "CT": Concept("77477000", "SCT", "Computed tomography"),
    "MR": Concept("113091000", "SCT", "Magnetic resonance imaging"),
    "CR": _RADIOGRAPHY, "DX": _RADIOGRAPHY, "MG": Concept("71651007", "SCT", "Mammography"),
}  # fmt: skip
_IMAGING = Concept("363679005", "SCT", "Imaging")
_UNITY = Concept("1", "UCUM", "no units")
_ABNORMAL = Concept("49755003", "SCT", "Morphologically Abnormal Structure")
_OF_FRAMES = (*FUNCTIONAL_GROUPS, Tag("NumberOfFrames"), Tag("SOPClassUID"))
_OF_RADIOGRAPHS = ("PatientOrientation", "ImagerPixelSpacing")  # without which none can be described (TID 1603)
_DATES = ("SeriesDate", "StudyDate", "AcquisitionDate", "ContentDate")
_TYPE_2 = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
           "AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator")  # fmt: skip
_ZONE = re.compile(r"[+-]\d{4}")
_LEFT, _RIGHT = Concept("7771000", "SCT", "Left"), Concept("24028007", "SCT", "Right")


@dataclass(frozen=True)
class Study:
    """What all outputs of one analysis need."""

    order: AnalysisRequest
    manifest: Manifest
    volume: Volume
    detections: Sequence[Detection]
    findings: Sequence[Finding]
    risk: float

    def uid(self, *parts: str) -> str:
        """A UID that this analysis always gives to the same thing."""
        text = "|".join([self.order.token, self.order.run_key, *parts])
        return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"

    @property
    def placed(self) -> list[tuple[Detection, Finding]]:
        """The findings that have a place; in this order they are the segments, from 1."""
        return [(d, f) for d, f in zip(self.detections, self.findings, strict=True) if d.mask is not None]

    @property
    def part(self) -> str:
        """How much of the study was read, where it was not all."""
        if self.order.accounting:
            return self.order.accounting.part
        read = len(self.order.instances)
        return f"{read} of {read + self.order.missing} slices" if self.order.missing else ""

    @property
    def sources(self) -> list[Dataset]:
        """The headers of the analysed instances, each once."""
        unique = {str(header.SOPInstanceUID): header for header in self.volume.headers}
        return list(unique.values())

    def slice_header(self, k: int) -> Dataset:
        """The header of slice k; that of an enhanced file's frame as if the frame were a plain file: `_encoded` sets
        right what then names it."""
        header = self.volume.headers[k]
        if not self.volume.frames[k]:
            return header
        plain = Dataset()
        plain.update({e.tag: e for e in header if e.tag not in _OF_FRAMES})
        plain.file_meta = header.file_meta
        plain.SOPClassUID = CTImageStorage
        plain.ImagePositionPatient = [float(v) for v in self.volume.positions[k]]
        plain.ImageOrientationPatient = [*self.volume.along_columns.tolist(), *self.volume.along_rows.tolist()]
        plain.PixelSpacing, plain.SliceThickness = list(self.volume.pixel), self.volume.spacing
        return plain

    def complete(self) -> None:
        """Fills in what results must state and the images may lack: type 2 attributes, and a frame of reference.
        Results are in UTF-8, whatever the images are in: they hold the manifest's words as well, and the writer takes
        no set of characters that is extended by others, as files from Japan and Korea have it."""
        _set_right(self.sources[0])
        for header in self.sources:
            for keyword in _TYPE_2:
                if keyword not in header:
                    setattr(header, keyword, None)
            if self.volume.flat:
                continue
            if not header.get("FrameOfReferenceUID"):
                header.FrameOfReferenceUID = self.uid("frame of reference")
            if len(self.volume.hu) > 1:  # some headers state another step than the one between the slices
                header.SpacingBetweenSlices = format_number_as_ds(round(self.volume.spacing, 6))


def _set_right(header: Dataset) -> None:
    """UTF-8, and no values that the standard does not know, which some sites write."""
    if header.get("SpecificCharacterSet") != "ISO_IR 192":
        header.decode()
        header.SpecificCharacterSet = "ISO_IR 192"
    for keyword, known in (("PatientSex", "[MFO]"), ("PatientAge", "[0-9]{3}[DWMY]")):
        if not re.fullmatch(known, str(header.get(keyword) or "")):
            header.pop(keyword, None)


def write_outputs(study: Study, pictures: Mapping[int, Image]) -> dict[str, bytes]:
    """DICOM files by kind: "seg" (only with a finding that has a place), "sr" (always), "sc-1"… (one for each picture,
    which go by the finding's number)."""
    study.complete()
    files: dict[str, Dataset] = {}
    if study.placed:
        files["seg"] = segmentation(study)
    files["sr"] = report(study, files.get("seg"))
    for k, picture in pictures.items():
        files[f"sc-{k}"] = key_image(study, picture, k)
    return {kind: _encoded(ds, study) for kind, ds in files.items()}


def read_tables() -> None:
    """Makes an object of no study: with its first one, highdicom reads 22 MB of tables of the standard."""
    hd.SOPClass("1.2", "1.2", 1, "1.2", CTImageStorage, 1, "CT", transfer_syntax_uid=ExplicitVRLittleEndian)


# ---------------------------------------------------------------- SEG


def segmentation(study: Study) -> hd.seg.Segmentation:
    """One segment for each finding, on every frame of the series: readers misplace what is left out."""
    grid = upright(study.volume)
    masks = [detection.mask for detection, _ in study.placed if detection.mask is not None]
    made = hd.seg.Segmentation(
        source_images=[_on(grid, study.slice_header(k), k) for k in range(len(study.volume.hu))],
        pixel_array=grid.segments(masks),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(study, *one, k) for k, one in enumerate(study.placed, start=1)],
        series_instance_uid=study.uid("series", "seg"),
        series_number=_SERIES["seg"],
        sop_instance_uid=study.uid("seg"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=study.manifest.name,
        software_versions=_software(study.manifest),
        device_serial_number=study.manifest.digest[:16],
        content_label="AI_FINDINGS",
        content_description=study.manifest.disclaimer,
        series_description=f"AI segmentation. {study.manifest.disclaimer}",
        omit_empty_frames=False,
    )
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = study.uid("seg", "dimensions")
    _name_sources(made, study, grid)
    return made


def _on(grid: Grid, header: Dataset, k: int) -> Dataset:
    """The header of slice k as if the slice were the grid's plane."""
    if grid.as_scanned:
        return header
    moved = Dataset()
    moved.set_original_encoding(*header.original_encoding, header.original_character_set)
    moved.update({tag: header.get_item(tag) for tag in header.keys()})  # noqa: SIM118 - else elements, decoded
    moved.file_meta = header.file_meta
    moved.ImagePositionPatient = np.round(grid.positions[k], 6).tolist()
    moved.Rows, moved.Columns = grid.shape
    return moved


def _name_sources(seg: Dataset, study: Study, grid: Grid) -> None:
    """Of an enhanced source, each frame of the segmentation names the frame; the file itself is named once. Of a slice
    that was moved, it says that pixels do not lie on pixels."""
    volume = study.volume
    slices = {
        (str(h.SOPInstanceUID), _place(p)): k
        for k, (h, p) in enumerate(zip(volume.headers, grid.positions, strict=True))
    }
    if grid.as_scanned and not any(volume.frames):
        return
    for groups in seg.PerFrameFunctionalGroupsSequence:
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        place = _place(groups.PlanePositionSequence[0].ImagePositionPatient)
        if frame := volume.frames[slices[str(source.ReferencedSOPInstanceUID), place]]:
            source.ReferencedFrameNumber = frame
        source.SpatialLocationsPreserved = "YES" if grid.as_scanned else "NO"
    for series in seg.ReferencedSeriesSequence:
        unique = {str(i.ReferencedSOPInstanceUID): i for i in series.ReferencedInstanceSequence}
        series.ReferencedInstanceSequence = list(unique.values())


def _place(position: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(float(v), 3) for v in position)


def _segment(study: Study, detection: Detection, finding: Finding, number: int) -> hd.seg.SegmentDescription:
    channel = detection.channel
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=f"{finding.kind} {finding.key}",
        segmented_property_category=_ABNORMAL,
        segmented_property_type=_concept(finding.concept),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=_algorithm(study.manifest),
        tracking_uid=study.uid("finding", finding.key),
        tracking_id=f"{finding.kind} {finding.key}",
        anatomic_regions=[_concept(channel.site)] if channel.site else None,
    )


def _algorithm(manifest: Manifest) -> hd.AlgorithmIdentificationSequence:
    return hd.AlgorithmIdentificationSequence(
        name=manifest.name,
        family=codes.DCM.ArtificialIntelligence,
        version=manifest.version,
        source=MANUFACTURER,
        parameters={"manifest-sha256": manifest.digest, "notice": manifest.disclaimer},
    )


# ---------------------------------------------------------------- SR


def report(study: Study, seg: Dataset | None) -> hd.sr.Comprehensive3DSR:
    """A measurement report (TID 1500): each target finding present with its measurements, or absent; unverified."""
    groups: list[Any] = []
    if seg is not None:
        groups += [_measured(study, *one, k, seg) for k, one in enumerate(study.placed, start=1)]
    groups += [
        _stated(study, finding.key, detection.channel, finding.probability)
        for detection, finding in zip(study.detections, study.findings, strict=True)
        if detection.mask is None
    ]
    found = {finding.kind for finding in study.findings}
    for channel in study.manifest.targets:
        if channel.kind not in found and not study.part:  # what was not read may hold it: nothing is called absent
            groups.append(_stated(study, f"absent {channel.kind}", channel, None))
    groups.append(_study_risk(study))
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=_observer(study)),
        procedure_reported=_PROCEDURES.get(str(study.sources[0].get("Modality")), _IMAGING),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=_library(study) or None,
    )
    _account(study, content[0])
    return hd.sr.Comprehensive3DSR(
        evidence=[*study.sources, *([seg] if seg is not None else [])],
        content=content[0],
        series_instance_uid=study.uid("series", "sr"),
        series_number=_SERIES["sr"],
        sop_instance_uid=study.uid("sr"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=study.manifest.name,
        software_versions=_software(study.manifest),
        device_serial_number=study.manifest.digest[:16],
        is_complete=True,
        is_verified=False,
        series_description=f"AI report. {study.manifest.disclaimer}",
    )


def _account(study: Study, content: Dataset) -> None:
    """Adds how much was read, and the books of the study, as a comment (DCM 121106) of the whole report."""
    books = study.order.accounting
    told = [f"Read in part: {study.part}." if study.part else "", books.sentence if books else ""]
    if any(told):
        comment = hd.sr.TextContentItem(
            name=codes.DCM.Comment,
            value=" ".join(filter(None, told)),
            relationship_type=hd.sr.RelationshipTypeValues.CONTAINS,
        )
        content.ContentSequence.append(comment)


def _library(study: Study) -> list[Dataset]:
    """The images that the report describes: the findings' key slices. The whole series is in its evidence.

    A description of every slice would cost seconds for a long series, and say the same of each.
    """
    if study.volume.flat and not all(study.sources[0].get(keyword) for keyword in _OF_RADIOGRAPHS):
        return []  # of a radiograph, the findings name the picture themselves
    keys = sorted({finding.slice for finding in study.findings}) or [0]
    return [study.slice_header(k) for k in keys]


def _observer(study: Study) -> hd.sr.ObserverContext:
    return hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=f"2.25.{int(study.manifest.digest[:32], 16)}",
            name=study.manifest.disclaimer,
            manufacturer_name=MANUFACTURER,
            model_name=f"{study.manifest.name} {study.manifest.version}",
            serial_number=study.manifest.digest,
        ),
    )


def _measured(
    study: Study, detection: Detection, finding: Finding, number: int, seg: Dataset
) -> hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    channel = detection.channel
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(study, finding.key, f"{finding.kind} {finding.key}"),
        referenced_segment=hd.sr.ReferencedSegment(
            sop_class_uid=seg.SOPClassUID,
            sop_instance_uid=seg.SOPInstanceUID,
            segment_number=number,
            source_series=hd.sr.SourceSeriesForSegmentation(study.order.series_uid),
        ),
        finding_type=_concept(finding.concept),
        algorithm_id=_named(study.manifest),
        finding_sites=_sites(channel.site, finding.site),
        measurements=[
            hd.sr.Measurement(_LONG_AXIS, finding.diameter_mm, codes.UCUM.Millimeter),
            hd.sr.Measurement(codes.SCT.Volume, finding.volume_mm3, codes.UCUM.CubicMillimeter),
            hd.sr.Measurement(_PROBABILITY, finding.probability, _UNITY),
        ],
        qualitative_evaluations=[hd.sr.QualitativeEvaluation(_PRESENCE, _PRESENT)],
    )


def _stated(
    study: Study, key: str, channel: Channel, probability: float | None
) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    """A finding without a place: present with its probability, or absent."""
    likely = [hd.sr.Measurement(_PROBABILITY, probability, _UNITY)] if probability is not None else None
    presence = _ABSENT if probability is None else _PRESENT
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(study, key, channel.kind),
        finding_type=_concept(channel.concept),
        algorithm_id=_named(study.manifest),
        finding_sites=_sites(channel.site, ""),
        measurements=likely,
        qualitative_evaluations=[hd.sr.QualitativeEvaluation(_PRESENCE, presence)],
        source_images=_picture(study),
    )


def _picture(study: Study) -> list[hd.sr.SourceImageForMeasurementGroup] | None:
    """The radiograph that a finding is of: it has no place, so its picture is all that can be named."""
    if not study.volume.flat:
        return None
    (header,) = study.sources
    return [hd.sr.SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)]


def _study_risk(study: Study) -> hd.sr.MeasurementsAndQualitativeEvaluations:
    return hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(study, "risk", "study"),
        algorithm_id=_named(study.manifest),
        measurements=[hd.sr.Measurement(_RISK, study.risk, _UNITY)],
    )


def _tracking(study: Study, key: str, name: str) -> hd.sr.TrackingIdentifier:
    return hd.sr.TrackingIdentifier(uid=study.uid("finding", key), identifier=name)


def _named(manifest: Manifest) -> hd.sr.AlgorithmIdentification:
    return hd.sr.AlgorithmIdentification(
        name=manifest.name, version=manifest.version, parameters=[f"manifest sha256 {manifest.digest}"]
    )


def _sites(site: Code | None, side: str) -> list[hd.sr.FindingSite] | None:
    if site is None:
        return None
    laterality = {"left": _LEFT, "righ": _RIGHT}.get(side[:4])
    return [hd.sr.FindingSite(_concept(site), laterality=laterality)]


# ---------------------------------------------------------------- Secondary Capture


def key_image(study: Study, picture: Image, number: int) -> hd.sc.SCImage:
    """A finding's overlay as a picture that every viewer shows."""
    image = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=study.sources[0],
        pixel_array=np.asarray(picture),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        series_instance_uid=study.uid("series", "sc"),
        series_number=_SERIES["sc"],
        sop_instance_uid=study.uid("sc", str(number)),
        instance_number=number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=study.manifest.name,
        software_versions=_software(study.manifest),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=f"AI key images. {study.manifest.disclaimer}",
    )
    image.Laterality = ""  # type 2C: the chest is no paired part, but not every reader knows that
    image.BurnedInAnnotation = "NO"  # what is drawn names nobody
    return image


# ---------------------------------------------------------------- shared


def _software(manifest: Manifest) -> str:
    return f"{manifest.version} {manifest.digest[:16]}"


def _concept(code: Code) -> Concept:
    return Concept(code.value, code.scheme, code.meaning)


def _encoded(ds: Dataset, study: Study) -> bytes:
    """The file's bytes, with the clean study's dates in place of today's."""
    first = study.sources[0]
    if _ZONE.fullmatch(zone := str(first.get("TimezoneOffsetFromUTC") or "")):
        ds.TimezoneOffsetFromUTC = zone
    day = next((str(v) for keyword in _DATES if (v := first.get(keyword))), "19000101")  # results must state one
    moment = str(first.get("SeriesTime") or first.get("StudyTime") or "000000")
    for keyword in ("ContentDate", "SeriesDate", "InstanceCreationDate", "DateOfSecondaryCapture"):
        if keyword in ds:
            setattr(ds, keyword, day)
    for keyword in ("ContentTime", "SeriesTime", "InstanceCreationTime", "TimeOfSecondaryCapture"):
        if keyword in ds:
            setattr(ds, keyword, moment)
    classes = {str(source.SOPInstanceUID): source.SOPClassUID for source in study.sources}
    for element in ds.iterall():
        if element.VR == "DT":  # observations and contributions inside sequences
            element.value = f"{day}{moment.split('.', maxsplit=1)[0]}"
        for item in element.value if element.VR == "SQ" else ():
            if item.get("ReferencedSOPInstanceUID") in classes:
                item.ReferencedSOPClassUID = classes[item.ReferencedSOPInstanceUID]
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()
