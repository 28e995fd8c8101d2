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

from readfirst.domain.deid.dicom.charsets import decoded, spellings
from readfirst.domain.deid.text import forms
from readfirst.domain.deid.text.known_identifiers import KnownIdentifiers
from readfirst.domain.deid.text.lexicon import (
    ABBREVIATIONS,
    CLINICAL,
    COMMON,
    EPONYM_NOUNS,
    EPONYMS,
    OF_SOMEBODY,
    PARTICLES,
    PLACEHOLDERS,
    TERMS_AFTER,
    TERMS_BEFORE,
    TITLES,
    UNITS,
    lexicon,
)
from readfirst.domain.deid.text.vocabulary import body_words, has_own_words, in_own_words, makers, trade_words

BLANK = "***"
_ROUNDS = 12


@lru_cache(maxsize=1)
def patterns() -> dict[str, re.Pattern[str]]:
    """What looks like an identifier of anyone, by name."""
    document = tomllib.loads((resources.files("readfirst.domain.deid") / "data" / "patterns.toml").read_text("utf-8"))
    compiled = {}
    for entry in document["pattern"]:
        regex = entry["regex"]
        for name, content in sorted(document["placeholders"].items(), key=lambda entry: -len(entry[0])):
            regex = regex.replace(name, f"(?:{content})")
        compiled[entry["name"]] = re.compile(regex, re.IGNORECASE | re.VERBOSE)
    return compiled


def _patterns_of(name: str) -> re.Pattern[str]:
    return patterns()[name]


