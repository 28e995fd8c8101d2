"""Codes where no free text may stay: a public scheme's codes keep their values and the meanings that it gives them."""

from __future__ import annotations

import re
from functools import lru_cache

from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.elements import Element, text_of
from readfirst.domain.deid.text.vocabulary import says_only_known_words

_VALUES = (tags.CodeValue, tags.LongCodeValue, tags.URNCodeValue)  # Code Value, Long Code Value, URN Code Value
_SCHEME, _VERSION, _MEANING = tags.CodingSchemeDesignator, tags.CodingSchemeVersion, tags.CodeMeaning
CODE_TEXTS = frozenset((*_VALUES, _SCHEME, _VERSION, _MEANING))
# Schemes that anyone can look up, with the form of their codes.
_PUBLIC = {
    "DCM": r"\d{5,6}",
    "SCT": r"\d{6,18}",
    "SRT": r"[A-Z][A-Z0-9]?-[A-Z0-9]{4,6}",
    "SNM3": r"[A-Z][A-Z0-9]?-[A-Z0-9]{4,6}",
    "99SDM": r"[A-Z][A-Z0-9]?-[A-Z0-9]{4,6}",
    "LN": r"(?:LP)?\d{1,7}-\d",
    "UCUM": r"[A-Za-z0-9%/.*\[\]'^-]{1,12}",
    "RADLEX": r"RID\d{1,6}",
    "FMA": r"\d{1,6}",
    "NCIt": r"C\d{2,6}",
    "UMLS": r"C\d{7}",
    "MSH": r"D\d{6,9}",
    "I10": r"[A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?",
    "I10P": r"[0-9A-Z]{7}",
    "I9C": r"[VE]?\d{2,3}(?:\.\d{1,2})?",
    "C4": r"\d{4}[0-9A-Z]",
    "ISO3166_1": r"[A-Z]{2,3}",
    "RFC5646": r"[a-z]{2,3}(?:-[A-Z]{2})?",
    "MDC": r"\d{1,3}:\d{1,5}",
    "NEU": r"\d{1,5}",
    "RXNORM": r"\d{1,8}",
    "NDC": r"\d{4,5}-\d{3,4}-\d{1,2}",
    "IBSI": r"[A-Z0-9]{4}",
    "ITIS_TSN": r"\d{1,7}",
    "PUBCHEM_CID": r"\d{1,9}",
}
_DUMMY = b"REMOVED"
_NO_SCHEME = b"99REMOVED"  # "99" is what PS3.16 lets a site's own schemes begin with


def without_free_text(item: list[Element]) -> list[Element]:
    """A code item with nothing of its own words; an item that is no code as it is."""
    texts = {e.tag: text_of(e) for e in item if e.tag in CODE_TEXTS}
    value = next((texts[t] for t in _VALUES if texts.get(t)), "")
    if not value or _SCHEME not in texts:
        return item
    scheme, meaning = texts[_SCHEME], texts.get(_MEANING, "")
    said = _meanings_of(scheme, value)
    public = bool(said) or re.fullmatch(_PUBLIC.get(scheme, r"(?!)"), value) is not None
    instead: dict[int, bytes] = {}
    if not public:
        instead = dict.fromkeys((*_VALUES, _MEANING), _DUMMY) | {_SCHEME: _NO_SCHEME, _VERSION: b""}
    elif meaning.casefold() not in map(str.casefold, said) and not says_only_known_words(_MEANING, meaning):
        instead[_MEANING] = min(said, key=len, default="").encode("ascii", "ignore")[:64] or _DUMMY
    if public and not re.fullmatch(r"[\d.]{1,10}[a-z]?", texts.get(_VERSION, "0")):
        instead[_VERSION] = b""
    return [
        Element(e.tag, e.vr, instead[e.tag]) if e.tag in instead else e
        for e in item
        if e.tag != _VERSION or instead.get(_VERSION) != b""
    ]


@lru_cache(maxsize=4096)
def _meanings_of(scheme: str, value: str) -> tuple[str, ...]:
    """What PS3.16 calls a code; nothing for a code that it does not use."""
    modern = {"SRT": "SCT", "SNM3": "SCT", "99SDM": "SCT"}.get(scheme, scheme)
    return _meanings().get((modern, _today(value) if modern != scheme else value), ())


@lru_cache(maxsize=1)
def _meanings() -> dict[tuple[str, str], tuple[str, ...]]:
    from pydicom.sr._concepts_dict import concepts  # large: only profiles without free text need it

    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for scheme, keywords in concepts.items():
        for value, (meaning, _) in (entry for codes in keywords.values() for entry in codes.items()):
            found[scheme, value] = (*found.get((scheme, value), ()), meaning)
    return found


def _today(value: str) -> str:
    from pydicom.sr._snomed_dict import mapping

    return str(mapping["SRT"].get(value, ""))
