"""What Azure's events say, in Readfirst's words."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Literal

from readfirst.domain import resource_names

_INBOX = f"/blobServices/default/containers/{resource_names.inbox('')}"


@dataclass(frozen=True)
class Uploaded:
    """A blob that arrived in a clinic's inbox."""

    clinic: str
    blob: str


def uploaded(event: object) -> Uploaded | None:
    """The upload that an Event Grid event tells of; None for any other event.

    The blob's name comes from the subject: the address in `data.url` is percent-encoded in some cases only.
    """
    if not isinstance(event, dict) or event.get("eventType") != "Microsoft.Storage.BlobCreated":
        return None
    subject = str(event.get("subject", ""))
    container, divider, blob = subject.partition("/blobs/")
    clinic = container.removeprefix(_INBOX)
    if not divider or not blob or clinic == container or not resource_names.CLINIC_ID.fullmatch(clinic):
        return None
    return Uploaded(clinic, blob)


What = Literal["new-key", "key-expires", "secret-expires"]


@dataclass(frozen=True)
class Rotation:
    """What Key Vault tells of: a new version of a key, or a key or secret that expires soon."""

    what: What
    name: str


def rotation(event: object) -> Rotation | None:
    """The rotation that an Event Grid event of Key Vault asks for; None for any other event."""
    if not isinstance(event, dict):
        return None
    kinds: dict[str, What] = {
        "Microsoft.KeyVault.KeyNewVersionCreated": "new-key",
        "Microsoft.KeyVault.KeyNearExpiry": "key-expires",
        "Microsoft.KeyVault.SecretNearExpiry": "secret-expires",
        "Microsoft.KeyVault.SecretExpired": "secret-expires",
    }
    what = kinds.get(str(event.get("eventType")))
    return Rotation(what, str(event.get("subject", ""))) if what else None


# What Communication Services says of an e-mail that the recipient's server has taken; all else counts as failed.
_ARRIVED = {"Delivered", "Expanded"}  # Expanded: a distribution list has passed it on


@dataclass(frozen=True)
class Delivery:
    """What became of an e-mail: its operation id, and the status in the service's words ("Delivered", "Bounced", …)."""

    operation: str
    status: str

    @property
    def arrived(self) -> bool:
        """Whether the recipient's mail server has it."""
        return self.status in _ARRIVED


def delivery(event: object) -> Delivery | None:
    """The delivery report that an Event Grid event of Communication Services holds; None for any other event.

    `data.messageId` is the operation id under which the e-mail was handed over.
    """
    if not isinstance(event, dict) or event.get("eventType") != "Microsoft.Communication.EmailDeliveryReportReceived":
        return None
    data = event.get("data")
    if not isinstance(data, dict):
        return None
    try:
        operation = uuid.UUID(str(data.get("messageId")))
    except ValueError:
        return None
    return Delivery(str(operation), str(data.get("status")))
