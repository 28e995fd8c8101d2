"""The local OpenID provider: who gets which token, and who gets none."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
import requests
from typer.testing import CliRunner

from readfirst.cli import build
from readfirst.local import people
from readfirst.local.stack import Stack
from tests.waiting import PATIENCE

pytestmark = pytest.mark.stack


def claims(stack: Stack, token: str) -> dict[str, Any]:
    """The token's claims, checked as the API checks them: issuer, audience, signature by the published keys."""
    issuer = stack.environment["OIDC_ISSUER"]
    discovery = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=PATIENCE).json()
    key = jwt.PyJWKClient(discovery["jwks_uri"]).get_signing_key_from_jwt(token)
    return jwt.decode(token, key, ["RS256"], audience=stack.environment["OIDC_AUDIENCE"], issuer=issuer)


@pytest.mark.parametrize(
    ("user", "role", "group"),
    [
        ("radiologist", "radiologist", "clinics"),
        ("operator", "operator", "clinics"),
        ("clinician.lakeside", "clinician", "clinic-lakeside"),
        ("clinic-user.hillcrest", "clinic-user", "clinic-hillcrest"),
    ],
)
def test_everybody_gets_a_token_with_their_own_role_and_clinics(stack: Stack, user: str, role: str, group: str) -> None:
    got = claims(stack, stack.access_token(user))
    assert (got["roles"], got["groups"], got["sub"]) == ([role], [group], user)
    assert len(got["oid"]) == 36
    assert got["exp"] - got["iat"] == 3600


def test_a_wrong_password_gets_no_token(stack: Stack) -> None:
    with pytest.raises(people.NotSignedIn, match="Wrong user or password"):
        people.access_token(stack.environment, "radiologist", "guess")


def test_an_unknown_user_gets_no_token(stack: Stack) -> None:
    with pytest.raises(people.NotSignedIn, match="Wrong user or password"):
        people.access_token(stack.environment, "nobody", stack.password)


def authorize(stack: Stack, **changed: str) -> requests.Response:
    request = {
        "client_id": people.CLIENT,
        "response_type": "code",
        "redirect_uri": f"{stack.environment['PORTAL_URL']}/",
        "scope": "openid",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    issuer = stack.environment["OIDC_ISSUER"]
    return requests.get(f"{issuer}/auth", params=request | changed, timeout=PATIENCE, allow_redirects=False)


def test_a_page_of_another_machine_is_no_client(stack: Stack) -> None:
    for address in ("https://evil.example/", "http://127.0.0.1.evil.example/", "http://evil.example/#127.0.0.1"):
        answer = authorize(stack, redirect_uri=address)
        assert (answer.status_code, answer.headers.get("Location")) == (400, None), address
    assert "/interaction/" in authorize(stack).headers["Location"]


def test_sign_in_without_pkce_is_refused(stack: Stack) -> None:
    answer = authorize(stack, code_challenge="", code_challenge_method="")
    assert "error=invalid_request" in answer.headers["Location"]


def test_the_portal_may_fetch_tokens_from_its_page_and_a_foreign_page_may_not(stack: Stack) -> None:
    token = f"{stack.environment['OIDC_ISSUER']}/token"
    for origin, allowed in ((stack.environment["PORTAL_URL"], True), ("https://evil.example", False)):
        answer = requests.post(token, {"client_id": people.CLIENT}, headers={"Origin": origin}, timeout=PATIENCE)
        assert (answer.headers.get("Access-Control-Allow-Origin") == origin) is allowed


def test_a_token_stays_valid_over_a_restart_of_the_provider(stack: Stack) -> None:
    token = stack.access_token("radiologist")
    stack.restart("sign-in")
    assert claims(stack, token)["sub"] == "radiologist"


def test_the_command_line_prints_a_token_of_somebody_and_names_everybody_to_who_mistypes(stack: Stack) -> None:
    state = ["--state", str(stack.folders.state)]
    done = CliRunner().invoke(build(("token",)), ["token", "radiologist.lakeside", *state])
    assert jwt.decode(done.stdout.strip(), options={"verify_signature": False})["roles"] == ["radiologist"]
    mistyped = CliRunner().invoke(build(("token",)), ["token", "radiologist.lake", *state])
    assert mistyped.exit_code == 2 and "radiologist.lakeside" in mistyped.stderr
