"""The images of a clean study: what there is, in which order, and where the bytes are."""

from __future__ import annotations

import io
import json
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from threading import Lock
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from readfirst.adapters import blobs, clients
from readfirst.adapters.settings import settings
from readfirst.domain import names, pictures
from readfirst.domain.instances import InstanceFacts, facts_of
from readfirst.domain.records import StudyRecord

_PARALLEL = 16
_REMEMBERED_STUDIES = 24
_KEY_IMAGES = 128
_DICOM_OUTPUTS = ("seg", "sr", "sc")


@dataclass(frozen=True)
class Instance:
    """One instance of the clean study: its header (no pixels) and where it lies."""

    container: str
    blob: str
    etag: str
    size: int
    header: Dataset
    facts: InstanceFacts

    @property
    def description(self) -> str:
        """The series' description as de-identification left it."""
        return str(self.header.get("SeriesDescription", ""))

    @property
    def is_image(self) -> bool:
        """Whether it is a picture to show in the stack (a segmentation has pixels too, and is none)."""
        return self.facts.rows > 0 and self.facts.modality not in ("SEG", "SR")


class _Remembered:
    """The headers of the studies that were looked at last, each as long as its blobs stay the same."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, tuple[frozenset[str], list[Instance]]] = OrderedDict()
        self._lock = Lock()

    def get(self, token: str, etags: frozenset[str]) -> list[Instance] | None:
        with self._lock:
            held = self._held.get(token)
            return held[1] if held and held[0] == etags else None

    def put(self, token: str, etags: frozenset[str], instances: list[Instance]) -> None:
        with self._lock:
            self._held[token] = (etags, instances)
            self._held.move_to_end(token)
            while len(self._held) > _REMEMBERED_STUDIES:
                self._held.popitem(last=False)


_remembered = _Remembered()


def instances(record: StudyRecord) -> list[Instance]:
    """Every instance of the study: the clean images, and the SEG, SR and SC that the analysis made."""
    clean = clients.container(names.STUDIES, names.CLEAN)
    listed = [(names.CLEAN, blob) for blob in clean.list_blobs(name_starts_with=f"{record.id}/instances/")]
    analysis = clients.container(names.STUDIES, names.ANALYSIS)
    for kind, name in sorted(record.outputs.items()):
        if kind.split("-")[0] in _DICOM_OUTPUTS and (found := blobs.properties(analysis.get_blob_client(name))):
            listed.append((names.ANALYSIS, found))
    etags = frozenset(f"{where}/{blob.name}/{blob.etag}" for where, blob in listed)
    held = _remembered.get(record.id, etags)
    if held is None:
        with ThreadPoolExecutor(_PARALLEL) as pool:
            held = [i for i in pool.map(lambda item: _read_header(*item), listed) if i is not None]
        _remembered.put(record.id, etags, held)
    return held


def _read_header(where: str, blob: Any) -> Instance | None:
    client = clients.container(names.STUDIES, where).get_blob_client(blob.name)
    etag = blob.etag if blob.etag.startswith('"') else f'"{blob.etag}"'
    file = io.BufferedReader(blobs.BlobFile(client, etag, blob.size))
    try:
        header = dcmread(file, stop_before_pixels=True)
    except (InvalidDicomError, EOFError):
        return None
    return Instance(where, blob.name, etag, blob.size, header, facts_of(header, path=blob.name))


def study_series(record: StudyRecord) -> list[list[Instance]]:
    """The instances by series, each in viewing order; analysed series first, then by number."""
    groups: dict[str, list[Instance]] = {}
    for instance in instances(record):
        groups.setdefault(instance.facts.series_uid, []).append(instance)
    analysed = {s.series_uid for s in record.series if s.analysed}
    ordered = [sorted(group, key=_slice_key(group)) for group in groups.values()]
    return sorted(
        ordered,
        key=lambda g: (
            not g[0].is_image,
            g[0].facts.series_uid not in analysed,
            g[0].facts.series_number or 0,
            g[0].facts.series_uid,
        ),
    )


def _slice_key(group: list[Instance]) -> Callable[[Instance], tuple[float, int, str]]:
    first = next((i.facts for i in group if i.facts.orientation and i.facts.position), None)
    normal = np.zeros(3)
    if first is not None and first.orientation is not None:
        normal = np.cross(first.orientation[:3], first.orientation[3:])

    def key(instance: Instance) -> tuple[float, int, str]:
        along = float(np.dot(normal, instance.facts.position)) if instance.facts.position else 0.0
        number = str(instance.header.get("InstanceNumber") or "0")
        return round(along, 3), int(number) if number.lstrip("-").isdigit() else 0, instance.facts.sop_uid

    return key


def data_set(instance: Instance) -> Dataset:
    """The whole instance, pixels too."""
    return dcmread(io.BytesIO(data_of(instance)))


def data_of(instance: Instance) -> bytes:
    """The instance's file. Raises FileNotFoundError where it is gone."""
    data = blobs.read(clients.container(names.STUDIES, instance.container), instance.blob)
    if data is None:
        raise FileNotFoundError("an instance is gone")
    return data


