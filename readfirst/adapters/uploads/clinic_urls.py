"""Shared access signatures for clinics: their inbox (create and list) and their answers (read and list)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from readfirst.adapters import clients
from readfirst.adapters.clock import now
from readfirst.adapters.settings import settings
from readfirst.domain import resource_names

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient, ContainerClient

LONGEST = timedelta(days=7)  # a user-delegation key lives no longer
# From this version on a blob that is not there yet may be sent in blocks by whoever may create. An address says its
# version itself (`sv`, which the SDK writes), whatever version the tool speaks that uses it (docs/adr/0015).
BLOCKS_BY_CREATE = "2026-04-06"
_CLOCKS_APART = timedelta(minutes=5)


@dataclass(frozen=True)
class ClinicUrls:
    """What a clinic gets: a URL to upload to and a URL to read its answers from, and when they lapse."""

    inbox: str
    results: str
    until: str


def clinic_urls(clinic: str, lifetime: timedelta) -> ClinicUrls:
    """Signs both URLs for a clinic of the list, for at most seven days.

    In Azure a user-delegation key signs, never an account key; on a developer's machine the local account's key does.
    Raises KeyError for a clinic that the list does not have, ValueError for a lifetime that is too long.
    """
    settings().clinic(clinic)
    if not timedelta(0) < lifetime <= LONGEST:
        raise ValueError("a signature lives at most seven days")
    return _signed(clients.blob_service(resource_names.UPLOADS), clinic, lifetime)


def clinic_urls_of(uploads: str, clinic: str, lifetime: timedelta, credential: Any) -> ClinicUrls:
    """The same for the uploads account at an address, with the rights of whoever signed in (`doctor --azure`)."""
    from azure.storage.blob import BlobServiceClient

    return _signed(BlobServiceClient(uploads, credential=credential), clinic, lifetime)


def _signed(service: BlobServiceClient, clinic: str, lifetime: timedelta) -> ClinicUrls:
    from azure.storage.blob import ContainerSasPermissions

    start = now() - _CLOCKS_APART
    end = start + lifetime
    signer = _signer(service, start, end)
    inbox, results = (
        service.get_container_client(name) for name in (resource_names.inbox(clinic), resource_names.results(clinic))
    )
    return ClinicUrls(
        inbox=_url(inbox, ContainerSasPermissions(create=True, list=True), signer, start, end),
        results=_url(results, ContainerSasPermissions(read=True, list=True), signer, start, end),
        until=end.isoformat(timespec="minutes"),
    )


def upload_only(clinic: str, lifetime: timedelta, blob: str = "") -> tuple[str, str]:
    """An address to upload to for the portal's page, and when it lapses.

    Without `blob`, of the whole inbox: it creates blobs, and lists, reads, overwrites and deletes nothing. With `blob`,
    of that one name: it may also write, because the page speaks a version in which blocks need that; it reaches no
    other blob, and intake takes what it takes by ETag, whatever is written to that name afterwards.
    """
    from azure.storage.blob import BlobSasPermissions, ContainerSasPermissions, generate_blob_sas

    start = now() - _CLOCKS_APART
    end = start + lifetime
    signer = _signer(clients.blob_service(resource_names.UPLOADS), start, end)
    until, inbox = (
        end.isoformat(timespec="minutes"),
        clients.container(resource_names.UPLOADS, resource_names.inbox(clinic)),
    )
    if not blob:
        return _url(inbox, ContainerSasPermissions(create=True), signer, start, end), until
    client = inbox.get_blob_client(blob)
    permission = BlobSasPermissions(create=True, write=True)
    token = generate_blob_sas(
        str(client.account_name), client.container_name, blob, permission=permission, start=start, expiry=end, **signer
    )
    return f"{client.url}?{token}", until


def _signer(service: BlobServiceClient, start: datetime, end: datetime) -> dict[str, Any]:
    key = getattr(service.credential, "account_key", None)  # a connection string's: developer's machine only
    return {"account_key": key} if key else {"user_delegation_key": service.get_user_delegation_key(start, end)}


def _url(client: ContainerClient, permission: Any, signer: dict[str, Any], start: Any, end: Any) -> str:
    from azure.storage.blob import generate_container_sas

    token = generate_container_sas(
        client.account_name, client.container_name, permission=permission, start=start, expiry=end, **signer
    )
    return f"{client.url}?{token}"
