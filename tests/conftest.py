"""What several suites share: a running stack, and the settings of the process that tests it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# What a shell runs in the background ignores Ctrl-C, and so would every program that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium for one file: its event loop is in the way of the asyncio of others."""
    from tests.portal.browser import chromium

    with chromium() as made:
        yield made


# Folders whose tests share servers and settings of the process: they run in one process, one after the other.
_TOGETHER = {"adapters", "e2e", "gateway", "local", "orchestrations", "portal"}


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in a hook of the same name
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Says which tests stay together when processes share the work (`make test`): a folder, or else a file.

    The folders come first: they take longest, and nobody waits for one of them at the end.
    """
    for item in items:
        place = item.path.parent if item.path.parent.name in _TOGETHER else item.path
        item.add_marker(pytest.mark.xdist_group(str(place)))
    items.sort(key=lambda item: item.path.parent.name not in _TOGETHER)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names a case of bytes by its argument: what is made at collection may hold the second in which it was made.

    pytest-xdist refuses to start where two processes collect a test under different names.
    """
    return argname if isinstance(val, bytes) else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fails where pytest-xdist was asked to keep groups together and does not, as with pytest 9.2.0."""
    if session.config.getoption("loadgroup", False) and not all("@" in item.nodeid for item in session.items):
        raise pytest.UsageError(
            "pytest-xdist does not group the tests: this pytest and this pytest-xdist do not go together"
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """CI skips nothing: what a machine lacks there, `make test` has to install.

    The exceptions: the real CT, where READFIRST_DATA=none says that this CI has no copy of it, and the model zoo's own
    configurations, which are not ours to copy (READFIRST_ZOO names a checkout of them).
    """
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = [str(report.longrepr) for report in reporter.stats.get("skipped", [])] if reporter else []
    skipped = [reason for reason in skipped if "READFIRST_ZOO" not in reason]
    if os.environ.get("READFIRST_DATA") == "none":
        skipped = [reason for reason in skipped if "READFIRST_DATA" not in reason]
    if os.environ.get("CI") and skipped:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
