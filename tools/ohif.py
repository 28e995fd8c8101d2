"""Opens an analysed study with its SEG in OHIF, from our DICOMweb, and takes a picture of it.

usage: python -m tools.ohif [FOLDER] (needs Debian's chromium, npm, a built portal; FOLDER keeps OHIF and the picture)

OHIF's released build comes from npm (@ohif/app). It is shown under the portal's origin; in a deployment its files would
lie beside the portal's, with the OIDC settings of its own configuration. Here its calls get the token on their way.
"""

from __future__ import annotations

import io
import json
import mimetypes
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import ConsoleMessage, Page, Request, Response, Route

from readfirst.domain.addresses import API
from tests.portal.browser import chromium, signed_in
from tests.portal.stage import Stage, staged
from tools.screens import analysed

VERSION = "3.13.2"
_PATIENCE = 8  # seconds
_CONFIGURATION = """window.config = {{
  routerBasename: "/", extensions: [], modes: [], customizationService: {{}}, showStudyList: true,
  maxNumberOfWebWorkers: 2, investigationalUseDialog: {{ option: "never" }}, defaultDataSourceName: "readfirst",
  dataSources: [{{ namespace: "@ohif/extension-default.dataSourcesModule.dicomweb", sourceName: "readfirst",
    configuration: {{ friendlyName: "Readfirst", name: "readfirst",
      qidoRoot: {root}, wadoRoot: {root}, wadoUriRoot: {root},
      qidoSupportsIncludeField: true, supportsWildcard: true, supportsFuzzyMatching: false, enableStudyLazyLoad: true,
      imageRendering: "wadors", thumbnailRendering: "wadors", singlepart: "bulkdata,video",
      omitQuotationForMultipartRequest: true, bulkDataURI: {{ enabled: true }} }} }}],
}};"""


def fetched(folder: Path) -> Path:
    """OHIF's built files."""
    if not (folder / "package" / "dist").is_dir():
        command = ["npm", "pack", f"@ohif/app@{VERSION}", "--loglevel=error"]
        subprocess.run(command, cwd=folder, check=True, timeout=600, stdout=subprocess.DEVNULL)  # noqa: S603 - fixed words
        with tarfile.open(folder / f"ohif-app-{VERSION}.tgz") as archive:
            archive.extractall(folder, filter="data")
    return folder / "package" / "dist"


def serve(page: Page, stage: Stage, dist: Path) -> None:
    """From now on the portal's origin shows OHIF, and passes its calls on to the API with the person's token."""
    configuration = _CONFIGURATION.format(root=json.dumps(f"{stage.url}{API}/dicomweb"))
    token = stage.stack.access_token("radiologist.lakeside")

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(stage.url).lstrip("/")
        name = path.split("?")[0].split("#")[0]
        if path.startswith(API.lstrip("/")):
            headers = {**route.request.headers, "Authorization": f"Bearer {token}"}
            route.fulfill(response=route.fetch(url=f"{stage.api}{path.removeprefix(API.lstrip('/'))}", headers=headers))
        elif name == "app-config.js":
            route.fulfill(body=configuration, content_type="text/javascript")
        else:
            file = dist / name if name and (dist / name).is_file() else dist / "index.html"
            route.fulfill(path=file, content_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream")

    page.route(f"{stage.url}/**", answer)


def shown(page: Page, stage: Stage, study_uid: str) -> int:
    """Opens the study, loads its SEG and returns how many pixels OHIF paints in the segment's colour."""
    page.goto(f"{stage.url}/viewer?StudyInstanceUIDs={study_uid}")
    page.locator(".cornerstone-canvas").first.wait_for(timeout=120_000)
    page.add_locator_handler(page.get_by_role("button", name="Skip all"), lambda button: button.click())  # its tour
    page.locator("[data-cy=study-browser-thumbnail-no-image]", has_text="SEG").first.dblclick(timeout=60_000)
    page.get_by_role("button", name="Yes").click(timeout=60_000)
    painted = 0
    for second in range(90):
        page.wait_for_timeout(1000)
        if second > _PATIENCE:  # not every series opens at its first segment: on through the slices
            page.keyboard.press("ArrowDown")
        view = Image.open(io.BytesIO(page.locator(".cornerstone-canvas").first.screenshot())).convert("RGB")
        red, green, _ = np.moveaxis(np.asarray(view).astype(int), 2, 0)
        painted = int((red > green + 60).sum())
        if painted:
            break
    return painted


def watch(page: Page, failed: list[str]) -> None:
    """Collects the requests that failed, and shows the errors of the page's console."""

    def answered(response: Response) -> None:
        if response.status >= 400:
            failed.append(f"{response.status} {response.url}")

    def not_answered(request: Request) -> None:
        if "ABORTED" not in str(request.failure):  # OHIF itself breaks off a request when it wants another image first
            failed.append(f"{request.failure} {request.url}")

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            sys.stderr.write(f"{message.text[:300]}\n")

    page.on("response", answered)
    page.on("requestfailed", not_answered)
    page.on("console", said)


def main() -> None:
    """Shows it and says what was seen."""
    with tempfile.TemporaryDirectory() as temporary, tempfile.TemporaryDirectory() as state:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        dist = fetched(folder)
        with staged(Path(state)) as stage, chromium() as browser:
            token = analysed(stage)
            uid = stage.index.read_item(token, "lakeside")["study_uid"]
            page = signed_in(browser, stage.url, "radiologist.lakeside", stage.stack.password, path="/about")
            failed: list[str] = []
            watch(page, failed)
            serve(page, stage, dist)
            try:
                painted = shown(page, stage, uid)
            finally:
                page.screenshot(path=folder / "ohif.png")
            sys.stdout.write(
                f"OHIF {VERSION} shows the study; pixels of the segment: {painted}; failed calls: {failed or 'none'}\n"
            )


if __name__ == "__main__":
    main()
