"""What an analysis says: findings with coded concepts, measurements and places, and the risk of the study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from readfirst.domain.reading.accounting import Accounting

SYNTHETIC = "SYNTHETIC MODEL, NOT FOR DIAGNOSIS"


class Part(BaseModel):
    """A frozen piece of the findings document."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Code(Part):
    """A coded concept (PS3.3 8.8): value, scheme designator (SCT, DCM, UCUM, …), meaning."""

    value: str
    scheme: str
    meaning: str


class ModelIdentity(Part):
    """Which model spoke."""

    name: str
    version: str
    digest: str  # sha256, hex, of its manifest, which holds the digest of every file
    intended_use: Literal["triage", "detection"]
    disclaimer: str = SYNTHETIC


class Box(Part):
    """A box in pixels of the named instance: left, top inclusive; right, bottom exclusive."""

    left: int
    top: int
    right: int
    bottom: int


class Finding(Part):
    """One finding. Lengths in mm, volume in mm³, `centre` in patient coordinates (LPS, mm)."""

    key: str  # stable within a run key: "1", "2", …
    kind: str  # the finding's kind in the model's manifest, for example "lung-nodule"
    concept: Code
    category: Literal[1, 2, 3]  # ACR actionable finding category 1 (minutes), 2 (hours), 3 (days)
    probability: float  # calibrated, 0 to 1
    diameter_mm: float
    volume_mm3: float
    centre: tuple[float, float, float] | None  # None on a radiograph, which has no such place
    site: str  # for people: "left lung", "right lung", …
    series_uid: str
    sop_uid: str  # the instance with the finding's largest section
    frame: int = 0  # its frame in that instance, from 1; 0 where the instance has but one
    slice: int  # its index in the analysed series, from 0
    box: Box
    overlay: str = ""  # blob name in container `analysis` of the overlay PNG


def first_to_read(findings: Sequence[Finding]) -> Finding | None:
    """The finding that a reader who is called to a study sees first; None where there is none.

    The most urgent category, and in it what is probably largest: a small nodule that the model is surest of must not
    hide the mass for which the reader was called. A finding without a size (of a whole picture) counts by its
    probability. Of equals, the earlier in the model's order.
    """
    return min(findings, key=lambda f: (f.category, -f.probability * max(f.diameter_mm, 1.0)), default=None)


class Analysis(Part):
    """Blob `analysis/{token}/{run key}/result.json`: the truth about one analysis."""

    schema_version: Literal[1] = 1
    token: str
    run_key: str
    outcome: Literal["analysed", "out-of-scope"]
    reason: str = ""  # for out-of-scope: code and text, without content
    model: ModelIdentity
    series_uid: str = ""
    slices: int = 0
    risk: float = 0.0  # calibrated probability that the study needs urgent reading, 0 to 1
    high_risk: bool = False  # by the manifest's risk rule
    why: str = ""  # the rule that decided, for people
    findings: tuple[Finding, ...] = ()
    outputs: dict[str, str] = {}  # kind ("seg", "sr", "sc-1", …) -> blob name in container `analysis`
    seconds: dict[str, float] = {}  # per stage: "download", "decode", "infer", "write"
    accounting: Accounting | None = None  # the study's books when the work was ordered
    device: str = ""
    peak_memory_mb: float = 0.0
