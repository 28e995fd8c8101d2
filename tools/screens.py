"""Takes the pictures of docs/screens: every page of the portal in both themes, from the running stack.

usage: python -m tools.screens (needs Debian's chromium and a built portal)
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from tests.portal.browser import chromium, signed_in
from tests.portal.stage import furnish, incidents, staged

SCREENS = Path(__file__).parents[1] / "docs" / "screens"
PAGES = {
    "radiologist": {"worklist": "/", "study": "STUDY", "operations": "/operations", "about": "/about"},
    "privacy-officer": {"quarantine": "/quarantine", "privacy": "/privacy", "requests": "/requests"},
    "clinic-user": {"uploads": "/uploads"},
}


def _shoot(page: Page, name: str) -> None:
    for theme in ("dark", "light"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        page.wait_for_timeout(300)
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        picture.save(SCREENS / f"{name}-{theme}.webp", quality=82, method=6)


def main() -> None:
    """Takes them all."""
    SCREENS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, staged(Path(folder)) as stage, chromium() as browser:
        study = furnish(stage)
        incidents(stage, study)
        for user, pages in PAGES.items():
            page = signed_in(browser, stage.url, user, stage.stack.password, path="/about")
            for name, path in pages.items():
                page.goto(stage.url + (f"/studies/{study.id}" if path == "STUDY" else path))
                page.locator("h1").wait_for()
                page.wait_for_timeout(3500 if name == "study" else 1500)
                if name == "quarantine":
                    page.locator("tbody button").first.click()
                    page.wait_for_timeout(800)
                _shoot(page, name)


if __name__ == "__main__":
    main()
