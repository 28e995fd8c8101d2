"""The stages of a study, in their order, and between which moments the seconds of each are counted.

receive      first to last arrival of the files that the run takes
settle       last arrival to the run's seal
deidentify   start of the run's reading to its last clean copy
analyse      last clean copy to the answer of the job (whose own parts are `job.…`), waiting for it included
report       answer of the job to the study's record
alert        the record to the first e-mail that was handed over; only a study that alerts has it
return       the record to the results in the clinic's answers

`return` is not measured: the app that returns results (`identity`) may read a study's record and not write it, and the
right to write it would open every result to the app that opens identities. A record holds what was measured when its
run was reported; older records hold fewer stages.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Literal, get_args

Stage = Literal["receive", "settle", "deidentify", "analyse", "report", "alert", "return"]
STAGES: tuple[Stage, ...] = get_args(Stage)
UNMEASURED: frozenset[Stage] = frozenset({"return"})


def seconds_between(begin: datetime, end: datetime) -> float:
    """How long a stage took, in seconds; 0 where two machines' clocks disagree about what came first."""
    return round(max(0.0, (end - begin).total_seconds()), 3)


def before_reading(arrived: Collection[datetime], sealed: datetime | None) -> dict[str, float]:
    """Seconds of `receive` and `settle`. `sealed` is None for a run from before its seal kept the moment."""
    if not arrived:
        return {}
    taken = {"receive": seconds_between(min(arrived), max(arrived))}
    return taken | ({"settle": seconds_between(max(arrived), sealed)} if sealed else {})
