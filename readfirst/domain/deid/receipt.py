"""Receipts: what was done to each file, without a value, signed so that the analysis can check it."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict


class RuleFired(BaseModel):
    """One rule that acted: on which attribute (sequence tags before it), how, by what, how often."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str  # "00100010" or "00081140/00081155"; a private attribute is "private", never its creator
    action: Literal["removed", "emptied", "dummy", "replaced", "shifted", "cleaned", "set"]
    why: str  # "E.1-1", "VR PN", "private", "known identifier", …
    count: int


class PixelCheck(BaseModel):
    """What was done about text in the picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Literal["no pixels", "not looked at", "screened", "searched", "looked at by a person"]
    frames: int = 0
    suspects: int = 0  # frames of a screened picture on which something stood like letters: those were searched
    regions_blanked: int = 0
    markers_kept: int = 0
    markers_blanked: tuple[str, ...] = ()  # "L", "ERECT", …: the reader must know that they are gone
    verified: bool = False  # a second search of the result found nothing


class Receipt(BaseModel):
    """The receipt of one file. It names nobody: the instance by its new UID, the rest by digests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    sop_uid: str
    engine: str
    table: str
    profile: str
    profile_digest: str
    input_digest: str  # sha256, hex
    output_digest: str
    rules: tuple[RuleFired, ...]
    residual: Literal["none found"]
    residual_checked: int  # how many known identifiers were searched for in the clean header
    pixels: PixelCheck
    notes: tuple[str, ...] = ()


class ReceiptBatch(BaseModel):
    """The receipts of one batch of a study, with a signature over all of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    token: str  # the study's
    receipts: tuple[Receipt, ...]
    key_id: str = ""
    signature: str = ""  # HMAC-SHA-256, hex, over the canonical JSON of everything else


def sign(batch: ReceiptBatch, key_id: str, key: bytes) -> ReceiptBatch:
    """The batch with its signature."""
    unsigned = batch.model_copy(update={"key_id": key_id, "signature": ""})
    return unsigned.model_copy(update={"signature": _mac(unsigned, key)})


def verify(batch: ReceiptBatch, keys: Mapping[str, bytes]) -> bool:
    """Whether the batch is signed with one of the keys (key id -> key) and unchanged since."""
    key = keys.get(batch.key_id)
    if key is None:
        return False
    return hmac.compare_digest(_mac(batch.model_copy(update={"signature": ""}), key), batch.signature)


def _mac(batch: ReceiptBatch, key: bytes) -> str:
    canonical = json.dumps(batch.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hmac.new(key, canonical.encode(), hashlib.sha256).hexdigest()
