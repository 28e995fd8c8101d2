"""The local stack: every server that Readfirst needs on a developer's machine, started and stopped as one."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from readfirst.domain.addresses import API
from readfirst.local import certificates, job_runner, people, ports
from readfirst.local.endpoints import container_apps
from readfirst.local.environment import (
    ACCOUNTS,
    DEFAULT_CLINICS,
    FALLBACK_JOB_RESOURCE_ID,
    JOB_RESOURCE_ID,
    account_keys,
    app_settings,
    azurite_accounts,
    connection_string,
    job_settings,
    load_secrets,
)
from readfirst.local.folders import Folders
from readfirst.local.ports import HOST, Ports, Shelter
from readfirst.local.processes import PROJECT, Child, Spawner, StackError, tail
from readfirst.local.servers import PORTAL, Servers

if TYPE_CHECKING:
    from readfirst.local.weather.forecast import Forecast
    from readfirst.local.weather.layer import Weather

_LONG_LOG = 5 << 20
_SHELTERED = ("AzureWebJobsStorage", *ACCOUNTS, "COSMOS_ENDPOINT")
_LOCK_PATIENCE = 0.5  # somebody may be looking whether a stack runs, which takes the lock for a moment
_HOST_PATIENCE = 15.0  # it ends the function that runs
JOB_COMMAND = (sys.executable, "-m", "model_container")


class Stack:
    """One stack in one state directory.

    `port_choice` is "default", "auto" or an offset to the defaults; `settings` adds to the app settings or replaces
    some; `with_host=False` leaves the Functions host out, for people who run `func start`. With a `forecast` proxies
    are before the servers, and its weather begins when everything has started; without one there are none. After
    `start`, `environment` holds every app setting.
    """

    def __init__(
        self,
        state: Path,
        port_choice: ports.Choice = "auto",
        clinics: Sequence[Mapping[str, str]] = DEFAULT_CLINICS,
        settings: Mapping[str, str] | None = None,
        with_host: bool = True,
        job_command: Sequence[str] = JOB_COMMAND,
        forecast: Forecast | None = None,
    ) -> None:
        self.folders = Folders(state.resolve())
        self.environment: dict[str, str] = {}
        self.children: dict[str, Child] = {}
        self._choice, self._clinics, self._settings = port_choice, tuple(clinics), dict(settings or {})
        self._with_host, self._job_command = with_host, list(job_command)
        self._portal = PORTAL.exists()  # there is nothing to show before `npm run build`
        self._forecast = forecast
        self.weather: Weather | None = None
        self._lock: IO[bytes] | None = None
        self._spawner: Spawner | None = None
        self._lifeline: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self, report: Callable[[str], None] = lambda _: None) -> Self:
        """Start everything and return when it serves; raises StackError or PortsTaken, leaving nothing behind."""
        try:
            self._prepare()
            fresh = not self.folders.azurite.exists()
            self._start(*(name for name in self.children if name != "host"))
            report("storage, index, endpoints and sign-in answer")
            self._provision()
            if self._with_host:
                self._start("host")
                report("the embedded host answers")
            if not fresh:
                self.reindex()
                report("the index is rebuilt")
            self._describe()
            if self.weather and self._forecast:
                self.weather.begin(self._forecast)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop everything, the host first; what does not end in time is killed. Safe to call twice."""
        if not self._lock:
            return  # this state belongs to another stack, or to none any more
        self.folders.description.unlink(missing_ok=True)
        if host := self.children.pop("host", None):
            host.stop(_HOST_PATIENCE)
        self._end_jobs()
        for child in self.children.values():
            child.terminate()
        for child in self.children.values():
            child.stop()
        self.children.clear()
        if self.weather:
            self.weather.stop()
            self.weather = None
        self._let_go()

    def kill(self, name: str) -> None:
        """SIGKILL to one server, or to every running "job": what a crash looks like."""
        if name != "job":
            self.children[name].kill()
            return
        for folder in self._running_jobs():
            with suppress(ProcessLookupError, FileNotFoundError):
                os.killpg(int((folder / "job.pid").read_text()), signal.SIGKILL)

    def restart(self, name: str) -> None:
        """Start one server again (killing it first where it still runs) and wait until it serves."""
        self.children[name].kill()
        self._start(name)
        if name == "cosmos":
            self._provision()
            self.reindex()

    def ended(self) -> list[str]:
        """The servers that run no more, though nobody stopped them."""
        return [name for name, child in self.children.items() if not child.alive]

    def addresses(self) -> dict[str, str]:
        """What a person may want to open or connect to."""
        p = self.ports
        storage = ", ".join(f"{HOST}:{port}" for port in (p.blob, p.queue, p.table))
        known = {
            "portal": {"Portal": f"{self.environment['PORTAL_URL']}/"},
            "sign-in": {"Password of every local user": self.password},
            "endpoints": {
                "Outbox (e-mails sent)": f"http://{HOST}:{p.desk}/",
                "Key Vault, jobs, e-mail": self.environment["KEY_VAULT_URI"],
            },
            "host": {"Functions (embedded host)": f"http://{HOST}:{p.host}{API}/"},
            "azurite": {"Blobs, queues, tables (Azurite)": storage},
            "cosmos": {"Index (Cosmos-compatible, in memory)": self.environment["COSMOS_ENDPOINT"]},
        }
        serving = {
            what: where for name, shown in known.items() if name in self.children for what, where in shown.items()
        }
        return serving | {"State and logs": str(self.folders.state)}

    def inject(self, service: str, kind: str, times: int = 1) -> None:
        """Let an endpoint fail: see readfirst/local/endpoints/faults.py for the kinds."""
        request = urllib.request.Request(
            f"http://{HOST}:{self.listening.desk}/faults",
            json.dumps({"service": service, "kind": kind, "times": times}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310
            pass

    def sheltered(self) -> dict[str, str]:
        """The app settings with storage and index reached past the weather: for whoever looks how things are."""
        behind = replace(self.ports, **asdict(self.listening))
        direct = app_settings(behind, self._keys, self._tls, self._clinics)
        return {**self.environment, **{name: direct[name] for name in _SHELTERED}}

    def access_token(self, user: str) -> str:
        """An access token for the API, as the portal gets it; people.py says who there is."""
        return people.access_token(self.environment, user, self.password)

    def reindex(self) -> None:
        """Rebuild the index, which the local server keeps in memory only, from the blobs."""
        self._run_to_end("reindex", [sys.executable, "-m", "readfirst.cli", "reindex"])

    def _prepare(self) -> None:
        try:
            self.folders.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise StackError(
                f"{self.folders.state} cannot hold the stack's state: a file is there. Name a folder."
            ) from None
        except PermissionError:
            raise StackError(f"{self.folders.state} may not be written to. Name another folder by --state.") from None
        self.folders.state.chmod(0o700)  # keys, and originals with identifiers inside
        self._take_lock()
        self.folders.description.unlink(missing_ok=True)  # of a stack that was killed
        for log in self.folders.logs.glob("*.log"):
            if log.stat().st_size > _LONG_LOG:
                log.replace(log.with_suffix(".log.old"))
        self.ports = ports.choose(self._choice, self._needed_ports(), self._previous_ports())
        certificates.write_private(self.folders.ports, json.dumps(asdict(self.ports)).encode())
        keys = self._keys = load_secrets(self.folders.secrets)
        self._tls = certificates.make(self.folders.tls, datetime.now(UTC))
        self.environment = app_settings(self.ports, keys, self._tls, self._clinics) | self._settings
        definition = {
            "ids": [JOB_RESOURCE_ID, FALLBACK_JOB_RESOURCE_ID],
            "command": self._job_command,
            "environment": job_settings(self.environment),
            "folder": str(PROJECT),
            "log": str(self.folders.logs / "job.log"),
        }
        certificates.write_private(self.folders.job_definition, json.dumps(definition).encode())
        self._configure_sign_in(keys.password)
        self.password = keys.password
        self._lifeline = os.pipe()
        self._spawner = Spawner(keep_open=(self._lifeline[0],))
        self.listening: Ports | Shelter = self.ports
        if self._forecast is not None:
            self._raise_weather()
        servers = Servers(self.folders, self.ports, self.listening, self._tls, self.environment, self._lifeline[0])
        made = servers.every(azurite_accounts(keys), with_host=self._with_host, with_portal=self._portal)
        self.children = {child.name: child for child in made}

    def _raise_weather(self) -> None:
        from readfirst.local.weather.layer import Weather, fronts

        self.listening = ports.shelter(self.ports)
        behind, keys = replace(self.ports, **asdict(self.listening)), account_keys(self._keys)
        self.weather = Weather(
            fronts(self.ports, self.listening, self._tls),
            lambda account: connection_string(account, keys[account], behind),
        ).start()

    def _configure_sign_in(self, password: str) -> None:
        file = self.folders.sign_in
        previous = json.loads(file.read_text()) if file.exists() else {}
        made = people.provider_configuration(self.environment, self._clinics, password, previous)
        certificates.write_private(file, json.dumps(made).encode())

    def _start(self, *names: str) -> None:
        assert self._spawner, "the stack is prepared before it starts servers"  # noqa: S101
        for name in names:
            self.children[name].start(self._spawner)
        for name in names:
            self.children[name].wait_until_ready()

    def _provision(self) -> None:
        self._run_to_end("provision", [sys.executable, "-m", "readfirst.local.provision"])

    def _run_to_end(self, name: str, command: list[str]) -> None:
        assert self._spawner, "the stack is prepared before it runs anything"  # noqa: S101
        log = self.folders.logs / f"{name}.log"
        process = self._spawner.spawn(command, {**os.environ, **self.sheltered()}, log)
        try:
            code = process.wait()
        finally:
            process.kill()
        if code:
            raise StackError(f"{name} failed (exit status {code}).{tail(log)}")

    def _take_lock(self) -> None:
        lock = self.folders.lock.open("a+b")
        deadline = time.monotonic() + _LOCK_PATIENCE
        while not _locked(lock):
            if time.monotonic() > deadline:
                lock.seek(0)
                holder = lock.read().decode() or "starting"
                lock.close()
                raise StackError(
                    f"a stack already runs on {self.folders.state} ({holder}). Stop it with Ctrl-C there, "
                    "or give this one a state of its own: --state."
                )
            time.sleep(0.02)
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, since {datetime.now().astimezone():%H:%M:%S}".encode())
        lock.flush()
        self._lock = lock

    def _needed_ports(self) -> set[str]:
        left_out = {"host": self._with_host, "portal": self._portal}
        return {field.name for field in fields(Ports) if left_out.get(field.name, True)}

    def _previous_ports(self) -> Ports | None:
        with suppress(FileNotFoundError, ValueError, TypeError):
            return Ports(**json.loads(self.folders.ports.read_text()))
        return None

    def _describe(self) -> None:
        description = {
            "pid": os.getpid(),
            "ports": asdict(self.ports),
            "environment": self.environment,
            "password": self.password,
        }
        certificates.write_private(self.folders.description, json.dumps(description, indent=2).encode())

    def jobs_at_work(self) -> bool:
        """Whether an execution of the job runs."""
        return bool(self._running_jobs())

    def _running_jobs(self) -> list[Path]:
        executions = [file.parent for file in self.folders.jobs.glob("*/started")]
        return [folder for folder in executions if job_runner.running(folder)]

    def _end_jobs(self) -> None:
        for folder in self._running_jobs():
            container_apps.end(folder)
        deadline = time.monotonic() + job_runner.SECONDS_TO_END + 5
        while self._running_jobs() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _let_go(self) -> None:
        if self._spawner:
            self._spawner.close()
        for descriptor in self._lifeline or ():
            os.close(descriptor)  # any job runner that is still there ends now
        if self._lock:
            self._lock.close()
        self._spawner = self._lifeline = self._lock = None


def _locked(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def running_stack(state: Path) -> dict[str, Any] | None:
    """stack.json of the stack that runs on `state`: pid, ports, environment. None where none runs."""
    folders = Folders(state.resolve())
    with suppress(FileNotFoundError, NotADirectoryError), folders.lock.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            with suppress(FileNotFoundError):  # it is starting, or stopping
                description: dict[str, Any] = json.loads(folders.description.read_text())
                return description
    return None
