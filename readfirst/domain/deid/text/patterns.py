"""What looks like an identifier of anyone: the patterns of patterns.toml."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from importlib import resources

from readfirst.domain.deid.text.folding import WORD
from readfirst.domain.deid.text.known_words import is_a_word
from readfirst.domain.deid.text.lexicon import (
    ABBREVIATIONS,
    CLINICAL,
)
from readfirst.domain.deid.text.vocabulary import body_words


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


def patterns_of(name: str) -> re.Pattern[str]:
    return patterns()[name]


# Without one of these no pattern can match: most texts of a header need no further look.
TRIGGER = re.compile(
    r"\d{2}|\w{24}|[a-z]\d[a-z]? \d[a-z]|[^\x00-\x7f]|"
    r"@|/|www|ninet|nonagen|centenar|hundred|\\\\|:|\b(?:d\.?r|drs|prof|mr|mrs|ms|miss|mme|mlle|herrn?|frau|se|sra?|sig|by|with|to|from|"
    r"name|patient|pacient|pazient|mother|father|husband|wife|daughter|son|sister|brother|partner|grand|aunt|uncle|niece|"
    r"nephew|guardian|spouse|radiol|radiogr|surgeon|tech|sonogr|consult|physic|nurse|mutter|vater|ehe|tochter|sohn|madre|"
    r"padre|hij|espos|box|rue|avenue|boulevard|calle|avenida|via|viale|piazza|rua|ul|ulica|chemin|zip|plz|post|code|d/w|c/o|"
    r"jan|feb|mar|apr|ma[iy]|jun|jul|au[gt]|ago|sep|o[ck]t|nov|de[czs]|ene|abr|avr|gen|mag|giu|lug|set|ott|dic)",
    re.IGNORECASE,
)


def pattern_spans(text: str) -> list[tuple[int, int]]:
    spans = []
    for name, pattern in patterns().items():
        for match in pattern.finditer(text):
            start = match.end("keep") if "keep" in pattern.groupindex and match["keep"] else match.start()
            words = WORD.findall(text[start : match.end()].lower())
            if name == _ANNOUNCED and all(w in ABBREVIATIONS or w in CLINICAL for w in words):
                continue  # "Seen by CT", "Performed with Contrast"
            if name == _ANNOUNCED and match["keep"].strip() == "MR" and all(w in body_words() for w in words):
                continue  # "MR Knee": the modality, not a title
            if name != _CLOSE or not all(w in ABBREVIATIONS or is_a_word(w) for w in words):
                spans.append((start, match.end()))
    return spans


_ANNOUNCED = "person announced by a title or a role"


_CLOSE = "relative or staff by name"


_IN_CODES = ("uid", "uuid", "month", "e-mail", "announced telephone")
# What is looked for across values and lines that are put together, and with a blank between them.
_ACROSS = ("uuid", "month", "e-mail", "announced telephone", "telephone", "social security number")
_ACROSS_BLANKS = ("telephone",)  # as far as it begins like one: "512", "512 1200" does not
# A UID by its root or by a long part: "1.2", "1.4", "1.6" one after the other are measures.
_UID = re.compile(
    r"(?<![\d.])(?:(?:1\.2\.\d{3}|1\.3\.(?:6\.1|12\.2|46|51)|2\.16\.\d{3})\.[\d.]{6,}|2\.25\.\d{9,}"
    r"|(?=[\d.]*\.\d{5})[0-2](?:\.(?:0|[1-9]\d*)){5,})"
)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")
_LINES = re.compile(r"[ \t]*-?[\r\n]+[ \t]*")
_MAY_GO_ON = re.compile(r"^[\d.@+(:/-]|-|[\d.@+]$")  # the last character of a line, what is between, the next one
_WINDOW = 80  # characters: more than an identifier has
_VALUES, _TRIMMED_VALUES = re.compile(r"\\"), re.compile(r" *\\ *")


class Pieces:
    """The values or lines of a text put together, with the way back."""

    def __init__(self, text: str, separator: re.Pattern[str], between: str) -> None:
        self._pieces, self._starts, self._places = [], [0], [0]
        for match in separator.finditer(text):
            self._pieces.append(text[self._starts[-1] : match.start()])
            self._starts.append(match.end())
            self._places.append(self._places[-1] + len(self._pieces[-1]) + len(between))
        self._pieces.append(text[self._starts[-1] :])
        self.joined = between.join(self._pieces)

    def back(self, start: int, end: int) -> tuple[int, int] | None:
        """A span of what was put together as one of the text; None within one piece, and in a list of numbers."""
        first, last = (bisect_right(self._places, at) - 1 for at in (start, end - 1))
        if first == last or _is_list([p.strip(" \0") for p in self._pieces[first : last + 1]]):
            return None
        return self._starts[first] + start - self._places[first], self._starts[last] + end - self._places[last]


def _is_list(values: list[str]) -> bool:
    """Whether values are measures or a numbering ("001", "002"), and no parts of one number."""
    if all(map(_NUMBER.fullmatch, values)):
        return True
    return all(v.isdigit() and len(v) < 4 for v in values) and len(set(map(len, values))) == 1


def _across(
    text: str, separator: re.Pattern[str], names: Iterable[str], *more: re.Pattern[str] | None, between: str = ""
) -> Iterator[tuple[int, int]]:
    """Where what one of the named patterns (and `more`) finds lies across values or lines."""
    pieces = Pieces(text, separator, between)
    for pattern in (*map(patterns_of, names), *more):
        for match in pattern.finditer(pieces.joined) if pattern is not None else ():
            if (not between or match[0][0] in "0(+") and (span := pieces.back(*match.span())):
                yield span


def over_values(text: str) -> Iterator[tuple[int, int]]:
    """Where what looks like an identifier of anyone lies across the values of an attribute."""
    yield from _across(text, _VALUES, _ACROSS, _UID)
    yield from _across(text, _TRIMMED_VALUES, _ACROSS, _UID)
    yield from _across(text, _TRIMMED_VALUES, _ACROSS_BLANKS, between=" ")


def over_lines(
    text: str, known: Callable[[str], Iterable[tuple[int, int]]], *days: re.Pattern[str] | None
) -> Iterator[tuple[int, int]]:
    """Where an identifier, one that `known` finds or one of anyone, goes on in the next line.

    The end of a line is looked at with the beginning of the next, where one of them has a digit or a mark there.
    """
    for line_end in _LINES.finditer(text) if "\n" in text or "\r" in text else ():
        if not _MAY_GO_ON.search(text[line_end.start() - 1 : line_end.end() + 1]):
            continue
        begins = 1 + max(text.rfind(mark, 0, line_end.start()) for mark in "\r\n")
        first = max(line_end.start() - _WINDOW, begins)
        around = _LINES.sub("\n", text[first : line_end.end()])
        around += re.split(r"[\r\n]", text[line_end.end() : line_end.end() + _WINDOW], maxsplit=1)[0]
        pieces = Pieces(around, _LINES, "")
        found = [*_across(around, _LINES, _ACROSS, _UID, *days), *_across(around, _LINES, _ACROSS_BLANKS, between=" ")]
        found += filter(None, (pieces.back(*span) for span in known(pieces.joined)))
        moved = line_end.end() - line_end.start() - 1  # what the break is longer than the one of `around`
        yield from ((first + start, first + end + moved) for start, end in found)


def code_spans(text: str, days: re.Pattern[str] | None) -> list[tuple[int, int]]:
    """What no list of codes has in it, and one of the days. Telephone numbers as far as they begin like one, with marks
    between their digits."""
    kinds = [*map(patterns_of, _IN_CODES), *([days] if days is not None else [])]
    spans = [match.span() for kind in kinds for match in kind.finditer(text)]
    phones = patterns_of("telephone").finditer(text)
    return spans + [match.span() for match in phones if match[0][0] in "0(" and not match[0].isdigit()]
