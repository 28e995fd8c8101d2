"""Answers to the sender, in container `results-{clinic}`: what became of each upload and of each study.

The container belongs to the uploads account and is read by the clinic itself, so it may repeat the names that the
clinic gave its files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from readfirst.adapters import blobs, clients
from readfirst.adapters.clock import now
from readfirst.domain import resource_names
from readfirst.domain.analysis.findings import Finding
from readfirst.domain.intake.answer_page import study_page
from readfirst.domain.reading.study_record import StudyRecord
from readfirst.domain.refusals import Refused, Skipped
from readfirst.domain.routing.readings import ModelReading

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

RESULT = "result.json"  # of a study: for the clinic's systems
_JSON = "application/json"


def say_upload(clinic: str, upload_id: str, upload: str, verdict: Refused | Skipped) -> None:
    """Tells what became of an upload that is not part of any study."""
    _say_of(clinic, upload_id, upload, described(verdict))


def say_archive(
    clinic: str, upload_id: str, upload: str, *, taken: int, others: Sequence[tuple[str, Refused | Skipped]]
) -> None:
    """Tells what became of the files of a zip."""
    answer = {
        "outcome": "taken",
        "images": taken,
        "others": [{"member": member, **described(verdict)} for member, verdict in others],
    }
    _say_of(clinic, upload_id, upload, answer)


def _say_of(clinic: str, upload_id: str, upload: str, answer: dict[str, Any]) -> None:
    """The last answer about an upload counts. Of one whose name is not known any more, the first one does."""
    if upload:
        _say(clinic, f"uploads/{_file_name(upload, upload_id)}", {"upload": upload, "at": _at(), **answer})


def say_study(
    clinic: str,
    handle: str,
    stands: Callable[[], dict[str, Any] | None],
    own_names: Mapping[str, str] | None = None,
) -> None:
    """Tells how a study stands, for programs and as a page: what `stands` says when it is written (None: what was told
    before counts).

    `own_names`: what the clinic itself calls the study (`Ledger.own_names`).
    """

    def answer() -> dict[str, Any] | None:
        told = stands()
        return None if told is None else {"handle": handle, **(own_names or {}), "at": _at(), **told}

    _follow(clinic, f"studies/{handle}/status.json", answer)

    def page() -> bytes | None:
        told = answer()
        return None if told is None else study_page(told).encode()

    blobs.follow(_container(clinic), f"studies/{handle}/status.html", page, "text/html; charset=utf-8")


def say_result(
    clinic: str, handle: str, study_uid: str, accession: str, counts: Callable[[], StudyRecord | None]
) -> None:
    """Tells the clinic's systems the result, by the clinic's own UIDs: for a PACS or a worklist.

    It is that of the record which counts when it is written.
    """

    def answer() -> dict[str, Any] | None:
        record = counts()
        return None if record is None else _result(handle, study_uid, accession, record)

    _follow(clinic, f"studies/{handle}/{RESULT}", answer)


def _result(handle: str, study_uid: str, accession: str, record: StudyRecord) -> dict[str, Any]:
    return {
        "studyInstanceUid": study_uid,
        "accessionNumber": accession,
        "handle": handle,
        "label": record.label,
        "highRisk": record.high_risk,
        "risk": record.risk,
        "reason": record.reason,
        "readInPart": record.part,
        "accounting": record.accounting.model_dump() if record.accounting else None,
        "findings": [{**_finding(f), **_said_of(record, f)} for f in record.findings],
        "review": {"state": record.review, "signed": record.signed, "findingsAddedByReader": record.missed},
        "model": record.provenance.model.model_dump() if record.provenance and record.provenance.model else None,
        "models": [_model(one) for one in record.models],
        "at": _at(),
    }


def _model(one: ModelReading) -> dict[str, Any]:
    """What one of the models that were asked said of the study."""
    return {
        **one.model.model_dump(),
        "says": one.says,
        "highRisk": one.high_risk,
        "risk": one.risk,
        "reason": one.reason,
        "readInPart": one.part,
        "accounting": one.accounting.model_dump() if one.accounting else None,
    }


def _finding(found: Finding) -> dict[str, Any]:
    """A finding without a place (a class) has no size either, and states none."""
    size = {"diameterMm": found.diameter_mm} if found.diameter_mm else {}
    return {"meaning": found.concept.meaning, **size, "site": found.site, "probability": found.probability}


def _said_of(record: StudyRecord, found: Finding) -> dict[str, Any]:
    """Which model made the finding, and what the reader said of it, once it is signed; in their own words it is in the
    report that goes home."""
    model = {"model": record.found_by[found.key]} if found.key in record.found_by else {}
    return model | ({"verdict": record.judged[found.key]} if found.key in record.judged else {})


def say_access(clinic: str, access_id: str, answer: dict[str, Any]) -> None:
    """Tells that somebody saw whose study it is: by which door, in which role, for which reason."""
    _say(clinic, f"access/{access_id}.json", {"at": _at(), **answer})


def described(verdict: Refused | Skipped) -> dict[str, str]:
    """A verdict in the sender's words."""
    if isinstance(verdict, Skipped):
        return {"outcome": "skipped", "what": verdict.what}
    told = {"outcome": "refused", "reason": verdict.reason.value, "advice": verdict.advice}
    return told | ({"detail": verdict.detail} if verdict.detail else {})


def _say(clinic: str, name: str, answer: dict[str, Any]) -> None:
    blobs.put(_container(clinic), name, _encoded(answer), _JSON)


def _follow(clinic: str, name: str, answer: Callable[[], dict[str, Any] | None]) -> None:
    def data() -> bytes | None:
        told = answer()
        return None if told is None else _encoded(told)

    blobs.follow(_container(clinic), name, data, _JSON)


def _encoded(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, indent=1, ensure_ascii=False).encode()


def _container(clinic: str) -> ContainerClient:
    return clients.container(resource_names.UPLOADS, resource_names.results(clinic))


def readable(upload: str) -> str:
    """What an answer's name begins with: a clinic recognises its file by it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", upload).strip("._")[:80] or "file"


def _file_name(upload: str, upload_id: str) -> str:
    return f"{readable(upload)}-{upload_id[:8]}.json"  # the id keeps two files of one name apart


def _at() -> str:
    return now().isoformat(timespec="seconds")
