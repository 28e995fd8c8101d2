"""Names and ETags of a container's blobs, eighty times cheaper than through the SDK's models.

The SDK makes an object with forty attributes of every blob: 0.9 s of processor time for 5,000 of them, every few
seconds. So the page is taken as it comes off the wire (raw_response_hook, a documented keyword), and read here.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from azure.core.exceptions import ServiceResponseError
from azure.storage.blob.aio import ContainerClient

_TRIES = 3


async def list_etags(container: ContainerClient, prefix: str) -> dict[str, str]:
    """Raises what the SDK raises: ResourceNotFoundError when there is no such container."""
    found: dict[str, str] = {}
    marker = None
    while True:
        root = await _page(container, prefix, marker)
        for blob in root.iter("Blob"):
            found[_name(blob.find("Name"))] = blob.findtext("Properties/Etag", "")
        marker = root.findtext("NextMarker")
        if not marker:
            return found


async def _page(container: ContainerClient, prefix: str, marker: str | None) -> ElementTree.Element:
    """One page. Where the SDK's first request finds no answer, its next ones forget the hook: it is asked again."""
    for _ in range(_TRIES):
        pages = container.list_blobs(name_starts_with=prefix or None, raw_response_hook=_leave_with_page)
        try:
            await anext(pages.by_page(continuation_token=marker))
        except _Page as page:
            return ElementTree.fromstring(page.text)  # noqa: S314 - the storage service's own answer
    raise ServiceResponseError("no page of the listing could be read")


class _Page(Exception):
    """Carries a page out of the SDK before the SDK makes objects of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


def _leave_with_page(response: Any) -> None:
    if response.http_response.status_code == HTTPStatus.OK:  # every other answer is the SDK's to retry or to raise
        raise _Page(response.http_response.text())


def _name(element: ElementTree.Element | None) -> str:
    text = "" if element is None else element.text or ""
    # What XML cannot hold, Azure Storage writes percent-encoded, and says so.
    return unquote(text) if element is not None and element.get("Encoded") == "true" else text
