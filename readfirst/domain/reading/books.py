"""Closing a study's books: what became of every file and frame, from what was received, chosen and read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from readfirst.domain.analysis.eligibility import Selection, unsaid
from readfirst.domain.analysis.models import Gate
from readfirst.domain.analysis.series_selection import Choice, key_of, reach_of
from readfirst.domain.blob_paths import RefusedFile
from readfirst.domain.instance_facts import InstanceFacts
from readfirst.domain.reading.accounting import Accounting, Received
from readfirst.domain.refusals import Reason

# Refusals of files that may have been slices; the other reasons are for what no model of slices reads.
_MAY_BE_SLICES = frozenset(
    (Reason.EMPTY, Reason.TRUNCATED, Reason.UNREADABLE, Reason.TRANSFER_SYNTAX, Reason.RESIDUAL, Reason.TOO_LARGE,
     Reason.ZIP_UNREADABLE)
)  # fmt: skip
NEVER_CLEANED = "never-cleaned"
_NO_PICTURES = frozenset((Reason.NO_PIXELS, Reason.ENCAPSULATED, Reason.UNSUPPORTED_OBJECT))


def account(
    received: Received,
    instances: Sequence[InstanceFacts],
    refused: Sequence[RefusedFile],
    choice: Choice,
    read: Selection | None,
    gate: Gate,
    *,
    why: str = "",
    short: bool = False,
    with_read: Collection[str] = (),
    never_cleaned: int = 0,
    to_come: int = 0,
    also: Sequence[InstanceFacts] = (),
) -> Accounting:
    """Closes a study's books. `read`: what was analysed; None where nothing was, for the reason code `why`.

    `with_read`: the tokens (of the ledger) of the series read: a refused file of one of them is missing in it.
    `never_cleaned`: files of a study whose de-identification broke off. `also`: what other models have read of it.
    """
    slices = {key_of(one): one for one in (*(read.instances if read else ()), *also)}
    out_of_all = choice.left_out(read, reach_of(gate), why)
    reasons = {key: reason for key, reason in out_of_all.items() if key not in slices}
    frames: dict[tuple[str, str], Counter[str]] = {one.place: Counter() for one in instances}
    for (place, _), reason in reasons.items():
        frames[place][reason] += 1
    chosen = Counter(one.place for one in slices.values())
    out = Counter(_main(reasons) for place, reasons in frames.items() if not chosen[place])
    if never_cleaned:
        out[NEVER_CLEANED] = never_cleaned
    left = sum((frames[place] for place in chosen), Counter[str]())
    return Accounting(
        received=received.files + sum(received.skipped.values()) + sum(received.refused.values()),
        read=len(chosen),
        left_out=dict(out),
        refused=dict(Counter(one.reason for one in refused) + Counter(received.refused)),
        skipped=dict(received.skipped),
        identical=received.identical,
        frames=sum(len(list(one.slices())) for one in instances if chosen[one.place]),
        analysed=sum(chosen.values()),
        frames_left_out=dict(left),
        missing=read.missing if read else 0,
        not_had=_not_had(received, refused, gate, with_read),
        short=short,
        to_come=to_come,
        unsaid=unsaid(read.instances) if read else (),
    )


def _main(reasons: Counter[str]) -> str:
    """The reason for which most of a file's frames are left out."""
    return min(reasons.items(), key=lambda found: (-found[1], found[0]))[0] if reasons else "no-images"


def _not_had(received: Received, refused: Sequence[RefusedFile], gate: Gate, with_read: Collection[str]) -> int:
    """Refused files that may have been slices of what was to be read: of a series that was read, or of the model's
    modality and refused for a reason that slices are refused for. One that was sent anew and taken is not missing."""
    again = [reason for token, reason in received.refused_instances.items() if token in received.taken]
    others = Counter(received.refused) - Counter(again)
    count = sum(number for reason, number in others.items() if reason in _MAY_BE_SLICES)
    for one in refused:
        if one.instance and one.instance in received.taken:
            continue
        same_series = one.series in with_read and one.reason not in _NO_PICTURES
        other = one.reason in _MAY_BE_SLICES and (not one.modality or one.modality in gate.modalities)
        count += bool(same_series or other)
    return count
