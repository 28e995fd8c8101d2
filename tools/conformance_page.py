"""Writes docs/reference/dicom-conformance.md: the DICOM conformance statement, its tables from the tables of the code.

usage: python -m tools.conformance_page. A test holds the page to the code.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from pydicom.datadict import dictionary_keyword
from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage, SegmentationStorage

from model_container.outputs.study import SERIES
from readfirst import __version__
from readfirst.domain import uid_registry
from readfirst.domain.access.rules import RULES
from readfirst.domain.decoding import DECODED, NATIVE
from readfirst.domain.deid import ENGINE_VERSION, TABLE_EDITION
from readfirst.domain.deid.markers import method_codes
from readfirst.domain.deid.rules.plan import Plan
from readfirst.domain.deid.rules.profile import READY, load_profile
from readfirst.domain.dicomweb import dicom_json
from readfirst.domain.gateway import contexts
from readfirst.domain.reading.study_record import NOT_ANALYSED, StudyRecord
from readfirst.domain.uid_registry import name_of

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "dicom-conformance.md"
_HEAD = f"""# DICOM conformance statement

In the form of PS3.2, for Readfirst {__version__}. Its tables come from those of the code:
`python -m tools.conformance_page` writes the page.

## Overview

Readfirst takes DICOM files that a clinic uploads to Azure Blob Storage, de-identifies them, has an AI model analyse
them, and serves the clean images with the results by DICOMweb (PS3.18). In Azure nothing speaks DIMSE, and there is no
STOW-RS: files come in by upload alone. The gateway, which a clinic may run, takes them by DIMSE and brings results back
([gateway](../gateway.md); its tables are at the end).

| Function | Role | Standard |
|---|---|---|
| Search (QIDO-RS) | origin server | PS3.18 10.6 |
| Retrieve (WADO-RS) | origin server | PS3.18 10.4 |
| Creates segmentations, structured reports, secondary captures | creator | PS3.3 A.51, A.35.13, A.8 |
| De-identification | de-identifier | PS3.15 Annex E |

## Files that are taken

A file is DICOM with or without the preamble and file meta information of PS3.10, alone or in a `.zip`, `.tar` or
`.tar.gz`. Any SOP class that the standard defines is taken if the file has pixel data (profile `triage-default`);
what the model may read is decided by its gate ([models](../models.md)). What is not taken is kept back or refused
with a reason that its sender can read.

Transfer syntaxes that are taken, and decoded:
"""
_CREATED = """## Objects that are created

They belong to the clean study, in series of their own, in Explicit VR Little Endian, text in UTF-8 (ISO_IR 192).
Their UIDs follow from the analysis: the same work makes the same objects.
"""
_AFTER = """Coded concepts come from SNOMED CT, DCM and UCUM; a model's own from its manifest.

What goes back to the clinic carries the clinic's own identifiers and UIDs again, and keeps the SOP Instance UIDs of
the results.
"""
_SEG, _SR, _SC = SegmentationStorage, Comprehensive3DSRStorage, SecondaryCaptureImageStorage
_OBJECTS = [
    (what, f"{sop_class.name} ({sop_class})", str(SERIES[series]), when)
    for what, sop_class, series, when in (
        ("Segmentation, BINARY, a segment for each finding", _SEG, "seg", "a finding has a place in a stack of slices"),
        ("Measurement report, TID 1500, UNVERIFIED", _SR, "sr", "always"),
        ("The same, VERIFIED, successor of the report", _SR, "sr", "a radiologist has signed the review"),
        ("Key image of a finding, RGB", _SC, "sc", "for each finding"),
    )
]
_SEARCH = """## QIDO-RS

A search answers `application/dicom+json` (DICOM JSON model, PS3.18 Annex F). `limit` is 100 unless it is given, and
at most 1000; `offset` is supported, `fuzzymatching` is answered with warning 299 and literal matching. Attributes are
named by keyword or tag. Single values, wildcards (`*`, `?`), lists of UIDs and ranges of dates match; an attribute
that the answer does not hold matches nothing. `includefield` is accepted and adds nothing. Person names, identifiers
and dates are those of the clean copies: pseudonyms.
"""
_RETRIEVE = """## WADO-RS

Instances come as stored (`transfer-syntax=*`) or in Explicit VR Little Endian (1.2.840.10008.1.2.1), the default: as
`multipart/related; type="application/dicom"`, one alone also as `application/dicom`. Frames come as
`application/octet-stream`, little-endian and uncompressed, or in the compressed form in which they are stored.
Rendered pictures are `image/jpeg` or `image/png`, with `window` and `viewport` (PS3.18 8.3.5). Another media type or
transfer syntax is answered with 406. Bulk data of the metadata is the pixel data alone. Answers may be compressed
(gzip) where the client accepts it.
"""
_SECURITY = """## Security

