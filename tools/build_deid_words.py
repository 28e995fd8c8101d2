"""Writes readfirst/domain/deid/data/words.txt.gz: words that are no misspelt names.

    python tools/build_deid_words.py /usr/share/dict/american-english readfirst/domain/deid/data/words.txt.gz

Sources: the lower-case words of SCOWL (Debian package wamerican, Copyright 2000-2011 Kevin Atkinson, free to use,
modify and distribute with this notice) and the words in DICOM's attribute names and coded concepts, as pydicom
packages them.
"""

from __future__ import annotations

import gzip
import re
import sys
from pathlib import Path

from pydicom._dicom_dict import DicomDictionary
from pydicom.sr._concepts_dict import concepts


def main(dictionary: Path, target: Path) -> None:
    """Collects, sorts and packs the words."""
    words = {w for w in dictionary.read_text("utf-8").split() if re.fullmatch(r"[a-z]{4,}", w)}
    meanings = [meaning for codes in concepts.values() for kinds in codes.values() for meaning, _ in kinds.values()]
    for text in (*meanings, *(entry[2] for entry in DicomDictionary.values())):
        words.update(re.findall(r"[a-z]{4,}", text.lower()))
    target.write_bytes(gzip.compress("\n".join(sorted(words)).encode(), mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
