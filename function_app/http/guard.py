"""Behind which every HTTP function is: the guard, which admits a call or refuses it.

It checks the token, the role, the rate and the study's clinic, writes the audit log, and turns refusals
into problem+json (RFC 9457). No exception's text ever reaches a caller.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import azure.functions as func
from pydantic import BaseModel, ValidationError

from readfirst.adapters import clients, clock
from readfirst.adapters.access_tokens import NotSignedIn, signin
from readfirst.adapters.audit_log import AuditLog
from readfirst.adapters.process_cache import once
from readfirst.adapters.studies.study_index import Worklist, iso
from readfirst.domain import resource_names
from readfirst.domain.access.looks import Looks, look_of
from readfirst.domain.access.rate_limit import Buckets
from readfirst.domain.access.rules import RULES, App, Person, Rule
from readfirst.domain.addresses import API, OLDER_API, study_named
from readfirst.domain.analysis.messages import Command, Kind

log = logging.getLogger(__name__)
RULE = {rule.name: rule for rule in RULES}
_UID = re.compile(r"[0-9.]{1,64}")
_API = re.compile(f"(https?://[^/]+)?({API}|{OLDER_API})(?=/)", re.IGNORECASE)
_BODY_LIMIT = 64 << 10
_AFTER_THE_CALL_SECONDS = 300  # the platform answers a caller for us after 230
HEADERS = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}

_TOO_MANY_GROUPS = (
    "You are in more than 200 groups (groups within groups count), so the directory left your groups out of the "
    "sign-in, and your roles and clinics are not known here. Ask your administrator to have the sign-in name only the "
    "groups that are assigned to this application (docs/operator/runbook.md, “Too many groups”), then sign in again."
)

Shape = TypeVar("Shape", bound=BaseModel)


class Problem(Exception):
    """A refusal that the caller is told: status, a stable code, a sentence for people."""

    def __init__(self, status: int, code: str, detail: str, **more: object) -> None:
        super().__init__(code)
        self.status, self.code, self.detail, self.more = status, code, detail, more


@dataclass(frozen=True)
class Call:
    """A call that the guard let through. `study` is the record where the rule is about one study."""

    rule: Rule
    request: func.HttpRequest
    person: Person
    now: datetime
    study: Mapping[str, Any]

    @property
    def api(self) -> str:
        """Where the caller found this API: what we name to that caller is found there too."""
        match = _API.match(self.request.url)
        return match[0] if match else API

    @property
    def path(self) -> Mapping[str, str]:
        """The route's parameters."""
        return dict(self.request.route_params)

    def query(self, name: str, default: str = "") -> str:
        """A query parameter."""
        return str(self.request.params.get(name, default))

    def body(self, shape: type[Shape]) -> Shape:
        """The JSON body in that shape. Raises Problem 400, 413 or 422."""
        try:
            return shape.model_validate(parsed_body(self.request))
        except ValidationError as error:
            fields = [{"field": ".".join(map(str, e["loc"])), "problem": e["type"]} for e in error.errors()]
            raise Problem(422, "invalid", "Some fields of the request are not valid.", fields=fields) from None

    def audit(self, outcome: str, reason: str = "", of: Mapping[str, Any] | None = None) -> None:
        """Writes the act to the audit log. One look is written once.

        `of` says what it is about where the path names no study: `clinic`, and of a study `id` and `handle`.
        """
        about = self.study if of is None else of
        look = look_of(self.rule) if outcome == "allowed" else ""
        key = (self.person.id, str(about.get("id", "")), look)
        if look and looks().audited(key, self.now):
            return
        role = ",".join(sorted(self.person.roles & set(self.rule.roles)))
        audit_log(self.rule.app).add(
            self.now,
            actor=self.person.id,
            name=self.person.name,
            role=role,
            act=self.rule.name,
            outcome=outcome,
            token=str(about.get("id", "")),
            handle=str(about.get("handle", "")),
            clinic=str(about.get("clinic", "")),
            reason=reason,
        )
        if look:
            looks().begin(key, self.now)

    def command(self, kind: Kind, token: str, detail: dict[str, str] | None = None) -> None:
        """Puts a command about a study into the queue: the only way into orchestrations."""
        clients.queue(resource_names.COMMANDS).send_message(self._command(kind, token, detail))

    def promise(self, kind: Kind, token: str, detail: dict[str, str] | None = None) -> None:
        """Puts a command into the queue that comes when this call is over: it finishes what the call leaves undone.

        Whoever writes an event gives the promise first. Without it nothing is written: the caller can try again.
        """
        text = self._command(kind, token, detail)
        clients.queue(resource_names.COMMANDS).send_message(text, visibility_timeout=_AFTER_THE_CALL_SECONDS)

    def _command(self, kind: Kind, token: str, detail: dict[str, str] | None) -> str:
        message = Command(kind=kind, token=token, by=self.person.id, at=iso(self.now), detail=detail or {})
        return message.model_dump_json()


Handler = Callable[[Call], func.HttpResponse]


def guarded(rule: Rule, handler: Handler, request: func.HttpRequest) -> func.HttpResponse:
    """Runs the handler for who may, and answers everything else as a problem."""
    try:
        return handler(_admitted(rule, request))
    except Problem as problem:
        return _problem(problem)
    except NotSignedIn as error:
        return _problem(Problem(401, "not-signed-in", str(error)))
    except Exception:
        reference = uuid.uuid4().hex[:12]
        log.exception("fault %s in %s", reference, rule.name)
        return _problem(Problem(500, "fault", f"Something failed on our side. Reference {reference}."))


