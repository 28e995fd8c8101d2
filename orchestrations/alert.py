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
from readfirst.domain.reading.reviews import acknowledged
from readfirst.domain.reading.study_record import StudyRecord
from readfirst.domain.routing.readings import keys_showing
from readfirst.domain.workflow_messages import Alert
from readfirst.services import list_study

ACKNOWLEDGED = "acknowledged"  # the external event: somebody has the study in hand
_SLACK = timedelta(minutes=15)  # in which an escalation that is on its way goes out


@blueprint.orchestration_trigger(context_name="context")
def alert(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Tells the clinic's radiologist, then whoever the clinic names for the case that nobody answers in time.

    Started once per study and kind of finding, and never awaited. It ends when somebody has the study in hand, or when
    everybody who could be told has been; where a letter does not go out, it says so and goes on from there.
    """
    this = Alert.model_validate(context.get_input())
    overdue = this.overdue
    try:
        if not overdue:
            patience = yield context.call_activity_with_retry(send_alert, MAIL, this.dump())
            if patience <= 0:
                return "acknowledged" if patience < 0 else "sent"
            answer = context.wait_for_external_event(ACKNOWLEDGED)
            late = context.create_timer(context.current_utc_datetime + timedelta(seconds=patience))
            winner = yield context.task_any([answer, late])
            if winner == answer:
                late.cancel()
                return "acknowledged"
            overdue = True
        yield context.call_activity_with_retry(escalate_alert, MAIL, this.dump())
        return "escalated"
    except Exception:
        stuck = this.model_copy(update={"overdue": overdue})
        yield context.call_activity_with_retry(say_stuck, MAIL, stuck.dump())
        context.continue_as_new(stuck.dump())
        return None


@blueprint.activity_trigger(input_name="alert")
@blueprint.durable_client_input(client_name="client")
async def raise_alert(alert: dict[str, Any], client: df.DurableOrchestrationClient) -> str:
    """Starts the alert's orchestration unless this finding of this study has had one."""
    this = Alert.model_validate(alert)
    await start_once(client, "alert", this.instance, this, over_is_done=True)
    return this.instance


@blueprint.activity_trigger(input_name="alert")
def send_alert(alert: dict[str, Any]) -> float:
    """Hands the e-mail over, once. Returns how many seconds to wait for an answer; 0: there is nobody to turn to.

    Below 0: somebody has the study in hand already, and need not be told.
    """
    this = Alert.model_validate(alert)
    if _in_hand(this):
        return -1.0
    clinic = settings().clinic(this.clinic)
    letter = alert_email.urgent(this.handle, settings().portal_url, _about(this))
    mail.send_once(this.token, this.finding, letter, clinic.radiologist)
    _note(this)
    return settings().escalate_minutes * 60 if clinic.escalation else 0.0


@blueprint.activity_trigger(input_name="alert")
def say_stuck(alert: dict[str, Any]) -> None:
    """Says that an alert does not go out: bicep/modules/alerts.bicep looks for these words."""
    this = Alert.model_validate(alert)
    logging.warning("alert not delivered: study %s%s", this.handle, ", escalation" if this.overdue else "")


def still_due(alert: Alert) -> Alert | None:
    """What of an alert should have gone out by now and did not: its letter, or its escalation (`overdue`)."""
    sent = mail.sent(alert.token, alert.finding)
    if sent is None:
        return alert
    late = now() - sent > timedelta(minutes=settings().escalate_minutes) + _SLACK
    if not (late and settings().clinic(alert.clinic).escalation) or mail.sent(alert.token, _overdue(alert)):
        return None
    return None if _in_hand(alert) else alert.model_copy(update={"overdue": True})


def _overdue(alert: Alert) -> str:
    return f"{alert.finding}-overdue"


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


@blueprint.activity_trigger(input_name="alert")
def escalate_alert(alert: dict[str, Any]) -> None:
    """Hands a second e-mail over to the clinic's escalation address, once, unless somebody has the study in hand."""
    this = Alert.model_validate(alert)
    if _in_hand(this):
        return
    letter = alert_email.overdue(this.handle, settings().portal_url, _about(this))
    mail.send_once(this.token, _overdue(this), letter, settings().clinic(this.clinic).escalation)


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
