"""De-identify: every file of a run becomes a clean copy, a sealed identity and a receipt, or a refusal.

Work is cut into batches that do not depend on who does them: a batch is done when its receipts are there. A killed
worker leaves at most one batch half done, and doing it again writes the same bytes.
"""

from __future__ import annotations

import io
import logging
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any, BinaryIO, cast

from orchestrations.blueprint import blueprint
from readfirst.adapters import blobs, clients, secrets
from readfirst.adapters.identity import vault
from readfirst.adapters.settings import settings
from readfirst.adapters.uploads import clinic_results, persons
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.deid import (
    Deidentified,
    IdentityRecord,
    KnownIdentifiers,
    Profile,
    ReceiptBatch,
    deidentify,
    load_profile,
    sign,
)
from readfirst.domain.intake import archives, tars
from readfirst.domain.intake.ledger import Arrival
from readfirst.domain.intake.person import Person, Question
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Reason, Refused
from readfirst.domain.workflow_messages import Batches, Run

WORKERS = 8  # activities at a time for one study; the app's own limit stands in host.json
_SHARE_SECONDS = 200.0  # an activity stops taking new batches after this: platforms end long ones
_IN_MEMORY = 64 << 20


@blueprint.activity_trigger(input_name="run")
def workers_for(run: dict[str, Any]) -> int:
    """How many workers share the run's batches; 0 where nobody knows yet whose study it is.

    No file is cleaned before the headers of all have said it: a pseudonym and a shift are the study's, not a file's.
    """
    this = Run.model_validate(run)
    if persons.asks(this.token, this.clinic, this.n):
        return 0
    seal = ledger_of(this.token).sealed(this.n)
    return max(1, min(WORKERS, -(-len(seal.arrivals) // blob_paths.BATCH)))


@blueprint.activity_trigger(input_name="run")
def hold_study(run: dict[str, Any]) -> str:
    """Asks a privacy officer whose study it is. Returns the reason for its readers; "" where that is known by now."""
    this = Run.model_validate(run)
    question = persons.person_of_study(this.token, this.clinic, this.n)
    if not isinstance(question, Question):
        return ""
    persons.ask(this.token, this.clinic, question)
    count = len(question.persons)
    return f"{Reason.SEVERAL_PERSONS}: The files name {count} persons. A privacy officer has to say whose study it is."


@blueprint.activity_trigger(input_name="share")
def deidentify_batches(share: dict[str, Any]) -> bool:
    """Does this worker's batches that are not done. Returns whether some are left for another round.

    A run answers for the files of every run before it: were it to overtake one, it would report a study with a hole.
    What an earlier run has not finished is taken from its end, so that the two meet instead of doing it all twice.
    """
    batches = Batches.model_validate(share)
    began = time.monotonic()
    for n in range(1, batches.run.n + 1):  # in order: of an instance that came twice, the last one stays
        of_run = BatchWorker(batches.run.model_copy(update={"n": n}))
        own = range(batches.worker, of_run.batches, batches.of)
        for batch in own if n == batches.run.n else reversed(own):
            if of_run.done(batch):
                continue
            if time.monotonic() - began > _SHARE_SECONDS:
                return True
            of_run.do(batch)
    return False


@dataclass(frozen=True)
class CleaningContext:
    """What cleaning takes: keys, handle, profile, the names that the study knows, whose study it is (None: each file
    says it itself), the files that were superseded."""

    keys: Pseudonyms
    handle: str
    profile: Profile
    known: KnownIdentifiers
    person: Person | None
    superseded: frozenset[str]


class Undecided(Exception):
    """A study is to be cleaned of which nobody knows yet whose it is."""


class BatchWorker:
    """What a worker has in hand: the run's list of files, and, once there is one to clean, the context."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._ledger = ledger_of(run.token)
        self._arrivals = self._ledger.sealed(run.n).arrivals
        self._clean = clients.container(resource_names.STUDIES, resource_names.CLEAN)
        self.batches = -(-len(self._arrivals) // blob_paths.BATCH)

    @cached_property
    def _context(self) -> CleaningContext:
        """Fetched once, and not at all for a run whose batches are all done."""
        learned = [self._ledger.learned(n) for n in range(1, self._run.n + 1)]
        each = (KnownIdentifiers.from_json(one.known) for one in learned)
        person = persons.person_of_study(self._run.token, self._run.clinic, self._run.n)
        if isinstance(person, Question):
            raise Undecided
        return CleaningContext(
            keys=secrets.pseudonyms(self._run.clinic),
            handle=self._ledger.handle(),
            profile=_profile(),
            known=reduce(KnownIdentifiers.__or__, each, KnownIdentifiers()),
            person=person,
            superseded=frozenset(learned[-1].superseded),
        )

    def done(self, batch: int) -> bool:
        """Whether the batch has its receipts."""
        return blobs.exists(self._clean, blob_paths.receipts_path(self._run.token, self._run.n, batch))

    def do(self, batch: int) -> None:
        """Cleans a batch: copies first, then the sealed identities, then the facts, last the receipts."""
        context = self._context
        ids = self._arrivals[batch * blob_paths.BATCH : (batch + 1) * blob_paths.BATCH]
        done: list[Deidentified] = []
        refused: list[blob_paths.RefusedFile] = []
        repeats: list[blob_paths.Repeat] = []
        arrivals = self._ledger.arrivals(ids)
        series: dict[str, str] = {}
        for arrival in arrivals:
            verdict = self._clean_file(arrival, context)
            if isinstance(verdict, Refused):
                refused.append(self._refuse(arrival, verdict))
            elif arrival.note.id in context.superseded:
                repeats.append(_repeat(arrival, verdict))
            else:
                done.append(verdict)
                series[verdict.facts.series_uid] = arrival.note.series
        run = self._run
        if done:
            identity = reduce(IdentityRecord.merge, (one.identity for one in done))
            record = identity.model_dump_json()
            # Named by its content too: a try that died before its receipts may have kept another record of the batch
            # (another release, another verdict on a file), and nobody here can read what the vault holds.
            mark = context.keys.arrival("identity", record)[:16]
            vault.add(f"{run.token}/{run.n:06d}-{batch:06d}-{mark}.json", record.encode())
        facts = blob_paths.BatchFacts(
            patient=done[0].facts.patient if done else "",
            instances=tuple(one.facts for one in done),
            refused=tuple(refused),
            series=series,
            released=tuple(arrival.releases for arrival in arrivals if arrival.releases),
            repeats=tuple(repeats),
        )
        blobs.put(self._clean, blob_paths.facts_path(run.token, run.n, batch), facts.model_dump_json().encode())
        key_id, key = secrets.receipt_key()
        receipts = sign(ReceiptBatch(token=run.token, receipts=tuple(one.receipt for one in done)), key_id, key)
        blobs.put(self._clean, blob_paths.receipts_path(run.token, run.n, batch), receipts.model_dump_json().encode())

    def _clean_file(self, arrival: Arrival, context: CleaningContext) -> Deidentified | Refused:
        with _temporary() as target:
            try:
                with _original(arrival) as source:
                    verdict = deidentify(
                        source,
                        target,
                        names=context.keys,
                        handle=context.handle,
                        profile=context.profile,
                        known=context.known,
                        looked_at=bool(arrival.releases),
                        person=context.person,
                    )
            except archives.DAMAGED:
                return Refused(Reason.ZIP_UNREADABLE, "a member is damaged")
            except blobs.faults():
                raise
            except Exception as error:  # a fault of ours at this file: it waits in quarantine, the others go on
                logging.warning("a file was refused after a fault: %s", type(error).__name__)
                return Refused(Reason.UNREADABLE)
            if isinstance(verdict, Refused) or arrival.note.id in context.superseded:
                return verdict
            path = blob_paths.instance_path(self._run.token, verdict.facts.series_uid, verdict.facts.sop_uid)
            target.seek(0)
            blobs.put(self._clean, path, target, "application/dicom")
            return replace(verdict, facts=verdict.facts.model_copy(update={"path": path}))

    def _refuse(self, arrival: Arrival, verdict: Refused) -> blob_paths.RefusedFile:
        """Keeps the file in quarantine, where it can be looked at and released."""
        name = f"{self._run.token}/{arrival.note.id}"
        quarantine = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE)
        if arrival.member is None:
            originals = clients.container(resource_names.UPLOADS, resource_names.ORIGINALS)
            blobs.copy(
                originals.get_blob_client(arrival.original),
                arrival.etag,
                arrival.size,
                quarantine.get_blob_client(name),
                metadata={"reason": verdict.reason.value},
            )
        else:
            with _original(arrival) as source, _temporary() as member:
                with suppress(*archives.DAMAGED):
                    shutil.copyfileobj(source.raw, member, 64 << 10)  # unbuffered: up to the damage
                member.seek(0)
                blobs.put_once(quarantine, name, member, {"reason": verdict.reason.value})
        clinic_results.say_upload(self._run.clinic, arrival.note.id, arrival.upload, verdict)
        return blob_paths.RefusedFile(
            arrival=arrival.note.id,
            reason=verdict.reason.value,
            detail=verdict.detail,
            series=arrival.note.series,
            modality=arrival.note.modality,
            instance=arrival.instance,
        )


def _repeat(arrival: Arrival, done: Deidentified) -> blob_paths.Repeat:
    return blob_paths.Repeat(
        arrival=arrival.note.id,
        series_uid=done.facts.series_uid,
        sop_uid=done.facts.sop_uid,
        original=done.receipt.input_digest,
        digest=done.facts.digest,
        facts=done.facts,
    )


def _original(arrival: Arrival) -> io.BufferedReader:
    """The original as a seekable file, wherever it lies."""
    blob = clients.container(resource_names.UPLOADS, resource_names.ORIGINALS).get_blob_client(arrival.original)
    if arrival.member is None:
        return io.BufferedReader(blobs.BlobFile(blob, arrival.etag, arrival.size, chunk=8 << 20), 1 << 20)
    if arrival.original.startswith(resource_names.TARS):
        end = arrival.member + arrival.size
        whole = blobs.BlobFile(blob, arrival.etag, end, chunk=8 << 20)
        section = tars.Section(cast(BinaryIO, whole), arrival.member, arrival.size)
        return io.BufferedReader(section, 1 << 20)
    size = int(blob.get_blob_properties().size)
    archive = archives.open_archive(io.BufferedReader(blobs.BlobFile(blob, arrival.etag, size), 256 << 10), size)
    if isinstance(archive, Refused):
        raise FileNotFoundError("the archive was readable when it arrived and is not now")
    return io.BufferedReader(archive.open(arrival.member), 1 << 20)


def _temporary() -> BinaryIO:
    # It rolls over to disk only for what is too large to hold.
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY))


def _profile() -> Profile:
    profile = load_profile(settings().profile)
    reason = profile.pipeline_refusal()
    if reason:
        raise ValueError(f"the pipeline refuses this de-identification profile: {reason}")
    return profile
