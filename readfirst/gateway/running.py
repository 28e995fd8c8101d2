"""Wires the gateway together and keeps it running until it is told to end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from readfirst import __version__
from readfirst.adapters.quiet import hush
from readfirst.domain.faults import WrongCall
from readfirst.gateway.acceptor import Acceptor
from readfirst.gateway.addresses import AddressFile, NoAddress
from readfirst.gateway.config import Settings
from readfirst.gateway.journal import Journal
from readfirst.gateway.notices import Notices
from readfirst.gateway.results import Results
from readfirst.gateway.spool import Spool
from readfirst.gateway.status import StatusPage, ago, span
from readfirst.gateway.uploads import Uploads

_KEPT_DAYS = 30.0
_ENDS_SOON = timedelta(hours=6)
_WAITS_LONG = 3600.0
_SPOOL_WORDS = {True: "yes", False: "NO", None: "cannot be seen: see docs/gateway.md"}


class Gateway:
    """All of it. `start`, then `stop`; `port` and `status_port` are those that were bound."""

    def __init__(self, settings: Settings) -> None:
        hush()
        self._settings = settings
        self._began = time.time()
        self._spool = Spool(settings.spool, keep_free=settings.limits.keep_free)
        self._journal = Journal(settings.spool / "journal.db")
        self._journal.prune(_KEPT_DAYS)
        self._addresses = AddressFile(settings.addresses, self._journal)
        self._uploads = Uploads(self._spool, self._journal, self._addresses, at_once=settings.limits.uploads)
        notices = Notices(self._journal, self._uploads.wake)
        try:
            self._acceptor = Acceptor(settings, self._spool, notice=notices.take, stored=self._uploads.wake)
        except OSError:
            raise WrongCall(f"port {settings.port} of {settings.host} cannot be opened") from None
        self._results = (
            Results(
                self._spool, self._journal, self._addresses, settings.pacs, title=settings.title, poll=settings.poll
            )
            if settings.pacs
            else None
        )
        try:
            self._page = StatusPage(settings.status_port, self.status)
        except OSError:
            raise WrongCall(f"port {settings.status_port} for the status page cannot be opened") from None
        self.port, self.status_port = self._acceptor.port, self._page.port

    def start(self) -> None:
        """Takes connections, uploads, looks for results."""
        for part in (self._page, self._uploads, self._results, self._acceptor):
            if part is not None:
                part.start()

    def stop(self) -> None:
        """Ends in order. A kill loses nothing either."""
        for part in (self._acceptor, self._uploads, self._results, self._page):
            if part is not None:
                part.stop()
        self._journal.close()
        self._spool.close()

    def pacs_answers(self) -> bool | None:
        """Whether the PACS can be spoken to; None where none is set."""
        return self._results.answers() if self._results else None

    def addresses_until(self) -> str:
        """When the addresses lapse. Raises NoAddress."""
        until = self._addresses.current().until
        return until.isoformat(timespec="minutes") if until else "unknown"

    # ---------------------------------------------------------------- what the page says

    def status(self) -> dict[str, Any]:
        """Counts, times and words of ours."""
        content = self._spool.content()
        counted = dict(sorted(self._acceptor.counted.items()))
        return {
            "trouble": self._troubles(content.oldest),
            "version": __version__,
            "running": span(time.time() - self._began),
            "waiting": f"{content.files} files, {content.bytes / 1e6:.0f} MB, the oldest for {span(content.oldest)}",
            "sent since the start": dict(sorted(self._uploads.counted.items())),
            "last confirmed by the inbox": ago(self._uploads.last),
            "refused by the inbox so far": self._uploads.refused,
            "address lapses": self._until(),
            "associations now": self._acceptor.established,
            "connections since the start": counted,
            "results": self._journal.results(),
            "disk of the spool": f"{self._spool.free() / 1e9:.1f} GB free",
            "disk encrypted": _SPOOL_WORDS[self._spool.encrypted()],
        }

    def _until(self) -> str:
        try:
            return self.addresses_until()
        except NoAddress as error:
            return str(error)

    def _troubles(self, oldest: float) -> list[str]:
        found = [self._uploads.trouble, self._results.trouble if self._results else ""]
        if oldest > _WAITS_LONG:
            found.append(f"a file has waited for {span(oldest)}")
        if self._spool.free() < self._settings.limits.keep_free:
            found.append("the spool's disk is full: senders are refused")
        if self._spool.encrypted() is False:
            found.append("the spool's disk is not encrypted")
        try:
            until = self._addresses.current().until
            if until is not None and until - datetime.now(UTC) < _ENDS_SOON:
                found.append("the address lapses within hours, or has lapsed")
        except NoAddress as error:
            found.append(str(error))
        return list(dict.fromkeys(filter(None, found)))


def run(settings: Settings, ready: Callable[[Gateway], None]) -> None:
    """Runs until SIGTERM or Ctrl-C. `ready` is called once it takes connections."""
    ended = threading.Event()
    gateway = Gateway(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    gateway.start()
    ready(gateway)
    ended.wait()
    gateway.stop()
