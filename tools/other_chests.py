"""What the default model finds in chests that are drawn another way than those it was trained on.

`python -m tools.other_chests` (a few minutes): the chests of tests/model/other_phantom.py, each with a lesion of every
size, free in the lung or on its wall, and healthy ones. The figures stand in docs/model-card/README.md.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import numpy as np

SIZES = (5, 7, 11, 18, 30)
CHESTS = [
    (seed, kind) for kind, count in (("free", 12), ("wall", 8), ("healthy", 10)) for seed in range(100, 100 + count)
]


def look(chest: tuple[int, str]) -> tuple[str, list[int], list[float]]:
    """The sizes that were found in a chest, and the diameters of what was reported beside them."""
    from model_container.engines.engine import OutOfScope
    from model_container.engines.registry import ModelRegistry
    from readfirst.domain.analysis.models import default_model
    from tests.model.other_phantom import draw

    seed, kind = chest
    volume, lesions = draw(seed, (), kind="free") if kind == "healthy" else draw(seed, SIZES, kind=kind)
    reading = ModelRegistry().load(default_model().digest)[1].read(volume, lambda _: None)
    if isinstance(reading, OutOfScope):
        raise SystemExit(f"the model refuses the chest of seed {seed}")
    step, hit, alarms = np.array([volume.spacing, *volume.pixel]), set(), []
    for detection in reading.detections:
        gaps = [float(np.linalg.norm((np.array(detection.centre) - one.centre) * step)) for one in lesions]
        near = [k for k, gap in enumerate(gaps) if gap < lesions[k].diameter / 2 + 2]
        hit |= set(near)
        if not near:
            alarms.append(detection.diameter_mm)
    return kind, [SIZES[k] for k in hit], alarms


def main() -> None:
    """Measures and prints."""
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    os.environ["READFIRST_THREADS"] = "1"  # each process has a core of its own
    chests = Counter(kind for _, kind in CHESTS)
    found: Counter[tuple[str, int]] = Counter()
    alarms: dict[str, list[float]] = {kind: [] for kind in chests}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for kind, hit, wrong in track(pool.map(look, CHESTS), "chests", total=len(CHESTS)):
            found.update((kind, size) for size in hit)
            alarms[kind] += wrong
    table = Table("lesions", *(f"{size} mm" for size in SIZES), "other findings per chest", "of 15 mm and more")
    for kind, count in chests.items():
        shares = ["" if kind == "healthy" else f"{found[kind, size]} of {count}" for size in SIZES]
        large = sum(size >= 15 for size in alarms[kind])
        table.add_row(kind, *shares, f"{len(alarms[kind]) / count:.1f}", str(large))
    Console().print(table)


if __name__ == "__main__":
    main()
