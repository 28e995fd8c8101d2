"""The images of a clean study: what there is, in which order, and where the bytes are."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from threading import Lock
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from readfirst.adapters import blobs, clients
from readfirst.adapters.process_cache import once
from readfirst.adapters.settings import settings
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.analysis.findings import first_to_read
from readfirst.domain.blob_paths import BatchFacts
from readfirst.domain.dicomweb import rendering
from readfirst.domain.instance_facts import InstanceFacts, Vector, facts_of
from readfirst.domain.reading.study_record import StudyRecord

_PARALLEL = 16
_REMEMBERED_STUDIES = 24
_KEY_IMAGES = 128
_DICOM_OUTPUTS = ("seg", "sr", "sc")
_NOTHING = InstanceFacts(study_uid="", series_uid="", sop_uid="", sop_class="", transfer_syntax="", modality="")


@dataclass(frozen=True)
class Instance:
    """One instance of the clean study: what is known of it, and where it lies."""

    container: str
    blob: str
    etag: str
    size: int
    facts: InstanceFacts

    @cached_property
    def header(self) -> Dataset:
        """The data set without its pixels, read when it is first asked for. Raises InvalidDicomError, EOFError."""
        client = clients.container(resource_names.STUDIES, self.container).get_blob_client(self.blob)
        file = io.BufferedReader(blobs.BlobFile(client, self.etag, self.size))
        return dcmread(file, stop_before_pixels=True)

    @property
    def description(self) -> str:
        """The series' description as de-identification left it."""
        return str(self.header.get("SeriesDescription", ""))

    @property
    def number(self) -> int:
        """The instance's number; 0 where it has none."""
        number = str(self.header.get("InstanceNumber") or "0")
        return int(number) if number.lstrip("-").isdigit() else 0

    @property
    def is_image(self) -> bool:
        """Whether it is a picture to show in the stack (a segmentation has pixels too, and is none)."""
        return self.facts.rows > 0 and self.facts.modality not in ("SEG", "SR")


class _Remembered:
    """The instances of the studies that were looked at last, each as long as its blobs stay the same."""

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
    """Every instance of the study: the clean images, and the SEG, SR and SC that the analysis made.

    De-identification's notes say what each clean image is, so that a study of a thousand files is not opened a
    thousand times to be listed.
    """
    clean_blobs = clients.container(resource_names.STUDIES, resource_names.CLEAN)
    listed = [
        (resource_names.CLEAN, blob) for blob in clean_blobs.list_blobs(name_starts_with=f"{record.id}/instances/")
    ]
    analysis = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    for kind, name in sorted(record.outputs.items()):
        if kind.rpartition(".")[2].split("-")[0] in _DICOM_OUTPUTS and (
            found := blobs.properties(analysis.get_blob_client(name))
        ):
            listed.append((resource_names.ANALYSIS, found))
    etags = frozenset(f"{where}/{blob.name}/{blob.etag}" for where, blob in listed)
    held = _remembered.get(record.id, etags)
    if held is None:
        known = _noted(record.id)
        with ThreadPoolExecutor(_PARALLEL) as pool:
            opened = pool.map(lambda item: _instance(item[0], item[1], known.get(item[1].name)), listed)
            held = [instance for instance in opened if instance is not None]
        _remembered.put(record.id, etags, held)
    return held


def _noted(token: str) -> dict[str, InstanceFacts]:
    """What de-identification noted of each clean image, by its blob's name."""
    container = clients.container(resource_names.STUDIES, resource_names.CLEAN)
    found = list(blobs.names(container, f"{token}/facts/"))
    with ThreadPoolExecutor(_PARALLEL) as pool:
        batches = pool.map(lambda name: blobs.read(container, name), found)
        facts = [f for batch in batches if batch for f in BatchFacts.model_validate_json(batch).instances]
    return {blob_paths.instance_path(token, f.series_uid, f.sop_uid): f for f in facts}


def _instance(where: str, blob: Any, facts: InstanceFacts | None) -> Instance | None:
    etag = blob.etag if blob.etag.startswith('"') else f'"{blob.etag}"'
    if facts is not None:
        return Instance(where, blob.name, etag, blob.size, facts)
    unknown = Instance(where, blob.name, etag, blob.size, _NOTHING)
    try:
        known = replace(unknown, facts=facts_of(unknown.header, path=blob.name))
    except (InvalidDicomError, EOFError):
        return None
    known.__dict__["header"] = unknown.header  # what was read once is kept
    return known


def read_headers(wanted: Iterable[Instance]) -> None:
    """Reads the headers of these instances at once: one after the other, each would be waited for."""
    with ThreadPoolExecutor(_PARALLEL) as pool:
        list(pool.map(lambda instance: instance.header, wanted))


def one(record: StudyRecord, series_uid: str, sop_uid: str) -> Instance | None:
    """A clean image by its names, without listing the study."""
    name = blob_paths.instance_path(record.id, series_uid, sop_uid)
    found = blobs.properties(clients.container(resource_names.STUDIES, resource_names.CLEAN).get_blob_client(name))
    return _instance(resource_names.CLEAN, found, None) if found else None


