"""A tar is read in place as a zip is: names are never trusted, limits hold before anything is unpacked."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from readfirst.domain.deid import read_header
from readfirst.domain.intake import archives, tars
from readfirst.domain.refusals import Reason, Refused, Skipped

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "GNU": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def tarred(members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def members(data: bytes) -> tuple[tars.Member, ...]:
    found = tars.members_of(io.BytesIO(data))
    assert not isinstance(found, Refused)
    return found


def refusal(data: bytes) -> Reason:
    found = tars.members_of(io.BytesIO(data))
    assert isinstance(found, Refused)
    return found.reason


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS.keys())
def test_every_member_is_known_by_where_it_begins_and_how_long_it_is(form: int) -> None:
    contents = {"../../etc/passwd": b"one", "a" * 90: b"two" * 700, "empty": b""}
    data = tarred(contents, form)
    assert tars.is_tar(data)
    read = [tars.Section(io.BytesIO(data), m.offset, m.size).read() for m in members(data)]
    assert read == list(contents.values())


def test_a_section_can_be_read_from_anywhere_and_ends_where_it_ends() -> None:
    section = tars.Section(io.BytesIO(b"before" + b"content" + b"behind"), 6, 7)
    assert section.seek(0, io.SEEK_END) == 7
    section.seek(3)
    assert section.read(100) == b"tent"


def test_a_link_has_no_content_of_its_own() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("folder/.."))
    assert [(m.plain, m.size) for m in members(buffer.getvalue())] == [(False, 0), (True, 0)]


def test_a_tar_that_breaks_off_is_unreadable() -> None:
    data = tarred({"a": b"x" * 5000, "b": b"y" * 5000})
    assert refusal(data[: len(data) // 2 - 3000]) is Reason.ZIP_UNREADABLE


def test_a_header_that_says_it_is_huge_is_not_read() -> None:
    data = bytearray(tarred({"é" * 90: b"x"}))
    head = tarfile.TarInfo("pax")
    head.type, head.size = tarfile.XHDTYPE, 3 << 30
    data[:512] = head.tobuf(tarfile.USTAR_FORMAT)
    assert refusal(bytes(data)) is Reason.ZIP_UNREADABLE


def test_more_files_than_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tars, "MOST_MEMBERS", 3)
    assert refusal(tarred({str(k): b"" for k in range(4)})) is Reason.ZIP_LIMITS


def test_folders_count_against_the_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tarfile.TarInfo("folder")
    folder.type = tarfile.DIRTYPE
    monkeypatch.setattr(tars, "MOST_MEMBERS", 3)
    assert refusal(folder.tobuf() * 4) is Reason.ZIP_LIMITS


def header(kind: bytes, content: bytes = b"") -> bytes:
    info = tarfile.TarInfo("one")
    info.type, info.size = kind, len(content)
    return info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % tars.BLOCK)


@pytest.mark.parametrize(
    "link",
    [
        header(tarfile.GNUTYPE_LONGNAME, b"name\0"),
        header(tarfile.GNUTYPE_LONGLINK, b"name\0"),
        header(tarfile.XHDTYPE, b"9 key=ab\n"),
        header(tarfile.XGLTYPE, b"9 key=ab\n"),
    ],
    ids=["long names", "long links", "attributes", "attributes of all"],
)
def test_headers_that_go_on_in_another_header_without_end_are_refused(link: bytes) -> None:
    assert tars.is_tar(link)
    assert refusal(link * 1200 + header(tarfile.REGTYPE)) is Reason.ZIP_UNREADABLE


def test_what_a_member_says_of_its_holes_is_limited() -> None:
    """A list of holes goes on in blocks of 21 for as long as each one says that another follows."""
    sparse = bytearray(header(tarfile.GNUTYPE_SPARSE))
    sparse[482] = 1  # more of the list follows
    sparse[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(sparse))[0]
    more = bytearray(tars.BLOCK)
    for at in range(0, 504, 12):
        more[at : at + 12] = b"00000000001\0"
    more[504] = 1
    file = io.BytesIO(bytes(sparse) + bytes(more) * 8000)
    assert isinstance(tars.members_of(file), Refused)
    assert file.tell() <= 1 << 20


def test_gzip_is_taken_off_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tarred({"a": b"x" * 50_000})
    packed = gzip.compress(data)
    assert io.BufferedReader(tars.Unpacked(io.BytesIO(packed), len(packed))).read() == data
    monkeypatch.setattr(tars, "FREE_RATIO", 10_000)
    monkeypatch.setattr(tars, "HIGHEST_RATIO", 2)
    with pytest.raises(tars.TooLarge):
        io.BufferedReader(tars.Unpacked(io.BytesIO(packed), len(packed))).read()


@pytest.mark.parametrize("content", [bytes(2000), b"text\n" * 200, bytes(128) + b"DICM" + bytes(900)])
def test_what_is_no_tar_is_not_taken_for_one(content: bytes) -> None:
    assert not tars.is_tar(content)


ARCHIVES = {
    "7z": b"7z\xbc\xaf\x27\x1c" + bytes(200),
    "rar": b"Rar!\x1a\x07\0" + bytes(200),
    "gzip": gzip.compress(b"x" * 200),
    "tar": tarred({"a": b"x"}),
    "zip": b"PK\x03\x04" + bytes(26) + b"IM1.dcm" + bytes(200),
    "bzip2": b"BZh91AY&SY" + bytes(200),
}


@pytest.mark.parametrize("content", ARCHIVES.values(), ids=ARCHIVES.keys())
def test_an_archive_among_the_files_is_refused_and_never_passed_over(content: bytes) -> None:
    verdict = read_header(io.BytesIO(content))
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.ARCHIVE
    assert ".zip" in verdict.advice


@pytest.mark.parametrize("first", [b"[Content_Types].xml", b"META-INF/MANIFEST.MF"])
def test_a_letter_or_a_viewer_that_is_a_zip_is_skipped(first: bytes) -> None:
    assert isinstance(read_header(io.BytesIO(b"PK\x03\x04" + bytes(26) + first + bytes(200))), Skipped)


def test_every_archive_that_is_not_opened_has_a_name() -> None:
    assert [archives.other_kind(ARCHIVES[k]) for k in ("7z", "rar", "bzip2", "zip")] == ["7z", "rar", "bzip2", ""]
