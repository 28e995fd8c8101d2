"""The study's record: blob `analysis/{token}/record.json` is the truth, Cosmos holds the same document as index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, computed_field

from readfirst.domain.analysis.findings import Finding, ModelIdentity
from readfirst.domain.operations.stages import Stage
from readfirst.domain.reading.accounting import Accounting
from readfirst.domain.routing.readings import ModelReading, Says, own_name

State = Literal["receiving", "deidentifying", "analysing", "reported", "failed", "quarantined"]
Label = Literal[
    "flagged",
    "not flagged by AI (does not exclude disease)",
    "READ IN PART: read as usual",
    "NOT ANALYSED: read as usual",
]
FLAGGED: Label = "flagged"
NOT_FLAGGED: Label = "not flagged by AI (does not exclude disease)"
READ_IN_PART: Label = "READ IN PART: read as usual"
NOT_ANALYSED: Label = "NOT ANALYSED: read as usual"


class Series(BaseModel):
    """A series of the clean study, as the worklist and the viewer need it."""

    model_config = ConfigDict(frozen=True)

    series_uid: str
    modality: str
    number: int | None
    instances: int
    analysed: bool


class Provenance(BaseModel):
    """What made this result: enough to make it again."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    readfirst: str  # version of the product
    engine: str  # de-identification engine
    table: str  # edition of PS3.15 Table E.1-1
    profile: str
    model: ModelIdentity | None  # of several the first that gave a result
    run_key: str  # what a review speaks of: one analysis, or those of several models together
    seconds: dict[str, float]  # per stage (domain/operations/stages.py), and the job's own as "job.…"


VERIFIED = "sr-verified"  # of a model's outputs: its part of the signed review as a report


class RecordPart(NamedTuple):
    """One model's part of a record: what it calls its findings and outputs itself -> how the record calls them."""

    model: str
    findings: dict[str, str]
    outputs: dict[str, str]

    def output(self, kind: str) -> str:
        """How the record calls an output of this model, whether it is there or is yet to come."""
        if kind in self.outputs:
            return self.outputs[kind]
        known = next(((own, name) for own, name in self.outputs.items()), (kind, kind))
        return known[1].removesuffix(known[0]) + kind


class StudyRecord(BaseModel):
    """One study as readers see it. Times are ISO 8601 UTC; dates of the patient are absent on purpose."""

    model_config = ConfigDict(frozen=True)

    id: str  # the study's token
    clinic: str  # partition key
    handle: str
    patient: str  # the patient's token: joins priors, names nobody
    own_patient: str = ""  # the token that the clean copies carry, where a merge made `patient` another's
    moved_days: int = 0  # by which the copies' shifted dates move to stand beside those of `patient`
    study_uid: str  # of the clean copy
    run: int
    state: State
    label: Label
    reason: str = ""  # for NOT ANALYSED: code and text
    partial: bool = False
    part: str = ""  # how much was read where it was not all: "67 of 74 slices"; flagged or not
    accounting: Accounting | None = None  # every file and frame; older records have none
    instances: int = 0
    refused: dict[str, int] = {}  # reason code -> files
    copies: int = 0  # files that said the same as one of the instances
    disagree: tuple[str, ...] = ()  # codes (intake/person.py): what the files do not agree on about their one patient
    modality: str = ""
    body_part: str = ""
    priority: Literal["stat", "routine"] = "routine"
    purpose: Literal["current", "prior"] = "current"
    received: str
    due: str
    updated: str
    risk: float = 0.0
    high_risk: bool = False
    why: str = ""
    findings: tuple[Finding, ...] = ()
    found_by: dict[str, str] = {}  # finding -> name of the model that made it; older records have none
    series: tuple[Series, ...] = ()
    outputs: dict[str, str] = {}
    models: tuple[ModelReading, ...] = ()  # what each model said that was asked; older records have none
    not_asked: dict[str, str] = {}  # the other approved models -> why the study did not get them
    review: Literal["unread", "in progress", "signed"] = "unread"
    verdicts: dict[str, int] = {}  # of the review: accept, reject, correct -> findings
    missed: int = 0  # findings that the reader added
    signed: str = ""  # when the review was signed
    judged: dict[str, str] = {}  # of the signed review: finding -> accept, reject, correct
    alerted: str = ""  # when the e-mail was handed over
    undelivered: str = ""  # since when it is known that no e-mail of an alert has arrived, or that none is known to
    provenance: Provenance | None = None
    analysing: str = ""  # run key of the analysis under way; the index alone says it, and the report takes it away

    @computed_field  # type: ignore[prop-decorator]
    @property
    def rank(self) -> str:
        """Due time and id in one text: the index sorts and pages by it."""
        return f"{self.due}|{self.id}"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def by_model(self) -> dict[str, Says]:
        """What each model says of the study, for its line of the worklist."""
        return {one.model.name: one.says for one in self.models}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def waiting(self) -> bool:
        """Whether it stands in the worklist: the index finds what waits without looking at what is done."""
        return waits(self.purpose, self.review)

    @property
    def parts(self) -> tuple[RecordPart, ...]:
        """The record by model: whose findings and outputs are which. A record of an older version is one part."""
        if not self.models:
            keys = {finding.key: finding.key for finding in self.findings}
            return (RecordPart("", keys, {kind: kind for kind in self.outputs}),)
        return tuple(self._part_of(one) for one in self.models if one.outcome == "analysed")

    def _part_of(self, one: ModelReading) -> RecordPart:
        def owned(names: Iterable[str]) -> dict[str, str]:
            own = ((own_name(one, name, self.models), name) for name in names)
            return {mine: name for mine, name in own if mine is not None}

        return RecordPart(one.model.name, owned(f.key for f in self.findings), owned(self.outputs))

    @property
    def goes_home(self) -> bool:
        """Whether there are results that its clinic can have. Without a clean instance there is no identity to bring
        them home by, and of a study that is kept back nobody knows whose it is."""
        return self.instances > 0 and self.state != "quarantined"

    @property
    def seconds(self) -> dict[str, float]:
        """How long each stage took that was measured."""
        return self.provenance.seconds if self.provenance else {}

    def having_taken(self, stage: Stage, seconds: float) -> StudyRecord:
        """The record with the seconds of one more stage; a record without provenance has no place for them."""
        if self.provenance is None:
            return self
        seconds_of = {**self.provenance.seconds, stage: seconds}
        return self.model_copy(update={"provenance": self.provenance.model_copy(update={"seconds": seconds_of})})


def waits(purpose: str, review: str) -> bool:
    """Whether a study waits for a reader."""
    return purpose == "current" and review != "signed"
