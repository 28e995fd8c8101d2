"""The invented people of the local stack, and how one of them signs in without a browser."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT = "readfirst-portal"
EVERY_CLINIC = "clinics"  # the group that sees all clinics; `clinic-{id}` sees one
_DIRECTORY = uuid.UUID("b7f7a5a2-6a0e-4f0e-9f0e-2f1f5b1f7c11")


class NotSignedIn(Exception):
    """The sign-in was refused; the message says where."""


@dataclass(frozen=True)
class Somebody:
    """A person as the directory knows them: claims have Entra ID's names."""

    user: str
    name: str
    roles: tuple[str, ...]
    groups: tuple[str, ...]

    @property
    def oid(self) -> str:
        """The object id: the same in every stack."""
        return str(uuid.uuid5(_DIRECTORY, self.user))

    def document(self) -> dict[str, Any]:
        """What the OpenID provider needs to know."""
        return {**asdict(self), "oid": self.oid}


def everybody(clinics: tuple[Mapping[str, str], ...]) -> Iterator[Somebody]:
    """One person per role who sees every clinic, and one per role and clinic who sees that clinic only."""
    for role, name in (
        ("radiologist", "Rona Diaz (radiologist)"),
        ("clinician", "Cleo Nguyen (clinician)"),
        ("privacy-officer", "Priya Vance (privacy officer)"),
        ("operator", "Oda Peters (operator)"),
        ("clinic-user", "Cem Usta (clinic user)"),
    ):
        yield Somebody(role, f"{name}, every clinic", (role,), (EVERY_CLINIC,))
        for clinic in clinics:
            local = f"{role}.{clinic['id']}"
            yield Somebody(local, f"{name}, {clinic['name']}", (role,), (f"clinic-{clinic['id']}",))


def provider_configuration(
    settings: Mapping[str, str],
    clinics: tuple[Mapping[str, str], ...],
    password: str,
    previous: Mapping[str, Any],
) -> dict[str, Any]:
    """What node/oidc.mjs reads. Its keys stay those of the `previous` configuration: tokens outlive a restart."""
    return {
        "issuer": settings["OIDC_ISSUER"],
        "port": urlsplit(settings["OIDC_ISSUER"]).port,
        "audience": settings["OIDC_AUDIENCE"],
        "client": CLIENT,
        "portal": f"{settings['PORTAL_URL']}/",
        "people": [somebody.document() for somebody in everybody(clinics)],
        "password": password,
        "key": previous.get("key") or _signing_key(),
        "cookieKey": previous.get("cookieKey") or secrets.token_hex(32),
    }


def _signing_key() -> dict[str, Any]:
    key = rsa.generate_private_key(65537, 2048)
    jwk: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True)
    return {**jwk, "use": "sig", "alg": "RS256", "kid": secrets.token_hex(8)}


def access_token(settings: Mapping[str, str], user: str, password: str) -> str:
    """Sign in as a browser would (authorization code with PKCE) and return the access token for the API.

    `settings` are the stack's app settings. Raises NotSignedIn.
    """
    import requests

    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    issuer, landing = settings["OIDC_ISSUER"], f"{settings['PORTAL_URL']}/"
    with requests.Session() as browser:
        browser.trust_env = False  # no proxy stands between us and 127.0.0.1
        request = {
            "client_id": CLIENT,
            "response_type": "code",
            "redirect_uri": landing,
            "scope": f"openid profile {settings['OIDC_AUDIENCE']}/access_as_user",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        form = browser.get(f"{issuer}/auth", params=request, timeout=10)
        answer = browser.post(form.url, data={"user": user, "password": password}, timeout=10, allow_redirects=False)
        while "Location" in answer.headers and not answer.headers["Location"].startswith(landing):
            answer = browser.get(urljoin(answer.url, answer.headers["Location"]), timeout=10, allow_redirects=False)
        if "Location" not in answer.headers:
            said = re.search(r"<p[^>]*>(.*?)</p>|<p>(.*)", answer.text)
            raise NotSignedIn(re.sub(r"<[^>]+>", "", said.group()) if said else f"HTTP status {answer.status_code}")
        code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
        redeem = {"grant_type": "authorization_code", "client_id": CLIENT, "code": code, "redirect_uri": landing}
        token = browser.post(f"{issuer}/token", data=redeem | {"code_verifier": verifier}, timeout=10)
        if not token.ok:
            raise NotSignedIn(f"no token: {token.text[:200]}")
        return str(token.json()["access_token"])
