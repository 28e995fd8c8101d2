"""When a study is ready: the rule that decides which files a run takes, and how long to wait before looking again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from readfirst.domain.intake.ledger import ArrivalNote, Complete

# How long a series of a modality must have been silent before it counts as whole (seconds). Radiographs come one by
# one; a CT or MR scanner can pause between slices and series.
QUIET_SECONDS = {"CR": 5.0, "DX": 5.0, "MG": 10.0, "CT": 60.0, "MR": 60.0, "PT": 60.0}
QUIET_OTHERWISE = 60.0
QUIET_AFTER_COMPLETE = 5.0  # the sender says that all is sent; events of the last files may still be on their way
SHORT_PATIENCE = 300.0  # how long announced files may be missing after the last arrival
LONGEST_WAIT = 1800.0  # a study that never falls silent is taken as it is after this
LONGEST_LOOK = 15.0  # between two looks
SHORTEST_LOOK = 1.0
WHOLE_ENOUGH = 20  # slices: a silent CT series of this many is worth reading while others arrive


@dataclass(frozen=True)
class Settled:
    """Take these files now. `short`: the sender announced more."""

    arrivals: tuple[str, ...]
    short: bool = False


@dataclass(frozen=True)
class Wait:
    """Look again after so many seconds."""

    seconds: float


def settle(
    unsealed: Sequence[ArrivalNote],
    *,
    sealed: int,
    complete: Complete | None,
    now: datetime,
    quiet: float | None = None,
) -> Settled | Wait:
    """Decides whether a run takes its files now.

    `unsealed` are the study's files that no run has taken, `sealed` counts those that runs have taken; `quiet`
    overrides the silence (seconds) that every modality needs.
    """
    if not unsealed:
        return Settled(())
    everything = tuple(sorted(note.id for note in unsealed))
    oldest = (now - min(note.arrived for note in unsealed)).total_seconds()
    newest = (now - max(note.arrived for note in unsealed)).total_seconds()
    announced = complete.expected if complete else None
    missing = announced is not None and sealed + len(unsealed) < announced
    if announced is not None and not missing:
        return Settled(everything)
    if oldest >= LONGEST_WAIT:
        return Settled(everything, short=missing)
    if missing:
        if newest >= SHORT_PATIENCE:
            return Settled(everything, short=True)
        # The longer the silence, the longer until the next look: the last files of an upload are here in a moment.
        return Wait(min(LONGEST_LOOK, max(SHORTEST_LOOK, newest), SHORT_PATIENCE - newest))
    remaining = {series: _remaining(notes, complete, now, quiet) for series, notes in _by_series(unsealed).items()}
    if max(remaining.values()) <= 0:
        return Settled(everything)
    ready = [n for s, left in remaining.items() if left <= 0 for n in _by_series(unsealed)[s]]
    if sum(1 for note in ready if note.modality == "CT") >= WHOLE_ENOUGH:
        return Settled(tuple(sorted(note.id for note in ready)))
    return Wait(min(LONGEST_LOOK, max(remaining.values())))


def _by_series(notes: Sequence[ArrivalNote]) -> dict[str, list[ArrivalNote]]:
    series: dict[str, list[ArrivalNote]] = {}
    for note in notes:
        series.setdefault(note.series, []).append(note)
    return series


def _remaining(notes: list[ArrivalNote], complete: Complete | None, now: datetime, quiet: float | None) -> float:
    needed = quiet if quiet is not None else QUIET_SECONDS.get(notes[0].modality, QUIET_OTHERWISE)
    if complete:
        needed = min(needed, QUIET_AFTER_COMPLETE)
    return needed - (now - max(note.arrived for note in notes)).total_seconds()
