"""Azure's events: what an event tells, and what is no event of ours."""

from __future__ import annotations

import pytest

from readfirst.domain.event_grid import Rotation, Uploaded, rotation, uploaded

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


def test_key_vault_tells_of_a_new_key_version_and_of_a_secret_about_to_expire() -> None:
    new = {"eventType": "Microsoft.KeyVault.KeyNewVersionCreated", "subject": "identity-kek"}
    old = {"eventType": "Microsoft.KeyVault.SecretNearExpiry", "subject": "receipt-signing-key"}
    assert rotation(new) == Rotation("new-key", "identity-kek")
    assert rotation(old) == Rotation("secret-expires", "receipt-signing-key")
    assert rotation({**new, "eventType": "Microsoft.KeyVault.KeyNearExpiry"}) == Rotation("key-expires", "identity-kek")
