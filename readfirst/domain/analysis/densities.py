"""What a picture's header must say for its values to be densities: one rule, for the choice of a series and the job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# RescaleType: HU_MOD is HU of a virtual energy; US is "unspecified", which scanners write for HU as well.
DENSITIES = ("HU", "HU_MOD", "US", "")


def not_grey(samples: int | None, photometric: str) -> str:
    """Why a picture is not plain grey; empty if it is. Colours are somebody's rendering of a measurement."""
    if (samples or 1) != 1 or photometric.strip().upper() not in ("MONOCHROME2", ""):
        return "not a grey image (MONOCHROME2)"
    return ""


def unfit(get: Callable[[str], Any], *, needed: bool = True) -> str:
    """Why values are no densities by their rescaling (PS3.3 C.11.1), empty if they are; `get` gives an attribute of
    the group that holds it. `needed`: without a slope nobody knows what the values mean, as in CT."""
    if get("ModalityLUTSequence"):
        return "densities given by a table are not taken"
    if str(get("RescaleType") or "").strip().upper() not in DENSITIES:
        return "the slices hold other values than densities in HU"
    slope = get("RescaleSlope")
    if slope is None or str(slope).strip() == "":
        return "the slices do not say how their values become densities" if needed else ""
    try:
        return "a slice's RescaleSlope is zero" if float(str(slope)) == 0 else ""
    except ValueError:
        return "a slice's RescaleSlope is missing or no number"
