"""Azure's events: what an event tells, and what is no event of ours."""

from __future__ import annotations

import pytest

from readfirst.domain.event_grid import Delivery, Rotation, Uploaded, delivery, rotation, uploaded

ARRIVED = {
    "eventType": "Microsoft.Storage.BlobCreated",
    "subject": "/blobServices/default/containers/clinic-north-2/blobs/Müller, Ann/IM 1%20.dcm",
    "data": {"api": "PutBlockList", "url": "https://a.blob.core.windows.net/clinic-north-2/M%C3%BCller"},
}


def test_an_upload_is_known_by_its_clinic_and_its_name_as_sent() -> None:
    assert uploaded(ARRIVED) == Uploaded("north-2", "Müller, Ann/IM 1%20.dcm")


@pytest.mark.parametrize(
    "subject",
    [
        "/blobServices/default/containers/originals/blobs/a",
        "/blobServices/default/containers/clinic-/blobs/a",
        "/blobServices/default/containers/clinic-UPPER/blobs/a",
        "/blobServices/default/containers/clinic-north/blobs/",
        "/blobServices/default/containers/clinic-north",
        "",
    ],
)
def test_a_blob_elsewhere_is_no_upload(subject: str) -> None:
    assert uploaded({**ARRIVED, "subject": subject}) is None


@pytest.mark.parametrize("event", [None, [], "text", {}, {"eventType": "Microsoft.Storage.BlobDeleted"}])
def test_anything_else_is_no_event_of_ours(event: object) -> None:
    assert uploaded(event) is None
    assert rotation(event) is None
    assert delivery(event) is None


def test_key_vault_tells_of_a_new_key_version_and_of_a_secret_about_to_expire() -> None:
    new = {"eventType": "Microsoft.KeyVault.KeyNewVersionCreated", "subject": "identity-kek"}
    old = {"eventType": "Microsoft.KeyVault.SecretNearExpiry", "subject": "receipt-signing-key"}
    assert rotation(new) == Rotation("new-key", "identity-kek")
    assert rotation(old) == Rotation("secret-expires", "receipt-signing-key")
    assert rotation({**new, "eventType": "Microsoft.KeyVault.KeyNearExpiry"}) == Rotation("key-expires", "identity-kek")


REPORT = {
    "eventType": "Microsoft.Communication.EmailDeliveryReportReceived",
    "subject": "sender/DoNotReply@north.example/message/6F0B8E0E-0B0F-4D6E-9A53-7D1D5F1F2C11",
    "data": {
        "sender": "DoNotReply@north.example",
        "recipient": "radiologist@north.example",
        "messageId": "6F0B8E0E-0B0F-4D6E-9A53-7D1D5F1F2C11",
        "status": "Delivered",
        "deliveryStatusDetails": {"statusMessage": "No error."},
        "deliveryAttemptTimeStamp": "2026-03-01T08:00:00.2855749+00:00",
    },
}


@pytest.mark.parametrize(
    ("status", "arrived"),
    [("Delivered", True), ("Expanded", True)]
    + [(status, False) for status in ("Bounced", "Suppressed", "Failed", "Quarantined", "FilteredSpam", "Unheard-of")],
)
def test_communication_services_says_what_became_of_an_e_mail(status: str, arrived: bool) -> None:
    """Its message id is the operation id that it was sent under. What is unknown has not arrived."""
    report = delivery({**REPORT, "data": {**REPORT["data"], "status": status}})
    assert report == Delivery("6f0b8e0e-0b0f-4d6e-9a53-7d1d5f1f2c11", status)
    assert report.arrived is arrived


@pytest.mark.parametrize("data", [None, [], {}, {"messageId": "7", "status": "Delivered"}])
def test_a_report_that_names_no_message_is_nobodys(data: object) -> None:
    assert delivery({**REPORT, "data": data}) is None
