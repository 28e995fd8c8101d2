"""A study goes all the way, and no identifier leaves the uploads and the vault."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest
import requests
from azure.storage.blob import ContainerClient
from PIL import Image

from readfirst.adapters import blobs, clients
from readfirst.domain import resource_names
from readfirst.domain.reading import study_record
from readfirst.local.phantom import plant_identifiers
from readfirst.local.scan import scan
from readfirst.local.stack import Stack
from readfirst.local.watching import token_of, wait_for
from tests.e2e.conftest import Study, invent, letters, reported, upload, whole
from tests.waiting import PATIENCE, eventually

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("stack")]
ROOT = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("READFIRST_DATA", ROOT.parent / "shared" / "data")) / "lidc"


def no_letter_comes(stack: Stack, handle: str) -> bool:
    """Looks for a while: longer than the letter of a flagged study takes here."""
    end = time.monotonic() + 3
    while time.monotonic() < end:
        if letters(stack, handle):
            return False
        time.sleep(0.3)
    return True


def test_a_high_risk_study_goes_from_the_upload_to_the_radiologists_mail(stack: Stack, study: Study) -> None:
    upload(study.files, priority="stat")
    record = whole(study)
    assert record.label == study_record.FLAGGED
    assert record.high_risk
    assert record.priority == "stat"
    assert record.instances == len(study.files)
    assert record.findings
    overlay = blobs.read(clients.container(resource_names.STUDIES, resource_names.ANALYSIS), record.findings[0].overlay)
    assert Image.open(io.BytesIO(overlay or b"")).size[0] >= 256
    assert record.provenance is not None
    assert record.provenance.model is not None
    assert {"receive", "settle", "deidentify", "analyse", "report"} <= set(record.seconds)
    (document,) = clients.cosmos_container().query_items(
        "SELECT * FROM c WHERE c.clinic = 'lakeside' AND c.handle = @h",
        parameters=[{"name": "@h", "value": record.handle}],
        partition_key="lakeside",
    )
    assert document["id"] == study.token
    (letter,) = eventually(lambda: letters(stack, record.handle))
    assert "radiologist@lakeside.example" in letter
    assert "Importance: high" in letter
    assert "CT, Lakeside Imaging, to be read by" in letter


def test_no_planted_identifier_is_anywhere_but_in_uploads_and_vault(stack: Stack, study: Study) -> None:
    # Clinics name files after patients; even those names stay where they were sent to.
    for i, file in enumerate(study.files):
        file.rename(file.with_name(f"{study.planted['surname']}_{study.planted['patient id']}_{i}.dcm"))
    letter = study.folder.parent / f"{study.planted['surname']} letter.dcm"  # no file of the study
    letter.write_bytes(b"\0not dicom at all" * 9)
    upload([*study.files, letter])
    whole(study)
    # One word leaks on purpose: the scan has to find it, and nothing else.
    word = f"canary-{os.urandom(6).hex()}"
    leaked = clients.container(resource_names.STUDIES, resource_names.ANALYSIS).get_blob_client("leak.txt")
    leaked.upload_blob(f"the patient is {word.upper()}")
    try:
        proof = scan(stack.environment, stack.folders.state, {**study.planted, "word": word})
    finally:
        leaked.delete_blob()
    assert proof.places > 30
    assert [(place.split()[2], what) for place, what in proof.found] == [("analysis/leak.txt", "word")]


def test_a_zip_of_a_study_goes_the_same_way(tmp_path: Path) -> None:
    study = invent(tmp_path / "study")
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for i, file in enumerate(study.files):
            zipped.write(file, f"../{study.planted['surname']}/{i}")
        zipped.writestr("AUTORUN.INF", "[autorun]")
    upload([archive], announce=False)
    record = whole(study)
    assert record.instances == len(study.files)
    assert record.label == study_record.FLAGGED


def test_a_healthy_study_is_not_flagged_and_nobody_is_woken(stack: Stack, tmp_path: Path) -> None:
    study = invent(tmp_path / "study", nodules=())
    upload(study.files)
    record = whole(study)
    assert record.label == study_record.NOT_FLAGGED
    assert no_letter_comes(stack, record.handle)


def test_a_prior_is_analysed_and_alerts_nobody(stack: Stack, study: Study) -> None:
    upload(study.files, purpose="prior")
    record = whole(study)
    assert record.high_risk
    assert no_letter_comes(stack, record.handle)


def test_a_study_out_of_scope_is_told_as_not_analysed_with_the_reason(tmp_path: Path) -> None:
    study = invent(tmp_path / "study", slices=2)
    upload(study.files)
    record = whole(study)
    assert record.label == study_record.NOT_ANALYSED
    assert record.reason


def test_a_signed_review_goes_home_as_a_verified_report_of_the_original_patient(stack: Stack, study: Study) -> None:
    upload(study.files)
    record = whole(study)
    address = f"http://127.0.0.1:{stack.ports.host}/api/studies/{record.handle}"
    reader = {"Authorization": f"Bearer {stack.access_token('radiologist')}"}
    verdicts = [{"kind": "verdict", "finding": f.key, "verdict": "accept"} for f in record.findings]
    for what in [*verdicts, {"kind": "signed"}]:
        seen = {"If-Match": requests.get(address, headers=reader, timeout=PATIENCE).json()["etag"]}
        said = requests.post(f"{address}/review", json={"what": what}, headers={**reader, **seen}, timeout=PATIENCE)
        assert said.status_code == 201, said.text
    home = clients.container(resource_names.UPLOADS, resource_names.results("lakeside"))
    path = f"studies/{record.handle}/sr-verified.dcm"
    eventually(lambda: blobs.exists(home, path))
    report = pydicom.dcmread(io.BytesIO(blobs.read(home, path) or b""))
    assert (report.VerificationFlag, report.PatientID) == ("VERIFIED", study.planted["patient id"])
    assert report.StudyInstanceUID == study.planted["study uid"]
    signed = report.VerifyingObserverSequence[0].VerificationDateTime
    assert signed[:8] == datetime.now(UTC).strftime("%Y%m%d"), "its date is the true one again"
    told = json.loads(eventually(lambda: _signed_result(home, record.handle)))
    assert {finding["verdict"] for finding in told["findings"]} == {"accept"}
    first = pydicom.dcmread(io.BytesIO(blobs.read(home, f"studies/{record.handle}/sr.dcm") or b""))
    assert first.ContentDate == datetime.now(UTC).strftime("%Y%m%d") != first.StudyDate, "it says when it was made"
    again = reported(study.token)
    assert again.record is not None
    assert again.record.outputs["sr-verified"].endswith(".dcm")


def _signed_result(home: ContainerClient, handle: str) -> bytes:
    """The study's result as the clinic has it, once it says that the review is signed."""
    data = blobs.read(home, f"studies/{handle}/result.json") or b"{}"
    return data if json.loads(data).get("review", {}).get("state") == "signed" else b""


@pytest.mark.parametrize("series", ["LIDC-IDRI-0001", "LIDC-IDRI-0003"])
def test_a_real_chest_ct_goes_all_the_way(stack: Stack, tmp_path: Path, series: str) -> None:
    if not (REAL / series).is_dir():
        pytest.skip("the real chest CT is not on this machine (READFIRST_DATA)")
    planted = plant_identifiers(REAL / series, tmp_path / "study", seed=7)
    files = sorted(p for p in (tmp_path / "study").rglob("*") if p.is_file())
    upload(files)
    study_uid = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    count = len(files)
    token = token_of("lakeside", study_uid)
    record = wait_for(token, lambda p: p.record is not None and p.record.instances == count, patience=240).record
    assert record is not None
    assert record.state == "reported"
    assert scan(stack.environment, stack.folders.state, planted).found == ()
