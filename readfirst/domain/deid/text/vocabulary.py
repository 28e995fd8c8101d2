"""The trade's own words, and the attributes in which they cannot be a name: meaning by place."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from pydicom.datadict import tag_for_keyword

from readfirst.domain.deid.text.lexicon import TERMS, dicom_words


@dataclass(frozen=True)
class _Attributes:
    words: frozenset[str]
    pattern: re.Pattern[str]


_FILE = tomllib.loads((resources.files("readfirst.domain.deid") / "data" / "vocabulary.toml").read_text("utf-8"))


@lru_cache(maxsize=1)
def trade_words() -> frozenset[str]:
    """Words of the body, of pictures and of DICOM, folded: what descriptions are made of."""
    return body_words() | _folded(_FILE["words"]["pictures"]) | _folded(_FILE["words"]["findings"]) | dicom_words()


@lru_cache(maxsize=1)
def body_words() -> frozenset[str]:
    """Words of the body, folded."""
    return TERMS | _folded(" ".join(text for name, text in _FILE["words"].items() if name.startswith("body")))


def _folded(text: str) -> frozenset[str]:
    words = text.split()
    return frozenset((*words, *map(_without_accents, words)))


def _without_accents(word: str) -> str:
    plain = unicodedata.normalize("NFKD", word.casefold().replace("ø", "o").replace("æ", "ae").replace("ł", "l"))
    return "".join(c for c in plain if not unicodedata.combining(c)).replace("œ", "oe")


@lru_cache(maxsize=1)
def _by_tag() -> dict[int, _Attributes]:
    found: dict[int, _Attributes] = {}
    for entry in _FILE["attribute"]:
        attributes = _Attributes(frozenset(entry["words"].lower().split()), re.compile(entry["pattern"], re.IGNORECASE))
        found |= dict.fromkeys((_tag(keyword) for keyword in entry["keywords"].split()), attributes)
    return found


def _tag(keyword: str) -> int:
    tag: int | None = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"vocabulary.toml: the standard has no attribute {keyword}")
    return tag


def has_own_words(tag: int) -> bool:
    """Whether an attribute describes a machine, a drug or a measure, in words of its own."""
    return tag in _by_tag()


@lru_cache(maxsize=4096)
def in_own_words(tag: int, text: str) -> bool:
    """Whether all of a value belongs to the attribute's own vocabulary; no text of other attributes does."""
    own = _by_tag().get(tag)
    if own is None:
        return False
    return all(_known(piece, own) for piece in re.split(r"[\s,;()&+\\]+", text.strip(" \0").lower()) if piece)


def _known(piece: str, own: _Attributes) -> bool:
    if piece in own.words or own.pattern.fullmatch(piece):
        return True
    words = [w for w in re.split(r"[-_/.®™]+", piece) if w]
    return all(w in own.words or w in trade_words() or own.pattern.fullmatch(w) for w in words)


@lru_cache(maxsize=1)
def makers() -> frozenset[str]:
    """Words of makers and of what they make."""
    return _by_tag()[_tag("Manufacturer")].words


def says_only_known_words(tag: int, text: str) -> bool:
    """Whether a text holds nothing but words of its attribute, of the body, of pictures, and short numbers."""
    if in_own_words(tag, text):
        return True
    pieces = re.split(r"[\W_]+", text.lower().strip(" \0"))
    return all(not p or (p.isdigit() and len(p) < 5) or (len(p) > 1 and p in trade_words()) for p in pieces)
