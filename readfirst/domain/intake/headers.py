"""What receiving needs to know of a file's header."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

from readfirst.domain.deid import known_identifiers, stated_person
from readfirst.domain.intake.person import Stated
from readfirst.domain.refusals import Reason, Refused


@dataclass(frozen=True)
class Header:
    """Of which study, series and instance a file is, of which modality, and the identifiers that its header names."""

    study_uid: str
    series_uid: str
    sop_uid: str
    modality: str  # capital letters, at most 16
    known: str  # deid's KnownIdentifiers as JSON
    accession: str  # the accession number
    stated: Stated  # what it says of the patient


def header_of(ds: Dataset) -> Header | Refused:
    """Reads the values, which are bytes until now: pydicom raises errors of any kind at bytes that do not fit a VR."""
    try:
        return Header(
            study_uid=str(ds.StudyInstanceUID),
            series_uid=str(ds.get("SeriesInstanceUID", "")),
            sop_uid=str(ds.get("SOPInstanceUID", "")),
            modality=re.sub(r"[^A-Z]", "", str(ds.get("Modality", "")).upper())[:16] or "OT",
            known=known_identifiers(ds).to_json(),
            accession=str(ds.get("AccessionNumber", "") or ""),
            stated=stated_person(ds),
        )
    except MemoryError:
        raise
    except Exception:
        return Refused(Reason.UNREADABLE, "a value does not fit its VR")
