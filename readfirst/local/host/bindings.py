"""Values of bindings to Python and back, through the very converters that the Azure Functions worker uses."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import azure.functions as func
from azure.core.exceptions import ResourceNotFoundError
from azure.functions.meta import Datum
from azurefunctions.extensions import base as extensions

from readfirst.local.host.loading import Binding, Function
from readfirst.local.host.settings import HOST_CONNECTION, resolve
from readfirst.local.host.storage import Storage

Metadata = Mapping[str, Datum]


class Out(func.Out[Any]):  # type: ignore[misc]  # azure-functions ships no types
    """What a function receives for an output binding."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        self._value = val

    def get(self) -> Any:
        return self._value


@dataclass(frozen=True)
class ModelBindingData:
    """The reference to a blob from which the SDK-type extension builds its client (the protobuf's fields)."""

    content: bytes
    version: str = "1.0"
    source: str = "AzureStorageBlobs"
    content_type: str = "application/json"


def wants_sdk_type(function: Function, binding: Binding) -> bool:
    """True when the parameter's annotation is one of the blob extension's SDK types (BlobClient and its kin)."""
    registry = extensions.get_binding_registry()
    return registry is not None and bool(registry.check_supported_type(function.annotations.get(binding.name)))


def decode_trigger(function: Function, value: Datum, metadata: Metadata) -> Any:
    return func.get_binding_registry().get(function.trigger.type).decode(value, trigger_metadata=metadata)


def decode_sdk_blob(function: Function, binding: Binding, container: str, blob: str, metadata: Metadata) -> Any:
    """The BlobClient (or other SDK type) of a blob, made by the extension's own converter."""
    reference = {
        "Connection": binding.raw.get("connection") or HOST_CONNECTION,
        "ContainerName": container,
        "BlobName": blob,
    }
    return (
        extensions.get_binding_registry()
        .get(binding.type)
        .decode(
            extensions.Datum(ModelBindingData(json.dumps(reference).encode()), "model_binding_data"),
            trigger_metadata=metadata,
            pytype=function.annotations[binding.name],
        )
    )


def text(value: str) -> Datum:
    return Datum(value, "string")


def as_json(value: Any) -> Datum:
    return Datum(json.dumps(value, ensure_ascii=False, separators=(",", ":")), "json")


def top_level_scalars(document: str) -> dict[str, Datum]:
    """The scalars at the top of a JSON object, which the host adds to a trigger's metadata."""
    try:
        content = json.loads(document)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {
        key: text(value if isinstance(value, str) else json.dumps(value))
        for key, value in content.items()
        if isinstance(value, str | int | float | bool)
    }


async def read_blob_input(function: Function, binding: Binding, metadata: Metadata, storage: Storage) -> Any:
    """The value of a blob input; None when the blob does not exist."""
    container, blob = fill_path(binding.raw["path"], metadata)
    if wants_sdk_type(function, binding):
        return decode_sdk_blob(function, binding, container, blob, metadata)
    client = storage.blobs(binding.raw.get("connection") or HOST_CONNECTION).get_blob_client(container, blob)
    try:
        content = await (await client.download_blob()).readall()
    except ResourceNotFoundError:
        return None
    stream = func.get_binding_registry().get("blob").decode(Datum(content, "bytes"), trigger_metadata=None)
    wanted = function.annotations.get(binding.name)
    return content if wanted is bytes else content.decode() if wanted is str else stream


async def write_output(binding: Binding, value: Any, metadata: Metadata, storage: Storage, base64_queue: bool) -> None:
    """Sends what a function gave to a queue or blob output; None sends nothing."""
    if value is None:
        return
    datum = func.get_binding_registry().get(binding.type).encode(value, expected_type=None)
    connection = binding.raw.get("connection") or HOST_CONNECTION
    if binding.type == "blob":
        container, blob = fill_path(binding.raw["path"], metadata)
        client = storage.blobs(connection).get_blob_client(container, blob)
        await client.upload_blob(datum.value, overwrite=True)
        return
    queue = _fill(resolve(binding.raw["queueName"]), metadata)
    for message in _messages(datum):
        body = base64.b64encode(message.encode()).decode() if base64_queue else message
        await storage.put_message(connection, queue, body)


def _messages(datum: Datum) -> list[str]:
    if datum.type == "string":
        return [datum.value]
    if datum.type == "bytes":
        return [datum.value.decode()]
    content = json.loads(datum.value)
    items = content if isinstance(content, list) else [content]
    return [item if isinstance(item, str) else item["body"] for item in items]


def fill_path(path: str, metadata: Metadata) -> tuple[str, str]:
    """`container/blob` with `{name}` taken from the trigger's metadata and `%NAME%` from the app settings."""
    container, _, blob = _fill(resolve(path), metadata).partition("/")
    return container, blob


def _fill(template: str, metadata: Metadata) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in metadata:
            raise ValueError(f"the binding expression {{{match[1]}}} has no value in the trigger's metadata")
        return str(metadata[match[1]].value)

    return re.sub(r"\{(\w+)\}", value, template)
