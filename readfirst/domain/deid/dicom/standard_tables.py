"""The de-identification rules of the standard as data: PS3.15 Tables E.1-1 and E.3.4-1, PS3.3 attribute types."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

TABLE_EDITION = "2026d"
TABLE_ROWS = 657
OPTIONS = (
    "retain_safe_private",
    "retain_uids",
    "retain_device_identity",
    "retain_institution_identity",
    "retain_patient_characteristics",
    "retain_longitudinal_full_dates",
    "retain_longitudinal_modified_dates",
    "clean_descriptors",
    "clean_structured_content",
    "clean_graphics",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of Table E.1-1. `tag` is 8 hex digits, a pattern (50xxxxxx, 60xx4000) or PRIVATE."""

    tag: str
    vr: str
    name: str
    retired: bool
    in_standard_iod: bool
    basic: str
    options: dict[str, str]


@dataclass(frozen=True, slots=True)
class ContentRow:
    """One row of Table E.3.4-1: a content item, known by its concept name and value type."""

    scheme: str
    code: str
    value_type: str
    meaning: str
    basic: str
    options: dict[str, str]


def _read(name: str) -> list[dict[str, str]]:
    text = (resources.files("readfirst.domain.deid") / "data" / name).read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


@lru_cache(maxsize=1)
def rows() -> tuple[Row, ...]:
    """Table E.1-1, whole."""
    return tuple(
        Row(
            tag=r["tag"],
            vr=r["vr"],
            name=r["name"],
            retired=r["retired"] == "Y",
            in_standard_iod=r["in_standard_iod"] == "Y",
            basic=r["basic"],
            options={o: r[o] for o in OPTIONS if r[o]},
        )
        for r in _read("ps315-e1-1.csv")
    )


@lru_cache(maxsize=1)
def content_rows() -> dict[tuple[str, str, str], ContentRow]:
    """Table E.3.4-1 by (scheme, code, value type)."""
    return {
        (r["scheme"], r["code"], r["value_type"]): ContentRow(
            scheme=r["scheme"],
            code=r["code"],
            value_type=r["value_type"],
            meaning=r["meaning"],
            basic=r["basic"],
            options={o: r[o] for o in OPTIONS if r[o]},
        )
        for r in _read("ps315-e3-4-1.csv")
    }


def is_tag(text: str) -> bool:
    """Whether a row names one tag, not a pattern."""
    return len(text) == 8 and all(c in "0123456789ABCDEF" for c in text)


# Attributes of the table that pydicom's dictionary does not know yet: an implicit data set needs their VR.
EXTRA_VRS = {int(r.tag, 16): r.vr for r in rows() if is_tag(r.tag) and r.vr}


@dataclass(frozen=True)
class Types:
    """Attribute types of PS3.3: of the top level for one SOP class, and inside sequences by parent sequence."""

    top: dict[int, str]
    items: dict[int, dict[int, str]]
    known: bool  # False: a SOP class that the standard does not list

    def of(self, parent: int, tag: int) -> str:
        """ "1", "1C", "2", "2C" or "3" (also for what the standard does not define there); "" if unknowable."""
        if parent == 0:
            return self.top.get(tag, "3") if self.known else ""
        return self.items.get(parent, {}).get(tag, "3")


@lru_cache(maxsize=1)
def _types() -> dict[str, dict[str, dict[str, str]]]:
    text = (resources.files("readfirst.domain.deid") / "data" / "ps33-types.json").read_text("utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


def _by_tag(by_type: dict[str, str]) -> dict[int, str]:
    return {int(tags[i : i + 8], 16): kind for kind, tags in by_type.items() for i in range(0, len(tags), 8)}


@lru_cache(maxsize=1)
def _item_types() -> dict[int, dict[int, str]]:
    return {int(parent, 16): _by_tag(types) for parent, types in _types()["items"].items()}


@lru_cache(maxsize=64)
def types_of(sop_class: str) -> Types:
    """The attribute types of a SOP class."""
    iod = str(_types()["classes"].get(sop_class, ""))
    return Types(_by_tag(_types()["iods"].get(iod, {})), _item_types(), known=iod in _types()["iods"])
