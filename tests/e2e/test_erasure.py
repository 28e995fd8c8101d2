"""A study that must be forgotten: nothing of it is left in any store, and the audit log says who asked."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
import requests

from readfirst.adapters import audit_log, clients
from readfirst.domain import resource_names
from readfirst.domain.reading.study_record import StudyRecord
from readfirst.local.stack import Stack
from readfirst.services import list_study
from tests.e2e.conftest import Study, reported, upload, whole
from tests.waiting import PATIENCE, eventually

pytestmark = [pytest.mark.stack, pytest.mark.slow]
REASON = "The patient asks to be forgotten"
OTHERS = re.compile(r"[0-9a-f]{32}/")
ACCOUNTS = {
    resource_names.UPLOADS: [
        resource_names.ORIGINALS,
        resource_names.ARRIVALS,
        resource_names.QUARANTINE,
        resource_names.results("lakeside"),
    ],
    resource_names.STUDIES: [resource_names.CLEAN, resource_names.ANALYSIS, resource_names.REVIEWS],
    resource_names.VAULT: [resource_names.IDENTITIES],
}


def traces(study: Study, record: StudyRecord) -> list[str]:
    """Every blob that names the study, by its name or inside, and its document."""
    found = []
    marks = (study.token.encode(), record.handle.encode(), study.planted["surname"].encode())
    for account, containers in ACCOUNTS.items():
        for container in containers:
            client = clients.container(account, container)
            for name in client.list_blob_names():
                if OTHERS.match(name) and not name.startswith(study.token):
                    continue  # another study's folder
                if any(mark.decode() in name for mark in marks):
                    found.append(f"{container}/{name}")
                elif any(mark in client.download_blob(name).readall() for mark in marks):
                    found.append(f"{container}/{name} (inside)")
    query = "SELECT c.id FROM c WHERE c.clinic = 'lakeside' AND c.id = @id"
    parameters = [{"name": "@id", "value": study.token}]
    items = clients.cosmos_container().query_items(query, parameters=parameters, partition_key="lakeside")
    return found + [f"document {item['id']}" for item in items]


def status(record: StudyRecord) -> dict[str, object]:
    """What its clinic reads of the study."""
    told = clients.container(resource_names.UPLOADS, resource_names.results("lakeside"))
    return dict(json.loads(told.download_blob(f"studies/{record.handle}/status.json").readall()))


def ask(stack: Stack, user: str, record: StudyRecord, of: str) -> requests.Response:
    address = f"http://127.0.0.1:{stack.ports.host}/api/identity/erasures/{record.handle}"
    headers = {"Authorization": f"Bearer {stack.access_token(user)}"}
    return requests.post(address, json={"reason": REASON, "of": of}, headers=headers, timeout=PATIENCE)


def test_an_erased_study_leaves_nothing_but_its_audit_entries(stack: Stack, study: Study) -> None:
    upload(study.files)
    record = whole(study)
    eventually(lambda: any("studies/" in t and t.endswith("result.json") for t in traces(study, record)))
    # What is still under way may write once more after the first sweep, and the next one comes ten minutes later.
    eventually(lambda: (there := list_study.read(study.token)) and there.alerted)
    eventually(lambda: status(record)["state"] == "reported")
    clients.container(resource_names.STUDIES, resource_names.REVIEWS).upload_blob(f"{study.token}/000001.json", b"{}")
    assert len({trace.split("/")[0] for trace in traces(study, record)}) == 8, "it is in every store but quarantine"
    assert ask(stack, "radiologist", record, "study").status_code == 403
    asked = ask(stack, "privacy-officer", record, "study")
    assert (asked.status_code, asked.json()["handles"]) == (202, [record.handle])
    eventually(lambda: traces(study, record) == [])
    audit = clients.container(resource_names.AUDIT, resource_names.audit("identity"))
    day = datetime.now(UTC).date().isoformat()

    def entries() -> list[dict[str, str]]:
        return [e for e in map(json.loads, audit_log.lines(audit, day)) if e["token"] == study.token]

    eventually(lambda: [e for e in entries() if e["act"] == "erased"])
    assert [e["reason"] for e in entries() if e["act"] == "erase"] == [REASON]
    upload(study.files)
    again = reported(study.token).record
    assert again is not None
    assert (again.run, again.handle) == (1, record.handle), "what is sent again is a new study"
