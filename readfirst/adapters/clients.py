"""The one place that makes Azure SDK clients. Nothing is made at import: each client is made once, when first used.

Whoever imports it has a quiet log: clients write the addresses of their requests, and those hold names of files.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from readfirst.adapters import quiet, retries
from readfirst.adapters.process_cache import once
from readfirst.adapters.settings import settings
from readfirst.domain import resource_names

_CONNECTIONS = 64

quiet.hush()

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient, ContainerClient
    from azure.storage.queue import QueueClient


@once
def credential() -> Any:
    """The app's own managed identity; for a command on an operator's machine, whoever signed in with `az` or `azd`."""
    from azure.identity import (
        AzureCliCredential,
        AzureDeveloperCliCredential,
        ChainedTokenCredential,
        ManagedIdentityCredential,
    )

    if "IDENTITY_ENDPOINT" in os.environ:  # Functions and Container Apps set it: an app never tries anything else
        brief = retries.policy()
        return ManagedIdentityCredential(client_id=settings().client_id or None, retry_policy_class=brief)
    return ChainedTokenCredential(AzureCliCredential(), AzureDeveloperCliCredential())


@once
def blob_service(account: str) -> BlobServiceClient:
    """The Blob service of an account: names.UPLOADS, STUDIES, VAULT or AUDIT."""
    from azure.storage.blob import BlobServiceClient

    options: dict[str, Any] = {"max_single_get_size": 8 << 20, "max_chunk_get_size": 8 << 20, "transport": _transport()}
    options |= retries.storage()
    connection = str(getattr(settings(), account.lower()))
    if connection:
        return BlobServiceClient.from_connection_string(connection, **options)
    uri = str(getattr(settings(), f"{account.lower()}_blob_uri"))
    return BlobServiceClient(uri, credential=credential(), **options)


def _transport() -> Any:
    """HTTP connections for as many threads as the app runs at a time: the default keeps ten and drops the rest.

    A connection that fails is told without the request's address, which names a clinic's file: the text of an exception
    ends in logs and in an orchestration's history.
    """
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError
    from azure.core.pipeline.transport import RequestsTransport
    from requests import Session
    from requests.adapters import HTTPAdapter

    class Nameless(RequestsTransport):  # type: ignore[misc] # azure-core names it lazily
        def send(self, request: Any, **kwargs: Any) -> Any:
            try:
                return super().send(request, **kwargs)
            except (ServiceRequestError, ServiceResponseError) as error:
                raise type(error)(type(error.inner_exception).__name__) from None

    session = Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_connections=4, pool_maxsize=_CONNECTIONS))
    return Nameless(session=session, session_owner=False)


@once
def container(account: str, name: str) -> ContainerClient:
    """A container of an account."""
    return blob_service(account).get_container_client(name)


@once
def queue(name: str, encoded: bool = True) -> QueueClient:
    """A queue of the studies account. Messages are base64, as the Functions host reads and writes them.

    Not `encoded`: they are handed over as they lie there, base64 or not.
    """
    from azure.storage.queue import QueueClient, TextBase64DecodePolicy, TextBase64EncodePolicy

    options: dict[str, Any] = retries.storage()
    if encoded:
        options |= {
            "message_encode_policy": TextBase64EncodePolicy(),
            "message_decode_policy": TextBase64DecodePolicy(),
        }
    if settings().studies:
        return QueueClient.from_connection_string(settings().studies, name, **options)
    return QueueClient(settings().studies_queue_uri, name, credential=credential(), **options)


@once
def cosmos_container(name: str = resource_names.STUDIES_CONTAINER) -> Any:
    """A container of the Cosmos database."""
    from azure.cosmos import CosmosClient

    s = settings()
    if s.cosmos_key:  # the local server: the SDK never checks TLS on 127.0.0.1, and urllib3 would say so at every call
        import urllib3

        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    client = CosmosClient(s.cosmos_endpoint, s.cosmos_key or credential(), **retries.cosmos())
    return client.get_database_client(s.cosmos_database).get_container_client(name)


@once
def secrets() -> Any:
    """Key Vault's secrets."""
    from azure.keyvault.secrets import SecretClient

    return SecretClient(settings().key_vault_uri, credential(), **retries.core())


@once
def keys() -> Any:
    """Key Vault's keys."""
    from azure.keyvault.keys import KeyClient

    return KeyClient(settings().key_vault_uri, credential(), **retries.core())


@once
def cryptography(key_id: str) -> Any:
    """Wraps and unwraps with one version of a key."""
    from azure.keyvault.keys.crypto import CryptographyClient

    return CryptographyClient(key_id, credential(), **retries.core())


@once
def container_apps() -> Any:
    """Azure Resource Manager's Container Apps jobs."""
    from azure.mgmt.appcontainers import ContainerAppsAPIClient

    subscription = settings().job_resource_id.split("/")[2]
    base = settings().arm_endpoint
    return ContainerAppsAPIClient(
        credential(),
        subscription,
        base_url=base,
        credential_scopes=[f"{base.rstrip('/')}/.default"],
        **retries.core(),
    )


@once
def email() -> Any:
    """Communication Services e-mail."""
    from azure.communication.email import EmailClient

    return EmailClient(settings().email_endpoint, credential(), **retries.core())
