"""The segmentation object (SEG, PS3.3 A.51): the outline of each finding, one segment each."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as Concept

from model_container.engines.engine import Detection
from model_container.grid import Grid, upright
from model_container.outputs.study import MANUFACTURER, SERIES, Study, concept, software
from readfirst.domain.analysis.findings import Finding
from readfirst.domain.analysis.models import Manifest

_ABNORMAL = Concept("49755003", "SCT", "Morphologically Abnormal Structure")


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
        series_number=SERIES["seg"],
        sop_instance_uid=study.uid("seg"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=study.manifest.name,
        software_versions=software(study.manifest),
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
        (str(h.SOPInstanceUID), rounded_place(p)): k
        for k, (h, p) in enumerate(zip(volume.headers, grid.positions, strict=True))
    }
    if grid.as_scanned and not any(volume.frames):
        return
    for groups in seg.PerFrameFunctionalGroupsSequence:
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        place = rounded_place(groups.PlanePositionSequence[0].ImagePositionPatient)
        if frame := volume.frames[slices[str(source.ReferencedSOPInstanceUID), place]]:
            source.ReferencedFrameNumber = frame
        source.SpatialLocationsPreserved = "YES" if grid.as_scanned else "NO"
    for series in seg.ReferencedSeriesSequence:
        unique = {str(i.ReferencedSOPInstanceUID): i for i in series.ReferencedInstanceSequence}
        series.ReferencedInstanceSequence = list(unique.values())


def rounded_place(position: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(float(v), 3) for v in position)


def _segment(study: Study, detection: Detection, finding: Finding, number: int) -> hd.seg.SegmentDescription:
    channel = detection.channel
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=f"{finding.kind} {finding.key}",
        segmented_property_category=_ABNORMAL,
        segmented_property_type=concept(finding.concept),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=_algorithm(study.manifest),
        tracking_uid=study.uid("finding", finding.key),
        tracking_id=f"{finding.kind} {finding.key}",
        anatomic_regions=[concept(channel.site)] if channel.site else None,
    )


def _algorithm(manifest: Manifest) -> hd.AlgorithmIdentificationSequence:
    return hd.AlgorithmIdentificationSequence(
        name=manifest.name,
        family=codes.DCM.ArtificialIntelligence,
        version=manifest.version,
        source=MANUFACTURER,
        parameters={"manifest-sha256": manifest.digest, "notice": manifest.disclaimer},
    )
