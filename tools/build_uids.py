"""Writes readfirst/domain/uids.csv: every UID that DICOM has registered (PS3.6 Table A-1, PS3.4 Table B.5-1).

Run it in an environment that has pydicom; newer dictionaries of its form may be named, the newest last:

    python tools/build_uids.py readfirst/domain/uids.csv [_uid_dict.py of pydicom's development branch]

Only facts are taken: UIDs, names, types. A row that a source no longer has stays: a registered UID is never given away.
"""

from __future__ import annotations

import csv
import runpy
import sys
from pathlib import Path

from pydicom._uid_dict import UID_dictionary

HEADER = ["uid", "name", "type", "retired"]
Row = tuple[str, str, str]
# In the standard (PS3.4 Table B.5-1), and in no dictionary yet.
_NOWHERE_ELSE: dict[str, Row] = {
    "1.2.840.10008.5.1.4.1.1.9.100.1": ("Waveform Presentation State Storage", "SOP Class", ""),
    "1.2.840.10008.5.1.4.1.1.9.100.2": ("Waveform Acquisition Presentation State Storage", "SOP Class", ""),
}


def rows_of(dictionary: dict[str, tuple[str, ...]]) -> dict[str, Row]:
    """Name, type and "Y" where retired, of each UID."""
    return {uid: (name, kind, "Y" if retired else "") for uid, (name, kind, _, retired, *_) in dictionary.items()}


def main(target: Path, newer: list[Path]) -> None:
    """Merges what is there with what the sources say."""
    found: dict[str, Row] = {}
    if target.exists():
        with target.open(newline="", encoding="utf-8") as file:
            found = {r["uid"]: (r["name"], r["type"], r["retired"]) for r in csv.DictReader(file)}
    found |= _NOWHERE_ELSE | rows_of(UID_dictionary)
    for path in newer:
        found |= rows_of(runpy.run_path(str(path))["UID_dictionary"])
    with target.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows([uid, *found[uid]] for uid in sorted(found, key=lambda u: [int(n) for n in u.split(".")]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(p) for p in sys.argv[2:]])
