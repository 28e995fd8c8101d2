"""Azure's own SDKs see the weather as the services' documents describe it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.communication.email import EmailClient
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ServiceResponseError
from azure.cosmos import CosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError
from azure.data.tables import TableServiceClient
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient
from azure.mgmt.appcontainers import ContainerAppsAPIClient
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.blob.aio import BlobServiceClient as Uploads
from azure.storage.queue import QueueClient

from readfirst.adapters import blobs
from readfirst.adapters.uploads.clinic_urls import clinic_urls
from readfirst.domain import resource_names
from readfirst.local.environment import JOB_RESOURCE_ID, settings_of
from readfirst.local.host.storage import USER_AGENT
from readfirst.local.host.triggers.listing import list_etags
from readfirst.local.phantom import write_phantom_study
from readfirst.local.stack import Stack
from readfirst.local.weather.catalogue import ROWS, Row
from readfirst.local.weather.forecast import Forecast, Spell
from readfirst.upload_client import send
from tests.waiting import eventually

pytestmark = pytest.mark.stack
_ONCE: dict[str, Any] = {"retry_total": 0}
_JOB = JOB_RESOURCE_ID.split("/")


@pytest.fixture(scope="module")
def rainy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with proxies, and calm."""
    state = tmp_path_factory.mktemp("rainy")
    with Stack(state, with_host=False, forecast=Forecast()) as made, settings_of(made.environment):
        yield made


@pytest.fixture(autouse=True)
def calm(rainy: Stack) -> Iterator[None]:
    yield
    assert rainy.weather
    rainy.weather.sky.clear()
    rainy.weather.sky.met.clear()


def comes(stack: Stack, service: str, behaviour: str, **options: Any) -> None:
    assert stack.weather
    stack.weather.sky.add(Spell.model_validate({"service": service, "behaviour": behaviour, **options}))


def container(stack: Stack, **options: Any) -> ContainerClient:
    service = BlobServiceClient.from_connection_string(stack.environment["STUDIES"], **{**_ONCE, **options})
    return service.get_container_client(resource_names.ANALYSIS)


def queue(stack: Stack) -> QueueClient:
    made = QueueClient.from_connection_string(stack.environment["STUDIES"], resource_names.COMMANDS, **_ONCE)
    made.clear_messages()
    return made


def vault(stack: Stack) -> SecretClient:
    return SecretClient(stack.environment["KEY_VAULT_URI"], ManagedIdentityCredential(), **_ONCE)


def arm(stack: Stack) -> ContainerAppsAPIClient:
    base = stack.environment["ARM_ENDPOINT"]
    return ContainerAppsAPIClient(
        ManagedIdentityCredential(), _JOB[2], base_url=base, credential_scopes=[f"{base}/.default"], **_ONCE
    )


def executions(stack: Stack) -> list[Any]:
    return list(arm(stack).jobs_executions.list(_JOB[4], _JOB[8]))


def send_mail(stack: Stack, text: str = "Read first.") -> None:
    message = {
        "senderAddress": stack.environment["EMAIL_SENDER"],
        "recipients": {"to": [{"address": "radiologist@lakeside.example"}]},
        "content": {"subject": "High risk", "plainText": text},
    }
    client = EmailClient(stack.environment["EMAIL_ENDPOINT"], ManagedIdentityCredential(), **_ONCE)
    client.begin_send(message, operation_id=str(uuid.uuid4()))


def create_document(stack: Stack, text: str = "", **options: Any) -> None:
    client = CosmosClient(stack.environment["COSMOS_ENDPOINT"], stack.environment["COSMOS_KEY"], **options)
    database = client.get_database_client(stack.environment["COSMOS_DATABASE"])
    made = database.get_container_client(resource_names.STUDIES_CONTAINER)
    made.create_item({"id": uuid.uuid4().hex, "clinic": "lakeside", "text": text})


def replace_document(stack: Stack) -> None:
    client = CosmosClient(stack.environment["COSMOS_ENDPOINT"], stack.environment["COSMOS_KEY"])
    database = client.get_database_client(stack.environment["COSMOS_DATABASE"])
    made = database.get_container_client(resource_names.STUDIES_CONTAINER)
    item = made.upsert_item({"id": "one", "clinic": "lakeside"})
    made.replace_item(item, item, etag=item["_etag"], match_condition=MatchConditions.IfNotModified)


