"""multipart/related: what a reader of RFC 2046 takes apart is what was put together."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import HTTP

import pytest

from readfirst.domain.dicomweb.multipart import related

PARTS = [
    [(b"one", "application/dicom")],
    [(b"\r\n--x\r\n\0\xff", "application/octet-stream"), (b"", "image/jp2;transfer-syntax=1.2"), (b"\r\n", "a/b")],
]


@pytest.mark.parametrize("parts", PARTS)
def test_parts_come_apart_as_they_were_put_together(parts: list[tuple[bytes, str]]) -> None:
    body, boundary = related(parts)
    whole = message_from_bytes(
        f'Content-Type: multipart/related; boundary="{boundary}"\r\n\r\n'.encode() + body, policy=HTTP
    )
    pieces = body.split(f"--{boundary}".encode())
    assert pieces[0] == b"" and pieces[-1] == b"--\r\n" and len(pieces) == len(parts) + 2
    assert [p.partition(b"\r\n\r\n")[2][:-2] for p in pieces[1:-1]] == [data for data, _ in parts]
    assert [p.get_content_type() for p in whole.iter_parts()] == [kind.partition(";")[0] for _, kind in parts]


def test_each_answer_has_a_boundary_of_its_own() -> None:
    assert related([(b"", "a/b")])[1] != related([(b"", "a/b")])[1]
