"""The round trip: from the scanner through the gateway to the AI, and its results into the PACS."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from readfirst.adapters import blobs, clients
from readfirst.domain import resource_names
from readfirst.local.watching import token_of
from tests.e2e.conftest import Study, invent, whole
from tests.gateway.conftest import addresses_of
from tests.gateway.orthanc import Orthanc, free_port, orthanc
from tests.gateway.rig import Rig, storescu
from tests.waiting import PATIENCE, eventually

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("stack")]
SEG, SR, SC = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7"
SAME = ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate")  # fmt: skip # noqa: E501


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[tuple[Rig, Orthanc]]:
    """A clinic: its gateway and its PACS."""
    rig = Rig(tmp_path / "gateway", port=free_port())
    rig.home.mkdir()
    rig.addresses.write_text(addresses_of("lakeside"))
    with orthanc(tmp_path / "orthanc", rig.port) as pacs:
        rig.more = f'[pacs]\ntitle = "PACS"\nhost = "127.0.0.1"\nport = {pacs.dicom}\n'
        yield rig.start(), pacs
        rig.stop()


def test_results_of_a_scanners_study_are_in_the_pacs_on_the_original_study(
    clinic: tuple[Rig, Orthanc], tmp_path: Path
) -> None:
    rig, pacs = clinic
    study = invent(tmp_path / "study")
    assert storescu(rig, study.files).returncode == 0
    record = whole(study)
    wanted = {kind for kind in record.outputs if kind in ("seg", "sr") or kind.startswith("sc-")}
    assert {"seg", "sr", "sc-1"} <= wanted
    eventually(lambda: len(_of(pacs, study)) >= len(wanted), 2 * PATIENCE, pause=1)
    eventually(lambda: set(rig.status()["results"]) == {"there"}, 2 * PATIENCE)
    home = _of(pacs, study)
    assert {SEG, SR, SC} <= {str(ds.SOPClassUID) for ds in home.values()}
    originals = [pydicom.dcmread(file) for file in study.files]
    for ds in home.values():
        assert {name: str(ds.get(name, "")) for name in SAME} == {
            name: str(originals[0].get(name, "")) for name in SAME
        }
    frames = {str(ds.FrameOfReferenceUID) for ds in originals}
    slices = {str(ds.SOPInstanceUID) for ds in originals}
    (seg,) = [ds for ds in home.values() if ds.SOPClassUID == SEG]
    assert {str(seg.FrameOfReferenceUID)} == frames
    assert _referenced(seg) & slices
    (report,) = [ds for ds in home.values() if ds.SOPClassUID == SR]
    assert _referenced(report) & slices
    answers = clients.container(resource_names.UPLOADS, resource_names.results("lakeside"))
    for kind in wanted:  # as they were brought home, in every attribute
        sent = pydicom.dcmread(io.BytesIO(blobs.read(answers, f"studies/{record.handle}/{kind}.dcm") or b""))
        assert home[str(sent.SOPInstanceUID)] == sent


def _referenced(ds: pydicom.Dataset) -> set[str]:
    return {str(element.value) for element in ds.iterall() if element.keyword == "ReferencedSOPInstanceUID"}


def test_two_clinics_with_one_patients_number_and_one_study_uid_never_cross(
    clinic: tuple[Rig, Orthanc], tmp_path: Path
) -> None:
    rig, pacs = clinic
    study = invent(tmp_path / "study")
    home = tmp_path / "second"
    home.mkdir()
    other = Rig(home, port=free_port())
    other.addresses.write_text(addresses_of("hillcrest"))
    with orthanc(tmp_path / "other-orthanc", other.port) as others:
        other.more = f'[pacs]\ntitle = "PACS"\nhost = "127.0.0.1"\nport = {others.dicom}\n'
        other.start()
        try:
            theirs = _of_another_person(study, tmp_path / "theirs")
            storescu(rig, study.files)
            storescu(other, theirs.files)
            whole(study)
            eventually(lambda: _reported(pacs, study) and _reported(others, study), 3 * PATIENCE, pause=1)
            assert token_of("lakeside", study.planted["study uid"]) != token_of("hillcrest", study.planted["study uid"])
            for held, name in ((pacs, study.planted["surname"]), (others, theirs.planted["surname"])):
                assert all(name in str(ds.PatientName) for ds in _of(held, study).values())
            assert not set(pacs.instances()) & set(others.instances())
        finally:
            other.stop()


def _of(pacs: Orthanc, study: Study) -> dict[str, pydicom.Dataset]:
    """What a PACS has of a study: the stack is shared, and the clinic's answers hold other tests' studies too."""
    return {uid: ds for uid, ds in pacs.instances().items() if ds.StudyInstanceUID == study.planted["study uid"]}


def _reported(pacs: Orthanc, study: Study) -> bool:
    return any(ds.SOPClassUID == SR for ds in _of(pacs, study).values())


def _of_another_person(study: Study, folder: Path) -> Study:
    """The same UIDs and the same patient's number, at another clinic, in the images of somebody else."""
    theirs = invent(folder)
    for mine, file in zip(study.files, theirs.files, strict=True):
        same, ds = pydicom.dcmread(mine, stop_before_pixels=True), pydicom.dcmread(file)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID"):
            setattr(ds, keyword, same[keyword].value)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.save_as(file, enforce_file_format=True)
    return theirs
