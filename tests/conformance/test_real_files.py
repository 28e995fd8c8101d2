"""Chapter: every file of pydicom and pydicom-data becomes a valid clean object, or is refused with a true reason."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import data_store
import pydicom.data
import pytest
from pydicom.dataset import Dataset

from readfirst.domain.deid import (
    Deidentified,
    KnownIdentifiers,
    deidentify,
    engine,
    known_identifiers,
    load_profile,
    read_header,
)
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Reason, Refused, Skipped
from tests.spec.deid.conftest import HANDLE, ROOT
from tests.waiting import PATIENCE

NAMES = Pseudonyms(ROOT, "hilltop")
_DEFAULT = load_profile("triage-default")
HEADERS_ONLY = _DEFAULT.model_copy(update={"options": _DEFAULT.options.model_copy(update={"pixels": False})})
FOLDERS = (Path(pydicom.data.__file__).parent, Path(data_store.__file__).parent)
FILES = [p for f in FOLDERS for p in sorted(f.rglob("*")) if p.is_file() and p.suffix not in (".py", ".pyc", ".json")]
DCIODVFY = shutil.which("dciodvfy")
pytestmark = pytest.mark.filterwarnings("ignore")


def cleaned(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, Deidentified] | Refused | Skipped:
    """De-identifies a file's header (pictures have their own chapter: they are not searched here)."""
    monkeypatch.setattr(engine, "must_search", lambda subject: "")
    with path.open("rb") as file:
        header = read_header(file)
        if isinstance(header, Skipped):
            return header
        known = known_identifiers(header) if isinstance(header, Dataset) else KnownIdentifiers()
        target, profile = io.BytesIO(), HEADERS_ONLY
        done = deidentify(file, target, names=NAMES, handle=HANDLE, profile=profile, known=known)
    return done if isinstance(done, Refused) else (target.getvalue(), done)


def test_none_crashes_and_most_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: Counter[str] = Counter()
    for path in FILES:
        done = cleaned(path, monkeypatch)
        outcomes[str(done.reason) if isinstance(done, Refused) else type(done).__name__] += 1
    assert outcomes["tuple"] >= 150
    assert outcomes[Reason.UNREADABLE] <= 3
    assert outcomes[Reason.RESIDUAL] == 0


def test_no_name_or_number_of_the_original_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in FILES:
        done = cleaned(path, monkeypatch)
        if not isinstance(done, tuple):
            continue
        original = pydicom.dcmread(path, force=True)
        kept = pydicom.dcmread(io.BytesIO(done[0]))
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID", "AccessionNumber"):
            before = str(original.get(keyword, "") or "")
            assert not before or str(kept.get(keyword, "")) != before, (path.name, keyword)


def errors_of(content: bytes, folder: Path) -> Counter[str]:
    """dciodvfy's errors, without the values that they cite."""
    path = folder / "object.dcm"
    path.write_bytes(content)
    assert DCIODVFY is not None
    run = subprocess.run([DCIODVFY, str(path)], capture_output=True, timeout=PATIENCE, check=False)
    lines = (run.stderr + run.stdout).decode("latin-1").splitlines()
    return Counter(re.sub(r"Value.*|[\d.]{5,}", "", line).strip() for line in lines if line.startswith("Error"))


MISSING = DCIODVFY is None and os.environ.get("CI") != "true"


@pytest.mark.skipif(MISSING, reason="dciodvfy (Debian dicom3tools) is missing")
def test_dciodvfy_finds_no_error_that_the_original_did_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new: dict[str, list[str]] = {}
    for path in FILES:
        done = cleaned(path, monkeypatch)
        if isinstance(done, tuple):
            before = errors_of(path.read_bytes(), tmp_path)
            if any("read failed" in e or "Not found" in e for e in before):
                continue  # it cannot read the original (deflated, big endian, …): nothing to compare with
            if found := errors_of(done[0], tmp_path) - before:
                new[path.name] = sorted(found)
    assert new == {}
