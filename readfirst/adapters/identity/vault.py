"""The vault: identities sealed so that whoever writes them cannot read them.

Each record has a fresh AES-256-GCM key, wrapped by the public half of Key Vault's `identity-kek` (RSA-OAEP-256).
Sealing needs only the public key; opening needs Key Vault's unwrap, which only app `identity` may call.
"""

from __future__ import annotations

import base64
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from readfirst.adapters import blobs, clients
from readfirst.adapters.process_cache import once
from readfirst.adapters.secret_versions import newest_key
from readfirst.domain import resource_names

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.padding import OAEP
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_ALGORITHM = "RSA-OAEP-256"
_KEY_LIFE_SECONDS = 300
WRAPPED_BY = "wrappedby"  # metadata of a record: the version of `identity-kek`, to find what a rotation left behind


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
    """The newest version of `identity-kek`. Raises KeyNotUsable."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    jwk = newest_key(resource_names.IDENTITY_KEK)
    numbers = RSAPublicNumbers(e=int.from_bytes(jwk.key.e, "big"), n=int.from_bytes(jwk.key.n, "big"))
    return SealingKey(str(jwk.id), numbers.public_key())


def _oaep() -> OAEP:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1
    from cryptography.hazmat.primitives.asymmetric.padding import OAEP as Padding

    return Padding(mgf=MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
