"""The stages against real Azurite, Key Vault and Cosmos-compatible endpoints, without a Functions host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from readfirst.local.stack import Stack
from tests.conftest import settings_of


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("state"), "auto", with_host=False, settings={"SETTLE_SECONDS": "0"}) as stack:
        yield stack


@pytest.fixture
def settings(servers: Stack) -> Iterator[None]:
    with settings_of(servers.environment):
        yield


def do(activity: Any, *given: Any) -> Any:
    """Runs an activity's own function, as the host would."""
    return activity._function.get_user_function()(*given)
