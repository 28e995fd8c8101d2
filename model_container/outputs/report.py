"""The structured report (SR, TID 1500): each finding measured, and the risk of the study."""

from __future__ import annotations

from typing import Any

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as Concept

from model_container.engines.engine import Detection
from model_container.outputs.study import MANUFACTURER, OF_RADIOGRAPHS, SERIES, Study, concept, software
from readfirst.domain.analysis.findings import Code, Finding
from readfirst.domain.analysis.models import Channel, Manifest

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


_LEFT, _RIGHT = Concept("7771000", "SCT", "Left"), Concept("24028007", "SCT", "Right")


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
    account(study, content[0])
    return hd.sr.Comprehensive3DSR(
        evidence=[*study.sources, *([seg] if seg is not None else [])],
        content=content[0],
        series_instance_uid=study.uid("series", "sr"),
        series_number=SERIES["sr"],
        sop_instance_uid=study.uid("sr"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=study.manifest.name,
        software_versions=software(study.manifest),
        device_serial_number=study.manifest.digest[:16],
        is_complete=True,
        is_verified=False,
        series_description=f"AI report. {study.manifest.disclaimer}",
    )


def account(study: Study, content: Dataset) -> None:
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
    if study.volume.flat and not all(study.sources[0].get(keyword) for keyword in OF_RADIOGRAPHS):
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
        finding_type=concept(finding.concept),
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
        finding_type=concept(channel.concept),
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
    return [hd.sr.FindingSite(concept(site), laterality=laterality)]
