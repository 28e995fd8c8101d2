"""What orchestrators and activities hand each other: small, frozen, and free of anything that identifies a person.

Here too is how every orchestration instance is called. Instances that run and answers that come find each other by
these ids, so the strings do not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

MOST_MODELS = 8  # that one study can get: each is an orchestration, and whoever stops a run stops each of them


class Handed(BaseModel):
    """A frozen message; `dump` makes the JSON that the durable history keeps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def dump(self) -> dict[str, Any]:
        """The message as JSON."""
        return self.model_dump(mode="json")


class Run(Handed):
    """One run of a study: orchestration instance `{token}-{n}`."""

    token: str
    clinic: str
    n: int = 1

    @property
    def instance(self) -> str:
        """The orchestration's instance id."""
        return f"{self.token}-{self.n}"

    @property
    def replay(self) -> str:
        """The instance id of its replay, which does once more what the sealed run did."""
        return f"{self.instance}-replay"

    @property
    def cancellation(self) -> str:
        """The instance id of what calls the study off."""
        return f"{self.instance}-cancel"

    def instances(self) -> tuple[str, ...]:
        """The instance ids of all that can be under way for the run: itself, its replay, and what these call.

        Who stops a run stops each of these. A cancellation is not one of them: it is what stops them. Alerts are not
        either: they are the study's (`alert_instance`), and a cancellation leaves them.
        """
        readings = ((top, reading_of(top)) for top in (self.instance, self.replay))
        above = [(top, reading, analysis_of(reading)) for top, reading in readings]
        each = [model_of(analysis, k) for *_, analysis in above for k in range(1, MOST_MODELS + 1)]
        return (*(name for names in above for name in names), *each)

    @property
    def next(self) -> Run:
        """The run that takes the files that this one leaves."""
        return self.model_copy(update={"n": self.n + 1})


def reading_of(instance: str) -> str:
    """The instance of the reading that a run or a replay calls."""
    return f"{instance}-read"


def analysis_of(instance: str) -> str:
    """The instance of the analysis that a reading calls, and to which the job's answer goes."""
    return f"{instance}-analyse"


def model_of(instance: str, k: int) -> str:
    """The instance that asks the k-th (from 1) of several models, called by an analysis: its answer goes there."""
    return f"{instance}-{k}"


class Look(Handed):
    """What a look at the ledger decided: the run has sealed `files` files, or waits."""

    wait: float | None = None  # seconds until the next look; None: sealed
    files: int = 0
    deadline: str = ""  # ISO 8601, UTC: what has no result by then is reported as not analysed yet; empty: never


class Batches(Handed):
    """One worker's share of the run's batches: every `of`-th one, from `worker`."""

    run: Run
    worker: int
    of: int


class Plan(Handed):
    """What is to be analysed. `ordered`: the job has to run; `known`: its result is there already.

    `several`: the study gets several models, each with a plan of its own in `each`.
    """

    outcome: Literal["ordered", "known", "out-of-scope", "several"]
    run_key: str = ""
    reason: str = ""
    model: str = ""  # digest of the model that it is for; older plans are for the one that was the default
    each: tuple[Plan, ...] = ()


class Watch(Handed):
    """One look of the watchdog at a waiting analysis."""

    run: Run
    plan: Plan
    instance: str
    patience: float = 30.0  # seconds until the next look
    requested: str = ""  # ISO 8601, UTC
    deadline: str = ""  # ISO 8601, UTC
    trouble: str = ""  # what the last look found wrong (domain/watchdog.py)

    def later(self, trouble: str) -> Watch:
        """The next look: each comes later than the one before, up to five minutes. It remembers the last trouble."""
        patience = min(self.patience * 1.5, 300.0)
        return self.model_copy(update={"patience": patience, "trouble": trouble or self.trouble})


class AnalysisOutcome(Handed):
    """How an analysis stands; `reason` says why it has failed, is out of scope, or waits, without content.

    `quarantined`: the study names several persons and waits for a privacy officer.
    """

    outcome: Literal["waiting", "analysed", "out-of-scope", "failed", "quarantined"]
    reason: str = ""


class Answer(Handed):
    """What one of several models was asked, and what came of it so far."""

    plan: Plan
    verdict: AnalysisOutcome


def verdict_of(answers: Sequence[Answer]) -> AnalysisOutcome:
    """How the analysis by several models stands: analysed where one has a result, failed where none has and one has
    failed, else waiting or out of scope, with the reason of the first model that is so."""
    for outcome in ("analysed", "waiting", "failed"):
        found = next((one.verdict for one in answers if one.verdict.outcome == outcome), None)
        if found:
            return found
    return answers[0].verdict


class Report(Handed):
    """What the report stage has to tell: the analysis and the seconds that the stages before it took.

    `analysed` (ISO 8601, UTC) is when the answer was there, from which the report's own seconds count; empty where
    there is none, and in messages from before it was kept.
    """

    run: Run
    plan: Plan | None = None
    verdict: AnalysisOutcome
    each: tuple[Answer, ...] = ()  # where several models were asked: what came of each
    seconds: dict[str, float] = {}  # by stage (domain/operations/stages.py)
    analysed: str = ""


class Erasure(Handed):
    """A study that must be forgotten: orchestration instance `erase-{token}`. `by`: who asked, an object id."""

    token: str
    clinic: str
    handle: str
    by: str
    at: str  # ISO 8601, UTC
    again: bool = False  # swept once already

    @property
    def instance(self) -> str:
        """The orchestration's instance id."""
        return f"erase-{self.token}"

    @property
    def next(self) -> Erasure:
        """The sweep after this one."""
        return self.model_copy(update={"again": True})


def alert_instance(token: str, finding: str) -> str:
    """The orchestration instance of a study's alert for one kind of finding."""
    return f"alert-{token}-{finding}"


class Alert(Handed):
    """A high-risk study of today."""

    token: str
    clinic: str
    handle: str
    finding: str  # kind of the finding
    overdue: bool = False  # the radiologist has been told and did not answer in time: the escalation is next
    round: int = 1  # above 1: no letter of the rounds before is known to have arrived
    until: str = ""  # when this round's wait for a letter to arrive ends (ISO 8601 UTC); "": it has not begun

    @property
    def instance(self) -> str:
        """The orchestration's instance id."""
        return alert_instance(self.token, self.finding)
