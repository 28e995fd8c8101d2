"""Takes the pictures of docs/screens: every page of the portal in both themes, from the running stack.

usage: python -m tools.screens (needs Debian's chromium and a built portal)
"""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path

import requests
from PIL import Image
from playwright.sync_api import Page

from readfirst.domain.addresses import study_link
from readfirst.local.phantom import write_phantom_study
from tests.portal.browser import chromium, signed_in
from tests.portal.stage import Stage, furnish, incidents, staged

SCREENS = Path(__file__).parents[1] / "docs" / "screens"
PAGES = {
    "radiologist": {
        "worklist": "/",
        "study": "STUDY",
        "prior": "PRIOR",
        "operations": "/operations",
        "about": "/about",
    },
    "privacy-officer": {"quarantine": "/quarantine", "privacy": "/privacy", "requests": "/requests"},
    "clinic-user": {"uploads": "/uploads"},
}


def _shoot(page: Page, name: str) -> None:
    for theme in ("dark", "light"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        page.wait_for_timeout(300)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        picture.save(SCREENS / f"{name}-{theme}.webp", quality=82, method=6)


def analysed(stage: Stage) -> str:
    """Uploads an invented chest CT as a clinic does, and waits for what the AI says. Returns the study's handle."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {stage.stack.access_token('clinic-user.lakeside')}"
    given = session.post(f"{stage.api}/uploads/address", json={"clinic": "lakeside"}, timeout=30).json()
    base, signature = given["address"].split("?")
    with tempfile.TemporaryDirectory() as folder:
        write_phantom_study(Path(folder), seed=11, slices=48)
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file():
                headers = {"x-ms-blob-type": "BlockBlob"}
                requests.put(f"{base}/ct/{file.name}?{signature}", file.read_bytes(), headers=headers, timeout=30)
    session.headers["Authorization"] = f"Bearer {stage.stack.access_token('radiologist.lakeside')}"
    known = {study["id"] for study in session.get(f"{stage.api}/studies", timeout=30).json()["items"]}
    for _ in range(120):
        time.sleep(2)
        listed = session.get(f"{stage.api}/studies", timeout=30).json()["items"]
        if new := [str(study["handle"]) for study in listed if study["id"] not in known and study["high_risk"]]:
            return new[0]
    raise TimeoutError("the uploaded study was not reported as high risk")


def main() -> None:
    """Takes them all."""
    SCREENS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, staged(Path(folder)) as stage, chromium() as browser:
        furnished = furnish(stage)
        incidents(stage, furnished)
        study = analysed(stage)
        for user, pages in PAGES.items():
            page = signed_in(browser, stage.url, user, stage.stack.password, path="/about")
            for name, path in pages.items():
                page.goto(
                    stage.url
                    + {"STUDY": study_link("", study), "PRIOR": study_link("", furnished.handle)}.get(path, path)
                )
                page.locator("h1").wait_for()
                page.wait_for_timeout(1500)
                if name in ("study", "prior"):
                    page.locator(".progress", has_text="All images here").wait_for()
                if name == "prior":
                    page.keyboard.press("b")
                    page.locator("rf-prior .slice").wait_for()
                    page.wait_for_timeout(1500)
                if name == "quarantine":
                    page.locator("tbody button").first.click()
                    page.get_by_text("Text seen in").wait_for()
                _shoot(page, name)


if __name__ == "__main__":
    main()
