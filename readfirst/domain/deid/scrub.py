"""Takes the known identifiers of a study, and what looks like an identifier of anyone, out of free text.

A text is folded first (case, accents, scripts' variants), so that one spelling stands for many. Known names are then
found as words, misspelt, spaced out, run together, as initials; known numbers in any punctuation. Patterns find the
rest: dates, telephone numbers, e-mail addresses, record numbers, people announced by a title or a role. What English
and medicine call a word is no misspelling: "marker" stays beside a patient called Parker, and so does "Parkinson".
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources

from readfirst.domain.deid.known import KnownIdentifiers
from readfirst.domain.deid.words import (
    ABBREVIATIONS,
    CLINICAL,
    COMMON,
    EPONYMS,
    PARTICLES,
    PLACEHOLDERS,
    TITLES,
    dicom_words,
    lexicon,
)

BLANK = "***"


@lru_cache(maxsize=1)
def patterns() -> dict[str, re.Pattern[str]]:
    """What looks like an identifier of anyone, by name."""
    document = tomllib.loads((resources.files(__package__) / "data" / "patterns.toml").read_text("utf-8"))
    compiled = {}
    for entry in document["pattern"]:
        regex = entry["regex"]
        for name, content in document["placeholders"].items():
            regex = regex.replace(name, f"(?:{content})")
        compiled[entry["name"]] = re.compile(regex, re.IGNORECASE | re.VERBOSE)
    return compiled


_TRIGGER = re.compile(
    r"\d{2}|@|/|www|\\\\|:|\b(?:dr|prof|mr|mrs|ms|miss|mme|mlle|herrn?|frau|se|sra?|sig|by|with|to|from)\w*\b", re.I
)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_SPLIT = re.compile(r"[\^=\s,;.()/_-]+")


def fold(text: str) -> str:
    """Lower-case without accents, kana as hiragana, wide forms as plain ones. May differ in length from the text."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(
        chr(ord(c) - 0x60) if "ァ" <= c <= "ヶ" else _SPECIAL.get(c, c) for c in plain if not unicodedata.combining(c)
    )


_SPECIAL = {"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "’": "'"}


@dataclass
class Folded:
    """A text folded, with the way back: `origin[i]` is where the folded character i stands in the text."""

    text: str
    folded: str
    origin: list[int] | range

    @classmethod
    def of(cls, text: str) -> Folded:
        """Folds a text."""
        if text.isascii():
            return cls(text, text.lower(), range(len(text) + 1))
        text = unicodedata.normalize("NFC", text)
        parts, origin = [], []
        for index, character in enumerate(text):
            piece = fold(character)
            parts.append(piece)
            origin.extend([index] * len(piece))
        return cls(text, "".join(parts), [*origin, len(text)])

    def span(self, start: int, end: int) -> tuple[int, int]:
        """A span of the folded text as one of the text."""
        return self.origin[start], self.origin[end - 1] + 1 if end > start else self.origin[start]


@dataclass(frozen=True)
class Name:
    """One component group of a person's name, folded."""

    words: tuple[str, ...]
    initials: str

    @classmethod
    def of(cls, group: str) -> Name:
        """From one component group (alphabetic, ideographic or phonetic) of a PN."""
        family, _, rest = group.partition("^")
        given = rest.split("^")[:2]
        ordered = [w for part in (*given, family) for w in _SPLIT.split(fold(part)) if w]
        return cls(tuple(ordered), "".join(w[0] for w in ordered if w not in PARTICLES))


@dataclass
class Vocabulary:
    """What to look for, folded and sorted by how it is matched."""

    words: set[str] = field(default_factory=set)  # names as words
    ideographs: set[str] = field(default_factory=set)  # names in scripts without spaces
    initials: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)  # letters and digits only
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
        return vocabulary

    def _name(self, group: str) -> None:
        if all(w in PLACEHOLDERS for w in _SPLIT.split(fold(group)) if w):
            return
        name = Name.of(group)
        whole = fold(re.sub(r"[\^\s,]", "", group))
        if whole and not _spaced(whole):
            parts = [fold(p) for p in re.split(r"[\^\s]+", group) if p]
            self.ideographs.update(p for p in (whole, *parts) if len(p) > 1)
            return
        if not group.isascii():
            self.words.update(_transliterated(group))
        for word in name.words:
            bare = re.sub(r"\W", "", word)
            if len(bare) > 1 and bare not in PARTICLES | TITLES | PLACEHOLDERS:
                self.words.add(bare)
            self.words.update(p for p in re.split(r"\W+", word) if len(p) > 3 and p not in PARTICLES)
        if len(name.initials) > 1:
            self.initials.add(name.initials)
            self.initials.add(name.initials[-1] + name.initials[:-1])

    def _number(self, value: str) -> None:
        bare = re.sub(r"[\W_]", "", fold(value))
        digits = re.sub(r"\D", "", bare).lstrip("0")
        is_word = bare.isalpha() and (bare in lexicon() or bare in COMMON)
        if bare.isalpha():  # an operator's login, perhaps; "CTCHEST" is none
            if len(bare) > 4 and bare == fold(value).strip() and not is_word:
                self.words.add(bare)
        elif len(bare) >= 4 or (len(bare) == 3 and not bare.isdigit()):
            self.numbers.add(bare)
        if len(digits) >= 5:
            self.numbers.add(digits)

    def _phrase(self, value: str) -> None:
        for line in re.split(r"[\r\n,;]+", value):
            bare = re.sub(r"[\W_]", "", fold(line))
            if len(bare) >= 5 and bare not in lexicon():
                self.phrases.add(bare)
            self.words.update(
                w for w in map(fold, _WORD.findall(line)) if len(w) > 4 and w not in lexicon() and w not in EPONYMS
            )


