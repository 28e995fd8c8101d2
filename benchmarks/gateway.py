"""Measures the gateway's port beside dcmtk's storescp, on the same files, with the same sender, in one run.

usage: python -m benchmarks.gateway [IMAGES [SMALL]]. IMAGES of 512x512 are sent over one association and over four, to
each in turn; then SMALL ones of 64x64 to the gateway alone, whose memory is watched. The sender is dcmtk's storescu.
storescp is asked as it is installed, and tuned: PDUs of 128 KiB, TCP_NODELAY=1. It flushes nothing to the disk.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

_PATIENCE = 60.0
_LARGE, _SMALL = 512, 64


def images(folder: Path, count: int, side: int) -> list[Path]:
    """CT slices of noise, which nothing compresses."""
    folder.mkdir()
    rng, study, series = np.random.default_rng(7), generate_uid(), generate_uid()
    made = []
    for k in range(count):
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
        ds.PatientID, ds.PatientName, ds.Modality = "4711", "Surname^Given", "CT"
        ds.Rows = ds.Columns = side
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.PixelData = rng.integers(-1000, 2000, (side, side)).astype("<i2").tobytes()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.append(folder / f"{k:06d}.dcm")
        ds.save_as(made[-1], enforce_file_format=True)
    return made


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as ear:
        return int(ear.getsockname()[1])


@contextmanager
def gateway(folder: Path) -> Iterator[tuple[int, int]]:
    """A gateway without addresses: its port and process id. What it takes stays in its spool."""
    port = _free_port()
    settings = f'title = "GATEWAY"\nhost = "127.0.0.1"\nport = {port}\nstatus_port = 0\nspool = "spool"\n'
    (folder / "gateway.toml").write_text(f'{settings}addresses = "none"\n[[senders]]\ntitle = "SCANNER"\n')
    command = [sys.executable, "-m", "readfirst.cli", "gateway", str(folder / "gateway.toml")]
    with _running(command, port) as process:
        yield port, process


@contextmanager
def storescp(folder: Path, *options: str) -> Iterator[tuple[int, int]]:
    """dcmtk's receiver, a process for each association; with options it also answers without delay (TCP_NODELAY)."""
    port = _free_port()
    command = ["storescp", "--fork", *options, "-od", str(folder), str(port)]
    with _running(command, port, TCP_NODELAY="1" if options else "") as process:
        yield port, process


@contextmanager
def _running(command: list[str], port: int, **settings: str) -> Iterator[int]:
    environment = {**os.environ, **{name: value for name, value in settings.items() if value}}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            break
        time.sleep(0.05)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def seconds(port: int, files: list[Path], associations: int) -> float:
    """How long storescu needs to send the files, shared among so many associations."""
    parts = [files[k::associations] for k in range(associations)]
    began = time.monotonic()
    sending = [
        subprocess.Popen(["storescu", "-aet", "SCANNER", "-aec", "GATEWAY", "127.0.0.1", str(port), *map(str, part)])
        for part in parts
    ]
    if any(one.wait() for one in sending):
        raise RuntimeError("storescu failed")
    return time.monotonic() - began


def _pace(folder: Path, files: list[Path], associations: int, peer: Callable[..., object], *options: str) -> float:
    """MB/s into a fresh folder."""
    size = sum(file.stat().st_size for file in files) / 1e6
    folder.mkdir()
    with peer(folder, *options) as (port, _):  # type: ignore[attr-defined]
        took = seconds(port, files, associations)
    shutil.rmtree(folder)
    return size / took


def main() -> None:
    """Prints the table."""
    count, small = (int(argument) for argument in (*sys.argv[1:], "300", "10000")[:2])
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        files = images(home / "large", count, _LARGE)
        print(f"{count} images of {_LARGE}x{_LARGE}, MB/s; three rounds, the receivers in turn")
        for associations in (1, 4):
            for turn in range(3):
                ours = _pace(home / "a", files, associations, gateway)
                theirs = _pace(home / "b", files, associations, storescp)
                large = _pace(home / "c", files, associations, storescp, "--max-pdu", "131072")
                print(
                    f"  {associations} associations, round {turn + 1}: gateway {ours:.0f}, storescp {theirs:.0f} "
                    f"({ours / theirs:.2f}x), storescp tuned {large:.0f} ({ours / large:.2f}x)"
                )
        shutil.rmtree(home / "large")
        _memory(home, small)


def _memory(home: Path, small: int) -> None:
    files = images(home / "small", small, _SMALL)
    (home / "d").mkdir()
    with gateway(home / "d") as (port, process):
        seen = [psutil.Process(process).memory_info().rss / 1e6]
        took = 0.0
        for at in range(0, small, max(1, small // 5)):
            took += seconds(port, files[at : at + max(1, small // 5)], 1)
            seen.append(psutil.Process(process).memory_info().rss / 1e6)
    pace = ", ".join(f"{one:.0f}" for one in seen)
    print(f"{small} images of {_SMALL}x{_SMALL}: {small / took:.0f} a second; resident memory on the way: {pace} MB")


if __name__ == "__main__":
    main()
