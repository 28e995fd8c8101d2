"""Orthanc as the clinic's PACS, with Debian's defaults but for names, ports and folders."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom
import requests

from tests.gateway.rig import TITLE, program
from tests.waiting import PATIENCE, eventually

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def free_port() -> int:
    """One that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as ear:
        return int(ear.getsockname()[1])


@dataclass
class Orthanc:
    """A running one. `gateway`: the port to which it reports storage commitment."""

    http: int
    dicom: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    def instances(self) -> dict[str, pydicom.Dataset]:
        """Every instance that it has, by SOP Instance UID."""
        found = {}
        for one in requests.get(f"{self.address}/instances", timeout=PATIENCE).json():
            data = requests.get(f"{self.address}/instances/{one}/file", timeout=PATIENCE).content
            ds = pydicom.dcmread(io.BytesIO(data))
            found[str(ds.SOPInstanceUID)] = ds
        return found

    def forget(self) -> None:
        """Deletes all that it has."""
        for one in requests.get(f"{self.address}/studies", timeout=PATIENCE).json():
            requests.delete(f"{self.address}/studies/{one}", timeout=PATIENCE)

    def send(self, sop_instance: str) -> None:
        """Sends an instance to the gateway, as a PACS that forwards what it gets."""
        found = requests.post(f"{self.address}/tools/lookup", data=sop_instance, timeout=PATIENCE).json()
        answer = requests.post(f"{self.address}/modalities/gateway/store", data=found[0]["ID"], timeout=PATIENCE)
        answer.raise_for_status()


@contextmanager
def orthanc(folder: Path, gateway: int) -> Iterator[Orthanc]:
    """Runs one; the gateway is one of its modalities, at that port."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Orthanc(free_port(), free_port())
    settings = {
        "Name": "pacs",
        "DicomAet": "PACS",
        "DicomPort": made.dicom,
        "HttpPort": made.http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(PLUGIN)] if PLUGIN.exists() else [],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "DicomModalities": {
            "gateway": {"AET": TITLE, "Host": "127.0.0.1", "Port": gateway, "AllowStorageCommitment": True}
        },
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program("Orthanc"), str(file)], stdout=log, stderr=log)
    try:
        eventually(lambda: _answers(made), pause=0.2)
        yield made
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _answers(made: Orthanc) -> bool:
    try:
        return requests.get(f"{made.address}/system", timeout=PATIENCE).ok
    except requests.ConnectionError:
        time.sleep(0.1)
        return False
