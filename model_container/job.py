"""The GPU job: drains its two queues, stat before routine, until nothing has come for a while: one start, a burst.

Outputs are written first, then `result.json`, then the answer, and only then is the message deleted: killed anywhere,
the work is done again or found done. Expected refusals answer at once; faults are tried three times, and those of a
service that is away until it is back.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_container.analyse import Clock, analyse, calm_collector, decode, out_of_scope, peak_memory_mb
from model_container.engines.engine import Engine, ModelFailed, OutOfScope, where
from model_container.engines.registry import MODELS, ModelRegistry, NotApproved
from model_container.images.volume import Volume
from model_container.storage import LeasedMessage, Studies, is_away, number
from readfirst.domain import blob_paths
from readfirst.domain.analysis import messages
from readfirst.domain.analysis.findings import Analysis
from readfirst.domain.analysis.messages import AnalysisRequest, InferenceAnswer, InferenceRequest
from readfirst.domain.analysis.models import Manifest
from readfirst.domain.analysis.series_selection import Selection, run_key
from readfirst.domain.analysis.turns import Turns
from readfirst.domain.deid import ReceiptBatch
from readfirst.domain.faults import Fault
from readfirst.domain.instance_facts import InstanceFacts
from readfirst.domain.routing.changes import as_deployed, history_of
from readfirst.domain.routing.routes import Routes

TRIES = 3
_OUTAGE_LEASES = 5  # for which a request waits where storage was away at each of its tries
_DOWNLOADS = 8
_NAME = "[0-9a-f]{32}"  # of a study and of a run
_GRACE_SECONDS = 20.0  # of the 30 that Container Apps leaves between SIGTERM and SIGKILL


class CannotAnalyse(Fault):
    """The order can never be carried out; trying again does not help. The message holds no content."""


@dataclass
class Prepared:
    """A request whose pixels are here, decoded while another study was being analysed."""

    held: LeasedMessage
    request: InferenceRequest
    clock: Clock = field(default_factory=Clock)
    known: Analysis | None = None  # the work was done before
    order: AnalysisRequest | None = None
    manifest: Manifest | None = None
    engine: Engine | None = None
    volume: Volume | OutOfScope | None = None
    fault: Exception | None = None


class Job:
    """One execution."""

    def __init__(self, studies: Studies, shelf: ModelRegistry, idle_seconds: float) -> None:
        self.studies, self.shelf, self.idle_seconds = studies, shelf, idle_seconds
        self.stopping = threading.Event()
        self.turns = Turns()

    def run(self) -> None:
        """Works until idle or told to stop; the next study is fetched and decoded while this one is analysed."""
        with ThreadPoolExecutor(1) as ahead:
            prepared = self._wait_for_one()
            while prepared:
                following: Future[Prepared | None] | None = None
                if prepared.held.tries == 1:  # one that came back may kill us: no other shall count that as a try
                    following = ahead.submit(self.prepare_next)
                self.carry_out(prepared)
                prepared = (following.result() if following else None) or self._wait_for_one()
                prepared = prepared and self._after_stat(prepared)
                if prepared and self.stopping.is_set():
                    self.studies.give_back(prepared.held)
                    prepared = None
        self.studies.close()

    def stop(self, *_: Any) -> None:
        """SIGTERM: finish what can be finished in time, give back the rest."""
        self.stopping.set()
        timer = threading.Timer(_GRACE_SECONDS, self._give_up)
        timer.daemon = True
        timer.start()

    def _give_up(self) -> None:
        self.studies.give_all_back()
        os._exit(143)

    def _after_stat(self, prepared: Prepared) -> Prepared:
        """Carries out the stat requests that came while a routine one was made ready. Returns what comes next."""
        while prepared.held.queue != "stat" and (urgent := self._prepare(self._take_stat)):
            if urgent.held.tries > 1:  # it may kill us: what is ready goes first
                prepared, urgent = urgent, prepared
            self.carry_out(urgent)
        return prepared

    def _wait_for_one(self) -> Prepared | None:
        deadline = time.monotonic() + self.idle_seconds
        while not self.stopping.is_set():
            prepared = self.prepare_next()
            if prepared:
                return prepared
            if time.monotonic() >= deadline:
                return None
            self.stopping.wait(min(1.0, max(0.05, self.idle_seconds / 10)))
        return None

    # ------------------------------------------------------------ before the GPU

    def prepare_next(self) -> Prepared | None:
        """Takes the next request and brings its pixels here; faults wait in the answer."""
        return self._prepare(self._take)

    def _take(self) -> LeasedMessage | None:
        first, second = self.turns.order()
        return self.studies.take(first) or self.studies.take(second)

    def _take_stat(self) -> LeasedMessage | None:
        return self.studies.take("stat") if self.turns.overtaking_allowed() else None

    def _prepare(self, take: Callable[[], LeasedMessage | None]) -> Prepared | None:
        while not self.stopping.is_set() and (held := take()):
            self.studies.beat()
            try:
                request = InferenceRequest.model_validate_json(held.content)
                if not all(re.fullmatch(_NAME, name) for name in (request.token, request.run_key)):
                    raise ValueError("names that are not digests could hold anything, and would be logged")
            except ValueError:  # no base64, no text, no JSON, no request
                log(event="unreadable-request", tries=held.tries)  # nobody waits for an answer that can be found
                self.studies.finish(held)
                continue
            prepared = Prepared(held, request)
            try:
                self._fetch(prepared)
            except Exception as error:  # carried to the main thread, which decides between again and never
                prepared.fault = error
            return prepared
        return None

    def _fetch(self, prepared: Prepared) -> None:
        request = prepared.request
        done = self.studies.read_analysis(blob_paths.result_path(request.token, request.run_key))
        if done is not None:
            prepared.known = Analysis.model_validate_json(done)
            return
        if prepared.held.tries > TRIES:
            raise CannotAnalyse(f"gave-up: {TRIES} executions ended while they worked on it")
        text = self.studies.read_clean(request.order)
        if text is None:
            raise CannotAnalyse("no-order: the order is not there")
        prepared.order = order = AnalysisRequest.model_validate_json(text)
        if (order.token, order.run_key) != (request.token, request.run_key):
            raise CannotAnalyse("wrong-order: the order is for other work")
        ordered = Selection(order.series_uid, order.instances, 0.0, order.missing)
        if run_key(ordered, order.model_digest) != order.run_key:
            raise CannotAnalyse("wrong-order: the order was changed after it was given")
        progress = Progress(self.studies, order)
        with ThreadPoolExecutor(1) as beside:  # the model is loaded while the pixels come
            loading = beside.submit(self._load, order.model_digest)
            with prepared.clock.stage("download"):
                progress("download", 0.0)
                self._check_receipts(order)
                contents = self._download(order)
            with prepared.clock.stage("decode"):
                progress("decode", 0.1)
                prepared.volume = decode(order.instances, contents)
            try:
                prepared.manifest, prepared.engine = loading.result()
            except NotApproved as error:
                raise CannotAnalyse(f"model-not-approved: {error}") from error
            except ModelFailed as error:  # it will not load the next time either
                raise CannotAnalyse(f"model-failed: {error}") from error

    def _load(self, digest: str) -> tuple[Manifest, Engine]:
        """The model, if two persons have activated it: a study keeps the models that it was planned with. Where nobody
        has changed what runs, every approved model is as active as its routes make it."""
        if kept := self.studies.model_changes():
            history = history_of(kept, as_deployed((), Routes()))
            if not history.was_active(digest):
                raise NotApproved(f"model {digest[:12]} was never activated: two persons do that")
        return self.shelf.load(digest)

    def _check_receipts(self, order: AnalysisRequest) -> None:
        """No receipt, no inference: a receipt must hold the digest of every instance."""
        covered: set[tuple[str, str]] = set()
        for name in order.receipts:
            text = self.studies.read_clean(name)
            if text is None:
                raise CannotAnalyse("no-receipt: a receipt is not there")
            batch = ReceiptBatch.model_validate_json(text)
            if batch.token != order.token:
                raise CannotAnalyse("no-receipt: a receipt is for another study")
            covered |= {(receipt.sop_uid, receipt.output_digest) for receipt in batch.receipts}
        wanted = {(i.sop_uid, i.digest) for i in order.instances}
        if bare := wanted - covered:
            raise CannotAnalyse(f"no-receipt: {len(bare)} of {len(wanted)} instances have none")

    def _download(self, order: AnalysisRequest) -> dict[str, bytes]:
        """The instances' files by path: an enhanced file, which holds many slices, comes once."""

        def fetch(instance: InstanceFacts) -> bytes:
            content = self.studies.read_clean(instance.path)
            if content is None:
                raise CannotAnalyse("instance-missing: a clean instance is not there")
            if hashlib.sha256(content).hexdigest() != instance.digest:
                raise CannotAnalyse("digest-mismatch: a clean instance is not what its receipt says")
            return content

        with ThreadPoolExecutor(_DOWNLOADS) as pool:
            files = {instance.path: instance for instance in order.instances}
            return dict(zip(files, pool.map(fetch, files.values()), strict=True))

    # ------------------------------------------------------------ the work

    def carry_out(self, prepared: Prepared) -> None:
        """Analyses, writes, answers, deletes; in that order."""
        self.turns.begun(prepared.held.queue)
        try:
            if prepared.fault:
                raise prepared.fault
            result = prepared.known or self._analyse(prepared)
            self._answer(prepared, result.outcome, result.reason)
            _log_study(prepared, result)
        except Exception as error:  # a study's fault must not end the others' work; it is answered or tried again
            self._failed(prepared, error)

    def _analyse(self, prepared: Prepared) -> Analysis:
        order, manifest, engine, volume = prepared.order, prepared.manifest, prepared.engine, prepared.volume
        if order is None or manifest is None or engine is None or volume is None:
            raise RuntimeError("the request was not prepared")
        folder = f"{order.token}/{order.run_key}"
        if isinstance(volume, OutOfScope):
            result = out_of_scope(order, manifest, f"{volume.code}: {volume.text}", prepared.clock, engine.device)
        else:

            def put(name: str, content: bytes, content_type: str) -> str:
                self.studies.write(f"{folder}/{name}", content, content_type)
                return f"{folder}/{name}"

            progress = Progress(self.studies, order)
            result = analyse(order, volume, manifest, engine, put, progress, prepared.clock)
            progress("done", 1.0)
        name = blob_paths.result_path(order.token, order.run_key)
        if not self.studies.write_once(name, result.model_dump_json().encode(), "application/json"):
            kept = self.studies.read_analysis(name)  # another execution was faster: its result is the truth
            if kept is None:
                raise OSError("a result was there, and is gone")
            return Analysis.model_validate_json(kept)
        return result

    def _answer(self, prepared: Prepared, outcome: Any, detail: str) -> None:
        request = prepared.request
        if not self.studies.renew(prepared.held):
            log(event="taken-over", token=request.token, run_key=request.run_key)  # who has it now will answer
            return
        self.studies.answer(
            InferenceAnswer(
                token=request.token, run_key=request.run_key, instance=request.instance, outcome=outcome, detail=detail
            )
        )
        self.studies.finish(prepared.held)

    def _failed(self, prepared: Prepared, error: Exception) -> None:
        last, away = prepared.held.tries >= TRIES, is_away(error)
        final = isinstance(error, CannotAnalyse) or (last and not away)
        # A library's message may quote a file; only our own are known to hold no content.
        detail = str(error) if isinstance(error, CannotAnalyse | ModelFailed) else f"fault: {type(error).__name__}"
        log(
            event="study", token=prepared.request.token, run_key=prepared.request.run_key,
            outcome="failed" if final else "again", detail=detail, tries=prepared.held.tries,
            where=where(error), seconds=prepared.clock.seconds,
        )  # fmt: skip
        if final:
            self._answer(prepared, "failed", detail)
        elif last:  # an outage costs a study time, never its result; the GPU is let go meanwhile
            self.studies.put_off(prepared.held, self.studies.lease_seconds * _OUTAGE_LEASES)
        else:
            self.studies.give_back(prepared.held, self.studies.lease_seconds // 12 * prepared.held.tries)


class Progress:
    """Writes how far an analysis is, at most once a second, for the portal."""

    def __init__(self, studies: Studies, order: AnalysisRequest) -> None:
        self.studies, self.last = studies, 0.0
        self.name = blob_paths.progress_path(order.token, order.run_key)

    def __call__(self, stage: Any, share: float) -> None:
        now = time.monotonic()
        if now - self.last < 1.0 and share < 1.0:
            return
        self.last = now
        self.studies.beat()
        told = messages.Progress(stage=stage, share=round(share, 3), at=_now())
        self.studies.mention(self.name, told.model_dump_json().encode(), "application/json")


def log(**facts: object) -> None:
    """One structured line. Facts only: no content, no identifier, no name of a file."""
    sys.stdout.write(json.dumps({"at": _now(), **facts}) + "\n")
    sys.stdout.flush()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _log_study(prepared: Prepared, result: Analysis) -> None:
    log(
        event="study", token=result.token, run_key=result.run_key, outcome=result.outcome,
        known=prepared.known is not None, findings=len(result.findings), slices=result.slices,
        seconds=result.seconds if prepared.known is None else {}, device=result.device,
        peak_memory_mb=peak_memory_mb(), tries=prepared.held.tries,
    )  # fmt: skip


def main(studies: Studies, environment: Mapping[str, str] = os.environ) -> None:
    """Runs one execution."""
    logging.disable(logging.WARNING)  # libraries quote the values that they warn of; this job logs facts only
    warnings.simplefilter("ignore")
    calm_collector()
    shelf = ModelRegistry(Path(environment.get("MODEL_DIR") or MODELS))
    job = Job(studies, shelf, number(environment, "IDLE_SECONDS", 20, 0, 24 * 3600))
    signal.signal(signal.SIGTERM, job.stop)
    signal.signal(signal.SIGINT, job.stop)
    started = time.monotonic()
    log(event="started")
    job.run()
    log(event="ended", stopped=job.stopping.is_set(), seconds=round(time.monotonic() - started, 1))
