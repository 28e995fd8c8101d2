"""`readfirst bench deid`: CPU time of de-identification against plain pydicom read and write of the same files.

The search for text in pictures is counted apart: the files measured here need none, or it is off for all tools.
"""

from __future__ import annotations

import gc
import io
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib import util
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
from pydicom.dataset import Dataset
from rich.table import Table

from benchmarks.deid_privacy import PEERS
from benchmarks.planted_identifiers import base, person
from readfirst.cli.printing import Terminal
from readfirst.domain.deid import KnownIdentifiers, deidentify, known_identifiers, load_profile, read_header
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Refused

_DEFAULT = load_profile("triage-default")
PROFILE = _DEFAULT.model_copy(update={"options": _DEFAULT.options.model_copy(update={"pixels": False})})
NAMES = Pseudonyms(b"a root secret for the bench, 32 bytes", "bench")


def plain(path: Path, target: Path) -> bool:
    """What every tool must at least do: pydicom reads the file and writes it."""
    pydicom.dcmread(path, force=True).save_as(target, enforce_file_format=False)
    return True


def ours(path: Path, target: Path) -> bool:
    """Header, known identifiers, cleaning, digests, receipt."""
    with path.open("rb") as source, target.open("wb") as copy:
        header = read_header(source)
        known = known_identifiers(header) if isinstance(header, Dataset) else KnownIdentifiers()
        done = deidentify(source, copy, names=NAMES, handle="BENCH000", profile=PROFILE, known=known)
    return not isinstance(done, Refused)


def _peer(name: str) -> Callable[[Path, Path], bool]:
    def run(path: Path, target: Path) -> bool:
        clean = PEERS[name](path.read_bytes())
        target.write_bytes(clean or b"")
        return clean is not None

    return run


def slices(folder: Path, count: int, side: int = 512, frames: int = 1) -> list[Path]:
    """A CT series, or one multi-frame object, of invented pixels."""
    noise = np.random.default_rng(1)
    paths = []
    for number in range(count):
        ds = base(person(1))
        ds.SOPInstanceUID, ds.InstanceNumber = f"1.2.826.0.1.3680043.9.7.9.{number + 1}", number + 1
        ds.Rows = ds.Columns = side
        if frames > 1:
            ds.NumberOfFrames = frames
        ds.PixelData = noise.integers(0, 4096, side * side, dtype=np.uint16).tobytes() * frames
        path = folder / f"{side}-{frames}-{number}.dcm"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def small_files() -> list[Path]:
    """pydicom's bundled files that the engine takes without searching a picture."""
    folder = Path(pydicom.data.__file__).parent / "test_files"
    paths = [p for p in sorted(folder.glob("*.dcm")) if p.stat().st_size < 200_000]
    return [p for p in paths if _is_low_risk(p)]


def _is_low_risk(path: Path) -> bool:
    with path.open("rb") as source:
        done = deidentify(
            source, io.BytesIO(), names=NAMES, handle="BENCH000", profile=PROFILE, known=KnownIdentifiers()
        )
    return not isinstance(done, Refused)


def cpu(tool: Callable[[Path, Path], bool], paths: list[Path], repeats: int) -> float | None:
    """The least CPU time of a run over the files, in seconds; None if the tool fails on one."""
    best = float("inf")
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(repeats):
            gc.collect()
            started = time.process_time()
            try:
                for path in paths:
                    tool(path, Path(scratch) / "clean.dcm")
            except Exception:  # a peer may raise anything: the table shows that it failed
                return None
            best = min(best, time.process_time() - started)
    return best


def peak_memory(path: Path) -> tuple[int, int]:
    """Memory in MB of an interpreter that has imported the engine, and of one that has cleaned the file."""
    code = (
        "import sys, pathlib\n"
        "from benchmarks.deid_speed import ours\n"
        "ours(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])) if len(sys.argv) > 1 else None\n"
        # not ru_maxrss, which a process inherits from the one that starts it
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(int(status.split('VmHWM:')[1].split()[0]) // 1024)\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        runs: tuple[list[str], list[str]] = ([], [str(path), str(Path(scratch) / "clean.dcm")])
        idle, busy = (
            int(subprocess.run([sys.executable, "-c", code, *a], capture_output=True, check=True).stdout) for a in runs
        )
    return idle, busy


def run(console: Terminal | None = None, gigabyte: bool = True) -> dict[str, dict[str, float | None]]:
    """Prints the ratios; the answer has them by load and tool."""
    out = console or Terminal()
    tools = {"readfirst": ours} | {name: _peer(name) for name in PEERS if util.find_spec(name)}
    ratios: dict[str, dict[str, float | None]] = {}
    table = Table("load", "plain pydicom", *tools, title="CPU time against plain pydicom read and write (= 1)")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        loads = {
            "small files": (small_files(), 5),
            "CT, 100 slices of 512x512": (slices(folder, 100), 3),
            "multi-frame, 43 MB": (slices(folder, 1, frames=82), 3),
        }
        for load, (paths, repeats) in loads.items():
            reference = cpu(plain, paths, repeats) or 1.0
            measured = {name: cpu(tool, paths, repeats) for name, tool in tools.items()}
            ratios[load] = {name: None if m is None else m / reference for name, m in measured.items()}
            cells = [f"{r:.2f}" if r is not None else "fails" for r in ratios[load].values()]
            table.add_row(f"{load} ({len(paths)})", f"{reference * 1000:.0f} ms", *cells)
        out.print(table)
        if gigabyte:
            (large,) = slices(folder, 1, side=1024, frames=512)
            idle, busy = peak_memory(large)
            size = large.stat().st_size // 2**20
            ratio = (cpu(ours, [large], 1) or 0.0) / (cpu(plain, [large], 1) or 1.0)
            out.print(
                f"A multi-frame of {size} MB: {busy - idle} MB of memory above the interpreter's {idle} MB, {ratio:.2f}"
            )
    return ratios