Every DICOMweb call needs a bearer token of the configured issuer (OAuth 2.0, OpenID Connect) over HTTPS, is limited
by rate, and shows the studies of the caller's clinics alone ([who may do what](../access.md)). A study of another
clinic is answered with 404. Retrieves are written to a hash-chained audit log.

## Character sets

Files in any character set of PS3.3 C.12.1.1.2 are taken, also where they use another one than they declare. Clean
copies keep theirs; created objects and JSON are in UTF-8.
"""


def page() -> str:
    """The page."""
    return "\n".join(
        [
            _HEAD,
            *_table(("Transfer syntax", "UID"), ((name_of(one), one) for one in sorted(NATIVE | DECODED, key=_parts))),
            _CREATED,
            *_table(("Object", "SOP class", "SeriesNumber", "When"), _OBJECTS),
            _AFTER,
            _SEARCH,
            *_routes("QIDO-RS"),
            *_attributes(),
            _RETRIEVE,
            *_routes("WADO-RS"),
            *_deidentification(),
            _SECURITY.rstrip() + "\n",
            *_gateway(),
        ]
    )


_SERVICES = (
    ("Verification", contexts.VERIFICATION, "SCP; SCU for `--check` and the status page"),
    ("Storage", "each class listed below", "SCP for all of them; SCU for results"),
    ("Modality Performed Procedure Step", contexts.MPPS, "SCP"),
    ("Instance Availability Notification", contexts.AVAILABILITY, "SCP"),
    ("Storage Commitment Push Model", contexts.COMMITMENT, "SCU; the report may come on an association of its own"),
    ("Study Root Query/Retrieve - FIND", "1.2.840.10008.5.1.4.1.2.2.1", "SCU, level IMAGE, all three UIDs given"),
)


def _gateway() -> list[str]:
    rows = sorted((uid for uid in uid_registry.table() if contexts.is_storage(uid)), key=_parts)
    syntaxes = sorted((uid for uid in uid_registry.table() if contexts.is_file_syntax(uid)), key=_parts)
    return [
        "## The gateway\n\nIn the clinic ([gateway](../gateway.md)). Associations are refused by AE title and address;"
        " DICOM TLS with certificates\non both sides where it is set. STOW-RS and QIDO-RS as a client.\n",
        *_table(("Service", "SOP class", "Role"), _SERVICES),
        f"{len(rows)} storage classes, and those of later editions under the same root, each in {len(syntaxes)}"
        " transfer syntaxes. Of\nseveral syntaxes in one context the first counts, Implicit VR Little Endian last.\n",
        *_table(("Storage SOP class", "UID"), ((name_of(one), one) for one in rows)),
        *_table(("Transfer syntax of the gateway", "UID"), ((name_of(one), one) for one in syntaxes)),
    ]


def _parts(uid: str) -> list[int]:
    return [int(part) for part in uid.split(".")]


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def _routes(service: str) -> list[str]:
    found = [rule for rule in RULES if rule.summary.startswith(f"{service}: ")]
    rows = ((f"`{rule.method} {rule.address}`", rule.summary.partition(": ")[2]) for rule in found)
    return _table(("Resource", "Answer"), rows)


def _attributes() -> list[str]:
    """What the answers of a search hold at each level."""
    blank = dict.fromkeys(("id", "clinic", "handle", "patient", "received", "due", "updated"), "")
    record = StudyRecord.model_validate(
        {**blank, "study_uid": "1", "run": 1, "state": "reported", "label": NOT_ANALYSED, "modality": "CT"}
    )
    study = [dictionary_keyword(int(tag, 16)) for tag in dicom_json.study(record)]
    levels = (("Study", study), ("Series", dicom_json.SERIES_ATTRIBUTES), ("Instance", dicom_json.INSTANCE_ATTRIBUTES))
    return _table(("Level", "Attributes of an answer"), ((name, ", ".join(held)) for name, held in levels))


def _deidentification() -> list[str]:
    """Which options of PS3.15 Annex E each profile applies, by the codes that its copies carry (CID 7050)."""
    applied = {name: dict(_codes(name)) for name in READY}
    known = sorted({code: meaning for codes in applied.values() for code, meaning in codes.items()}.items())
    rows = ((code, meaning, *("✓" if code in applied[name] else "" for name in READY)) for code, meaning in known)
    head = (
        f"## De-identification\n\nEngine {ENGINE_VERSION}, Table E.1-1 of PS3.15 {TABLE_EDITION}. A clean copy states "
        "what was done in De-identification Method Code Sequence (0012,0064). What happens to each attribute is in "
        "[the reference](../deidentification-reference.md).\n"
    )
    return [head, *_table(("CID 7050", "Profile or option", *(f"`{name}`" for name in READY)), rows)]


def _codes(name: str) -> list[tuple[str, str]]:
    options = load_profile(name).options
    return method_codes(cast(Plan, SimpleNamespace(options=options)), verified=options.pixels)


if __name__ == "__main__":
    PAGE.write_text(page())
