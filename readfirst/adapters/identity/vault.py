"""The vault: identities sealed so that whoever writes them cannot read them.

Each record has a fresh AES-256-GCM key, wrapped by the public half of Key Vault's `identity-kek` (RSA-OAEP-256).
Sealing needs only the public key; opening needs Key Vault's unwrap, which only app `identity` may call.
"""

from __future__ import annotations

import base64
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from readfirst.adapters import blobs, clients
from readfirst.adapters.process_cache import once
from readfirst.domain import resource_names
from readfirst.domain.faults import Fault

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.padding import OAEP
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_ALGORITHM = "RSA-OAEP-256"
_KEY_LIFE_SECONDS = 300
WRAPPED_BY = "wrappedby"  # metadata of a record: the version of `identity-kek`, to find what a rotation left behind


class KeyNotUsable(Fault):
    """The newest version of `identity-kek` may not be used: nothing is sealed until somebody has seen to it."""


@dataclass(frozen=True)
class SealingKey:
    """One version of `identity-kek`: its id and its public half."""

    id: str
    public: RSAPublicKey

    @property
    def version(self) -> str:
        """The last part of the id."""
        return self.id.rsplit("/", 1)[1]


class Sealed(BaseModel):
    """A sealed record. Bytes are base64; `key_id` is the version of `identity-kek` that wrapped `wrapped_key`."""

    model_config = ConfigDict(frozen=True)

    version: int = 1
    key_id: str
    algorithm: str = _ALGORITHM
    wrapped_key: str
    nonce: str
    ciphertext: str


def seal(plain: bytes, *, name: str, key_id: str, public_key: RSAPublicKey) -> Sealed:
    """Seals bytes for the vault; `name` is bound to them, so that records cannot be exchanged unseen."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key, nonce = AESGCM.generate_key(256), os.urandom(12)
    return Sealed(
        key_id=key_id,
        wrapped_key=_text(public_key.encrypt(key, _oaep())),
        nonce=_text(nonce),
        ciphertext=_text(AESGCM(key).encrypt(nonce, plain, name.encode())),
    )


def open_sealed(sealed: Sealed, *, name: str) -> bytes:
    """Opens a record through Key Vault's unwrap. Raises InvalidTag where it was changed or moved."""
    from azure.keyvault.keys.crypto import KeyWrapAlgorithm
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    crypto = clients.cryptography(sealed.key_id)
    key = crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, _bytes(sealed.wrapped_key)).key
    return AESGCM(key).decrypt(_bytes(sealed.nonce), _bytes(sealed.ciphertext), name.encode())


def add(name: str, plain: bytes) -> None:
    """Seals a record and adds it to the vault; a record of that name that is there already stays as it is."""
    key = sealing_key(int(time.monotonic() // _KEY_LIFE_SECONDS))
    sealed = seal(plain, name=name, key_id=key.id, public_key=key.public)
    vault = clients.container(resource_names.VAULT, resource_names.IDENTITIES)
    blobs.put_once(vault, name, sealed.model_dump_json().encode(), {WRAPPED_BY: key.version})


def rewrap(sealed: Sealed, key: SealingKey) -> Sealed:
    """The same record, its key wrapped by another version of `identity-kek`. The content is not even decrypted."""
    from azure.keyvault.keys.crypto import KeyWrapAlgorithm

    crypto = clients.cryptography(sealed.key_id)
    plain_key = crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, _bytes(sealed.wrapped_key)).key
    wrapped = _text(key.public.encrypt(plain_key, _oaep()))
    return sealed.model_copy(update={"key_id": key.id, "wrapped_key": wrapped})


@once
def sealing_key(period: int) -> SealingKey:
    """The sealing key of these five minutes of the process: a rotation, or a key that is disabled, is soon heeded."""
    return newest_sealing_key()


def newest_sealing_key() -> SealingKey:
    """The newest version of `identity-kek`.

    Sealing asks Key Vault for nothing but the public half, which it gives of any version: what the vault would refuse
    has to be refused here. Raises KeyNotUsable.
    """
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    jwk = clients.keys().get_key(resource_names.IDENTITY_KEK)
    if why := _unusable(jwk.properties, datetime.now(UTC)):
        raise KeyNotUsable(f"the newest version of {resource_names.IDENTITY_KEK} {why} (docs/operator/runbook.md)")
    numbers = RSAPublicNumbers(e=int.from_bytes(jwk.key.e, "big"), n=int.from_bytes(jwk.key.n, "big"))
    return SealingKey(str(jwk.id), numbers.public_key())


def _unusable(key: Any, now: datetime) -> str:
    """Why a version of a key may not be used; empty: it may."""
    if key.enabled is False:
        return "is disabled"
    if key.expires_on is not None and key.expires_on <= now:
        return "has expired"
    if key.not_before is not None and key.not_before > now:
        return "is not valid yet"
    return ""


def _oaep() -> OAEP:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1
    from cryptography.hazmat.primitives.asymmetric.padding import OAEP as Padding

    return Padding(mgf=MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
