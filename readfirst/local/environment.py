"""The app settings of a local stack: what Azure would hold in its app settings, with local addresses."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from readfirst.adapters.process_cache import forget
from readfirst.domain import resource_names
from readfirst.local.certificates import Certificates, write_private
from readfirst.local.ports import HOST, Ports

COSMOS_DATABASE = "readfirst"
OIDC_AUDIENCE = "api://readfirst"
_GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/readfirst-local"
JOB_RESOURCE_ID = f"{_GROUP}/providers/Microsoft.App/jobs/readfirst-inference"
FALLBACK_JOB_RESOURCE_ID = f"{JOB_RESOURCE_ID}-cpu"
EMAIL_SENDER = "readfirst@readfirst.example"

# The account and the key that Azurite's documentation gives to everybody; `func start` expects them.
_HOST_ACCOUNT = "devstoreaccount1"
_HOST_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
ACCOUNTS = {connection: f"readfirst{connection.lower()}" for connection in ("UPLOADS", "STUDIES", "VAULT", "AUDIT")}

# What the job may be told beside its account, and what any process needs.
_JOB_OPTIONS = ("IDLE_SECONDS", "LEASE_SECONDS", "MODEL_DIR", "READFIRST_THREADS")
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "NO_PROXY")

DEFAULT_CLINICS = (
    {
        "id": "lakeside",
        "name": "Lakeside Imaging",
        "radiologist": "radiologist@lakeside.example",
        "escalation": "on-call@lakeside.example",
    },
    {
        "id": "hillcrest",
        "name": "Hillcrest Hospital",
        "radiologist": "radiologist@hillcrest.example",
        "escalation": "on-call@hillcrest.example",
    },
)


@dataclass(frozen=True)
class Secrets:
    """The keys of one stack, made at its first start and kept for its life."""

    account_keys: Mapping[str, str]
    cosmos_key: str
    identity_header: str
    token_key: str
    password: str  # of every invented person; `readfirst up` shows it

    def __repr__(self) -> str:  # no key reaches a log
        return "Secrets(…)"


def load_secrets(file: Path) -> Secrets:
    """The stack's keys from `file`, which is made (readable by its owner alone) when it is missing."""
    if not file.exists():
        made = {
            "account_keys": {name: _key(64) for name in ACCOUNTS.values()},
            "cosmos_key": _key(64),
            "identity_header": secrets.token_hex(16),
            "token_key": secrets.token_hex(32),
            "password": "-".join(secrets.token_hex(2) for _ in range(3)),
        }
        write_private(file, json.dumps(made, indent=2).encode())
    return Secrets(**json.loads(file.read_text()))


def _key(length: int) -> str:
    return base64.b64encode(secrets.token_bytes(length)).decode()


def account_keys(keys: Secrets) -> dict[str, str]:
    """Every storage account and its key."""
    return {_HOST_ACCOUNT: _HOST_KEY, **keys.account_keys}


def azurite_accounts(keys: Secrets) -> str:
    """Azurite's own format for several accounts."""
    return ";".join(f"{name}:{key}" for name, key in account_keys(keys).items())


def connection_string(account: str, key: str, ports: Ports) -> str:
    """An account of the local Azurite, path style."""
    endpoints = (
        f"{service.capitalize()}Endpoint=http://{HOST}:{port}/{account};"
        for service, port in (("blob", ports.blob), ("queue", ports.queue), ("table", ports.table))
    )
    return f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};{''.join(endpoints)}"


def app_settings(
    ports: Ports, keys: Secrets, tls: Certificates, clinics: tuple[Mapping[str, str], ...]
) -> dict[str, str]:
    """Every app setting of the product, and what makes its SDKs trust and find the local endpoints."""
    azure = f"https://{HOST}:{ports.azure}"
    return {
        "AzureWebJobsStorage": connection_string(_HOST_ACCOUNT, _HOST_KEY, ports),
        **{name: connection_string(account, keys.account_keys[account], ports) for name, account in ACCOUNTS.items()},
        "COSMOS_ENDPOINT": f"https://{HOST}:{ports.cosmos}/",
        "COSMOS_DATABASE": COSMOS_DATABASE,
        "COSMOS_KEY": keys.cosmos_key,
        "KEY_VAULT_URI": azure,
        "ARM_ENDPOINT": azure,
        "JOB_RESOURCE_ID": JOB_RESOURCE_ID,
        "FALLBACK_JOB_RESOURCE_ID": FALLBACK_JOB_RESOURCE_ID,
        "EMAIL_ENDPOINT": azure,
        "EMAIL_SENDER": EMAIL_SENDER,
        "PORTAL_URL": f"http://{HOST}:{ports.portal}",
        "CLINICS": json.dumps(clinics),
        "READFIRST_APPS": "intake,api,identity",
        "OIDC_ISSUER": f"http://{HOST}:{ports.oidc}",
        "OIDC_AUDIENCE": OIDC_AUDIENCE,
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "PYTHON_SCRIPT_FILE_NAME": "main.py",
        # Managed identity as App Service offers it: azure-identity finds it by these two.
        "IDENTITY_ENDPOINT": f"http://{HOST}:{ports.desk}/msi/token",
        "IDENTITY_HEADER": keys.identity_header,
        "REQUESTS_CA_BUNDLE": str(tls.bundle),
        "SSL_CERT_FILE": str(tls.bundle),
        "NO_PROXY": ",".join(filter(None, (HOST, "localhost", os.environ.get("NO_PROXY", "")))),
    }


def job_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """What the GPU job gets: less than its starter. It reads and writes the studies account, nothing else."""
    given = {**os.environ, **settings}
    return {name: given[name] for name in (resource_names.STUDIES, *_JOB_OPTIONS, *_INHERITED) if name in given}


@contextmanager
def settings_of(environment: Mapping[str, str]) -> Iterator[None]:
    """Makes this process use those app settings, as the Functions app would, and forget them afterwards."""
    before = dict(os.environ)
    os.environ.update(environment)
    forget()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        forget()
