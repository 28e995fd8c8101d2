"""A clinic's machines around the gateway: dcmtk as the scanner, Orthanc as the PACS. The round trip of a study."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pydicom
from pydicom import Dataset

from readfirst.local.environment import settings_of
from readfirst.local.phantom import write_phantom_study
from tests.gateway.conftest import addresses_of
from tests.gateway.orthanc import Orthanc, free_port, orthanc
from tests.gateway.rig import SENDER, TITLE, Rig
from tests.portal.stage import Stage
from tests.waiting import PATIENCE, eventually
from tools.interop.install import Installed, debian_version
from tools.interop.rows import Row, apart, attempted, said

_KINDS = {
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    "1.2.840.10008.5.1.4.1.1.88.34": "SR",
    "1.2.840.10008.5.1.4.1.1.7": "SC",
}
_OF_THE_STUDY = (
    "StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate",
)  # fmt: skip


def rows(installed: Installed, stage: Stage, work: Path) -> Iterator[Row]:
    """All of them."""
    yield from attempted("The gateway", _round_trip(installed, stage, work / "gateway"))


def _round_trip(installed: Installed, stage: Stage, work: Path) -> Iterator[Row]:
    rig = Rig(work / "clinic", port=free_port())
    rig.home.mkdir(parents=True)
    write_phantom_study(work / "study", seed=20, chest=11, slices=24, size=320)
    files = sorted(path for path in (work / "study").rglob("*") if path.is_file())
    with settings_of(stage.stack.environment):
        rig.addresses.write_text(addresses_of("lakeside"))
    with orthanc(work / "orthanc", rig.port) as pacs:
        rig.more = f'[pacs]\ntitle = "PACS"\nhost = "127.0.0.1"\nport = {pacs.dicom}\nverify = "commitment"\n'
        rig.start()
        try:
            yield _sent(installed, rig, files)
            yield from _returned(installed, rig, pacs, files, work)
        finally:
            rig.stop()


def _sent(installed: Installed, rig: Rig, files: list[Path]) -> Row:
    """With the scanner's side as dcmtk plays it."""
    to = ("-aet", SENDER, "-aec", TITLE, "127.0.0.1", rig.port)
    ended = [_ended(installed, "echoscu", *to), _ended(installed, "storescu", *to, *files)]
    eventually(lambda: rig.status()["sent since the start"].get("sent") == len(files), PATIENCE)
    return Row(
        "dcmtk (echoscu, storescu)",
        debian_version("dcmtk"),
        f"sends a CT of {len(files)} images to the gateway",
        f"taken, uploaded and deleted from the spool: {len(files) - len(rig.waiting())}",
        said(apart("statuses", ended, [0, 0]), apart("left in the spool", len(rig.waiting()), 0)),
    )


def _returned(installed: Installed, rig: Rig, pacs: Orthanc, files: list[Path], work: Path) -> Iterator[Row]:
    originals = [pydicom.dcmread(file) for file in files]
    study = str(originals[0].StudyInstanceUID)
    eventually(lambda: set(_kinds(_of(pacs, study))) == set(_KINDS.values()), 4 * PATIENCE, pause=1)
    eventually(lambda: set(rig.status()["results"]) == {"there"}, PATIENCE, pause=1)
    home = _of(pacs, study)
    wrong = [name for ds in home for name in _OF_THE_STUDY if str(ds.get(name, "")) != str(originals[0].get(name, ""))]
    frames = {str(ds.FrameOfReferenceUID) for ds in home if "FrameOfReferenceUID" in ds}
    slices = {str(ds.SOPInstanceUID) for ds in originals}
    unknown = set().union(*(_referenced(ds) for ds in home)) - slices - {str(ds.SOPInstanceUID) for ds in home}
    yield Row(
        "Orthanc (C-STORE, commitment)",
        debian_version("orthanc"),
        "has the results of that CT, which the gateway sent it",
        f"{', '.join(sorted(_kinds(home)))}, on the original study; storage committed",
        said(
            apart("attributes of the study", wrong, []),
            apart("frames of reference", frames, {str(originals[0].FrameOfReferenceUID)}),
            apart("references to unknown instances", sorted(unknown), []),
        ),
    )
    yield _valid(installed, home, work / "returned")


def _valid(installed: Installed, home: list[Dataset], folder: Path) -> Row:
    """What the PACS has of our results, against PS3.3."""
    folder.mkdir()
    errors = 0
    for k, ds in enumerate(home):
        ds.save_as(folder / f"{k}.dcm")
        asked = [installed.program("dciodvfy"), str(folder / f"{k}.dcm")]
        told = subprocess.run(asked, capture_output=True, text=True, errors="replace")
        errors += sum(line.startswith("Error") for line in (told.stdout + told.stderr).splitlines())
    return Row(
        "dicom3tools (dciodvfy)",
        debian_version("dicom3tools"),
        "those results as Orthanc has them, against PS3.3",
        f"{', '.join(sorted(_kinds(home)))}: {errors} errors",
        apart("errors", errors, 0),
    )


def _of(pacs: Orthanc, study: str) -> list[Dataset]:
    return [ds for ds in pacs.instances().values() if ds.StudyInstanceUID == study]


def _kinds(home: list[Dataset]) -> list[str]:
    return [_KINDS.get(str(ds.SOPClassUID), "another kind") for ds in home]


def _referenced(ds: Dataset) -> set[str]:
    return {str(element.value) for element in ds.iterall() if element.keyword == "ReferencedSOPInstanceUID"}


def _ended(installed: Installed, name: str, *arguments: object) -> int:
    return subprocess.run([installed.program(name), *map(str, arguments)], capture_output=True).returncode
