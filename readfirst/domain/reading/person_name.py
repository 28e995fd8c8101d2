"""The name of a reader as DICOM writes names (PS3.5 6.2.1.1)."""

from __future__ import annotations

import re

_LONGEST = 64  # of a component group (PS3.5 6.2, PN)
_NOT_IN_A_COMPONENT = re.compile(r"[\^=\\\x00-\x1f\x7f-\x9f]")
_TITLES = frozenset({"dr", "prof", "pd", "priv", "doz", "med", "mr", "mrs", "ms", "sir", "herr", "frau", "dipl", "mme"})
_DEGREES = frozenset(
    {"md", "do", "phd", "dphil", "msc", "bsc", "mbbs", "mbchb", "frcr", "facr", "mrcp", "frcp", "frcs", "jr"}
)
# Words that begin a family name of several.
_PARTICLES = frozenset(
    {"von", "van", "de", "der", "den", "da", "di", "du", "del", "della", "la", "le", "zu", "zur", "ten"}
)


def person_name(shown: str) -> str:
    """A name as a directory shows it ("Dr Rita Ray", "Ray, Rita, MD", "Rita Ray (radiologist)") as a DICOM person name:
    family^given^^prefix^suffix, within 64 characters. Never empty: an object that names a person must name one."""
    plain = re.split(r"[(\[]", shown, maxsplit=1)[0]  # a role or a place follows
    parts = _parts(plain) or _parts(" ".join(re.findall(r"\w+", shown))) or ["Unknown"]
    named = parts[:1] + [part for part in parts[1:] if not all(_among(_DEGREES, word) for word in part.split())]
    degrees = [part for part in parts[1:] if part not in named]
    words = " ".join(named[1:] or named).split()
    titles: list[str] = []
    while len(words) > 1 and _among(_TITLES, words[0]):
        titles.append(words.pop(0))
    while len(words) > 1 and _among(_DEGREES, words[-1]):
        degrees.insert(0, words.pop())
    family, given = (named[0], " ".join(words)) if named[1:] else _split(words)
    return _fitting(family, given, " ".join(titles), " ".join(degrees))


def _parts(text: str) -> list[str]:
    """What commas separate, without what would separate components, groups or values."""
    parts = (" ".join(part.split()) for part in _NOT_IN_A_COMPONENT.sub(" ", text).split(","))
    return [part for part in parts if part]


def _among(known: frozenset[str], word: str) -> bool:
    return word.replace(".", "").lower() in known


def _split(words: list[str]) -> tuple[str, str]:
    """Family and given names of "Ludwig van Beethoven": the last word is the family's, with what begins it."""
    start = next((i for i, word in enumerate(words[1:-1], 1) if word.lower() in _PARTICLES), len(words) - 1)
    return " ".join(words[start:]), " ".join(words[:start])


def _fitting(family: str, given: str, prefix: str, suffix: str) -> str:
    for parts in ((family, given, "", prefix, suffix), (family, given), (family,)):
        if len(name := "^".join(parts).rstrip("^")) <= _LONGEST:
            return name
    return family[:_LONGEST]
