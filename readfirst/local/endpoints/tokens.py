"""Managed identity as App Service offers it (api-version 2019-08-01), and the check of its tokens."""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass

import jwt
from aiohttp import web

_LIFETIME_SECONDS = 3600


class Refused(Exception):
    """A request whose token does not open this service."""


@dataclass(frozen=True)
class Tokens:
    """Issues tokens to those who know the identity header, and checks them at the services."""

    identity_header: str
    key: str

    async def handle(self, request: web.Request) -> web.Response:
        """GET /msi/token?api-version=2019-08-01&resource=…[&client_id=…] with header X-IDENTITY-HEADER."""
        if not hmac.compare_digest(request.headers.get("X-IDENTITY-HEADER", ""), self.identity_header):
            return web.json_response({"statusCode": 401, "message": "wrong X-IDENTITY-HEADER"}, status=401)
        resource = request.query.get("resource")
        if request.query.get("api-version") != "2019-08-01" or not resource:
            return web.json_response({"statusCode": 400, "message": "api-version or resource missing"}, status=400)
        expires = int(time.time()) + _LIFETIME_SECONDS
        claims = {
            "aud": resource,
            "exp": expires,
            "sub": request.query.get("client_id", "system-assigned"),
            "uti": secrets.token_urlsafe(16),  # as Entra ID has it: no two tokens are alike, however fast they come
        }
        return web.json_response(
            {
                "access_token": jwt.encode(claims, self.key, "HS256"),
                "expires_on": str(expires),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": claims["sub"],
            }
        )

    def check(self, request: web.Request, *audiences: str) -> None:
        """Return when the request carries a token for one of the audiences; raises Refused."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            claims = jwt.decode(token, self.key, ["HS256"], options={"verify_aud": False})
        except jwt.InvalidTokenError as error:
            raise Refused("no valid token") from error
        if scheme != "Bearer" or str(claims["aud"]).rstrip("/") not in audiences:
            raise Refused("a token for another resource")