def _transliterated(group: str) -> set[str]:
    """A name as people type it without its letters: Müller as mueller, Ångström as aangstroem."""
    plain = group.casefold()
    for letter, letters in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("å", "aa"), ("ø", "oe"), ("ß", "ss")):
        plain = plain.replace(letter, letters)
    words = {re.sub(r"\W", "", fold(w)) for w in _SPLIT.split(plain)}
    return {w for w in words if len(w) > 3 and w not in PARTICLES and w not in TITLES}


def _spaced(text: str) -> bool:
    """Whether a script puts spaces between words (Han, kana and Hangul names do without)."""
    return not any(
        "぀" <= c <= "ヿ" or "㐀" <= c <= "鿿" or "가" <= c <= "힣" or "豈" <= c <= "﫿" or "ᄀ" <= c <= "ᇿ" for c in text
    )


class Scrubber:
    """Scrubs the texts of one study; its files share it. `memo` keeps what was found for equal values."""

    def __init__(self, known: KnownIdentifiers) -> None:
        self.known = known
        self.count = len(known)
        self.vocabulary = Vocabulary.of(known)
        self._squeezable = {w for w in self.vocabulary.words if len(w) >= 5} | self.vocabulary.numbers
        self._squeezable |= self.vocabulary.phrases
        self._raw = [w.encode() for w in self._squeezable if len(w) >= 5]
        self._lengths = {len(w) for w in self.vocabulary.words if len(w) >= 5}
        self.memo: dict[tuple[str, bytes, tuple[str, ...], bool], bytes] = {}

    def scrub(self, text: str, patterns: bool = True) -> str:
        """The text without known identifiers and, unless it is a code, without what looks like an identifier."""
        folded = Folded.of(text)
        spans = self._known(folded)
        if patterns and _TRIGGER.search(folded.text):
            spans += _pattern_spans(folded.text)
        if not spans:
            return text
        clean = _blanked(folded.text, spans)
        return clean if clean == text else self.scrub(clean, patterns)  # what is left may stand together now

    def holds_known(self, text: str) -> bool:
        """Whether a text shows a known identifier."""
        return bool(self._known(Folded.of(text)))

    def in_code(self, text: str) -> bool:
        """Whether a code string shows a known name or number: as a whole word, and as none that DICOM itself uses."""
        words = self.vocabulary.words
        if any(w in words and w not in dicom_words() for w in re.split(r"[\W_]+", fold(text))):
            return True
        return self.in_number(text)

    def in_number(self, text: str) -> bool:
        """Whether a number, or one of several, is a known one of five characters or more."""
        return any(len(v) > 4 and re.sub(r"[\W_]", "", fold(v)) in self.vocabulary.numbers for v in text.split("\\"))

    def in_bytes(self, value: bytes) -> bool:
        """Whether a binary value spells a known identifier, a byte or two per character."""
        plain = value.replace(b"\0", b"").lower()
        return any(target in plain for target in self._raw)

    def _known(self, folded: Folded) -> list[tuple[int, int]]:
        vocabulary = self.vocabulary
        spans = [folded.span(*s) for w in vocabulary.ideographs if w in folded.folded for s in _all(w, folded.folded)]
        squeezed = re.sub(r"[\W_]", "", folded.folded)
        for target in self._squeezable:
            if target in squeezed:
                spans += self._squeezed(target, folded)
        spans += self._words(folded)
        if vocabulary.initials:
            spans += self._initials(folded)
        return _with_initials(folded.text, spans, vocabulary)

    def _squeezed(self, target: str, folded: Folded) -> Iterator[tuple[int, int]]:
        """A name or number whatever stands between its characters, as far as it is not part of another word."""
        is_name = target in self.vocabulary.words
        for match in _spread(target).finditer(folded.folded):
            start, end = match.span()
            if is_name:
                word = _around(folded.folded, start, end)
                if match[0] == target and word != match[0] and _is_word(word):
                    continue  # "parkin" in "parkinson"
                if match[0] == target and word == target and not self._a_name(folded, start, end, target):
                    continue
                pieces = [p for p in re.split(r"[\W_]+", match[0]) if p]
                if 1 < len(pieces) < len(target) and all(p in lexicon() or len(p) < 3 for p in pieces):
                    continue  # "over ton", "an a"
                start, end = _bounds(folded.folded, start, end) if len(target) >= 5 else (start, end)
            elif (
                start and folded.folded[start - 1].isalnum() and target.isdigit() and folded.folded[start - 1].isdigit()
            ) or (end < len(folded.folded) and folded.folded[end].isdigit() and target[-1].isdigit()):
                continue
            yield folded.span(start, end)

    def _words(self, folded: Folded) -> Iterator[tuple[int, int]]:
        """Names as words, also misspelt."""
        words = self.vocabulary.words
        if not words:
            return
        for match in _WORD.finditer(folded.folded):
            word = match[0]
            bare = word.replace("'", "")
            stem = word[:-2] if word.endswith("'s") else bare
            if bare in words or stem in words:
                if self._a_name(folded, *match.span(), stem if stem in words else bare):
                    yield folded.span(*match.span())
            elif len(stem) >= 5 and not _is_word(stem) and self._misspelt(stem):
                yield folded.span(*match.span())

    def _a_name(self, folded: Folded, start: int, end: int, word: str) -> bool:
        """Whether a word that is a known name is meant as one: "Long, Mary" is, "long axis" is not."""
        if word not in COMMON and word not in ABBREVIATIONS:
            return True
        before = _WORD.findall(folded.folded[max(0, start - 24) : start])[-1:]
        after = _WORD.findall(folded.folded[end : end + 24])[:1]
        near = {*before, *after}
        if near & (self.vocabulary.words | TITLES) or near & {"patient", "pt", "name"}:
            return True
        text = folded.text
        first, last = folded.span(start, end)
        capital = text[first].isupper() and not text[first:last].isupper()
        return capital and text[:first].rstrip()[-1:] not in ("", ".", ":", "\n") and word not in ABBREVIATIONS

    def _misspelt(self, word: str) -> bool:
        size = len(word)
        if not any(length in self._lengths for length in range(size - 2, size + 3)):
            return False
        return any(
            len(name) >= 5 and abs(len(name) - size) <= (2 if len(name) >= 8 else 1) and _alike(word, name)
            for name in self.vocabulary.words
        )

    def _initials(self, folded: Folded) -> Iterator[tuple[int, int]]:
        """ "O.B.Q." and "OBQ", where they are nobody else's abbreviation."""
        for match in _INITIALS.finditer(folded.text):
            letters = re.sub(r"[^\w]", "", fold(match[0]))
            dotted = "." in match[0]
            if letters in self.vocabulary.initials and (dotted or (len(letters) > 2 and letters not in ABBREVIATIONS)):
                yield match.span()


