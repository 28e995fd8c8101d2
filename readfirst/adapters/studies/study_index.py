"""The worklist in Cosmos DB: pages in reading order, each query inside one clinic's partition.

A page is taken from where the last one ended (band, then due time and id), never by counting off what went before, so
that page 500 costs what page 1 costs. INDEXING serves each question from one composite index, read in its own order:
a page costs the same beside a thousand signed studies and beside a million.
"""

from __future__ import annotations

import base64
import heapq
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from readfirst.domain.reading.reading_order import RESERVE, Band, shown
from readfirst.domain.reading.study_record import StudyRecord

_INDEX_TRIES = 20
_RESULTS = ("analysed", "out-of-scope")
_PARALLEL = 8
_YEARS = range(2020, 2200)

# What a line of the worklist shows: findings stay behind, which keeps the page small.
_FIELDS = (
    "id", "clinic", "handle", "patient", "run", "state", "label", "reason", "partial", "part", "instances",
    "modality", "body_part", "priority", "purpose", "received", "due", "rank", "updated", "risk", "high_risk", "why",
    "review", "alerted", "moved_days", "analysing", "readers", "by_model",
)  # fmt: skip
_PROJECTION = ", ".join(f"c.{name}" for name in _FIELDS)


# What the database indexes; Bicep and the local stack make the container with it. Findings are never asked for by
# content: leaving them out makes a write cost a third.
INDEXING: dict[str, Any] = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [
        {"path": f"/{name}/?"}
        for name in (
            "clinic", "handle", "patient", "study_uid", "label", "modality", "purpose", "review", "waiting",
            "high_risk", "rank", "received",
        )
    ],
    "excludedPaths": [{"path": "/*"}],
    "compositeIndexes": [
        [{"path": f"/{name}", "order": "ascending"} for name in names]
        for names in (
            ("waiting", "rank"), ("waiting", "high_risk", "rank"), ("review", "rank"), ("review", "high_risk", "rank"),
        )
    ],
}  # fmt: skip


class Contended(OSError):
    """Others kept changing what was to be changed. Trying again later is right."""


