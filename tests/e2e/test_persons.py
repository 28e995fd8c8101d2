"""Two persons' files under one Study Instance UID: nobody's slices are mixed, everybody is told, a person decides."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest
import requests

from readfirst.adapters import blobs, clients
from readfirst.domain import resource_names
from readfirst.domain.reading import study_record
from readfirst.local.scan import scan
from readfirst.local.stack import Stack
from readfirst.local.watching import wait_for
from readfirst.services import list_study
from tests.e2e.conftest import Study, announce, invent, reported, upload
from tests.waiting import PATIENCE, eventually

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("stack")]


@pytest.fixture
def mixed(study: Study, tmp_path: Path) -> dict[str, str]:
    """Puts half as many files of another person into the study; what is planted in them."""
    other = invent(tmp_path / "other", slices=12)
    for path in other.files:
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID = study.planted["study uid"]
        dataset.save_as(study.folder / f"B{path.name}", enforce_file_format=True)
    return other.planted


def test_a_study_of_two_persons_waits_for_a_privacy_officer_and_is_read_as_one_of_them(
    stack: Stack, study: Study, mixed: dict[str, str]
) -> None:
    announce(study, priority="stat")
    upload(study.files, announce=False)
    record = reported(study.token).record
    assert record is not None
    assert (record.state, record.label, record.priority) == ("quarantined", study_record.NOT_ANALYSED, "stat")
    assert record.reason.startswith("several-persons") and record.refused == {"several-persons": len(study.files)}
    home = clients.container(resource_names.UPLOADS, resource_names.results("lakeside"))

    def status() -> dict[str, str]:
        return json.loads(blobs.read(home, f"studies/{record.handle}/status.json") or b"{}")

    eventually(lambda: status().get("state") == "quarantined")
    assert (status()["label"], status()["reason"]) == (record.label, record.reason)
    assert not blobs.exists(home, f"studies/{record.handle}/result.json")
    assert list(blobs.names(clients.container(resource_names.STUDIES, resource_names.CLEAN), study.token)) == []

    api = f"http://127.0.0.1:{stack.ports.host}/api"
    officer = {"Authorization": f"Bearer {stack.access_token('privacy-officer.lakeside')}"}
    listed = requests.get(f"{api}/quarantine", headers=officer, timeout=PATIENCE).json()["items"]
    (item,) = [i["item"] for i in listed if i["study"] == study.token]
    named = requests.get(f"{api}/quarantine/{item}/persons", headers=officer, timeout=PATIENCE).json()["persons"]
    (keep,) = [n for n, person in enumerate(named) if person["patient_id"] == study.planted["patient id"]]
    ruling = {"release": True, "person": keep, "reason": "The order was for this person"}
    said = requests.post(f"{api}/quarantine/{item}/decision", json=ruling, headers=officer, timeout=PATIENCE)
    assert said.status_code == 202, said.text

    read = wait_for(
        study.token, lambda p: p.record is not None and p.record.state == "reported", patience=2 * PATIENCE
    ).record
    assert read is not None
    assert (read.label, read.instances, read.refused) == (study_record.FLAGGED, 24, {"another-person": 12})
    eventually(lambda: blobs.exists(home, f"studies/{record.handle}/result.json"))
    again = list_study.read(study.token)
    assert again is not None and again.patient
    for planted in (study.planted, mixed):
        assert scan(stack.environment, stack.folders.state, planted).found == ()
