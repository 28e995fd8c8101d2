"""`readfirst doctor --azure`: the app settings of a live deployment against those that Bicep writes and the code reads.

No value is ever shown: settings name people whom an alert wakes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.resources import files

from readfirst.adapters.settings import Settings
from readfirst.cli.doctor.findings import Seen

READ = frozenset(str(field.alias) for field in Settings.model_fields.values())
# What the platform adds by itself, or an operator may add without our code knowing.
_PLATFORMS = re.compile(r"WEBSITE_|FUNCTIONS_|AzureFunctionsJobHost__|AzureWebJobs\.|DEPLOYMENT_STORAGE")
_SECRET = re.compile(r"AccountKey=|SharedAccess|[?&]sig=|InstrumentationKey=|[Pp]assword")
_TELEMETRY = "APPLICATIONINSIGHTS_CONNECTION_STRING"  # names the resource: ingestion needs an Entra token
_REDEPLOY = "azd provision"


def expected() -> dict[str, set[str]]:
    """Names of the settings of each app, and of the job's environment (app_settings.json, from the evaluation)."""
    table = json.loads((files(__package__) / "app_settings.json").read_text())
    return {who: set(names) for who, names in table.items()}


def compare(who: str, live: Mapping[str, str], client_id: str, accounts: Mapping[str, str]) -> Iterator[Seen]:
    """What is wrong with the settings of an app or of the job. `accounts`: address of blobs -> what the account is."""
    wrong = list(_wrong(who, live, client_id, accounts))
    yield from wrong
    if not wrong:
        yield Seen(f"settings of {who}", "ok", f"{len(live)} as Bicep writes and the code reads them")


def _wrong(who: str, live: Mapping[str, str], client_id: str, accounts: Mapping[str, str]) -> Iterator[Seen]:
    wanted = expected()[who]
    for name in sorted(wanted - live.keys()):
        yield Seen(f"{who}: {name}", "missing", "not set", _REDEPLOY)
    for name in sorted(live.keys() - wanted - (READ if who != "job" else set())):
        if not _PLATFORMS.match(name):
            yield Seen(f"{who}: {name}", "optional", "nobody reads it", "take it away")
    for name, value in sorted(live.items()):
        if _SECRET.search(value) and name != _TELEMETRY:
            yield Seen(f"{who}: {name}", "missing", "holds a key", "no key belongs here: take it away, and rotate it")
    if live.get("AZURE_CLIENT_ID", client_id) != client_id:
        yield Seen(f"{who}: AZURE_CLIENT_ID", "missing", "another identity's", _REDEPLOY)
    for store in ("UPLOADS", "STUDIES", "VAULT", "AUDIT"):
        address = live.get(f"{store}__blobServiceUri")
        if address is not None and accounts.get(address.rstrip("/")) != f"{store.lower()} account":
            yield Seen(f"{who}: {store}__blobServiceUri", "missing", f"is not the {store.lower()} account", _REDEPLOY)
    if who != "job":
        yield from _unread(who, live)


def _unread(who: str, live: Mapping[str, str]) -> Iterator[Seen]:
    """The code itself reads them, as the app would at its start, in a process that has nothing else."""
    if live.get("READFIRST_APPS") != who:
        yield Seen(f"{who}: READFIRST_APPS", "missing", "names other apps", _REDEPLOY)
    needed = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "SYSTEMROOT") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", "from readfirst.adapters.settings import settings; settings()"],
        env={**live, **needed},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        yield Seen(f"{who}: settings", "missing", last.partition("SettingsError: ")[2] or last, _REDEPLOY)


def same_clinics(live: Mapping[str, Mapping[str, str]]) -> Iterator[Seen]:
    """Every app must know the same clinics."""
    lists = {app: settings["CLINICS"] for app, settings in live.items() if "CLINICS" in settings}
    if len(set(lists.values())) > 1:
        yield Seen("CLINICS", "missing", f"differs between {', '.join(sorted(lists))}", _REDEPLOY)
