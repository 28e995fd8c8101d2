"""Measures the default model on held-out phantoms and writes its card's figures: metrics.json and plots.

Usage: `python -m model_container.training.report BUNDLE OUT [--phantoms 200]`. The model is compared with a
threshold-and-blob baseline and with the oracle: the phantom's truth through the same measuring.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_container.engines.chest.candidates import find_lungs, to_scene
from model_container.engines.chest.engine import Calibration, gate
from model_container.phantoms.anatomy import scan
from model_container.phantoms.elsewhere import ELSEWHERE, render_elsewhere
from model_container.phantoms.shapes import Grid
from model_container.training.evaluate import (
    URGENT_MM,
    Case,
    by_network,
    by_threshold,
    by_truth,
    engine_of,
    worry_of,
)
from model_container.training.slabs import HELD_OUT, Slab, make_slab
from readfirst.domain.analysis.models import Manifest

HELD_OUT_PHANTOMS = 200
SIZES = ((4, 6), (6, 8), (8, 15), (15, 30), (30, 41))

Score = Callable[[Case], NDArray[np.float64]]
"""One number per candidate of a case: the more, the likelier a nodule."""


def measured(bundle: Path, count: int, workers: int) -> Iterator[dict[str, Case]]:
    """Every held-out phantom in turn, seen by the model, the baseline and the oracle."""
    os.environ["READFIRST_THREADS"] = "1"  # each process has a core of its own
    with multiprocessing.Pool(workers) as pool:
        yield from pool.imap(partial(_measure_one, bundle), range(count))


def by_reader(seen: Sequence[dict[str, Case]]) -> dict[str, list[Case]]:
    """The model's cases, the baseline's and the oracle's."""
    return {name: [case[name] for case in seen] for name in ("model", "baseline", "oracle")}


def _measure_one(bundle: Path, index: int) -> dict[str, Case]:
    slab = make_slab(HELD_OUT, index)
    return {
        "model": by_network(engine_of(bundle), slab), "baseline": by_threshold(slab), "oracle": by_truth(slab),
    }  # fmt: skip


# ---------------------------------------------------------------- numbers


def wilson(hits: int, total: int) -> list[float]:
    """A proportion with its 95 % confidence interval."""
    if total == 0:
        return [0.0, 0.0, 1.0]
    p, z = hits / total, 1.96
    middle, half = p + z * z / (2 * total), z * float(np.sqrt(p * (1 - p) / total + z * z / (4 * total * total)))
    low, high = max(0.0, middle - half), middle + half
    return [round(v, 3) for v in (p, low / (1 + z * z / total), high / (1 + z * z / total))]


def bootstrap(values: Sequence[Any], statistic: Callable[[list[Any]], float], rounds: int = 1000) -> list[float]:
    """A statistic with its 95 % interval over resampled cases."""
    rng = np.random.default_rng(0)
    again = [statistic([values[k] for k in rng.integers(0, len(values), len(values))]) for _ in range(rounds)]
    low, high = np.percentile(again, [2.5, 97.5])
    return [round(float(v), 3) for v in (statistic(list(values)), low, high)]


def auc(pairs: Sequence[tuple[bool, float]]) -> float:
    """The chance that an urgent study scores above one that is not."""
    yes, no = np.array([s for u, s in pairs if u]), np.array([s for u, s in pairs if not u])
    if not len(yes) or not len(no):
        return float("nan")
    return float((yes[:, None] > no).mean() + 0.5 * (yes[:, None] == no).mean())


def sensitivity(cases: Sequence[Case], score: Score, threshold: float, size: tuple[float, float]) -> list[float]:
    """Lesions of a size that a candidate above the threshold hits."""
    hits = total = 0
    for case in cases:
        found = {c.lesion for c, s in zip(case.candidates, score(case), strict=True) if s >= threshold}
        wanted = [k for k, lesion in enumerate(case.lesions) if size[0] <= lesion.diameter < size[1]]
        hits, total = hits + sum(k in found for k in wanted), total + len(wanted)
    return [*wilson(hits, total), total]


