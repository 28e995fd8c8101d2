"""Linkable pseudonyms: the same person, study or UID of one clinic always gets the same name, for years.

Everything derives from one root secret by HMAC-SHA-256, so nothing has to be stored to stay consistent, and
nobody without the secret can tell whose name it is. Two clinics' equal identifiers never meet: the clinic is
part of every message.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SHIFT_RANGE_DAYS = 3650


def handle_of(token: str, attempt: int = 0) -> str:
    """The 8 characters that people say on the telephone; `attempt` moves on when two tokens share them."""
    bits = int.from_bytes(hashlib.sha256(f"handle|{token}|{attempt}".encode()).digest()[:5], "big")
    return "".join(_CROCKFORD[bits >> shift & 31] for shift in range(35, -1, -5))


def patient_name(token: str) -> str:
    """PatientName of a clean instance: what people can say of the patient's token."""
    return f"RF-{handle_of(token)}"


@lru_cache(maxsize=8192)
def _mac(root: bytes, *parts: str) -> bytes:
    """The files of a study ask for the same names again and again."""
    message = b"".join(len(encoded).to_bytes(4, "big") + encoded for encoded in map(str.encode, parts))
    return hmac.digest(root, message, hashlib.sha256)


@dataclass(frozen=True)
class Pseudonyms:
    """The names that one clinic's identifiers get.

    `root` is the secret (32 bytes or more); `clinic` the clinic's id.
    """

    root: bytes
    clinic: str

    def __post_init__(self) -> None:
        if len(self.root) < 32:
            raise ValueError("the root pseudonym secret must have at least 32 bytes")

    def __repr__(self) -> str:  # the secret never reaches a log
        return f"Pseudonyms(clinic={self.clinic!r})"

    def _mac(self, kind: str, *parts: str) -> bytes:
        # Lengths before the parts: no two different lists of parts make the same message.
        return _mac(self.root, kind, self.clinic, *parts)

    def study_token(self, study_uid: str) -> str:
        """32 hex digits: blob prefix, Cosmos id and root of the orchestration's instance ids."""
        return self._mac("study", study_uid.strip(" \0")).hex()[:32]

    def patient_token(self, issuer: str, patient_id: str) -> str:
        """32 hex digits for a person: per clinic, issuer and ID (less what the VR LO calls insignificant)."""
        return self._mac("patient", issuer.strip(" \0"), patient_id.strip(" \0")).hex()[:32]

    def uid(self, original: str) -> str:
        """A valid DICOM UID under 2.25 (PS3.5 B.2) for any original UID."""
        return f"2.25.{int.from_bytes(self._mac('uid', original.strip(' ' + chr(0)))[:16], 'big')}"

    def arrival(self, *parts: str) -> str:
        """32 hex digits that name one uploaded file (container, blob name, ETag, member of a zip)."""
        return self._mac("arrival", *parts).hex()[:32]

    def shift_days(self, patient_token: str) -> int:
        """How many days (1 to 3650) this person's dates move into the past."""
        return 1 + int.from_bytes(self._mac("shift", patient_token)[:8], "big") % _SHIFT_RANGE_DAYS
