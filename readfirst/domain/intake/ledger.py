"""The ledger's entries: one arrival per uploaded file, one seal per run, and the sender's `complete` message.

They lie in the uploads account and may name what the sender sent; nothing of them leaves it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from readfirst.domain.intake.person import Stated


class Entry(BaseModel):
    """A frozen entry."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class ArrivalNote(Entry):
    """What settling needs to know of a file, readable from a listing alone."""

    id: str
    series: str  # token of the series
    modality: str
    arrived: datetime


class Arrival(Entry):
    """One uploaded DICOM file: where its original lies and which identifiers its header names."""

    note: ArrivalNote
    clinic: str
    upload: str  # the sender's blob name, for the answer to the sender
    original: str  # blob name in container `originals`
    etag: str  # of that blob
    size: int
    member: int | None = None  # in an original that is a zip its index, in a tar the byte where its content begins
    study_uid: str
    instance: str = ""  # token of the SOP Instance UID
    releases: str = ""  # the id of the arrival that a person released from quarantine by this one
    known: str = ""  # the identifiers that its header names (deid's KnownIdentifiers as JSON)
    accession: str = ""  # the accession number that its header names; empty: none, or received before it was kept
    stated: Stated | None = None  # what its header says of the patient; None: received before it was kept


class Seal(Entry):
    """The files that one run takes. Written once; whoever comes second reads it."""

    run: int
    arrivals: tuple[str, ...]
    short: bool = False  # fewer files than the sender announced, after waiting
    at: datetime | None = None  # when it was sealed; None: before seals kept it


class Learned(Entry):
    """What a run learns from all its headers before it cleans any file."""

    known: str  # the identifiers that they name (deid's KnownIdentifiers as JSON)
    superseded: tuple[str, ...] = ()  # arrivals of an instance that arrived once more, later: the last one counts
    # What the headers say of the patient, and how many say so; None: the run is from before persons were decided.
    stated: tuple[tuple[Stated, int], ...] | None = None


class Others(Entry):
    """What came for a study and has no place in the ledger: a file that was refused as it arrived, and the members of
    an archive that name no study, which count with each study whose files came with them."""

    skipped: dict[str, int] = {}  # what it is -> files
    refused: dict[str, int] = {}  # reason -> files
    instances: dict[str, str] = {}  # of those refused: token of the SOP Instance UID, where it is known -> reason


STUDY_UID = r"^[0-9.]{1,128}$"  # archives hold some beyond the 64 characters of PS3.5 9


class Complete(BaseModel):
    """The sender's word that a study is whole: blob `complete` or `complete.json` in any folder of the inbox."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="forbid", populate_by_name=True)

    study_uid: str = Field(alias="studyInstanceUid", pattern=STUDY_UID)
    expected: int | None = Field(None, ge=1, le=1_000_000)
    priority: Literal["stat", "routine"] = "routine"
    purpose: Literal["current", "prior"] = "current"
