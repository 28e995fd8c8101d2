"""The default model's figures, measured now: on held-out phantoms, and on the demonstration's own kind of study."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from readfirst.domain.analysis.models import default_model

STUDIES = 12
_FIRST_SEED = 5000


def run() -> None:
    """Measures and prints: minutes. The same figures, with plots, are what `make model` writes to docs/model-card."""
    from rich.table import Table

    from readfirst.cli.printing import Terminal

    os.environ["READFIRST_THREADS"] = "1"  # each process has a core of its own
    manifest = default_model()
    metrics = held_out()
    title = f"{manifest.name} {manifest.version} on {metrics['phantoms']} held-out phantoms ({manifest.disclaimer})"
    table = Table("what", "model", "threshold and blobs", "oracle", title=title)
    for what, values in rows(metrics):
        table.add_row(what, *values)
    Terminal().print(table)
    found, quiet = demonstration()
    print(f"Studies like the end-to-end tests': {found} of {STUDIES} with a nodule of 26 mm are high risk, "
          f"{quiet} of {STUDIES} without any are not.")  # fmt: skip


def held_out() -> dict[str, Any]:
    """The card's metrics, measured now."""
    from rich.progress import track

    from model_container.engines.chest.engine import Calibration
    from model_container.engines.registry import MODELS
    from model_container.training.report import HELD_OUT_PHANTOMS, by_reader, measured, metrics_of

    manifest = default_model()
    bundle = MODELS / manifest.name
    cases = measured(bundle, HELD_OUT_PHANTOMS, os.cpu_count() or 1)
    seen = list(track(cases, "held-out phantoms", total=HELD_OUT_PHANTOMS))
    return metrics_of(by_reader(seen), Calibration.load(bundle / "calibration.json"), manifest.risk.report_from)


def rows(metrics: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """The metrics as lines of a table; what a reader does not have stays empty."""
    readers = ("model", "baseline", "oracle")
    for size, shares in metrics["sensitivity by size, mm [share, low, high, lesions]"].items():
        found = [f"{s:.2f} ({low:.2f}-{high:.2f})" for s, low, high, _ in (shares[reader] for reader in readers)]
        yield f"sensitivity, {size} mm (n={shares['model'][3]:.0f})", found
    for what in ("false alarms per phantom [mean, low, high]", "study risk, area under the curve [value, low, high]"):
        values = [metrics[what][reader] for reader in readers]
        yield what.split(" [")[0], [f"{value:.2f} ({low:.2f}-{high:.2f})" for value, low, high in values]
    yield "expected calibration error", [f"{metrics['study risk, expected calibration error']:.3f}", "", ""]
    for part, (mean, low, high) in metrics["dice [mean, low, high]"].items():
        yield f"Dice, {part}", [f"{mean:.2f} ({low:.2f}-{high:.2f})", "", ""]


def demonstration() -> tuple[int, int]:
    """How many studies with a large nodule are high risk, and how many without any nodule are not."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        told = list(pool.map(high_risk, range(_FIRST_SEED, _FIRST_SEED + STUDIES)))
    return sum(ill for ill, _ in told), sum(not well for _, well in told)


def high_risk(seed: int) -> tuple[bool, bool]:
    """Whether a phantom is high risk: with its nodules, and without them."""
    from model_container.analyse import decode
    from model_container.engines.engine import OutOfScope, Reading
    from model_container.engines.registry import ModelRegistry
    from readfirst.cli.analyse import read_study
    from readfirst.domain.analysis.series_selection import NotEligible, select_series
    from readfirst.local.phantom import write_phantom_study

    rule = default_model().risk
    engine = ModelRegistry().load(default_model().digest)[1]
    answers = []
    for nodules in ((26.0, 9.0), ()):
        with tempfile.TemporaryDirectory() as folder:
            write_phantom_study(Path(folder), seed=seed, slices=24, size=320, nodules=nodules)
            read = read_study(Path(folder))
        selection = select_series(read.instances, default_model().gate)
        if isinstance(selection, NotEligible):
            raise TypeError(selection.text)
        volume = decode(selection.instances, read.contents)
        reading = volume if isinstance(volume, OutOfScope) else engine.read(volume, lambda _: None)
        seen = reading.detections if isinstance(reading, Reading) else ()
        answers.append(any(rule.met_by(d.probability, d.diameter_mm) for d in seen))
    return answers[0], answers[1]
