"""What went wrong and is not over: one list, with stage, cause and what to do (more in docs/operator/runbook.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from readfirst.domain.operations.stages import Stage
from readfirst.domain.operations.statistics import alert_missing, alert_undelivered, code_of


class Failure(NamedTuple):
    """A study that is not as it should be. `replay`: whether running it again can help once the cause is gone."""

    token: str
    handle: str
    clinic: str
    since: str
    stage: Stage
    cause: str
    remedy: str
    replay: bool


class _Remedy(NamedTuple):
    stage: Stage
    remedy: str
    replay: bool = True


_SERVICE = "look at the service's health; replay when it is back"
_JOB = "runbook, Stuck jobs"
# By the code that begins a record's reason. A test holds that every code that the product writes is here.
REMEDIES: dict[str, _Remedy] = {
    "late": _Remedy("analyse", "it goes on by itself; find the service that is away", replay=False),
    "stage-fault": _Remedy("deidentify", f"a function failed for hours: {_SERVICE}"),
    "cancelled": _Remedy("settle", "an operator called it off; a replay takes it up again"),
    "no-gpu-quota": _Remedy("analyse", f"no GPU quota: {_JOB}"),
    "image-pull-failed": _Remedy("analyse", f"the job's image cannot be pulled: {_JOB}"),
    "out-of-memory": _Remedy("analyse", f"the study is too large for the job's memory: {_JOB}"),
    "job-hung": _Remedy("analyse", f"an execution gave no sign of life: {_JOB}"),
    "job-not-started": _Remedy("analyse", f"Azure did not start the job: {_JOB}"),
    "job-not-seen": _Remedy("analyse", f"Resource Manager did not answer: {_SERVICE}"),
    "job-failed": _Remedy("analyse", f"the job's execution failed: {_JOB}"),
    "deadline": _Remedy("analyse", f"more studies than the job can do in time: {_JOB}"),
    "gave-up": _Remedy("analyse", "three executions ended at this study: analyse a copy of its files"),
    "no-order": _Remedy("analyse", "the order is gone: replay"),
    "wrong-order": _Remedy(
        "analyse", "the order was changed after it was given: look for who writes there, then replay"
    ),
    "no-receipt": _Remedy("analyse", "a receipt of de-identification is missing: replay"),
    "instance-missing": _Remedy("analyse", "a clean instance is gone: replay"),
    "digest-mismatch": _Remedy("analyse", "a clean instance was changed: look for who writes there, then replay"),
    "model-not-approved": _Remedy("analyse", "the job's image and the apps know different models: deploy one version"),
    "model-failed": _Remedy("analyse", "the model does not load: `readfirst model check`"),
    "fault": _Remedy("analyse", f"the job failed at this study: {_JOB}"),
    "every": _Remedy("deidentify", "every file was refused: the clinic has the reasons", replay=False),
}
_HELD = _Remedy("deidentify", "its files name two persons: a privacy officer decides", replay=False)
_UNKNOWN = _Remedy("analyse", "an unknown cause: the run's functions in Application Insights")
_ALERT = _Remedy("alert", "telephone the clinic's radiologist; the alert goes on by itself", replay=False)
_UNDELIVERED = _Remedy(
    "alert",
    "telephone the clinic's radiologist; no e-mail is known to have arrived: check the clinic's addresses",
    replay=False,
)


def failures(records: Iterable[Mapping[str, Any]]) -> list[Failure]:
    """Studies that failed, wait for a decision, or whose alert has not gone out, by the time of their last change."""
    found = [_failure(record) for record in records]
    return sorted((one for one in found if one), key=lambda one: (one.since, one.token))


def _failure(record: Mapping[str, Any]) -> Failure | None:
    cause = code_of(record.get("reason") or "")
    if record["review"] == "signed":
        return None  # somebody has read it: nobody waits for anything any more
    if alert_missing(record):
        cause, remedy = "alert-not-sent", _ALERT
    elif alert_undelivered(record):
        cause, remedy = "alert-undelivered", _UNDELIVERED
    elif record["state"] == "quarantined":
        remedy = _HELD
    elif record["state"] == "failed" or (record["state"] == "reported" and cause in REMEDIES):
        remedy = REMEDIES.get(cause, _UNKNOWN)
    else:
        return None
    return Failure(
        record["id"], record["handle"], record["clinic"], record["updated"],
        remedy.stage, cause, remedy.remedy, remedy.replay,
    )  # fmt: skip