def key_image(record: StudyRecord, side: int) -> bytes | None:
    """The slice that matters as PNG: the first finding's, else the middle of the first image series."""
    wanted = record.findings[0].sop_uid if record.findings else ""
    for group in study_series(record):
        if not group[0].is_image:
            continue
        chosen = next((i for i in group if i.facts.sop_uid == wanted), None)
        if chosen is None and wanted:
            continue
        shown = chosen or group[len(group) // 2]
        return _rendered(shown.container, shown.blob, shown.etag, side)
    return None


@lru_cache(maxsize=_KEY_IMAGES)
def _rendered(container: str, blob: str, etag: str, side: int) -> bytes | None:
    data = blobs.read(clients.container(names.STUDIES, container), blob)
    if data is None:
        return None
    ds = dcmread(io.BytesIO(data))
    window = pictures.LUNG if str(ds.get("Modality")) == "CT" else None
    try:
        return pictures.encoded(pictures.grey_or_colour(ds, window=window), side=side)
    except pictures.NoPicture:
        return None


def segmentation(record: StudyRecord) -> Dataset | None:
    """The study's SEG, whole; None where the analysis made none."""
    name = record.outputs.get("seg", "")
    data = blobs.read(clients.container(names.STUDIES, names.ANALYSIS), name) if name else None
    return dcmread(io.BytesIO(data)) if data else None


def receipts(token: str) -> dict[str, Any]:
    """The de-identification receipts of a study, as they were written."""
    clean = clients.container(names.STUDIES, names.CLEAN)
    found = [blobs.read(clean, name) for name in blobs.names(clean, f"{token}/receipts/")]
    return {"receipts": [json.loads(data) for data in found if data]}


def signer(until: datetime) -> Callable[[str, str], str]:
    """A function that gives the address of a blob of the studies account, readable until then.

    In Azure the signature is by a user-delegation key of the app's identity; on a developer's machine by the
    emulator's account key.
    """
    from azure.storage.blob import BlobSasPermissions, generate_blob_sas

    service = clients.blob_service(names.STUDIES)
    account = str(service.account_name)
    key: dict[str, Any] = (
        {"account_key": service.credential.account_key}
        if settings().studies
        else {"user_delegation_key": _delegation_key(until.strftime("%Y-%m-%dT%H"))}
    )

    def address(container: str, blob: str) -> str:
        signature = generate_blob_sas(
            account, container, blob, permission=BlobSasPermissions(read=True), expiry=until, **key
        )
        return f"{service.get_blob_client(container, blob).url}?{signature}"

    return address


@cache
def _delegation_key(hour: str) -> Any:
    start = datetime.fromisoformat(f"{hour}:00:00").replace(tzinfo=UTC)
    service = clients.blob_service(names.STUDIES)
    return service.get_user_delegation_key(start - timedelta(hours=1), start + timedelta(hours=3))
