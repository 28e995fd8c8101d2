"""From the spool into the clinic's inbox: oldest first, several at once, again and again until the inbox confirms.

Every file has one name in the inbox, made of its name in the spool, so that repeating an upload changes nothing.
What storage answers decides who waits: the line and the address hold up everything, a file that is refused only itself.
"""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from readfirst.adapters import blobs
from readfirst.domain.gateway.completion import expected
from readfirst.domain.intake.ledger import STUDY_UID, Complete
from readfirst.gateway.addresses import Addresses, AddressFile, NoAddress
from readfirst.gateway.headers import Head, head_of
from readfirst.gateway.journal import Journal
from readfirst.gateway.spool import Spool

log = logging.getLogger(__name__)
_BATCH = 200
_LOOK_SECONDS = 2.0
_GLANCE_SECONDS = 0.5
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
_FOLDER = "gateway"
# The service's answers that are about one blob. Everything else is about the line, the account or the address.
_OF_ONE_FILE = (400, 411, 413)


@dataclass
class _Refused:
    """A file that the inbox would not take, and when it is tried again (monotonic seconds)."""

    pause: float
    until: float


class Uploads:
    """Runs in threads of its own from `start` to `stop`. `wake` says that a file came."""

    def __init__(self, spool: Spool, journal: Journal, addresses: AddressFile, *, at_once: int) -> None:
        self._spool, self._journal, self._addresses = spool, journal, addresses
        self._at_once = at_once
        self._wake, self._stop = threading.Event(), threading.Event()
        self._refused: dict[str, _Refused] = {}
        self._pause = _FIRST_PAUSE
        self._lock = threading.Lock()
        self._open = set(journal.spoken_of())  # studies of which something new is known since they were last judged
        self._thread = threading.Thread(target=self._run, name="gateway-uploads", daemon=True)
        self.counted: Counter[str] = Counter()
        self._held = ""  # why the round under way ends early
        self.trouble = ""  # why nothing goes out at the moment, in words without content
        self.last: float | None = None  # when the inbox last confirmed a file, seconds since 1970

    def start(self) -> None:
        """Begins to upload."""
        self._thread.start()

    def wake(self, *studies: str) -> None:
        """A file came, or something was said of these studies."""
        with self._lock:
            self._open.update(studies)
        self._wake.set()

    def stop(self) -> None:
        """Ends after the files that are under way."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    @property
    def refused(self) -> int:
        """How many files the inbox would not take so far; they are tried again."""
        return len(self._refused)

    # ---------------------------------------------------------------- the loop

    def _run(self) -> None:
        with ThreadPoolExecutor(self._at_once, thread_name_prefix="gateway-upload") as pool:
            while not self._stop.is_set():
                self._wake.clear()
                try:
                    busy = self._round(pool)
                except Exception as error:
                    # Whatever it is, the files are still there: say what kind, and go on after a pause.
                    self._hold_up(f"a fault: {type(error).__name__}")
                    continue
                if not busy:
                    self._wake.wait(_LOOK_SECONDS)

    def _round(self, pool: ThreadPoolExecutor) -> bool:
        """One batch, then what can be announced. Returns whether anything went out."""
        now = time.monotonic()
        resting = frozenset(name for name, one in self._refused.items() if one.until > now)
        batch = self._spool.oldest(_BATCH, resting)
        if not batch and not self._open:
            self.trouble = ""
            return False
        try:
            addresses = self._addresses.current()
        except NoAddress as error:
            self._hold_up(str(error))
            return True
        self._held = ""
        heads = list(pool.map(lambda path: self._one(addresses, path), batch))
        with self._lock:
            self._open.update(one.study for one in heads if one is not None and one.study)
        if self._held:
            self._hold_up(self._held)
            return True
        self._pause, self.trouble = _FIRST_PAUSE, ""
        with self._lock:
            todo, self._open = self._open, set()
        for study in todo.intersection(self._journal.spoken_of()):
            self._announce(addresses, study)
        return bool(batch)

    def _hold_up(self, why: str) -> None:
        if why != self.trouble:
            log.warning("nothing goes out: %s", why)
        self.trouble = why
        until = time.monotonic() + self._pause * random.uniform(0.5, 1.0)
        while time.monotonic() < until and not self._addresses.changed() and not self._stop.wait(_GLANCE_SECONDS):
            pass  # a new address ends the pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _one(self, addresses: Addresses, path: Path) -> Head | None:
        """Uploads a file and returns its head; None where it stays. What holds up all files ends the round."""
        from azure.core.exceptions import AzureError, HttpResponseError

        if self._held or self._stop.is_set():
            return None
        head = head_of(path)
        if head.ours or self._journal.is_result(head.instance):
            path.unlink(missing_ok=True)  # one of our results, from the PACS: no loop
            self.counted["own results"] += 1
            return head
        try:
            with path.open("rb") as data:
                blobs.create_once(addresses.inbox, f"{_FOLDER}/{path.name}", data, path.stat().st_size)
        except FileNotFoundError:
            return None
        except HttpResponseError as error:
            if error.status_code in _OF_ONE_FILE:
                self._rest(path.name)
                return None
            self._held = _trouble_of(error.status_code)
            return None
        except (AzureError, OSError):
            self._held = "the inbox cannot be reached"
            return None
        self._sent(path, head)
        return head

    def _sent(self, path: Path, head: Head) -> None:
        if head.study:
            self._journal.sent([(head.study, head.instance)])
        path.unlink(missing_ok=True)
        self._refused.pop(path.name, None)
        self.counted["sent"] += 1
        self.last = time.time()

    def _rest(self, name: str) -> None:
        before = self._refused.get(name)
        pause = min(2 * before.pause, 3600.0) if before else 60.0
        self._refused[name] = _Refused(pause, time.monotonic() + pause)

    # ---------------------------------------------------------------- complete.json

    def _announce(self, addresses: Addresses, study: str) -> None:
        """Says that a study is complete, if it is. The same word twice changes nothing."""
        from azure.core.exceptions import AzureError

        said, sent = self._journal.said_of(study), self._journal.sent_of(study)
        count = expected(said, sent, 0)
        if count is None or not re.fullmatch(STUDY_UID, study) or expected(said, sent, self._waiting(study)) is None:
            return  # what is sent next, or said next, asks again
        message = Complete(studyInstanceUid=study, expected=count).model_dump_json(by_alias=True)
        name = f"{_FOLDER}/{time.time_ns():020d}/complete.json"
        try:
            blobs.create_once(addresses.inbox, name, message.encode(), len(message.encode()))
        except (AzureError, OSError):
            self.wake(study)
            return
        self._journal.announced(study, count)
        self.counted["announced"] += 1

    def _waiting(self, study: str) -> int:
        """How many of the next files may belong to the study: one that cannot be read counts too."""
        return sum(1 for path in self._spool.oldest(_BATCH) if head_of(path).study in (study, ""))


def _trouble_of(status: int | None) -> str:
    if status in (401, 403):
        return "the address is refused: it has lapsed, or was taken back"
    if status == 404:
        return "the inbox is not there"
    return f"the inbox answers {status}"
