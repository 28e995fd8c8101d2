"""`readfirst doctor --azure`: what an attacker would show at the apps' doors. Each must get 401."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from readfirst.cli.doctor.findings import Seen
from readfirst.domain.access.rules import RULES, App, Role
from readfirst.domain.addresses import OLDER_API

_TIMEOUT_SECONDS = 30


def knock(app: App, address: str, issuer: str = "", audience: str = "") -> Iterator[Seen]:
    """Tries every forgery at an app that readers call."""
    # The older address, which a deployment of any version has.
    door = f"{address.rstrip('/')}{OLDER_API}/{_guarded_route(app)}"
    for what, token in forgeries(issuer or "https://example.invalid", audience or "api://forged").items():
        status = _status(door, token)
        if isinstance(status, str):
            yield Seen(
                f"{app}: {what}", "missing", f"no answer: {status}", "is the app deployed, and reached from here?"
            )
            return
        good = status == 401
        remedy = "" if good else "az functionapp stop: an app must refuse what Entra did not sign"
        yield Seen(f"{app}: {what}", "ok" if good else "missing", f"answered {status}", remedy)


def closed(address: str) -> Seen:
    """Intake has no public surface: the platform itself refuses."""
    status = _status(f"{address.rstrip('/')}{OLDER_API}/me", "")
    good = status in (401, 403) or isinstance(status, str)
    remedy = "" if good else "deploy again: intake must answer nobody"
    return Seen("intake: a stranger", "ok" if good else "missing", f"answered {status}", remedy)


def forgeries(issuer: str, audience: str) -> dict[str, str]:
    """What is wrong with a token -> the token. Each but the first claims every role, rightly addressed and in time."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    published = _published_key(issuer)
    kid = str(published.get("kid", "forged"))
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": "forged",
        "oid": "00000000-0000-0000-0000-000000000000",
        "exp": int(time.time()) + 3600,
        "roles": [role.value for role in Role],
    }
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {
        "no token": "",
        "a token that nobody signed": _token({"alg": "none", "kid": kid}, claims, lambda _: b""),
        "a token that a stranger signed": _token({"alg": "RS256", "kid": kid}, claims, lambda data: _rs256(key, data)),
        "a token signed with what everybody can read": _token(
            {"alg": "HS256", "kid": kid}, claims, lambda data: hmac.digest(_pem(published), data, hashlib.sha256)
        ),
    }


def _guarded_route(app: App) -> str:
    """A route of the app that needs a token and names nothing."""
    return next(r.route for r in RULES if r.app == app and r.method == "GET" and r.roles and "{" not in r.route)


def _status(address: str, token: str) -> int | str:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urlopen(Request(address, headers=headers), timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - an address of the deployment
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except (URLError, TimeoutError) as error:
        return str(getattr(error, "reason", error))


def _published_key(issuer: str) -> dict[str, Any]:
    """The issuer's first public key: a forger names it to look right. Empty where it cannot be had."""
    try:
        described = _json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        keys: list[dict[str, Any]] = _json(described["jwks_uri"])["keys"]
    except (OSError, ValueError, KeyError):
        return {}
    return next((key for key in keys if key.get("kty") == "RSA"), {})


def _json(address: str) -> Any:
    with urlopen(address, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - the issuer of the deployment
        return json.load(answer)


def _pem(published: dict[str, Any]) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if "n" not in published:
        return b"nothing was published"
    e, n = (int.from_bytes(base64.urlsafe_b64decode(published[part] + "=="), "big") for part in ("e", "n"))
    return rsa.RSAPublicNumbers(e, n).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _rs256(key: Any, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    signature: bytes = key.sign(data, PKCS1v15(), SHA256())
    return signature


def _token(header: dict[str, str], claims: dict[str, Any], sign: Any) -> str:
    """By hand: a library that makes tokens refuses to make these."""
    text = ".".join(_base64(json.dumps(part).encode()) for part in ({"typ": "JWT", **header}, claims))
    return f"{text}.{_base64(sign(text.encode()))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
