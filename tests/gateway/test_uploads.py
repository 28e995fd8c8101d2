"""From the spool to the inbox: nothing lost, nothing under a second name, whatever breaks in between."""

from __future__ import annotations

import json
import os
import random
import threading
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, build_context

from readfirst.domain.gateway import contexts
from readfirst.local.stack import Stack
from tests.gateway.conftest import addresses_of, inbox_of
from tests.gateway.rig import SENDER, TITLE, Rig, data_set, slices, storescu
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("storage")]


@pytest.fixture
def gateway(rig: Rig) -> Rig:
    """One that serves the clinic lakeside."""
    rig.addresses.write_text(addresses_of("lakeside"))
    return rig.start()


def images(clinic: str = "lakeside") -> list[str]:
    """The SOP Instance UIDs in a clinic's inbox."""
    found = inbox_of(clinic)
    return sorted(str(dcmread(BytesIO(data)).SOPInstanceUID) for name, data in found.items() if name.endswith(".dcm"))


def announced(clinic: str = "lakeside") -> list[dict[str, object]]:
    """The messages that say that a study is complete."""
    return [json.loads(data) for name, data in inbox_of(clinic).items() if name.endswith("complete.json")]


def uids(files: list[Path]) -> list[str]:
    return sorted(str(dcmread(file).SOPInstanceUID) for file in files)


def test_a_study_from_the_scanner_is_in_the_inbox_and_no_longer_in_the_spool(gateway: Rig, tmp_path: Path) -> None:
    files = slices(tmp_path / "sent", 12)
    assert storescu(gateway, files).returncode == 0
    eventually(lambda: images() == uids(files))
    eventually(lambda: not gateway.waiting())
    sent = {data_set(file.read_bytes()) for file in files}
    assert {data_set(data) for data in inbox_of().values()} == sent
    assert not announced()


def test_a_large_object_goes_out_in_pieces_and_arrives_as_it_came(gateway: Rig, tmp_path: Path) -> None:
    """Its address may create and not write: blocks too."""
    files = slices(tmp_path / "sent", 1, side=2400)  # 11 MB
    assert storescu(gateway, files).returncode == 0
    eventually(lambda: images() == uids(files) and not gateway.waiting())
    assert [data_set(data) for data in inbox_of().values()] == [data_set(files[0].read_bytes())]


def test_a_study_waits_through_an_outage_and_arrives_when_the_line_is_back(rig: Rig, tmp_path: Path) -> None:
    good = addresses_of("lakeside")
    rig.addresses.write_text(good.replace("127.0.0.1:", "127.0.0.1:1").replace("localhost:", "localhost:1"))
    rig.start()
    files = slices(tmp_path / "sent", 4)
    assert storescu(rig, files).returncode == 0
    eventually(lambda: "cannot be reached" in str(rig.status()["trouble"]))
    assert len(rig.waiting()) == 4
    rig.kill()
    rig.start()
    assert len(rig.waiting()) == 4
    replaced = rig.addresses.with_name("new")
    replaced.write_text(good)
    replaced.replace(rig.addresses)
    eventually(lambda: images() == uids(files))
    eventually(lambda: "reached" not in str(rig.status()["trouble"]) and not rig.waiting())


def test_an_address_that_lapsed_is_said_and_its_successor_is_taken_while_it_runs(rig: Rig, tmp_path: Path) -> None:
    good = addresses_of("lakeside")
    rig.addresses.write_text(good.replace("sig=", "sig=AAAA"))
    rig.start()
    files = slices(tmp_path / "sent", 2)
    storescu(rig, files)
    eventually(lambda: "the address is refused" in str(rig.status()["trouble"]))
    rig.addresses.write_text(good)
    eventually(lambda: images() == uids(files))


def test_an_address_of_another_clinic_is_never_used(gateway: Rig, tmp_path: Path) -> None:
    first, second = slices(tmp_path / "first", 2), slices(tmp_path / "second", 2)
    storescu(gateway, first)
    eventually(lambda: images() == uids(first))
    gateway.addresses.write_text(addresses_of("hillcrest"))
    storescu(gateway, second)
    eventually(lambda: "another clinic" in str(gateway.status()["trouble"]))
    gateway.kill()
    gateway.start()
    eventually(lambda: "another clinic" in str(gateway.status()["trouble"]))
    mixed = addresses_of("lakeside").splitlines()[0] + "\n" + addresses_of("hillcrest").splitlines()[1] + "\n"
    gateway.addresses.write_text(mixed)
    eventually(lambda: "not those of one clinic" in str(gateway.status()["trouble"]))
    gateway.addresses.write_text(addresses_of("lakeside"))
    eventually(lambda: images() == sorted(uids(first) + uids(second)))
    assert inbox_of("hillcrest") == {}


