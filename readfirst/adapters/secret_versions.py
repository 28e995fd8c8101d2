"""New versions of the secrets of our own: the root pseudonym secret is wrapped anew, the receipt-signing key renewed.

The root secret itself never changes, so tokens, UIDs and shifted dates never change either. Old versions stay enabled;
docs/operator/rotate.md says when they may go.
"""

from __future__ import annotations

import base64
import json
import secrets as random
from datetime import datetime
from typing import Any

from readfirst.adapters import blobs, clients
from readfirst.adapters.clock import now
from readfirst.domain import resource_names
from readfirst.domain.faults import Fault
from readfirst.domain.operations.key_rotation import LIFE, due

_RSA = "RSA-OAEP-256"
_JSON = "application/json"
ESCROW = "root/wrapped.json"  # blob in `arrivals`: the wrapped root once more; only `pseudonym-kek` opens it


class RootSecretLost(Fault):
    """The root pseudonym secret is gone although studies exist: a new one would part them from all later ones."""


class KeyNotUsable(Fault):
    """The newest version of a key may not be used: nothing is encrypted with it until somebody has seen to it."""


class SecretDeleted(Fault):
    """A secret was deleted, and the vault keeps its name: only whoever may recover or purge it can go on."""


def newest_key(name: str) -> Any:
    """The newest version of a key, with its public half.

    Encrypting asks Key Vault for nothing but the public half, which it gives of any version: what the vault would
    refuse has to be refused here. Raises KeyNotUsable.
    """
    from azure.core.exceptions import ResourceNotFoundError

    try:
        key = clients.keys().get_key(name)
    except ResourceNotFoundError:
        remedy = f"az keyvault key recover --vault-name VAULT --name {name}"
        raise KeyNotUsable(f"there is no key {name}; if it was deleted: {remedy} (docs/operator/restore.md)") from None
    if why := _unusable(key.properties, now()):
        raise KeyNotUsable(f"the newest version of {name} {why} (docs/operator/runbook.md)")
    return key


def _unusable(key: Any, moment: datetime) -> str:
    """Why a version of a key may not be used; empty: it may."""
    if key.enabled is False:
        return "is disabled"
    if key.expires_on is not None and key.expires_on <= moment:
        return "has expired"
    if key.not_before is not None and key.not_before > moment:
        return "is not valid yet"
    return ""


def rewrap_root() -> bool:
    """Wraps the root pseudonym secret with the newest `pseudonym-kek`, and its escrow. Returns whether that was needed.

    A pass that died between the two has left the escrow behind: the next one looks at both.
    """
    from azure.keyvault.keys.crypto import KeyWrapAlgorithm

    kept = str(clients.secrets().get_secret(resource_names.ROOT_SECRET).value)
    stored = json.loads(kept)
    newest = str(newest_key(resource_names.PSEUDONYM_KEK).id)
    arrivals = clients.container(resource_names.UPLOADS, resource_names.ARRIVALS)
    if stored["kid"] == newest:
        if json.loads(blobs.read(arrivals, ESCROW) or b"{}").get("kid") == newest:
            return False
        blobs.put(arrivals, ESCROW, kept.encode())
        return True
    algorithm = KeyWrapAlgorithm.rsa_oaep_256
    root = clients.cryptography(stored["kid"]).unwrap_key(algorithm, base64.b64decode(stored["wrapped"])).key
    again = _wrapped_root(root, newest)
    # No expiry: a lost root secret would part every later study from its priors.
    _set(resource_names.ROOT_SECRET, again, content_type=_JSON)
    blobs.put(arrivals, ESCROW, again.encode())
    return True


def renew_receipt_key(at: datetime) -> bool:
    """Gives the receipt-signing key a new version if it is due. Receipts that the old ones signed go on verifying."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        expires = clients.secrets().get_secret(resource_names.RECEIPT_KEY).properties.expires_on
    except ResourceNotFoundError:
        expires = None
    if not due(expires, at):
        return False
    value = base64.b64encode(random.token_bytes(32)).decode()
    _set(resource_names.RECEIPT_KEY, value, expires_on=at + LIFE, content_type="base64")
    return True


def make_root() -> bool:
    """Makes the root pseudonym secret of a new deployment. Returns whether there was none.

    The escrow blob decides between two processes that both find none, and brings a lost secret back. Raises
    RootSecretLost where studies have arrived and neither is there.
    """
    from azure.core.exceptions import ResourceNotFoundError

    try:
        clients.secrets().get_secret(resource_names.ROOT_SECRET)
        return False
    except ResourceNotFoundError:
        pass  # a new deployment, or one that has lost its secret: the escrow below says which
    arrivals = clients.container(resource_names.UPLOADS, resource_names.ARRIVALS)
    if not blobs.exists(arrivals, ESCROW):
        if next(iter(arrivals.list_blobs()), None) is not None:
            raise RootSecretLost("restore secret pseudonym-root from escrow (docs/operator/restore.md)")
        newest = str(newest_key(resource_names.PSEUDONYM_KEK).id)
        blobs.put_once(arrivals, ESCROW, _wrapped_root(random.token_bytes(32), newest).encode())
    kept = blobs.read(arrivals, ESCROW)
    if not kept:
        raise RootSecretLost("the escrow of pseudonym-root is empty or gone (docs/operator/restore.md)")
    _set(resource_names.ROOT_SECRET, kept.decode(), content_type=_JSON)
    return True


def _set(name: str, value: str, **options: Any) -> None:
    """Writes a new version of a secret. Raises SecretDeleted with the remedy where its name is kept by a deleted one.

    Key Vault answers 404 to who reads such a secret, and 409 (ObjectIsDeletedButRecoverable) to who writes it.
    """
    from azure.core.exceptions import HttpResponseError

    try:
        clients.secrets().set_secret(name, value, **options)
    except HttpResponseError as error:
        if error.status_code != 409:
            raise
        remedy = f"az keyvault secret recover --vault-name VAULT --name {name}"
        raise SecretDeleted(f"secret {name} was deleted: {remedy} (docs/operator/restore.md)") from None


def _wrapped_root(root: bytes, key_id: str) -> str:
    from azure.keyvault.keys.crypto import KeyWrapAlgorithm

    wrapped = clients.cryptography(key_id).wrap_key(KeyWrapAlgorithm.rsa_oaep_256, root)
    value = base64.b64encode(wrapped.encrypted_key).decode()
    return json.dumps({"kid": wrapped.key_id, "alg": _RSA, "wrapped": value})
