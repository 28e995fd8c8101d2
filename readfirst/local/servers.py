"""The servers of a stack: how each is started, and how it tells that it serves."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from readfirst.domain import resource_names
from readfirst.local import people
from readfirst.local.certificates import Certificates
from readfirst.local.folders import Folders
from readfirst.local.job_runner import LIFELINE
from readfirst.local.ports import HOST, Ports, Shelter
from readfirst.local.processes import PROJECT, Child, StackError

PORTAL = PROJECT / "portal_static" / "dist"
_NODE = Path(__file__).with_name("node")


@dataclass(frozen=True)
class Servers:
    """What the servers of one stack need to know."""

    folders: Folders
    ports: Ports  # where clients find them
    listening: Ports | Shelter  # where they listen: the same ports, unless there is weather before them
    tls: Certificates
    settings: Mapping[str, str]
    lifeline: int  # the end of the pipe that closes when the stack is gone

    def every(self, accounts: str, *, with_host: bool, with_portal: bool) -> Iterator[Child]:
        """The servers, none of them started. `accounts`: Azurite's accounts and keys in its own format."""
        yield self._azurite(accounts)
        yield self._cosmos()
        yield self._endpoints()
        yield self._sign_in()
        if with_portal:
            yield self._portal()
        if with_host:
            yield self._host()

    def _azurite(self, accounts: str) -> Child:
        at = self.listening
        services = (("blob", at.blob), ("queue", at.queue), ("table", at.table))
        where = [part for name, port in services for part in (f"--{name}Host", HOST, f"--{name}Port", str(port))]
        # The SDKs are newer than Azurite; its telemetry has no business with us; path-style addresses only.
        quiet = ["--disableTelemetry", "--skipApiVersionCheck", "--disableProductStyleUrl", "--silent"]
        return self._child(
            "azurite",
            [_node(), str(_NODE / "azurite.cjs"), "--location", str(self.folders.azurite), *where, *quiet],
            {"AZURITE_ACCOUNTS": accounts},
            *(f"http://{HOST}:{port}/" for _, port in services),
        )

    def _cosmos(self) -> Child:
        certificate = [str(self.tls.server), str(self.tls.server_key)]
        command = [_node(), str(_NODE / "cosmos.cjs"), str(self.listening.cosmos), *certificate]
        return self._child("cosmos", command, {}, f"https://{HOST}:{self.listening.cosmos}/")

    def _endpoints(self) -> Child:
        azure, desk = self.listening.azure, self.listening.desk
        numbers = [str(azure), str(desk), str(self.ports.azure)]
        return self._child(
            "endpoints",
            [sys.executable, "-m", "readfirst.local.endpoints", str(self.folders.state), *numbers],
            {LIFELINE: str(self.lifeline), resource_names.STUDIES: self.settings[resource_names.STUDIES]},
            f"https://{HOST}:{azure}/",
            f"http://{HOST}:{desk}/",
        )

    def _sign_in(self) -> Child:
        command = [_node(), str(_NODE / "oidc.mjs"), str(self.folders.sign_in)]
        return self._child("sign-in", command, {}, f"{self.settings['OIDC_ISSUER']}/.well-known/openid-configuration")

    def _portal(self) -> Child:
        functions, issuer = f"http://{HOST}:{self.ports.host}", self.settings["OIDC_ISSUER"]
        scope = f"openid profile offline_access {self.settings['OIDC_AUDIENCE']}/access_as_user"
        page = {"issuer": issuer, "clientId": people.CLIENT, "scope": scope, "api": functions, "identity": functions}
        # The page may call the functions, sign-in, and Blob storage by signed addresses.
        configuration = {"page": page, "connect": [functions, issuer, f"http://{HOST}:{self.ports.blob}"]}
        command = [sys.executable, "-m", "readfirst.local.portal", str(PORTAL), str(self.ports.portal)]
        address = f"http://{HOST}:{self.ports.portal}/"
        return self._child("portal", [*command, json.dumps(configuration)], {}, address)

    def _host(self) -> Child:
        options = ["--port", str(self.ports.host), "--state", str(self.folders.host)]
        return self._child(
            "host",
            [sys.executable, "-m", "readfirst.local.host", *options, "--cors", self.settings["PORTAL_URL"]],
            self.settings,
            f"http://{HOST}:{self.ports.host}/admin/host/status",
        )

    def _child(self, name: str, command: list[str], environment: Mapping[str, str], *urls: str) -> Child:
        log = self.folders.logs / f"{name}.log"
        return Child(name, command, {**os.environ, **environment}, log, urls, self.tls.authority)


def _node() -> str:
    node = shutil.which("node")
    if not node:
        raise StackError("the local stack needs Node 20 or newer on the PATH: `readfirst doctor` says how to get it")
    if not (_NODE / "node_modules/azurite").exists():
        raise StackError("the local servers are not installed: run `make env`")
    return node
