"""Reconcile: take what lies in an inbox although its event is overdue. Events can be lost, files cannot.

One upload that cannot be taken never keeps the others waiting: it is noted before it is tried, comes last the next
time, and is set aside after a few tries. One inbox that cannot be listed never keeps the other clinics waiting.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from readfirst.adapters import blobs, clients, secrets
from readfirst.adapters.clock import now
from readfirst.adapters.settings import settings
from readfirst.adapters.uploads import clinic_results, stuck
from readfirst.adapters.uploads.sent import Sent
from readfirst.domain import resource_names
from readfirst.domain.intake.stuck import Stuck
from readfirst.domain.refusals import Reason, Refused
from readfirst.services.receive_upload import Received, Upload, receive, set_aside

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties


@dataclass(frozen=True)
class Overdue:
    """An upload whose event is overdue, and the note of earlier tries."""

    upload: Upload
    note: Stuck

    def keep(self, note: Stuck) -> Stuck:
        """Keeps another note in its place."""
        stuck.keep(self.upload.clinic, self.upload.id, note)
        return note

    def forget(self) -> None:
        """Nothing is left to note."""
        stuck.forget(self.upload.clinic, self.upload.id)


def overdue() -> list[Overdue]:
    """What is overdue in the inboxes, clinic by clinic in turn; what failed before comes last, or rests."""
    queues = [_overdue(clinic.id) for clinic in settings().clinics]
    in_turn = [one for turn in zip_longest(*queues) for one in turn if one is not None]
    return sorted((one for one in in_turn if not one.note.rests(now())), key=lambda one: one.note.tries > 0)


def _overdue(clinic: str) -> list[Overdue]:
    """One clinic's. Never raises: what hinders it is said in the log, and the other clinics go on."""
    found: dict[str, Upload] = {}
    late: list[str] = []
    whole = False
    try:
        inbox = clients.container(resource_names.UPLOADS, resource_names.inbox(clinic))
        for listed in inbox.list_blobs(include=["metadata"]):
            upload = _upload(clinic, listed)
            found[upload.id] = upload
            if (now() - listed.last_modified).total_seconds() >= settings().reconcile_age_seconds:
                late.append(upload.id)
        whole = True
    except Exception as error:  # the alerts of bicep/modules/alerts.bicep look for these words
        logging.error("inbox not listed: %s: %s", clinic, stuck.cause(error)[0])
    try:
        noted = stuck.noted(clinic) if late else set()
        for gone in noted - found.keys() if whole else ():  # taken by its event meanwhile, or replaced
            stuck.forget(clinic, gone)
        fresh = Stuck(since=now(), last=now())
        return [Overdue(found[one], (one in noted and stuck.read(clinic, one)) or fresh) for one in late]
    except Exception as error:
        logging.error("notes on an inbox not read: %s: %s", clinic, stuck.cause(error)[0])
        return []


def _upload(clinic: str, listed: BlobProperties) -> Upload:
    blob = clients.container(resource_names.UPLOADS, resource_names.inbox(clinic)).get_blob_client(listed.name)
    etag = '"{}"'.format(str(listed.etag).strip('"'))  # as the blob's own properties write it: the id is made of it
    keys, before = secrets.pseudonyms(clinic), Sent.of(listed.metadata)
    return Upload(clinic, blob, str(listed.name), etag, int(listed.size), keys, before=before)


def retake(one: Overdue) -> Received:
    """Receives the upload once more, or sets it aside after too many tries. Raises only where notes cannot be kept."""
    upload, note = one.upload, one.note
    if note.hopeless(now()) and not note.aside:  # the last try ended the process, or a service was away for a day
        _set_aside(one)
        return Received()
    note = one.keep(note.tried(now()))
    try:
        received = receive(upload.clinic, upload.blob)
    except Exception as error:
        _failed(Overdue(upload, note), error)
        return Received()
    one.forget()

    def clear() -> None:
        try:
            received.clear()
        except Exception as error:  # taken it is; it is left alone, and not taken again at every look
            logging.warning("upload taken, and left in its inbox: %s: %s", upload.id, stuck.cause(error)[0])
            one.keep(note.left(now()))

    return Received(received.runs, clear)


def _failed(one: Overdue, error: Exception) -> None:
    why, own = stuck.cause(error)
    logging.warning("upload not taken: %s: %s", one.upload.id, why)
    note = one.keep(one.note.failed(why, own=own))
    if own and note.hopeless(now()):
        _set_aside(Overdue(one.upload, note))


def _set_aside(one: Overdue) -> None:
    """Moves the upload to quarantine, or, where not even that can be done, leaves it; its clinic is told either way."""
    upload, why = one.upload, one.note.why or "no answer"
    verdict = Refused(Reason.NOT_TAKEN, why)
    if not one.note.aside:
        logging.error("upload set aside: %s: %s", upload.id, why)  # the alerts look for these words
    try:
        set_aside(upload, verdict)
        blobs.delete(upload.blob, upload.etag)
    except blobs.Changed:
        pass  # the new version is an upload of its own
    except Exception as error:
        logging.warning("upload left in its inbox: %s: %s", upload.id, stuck.cause(error)[0])
        clinic_results.say_upload(upload.clinic, upload.sent.upload, upload.sent.name, verdict)
        one.keep(one.note.left(now()))
        return
    one.forget()