def ask_for_token(stack: Stack) -> None:
    answer = requests.get(
        stack.environment["IDENTITY_ENDPOINT"],
        params={"api-version": "2019-08-01", "resource": "https://vault.azure.net"},
        headers={"X-IDENTITY-HEADER": stack.environment["IDENTITY_HEADER"]},
        timeout=60,
    )
    if not answer.ok:
        raise Refused(answer.status_code)


class Refused(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status_code = status


def write(stack: Stack, behaviour: str) -> None:
    """A request of each service that can meet that behaviour; with the service's own SDK."""
    blob = container(stack).get_blob_client(uuid.uuid4().hex)
    etag = blob.upload_blob(b"x")["etag"]
    if behaviour == "precondition":
        blob.upload_blob(b"y", overwrite=True, etag=etag, match_condition=MatchConditions.IfNotModified)


REQUESTS = {
    "blob": write,
    "queue": lambda stack, _: queue_once(stack),
    "table": lambda stack, _: list(
        TableServiceClient.from_connection_string(stack.environment["STUDIES"], **_ONCE).list_tables()
    ),
    "cosmos": lambda stack, behaviour: (
        replace_document(stack) if behaviour == "precondition" else create_document(stack, **_ONCE)
    ),
    "vault": lambda stack, _: vault(stack).set_secret("one", "value"),
    "arm": lambda stack, behaviour: (
        arm(stack).jobs.begin_stop_execution(_JOB[4], _JOB[8], "none") if behaviour == "conflict" else executions(stack)
    ),
    "email": lambda stack, _: send_mail(stack),
    "tokens": lambda stack, _: ask_for_token(stack),
}


def queue_once(stack: Stack) -> None:
    QueueClient.from_connection_string(stack.environment["STUDIES"], resource_names.COMMANDS, **_ONCE).send_message("x")


_REFUSALS = [row for row in ROWS if row.behaviour in ("throttled", "unavailable", "error", "conflict", "precondition")]


@pytest.mark.parametrize("row", _REFUSALS, ids=lambda row: f"{row.service}-{row.behaviour}")
def test_each_refusal_reaches_the_service_s_own_sdk_with_its_status(rainy: Stack, row: Row) -> None:
    vault(rainy).get_secret(resource_names.ROOT_SECRET)  # who has a token asks for none
    # Key Vault's first request has no token yet; Cosmos DB's SDK tries again by itself, and some of it seven times.
    only = "docs" if row.service == "cosmos" and row.behaviour != "precondition" else ""
    comes(rainy, row.service, row.behaviour, requests=only)
    with pytest.raises((HttpResponseError, CosmosHttpResponseError, Refused)) as refused:
        REQUESTS[row.service](rainy, row.behaviour)
    assert refused.value.status_code == row.status  # type: ignore[union-attr]
    if row.service in ("blob", "queue", "table"):
        assert blobs.code_of(refused.value) == row.code
    assert rainy.weather is not None
    assert rainy.weather.sky.met[row.service, row.behaviour] > 0


def test_a_throttled_e_mail_says_when_to_try_again(rainy: Stack) -> None:
    comes(rainy, "email", "throttled", seconds=3000, times=1)
    with pytest.raises(HttpResponseError) as refused:
        send_mail(rainy)
    assert refused.value.response is not None and refused.value.response.headers["Retry-After"] == "3000"
    send_mail(rainy)


def test_an_answer_that_never_arrives_was_carried_out_all_the_same(rainy: Stack) -> None:
    comes(rainy, "blob", "unanswered", times=1, requests="^PUT")
    name = uuid.uuid4().hex
    with pytest.raises(ServiceResponseError):
        container(rainy).upload_blob(name, b"x")
    assert blobs.read(container(rainy), name) == b"x"


def test_a_request_that_times_out_was_not_carried_out(rainy: Stack) -> None:
    comes(rainy, "blob", "timeout", times=1, seconds=0.2, requests="^PUT")
    name = uuid.uuid4().hex
    with pytest.raises(ServiceResponseError):
        container(rainy).upload_blob(name, b"x")
    assert blobs.read(container(rainy), name) is None


def test_an_answer_breaks_off_half_way_and_the_sdk_asks_again(rainy: Stack) -> None:
    name = uuid.uuid4().hex
    container(rainy).upload_blob(name, b"x" * 100_000)
    comes(rainy, "blob", "half_closed", times=1, requests="^GET")
    assert container(rainy).download_blob(name).readall() == b"x" * 100_000
    assert rainy.weather
    assert rainy.weather.sky.met["blob", "half_closed"] == 1
    comes(rainy, "blob", "half_closed", requests="^GET")
    with pytest.raises((HttpResponseError, ServiceResponseError)):
        container(rainy).download_blob(name).readall()


def test_an_answer_without_a_body_that_breaks_off_says_nothing_of_the_blob(rainy: Stack) -> None:
    """A blob that was said to be 1 byte long would be taken for what it is not."""
    name = uuid.uuid4().hex
    container(rainy).upload_blob(name, b"x" * 100_000)
    comes(rainy, "blob", "half_closed", times=1, requests="^HEAD")
    with pytest.raises(ServiceResponseError):
        container(rainy).get_blob_client(name).get_blob_properties()
    assert container(rainy).get_blob_client(name).get_blob_properties().size == 100_000


def test_a_slow_answer_comes_late_and_whole(rainy: Stack) -> None:
    comes(rainy, "blob", "slow", times=1, seconds=0.5)
    began = time.monotonic()
    container(rainy).upload_blob(uuid.uuid4().hex, b"x")
    assert time.monotonic() - began >= 0.5


def test_the_target_of_a_copy_is_empty_while_it_is_pending_and_then_whole(rainy: Stack) -> None:
    place, name = container(rainy), uuid.uuid4().hex
    place.upload_blob(name, b"content")
    comes(rainy, "blob", "copy_pending", times=1, seconds=2)
    target = place.get_blob_client(f"{name}-copy")
    said = target.start_copy_from_url(place.get_blob_client(name).url)
    assert said["copy_status"] == "pending"
    pending = target.get_blob_properties()
    assert (pending.size, pending.copy.status) == (0, "pending")
    assert next(b.size for b in place.list_blobs(name_starts_with=target.blob_name)) == 0
    with pytest.raises(HttpResponseError) as refused:
        target.upload_blob(b"other", overwrite=True)
    assert blobs.code_of(refused.value) == "PendingCopyOperation"
    done = eventually(lambda: p if (p := target.get_blob_properties()).copy.status != "pending" else None)
    assert (done.size, done.copy.status) == (7, "success")
    assert done.etag != pending.etag


def test_a_copy_that_fails_leaves_an_empty_blob_and_one_is_aborted(rainy: Stack) -> None:
    place, name = container(rainy), uuid.uuid4().hex
    place.upload_blob(name, b"content")
    comes(rainy, "blob", "copy_fails", times=1, seconds=0.2)
    target = place.get_blob_client(f"{name}-failed")
    target.start_copy_from_url(place.get_blob_client(name).url, metadata={"of": "it"})
    failed = eventually(lambda: p if (p := target.get_blob_properties()).copy.status != "pending" else None)
    assert (failed.size, failed.copy.status, failed.metadata) == (0, "failed", {"of": "it"})
    target.upload_blob(b"anew", overwrite=True)
    assert target.get_blob_properties().copy.status != "failed"
    comes(rainy, "blob", "copy_pending", times=1, seconds=3600)
    target.start_copy_from_url(place.get_blob_client(name).url)
    target.abort_copy(target.get_blob_properties().copy.id)
    assert (target.get_blob_properties().size, target.get_blob_properties().copy.status) == (0, "aborted")


def test_the_product_s_own_copy_is_whole_whatever_its_copies_do(rainy: Stack) -> None:
    place, name = container(rainy), uuid.uuid4().hex
    place.upload_blob(name, b"content")
    comes(rainy, "blob", "copy_fails", times=2, seconds=0.2)
    source, target = place.get_blob_client(name), place.get_blob_client(f"{name}-copy")
    etag = source.get_blob_properties().etag
    blobs.copy(source, etag, 7, target)
    assert target.download_blob().readall() == b"content"


def test_an_append_blob_is_full_at_its_limit(rainy: Stack) -> None:
    log = container(rainy).get_blob_client(uuid.uuid4().hex)
    log.create_append_blob()
    comes(rainy, "blob", "append_full", count=2)
    log.append_block(b"one")
    log.append_block(b"two")
    with pytest.raises(HttpResponseError) as full:
        log.append_block(b"three")
    assert blobs.code_of(full.value) == "BlockCountExceedsLimit"
    assert log.download_blob().readall() == b"onetwo"


def test_a_message_is_seen_twice_and_the_first_receipt_deletes_it_no_more(rainy: Stack) -> None:
    place = queue(rainy)
    place.send_message("once")
    comes(rainy, "queue", "message_twice", times=1)
    first = place.receive_message(visibility_timeout=300)
    second = place.receive_message(visibility_timeout=300)
    assert first is not None and second is not None
    assert (first.id, second.dequeue_count) == (second.id, 2)
    with pytest.raises(HttpResponseError):
        place.delete_message(first)
    place.delete_message(second)


def test_a_message_is_seen_late(rainy: Stack) -> None:
    place = queue(rainy)
    comes(rainy, "queue", "message_late", times=1, seconds=2)
    began = time.monotonic()
    place.send_message("late")
    assert place.receive_message() is None
    assert eventually(place.receive_message).content == "late"
    assert time.monotonic() - began > 1


def test_executions_are_listed_late_and_one_for_ever(rainy: Stack) -> None:
    known = {one.name for one in executions(rainy)}
    comes(rainy, "arm", "list_lags", seconds=3600)
    rainy.inject("jobs", "image-pull")
    name = arm(rainy).jobs.begin_start(_JOB[4], _JOB[8]).result().name
    assert {one.name for one in executions(rainy)} <= known
    assert rainy.weather
    rainy.weather.sky.clear()
    eventually(lambda: {e.status for e in executions(rainy) if e.name == name} == {"Failed"})
    comes(rainy, "arm", "phantom", times=1)
    assert "Running" in {one.status for one in executions(rainy)}
    rainy.weather.sky.clear()
    assert "Running" in {one.status for one in executions(rainy)}, "and goes on to be"


def test_a_token_ends_in_use_and_the_next_one_opens_again(rainy: Stack) -> None:
    comes(rainy, "tokens", "token_expires", times=1, seconds=1)
    credential = ManagedIdentityCredential()
    base = rainy.environment["EMAIL_ENDPOINT"]

    def status(token: str) -> int:
        address = f"{base}/emails/operations/{uuid.uuid4()}"
        bundle = rainy.environment["REQUESTS_CA_BUNDLE"]
        answer = requests.get(address, headers={"Authorization": f"Bearer {token}"}, verify=bundle, timeout=60)
        return answer.status_code

    short = credential.get_token("https://communication.azure.com/.default")
    assert short.expires_on <= time.time() + 2
    others = [ManagedIdentityCredential().get_token("https://communication.azure.com/.default") for _ in range(5)]
    assert len({short.token, *(other.token for other in others)}) == 6, "one's end would be that of all"
    eventually(lambda: status(short.token) == 401)
    # azure-identity asks for another one well before the end that the answer named.
    eventually(lambda: status(credential.get_token("https://communication.azure.com/.default").token) == 404)


@pytest.mark.parametrize(
    ("behaviour", "times_seen"), [("event_late", 1), ("event_reordered", 1), ("event_doubled", 2), ("event_lost", 0)]
)
def test_the_host_in_event_grid_s_place_sees_an_upload_as_the_weather_has_it(
    rainy: Stack, behaviour: str, times_seen: int
) -> None:
    inbox = resource_names.inbox("lakeside")
    direct = BlobServiceClient.from_connection_string(rainy.environment["UPLOADS"]).get_container_client(inbox)
    name, wait = uuid.uuid4().hex, {} if behaviour == "event_lost" else {"seconds": 5.0}
    comes(rainy, "events", behaviour, times=1, **wait)
    direct.upload_blob(name, b"x")
    seen = {_listed(rainy, inbox).get(name, "")}
    assert seen != {""} or behaviour != "event_doubled", "the first event comes at once"
    assert name in {blob.name for blob in direct.list_blobs()}, "others see it at once"
    if behaviour == "event_doubled":
        direct.delete_blob(name)  # as intake does
    if times_seen:
        eventually(lambda: seen.add(_listed(rainy, inbox).get(name, "")) or len(seen - {""}) == times_seen)
    else:
        assert {_listed(rainy, inbox).get(name, "") for _ in range(5)} == {""}
    direct.delete_blob(name) if behaviour != "event_doubled" else None


def test_an_upload_that_broke_off_is_repeated_while_its_files_still_lie_in_the_inbox(
    rainy: Stack, tmp_path: Path
) -> None:
    planted = write_phantom_study(tmp_path, seed=5, slices=2, size=64)
    url = clinic_urls("hillcrest", timedelta(hours=1)).inbox
    files = [(path, path.name) for path in sorted(tmp_path.iterdir())]
    send(url, files[:1], folder="broke-off", announce=False)
    assert send(url, files, folder="broke-off").studies == {planted["study uid"]: 2}


@pytest.mark.parametrize("behaviour", ["unanswered", "half_closed", "unavailable"])
def test_a_listing_that_fails_at_first_is_neither_empty_nor_the_listener_s_end(rainy: Stack, behaviour: str) -> None:
    inbox = resource_names.inbox("hillcrest")
    direct = BlobServiceClient.from_connection_string(rainy.environment["UPLOADS"]).get_container_client(inbox)
    name = uuid.uuid4().hex
    direct.upload_blob(name, b"x")
    comes(rainy, "blob", behaviour, times=1, requests="comp=list")
    assert name in _listed(rainy, inbox, retry_total=3, initial_backoff=0, increment_base=0, random_jitter_range=0)
    assert rainy.weather
    assert rainy.weather.sky.met["blob", behaviour] == 1
    direct.delete_blob(name)


def _listed(stack: Stack, inbox: str, **options: Any) -> dict[str, str]:
    """What the embedded host sees of an inbox: names and ETags."""

    async def listed() -> dict[str, str]:
        chosen = {**(options or _ONCE), "user_agent": USER_AGENT}
        async with Uploads.from_connection_string(stack.environment["UPLOADS"], **chosen) as service:
            return await list_etags(service.get_container_client(inbox), "")

    return asyncio.run(listed())


@pytest.mark.parametrize(
    ("service", "limit", "do"),
    [
        ("queue", 1000, lambda stack: queue(stack).send_message("x" * 1000)),
        ("cosmos", 1000, lambda stack: create_document(stack, "x" * 1000)),
        ("vault", 1000, lambda stack: vault(stack).set_secret("large", "x" * 1000)),
        ("email", 1000, lambda stack: send_mail(stack, "x" * 1000)),
    ],
)
def test_what_is_larger_than_documented_is_refused(rainy: Stack, service: str, limit: int, do: Any) -> None:
    do(rainy)
    comes(rainy, service, "too_large", count=limit)
    with pytest.raises((HttpResponseError, CosmosHttpResponseError)) as refused:
        do(rainy)
    assert refused.value.status_code in (400, 413)


def test_e_mails_over_the_minute_s_limit_are_throttled(rainy: Stack) -> None:
    comes(rainy, "email", "too_many", count=2)
    send_mail(rainy)
    send_mail(rainy)
    with pytest.raises(HttpResponseError) as refused:
        send_mail(rainy)
    assert refused.value.status_code == 429


def test_who_looks_past_the_weather_sees_the_servers(rainy: Stack) -> None:
    comes(rainy, "blob", "unavailable")
    service = BlobServiceClient.from_connection_string(rainy.sheltered()["STUDIES"], **_ONCE)
    assert resource_names.ANALYSIS in {one.name for one in service.list_containers()}


def test_a_stack_without_weather_has_no_proxy_before_its_servers(stack: Stack) -> None:
    """It costs nothing: the servers themselves have the ports, and none of the weather is loaded or runs."""
    assert stack.weather is None
    assert stack.listening is stack.ports
    assert stack.sheltered() == stack.environment
    for name in ("azurite", "cosmos", "endpoints"):
        numbers = {part for part in stack.children[name].command if part.isdigit()}
        assert numbers and numbers <= {str(port) for port in vars(stack.ports).values()}, name
    code = "import sys, readfirst.local.stack, readfirst.cli.up; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "readfirst.local.stack" in loaded
    assert not {f"readfirst.local.weather.{name}" for name in ("layer", "proxy", "sky", "events")} & set(loaded)


def test_a_stack_that_stops_takes_its_weather_with_it(tmp_path: Path) -> None:
    with Stack(tmp_path / "state", with_host=False, forecast=Forecast()) as made:
        assert "readfirst-weather" in {thread.name for thread in threading.enumerate()}
        before = sum(thread.name == "readfirst-weather" for thread in threading.enumerate())
    assert sum(thread.name == "readfirst-weather" for thread in threading.enumerate()) == before - 1
    assert made.weather is None
