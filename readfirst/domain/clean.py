"""Where a study's clean copies and their papers lie in container `clean`, and what the papers say.

{token}/instances/{series uid}/{sop uid}.dcm    clean instances (pseudonymous UIDs)
{token}/facts/{run}-{batch}.json                BatchFacts, written before the receipts
{token}/receipts/{run}-{batch}.json             signed receipts: what commits a batch
{token}/orders/{run key}.json                   AnalysisOrder
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from readfirst.domain.instances import InstanceFacts

BATCH = 16  # files per batch: one receipts blob, one vault record


class RefusedFile(BaseModel):
    """A file of a study that was refused, by the id of its arrival."""

    model_config = ConfigDict(frozen=True)

    arrival: str
    reason: str
    detail: str = ""


class BatchFacts(BaseModel):
    """What a batch of clean instances is, without opening them: the basis of series choice and report."""

    model_config = ConfigDict(frozen=True)

    patient: str  # the patient's token; "" where every file was refused
    instances: tuple[InstanceFacts, ...]
    refused: tuple[RefusedFile, ...] = ()
    released: tuple[str, ...] = ()  # arrivals that an earlier batch refused and a person has released since


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


def record_path(token: str) -> str:
    """The blob of a study's record, in container `analysis`."""
    return f"{token}/record.json"
