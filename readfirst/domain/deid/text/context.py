"""What stands around a word of a text: whether it is meant as a person there, or as a term, a unit, a grade."""

from __future__ import annotations

import re

from readfirst.domain.deid.text.folding import WORD, fold
from readfirst.domain.deid.text.known_words import (
    Vocabulary,
)
from readfirst.domain.deid.text.lexicon import (
    EPONYM_NOUNS,
    EPONYMS,
    OF_SOMEBODY,
    PARTICLES,
    TERMS_AFTER,
    TERMS_BEFORE,
    UNITS,
)
from readfirst.domain.deid.text.vocabulary import makers

INITIALS = re.compile(r"(?<![\w.])(?:[^\W\d_]\.[ ]?){2,4}|(?<![\w.-])[^\W\d_a-z]{3,4}(?![\w-])")


# What stands before a person in prose.
PERSON_BEFORE = re.compile(
    r"\b(?:by|told|per|called|asked|saw|met|informed|contacted|dear"
    r"|(?:seen|discussed|reviewed|spoke|talked|referred|sent|reported|case|chart|file|report|record)\s+(?:with|to|from|for|of))\s+$",
    re.IGNORECASE,
)


INITIAL_BEFORE = re.compile(r"(?<![^\W_])(?P<initial>[^\W\d_])\.[ ]?$")


INITIAL_AFTER = re.compile(r"(?:,[ ]?|[ ](?=\w\.))(?P<initial>[^\W\d_])(?!\w)")


LAST_DIGITS = re.compile(r"(?<!\d)\d{5,}$")


LAST_NUMBER = re.compile(r"(?<![a-z\d])(?=[a-z]*\d)[a-z\d]{5,}$")


def bounds_of(text: str, start: int, end: int) -> tuple[int, int]:
    """The whole word around a span: "quillfeatherson", "oquillfeather"."""
    while start and text[start - 1].isalpha():
        start -= 1
    while end < len(text) and text[end].isalpha():
        end += 1
    return start, end


def text_around(text: str, start: int, end: int) -> str:
    first, last = bounds_of(text, start, end)
    return text[first:last]


UNIT_BEFORE = re.compile(r"\d[ ]?(?:mm|cm|ml|min|sec|ms|h)?[ -]?$")


_NUMBER_BEFORE = re.compile(r"\d[ -]?$")


_GRADE_AFTER = re.compile(r"['’]?s?[ ](?:[A-D]|[IV]{1,4}|\d{1,2}(?:[-.]\d)?)(?![\w.,])")


# Two names of one term: "Hill-Sachs", "Hunt and Hess", "Hunt & Hess".
_PAIR = "|".join(sorted(EPONYMS))


_JOINED = re.compile(rf"(?:[-–]|[ ](?:and|et|und|&)[ ])(?:{_PAIR})\b", re.IGNORECASE)


_JOINS = re.compile(rf"\b(?:{_PAIR})(?:[-–]|[ ](?:and|et|und|&)[ ])$", re.IGNORECASE)


def is_term(word: str, left: str, right: str) -> bool:
    """Whether a word that is also a name belongs to a term: "Baker cyst", "loop of Henle", "50 Gray", "rose bengal"."""
    before = [fold(w) for w in WORD.findall(left)]
    after = [fold(w) for w in WORD.findall(re.sub(r"^['’]s?\b", "", right))]
    last, following = (before or [""])[-1], (after or [""])[0]
    if word in UNITS and _NUMBER_BEFORE.search(left):
        return True
    if word in EPONYMS:
        if following in EPONYM_NOUNS or _GRADE_AFTER.match(right) or last in ("non", "de", "pseudo"):
            return True
        if (last == "of" and before[-2:-1] and before[-2] in OF_SOMEBODY) or _JOINED.match(right):
            return True
        if _JOINS.search(left):
            return True
    if word in makers() and following in makers():
        return True
    return following in TERMS_AFTER.get(word, ()) or last in TERMS_BEFORE.get(word, ())


def with_initials(text: str, spans: list[tuple[int, int]], vocabulary: Vocabulary) -> list[tuple[int, int]]:
    """Takes the initials and name particles beside a found name along: "O. B. Quillfeather", "Quillfeather, O"."""
    if not spans:
        return spans
    letters = set("".join(vocabulary.initials))
    return [(words_before(text, start, letters), words_after(text, end, letters)) for start, end in spans]


def words_before(text: str, start: int, letters: set[str]) -> int:
    while match := _LEFT.search(text[max(0, start - 12) : start]):
        word = fold(match[1]).strip(".")
        if not (word in PARTICLES or (len(word) == 1 and word in letters)):
            break
        start -= len(match[0])
    return start


def words_after(text: str, end: int, letters: set[str]) -> int:
    while match := _RIGHT.match(text[end : end + 8]):
        if fold(match[1]).strip(".") not in letters:
            break
        end += len(match[0])
    return end


_LEFT = re.compile(r"(?<!\w)([^\W\d_]{1,6}\.?)[ ,]{1,2}$")


_RIGHT = re.compile(r"[ ,^]{1,2}([^\W\d_]\.?)(?!\w)")
