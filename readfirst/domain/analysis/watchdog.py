"""The watchdog's rule: what to do about an analysis whose answer keeps us waiting.

An execution's status says little: one can hang, and Azure may never tell. What counts is the result and signs of life.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

_QUOTA_WORDS = ("quota", "maximumallowedcores", "coresexceeded", "gpucapacity", "insufficientcapacity")
_IMAGE_WORDS = ("imagepull", "errimagepull", "failed to pull", "could not be pulled", "manifest unknown")
_MEMORY_WORDS = ("oomkilled", "out of memory", "outofmemory")
LIST_LAG = timedelta(minutes=2)  # an execution is listed by then, or was never started
_CLOCKS = timedelta(seconds=5)  # by which ours and Azure's may differ
_SECOND = timedelta(seconds=1)
_KILLED = 137  # exit status of SIGKILL: in a container, the kernel's answer to too much memory


class Trouble(StrEnum):
    """Why an analysis does not come forward, as the record and the operator's guide name it."""

    NO_QUOTA = "no-gpu-quota"
    IMAGE_PULL = "image-pull-failed"
    OUT_OF_MEMORY = "out-of-memory"
    HUNG = "job-hung"
    NOT_STARTED = "job-not-started"
    NOT_SEEN = "job-not-seen"
    ENDED = "job-failed"


class Place(StrEnum):
    """Which of the two jobs: `MAIN` (on the GPU, where there is one), or the one that stands in for it on CPUs."""

    MAIN = "main"
    FALLBACK = "fallback"


@dataclass(frozen=True)
class Execution:
    """An execution of a job. `sign`: its last sign of life; `trouble`: why it failed, if it did."""

    place: Place
    name: str
    alive: bool
    sign: datetime
    trouble: Trouble | None = None


@dataclass(frozen=True)
class Policy:
    """How long an execution may give no sign, and after which wait the other job is started (None: there is none)."""

    stall: timedelta
    fallback_after: timedelta | None


@dataclass(frozen=True)
class Steps:
    """What to do now. `trouble`: what seems to be wrong, None while all is well."""

    stop: tuple[Execution, ...] = ()
    ask_again: bool = False
    start: Place | None = None
    trouble: Trouble | None = None


def hung(execution: Execution, now: datetime, policy: Policy) -> bool:
    """Whether an execution that counts as alive has given no sign of life for too long. Azure may list it for ever."""
    return execution.alive and now - execution.sign > policy.stall


def last_signs(ran: Sequence[tuple[datetime, datetime | None]], beat: datetime | None) -> list[datetime]:
    """The last sign of life of a job's executions, by when each started and ended.

    All of a job write the same `beat`. It is a sign of the one that started last of those which ran at that moment,
    not of one that hangs beside it. (Storage tells the moment in whole seconds, cut off.)
    """
    wrote = [start for start, end in ran if beat and start < beat + _SECOND and (end is None or beat <= end)]
    writer = max(wrote, default=None)
    return [max(start, beat) if beat and start == writer else start for start, _ in ran]


def decide(
    executions: Sequence[Execution], *, queued: bool, requested: datetime, now: datetime, policy: Policy
) -> Steps:
    """Decides what a look at a waiting analysis leads to.

    `executions` of both jobs, newest first; `queued`: whether any request lies on the queue, hidden or not.
    """
    stuck = tuple(e for e in executions if hung(e, now, policy))
    at_work = any(e.alive for e in executions if e not in stuck)
    if at_work:
        return Steps(stop=stuck)
    failed = next((e.trouble for e in executions if e.trouble and e.sign >= requested), None)
    late = policy.fallback_after is not None and now - requested >= policy.fallback_after
    stopping = any(now - e.sign <= 2 * policy.stall for e in stuck)  # it may end, and give its message back
    return Steps(
        stop=stuck,
        ask_again=not queued and not stopping,  # lost with an execution that gave up without an answer
        start=Place.FALLBACK if late else Place.MAIN,
        trouble=Trouble.HUNG if stuck else failed,
    )


def listed(name: str, at: datetime, executions: Sequence[Execution], now: datetime) -> bool:
    """Whether the execution that was asked for at a time is among those that Azure lists, or would be by now.

    `name`: what the answer called it; empty where no answer came.
    """
    if now - at >= LIST_LAG:
        return True
    return any(e.name == name if name else e.sign >= at - _CLOCKS for e in executions)


def surely_refused(status: int | None) -> bool:
    """Whether an answer of that HTTP status says that nothing was started; None: no status came.

    A gateway answers 500 to 504 for a service that goes on with the request, and an answer that breaks off, or cannot
    be read, has the status of success.
    """
    return status is not None and 400 <= status < 500 and status != 408


def trouble_of(words: Sequence[str | None], codes: Sequence[int | None] = ()) -> Trouble:
    """The kind of a failure, from the platform's words about it and the containers' exit statuses."""
    said = " ".join(word for word in words if word).lower()
    if any(word in said for word in _QUOTA_WORDS):
        return Trouble.NO_QUOTA
    if any(word in said for word in _IMAGE_WORDS):
        return Trouble.IMAGE_PULL
    if _KILLED in codes or any(word in said for word in _MEMORY_WORDS):
        return Trouble.OUT_OF_MEMORY
    return Trouble.ENDED
