"""The clinics' files as they came, in container `originals`. Only tagged ones are deleted by age."""

from __future__ import annotations

from readfirst.adapters import blobs, clients
from readfirst.adapters.uploads.ledger import Ledger
from readfirst.domain import resource_names


def tag_done(ledger: Ledger, run: int) -> None:
    """Tags the run's originals as done."""
    container = clients.container(resource_names.UPLOADS, resource_names.ORIGINALS)
    for original in {arrival.original for arrival in ledger.arrivals(ledger.sealed(run).arrivals)}:
        blobs.tag(container, original, resource_names.DONE)
