"""Which presentation contexts the gateway accepts: chosen from what a peer proposes, never from a list of 128.

An association has at most 128 contexts (PS3.8 9.3.2.2: odd numbers of one byte), and the standard has more storage
classes than that, each in dozens of transfer syntaxes. So nothing is listed in advance: each proposal is judged alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from readfirst.domain import uid_registry

VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT = "1.2.840.10008.1.20.1"  # Storage Commitment Push Model: a PACS reports on an association of its own
MPPS = "1.2.840.10008.3.1.2.3.3"
AVAILABILITY = "1.2.840.10008.5.1.4.33"  # Instance Availability Notification
SERVICES = frozenset({VERIFICATION, COMMITMENT, MPPS, AVAILABILITY})

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
_LIVE_VIDEO = "1.2.840.10008.1.2.7."  # SMPTE ST 2110: flows of packets, no data sets (PS3.22)
_COMPOSITE = "1.2.840.10008.5.1.4."
_IMAGES = "1.2.840.10008.5.1.4.1.1."
_STORAGE = re.compile(r"\bStorage( - .+| \(Retired\))?$")

# PS3.8 9.3.3.2, Result/Reason.
ACCEPTED = 0
NO_ABSTRACT_SYNTAX = 3
NO_TRANSFER_SYNTAX = 4


@dataclass(frozen=True)
class Proposed:
    """One presentation context that a peer proposes."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True)
class Answered:
    """What it is answered. The transfer syntax of a refused context says nothing (PS3.8 9.3.3.2)."""

    id: int
    abstract_syntax: str
    result: int
    transfer_syntax: str


def is_storage(uid: str) -> bool:
    """Whether a UID is a storage SOP class of the standard, or by its root one of a later edition."""
    row = uid_registry.table().get(uid)
    if row is None:
        return uid.startswith(_IMAGES) and uid_registry.of_dicom(uid)
    return row.kind == "SOP Class" and uid.startswith(_COMPOSITE) and _STORAGE.search(row.name) is not None


def is_file_syntax(uid: str) -> bool:
    """Whether a data set can be kept as it comes in a transfer syntax."""
    return uid_registry.is_transfer_syntax(uid) and not uid.startswith(_LIVE_VIDEO)


def answer(proposed: Proposed) -> Answered:
    """Accepts or refuses one context. Each is judged by itself: a peer may propose a class several times.

    The sender's first transfer syntax counts, since it need not convert for it; Implicit VR, which forgets what type a
    private element has, only where nothing else is proposed. Services other than storage speak the two uncompressed
    syntaxes.
    """
    uid = proposed.abstract_syntax
    if uid in SERVICES:
        known = [ts for ts in proposed.transfer_syntaxes if ts in (IMPLICIT, EXPLICIT)]
    elif is_storage(uid):
        known = [ts for ts in proposed.transfer_syntaxes if is_file_syntax(ts)]
    else:
        return Answered(proposed.id, uid, NO_ABSTRACT_SYNTAX, IMPLICIT)
    if not known:
        return Answered(proposed.id, uid, NO_TRANSFER_SYNTAX, IMPLICIT)
    best = next((ts for ts in known if ts != IMPLICIT), IMPLICIT)
    return Answered(proposed.id, uid, ACCEPTED, best)


def answers(proposed: Sequence[Proposed]) -> list[Answered]:
    """All of them, in the order in which they were proposed."""
    return [answer(one) for one in proposed]
