"""Text as it is compared: without case, accents, width and script where these do not tell names apart."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from readfirst.domain.deid.text.lexicon import (
    PARTICLES,
    TITLES,
)

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


SPLIT = re.compile(r"[\^=\s,;.()/_-]+")


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
    return str(unicodedata.decimal(c)) if c.isdecimal() else SPECIAL.get(c, c)


SPECIAL = {"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "’": "'"}
# Arabic letters that keyboards and systems exchange, and the stretcher that says nothing.
SPECIAL |= {"ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه", "ٱ": "ا", "ـ": ""}
SPECIAL |= {"ς": "σ"}


# Letters of Cyrillic and Greek as they are written in Latin: a name known in one script is found in the other.
LATIN = dict(zip("абвгдезийклмнопрстуфыэіїґєў", "abvgdeziiklmnoprstufyeiigeu", strict=True))
LATIN |= {"ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ь": "", "ю": "yu", "я": "ya"}
LATIN |= dict(zip("αβγδεζηικλμνξοπρστυφω", "avgdeziiklmnxoprstyfo", strict=True)) | {"θ": "th", "χ": "ch", "ψ": "ps"}


def latin(word: str) -> str:
    """A folded Cyrillic or Greek word in Latin letters; "" for a word of another script."""
    if word.isascii() or not any(c in LATIN for c in word):
        return ""
    return "".join(LATIN.get(c, c) for c in word)


def plain_digits(text: str) -> str:
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


def without_marks(words: tuple[str, ...]) -> list[str]:
    """The words of a part of a name, letters only, without particles; and all of them as one."""
    letters = [b for w in words if (b := re.sub(r"\W", "", w))]
    bare = [b for b in letters if b not in PARTICLES] or letters  # "Ben" alone is a name
    return [*bare, "".join(bare)] if len(bare) > 1 else bare


def transliteration(group: str) -> set[str]:
    """A name as people type it without its letters: Müller as mueller, Ångström as aangstroem."""
    plain = group.casefold()
    for letter, letters in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("å", "aa"), ("ø", "oe"), ("ß", "ss")):
        plain = plain.replace(letter, letters)
    words = {re.sub(r"\W", "", fold(w)) for w in SPLIT.split(plain)}
    return {w for w in words if len(w) > 3 and w not in PARTICLES and w not in TITLES}


# Han, kana, Hangul, and the scripts of South and South-East Asia, whose vowel signs are no letters to a pattern.
_UNSPACED = re.compile(
    "[\u0900-\u0dff\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]"
)


_SIGNS = re.compile("[\u0900-\u0dff\u0e00-\u109f\u1780-\u17ff]")


def has_signs(text: str) -> bool:
    """Whether a text is of a script of South or South-East Asia."""
    return _SIGNS.search(text) is not None


def with_spaces(text: str) -> bool:
    """Whether a name's script is one of those in which words can be told apart by their letters."""
    return _UNSPACED.search(text) is None


NO_LETTER = re.compile(r"[\W_]+")
