"""Writes docs/privacy-officer.md: what each profile keeps, what an attacker could still learn, and which rule and which
test answer for each requirement of HIPAA and GDPR.

usage: python -m tools.privacy_page. A test holds the page to the profiles, and to modules and tests that exist.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

from readfirst.domain.deid import Profile, load_profile
from readfirst.domain.deid.dicom.standard_tables import TABLE_EDITION, rows
from readfirst.domain.deid.reports.study_report import SAFE_HARBOR, happened
from readfirst.domain.deid.rules.plan import rule_of
from readfirst.domain.deid.rules.profile import READY

PAGE = Path(__file__).parents[1] / "docs" / "privacy-officer.md"
REQUIREMENTS = Path(__file__).parent / "privacy_requirements.toml"

# What a reader of the page asks for: the option that decides, and what each of its values does.
_TOPICS: tuple[tuple[str, str, dict[object, str]], ...] = (
    ("Age, sex, size, weight", "patient_characteristics", {True: "kept; 90 and over is 90", False: "removed"}),
    (
        "Dates of the patient's care",
        "dates",
        {
            "modified": "shifted, one shift per patient",
            "year": "the year, as its first day",
            "none": "removed",
            "full": "KEPT",
        },
    ),
    (
        "Times of day",
        "dates",
        {"modified": "kept", "year": "removed", "none": "removed", "full": "kept"},
    ),
    ("UIDs", "uids", {False: "replaced, consistently", True: "KEPT"}),
    ("Descriptions and comments", "descriptors", {True: "kept, cleaned", False: "removed but for words of the trade"}),
    (
        "Content of reports",
        "structured_content",
        {True: "kept, cleaned", False: "numbers and codes; texts become dummies"},
    ),
    ("Serial numbers, names of stations", "device_identity", {False: "removed", True: "KEPT"}),
    ("Institution, department, address", "institution_identity", {False: "removed", True: "KEPT"}),
    ("Private attributes", "safe_private", {True: "those that are known to be safe", False: "removed"}),
    ("Overlays and curves", "graphics", {False: "removed", True: "overlays without text stay"}),
    ("Text in pictures", "pixels", {True: "searched for and blanked", False: "NOT LOOKED AT"}),
    ("Pictures of heads", "visual_features", {"allow": "pass, marked", "refuse": "kept back"}),
)
_SCOPES: tuple[tuple[str, str, dict[object, str]], ...] = (
    ("Objects that are not images", "objects", {"images": "kept back", "any": "taken"}),
    ("Encapsulated documents", "documents", {"refuse": "kept back", "remove": "the document is taken out"}),
)
_ACTIONS = (
    ("kept as they are", "KP"),
    ("kept, cleaned of identifiers", "C"),
    ("shifted, or only the year", "S"),
    ("replaced consistently (UIDs)", "UR"),
    ("removed, emptied or a dummy", "XZD"),
)


def page() -> str:
    """The page."""
    said = tomllib.loads(REQUIREMENTS.read_text("utf-8"))
    profiles = [load_profile(name) for name in READY]
    return "\n".join(
        [
            said["head"].strip(),
            "",
            "## What each profile keeps, removes and replaces",
            "",
            *_kept(profiles),
            "",
            f"Of the {len(rows())} attributes of PS3.15 Table E.1-1 ({TABLE_EDITION}), by profile; all others are",
            "judged by what their VR can hold ([every rule](deidentification-reference.md)):",
            "",
            *_counted(profiles),
            "",
            said["attacker"].strip(),
            "",
            "## HIPAA Safe Harbor (45 CFR 164.514(b)(2)(i))",
            "",
            said["harbor"].strip(),
            "",
            *_harbor(said["safe_harbor"], profiles),
            "",
            "## GDPR",
            "",
            said["gdpr_head"].strip(),
            "",
            "| Article | Asks for | Where | Held by |",
            "|---|---|---|---|",
            *(f"| {a['article']} | {a['asks']} | {_code(a['where'])} | {_code(a['tests'])} |" for a in said["gdpr"]),
            "",
        ]
    )


def _kept(profiles: list[Profile]) -> list[str]:
    lines = ["| What | " + " | ".join(f"`{p.name}`" for p in profiles) + " |", "|---|" + "---|" * len(profiles)]
    lines.append("| Name, patient ID | " + " | ".join("a token" for _ in profiles) + " |")
    lines.append("| Birth date | " + " | ".join("emptied" for _ in profiles) + " |")
    for topics, part in ((_TOPICS, "options"), (_SCOPES, "scope")):
        for what, option, meaning in topics:
            cells = [meaning[getattr(getattr(p, part), option)] for p in profiles]
            lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return lines


def _counted(profiles: list[Profile]) -> list[str]:
    counts = [Counter(rule_of(row, p.options).action[0] for row in rows()) for p in profiles]
    lines = ["| Attributes | " + " | ".join(f"`{p.name}`" for p in profiles) + " |", "|---|" + "--:|" * len(profiles)]
    for what, actions in _ACTIONS:
        lines.append(f"| {what} | " + " | ".join(str(sum(c[a] for a in actions)) for c in counts) + " |")
    return lines


def _harbor(answers: dict[str, dict[str, list[str]]], profiles: list[Profile]) -> list[str]:
    lines = ["| | Identifier | What happens under `strict` | Where | Held by |", "|---|---|---|---|---|"]
    strict = next(p for p in profiles if p.name == "strict")
    for letter, what, how in SAFE_HARBOR:
        answer = answers[letter]
        where, tests = _code(answer["where"]), _code(answer["tests"])
        lines.append(f"| {letter} | {what} | {happened(how, strict)} | {where} | {tests} |")
    return lines


def _code(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