_INITIALS = re.compile(r"(?<![\w.])(?:[^\W\d_]\.[ ]?){2,4}|(?<![\w.-])[^\W\d_a-z]{3,4}(?![\w-])")


def _stands_alone(text: str, target: str, match: re.Match[str]) -> bool:
    """Whether a short number is written in one piece and is no part of a larger or decimal one."""
    before, after = text[max(0, match.start() - 1) : match.start()], text[match.end() : match.end() + 1]
    return match[0] == target and not (before.isdigit() or after.isdigit() or before == "." or after == ".")


@lru_cache(maxsize=4096)
def _spread(target: str) -> re.Pattern[str]:
    """A pattern for a target with up to two other characters between each of its own."""
    return re.compile(r"[\W_]{0,2}".join(map(re.escape, target)))


def _all(needle: str, text: str) -> Iterator[tuple[int, int]]:
    start = text.find(needle)
    while start >= 0:
        yield start, start + len(needle)
        start = text.find(needle, start + 1)


def _bounds(text: str, start: int, end: int) -> tuple[int, int]:
    """The whole word around a span: "quillfeatherson", "oquillfeather"."""
    while start and text[start - 1].isalpha():
        start -= 1
    while end < len(text) and text[end].isalpha():
        end += 1
    return start, end


def _around(text: str, start: int, end: int) -> str:
    first, last = _bounds(text, start, end)
    return text[first:last]


