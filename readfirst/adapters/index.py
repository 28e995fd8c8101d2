"""The study's record: the blob is the truth, Cosmos DB holds the same document so that it can be found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from readfirst.adapters import blobs, clients, reviews
from readfirst.domain import clean, names
from readfirst.domain.records import StudyRecord


def read(token: str) -> StudyRecord | None:
    """A study's record, from its blob."""
    data = blobs.read(clients.container(names.STUDIES, names.ANALYSIS), clean.record_path(token))
    return StudyRecord.model_validate_json(data) if data else None


def keep(record: StudyRecord) -> StudyRecord:
    """Writes the record's blob and indexes it, unless a later run has reported already. Returns the one that counts.

    Of two runs that report at the same moment, the one with the older list of files never overwrites the newer.
    """
    from azure.core import MatchConditions
    from azure.core.exceptions import ResourceExistsError, ResourceModifiedError

    blob = clients.container(names.STUDIES, names.ANALYSIS).get_blob_client(clean.record_path(record.id))
    while True:
        seen = blobs.properties(blob)
        if seen is None:
            pinned: dict[str, Any] = {"overwrite": False}
        else:
            there = read(record.id)
            if there is None:
                continue
            if there.run > record.run:
                index(there)
                return there
            record = record.model_copy(update={"alerted": there.alerted})
            pinned = {"overwrite": True, "etag": seen.etag, "match_condition": MatchConditions.IfNotModified}
        try:
            blob.upload_blob(record.model_dump_json(indent=1).encode(), **pinned)
        except (ResourceModifiedError, ResourceExistsError):
            continue
        index(record)
        return record


def index(record: StudyRecord) -> None:
    """Puts the record into Cosmos DB, with what its review comes to: a new run or a rebuild forgets no sign-off."""
    reviewed = reviews.with_review(clients.container(names.STUDIES, names.REVIEWS), record)
    clients.cosmos_container().upsert_item(reviewed.model_dump(mode="json"))


def every() -> Iterator[StudyRecord]:
    """Every study's record, from the blobs."""
    container = clients.container(names.STUDIES, names.ANALYSIS)
    for name in blobs.names(container, ""):
        token, _, rest = name.partition("/")
        if rest == "record.json" and (record := read(token)) is not None:
            yield record


def reindex() -> int:
    """Rebuilds the index from the blobs. Returns how many studies it holds."""
    count = 0
    for record in every():
        index(record)
        count += 1
    return count
