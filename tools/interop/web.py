"""Peers that ask our DICOMweb server: dicomweb-client in Python and in a browser, Orthanc, and OHIF."""

from __future__ import annotations

import io
import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import requests
from playwright.sync_api import ConsoleMessage, Page
from playwright.sync_api import Error as PlaywrightError

from readfirst.domain.addresses import API
from tests.portal.browser import chromium, signed_in
from tests.portal.stage import Stage
from tools import ohif
from tools.interop.files import Studies, asked, free_port
from tools.interop.install import Installed, debian_version
from tools.interop.material import TITLES, Study
from tools.interop.rows import Row, apart, attempted, said


def rows(installed: Installed, stage: Stage, studies: Studies, work: Path) -> Iterator[Row]:
    """All of them."""
    yield from attempted("dicomweb-client (Python)", _dicomweb_client(installed, stage, studies, work))
    yield from attempted("Orthanc (DICOMweb plugin)", _orthanc(installed, stage, studies, work))
    yield from attempted("OHIF (npm @ohif/app)", _in_a_browser(installed, stage, studies, work))


def _token(stage: Stage) -> str:
    return stage.stack.access_token("radiologist.lakeside")


def _dicomweb_client(installed: Installed, stage: Stage, studies: Studies, work: Path) -> Iterator[Row]:
    for kind, study in studies.items():
        folder = work / f"client-{kind}"
        folder.mkdir()
        answer = asked(installed, "dicomweb_client", f"{stage.api}/dicomweb", study.uid, folder, stdin=_token(stage))
        frames = {uid: bytes.fromhex(text) for uid, text in json.loads((folder / "frames.json").read_text()).items()}
        (folder / "frames.json").unlink()
        got = {str(ds.SOPInstanceUID): ds for ds in map(pydicom.dcmread, folder.iterdir())}
        same = sum(_same_pixels(got.get(uid), pixels) for uid, pixels in study.pixels.items())
        right = (
            sum(frames.get(uid) == first_frame(study, uid) for uid in study.pixels) if kind != "colour" else len(frames)
        )
        wrote = len(study.files)
        yield Row(
            "dicomweb-client (Python)",
            answer["version"],
            f"search, metadata, retrieve and frames of {TITLES[kind]}",
            f"{answer['series']} series, {answer['instances']} instances; {same} images, {right} frames as ours",
            said(
                apart("instances", answer["instances"], wrote),
                apart("metadata", answer["metadata"], wrote),
                apart("images", same, len(study.pixels)),
                apart("frames", right, len(study.pixels)),
                apart("PatientName", answer["name"], str(study.clean[0].PatientName)),
            ),
        )


def first_frame(study: Study, uid: str) -> bytes:
    """A frame as little-endian bytes."""
    pixels = study.pixels[uid]
    return (pixels[0] if study.kind == "enhanced" else pixels).tobytes()


def _same_pixels(got: pydicom.Dataset | None, wrote: np.ndarray[Any, Any]) -> bool:
    """Of the lossy colour picture, a value may differ by the rounding of another conversion to RGB."""
    if got is None or got.pixel_array.shape != wrote.shape:
        return False
    most = np.abs(got.pixel_array.astype(int) - wrote.astype(int)).max()
    return bool(most <= (2 if wrote.ndim == 3 and wrote.shape[-1] == 3 else 0))


# ---------------------------------------------------------------- Orthanc


def _orthanc(installed: Installed, stage: Stage, studies: Studies, work: Path) -> Iterator[Row]:
    """Orthanc's plugin fetches each study from our server, and serves it to whoever asks it."""
    version = f"{debian_version('orthanc')}, plugin {debian_version('orthanc-dicomweb')}"
    with _running(installed, stage, work / "orthanc") as address:
        for kind, study in studies.items():
            asking = {"Resources": [{"Study": study.uid}]}
            done = requests.post(f"{address}/dicom-web/servers/readfirst/retrieve", json=asking, timeout=300)
            found = _listed(address, study.uid)
            files = {str(ds.SOPInstanceUID): ds for ds in _files(address, study.uid)}
            same = sum(_same_pixels(files.get(uid), pixels) for uid, pixels in study.pixels.items())
            yield Row(
                "Orthanc (DICOMweb plugin)",
                version,
                f"fetches {TITLES[kind]} with its results from us",
                f"{done.status_code}; {len(found)} instances listed, {same} images with our values",
                said(
                    apart("status", done.status_code, 200),
                    apart("instances", len(found), len(study.files)),
                    apart("images", same, len(study.pixels)),
                ),
            )
        yield _given_files(address, studies, version)


def _given_files(address: str, studies: Studies, version: str) -> Row:
    """The files themselves, over what it has."""
    every = [path for study in studies.values() for path in study.files]
    taken = [requests.post(f"{address}/instances", data=path.read_bytes(), timeout=60) for path in every]
    good = [answer for answer in taken if answer.status_code == 200]
    again = sum(answer.json()["Status"] == "AlreadyStored" for answer in good)
    return Row(
        "Orthanc",
        version,
        "all files, sent to it after it fetched them",
        f"{len(good)} taken, {again} known already",
        apart("known", again, len(every)),
    )


def _listed(address: str, uid: str) -> list[Any]:
    answer = requests.get(
        f"{address}/dicom-web/studies/{uid}/instances", headers={"Accept": "application/dicom+json"}, timeout=60
    )
    return list(answer.json()) if answer.ok else []


