"""Key Vault: secrets (get, set, versions, attributes) and keys (create, get, versions, wrap, unwrap, rotate)."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from readfirst.local.certificates import write_private
from readfirst.local.endpoints.faults import Faults
from readfirst.local.endpoints.tokens import Refused, Tokens
from readfirst.local.ports import HOST

_OAEP_256 = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
_KEY_OPERATIONS = ["wrapKey", "unwrapKey"]


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decode(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


class NotFound(Exception):
    """No such key or secret, or no such version of it."""


class Forbidden(Exception):
    """A version that was disabled."""


class BadRequest(Exception):
    """A call that this vault does not take."""


@dataclass(frozen=True)
class Store:
    """Versions of named things on disk: one JSON file each, readable by their owner alone."""

    folder: Path

    def add(self, kind: str, name: str, content: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a new version; it is the current one from now on."""
        now = int(time.time())
        record = {
            **content,
            "name": name,
            "version": uuid.uuid4().hex,
            "order": time.time_ns(),  # two versions of one second still have a newest
            "attributes": {"enabled": True, **attributes, "created": now, "updated": now, "recoveryLevel": "Purgeable"},
        }
        self.save(kind, record)
        return record

    def save(self, kind: str, record: Mapping[str, Any]) -> None:
        """Write one version as it is now."""
        folder = self.folder / kind / record["name"]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(folder / f"{record['version']}.json", json.dumps(record).encode())

    def versions(self, kind: str, name: str) -> list[dict[str, Any]]:
        """All versions, oldest first; raises NotFound."""
        files = (self.folder / kind / name).glob("*.json")
        found: list[dict[str, Any]] = [json.loads(file.read_text()) for file in files]
        if not found:
            raise NotFound(f"no {kind[:-1]} named {name}")
        return sorted(found, key=lambda record: int(record["order"]))

    def get(self, kind: str, name: str, version: str) -> dict[str, Any]:
        """That version, or the newest where `version` is empty; raises NotFound."""
        matching = [record for record in self.versions(kind, name) if version in ("", record["version"])]
        if not matching:
            raise NotFound(f"no version {version} of {kind[:-1]} {name}")
        return matching[-1]


