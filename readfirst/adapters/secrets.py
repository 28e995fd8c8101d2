"""The secrets that the stages need, read from Key Vault once per process."""

from __future__ import annotations

import base64
import json

from readfirst.adapters import clients, clock
from readfirst.adapters.process_cache import once
from readfirst.domain import resource_names
from readfirst.domain.pseudonyms import Pseudonyms


@once
def root_secret() -> bytes:
    """The root pseudonym secret, unwrapped by `pseudonym-kek`, which only intake may use. A new deployment makes it."""
    from azure.core.exceptions import ResourceNotFoundError
    from azure.keyvault.keys.crypto import KeyWrapAlgorithm

    from readfirst.adapters import secret_versions

    try:
        secret = clients.secrets().get_secret(resource_names.ROOT_SECRET)
    except ResourceNotFoundError:
        secret_versions.make_root()
        secret = clients.secrets().get_secret(resource_names.ROOT_SECRET)
    stored = json.loads(secret.value)
    crypto = clients.cryptography(stored["kid"])
    return bytes(crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, base64.b64decode(stored["wrapped"])).key)


def pseudonyms(clinic: str) -> Pseudonyms:
    """The pseudonyms of a clinic."""
    return Pseudonyms(root_secret(), clinic)


@once
def receipt_key() -> tuple[str, bytes]:
    """The newest receipt-signing key: its id (the secret's version) and its bytes. A new deployment makes it."""
    from azure.core.exceptions import ResourceNotFoundError

    from readfirst.adapters import secret_versions

    try:
        secret = clients.secrets().get_secret(resource_names.RECEIPT_KEY)
    except ResourceNotFoundError:
        secret_versions.renew_receipt_key(clock.now())
        secret = clients.secrets().get_secret(resource_names.RECEIPT_KEY)
    return str(secret.properties.version), base64.b64decode(secret.value)


def receipt_keys(key_id: str) -> dict[str, bytes]:
    """Every enabled receipt-signing key by its id, read again where `key_id` is none that this process knows."""
    if key_id not in known_receipt_keys():
        known_receipt_keys.cache_clear()
    return known_receipt_keys()


@once
def known_receipt_keys() -> dict[str, bytes]:
    """Every enabled receipt-signing key by its id: old receipts verify after a rotation."""
    client = clients.secrets()
    versions = client.list_properties_of_secret_versions(resource_names.RECEIPT_KEY)
    return {
        str(v.version): base64.b64decode(client.get_secret(resource_names.RECEIPT_KEY, v.version).value)
        for v in versions
        if v.enabled
    }
