"""Writes docs/deidentification-reference.md from the rules that the engine runs, so that the page cannot go stale.

python -m readfirst.domain.deid.reports.reference docs/deidentification-reference.md
"""

from __future__ import annotations

import sys
import tomllib
from importlib import resources
from pathlib import Path

from pydicom._dicom_dict import DicomDictionary

from readfirst.domain.deid.dicom.standard_tables import TABLE_EDITION, TABLE_ROWS, content_rows, rows
from readfirst.domain.deid.rules.plan import UNLISTED, rule_of
from readfirst.domain.deid.rules.private import listed
from readfirst.domain.deid.rules.profile import READY, load_profile
from readfirst.domain.deid.rules.whose_dates import moments, moves

_MEANING = {
    "K": "kept",
    "C": "kept, cleaned",
    "S": "shifted",
    "P": "kept where it could be printed in the standard",
    "U": "new UID",
    "R": "kept, with new UIDs",
    "X": "removed",
    "Z": "emptied",
    "D": "dummy",
}

_SET_ANEW = """\
| Attribute | Value |
|---|---|
| Patient ID | the person's token, a keyed hash of clinic, issuer and ID |
| Patient's Name | `RF-` and eight characters of the token |
| Accession Number, Study ID | the study's handle |
| Patient's Age | as it was, or from birth and study date; 90 and over is `090Y` (option `patient_characteristics`) |
| Patient Identity Removed | `YES` |
| De-identification Method, its Code Sequence | engine, table, profile; CID 7050 codes of the applied options |
| Longitudinal Temporal Information Modified | `MODIFIED`, `REMOVED` or `UNMODIFIED` |
| Burned In Annotation | `NO` after a search that was verified, else as it was |
| Recognizable Visual Features | `YES` where a face could be seen |
"""

_BESIDE_THE_TABLE = """\
| What | Action | Why |
|---|---|---|
| Person names (VR PN) | removed; emptied or dummy where the object requires the attribute | names a person |
| Dates and times of the patient's care | shifted, removed or kept, as the profile's `dates` says | Safe Harbor C |
| Dates and times of anybody else (see below) | removed, emptied or dummy, never shifted | would give away the shift |
| Dates that mean "unknown" (1900-01-01, 1970-01-01, …), days before the birth | as those | would give away the shift |
| Dates of content items that Table E.3.4-1 does not list | dummy | nobody knows whose they are |
| UIDs (UI) that DICOM has not registered | replaced, consistently | points to the original |
| Free text (LO, SH, ST, LT, UT, UC) | cleaned of known identifiers and the patterns below | may name a person |
| Free text with `descriptors` off | removed, emptied or dummy, but for words and codes of the trade | free text |
| Ages of 90 and over (AS, ages in reports, ages in text) | 90 | Safe Harbor C |
| Code strings and numbers (CS, DS, IS, AS) | kept when valid for their VR and no identifier | a hiding place |
| AE titles, web addresses (AE, UR) | removed, emptied or dummy | name places |
| Binary values (OB, OW, OF, OD, OL, OV, UN) | removed, but for pixel data and lookup tables | a hiding place |
| Colour profiles (ICC) | written anew from their colours; sRGB for one that cannot be used | texts, makers, dates |
| Names of graphic layers | `NAME1`, `NAME2`, … throughout the file; cleaned with `graphics` | free text |
| Texts in items that get dummies | dummy; numbers, units, shapes and references stay | a number names nobody |
| Attributes that the standard does not define | removed | nobody knows what they hold |
| A VR that is not the attribute's | read as the standard's VR, or emptied | a hiding place |
| Private attributes and their creators | removed, but for those listed below or by the profile | PS3.15 E.3.10 |
| Overlays, curves (groups 60xx, 50xx) | removed; with `graphics`, overlays without text stay | may show text |
| Bits of a pixel outside its value | cleared | old overlays lie there |
| Pixel data inside sequences | removed | icons |
| Preamble, group 0002 | written anew | may hold text |
| Bytes after the data set or after the last pixel, trailing padding | removed | a hiding place |
| Compressed pictures: what no decoder needs (see deidentification.md) | left out | comments, EXIF, boxes, gaps |
| Compressed pictures whose codes still spell a known identifier | stored uncompressed | a hiding place |
| Offset tables of compressed frames | written anew, one fragment for each frame | must be true; a hiding place |
"""


