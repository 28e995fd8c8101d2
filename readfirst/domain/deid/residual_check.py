"""The last look at a clean copy: does any byte of it still spell a known identifier?"""

from __future__ import annotations

from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.elements import (
    Element,
)
from readfirst.domain.deid.rules.value_rules import DUMMY_TEXT
from readfirst.domain.deid.subject import charsets_of
from readfirst.domain.deid.text.scrubber import Scrubber

_SEARCHED = frozenset(("LO", "SH", "ST", "LT", "UT", "UC", "PN", "UR", "AE"))


def holds_identifier(elements: list[Element], scrubber: Scrubber, charsets: tuple[str, ...] = ()) -> bool:
    """Whether a text of the clean data set still shows a known identifier: the last look before writing."""
    charsets = charsets_of(elements) if any(e.tag == tags.SpecificCharacterSet for e in elements) else charsets
    for element in elements:
        value = element.value
        if isinstance(value, list):
            if any(holds_identifier(item, scrubber, charsets) for item in value):
                return True
        elif not isinstance(value, bytes) or value == DUMMY_TEXT or element.vr not in _SEARCHED:
            continue
        elif scrubber.shows(value, charsets, element.tag):
            return True
    return False
