"""What an engine answers about a volume, whatever network it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model_container.images.volume import Volume
from readfirst.domain.analysis.models import Channel
from readfirst.domain.faults import Fault

Progress = Callable[[float], None]
"""Called with the share of the inference that is done, from 0 to 1."""


@dataclass(frozen=True)
class Mask:
    """A piece of a volume at its own resolution: where the box starts, and which of its voxels belong."""

    start: tuple[int, int, int]  # slice, row, column
    voxels: NDArray[np.bool_]

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """The part of the volume that `voxels` describes."""
        z, row, column = (slice(a, a + n) for a, n in zip(self.start, self.voxels.shape, strict=True))
        return z, row, column

    def plane(self, z: int) -> NDArray[np.bool_] | None:
        """The mask's section in slice `z` of the volume; None where it has none."""
        k = z - self.start[0]
        return self.voxels[k] if 0 <= k < len(self.voxels) and self.voxels[k].any() else None


@dataclass(frozen=True)
class Detection:
    """One finding of an engine. Lengths in mm; `centre` and `mask` in the volume's voxels."""

    channel: Channel
    probability: float
    diameter_mm: float
    volume_mm3: float
    centre: tuple[float, float, float]  # slice, row, column
    mask: Mask | None  # None: the finding is one of the study, seen best in the slice of `centre`

    @property
    def key_slice(self) -> int:
        """The slice with the finding's largest section."""
        if self.mask is None:
            return int(self.centre[0])
        return self.mask.start[0] + int(self.mask.voxels.sum((1, 2)).argmax())


class ModelFailed(Fault, RuntimeError):
    """A model cannot be loaded, or failed at a study. The message names what went wrong and holds no content."""


@dataclass(frozen=True)
class OutOfScope:
    """The pixels are nothing that the model may judge: a code and a sentence, without content."""

    code: str
    text: str


@dataclass(frozen=True)
class Reading:
    """The engine's answer: detections, most probable first, and the study's risk (calibrated, 0 to 1)."""

    detections: tuple[Detection, ...]
    risk: float
    notes: dict[str, float] = field(default_factory=dict)


class Engine(Protocol):
    """A loaded model."""

    device: str

    def read(self, volume: Volume, progress: Progress) -> Reading | OutOfScope:
        """Judges a volume; raises when the model itself fails."""
        ...


def where(error: BaseException, folders: int = 0) -> str:
    """File (in so many folders) and line of code where a fault arose: code, not content. Empty where nobody knows."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    if trace is None:
        return ""
    parts = Path(trace.tb_frame.f_code.co_filename).parts
    return f"{'/'.join(parts[-1 - folders :])}:{trace.tb_lineno}"
