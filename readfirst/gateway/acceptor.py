"""The port that modalities and the PACS connect to: a thread for each connection, and a limit for their number."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable

from readfirst.gateway.association import Association, Notice, Rejected
from readfirst.gateway.config import Settings
from readfirst.gateway.spool import Spool
from readfirst.gateway.wire import Garbage, Gone, Silent, Wire

log = logging.getLogger(__name__)
_BACKLOG = 64


class Acceptor:
    """Listens from `start` to `stop`. `notice` takes what is not storage; `stored` is called for each file kept."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        *,
        notice: Callable[[Notice], int],
        stored: Callable[[], None],
    ) -> None:
        self.title, self.limits, self.spool = settings.title, settings.limits, spool
        self.notice, self._tell_stored = notice, stored
        self._senders = {sender.title: sender.host for sender in settings.senders}
        self._tls = settings.tls.server() if settings.tls else None
        self._listening = socket.create_server((settings.host, settings.port), backlog=_BACKLOG)
        self.port = int(self._listening.getsockname()[1])
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._established = 0
        self._stop = threading.Event()
        self.counted: Counter[str] = Counter()  # how connections ended, and files: for the status page

    def start(self) -> None:
        """Takes connections, in a thread of its own."""
        threading.Thread(target=self._serve, name="gateway-port", daemon=True).start()

    def stop(self) -> None:
        """Takes no more; what is under way ends after its message, or is cut off."""
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listening.close()
        with self._lock:
            for peer in self._connections:
                with contextlib.suppress(OSError):
                    peer.shutdown(socket.SHUT_RD)

    # ---------------------------------------------------------------- what an association asks

    @property
    def stopping(self) -> bool:
        """Whether the gateway is about to end."""
        return self._stop.is_set()

    def knows(self, title: str, host: str) -> bool:
        """Whether a sender of that title may send from there."""
        return title in self._senders and self._senders[title] in ("", host)

    def admit(self) -> bool:
        """Whether there is room for another association; then it is counted."""
        with self._lock:
            if self._established >= self.limits.associations:
                return False
            self._established += 1
            return True

    def leave(self) -> None:
        """The association that was counted has ended."""
        with self._lock:
            self._established -= 1

    def stored(self) -> None:
        """A file was kept."""
        self._count("file")
        self._tell_stored()

    @property
    def established(self) -> int:
        """How many associations there are now."""
        return self._established

    # ---------------------------------------------------------------- connections

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                peer, address = self._listening.accept()
            except OSError:
                if self._stop.is_set():
                    return
                self._stop.wait(0.1)  # out of file descriptors: others will end
                continue
            with self._lock:
                room = len(self._connections) < 2 * self.limits.associations  # those at the door have their half
                if room:
                    self._connections.add(peer)
            if not room:
                peer.close()
                self._count("turned away")
                continue
            threading.Thread(target=self._meet, args=(peer, str(address[0])), name="gateway-peer", daemon=True).start()

    def _meet(self, peer: socket.socket, host: str) -> None:
        ending = "released"
        secured = peer
        try:
            peer.settimeout(self.limits.patience)
            if self._tls is not None:
                secured = self._tls.wrap_socket(peer, server_side=True)
            line = Wire(secured, longest=self.limits.pdu, patience=self.limits.patience)
            try:
                Association(line, self, host).converse()
            except Rejected as error:
                ending = f"refused: {error}"
            line.part()
        except Garbage as error:
            ending = f"aborted: {error}"
        except Silent:
            ending = "aborted: the peer said nothing"
        except Gone:
            ending = "the peer went away"
        except (ssl.SSLError, OSError):
            ending = "refused: no TLS" if self._tls is not None else "the peer went away"
        except Exception as error:
            ending = "aborted: a fault of the gateway"
            log.error("an association ended with a fault of ours: %s", type(error).__name__)
        finally:
            secured.close()
            with self._lock:
                self._connections.discard(peer)
        self._count(ending)
        if ending != "released":
            log.warning("connection from %s: %s", host, ending)

    def _count(self, what: str) -> None:
        with self._lock:
            self.counted[what] += 1
