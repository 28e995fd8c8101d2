"""A Blob service on the loopback that behaves as documented where Azurite does not: copies that take time and fail,
blobs in the archive tier, listings that are refused, append blobs that are full. The real SDK talks to it.

Copy Blob answers 202; the target exists from that moment and is empty until the copy has ended, with another ETag.
https://learn.microsoft.com/rest/api/storageservices/copy-blob, …/abort-copy-blob, …/append-block,
…/blob-service-error-codes
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_ACCOUNT = "devstoreaccount1"  # with the emulators' published key

MOST_BLOCKS = 50_000  # of an append blob


def _etag() -> str:
    return f'"0x{uuid.uuid4().hex[:15].upper()}"'


@dataclass
class Blob:
    """One blob and what its properties say."""

    data: bytes
    metadata: dict[str, str] = field(default_factory=dict)
    etag: str = field(default_factory=_etag)
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))
    encoding: str = ""
    archived: bool = False
    snapshots: int = 0
    leased: bool = False
    copy: str = ""  # the status of the copy that made it
    copy_id: str = ""
    coming: bytes = b""  # what a pending copy will bring
    ending: str = ""  # how a pending copy ends
    blocks: int = 0  # of an append blob
    looks: int = 0  # after so many looks at it; -1: never by itself

    def touch(self) -> None:
        """Another ETag, modified now."""
        self.etag, self.modified = _etag(), datetime.now(UTC)


class Refusal(Exception):
    """An answer with an error code of the service; `headers` go with it."""

    def __init__(self, status: int, code: str, **headers: str) -> None:
        super().__init__(code)
        self.status, self.code, self.headers = status, code, headers


class BlobService:
    """The service; `copies` says how the next copies end, `rule` may refuse a request (method, path, query)."""

    def __init__(self) -> None:
        self.blobs: dict[str, Blob] = {}
        self.copies: deque[tuple[str, int]] = deque()
        self.rule: Callable[[str, str, dict[str, list[str]]], None] = lambda method, path, query: None
        self.asked: list[tuple[str, str]] = []
        self.lock = threading.RLock()
        service = self

        class Handler(_Handler):
            owner = service

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def connection(self) -> str:
        """The connection string."""
        return self.at(self._server.server_port)

    @staticmethod
    def at(port: int) -> str:
        """The connection string of such a service at a port."""
        at = f"http://127.0.0.1:{port}/{_ACCOUNT}"
        return f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};BlobEndpoint={at};"

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()

    def under(self, prefix: str) -> dict[str, Blob]:
        """The blobs whose path (container/name) begins so."""
        with self.lock:
            return {path: blob for path, blob in sorted(self.blobs.items()) if path.startswith(prefix)}

    def age(self, path: str, by: timedelta) -> None:
        """Makes a blob older."""
        self.blobs[path].modified -= by

    # -------------------------------------------------------------- what the handler asks for, under the lock

    def look(self, path: str) -> Blob:
        """The blob; a pending copy comes nearer to its end with every look."""
        blob = self.blobs.get(path)
        if blob is None:
            raise Refusal(404, "BlobNotFound")
        if blob.copy == "pending":
            blob.looks -= 1
            if blob.looks == 0:
                self._end(blob, blob.ending)
        return blob

    def _end(self, blob: Blob, status: str) -> None:
        blob.copy = status
        blob.data = blob.coming if status == "success" else b""
        blob.touch()

    def copy(self, path: str, source: str, metadata: dict[str, str], source_etag: str) -> Blob:
        """Starts a copy: the target is there, and empty while the copy is pending."""
        origin = self.blobs.get(source)
        if origin is None:
            raise Refusal(404, "CannotVerifyCopySource")
        if source_etag and source_etag != origin.etag:
            raise Refusal(412, "SourceConditionNotMet")
        if origin.archived:
            raise Refusal(409, "BlobArchived")
        ending, looks = self.copies.popleft() if self.copies else ("success", 0)
        made = Blob(b"", metadata or dict(origin.metadata), copy="pending", copy_id=uuid.uuid4().hex)
        made.encoding, made.coming, made.ending, made.looks = origin.encoding, origin.data, ending, looks
        self.blobs[path] = made
        if looks == 0:
            self._end(made, ending)
        return made

    def append(self, path: str, block: bytes, position: str | None) -> Blob:
        """Appends a block: at that position, if one is given, and as long as the blob takes blocks."""
        blob = self.look(path)
        if position is not None and int(position) != len(blob.data):
            raise Refusal(412, "AppendPositionConditionNotMet")
        if blob.blocks >= MOST_BLOCKS:
            raise Refusal(409, "BlockCountExceedsLimit")
        blob.data += block
        blob.blocks += 1
        blob.touch()
        return blob

    def abort(self, path: str) -> None:
        """Aborts a pending copy: what is left is an empty blob."""
        blob = self.blobs.get(path)
        if blob is None or blob.copy != "pending":
            raise Refusal(409, "NoPendingCopyOperation")
        self._end(blob, "aborted")

    def writable(self, path: str, headers: Any) -> None:
        """Raises what the service answers where a write's conditions do not hold."""
        blob = self.blobs.get(path)
        if blob is None:
            return
        if blob.copy == "pending":
            raise Refusal(409, "PendingCopyOperation")
        if headers.get("If-None-Match") == "*":
            raise Refusal(409, "BlobAlreadyExists")
        self.match(blob, headers)
        if blob.leased:
            raise Refusal(412, "LeaseIdMissing")

    @staticmethod
    def match(blob: Blob, headers: Any) -> None:
        """The condition If-Match."""
        if headers.get("If-Match") not in (None, blob.etag):
            raise Refusal(412, "ConditionNotMet")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: BlobService

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a test's output is its own."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = parse_qs(parts.query, keep_blank_values=True)
        path = unquote(parts.path).removeprefix(f"/{_ACCOUNT}/")
        with self.owner.lock:
            self.owner.asked.append((self.command, path))
            try:
                self.owner.rule(self.command, path, query)
                self._act(path, query, body)
            except Refusal as refusal:
                text = f'<?xml version="1.0"?><Error><Code>{refusal.code}</Code><Message>-</Message></Error>'.encode()
                self._answer(
                    refusal.status, text, {"x-ms-error-code": refusal.code, "Content-Type": "application/xml"}
                    | {name.replace("_", "-"): value for name, value in refusal.headers.items()}
                )  # fmt: skip

    def _act(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
        comp = query.get("comp", [""])[0]
        if comp == "list":
            return self._list(path, query)
        if self.command == "PUT":
            return self._put(path, comp, body)
        if self.command == "DELETE":
            return self._delete(path)
        blob = self.owner.look(path)
        self.owner.match(blob, self.headers)
        if self.command == "HEAD":
            return self._answer(200, b"", self._properties(blob), length=len(blob.data))
        if blob.archived:
            raise Refusal(409, "BlobArchived")
        return self._get(blob)

    def _put(self, path: str, comp: str, body: bytes) -> None:
        owner, headers = self.owner, self.headers
        metadata = {k[10:].lower(): v for k, v in headers.items() if k.lower().startswith("x-ms-meta-")}
        if comp == "copy":
            owner.abort(path)
            return self._answer(204, b"", {})
        if comp == "lease":
            owner.look(path).leased = False
            return self._answer(202, b"", {"x-ms-lease-time": "0"})
        if comp == "tags":
            owner.look(path)
            return self._answer(204, b"", {})
        if comp == "appendblock":
            where = len(owner.look(path).data)
            made = owner.append(path, body, headers.get("x-ms-blob-condition-appendpos"))
            said = {"x-ms-blob-append-offset": str(where), "x-ms-blob-committed-block-count": str(made.blocks)}
            return self._answer(201, b"", {**self._version(made), **said})
        owner.writable(path, headers)
        if source := headers.get("x-ms-copy-source"):
            named = unquote(urlsplit(source).path).removeprefix(f"/{_ACCOUNT}/")
            made = owner.copy(path, named, metadata, headers.get("x-ms-source-if-match", ""))
            return self._answer(202, b"", {**self._version(made), **self._copied(made)})
        made = owner.blobs[path] = Blob(body, metadata, encoding=headers.get("x-ms-blob-content-encoding", ""))
        return self._answer(201, b"", self._version(made))

    def _delete(self, path: str) -> None:
        blob = self.owner.blobs.get(path)
        if blob is None:
            raise Refusal(404, "BlobNotFound")
        self.owner.writable(path, self.headers)
        if blob.snapshots and self.headers.get("x-ms-delete-snapshots") != "include":
            raise Refusal(409, "SnapshotsPresent")
        del self.owner.blobs[path]
        self._answer(202, b"", {})

    def _get(self, blob: Blob) -> None:
        wanted = self.headers.get("x-ms-range") or self.headers.get("Range")
        if not wanted:
            return self._answer(200, blob.data, self._properties(blob))
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        low, high = int(first), min(int(last or len(blob.data) - 1), len(blob.data) - 1)
        if low >= len(blob.data):
            raise Refusal(416, "InvalidRange")
        part = {"Content-Range": f"bytes {low}-{high}/{len(blob.data)}"}
        return self._answer(206, blob.data[low : high + 1], self._properties(blob) | part)

    def _list(self, path: str, query: dict[str, list[str]]) -> None:
        container, prefix = path.rstrip("/"), query.get("prefix", [""])[0]
        rows = []
        for name, blob in self.owner.under(f"{container}/{prefix}").items():
            metadata = "".join(f"<{k}>{escape(v)}</{k}>" for k, v in blob.metadata.items())
            rows.append(
                f"<Blob><Name>{escape(name.removeprefix(container + '/'))}</Name><Properties>"
                f"<Last-Modified>{format_datetime(blob.modified, usegmt=True)}</Last-Modified>"
                f"<Etag>{blob.etag.strip(chr(34))}</Etag><Content-Length>{len(blob.data)}</Content-Length>"
                f"<BlobType>BlockBlob</BlobType></Properties><Metadata>{metadata}</Metadata></Blob>"
            )
        listing = (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="{container}">'
            f"<Blobs>{''.join(rows)}</Blobs><NextMarker/></EnumerationResults>"
        )
        self._answer(200, listing.encode(), {"Content-Type": "application/xml"})

    @staticmethod
    def _version(blob: Blob) -> dict[str, str]:
        return {"ETag": blob.etag, "Last-Modified": format_datetime(blob.modified, usegmt=True)}

    @staticmethod
    def _copied(blob: Blob) -> dict[str, str]:
        return {"x-ms-copy-id": blob.copy_id, "x-ms-copy-status": blob.copy} if blob.copy else {}

    def _properties(self, blob: Blob) -> dict[str, str]:
        said = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
        if blob.encoding:
            said["Content-Encoding"] = blob.encoding
        if blob.archived:
            said["x-ms-access-tier"] = "Archive"
        marks = {f"x-ms-meta-{key}": value for key, value in blob.metadata.items()}
        return {**said, **self._version(blob), **self._copied(blob), **marks}

    def _answer(self, status: int, body: bytes, headers: dict[str, str], length: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"x-ms-version": "2025-01-05", **headers}.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_DELETE = _serve
