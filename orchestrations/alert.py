"""Alert: one e-mail per study and kind of finding, without identifiers; the orchestration of its own ends the chase."""

from __future__ import annotations

import logging
from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df

from orchestrations.blueprint import MAIL, blueprint
from orchestrations.runs import start_once
from readfirst.adapters import clients, mail
from readfirst.adapters.clock import now
from readfirst.adapters.settings import settings
from readfirst.adapters.studies import reviews
from readfirst.domain import resource_names
from readfirst.domain.operations.stages import seconds_between
from readfirst.domain.reading import alert_email
from readfirst.domain.reading.alert_email import letter_name
from readfirst.domain.reading.reviews import acknowledged
from readfirst.domain.reading.study_record import StudyRecord
from readfirst.domain.routing.readings import keys_showing
from readfirst.domain.workflow_messages import Alert
from readfirst.services import list_study

ACKNOWLEDGED = "acknowledged"  # the external event: somebody has the study in hand
REPORTED = "reported"  # the external event: Communication Services has said what became of a letter
_ARRIVED, _FAILED, _SILENT = "arrived", "failed", "silent"
_PROOF = timedelta(hours=1)  # for a report that a letter has arrived; a mail server tries again within minutes
_SLOWEST = 24  # the longest wait for it, in those
_SLACK = timedelta(minutes=15)  # in which an escalation that is on its way goes out


