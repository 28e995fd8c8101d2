"""Results come home to the PACS: proven there one by one, sent once more where they are not, and never sent round."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt

from readfirst.adapters import clients
from readfirst.domain import resource_names
from tests.gateway.conftest import addresses_of, inbox_of
from tests.gateway.orthanc import PLUGIN, Orthanc, free_port, orthanc
from tests.gateway.rig import Rig, slices, storescu
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("storage")]
SC, SR = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.88.34"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"


def answer(kind: str, study: str, sop_class: str = SC, clinic: str = "lakeside", handle: str = "0123ABCD") -> str:
    """Puts a result where the return step puts them. Returns its SOP Instance UID."""
    ds = _image(study, sop_class)
    data = io.BytesIO()
    ds.save_as(data, enforce_file_format=True)
    container = clients.container(resource_names.UPLOADS, resource_names.results(clinic))
    container.upload_blob(f"studies/{handle}/{kind}.dcm", data.getvalue(), overwrite=True)
    return str(ds.SOPInstanceUID)


def _image(study: str, sop_class: str) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Manufacturer = sop_class, generate_uid(), "Readfirst"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = study, generate_uid(), "OT"
    ds.PatientID, ds.PatientName, ds.SpecificCharacterSet = "4711", "Wang^XiaoDong=王^小東", "ISO_IR 192"
    ds.Rows = ds.Columns = 4
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = bytes(16)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def pacs_settings(port: int, more: str = "") -> str:
    return f'[pacs]\ntitle = "PACS"\nhost = "127.0.0.1"\nport = {port}\n{more}'


@pytest.fixture
def pacs(rig: Rig, tmp_path: Path) -> Iterator[Orthanc]:
    """Orthanc, which knows the gateway's port before it is opened."""
    rig.port = free_port()
    with orthanc(tmp_path / "orthanc", rig.port) as made:
        yield made


def started(rig: Rig, settings: str) -> Rig:
    rig.more = settings
    rig.addresses.write_text(addresses_of("lakeside"))
    return rig.start()


def states(rig: Rig) -> dict[str, int]:
    return dict(rig.status()["results"])


def test_results_are_in_orthanc_unchanged_and_proven_there(rig: Rig, pacs: Orthanc) -> None:
    study = generate_uid()
    started(rig, pacs_settings(pacs.dicom))
    sent = {answer("sc-1", study), answer("sr", study, SR)}
    eventually(lambda: states(rig) == {"there": 2})
    assert set(pacs.instances()) == sent
    assert {str(ds.StudyInstanceUID) for ds in pacs.instances().values()} == {study}
    eventually(lambda: list((rig.spool / "results").iterdir()) == [])


def test_orthanc_commits_to_results_where_that_is_asked_for(rig: Rig, pacs: Orthanc) -> None:
    started(rig, pacs_settings(pacs.dicom, 'verify = "commitment"'))
    answer("sc-1", generate_uid())
    eventually(lambda: states(rig) == {"there": 1})
    assert rig.status()["connections since the start"]["released"] >= 1  # the report came by an association of its own


def test_what_orthanc_refuses_by_its_context_goes_by_stow(rig: Rig, pacs: Orthanc) -> None:
    """Debian's Orthanc refuses the context of Label Map Segmentation, and stores the file by HTTP."""
    if not PLUGIN.exists():
        pytest.skip("orthanc-dicomweb is not installed")
    started(rig, pacs_settings(pacs.dicom))
    sent = answer("seg", generate_uid(), LABEL_MAP)
    eventually(lambda: any("refuses this kind" in state for state in states(rig)))
    rig.stop()
    started(rig, pacs_settings(pacs.dicom, f'dicomweb = "{pacs.address}/dicom-web"'))
    eventually(lambda: states(rig) == {"there": 1})
    assert set(pacs.instances()) == {sent}


def test_a_pacs_by_dicomweb_alone_is_sent_to_and_asked(rig: Rig, pacs: Orthanc) -> None:
    if not PLUGIN.exists():
        pytest.skip("orthanc-dicomweb is not installed")
    started(rig, f'[pacs]\ndicomweb = "{pacs.address}/dicom-web"')
    sent = answer("sc-1", generate_uid())
    eventually(lambda: states(rig) == {"there": 1})
    assert set(pacs.instances()) == {sent}


