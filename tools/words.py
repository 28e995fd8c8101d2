"""Words that we use where plain technical English has a better one, and the documents that are kept free of them.

usage: python -m tools.words. Prints each place with what to write instead; ends with 1 if there is one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "DEVELOPERS.md")
INSTEAD = {
    r"(is|are|was) no (?!longer|more|one\b)": "is not a …, does not …",
    r"stands?\b": "is, is listed, depends",
    r"told\b": "notified, reported, given",
    r"whole\b": "complete, full, entire, or nothing",
    r"beside\b": "next to, in addition to, with",
}


def found(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, word and what to write instead, for each place in a text; a file's or program's name is not a word."""
    for number, line in enumerate(text.splitlines(), start=1):
        prose = re.sub(r"`[^`]*`|\]\([^)]*\)", "", line)
        for pattern, instead in INSTEAD.items():
            for match in re.finditer(rf"\b{pattern}", prose, re.IGNORECASE):
                yield number, match[0].strip(), instead


def main() -> int:
    """Looks through the documents."""
    places = [(name, *one) for name in DOCUMENTS for one in found((ROOT / name).read_text())]
    for name, number, word, instead in places:
        print(f"{name}:{number}: “{word}”: write {instead}")
    return 1 if places else 0


if __name__ == "__main__":
    sys.exit(main())
