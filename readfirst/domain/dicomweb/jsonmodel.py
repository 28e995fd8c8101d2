"""The DICOM JSON model (PS3.18 Annex F) of any data set, however it was stored and whatever its values are."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, MutableSequence
from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from readfirst.domain.dicomweb.recoding import known_vr, swapped, word_of

Json = dict[str, Any]

_EXACT = 1 << 53  # whole numbers that every reader of JSON keeps exact; beyond, strings are allowed (PS3.18 F.2.3)
_BINARY = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
_CHARACTERS = 0x00080005


def json_model(ds: Dataset, only: Iterable[int] | None = None) -> Json:
    """Elements (every one, or these alone) by tag in eight hex digits. Text is UTF-8, and the character set says so.

    An empty attribute has no Value, and an empty value among others is null (F.2.5). So are numbers that JSON does not
    have (NaN, the infinities) and what should be a number and is none: readers of JSON fail at all of the rest.
    """
    tags = sorted(ds.keys() if only is None else {tag for tag in only if tag in ds})
    found = {f"{tag:08X}": _element(ds, tag) for tag in tags}
    if f"{_CHARACTERS:08X}" in found:
        found[f"{_CHARACTERS:08X}"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    return found


def _element(ds: Dataset, tag: int) -> Json:
    try:
        element = ds[tag]
        vr, value = str(element.VR), element.value
    except Exception:  # pydicom raises many kinds on values that are not what their VR asks for
        return {"vr": str(ds.get_item(tag).VR or "UN")}
    if vr == "UN" and (known := known_vr(element)) != "UN":
        return _told(ds, element, known)
    if " " in vr:  # nothing in the data set decides between "US or SS" and the like
        vr = "OW" if isinstance(value, bytes) else vr[:2]
    if vr == "SQ":
        items = [json_model(item) for item in value or ()]
        return {"vr": vr, "Value": items} if items else {"vr": vr}
    if vr in _BINARY:
        return _binary(ds, element, vr)
    encode: Callable[[Any], Any] = _VALUES.get(vr, _text)
    values = [encode(one) for one in _several(value)]
    return {"vr": vr, "Value": values} if any(one is not None for one in values) else {"vr": vr}


def _told(ds: Dataset, element: Any, vr: str) -> Json:
    """A value that was too long for its VR, as what it is: JSON has no length field."""
    data = _little_endian(ds, element)
    told = Dataset()
    told.set_original_encoding(False, True, ds.original_character_set)
    told[element.tag] = RawDataElement(element.tag, vr, len(data), data, 0, False, True)
    return _element(told, element.tag)


def _little_endian(ds: Dataset, element: Any) -> bytes:
    data = bytes(element.value or b"")
    return swapped(data, word_of(ds, element)) if ds.original_encoding[1] is False else data


def _binary(ds: Dataset, element: Any, vr: str) -> Json:
    """Words in binary are little-endian, whatever they were stored in (F.2.7)."""
    data = _little_endian(ds, element)
    return {"vr": vr, "InlineBinary": base64.b64encode(data).decode()} if data else {"vr": vr}


def _several(value: Any) -> Iterable[Any]:
    if value is None:
        return ()
    return value if isinstance(value, (MutableSequence, tuple)) else (value,)  # a PersonName iterates too


def _text(value: Any) -> str | None:
    return None if value is None or str(value) == "" else str(value)


def _whole(value: Any) -> int | str | None:
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < _EXACT else str(number)


def _real(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _tag(value: Any) -> str:
    return f"{int(value):08X}"


def _name(value: Any) -> Json | None:
    parts = zip(("Alphabetic", "Ideographic", "Phonetic"), str(value or "").split("="), strict=False)
    return {group: str(text) for group, text in parts if text} or None


_VALUES: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("IS", "SL", "SS", "SV", "UL", "US", "UV"), _whole),
    **dict.fromkeys(("DS", "FD", "FL"), _real),
    "AT": _tag,
    "PN": _name,
}
