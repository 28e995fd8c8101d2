"""Shared access signatures for clinics: their inbox (create and list) and their answers (read and list)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from readfirst.adapters import clients
from readfirst.adapters.ledger import now
from readfirst.adapters.settings import settings
from readfirst.domain import names

LONGEST = timedelta(days=7)  # a user-delegation key lives no longer
_CLOCKS_APART = timedelta(minutes=5)


@dataclass(frozen=True)
class Doors:
    """What a clinic gets: a URL to upload to and a URL to read its answers from, and when they lapse."""

    inbox: str
    results: str
    until: str


def doors(clinic: str, lifetime: timedelta) -> Doors:
    """Signs both URLs for a clinic of the list, for at most seven days.

    In Azure a user-delegation key signs, never an account key; on a developer's machine the local account's key does.
    Raises KeyError for a clinic that the list does not have, ValueError for a lifetime that is too long.
    """
    from azure.storage.blob import ContainerSasPermissions

    settings().clinic(clinic)
    if not timedelta(0) < lifetime <= LONGEST:
        raise ValueError("a signature lives at most seven days")
    start = now() - _CLOCKS_APART
    end = start + lifetime
    signer = _signer(start, end)
    return Doors(
        inbox=_url(names.inbox(clinic), ContainerSasPermissions(create=True, list=True), signer, start, end),
        results=_url(names.results(clinic), ContainerSasPermissions(read=True, list=True), signer, start, end),
        until=end.isoformat(timespec="minutes"),
    )


def upload_only(clinic: str, lifetime: timedelta) -> tuple[str, str]:
    """The address of a clinic's inbox for the portal's page, and when it lapses: it creates, and lists nothing."""
    from azure.storage.blob import ContainerSasPermissions

    start = now() - _CLOCKS_APART
    end = start + lifetime
    signer = _signer(start, end)
    address = _url(names.inbox(clinic), ContainerSasPermissions(create=True), signer, start, end)
    return address, end.isoformat(timespec="minutes")


def _signer(start: datetime, end: datetime) -> dict[str, Any]:
    service = clients.blob_service(names.UPLOADS)
    if settings().uploads:
        return {"account_key": service.credential.account_key}
    return {"user_delegation_key": service.get_user_delegation_key(start, end)}


def _url(container: str, permission: Any, signer: dict[str, Any], start: Any, end: Any) -> str:
    from azure.storage.blob import generate_container_sas

    client = clients.container(names.UPLOADS, container)
    token = generate_container_sas(
        client.account_name, container, permission=permission, start=start, expiry=end, **signer
    )
    return f"{client.url}?{token}"
