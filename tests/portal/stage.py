"""The whole portal for a person at a browser: the stack with seeded studies.

`python -m tests.portal.stage FOLDER` keeps it open and prints where it is and with which password.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import requests
from azure.cosmos import CosmosClient
from azure.storage.blob import BlobServiceClient
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from readfirst.domain import resource_names
from readfirst.domain.addresses import API
from readfirst.domain.analysis.findings import Box
from readfirst.domain.reading.study_record import NOT_ANALYSED, NOT_FLAGGED, Series, StudyRecord
from readfirst.domain.refusals import ADVICE, Reason
from readfirst.local.stack import Stack
from tests.portal.studies import analysed_now, by_several, finding, progress_of, record
from tests.waiting import PATIENCE

SLICES, SIDE = 40, 256
LESION = (SLICES // 2 + 3, 150, 178, 9)  # slice, row, column, radius in pixels


@cache
def chest(study_uid: str, series_uid: str, slices: int = SLICES) -> list[bytes]:
    """A thorax made of ellipses with one bright ball in a lung: enough to see slices, windows and an overlay."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    made = []
    for z in range(slices):
        hu = np.full((SIDE, SIDE), -1000.0)
        hu[((rows - 128) / 92) ** 2 + ((columns - 128) / 118) ** 2 < 1] = 40
        for centre in (78, 178):
            hu[((rows - 122) / (62 - abs(z - slices / 2) / 2)) ** 2 + ((columns - centre) / 38) ** 2 < 1] = -850
        hu[((rows - 190) / 16) ** 2 + ((columns - 128) / 14) ** 2 < 1] = 700
        hu[((rows - 120) / 30) ** 2 + ((columns - 134) / 24) ** 2 < 1] = 60
        at, row, column, radius = LESION
        hu[(rows - row) ** 2 + (columns - column) ** 2 + (2.5 * (z - at)) ** 2 < radius**2] = 60
        hu += np.random.default_rng(z).normal(0, 18, hu.shape)
        made.append(_file(_slice(study_uid, series_uid, z, hu)))
    return made


def _slice(study_uid: str, series_uid: str, z: int, hu: np.ndarray) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, f"{series_uid}.{z + 1}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, series_uid
    ds.Modality, ds.PatientID, ds.PatientName, ds.StudyDate = "CT", "TOKEN", "", "20201105"
    ds.SeriesNumber, ds.InstanceNumber, ds.SeriesDescription = 3, z + 1, "Thorax <b>1.25</b>"
    ds.FrameOfReferenceUID = f"{study_uid}.9"
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-128, -128, 2.5 * z], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.SliceThickness = [1.4, 1.4], 2.5
    ds.Rows = ds.Columns = SIDE
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleSlope, ds.RescaleIntercept = 1, 0
    ds.WindowCenter, ds.WindowWidth = -600, 1500
    ds.PixelData = hu.astype(np.int16).tobytes()
    return ds


def _file(ds: Dataset) -> bytes:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _with_text(data: bytes, text: str) -> bytes:
    """The image, enlarged, with a text in its pixels."""
    ds = dcmread(io.BytesIO(data))
    pixels = np.kron(ds.pixel_array, np.ones((2, 2), np.int16))
    page = Image.new("1", pixels.shape[::-1])
    ImageDraw.Draw(page).text((14, 470), text, font=ImageFont.load_default(size=24), fill=1)
    pixels[np.asarray(page)] = 900
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelData = pixels.tobytes()
    return _file(ds)


