"""Which radiograph of a study a model gets. One picture, chosen by rule; a study that needs several is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from readfirst.domain.analysis.eligibility import Ineligible, NotEligible, Selection, out_of_scope
from readfirst.domain.analysis.models import UNKNOWN_VIEW, Gate
from readfirst.domain.instance_facts import FRONTAL, InstanceFacts

# Storage classes of radiographs (PS3.4 B.5); whatever else says that it is one, is a secondary capture or worse.
_STORED = "1.2.840.10008.5.1.4.1.1.1"
_CLASSES = {_STORED, *(f"{_STORED}.{kind}{raw}" for kind in (1, 2, 3) for raw in ("", ".1"))}
_COPIES = {"SECONDARY", "LOCALIZER", "SCREEN SAVE"}


def select_picture(instances: Sequence[InstanceFacts], gate: Gate) -> Selection | NotEligible:
    """The picture that the gate admits, or what the last ones that came close were refused for.

    Frontal chests before others (PA before AP); originals before derived ones; of repeats, the latest.
    """
    left = list(instances)
    refusals = [out_of_scope([instance], gate) for instance in left]
    left = [instance for instance, refused in zip(left, refusals, strict=True) if refused is None]
    if not left:
        return next(refused for refused in refusals if refused is not None)
    for holds, code, text in _asked(gate):
        left = [instance for instance in left if holds(instance)]
        if not left:
            return NotEligible(code, text)
    best = min(rank for instance in left if (rank := _rank(instance, gate)) is not None)
    left = [instance for instance in left if _rank(instance, gate) == best]
    if len({(i.view, i.laterality) for i in left}) > 1:
        return NotEligible(
            Ineligible.SEVERAL, "The study shows several views or sides, of which the model would read one."
        )
    chosen = max(left, key=lambda i: (_is_original(i), i.acquired, i.instance_number or 0, i.sop_uid))
    return Selection(chosen.series_uid, (chosen,), 0.0)


def _asked(gate: Gate) -> list[tuple[Callable[[InstanceFacts], bool], Ineligible, str]]:
    """What a picture must be, and what a study without such a one is told."""
    views = " or ".join(gate.wanted_views)
    return [
        (_is_radiograph, Ineligible.NO_ORIGINAL, "The study holds secondary captures or derived pictures only."),
        (
            lambda i: i.intent != "FOR PROCESSING",
            Ineligible.RAW,
            "The study holds the detector's own values only (FOR PROCESSING), which look different for each maker.",
        ),
        (
            lambda i: min(i.rows, i.columns) >= gate.min_pixels,
            Ineligible.TOO_COARSE,
            "The pictures are too coarse for the model.",
        ),
        (
            lambda i: _rank(i, gate) is not None,
            Ineligible.VIEW,
            f"The study holds no picture of the view that the model reads ({views}), or none that says its view.",
        ),
    ]


def _is_radiograph(instance: InstanceFacts) -> bool:
    """A picture as the detector's system gave it. Those that are meant to be looked at may call themselves derived
    (from the detector's values, PS3.3 C.8.11.3.1.1); other derived pictures are somebody's work on one."""
    kinds = {value.upper() for value in instance.image_type}
    known = instance.sop_class in _CLASSES and instance.frames == 1 and not kinds & _COPIES
    return known and (_is_original(instance) or instance.intent == "FOR PRESENTATION")


def _is_original(instance: InstanceFacts) -> bool:
    return not instance.image_type or "DERIVED" not in instance.image_type[0].upper()


def _rank(instance: InstanceFacts, gate: Gate) -> int | None:
    """How much the gate wants the picture's view, 0 first; None: not at all."""
    wanted = gate.wanted_views
    if not wanted:
        return 0
    view = instance.view or UNKNOWN_VIEW
    if view in wanted:
        return wanted.index(view)
    return len(wanted) if view == FRONTAL and {"PA", "AP"} & set(wanted) else None
