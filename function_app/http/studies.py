"""App `api`: worklist, study, review. Reads the studies account and the index, appends reviews and commands."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

import azure.functions as func
from pydantic import BaseModel, ConfigDict

from function_app.http import guard, openapi
from function_app.http.guard import Call, Problem, answer, answer_if_changed, binary
from readfirst.adapters import blobs, clients
from readfirst.adapters.settings import settings
from readfirst.adapters.studies import receipts as papers
from readfirst.adapters.studies import reviews
from readfirst.adapters.studies import study_images as images
from readfirst.adapters.studies.study_index import Cursor, Filter, iso
from readfirst.domain import resource_names
from readfirst.domain.analysis import segment_rle
from readfirst.domain.analysis.findings import first_to_read
from readfirst.domain.analysis.messages import Kind
from readfirst.domain.analysis.progress import progress_view
from readfirst.domain.deid import Profile, Receipt, load_profile
from readfirst.domain.deid.reports.study_report import report_html, report_of
from readfirst.domain.deid.rules.profile import READY
from readfirst.domain.operations import statistics
from readfirst.domain.reading.reviews import (
    Event,
    Review,
    Signed,
    Told,
    What,
    admit,
    fold,
    said_after,
    said_already,
)
from readfirst.domain.reading.study_record import StudyRecord
from readfirst.services import list_study

_PAGE = 50
_PAGE_LIMIT = 200
_IMAGE_ADDRESS_LIFE = timedelta(minutes=15)
_KEY_IMAGE_SIDE = 512
_PARALLEL = 8
_EVENT_TRIES = 50
_VERSION = re.compile(r'"(.{1,16})\.(\d{1,9})"')  # an ETag of ours: the beginning of the run key, the version


def api_description(call: Call) -> func.HttpResponse:
    """GET openapi.json."""
    return answer(openapi.document())


def me(call: Call) -> func.HttpResponse:
    """GET me."""
    person = call.person
    known = {clinic.id: clinic.name for clinic in settings().clinics}
    return answer(
        {
            "id": person.id,
            "name": person.name,
            "roles": sorted(person.roles),
            "clinics": [{"id": c, "name": known[c]} for c in sorted(person.clinics)],
            "may": sorted(rule.name for rule in guard.RULE.values() if person.may(rule)),
        }
    )


def studies(call: Call) -> func.HttpResponse:
    """GET studies: a page of the worklist in reading order; 304 where nothing changed."""
    size = guard.number(call.query("limit", str(_PAGE)), 1, _PAGE_LIMIT)
    wanted = Filter(
        **{name: call.query(name) for name in Filter.model_fields if name in call.request.params},
    )
    clinics = call.person.clinics
    if asked := call.query("clinic"):
        clinics &= {asked}
    try:
        cursor = Cursor.parse(call.query("after")) if call.query("after") else Cursor(now=iso(call.now))
    except (ValueError, RecursionError):
        raise Problem(400, "bad-cursor", "`after` is no cursor of this list.") from None
    page = guard.worklist().page(clinics, wanted, cursor, size)
    progress = _progress(page.items, call.now)
    items = [{**line, "progress": one} for line, one in zip(page.items, progress, strict=True)]
    body = {"items": items, "next": page.next.text() if page.next else None}
    charge = {"Server-Timing": f"index;desc=queries-{page.queries}", "X-Request-Charge": f"{page.charge:.2f}"}
    # The cursor names the moment of the list: with it in the ETag, every poll would look new.
    return answer_if_changed(call.request, body, [items, page.next is not None], **charge)


def _progress(studies: Sequence[Mapping[str, Any]], now: datetime) -> list[dict[str, Any] | None]:
    """How far the analysis of each is; None, and nothing is read, where none is under way."""

    def look(study: Mapping[str, Any]) -> dict[str, Any] | None:
        key = str(study.get("analysing") or "")  # a document of an earlier version has none
        return progress_view(papers.progress(str(study["id"]), key), now).model_dump() if key else None

    if not any(study.get("analysing") for study in studies):
        return [None] * len(studies)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(pool.map(look, studies))


def study(call: Call) -> func.HttpResponse:
    """GET studies/{token}."""
    record = StudyRecord.model_validate(call.study)
    events, review = _review(record)
    first = first_to_read(record.findings)
    call.audit("allowed")
    body = {
        "study": record.model_dump(mode="json"),
        "first": first.key if first else "",
        "review": review.model_dump(mode="json"),
        "events": [event.model_dump(mode="json") for event in events],
        "timeline": statistics.timeline(record, events),
        "priors": _priors(call, record),
        "cost": statistics.cost(record.model_dump(), settings().cost_profile),
        "progress": _progress([call.study], call.now)[0],
    }
    return answer(body, etag=_etag(record, review))


def _review(record: StudyRecord) -> tuple[list[Event], Review]:
    events = reviews.events(clients.container(resource_names.STUDIES, resource_names.REVIEWS), record.id)
    return events, fold(events, reviews.run_key(record))


def _etag(record: StudyRecord, review: Review) -> str:
    return _etag_of(reviews.run_key(record), review)


def _etag_of(run_key: str, review: Review) -> str:
    return f'"{run_key[:16]}.{review.version}"'


def _priors(call: Call, record: StudyRecord) -> list[dict[str, Any]]:
    """Other studies of the same person at the same clinic, the latest first, each with how long before this one."""
    found = [s for s in guard.worklist().of_patient(record.clinic, record.patient) if s["id"] != record.id]
    if not found:
        return []
    with ThreadPoolExecutor(_PARALLEL) as pool:
        this, *others = pool.map(_day, [call.study, *found])
    told = [statistics.prior(s, this, day) for s, day in zip(found, others, strict=True)]
    return sorted(told, key=lambda p: math.inf if p["days"] is None else -p["days"])


def _day(study: Mapping[str, Any]) -> date | None:
    """The study's shifted day, moved beside those of the person that a merge has joined it to."""
    day = images.study_day(str(study["id"]))
    return day + timedelta(days=int(study.get("moved_days") or 0)) if day else None


