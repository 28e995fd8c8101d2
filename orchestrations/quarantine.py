"""Quarantine: what a person decided about a file that was kept back."""

from __future__ import annotations

from orchestrations.messages import Run
from readfirst.adapters import blobs, clients, secrets
from readfirst.adapters.ledger import ledger_of, now
from readfirst.adapters.settings import settings
from readfirst.domain import names


def release(owner: str, arrival: str) -> Run | None:
    """Takes a file out of quarantine because a person has looked at it. Returns the run that must exist for it.

    A file of a study (`owner` is its token) arrives once more, marked as looked at: its picture is not searched again,
    all else is cleaned as ever. A file of no study goes back to its clinic's inbox and is received again.
    """
    kept = clients.container(names.UPLOADS, names.QUARANTINE).get_blob_client(f"{owner}/{arrival}")
    seen = blobs.properties(kept)
    if seen is None:
        return None
    if owner in {clinic.id for clinic in settings().clinics}:
        inbox = clients.container(names.UPLOADS, names.inbox(owner))
        blobs.copy(kept, str(seen.etag), inbox.get_blob_client(f"released/{arrival}"))
        kept.delete_blob()
        return None
    ledger = ledger_of(owner)
    (before,) = ledger.arrivals((arrival,))
    again = secrets.pseudonyms(before.clinic).arrival(arrival, "released")
    note = before.note.model_copy(update={"id": again, "arrived": now()})
    ledger.record(before.model_copy(update={"note": note, "releases": arrival}))
    kept.delete_blob()
    return Run(token=owner, clinic=before.clinic, n=ledger.runs() + 1)


def reject(owner: str, arrival: str) -> None:
    """Removes a file from quarantine for good; the original goes when its study's originals go."""
    kept = clients.container(names.UPLOADS, names.QUARANTINE).get_blob_client(f"{owner}/{arrival}")
    if blobs.properties(kept) is not None:
        kept.delete_blob()