class Stage:
    """A running stack that a test fills with studies."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.url = stack.environment["PORTAL_URL"]
        self.api = f"http://127.0.0.1:{stack.ports.host}{API}"
        settings = stack.environment
        self.blobs = BlobServiceClient.from_connection_string(settings["STUDIES"])
        cosmos = CosmosClient(settings["COSMOS_ENDPOINT"], settings["COSMOS_KEY"], connection_verify=False)
        self.index = cosmos.get_database_client(settings["COSMOS_DATABASE"]).get_container_client("studies")

    def put(
        self, study: StudyRecord, *, images: bool = False, slices: int = SLICES, several: bool = False
    ) -> StudyRecord:
        """Puts a study into the index, and its images where the viewer looks for them."""
        if images:
            study = self._with_images(study, slices)
        if several:
            study = by_several(study)
        self.index.upsert_item(study.model_dump(mode="json"))
        return study

    def progress(self, study: StudyRecord, share: float, stage: str, *, age: int = 0) -> None:
        """Says of a study that is analysed how far the job is."""
        name, data = progress_of(study, share, stage, age=age)
        self.blobs.get_blob_client(resource_names.ANALYSIS, name).upload_blob(data, overwrite=True)

    def prior(self, study: StudyRecord, *, day: str, step: int = 1, shift: float = 0) -> StudyRecord:
        """An earlier study with images: every `step`-th slice, elsewhere on the table, on that (shifted) day."""
        series, clean = f"{study.study_uid}.3", self.blobs.get_container_client(resource_names.CLEAN)
        for z, data in enumerate(chest(study.study_uid, series, 30)[::step]):
            ds = dcmread(io.BytesIO(data))
            ds.StudyDate = day
            ds.ImagePositionPatient = [*ds.ImagePositionPatient[:2], ds.ImagePositionPatient[2] + shift]
            clean.upload_blob(f"{study.id}/instances/{series}/{series}.{z + 1}.dcm", _file(ds), overwrite=True)
        return self.put(study)

    def _with_images(self, study: StudyRecord, slices: int) -> StudyRecord:
        series = f"{study.study_uid}.3"
        clean = self.blobs.get_container_client(resource_names.CLEAN)
        for z, data in enumerate(chest(study.study_uid, series, slices)):
            clean.upload_blob(f"{study.id}/instances/{series}/{series}.{z + 1}.dcm", data, overwrite=True)
        at, row, column, radius = LESION
        found = finding(series=series, sop=f"{series}.{at + 1}", slice_=at).model_copy(
            update={"box": Box(left=column - radius, top=row - radius, right=column + radius, bottom=row + radius)}
        )
        line = Series(series_uid=series, modality="CT", number=3, instances=slices, analysed=True)
        update = {"series": (line,), "instances": slices, "findings": (found,) if study.high_risk else ()}
        return study.model_copy(update=update)


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """A stage that is taken down at the end."""
    with Stack(folder, "auto", settings={"SETTLE_SECONDS": "2"}) as stack:
        yield Stage(stack)


def furnish(stage: Stage) -> StudyRecord:
    """A morning's worklist. Returns the study with images and a finding."""
    now = datetime.now(UTC)

    def at(minutes: int) -> dict[str, str]:
        return {"received": (now - timedelta(minutes=minutes)).isoformat(timespec="seconds")}

    def due(minutes: int) -> dict[str, str]:
        return {"due": (now + timedelta(minutes=minutes)).isoformat(timespec="seconds")}

    clinic = "lakeside"
    flagged = stage.put(record(1, clinic, high_risk=True, **at(6), **due(24)), images=True)
    stage.put(record(2, "hillcrest", high_risk=True, **at(9), **due(21), review="in progress", body_part="HEAD"))
    stage.put(record(3, clinic, **at(23 * 60 + 50), **due(10)))
    stage.put(
        record(
            4,
            clinic,
            state="failed",
            label=NOT_ANALYSED,
            reason="deadline: the analysis did not end in time",
            **at(95),
            **due(1345),
        )
    )
    stage.put(record(5, "hillcrest", **at(20), **due(40), priority="stat", modality="DX", instances=2))
    for n in range(6, 22):
        stage.put(record(n, clinic if n % 3 else "hillcrest", **at(60 * n), **due(24 * 60 - 60 * n), instances=8 * n))
    for n, (share, step) in {22: (0.1, "decode"), 23: (0.62, "infer"), 24: (0.0, "")}.items():
        under_way = stage.put(analysed_now(record(n, clinic, **at(n - 20), **due(22 * 60 + n))))
        if step:
            stage.progress(under_way, share, step)
    earlier = record(30, clinic, patient=flagged.patient, review="signed", **at(60 * 24 * 90), **due(-60 * 24 * 89))
    stage.prior(earlier, day="20190903")
    return flagged


def incidents(stage: Stage, study: StudyRecord) -> None:
    """What the other pages show: signed reviews, a file kept back, answers to the clinic, a use of break-glass."""
    for n in range(40, 75):
        received = datetime.now(UTC) - timedelta(days=n % 28, hours=n % 9)
        signed = received + timedelta(minutes=20 + n % 50)
        stage.put(
            record(
                n, "lakeside", high_risk=n % 4 == 0, label=NOT_ANALYSED if n % 11 == 0 else NOT_FLAGGED,
                reason="deadline: the analysis did not end in time" if n % 11 == 0 else "", review="signed",
                received=received.isoformat(timespec="seconds"), signed=signed.isoformat(timespec="seconds"),
                verdicts={"accept": 2, "reject": n % 2}, missed=int(n % 9 == 0), refused={"not-dicom": n % 3},
            )
        )  # fmt: skip
    uploads = BlobServiceClient.from_connection_string(stage.stack.environment["UPLOADS"])
    image = _with_text(chest(study.study_uid, f"{study.study_uid}.3")[3], "QUELLMALZ, OTTO 1960")
    kept = uploads.get_blob_client(resource_names.QUARANTINE, f"{study.id}/{'c' * 32}")
    kept.upload_blob(image, metadata={"reason": "burned-in-text-likely"})
    at = datetime.now(UTC).isoformat(timespec="seconds")
    refused = {"upload": "export/IM0001.dcm", "at": at, "outcome": "refused", "reason": "truncated",
               "advice": ADVICE[Reason.TRUNCATED]}  # fmt: skip
    status = {"handle": study.handle, "at": at, "state": "reported", "label": study.label, "images": study.instances}
    told = uploads.get_container_client(resource_names.results("lakeside"))
    told.upload_blob("uploads/IM0001-1.json", json.dumps(refused))
    told.upload_blob(f"studies/{study.handle}/status.json", json.dumps(status))
    headers = {"Authorization": f"Bearer {stage.stack.access_token('radiologist')}"}
    reason = {"reason": "The ward does not answer and the finding cannot wait"}
    for door in ("break-glass", "requests"):
        requests.post(f"{stage.api}/identity/{door}/{study.id}", json=reason, headers=headers, timeout=PATIENCE)


if __name__ == "__main__":
    with staged(Path(sys.argv[1])) as open_stage:
        study = furnish(open_stage)
        told = {"url": open_stage.url, "password": open_stage.stack.password, "study": study.id}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        while True:
            time.sleep(60)
