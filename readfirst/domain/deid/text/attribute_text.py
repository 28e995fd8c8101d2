"""The text of one attribute without identifiers, in the encoding and within the length that its VR allows."""

from __future__ import annotations

import html
from urllib.parse import unquote

from readfirst.domain.deid.dicom.charsets import decoded, encoded, readings
from readfirst.domain.deid.dicom.elements import Element
from readfirst.domain.deid.rules.value_rules import FORMATS, MAX_CHARACTERS
from readfirst.domain.deid.text.scrubber import BLANK, Scrubber


def scrubbed(scrubber: Scrubber, vr: str, value: bytes, charset: tuple[str, ...], place: int) -> bytes:
    """The value of a text VR without what is known of the study, and of free text without what looks like it."""
    text = decoded(value, charset)
    if vr in FORMATS:
        form = FORMATS[vr]
        well_formed = all(form.fullmatch(v.strip(b" \0")) for v in value.split(b"\\"))
        known = scrubber.in_code(text) if vr == "CS" else scrubber.in_number(text)
        clean = text if well_formed and not known else ""
    else:
        clean = scrubber.scrub(text, place)
        if not value.isascii() or b"\x1b" in value or b"%" in value or b"&" in value:
            clean = _in_any_reading(scrubber, value, charset, text, clean, place)
    if clean == text:
        return value
    limit = MAX_CHARACTERS.get(vr)
    if limit and vr in ("LO", "SH"):
        clean = "\\".join(v[:limit] for v in clean.split("\\"))
    return encoded(clean[:limit] if limit and vr in ("ST", "LT") else clean, charset)


def names_somebody(scrubber: Scrubber, charset: tuple[str, ...], element: Element) -> bool:
    """Whether a short text shows an identifier, in any character set that its bytes may be in."""
    texts = readings(element.value.strip(b" \0"), charset) if isinstance(element.value, bytes) else ()
    return any(scrubber.scrub(text) != text for text in texts)


def _in_any_reading(
    scrubber: Scrubber, value: bytes, charset: tuple[str, ...], text: str, clean: str, place: int
) -> str:
    """Nothing of a text that names somebody when its bytes are read as something else than it says."""
    others = {*readings(value, charset), html.unescape(text), unquote(text)} - {text}
    known = any(scrubber.holds_known(other, place) for other in others)
    return BLANK if known or (clean == text and scrubber.spelled_in(value)) else clean