def test_our_own_results_do_not_go_round(rig: Rig, pacs: Orthanc, tmp_path: Path) -> None:
    """A PACS that forwards all that it gets sends them to the gateway too; images of the study still go out."""
    study = generate_uid()
    started(rig, pacs_settings(pacs.dicom))
    sent = answer("sc-1", study)
    eventually(lambda: states(rig) == {"there": 1})
    pacs.send(sent)
    (image,) = slices(tmp_path / "image", 1, study=study)
    storescu(rig, [image])
    eventually(lambda: len(inbox_of()) == 1 and not rig.waiting())
    assert rig.status()["sent since the start"] == {"own results": 1, "sent": 1}
    (data,) = inbox_of().values()
    assert dcmread(io.BytesIO(data)).SOPInstanceUID == dcmread(image).SOPInstanceUID


def test_a_pacs_that_is_down_gets_the_results_later_also_after_a_kill(rig: Rig, tmp_path: Path) -> None:
    rig.port = free_port()
    with orthanc(tmp_path / "orthanc", rig.port) as pacs:
        port = pacs.dicom
    started(rig, pacs_settings(port))
    sent = {answer(f"sc-{k}", generate_uid(), handle=f"H{k}") for k in range(3)}
    eventually(lambda: "the PACS cannot be reached" in rig.status()["trouble"] and sum(states(rig).values()) == 3)
    rig.kill()
    rig.start()
    assert sum(states(rig).values()) == 3
    with SmallPacs(port) as held:
        eventually(lambda: states(rig) == {"there": 3})
        assert set(held) == sent


def test_a_newer_version_of_a_result_is_sent_and_the_same_one_never_again(rig: Rig) -> None:
    port = free_port()
    with SmallPacs(port) as held:
        started(rig, pacs_settings(port))
        study = generate_uid()
        first = answer("sr", study, SR)
        eventually(lambda: states(rig) == {"there": 1})
        rig.kill()
        rig.start()
        second = answer("sr", study, SR)
        eventually(lambda: states(rig) == {"there": 1} and second in held)
        assert held == {first: 1, second: 1}


def test_an_answer_that_is_not_dicom_holds_up_no_other(rig: Rig) -> None:
    port = free_port()
    container = clients.container(resource_names.UPLOADS, resource_names.results("lakeside"))
    container.upload_blob("studies/00000000/sr.dcm", b"not DICOM")
    with SmallPacs(port) as held:
        started(rig, pacs_settings(port))
        sent = answer("sc-1", generate_uid())
        eventually(lambda: states(rig) == {"there": 1, "unreadable": 1})
        assert set(held) == {sent}


def test_an_answer_of_success_proves_nothing(rig: Rig) -> None:
    """A PACS that says "stored" and has forgotten: it is asked, and sent the object once more."""
    port = free_port()
    with SmallPacs(port, forgets=1) as held:
        started(rig, pacs_settings(port))
        sent = answer("sc-1", generate_uid())
        eventually(lambda: any("taken, and not found" in state for state in states(rig)))
        eventually(lambda: states(rig) == {"there": 1}, pause=0.2)
        assert held[sent] == 2


def test_another_clinics_results_stay_where_they_are(rig: Rig) -> None:
    port, study = free_port(), generate_uid()
    with SmallPacs(port) as held:
        started(rig, pacs_settings(port))
        theirs = answer("sc-1", study, clinic="hillcrest")
        ours = answer("sc-1", study)
        eventually(lambda: states(rig) == {"there": 1})
        assert set(held) == {ours}
        assert theirs not in held


class SmallPacs:
    """A small PACS by pynetdicom: counts what it was sent; what it `forgets` it does not find the first time."""

    def __init__(self, port: int, forgets: int = 0) -> None:
        self._port, self._forgets = port, forgets
        self.held: dict[str, int] = {}

    def __enter__(self) -> dict[str, int]:
        ae = AE("PACS")
        for uid in (SC, SR, "1.2.840.10008.5.1.4.1.2.2.1"):
            ae.add_supported_context(uid)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_C_FIND, self._find)]
        self._server = ae.start_server(("127.0.0.1", self._port), block=False, evt_handlers=handlers)
        return self.held

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def _store(self, event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        self.held[uid] = self.held.get(uid, 0) + 1
        return 0

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        uid = str(event.identifier.SOPInstanceUID)
        if self.held.get(uid, 0) > self._forgets:
            yield 0xFF00, event.identifier
