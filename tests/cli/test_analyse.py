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
from readfirst.domain.deid.dicom.codec import with_preamble
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
    left_out: Counter[str] = Counter()
    instances, contents = read_study(tmp_path, left_out)
    assert (len(instances), left_out) == (4, Counter())
    ds = pydicom.dcmread(io.BytesIO(contents[str(whole[1])]))
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
    left_out: Counter[str] = Counter()
    instances, _ = read_study(tmp_path, left_out)
    assert len(instances) == 3
    assert sorted(reason.split()[0] for reason in left_out) == ["archive-not-opened.", "not", "truncated"]
    assert sum(left_out.values()) == 3


def test_the_demo_s_copy_of_a_study_stays_one_study(tmp_path: Path) -> None:
    """Files without a preamble get the new UIDs that the others get."""
    whole = study(tmp_path / "in")
    without_preamble(whole[0])
    plant_identifiers(tmp_path / "in", tmp_path / "out", seed=5)
    copies = [pydicom.dcmread(p) for p in (tmp_path / "out").iterdir()]
    assert (len(copies), len({ds.StudyInstanceUID for ds in copies})) == (4, 1)
