"""The secrets that the stages need, read from Key Vault once per process."""

from __future__ import annotations

import base64
import json
from functools import cache

from readfirst.adapters import clients
from readfirst.domain import names
from readfirst.domain.pseudonyms import Pseudonyms


@cache
def root_secret() -> bytes:
    """The root pseudonym secret, unwrapped by `pseudonym-kek`, which only intake may use."""
    from azure.keyvault.keys.crypto import KeyWrapAlgorithm

    stored = json.loads(clients.secrets().get_secret(names.ROOT_SECRET).value)
    crypto = clients.cryptography(stored["kid"])
    return bytes(crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, base64.b64decode(stored["wrapped"])).key)


def pseudonyms(clinic: str) -> Pseudonyms:
    """The pseudonyms of a clinic."""
    return Pseudonyms(root_secret(), clinic)


@cache
def receipt_key() -> tuple[str, bytes]:
    """The newest receipt-signing key: its id (the secret's version) and its bytes."""
    secret = clients.secrets().get_secret(names.RECEIPT_KEY)
    return str(secret.properties.version), base64.b64decode(secret.value)


@cache
def receipt_keys() -> dict[str, bytes]:
    """Every enabled receipt-signing key by its id: old receipts verify after a rotation."""
    client = clients.secrets()
    versions = client.list_properties_of_secret_versions(names.RECEIPT_KEY)
    return {
        str(v.version): base64.b64decode(client.get_secret(names.RECEIPT_KEY, v.version).value)
        for v in versions
        if v.enabled
    }
