"""Who calls: an access token checked against its issuer's published keys. Nothing of a token is believed before."""

from __future__ import annotations

from typing import Any

import jwt

from readfirst.adapters.process_cache import once
from readfirst.adapters.settings import settings
from readfirst.domain.access.rules import Grant, Person, default_grants, person_from

_ALGORITHMS = ["RS256", "PS256", "ES256"]  # asymmetric ones only: a public key must never verify an HMAC
_LEEWAY_SECONDS = 60
_KEYS_LIFESPAN_SECONDS = 3600


class NotSignedIn(Exception):
    """The request has no token that this app takes. The text is for the person and names no detail of the token."""


class Signin:
    """Checks access tokens of one issuer for one audience."""

    def __init__(self, issuer: str, audience: str, grants: tuple[Grant, ...], clinics: tuple[str, ...]) -> None:
        self._issuer, self._audience = issuer, audience
        self._grants, self._clinics = grants, clinics
        self._keys: jwt.PyJWKClient | None = None

    def person(self, authorization: str | None) -> Person:
        """The person of an `Authorization` header. Raises NotSignedIn."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise NotSignedIn("Sign in first.")
        try:
            key = self._jwks().get_signing_key_from_jwt(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWKClientConnectionError:
            raise  # a fault of ours, not of the caller
        except (jwt.PyJWTError, RecursionError):  # a token of any shape is the caller's, no fault of ours
            raise NotSignedIn("The sign-in is not valid (any more). Sign in again.") from None
        return person_from(claims, self._grants, self._clinics)

    def _jwks(self) -> jwt.PyJWKClient:
        if self._keys is None:
            uri = _discovered_keys(self._issuer)
            self._keys = jwt.PyJWKClient(uri, cache_keys=True, lifespan=_KEYS_LIFESPAN_SECONDS, timeout=10)
        return self._keys


def _discovered_keys(issuer: str) -> str:
    import json
    from urllib.request import urlopen

    address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    with urlopen(address, timeout=10) as answer:  # noqa: S310 - the issuer is a setting, no input
        return str(json.load(answer)["jwks_uri"])


@once
def signin() -> Signin:
    """The app's own check, from its settings."""
    s = settings()
    clinics = tuple(clinic.id for clinic in s.clinics)
    return Signin(s.oidc_issuer, s.oidc_audience, s.grants or default_grants(clinics), clinics)
