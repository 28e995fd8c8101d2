"""The study's record: the blob is the truth, Cosmos DB holds the same document so that it can be found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from readfirst.adapters import blobs, clients
from readfirst.adapters.studies import reviews
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.reading.build_record import following
from readfirst.domain.reading.study_record import VERIFIED, StudyRecord


def read(token: str) -> StudyRecord | None:
    """A study's record, from its blob."""
    data = blobs.read(clients.container(resource_names.STUDIES, resource_names.ANALYSIS), blob_paths.record_path(token))
    return StudyRecord.model_validate_json(data) if data else None


def keep(record: StudyRecord) -> StudyRecord:
    """Writes the record's blob if it replaces what is there (`reporting.following`). Returns the one that counts.

    The index is another service: `index` copies what counts into it.
    """

    def next_one(there: StudyRecord | None) -> StudyRecord | None:
        if there is None:
            return record
        after = following(there, record)
        if after is None:
            return None
        same = VERIFIED in there.outputs and _same_analysis(there, after)
        kept = {VERIFIED: there.outputs[VERIFIED]} if same else {}
        # A study that is kept back loses its result, and not its place: what was urgent is read as soon as before.
        due = min(there.due, after.due) if after.state == "quarantined" else after.due
        alerted = after.having_taken("alert", there.seconds["alert"]) if "alert" in there.seconds else after
        return alerted.model_copy(update={"alerted": there.alerted, "due": due, "outputs": {**after.outputs, **kept}})

    return _amend(record.id, next_one) or record


def _same_analysis(one: StudyRecord, other: StudyRecord) -> bool:
    return reviews.run_key(one) == reviews.run_key(other)


def amend(token: str, change: Callable[[StudyRecord], StudyRecord]) -> bool:
    """Changes a study's record, blob and index. Returns whether that made a difference; no record is no error."""
    changed = amend_blob(token, change)
    if (record := read(token)) is not None:
        index(record)  # whether or not it changed now: an earlier try may have ended between blob and index
    return changed


def amend_blob(token: str, change: Callable[[StudyRecord], StudyRecord]) -> bool:
    """Changes a study's record, the blob only. Returns whether that made a difference; no record is no error."""
    changed = False

    def different(there: StudyRecord | None) -> StudyRecord | None:
        nonlocal changed
        after = change(there) if there else None
        changed = after != there
        return after if changed else None

    _amend(token, different)
    return changed


def _amend(token: str, change: Callable[[StudyRecord | None], StudyRecord | None]) -> StudyRecord | None:
    """Changes a record's blob as nobody else does meanwhile; returns what counts. `change` gives None to leave it."""
    from azure.core import MatchConditions
    from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

    blob = clients.container(resource_names.STUDIES, resource_names.ANALYSIS).get_blob_client(
        blob_paths.record_path(token)
    )
    while True:
        pinned: dict[str, Any]
        try:
            download = blob.download_blob()
            there = StudyRecord.model_validate_json(download.readall())
            condition = {"etag": download.properties.etag, "match_condition": MatchConditions.IfNotModified}
            pinned = {"overwrite": True, **condition}
        except ResourceNotFoundError:
            there, pinned = None, {"overwrite": False}
        changed = change(there)
        if changed is not None:
            try:
                blob.upload_blob(changed.model_dump_json(indent=1).encode(), **pinned)
            except (ResourceModifiedError, ResourceExistsError):
                continue
        return changed or there


def index(record: StudyRecord) -> None:
    """Puts the record into Cosmos DB, with what its review comes to: a new run or a rebuild forgets no sign-off."""
    reviewed = reviews.with_review(clients.container(resource_names.STUDIES, resource_names.REVIEWS), record)
    clients.cosmos_container().upsert_item(reviewed.model_dump(mode="json"))


def every() -> Iterator[StudyRecord]:
    """Every study's record, from the blobs."""
    container = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    for folder in container.walk_blobs(delimiter="/"):  # one listing of the tokens, not of all that lies under them
        if (record := read(folder.name.rstrip("/"))) is not None:
            yield record


def reindex() -> int:
    """Rebuilds the index from the blobs. Returns how many studies it holds."""
    count = 0
    for record in every():
        index(record)
        count += 1
    return count