@blueprint.orchestration_trigger(context_name="context")
def alert(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Tells the clinic's radiologist, then whoever the clinic names for the case that nobody answers in time.

    Started once per study and kind of finding, and never awaited. A letter that comes back makes the escalation go out
    at once. The alert ends when somebody has the study in hand, or when everybody who could be told has been and one
    letter at least is known to have arrived; until then it says so and begins another round.
    """
    this = Alert.model_validate(context.get_input())
    ears = _Ears(context)
    try:
        if not this.overdue:
            patience = yield context.call_activity_with_retry(send_alert, MAIL, this.dump())
            if patience < 0:
                return ACKNOWLEDGED
            if patience > 0:
                if (yield from _answer(context, this, ears, timedelta(seconds=patience))):
                    return ACKNOWLEDGED
                this = this.model_copy(update={"overdue": True})
        if this.overdue and (yield context.call_activity_with_retry(escalate_alert, MAIL, this.dump())):
            return ACKNOWLEDGED
        over, this = yield from _proof(context, this, ears)
        if over:
            return over
    except Exception:
        yield context.call_activity_with_retry(say_stuck, MAIL, this.dump())
    context.continue_as_new(this.dump())
    return None


class _Ears:
    """What an alert listens to. The SDK would give an event that came too early to every later task of its name: so an
    execution listens to REPORTED once for each letter that it sends, and then begins anew."""

    def __init__(self, context: df.DurableOrchestrationContext) -> None:
        self._context = context
        self.answer = context.wait_for_external_event(ACKNOWLEDGED)
        self.report = context.wait_for_external_event(REPORTED)

    def listen_again(self) -> None:
        """To the report of the next letter, if that of the last one has come."""
        if self.report.is_completed:
            self.report = self._context.wait_for_external_event(REPORTED)


def _answer(
    context: df.DurableOrchestrationContext, this: Alert, ears: _Ears, patience: timedelta
) -> Generator[Any, Any, bool]:
    """Waits for the radiologist. Returns whether somebody has the study in hand; False also where the letter came
    back."""
    late = context.create_timer(context.current_utc_datetime + patience)
    winner = yield context.task_any([ears.answer, ears.report, late])
    if winner == ears.report:
        state = yield context.call_activity_with_retry(look_at_letters, MAIL, this.dump())
        if state == _FAILED:
            late.cancel()
            return False
        winner = yield context.task_any([ears.answer, late])  # it has arrived: nothing more is said of it
    if winner == ears.answer:
        late.cancel()
    return bool(winner == ears.answer)


def _proof(context: df.DurableOrchestrationContext, this: Alert, ears: _Ears) -> Generator[Any, Any, tuple[str, Alert]]:
    """Waits until a letter has arrived or somebody has the study in hand; the waits grow from round to round.

    Returns how the alert ended, or "" and how it goes on: with the next round, or with another look at this one.
    """
    until = context.current_utc_datetime + _PROOF * min(this.round, _SLOWEST)
    until = datetime.fromisoformat(this.until) if this.until else until
    state = yield context.call_activity_with_retry(look_at_letters, MAIL, this.dump())
    if state in (ACKNOWLEDGED, _ARRIVED):
        return state, this
    if state == _FAILED:
        yield context.call_activity_with_retry(say_undelivered, MAIL, this.dump())
    ears.listen_again()
    late = context.create_timer(until)
    winner = yield context.task_any([ears.answer, ears.report, late])
    if winner == ears.answer:
        late.cancel()
        return ACKNOWLEDGED, this
    if winner == ears.report:
        late.cancel()
        return "", this.model_copy(update={"overdue": True, "until": until.isoformat()})
    if state == _SILENT:
        yield context.call_activity_with_retry(say_undelivered, MAIL, this.dump())
    return "", this.model_copy(update={"overdue": True, "until": "", "round": this.round + 1})


@blueprint.activity_trigger(input_name="alert")
@blueprint.durable_client_input(client_name="client")
async def raise_alert(alert: dict[str, Any], client: df.DurableOrchestrationClient) -> str:
    """Starts the alert's orchestration unless this finding of this study has had one."""
    this = Alert.model_validate(alert)
    await start_once(client, "alert", this.instance, this, over_is_done=True)
    return this.instance


@blueprint.activity_trigger(input_name="alert")
def send_alert(alert: dict[str, Any]) -> float:
    """Hands the e-mail over, once; to the clinic's second channel while that fails.

    Returns how many seconds to wait for an answer; 0: there is nobody to turn to; below 0: somebody has the study in
    hand already, and need not be told.
    """
    from azure.core.exceptions import AzureError

    this = Alert.model_validate(alert)
    if _in_hand(this):
        return -1.0
    clinic = settings().clinic(this.clinic)
    letter = alert_email.urgent(this.handle, settings().portal_url, _about(this))
    try:
        mail.send_once(this.token, letter_name(this.finding), letter, clinic.radiologist)
    except AzureError:  # throttled or away, maybe for an hour: the second channel at once, and this one again
        mail.post_once(this.token, letter_name(this.finding), letter, clinic.webhook)
        raise
    _note(this)
    return settings().escalate_minutes * 60 if clinic.escalation or clinic.webhook else 0.0


@blueprint.activity_trigger(input_name="alert")
def escalate_alert(alert: dict[str, Any]) -> bool:
    """Hands a second e-mail over to the clinic's escalation address, once; in a later round to the radiologist as well.
    The clinic's second channel has it first: what is escalated has not been answered, or has come back.

    Returns whether somebody has the study in hand already: then nobody is told.
    """
    this = Alert.model_validate(alert)
    if _in_hand(this):
        return True
    clinic = settings().clinic(this.clinic)
    letter = alert_email.overdue(this.handle, settings().portal_url, _about(this))
    name = letter_name(this.finding, this.round, overdue=True)
    mail.post_once(this.token, name, letter, clinic.webhook)
    if this.round > 1:
        mail.send_once(this.token, letter_name(this.finding, this.round), letter, clinic.radiologist)
    if clinic.escalation:
        mail.send_once(this.token, name, letter, clinic.escalation)
    return False


@blueprint.activity_trigger(input_name="alert")
def look_at_letters(alert: dict[str, Any]) -> str:
    """What became of an alert: ACKNOWLEDGED, _ARRIVED (one letter at least), _FAILED (each one of this round, as far
    as any went out), or _SILENT."""
    this = Alert.model_validate(alert)
    if _in_hand(this):
        return ACKNOWLEDGED
    rounds = [_told_of(this, n) for n in range(1, this.round + 1)]
    if any(any(told) for told in rounds):
        return _ARRIVED
    last = rounds[-1]
    return _FAILED if last and all(one is False for one in last) else _SILENT


def _told_of(alert: Alert, round_: int) -> list[bool | None]:
    """Of each letter that went out in a round whether it has arrived (None: nothing is known), by e-mail or by post to
    the second channel."""
    names = letter_name(alert.finding, round_), letter_name(alert.finding, round_, overdue=True)
    letters = [mail.arrived(alert.token, name) for name in names if mail.sent(alert.token, name)]
    return letters + [True for name in names if mail.posted(alert.token, name)]


@blueprint.activity_trigger(input_name="alert")
def say_stuck(alert: dict[str, Any]) -> None:
    """Says that an alert does not go out: bicep/modules/alerts.bicep looks for these words."""
    this = Alert.model_validate(alert)
    logging.warning("alert not delivered: study %s%s", this.handle, ", escalation" if this.overdue else "")


@blueprint.activity_trigger(input_name="alert")
def say_undelivered(alert: dict[str, Any]) -> None:
    """Says that no letter of an alert is known to have arrived, in the same words, and notes it in the record."""
    this, at = Alert.model_validate(alert), now().isoformat(timespec="seconds")
    logging.warning("alert not delivered: study %s, round %d", this.handle, this.round)
    list_study.amend(this.token, lambda there: there.model_copy(update={"undelivered": there.undelivered or at}))


def still_due(alert: Alert) -> Alert | None:
    """What of an alert should have gone out by now and did not: its letter, or its escalation (`overdue`)."""
    sent = mail.sent(alert.token, letter_name(alert.finding))
    if sent is None:
        return alert
    late = now() - sent > timedelta(minutes=settings().escalate_minutes) + _SLACK
    escalation = letter_name(alert.finding, overdue=True)
    if not (late and settings().clinic(alert.clinic).escalation) or mail.sent(alert.token, escalation):
        return None
    return None if _in_hand(alert) else alert.model_copy(update={"overdue": True})


def _in_hand(alert: Alert) -> bool:
    """Whether a reader has acknowledged the study's present result, also before any letter went out; where several
    models have answered one after the other, a result that showed what this alert is for."""
    record = list_study.read(alert.token)
    if record is None:
        return False
    events = reviews.events(clients.container(resource_names.STUDIES, resource_names.REVIEWS), alert.token)
    shown = {reviews.run_key(record)} | keys_showing(record.models, alert.finding)
    return any(acknowledged(events, key) for key in shown)


def _note(this: Alert) -> None:
    """Notes in the record when the e-mail was handed over. The index may be away: it is no reason to wait here."""
    from azure.core.exceptions import AzureError

    at = now()
    list_study.amend_blob(this.token, lambda there: there if there.alerted else _alerted(there, at))
    try:
        list_study.index(this.clinic, this.token)
    except AzureError as error:
        logging.warning("an alert that was sent is not in the index yet: %s", type(error).__name__)


def _alerted(record: StudyRecord, at: datetime) -> StudyRecord:
    taken = seconds_between(datetime.fromisoformat(record.updated), at)
    return record.model_copy(update={"alerted": at.isoformat(timespec="seconds")}).having_taken("alert", taken)


def _about(alert: Alert) -> alert_email.About:
    """What the letter says of the study. It is as urgent as the findings of the alert's kind are: as urgent as can be
    where there is none, as in a study that is of high risk without one."""
    record, clinic = list_study.read(alert.token), settings().clinic(alert.clinic).name
    if record is None:
        return alert_email.About(clinic=clinic)
    return alert_email.About(
        part=record.part,
        category=min((f.category for f in record.findings if f.kind == alert.finding), default=1),
        modality=record.modality,
        clinic=clinic,
        due=record.due,
    )
