"""Chapter: what a clinic's address to its inbox lets tools do, against the local stack's Azurite, by the real SDK."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, BlobServiceClient, ContainerClient

from readfirst.adapters.uploads import clinic_urls
from readfirst.domain import resource_names
from tests.host.harness import OF_THE_STACK, Azurite
from tests.waiting import PATIENCE

SMALL = 1 << 20  # more than this goes in blocks: as with the defaults, at less cost than 64 MiB


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlobServiceClient]:
    server = Azurite(tmp_path_factory.mktemp("azurite"), OF_THE_STACK)
    with BlobServiceClient.from_connection_string(server.connection_string) as client:
        for container in (resource_names.inbox("lakeside"), resource_names.results("lakeside")):
            client.create_container(container)
        yield client
    server.stop()


@pytest.fixture
def address(service: BlobServiceClient) -> str:
    return clinic_urls._signed(service, "lakeside", timedelta(hours=1)).inbox


def tool(address: str) -> ContainerClient:
    """A client that sends large files in blocks, as every tool does by default."""
    return ContainerClient.from_container_url(address, max_single_put_size=SMALL, max_block_size=SMALL)


def refused(call: Callable[[], object]) -> int:
    with pytest.raises(HttpResponseError) as caught:
        call()
    return int(caught.value.status_code or 0)


def test_an_address_is_of_the_version_in_which_whoever_creates_may_send_blocks(address: str) -> None:
    """An SDK that signed with an older version would shut large files out, without a word."""
    said = parse_qs(urlsplit(address).query)
    assert said["sv"][0] >= clinic_urls.BLOCKS_BY_CREATE
    assert said["sp"] == ["cl"], "no write: nobody replaces, leases or changes what others sent"


def test_a_large_file_arrives_in_blocks_as_tools_send_it(service: BlobServiceClient, address: str) -> None:
    data = os.urandom(5 * SMALL + 17)
    tool(address).upload_blob("one/study.zip", data)
    assert service.get_blob_client(resource_names.inbox("lakeside"), "one/study.zip").download_blob().readall() == data


@pytest.mark.parametrize("size", [100, 3 * SMALL])
def test_two_senders_of_one_name_lose_nothing_of_the_first(service: BlobServiceClient, address: str, size: int) -> None:
    first, name = os.urandom(size), f"same-{size}/IM00001.dcm"
    tool(address).upload_blob(name, first)
    for overwrite in (False, True):
        assert refused(lambda o=overwrite: tool(address).upload_blob(name, os.urandom(size), overwrite=o)) in (403, 409)
    assert service.get_blob_client(resource_names.inbox("lakeside"), name).download_blob().readall() == first


def test_blocks_begun_before_another_sender_was_done_do_not_replace_it(
    service: BlobServiceClient, address: str
) -> None:
    slow, name = tool(address).get_blob_client("race/IM00001.dcm"), "race/IM00001.dcm"
    slow.stage_block("MDAwMDAwMDA=", b"late")
    tool(address).upload_blob(name, b"early" * 10, overwrite=True)
    body = '<?xml version="1.0" encoding="utf-8"?><BlockList><Latest>MDAwMDAwMDA=</Latest></BlockList>'
    base, _, query = address.partition("?")
    answer = requests.put(f"{base}/{name}?comp=blocklist&{query}", data=body, timeout=PATIENCE)
    assert answer.status_code == 403
    assert service.get_blob_client(resource_names.inbox("lakeside"), name).download_blob().readall() == b"early" * 10


def test_nobody_reads_deletes_leases_or_changes_by_the_address(address: str) -> None:
    box = tool(address)
    box.upload_blob("kept/a.dcm", b"a" * 200)
    blob: BlobClient = box.get_blob_client("kept/a.dcm")
    calls: list[Callable[[], object]] = [
        lambda: blob.download_blob(),
        lambda: blob.get_blob_properties(),
        lambda: blob.get_block_list(),
        lambda: blob.delete_blob(),
        lambda: blob.acquire_lease(),
        lambda: blob.set_blob_metadata({"a": "b"}),
        lambda: blob.stage_block("MDAwMDAwMDA=", b"more"),
        lambda: blob.set_standard_blob_tier("Archive"),
    ]
    assert {refused(call) for call in calls} == {403}
    assert [b.name for b in box.list_blobs(name_starts_with="kept/")] == ["kept/a.dcm"]


def test_an_address_of_an_older_version_sends_small_files_only(service: BlobServiceClient, monkeypatch) -> None:
    """What a tool with an older library signs: refused with the service's own word, and a small file still arrives."""
    monkeypatch.setattr("azure.storage.blob._shared_access_signature.X_MS_VERSION", "2025-11-05")
    monkeypatch.setattr("azure.storage.blob._shared.shared_access_signature.X_MS_VERSION", "2025-11-05", raising=False)
    old = clinic_urls._signed(service, "lakeside", timedelta(hours=1)).inbox
    if parse_qs(urlsplit(old).query)["sv"] != ["2025-11-05"]:
        pytest.fail("the version that the SDK signs with is kept elsewhere now")
    tool(old).upload_blob("old/small.dcm", b"s" * 100)
    assert refused(lambda: tool(old).upload_blob("old/large.zip", os.urandom(3 * SMALL))) == 403
