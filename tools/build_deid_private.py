"""Writes readfirst/domain/deid/data/safe-private.csv: private attributes that PS3.15 Table E.3.10-1 lists as safe.

    python tools/build_deid_private.py readfirst/domain/deid/data/safe-private.csv

Creator and element numbers are the standard's facts, less the ultrasound blocks of one maker whose values are opaque
binary; VRs as listed there or, where none stands here, by pydicom's private dictionary (what it lacks is left out).
"""

from __future__ import annotations

import sys
from pathlib import Path

from pydicom._private_dict import private_dictionaries

LISTED = {
    "Philips PET Private Group": {0x7053: "00 09"},
    "Philips MR Imaging DD 001": {0x2005: "0D:FL 0E:FL"},
    "Philips Imaging DD 001": {0x2001: "03 04"},
    "SIEMENS MR HEADER": {0x0019: "0C:IS 0D:CS 0E:FD 27:FD"},
    "ELSCINT1": {0x00E1: "21:DS", 0x01E1: "26:CS 50:DS", 0x01F1: "01:CS 07:DS 26:DS 27:DS"},
    "GEMS_ACQU_01": {0x0019: "23:DS 24:DS 27:DS 9E:LO"},
    "GEMS_SERS_01": {0x0025: "07:SL"},
    "GEMS_PARM_01": {0x0043: "27:SH 39:IS 6F:DS"},
    "GEMS_HELIOS_01": {0x0045: "01:SS 02:FL"},
    "GEMS_SENO_02": {0x0045: "06 1B 20 27 29 2A 2B 49 58 59 60 61 64 71 72 90 A0 A1 A2 A4 A7 A8"},
    "HOLOGIC, Inc.": {0x0019: "06 07 08 16 25 26 27 28 29 30 31 32 33 34 35 37 40 41 42 43 44 45 46 50 51 52 53 60"},
    "LORAD Selenia": {0x0019: "06 07 08 16 26 27 28 29 30 31 32 33 34 35 37 40 41 50 51 52 53 60 70 71 80 90"},
}


def main(target: Path) -> None:
    """Looks the VRs up and writes the table."""
    lines = ["creator,group,element,vr"]
    for creator, groups in LISTED.items():
        for group, elements in groups.items():
            for listed in elements.split():
                element, _, vr = listed.partition(":")
                entry = private_dictionaries.get(creator, {}).get(f"{group:04x}xx{element.lower()}", ("UN",))
                if (vr or entry[0]) not in ("UN", "SQ", "OB", "OW"):
                    name = f'"{creator}"' if "," in creator else creator
                    lines.append(f"{name},{group:04X},{element},{vr or entry[0][:2]}")
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
