"""Where a study's clean copies and their papers lie in container `clean`, and what the papers say.

{token}/instances/{series uid}/{sop uid}.dcm    clean instances (pseudonymous UIDs)
{token}/facts/{run}-{batch}.json                BatchFacts, written before the receipts
{token}/receipts/{run}-{batch}.json             signed receipts: what commits a batch
{token}/orders/{run key}.json                   AnalysisRequest
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import dist

from pydantic import BaseModel, ConfigDict

from readfirst.domain.instance_facts import InstanceFacts
from readfirst.domain.refusals import Reason

BATCH = 16  # files per batch: one receipts blob, one vault record


class RefusedFile(BaseModel):
    """A file of a study that was refused, by the id of its arrival."""

    model_config = ConfigDict(frozen=True)

    arrival: str
    reason: str
    detail: str = ""
    series: str = ""  # its series' token in the ledger
    modality: str = ""
    instance: str = ""  # token of its SOP Instance UID


class Repeat(BaseModel):
    """A file whose instance arrived once more in the same run: cleaned, so that the two can be compared, not kept."""

    model_config = ConfigDict(frozen=True)

    arrival: str
    series_uid: str
    sop_uid: str
    original: str  # sha256 of the file as it came, hex
    digest: str  # sha256 of its clean copy, hex
    facts: InstanceFacts | None = None  # where its slices lie; older ones do not say


class BatchFacts(BaseModel):
    """What a batch of clean instances is, without opening them: the basis of series choice and report."""

    model_config = ConfigDict(frozen=True)

    patient: str  # the patient's token; "" where every file was refused
    instances: tuple[InstanceFacts, ...]
    refused: tuple[RefusedFile, ...] = ()
    series: dict[str, str] = {}  # series of `instances` by their clean UID -> token in the ledger
    released: tuple[str, ...] = ()  # arrivals that an earlier batch refused and a person has released since
    repeats: tuple[Repeat, ...] = ()


@dataclass(frozen=True)
class Counted:
    """The clean instances of a study, each once, and what became of the files that named one of them as well.

    `copies`: how many said the same; `replaced`: those that said something else, of which the last one counts. One
    whose slices lie elsewhere may be a slice that is missing now: it names its series, as a refused file does.
    """

    instances: tuple[InstanceFacts, ...]
    copies: int
    replaced: tuple[RefusedFile, ...]


def counted(batches: Iterable[BatchFacts], originals: Mapping[str, str]) -> Counted:
    """Counts every instance of the batches (in the order of their runs) once. Two series may name theirs alike.

    `originals`: the digest of the file as it came, by that of its clean copy. Two files say the same if either agrees:
    a later run may have learned more names, and clean the same file of more.
    """
    last: dict[tuple[str, str], InstanceFacts] = {}
    others: list[_Other] = []
    tokens: dict[str, str] = {}
    for batch in batches:
        tokens |= batch.series
        for instance in batch.instances:
            if instance.place in last:
                earlier = last[instance.place]
                others.append(_Other(instance.place, _digests(earlier, originals), "", earlier))
            last[instance.place] = instance
        others += [_Other((r.series_uid, r.sop_uid), {r.digest, r.original}, r.arrival, r.facts) for r in batch.repeats]
    replaced = [o for o in others if o.place not in last or not o.digests & _digests(last[o.place], originals)]
    return Counted(
        instances=tuple(last.values()),
        copies=len(others) - len(replaced),
        replaced=tuple(
            RefusedFile(
                arrival=one.arrival,
                reason=Reason.DUPLICATE.value,
                series=tokens.get(one.place[0], "") if _lies_elsewhere(one.facts, last.get(one.place)) else "",
            )
            for one in replaced
        ),
    )


@dataclass(frozen=True)
class _Other:
    """A file that named an instance which another one counts for."""

    place: tuple[str, str]
    digests: set[str]
    arrival: str
    facts: InstanceFacts | None


def _lies_elsewhere(one: InstanceFacts | None, kept: InstanceFacts | None) -> bool:
    """Whether slices of a file lie where none of the one that counts lies. They may, where nothing is known of them."""
    if one is None or kept is None:
        return True
    places = [slice_.position for slice_ in kept.slices()]
    return any(
        slice_.position is not None
        and not any(place is not None and dist(slice_.position, place) <= _SAME_PLACE for place in places)
        for slice_ in one.slices()
    )


_SAME_PLACE = 0.05  # mm


def _digests(instance: InstanceFacts, originals: Mapping[str, str]) -> set[str]:
    return {instance.digest, originals.get(instance.digest, instance.digest)}


def instance_path(token: str, series_uid: str, sop_uid: str) -> str:
    """The blob of a clean instance."""
    return f"{token}/instances/{series_uid}/{sop_uid}.dcm"


def receipts_path(token: str, run: int, batch: int) -> str:
    """The blob of a batch's receipts."""
    return f"{token}/receipts/{run:06d}-{batch:06d}.json"


def run_of(receipts: str) -> int:
    """The run that wrote a batch's receipts, by their path."""
    return int(receipts.rsplit("/", 1)[1].partition("-")[0])


def facts_path(token: str, run: int, batch: int) -> str:
    """The blob of a batch's facts."""
    return f"{token}/facts/{run:06d}-{batch:06d}.json"


def order_path(token: str, run_key: str) -> str:
    """The blob of an analysis order."""
    return f"{token}/orders/{run_key}.json"


def result_path(token: str, run_key: str) -> str:
    """The blob of an analysis' result, in container `analysis`."""
    return f"{token}/{run_key}/result.json"


def beat_path(job: str) -> str:
    """The blob, in container `analysis`, that a job writes at each step: its last sign of life."""
    return f"locks/beat-{job}"


def progress_path(token: str, run_key: str) -> str:
    """The blob of an analysis' Progress, in container `analysis`."""
    return f"{token}/{run_key}/progress.json"


def trouble_path(token: str, run: int) -> str:
    """In container `analysis`: what the watchdog found wrong with a run's job, one word of `watchdog.Trouble`."""
    return f"{token}/trouble-{run:06d}.txt"


def routing_path(token: str, run: int) -> str:
    """In container `analysis`: which models a run's study gets, and why not the others (Routed)."""
    return f"{token}/routed-{run:06d}.json"


def record_path(token: str) -> str:
    """The blob of a study's record, in container `analysis`."""
    return f"{token}/record.json"