def study_day(token: str) -> date | None:
    """The study's day as de-identification shifted it: only its distance to another of the same patient is true."""
    container = clients.container(resource_names.STUDIES, resource_names.CLEAN)
    first = next(iter(container.list_blobs(name_starts_with=f"{token}/instances/", results_per_page=1)), None)
    instance = _instance(resource_names.CLEAN, first, None) if first else None
    text = str(instance.header.get("StudyDate") or "") if instance else ""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def study_series(record: StudyRecord) -> list[list[Instance]]:
    """The instances by series, each in viewing order; analysed series first, then by number."""
    groups: dict[str, list[Instance]] = {}
    for instance in instances(record):
        groups.setdefault(instance.facts.series_uid, []).append(instance)
    analysed = {s.series_uid for s in record.series if s.analysed}
    return sorted(
        map(_in_viewing_order, groups.values()),
        key=lambda g: (
            not g[0].is_image,
            g[0].facts.series_uid not in analysed,
            g[0].facts.series_number or 0,
            g[0].facts.series_uid,
        ),
    )


def places(group: Sequence[Instance]) -> list[float | None]:
    """Where each slice lies along the series' normal, in mm; None where an image does not say."""
    first = next((i.facts for i in group if i.facts.orientation and i.facts.position), None)
    if first is None or first.orientation is None:
        return [None] * len(group)
    normal = np.cross(first.orientation[:3], first.orientation[3:])
    return [round(float(np.dot(normal, i.facts.position)), 3) if i.facts.position else None for i in group]


def places_by_name(record: StudyRecord) -> dict[str, Vector]:
    """Where the study's slices lie, in mm: by SOP Instance UID, of an enhanced file with "#" and the frame's number."""
    found = (facts for instance in instances(record) for facts in instance.facts.slices())
    return {f"{f.sop_uid}#{f.frame}" if f.frame else f.sop_uid: f.position for f in found if f.position}


def _in_viewing_order(group: list[Instance]) -> list[Instance]:
    """By place; by number where places are missing or the same (phases, echoes), which takes opening the files."""
    at = places(group)
    if len(group) == 1 or (None not in at and len(set(at)) == len(at)):
        return [i for _, i in sorted(zip(at, group, strict=True), key=lambda pair: pair[0] or 0.0)]
    read_headers(group)
    ordered = sorted(zip(at, group, strict=True), key=lambda p: (p[0] or 0.0, p[1].number, p[1].facts.sop_uid))
    return [i for _, i in ordered]


def data_set(instance: Instance) -> Dataset:
    """The whole instance, pixels too."""
    return dcmread(io.BytesIO(data_of(instance)))


def data_of(instance: Instance) -> bytes:
    """The instance's file. Raises FileNotFoundError where it is gone."""
    data = blobs.read(clients.container(resource_names.STUDIES, instance.container), instance.blob)
    if data is None:
        raise FileNotFoundError("an instance is gone")
    return data


def key_image(record: StudyRecord, side: int) -> bytes | None:
    """The slice that matters as PNG: that of the finding to read first, else the middle of the first image series."""
    first = first_to_read(record.findings)
    if first and (found := one(record, first.series_uid, first.sop_uid)):
        return _rendered(found.container, found.blob, found.etag, side, max(0, first.frame - 1))
    for group in study_series(record):
        if group[0].is_image:
            middle = group[len(group) // 2]
            return _rendered(middle.container, middle.blob, middle.etag, side)
    return None


@lru_cache(maxsize=_KEY_IMAGES)
def _rendered(container: str, blob: str, etag: str, side: int, frame: int = 0) -> bytes | None:
    data = blobs.read(clients.container(resource_names.STUDIES, container), blob)
    if data is None:
        return None
    ds = dcmread(io.BytesIO(data))
    window = rendering.LUNG if str(ds.get("Modality")) == "CT" else None
    try:
        return rendering.encoded(rendering.grey_or_colour(ds, frame, window), side=side)
    except rendering.NoPicture:
        return None


def segmentations(record: StudyRecord) -> Iterator[tuple[Dataset, dict[str, str]]]:
    """Every SEG of the study: one of each model that made one, with what that model calls its findings itself and how
    the record calls them."""
    container = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    for part in record.parts:
        data = blobs.read(container, record.outputs[part.outputs["seg"]]) if "seg" in part.outputs else None
        if data:
            yield dcmread(io.BytesIO(data)), part.findings


def signer(until: datetime) -> Callable[[str, str], str]:
    """A function that gives the address of a blob of the studies account, readable until then.

    In Azure the signature is by a user-delegation key of the app's identity; on a developer's machine by the
    emulator's account key.
    """
    from azure.storage.blob import BlobSasPermissions, generate_blob_sas

    service = clients.blob_service(resource_names.STUDIES)
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


@once
def _delegation_key(hour: str) -> Any:
    start = datetime.fromisoformat(f"{hour}:00:00").replace(tzinfo=UTC)
    service = clients.blob_service(resource_names.STUDIES)
    return service.get_user_delegation_key(start - timedelta(hours=1), start + timedelta(hours=3))