def study_images(call: Call) -> func.HttpResponse:
    """GET studies/{token}/images: series and instances in order, each with a short-lived address of its bytes."""
    record = StudyRecord.model_validate(call.study)
    call.audit("allowed")
    sign = images.signer(call.now + _IMAGE_ADDRESS_LIFE)
    groups = images.study_series(record)
    images.read_headers([group[0] for group in groups])
    series = [
        {
            "series_uid": group[0].facts.series_uid,
            "modality": group[0].facts.modality,
            "number": group[0].facts.series_number,
            "description": group[0].description,
            "instances": [
                {
                    "sop_uid": i.facts.sop_uid,
                    "frames": i.facts.frames,
                    "image": i.is_image,
                    "at": at,
                    "url": sign(i.container, i.blob),
                }
                for i, at in zip(group, images.places(group), strict=True)
            ],
        }
        for group in groups
    ]
    return answer({"series": series, "until": iso(call.now + _IMAGE_ADDRESS_LIFE)})


def study_key_image(call: Call) -> func.HttpResponse:
    """GET studies/{token}/key-image: the slice of the finding to read first, else the middle of the largest series."""
    record = StudyRecord.model_validate(call.study)
    found = images.key_image(record, _KEY_IMAGE_SIDE)
    if found is None:
        raise Problem(404, "no-image", "The study has no image yet.")
    return binary(found, "image/png", seconds=300)


def study_overlay(call: Call) -> func.HttpResponse:
    """GET studies/{token}/overlays/{finding}: the finding's overlay PNG as the job drew it."""
    record = StudyRecord.model_validate(call.study)
    name = next((f.overlay for f in record.findings if f.key == call.path["finding"]), "")
    data = blobs.read(clients.container(resource_names.STUDIES, resource_names.ANALYSIS), name) if name else None
    if data is None:
        raise Problem(404, "no-overlay", "The finding has no overlay.")
    return binary(data, "image/png", seconds=300)


def study_masks(call: Call) -> func.HttpResponse:
    """GET studies/{token}/masks: findings → instance → runs of pixels [row, first column, length]."""
    record = StudyRecord.model_validate(call.study)
    segmentation = images.segmentation(record)
    if segmentation is None:
        return answer_if_changed(call.request, {"findings": {}})
    places = images.places_by_name(record) if segment_rle.is_moved(segmentation) else None
    found = segment_rle.segment_rle(segmentation, [f.key for f in record.findings], places)
    return answer_if_changed(call.request, {"findings": found})


def study_privacy(call: Call) -> func.HttpResponse:
    """GET studies/{token}/privacy: what de-identification did to this study; a printable page for who wants HTML."""
    record = StudyRecord.model_validate(call.study)
    receipts = papers.receipts(record.id)
    report = report_of(record.handle, _profile_of(receipts), receipts, record.refused)
    call.audit("allowed")
    if "text/html" in call.request.headers.get("Accept", ""):
        return guard.page(report_html(report))
    return answer(asdict(report))


def _profile_of(receipts: Iterable[Receipt]) -> Profile | None:
    """The profile that the receipts name, if it is one and still says what it said then."""
    named = {(r.profile, r.profile_digest) for r in receipts}
    for known in {settings().profile, *READY} if len(named) == 1 else ():
        profile = load_profile(known)
        if (profile.name, profile.digest) in named:
            return profile
    return None


class _ReviewBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    what: What


def study_review(call: Call) -> func.HttpResponse:
    """POST studies/{token}/review: appends one event; If-Match must name the version that the reader saw."""
    what = call.body(_ReviewBody).what
    if isinstance(what, Told):
        raise Problem(422, "wrong-route", "Record who was told by POST …/told.")
    expected = call.request.headers.get("If-Match", "")
    if not expected:
        raise Problem(428, "if-match-needed", "Say by If-Match which version you have read.")
    return _append(call, what, expected)


