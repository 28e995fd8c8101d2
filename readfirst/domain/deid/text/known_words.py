"""The words of what is known of a study's people, in the forms in which a text may write them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from readfirst.domain.deid.dicom.charsets import spellings
from readfirst.domain.deid.text import forms
from readfirst.domain.deid.text.folding import (
    NO_LETTER,
    SPLIT,
    WORD,
    Folded,
    fold,
    has_signs,
    latin,
    transliteration,
    with_spaces,
    without_marks,
)
from readfirst.domain.deid.text.known_identifiers import KnownIdentifiers
from readfirst.domain.deid.text.lexicon import (
    COMMON,
    EPONYMS,
    PARTICLES,
    PLACEHOLDERS,
    TITLES,
    lexicon,
)
from readfirst.domain.deid.text.vocabulary import trade_words

ROUNDS = 12


@dataclass(frozen=True)
class Name:
    """One component group of a person's name, folded."""

    words: tuple[str, ...]
    initials: str
    family: tuple[str, ...]
    given: tuple[str, ...]

    @classmethod
    def of(cls, group: str) -> Name:
        """From one component group (alphabetic, ideographic or phonetic) of a PN."""
        family, _, rest = group.partition("^")
        first = tuple(w for part in rest.split("^")[:2] for w in SPLIT.split(fold(part)) if w)
        last = tuple(w for w in SPLIT.split(fold(family)) if w)
        ordered = (*first, *last)
        return cls(ordered, "".join(w[0] for w in ordered if w not in PARTICLES), last, first)


@dataclass
class Vocabulary:
    """What to look for, folded and sorted by how it is matched."""

    words: set[str] = field(default_factory=set)  # names as words
    ideographs: set[str] = field(default_factory=set)  # names in scripts without spaces
    initials: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)  # letters and digits only
    days: set[str] = field(default_factory=set)  # day and month of a known date
    short: set[str] = field(default_factory=set)  # numbers of one to four digits, which must stand alone
    pairs: set[tuple[str, str]] = field(default_factory=set)  # family and given name of one person
    characters: set[str] = field(default_factory=set)  # names of one ideograph
    spelled: set[bytes] = field(default_factory=set)  # names beyond ASCII, in any encoding
    phrases: set[str] = field(default_factory=set)  # letters and digits only

    @classmethod
    def of(cls, known: KnownIdentifiers) -> Vocabulary:
        """From what the headers say."""
        vocabulary = cls()
        for value in known.names:
            for group in value.split("="):
                vocabulary._name(group)
        for value in known.ids | known.phones | known.uids:
            vocabulary._number(value)
        for value in known.phrases:
            vocabulary._phrase(value)
        for value in known.dates:
            vocabulary._date(value)
        return vocabulary

    def _date(self, value: str) -> None:
        """The ways to write a date in six or eight digits, and its day and month alone."""
        year, month, day = value[:4], value[4:6], value[6:8]
        orders = ((year, month, day), (day, month, year), (month, day, year))
        self.numbers.update("".join(parts) for parts in orders)
        self.numbers.update("".join(p[-2:] for p in parts) for parts in orders)
        self.days.update((f"{day}{month}", f"{month}{day}"))

    def _name(self, group: str) -> None:
        if all(w in PLACEHOLDERS for w in SPLIT.split(fold(group)) if w):
            return
        name = Name.of(group)
        whole = fold(re.sub(r"[\^\s,]", "", group))
        parts = [p for p in re.split(r"[\^\s,]+", group) if p]
        if not group.isascii():
            self.spelled.update(s for p in parts if len(p) > 1 for s in spellings(p))
        if whole and not with_spaces(whole):
            whole_and_parts = ("".join(parts), "".join(reversed(parts)), *parts)
            bare_forms = [NO_LETTER.sub("", fold(p)) for p in whole_and_parts]
            self.ideographs.update(p for p in bare_forms if len(p) > 1)
            self.characters.update(p for p in bare_forms if len(p) == 1)
            return
        if not group.isascii():
            self.words.update(transliteration(group))
            self.words.update(w for w in map(latin, name.words) if len(w) > 3 and w not in lexicon())
        for word in name.words:
            bare = re.sub(r"\W", "", word)
            if len(bare) > 1 and bare not in PARTICLES | TITLES | PLACEHOLDERS:
                self.words.add(bare)
            self.words.update(p for p in re.split(r"\W+", word) if len(p) > 3 and p not in PARTICLES)
        for part in (name.family, name.given):
            self.words.update(
                w for w in forms.run_together(list(part), PARTICLES) if not is_a_word(w) and w not in COMMON
            )
        self.pairs |= forms.pairs_of(*(without_marks(part) for part in (name.family, name.given)))
        if len(name.initials) > 1:
            self.initials.add(name.initials)
            self.initials.add(name.initials[-1] + name.initials[:-1])

    def _number(self, value: str) -> None:
        bare = re.sub(r"[\W_]", "", fold(value))
        digits = re.sub(r"\D", "", bare).lstrip("0")
        is_word = bare.isalpha() and (bare in lexicon() or bare in COMMON or bare in trade_words())
        if bare.isalpha():  # an operator's login, perhaps; "CTCHEST" is none
            if len(bare) > 4 and bare == fold(value).strip() and not is_word:
                self.words.add(bare)
        elif len(bare) >= 4 or (len(bare) == 3 and not bare.isdigit()):
            self.numbers.add(bare)
        if len(digits) >= 5:
            self.numbers.add(digits)
        elif digits and bare.isdigit():
            self.short.add(digits)

    def _phrase(self, value: str) -> None:
        for line in re.split(r"[\r\n,;^]+", value):
            self.numbers.update(re.findall(r"(?<!\d)\d{5,}(?!\d)", line))  # a postal code
            bare = re.sub(r"[\W_]", "", fold(line))
            if len(bare) >= 5 and bare not in lexicon():
                self.phrases.add(bare)
            self.words.update(w for w in map(fold, WORD.findall(line)) if len(w) > 4 and not is_a_word(w))