def page() -> str:
    """The whole page."""
    parts = [
        "# What de-identification does to each attribute",
        "",
        "Generated from the engine's rules by `python -m readfirst.domain.deid.reports.reference`; tests compare them.",
        f"Source: DICOM PS3.15 Table E.1-1, edition {TABLE_EDITION}, {TABLE_ROWS} rows, and Table E.3.4-1.",
        "Where an action has choices (`X/Z/D`), the attribute's type in the object decides: Type 1 gets a dummy,",
        "Type 2 is emptied, Type 3 is removed (PS3.3, by SOP class and sequence).",
        "",
        "## Set anew in every clean copy",
        "",
        _SET_ANEW,
        "## In addition to the table",
        "",
        _BESIDE_THE_TABLE,
        "## Removed, emptied or dummy, though the table does not list them",
        "",
        "| Attribute | Tag | Why |",
        "|---|---|---|",
        *(f"| {DicomDictionary[t][2]} | {t:08X} | {why} |" for t, why in sorted(UNLISTED.items())),
        "",
        "## What free text is searched for in addition to the study's own identifiers",
        "",
        "| Pattern | Found, for example | Left, for example |",
        "|---|---|---|",
        *_patterns(),
        "",
        "## Dates and times that do not move with the patient",
        "",
        "All other DA, DT and TM attributes are of the patient's care (`data/dates.csv` gives the reason for each).",
        "",
        "| Attribute | Tag | VR | Whose | Why |",
        "|---|---|---|---|---|",
        *(f"| {m.name} | {t:08X} | {m.vr} | {m.belongs} | {m.why} |" for t, m in moments().items() if not moves(t)),
        "",
        "## Private attributes known to be safe (option `safe_private`)",
        "",
        "| Creator | Attribute | VR |",
        "|---|---|---|",
        *(f"| {c} | ({g:04X},xx{e:02X}) | {vr} |" for (c, g, e), vr in sorted(listed().items())),
        "",
        "## Table E.1-1",
        "",
        f"| Attribute | Tag | Standard | {' | '.join(READY)} |",
        f"|---|---|---|{'---|' * len(READY)}",
        *_attributes(),
        "",
        "## Content items (Table E.3.4-1)",
        "",
        f"| Concept | Code | Value type | Standard | {' | '.join(READY)} |",
        f"|---|---|---|---|{'---|' * len(READY)}",
        *_content(),
    ]
    return "\n".join(parts) + "\n"


def _patterns() -> list[str]:
    text = (resources.files("readfirst.domain.deid") / "data" / "patterns.toml").read_text("utf-8")
    return [
        f"| {p['name']} | {_examples(p['finds'])} | {_examples(p['leaves'])} |" for p in tomllib.loads(text)["pattern"]
    ]


def _examples(texts: list[str]) -> str:
    return ", ".join(f"`{t}`" for t in texts[:2])


def _attributes() -> list[str]:
    profiles = [load_profile(name).options for name in READY]
    lines = []
    for row in sorted(rows(), key=lambda r: r.name):
        actions = [_said(rule_of(row, o).action, rule_of(row, o).why) for o in profiles]
        if row.tag in ("PRIVATE", "50xxxxxx") or row.tag.startswith("60xx"):
            actions = ["removed (see above)"] * len(READY)
        lines.append(f"| {row.name} | {row.tag} | {row.basic} | {' | '.join(actions)} |")
    return lines


def _content() -> list[str]:
    profiles = [load_profile(name).options for name in READY]
    return [
        f"| {row.meaning} | {row.scheme} {row.code} | {row.value_type} | {row.basic} | "
        + " | ".join(_said(rule_of(row, o).action, rule_of(row, o).why) for o in profiles)
        + " |"
        for row in sorted(content_rows().values(), key=lambda r: (r.meaning, r.value_type))
    ]


def _said(action: str, why: str) -> str:
    if why == "the year stays":
        return "year kept" if action == "S" else "kept, cleaned"
    text = " or ".join(_MEANING[a.strip("*")] for a in action.split("/"))
    return text if why == "Basic Profile" else f"{text} ({why})"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
