"""De-identify: clean copies, sealed identities, signed receipts; a killed worker leaves nothing that is not redone."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pydicom.encaps
import pytest

from orchestrations import deidentify as stage
from orchestrations.deidentify import deidentify_batches, workers_for
from orchestrations.settle import look_and_seal
from readfirst.adapters import clients
from readfirst.adapters.identity import identities
from readfirst.adapters.identity.vault import Sealed, open_sealed
from readfirst.adapters.studies import receipts
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.deid import IdentityRecord
from readfirst.domain.reading.reidentify import NotOurs, relink
from readfirst.domain.refusals import Reason, Refused
from readfirst.domain.workflow_messages import Batches, Look, Run
from readfirst.local.phantom import write_phantom_study
from readfirst.services import return_results
from readfirst.services.decide_quarantined import reject, release
from tests.orchestrations.conftest import do
from tests.orchestrations.test_receive import CLINIC, ct, folder, upload, zipped

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("settings")]


def sealed_study(
    tmp_path: Path, *, seed: int, slices: int = 3, extra: tuple[bytes, ...] = (), size: int = 64
) -> tuple[Run, dict[str, str]]:
    """An invented study, uploaded, received and sealed; the run, and what was planted in it."""
    planted = write_phantom_study(tmp_path / "study", seed=seed, slices=slices, size=size)
    here = folder()
    runs = [upload(p.read_bytes(), f"{here}/{p.name}") for p in sorted((tmp_path / "study").iterdir())]
    for data in extra:
        upload(data, f"{here}/{folder()}")
    (run,) = runs[0]
    assert Look.model_validate(do(look_and_seal, run.dump())).files == slices + len(extra)
    return run, planted


def deidentified(run: Run) -> None:
    workers = do(workers_for, run.dump())
    for worker in range(workers):
        assert do(deidentify_batches, Batches(run=run, worker=worker, of=workers).dump()) is False


def clean_blobs(run: Run) -> dict[str, bytes]:
    container = clients.container(resource_names.STUDIES, resource_names.CLEAN)
    return {n: container.download_blob(n).readall() for n in container.list_blob_names(name_starts_with=run.token)}


def test_a_sealed_study_becomes_clean_copies_with_receipts_and_no_planted_identifier(tmp_path: Path) -> None:
    run, planted = sealed_study(tmp_path, seed=11)
    deidentified(run)
    receipted = receipts.receipted(run.token, run.n)
    assert len(receipted.instances) == 3
    assert not receipted.refused
    everything = b"".join(name.encode() + data for name, data in clean_blobs(run).items()).lower()
    assert [what for what, value in planted.items() if value.lower().encode() in everything] == []


def test_the_handle_is_accession_number_and_study_id_of_every_clean_copy(tmp_path: Path) -> None:
    run, _ = sealed_study(tmp_path, seed=12)
    deidentified(run)
    handle = ledger_of(run.token).handle()
    for name, data in clean_blobs(run).items():
        if name.endswith(".dcm"):
            dataset = pydicom.dcmread(io.BytesIO(data))
            assert (dataset.AccessionNumber, dataset.StudyID) == (handle, handle)


def test_the_vault_brings_a_clean_uid_back_to_the_original(tmp_path: Path) -> None:
    run, planted = sealed_study(tmp_path, seed=13)
    deidentified(run)
    vault = clients.container(resource_names.VAULT, resource_names.IDENTITIES)
    (name,) = vault.list_blob_names(name_starts_with=run.token)
    sealed = vault.download_blob(name).readall()
    assert planted["surname"].encode() not in sealed
    identity = IdentityRecord.model_validate_json(open_sealed(Sealed.model_validate_json(sealed), name=name))
    assert identity.study.study_uid == planted["study uid"]
    instance = receipts.receipted(run.token, run.n).instances[0]
    assert identity.original(instance.series_uid) == planted["series uid"]


def test_a_sealed_record_that_was_moved_to_another_name_does_not_open(tmp_path: Path) -> None:
    from cryptography.exceptions import InvalidTag

    run, _ = sealed_study(tmp_path, seed=14, slices=1)
    deidentified(run)
    vault = clients.container(resource_names.VAULT, resource_names.IDENTITIES)
    (name,) = vault.list_blob_names(name_starts_with=run.token)
    sealed = Sealed.model_validate_json(vault.download_blob(name).readall())
    with pytest.raises(InvalidTag):
        open_sealed(sealed, name="another")


def test_a_batch_that_was_half_done_is_done_again_to_the_same_bytes(tmp_path: Path) -> None:
    run, _ = sealed_study(tmp_path, seed=15)
    deidentified(run)
    before = clean_blobs(run)
    clients.container(resource_names.STUDIES, resource_names.CLEAN).delete_blob(
        blob_paths.receipts_path(run.token, run.n, 0)
    )
    deidentified(run)
    assert clean_blobs(run) == before


def test_a_batch_done_again_with_another_verdict_leaves_no_instance_without_its_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try died before its receipts; another release then takes a file that it had refused."""
    run, _ = sealed_study(tmp_path, seed=27)
    real = stage.deidentify
    with monkeypatch.context() as patched:
        verdicts = iter([Refused(Reason.RESIDUAL)])
        patched.setattr(stage, "deidentify", lambda *a, **k: next(verdicts, None) or real(*a, **k))
        deidentified(run)
    assert len(receipts.receipted(run.token, run.n).instances) == 2
    clients.container(resource_names.STUDIES, resource_names.CLEAN).delete_blob(
        blob_paths.receipts_path(run.token, run.n, 0)
    )
    deidentified(run)
    assert len(receipts.receipted(run.token, run.n).instances) == 3
    assert return_results.verify(run.token) == []


