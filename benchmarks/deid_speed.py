"""`readfirst bench deid`: CPU time of de-identification against plain pydicom read and write of the same files.

Ours is measured twice: the whole way of the pipeline (header, heads, the screen for text in pictures, cleaning, the
last look, digests, receipt), and without a look at the pictures, at which none of the other tools looks. Each run is
divided by a plain one just before it, and the middle one counts: what else runs on the machine slows both. A decoder
that works in a process of its own (JPEG Lossless, JPEG-LS) is not counted.
"""

from __future__ import annotations

import gc
import io
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib import util
from pathlib import Path
from statistics import median

import numpy as np
import pydicom
import pydicom.data
from pydicom.dataset import Dataset
from rich.table import Table

from benchmarks.burned_in_pictures import anatomy
from benchmarks.deid_privacy import PEERS
from benchmarks.planted_identifiers import base, person
from readfirst.cli.printing import Terminal
from readfirst.domain.deid import KnownIdentifiers, Profile, deidentify, known_identifiers, load_profile, read_header
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Refused

WHOLE = load_profile("triage-default")
UNSEEN = WHOLE.model_copy(update={"options": WHOLE.options.model_copy(update={"pixels": False})})
NAMES = Pseudonyms(b"a root secret for the bench, 32 bytes", "bench")


def plain(path: Path, target: Path) -> bool:
    """What every tool must at least do: pydicom reads the file and writes it."""
    pydicom.dcmread(path, force=True).save_as(target, enforce_file_format=False)
    return True


def ours(path: Path, target: Path, profile: Profile = WHOLE) -> bool:
    """Header, known identifiers, pictures, cleaning, digests, receipt."""
    with path.open("rb") as source, target.open("wb") as copy:
        header = read_header(source)
        known = known_identifiers(header) if isinstance(header, Dataset) else KnownIdentifiers()
        done = deidentify(source, copy, names=NAMES, handle="BENCH000", profile=profile, known=known)
    return not isinstance(done, Refused)


def unseen(path: Path, target: Path) -> bool:
    """As `ours`, but that the pictures are not looked at for text."""
    return ours(path, target, UNSEEN)


def _peer(name: str) -> Callable[[Path, Path], bool]:
    def run(path: Path, target: Path) -> bool:
        clean = PEERS[name](path.read_bytes())
        target.write_bytes(clean or b"")
        return clean is not None

    return run


def slices(folder: Path, count: int, side: int = 512, frames: int = 1) -> list[Path]:
    """A CT series, or one multi-frame object, of drawn bodies without text, in Hounsfield units."""
    noise = np.random.default_rng(1)
    paths = []
    for number in range(count):
        ds = base(person(1))
        ds.SOPInstanceUID, ds.InstanceNumber = f"1.2.826.0.1.3680043.9.7.9.{number + 1}", number + 1
        ds.Rows = ds.Columns = side
        ds.PixelRepresentation = 1
        if frames > 1:
            ds.NumberOfFrames = frames
        drawn = anatomy(random.Random(f"slice-{number}"), side).astype(np.int16) * 8
        ds.PixelData = (drawn + noise.integers(0, 8, drawn.shape, dtype=np.int16)).tobytes() * frames
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
            source, io.BytesIO(), names=NAMES, handle="BENCH000", profile=UNSEEN, known=KnownIdentifiers()
        )
    return not isinstance(done, Refused)


def cpu(tool: Callable[[Path, Path], bool], paths: list[Path]) -> float | None:
    """CPU time of a run over the files, in seconds; None if the tool fails on one."""
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
        started = time.process_time()
        try:
            for path in paths:
                tool(path, Path(scratch) / "clean.dcm")
        except Exception:  # a peer may raise anything: the table shows that it failed
            return None
        return time.process_time() - started


def ratio(tool: Callable[[Path, Path], bool], paths: list[Path], repeats: int) -> float | None:
    """CPU time against plain read and write: the middle one of several pairs; None if the tool fails on a file."""
    if cpu(tool, paths[:1]) is None:  # also loads what it needs
        return None
    pairs = [(cpu(plain, paths), cpu(tool, paths)) for _ in range(repeats)]
    found = [theirs / least for least, theirs in pairs if least and theirs is not None]
    return median(found) if len(found) == repeats else None


def peak_memory(path: Path) -> tuple[int, int]:
    """Memory in MB of an interpreter that has imported the engine, and of one that has cleaned the file."""
    code = (
        "import sys, pathlib\n"
        "from benchmarks.deid_speed import unseen\n"
        "unseen(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])) if len(sys.argv) > 1 else None\n"
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
    tools: dict[str, Callable[[Path, Path], bool]] = {"readfirst": ours, "without a look at pictures": unseen}
    tools |= {name: _peer(name) for name in PEERS if util.find_spec(name)}
    ratios: dict[str, dict[str, float | None]] = {}
    table = Table("load", "plain pydicom", *tools, title="CPU time against plain pydicom read and write (= 1)")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        loads = {
            "small files": (small_files(), 7),
            "CT, 100 slices of 512x512": (slices(folder, 100), 5),
            "multi-frame, 43 MB": (slices(folder, 1, frames=82), 5),
        }
        for load, (paths, repeats) in loads.items():
            ratios[load] = {name: ratio(tool, paths, repeats) for name, tool in tools.items()}
            cells = [f"{r:.2f}" if r is not None else "fails" for r in ratios[load].values()]
            table.add_row(f"{load} ({len(paths)})", f"{(cpu(plain, paths) or 0.0) * 1000:.0f} ms", *cells)
        out.print(table)
        if gigabyte:
            (large,) = slices(folder, 1, side=1024, frames=512)
            idle, busy = peak_memory(large)
            size = large.stat().st_size // 2**20
            found = ratio(unseen, [large], 1) or 0.0
            out.print(
                f"A multi-frame of {size} MB: {busy - idle} MB of memory above the interpreter's {idle} MB, "
                f"{found:.2f} without a look at its pictures"
            )
    return ratios
