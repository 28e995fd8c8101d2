"""The study's record: the blob is the truth, Cosmos DB holds the same document so that it can be found."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from readfirst.adapters import blobs, clients
from readfirst.adapters.studies import reviews
from readfirst.adapters.studies.study_index import Contended, Worklist
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.reading.build_record import following
from readfirst.domain.reading.study_record import VERIFIED, StudyRecord

_TRIES = 50
_OF_THE_REVIEW = {"review", "verdicts", "missed", "signed", "waiting"}
_REVIEW = ("review", "verdicts", "missed", "signed", "judged")  # what a record keeps of the review of its analysis
# What the service answers where a record's blob is not the one that was read, or is there by now.
_CHANGED = ("ConditionNotMet", "BlobAlreadyExists", "TargetConditionNotMet")


def read(token: str) -> StudyRecord | None:
    """A study's record, from its blob."""
    data = blobs.read(clients.container(resource_names.STUDIES, resource_names.ANALYSIS), blob_paths.record_path(token))
    return StudyRecord.model_validate_json(data) if data else None


def keep(record: StudyRecord) -> StudyRecord:
    """Writes the record's blob if it replaces what is there (`build_record.following`). Returns the one that counts.

    The index is another service: `index` copies what counts into it.
    """

    def next_one(there: StudyRecord | None) -> StudyRecord | None:
        if there is None:
            return record
        after = following(there, record)
        if after is None:
            return None
        same = _same_analysis(there, after)
        signed = {kind: blob for kind, blob in there.outputs.items() if kind.rpartition(".")[2] == VERIFIED}
        kept = signed if same else {}
        said = {name: getattr(there, name) for name in _REVIEW} if same else {}
        # A study that is kept back loses its result, and not its place: what was urgent is read as soon as before.
        due = min(there.due, after.due) if after.state == "quarantined" else after.due
        alerted = after.having_taken("alert", there.seconds["alert"]) if "alert" in there.seconds else after
        outputs = {**after.outputs, **kept}
        of_alerts = {"alerted": there.alerted, "undelivered": there.undelivered}
        return alerted.model_copy(update={**of_alerts, "due": due, "outputs": outputs, **said})

    return _amend(record.id, next_one) or record


def _same_analysis(one: StudyRecord, other: StudyRecord) -> bool:
    return reviews.run_key(one) == reviews.run_key(other)


def amend(token: str, change: Callable[[StudyRecord], StudyRecord]) -> bool:
    """Changes a study's record, blob and index. Returns whether that made a difference; no record is no error."""
    changed, record = _amended(token, change)
    if record is not None:
        index(record.clinic, token)  # also where it did not change: an earlier try may have ended before the index
    return changed


def amend_blob(token: str, change: Callable[[StudyRecord], StudyRecord]) -> bool:
    """Changes a study's record, the blob only. Returns whether that made a difference; no record is no error."""
    return _amended(token, change)[0]


def _amended(token: str, change: Callable[[StudyRecord], StudyRecord]) -> tuple[bool, StudyRecord | None]:
    """Whether the change made a difference, and the record that counts."""
    changed = False

    def different(there: StudyRecord | None) -> StudyRecord | None:
        nonlocal changed
        after = change(there) if there else None
        changed = after != there
        return after if changed else None

    counts = _amend(token, different)
    return changed, counts


def _amend(token: str, change: Callable[[StudyRecord | None], StudyRecord | None]) -> StudyRecord | None:
    """Changes a record's blob as nobody else does meanwhile; returns what counts. `change` gives None to leave it.

    Raises Contended where others change it all the time, and the service's error where a write is refused for any
    other reason than that it changed: every other conflict (status 409) would be there again.
    """
    from azure.core import MatchConditions
    from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

    blob = clients.container(resource_names.STUDIES, resource_names.ANALYSIS).get_blob_client(
        blob_paths.record_path(token)
    )
    for attempt in range(_TRIES):
        time.sleep(random.uniform(0, 0.05) * attempt)  # two writers shall not keep step
        pinned: dict[str, Any]
        try:
            download = blob.download_blob()
            there = StudyRecord.model_validate_json(download.readall())
            condition = {"etag": download.properties.etag, "match_condition": MatchConditions.IfNotModified}
            pinned = {"overwrite": True, **condition}
        except ResourceNotFoundError:
            there, pinned = None, {"overwrite": False}
        changed = change(there)
        if changed is None:
            return there
        try:
            blob.upload_blob(changed.model_dump_json(indent=1).encode(), **pinned)
        except HttpResponseError as error:
            if blobs.code_of(error) not in _CHANGED:
                raise
        else:
            return changed
    raise Contended("a study's record changes all the time")


def index(clinic: str, token: str) -> None:
    """Brings Cosmos DB to what the study's blobs say, its review included: a rebuild forgets no sign-off.

    What counts is what the blobs say when the document is written (`Worklist.follow`). No record is no error.
    """

    def truth(there: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        now = read(token)
        if now is None:  # erased meanwhile
            return None
        return reviews.with_review(clients.container(resource_names.STUDIES, resource_names.REVIEWS), now).model_dump(
            mode="json"
        )

    Worklist(clients.cosmos_container()).follow(clinic, token, truth)


def index_review(clinic: str, token: str) -> None:
    """Brings what the index says of a study's review to what its events come to.

    The rest of the document stays: a study is listed, and may be reviewed, before its record's blob is written.
    A study that left the index meanwhile is not an error.
    """

    def truth(there: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        if there is None:
            return None
        record = StudyRecord.model_validate(there)
        reviewed = reviews.with_review(clients.container(resource_names.STUDIES, resource_names.REVIEWS), record)
        return {**there, **reviewed.model_dump(mode="json", include=_OF_THE_REVIEW)}

    Worklist(clients.cosmos_container()).follow(clinic, token, truth)


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
        index(record.clinic, record.id)
        count += 1
    return count
