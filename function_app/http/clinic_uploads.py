"""App `identity`: what a clinic's own users see of their uploads, and the addresses to upload to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

import azure.functions as func
from pydantic import BaseModel, ConfigDict, Field

from function_app.http import guard
from function_app.http.guard import Call, Problem, answer
from function_app.http.routes import SPARSE, Routes
from readfirst.adapters import blobs, clients
from readfirst.adapters.uploads import clinic_results, clinic_urls, quarantine
from readfirst.domain import resource_names

_UPLOAD_ADDRESS_LIFE = timedelta(hours=2)
_LATEST = 200

routes = Routes("identity")


class ArchiveMember(BaseModel):
    """What became of a file of an archive that belongs to no study."""

    model_config = SPARSE

    member: str
    outcome: Literal["refused", "skipped"]
    reason: str = ""
    advice: str = ""
    detail: str = ""
    what: str = ""


class ReviewSaid(BaseModel):
    """What came of the review of a study's AI result."""

    model_config = SPARSE

    state: Literal["unread", "in progress", "signed"] = "unread"
    signed: str = ""
    findingsAddedByReader: int = 0  # as result.json names it


class Outcome(BaseModel):
    """What a clinic was told of an upload, of a study, or of a look at an identity. Only what applies is there, and
    more of it that the clinic's systems read in their container."""

    model_config = ConfigDict(**SPARSE, extra="allow")

    clinic: str
    kind: Literal["uploads", "studies", "access"]
    at: str = ""
    upload: str = ""
    handle: str = ""
    outcome: Literal["taken", "refused", "skipped"] = "taken"
    state: str = ""
    label: str = ""
    images: int | None = None
    studyInstanceUid: str = ""  # of a study, as its clinic names it
    accessionNumber: str = ""
    review: ReviewSaid | None = None
    reason: str = ""
    advice: str = ""
    door: str = ""
    role: str = ""
    others: list[ArchiveMember] = []


class OutcomeList(BaseModel):
    """The latest outcomes, newest first; `more`: whether there are others."""

    items: list[Outcome]
    more: bool


@routes.answers(OutcomeList)
def uploads(call: Call) -> func.HttpResponse:
    """GET uploads: what the person's clinics were told, newest first."""
    told = [item for clinic in sorted(call.person.clinics) for item in _told_to(clinic)]
    told.sort(key=lambda item: item.at, reverse=True)
    latest = OutcomeList.model_construct(items=told[:_LATEST], more=len(told) > _LATEST)
    return answer(latest.model_dump(mode="json", exclude_unset=True, warnings=False))


def _told_to(clinic: str) -> list[Outcome]:
    container = clients.container(resource_names.UPLOADS, resource_names.results(clinic))
    found: list[dict[str, Any]] = []
    results: dict[str, dict[str, Any]] = {}
    for name in blobs.names(container, ""):
        kind, *_, last = name.split("/")
        if kind not in ("uploads", "studies", "access") or not name.endswith(".json"):
            continue
        if (data := blobs.read(container, name)) is None:
            continue
        if kind == "studies" and last == clinic_results.RESULT:  # for the clinic's systems: status.json is for people
            results[name.rsplit("/", 1)[0]] = json.loads(data)
        else:
            found.append({**json.loads(data), "clinic": clinic, "kind": kind})
    named = [{**item, **_own_names(results.get(f"studies/{item.get('handle')}", {}))} for item in found]
    # As stored: what another version said of one study hides no other.
    return [Outcome.model_construct(**item) for item in named]


def _own_names(result: Mapping[str, Any]) -> dict[str, Any]:
    """What a study's result says that its status may not: the clinic's own names of it, and what the reader said."""
    kept = ("studyInstanceUid", "accessionNumber", "review")
    return {name: result[name] for name in kept if result.get(name)}


class RefusedCounts(BaseModel):
    """How many files, by reason."""

    refused: dict[str, int]


@routes.answers(RefusedCounts)
def refused(call: Call) -> func.HttpResponse:
    """GET uploads/refused?days=: files of no study that were refused and are kept back, by reason.

    What was refused of a study is in the study's own books.
    """
    since = (call.now - timedelta(days=guard.number(call.query("days", "30"), 1, 366))).isoformat()
    found = Counter(
        k.reason
        for k in quarantine.every()
        if k.owner in call.person.clinics and not (k.clutter or k.of_study) and k.at >= since
    )
    return answer(RefusedCounts(refused=dict(found)))


class WantedAddress(BaseModel):
    """An address of the whole inbox, or of one large file that comes in blocks, in a folder that nobody guesses."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    clinic: str
    blob: str = Field("", max_length=900, pattern=r"^$|^portal-[0-9a-f-]{36}(/[^/\\\x00-\x1f\x7f]+)+$")


class UploadAddress(BaseModel):
    """An address that works until then."""

    address: str
    until: str


@routes.answers(UploadAddress, takes=WantedAddress, status=201)
def upload_address(call: Call) -> func.HttpResponse:
    """POST uploads/address {clinic, blob}: a create-only address of the inbox, or one that sends one blob in blocks.

    Whether the blob is there already is not asked: this app may not read an inbox. Its sender commits with
    `If-None-Match: *`, in a folder whose name nobody else knows.
    """
    wanted = call.body(WantedAddress)
    if wanted.clinic not in call.person.clinics:
        raise Problem(404, "no-such-clinic", "There is no such clinic.")
    if {".", ".."} & set(wanted.blob.split("/")):
        raise Problem(422, "invalid", "A file's name may not lead elsewhere.")
    call.audit("allowed", of={"clinic": wanted.clinic})
    address, until = clinic_urls.upload_only(wanted.clinic, _UPLOAD_ADDRESS_LIFE, wanted.blob)
    return answer(UploadAddress(address=address, until=until), status=201)


blueprint = routes.blueprint()
