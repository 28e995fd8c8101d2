"""Throws damaged DICOM files at the de-identification engine: python tools/fuzz_deid.py SECONDS KEPT_FOLDER [SEED].

Files of pydicom and of our planted set are damaged at random (bytes, lengths, cuts, repeats, splices). An exception, a
file that takes more than five seconds, or more than 500 MB of memory is a find: its bytes are written to the folder,
where tests/spec/deid/test_bad_input.py reads them.
"""

from __future__ import annotations

import hashlib
import io
import random
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path

import pydicom.data
from pydicom.dataset import Dataset

from benchmarks.planted_identifiers import planted
from readfirst.domain.deid import KnownIdentifiers, deidentify, known_identifiers, load_profile, read_header
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Refused

NAMES = Pseudonyms(b"a root secret of 32 bytes for fuzzing", "fuzz")
PROFILE = load_profile("triage-default")
HEADERS_ONLY = PROFILE.model_copy(
    update={
        "options": PROFILE.options.model_copy(update={"pixels": False}),
        "scope": PROFILE.scope.model_copy(update={"objects": "any", "documents": "remove"}),
    }
)


def corpus() -> list[bytes]:
    """Small files of many kinds."""
    root = Path(pydicom.data.__file__).parent
    files = [p for p in sorted(root.rglob("*")) if p.is_file() and p.stat().st_size < 60_000]
    return [p.read_bytes() for p in files if p.suffix not in (".py", ".pyc")] + [p.content for p in planted(1)]


def damaged(rng: random.Random, files: list[bytes]) -> bytes:
    """One file with a few damages."""
    data = bytearray(rng.choice(files))
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(max(1, len(data)))
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[at % len(data)] = rng.randrange(256)
        elif kind == 1:
            data[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\xfe\xff\0\xe0"))
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at:at] = data[max(0, at - rng.randrange(200)) : at]
        elif kind == 4:
            del data[at : at + rng.randrange(1, 20)]
        else:
            other = rng.choice(files)
            start = rng.randrange(len(other) or 1)
            data[at : at + 100] = other[start : start + rng.randrange(200)]
    return bytes(data)


def tried(content: bytes) -> str:
    """What was wrong with the engine's answer; "" if nothing."""
    started = time.monotonic()
    try:
        header = read_header(io.BytesIO(content), PROFILE.scope)
        known = known_identifiers(header) if isinstance(header, Dataset) else KnownIdentifiers()
        target = io.BytesIO()
        done = deidentify(
            io.BytesIO(content), target, names=NAMES, handle="FUZZFUZZ", profile=HEADERS_ONLY, known=known
        )
        for answer in (header, done):
            if isinstance(answer, Refused) and "led to a fault" in answer.detail:
                return answer.detail
    except Exception:  # any exception is what this looks for
        return traceback.format_exc()
    return "slow" if time.monotonic() - started > 5 else ""


def main(seconds: float, kept: Path, seed: int) -> int:
    """Runs until the time is over; the number of different finds."""
    warnings.simplefilter("ignore")
    files, rng, seen, count = corpus(), random.Random(seed), set(), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        content = damaged(rng, files)
        count += 1
        fault = tried(content)
        place = fault.strip().splitlines()[-3:] if fault else []
        if fault and str(place) not in seen:
            seen.add(str(place))
            kept.mkdir(parents=True, exist_ok=True)
            (kept / f"{hashlib.sha256(content).hexdigest()[:12]}.dcm").write_bytes(content)
            sys.stdout.write(fault + "\n")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(f"{count} files, {len(seen)} different finds, peak memory {peak} MB\n")
    return len(seen)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1) > 0)
