"""Studies whose pictures carry two bright marks and a grey block at known pixels, to be measured."""

from __future__ import annotations

import io
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes

from readfirst.domain import resource_names
from readfirst.domain.analysis.findings import Box
from readfirst.domain.reading.study_record import StudyRecord
from tests.portal.stage import SIDE, Stage, chest
from tests.portal.stage import _file as file_of
from tests.portal.studies import finding, record

Point = tuple[float, float]
MARKS = ((70, 60), (180, 200))  # row and column of two marks' centres
BLOCK = (slice(100, 121), slice(110, 141))  # rows and columns of a lesion, and of its segmentation


@dataclass(frozen=True)
class Plate:
    """A series of pictures with the marks: how far its pixels lie apart (rows, columns; mm) and how it lies."""

    number: int
    spacing: tuple[float, float]
    rows: int = SIDE
    axes: tuple[float, ...] = (1, 0, 0, 0, 1, 0)

    def series(self, study: StudyRecord) -> str:
        return f"{study.study_uid}.{self.number}"

    def sides(self) -> Point:
        """How far apart the marks are, across and down, in mm."""
        return tuple((MARKS[1][i] - MARKS[0][i]) * self.spacing[i] for i in (1, 0))


# Tall and wide pixels, a picture that is not square, and one that lies aslant in the patient.
PLATES = (
    Plate(3, (1.0, 0.5)),
    Plate(4, (0.7, 0.7)),
    Plate(5, (0.4, 1.1), rows=200, axes=(0.8, 0.6, 0, 0, 0, -1)),
)
SEGMENTED = PLATES[0]


def _pictures(study: StudyRecord, plate: Plate, **changes: object) -> list[Dataset]:
    """Two slices with the marks and the block."""
    series, made = plate.series(study), []
    for data in chest(study.study_uid, series, 2):
        ds = dcmread(io.BytesIO(data))
        hu = np.full((plate.rows, SIDE), -1350, np.int16)
        hu[BLOCK] = -500
        for row, column in MARKS:
            hu[row - 2 : row + 3, column - 2 : column + 3] = 1000
        ds.Rows, ds.PixelData, ds.SeriesNumber = plate.rows, hu.tobytes(), plate.number
        ds.PixelSpacing, ds.ImageOrientationPatient = list(plate.spacing), list(plate.axes)
        ds.PatientBirthDate = ds.PatientSex = ds.AccessionNumber = ""
        ds.StudyTime = ds.StudyID = ds.ReferringPhysicianName = ""
        for name, value in changes.items():
            setattr(ds, name, value) if value is not None else delattr(ds, name)
        made.append(ds)
    return made


def _segmentation(sources: list[Dataset]) -> Dataset:
    pixels = np.zeros((len(sources), sources[0].Rows, SIDE, 1), np.uint8)
    pixels[:, *BLOCK] = 1
    segment = hd.seg.SegmentDescription(
        segment_number=1, segment_label="1",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Nodule, algorithm_type="AUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name="a", family=codes.DCM.ArtificialIntelligence, version="1"
        ),
        tracking_id="1", tracking_uid="2.25.91",
    )  # fmt: skip
    return hd.seg.Segmentation(
        source_images=sources, pixel_array=pixels, segmentation_type="BINARY", segment_descriptions=[segment],
        series_instance_uid="2.25.6", series_number=9, sop_instance_uid="2.25.7", instance_number=1,
        manufacturer="m", manufacturer_model_name="n", software_versions="1", device_serial_number="1",
        omit_empty_frames=False,
    )  # fmt: skip


def marked_study(stage: Stage, number: int, plates: tuple[Plate, ...], **changes: object) -> StudyRecord:
    """A study of these series; the finding is on the second slice of the first, its segmentation on both."""
    study = record(number, "lakeside", high_risk=True)
    clean = stage.blobs.get_container_client(resource_names.CLEAN)
    for plate in plates:
        for ds in _pictures(study, plate, **changes):
            name = f"{study.id}/instances/{ds.SeriesInstanceUID}/{ds.SOPInstanceUID}.dcm"
            clean.upload_blob(name, file_of(ds), overwrite=True)
    series = plates[0].series(study)
    rows, columns = BLOCK
    box = Box(left=columns.start, top=rows.start, right=columns.stop, bottom=rows.stop)
    found = finding(series=series, sop=f"{series}.2", slice_=1).model_copy(update={"box": box})
    update: dict[str, object] = {"findings": (found,)}
    if not changes:
        out, name = io.BytesIO(), f"{study.id}/seg.dcm"
        _segmentation(_pictures(study, plates[0])).save_as(out)
        stage.blobs.get_blob_client(resource_names.ANALYSIS, name).upload_blob(out.getvalue(), overwrite=True)
        update["outputs"] = {"seg": name}
    return stage.put(study.model_copy(update=update))
