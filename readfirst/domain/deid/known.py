"""What a study's headers say about people: the names, numbers, dates and places that no text may still show."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from pydicom.dataset import Dataset

from readfirst.domain.deid.table import is_tag, rows

DATES = {0x00080020, 0x00080021, 0x00080022, 0x00080023, 0x00100030}
UIDS = {0x00080018, 0x0020000D, 0x0020000E, 0x00200052}
# Attributes besides person names whose values point to a person, a device or a place: by what the table calls them.
_KINDS = {
    "phones": re.compile(r"Telephone|Telecom"),
    "phrases": re.compile(r"Address|Institution|Organization|Station Name|Department|Residence|Issuer of Patient"),
    "ids": re.compile(r"\b(?:IDs?|Identifier|Number|Locator)\b"),
}
# Identifiers of what is done rather than to whom: "CT-CHEST-1" would take the words out of every description.
_OF_THINGS = re.compile(r"Protocol|Plan|Beam|Template|Equipment|Field|Detector|Source|Filter|Gantry|Channel")


def _by_name() -> dict[int, str]:
    kinds = {}
    for row in rows():
        if is_tag(row.tag) and row.vr in ("LO", "SH", "ST", "LT", "UT", "UC") and not _OF_THINGS.search(row.name):
            kind = next((k for k, pattern in _KINDS.items() if pattern.search(row.name)), "")
            if kind:
                kinds[int(row.tag, 16)] = kind
    return kinds


TAGS = _by_name()


@dataclass(frozen=True)
class KnownIdentifiers:
    """Identifiers of one study, as its headers write them."""

    names: frozenset[str] = frozenset()  # PN values
    ids: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()
    phrases: frozenset[str] = frozenset()  # institutions, addresses, stations
    dates: frozenset[str] = frozenset()  # YYYYMMDD
    uids: frozenset[str] = frozenset()

    def __or__(self, other: KnownIdentifiers) -> KnownIdentifiers:
        """Both together."""
        if all(getattr(other, f.name) <= getattr(self, f.name) for f in fields(self)):
            return self
        return KnownIdentifiers(**{f.name: getattr(self, f.name) | getattr(other, f.name) for f in fields(self)})

    def __repr__(self) -> str:  # no identifier reaches a log
        return f"KnownIdentifiers({len(self)} values)"

    def __len__(self) -> int:
        return sum(len(getattr(self, f.name)) for f in fields(self))

    def to_json(self) -> str:
        """As JSON, in a stable order."""
        return json.dumps({f.name: sorted(getattr(self, f.name)) for f in fields(self)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> KnownIdentifiers:
        """From `to_json`'s text."""
        document = json.loads(text)
        return cls(**{f.name: frozenset(document.get(f.name, ())) for f in fields(cls)})


def known_identifiers(ds: Dataset) -> KnownIdentifiers:
    """The identifiers that a header holds, at any depth."""
    return learn(_walk(ds))


def _walk(ds: Dataset) -> Iterator[tuple[int, str, str]]:
    for tag in list(ds.keys()):
        raw = ds.get_item(tag)  # not converted yet: only what can teach something is worth the time
        if raw is None or (raw.VR != "SQ" and not kind_of(int(tag), raw.VR or "")):
            continue
        try:
            element = ds[tag]
        except Exception:  # noqa: S112 - a value that pydicom cannot convert teaches nothing
            continue
        if element.VR == "SQ":
            for item in element.value or ():
                yield from _walk(item)
        else:
            yield from ((int(tag), element.VR, str(v)) for v in _values(element.value))


def _values(value: Any) -> Iterable[Any]:
    if value is None or isinstance(value, bytes):
        return ()
    return (
        (value,) if isinstance(value, str) or not hasattr(value, "__iter__") or hasattr(value, "components") else value
    )


def learn(values: Iterable[tuple[int, str, str]]) -> KnownIdentifiers:
    """The identifiers among (tag, VR, value) triples."""
    found: dict[str, set[str]] = {f.name: set() for f in fields(KnownIdentifiers)}
    for tag, vr, value in values:
        kind = kind_of(tag, vr)
        text = value.strip(" \0")
        if not kind or not text:
            continue
        if kind == "dates":
            text = re.sub(r"\D", "", text)[:8]
            if len(text) != 8:
                continue
        found[kind].add(text)
    return KnownIdentifiers(**{k: frozenset(v) for k, v in found.items()})


def kind_of(tag: int, vr: str) -> str:
    """Which field of KnownIdentifiers an attribute feeds; "" for none."""
    if vr == "PN":
        return "names"
    if tag in DATES:
        return "dates"
    return "uids" if tag in UIDS else TAGS.get(tag, "")
