"""Words that the scrubber must know, from words.toml and words.txt.gz (built by tools/build_deid_words.py)."""

from __future__ import annotations

import gzip
import re
import tomllib
from functools import lru_cache
from importlib import resources

from pydicom._dicom_dict import DicomDictionary

_DATA = resources.files("readfirst.domain.deid") / "data"
_FILE = tomllib.loads((_DATA / "words.toml").read_text("utf-8"))
_LISTS = {k: frozenset(v.split()) for k, v in _FILE.items() if isinstance(v, str)}

EPONYMS = _LISTS["eponyms"]
EPONYM_NOUNS = _LISTS["eponym_nouns"]
OF_SOMEBODY = _LISTS["of_somebody"]
UNITS = _LISTS["units"]
TERMS = _LISTS["terms"]
TERMS_AFTER = {word: frozenset(after.split()) for word, after in _FILE["followed"].items()}
TERMS_BEFORE = {word: frozenset(before.split()) for word, before in _FILE["preceded"].items()}
COMMON = _LISTS["common"]
ABBREVIATIONS = _LISTS["abbreviations"]
PARTICLES = _LISTS["particles"]
TITLES = _LISTS["titles"]
CLINICAL = _LISTS["clinical"]
PLACEHOLDERS = _LISTS["placeholders"]


@lru_cache(maxsize=1)
def lexicon() -> frozenset[str]:
    """Lower-case English and medical words of four letters and more."""
    return frozenset(gzip.decompress((_DATA / "words.txt.gz").read_bytes()).decode().split())


@lru_cache(maxsize=1)
def dicom_words() -> frozenset[str]:
    """The words of DICOM's defined terms and attribute names, which its code strings use."""
    return _LISTS["terms"] | frozenset(
        w for entry in DicomDictionary.values() for w in re.findall(r"[a-z]{3,}", entry[2].lower())
    )
