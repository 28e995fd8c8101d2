"""Results on their way home: fetched from the clinic's answers, sent to the PACS, and looked for there.

An object counts as delivered when the PACS says that it has this SOP Instance UID, or commits to it. Until then it is
sent and asked for again, its file stays in the spool, and the status page says why.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from readfirst.gateway.addresses import Addresses, AddressFile, NoAddress
from readfirst.gateway.config import Pacs
from readfirst.gateway.headers import head_of
from readfirst.gateway.journal import SENT, THERE, UNREADABLE, WAITING, Journal, Result
from readfirst.gateway.pacs import REFUSED, Answer, Dicomweb, Dimse, Unreachable
from readfirst.gateway.spool import RESULTS, Spool

log = logging.getLogger(__name__)
_FOLDER = "studies/"
_LONGEST_WAIT = 3600.0
_REPORT_SECONDS = 600.0  # how long a storage commitment may take before the instance is asked for
_ASKED_AGAIN = 3  # times that a PACS is asked for what it took before it is sent once more


class Results:
    """Looks every `poll` seconds, in a thread of its own, from `start` to `stop`."""

    def __init__(
        self, spool: Spool, journal: Journal, addresses: AddressFile, pacs: Pacs, *, title: str, poll: float
    ) -> None:
        self._spool, self._journal, self._addresses = spool, journal, addresses
        dimse = Dimse(pacs, title) if pacs.host else None
        web = Dicomweb(pacs.dicomweb) if pacs.dicomweb else None
        self._peer = dimse or web or Dimse(pacs, title)
        self._other = web if dimse else None  # for what it refuses by C-STORE
        self._commits = dimse if pacs.verify == "commitment" else None
        self._poll = poll
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway-results", daemon=True)
        self.trouble = ""

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the object that is under way."""
        self._stop.set()
        self._thread.join()

    def answers(self) -> bool:
        """Whether the PACS can be spoken to now."""
        return self._peer.echo()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.round()
            except Exception as error:
                self._say(f"a fault: {type(error).__name__}")
            self._stop.wait(self._poll)

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            log.warning("results: %s", trouble)
        self.trouble = trouble

    def round(self) -> None:
        """One look: what is new is fetched, what waits is sent, what was sent is asked for."""
        from azure.core.exceptions import AzureError

        trouble = ""
        try:
            self._fetch(self._addresses.current())
        except NoAddress as error:
            trouble = str(error)
        except (AzureError, OSError):
            trouble = "the results cannot be reached"
        try:
            self._deliver()
            self._prove()
        except Unreachable:
            trouble = "the PACS cannot be reached"
        self._clear()
        self._say(trouble)

    # ---------------------------------------------------------------- from the clinic's answers

    def _fetch(self, addresses: Addresses) -> None:
        for blob in addresses.results.list_blobs(name_starts_with=_FOLDER):
            etag = str(blob.etag).strip('"')
            if self._stop.is_set():
                return
            if blob.name.endswith(".dcm") and self._journal.etag_of(blob.name) != etag:
                self._take(addresses, blob.name, etag)

    def _take(self, addresses: Addresses, blob: str, etag: str) -> None:
        """Fetches one version of a result; the file of an earlier one is no longer needed."""
        path = self._download(addresses, blob, etag)
        head = head_of(path)
        state = WAITING if head.instance and head.study and head.syntax else UNREADABLE
        before = self._journal.file_of(blob)
        uids = (head.study, head.series, head.instance, head.sop_class, head.syntax)
        self._journal.fetched(Result(blob, etag, *uids, path.name, state, 0, ""))
        if before and before != path.name:
            (self._spool.root / RESULTS / before).unlink(missing_ok=True)

    def _download(self, addresses: Addresses, blob: str, etag: str) -> Path:
        from azure.core import MatchConditions

        name = hashlib.sha256(f"{blob}\n{etag}".encode()).hexdigest()[:32] + ".dcm"
        path = self._spool.root / RESULTS / name
        part = path.with_suffix(".part")
        pinned = {"etag": f'"{etag}"', "match_condition": MatchConditions.IfNotModified}
        with open(part, "wb", opener=_private) as file:
            addresses.results.download_blob(blob, **pinned).readinto(file)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        self._spool.sync(RESULTS)
        return path

    # ---------------------------------------------------------------- to the PACS

    def _deliver(self) -> None:
        files = [(one, self._spool.root / RESULTS / one.file) for one in self._journal.due(WAITING)]
        if not files:
            return
        refused = [answer.result for answer in self._peer.send(files) if self._note(answer)]
        if self._other is not None and refused:
            for answer in self._other.send([(one, path) for one, path in files if one in refused]):
                self._note(answer)

    def _note(self, answer: Answer) -> bool:
        """Keeps what came of sending an object. Returns whether another way may bring it there."""
        if answer.word:
            self._journal.move(answer.result, WAITING, wait=self._wait(answer.result), said=answer.word, tried=1)
        else:
            self._journal.move(answer.result, SENT)
        return answer.word == REFUSED

    def _prove(self) -> None:
        due = self._journal.due(SENT)
        if self._commits is not None:
            fresh = [one for one in due if not one.said]
            due = [one for one in due if one.said]
            if fresh:
                self._ask(self._commits, fresh)
        for one, there in self._peer.there(due) if due else _nothing():
            self._judge(one, there)

    def _ask(self, commits: Dimse, fresh: Sequence[Result]) -> None:
        """Asks for commitment; what is not reported in time, or not offered, is asked for one by one."""

        def asked(uid: str) -> None:
            # Before the question goes out: the report may be faster than its answer.
            self._journal.asked(uid, [one.instance for one in fresh])
            for one in fresh:
                self._journal.move(one, SENT, wait=_REPORT_SECONDS, said="commitment asked for")

        if not commits.commit(fresh, asked):
            for one in fresh:
                self._journal.move(one, SENT, said="no commitment")

    def _judge(self, one: Result, there: bool) -> None:
        """A PACS may need a moment until it finds what it took; what it does not find at all it is sent again."""
        if there:
            self._journal.move(one, THERE)
        elif (one.tries + 1) % _ASKED_AGAIN:
            self._journal.move(one, SENT, wait=self._wait(one), said="taken, and not found", tried=1)
        else:
            self._journal.move(one, WAITING, wait=self._wait(one), said="taken, and not found", tried=1)

    def _wait(self, one: Result) -> float:
        return min(self._poll * 2.0 ** min(one.tries, 16), _LONGEST_WAIT)

    def _clear(self) -> None:
        for one in self._journal.done():
            (self._spool.root / RESULTS / one.file).unlink(missing_ok=True)
            self._journal.forgotten(one)


def _nothing() -> Iterator[tuple[Result, bool]]:
    return iter(())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
