"""Takes the known identifiers of a study, and what looks like one, out of free text."""

from __future__ import annotations

import re
from functools import lru_cache

from readfirst.domain.deid.known import KnownIdentifiers

BLANK = "***"

# What looks like an identifier whoever it belongs to.
PATTERNS = {
    "e-mail": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "url": r"(?:https?|ftp)://\S+",
    "uid": r"(?<![\d.])[0-2](?:\.\d+){5,}",
    "date": r"(?<!\d)(?:(?:19|20)\d\d[-./]?(?:0[1-9]|1[0-2])[-./]?(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0?[1-9]|[12]\d|3[01])[-./](?:0?[1-9]|[12]\d|3[01])[-./](?:(?:19|20)\d\d|\d\d))(?!\d)",
    "ssn": r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)",
    "phone": r"(?<![\w.])(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,5}\)[ .-]?|\d{2,5}[ .-])\d{3,4}[ .-]?\d{3,4}(?![\w.])",
    "number": r"\b(?:mrn|id|acc(?:ession)?|pat(?:ient)?|case|chart)\b\.?(?: ?(?:no|number|id))?\.? ?[:#=]? ?"
    r"\w*\d{4,}\w*",
}


class Scrubber:
    """Scrubs texts of one study. Compiled once, used for all of its files."""

    def __init__(self, known: KnownIdentifiers) -> None:
        self.known = known
        self.count = len(known)
        words = {w for name in known.names for w in re.split(r"[\^=\s,]+", name) if len(w) > 1}
        wholes = known.ids | known.phones | known.phrases | known.uids | known.dates
        terms = sorted((re.escape(t) for t in words | wholes if len(t) > 1), key=len, reverse=True)
        known_terms = [rf"(?<!\w)(?:{'|'.join(terms)})(?!\w)"] if terms else []
        self._all = re.compile("|".join([*known_terms, *PATTERNS.values()]), re.IGNORECASE)
        self._known = re.compile(known_terms[0], re.IGNORECASE) if terms else None
        self.memo: dict[tuple[str, bytes, tuple[str, ...]], bytes] = {}

    def scrub(self, text: str) -> str:
        """The text without known identifiers and without what looks like one."""
        return self._all.sub(BLANK, text)

    def holds_known(self, text: str) -> bool:
        """Whether a text still shows a known identifier."""
        return self._known is not None and self._known.search(text) is not None


@lru_cache(maxsize=32)
def scrubber_of(known: KnownIdentifiers) -> Scrubber:
    """The scrubber of a study: files of one study share it."""
    return Scrubber(known)
