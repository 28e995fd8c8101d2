"""Rotation: identities and the root secret are wrapped anew, the receipt-signing key gets a new version.

What is wrapped never changes, so tokens, UIDs and shifted dates never change either. Each record is replaced in one
conditional write: killed at any point, every record opens with the old or with the new version of the key, and the
next pass does the rest. Old versions stay enabled; docs/operator/rotate.md says when they may go.
"""

from __future__ import annotations

import base64
import json
import secrets as random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from readfirst.adapters import blobs, clients
from readfirst.adapters.identity import vault
from readfirst.domain import resource_names
from readfirst.domain.operations.key_rotation import LIFE, Swept, due

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties, ContainerClient

_PARALLEL = 8
_PAGE = 200
_RSA = "RSA-OAEP-256"
_JSON = "application/json"
ESCROW = "root/wrapped.json"  # blob in `arrivals`: the wrapped root once more; only `pseudonym-kek` opens it


class RootSecretLost(Exception):
    """The root pseudonym secret is gone although studies exist: a new one would part them from all later ones."""


def sweep(cursor: str, out_of_time: Callable[[], bool]) -> Swept:
    """Wraps every record that an older version of `identity-kek` wrapped with the newest one.

    Goes on from `cursor` (empty: from the start) and stops after a page when `out_of_time` says so.
    """
    container = clients.container(resource_names.VAULT, resource_names.IDENTITIES)
    newest = vault.newest_sealing_key()
    one = partial(_rewrap, container, newest)
    looked = rewrapped = missed = 0
    pages = container.list_blobs(include=["metadata"], results_per_page=_PAGE).by_page(cursor or None)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        for page in pages:
            done = list(pool.map(one, page))
            looked += len(done)
            rewrapped += done.count(True)
            missed += done.count(None)
            if pages.continuation_token and out_of_time():
                return Swept(looked, rewrapped, missed, str(pages.continuation_token))
    return Swept(looked, rewrapped, missed, "")


def _rewrap(container: ContainerClient, newest: vault.SealingKey, listed: BlobProperties) -> bool | None:
    """Whether the record was wrapped anew; None where it could not be, this time."""
    from azure.core import MatchConditions
    from azure.core.exceptions import HttpResponseError, ResourceModifiedError, ResourceNotFoundError

    if (listed.metadata or {}).get(vault.WRAPPED_BY) == newest.version:
        return False  # known from the listing: a sweep with nothing to do reads no record
    blob = container.get_blob_client(listed.name)
    try:
        download = blob.download_blob()
        sealed = vault.Sealed.model_validate_json(download.readall())
        again = sealed if sealed.key_id == newest.id else vault.rewrap(sealed, newest)
        blob.upload_blob(
            again.model_dump_json().encode(),
            overwrite=True,
            etag=download.properties.etag,
            match_condition=MatchConditions.IfNotModified,
            metadata={vault.WRAPPED_BY: newest.version},
        )
    except (ResourceNotFoundError, ResourceModifiedError, ValueError):
        return None
    except HttpResponseError as error:
        if error.status_code == 403:  # a version of the key that somebody disabled
            return None
        raise
    return True


def rewrap_root() -> bool:
    """Wraps the root pseudonym secret with the newest `pseudonym-kek`, and its escrow. Returns whether that was needed.

    A pass that died between the two has left the escrow behind: the next one looks at both.
    """
    from azure.keyvault.keys.crypto import KeyWrapAlgorithm

    kept = str(clients.secrets().get_secret(resource_names.ROOT_SECRET).value)
    stored = json.loads(kept)
    newest = str(clients.keys().get_key(resource_names.PSEUDONYM_KEK).id)
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
    clients.secrets().set_secret(resource_names.ROOT_SECRET, again, content_type=_JSON)
    blobs.put(arrivals, ESCROW, again.encode())
    return True


def renew_receipt_key(now: datetime) -> bool:
    """Gives the receipt-signing key a new version if it is due. Receipts that the old ones signed go on verifying."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        expires = clients.secrets().get_secret(resource_names.RECEIPT_KEY).properties.expires_on
    except ResourceNotFoundError:
        expires = None
    if not due(expires, now):
        return False
    value = base64.b64encode(random.token_bytes(32)).decode()
    clients.secrets().set_secret(resource_names.RECEIPT_KEY, value, expires_on=now + LIFE, content_type="base64")
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
        pass
    arrivals = clients.container(resource_names.UPLOADS, resource_names.ARRIVALS)
    if not blobs.exists(arrivals, ESCROW):
        if next(iter(arrivals.list_blobs()), None) is not None:
            raise RootSecretLost("restore secret pseudonym-root from escrow (docs/operator/restore.md)")
        newest = str(clients.keys().get_key(resource_names.PSEUDONYM_KEK).id)
        blobs.put_once(arrivals, ESCROW, _wrapped_root(random.token_bytes(32), newest).encode())
    kept = blobs.read(arrivals, ESCROW)
    if not kept:
        raise RootSecretLost("the escrow of pseudonym-root is empty or gone (docs/operator/restore.md)")
    clients.secrets().set_secret(resource_names.ROOT_SECRET, kept.decode(), content_type=_JSON)
    return True


def _wrapped_root(root: bytes, key_id: str) -> str:
    from azure.keyvault.keys.crypto import KeyWrapAlgorithm

    wrapped = clients.cryptography(key_id).wrap_key(KeyWrapAlgorithm.rsa_oaep_256, root)
    value = base64.b64encode(wrapped.encrypted_key).decode()
    return json.dumps({"kid": wrapped.key_id, "alg": _RSA, "wrapped": value})
