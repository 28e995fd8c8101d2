"""What a deployment costs a month in Azure: fixed prices, polling while idle, and studies.

An estimate from list prices (prices.json, dated, with sources) and counted operations, to compare profiles and to see
what a change costs. It is no quote: prices differ by region and contract.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Profile = Literal["student", "clinic", "hospital"]
Kind = Literal["fixed", "idle", "studies"]
Basis = Literal["counted", "measured", "estimated"]
PROFILES: tuple[Profile, ...] = ("student", "clinic", "hospital")
_SECONDS_A_MONTH = 2_628_000  # 365 days / 12
_POLL_SECONDS = 10  # the platform looks at a queue about so often while no instance runs

# What is billed by the month, whatever comes: counted in the evaluated deployment by a test.
FIXED: dict[Profile, dict[str, int]] = {
    "student": {"metric-alert": 4},
    "clinic": {
        "metric-alert": 4,
        "log-alert-15": 8,
        "log-alert-5": 1,
        "registry-basic": 1,
        "portal-standard": 1,
    },
    "hospital": {
        "metric-alert": 4,
        "log-alert-15": 8,
        "log-alert-5": 1,
        "registry-premium": 1,
        "portal-standard": 1,
        "private-endpoint": 18,
        "dns-zone": 11,
        "nat-gateway": 1,
        "public-address": 1,
        "network-job": 1,
    },
}
KEYS: dict[Profile, int] = {"student": 2, "clinic": 2, "hospital": 3}  # each rotated twice a year
PARTITIONS: dict[Profile, int] = {"student": 1, "clinic": 2, "hospital": 4}
TRIGGERS = 8  # queues that wake an app
_JOB: dict[Profile, tuple[int, int, str]] = {  # vCPU, GiB, price of the GPU
    "student": (4, 8, ""),
    "clinic": (8, 56, "gpu-t4"),
    "hospital": (24, 220, "gpu-a100"),
}
_JOB_SECONDS: dict[Profile, float] = {"student": 60, "clinic": 20, "hospital": 12}  # one study, in a burst
# Storage operations of a study, per file and per study: `python -m tools.count_operations` on 2026-11-22.
_WRITES, _WRITES_ONCE = 5.5, 95
_READS, _READS_ONCE = 8.9, 29
_LOOKS = 1.0  # reads per file when one person leafs through it
_COLD_START_SECONDS = 90
_BURST = 5  # studies that share a cold start
MEGABYTES_A_FILE = 0.5  # an uncompressed CT slice


@dataclass(frozen=True)
class Price:
    """One list price in US dollars. `free` units a month cost nothing; `filter` finds it in the retail price list."""

    what: str
    usd: float
    per: str
    free: float
    source: str
    filter: str
    seen: str = ""  # a dated public page that says the same; empty: recalled and not found again


@dataclass(frozen=True)
class Line:
    """One line of the estimate."""

    kind: Kind
    price: str
    what: str
    quantity: float
    per: str
    usd: float
    basis: Basis  # of the quantity: counted in the evaluated deployment, measured on the local stack, or estimated


@dataclass(frozen=True)
class Study:
    """A typical study: a chest CT of 300 files and 150 MB."""

    files: int = 300
    megabytes: float = 150
    job_seconds: float | None = None  # None: what the profile's hardware takes
    mails: float = 0.15  # one study in seven is an alert


@cache
def prices() -> dict[str, Price]:
    """The price table."""
    return {name: Price(**row) for name, row in _table()["prices"].items()}


def as_of() -> str:
    """The year in which the prices were known."""
    return str(_table()["as_of"])


def estimate(profile: Profile, studies: int, *, clinics: int = 1, study: Study | None = None) -> list[Line]:
    """The month's lines, largest first within fixed, idle and studies. Free amounts are used by idle work first."""
    left = {name: price.free for name, price in prices().items()}
    lines = []
    for kind, name, quantity in _quantities(profile, studies, clinics, study or Study()):
        price = prices()[name]
        free = min(left[name], quantity)
        left[name] -= free
        usd = (quantity - free) * price.usd
        lines.append(Line(kind, name, price.what, quantity, price.per, usd, _basis(kind, name)))
    order = {"fixed": 0, "idle": 1, "studies": 2}
    return sorted(lines, key=lambda line: (order[line.kind], -line.usd, line.price))