def test_an_instance_without_a_receipt_is_not_there_for_the_analysis(tmp_path: Path) -> None:
    run, _ = sealed_study(tmp_path, seed=16)
    deidentified(run)
    clients.container(resource_names.STUDIES, resource_names.CLEAN).delete_blob(
        blob_paths.receipts_path(run.token, run.n, 0)
    )
    assert receipts.receipted(run.token, run.n).instances == ()


def test_receipts_that_someone_changed_stop_the_study(tmp_path: Path) -> None:
    run, _ = sealed_study(tmp_path, seed=17)
    deidentified(run)
    container = clients.container(resource_names.STUDIES, resource_names.CLEAN)
    path = blob_paths.receipts_path(run.token, run.n, 0)
    changed = (
        container.download_blob(path).readall().replace(b'"none found"', b'"none found" ').replace(b"triage", b"strict")
    )
    container.upload_blob(path, changed, overwrite=True)
    with pytest.raises(receipts.UnsignedReceipts):
        receipts.receipted(run.token, run.n)


def test_a_file_that_is_refused_waits_in_quarantine_and_the_rest_goes_on(tmp_path: Path) -> None:
    data = unsearchable(tmp_path, seed=18)
    run, _ = sealed_study(tmp_path, seed=18, slices=2, extra=(data,))
    deidentified(run)
    receipted = receipts.receipted(run.token, run.n)
    assert len(receipted.instances) == 2
    (refused,) = receipted.refused
    assert refused.reason == "pixels-not-verified"
    quarantine = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE)
    assert quarantine.download_blob(f"{run.token}/{refused.arrival}").readall() == data


def test_a_damaged_member_of_a_zip_is_kept_as_far_as_it_reads_and_the_others_go_on() -> None:
    """Its header is whole, so it is taken; the damage lies in its pixels."""
    uid = str(pydicom.uid.generate_uid())
    large = pydicom.dcmread(io.BytesIO(ct(uid)))
    large.Rows, large.Columns, large.PixelData = 512, 512, large.PixelData * 16
    buffer = io.BytesIO()
    large.save_as(buffer)
    packed = bytearray(zipped({"1.dcm": ct(uid), "2.dcm": buffer.getvalue()}))
    second = packed.rindex(b"PK\x03\x04")
    packed[packed.index(b"PK\x01\x02", second) - 3000] ^= 0xFF
    (run,) = upload(bytes(packed), f"{folder()}/study.zip")
    assert Look.model_validate(do(look_and_seal, run.dump())).files == 2
    deidentified(run)
    receipted = receipts.receipted(run.token, run.n)
    assert len(receipted.instances) == 1
    (refused,) = receipted.refused
    assert refused.reason == "zip-unreadable"
    quarantine = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE)
    kept = quarantine.download_blob(f"{run.token}/{refused.arrival}").readall()
    assert kept[128:132] == b"DICM"
    again = release(run.token, refused.arrival)
    assert again is not None, "released, it is read again from the zip: the clinic may have been wrong to give it up"