def _is_word(word: str) -> bool:
    return word in EPONYMS or word in lexicon() or (word.endswith("s") and word[:-1] in lexicon())


def _alike(word: str, name: str) -> bool:
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


def _with_initials(text: str, spans: list[tuple[int, int]], vocabulary: Vocabulary) -> list[tuple[int, int]]:
    """Takes the initials and name particles beside a found name along: "O. B. Quillfeather", "Quillfeather, O"."""
    if not spans:
        return spans
    letters = set("".join(vocabulary.initials))
    return [(_before(text, start, letters), _after(text, end, letters)) for start, end in spans]


def _before(text: str, start: int, letters: set[str]) -> int:
    while match := _LEFT.search(text[max(0, start - 12) : start]):
        word = fold(match[1]).strip(".")
        if not (word in PARTICLES or (len(word) == 1 and word in letters)):
            break
        start -= len(match[0])
    return start


def _after(text: str, end: int, letters: set[str]) -> int:
    while match := _RIGHT.match(text[end : end + 8]):
        if fold(match[1]).strip(".") not in letters:
            break
        end += len(match[0])
    return end


_LEFT = re.compile(r"(?<!\w)([^\W\d_]{1,6}\.?)[ ,]{1,2}$")
_RIGHT = re.compile(r"[ ,^]{1,2}([^\W\d_]\.?)(?!\w)")


def _pattern_spans(text: str) -> list[tuple[int, int]]:
    spans = []
    for name, pattern in patterns().items():
        for match in pattern.finditer(text):
            start = match.end("keep") if "keep" in pattern.groupindex and match["keep"] else match.start()
            if name != _PEOPLE or not _only_words(text[start : match.end()]):
                spans.append((start, match.end()))
    return spans


_PEOPLE = "person announced by a title or a role"


def _only_words(text: str) -> bool:
    """Whether what follows a title or role is no name at all: "Seen by CT", "Performed with Contrast"."""
    return all(w.lower() in ABBREVIATIONS or w.lower() in CLINICAL for w in _WORD.findall(text))


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
