"""App `identity`: the doors to a patient's identity, quarantine, and a clinic's own uploads. Everything is audited."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from datetime import timedelta
from itertools import islice
from typing import Annotated, Any, Literal

import azure.functions as func
from pydantic import BaseModel, ConfigDict, Field

from function_app.http import guard
from function_app.http.guard import Call, Problem, answer, binary
from readfirst.adapters import blobs, clients
from readfirst.adapters.identity import identities, identity_requests
from readfirst.adapters.studies.study_index import iso
from readfirst.adapters.uploads import clinic_results, clinic_urls, persons, quarantine
from readfirst.domain import resource_names
from readfirst.domain.access.identity_requests import (
    SHOWN_FOR,
    Act,
    Answer,
    Asked,
    BreakGlassReview,
    Case,
    Decision,
    may_decide,
    may_open,
    repeats,
)
from readfirst.domain.access.text_fields import Why
from readfirst.domain.addresses import HANDLE
from readfirst.domain.deid import IdentityRecord, PatientIdentity
from readfirst.domain.intake.person import Question

_UPLOAD_ADDRESS_LIFE = timedelta(hours=2)
_ITEM = re.compile(r"([0-9a-f]{32}|[a-z0-9-]{1,40})~([0-9a-f]{32})")
_PICTURE_SIDE = 1024
_LATEST = 200
_NO_SUCH_CASE = Problem(404, "no-such-case", "There is no such request or use.")
_MOST_STUDIES = 1000  # of one patient


def treatment(call: Call) -> func.HttpResponse:
    """POST identity/treatment/{token}: door (a)."""
    reason = "treatment at the uploading clinic"
    call.audit("allowed", reason)
    return _shown(call, str(call.study["id"]), "treatment", reason)


def break_glass(call: Call) -> func.HttpResponse:
    """POST identity/break-glass/{token}: door (b). The use is kept before anything is shown."""
    reason = call.body(Asked).reason
    call.audit("allowed", reason)
    identity_requests.keep("uses", _act(call, reason))
    return _shown(call, str(call.study["id"]), "break-glass", reason)


def _act(call: Call, reason: str) -> Act:
    return Act(
        id=uuid.uuid4().hex,
        token=str(call.study["id"]),
        clinic=str(call.study["clinic"]),
        handle=str(call.study["handle"]),
        by=call.person.id,
        by_name=call.person.name,
        at=call.now.isoformat(),
        reason=reason,
    )


def _shown(call: Call, token: str, door: str, reason: str) -> func.HttpResponse:
    """The identity: audited by the caller, and told to the clinic first, so that nothing is ever seen in silence."""
    study = call.study
    role = ",".join(sorted(call.person.roles & set(call.rule.roles)))
    told = {"handle": study["handle"], "door": door, "role": role, "reason": reason}
    clinic_results.say_access(str(study["clinic"]), uuid.uuid4().hex, told)
    record = identities.of_study(token)
    if record is None:
        raise Problem(404, "no-identity", "The vault holds no identity of this study.")
    patient = _patient_of(record, study)
    return answer(
        {
            "name": patient.name.split("=")[0].replace("^", " ").strip(),
            "patient_id": patient.patient_id,
            "birth_date": patient.birth_date,
            "accession": record.study.accession_number,
            "until": iso(call.now + SHOWN_FOR),
            "watermark": f"{call.person.name} {iso(call.now)}",
        }
    )


def _patient_of(record: IdentityRecord, study: Mapping[str, Any]) -> PatientIdentity:
    """The one patient of a study; nobody is shown for a study of which it is not clear whose it is."""
    own = str(study.get("own_patient") or study["patient"])
    if study.get("state") == "quarantined" or (own not in record.patients and len(record.patients) != 1):
        raise Problem(409, "several-persons", "The files of this study name several persons: nobody knows whose it is.")
    return record.patients.get(own) or next(iter(record.patients.values()))


def break_glass_list(call: Call) -> func.HttpResponse:
    """GET identity/break-glass: uses on the studies of the person's clinics, those without a review first."""
    own = [c for c in identity_requests.cases("uses") if c.act.clinic in call.person.clinics]
    found = sorted(own, key=lambda c: (c.answer is not None, c.act.at))
    return answer({"uses": [{**_told(c), "overdue": c.overdue(call.now)} for c in found[:_LATEST]]})


