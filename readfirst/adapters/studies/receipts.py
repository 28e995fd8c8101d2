"""A study's papers in the studies account: receipts and facts, orders, results, and the record."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pydantic import ValidationError

from readfirst.adapters import blobs, clients, secrets
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.analysis.findings import Analysis
from readfirst.domain.analysis.messages import AnalysisRequest, Progress
from readfirst.domain.blob_paths import BatchFacts, RefusedFile
from readfirst.domain.deid import Receipt, ReceiptBatch, verify
from readfirst.domain.faults import Fault
from readfirst.domain.instance_facts import InstanceFacts
from readfirst.domain.reading.alert_email import finding_of
from readfirst.domain.routing.routes import Routed

_PARALLEL = 8


@dataclass(frozen=True)
class Receipted:
    """The clean instances of a study that a valid receipt covers, each once, and what was refused."""

    patient: str
    instances: tuple[InstanceFacts, ...]
    refused: tuple[RefusedFile, ...]
    receipts: tuple[str, ...]
    copies: int = 0  # files that said the same as one that counts
    series: Mapping[str, str] = field(default_factory=dict)  # clean UID -> token in the ledger
    released: frozenset[str] = frozenset()  # arrivals that a person released: other arrivals took their place


class UnsignedReceipts(Fault):
    """A receipts blob whose signature does not verify: someone wrote it who is not the de-identification."""


def receipted(token: str, run: int) -> Receipted:
    """Reads every batch of the runs up to `run`. An instance counts only if a signed receipt holds its file's digest.

    Later runs do not count: what a run reports is what it had analysed, however fast the next one is.
    Raises UnsignedReceipts where a signature does not verify.
    """
    container = clients.container(resource_names.STUDIES, resource_names.CLEAN)
    receipts = tuple(n for n in blobs.names(container, f"{token}/receipts/") if blob_paths.run_of(n) <= run)

    def fetch(name: str) -> tuple[BatchFacts, dict[str, str]]:
        batch = ReceiptBatch.model_validate_json(_present(blobs.read(container, name)))
        if not verify(batch, secrets.receipt_keys(batch.key_id)):
            raise UnsignedReceipts
        facts = BatchFacts.model_validate_json(
            _present(blobs.read(container, name.replace("/receipts/", "/facts/", 1)))
        )
        originals = {receipt.output_digest: receipt.input_digest for receipt in batch.receipts}
        covered = tuple(i for i in facts.instances if i.digest in originals)
        return facts.model_copy(update={"instances": covered}), originals

    with ThreadPoolExecutor(_PARALLEL) as pool:
        fetched = list(pool.map(fetch, receipts))
    batches = [facts for facts, _ in fetched]
    found = blob_paths.counted(batches, {digest: original for _, each in fetched for digest, original in each.items()})
    released = {arrival for facts in batches for arrival in facts.released}
    return Receipted(
        patient=next((facts.patient for facts in batches if facts.patient), ""),
        instances=found.instances,
        refused=tuple(r for facts in batches for r in facts.refused if r.arrival not in released) + found.replaced,
        receipts=receipts,
        copies=found.copies,
        series={uid: token for facts in batches for uid, token in facts.series.items()},
        released=frozenset(released),
    )


def receipts(token: str) -> list[Receipt]:
    """What de-identification did to each file of a study, as it is written. For people: signatures are not checked."""
    container = clients.container(resource_names.STUDIES, resource_names.CLEAN)
    found = list(blobs.names(container, f"{token}/receipts/"))
    with ThreadPoolExecutor(_PARALLEL) as pool:
        batches = pool.map(
            lambda name: ReceiptBatch.model_validate_json(_present(blobs.read(container, name))).receipts, found
        )
        return [receipt for batch in batches for receipt in batch]


def order(work: AnalysisRequest) -> None:
    """Writes the order that the job reads."""
    container = clients.container(resource_names.STUDIES, resource_names.CLEAN)
    blobs.put(
        container, blob_paths.order_path(work.token, work.run_key), work.model_dump_json().encode(), "application/json"
    )


def ordered(token: str, run_key: str) -> AnalysisRequest | None:
    """What the job was asked to read, if it was asked."""
    data = blobs.read(
        clients.container(resource_names.STUDIES, resource_names.CLEAN), blob_paths.order_path(token, run_key)
    )
    return AnalysisRequest.model_validate_json(data) if data else None


def result(token: str, run_key: str) -> Analysis | None:
    """An analysis' result, if it is there."""
    data = blobs.read(
        clients.container(resource_names.STUDIES, resource_names.ANALYSIS), blob_paths.result_path(token, run_key)
    )
    return Analysis.model_validate_json(data) if data else None


def progress(token: str, run_key: str) -> Progress | None:
    """What the job wrote last of how far it is, if it has begun. A job of another version may write what we cannot
    read: that is shown as no progress, and no list fails for it."""
    data = blobs.read(
        clients.container(resource_names.STUDIES, resource_names.ANALYSIS), blob_paths.progress_path(token, run_key)
    )
    try:
        return Progress.model_validate_json(data) if data else None
    except ValidationError:
        return None


def note_trouble(token: str, run: int, trouble: str) -> None:
    """Keeps what the watchdog has found wrong with a run's job: a report that it is late names it."""
    container = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    blobs.put(container, blob_paths.trouble_path(token, run), trouble.encode(), "text/plain")


def trouble(token: str, run: int) -> str:
    """What `note_trouble` kept last; empty where nothing was wrong."""
    data = blobs.read(
        clients.container(resource_names.STUDIES, resource_names.ANALYSIS), blob_paths.trouble_path(token, run)
    )
    return data.decode() if data else ""


def note_routing(token: str, run: int, routed: Routed) -> None:
    """Keeps which models a run's study gets: the last plan counts, as its orders do."""
    container = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    blobs.put(container, blob_paths.routing_path(token, run), routed.model_dump_json().encode(), "application/json")


def routing(token: str, run: int) -> Routed | None:
    """What `note_routing` kept last; None for a run that was planned before there were routes, or not yet."""
    data = blobs.read(
        clients.container(resource_names.STUDIES, resource_names.ANALYSIS), blob_paths.routing_path(token, run)
    )
    return Routed.model_validate_json(data) if data else None


def alerted(token: str) -> list[str]:
    """The kinds of finding that an alert was sent for."""
    container = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    letters = (name.removesuffix(".json") for name in blobs.names(container, f"{token}/alerts/"))
    return list(dict.fromkeys(finding_of(letter) for letter in letters))


def _present(data: bytes | None) -> bytes:
    if data is None:
        raise FileNotFoundError("a study's paper is not there")
    return data
