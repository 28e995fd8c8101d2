"""App `api`: what readers say of a study. Each word is an event that is appended; commands follow from it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import azure.functions as func
from pydantic import BaseModel, ConfigDict

from function_app.http.guard import Call, Problem, answer
from function_app.http.routes import Routes, Tagged
from readfirst.adapters import clients
from readfirst.adapters.studies import reviews
from readfirst.domain import resource_names
from readfirst.domain.analysis.messages import Kind
from readfirst.domain.reading.reviews import (
    Event,
    Reopened,
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

_EVENT_TRIES = 50
_VERSION = re.compile(r'"(.{1,16})\.(\d{1,9})"')  # an ETag of ours: the beginning of the run key, the version

routes = Routes("api")


class ReviewBody(BaseModel):
    """One event to append."""

    model_config = ConfigDict(extra="forbid")
    what: What


class ReviewAnswer(Tagged):
    """The review as the event left it."""

    review: Review


@routes.answers(ReviewAnswer, takes=ReviewBody, status=201)
def study_review(call: Call) -> func.HttpResponse:
    """POST studies/{token}/review: appends one event; If-Match must name the version that the reader saw."""
    what = call.body(ReviewBody).what
    if isinstance(what, Told):
        raise Problem(422, "wrong-route", "Record who was notified by POST `…/told`.")
    expected = call.request.headers.get("If-Match", "")
    if not expected:
        raise Problem(428, "if-match-needed", "Say by If-Match which version you have read.")
    return _append(call, what, expected)


@routes.answers(ReviewAnswer, takes=Told, status=201)
def study_told(call: Call) -> func.HttpResponse:
    """POST studies/{token}/told: who was told; the alert's orchestration learns that somebody has acknowledged."""
    return _append(call, call.body(Told), "")


def _append(call: Call, what: What, expected: str) -> func.HttpResponse:
    """Writes an event of a review. The act is audited first, then a command is promised, then the event is written.

    From then on it counts, whatever else fails: index and orchestration follow it now, by the same person's repeat,
    which gets the same answer, or by the promised command.
    """
    record = StudyRecord.model_validate(call.study)
    container = clients.container(resource_names.STUDIES, resource_names.REVIEWS)
    promised = False
    for _ in range(_EVENT_TRIES):  # without If-Match, an event that lost its number to another takes the next one
        events, review = review_of(record)
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
    if expected and expected != etag_of(record, fold(events, reviews.run_key(record))):
        return None
    return said_already(events, reviews.run_key(record), call.person.id, what)


def _admit(record: StudyRecord, events: list[Event], review: Review, what: What, expected: str) -> None:
    """Raises Problem where the reader saw another version, or the review does not take the event now."""
    if expected and expected != etag_of(record, review):
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
    if isinstance(event.what, Signed | Reopened | Told):
        steps.append(lambda: call.command(*_following(record, event.what)))
    for step in steps:
        try:
            step()
        except (AzureError, OSError) as error:
            logging.warning("a review is ahead of what follows from it: %s", type(error).__name__)
    review = fold([e for e in events if e.number <= event.number], event.run_key)
    return answer(ReviewAnswer(review=review), status=201, etag=_etag(event.run_key, review))


def _conflict(events: list[Event], review: Review) -> Problem:
    last = events[-1] if events else None
    who = f"{last.by_name} changed this review" if last else "A newer result of the AI has come"
    return Problem(
        412,
        "conflict",
        f"{who} after you had opened it. Nothing of yours was saved: look at the study as it is now.",
        version=review.version,
    )


def review_of(record: StudyRecord) -> tuple[list[Event], Review]:
    events = reviews.events(clients.container(resource_names.STUDIES, resource_names.REVIEWS), record.id)
    return events, fold(events, reviews.run_key(record))


def etag_of(record: StudyRecord, review: Review) -> str:
    return _etag(reviews.run_key(record), review)


def _etag(run_key: str, review: Review) -> str:
    return f'"{run_key[:16]}.{review.version}"'


blueprint = routes.blueprint()
