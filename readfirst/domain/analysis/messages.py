"""The shapes of what travels between the parts: queue messages and the blobs that they point to.

Nothing here can identify a person: tokens, digests, blob names made of them, and counts.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from readfirst.domain.instance_facts import InstanceFacts
from readfirst.domain.reading.accounting import Accounting


class Message(BaseModel):
    """A frozen message that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InferenceRequest(Message):
    """Queue `inference-requests`: one analysis to do. The work itself is described by the blob `order`."""

    token: str
    run_key: str
    instance: str  # the orchestration instance that waits for the answer
    order: str  # blob name in container `clean` of an AnalysisRequest


class AnalysisRequest(Message):
    """Blob `clean/{token}/orders/{run key}.json`: what the job shall analyse, and with which model."""

    token: str
    handle: str
    run_key: str
    model_name: str
    model_digest: str  # sha256, hex, of the model's manifest
    series_uid: str
    instances: tuple[InstanceFacts, ...]  # the selected series' clean instances, in order
    receipts: tuple[str, ...]  # blob names in container `clean`: no receipt, no inference
    missing: int = 0  # slices of the patient that are not among `instances`: the study is read in part
    accounting: Accounting | None = None  # the study's books when the work was ordered


class InferenceAnswer(Message):
    """Queue `inference-results`: the job has written `analysis/{token}/{run key}/result.json` (or could not)."""

    token: str
    run_key: str
    instance: str
    outcome: Literal["analysed", "out-of-scope", "failed"]
    detail: str = ""  # for out-of-scope and failed: the reason, without content


class Progress(Message):
    """Blob `analysis/{token}/{run key}/progress.json`: how far the job is."""

    stage: Literal["download", "decode", "infer", "write", "done"]
    share: float  # of the whole, 0 to 1
    at: str  # ISO 8601, UTC


Kind = Literal["acknowledge", "release", "reject", "replay", "cancel", "erase", "merge", "verify"]


class Command(Message):
    """Queue `commands`: the only way into orchestrations from outside."""

    kind: Kind
    token: str
    by: str  # the actor's object id, never a name
    at: str  # ISO 8601, UTC
    detail: dict[str, str] = {}