def false_alarms(cases: Sequence[Case], score: Score, threshold: float) -> list[float]:
    """Candidates above the threshold that are no lesion, per case."""
    counts = [
        sum(c.lesion < 0 and s >= threshold for c, s in zip(case.candidates, score(case), strict=True))
        for case in cases
    ]
    return bootstrap(counts, lambda v: float(np.mean(v)))


def froc(cases: Sequence[Case], score: Score) -> tuple[list[float], list[float]]:
    """False alarms per case and sensitivity for lesions of 6 mm and more, over all thresholds."""
    scores = sorted({float(s) for case in cases for s in score(case)}, reverse=True)
    points = [scores[k] for k in np.linspace(0, len(scores) - 1, min(60, len(scores))).astype(int)] if scores else []
    alarms, hits = [], []
    for threshold in points:
        wrong = sum(
            c.lesion < 0 and s >= threshold for case in cases for c, s in zip(case.candidates, score(case), strict=True)
        )
        alarms.append(wrong / len(cases))
        hits.append(sensitivity(cases, score, threshold, (6, 99))[0])
    return alarms, hits


def calibration_error(risks: NDArray[np.float64], truth: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error over equally wide bins."""
    place = np.minimum((risks * bins).astype(int), bins - 1)
    gaps = [abs(risks[place == k].mean() - truth[place == k].mean()) * (place == k).mean() for k in set(place)]
    return float(sum(gaps))


def diameter_errors(cases: Sequence[Case], score: Score, threshold: float = 0.5) -> list[float]:
    """By how much the stated longest diameter misses the true (mean) one."""
    errors = [
        abs(c.diameter_mm / case.lesions[c.lesion].diameter - 1) * 100
        for case in cases for c, s in zip(case.candidates, score(case), strict=True) if s >= threshold and c.lesion >= 0
    ]  # fmt: skip
    return [round(float(np.percentile(errors, q)), 1) for q in (50, 90)] if errors else []


def refusals(bundle: Path, seeds: int = 10) -> dict[str, str]:
    """How many pictures of other regions the gate refuses, whatever their header says."""
    engine, grid, answer = engine_of(bundle), Grid(272, 1.5, tuple(2.5 * k for k in range(16))), {}
    for kind in sorted(ELSEWHERE):
        refused = 0
        for seed in range(seeds):
            volume = render_elsewhere(kind, seed, grid)
            hu = np.round(scan(volume.hu, np.random.default_rng(seed), noise=12, blur=0.5)).astype(np.int16)
            seen = to_scene(Slab(hu, volume.labels, (), grid.zs, grid.pixel, (0.0, 0.0)).volume())
            refused += gate(seen, find_lungs(seen), engine.calibration) is not None
        answer[kind] = f"{refused} of {seeds}"
    return answer


def metrics_of(cases: dict[str, list[Case]], calibration: Calibration, threshold: float) -> dict[str, Any]:
    """Everything that the card states."""
    scores = scores_of(calibration)
    model = cases["model"]
    risks = np.array([_risk(calibration, case) for case in model])
    truth = np.array([case.urgent for case in model])
    cut = {"model": threshold, "baseline": 0.0, "oracle": 0.0}
    return {
        "phantoms": len(model),
        "refused by the gate": sum(case.refused for case in model),
        "lesions": sum(len(case.lesions) for case in model),
        "urgent phantoms": int(truth.sum()),
        "urgent means": f"a lesion of at least {URGENT_MM:g} mm",
        "sensitivity by size, mm [share, low, high, lesions]": {
            f"{low}-{high - (high == 41)}": {
                name: sensitivity(cases[name], scores[name], cut[name], (low, high)) for name in cases
            }
            for low, high in SIZES
        },
        "false alarms per phantom [mean, low, high]": {
            name: false_alarms(cases[name], scores[name], cut[name]) for name in cases
        },
        "study risk, area under the curve [value, low, high]": {
            "model": bootstrap(list(zip(truth, risks, strict=True)), auc),
            "baseline": bootstrap([(c.urgent, _largest(c)) for c in cases["baseline"]], auc),
            "oracle": bootstrap([(c.urgent, _largest(c)) for c in cases["oracle"]], auc),
        },
        "study risk, expected calibration error": round(calibration_error(risks, truth), 3),
        "diameter, error in percent [median, 90th percentile]": diameter_errors(model, scores["model"]),
        "dice [mean, low, high]": {
            "lung": bootstrap([case.lung_dice for case in model], lambda v: float(np.mean(v))),
            "nodule": bootstrap(_nodule_dices(model, scores["model"], threshold), lambda v: float(np.mean(v))),
        },
    }  # fmt: skip


def _nodule_dices(cases: Sequence[Case], score: Score, threshold: float) -> list[float]:
    return [
        case.nodule_dice([c for c, s in zip(case.candidates, score(case), strict=True) if s >= threshold])
        for case in cases if case.nodule_voxels
    ]  # fmt: skip


def scores_of(calibration: Calibration) -> dict[str, Score]:
    """How each candidate is scored: by its probability, or (baseline and oracle) by its size."""

    def by_probability(case: Case) -> NDArray[np.float64]:
        return np.array([calibration.probability(c.features) for c in case.candidates])

    def by_size(case: Case) -> NDArray[np.float64]:
        return np.array([c.diameter_mm for c in case.candidates])

    return {"model": by_probability, "baseline": by_size, "oracle": by_size}


def _largest(case: Case) -> float:
    return max((c.diameter_mm for c in case.candidates), default=0.0)


def _risk(calibration: Calibration, case: Case) -> float:
    return float(1 / (1 + np.exp(-(calibration.risk_slope * worry_of(calibration, case) + calibration.risk_bias))))


# ---------------------------------------------------------------- plots


def plot(cases: dict[str, list[Case]], calibration: Calibration, threshold: float, out: Path) -> None:
    """froc.png, calibration.png, sensitivity.png and failures.png."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    scores = scores_of(calibration)
    figure, axes = plt.subplots(figsize=(6, 4.2), layout="constrained")
    for name, colour in (("model", "#0b6e4f"), ("baseline", "#b5651d"), ("oracle", "#8a8f98")):
        alarms, hits = froc(cases[name], scores[name])
        axes.plot(alarms, hits, label=name, color=colour, linewidth=2)
    axes.set(xlabel="false alarms per phantom", ylabel="sensitivity, lesions of 6 mm and more", xscale="symlog")
    axes.set_xlim(0, 20)
    axes.set_ylim(0, 1.02)
    axes.grid(alpha=0.3)
    axes.legend(title="FROC, held-out phantoms")
    figure.savefig(out / "froc.png", dpi=110)
    _plot_calibration(plt, cases["model"], calibration, out)
    _plot_sensitivity(plt, cases["model"], scores["model"], threshold, out)
    _plot_failures(plt, cases["model"], scores["model"], threshold, out)


def _plot_failures(plt: Any, cases: Sequence[Case], score: Score, threshold: float, out: Path) -> None:
    """The largest lesions that were missed, and the surest findings that are none."""
    missed: list[tuple[float, int, str, NDArray[np.float64]]] = []
    wrong: list[tuple[float, int, str, NDArray[np.float64]]] = []
    for index, case in enumerate(cases):
        slab, found = None, set()
        for candidate, share in zip(case.candidates, score(case), strict=True):
            if share >= threshold and candidate.lesion >= 0:
                found.add(candidate.lesion)
            elif share >= threshold and candidate.mask is not None:
                slab = slab or make_slab(HELD_OUT, index)
                step = np.array([slab.volume().spacing, slab.pixel, slab.pixel])
                at = (np.argwhere(candidate.mask.voxels).mean(0) + candidate.mask.start) * step
                wrong.append((float(share), index, f"no lesion, {candidate.diameter_mm:.0f} mm, p {share:.2f}", at))
        for k, lesion in enumerate(case.lesions):
            if k not in found:
                slab = slab or make_slab(HELD_OUT, index)
                text = f"missed: {lesion.diameter:.0f} mm, {lesion.texture}"
                missed.append((lesion.diameter, index, text, slab.in_scene(lesion)))
    figure, axes = plt.subplots(2, 5, figsize=(11, 4.9), layout="constrained")
    for ax in axes.flat:
        ax.axis("off")
    for row, group in enumerate((missed, wrong)):
        for ax, (_, index, text, at) in zip(axes[row], sorted(group, key=lambda g: -g[0]), strict=False):
            slab = make_slab(HELD_OUT, index)
            z = int(np.clip(round(at[0] / slab.volume().spacing), 0, len(slab.hu) - 1))
            ax.imshow(slab.hu[z], cmap="gray", vmin=-1150, vmax=350)
            x, y, reach = at[2] / slab.pixel, at[1] / slab.pixel, 45 / slab.pixel
            ax.set(xlim=(x - reach, x + reach), ylim=(y + reach, y - reach))
            ax.set_title(text, fontsize=8)
    figure.suptitle("Synthetic phantoms, 90 mm wide: the largest misses and the surest false alarms", fontsize=10)
    figure.savefig(out / "failures.png", dpi=90)


def _plot_calibration(plt: Any, cases: Sequence[Case], calibration: Calibration, out: Path) -> None:
    risks = np.array([_risk(calibration, case) for case in cases])
    truth = np.array([case.urgent for case in cases])
    figure, axes = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
    axes.plot([0, 1], [0, 1], "--", color="#8a8f98")
    for k in range(10):
        inside = (risks >= k / 10) & (risks < (k + 1) / 10 + (k == 9))
        if inside.any():
            share, low, high = wilson(int(truth[inside].sum()), int(inside.sum()))
            axes.errorbar(risks[inside].mean(), share, [[share - low], [high - share]], fmt="o", color="#0b6e4f")
    axes.set(xlabel="stated risk", ylabel="urgent phantoms", title="Calibration of the study's risk")
    axes.grid(alpha=0.3)
    figure.savefig(out / "calibration.png", dpi=110)


def _plot_sensitivity(plt: Any, cases: Sequence[Case], score: Score, threshold: float, out: Path) -> None:
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for k, size in enumerate(SIZES):
        share, low, high, total = sensitivity(cases, score, threshold, size)
        axes.bar(k, share, color="#0b6e4f", width=0.6)
        axes.errorbar(k, share, [[share - low], [high - share]], color="#222222", capsize=4)
        axes.text(k, 0.03, f"n={total:.0f}", ha="center", color="white")
    axes.set_xticks(range(len(SIZES)), [f"{a}-{b - (b == 41)} mm" for a, b in SIZES])
    axes.set(ylim=(0, 1.05), ylabel="sensitivity", title=f"Lesions found at probability {threshold:g}")
    figure.savefig(out / "sensitivity.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--phantoms", type=int, default=HELD_OUT_PHANTOMS)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    manifest = Manifest.model_validate_json((options.bundle / "manifest.json").read_text())
    calibration = Calibration.load(options.bundle / "calibration.json")
    seen = []
    for case in measured(options.bundle, options.phantoms, options.workers):
        seen.append(case)
        if len(seen) % 20 == 0:
            sys.stdout.write(f"{len(seen)} of {options.phantoms} held-out phantoms measured\n")
            sys.stdout.flush()
    cases = by_reader(seen)
    threshold = manifest.risk.report_from
    metrics = {
        "model": manifest.version,
        "digest": manifest.digest,
        **metrics_of(cases, calibration, threshold),
        "refused": refusals(options.bundle),
    }
    (options.out / "metrics.json").write_text(json.dumps(metrics) + "\n")
    plot(cases, calibration, threshold, options.out)


if __name__ == "__main__":
    main()