class Filter(BaseModel):
    """Which studies. Empty fields do not restrict."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = ""
    review: str = ""  # "unread", "in progress", "signed"; empty: all that are not signed
    modality: str = ""
    handle: str = ""  # its beginning
    patient: str = ""
    purpose: str = "current"


class Cursor(BaseModel):
    """Where a page ended. `now` is the first page's moment: bands do not move while somebody turns pages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    now: str
    band: Annotated[int, Field(ge=min(Band), le=max(Band))] = 0
    rank: Annotated[str, Field(max_length=100)] = ""

    def text(self) -> str:
        """The cursor as the client hands it back."""
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Reads a cursor. Raises ValueError where it is none of ours."""
        raw = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
        cursor = cls.model_validate(json.loads(raw))
        moment = datetime.fromisoformat(cursor.now)
        if moment.tzinfo is None or moment.year not in _YEARS:
            raise ValueError("no moment of a list")
        return cursor


@dataclass(frozen=True)
class Page:
    """Lines of the worklist in reading order, where the next page begins, and what the queries cost."""

    items: list[dict[str, Any]]
    next: Cursor | None
    charge: float
    queries: int


@dataclass
class _Cost:
    charge: float = 0.0
    queries: int = 0


@dataclass
class Worklist:
    """Reads the index, and keeps it a copy of the blobs."""

    container: Any

    def page(self, clinics: Iterable[str], wanted: Filter, cursor: Cursor, size: int) -> Page:
        """The next `size` studies of those clinics after the cursor."""
        cost = _Cost()
        found: list[tuple[Band, dict[str, Any]]] = []
        for band in Band:
            if band < cursor.band or len(found) > size:
                continue
            after = cursor.rank if band == cursor.band else ""
            merged = heapq.merge(*self._per_clinic(clinics, wanted, cursor.now, band, after, size + 1, cost), key=_rank)
            found += [(band, s) for s in islice(merged, size + 1 - len(found))]
        more, found = len(found) > size, found[:size]
        # The page goes on where its order ended, whatever band a line is shown in.
        following = Cursor(now=cursor.now, band=found[-1][0], rank=found[-1][1]["rank"]) if more else None
        items = [{**s, "band": int(shown(band, str(s["review"])))} for band, s in found]
        return Page(items, following, cost.charge, cost.queries)

    def _per_clinic(
        self, clinics: Iterable[str], wanted: Filter, now: str, band: Band, after: str, size: int, cost: _Cost
    ) -> list[list[dict[str, Any]]]:
        """One question to each clinic's partition, all at once: many clinics take as long as one."""

        def ask(clinic: str) -> list[dict[str, Any]]:
            return list(self._in_band(clinic, wanted, now, band, after, size, cost))

        asked = sorted(clinics)
        if len(asked) < 2:
            return [ask(clinic) for clinic in asked]
        with ThreadPoolExecutor(_PARALLEL) as pool:
            return list(pool.map(ask, asked))

    def _in_band(
        self, clinic: str, wanted: Filter, now: str, band: Band, after: str, size: int, cost: _Cost
    ) -> Iterator[dict[str, Any]]:
        where, values, first = _conditions(wanted)
        values["@top"] = iso(datetime.fromisoformat(now) + RESERVE) + "~"  # after every id of that second
        where.append("c.rank < @top" if band is Band.TOP else "c.rank > @top")
        if band is not Band.TOP:
            where.append(f"c.high_risk = {'true' if band is Band.HIGH_RISK else 'false'}")
            first += ["c.high_risk"] if first else []
        if after:
            where.append("c.rank > @after")
            values["@after"] = after
        # What is equal for all comes first in the order, because a composite index is only taken for just that order.
        order = ", ".join(f"{name} ASC" for name in [*first, "c.rank"])
        query = f"SELECT TOP {size} {_PROJECTION} FROM c WHERE {' AND '.join(where)} ORDER BY {order}"  # noqa: S608 - fixed words
        yield from self._query(clinic, query, values, cost)

    def _query(self, clinic: str, query: str, values: dict[str, Any], cost: _Cost) -> Iterator[dict[str, Any]]:
        """Asks one partition. The clinic stands in the query too: the local server does not heed the header."""
        headers: dict[str, Any] = {}
        cost.queries += 1
        values = {**values, "@clinic": clinic}
        found = self.container.query_items(
            query,
            parameters=[{"name": name, "value": value} for name, value in values.items()],
            partition_key=clinic,
            response_hook=lambda h, _: headers.update(h),
        )
        yield from found
        cost.charge += float(headers.get("x-ms-request-charge", 0))

    def one(self, clinics: Iterable[str], **equal: str) -> dict[str, Any] | None:
        """The study of those clinics whose fields have those values; None where there is none."""
        conditions = " AND ".join(f"c.{name} = @{name}" for name in equal)
        values = {f"@{name}": value for name, value in equal.items()}
        for clinic in sorted(clinics):
            query = f"SELECT TOP 1 * FROM c WHERE c.clinic = @clinic AND {conditions}"  # noqa: S608 - field names are keyword names of ours
            for found in self._query(clinic, query, values, _Cost()):
                return dict(found)
        return None

    def newest(self, clinics: Iterable[str], equal: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Whole records of the studies with those values, newest first, fetched as far as somebody looks."""
        where = "".join(f" AND c.{name} = @{name}" for name in equal)
        values = {f"@{name}": value for name, value in equal.items()}
        query = f"SELECT * FROM c WHERE c.clinic = @clinic{where} ORDER BY c.received DESC"  # noqa: S608 - our own names
        per_clinic = [self._query(c, query, values, _Cost()) for c in sorted(clinics)]
        yield from heapq.merge(*per_clinic, key=lambda s: str(s["received"]), reverse=True)

    def urgent(self, clinic: str) -> dict[str, str]:
        """The waiting studies of high risk, and when an e-mail was handed over for each, as far as the index knows."""
        where = "c.clinic = @clinic AND c.waiting = true AND c.high_risk = true"
        query = f"SELECT c.id, c.alerted FROM c WHERE {where}"  # noqa: S608 - fixed words
        return {str(found["id"]): str(found["alerted"]) for found in self._query(clinic, query, {}, _Cost())}

    def of_patient(self, clinic: str, patient: str) -> list[dict[str, Any]]:
        """The studies of a patient's token, newest first. Those that are nobody's yet ("") are not one person's."""
        if not patient:
            return []
        where = "c.clinic = @clinic AND c.patient = @patient ORDER BY c.received DESC"
        query = f"SELECT TOP 20 {_PROJECTION} FROM c WHERE {where}"  # noqa: S608 - fixed words
        return list(self._query(clinic, query, {"@patient": patient}, _Cost()))

    def since(self, clinics: Iterable[str], moment: str) -> list[dict[str, Any]]:
        """The studies received since then, whatever their state, with what the figures need."""
        fields = (
            f"{_PROJECTION}, c.provenance, c.refused, c.verdicts, c.missed, c.signed, c.judged, c.models, c.undelivered"
        )
        query = f"SELECT {fields} FROM c WHERE c.clinic = @clinic AND c.received >= @since"  # noqa: S608 - fixed words
        return [s for c in sorted(clinics) for s in self._query(c, query, {"@since": moment}, _Cost())]

    def unsettled(self, clinics: Iterable[str]) -> list[dict[str, Any]]:
        """Studies that nobody has signed and in which something went wrong, as `operations.failures` looks at them."""
        alert = "(c.high_risk = true AND c.alerted = '') OR (IS_DEFINED(c.undelivered) AND c.undelivered != '')"
        wrong = f"c.state != 'reported' OR c.reason != '' OR {alert}"
        unread = "(c.review = 'unread' OR c.review = 'in progress')"
        fields = f"{_PROJECTION}, c.undelivered"
        query = f"SELECT {fields} FROM c WHERE c.clinic = @clinic AND {unread} AND ({wrong})"  # noqa: S608 - fixed words
        return [s for c in sorted(clinics) for s in self._query(c, query, {}, _Cost())]

    def begun(self, record: StudyRecord) -> None:
        """Lists a study whose analysis begins. One that is listed keeps what is told of it, and is marked.

        Only the index knows it, because it is over in minutes: the record's blob is written with the result. A mark
        that comes after that result is too late.
        """

        def marked(there: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
            if there is None:
                return record.model_dump(mode="json")
            told = {(there.get("provenance") or {}).get("run_key")}
            told |= {one["run_key"] for one in there.get("models") or () if one["outcome"] in _RESULTS}
            over = there["state"] == "reported" and record.analysing in told
            return None if over else {**there, "analysing": record.analysing}

        self.follow(record.clinic, record.id, marked)

    def claim(self, clinic: str, token: str, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        """Changes who is reading a study. Only the index knows it; a rebuilt one hears it again within a minute."""

        def claimed(there: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
            return there and {**there, "readers": change(there.get("readers") or {})}

        self.follow(clinic, token, claimed)

    def follow(
        self, clinic: str, token: str, truth: Callable[[Mapping[str, Any] | None], Mapping[str, Any] | None]
    ) -> None:
        """Brings a study's document to what `truth` makes of it (it gets None where there is none; None: leave it).

        `truth` looks at the blobs after the document was read, and the write holds only while the document is that one:
        a write that the service delays never takes back what a later one has said. It asks again instead.
        Raises Contended where others write all the time.
        """
        from azure.core import MatchConditions
        from azure.cosmos import exceptions

        for attempt in range(_INDEX_TRIES):
            time.sleep(random.uniform(0, 0.05) * attempt)  # two writers shall not keep step
            there = self.one([clinic], id=token)
            after = truth(there)
            if after is None:
                return
            try:
                if there is None:
                    self.container.create_item(dict(after))
                else:
                    pinned: dict[str, Any] = {"etag": there["_etag"], "match_condition": MatchConditions.IfNotModified}
                    kept = {"readers": there["readers"]} if "readers" in there else {}
                    self.container.replace_item(token, {**kept, **after}, **pinned)
            except (
                exceptions.CosmosAccessConditionFailedError,
                exceptions.CosmosResourceExistsError,
                exceptions.CosmosResourceNotFoundError,
            ):
                continue
            return
        raise Contended("a study's document changes all the time")


def _conditions(wanted: Filter) -> tuple[list[str], dict[str, Any], list[str]]:
    """The conditions, their values, and the field that the composite index begins with."""
    where = ["c.clinic = @clinic"]
    values: dict[str, Any] = {}
    for name in ("label", "modality", "patient", "purpose", "review"):
        if value := getattr(wanted, name):
            where.append(f"c.{name} = @{name}")
            values[f"@{name}"] = value
    if wanted.handle:
        where.append("STARTSWITH(c.handle, @handle)")
        values["@handle"] = wanted.handle
    if wanted.review:
        return where, values, ["c.review"]
    if wanted.handle or wanted.purpose != "current":
        return where, values, []  # few studies have that beginning; priors are looked at one patient at a time
    return [*where, "c.waiting = true"], values, ["c.waiting"]


def _rank(study: Mapping[str, Any]) -> str:
    return str(study["rank"])


def iso(moment: datetime) -> str:
    """A moment as the records write it: UTC, sortable as text."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")
