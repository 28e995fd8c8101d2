"""Makes what Bicep makes in Azure: containers, queues, the Cosmos database, keys and first secrets. Safe to repeat.

It runs as a process of its own (`python -m readfirst.local.provision`), because the SDKs read where the local
endpoints are from the environment, which in the stack's own process belongs to somebody else (a test, a command).
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.cosmos import CosmosClient, PartitionKey
from azure.identity import ManagedIdentityCredential
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm
from azure.keyvault.secrets import SecretClient
from azure.storage.blob import BlobServiceClient, CorsRule
from azure.storage.queue import QueueServiceClient

from readfirst.adapters.studies import parked
from readfirst.adapters.studies.study_index import INDEXING
from readfirst.domain import resource_names

# Across origins, and only with a signed address: the portal's pages read pixels, and put files into an inbox.
_BROWSERS_MAY = {resource_names.STUDIES: ["GET", "HEAD"], resource_names.UPLOADS: ["PUT"]}
_SECRET_LIFE = timedelta(days=365)


def storage(settings: Mapping[str, str]) -> None:
    """Containers, queues, and leave for the portal's pages to use signed addresses."""
    clinics = [clinic["id"] for clinic in json.loads(settings["CLINICS"])]
    for connection, containers in _containers(clinics):
        with BlobServiceClient.from_connection_string(settings[connection]) as account:
            for container in containers:
                _unless_it_exists(account.create_container, container)
            if methods := _BROWSERS_MAY.get(connection):
                portal = [settings["PORTAL_URL"]]
                account.set_service_properties(cors=[CorsRule(portal, methods, allowed_headers=["*"])])
    with QueueServiceClient.from_connection_string(settings[resource_names.STUDIES]) as queues:
        for queue in resource_names.STUDIES_QUEUES:
            _unless_it_exists(queues.create_queue, queue)
        for queue in resource_names.WAKING_QUEUES:
            _unless_it_exists(queues.create_queue, parked.name_of(queue))


def _containers(clinics: list[str]) -> Iterator[tuple[str, list[str]]]:
    per_clinic = [make(clinic) for clinic in clinics for make in (resource_names.inbox, resource_names.results)]
    yield (
        resource_names.UPLOADS,
        [resource_names.ORIGINALS, resource_names.ARRIVALS, resource_names.QUARANTINE, *per_clinic],
    )
    yield (
        resource_names.STUDIES,
        [resource_names.CLEAN, resource_names.ANALYSIS, resource_names.REVIEWS, resource_names.MODEL_CHANGES],
    )
    yield resource_names.VAULT, [resource_names.IDENTITIES, resource_names.DOORS]
    yield resource_names.AUDIT, [resource_names.audit(app) for app in ("intake", "api", "identity")]


def cosmos(settings: Mapping[str, str]) -> None:
    """The index, empty: the local server keeps it in memory only."""
    with CosmosClient(settings["COSMOS_ENDPOINT"], settings["COSMOS_KEY"]) as client:
        database = client.create_database_if_not_exists(settings["COSMOS_DATABASE"])
        database.create_container_if_not_exists(resource_names.STUDIES_CONTAINER, PartitionKey("/clinic"), INDEXING)


def key_vault(settings: Mapping[str, str]) -> None:
    """Both key-encryption keys, the wrapped root pseudonym secret and the receipt-signing key."""
    identity = ManagedIdentityCredential()
    keys = KeyClient(settings["KEY_VAULT_URI"], identity)
    vault = SecretClient(settings["KEY_VAULT_URI"], identity)
    for name in (resource_names.IDENTITY_KEK, resource_names.PSEUDONYM_KEK):
        if not _exists(keys.get_key, name):
            keys.create_rsa_key(name, size=3072)
    if not _exists(vault.get_secret, resource_names.ROOT_SECRET):
        key = keys.get_key(resource_names.PSEUDONYM_KEK)
        wrapped = CryptographyClient(key, identity).wrap_key(KeyWrapAlgorithm.rsa_oaep_256, secrets.token_bytes(32))
        encrypted = base64.b64encode(wrapped.encrypted_key).decode()
        root = {"kid": wrapped.key_id, "alg": wrapped.algorithm, "wrapped": encrypted}
        # No expiry: a lost root secret would part every later study from its priors.
        vault.set_secret(resource_names.ROOT_SECRET, json.dumps(root), content_type="application/json")
    if not _exists(vault.get_secret, resource_names.RECEIPT_KEY):
        signing_key = base64.b64encode(secrets.token_bytes(32)).decode()
        vault.set_secret(resource_names.RECEIPT_KEY, signing_key, expires_on=datetime.now(UTC) + _SECRET_LIFE)


def _exists(get: Callable[[str], object], name: str) -> bool:
    with suppress(ResourceNotFoundError):
        get(name)
        return True
    return False


def _unless_it_exists(create: Callable[[str], object], name: str) -> None:
    with suppress(ResourceExistsError):
        create(name)


def main() -> None:
    """Provision by the settings in the environment; the three services have nothing to do with each other."""
    settings = dict(os.environ)
    with ThreadPoolExecutor() as threads:
        for done in [threads.submit(make, settings) for make in (storage, cosmos, key_vault)]:
            done.result()


if __name__ == "__main__":
    main()