def study_told(call: Call) -> func.HttpResponse:
    """POST studies/{token}/told: who was told; the alert's orchestration learns that somebody has acknowledged."""
    return _append(call, call.body(Told), "")


def study_replay(call: Call) -> func.HttpResponse:
    """POST studies/{token}/replay."""
    call.audit("allowed")
    call.command("replay", call.study["id"], _run_of(call))
    return answer({"accepted": True}, status=202)


def study_cancel(call: Call) -> func.HttpResponse:
    """POST studies/{token}/cancel."""
    call.audit("allowed")
    call.command("cancel", call.study["id"], _run_of(call))
    return answer({"accepted": True}, status=202)


def _run_of(call: Call) -> dict[str, str]:
    """The run, for who finds no report of it yet: a study is listed while it is analysed."""
    return {"clinic": str(call.study["clinic"]), "run": str(call.study["run"])}


def _append(call: Call, what: What, expected: str) -> func.HttpResponse:
    """Writes an event of a review. The act is audited first, then a command is promised, then the event is written.

    From then on it counts, whatever else fails: index and orchestration follow it now, by the same person's repeat,
    which gets the same answer, or by the promised command.
    """
    record = StudyRecord.model_validate(call.study)
    container = clients.container(resource_names.STUDIES, resource_names.REVIEWS)
    promised = False
    for _ in range(_EVENT_TRIES):  # without If-Match, an event that lost its number to another takes the next one
        events, review = _review(record)
        if (event := _repeated(call, record, events, what, expected)) is not None:
            if not promised:
                call.audit("allowed")
            return _finished(call, record, events, event)
        _admit(record, events, review, what, expected)
        if not promised:
            call.audit("allowed")
            call.promise(*_following(record, what))
            promised = True
        event = Event(
            number=review.version + 1,
            at=call.now.isoformat(),
            by=call.person.id,
            by_name=call.person.name,
            run_key=reviews.run_key(record),
            what=what,
        )
        if reviews.append(container, record.id, event):
            return _finished(call, record, [*events, event], event)
    raise Problem(409, "not-now", "Others write to this review at the same time. Try again.")


def _repeated(call: Call, record: StudyRecord, events: list[Event], what: What, expected: str) -> Event | None:
    """The event that the same person has written by this request before, perhaps without hearing of it."""
    version = _VERSION.fullmatch(expected)
    if version and (found := said_after(events, int(version[2]), version[1], call.person.id, what)):
        return found
    if expected and expected != _etag(record, fold(events, reviews.run_key(record))):
        return None
    return said_already(events, reviews.run_key(record), call.person.id, what)


def _admit(record: StudyRecord, events: list[Event], review: Review, what: What, expected: str) -> None:
    """Raises Problem where the reader saw another version, or the review does not take the event now."""
    if expected and expected != _etag(record, review):
        raise _conflict(events, review)
    keys = frozenset(f.key for f in record.findings)
    refused = admit(review, what, keys, analysing=record.state == "analysing")
    if refused:
        raise Problem(409, "not-now", refused.reason)


def _following(record: StudyRecord, what: What) -> tuple[Kind, str, dict[str, str]]:
    """The command that carries out what follows from an event. One that comes twice changes nothing."""
    if isinstance(what, Told):
        return "acknowledge", record.id, {"how": what.how, "read_back": "yes" if what.read_back else "no"}
    return "verify", record.id, {"clinic": record.clinic}


def _finished(call: Call, record: StudyRecord, events: list[Event], event: Event) -> func.HttpResponse:
    """Brings index and orchestration up to the event, and answers with the review as the event left it.

    A service that is away now is no reason to say that nothing was saved: the promised command follows.
    """
    from azure.core.exceptions import AzureError

    steps: list[Callable[[], None]] = []
    if not isinstance(event.what, Told):  # the index says nothing of it
        steps.append(lambda: list_study.index_review(record.clinic, record.id))
    if isinstance(event.what, Signed | Told):
        steps.append(lambda: call.command(*_following(record, event.what)))
    for step in steps:
        try:
            step()
        except (AzureError, OSError) as error:
            logging.warning("a review is ahead of what follows from it: %s", type(error).__name__)
    review = fold([e for e in events if e.number <= event.number], event.run_key)
    return answer({"review": review.model_dump(mode="json")}, status=201, etag=_etag_of(event.run_key, review))


def _conflict(events: list[Event], review: Review) -> Problem:
    last = events[-1] if events else None
    who = f"{last.by_name} changed this review" if last else "A newer result of the AI has come"
    return Problem(
        412,
        "conflict",
        f"{who} after you had opened it. Nothing of yours was saved: look at the study as it is now.",
        version=review.version,
    )


HANDLERS = {
    handler.__name__: handler
    for handler in (
        api_description, me, studies, study, study_images, study_key_image, study_overlay, study_masks, study_privacy,
        study_review, study_told, study_replay, study_cancel,
    )
}  # fmt: skip

blueprint = guard.blueprint("api", HANDLERS)
