"""Figures of the portal on this machine: the worklist with many studies in the index, first image, scrolling.

usage: python -m benchmarks.portal [STUDIES] (default 10000; needs Debian's chromium and a built portal)

The local Cosmos-compatible server has no index and looks at every document, so its times grow with their number (50,000
take it over a minute). What carries over to Cosmos DB is the number and kind of the queries: three at most for a page,
each inside one partition, sorted and continued by one indexed field.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import requests
from rich.console import Console
from rich.table import Table

from readfirst.domain.addresses import study_link
from tests.portal.browser import chromium, signed_in
from tests.portal.stage import Stage, staged
from tests.portal.studies import record

OPEN = 400  # of all studies, so many wait to be read; the others are signed
_FRAMES = """async seconds => {
  const page = document.querySelector("rf-study");
  let drawn = 0;
  document.querySelector(".viewport").addEventListener("CORNERSTONE_IMAGE_RENDERED", () => drawn++);
  const begin = performance.now();
  for (let slice = 0; performance.now() - begin < seconds * 1000; slice++) {
    page.viewer.goTo(slice % 100);
    await new Promise(requestAnimationFrame);
  }
  return drawn / seconds;
}"""


def _fill(stage: Stage, begin: int, end: int) -> None:
    now = datetime.now(UTC)

    def put(n: int) -> None:
        received = now - timedelta(minutes=n % (60 * 23))
        state = "unread" if n < OPEN else "signed"
        stage.put(record(n, "lakeside", received=received.isoformat(), due=(received + timedelta(days=1)).isoformat(),
                         review=state, high_risk=n % 20 == 0))  # fmt: skip

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(begin, end)))


def _worklist(stage: Stage) -> tuple[float, float, str]:
    """Milliseconds of the first page and of the eighth, and how many queries each took."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {stage.stack.access_token('radiologist.lakeside')}"

    def pages(count: int) -> tuple[float, str]:
        after, took, queries = "", 0.0, ""
        for _ in range(count):
            begin = time.perf_counter()
            answer = session.get(f"{stage.api}/studies", params={"after": after, "limit": "50"}, timeout=60)
            took, queries = (time.perf_counter() - begin) * 1000, answer.headers["Server-Timing"]
            after = answer.json()["next"] or ""
        return took, queries

    first, queries = _median(lambda: pages(1))
    return first, _median(lambda: pages(8))[0], queries


def _median(work: Callable[[], tuple[float, str]]) -> tuple[float, str]:
    runs = [work() for _ in range(5)]
    return median(run[0] for run in runs), runs[0][1]


def _browser(stage: Stage) -> dict[str, float]:
    study = stage.put(record(999_999, "lakeside", high_risk=True), images=True, slices=100)
    with chromium() as browser:
        page = signed_in(browser, stage.url, "radiologist.lakeside", stage.stack.password, path="/about")
        begin = time.perf_counter()
        page.goto(stage.url)
        page.locator("table.studies a.handle").first.wait_for()
        worklist = time.perf_counter() - begin
        begin = time.perf_counter()
        page.goto(study_link(stage.url, study.handle))
        page.locator("img.first, .viewport canvas").first.wait_for()
        first = time.perf_counter() - begin
        page.locator(".progress", has_text="All images here").wait_for(timeout=120_000)
        stack = time.perf_counter() - begin
        frames = page.evaluate(_FRAMES, 4)
    return {"worklist usable, s": worklist, "first image, s": first, "all 100 slices, s": stack, "frames/s": frames}


def main() -> None:
    """Prints the figures."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    console = Console()
    with tempfile.TemporaryDirectory() as folder, staged(Path(folder)) as stage:
        table = Table("Studies in the index", "page 1, ms", "page 8, ms", "queries of page 1")
        filled = 0
        for count in (total // 50, total // 5, total):
            _fill(stage, filled, count)
            filled = count
            first, eighth, queries = _worklist(stage)
            table.add_row(f"{count:,}", f"{first:.0f}", f"{eighth:.0f}", queries.rsplit("-", 1)[1])
        console.print(table)
        browser = Table("In the browser", "")
        for what, value in _browser(stage).items():
            browser.add_row(what, f"{value:.2f}")
        console.print(browser)


if __name__ == "__main__":
    main()
