"""Return: a study's results, with the originals' identity, into the clinic's answers. App `identity` only."""

from __future__ import annotations

import io
from functools import partial
from typing import TYPE_CHECKING

import pydicom

from readfirst.adapters import blobs, clients
from readfirst.adapters.identity import identities
from readfirst.adapters.uploads import clinic_results
from readfirst.domain import resource_names
from readfirst.domain.faults import Fault
from readfirst.domain.reading.content_dates import date_content
from readfirst.domain.reading.reidentify import relink, unlinked
from readfirst.domain.reading.study_record import VERIFIED
from readfirst.services import list_study

if TYPE_CHECKING:
    from readfirst.domain.deid import IdentityRecord
    from readfirst.domain.reading.study_record import StudyRecord


class NoIdentity(Fault):
    """The vault holds no identity of the study: it was erased, or its de-identification never ended."""


def return_study(token: str) -> int:
    """Writes `result.json` and every DICOM output of a study to its clinic. Returns how many objects went home.

    A study without a record yet has nothing to return, nor has one of which nobody knows whose it is. Raises
    NoIdentity where the vault knows nothing of it.
    """
    record = _known(token)
    if record is None:
        return 0
    identity = identities.of_study(token)
    if identity is None:
        raise NoIdentity
    target = clients.container(resource_names.UPLOADS, resource_names.results(record.clinic))
    returned = 0
    for kind in sorted(record.outputs):
        name = f"studies/{record.handle}/{kind}.dcm"
        returned += blobs.follow(target, name, partial(_home, token, kind, identity), "application/dicom")
    clinic_results.say_result(
        record.clinic,
        record.handle,
        identity.study.study_uid,
        identity.study.accession_number,
        partial(_known, token),
    )
    return returned


def _known(token: str) -> StudyRecord | None:
    """The record, unless nobody knows whose the study is."""
    record = list_study.read(token)
    return None if record is None or record.state == "quarantined" else record


def _home(token: str, kind: str, identity: IdentityRecord) -> bytes | None:
    """An output with the original's identity; None where the record that counts has none of that kind."""
    record = _known(token)
    path = record.outputs.get(kind, "") if record else ""
    analysis = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    data = blobs.read(analysis, path) if path.endswith(".dcm") else None
    if data is None:
        return None
    ds = relink(pydicom.dcmread(io.BytesIO(data)), identity)
    if kind.rpartition(".")[2] != VERIFIED and (seen := blobs.properties(analysis.get_blob_client(path))) is not None:
        date_content(ds, seen.last_modified)  # the job knows the study's shifted days only
    home = io.BytesIO()
    ds.save_as(home)
    return home.getvalue()


def verify(token: str) -> list[str]:
    """Proves that a clean study can be brought home: what stands in the way, in words without content.

    Every clean instance's UIDs must have their originals in the vault, and a round trip must leave no clean UID.
    """
    identity = identities.of_study(token)
    if identity is None:
        return ["the vault holds nothing of it"]
    clean = clients.container(resource_names.STUDIES, resource_names.CLEAN)
    problems = []
    for path in blobs.names(clean, f"{token}/instances/"):
        series_uid, sop_uid = path.removesuffix(".dcm").split("/")[-2:]
        if identity.original(series_uid) is None or identity.original(sop_uid) is None:
            problems.append(f"{path}: the vault does not know its UIDs")
            continue
        ds = pydicom.dcmread(io.BytesIO(blobs.read(clean, path) or b""), stop_before_pixels=True)
        if unlinked(relink(ds, identity), identity, {series_uid, sop_uid}):
            problems.append(f"{path}: a clean UID is left after the round trip")
    return problems
