"""The de-identification report of a study: what a privacy officer reads. Made from receipts alone: no value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from pydicom.datadict import dictionary_has_tag, keyword_for_tag

from readfirst.domain.counted import counted
from readfirst.domain.deid.dicom.standard_tables import TABLE_EDITION, is_tag, rows
from readfirst.domain.deid.receipt import PixelCheck, Receipt
from readfirst.domain.deid.rules.profile import Profile

_NAMES = {int(r.tag, 16): r.name for r in rows() if is_tag(r.tag)}

# 45 CFR 164.514(b)(2)(i), and where a DICOM file has them.
SAFE_HARBOR = (
    ("A", "Names", "person names removed or emptied; known names scrubbed from text and pictures"),
    ("B", "Geographic subdivisions smaller than a state", "addresses and institutions removed"),
    ("C", "Dates (except year) and ages over 89", "{dates}; birth date emptied; ages over 89 together as 90"),
    ("D", "Telephone numbers", "attributes removed; numbers scrubbed from text"),
    ("E", "Fax numbers", "attributes removed; numbers scrubbed from text"),
    ("F", "E-mail addresses", "scrubbed from text"),
    ("G", "Social security numbers", "scrubbed from text"),
    ("H", "Medical record numbers", "replaced by a keyed token"),
    ("I", "Health plan beneficiary numbers", "attributes removed; numbered records scrubbed from text"),
    ("J", "Account numbers", "attributes removed; numbered records scrubbed from text"),
    ("K", "Certificate and licence numbers", "numbered records scrubbed from text"),
    ("L", "Vehicle identifiers", "no attribute of DICOM holds one"),
    ("M", "Device identifiers and serial numbers", "{device}"),
    ("N", "Web addresses", "attributes removed; scrubbed from text"),
    ("O", "IP addresses", "scrubbed from text"),
    ("P", "Biometric identifiers", "no attribute of an image holds one"),
    ("Q", "Full-face photographs and comparable images", "{faces}"),
    ("R", "Any other unique number or code", "UIDs and accession number replaced by keyed ones"),
)


@dataclass(frozen=True)
class Report:
    """What the report says, for whoever shows it: a printable page, or the portal."""

    handle: str
    title: str
    legal: str
    facts: tuple[tuple[str, str], ...]
    harbor: tuple[tuple[str, str, str], ...]  # letter, identifier, what happened to it
    rules: tuple[tuple[str, str, str, int], ...]  # attribute, action, why, times


def report_of(handle: str, profile: Profile | None, receipts: Sequence[Receipt], refused: Mapping[str, int]) -> Report:
    """The report of a study. `refused` counts the files that were kept back, by reason code.

    Without the profile (the study was cleaned under one that is not at hand) it tells what was done alone.
    """
    fired: Counter[tuple[str, str, str]] = Counter()
    for receipt in receipts:
        for rule in receipt.rules:
            fired[rule.path, rule.action, rule.why] += rule.count
    searched = [r.pixels for r in receipts if r.pixels.outcome == "searched"]
    screened = [r.pixels for r in receipts if r.pixels.outcome == "screened"]
    looked_at = [*searched, *screened]
    lost = sorted({m for p in looked_at for m in p.markers_blanked})
    facts = (
        ("Study", handle),
        ("Files cleaned", str(len(receipts))),
        ("Files kept back", ", ".join(f"{count} {reason}" for reason, count in sorted(refused.items())) or "none"),
        ("Engine, table", f"{', '.join(sorted({r.engine for r in receipts}))}; PS3.15 Table E.1-1, {TABLE_EDITION}"),
        ("Profile", "; ".join(sorted({f"{r.profile}, {r.profile_digest[:16]}" for r in receipts})) or "none"),
        ("Residual scan", f"none found in {counted(len(receipts), 'file')}"),
        ("Pictures searched for text", _frames(searched)),
        ("Pictures screened for text", _frames(screened)),
        ("Places blanked", str(sum(p.regions_blanked for p in looked_at))),
        ("Side markers kept", str(sum(p.markers_kept for p in looked_at))),
        ("Side markers blanked", ", ".join(lost) or "none"),
    )
    return Report(
        handle=handle,
        title=profile.title if profile else "Cleaned under a profile that is not in force here any more",
        legal=profile.legal.strip() if profile else "",
        facts=facts,
        harbor=tuple((letter, what, happened(how, profile)) for letter, what, how in SAFE_HARBOR if profile),
        rules=tuple((_named(path), action, why, count) for (path, action, why), count in sorted(fired.items())),
    )


def report_html(report: Report) -> str:
    """The report as a printable page."""
    return _PAGE.format(
        handle=escape(report.handle),
        title=escape(report.title),
        legal=escape(report.legal),
        facts="".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in report.facts),
        harbor="".join(_row(*row) for row in report.harbor),
        rules="".join(_row(*row) for row in report.rules),
    )


def _row(*cells: object) -> str:
    return "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>"


def happened(how: str, profile: Profile) -> str:
    options = profile.options
    dates = {
        "none": "dates removed",
        "year": "of dates the year stays, on its first day; times removed",
        "modified": "dates shifted per patient (NOT Safe Harbor)",
        "full": "dates KEPT",
    }
    faces = {"allow": "heads pass, marked (NOT Safe Harbor)", "refuse": "pictures that could show a face are kept back"}
    return how.format(
        dates=dates[options.dates],
        device="KEPT" if options.device_identity else "serial numbers removed",
        faces=faces[options.visual_features],
    )


def _named(path: str) -> str:
    return " › ".join(_tag_name(part) for part in path.split("/"))


def _tag_name(part: str) -> str:
    if not is_tag(part):
        return part
    tag = int(part, 16)
    name = _NAMES.get(tag) or (keyword_for_tag(tag) if dictionary_has_tag(tag) else "")
    return f"({part[:4]},{part[4:]}) {name}".strip()


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>De-identification report {handle}</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111}}
table{{border-collapse:collapse;width:100%;margin:1rem 0}}
th,td{{border:1px solid #bbb;padding:.3rem .6rem;text-align:left;vertical-align:top}}
th{{background:#f2f2f2}}
@media print{{body{{margin:0;font-size:11px}}tr{{break-inside:avoid}}}}</style>
</head><body><h1>De-identification report, study {handle}</h1>
<p><strong>{title}.</strong> {legal}</p><table>{facts}</table>
<h2>The 18 identifiers of HIPAA Safe Harbor</h2>
<table><tr><th></th><th>Identifier</th><th>What happened to it</th></tr>{harbor}</table>
<h2>Every rule that acted</h2><p>Counts are over all files; no value is recorded. Attributes that are not listed stayed
as they were.</p><table><tr><th>Attribute</th><th>Action</th><th>Why</th><th>Times</th></tr>{rules}</table>
</body></html>
"""


def _frames(looked_at: Sequence[PixelCheck]) -> str:
    return f"{counted(sum(p.frames for p in looked_at), 'frame')} in {counted(len(looked_at), 'file')}"