@dataclass(frozen=True)
class KeyVault:
    """The vault's routes."""

    store: Store
    tokens: Tokens
    faults: Faults
    address: str  # https://127.0.0.1:port

    @property
    def resource(self) -> str:
        """The resource that tokens must be for.

        The SDKs insist that it be a parent domain of the vault's own (vault.azure.net of name.vault.azure.net);
        of 127.0.0.1 that is 0.0.1. No connection is ever made to it.
        """
        return self.address.replace(HOST, HOST.partition(".")[2])

    def routes(self) -> list[web.RouteDef]:
        """What the SDKs call. A trailing slash without a version means the newest."""
        return [
            web.post("/keys/{name:[0-9a-zA-Z-]+}/create", self.guarded(self.create_key)),
            web.post("/keys/{name:[0-9a-zA-Z-]+}/rotate", self.guarded(self.rotate_key)),
            web.get("/keys/{name:[0-9a-zA-Z-]+}/versions", self.guarded(self.list_keys)),
            web.post("/keys/{name:[0-9a-zA-Z-]+}/{version}/wrapkey", self.guarded(self.wrap)),
            web.post("/keys/{name:[0-9a-zA-Z-]+}/{version}/unwrapkey", self.guarded(self.unwrap)),
            web.get("/keys/{name:[0-9a-zA-Z-]+}", self.guarded(self.get_key)),
            web.get("/keys/{name:[0-9a-zA-Z-]+}/{version:[0-9a-f]*}", self.guarded(self.get_key)),
            web.put("/secrets/{name:[0-9a-zA-Z-]+}", self.guarded(self.set_secret)),
            web.get("/secrets/{name:[0-9a-zA-Z-]+}/versions", self.guarded(self.list_secrets)),
            web.get("/secrets/{name:[0-9a-zA-Z-]+}", self.guarded(self.get_secret)),
            web.get("/secrets/{name:[0-9a-zA-Z-]+}/{version:[0-9a-f]*}", self.guarded(self.get_secret)),
            web.patch("/secrets/{name:[0-9a-zA-Z-]+}/{version:[0-9a-f]*}", self.guarded(self.update_secret)),
        ]

    def guarded(self, handler: Any) -> Any:
        """`handler` behind the token check; its refusals become the vault's error documents."""

        async def handle(request: web.Request) -> web.Response:
            try:
                self.tokens.check(request, self.resource)
                if struck := self.faults.http_error("vault"):
                    return struck
                body = await request.json() if request.can_read_body else {}
                answer = handler(request.match_info["name"], request.match_info.get("version", ""), body)
                return web.json_response(answer)
            except Refused as error:
                challenge = f'Bearer authorization="{self.address}/local", resource="{self.resource}"'
                return _error(401, "Unauthorized", str(error), {"WWW-Authenticate": challenge})
            except NotFound as error:
                return _error(404, "NotFound", str(error))
            except Forbidden as error:
                return _error(403, "Forbidden", str(error))
            except (BadRequest, ValueError, KeyError) as error:
                return _error(400, "BadParameter", str(error))

        return handle

    def create_key(self, name: str, _: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A new RSA key, or a new version of it."""
        if body.get("kty") not in ("RSA", "RSA-HSM"):
            raise BadRequest("this vault makes RSA keys only")
        key = rsa.generate_private_key(65537, int(body.get("key_size") or 2048))
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        content = {"pem": pem.decode(), "size": key.key_size}
        return self._key_bundle(self.store.add("keys", name, content, body.get("attributes") or {}))

    def rotate_key(self, name: str, _: str, __: Mapping[str, Any]) -> dict[str, Any]:
        """A new version with the newest one's size."""
        return self.create_key(name, "", {"kty": "RSA", "key_size": self.store.get("keys", name, "")["size"]})

    def get_key(self, name: str, version: str, _: Mapping[str, Any]) -> dict[str, Any]:
        """The public half and the attributes."""
        return self._key_bundle(self.store.get("keys", name, version))

    def list_keys(self, name: str, _: str, __: Mapping[str, Any]) -> dict[str, Any]:
        """Every version's id and attributes."""
        return {
            "value": [
                {"kid": self._id("keys", record), "attributes": record["attributes"]}
                for record in self.store.versions("keys", name)
            ]
        }

    def wrap(self, name: str, version: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Encrypt a key with the public half (RSA-OAEP-256)."""
        record = self._usable_key(name, version, body)
        return {
            "kid": self._id("keys", record),
            "value": _encode(_private_key(record).public_key().encrypt(_decode(body["value"]), _OAEP_256)),
        }

    def unwrap(self, name: str, version: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Decrypt a wrapped key (RSA-OAEP-256)."""
        record = self._usable_key(name, version, body)
        value = _private_key(record).decrypt(_decode(body["value"]), _OAEP_256)
        return {"kid": self._id("keys", record), "value": _encode(value)}

    def _usable_key(self, name: str, version: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if body.get("alg") != "RSA-OAEP-256":
            raise BadRequest("this vault wraps with RSA-OAEP-256 only")
        return _enabled(self.store.get("keys", name, version))

    def _key_bundle(self, record: Mapping[str, Any]) -> dict[str, Any]:
        public = _private_key(record).public_key().public_numbers()
        return {
            "key": {
                "kid": self._id("keys", record),
                "kty": "RSA",
                "key_ops": _KEY_OPERATIONS,
                "n": _encode(public.n.to_bytes((public.n.bit_length() + 7) // 8, "big")),
                "e": _encode(public.e.to_bytes(3, "big")),
            },
            "attributes": record["attributes"],
        }

    def set_secret(self, name: str, _: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """A new version of a secret."""
        content = {"value": body["value"], "contentType": body.get("contentType"), "tags": body.get("tags") or {}}
        return self._secret(self.store.add("secrets", name, content, body.get("attributes") or {}))

    def get_secret(self, name: str, version: str, _: Mapping[str, Any]) -> dict[str, Any]:
        """The value and the attributes."""
        return self._secret(_enabled(self.store.get("secrets", name, version)))

    def list_secrets(self, name: str, _: str, __: Mapping[str, Any]) -> dict[str, Any]:
        """Every version's id and attributes, no value."""
        return {"value": [self._secret(record, value=False) for record in self.store.versions("secrets", name)]}

    def update_secret(self, name: str, version: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change attributes (enabled, exp) or tags, never the value."""
        record = self.store.get("secrets", name, version)
        record["attributes"] |= {**(body.get("attributes") or {}), "updated": int(time.time())}
        record["tags"] = body.get("tags", record["tags"])
        self.store.save("secrets", record)
        return self._secret(record, value=False)

    def _secret(self, record: Mapping[str, Any], value: bool = True) -> dict[str, Any]:
        answer = {"id": self._id("secrets", record), "attributes": record["attributes"], "tags": record["tags"]}
        if record["contentType"]:
            answer["contentType"] = record["contentType"]
        return answer | ({"value": record["value"]} if value else {})

    def _id(self, kind: str, record: Mapping[str, Any]) -> str:
        return f"{self.address}/{kind}/{record['name']}/{record['version']}"


def _enabled(record: dict[str, Any]) -> dict[str, Any]:
    if not record["attributes"]["enabled"]:
        raise Forbidden(f"version {record['version']} of {record['name']} is disabled")
    return record


def _private_key(record: Mapping[str, Any]) -> rsa.RSAPrivateKey:
    # Our own key, as we wrote it: testing its primes anew would cost 0.4 s a call.
    key = serialization.load_pem_private_key(record["pem"].encode(), None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BadRequest("not an RSA key")
    return key


def _error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)
