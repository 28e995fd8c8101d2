"""The UIDs that DICOM has registered, as a table of our own (tools/build_uids.py): libraries lag behind it."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

ROOT = "1.2.840.10008."
# The form of every UID under DICOM's root so far: few and short numbers. A longer one is nobody's class.
_FORM = re.compile(r"1\.2\.840\.10008(?:\.(?:0|[1-9]\d{0,3})){1,9}")


@dataclass(frozen=True, slots=True)
class Registered:
    """One row of PS3.6 Table A-1."""

    name: str
    kind: str
    retired: bool


@lru_cache(maxsize=1)
def table() -> dict[str, Registered]:
    """The whole table by UID."""
    text = (resources.files(__package__) / "uids.csv").read_text("utf-8")
    return {r["uid"]: Registered(r["name"], r["type"], bool(r["retired"])) for r in csv.DictReader(text.splitlines())}


def of_dicom(uid: str) -> bool:
    """Whether a UID is the standard's, today's or, by its form under DICOM's root, a later edition's."""
    return uid in table() or _FORM.fullmatch(uid) is not None


def name_of(uid: str) -> str:
    """The registered name; "" for what the table does not have."""
    row = table().get(uid)
    return row.name if row is not None else ""


def is_transfer_syntax(uid: str) -> bool:
    """Whether the standard registers a UID as a transfer syntax."""
    row = table().get(uid)
    return row is not None and row.kind == "Transfer Syntax"
