"""Reads host.json, local.settings.json and the environment, as `func start` does, and says which keys it ignores."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

DEFAULT_SCRIPT = "main.py"
HOST_CONNECTION = "AzureWebJobsStorage"


class CannotRun(Exception):
    """The app, or its configuration, asks for something that the embedded host does not run. The message says what."""


@dataclass(frozen=True)
class QueueOptions:
    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    max_polling_interval: timedelta = timedelta(seconds=2)
    retry_delay: timedelta = timedelta(0)  # host.json visibilityTimeout: how long a failed message stays hidden
    base64: bool = True


@dataclass(frozen=True)
class BlobOptions:
    parallel: int = 16
    attempts: int = 5


@dataclass(frozen=True)
class DurableOptions:
    hub: str = "TestHubName"
    activities: int = 20
    orchestrators: int = 20
    default_version: str | None = None
    replace_running: bool = False  # overridableExistingInstanceStates "AnyState"


@dataclass(frozen=True)
class HostOptions:
    """host.json, as far as this host honours it; `ignored` names the keys that it does not."""

    route_prefix: str = "api"
    function_timeout: timedelta | None = timedelta(minutes=30)
    queues: QueueOptions = field(default_factory=QueueOptions)
    blobs: BlobOptions = field(default_factory=BlobOptions)
    durable: DurableOptions = field(default_factory=DurableOptions)
    log_level: str = "Information"  # of the host itself
    function_log_level: str = "Information"  # of invocations, and of what the app logs
    ignored: tuple[str, ...] = ()


def read_options(app_dir: Path) -> HostOptions:
    """Raises CannotRun when host.json is missing, is not JSON, or holds values that cannot be meant."""
    path = app_dir / "host.json"
    if not path.exists():
        raise CannotRun(f"{path} is missing: every Functions app has a host.json")
    raw = _Keys(_load_json(path))
    try:
        return _options(raw)
    except (TypeError, ValueError, AttributeError) as problem:
        raise CannotRun(f"{path}: {problem}") from problem


def _options(raw: _Keys) -> HostOptions:
    if raw.take("version", "2.0") != "2.0":
        raise ValueError('"version" must be "2.0"')
    raw.take("extensionBundle", None)  # names the real host's extensions: nothing to load here
    cores = os.cpu_count() or 1
    log_level = raw.take("logging.logLevel.default", "Information")
    return HostOptions(
        route_prefix=raw.take("extensions.http.routePrefix", "api").strip("/"),
        function_timeout=_function_timeout(raw.take("functionTimeout", "00:30:00")),
        queues=_queue_options(raw),
        blobs=BlobOptions(
            parallel=_positive(raw.take("extensions.blobs.maxDegreeOfParallelism", 8 * cores)),
            attempts=_positive(raw.take("extensions.blobs.poisonBlobThreshold", 5)),
        ),
        durable=DurableOptions(
            hub=raw.take("extensions.durableTask.hubName", os.environ.get("WEBSITE_SITE_NAME") or "TestHubName"),
            activities=_positive(raw.take("extensions.durableTask.maxConcurrentActivityFunctions", 10 * cores)),
            orchestrators=_positive(raw.take("extensions.durableTask.maxConcurrentOrchestratorFunctions", 10 * cores)),
            default_version=raw.take("extensions.durableTask.defaultVersion", None),
            replace_running=raw.take("extensions.durableTask.overridableExistingInstanceStates", "NonRunningStates")
            == "AnyState",
        ),
        log_level=log_level,
        function_log_level=raw.take("logging.logLevel.Function", log_level),
        ignored=tuple(raw.untaken()),
    )


def _queue_options(raw: _Keys) -> QueueOptions:
    batch = _positive(raw.take("extensions.queues.batchSize", 16))
    if batch > 32:
        raise ValueError("extensions.queues.batchSize is at most 32")
    return QueueOptions(
        batch_size=batch,
        new_batch_threshold=raw.take("extensions.queues.newBatchThreshold", batch // 2),
        max_dequeue_count=_positive(raw.take("extensions.queues.maxDequeueCount", 5)),
        max_polling_interval=parse_duration(raw.take("extensions.queues.maxPollingInterval", "00:00:02")),
        retry_delay=parse_duration(raw.take("extensions.queues.visibilityTimeout", "00:00:00")),
        base64=raw.take("extensions.queues.messageEncoding", "base64").lower() == "base64",
    )


def parse_duration(text: str | int) -> timedelta:
    """`hh:mm:ss`, `d.hh:mm:ss`, or a number of milliseconds, as host.json writes time spans."""
    if isinstance(text, int):
        return timedelta(milliseconds=text)
    match = re.fullmatch(r"(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)", text)
    if match is None:
        raise ValueError(f"{text!r} is not a time span (hh:mm:ss)")
    days, hours, minutes, seconds = match.groups()
    return timedelta(days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=float(seconds))


def _function_timeout(text: str) -> timedelta | None:
    return None if text == "-1" else parse_duration(text)


def _positive(value: int) -> int:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} must be a positive whole number")
    return value


class _Keys:
    """Remembers which of host.json's keys were asked for, so that the rest can be named in a warning."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self._taken: set[str] = set()

    def take(self, dotted: str, default: Any) -> Any:
        self._taken.add(dotted.lower())
        node: Any = self._raw
        for part in dotted.split("."):
            if not isinstance(node, Mapping):
                return default
            node = next((value for key, value in node.items() if key.lower() == part.lower()), None)
            if node is None:
                return default
        return node

    def untaken(self) -> Iterator[str]:
        yield from self._leaves(self._raw, "")

    def _leaves(self, node: Mapping[str, Any], prefix: str) -> Iterator[str]:
        for key, value in node.items():
            dotted = f"{prefix}{key}"
            if dotted.lower() in self._taken or dotted == "$schema":
                continue
            if isinstance(value, Mapping):
                yield from self._leaves(value, f"{dotted}.")
            else:
                yield dotted


def load_app_settings(app_dir: Path) -> None:
    """Puts the `Values` of local.settings.json into the environment; what the environment holds already wins."""
    path = app_dir / "local.settings.json"
    if not path.exists():
        return
    raw = _load_json(path)
    if raw.get("IsEncrypted"):
        raise CannotRun(f"{path} is encrypted: the embedded host reads plain settings only")
    for name, value in raw.get("Values", {}).items():
        os.environ.setdefault(name, str(value))


def resolve(text: str) -> str:
    """Replaces `%NAME%` by the app setting of that name, as binding attributes allow. Raises CannotRun if missing."""

    def setting(match: re.Match[str]) -> str:
        value = os.environ.get(match[1])
        if value is None:
            raise CannotRun(f"a binding refers to the app setting {match[1]}, which is not set")
        return value

    return re.sub(r"%([^%]+)%", setting, text)


def connection_string(name: str) -> str:
    """The storage connection string that a binding's `connection` names. Raises CannotRun when it is not set."""
    value = os.environ.get(name) or os.environ.get(f"AzureWebJobs{name}")
    if not value:
        raise CannotRun(f"the app setting {name} (a storage connection string) is not set")
    return value


def _load_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as problem:
        raise CannotRun(f"{path} is not JSON: {problem}") from problem
    if not isinstance(content, dict):
        raise CannotRun(f"{path} must hold a JSON object")
    return content
