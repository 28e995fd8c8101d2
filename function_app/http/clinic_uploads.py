"""App `identity`: what a clinic's own users see of their uploads, and the addresses to upload to."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Literal

import azure.functions as func
from pydantic import BaseModel, ConfigDict, Field

from function_app.http.guard import Call, Problem, answer
from function_app.http.routes import SPARSE, Routes
from readfirst.adapters import blobs, clients
from readfirst.adapters.uploads import clinic_urls
from readfirst.domain import resource_names

_UPLOAD_ADDRESS_LIFE = timedelta(hours=2)
_LATEST = 200
_FOR_SYSTEMS = "/result.json"  # of a study, whose status.json says the same to people

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
    images: int = 0
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
    found = []
    for name in blobs.names(container, ""):
        kind = name.split("/")[0]
        if kind not in ("uploads", "studies", "access") or not name.endswith(".json") or name.endswith(_FOR_SYSTEMS):
            continue
        if data := blobs.read(container, name):
            # As stored: what another version said of one study hides no other.
            found.append(Outcome.model_construct(**{**json.loads(data), "clinic": clinic, "kind": kind}))
    return found


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
    call.audit("allowed", clinic=wanted.clinic)
    address, until = clinic_urls.upload_only(wanted.clinic, _UPLOAD_ADDRESS_LIFE, wanted.blob)
    return answer(UploadAddress(address=address, until=until), status=201)


blueprint = routes.blueprint()