def _told(case: Case) -> dict[str, Any]:
    return {**case.model_dump(mode="json"), "state": case.state()}


def break_glass_review(call: Call) -> func.HttpResponse:
    """POST identity/break-glass/{use}/review."""
    verdict = call.body(BreakGlassReview)
    return _decide(call, "uses", call.path["use"], yes=verdict.justified, note=verdict.note)


def request_identity(call: Call) -> func.HttpResponse:
    """POST identity/requests/{token}: door (c), the question."""
    act = _act(call, call.body(Asked).reason)
    call.audit("asked", act.reason)
    identity_requests.keep("requests", act)
    return answer({"id": act.id}, status=201)


def requests(call: Call) -> func.HttpResponse:
    """GET identity/requests: mine; everybody's for who decides."""
    decides = call.person.may(guard.RULE["request_decision"])
    person = call.person
    found = [
        c
        for c in identity_requests.cases("requests")
        if c.act.by == person.id or (decides and c.act.clinic in person.clinics)
    ]
    listed = [{**_told(c), "mine": c.act.by == call.person.id} for c in found[:_LATEST]]
    return answer({"requests": listed, "decides": decides})


def request_decision(call: Call) -> func.HttpResponse:
    """POST identity/requests/{request}/decision."""
    decision = call.body(Decision)
    return _decide(call, "requests", call.path["request"], yes=decision.approve, note=decision.note)


def _decide(call: Call, kind: identity_requests.Kind, act_id: str, *, yes: bool, note: str) -> func.HttpResponse:
    case = _case(kind, act_id)
    if case.act.clinic not in call.person.clinics:
        raise _NO_SUCH_CASE
    word = Answer(by=call.person.id, by_name=call.person.name, at=call.now.isoformat(), yes=yes, note=note)
    why = may_decide(case, call.person.id)
    if why and not repeats(case, word):
        raise Problem(409, "not-now", why)
    call.audit("yes" if yes else "no", f"{act_id} {note}".strip(), case.act.clinic)
    if not why and not identity_requests.answer(kind, case, word):
        case = _case(kind, act_id)  # another word came first, perhaps this one
    elif not why:
        case = case.model_copy(update={"answer": word})
    if not repeats(case, word):
        raise Problem(409, "not-now", "It is decided already.")
    return answer(_told(case))


def _case(kind: identity_requests.Kind, act_id: str) -> Case:
    case = identity_requests.case(kind, act_id) if re.fullmatch(r"[0-9a-f]{32}", act_id) else None
    if case is None:
        raise _NO_SUCH_CASE
    return case


def request_open(call: Call) -> func.HttpResponse:
    """POST identity/requests/{request}/open: what was approved, for who asked."""
    case = _case("requests", call.path["request"])
    if why := may_open(case, call.person.id, call.now):
        call.audit("refused", case.act.id, case.act.clinic)
        raise Problem(403, "not-approved", why)
    found = guard.worklist().one(guard.all_clinics(), id=case.act.token)
    if found is None:
        raise Problem(404, "no-such-study", "There is no such study.")
    approved = Call(call.rule, call.request, call.person, call.now, found)
    approved.audit("allowed", case.act.reason)
    identity_requests.opened(case, call.now.isoformat())
    return _shown(approved, case.act.token, "dual control", case.act.reason)


class _Erase(Asked):
    of: Literal["study", "patient"]


def erase(call: Call) -> func.HttpResponse:
    """POST identity/erasures/{token}: the intake app stops and erases, and has this app erase the rest."""
    wish, study = call.body(_Erase), call.study
    doomed = [study] if wish.of == "study" else _of_same_patient(study)
    call.audit(f"erase {wish.of}: {len(doomed)}", wish.reason)
    for one in doomed:
        detail = {"clinic": str(one["clinic"]), "handle": str(one["handle"])}
        call.command("erase", str(one["id"]), detail)
    return answer({"accepted": True, "handles": [str(one["handle"]) for one in doomed]}, status=202)