def of_study(profile: Profile, files: int, job_seconds: float, *, alerted: bool) -> list[Line]:
    """What one study cost, largest first, without the month's free amounts. A study that no job looked at paid none."""
    study = Study(files, files * MEGABYTES_A_FILE, job_seconds, float(alerted))
    lines = (
        Line("studies", name, price.what, quantity, price.per, quantity * price.usd, _basis("studies", name))
        for kind, name, quantity in _studies(profile, 1, study)
        if quantity and (price := prices()[name])
    )
    return sorted(lines, key=lambda line: (-line.usd, line.price))


def fixed(profile: Profile) -> float:
    """What a month costs whatever comes: fixed prices and polling."""
    return total(estimate(profile, 0))


def _basis(kind: Kind, price: str) -> Basis:
    if kind == "fixed":
        return "counted"
    return "measured" if kind == "studies" and price in ("blob-write", "blob-read") else "estimated"


def total(lines: list[Line], *kinds: Kind) -> float:
    """The sum of some kinds of lines, of all where none is named."""
    return sum(line.usd for line in lines if not kinds or line.kind in kinds)


def _quantities(profile: Profile, studies: int, clinics: int, study: Study) -> Iterator[tuple[Kind, str, float]]:
    for name, count in FIXED[profile].items():
        yield "fixed", name, count
    yield "fixed", "key-rotation", KEYS[profile] * 2 / 12
    yield from _idle(profile, clinics)
    if studies:
        yield from _studies(profile, studies, study)


def _idle(profile: Profile, clinics: int) -> Iterator[tuple[Kind, str, float]]:
    queues = TRIGGERS + PARTITIONS[profile] + 1  # the task hub has one queue of work items more
    yield "idle", "queue-operation", queues * _SECONDS_A_MONTH / _POLL_SECONDS
    looks = _SECONDS_A_MONTH / 900  # the reconciler
    yield "idle", "blob-write", looks * clinics + 30 * 3  # a listing of each inbox; three daily timers
    yield "idle", "flex-executions", looks + 30 * 3
    yield "idle", "flex-gbs", (looks + 30 * 3) * 2 * 1  # 2 GB, a second at least
    yield "idle", "log-gb", 0.5


def _studies(profile: Profile, studies: int, study: Study) -> Iterator[tuple[Kind, str, float]]:
    count, gigabytes = studies * study.files, studies * study.megabytes / 1024
    cpu, memory, gpu = _JOB[profile]
    worked = _JOB_SECONDS[profile] if study.job_seconds is None else study.job_seconds
    seconds = studies * (worked + _COLD_START_SECONDS / _BURST) if worked else 0
    yield "studies", "vcpu", seconds * cpu
    yield "studies", "gib", seconds * memory
    if gpu:
        yield "studies", gpu, seconds
    yield "studies", "blob-write", count * _WRITES + studies * _WRITES_ONCE
    yield "studies", "blob-read", count * (_READS + _LOOKS) + studies * _READS_ONCE
    if "private-endpoint" in FIXED[profile]:  # in, read, clean copy, job, viewer
        yield "studies", "private-link-gb", gigabytes * 5
    yield "studies", "blob-gb", gigabytes * 2 + gigabytes * 0.1  # original and clean copy for a month, results
    yield "studies", "queue-operation", count * 3 + studies * 400
    yield "studies", "event", count * 2
    yield "studies", "flex-executions", count + studies * 40
    yield "studies", "flex-gbs", (count * 0.25 + studies * 30) * 2
    yield "studies", "cosmos-ru", studies * 600
    yield "studies", "vault-operation", studies * 10
    yield "studies", "email", studies * study.mails
    yield "studies", "log-gb", studies * 0.0005


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads((files(__package__) / "prices.json").read_text())
    return table