def test_looking_again_at_a_sealed_run_changes_nothing(tmp_path: Path) -> None:
    run, planted = sealed_study(tmp_path, seed=19, slices=1)
    assert run.clinic == CLINIC
    told = clients.container(resource_names.UPLOADS, resource_names.results(CLINIC))
    status = f"studies/{ledger_of(run.token).handle()}/status.json"
    said = json.loads(told.download_blob(status).readall())
    assert said["state"] == "in progress", "its sender can see it now"
    assert (said["studyInstanceUid"], said["accessionNumber"]) == (planted["study uid"], planted["accession"])
    assert Look.model_validate(do(look_and_seal, run.dump())).files == 1


def test_every_clean_instance_can_be_brought_back_to_its_patient(tmp_path: Path) -> None:
    run, planted = sealed_study(tmp_path, seed=20)
    deidentified(run)
    assert return_results.verify(run.token) == []
    identity = identities.of_study(run.token)
    assert identity is not None
    name, data = next((n, d) for n, d in clean_blobs(run).items() if n.endswith(".dcm"))
    home = relink(pydicom.dcmread(io.BytesIO(data)), identity)
    original = pydicom.dcmread(next(iter(sorted((tmp_path / "study").iterdir()))))
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "SeriesInstanceUID",
                    "AccessionNumber", "StudyDate", "SeriesDate", "FrameOfReferenceUID"):  # fmt: skip
        assert getattr(home, keyword) == getattr(original, keyword), keyword
    assert planted["accession"] == home.AccessionNumber
    assert name.startswith(run.token)


def test_an_object_of_another_study_is_not_given_this_ones_identity(tmp_path: Path) -> None:
    run, _ = sealed_study(tmp_path, seed=21, slices=1)
    deidentified(run)
    identity = identities.of_study(run.token)
    assert identity is not None
    with pytest.raises(NotOurs):
        relink(pydicom.dcmread(io.BytesIO(ct())), identity)


def test_a_file_that_a_person_released_joins_its_study_in_the_next_run(tmp_path: Path) -> None:
    run, _ = sealed_study(tmp_path, seed=22, slices=2, extra=(unsearchable(tmp_path, seed=22),))
    deidentified(run)
    (refused,) = receipts.receipted(run.token, run.n).refused
    again = release(run.token, refused.arrival)
    assert again == run.next
    assert release(run.token, refused.arrival) == run.next, "until the run exists the command can come again"
    reject(run.token, refused.arrival)
    assert release(run.token, refused.arrival) is None
    assert Look.model_validate(do(look_and_seal, again.dump())).files == 1
    deidentified(again)
    receipted = receipts.receipted(run.token, again.n)
    assert len(receipted.instances) == 3
    assert receipted.refused == ()
    assert len(receipts.receipted(run.token, run.n).instances) == 2, "the run before still reports what it had"


def test_a_run_that_overtakes_the_one_before_it_finishes_that_ones_files_too(tmp_path: Path) -> None:
    first, planted = sealed_study(tmp_path, seed=26, slices=20, size=64)
    (second,) = upload(ct(planted["study uid"], PatientID=planted["patient id"]), folder())
    assert second == first.next
    do(look_and_seal, second.dump())
    deidentified(second)
    everything = clean_blobs(first)
    assert len(receipts.receipted(first.token, second.n).instances) == 21
    deidentified(first)
    assert clean_blobs(first) == everything, "and the slow one finds its work done"


def test_a_file_that_a_person_rejected_is_gone_from_quarantine(tmp_path: Path) -> None:
    run, _ = sealed_study(tmp_path, seed=23, slices=1, extra=(unsearchable(tmp_path, seed=23),))
    deidentified(run)
    (refused,) = receipts.receipted(run.token, run.n).refused
    reject(run.token, refused.arrival)
    assert release(run.token, refused.arrival) is None


