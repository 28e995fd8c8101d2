"""The DICOM results of a study: segmentation, structured report and key images, written out in one go."""

from __future__ import annotations

import io
from collections.abc import Mapping

import highdicom as hd
from PIL.Image import Image
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from model_container.outputs.key_images import key_image
from model_container.outputs.report import report
from model_container.outputs.segmentation import segmentation
from model_container.outputs.study import DATES, ZONE, Study


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


def _encoded(ds: Dataset, study: Study) -> bytes:
    """The file's bytes, with the clean study's dates in place of today's."""
    first = study.sources[0]
    if ZONE.fullmatch(zone := str(first.get("TimezoneOffsetFromUTC") or "")):
        ds.TimezoneOffsetFromUTC = zone
    day = next((str(v) for keyword in DATES if (v := first.get(keyword))), "19000101")  # results must state one
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
