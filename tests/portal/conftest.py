"""Real servers for the portal's tests: Azurite, the Cosmos-compatible server, an issuer of tokens, the functions."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from playwright.sync_api import Browser, Page

from function_app import blueprints
from readfirst.domain.addresses import API
from tests.portal import promised
from tests.portal.browser import signed_in
from tests.portal.served import served
from tests.portal.stage import Stage, staged
from tests.portal.studies import CLINIC_NAMES
from tests.waiting import PATIENCE, eventually

NODE = Path(__file__).parents[2] / "readfirst/local/node/node_modules"
AUDIENCE = "api://readfirst"


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _wait(port: int) -> None:
    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    eventually(listens)


class Client(requests.Session):
    """A caller of the API: paths are relative to it. Each answer is held to the OpenAPI document."""

    def __init__(self, base: str, token: str = "") -> None:
        super().__init__()
        self.base, self.trust_env = base, False
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, url: str, **options: object) -> requests.Response:
        answer = super().request(method, self.base + url, timeout=PATIENCE, **options)
        if rule := promised.rule_of(method, url):
            assert promised.broken(rule, answer) == []
        return answer


class Issuer:
    """An issuer of access tokens with one key, as Entra ID publishes it."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        self.jwks = {"keys": [{**jwk, "kid": "k1", "use": "sig", "alg": "RS256"}]}
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                documents = {
                    "/.well-known/openid-configuration": {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks"},
                    "/jwks": issuer.jwks,
                }
                body = json.dumps(documents[self.path]).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def claims(self, *roles: str, clinics: tuple[str, ...] = ("north",), name: str = "Dr Rita Ray") -> dict:
        now = int(time.time())  # they last a day: on a slow machine the last test comes long after the first
        groups = [f"clinic-{c}" for c in clinics]
        subject = f"{name}-{'-'.join(roles)}".replace(" ", "-").lower()
        return {
            "iss": self.url, "aud": AUDIENCE, "sub": subject, "oid": subject, "name": name, "roles": list(roles),
            "groups": groups, "iat": now, "exp": now + 86_400,
        }  # fmt: skip

    def token(self, claims: dict) -> str:
        return jwt.encode(claims, self.key, "RS256", headers={"kid": "k1"})


@pytest.fixture(scope="package")
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.shutdown()


@pytest.fixture(scope="package")
def storage(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[None]:
    """Azurite and the Cosmos-compatible server, provisioned, with the process's settings pointing at them."""
    blob, queue, table, cosmos = _free_ports(4)
    folder = tmp_path_factory.mktemp("azurite")
    account, key = "readfirsttest", base64.b64encode(secrets.token_bytes(64)).decode()
    connection = (
        f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};"
        f"BlobEndpoint=http://127.0.0.1:{blob}/{account};QueueEndpoint=http://127.0.0.1:{queue}/{account};"
    )
    ports = ["--blobPort", blob, "--queuePort", queue, "--tablePort", table]
    azurite = [
        "node", NODE / "azurite/dist/src/azurite.js", *ports, "--location", folder, "--silent",
        "--skipApiVersionCheck", "--disableTelemetry",
    ]  # fmt: skip
    servers = [
        subprocess.Popen(
            [str(part) for part in command], env={**os.environ, "AZURITE_ACCOUNTS": f"{account}:{key}"},
            stdout=subprocess.DEVNULL,
        )
        for command in (azurite, [NODE / ".bin/cosmosdb-server", "-p", cosmos])
    ]  # fmt: skip
    settings = {
        "UPLOADS": connection, "STUDIES": connection, "VAULT": connection, "AUDIT": connection,
        "COSMOS_ENDPOINT": f"https://127.0.0.1:{cosmos}/", "COSMOS_KEY": key, "READFIRST_APPS": "api",
        "CLINICS": json.dumps([
            {"id": c, "name": name, "radiologist": f"r@{c}.example"} for c, name in CLINIC_NAMES.items()
        ]),
        "OIDC_ISSUER": issuer.url, "OIDC_AUDIENCE": AUDIENCE, "PORTAL_URL": "http://127.0.0.1:4280",
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        try:
            for port in (blob, queue, cosmos):
                _wait(port)
            _provision(connection)
            yield
        finally:
            for server in servers:
                server.terminate()
                server.wait()


def _provision(connection: str) -> None:
    from azure.cosmos import CosmosClient, PartitionKey
    from azure.storage.blob import BlobServiceClient
    from azure.storage.queue import QueueServiceClient

    from readfirst.adapters.process_cache import forget
    from readfirst.adapters.studies.study_index import INDEXING
    from readfirst.domain import resource_names

    forget()
    account = BlobServiceClient.from_connection_string(connection)
    per_clinic = [make(c) for c in CLINIC_NAMES for make in (resource_names.inbox, resource_names.results)]
    for container in (
        resource_names.CLEAN,
        resource_names.ANALYSIS,
        resource_names.REVIEWS,
        resource_names.MODEL_CHANGES,
        *(resource_names.audit(app) for app in ("api", "intake", "identity")),
        resource_names.QUARANTINE,
        resource_names.IDENTITIES,
        resource_names.DOORS,
        resource_names.ARRIVALS,
        resource_names.ORIGINALS,
        *per_clinic,
    ):
        account.create_container(container)
    for queue in (resource_names.COMMANDS, resource_names.RETURNS):
        QueueServiceClient.from_connection_string(connection).create_queue(queue)
    endpoint, key = os.environ["COSMOS_ENDPOINT"], os.environ["COSMOS_KEY"]
    database = CosmosClient(endpoint, key, connection_verify=False).create_database_if_not_exists("readfirst")
    database.create_container_if_not_exists(resource_names.STUDIES_CONTAINER, PartitionKey("/clinic"), INDEXING)


@pytest.fixture(scope="package")
def address(storage: None) -> Iterator[str]:
    """Where the portal's functions answer."""
    with served(*blueprints(("api", "identity"))) as url:
        yield f"{url}{API}"


@pytest.fixture(scope="package")
def as_(address: str, issuer: Issuer) -> Callable[..., Client]:
    """Makes a client that calls as somebody: `as_("radiologist", clinics=("north",), name="…")`."""

    @cache
    def client(*roles: str, clinics: tuple[str, ...] = ("north",), name: str = "Dr Rita Ray") -> Client:
        return Client(address, issuer.token(issuer.claims(*roles, clinics=clinics, name=name)))

    return client


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A whole stack for tests that bring studies of their own. A file that tells of a whole worklist has its own."""
    with staged(tmp_path_factory.mktemp("stack")) as made:
        yield made


@pytest.fixture
def as_user(stage: Stage, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens the portal as one of the stack's people. A page that threw, or met its own policy, fails the test."""
    pages: list[Page] = []
    problems: list[str] = []

    def open_page(user: str, path: str = "/", **context: object) -> Page:
        page = signed_in(browser, stage.url, user, stage.stack.password, path=path, **context)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda m: problems.append(m.text) if "Content Security Policy" in m.text else None)
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.context.close()
    assert problems == []
