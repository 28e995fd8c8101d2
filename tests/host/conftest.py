from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.harness import Azurite, HostProcess


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    server = Azurite(tmp_path_factory.mktemp("azurite"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory, azurite: Azurite) -> Iterator[HostProcess]:
    """One running host for all tests that neither kill it nor need it alone."""
    with HostProcess(tmp_path_factory.mktemp("host"), azurite.connection_string) as running:
        yield running


@pytest.fixture(scope="session")
def azurite_of_own_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    server = Azurite(tmp_path_factory.mktemp("azurite"))
    yield server
    server.stop()


@pytest.fixture
def own_host(tmp_path: Path, azurite_of_own_hosts: Azurite) -> Iterator[HostProcess]:
    """A host of the test's own, not started yet, beside an empty storage: to be killed and started again."""
    azurite_of_own_hosts.clear()
    made = HostProcess(tmp_path / "host", azurite_of_own_hosts.connection_string)
    yield made
    made.__exit__()