def _files(address: str, uid: str) -> Iterator[pydicom.Dataset]:
    known = requests.post(
        f"{address}/tools/find", timeout=60, json={"Level": "Instance", "Query": {"StudyInstanceUID": uid}}
    ).json()
    for one in known:
        yield pydicom.dcmread(io.BytesIO(requests.get(f"{address}/instances/{one}/file", timeout=60).content))


@contextmanager
def _running(installed: Installed, stage: Stage, folder: Path) -> Iterator[str]:
    folder.mkdir()
    port, dicom = free_port(), free_port()
    us = {"Url": f"{stage.api}/dicomweb/", "HttpHeaders": {"Authorization": f"Bearer {_token(stage)}"}}
    (folder / "orthanc.json").write_text(
        json.dumps(
            {
                "StorageDirectory": str(folder / "db"),
                "IndexDirectory": str(folder / "db"),
                "HttpPort": port,
                "DicomPort": dicom,
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
                "Plugins": [str(installed.orthanc_plugin)],
                "DicomWeb": {"Enable": True, "Servers": {"readfirst": us}},
            }
        )
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([installed.program("Orthanc"), str(folder / "orthanc.json")], stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            _answering(f"{address}/system")
            yield address
        finally:
            process.terminate()
            process.wait()


def _answering(address: str) -> None:
    for _ in range(300):
        try:
            if requests.get(address, timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.2)
    raise TimeoutError("Orthanc does not answer")


# ---------------------------------------------------------------- in a browser


_HALF_COLOUR = 256 * 256 * 2  # bytes of a frame in YBR_FULL_422

_PICTURES = (b"\xff\xd8\xff", b"\x89PN")  # how JPEG and PNG begin

_ASK = """async ({root, study, sop, series}) => {
  const module = window.DICOMwebClient;
  const client = new module.api.DICOMwebClient({ url: root });
  const found = await client.searchForInstances({ studyInstanceUID: study });
  const metadata = await client.retrieveStudyMetadata({ studyInstanceUID: study });
  const named = { studyInstanceUID: study, seriesInstanceUID: series, sopInstanceUID: sop };
  const file = await client.retrieveInstance(named);
  const frames = await client.retrieveInstanceFrames({ ...named, frameNumbers: [1] });
  const shown = await client.retrieveInstanceRendered(named);
  const bytes = (buffer) => Array.from(new Uint8Array(buffer));
  const picture = Array.isArray(shown) ? shown[0] : shown; // single parts come in a list too
  return { found: found.length, metadata: metadata.length, file: file.byteLength, frame: bytes(frames[0]),
           shown: bytes(picture).slice(0, 3) };
}"""


def _in_a_browser(installed: Installed, stage: Stage, studies: Studies, work: Path) -> Iterator[Row]:
    with chromium() as browser:
        page = signed_in(browser, stage.url, "radiologist.lakeside", stage.stack.password, path="/about")
        folder = work / "ohif"
        folder.mkdir()
        dist = ohif.fetched(folder)
        failed: list[str] = []
        ohif.serve(page, stage, dist)
        yield from _npm_client(installed, stage, studies, page)
        ohif.watch(page, failed)
        for kind in ("upright", "tilted", "enhanced"):
            yield _in_ohif(page, stage, studies[kind], failed)


def _npm_client(installed: Installed, stage: Stage, studies: Studies, page: Page) -> Iterator[Row]:
    package = installed.npm / "dicomweb-client"
    version = json.loads((package / "package.json").read_text())["version"]
    page.goto(f"{stage.url}/app-config.js")
    page.add_script_tag(path=package / "build/dicomweb-client.js")
    for kind, study in studies.items():
        ds = study.clean[0]
        names = {
            "root": f"{stage.url}{API}/dicomweb",
            "study": study.uid,
            "series": str(ds.SeriesInstanceUID),
            "sop": str(ds.SOPInstanceUID),
        }
        answer: Mapping[str, Any] = page.evaluate(_ASK, names)
        frame = bytes(answer["frame"])
        right = frame == first_frame(study, names["sop"]) if kind != "colour" else len(frame) == _HALF_COLOUR
        yield Row(
            "dicomweb-client (npm, Chromium)",
            version,
            f"search, metadata, file, frame and picture of {TITLES[kind]}",
            f"{answer['found']} instances, a file of {answer['file']} bytes, a frame of {len(frame)}, a picture",
            said(
                apart("instances", answer["found"], len(study.files)),
                apart("metadata", answer["metadata"], len(study.files)),
                "" if right else "another frame",
                "" if bytes(answer["shown"]) in _PICTURES else f"a picture that begins with {answer['shown']}",
            ),
        )


def _in_ohif(page: Page, stage: Stage, study: Study, failed: list[str]) -> Row:
    """Painted pixels of the segment; where OHIF does not load the segmentation, what it says of that."""
    failed.clear()
    told: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error":
            told.append(message.text)

    page.on("console", listen)
    painted, reason = 0, ""
    try:
        painted = ohif.shown(page, stage, study.uid)
    except PlaywrightError:
        reason = next((text.partition(" at ")[0].strip() for text in told if text.startswith("Error:")), "it timed out")
    page.remove_listener("console", listen)
    return Row(
        "OHIF (npm @ohif/app)",
        ohif.VERSION,
        f"{TITLES[study.kind]}, and its SEG over it",
        f"{painted} pixels painted in the segment's colour, {len(failed)} failed calls",
        said("" if painted else "the images are shown, the SEG is not", failed[0] if failed else ""),
        reason,
    )
