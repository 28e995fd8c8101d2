"""A study's books, closed from the ledger and the receipts: what came, what was read, what was left out and why."""

from __future__ import annotations

from collections.abc import Sequence

from readfirst.adapters.studies.receipts import Receipted
from readfirst.adapters.uploads.ledger import Ledger
from readfirst.domain.analysis.eligibility import Selection
from readfirst.domain.analysis.models import Gate
from readfirst.domain.analysis.series_selection import Choice
from readfirst.domain.instance_facts import InstanceFacts
from readfirst.domain.reading.accounting import Accounting, Received
from readfirst.domain.reading.books import account


def close(
    ledger: Ledger,
    run: int,
    receipted: Receipted,
    choice: Choice,
    read: Selection | None,
    gate: Gate,
    *,
    why: str = "",
    broken: bool = False,
    reported: bool = False,
    also: Sequence[InstanceFacts] = (),
) -> Accounting:
    """The accounting of all files up to a run. `why`: the reason code where nothing was read; `broken`: because a
    stage failed, so that some files may never have been cleaned. `reported`: for the study's record, which the next
    run replaces, not for an order, whose results stay: files that came since count as still to be taken. `also`: slices
    that other models have read."""
    received = _received(ledger, run, receipted)
    known = len(receipted.instances) + len(receipted.refused) + received.identical
    return account(
        received,
        receipted.instances,
        receipted.refused,
        choice,
        read,
        gate,
        why=why,
        short=ledger.sealed(run).short,
        with_read={receipted.series[read.series_uid]} if read and read.series_uid in receipted.series else (),
        never_cleaned=max(0, received.files - known) if broken else 0,
        to_come=_to_come(ledger, run) if reported else 0,
        also=also,
    )


def _received(ledger: Ledger, run: int, receipted: Receipted) -> Received:
    """What came up to that run. A file that a person released came once, though it has two arrivals."""
    runs = range(1, run + 1)
    arrivals = {arrival for n in runs for arrival in ledger.sealed(n).arrivals} - receipted.released
    others = ledger.others()
    refused = {one.arrival for one in receipted.refused}
    asked = any(one.instance for one in receipted.refused) or others.instances  # else nobody has to read the arrivals
    superseded = {arrival for n in runs for arrival in ledger.learned(n).superseded}
    taken = ledger.arrivals(tuple(sorted(arrivals - refused - superseded))) if asked else []
    return Received(
        files=len(arrivals),
        identical=receipted.copies,
        skipped=others.skipped,
        refused=others.refused,
        refused_instances=others.instances,
        taken={arrival.instance for arrival in taken},
    )


def _to_come(ledger: Ledger, run: int) -> int:
    """How many of the study's files no run up to this one has taken."""
    taken = {arrival for n in range(1, run + 1) for arrival in ledger.sealed(n).arrivals}
    return sum(note.id not in taken for note in ledger.notes())
