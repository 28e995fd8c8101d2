"""Simulates reading rooms over a day in Readfirst's order and in first-in-first-out; draws docs/reading-order.svg.

usage: python -m tools.reading_order. The numbers in docs/reading-order.md come from here; a test holds the promise.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles

import numpy as np

from readfirst.domain.reading import due_times
from readfirst.domain.reading.reading_order import Waiting, reading_key

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
# Studies an hour over the day: quiet nights, a morning rush that three readers only work off in the afternoon.
RATE = [3] * 6 + [8, 22, 34, 36, 34, 30, 22, 22, 22, 18, 14, 10] + [6] * 6
READERS = 3
MINUTES_EACH = 7.0
URGENT, STAT = 0.06, 0.1
SENSITIVITY, FALSE_ALARMS = 0.9, 0.05

Key = Callable[["Study", datetime], tuple[object, ...]]


@dataclass(frozen=True)
class Study:
    """One study of the day; `read` is when a reader opened it."""

    id: str
    received: datetime
    due: datetime
    due_without_ai: datetime
    flagged: bool
    urgent: bool
    minutes: float
    read: datetime = MIDNIGHT

    @property
    def wait(self) -> float:
        """Minutes from receipt to the reader's eyes."""
        return (self.read - self.received) / timedelta(minutes=1)


def arrivals(seed: int) -> list[Study]:
    """A day's studies."""
    rng = np.random.default_rng(seed)
    found: list[Study] = []
    for hour, rate in enumerate(RATE):
        for minute in sorted(rng.uniform(0, 60, rng.poisson(rate))):
            received = MIDNIGHT + timedelta(hours=hour, minutes=float(minute))
            urgent = bool(rng.random() < URGENT)
            flagged = bool(rng.random() < (SENSITIVITY if urgent else FALSE_ALARMS))
            priority: due_times.Priority = "stat" if rng.random() < STAT else "routine"
            found.append(
                Study(
                    id=f"{len(found):04d}",
                    received=received,
                    due=due_times.due(received, priority=priority, high_risk=flagged),
                    due_without_ai=due_times.due(received, priority=priority, high_risk=False),
                    flagged=flagged,
                    urgent=urgent,
                    minutes=float(rng.gamma(4, MINUTES_EACH / 4)),
                )
            )
    return found


def in_our_order(study: Study, now: datetime) -> tuple[object, ...]:
    """The worklist's order."""
    return reading_key(Waiting(study.id, study.due, study.flagged), now)


def first_in_first_out(study: Study, now: datetime) -> tuple[object, ...]:
    """The order of receipt."""
    return (study.received,)


def read(studies: Sequence[Study], key: Key) -> list[Study]:
    """The same studies, each with the moment at which a reader who was free took it as the first of the list."""
    free = [MIDNIGHT] * READERS
    coming = sorted(studies, key=lambda s: s.received)
    waiting: list[Study] = []
    done: list[Study] = []
    while coming or waiting:
        now = heapq.heappop(free)
        if not waiting and coming:
            now = max(now, coming[0].received)
        while coming and coming[0].received <= now:
            waiting.append(coming.pop(0))
        chosen = min(waiting, key=lambda s: key(s, now))
        waiting.remove(chosen)
        done.append(replace(chosen, read=now))
        heapq.heappush(free, now + timedelta(minutes=chosen.minutes))
    return sorted(done, key=lambda s: s.id)


def late(study: Study) -> bool:
    """Whether the study was read after the time at which it would have been due without any AI."""
    return study.read > study.due_without_ai


def figures(ours: Sequence[Study], fifo: Sequence[Study]) -> list[tuple[str, float, float]]:
    """What the table shows: (what, first in first out, Readfirst)."""

    def of(studies: Sequence[Study], which: Callable[[Study], bool]) -> list[float]:
        return [s.wait for s in studies if which(s)]

    def rows(name: str, which: Callable[[Study], bool]) -> list[tuple[str, float, float]]:
        a, b = of(fifo, which), of(ours, which)
        return [
            (f"{name}: median wait, min", median(a), median(b)),
            (f"{name}: 95th percentile, min", quantiles(a, n=20)[-1], quantiles(b, n=20)[-1]),
        ]

    return [
        *rows("truly urgent", lambda s: s.urgent),
        *rows("flagged as high risk", lambda s: s.flagged),
        *rows("not flagged", lambda s: not s.flagged),
        ("not flagged, read after they were due", sum(late(s) for s in fifo if not s.flagged),
         sum(late(s) for s in ours if not s.flagged)),
    ]  # fmt: skip


def plot(ours: Sequence[Study], fifo: Sequence[Study], longest: float = 180.0) -> str:
    """The share of studies that were read within a time, as SVG."""
    width, height, left, top = 640, 300, 52, 20
    lines = [
        ("high risk, Readfirst", "#d97706", "", [s.wait for s in ours if s.flagged]),
        ("high risk, first in first out", "#d97706", "6 4", [s.wait for s in fifo if s.flagged]),
        ("not flagged, Readfirst", "#2563eb", "", [s.wait for s in ours if not s.flagged]),
        ("not flagged, first in first out", "#2563eb", "6 4", [s.wait for s in fifo if not s.flagged]),
    ]

    def path(waits: Sequence[float]) -> str:
        shares = [(min(w, longest), (i + 1) / len(waits)) for i, w in enumerate(sorted(waits))]
        points = [f"{left + w / longest * width:.1f},{top + (1 - share) * height:.1f}" for w, share in shares]
        return "M" + " L".join(points)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 20} {top + height + 110}" '
        'font-family="sans-serif" font-size="12" fill="#64748b">',
        f'<path d="M{left},{top}V{top + height}H{left + width}" fill="none" stroke="#94a3b8"/>',
    ]
    for share in (0, 25, 50, 75, 100):
        y = top + (1 - share / 100) * height
        parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{share} %</text>')
    for minutes in range(0, int(longest) + 1, 30):
        x = left + minutes / longest * width
        parts.append(f'<text x="{x}" y="{top + height + 18}" text-anchor="middle">{minutes} min</text>')
    for number, (name, colour, dash, waits) in enumerate(lines):
        stroke = f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        y = top + height + 40 + 18 * number
        parts.append(f'<path d="{path(waits)}" {stroke}/><path d="M{left},{y}h34" {stroke}/>')
        parts.append(f'<text x="{left + 44}" y="{y + 4}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def table(rows: Sequence[tuple[str, float, float]]) -> str:
    """The figures as Markdown."""
    lines = ["| | first in first out | Readfirst |", "|---|---:|---:|"]
    return "\n".join([*lines, *(f"| {what} | {a:.0f} | {b:.0f} |" for what, a, b in rows)]) + "\n"


def main() -> None:
    """Draws the plot and writes the table between the page's marks."""
    docs = Path(__file__).parents[1] / "docs"
    day = arrivals(1)
    ours, fifo = read(day, in_our_order), read(day, first_in_first_out)
    (docs / "reading-order.svg").write_text(plot(ours, fifo))
    page = docs / "reading-order.md"
    before, rest = page.read_text().split("<!-- figures -->\n", 1)
    after = rest.split("<!-- /figures -->", 1)[1]
    page.write_text(f"{before}<!-- figures -->\n{table(figures(ours, fifo))}<!-- /figures -->{after}")


if __name__ == "__main__":
    main()
