"""A gateway in a process of its own, as a clinic runs it, and what stands around it in the tests."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from tests.waiting import PATIENCE, eventually

TITLE, SENDER = "READFIRST", "SCANNER"


@dataclass
class Rig:
    """One gateway: its folder, its settings, its process. `more` is added to the settings, as TOML."""

    home: Path
    more: str = ""
    limits: str = "keep_free = 0"
    process: subprocess.Popen[str] | None = None
    port: int = 0
    status_port: int = 0
    log: list[str] = field(default_factory=list)
    before: int = 0  # lines of the log that earlier processes wrote

    @property
    def spool(self) -> Path:
        return self.home / "spool"

    @property
    def addresses(self) -> Path:
        return self.home / "addresses"

    def waiting(self) -> list[Path]:
        folder = self.spool / "waiting"
        return sorted(folder.iterdir()) if folder.is_dir() else []

    def write_settings(self) -> Path:
        file = self.home / "gateway.toml"
        lines = f"""
title = "{TITLE}"
host = "127.0.0.1"
port = {self.port}
status_port = {self.status_port}
spool = "spool"
addresses = "addresses"
poll = 0.3
{self.more}
[limits]
{self.limits}
[[senders]]
title = "{SENDER}"
[[senders]]
title = "ELSEWHERE"
host = "192.0.2.1"
[[senders]]
title = "PACS"
"""
        file.write_text(lines)
        return file

    def start(self) -> Rig:
        """Starts it, on the ports that it had before, and waits until it listens."""
        self.before = len(self.log)
        command = [sys.executable, "-m", "readfirst.cli", "gateway", str(self.write_settings())]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        said = eventually(lambda: self._said() or self._ended())
        self.port, self.status_port = int(said[1]), int(said[2])
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.log.append(line)

    def _said(self) -> re.Match[str] | None:
        lines = "".join(self.log[self.before :])
        return re.search(r"listening on port (\d+); status at http://127.0.0.1:(\d+)", lines)

    def _ended(self) -> None:
        assert self.process is not None
        assert self.process.poll() is None, "".join(self.log)

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def stop(self) -> None:
        """As systemd does."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def status(self) -> dict[str, Any]:
        return dict(requests.get(f"http://127.0.0.1:{self.status_port}/status.json", timeout=PATIENCE).json())


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """One that is not started yet."""
    made = Rig(tmp_path / "gateway")
    made.home.mkdir()
    yield made
    made.stop()


def program(name: str) -> str:
    """One of dcmtk's or Orthanc's programs; the test is skipped where Debian's package is not installed."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/bin:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: dcmtk, orthanc)")
    return found


def ran(*command: str | Path | int) -> subprocess.CompletedProcess[str]:
    """What a peer's program did."""
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=10 * PATIENCE)


def storescu(rig: Rig, files: Sequence[Path], title: str = SENDER) -> subprocess.CompletedProcess[str]:
    """dcmtk sends files."""
    return ran(program("storescu"), "-aet", title, "-aec", TITLE, "127.0.0.1", rig.port, *files)


def slices(
    folder: Path, count: int = 3, *, study: str = "", patient: str = "4711", name: str = "Surname^Given", side: int = 16
) -> list[Path]:
    """A small CT series as files."""
    folder.mkdir(parents=True, exist_ok=True)
    study, series = study or generate_uid(), generate_uid()
    made = []
    for k in range(count):
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
        ds.PatientID, ds.PatientName, ds.Modality = patient, name, "CT"
        ds.Rows = ds.Columns = side
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.PixelData = os.urandom(2 * side * side)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{k:04d}.dcm"
        ds.save_as(path, enforce_file_format=True)
        made.append(path)
    return made


def data_set(data: bytes) -> bytes:
    """What follows the file meta information, byte by byte."""
    assert data[128:132] == b"DICM"
    return data[144 + int.from_bytes(data[140:144], "little") :]
