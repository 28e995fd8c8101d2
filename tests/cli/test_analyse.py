"""Chapter: `readfirst analyse` reads what the pipeline reads, and says what it leaves out."""

from __future__ import annotations

import io
import struct
from collections import Counter
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from readfirst.cli.analyse import read_study
from readfirst.domain.analysis.models import default_model
from readfirst.domain.analysis.series_selection import choose
from readfirst.domain.deid.dicom.codec import with_preamble
from readfirst.domain.reading.books import account
from readfirst.local.phantom import plant_identifiers, write_phantom_study


def study(folder: Path, slices: int = 4) -> list[Path]:
    write_phantom_study(folder, seed=2, slices=slices, size=64)
    return sorted(folder.iterdir())


def without_preamble(path: Path, *, meta: bool = False) -> None:
    """Cuts off the preamble, and the file meta information where it is not to stay."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<L", content, 140)
    path.write_bytes(content[132 if meta else 144 + length :])


def encoded_as(path: Path, syntax: str) -> None:
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = b"".join(ds.PixelData[k : k + 2][::-1] for k in range(0, len(ds.PixelData), 2))
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    pydicom.dcmwrite(path, ds, implicit_vr=implicit, little_endian=little, force_encoding=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("meta", [True, False], ids=["with group 2", "the data set alone"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_file_without_a_preamble_is_read_like_the_others(tmp_path: Path, syntax: str, meta: bool) -> None:
    whole = study(tmp_path)
    wanted = pydicom.dcmread(whole[1]).pixel_array
    encoded_as(whole[1], syntax)
    without_preamble(whole[1], meta=meta)
    read = read_study(tmp_path)
    assert (len(read.instances), read.told) == (4, Counter())
    ds = pydicom.dcmread(io.BytesIO(read.contents[str(whole[1])]))
    assert (ds.pixel_array == wanted).all()
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID


def test_a_file_that_is_right_stays_as_it_is(tmp_path: Path) -> None:
    content = study(tmp_path, slices=1)[0].read_bytes()
    assert with_preamble(content) == content


def test_whatever_is_left_out_is_counted_with_its_reason(tmp_path: Path) -> None:
    whole = study(tmp_path)
    whole[0].write_bytes(whole[0].read_bytes()[:-900])
    (tmp_path / "README.TXT").write_text("hello " * 40)
    (tmp_path / "more.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(300))
    read = read_study(tmp_path)
    assert len(read.instances) == 3
    assert sorted(reason.split()[0] for reason in read.told) == ["archive-not-opened.", "not", "truncated"]
    assert sum(read.told.values()) == 3
    assert read.refused == {"archive-not-opened": 1, "truncated": 1} and sum(read.skipped.values()) == 1


def test_files_that_say_the_same_count_once_and_two_series_may_name_their_images_alike(tmp_path: Path) -> None:
    whole = study(tmp_path)
    (tmp_path / "copies").mkdir()
    for path in whole:
        (tmp_path / "copies" / path.name).write_bytes(path.read_bytes())
        other = pydicom.dcmread(path)
        other.SeriesInstanceUID += ".7"
        other.save_as(tmp_path / f"other-{path.name}")
    read = read_study(tmp_path)
    assert (len(read.instances), read.copies, read.replaced) == (8, 4, [])
    assert read.told == {"says the same as another one": 4}


def test_two_slices_under_one_uid_make_a_part_of_the_study(tmp_path: Path) -> None:
    """One of them is gone, and it may be the one with the finding."""
    whole = study(tmp_path, slices=12)
    by_height = sorted(whole, key=lambda path: float(pydicom.dcmread(path).ImagePositionPatient[2]))
    top, below = pydicom.dcmread(by_height[-1]), pydicom.dcmread(by_height[-2])
    below.SOPInstanceUID = below.file_meta.MediaStorageSOPInstanceUID = top.SOPInstanceUID
    by_height[-2].unlink()
    below.save_as(tmp_path / "ZZ")
    read = read_study(tmp_path)
    assert (len(read.instances), len(read.replaced)) == (11, 1) and "duplicate-instance" in "".join(read.told)
    gate = default_model().gate.model_copy(update={"max_pixel": 10.0, "min_pixels": 1})
    choice = choose(read.instances, gate)
    (selection,) = choice.selections
    books = account(read.received, read.instances, read.replaced, choice, selection, gate,
                    with_read={selection.series_uid})  # fmt: skip
    assert books.holds and books.part == "11 slice(s); 1 file(s) could not be read"


def test_the_demo_s_copy_of_a_study_stays_one_study(tmp_path: Path) -> None:
    """Files without a preamble get the new UIDs that the others get."""
    whole = study(tmp_path / "in")
    without_preamble(whole[0])
    plant_identifiers(tmp_path / "in", tmp_path / "out", seed=5)
    copies = [pydicom.dcmread(p) for p in (tmp_path / "out").iterdir()]
    assert (len(copies), len({ds.StudyInstanceUID for ds in copies})) == (4, 1)
