"""Re-wraps the vault: every sealed identity gets its key wrapped by the newest version of `identity-kek`.

What is wrapped never changes. Each record is replaced in one
conditional write: killed at any point, every record opens with the old or with the new version of the key, and the
next pass does the rest. Old versions stay enabled; docs/operator/rotate.md says when they may go.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from readfirst.adapters import clients
from readfirst.adapters.identity import vault
from readfirst.domain import resource_names
from readfirst.domain.operations.key_rotation import Swept

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties, ContainerClient

_PARALLEL = 8
_PAGE = 200


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
