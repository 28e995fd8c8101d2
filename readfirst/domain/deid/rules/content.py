"""Content items of reports and acquisition contexts: the rules of Table E.3.4-1, and what their values mean."""

from __future__ import annotations

import re

from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.elements import Element, text_of
from readfirst.domain.deid.dicom.standard_tables import content_rows
from readfirst.domain.deid.rules.plan import Rule, rule_of
from readfirst.domain.deid.rules.profile import Options

CONTENT_SEQUENCE = tags.ContentSequence
CONCEPT_NAME = tags.ConceptNameCodeSequence
_VALUE_TYPE = tags.ValueType
_DATES = ("DATE", "DATETIME", "TIME")
# Concepts of Table E.3.4-1 whose dates are not the patient's: DCM 113723 is the calibration of a dose meter.
_OF_DEVICES = frozenset((("DCM", "113723"),))


def concept_of(item: list[Element]) -> tuple[str, str, str]:
    """(scheme, code, meaning) of an item's concept name; empty where it has none."""
    name = next((e.value for e in item if e.tag == CONCEPT_NAME), None)
    if not isinstance(name, list) or not name:
        return "", "", ""
    code = {e.tag: text_of(e) for e in name[0]}
    return code.get(tags.CodingSchemeDesignator, ""), code.get(tags.CodeValue, ""), code.get(tags.CodeMeaning, "")


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


_OLDEST = 89  # years; who is older is 90 (45 CFR 164.514(b)(2)(i)(C))
_AGES = frozenset(
    (
        *(("DCM", "121033"), ("SCT", "397669002"), ("SCT", "424144002"), ("SCT", "445518008"), ("SCT", "105727008")),
        *(("LN", "30525-0"), ("LN", "21612-7"), ("LN", "29553-5"), ("LN", "30972-4"), ("LN", "63900-5")),
        *(("LN", "35659-2"), ("LN", "39016-1"), ("SRT", "R-FF1AF")),
    )
)
_AGE_WORD = re.compile(
    r"\b(?:age|aged|alter|lebensalter|[âa]ge|edad|et[àa]|idade|leeftijd|wiek|возраст)\b|年齢|年龄|나이", re.I
)
_YEARS = {"a": 1.0, "mo": 12.0, "mo_j": 12.0, "mo_g": 12.0, "wk": 52.18, "d": 365.25, "h": 8766.0, "min": 525_960.0}
_MEASURED, _NUMBER, _TEXT, _UNITS = (
    tags.MeasuredValueSequence,
    tags.NumericValue,
    tags.TextValue,
    tags.MeasurementUnitsCodeSequence,
)
_OTHER_FORMS = frozenset(
    (tags.FloatingPointValue, tags.RationalNumeratorValue, tags.RationalDenominatorValue)
)  # the number as floating point and as a fraction


def ages_capped(item: list[Element]) -> list[Element]:
    """A content item that says an age, with 90 years for whatever is more; any other item as it is."""
    if not any(e.tag == CONCEPT_NAME for e in item):
        return item
    scheme, code, meaning = concept_of(item)
    if (scheme, code) not in _AGES and _AGE_WORD.search(meaning) is None:
        return item
    return _capped(item)


def _capped(item: list[Element]) -> list[Element]:
    per_year = _YEARS.get(_unit_of(item), 1.0)
    old = any(e.tag == _NUMBER and _more_than(text_of(e), _OLDEST * per_year + per_year) for e in item)
    clean = []
    for element in item:
        if element.tag == _MEASURED and isinstance(element.value, list):
            element = Element(_MEASURED, "SQ", [_capped(inner) for inner in element.value])
        elif element.tag == _NUMBER and old:
            element = Element(_NUMBER, element.vr, f"{90 * per_year:.0f}".encode())
        elif element.tag in _OTHER_FORMS and old:
            continue
        elif element.tag == _TEXT and isinstance(element.value, bytes):
            element = Element(_TEXT, element.vr, re.sub(rb"(?<![\d.])0?(?:9\d|1[0-4]\d)(?!\d)", b"90", element.value))
        clean.append(element)
    return clean


def measured(sequence: int, items: list[list[Element]], clean: list[list[Element]]) -> list[list[Element]]:
    """The clean items of a sequence; none where a measured number could not stay.

    Numeric Value must be there, and a dummy would be a finding that nobody made. Measured Value Sequence may be empty:
    no value is known (PS3.3 C.18.1).
    """
    if sequence != _MEASURED or _numbers_of(items) == _numbers_of(clean):
        return clean
    return []


def _numbers_of(items: list[list[Element]]) -> list[str]:
    return [text_of(element) for item in items for element in item if element.tag == _NUMBER]


def _unit_of(item: list[Element]) -> str:
    units = next((e.value for e in item if e.tag == _UNITS), None)
    first = units[0] if isinstance(units, list) and units else []
    return next((text_of(e) for e in first if e.tag == tags.CodeValue), "a")


def _more_than(number: str, most: float) -> bool:
    try:
        return float(number) >= most
    except ValueError:
        return False
