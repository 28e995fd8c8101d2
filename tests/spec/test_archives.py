"""A zip archive is read in place: names are never trusted, limits hold before anything is unpacked."""

from __future__ import annotations

import io
import re
import zipfile

import pytest

from readfirst.domain.intake import archives
from readfirst.domain.intake.archives import Archive, open_archive
from readfirst.domain.refusals import Reason, Refused


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def opened(data: bytes) -> Archive | Refused:
    return open_archive(io.BytesIO(data), len(data))


def refusal(data: bytes) -> Reason:
    verdict = opened(data)
    assert isinstance(verdict, Refused)
    return verdict.reason


def archive_of(data: bytes) -> Archive:
    verdict = opened(data)
    assert isinstance(verdict, Archive)
    return verdict


def test_members_are_named_by_their_place_whatever_they_call_themselves() -> None:
    archive = archive_of(zipped({"../../etc/passwd": b"one", "C:\\x": b"two", "dir/": b"", "a": b"three"}))
    assert [archive.open(i).read() for i in archive.indices] == [b"one", b"two", b"three"]


def test_a_member_can_be_read_from_anywhere_and_knows_its_size() -> None:
    content = bytes(range(256)) * 1000
    member = archive_of(zipped({"a": content})).open(0)
    assert member.seek(0, io.SEEK_END) == len(content)
    member.seek(200_000)
    assert member.read(7) == content[200_000:200_007]
    member.seek(3)
    assert member.read(5) == content[3:8]


def test_a_damaged_archive_is_unreadable() -> None:
    assert refusal(b"PK\x03\x04 and then nothing of the kind") is Reason.ZIP_UNREADABLE


def test_a_damaged_member_raises_only_what_is_announced() -> None:
    data = bytearray(zipped({"a": b"x" * 5000}, zipfile.ZIP_STORED))
    data[100] ^= 0xFF
    member = archive_of(bytes(data)).open(0)
    with pytest.raises(archives.DAMAGED):
        member.read()


def test_a_protected_archive_says_so() -> None:
    data = bytearray(zipped({"a": b"x"}))
    data[6] |= 1
    central = data.index(b"PK\x01\x02")
    data[central + 8] |= 1
    assert refusal(bytes(data)) is Reason.ZIP_ENCRYPTED


def test_a_protected_member_or_one_packed_in_an_unknown_way_does_not_close_the_others() -> None:
    data = bytearray(zipped({"a": b"one", "b": b"two", "c": b"three"}, zipfile.ZIP_STORED))
    first, second, _ = (m.start() for m in re.finditer(b"PK\x01\x02", data))
    data[first + 8] |= 1
    data[second + 10] = 99
    archive = archive_of(bytes(data))
    assert [(i, why.reason) for i, why in archive.closed.items()] == [
        (0, Reason.ZIP_ENCRYPTED),
        (1, Reason.ZIP_UNREADABLE),
    ]
    assert archive.open(2).read() == b"three"


def test_a_bomb_is_over_the_limits_before_a_byte_is_unpacked() -> None:
    with_claim = bytearray(zipped({"a": bytes(1 << 20)}))
    central = with_claim.index(b"PK\x01\x02")
    with_claim[central + 24 : central + 28] = (3 << 30).to_bytes(4, "little")
    assert refusal(bytes(with_claim)) is Reason.ZIP_LIMITS


def test_members_that_share_their_bytes_are_refused() -> None:
    data = bytearray(zipped({"a": b"x" * 4000, "b": b"x" * 4000}, zipfile.ZIP_STORED))
    second = data.rindex(b"PK\x01\x02")
    data[second + 42 : second + 46] = (0).to_bytes(4, "little")
    assert refusal(bytes(data)) is Reason.ZIP_UNREADABLE


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    assert refusal(zipped({str(i): b"x" for i in range(4)})) is Reason.ZIP_LIMITS


def test_members_are_counted_before_anything_is_made_of_them_whatever_the_archive_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    data = bytearray(zipped({str(i): b"x" for i in range(4)}))
    end = data.rindex(b"PK\x05\x06")
    data[end + 8 : end + 12] = bytes([1, 0, 1, 0])
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert refusal(bytes(data)) is Reason.ZIP_LIMITS


def test_a_directory_larger_than_any_needs_to_be_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_LARGEST_DIRECTORY", 100)
    assert refusal(zipped({"a" * 60: b"x"})) is Reason.ZIP_LIMITS


def test_an_archive_in_the_64_bit_format_or_behind_other_bytes_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)  # makes zipfile write the 64-bit format
    data = zipped({str(i): b"x" for i in range(4)})
    assert b"PK\x06\x06" in data
    assert len(archive_of(data).indices) == 4
    assert len(archive_of(b"PK\x03\x04 something before" + data).indices) == 4
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    assert refusal(data) is Reason.ZIP_LIMITS
    assert refusal(b"PK\x03\x04 something before" + data) is Reason.ZIP_LIMITS


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_in_any_compression_raises_only_what_is_announced(method: int) -> None:
    content = bytes(range(256)) * 64
    whole = zipped({"a": content}, method)
    end = whole.index(b"PK\x01\x02")
    for at in range(31, end, 5):
        data = bytearray(whole)
        data[at] ^= 0xFF
        try:
            member = archive_of(bytes(data)).open(0)
            assert member.read() == content
        except archives.DAMAGED:
            continue


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_storage_that_fails_is_no_damage(method: int) -> None:
    class Cut(io.BytesIO):
        cut = False

        def read(self, size: int | None = -1, /) -> bytes:
            if self.cut:
                raise ConnectionResetError(104, "reset")
            return super().read(size)

    file = Cut(zipped({"a": bytes(range(256)) * 64}, method))
    archive = open_archive(file, len(file.getvalue()))
    assert isinstance(archive, Archive)
    file.cut = True
    with pytest.raises(ConnectionResetError):
        archive.open(0).read()


def test_an_empty_archive_has_no_members() -> None:
    assert archive_of(zipped({})).indices == ()
