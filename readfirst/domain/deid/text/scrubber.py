"""Takes the known identifiers of a study, and what looks like an identifier of anyone, out of free text.

A text is folded first (case, accents, scripts' variants), so that one spelling stands for many. Known names are then
found as words, misspelt, spaced out, run together, as initials; known numbers in any punctuation. Patterns find the
rest: dates, telephone numbers, e-mail addresses, record numbers, people announced by a title or a role. What English
and medicine call a word is no misspelling: "marker" stays beside a patient called Parker, and so does "Parkinson".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.charsets import decoded
from readfirst.domain.deid.rules.binary_numbers import BinaryNumbers, in_both_orders
from readfirst.domain.deid.text import forms
from readfirst.domain.deid.text.context import (
    INITIAL_AFTER,
    INITIAL_BEFORE,
    INITIALS,
    LAST_DIGITS,
    LAST_NUMBER,
    PERSON_BEFORE,
    UNIT_BEFORE,
    bounds_of,
    is_term,
    text_around,
    with_initials,
)
from readfirst.domain.deid.text.disguises import beneath
from readfirst.domain.deid.text.folding import NO_LETTER, WORD, Folded, fold, latin, plain_digits
from readfirst.domain.deid.text.known_identifiers import KnownIdentifiers
from readfirst.domain.deid.text.known_words import (
    ROUNDS,
    Vocabulary,
    alike,
    as_one_name,
    is_a_word,
    pattern_of_day,
    spread_pattern,
)
from readfirst.domain.deid.text.lexicon import (
    ABBREVIATIONS,
    COMMON,
    EPONYMS,
    TERMS_AFTER,
    TITLES,
    lexicon,
)
from readfirst.domain.deid.text.patterns import TRIGGER, code_spans, over_lines, over_values, pattern_spans, patterns_of
from readfirst.domain.deid.text.vocabulary import body_words, has_own_words, in_own_words, trade_words

BLANK = "***"
DEPTH = 3  # encodings around each other: base64 of JSON with escapes


class Scrubber:
    """Scrubs the texts of one study; its files share it. `memo` keeps what was found for equal values."""

    def __init__(self, known: KnownIdentifiers) -> None:
        self.known = known
        self.count = len(known)
        self.vocabulary = Vocabulary.of(known)
        self._squeezable = {w for w in self.vocabulary.words if len(w) >= 5} | self.vocabulary.numbers
        self._squeezable |= self.vocabulary.phrases
        self._named = self._squeezable - self.vocabulary.numbers
        self._raw = [w.encode() for w in self._squeezable if len(w) >= 5]
        self._known_days = (pattern_of_day(self.vocabulary.days), forms.date_pattern(known.dates))
        self._binary = BinaryNumbers(self.vocabulary.numbers)
        self._short = forms.short_number_pattern(self.vocabulary.short)
        self._characters = forms.one_character_pattern(self.vocabulary.characters)
        self._lengths = {len(w) for w in self.vocabulary.words if len(w) >= 5}
        self.memo: dict[tuple[str, bytes, tuple[str, ...], int], bytes] = {}
        self._shown: dict[tuple[bytes, tuple[str, ...], int], bool] = {}

    def scrub(self, text: str, tag: int = 0) -> str:
        """The text without known identifiers and, unless it is a code, without what looks like an identifier.

        `tag`: the attribute, where that says what its words mean (see `place_of`).
        """
        return self._bared(text, tag, DEPTH)

    def _bared(self, text: str, tag: int, depth: int) -> str:
        """The text scrubbed as it is written, then of what it says in an encoding, and across its values."""
        original = text
        for _ in range(ROUNDS):  # what is left may stand together now
            clean = self._scrubbed(text, tag)
            if clean == text:
                break
            text = clean
        else:
            return BLANK
        if not depth or len(original) < 6:
            return text
        spans = [(start, end) for start, end, said in beneath(text) if self._bared(said, tag, depth - 1) != said]
        text = _blanked(text, spans) if spans else text
        if "\\" not in original:
            return text
        encoded = any(self._bared(s, tag, depth - 1) != s for _, _, s in beneath(original.replace("\\", "")))
        return BLANK if encoded or self._shows_joined(text, tag) else text

    def _shows_joined(self, text: str, tag: int) -> bool:
        """Whether the values of an attribute, put together, show what none of them shows by itself."""
        joined = text.replace("\\", "")
        days = any(d is not None and d.search(joined) for d in self._known_days)
        return days or self.holds_known(joined, tag) or any(over_values(text))

    def _scrubbed(self, text: str, tag: int) -> str:
        folded = Folded.of(text)
        spans = self._known(folded, tag)
        if tag not in CODES:
            plain = plain_digits(folded.text)
            if TRIGGER.search(plain):
                spans += pattern_spans(plain)
            spans += [m.span() for days in self._known_days if days is not None for m in days.finditer(plain)]
            spans += over_lines(folded.text, lambda joined: self._known(Folded.of(joined), tag), *self._known_days)
        else:
            spans += code_spans(folded.text, self._known_days[1])
        return _blanked(folded.text, spans) if spans else text

    def shows(self, value: bytes, charsets: tuple[str, ...], tag: int = 0) -> bool:
        """As `holds_known`, of a value's bytes; remembered, because the files of a study repeat themselves."""
        place = place_of(tag)
        known = self._shown.get((value, charsets, place))
        if known is None:
            known = self._shown[value, charsets, place] = self.holds_known(decoded(value, charsets), place)
        return known

    def holds_known(self, text: str, tag: int = 0) -> bool:
        """Whether a text shows a known identifier."""
        return bool(self._known(Folded.of(text), tag))

    def in_code(self, text: str) -> bool:
        """Whether a code string shows a known name or number: in a word that neither DICOM nor English has."""
        words = [w for w in re.split(r"[\W_]+", fold(text)) if w not in ANSWERS and w not in trade_words()]
        if any(w in self.vocabulary.words for w in words):
            return True
        squeezed, spaced = NO_LETTER.sub("", fold(text)), text.replace("_", " ")
        if any(n in squeezed for n in self.vocabulary.numbers if len(n) > 5):
            return True
        if any(patterns_of(kind).search(spaced) for kind in ("date", "month")):
            return True
        strange = [w for w in words if len(w) > 4 and not w.isdigit() and not is_a_word(w)]
        return any(self.holds_known(w) for w in strange) or self.in_number(text)

    def in_number(self, text: str) -> bool:
        """Whether a number, or one of several, is a known one of five characters or more."""
        return any(len(v) > 4 and self._a_number(v) for v in text.split("\\"))

    def _a_number(self, value: str) -> bool:
        if re.sub(r"[\W_]", "", fold(value)) in self.vocabulary.numbers:
            return True
        try:  # 4801177.0 and 4.801177e6 are 4801177
            number = float(value)
        except ValueError:
            return False
        return 10_000 <= abs(number) < 1e15 and number.is_integer() and str(abs(int(number))) in self.vocabulary.numbers

    def in_bytes(self, value: bytes) -> bool:
        """Whether a binary value spells a known identifier, a byte or two per character, in either byte order."""
        lower = value.lower()
        forms = [lower.replace(b"\0", b"")]
        if len(lower) % 2 == 0:
            swapped = bytearray(lower)
            swapped[::2], swapped[1::2] = lower[1::2], lower[::2]
            forms.append(bytes(swapped))
        return any(t in form for form in forms for t in self._raw) or self.spelled_in(value)

    def in_binary(self, value: bytes, vr: str, big: bool) -> bool:
        """Whether numbers of a binary VR spell a known identifier, or are a known number."""
        if len(value) < 4:
            return False
        return any(map(self.in_bytes, in_both_orders(value, vr))) or self._binary.hold(value, vr, big)

    def spelled_in(self, value: bytes) -> bool:
        """Whether the bytes hold a known name that is not plain ASCII, in any encoding."""
        return any(s in value for s in self.vocabulary.spelled)

    def _known(self, folded: Folded, tag: int) -> list[tuple[int, int]]:
        vocabulary = self.vocabulary
        squeezed = NO_LETTER.sub("", folded.folded)
        spans = [s for n in vocabulary.numbers if n in squeezed for s in self._squeezed(n, folded)]
        if in_own_words(tag, folded.text):  # nobody stands there, whoever is called like it; a number may
            return spans
        names = self._names(folded, squeezed, tag)
        if has_own_words(tag) and all(in_own_words(tag, folded.text[start:end]) for start, end in names):
            return spans  # "Philips … DMC GmbH" beside a patient Phillips: only the maker's name is like a name
        return with_initials(folded.text, spans + names, vocabulary)

    def _names(self, folded: Folded, squeezed: str, tag: int) -> list[tuple[int, int]]:
        vocabulary = self.vocabulary
        spans = [
            folded.span(*m.span())
            for w in vocabulary.ideographs
            if w in squeezed
            for m in spread_pattern(w).finditer(folded.folded)
        ]
        for target in self._named:
            if target in squeezed:
                spans += self._squeezed(target, folded)
        spans += self._words(folded)
        if vocabulary.initials:
            spans += self._initials(folded)
        if tag not in CODES:
            spans += self._alone(folded)
            spans += self._cut(folded)
        return spans

    def _alone(self, folded: Folded) -> Iterator[tuple[int, int]]:
        """Short numbers and names of one ideograph, which are nothing else where they stand alone."""
        if self._short is not None:
            for match in self._short.finditer(folded.folded):
                yield folded.span(*match.span("number" if "number" in match.groupdict() and match["number"] else 0))
        if self._characters is not None:
            yield from (folded.span(*m.span()) for m in self._characters.finditer(folded.folded))

    def _cut(self, folded: Folded) -> Iterator[tuple[int, int]]:
        """Names and numbers of which a field's end left only the beginning."""
        start, vocabulary = 0, self.vocabulary
        for value in folded.folded.split("\\"):
            end = start + len(value.rstrip(" \0"))
            full = folded.span(start, start + len(value)) if value else (0, 0)
            if full[1] - full[0] in forms.FIELD_ENDS or end - start in forms.FIELD_ENDS:
                names = {w for w in self.vocabulary.words if len(w) > 4} | self.vocabulary.phrases
                for targets, least in ((names, 4), (self.vocabulary.numbers, 5)):
                    at = forms.cut_at_the_end(folded.folded[start:end], targets, least)
                    if at >= 0 and not is_a_word(folded.folded[start + at : end]):
                        yield folded.span(start + at, end)
            elif (at := forms.cut_anywhere(folded.folded[start:end], vocabulary.phrases, vocabulary.ideographs)) >= 0:
                yield folded.span(start + at, end)
            elif (
                match := LAST_DIGITS.search(folded.folded[start:end]) or LAST_NUMBER.search(folded.folded[start:end])
            ) and any(n.startswith(match[0]) for n in self.vocabulary.numbers if len(n) > len(match[0])):
                yield folded.span(start + match.start(), end)
            start += len(value) + 1

    def _squeezed(self, target: str, folded: Folded) -> Iterator[tuple[int, int]]:
        """A name or number whatever stands between its characters, as far as it is not part of another word."""
        is_name = target in self.vocabulary.words
        for match in spread_pattern(target).finditer(folded.folded):
            start, end = match.span()
            if is_name:
                word = text_around(folded.folded, start, end)
                if match[0] == target and word != match[0] and is_a_word(word):
                    continue  # "parkin" in "parkinson"
                if match[0] == target and word == target and not self._a_name(folded, start, end, target):
                    continue
                pieces = [p for p in re.split(r"[\W_]+", match[0]) if p]
                wordy = any(len(p) > 2 for p in pieces) and all(p in lexicon() or len(p) < 3 for p in pieces)
                if 1 < len(pieces) < len(target) and wordy and not as_one_name(folded, start, end, pieces):
                    continue  # "over ton"
                start, end = bounds_of(folded.folded, start, end) if len(target) >= 5 else (start, end)
            elif (start and target.isdigit() and folded.folded[:start].rstrip("0")[-1:].isdigit()) or (
                end < len(folded.folded) and folded.folded[end].isdigit() and target[-1].isdigit()
            ):
                continue
            yield folded.span(start, end)

    def _words(self, folded: Folded) -> Iterator[tuple[int, int]]:
        """Names as words, also misspelt, cut, or as a login."""
        words = self.vocabulary.words
        if not words:
            return
        last = None
        for match in WORD.finditer(folded.folded):
            if last is not None and self._both(folded, last, match):
                yield folded.span(last.start(), match.end())
            last = match
            word = match[0]
            bare = word.replace("'", "")
            stem = word[:-2] if word.endswith("'s") else bare
            if bare in words or stem in words:
                if self._a_name(folded, *match.span(), stem if stem in words else bare):
                    yield folded.span(*match.span())
            elif self._made_of_a_name(stem, folded.folded[match.end() :]):
                yield folded.span(*match.span())

    def _both(self, folded: Folded, first: re.Match[str], second: re.Match[str]) -> bool:
        """Whether two neighbours are the beginnings of one person's names, run together as labels and logins do."""
        between = folded.folded[first.end() : second.start()]
        if not 0 < len(between) < 3 or between.isspace():
            return False
        return forms.begin_with_both(first[0], second[0], self.vocabulary.pairs)

    def _made_of_a_name(self, word: str, rest: str) -> bool:
        """Whether a word that is not a name is made of one, and `rest` follows it."""
        if self._misspelt(word) or (
            (other := latin(word)) and (other in self.vocabulary.words or self._misspelt(other))
        ):
            return True
        return not is_a_word(word) and (self._begun(word, rest) or forms.is_login(word, self.vocabulary.pairs))

    def _begun(self, word: str, rest: str) -> bool:
        """Whether a word is the beginning of a name: from six letters on, or from five at the end of a value."""
        at_end = not rest.split("\\", maxsplit=1)[0].strip(" \0.")
        if len(word) < (5 if at_end else 6) or word in ABBREVIATIONS:
            return False
        if not any(len(name) > len(word) and name.startswith(word) for name in self.vocabulary.words):
            return False
        return not any(term.startswith(word) for term in trade_words())  # "contr" for Contreras

    def _a_name(self, folded: Folded, start: int, end: int, word: str) -> bool:
        """Whether a word that is a known name is meant as one: "Long, Mary" is, "long axis" is not."""
        body = word in body_words()
        everyday = not body and (word in COMMON or word in ABBREVIATIONS or word in trade_words())
        if not body and not everyday and word not in EPONYMS and word not in TERMS_AFTER:
            return True
        first, last = folded.span(start, end)
        left, right = folded.text[max(0, first - 40) : first], folded.text[last : last + 40]
        before = (WORD.findall(left) or [""])[-1]
        after = (WORD.findall(re.sub(r"^['’]s?\b", "", right)) or [""])[0]
        near = {fold(w) for w in (before, after) if w and w != "MR"}  # in capitals it is no title but a modality
        if self._named_by(near, word, body) or self._initial_beside(left, right):
            return True
        if is_term(word, left, right):
            return False
        capital = folded.text[first].isupper()
        if body:  # also with a capital: descriptions write every word with one
            return capital and PERSON_BEFORE.search(left) is not None
        if near & self.vocabulary.words or not everyday:
            return True
        if not capital or folded.text[first:last].isupper() or word in ABBREVIATIONS:
            return False
        if left.rstrip()[-1:] in ("", ".", ":", "\n"):
            return False
        # "CT Low Dose", "Body Coil in place": where words have a capital, one of the trade is one.
        heading = before.isupper() or not after or after[:1].isupper() or is_a_word(fold(before))
        titled = (before[:1].isupper() and heading) or UNIT_BEFORE.search(left) is not None
        return PERSON_BEFORE.search(left) is not None or not (word in trade_words() and titled)

    def _named_by(self, near: set[str], word: str, body: bool) -> bool:
        """Whether a neighbour says that a person is meant: a title, or another name that is not itself such a word."""
        names = self.vocabulary.words - COMMON
        if near & ((names - trade_words() if body else names) | TITLES) or near & {"patient", "pt", "name"}:
            return True
        return any((word, other) in self.vocabulary.pairs or (other, word) in self.vocabulary.pairs for other in near)

    def _initial_beside(self, left: str, right: str) -> bool:
        """Whether the person's initial stands beside a word: "Colon, M.", "M. Colon"."""
        letters = {c for initials in self.vocabulary.initials for c in initials}
        found = (INITIAL_BEFORE.search(left), INITIAL_AFTER.match(right))
        return any(m is not None and fold(m["initial"]) in letters for m in found)

    def _misspelt(self, word: str) -> bool:
        size = len(word)
        if size < 5 or is_a_word(word) or not any(length in self._lengths for length in range(size - 2, size + 3)):
            return False
        return any(
            len(name) >= 5 and abs(len(name) - size) <= (2 if len(name) >= 8 else 1) and alike(word, name)
            for name in self.vocabulary.words
        )

    def _initials(self, folded: Folded) -> Iterator[tuple[int, int]]:
        """ "O.B.Q." and "OBQ", where they are nobody else's abbreviation."""
        for match in INITIALS.finditer(folded.text):
            letters = re.sub(r"[^\w]", "", fold(match[0]))
            dotted = "." in match[0]
            if letters in self.vocabulary.initials and (dotted or (len(letters) > 2 and letters not in ABBREVIATIONS)):
                yield match.span()


# What code strings answer with: never a person's name there, whoever is called No.
ANSWERS = frozenset(("", "y", "n", "yes", "no", "none", "all", "other", "mixed", "unknown", "true", "false", "on"))
# A code says which list it is from: words and short numbers in it are not a person's.
CODES = frozenset(
    (
        tags.CodeValue,
        tags.CodingSchemeDesignator,
        tags.CodingSchemeVersion,
        tags.LongCodeValue,
        tags.URNCodeValue,
        0x00189445,
    )
)


def place_of(tag: int) -> int:
    """The attribute where it says what its words mean (codes, descriptions of machines), else 0."""
    return tag if tag in CODES or has_own_words(tag) else 0


def _blanked(text: str, spans: list[tuple[int, int]]) -> str:
    parts: list[str] = []
    position = 0
    for start, end in sorted(spans):
        if end <= position:
            continue
        if start > position or not parts:
            parts.append(text[position:start] + BLANK)
        position = end
    return "".join(parts) + text[position:]


@lru_cache(maxsize=32)
def scrubber_of(known: KnownIdentifiers) -> Scrubber:
    """The scrubber of a study."""
    return Scrubber(known)