def _admitted(rule: Rule, request: func.HttpRequest) -> Call:
    moment = clock.now()
    if rule.anonymous:
        return Call(rule, request, Person("", "", frozenset()), moment, {})
    person = signin().person(request.headers.get("Authorization"))
    call = Call(rule, request, person, moment, {})
    if wait := buckets(rule.app).wait(person.id, time.monotonic()):
        raise Problem(429, "too-many-requests", "Too many requests at once.", retry_after=round(wait + 0.5))
    if not person.may(rule):
        call.audit("forbidden")
        if person.groups_left_out:
            raise Problem(403, "too-many-groups", _TOO_MANY_GROUPS)
        raise Problem(403, "forbidden", "Your role may not do this.")
    if "token" in call.path or "study" in call.path:
        return Call(rule, request, person, moment, _study(call))
    return call


def _study(call: Call) -> Mapping[str, Any]:
    """The study of the path, by token or handle, if the person's clinics have it. For anyone else there is none."""
    reach = call.person.clinics if call.rule.scope == "study" else all_clinics()
    named, uid = study_named(call.path.get("token", "")), call.path.get("study", "")
    found: Mapping[str, Any] | None = None
    if named:
        found = worklist().one(reach, **named)
    elif _UID.fullmatch(uid):
        found = worklist().one(reach, study_uid=uid)
    if found is None:
        raise Problem(404, "no-such-study", "There is no such study.")
    return found


def _problem(problem: Problem) -> func.HttpResponse:
    body = {
        "type": f"https://readfirst.dev/problems/{problem.code}",
        "title": problem.code.replace("-", " "),
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        **problem.more,
    }
    headers = dict(HEADERS)
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if "retry_after" in problem.more:
        headers["Retry-After"] = str(problem.more["retry_after"])
    return func.HttpResponse(
        json.dumps(body), status_code=problem.status, mimetype="application/problem+json", headers=headers
    )


def parsed_body(request: func.HttpRequest) -> Any:
    """The request's JSON."""
    raw = request.get_body() or b""
    if len(raw) > _BODY_LIMIT:
        raise Problem(413, "too-large", "The request is too large.")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Problem(400, "not-json", "The request's body is not JSON.") from None


def answer(
    body: BaseModel | Mapping[str, object], *, status: int = 200, etag: str = "", **headers: str
) -> func.HttpResponse:
    """A JSON answer. Its ETag stands in the body too: the platform's CORS shows no such header to a page."""
    tagged = {**_plain(body), "etag": etag} if etag else _plain(body)
    more = {**HEADERS, **headers, **({"ETag": etag} if etag else {})}
    text = json.dumps(tagged, separators=(",", ":"), ensure_ascii=False)
    return func.HttpResponse(text, status_code=status, mimetype="application/json", headers=more)


def answer_if_changed(
    request: func.HttpRequest, body: BaseModel, essence: object = None, **headers: str
) -> func.HttpResponse:
    """A JSON answer with an ETag (of `essence`, or of the body); 304 where the client has it already."""
    plain = _plain(body)
    digest = hashlib.sha256(json.dumps(essence or plain, sort_keys=True).encode()).hexdigest()[:32]
    etag = f'"{digest}"'
    if etag in request.headers.get("If-None-Match", ""):
        return func.HttpResponse(status_code=304, headers={**HEADERS, **headers, "ETag": etag})
    return answer(plain, status=200, etag=etag, **headers)


def _plain(body: BaseModel | Mapping[str, object]) -> Mapping[str, object]:
    """What JSON can hold. A line of a list is shown as it is stored (`model_construct`), so its types may differ."""
    return body.model_dump(mode="json", warnings=False) if isinstance(body, BaseModel) else body


def binary(data: bytes, media_type: str, *, seconds: int = 0) -> func.HttpResponse:
    """Bytes; `seconds` says how long the caller's own browser may keep them."""
    headers = {**HEADERS, "Cache-Control": f"private, max-age={seconds}" if seconds else "private, no-store"}
    return func.HttpResponse(data, mimetype=media_type, headers=headers)


def number(text: str, low: int, high: int) -> int:
    """A query's number, brought into its bounds. Raises Problem 400."""
    try:
        value = int(text)
    except ValueError:
        raise Problem(400, "not-a-number", "A number is needed here.") from None
    return min(max(value, low), high)


def page(html: str) -> func.HttpResponse:
    """A page to print. Nothing in it may run or load, wherever it is opened."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    return func.HttpResponse(html, mimetype="text/html", headers={**HEADERS, "Content-Security-Policy": policy})


@once
def worklist() -> Worklist:
    """The index of studies."""
    return Worklist(clients.cosmos_container())


@once
def audit_log(app: App) -> AuditLog:
    """The app's own chain."""
    return AuditLog(clients.container(resource_names.AUDIT, resource_names.audit(app)), app)


@once
def looks() -> Looks:
    """The looks at studies that are in the audit log."""
    return Looks()


@once
def buckets(app: App) -> Buckets:
    """The app's rate limits: the doors to an identity open slowly."""
    return Buckets(per_minute=1200, burst=400) if app == "api" else Buckets(per_minute=60, burst=40)


def all_clinics() -> frozenset[str]:
    """Every clinic of the clinic list."""
    from readfirst.adapters.settings import settings

    return frozenset(clinic.id for clinic in settings().clinics)
