"""`make interop`: sends four studies through the local stack, asks every peer about them, writes docs/interop.md.

usage: python -m tools.interop [FOLDER] (FOLDER keeps the files). Ends with 1 if an answer differs for no known reason.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from datetime import UTC, datetime
from pathlib import Path

from readfirst import __version__
from tests.portal.stage import staged
from tools.interop import files, gateway, material, results, web
from tools.interop.install import install
from tools.interop.rows import PAGE, Row, table, written


def main() -> int:
    """Asks them all."""
    warnings.simplefilter("ignore")
    installed = install()
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary, tempfile.TemporaryDirectory() as state:
        work = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        with staged(Path(state)) as stage:
            studies = material.made(stage, work)
            found += files.rows(installed, studies, work)
            found += results.rows(installed, studies, work)
            found += web.rows(installed, stage, studies, work)
            found += gateway.rows(installed, stage, work)
    head = f"Readfirst {__version__}, {datetime.now(UTC):%Y-%m-%d}; {len(found)} questions."
    PAGE.write_text(written(PAGE.read_text("utf-8"), found, head), encoding="utf-8")
    sys.stdout.write(f"{table(found)}\n")
    return int(any(row.differs and not row.why for row in found))


if __name__ == "__main__":
    sys.exit(main())
