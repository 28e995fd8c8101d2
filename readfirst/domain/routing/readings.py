"""What each of a study's models says, and the one rule by which their answers are taken together.

The rule: the study is flagged where any model flags it, and of high risk where any model says so; its risk is the
highest of theirs. "Not flagged" is said only where every model that was asked has read all that its gate admits. A
model that has failed, or has not answered yet, takes nothing from the others: the study is read in part, and says by
whom. A model that finds the study out of its scope counts as not asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Literal

from pydantic import BaseModel, ConfigDict

from readfirst.domain.analysis.eligibility import is_unreadable
from readfirst.domain.analysis.findings import Analysis, Finding, ModelIdentity
from readfirst.domain.reading.accounting import Accounting

Ended = Literal["analysed", "out-of-scope", "failed", "waiting"]
Says = Literal["flagged", "not flagged", "read in part", "out of scope", "failed", "waiting"]
STUDY = "study"  # the kind of an alert of a model that has no finding to show


class ModelReading(BaseModel):
    """One model's part in a study's record. Its findings are in the record, which says whose each is."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    model: ModelIdentity
    run_key: str
    outcome: Ended
    reason: str = ""  # code and text, where it gave no result
    routed: str = ""  # why the study got this model, for people
    risk: float = 0.0
    high_risk: bool = False
    why: str = ""
    kinds: tuple[str, ...] = ()  # of its findings
    part: str = ""  # how much it read, where it was not all
    series_uid: str = ""
    accounting: Accounting | None = None  # its own books of the study, when it was asked
    outputs: dict[str, str] = {}  # kind -> blob name
    seconds: dict[str, float] = {}  # of the job, by stage
    device: str = ""

    @property
    def lacks_result(self) -> bool:
        """Whether it was to say something of the study and has not: what it would have found is not known."""
        return self.outcome in ("failed", "waiting") or is_unreadable(self.outcome, self.reason)

    @property
    def says(self) -> Says:
        """What it says of the study, in two words."""
        if self.outcome == "analysed":
            if self.high_risk or self.kinds:
                return "flagged"
            return "read in part" if self.part else "not flagged"
        if self.outcome == "out-of-scope":
            return "failed" if self.lacks_result else "out of scope"
        return self.outcome


class Together(BaseModel):
    """What the models' answers come to for the study."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    readings: tuple[ModelReading, ...] = ()
    findings: tuple[Finding, ...] = ()
    found_by: dict[str, str] = {}  # finding -> model
    outputs: dict[str, str] = {}
    risk: float = 0.0
    high_risk: bool = False
    why: str = ""
    part: str = ""
    reason: str = ""  # why a model that was asked gave no result: the first one's

    @property
    def analysed(self) -> tuple[ModelReading, ...]:
        """The readings that are results, in the order of the models."""
        return tuple(one for one in self.readings if one.outcome == "analysed")


def reading_of(analysis: Analysis, *, routed: str = "", accounting: Accounting | None = None) -> ModelReading:
    """A model's part of the record from what the job wrote."""
    books = accounting or analysis.accounting
    return ModelReading(
        model=analysis.model,
        run_key=analysis.run_key,
        outcome=analysis.outcome,
        reason=analysis.reason,
        routed=routed,
        risk=analysis.risk,
        high_risk=analysis.high_risk,
        why=analysis.why,
        kinds=tuple(dict.fromkeys(f.kind for f in analysis.findings)),
        part=books.part if books and analysis.outcome == "analysed" else "",
        series_uid=analysis.series_uid,
        accounting=books,
        outputs=analysis.outputs,
        seconds=analysis.seconds,
        device=analysis.device,
    )


def together(readings: Sequence[ModelReading], findings: Mapping[str, Sequence[Finding]]) -> Together:
    """Takes the answers together by the rule above. `findings`: of each model, by its run key.

    The first model's findings and outputs keep their names; those of the others are named after their model as well.
    """
    results = [one for one in readings if one.outcome == "analysed"]
    lacking = [one for one in readings if one.lacks_result]
    several = len(readings) > 1
    return Together(
        readings=tuple(readings),
        findings=tuple(
            f.model_copy(update={"key": named(one, f.key, readings)})
            for one in results
            for f in findings.get(one.run_key, ())
        ),
        found_by={
            named(one, f.key, readings): one.model.name for one in results for f in findings.get(one.run_key, ())
        },
        outputs={named(one, kind, readings): blob for one in results for kind, blob in one.outputs.items()},
        risk=max((one.risk for one in results), default=0.0),
        high_risk=any(one.high_risk for one in results),
        why=_why(results, several),
        part=_part(readings, several) if results else "",
        reason=_reason(lacking[0], several) if lacking else "",
    )


def named(one: ModelReading, name: str, readings: Sequence[ModelReading]) -> str:
    """How the record calls a finding or an output of a model: by its own name if the model is the study's first."""
    return name if one.run_key == readings[0].run_key else f"{one.model.name}.{name}"


def own_name(one: ModelReading, name: str, readings: Sequence[ModelReading]) -> str | None:
    """What the model itself calls a finding or an output of the record; None where it is another model's."""
    if one.run_key == readings[0].run_key:
        return None if "." in name else name
    own = name.removeprefix(f"{one.model.name}.")
    return own if own != name else None


def key_of(run_keys: Iterable[str]) -> str:
    """What a review of these results speaks of: a new result of one model is something new to look at."""
    keys = sorted(set(run_keys))
    if len(keys) < 2:
        return "".join(keys)
    return hashlib.sha256("\n".join(["readfirst-together-1", *keys]).encode()).hexdigest()[:32]


def alerting(readings: Sequence[ModelReading]) -> tuple[str, ...]:
    """The kinds of finding to alert for: those of the models by which the study is of high risk."""
    kinds = (kind for one in readings if one.high_risk for kind in (one.kinds or (STUDY,)))
    return tuple(sorted(set(kinds)))


def keys_showing(readings: Sequence[ModelReading], kind: str) -> frozenset[str]:
    """The results, of those that readers may have seen so far, in which an alert for this kind had its reason.

    Models answer one after the other: who has said of the earlier result that somebody was told has said it of its
    findings, and not of what another model found since.
    """
    results = [one for one in readings if one.outcome == "analysed"]
    shows = {one.run_key for one in results if one.high_risk and kind in (one.kinds or (STUDY,))}
    seen = (part for n in range(1, len(results) + 1) for part in combinations([one.run_key for one in results], n))
    return frozenset(key_of(part) for part in seen if shows & set(part))


def _why(results: Sequence[ModelReading], several: bool) -> str:
    """The sentences of those by which the study is of high risk; of all, where it is not."""
    high = [one for one in results if one.high_risk] or results
    return "; ".join(f"{one.model.name}: {one.why}" if several else one.why for one in high if one.why)


def _part(readings: Sequence[ModelReading], several: bool) -> str:
    if not several:
        return readings[0].part
    words = {"failed": "no result", "waiting": "no result yet"}
    parts = ((one, words.get(one.says, "no result") if one.lacks_result else one.part) for one in readings)
    return "; ".join(f"{one.model.name}: {part}" for one, part in parts if part)


def _reason(one: ModelReading, several: bool) -> str:
    """The code comes first, as in every reason."""
    code, _, text = one.reason.partition(":")
    return f"{code}: {one.model.name}:{text}" if several else one.reason