def test_killed_again_and_again_it_loses_no_image_that_it_said_it_has(gateway: Rig, tmp_path: Path) -> None:
    """A scanner sends on until each image is acknowledged; the gateway is killed in the midst of it."""
    files = slices(tmp_path / "sent", 60, side=128)
    acknowledged: set[str] = set()
    done = threading.Event()

    def scanner() -> None:
        left = list(files)
        while left:
            left = [file for file in left if not _sent(gateway, file, acknowledged)]
        done.set()

    threading.Thread(target=scanner, daemon=True).start()
    chance = random.Random(4711)
    for _ in range(6):
        before = len(acknowledged)
        wanted = min(len(files), before + chance.randrange(4, 12))
        eventually(lambda wanted=wanted: len(acknowledged) >= wanted or done.is_set())  # type: ignore[misc]
        gateway.kill()
        gateway.start()
    eventually(done.is_set)
    eventually(lambda: not gateway.waiting())
    got = images()
    assert set(got) == set(uids(files)) == acknowledged
    by_uid = {
        uid: {data_set(d) for d in inbox_of().values() if str(dcmread(BytesIO(d)).SOPInstanceUID) == uid}
        for uid in set(got)
    }
    assert all(len(one) == 1 for one in by_uid.values())
    assert list((gateway.spool / "incoming").iterdir()) == []


def _sent(gateway: Rig, file: Path, acknowledged: set[str]) -> bool:
    ae = AE(SENDER)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 30
    ds = dcmread(file)
    association = ae.associate(
        "127.0.0.1", gateway.port, contexts=[build_context(CTImageStorage, [ExplicitVRLittleEndian])], ae_title=TITLE
    )
    if not association.is_established:
        return False
    try:
        status = association.send_c_store(ds).get("Status")
    except RuntimeError:
        status = None
    association.release()
    if status != 0:
        return False
    acknowledged.add(str(ds.SOPInstanceUID))
    return True


def test_a_disk_that_is_full_is_answered_as_such_and_nothing_is_lost(rig: Rig, tmp_path: Path) -> None:
    rig.limits = f"keep_free = {10**15}"
    rig.addresses.write_text(addresses_of("lakeside"))
    rig.start()
    files = slices(tmp_path / "sent", 1)
    association = AE(SENDER).associate(
        "127.0.0.1", rig.port, contexts=[build_context(CTImageStorage, [ExplicitVRLittleEndian])], ae_title=TITLE
    )
    assert association.send_c_store(dcmread(files[0])).Status == 0xA700
    association.release()
    assert "disk is full" in str(rig.status()["trouble"])
    rig.stop()
    rig.limits = "keep_free = 0"
    rig.start()
    assert storescu(rig, files).returncode == 0
    eventually(lambda: images() == uids(files))


def test_what_is_not_an_image_inside_goes_to_the_cloud_which_says_so(gateway: Rig) -> None:
    association = AE(SENDER).associate(
        "127.0.0.1", gateway.port, contexts=[build_context(CTImageStorage, [ExplicitVRLittleEndian])], ae_title=TITLE
    )
    from pynetdicom.dimse_primitives import C_STORE

    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CTImageStorage, "1.2.3"
    request.DataSet = BytesIO(os.urandom(5000))
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    assert answer.Status == 0
    association.release()
    eventually(lambda: len(inbox_of()) == 1 and not gateway.waiting())


# ---------------------------------------------------------------- when a study is complete


def _modality(gateway: Rig) -> object:
    syntaxes = [ExplicitVRLittleEndian]
    asked = [build_context(uid, syntaxes) for uid in (contexts.MPPS, contexts.AVAILABILITY)]
    association = AE(SENDER).associate("127.0.0.1", gateway.port, contexts=asked, ae_title=TITLE)
    assert association.is_established
    return association


def _step(study: str) -> Dataset:
    ds, item = Dataset(), Dataset()
    item.StudyInstanceUID = study
    ds.ScheduledStepAttributesSequence = [item]
    ds.PatientName, ds.PatientID = "Surname^Given", "4711"
    ds.PerformedProcedureStepStatus = "IN PROGRESS"
    ds.PerformedSeriesSequence = []
    return ds