# Without one of these no pattern can match: most texts of a header need no further look.
_TRIGGER = re.compile(
    r"\d{2}|\w{24}|[a-z]\d[a-z]? \d[a-z]|[^\x00-\x7f]|"
    r"@|/|www|ninet|nonagen|centenar|hundred|\\\\|:|\b(?:d\.?r|drs|prof|mr|mrs|ms|miss|mme|mlle|herrn?|frau|se|sra?|sig|by|with|to|from|"
    r"name|patient|pacient|pazient|mother|father|husband|wife|daughter|son|sister|brother|partner|grand|aunt|uncle|niece|"
    r"nephew|guardian|spouse|radiol|radiogr|surgeon|tech|sonogr|consult|physic|nurse|mutter|vater|ehe|tochter|sohn|madre|"
    r"padre|hij|espos|box|rue|avenue|boulevard|calle|avenida|via|viale|piazza|rua|ul|ulica|chemin|zip|plz|post|code|d/w|c/o|"
    r"jan|feb|mar|apr|ma[iy]|jun|jul|au[gt]|ago|sep|o[ck]t|nov|de[czs]|ene|abr|avr|gen|mag|giu|lug|set|ott|dic)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_SPLIT = re.compile(r"[\^=\s,;.()/_-]+")


def fold(text: str) -> str:
    """Lower-case without accents and what is not seen, kana as hiragana, digits and wide forms as plain ones.

    May differ in length from the text.
    """
    if text.isascii():
        return text.lower()
    return "".join(map(_folded_character, unicodedata.normalize("NFKD", text.casefold())))


@lru_cache(maxsize=4096)
def _folded_character(c: str) -> str:
    if "ァ" <= c <= "ヶ":
        return chr(ord(c) - 0x60)
    if unicodedata.combining(c) or unicodedata.category(c) == "Cf":  # accents, vowel signs, joiners, soft hyphens
        return ""
    return str(unicodedata.decimal(c)) if c.isdecimal() else _SPECIAL.get(c, c)


_SPECIAL = {"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "’": "'"}
# Arabic letters that keyboards and systems exchange, and the stretcher that says nothing.
_SPECIAL |= {"ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه", "ٱ": "ا", "ـ": ""}
_SPECIAL |= {"ς": "σ"}

# Letters of Cyrillic and Greek as they are written in Latin: a name known in one script is found in the other.
_LATIN = dict(zip("абвгдезийклмнопрстуфыэіїґєў", "abvgdeziiklmnoprstufyeiigeu", strict=True))
_LATIN |= {"ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ь": "", "ю": "yu", "я": "ya"}
_LATIN |= dict(zip("αβγδεζηικλμνξοπρστυφω", "avgdeziiklmnxoprstyfo", strict=True)) | {"θ": "th", "χ": "ch", "ψ": "ps"}


def latin(word: str) -> str:
    """A folded Cyrillic or Greek word in Latin letters; "" for a word of another script."""
    if word.isascii() or not any(c in _LATIN for c in word):
        return ""
    return "".join(_LATIN.get(c, c) for c in word)


def _plain_digits(text: str) -> str:
    """The text, character for character, with the digits and wide forms of any script as plain ones."""
    if text.isascii():
        return text
    return "".join(map(_plain_character, text))


@lru_cache(maxsize=4096)
def _plain_character(c: str) -> str:
    if c.isdecimal():
        return str(unicodedata.decimal(c))
    wide = unicodedata.normalize("NFKC", c)
    return wide if len(wide) == 1 else c


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
    family: tuple[str, ...]
    given: tuple[str, ...]

    @classmethod
    def of(cls, group: str) -> Name:
        """From one component group (alphabetic, ideographic or phonetic) of a PN."""
        family, _, rest = group.partition("^")
        first = tuple(w for part in rest.split("^")[:2] for w in _SPLIT.split(fold(part)) if w)
        last = tuple(w for w in _SPLIT.split(fold(family)) if w)
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
        if all(w in PLACEHOLDERS for w in _SPLIT.split(fold(group)) if w):
            return
        name = Name.of(group)
        whole = fold(re.sub(r"[\^\s,]", "", group))
        parts = [p for p in re.split(r"[\^\s,]+", group) if p]
        if not group.isascii():
            self.spelled.update(s for p in parts if len(p) > 1 for s in spellings(p))
        if whole and not _spaced(whole):
            whole_and_parts = ("".join(parts), "".join(reversed(parts)), *parts)
            bare_forms = [_NO_LETTER.sub("", fold(p)) for p in whole_and_parts]
            self.ideographs.update(p for p in bare_forms if len(p) > 1)
            self.characters.update(p for p in bare_forms if len(p) == 1)
            return
        if not group.isascii():
            self.words.update(_transliterated(group))
            self.words.update(w for w in map(latin, name.words) if len(w) > 3 and w not in lexicon())
        for word in name.words:
            bare = re.sub(r"\W", "", word)
            if len(bare) > 1 and bare not in PARTICLES | TITLES | PLACEHOLDERS:
                self.words.add(bare)
            self.words.update(p for p in re.split(r"\W+", word) if len(p) > 3 and p not in PARTICLES)
        for part in (name.family, name.given):
            self.words.update(
                w for w in forms.run_together(list(part), PARTICLES) if not _is_word(w) and w not in COMMON
            )
        self.pairs |= forms.pairs_of(*(_bare(part) for part in (name.family, name.given)))
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
            self.words.update(w for w in map(fold, _WORD.findall(line)) if len(w) > 4 and not _is_word(w))


def _bare(words: tuple[str, ...]) -> list[str]:
    """The words of a part of a name, letters only, without particles; and all of them as one."""
    letters = [b for w in words if (b := re.sub(r"\W", "", w))]
    bare = [b for b in letters if b not in PARTICLES] or letters  # "Ben" alone is a name
    return [*bare, "".join(bare)] if len(bare) > 1 else bare


def _transliterated(group: str) -> set[str]:
    """A name as people type it without its letters: Müller as mueller, Ångström as aangstroem."""
    plain = group.casefold()
    for letter, letters in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("å", "aa"), ("ø", "oe"), ("ß", "ss")):
        plain = plain.replace(letter, letters)
    words = {re.sub(r"\W", "", fold(w)) for w in _SPLIT.split(plain)}
    return {w for w in words if len(w) > 3 and w not in PARTICLES and w not in TITLES}


# Han, kana, Hangul, and the scripts of South and South-East Asia, whose vowel signs are no letters to a pattern.
_UNSPACED = re.compile(
    "[\u0900-\u0dff\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]"
)


def _spaced(text: str) -> bool:
    """Whether a name's script is one of those in which words can be told apart by their letters."""
    return _UNSPACED.search(text) is None


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
        self._known_days = (_day_pattern(self.vocabulary.days), forms.date_pattern(known.dates))
        self._short = forms.short_number_pattern(self.vocabulary.short)
        self._characters = forms.one_character_pattern(self.vocabulary.characters)
        self._lengths = {len(w) for w in self.vocabulary.words if len(w) >= 5}
        self.memo: dict[tuple[str, bytes, tuple[str, ...], int], bytes] = {}
        self._shown: dict[tuple[bytes, tuple[str, ...], int], bool] = {}

    def scrub(self, text: str, tag: int = 0) -> str:
        """The text without known identifiers and, unless it is a code, without what looks like an identifier.

        `tag`: the attribute, where that says what its words mean (see `place_of`).
        """
        for _ in range(_ROUNDS):  # what is left may stand together now
            clean = self._scrubbed(text, tag)
            if clean == text:
                return text
            text = clean
        return BLANK

    def _scrubbed(self, text: str, tag: int) -> str:
        folded = Folded.of(text)
        spans = self._known(folded, tag)
        if tag not in CODES:
            plain = _plain_digits(folded.text)
            if _TRIGGER.search(plain):
                spans += _pattern_spans(plain)
            spans += [m.span() for days in self._known_days if days is not None for m in days.finditer(plain)]
        else:  # a code: only a UID in it is nobody's word
            spans += [m.span() for m in _patterns_of("uid").finditer(folded.text)]
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
        words = [w for w in re.split(r"[\W_]+", fold(text)) if w and w not in trade_words()]
        if any(w in self.vocabulary.words for w in words):
            return True
        squeezed = _NO_LETTER.sub("", fold(text))
        if any(n in squeezed for n in self.vocabulary.numbers if len(n) > 5):
            return True
        strange = [w for w in words if len(w) > 4 and not w.isdigit() and not _is_word(w)]
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

    def spelled_in(self, value: bytes) -> bool:
        """Whether the bytes hold a known name that is not plain ASCII, in any encoding."""
        return any(s in value for s in self.vocabulary.spelled)

    def _known(self, folded: Folded, tag: int) -> list[tuple[int, int]]:
        vocabulary = self.vocabulary
        squeezed = _NO_LETTER.sub("", folded.folded)
        spans = [s for n in vocabulary.numbers if n in squeezed for s in self._squeezed(n, folded)]
        if in_own_words(tag, folded.text):  # nobody stands there, whoever is called like it; a number may
            return spans
        names = self._names(folded, squeezed, tag)
        if has_own_words(tag) and all(in_own_words(tag, folded.text[start:end]) for start, end in names):
            return spans  # "Philips … DMC GmbH" beside a patient Phillips: only the maker's name is like a name
        return _with_initials(folded.text, spans + names, vocabulary)

    def _names(self, folded: Folded, squeezed: str, tag: int) -> list[tuple[int, int]]:
        vocabulary = self.vocabulary
        spans = [
            folded.span(*m.span())
            for w in vocabulary.ideographs
            if w in squeezed
            for m in _spread(w).finditer(folded.folded)
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
        start = 0
        for value in folded.folded.split("\\"):
            end = start + len(value.rstrip(" \0"))
            full = folded.span(start, start + len(value)) if value else (0, 0)
            if full[1] - full[0] in forms.FIELD_ENDS or end - start in forms.FIELD_ENDS:
                names = {w for w in self.vocabulary.words if len(w) > 4} | self.vocabulary.phrases
                for targets, least in ((names, 4), (self.vocabulary.numbers, 5)):
                    at = forms.cut_at_the_end(folded.folded[start:end], targets, least)
                    if at >= 0 and not _is_word(folded.folded[start + at : end]):
                        yield folded.span(start + at, end)
            elif (at := forms.cut_at_the_end(folded.folded[start:end], self.vocabulary.phrases, 10)) >= 0:
                yield folded.span(start + at, end)
            elif (
                match := _LAST_DIGITS.search(folded.folded[start:end]) or _LAST_NUMBER.search(folded.folded[start:end])
            ) and any(n.startswith(match[0]) for n in self.vocabulary.numbers if len(n) > len(match[0])):
                yield folded.span(start + match.start(), end)
            start += len(value) + 1

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
                wordy = any(len(p) > 2 for p in pieces) and all(p in lexicon() or len(p) < 3 for p in pieces)
                if 1 < len(pieces) < len(target) and wordy and not _one_name(folded, start, end, pieces):
                    continue  # "over ton"
                start, end = _bounds(folded.folded, start, end) if len(target) >= 5 else (start, end)
            elif (
                start and folded.folded[start - 1].isalnum() and target.isdigit() and folded.folded[start - 1].isdigit()
            ) or (end < len(folded.folded) and folded.folded[end].isdigit() and target[-1].isdigit()):
                continue
            yield folded.span(start, end)

    def _words(self, folded: Folded) -> Iterator[tuple[int, int]]:
        """Names as words, also misspelt, cut, or as a login."""
        words = self.vocabulary.words
        if not words:
            return
        last = None
        for match in _WORD.finditer(folded.folded):
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
        return not _is_word(word) and (self._begun(word, rest) or forms.is_login(word, self.vocabulary.pairs))

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
        before = (_WORD.findall(left) or [""])[-1]
        after = (_WORD.findall(re.sub(r"^['’]s?\b", "", right)) or [""])[0]
        near = {fold(w) for w in (before, after) if w and w != "MR"}  # in capitals it is no title but a modality
        if self._named_by(near, word, body) or self._initial_beside(left, right):
            return True
        if _is_term(word, left, right):
            return False
        capital = folded.text[first].isupper()
        if body:  # also with a capital: descriptions write every word with one
            return capital and _PERSON_BEFORE.search(left) is not None
        if near & self.vocabulary.words or not everyday:
            return True
        if not capital or folded.text[first:last].isupper() or word in ABBREVIATIONS:
            return False
        if left.rstrip()[-1:] in ("", ".", ":", "\n"):
            return False
        # "CT Low Dose", "Body Coil in place": where words have a capital, one of the trade is one.
        heading = before.isupper() or not after or after[:1].isupper() or _is_word(fold(before))
        titled = (before[:1].isupper() and heading) or _UNIT_BEFORE.search(left) is not None
        return _PERSON_BEFORE.search(left) is not None or not (word in trade_words() and titled)

    def _named_by(self, near: set[str], word: str, body: bool) -> bool:
        """Whether a neighbour says that a person is meant: a title, or another name that is not itself such a word."""
        names = self.vocabulary.words - COMMON
        if near & ((names - trade_words() if body else names) | TITLES) or near & {"patient", "pt", "name"}:
            return True
        return any((word, other) in self.vocabulary.pairs or (other, word) in self.vocabulary.pairs for other in near)

    def _initial_beside(self, left: str, right: str) -> bool:
        """Whether the person's initial stands beside a word: "Colon, M.", "M. Colon"."""
        letters = {c for initials in self.vocabulary.initials for c in initials}
        found = (_INITIAL_BEFORE.search(left), _INITIAL_AFTER.match(right))
        return any(m is not None and fold(m["initial"]) in letters for m in found)

    def _misspelt(self, word: str) -> bool:
        size = len(word)
        if size < 5 or _is_word(word) or not any(length in self._lengths for length in range(size - 2, size + 3)):
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


_NO_LETTER = re.compile(r"[\W_]+")
_INITIALS = re.compile(r"(?<![\w.])(?:[^\W\d_]\.[ ]?){2,4}|(?<![\w.-])[^\W\d_a-z]{3,4}(?![\w-])")


# What stands before a person in prose.
_PERSON_BEFORE = re.compile(
    r"\b(?:by|told|per|called|asked|saw|met|informed|contacted|dear"
    r"|(?:seen|discussed|reviewed|spoke|talked|referred|sent|reported|case|chart|file|report|record)\s+(?:with|to|from|for|of))\s+$",
    re.IGNORECASE,
)
_INITIAL_BEFORE = re.compile(r"(?<![^\W_])(?P<initial>[^\W\d_])\.[ ]?$")
_INITIAL_AFTER = re.compile(r"(?:,[ ]?|[ ](?=\w\.))(?P<initial>[^\W\d_])(?!\w)")
_LAST_DIGITS = re.compile(r"(?<!\d)\d{5,}$")
_LAST_NUMBER = re.compile(r"(?<![a-z\d])(?=[a-z]*\d)[a-z\d]{5,}$")
# A code says which list it is from: words and short numbers in it are not a person's.
CODES = frozenset((0x00080100, 0x00080102, 0x00080103, 0x00080119, 0x00080120, 0x00189445))


def place_of(tag: int) -> int:
    """The attribute where it says what its words mean (codes, descriptions of machines), else 0."""
    return tag if tag in CODES or has_own_words(tag) else 0


def _one_name(folded: Folded, start: int, end: int, pieces: list[str]) -> bool:
    """Whether two words are a compound name written apart: "Green-wood", "Green Wood"; "long field" is not."""
    if all(p in trade_words() for p in pieces):
        return False
    first, last = folded.span(start, end)
    words = _WORD.findall(folded.text[first:last])
    return not any(c.isspace() for c in folded.text[first:last]) or all(w[:1].isupper() for w in words)


def _day_pattern(days: set[str]) -> re.Pattern[str] | None:
    """Finds the day and month of a known date in two digits each: "29/02", "02-29"."""
    if not days:
        return None
    shown = "|".join(sorted(f"{d[:2]}[./-]{d[2:]}" for d in days))
    german = "|".join(sorted(rf"{int(d[:2])}\.{int(d[2:])}\.(?=\s|$)" for d in days))
    return re.compile(rf"(?<![\d./-])(?:(?:{shown})(?![\d/-]|\.\d)|{german})")


@lru_cache(maxsize=4096)
def _spread(target: str) -> re.Pattern[str]:
    """A pattern for a target with up to two other characters between each of its own."""
    return re.compile(r"[\W_]{0,2}".join(map(re.escape, target)))


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


_UNIT_BEFORE = re.compile(r"\d[ ]?(?:mm|cm|ml|min|sec|ms|h)?[ -]?$")
_NUMBER_BEFORE = re.compile(r"\d[ -]?$")
_GRADE_AFTER = re.compile(r"['’]?s?[ ](?:[A-D]|[IV]{1,4}|\d{1,2}(?:[-.]\d)?)(?![\w.,])")
# Two names of one term: "Hill-Sachs", "Hunt and Hess", "Hunt & Hess".
_PAIR = "|".join(sorted(EPONYMS))
_JOINED = re.compile(rf"(?:[-–]|[ ](?:and|et|und|&)[ ])(?:{_PAIR})\b", re.IGNORECASE)
_JOINS = re.compile(rf"\b(?:{_PAIR})(?:[-–]|[ ](?:and|et|und|&)[ ])$", re.IGNORECASE)


def _is_term(word: str, left: str, right: str) -> bool:
    """Whether a word that is also a name belongs to a term: "Baker cyst", "loop of Henle", "50 Gray", "rose bengal"."""
    before = [fold(w) for w in _WORD.findall(left)]
    after = [fold(w) for w in _WORD.findall(re.sub(r"^['’]s?\b", "", right))]
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


def _is_word(word: str) -> bool:
    if word in EPONYMS or word in lexicon() or word in trade_words():
        return True
    return word.endswith("s") and word[:-1] in lexicon()


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
            words = _WORD.findall(text[start : match.end()].lower())
            if name == _ANNOUNCED and all(w in ABBREVIATIONS or w in CLINICAL for w in words):
                continue  # "Seen by CT", "Performed with Contrast"
            if name == _ANNOUNCED and match["keep"].strip() == "MR" and all(w in body_words() for w in words):
                continue  # "MR Knee": the modality, not a title
            if name != _CLOSE or not all(w in ABBREVIATIONS or _is_word(w) for w in words):
                spans.append((start, match.end()))
    return spans


_ANNOUNCED = "person announced by a title or a role"
_CLOSE = "relative or staff by name"


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
