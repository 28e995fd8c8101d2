"""Quarantine: what a person decided about a file that was kept back."""

from __future__ import annotations

from readfirst.adapters import blobs, clients, secrets
from readfirst.adapters.clock import now
from readfirst.adapters.settings import settings
from readfirst.adapters.uploads import originals, persons
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.adapters.uploads.sent import Sent
from readfirst.domain import resource_names
from readfirst.domain.intake.ledger import Arrival
from readfirst.domain.workflow_messages import Run


def release(owner: str, arrival: str) -> Run | None:
    """Takes a file out of quarantine because a person has looked at it. Returns the run that must exist for it.

    A file of a study (`owner` is its token) arrives once more, marked as looked at: its picture is not searched again,
    all else is cleaned as ever; `reject` takes it out of quarantine once the run exists. A file of no study goes back
    to its clinic's inbox and is received again, as the file that the clinic sent: its answers are that file's.
    """
    kept = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE).get_blob_client(f"{owner}/{arrival}")
    seen = blobs.properties(kept)
    if seen is None:
        return None
    etag, size = str(seen.etag), int(seen.size)
    if owner in {clinic.id for clinic in settings().clinics}:
        inbox = clients.container(resource_names.UPLOADS, resource_names.inbox(owner))
        sent = Sent.of(seen.metadata) or Sent("", arrival)
        blobs.copy(kept, etag, size, inbox.get_blob_client(f"released/{arrival}"), metadata=sent.metadata)
        if study := (seen.metadata or {}).get("study"):
            ledger_of(study).forget_others(arrival)
        blobs.delete(kept, etag)
        return None
    ledger = ledger_of(owner)
    (before,) = ledger.arrivals((arrival,))
    again = secrets.pseudonyms(before.clinic).arrival(arrival, "released")
    note = before.note.model_copy(update={"id": again, "arrived": now()})
    released = before.model_copy(update={"note": note, "releases": arrival})
    if size == before.size:
        # The original may be past its age; what lies here is the file, out of its zip if it had one.
        original = f"{owner}/{again}"
        target = clients.container(resource_names.UPLOADS, resource_names.ORIGINALS).get_blob_client(original)
        etag_there = blobs.copy(kept, etag, size, target)
        released = released.model_copy(update={"original": original, "etag": etag_there, "member": None})
    elif not _is_there(before):
        raise FileNotFoundError("the file in quarantine is not complete, and its original is gone")
    ledger.record(released)
    return Run(token=owner, clinic=before.clinic, n=ledger.runs() + 1)


def _is_there(arrival: Arrival) -> bool:
    original = clients.container(resource_names.UPLOADS, resource_names.ORIGINALS).get_blob_client(arrival.original)
    seen = blobs.properties(original)
    return seen is not None and seen.etag == arrival.etag


def answer(owner: str, question: str, keep: int | None) -> Run | None:
    """Takes a study on whose files name several persons, as a person has decided: all are one person, or the study is
    of person `keep` alone (counted from 0). Returns the run to do again, after which the question can be closed; None
    where that is no such question, or no possible answer.
    """
    asked = persons.asked(owner, question)
    ruling = asked.ruling(keep) if asked else None
    if ruling is None:
        return None
    ledger = ledger_of(owner)
    ledger.rule(ruling)
    (first,) = ledger.arrivals((ledger.notes()[0].id,))
    return Run(token=owner, clinic=first.clinic, n=ledger.runs())


def reject(owner: str, arrival: str) -> None:
    """Removes a file from quarantine for good; the original goes when its study's originals go.

    A study whose files name several persons is not taken: its originals go by age, and the study stays not analysed.
    """
    if persons.asked(owner, arrival):
        ledger = ledger_of(owner)
        for n in range(1, ledger.runs() + 1):
            originals.tag_done(ledger, n)
    kept = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE).get_blob_client(f"{owner}/{arrival}")
    seen = blobs.properties(kept)
    if seen is not None:
        blobs.delete(kept, str(seen.etag))
