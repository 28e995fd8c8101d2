"""multipart/related (RFC 2387) as DICOMweb answers with it."""

from __future__ import annotations

import uuid


def related(parts: list[tuple[bytes, str]]) -> tuple[bytes, str]:
    """The body and its boundary for parts of (bytes, media type)."""
    boundary = uuid.uuid4().hex
    pieces = [
        b"--" + boundary.encode() + b"\r\nContent-Type: " + kind.encode() + b"\r\n\r\n" + data + b"\r\n"
        for data, kind in parts
    ]
    return b"".join(pieces) + b"--" + boundary.encode() + b"--\r\n", boundary
