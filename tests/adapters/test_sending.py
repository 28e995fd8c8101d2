"""Chapter: what is sent to an inbox, and which studies can be announced there."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest
from azure.storage.blob import ContainerClient

from readfirst.local.phantom import write_phantom_study
from readfirst.upload_client import files_under, send


class Inbox:
    """An inbox in memory."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def upload_blob(self, name: str, data: object, overwrite: bool = False, metadata: object = None) -> None:
        self.blobs[name] = data if isinstance(data, bytes) else data.read()  # type: ignore[attr-defined]

    def announced(self) -> dict[str, int]:
        words = [json.loads(data) for name, data in self.blobs.items() if name.endswith("/complete.json")]
        return {word["studyInstanceUid"]: word["expected"] for word in words}


@pytest.mark.filterwarnings("ignore")
def test_a_study_that_no_message_can_name_is_sent_and_counted_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
    inbox, uids = Inbox(), ["1.2.826.0.1." + "9" * 60, "2024-CHEST/7"]
    monkeypatch.setattr(ContainerClient, "from_container_url", lambda url: inbox)
    write_phantom_study(tmp_path, seed=4, slices=3, size=64)
    for path, uid in zip(sorted(tmp_path.iterdir()), [uids[0], uids[0], uids[1]], strict=True):
        ds = pydicom.dcmread(path)
        ds.StudyInstanceUID = uid
        ds.save_as(path)
    sent = send("https://example.invalid/inbox-a", list(files_under([tmp_path])))
    assert (sent.files, sent.studies, sent.unannounced) == (3, {uids[0]: 2, uids[1]: 1}, 1)
    assert inbox.announced() == {uids[0]: 2}
