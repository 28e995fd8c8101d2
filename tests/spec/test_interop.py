"""The table of what other programs make of our files: complete, and honest about what differs."""

from __future__ import annotations

import pytest

from tools.interop.rows import Row, apart, attempted, on_the_page, said, table, written

PEERS = ("dcmtk (dcmdump)", "dcmtk (storescu, storescp)", "dcmtk (dsrdump)", "GDCM", "SimpleITK", "dcm2niix",
         "highdicom", "dcmqi (3D Slicer)", "dcmjs (OHIF)", "OHIF (npm @ohif/app)", "Orthanc (DICOMweb plugin)",
         "dicomweb-client (Python)", "dicomweb-client (npm, Chromium)", "dicom3tools (dciodvfy)",
         "dcmtk (echoscu, storescu)", "Orthanc (C-STORE, commitment)")  # fmt: skip


@pytest.mark.parametrize("peer", PEERS)
def test_every_peer_was_asked_and_its_version_is_stated(peer: str) -> None:
    rows = [row for row in on_the_page() if row[0] == peer]
    assert rows and all(version not in ("", "?") for _, version, *_ in rows)


def test_what_differs_says_why() -> None:
    assert [row for row in on_the_page() if row[4] != "yes" and not row[4].endswith(")")] == []


def test_a_row_says_yes_only_where_nothing_differs() -> None:
    alike = Row("a", "1", "b", "c", said(apart("n", 2, 2), apart("m", "x", "x")))
    other = Row("a", "1", "b", "c", said(apart("n", 2, 3), apart("m", "x", "y")), "known")
    assert (alike.verdict, other.verdict) == ("yes", "no: n 2, not 3; m x, not y (known)")
    page = written("head <!-- made by `make interop` -->old<!-- end --> foot", [alike, other], "today")
    assert table([alike, other]) in page and "old" not in page and page.startswith("head") and page.endswith("foot")


def test_a_peer_that_breaks_has_a_row_and_the_others_are_asked() -> None:
    def broken():
        yield Row("a", "1", "b", "c")
        raise RuntimeError("broke")

    assert [row.verdict for row in attempted("a", broken())] == ["yes", "no: it did not run to its end"]
