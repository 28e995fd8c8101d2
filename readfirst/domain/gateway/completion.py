"""When the gateway may say that a study is complete: by the modality's word, never by the end of an association.

Modalities open an association for each series, or for each image. What counts is a performed procedure step that is
COMPLETED (MPPS, PS3.4 F.7) or an Instance Availability Notification (PS3.4 R.2), and only once every instance that it
names has reached the inbox. Without either, the cloud waits until the study is quiet.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

IN_PROGRESS = "IN PROGRESS"
COMPLETED = "COMPLETED"
DISCONTINUED = "DISCONTINUED"
FINAL = (COMPLETED, DISCONTINUED)


@dataclass(frozen=True)
class Said:
    """What a procedure step, or a notification, says of one study. `instances`: SOP Instance UIDs."""

    source: Literal["step", "availability"]
    state: str  # of a step; a notification is COMPLETED when it comes
    instances: frozenset[str]


def expected(said: Sequence[Said], sent: Collection[str], waiting: int) -> int | None:
    """How many images `complete.json` may announce; None as long as nothing may be announced.

    `sent` are the SOP Instance UIDs of the study that reached the inbox, `waiting` counts its files in the spool.
    A step that was discontinued announces nothing, and one that is in progress keeps the others waiting.
    """
    if waiting or any(one.state == IN_PROGRESS for one in said):
        return None
    named = frozenset[str]().union(*(one.instances for one in said if one.state == COMPLETED))
    there = frozenset(sent)
    return len(there) if named and named <= there else None
