"""The ports of a stack: those that each server's tools expect, moved by an offset, or any that are free."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal

from readfirst.domain.faults import Fault

HOST = "127.0.0.1"
# Below Linux's ephemeral range (32768 and up): no outgoing connection takes such a port between choice and use.
_LOWEST, _HIGHEST = 1024, 65_535  # below, only an administrator's programs may listen
_AUTO_RANGE = range(20_000, 32_000)

Choice = Literal["default", "auto"] | int


class PortsTaken(Fault):
    """Ports that something else holds, or that do not exist; the message says which, and what to do."""


@dataclass(frozen=True)
class Ports:
    """One port per server; the defaults are those that the servers' own tools use."""

    blob: int = 10000
    queue: int = 10001
    table: int = 10002
    host: int = 7071
    cosmos: int = 8081
    azure: int = 7072  # HTTPS: Key Vault, Container Apps jobs, e-mail
    desk: int = 7073  # HTTP: managed identity, the outbox page, fault injection
    oidc: int = 7074  # HTTP, so that no browser has to trust our certificate: sign-in
    portal: int = 4280  # the default of the Static Web Apps command line

    def moved(self, offset: int) -> Ports:
        """The same ports, each `offset` higher."""
        return replace(self, **{name: port + offset for name, port in asdict(self).items()})

    def taken(self, needed: Collection[str]) -> list[str]:
        """The names, among `needed`, of the ports that cannot be bound now."""
        return [name for name, port in asdict(self).items() if name in needed and not _free(port)]


@dataclass(frozen=True)
class Shelter:
    """Where servers listen while proxies have their ports, for a stack with weather."""

    blob: int
    queue: int
    table: int
    cosmos: int
    azure: int
    desk: int


def choose(choice: Choice, needed: Collection[str], previous: Ports | None = None) -> Ports:
    """The ports of a stack that is about to start; those `needed` are free.

    `choice` is "default", an offset to the defaults, or "auto": the previous run's ports where they are still free
    (addresses stay the same over a restart), else others. Raises PortsTaken where the ports wished for are held.
    """
    if choice == "auto":
        return previous if previous and not previous.taken(needed) else _any_free()
    ports = Ports().moved(0 if choice == "default" else choice)
    numbers = asdict(ports).values()
    if min(numbers) < _LOWEST or max(numbers) > _HIGHEST:
        low, high = _LOWEST - min(asdict(Ports()).values()), _HIGHEST - max(asdict(Ports()).values())
        raise PortsTaken(f"--port-offset is between {low} and {high}: ports are numbers from {_LOWEST} to {_HIGHEST}.")
    _wait_until_free(ports, needed)
    return ports


def _wait_until_free(ports: Ports, needed: Collection[str], patience: float = 3.0) -> None:
    # The servers of a stack that was killed a moment ago may still be on their way out.
    deadline = time.monotonic() + patience
    while taken := ports.taken(needed):
        if time.monotonic() > deadline:
            held = ", ".join(f"{getattr(ports, name)} ({name})" for name in taken)
            raise PortsTaken(
                f"these ports are in use: {held}. Stop what holds them (another `readfirst up`, Azurite, a Cosmos "
                "emulator, `func start`?), or choose others: --port-offset 100, or --ports auto."
            )
        time.sleep(0.1)


def _any_free() -> Ports:
    # Blocks of neighbours, tried from one that the process id chooses: stacks that start at the same moment in
    # different processes do not meet.
    return Ports(*_neighbours(len(fields(Ports)), set()))


def shelter(ports: Ports) -> Shelter:
    """Free ports for the servers behind the proxies that take theirs; raises PortsTaken."""
    return Shelter(*_neighbours(len(fields(Shelter)), set(asdict(ports).values())))


def _neighbours(size: int, others: Collection[int]) -> range:
    """So many free ports in a row, none of them among the `others`."""
    blocks = len(_AUTO_RANGE) // size
    for turn in range(blocks):
        first = _AUTO_RANGE.start + (os.getpid() + turn) % blocks * size
        found = range(first, first + size)
        if not any(port in others or not _free(port) for port in found):
            return found
    raise PortsTaken(f"no {size} neighbouring ports between {_AUTO_RANGE.start} and {_AUTO_RANGE.stop} are free")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: TIME_WAIT is no obstacle
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