class _Merge(Asked):
    into: Annotated[str, Field(pattern=f"^{HANDLE}$")]  # the handle of a study of the other patient


def merge(call: Call) -> func.HttpResponse:
    """POST identity/merges/{token}: the study's patient becomes the other study's; into itself, it is undone."""
    wish, study = call.body(_Merge), call.study
    other = guard.worklist().one([str(study["clinic"])], handle=wish.into)
    if other is None:
        raise Problem(404, "no-such-study", "The clinic has no other study of that handle.")
    own = str(study.get("own_patient") or study["patient"])
    into = own if other["id"] == study["id"] else str(other["patient"])
    if not own or not into:
        raise Problem(409, "no-person", "It is not known whose study that is.")
    call.audit(f"merge into {wish.into}" if into != own else "merge undone", wish.reason)
    call.command("merge", str(study["id"]), {"clinic": str(study["clinic"]), "patient": own, "into": into})
    return answer({"accepted": True}, status=202)


def _of_same_patient(study: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not study["patient"]:  # nobody's: all others that are nobody's are not the same person's
        return [dict(study)]
    found = guard.worklist().newest([str(study["clinic"])], {"patient": str(study["patient"])})
    return list(islice(found, _MOST_STUDIES))


def quarantine_list(call: Call) -> func.HttpResponse:
    """GET quarantine: the files kept back of the person's clinics."""
    kept = [k for k in quarantine.every() if _clinic_of(k.owner, call) in call.person.clinics]
    kept.sort(key=lambda k: k.at, reverse=True)
    items = [
        {
            "item": f"{k.owner}~{k.arrival}",
            "clinic": _clinic_of(k.owner, call),
            "study": k.owner if len(k.owner) == 32 else "",
            "reason": k.reason,
            "advice": k.advice,
            "size": k.size,
            "at": k.at,
        }
        for k in kept[:_LATEST]
    ]
    return answer({"items": items, "more": len(kept) > _LATEST})


def _clinic_of(owner: str, call: Call) -> str:
    """The clinic of a quarantined file: named by itself, or by its study. Unknown studies belong to nobody here."""
    if owner in call.person.clinics:
        return owner
    found = guard.worklist().one(call.person.clinics, id=owner)
    return str(found["clinic"]) if found else ""


def _item(call: Call) -> tuple[str, str, str]:
    """Owner, arrival and clinic of the file that the path names."""
    match = _ITEM.fullmatch(call.path["item"])
    clinic = _clinic_of(match[1], call) if match else ""
    if not match or clinic not in call.person.clinics:
        raise Problem(404, "no-such-item", "There is no such file in quarantine.")
    return match[1], match[2], clinic


def quarantine_picture(call: Call) -> func.HttpResponse:
    """GET quarantine/{item}/picture?frame=: one frame, from 1."""
    _, look = _looked(call)
    return binary(look.encoded(_PICTURE_SIDE), "image/png")


def quarantine_texts(call: Call) -> func.HttpResponse:
    """GET quarantine/{item}/texts?frame=: how many frames there are, and where this one shows text."""
    frame, look = _looked(call)
    return answer({"frame": frame, "frames": look.frames, "texts": look.texts()})


def _looked(call: Call) -> tuple[int, quarantine.Look]:
    owner, arrival, clinic = _item(call)
    call.audit("allowed", arrival, clinic)
    frame = guard.number(call.query("frame", "1"), 1, 100_000)
    look = quarantine.look(owner, arrival, frame - 1)
    if look is None:
        raise Problem(404, "no-picture", "The file shows no such picture.")
    return frame, look


def quarantine_persons(call: Call) -> func.HttpResponse:
    """GET quarantine/{item}/persons: whom the files of a study name, by how many."""
    owner, arrival, clinic = _item(call)
    call.audit("allowed", arrival, clinic)
    question = _question(owner, arrival)
    if question is None:
        raise Problem(404, "no-question", "Nobody asks whose this file is.")
    shown = [
        {**stated.model_dump(), "files": files, "possible": question.pinned in (None, index)}
        for index, (stated, files) in enumerate(zip(question.shown, question.files, strict=True))
    ]
    return answer({"persons": shown})


def _question(owner: str, arrival: str) -> Question | None:
    return persons.asked(owner, arrival) if len(owner) == 32 else None


class _Ruling(BaseModel):
    """Of a study of several persons, `person` says whose alone it is (counted from 0); none: all are one person."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    release: bool
    reason: Why
    person: Annotated[int, Field(ge=0)] | None = None


def quarantine_decision(call: Call) -> func.HttpResponse:
    """POST quarantine/{item}/decision: the intake app carries it out."""
    owner, arrival, clinic = _item(call)
    ruling = call.body(_Ruling)
    question = _question(owner, arrival)
    if ruling.person is not None and (question is None or question.ruling(ruling.person) is None):
        raise Problem(422, "no-such-person", "The study cannot be given to that person.")
    outcome = "reject" if not ruling.release else "release" if question is None else _outcome(ruling.person, question)
    call.audit(outcome, f"{arrival} {ruling.reason}", clinic)
    detail = {"arrival": arrival} | ({} if ruling.person is None else {"person": str(ruling.person)})
    call.command("release" if ruling.release else "reject", owner, detail)
    return answer({"accepted": True}, status=202)


def _outcome(person: int | None, question: Question) -> str:
    """What the audit log says: no name, and yet who was which is in the question."""
    count = len(question.persons)
    return f"release: {count} are one person" if person is None else f"split: person {person + 1} of {count} alone"


def uploads(call: Call) -> func.HttpResponse:
    """GET uploads: what the person's clinics were told, newest first."""
    told = [item for clinic in sorted(call.person.clinics) for item in _told_to(clinic)]
    told.sort(key=lambda item: str(item.get("at", "")), reverse=True)
    return answer({"items": told[:_LATEST], "more": len(told) > _LATEST})


def _told_to(clinic: str) -> list[dict[str, Any]]:
    container = clients.container(resource_names.UPLOADS, resource_names.results(clinic))
    found = []
    for name in blobs.names(container, ""):
        kind = name.split("/")[0]
        if (
            kind in ("uploads", "studies", "access")
            and name.endswith(".json")
            and (data := blobs.read(container, name))
        ):
            found.append({"clinic": clinic, "kind": kind, **json.loads(data)})
    return found


class _Wanted(BaseModel):
    """An address of the whole inbox, or of one large file that comes in blocks, in a folder that nobody guesses."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    clinic: str
    blob: str = Field("", max_length=900, pattern=r"^$|^portal-[0-9a-f-]{36}(/[^/\\\x00-\x1f\x7f]+)+$")


def upload_address(call: Call) -> func.HttpResponse:
    """POST uploads/address {clinic, blob}: a create-only address of the inbox, or one that sends one blob in blocks.

    Whether the blob is there already is not asked: this app may not read an inbox. Its sender commits with
    `If-None-Match: *`, in a folder whose name nobody else knows.
    """
    wanted = call.body(_Wanted)
    if wanted.clinic not in call.person.clinics:
        raise Problem(404, "no-such-clinic", "There is no such clinic.")
    if {".", ".."} & set(wanted.blob.split("/")):
        raise Problem(422, "invalid", "A file's name may not lead elsewhere.")
    call.audit("allowed", clinic=wanted.clinic)
    address, until = clinic_urls.upload_only(wanted.clinic, _UPLOAD_ADDRESS_LIFE, wanted.blob)
    return answer({"address": address, "until": until}, status=201)


HANDLERS = {
    handler.__name__: handler
    for handler in (
        treatment, break_glass, break_glass_list, break_glass_review, request_identity, requests, request_decision,
        request_open, erase, merge, quarantine_persons,
        quarantine_picture, quarantine_texts, quarantine_decision, uploads, upload_address,
    )
} | {"quarantine": quarantine_list}  # fmt: skip

blueprint = guard.blueprint("identity", HANDLERS)
