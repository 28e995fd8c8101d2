"""What looks like an identifier of anyone: the patterns of patterns.toml."""

from __future__ import annotations

import re
import tomllib
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