def _performed(state: str, instances: list[str]) -> Dataset:
    ds, series = Dataset(), Dataset()
    series.ReferencedImageSequence = [_reference(uid) for uid in instances]
    ds.PerformedProcedureStepStatus = state
    ds.PerformedSeriesSequence = [series]
    return ds


def _reference(uid: str) -> Dataset:
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = CTImageStorage, uid
    return ds


def test_a_study_is_announced_by_its_completed_step_and_not_by_its_associations(gateway: Rig, tmp_path: Path) -> None:
    study = generate_uid()
    files = slices(tmp_path / "sent", 3, study=study)
    modality = _modality(gateway)
    step = generate_uid()
    assert modality.send_n_create(_step(study), contexts.MPPS, step)[0].Status == 0
    for file in files[:2]:  # an association each
        storescu(gateway, [file])
    eventually(lambda: len(images()) == 2)
    assert modality.send_n_set(_performed("COMPLETED", uids(files)), contexts.MPPS, step)[0].Status == 0
    eventually(lambda: not gateway.waiting())
    assert announced() == []
    gateway.kill()
    gateway.start()
    storescu(gateway, [files[2]])
    eventually(
        lambda: announced() == [{"studyInstanceUid": study, "expected": 3, "priority": "routine", "purpose": "current"}]
    )
    assert images() == uids(files)


def test_a_step_that_was_discontinued_announces_nothing(gateway: Rig, tmp_path: Path) -> None:
    study, step = generate_uid(), generate_uid()
    files = slices(tmp_path / "sent", 2, study=study)
    modality = _modality(gateway)
    modality.send_n_create(_step(study), contexts.MPPS, step)
    storescu(gateway, files)
    assert modality.send_n_set(_performed("DISCONTINUED", uids(files)), contexts.MPPS, step)[0].Status == 0
    eventually(lambda: images() == uids(files))
    other = slices(tmp_path / "other", 1)
    storescu(gateway, other)
    eventually(lambda: len(images()) == 3)
    assert announced() == []
    assert modality.send_n_set(_performed("COMPLETED", uids(files)), contexts.MPPS, step)[0].Status == 0x0110


def test_a_notification_of_availability_announces_a_study_whose_instances_are_there(
    gateway: Rig, tmp_path: Path
) -> None:
    study = generate_uid()
    files = slices(tmp_path / "sent", 2, study=study)
    ds, series = Dataset(), Dataset()
    series.SeriesInstanceUID = "1.2.3"
    series.ReferencedSOPSequence = [_reference(uid) for uid in uids(files)]
    for item in series.ReferencedSOPSequence:
        item.InstanceAvailability = "ONLINE"
    ds.StudyInstanceUID, ds.ReferencedSeriesSequence = study, [series]
    assert _modality(gateway).send_n_create(ds, contexts.AVAILABILITY, generate_uid())[0].Status == 0
    storescu(gateway, files)
    eventually(lambda: [one["expected"] for one in announced()] == [2])


def test_of_a_step_only_uids_are_kept(gateway: Rig) -> None:
    _modality(gateway).send_n_create(_step(generate_uid()), contexts.MPPS, generate_uid())
    gateway.stop()
    kept = b"".join(file.read_bytes() for file in gateway.spool.glob("journal*"))
    assert b"IN PROGRESS" in kept
    assert b"Surname" not in kept
    assert b"4711" not in kept


def test_two_gateways_do_not_share_a_spool(gateway: Rig) -> None:
    second = Rig(gateway.home)
    with pytest.raises(AssertionError, match="another gateway uses the spool"):
        second.start()


def test_one_clinics_study_never_reaches_the_inbox_of_another(gateway: Rig, tmp_path: Path, servers: Stack) -> None:
    """The same patient's number and the same study UID at two clinics."""
    home = tmp_path / "second"
    home.mkdir()
    other = Rig(home)
    other.addresses.write_text(addresses_of("hillcrest"))
    other.start()
    try:
        study = generate_uid()
        ours = slices(tmp_path / "ours", 3, study=study, name="Lakeside^Person")
        theirs = slices(tmp_path / "theirs", 2, study=study, name="Hillcrest^Person")
        storescu(gateway, ours)
        storescu(other, theirs)
        eventually(lambda: images("lakeside") == uids(ours))
        eventually(lambda: images("hillcrest") == uids(theirs))
    finally:
        other.stop()
