"""App `identity`: the doors to a patient's identity, erasures and merges. Everything is audited."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any, Literal

import azure.functions as func
from pydantic import BaseModel, Field

from function_app.http import guard
from function_app.http.guard import Call, Problem, answer
from function_app.http.routes import Accepted, Routes
from readfirst.adapters.identity import identities, identity_requests
from readfirst.adapters.studies.study_index import iso
from readfirst.adapters.uploads import clinic_results
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
from readfirst.domain.addresses import HANDLE
from readfirst.domain.deid import IdentityRecord, PatientIdentity

_LATEST = 200
routes = Routes("identity")
_NO_SUCH_CASE = Problem(404, "no-such-case", "There is no such request or use.")
_MOST_STUDIES = 1000  # of one patient


class Identity(BaseModel):
    """Whose study it is, as a person is shown it until then."""

    name: str
    patient_id: str
    birth_date: str
    accession: str
    until: str
    watermark: str


@routes.answers(Identity)
def treatment(call: Call) -> func.HttpResponse:
    """POST identity/treatment/{token}: door (a)."""
    reason = "treatment at the uploading clinic"
    call.audit("allowed", reason)
    return _shown(call, str(call.study["id"]), "treatment", reason)


@routes.answers(Identity, takes=Asked)
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
        Identity(
            name=patient.name.split("=")[0].replace("^", " ").strip(),
            patient_id=patient.patient_id,
            birth_date=patient.birth_date,
            accession=record.study.accession_number,
            until=iso(call.now + SHOWN_FOR),
            watermark=f"{call.person.name} {iso(call.now)}",
        )
    )


def _patient_of(record: IdentityRecord, study: Mapping[str, Any]) -> PatientIdentity:
    """The one patient of a study; nobody is shown for a study of which it is not clear whose it is."""
    own = str(study.get("own_patient") or study["patient"])
    if study.get("state") == "quarantined" or (own not in record.patients and len(record.patients) != 1):
        raise Problem(409, "several-persons", "The files of this study name several persons: nobody knows whose it is.")
    return record.patients.get(own) or next(iter(record.patients.values()))


class CaseView(BaseModel):
    """An act on a study, the other person's word on it, and what that word was."""

    act: Act
    answer: Answer | None
    opened: str
    state: Literal["open", "approved", "declined"]


class Use(CaseView):
    """A use of break-glass."""

    overdue: bool


class UseList(BaseModel):
    """Uses of break-glass, those without a review first."""

    uses: list[Use]


@routes.answers(UseList)
def break_glass_list(call: Call) -> func.HttpResponse:
    """GET identity/break-glass: uses on the studies of the person's clinics, those without a review first."""
    own = [c for c in identity_requests.cases("uses") if c.act.clinic in call.person.clinics]
    found = sorted(own, key=lambda c: (c.answer is not None, c.act.at))
    return answer(UseList(uses=[Use(**_seen(c), overdue=c.overdue(call.now)) for c in found[:_LATEST]]))


def _seen(case: Case) -> dict[str, Any]:
    return {"act": case.act, "answer": case.answer, "opened": case.opened, "state": case.state()}


@routes.answers(CaseView, takes=BreakGlassReview)
def break_glass_review(call: Call) -> func.HttpResponse:
    """POST identity/break-glass/{use}/review."""
    verdict = call.body(BreakGlassReview)
    return _decide(call, "uses", call.path["use"], yes=verdict.justified, note=verdict.note)


class RequestId(BaseModel):
    """The request that was made."""

    id: str


@routes.answers(RequestId, takes=Asked, status=201)
def request_identity(call: Call) -> func.HttpResponse:
    """POST identity/requests/{token}: door (c), the question."""
    act = _act(call, call.body(Asked).reason)
    call.audit("asked", act.reason)
    identity_requests.keep("requests", act)
    return answer(RequestId(id=act.id), status=201)


class IdentityRequest(CaseView):
    """A request, and whether it is the caller's own."""

    mine: bool


class RequestList(BaseModel):
    """Requests; `decides`: whether the caller decides on those of others."""

    requests: list[IdentityRequest]
    decides: bool


