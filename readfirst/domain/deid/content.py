"""Content items of reports and acquisition contexts: the rules of Table E.3.4-1, and what their values mean."""

from __future__ import annotations

from readfirst.domain.deid.codec import Element, text_of
from readfirst.domain.deid.plan import Rule, rule_of
from readfirst.domain.deid.profile import Options
from readfirst.domain.deid.table import content_rows

CONTENT_SEQUENCE = 0x0040A730
CONCEPT_NAME = 0x0040A043
_VALUE_TYPE = 0x0040A040
_DATES = ("DATE", "DATETIME", "TIME")
# Concepts of Table E.3.4-1 whose dates are not the patient's: DCM 113723 is the calibration of a dose meter.
_OF_DEVICES = frozenset((("DCM", "113723"),))


def concept_of(item: list[Element]) -> tuple[str, str, str]:
    """(scheme, code, meaning) of an item's concept name; empty where it has none."""
    name = next((e.value for e in item if e.tag == CONCEPT_NAME), None)
    if not isinstance(name, list) or not name:
        return "", "", ""
    code = {e.tag: text_of(e) for e in name[0]}
    return code.get(0x00080102, ""), code.get(0x00080100, ""), code.get(0x00080104, "")


def content_rule(item: list[Element], options: Options) -> Rule | None:
    """The rule of Table E.3.4-1 for a content item, by its concept name and value type."""
    scheme, code, _ = concept_of(item)
    kind = next((text_of(e) for e in item if e.tag == _VALUE_TYPE), "")
    row = content_rows().get((scheme, code, kind))
    return rule_of(row, options) if row is not None else None


def dates_are_the_patients(item: list[Element]) -> bool:
    """Whether the date of a content item moves with the patient: where Table E.3.4-1 says what happened then.

    Concepts that the table does not list may date anything: a device, a catalogue, a law.
    """
    scheme, code, _ = concept_of(item)
    return (scheme, code) not in _OF_DEVICES and any((scheme, code, kind) in content_rows() for kind in _DATES)
