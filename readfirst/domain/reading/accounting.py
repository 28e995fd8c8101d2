"""The books of a study: every file that came and every frame of it is read, or left out for a reason that is told.

Two sums hold for every study: files received = read + left out + refused + skipped + identical copies, and frames of
the files read = frames analysed + frames left out. A study of which anything that a gate admits was not read is read
in part: its label never says "not flagged".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from readfirst.domain.counted import counted


@dataclass(frozen=True)
class Received:
    """What came for a study. `others`: members of its archives that belong to no study by themselves."""

    files: int  # those that have a place in the ledger, each release counted as the file that it releases
    identical: int = 0  # of them, copies of an instance that came once more
    skipped: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)  # reason -> files, beside those of the ledger
    refused_instances: Mapping[str, str] = field(default_factory=dict)  # of those: token of the instance -> reason
    taken: Collection[str] = ()  # tokens of the instances that were not refused


class Accounting(BaseModel):
    """The two sums, and what is missing. Reasons are codes: of `series_selection`, `eligibility.Ineligible`,
    `refusals.Reason`, or an analysis' own."""

    model_config = ConfigDict(frozen=True)

    received: int
    read: int = 0
    left_out: dict[str, int] = {}
    refused: dict[str, int] = {}
    skipped: dict[str, int] = {}
    identical: int = 0
    frames: int = 0  # of the files read
    analysed: int = 0
    frames_left_out: dict[str, int] = {}
    missing: int = 0  # slices, at the step of those read, that lie where nothing was read
    not_had: int = 0  # files that may belong to what was to be read, and were refused
    short: bool = False  # fewer files came than the sender announced
    to_come: int = 0  # files that arrived and that a later run takes
    unsaid: tuple[str, ...] = ()  # what the header does not say, so that the pixels had to decide

    @property
    def holds(self) -> bool:
        """Whether both sums hold."""
        files = self.read + self.identical + sum(
            sum(counts.values()) for counts in (self.left_out, self.refused, self.skipped)
        )  # fmt: skip
        return self.received == files and self.frames == self.analysed + sum(self.frames_left_out.values())

    @property
    def part(self) -> str:
        """How much was read, for people, where it was not all; empty where it was, and where nothing was read."""
        if not self.analysed:
            return ""
        if self.missing:
            return f"{self.analysed} of {self.analysed + self.missing} slices"
        if self.not_had:
            return f"{self.analysed} slice(s); {self.not_had} file(s) could not be read"
        if self.short:
            return f"{self.analysed} slice(s); fewer files came than were announced"
        if self.to_come:
            return f"{self.analysed} slice(s); {self.to_come} file(s) that came later are still to be taken"
        return "" if self.holds else f"{self.analysed} slice(s); some files are not accounted for"

    @property
    def sentence(self) -> str:
        """Both sums, in one sentence for people."""
        files = (
            f"{counted(self.received, 'file')} received: {self.read} read{_listed('left out', self.left_out)}"
            f"{_listed('refused', self.refused)}{_listed('skipped', self.skipped)}"
        )
        copies = f", {counted(self.identical, 'identical copy', 'identical copies')}" if self.identical else ""
        frames = f"{counted(self.frames, 'frame')} in the files read: {self.analysed} analysed"
        return f"{files}{copies}. {frames}{_listed('left out', self.frames_left_out)}."


def _listed(what: str, counts: Mapping[str, int]) -> str:
    if not counts:
        return ""
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
    return f", {sum(counts.values())} {what} ({reasons})"
