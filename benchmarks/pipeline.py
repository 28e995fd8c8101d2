"""How fast the pipeline is, measured on a stack of its own: one large study, and many small ones at once."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from statistics import median

import psutil

from readfirst.local.phantom import write_phantom_study
from readfirst.local.stack import Stack
from readfirst.local.watching import Progress, longest_history, token_of, wait_for

CLINIC = "lakeside"
_PATIENCE = 600.0


@dataclass(frozen=True)
class Result:
    """One load: how many files, and per stage when it was reached (seconds since the upload began).

    `memory` is the peak of resident memory per process in MB, `history` the longest history in events.
    """

    what: str
    files: int
    megabytes: float
    stages: dict[str, float]
    memory: dict[str, float]
    history: int


@dataclass
class Memory:
    """The peak resident memory of the host and of the job, sampled."""

    peaks: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Samples until the block ends."""
        over = threading.Event()
        thread = threading.Thread(target=self._sample, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _sample(self, over: threading.Event) -> None:
        while not over.wait(0.3):
            for process in psutil.Process().children(recursive=True):
                try:
                    command, used = " ".join(process.cmdline()), process.memory_info().rss / 1e6
                except psutil.Error:
                    continue  # it ended between listing and looking
                for name, mark in (("host", "readfirst.local.host"), ("job", "model_container")):
                    if mark in command:
                        self.peaks[name] = max(self.peaks.get(name, 0.0), used)


def pipeline(files: int = 600, studies: int = 20) -> list[Result]:
    """Runs both loads: one study of `files` files, then `studies` studies of 24 files at once."""
    with tempfile.TemporaryDirectory(prefix="readfirst-bench-") as folder:
        root = Path(folder)
        with Stack(root / "state", "auto", settings={"SETTLE_SECONDS": "2"}) as stack:
            os.environ.update(stack.environment)
            large = [(root / "large", files, 0.6)]
            small = [(root / f"small-{i}", 24, 2.5) for i in range(studies)]
            return [
                _load(stack, f"1 study of {files} files", large, 1),
                _load(stack, f"{studies} studies of 24 files at once", small, 101),
            ]


def _load(stack: Stack, what: str, wanted: list[tuple[Path, int, float]], seed: int) -> Result:
    from readfirst.adapters.uploads.clinic_urls import clinic_urls
    from readfirst.upload_client import files_under, send

    planted = [
        write_phantom_study(folder, seed=seed + i, size=256, slices=slices, spacing=spacing)
        for i, (folder, slices, spacing) in enumerate(wanted)
    ]
    tokens = [token_of(CLINIC, identity["study uid"]) for identity in planted]
    inbox = clinic_urls(CLINIC, timedelta(hours=2)).inbox
    files = [list(files_under([folder])) for folder, _, _ in wanted]
    reached: list[dict[str, float]] = [{} for _ in tokens]
    memory = Memory()
    with memory.watched(), ThreadPoolExecutor(max(4, len(tokens))) as pool:
        began = time.monotonic()
        sending = [pool.submit(send, inbox, some) for some in files]
        followed = [pool.submit(_follow, t, len(f), began, r) for t, f, r in zip(tokens, files, reached, strict=True)]
        sent = [one.result() for one in sending]
        uploaded = time.monotonic() - began
        for one in followed:
            one.result()
    stages = {stage: median(r[stage] for r in reached) for stage in reached[0]}
    return Result(
        what=what,
        files=sum(s.files for s in sent),
        megabytes=sum(s.bytes for s in sent) / 1e6,
        stages={"uploaded": uploaded, **stages, "all reported": max(r["reported"] for r in reached)},
        memory=memory.peaks,
        history=max(longest_history(stack, token) for token in tokens),
    )


def _follow(token: str, files: int, began: float, reached: dict[str, float]) -> None:
    def seen(progress: Progress) -> None:
        now = time.monotonic() - began
        if progress.arrived >= files:
            reached.setdefault("all received", now)
        for stage, done in progress.reached().items():
            if done and stage != "received":
                reached.setdefault(stage, now)

    wait_for(token, lambda p: p.record is not None, patience=_PATIENCE, seen=seen, every=1.0)