def unsearchable(tmp_path: Path, *, seed: int) -> bytes:
    """An ultrasound picture of the invented study whose stream has another size than its header says."""
    planted = write_phantom_study(tmp_path / "other", seed=seed, slices=1, size=64)
    dataset = pydicom.dcmread(io.BytesIO(ct(planted["study uid"], PatientID=planted["patient id"])))
    dataset.Modality, dataset.BurnedInAnnotation = "US", "YES"
    smaller = np.zeros((dataset.Rows // 2, dataset.Columns // 2), np.uint8)
    dataset.PixelData = pydicom.encaps.encapsulate(
        [imagecodecs.jpeg2k_encode(smaller, codecformat="j2k", reversible=True)]
    )
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.JPEG2000Lossless
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def test_of_an_instance_that_came_twice_in_two_versions_the_last_one_counts(tmp_path: Path) -> None:
    write_phantom_study(tmp_path / "study", seed=24, slices=2, size=64)
    corrected = pydicom.dcmread(next(iter(sorted((tmp_path / "study").iterdir()))))
    corrected.PixelData = bytes(len(corrected.PixelData))
    buffer = io.BytesIO()
    corrected.save_as(buffer)
    run, _ = sealed_study(tmp_path, seed=24, slices=2, extra=(buffer.getvalue(),))
    deidentified(run)
    receipted = receipts.receipted(run.token, run.n)
    instances = receipted.instances
    assert len(instances) == 2
    assert [refused.reason for refused in receipted.refused] == ["duplicate-instance"], "and the other is reported"
    for instance in instances:
        data = clients.container(resource_names.STUDIES, resource_names.CLEAN).download_blob(instance.path).readall()
        assert hashlib.sha256(data).hexdigest() == instance.digest
        if not any(pydicom.dcmread(io.BytesIO(data)).PixelData):
            break
    else:
        pytest.fail("the corrected version did not count")


def test_a_file_that_came_twice_counts_once_and_as_an_identical_copy(tmp_path: Path) -> None:
    write_phantom_study(tmp_path / "study", seed=61, slices=2, size=64)
    same = next(iter(sorted((tmp_path / "study").iterdir()))).read_bytes()
    other_preamble = b"sent by another station".ljust(128, b"\0") + same[128:]
    run, _ = sealed_study(tmp_path, seed=61, slices=2, extra=(same, other_preamble))
    deidentified(run)
    receipted = receipts.receipted(run.token, run.n)
    assert (len(receipted.instances), receipted.copies, receipted.refused) == (2, 2, ())


def test_a_file_that_comes_once_more_in_a_later_run_is_a_copy_and_a_changed_one_is_reported(tmp_path: Path) -> None:
    run, _ = sealed_study(tmp_path, seed=28, slices=2)
    deidentified(run)
    path = next(iter(sorted((tmp_path / "study").iterdir())))
    (second,) = upload(path.read_bytes(), folder())
    do(look_and_seal, second.dump())
    deidentified(second)
    receipted = receipts.receipted(run.token, second.n)
    assert (len(receipted.instances), receipted.copies, receipted.refused) == (2, 1, ())
    corrected = pydicom.dcmread(path)
    corrected.PixelData = bytes(len(corrected.PixelData))
    buffer = io.BytesIO()
    corrected.save_as(buffer)
    (third,) = upload(buffer.getvalue(), folder())
    do(look_and_seal, third.dump())
    deidentified(third)
    receipted = receipts.receipted(run.token, third.n)
    assert len(receipted.instances) == 2
    assert {refused.reason for refused in receipted.refused} == {"duplicate-instance"}


def test_two_series_that_name_their_instances_alike_are_both_kept(tmp_path: Path) -> None:
    planted = write_phantom_study(tmp_path / "other", seed=29, slices=3, size=64)
    again = []
    for path in sorted((tmp_path / "other").iterdir()):
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID = f"{planted['series uid']}.77"
        dataset.PixelData = bytes(len(dataset.PixelData))
        buffer = io.BytesIO()
        dataset.save_as(buffer)
        again.append(buffer.getvalue())
    run, _ = sealed_study(tmp_path, seed=29, extra=tuple(again))
    deidentified(run)
    receipted = receipts.receipted(run.token, run.n)
    assert len({i.sop_uid for i in receipted.instances}) == 3
    assert len({(i.series_uid, i.sop_uid) for i in receipted.instances}) == len(receipted.instances) == 6
    for instance in receipted.instances:
        data = clients.container(resource_names.STUDIES, resource_names.CLEAN).download_blob(instance.path).readall()
        assert hashlib.sha256(data).hexdigest() == instance.digest
