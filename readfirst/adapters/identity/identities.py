"""Whose study it is: the vault's sealed records of a study, opened. Only app `identity` may."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

from readfirst.adapters import blobs, clients
from readfirst.adapters.identity import vault
from readfirst.domain import resource_names
from readfirst.domain.deid import IdentityRecord


def of_study(token: str) -> IdentityRecord | None:
    """The study's identity record; None where the vault holds none (it was erased, or never arrived)."""
    container = clients.container(resource_names.VAULT, resource_names.IDENTITIES)
    found = []
    for name in blobs.names(container, f"{token}/"):
        data = blobs.read(container, name)
        if data is not None:
            plain = vault.open_sealed(vault.Sealed.model_validate_json(data), name=name)
            found.append(IdentityRecord.model_validate_json(plain))
    return reduce(IdentityRecord.merge, found) if found else None


def tokens() -> Iterator[str]:
    """The tokens of all studies that the vault knows."""
    for folder in clients.container(resource_names.VAULT, resource_names.IDENTITIES).walk_blobs(delimiter="/"):
        yield folder.name.rstrip("/")
