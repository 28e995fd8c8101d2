"""The default model's figures, measured now: on held-out phantoms, and on the demonstration's own kind of study."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from readfirst.domain.models import default_model

PHANTOMS, STUDIES = 24, 10
_FIRST_SEED = 5000


def run() -> None:
    """Measures and prints. The card's own figures come from `make model`."""
    from rich.console import Console
    from rich.table import Table

    os.environ["READFIRST_THREADS"] = "1"  # each process has a core of its own
    manifest = default_model()
    title = f"{manifest.name} {manifest.version} on {PHANTOMS} held-out phantoms ({manifest.disclaimer})"
    table = Table("what", "model", "threshold and blobs", "oracle", title=title)
    for row in held_out():
        table.add_row(*row)
    Console().print(table)
    found, quiet = demonstration()
    print(f"Studies like the end-to-end tests': {found} of {STUDIES} with a nodule of 26 mm are high risk, "
          f"{quiet} of {STUDIES} without any are not.")  # fmt: skip


def held_out() -> list[tuple[str, str, str, str]]:
    """Sensitivity by size and false alarms, of the model, the baseline and the oracle."""
    from model_container.bundles import MODELS
    from model_container.chest import Calibration
    from model_container.training.report import SIZES, false_alarms, measure, scores_of, sensitivity

    manifest = default_model()
    bundle = MODELS / manifest.name
    cases = measure(bundle, PHANTOMS, os.cpu_count() or 1)
    scores = scores_of(Calibration.load(bundle / "calibration.json"))
    cut = {"model": manifest.risk.report_from, "baseline": 0.0, "oracle": 0.0}
    rows = []
    for low, high in SIZES:
        shares = {name: sensitivity(cases[name], scores[name], cut[name], (low, high)) for name in cases}
        texts = [f"{s:.2f} ({a:.2f}-{b:.2f})" for s, a, b, _ in shares.values()]
        rows.append((f"sensitivity, {low}-{high - (high == 41)} mm (n={shares['model'][3]:.0f})", *texts))
    alarms = [f"{false_alarms(cases[name], scores[name], cut[name])[0]:.2f}" for name in cases]
    return [(a, b, c, d) for a, b, c, d in [*rows, ("false alarms per phantom", *alarms)]]


def demonstration() -> tuple[int, int]:
    """How many studies with a large nodule are high risk, and how many without any nodule are not."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        told = list(pool.map(high_risk, range(_FIRST_SEED, _FIRST_SEED + STUDIES)))
    return sum(ill for ill, _ in told), sum(not well for _, well in told)


def high_risk(seed: int) -> tuple[bool, bool]:
    """Whether a phantom is high risk: with its nodules, and without them."""
    from model_container.analyse import decode
    from model_container.bundles import Shelf
    from model_container.reading import OutOfScope, Reading
    from readfirst.cli.analyse import read_study
    from readfirst.domain.series import NotEligible, select_series
    from readfirst.local.phantom import write_phantom_study

    rule = default_model().risk
    engine = Shelf().load(default_model().digest)[1]
    answers = []
    for nodules in ((26.0, 9.0), ()):
        with tempfile.TemporaryDirectory() as folder:
            write_phantom_study(Path(folder), seed=seed, slices=24, size=320, nodules=nodules)
            instances, contents = read_study(Path(folder))
        selection = select_series(instances, default_model().gate)
        if isinstance(selection, NotEligible):
            raise TypeError(selection.text)
        volume = decode(selection.instances, contents)
        reading = volume if isinstance(volume, OutOfScope) else engine.read(volume, lambda _: None)
        answers.append(isinstance(reading, Reading) and any(
            d.probability >= rule.min_probability and d.diameter_mm >= rule.min_diameter_mm for d in reading.detections
        ))  # fmt: skip
    return answers[0], answers[1]
