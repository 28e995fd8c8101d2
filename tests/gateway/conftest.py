"""Storage with the containers of two clinics, and their addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from readfirst.adapters import clients
from readfirst.adapters.uploads.clinic_urls import clinic_urls
from readfirst.domain import resource_names
from readfirst.local.environment import settings_of
from readfirst.local.stack import Stack
from tests.gateway.rig import Rig, rig  # noqa: F401 - a fixture

Addressed = Callable[..., Rig]


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("state"), "auto", with_host=False) as stack:
        yield stack


@pytest.fixture
def storage(servers: Stack) -> Iterator[None]:
    """This process may look into the accounts; the containers of both clinics are empty."""
    with settings_of(servers.environment):
        for clinic in ("lakeside", "hillcrest"):
            for name in (resource_names.inbox(clinic), resource_names.results(clinic)):
                container = clients.container(resource_names.UPLOADS, name)
                for blob in list(container.list_blob_names()):
                    container.delete_blob(blob)
        yield


def addresses_of(clinic: str, hours: float = 24) -> str:
    """The file of addresses, as `readfirst sas` prints it."""
    urls = clinic_urls(clinic, timedelta(hours=hours))
    return f"inbox    {urls.inbox}\nresults  {urls.results}\nuntil    {urls.until}\n"


def inbox_of(clinic: str = "lakeside") -> dict[str, bytes]:
    """What a clinic's inbox holds, by name."""
    container = clients.container(resource_names.UPLOADS, resource_names.inbox(clinic))
    return {name: bytes(container.download_blob(name).readall()) for name in container.list_blob_names()}
