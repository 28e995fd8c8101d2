"""Which private attributes may stay: the standard's list, the site's list, and what the file itself declares safe."""

from __future__ import annotations

import csv
import struct
from collections.abc import Callable
from functools import lru_cache
from importlib import resources

from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.elements import Element, text_of
from readfirst.domain.deid.rules.profile import Profile

CHARACTERISTICS = (
    tags.PrivateDataElementCharacteristicsSequence
)  # PS3.3 C.12.1.1.7: which private blocks hold no identity


@lru_cache(maxsize=1)
def listed() -> dict[tuple[str, int, int], str]:
    """(creator, group, element in its block) -> VR, as PS3.15 Table E.3.10-1 lists them."""
    text = (resources.files("readfirst.domain.deid") / "data" / "safe-private.csv").read_text("utf-8")
    return {
        (row["creator"], int(row["group"], 16), int(row["element"], 16)): row["vr"]
        for row in csv.DictReader(text.splitlines())
    }


def safe_private(
    elements: list[Element], profile: Profile, big: bool, names_somebody: Callable[[Element], bool]
) -> dict[int, str]:
    """The private tags of a data set that may stay after the checks by VR, with their VR; creators included.

    Nothing of a block whose creator names somebody: an element without its creator means nothing.
    """
    creators = {
        e.tag >> 16 << 16 | (e.tag & 0xFF) << 8: e
        for e in elements
        if e.tag >> 16 & 1 and 0x10 <= e.tag & 0xFFFF <= 0xFF
    }
    names = {block: text_of(e) for block, e in creators.items()}
    allowed = listed() | {(a.creator, int(a.group, 16), int(a.element, 16)): a.vr for a in profile.private.allow}
    declared = _declared(elements, big)
    kept: dict[int, str] = {}
    for element in elements:
        block = element.tag & 0xFFFFFF00
        creator = names.get(block)
        if creator is None or element.tag & 0xFFFF <= 0xFF or creator in profile.private.deny_creators:
            continue
        key = (creator, element.tag >> 16, element.tag & 0xFF)
        if key in allowed or _declares(declared, creator, element.tag):
            kept[element.tag] = element.vr if element.vr != "UN" else allowed.get(key, "")
            kept[block >> 16 << 16 | (block >> 8 & 0xFF)] = "LO"
    blocks = {tag & 0xFFFFFF00 for tag in kept if tag & 0xFFFF > 0xFF}
    named = {block for block in blocks if names_somebody(creators[block])}
    named |= {block >> 16 << 16 | (block >> 8 & 0xFF) for block in named}  # the creator itself
    return {tag: vr for tag, vr in kept.items() if (tag & 0xFFFFFF00 if tag & 0xFFFF > 0xFF else tag) not in named}


def only_kept(items: list[list[Element]], elements: list[Element], kept: dict[int, str]) -> list[list[Element]]:
    """The declarations of the private blocks that stay: the others would only repeat creators that are gone."""
    creators = {text_of(e) for e in elements if e.tag in kept and e.tag & 0xFFFF <= 0xFF}
    return [
        item for item in items if any(e.tag == tags.PrivateCreatorReference and text_of(e) in creators for e in item)
    ]


def _declared(elements: list[Element], big: bool) -> list[tuple[int, str, str, frozenset[int]]]:
    """(group, creator, status, safe elements) of every declared block."""
    sequence = next((e.value for e in elements if e.tag == CHARACTERISTICS), None)
    declared = []
    for item in sequence if isinstance(sequence, list) else ():
        values = {e.tag: e for e in item}
        group = _numbers(values.get(tags.PrivateGroupReference), big)
        if group and tags.PrivateCreatorReference in values and tags.BlockIdentifyingInformationStatus in values:
            safe = frozenset(_numbers(values.get(tags.NonidentifyingPrivateElements), big))
            declared.append(
                (
                    group[0],
                    text_of(values[tags.PrivateCreatorReference]),
                    text_of(values[tags.BlockIdentifyingInformationStatus]),
                    safe,
                )
            )
    return declared


def _declares(declared: list[tuple[int, str, str, frozenset[int]]], creator: str, tag: int) -> bool:
    return any(
        group == tag >> 16 and name == creator and (status == "SAFE" or (status == "MIXED" and tag & 0xFF in safe))
        for group, name, status, safe in declared
    )


def _numbers(element: Element | None, big: bool) -> tuple[int, ...]:
    value = element.value if element is not None else b""
    if not isinstance(value, bytes) or len(value) & 1:
        return ()
    return struct.unpack(f"{'>' if big else '<'}{len(value) // 2}H", value)
