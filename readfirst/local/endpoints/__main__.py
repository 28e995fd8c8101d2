"""Serves all local endpoints: `python -m readfirst.local.endpoints STATE AZURE_PORT DESK_PORT PUBLIC_PORT`.

PUBLIC_PORT is the one that clients know the HTTPS endpoints by: AZURE_PORT, or that of the proxy before it."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from readfirst.domain import resource_names
from readfirst.local.certificates import Certificates
from readfirst.local.endpoints.container_apps import Jobs
from readfirst.local.endpoints.email import Email
from readfirst.local.endpoints.event_grid import EventGrid
from readfirst.local.endpoints.faults import Faults
from readfirst.local.endpoints.key_vault import KeyVault, Store
from readfirst.local.endpoints.tokens import Tokens
from readfirst.local.environment import load_secrets
from readfirst.local.folders import Folders
from readfirst.local.ports import HOST

_LARGEST_MAIL = 14 << 20  # 10 MB with its attachments in base64, as in Azure
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def only_from_here(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a foreign Host: no web page may reach us by a name of its own that points to 127.0.0.1."""
    if request.host.partition(":")[0] not in (HOST, "localhost"):
        return web.Response(status=421, text="this server answers to 127.0.0.1 and localhost only")
    return await handler(request)


def applications(folders: Folders, address: str) -> tuple[web.Application, web.Application]:
    """The HTTPS application (Key Vault, jobs, e-mail) and the HTTP one (identity, outbox page, faults)."""
    keys = load_secrets(folders.secrets)
    tokens, faults = Tokens(keys.identity_header, keys.token_key), Faults()
    email = Email(folders.outbox, tokens, faults, address, EventGrid(os.environ.get(resource_names.STUDIES, "")))
    azure = web.Application(middlewares=[only_from_here], client_max_size=_LARGEST_MAIL)
    azure.add_routes(KeyVault(Store(folders.key_vault), tokens, faults, address).routes())
    azure.add_routes(Jobs(folders.jobs, folders.job_definition, tokens, faults, address).routes())
    azure.add_routes(email.routes())
    desk = web.Application(middlewares=[only_from_here])
    desk.add_routes([web.get("/msi/token", tokens.handle), web.post("/faults", faults.handle)])
    desk.add_routes(email.pages())
    return azure, desk


async def serve(folders: Folders, azure_port: int, desk_port: int, public_port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    tls = Certificates(folders.tls)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls.server, tls.server_key)
    azure, desk = applications(folders, f"https://{HOST}:{public_port}")
    runners = []
    for application, port, security in ((azure, azure_port, context), (desk, desk_port, None)):
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, HOST, port, ssl_context=security).start()
        runners.append(runner)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    for runner in runners:
        await runner.cleanup()


def main() -> None:
    """Read the command line and serve."""
    state, *numbers = sys.argv[1:]
    azure_port, desk_port, public_port = map(int, numbers)
    asyncio.run(serve(Folders(Path(state)), azure_port, desk_port, public_port))


if __name__ == "__main__":
    main()