def as_one_name(folded: Folded, start: int, end: int, pieces: list[str]) -> bool:
    """Whether two words are a compound name written apart: "Green-wood", "Green Wood"; "long field" is not."""
    if all(p in trade_words() for p in pieces):
        return False
    first, last = folded.span(start, end)
    words = WORD.findall(folded.text[first:last])
    return not any(c.isspace() for c in folded.text[first:last]) or all(w[:1].isupper() for w in words)


def pattern_of_day(days: set[str]) -> re.Pattern[str] | None:
    """Finds the day and month of a known date in two digits each: "29/02", "02-29"."""
    if not days:
        return None
    shown = "|".join(sorted(f"{d[:2]}[./-]{d[2:]}" for d in days))
    german = "|".join(sorted(rf"{int(d[:2])}\.{int(d[2:])}\.(?=\s|$)" for d in days))
    return re.compile(rf"(?<![\d./-])(?:(?:{shown})(?![\d/-]|\.\d)|{german})")


@lru_cache(maxsize=4096)
def spread_pattern(target: str) -> re.Pattern[str]:
    """A pattern for a target with up to two other characters between each of its own; in scripts whose vowel signs are
    no letters to a pattern, with a sign and blanks around it."""
    return re.compile((r"[\W_]{0,5}" if has_signs(target) else r"[\W_]{0,2}").join(map(re.escape, target)))


def is_a_word(word: str) -> bool:
    if word in EPONYMS or word in lexicon() or word in trade_words():
        return True
    return word.endswith("s") and word[:-1] in lexicon()


def alike(word: str, name: str) -> bool:
    """At most one edit (two from eight letters on), counting swapped neighbours as one; the edits not all in front."""
    limit = 2 if len(name) >= 8 else 1
    return _distance(word, name, limit) <= limit


def _distance(a: str, b: str, limit: int) -> int:
    """Optimal string alignment distance, given up beyond `limit`."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        last, before, row = before, row, [i]
        for j, y in enumerate(b, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]