@routes.answers(RequestList)
def requests(call: Call) -> func.HttpResponse:
    """GET identity/requests: mine; everybody's for who decides."""
    decides = call.person.may(guard.RULE["request_decision"])
    person = call.person
    found = [
        c
        for c in identity_requests.cases("requests")
        if c.act.by == person.id or (decides and c.act.clinic in person.clinics)
    ]
    listed = [IdentityRequest(**_seen(c), mine=c.act.by == call.person.id) for c in found[:_LATEST]]
    return answer(RequestList(requests=listed, decides=decides))


@routes.answers(CaseView, takes=Decision)
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
    call.audit("yes" if yes else "no", f"{act_id} {note}".strip(), _study_of(case))
    if not why and not identity_requests.answer(kind, case, word):
        case = _case(kind, act_id)  # another word came first, perhaps this one
    elif not why:
        case = case.model_copy(update={"answer": word})
    if not repeats(case, word):
        raise Problem(409, "not-now", "It is decided already.")
    return answer(CaseView(**_seen(case)))


def _study_of(case: Case) -> dict[str, str]:
    return {"id": case.act.token, "handle": case.act.handle, "clinic": case.act.clinic}


def _case(kind: identity_requests.Kind, act_id: str) -> Case:
    case = identity_requests.case(kind, act_id) if re.fullmatch(r"[0-9a-f]{32}", act_id) else None
    if case is None:
        raise _NO_SUCH_CASE
    return case


@routes.answers(Identity)
def request_open(call: Call) -> func.HttpResponse:
    """POST identity/requests/{request}/open: what was approved, for who asked."""
    case = _case("requests", call.path["request"])
    if why := may_open(case, call.person.id, call.now):
        call.audit("refused", case.act.id, _study_of(case))
        raise Problem(403, "not-approved", why)
    found = guard.worklist().one(guard.all_clinics(), id=case.act.token)
    if found is None:
        raise Problem(404, "no-such-study", "There is no such study.")
    approved = Call(call.rule, call.request, call.person, call.now, found)
    approved.audit("allowed", case.act.reason)
    identity_requests.opened(case, call.now.isoformat())
    return _shown(approved, case.act.token, "dual control", case.act.reason)


class Erasure(Asked):
    """What is to be erased: the study, or all studies of its patient."""

    of: Literal["study", "patient"]


class Erasing(Accepted):
    """The handles of the studies that are being erased."""

    handles: list[str]


@routes.answers(Erasing, takes=Erasure, status=202)
def erase(call: Call) -> func.HttpResponse:
    """POST identity/erasures/{token}: the intake app stops and erases, and has this app erase the rest."""
    wish, study = call.body(Erasure), call.study
    doomed = [study] if wish.of == "study" else _of_same_patient(study)
    call.audit(f"erase {wish.of}: {len(doomed)}", wish.reason)
    for one in doomed:
        detail = {"clinic": str(one["clinic"]), "handle": str(one["handle"])}
        call.command("erase", str(one["id"]), detail)
    return answer(Erasing(handles=[str(one["handle"]) for one in doomed]), status=202)


class Merge(Asked):
    """`into`: the handle of a study of the other patient."""

    into: Annotated[str, Field(pattern=f"^{HANDLE}$")]


@routes.answers(Accepted, takes=Merge, status=202)
def merge(call: Call) -> func.HttpResponse:
    """POST identity/merges/{token}: the study's patient becomes the other study's; into itself, it is undone."""
    wish, study = call.body(Merge), call.study
    other = guard.worklist().one([str(study["clinic"])], handle=wish.into)
    if other is None:
        raise Problem(404, "no-such-study", "The clinic has no other study of that handle.")
    own = str(study.get("own_patient") or study["patient"])
    into = own if other["id"] == study["id"] else str(other["patient"])
    if not own or not into:
        raise Problem(409, "no-person", "It is not known whose study that is.")
    call.audit(f"merge into {wish.into}" if into != own else "merge undone", wish.reason)
    call.command("merge", str(study["id"]), {"clinic": str(study["clinic"]), "patient": own, "into": into})
    return answer(Accepted(), status=202)


def _of_same_patient(study: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not study["patient"]:  # nobody's: all others that are nobody's are not the same person's
        return [dict(study)]
    found = guard.worklist().newest([str(study["clinic"])], {"patient": str(study["patient"])})
    return list(islice(found, _MOST_STUDIES))


blueprint = routes.blueprint()
