"""Chapter: receipts."""

from __future__ import annotations

from pydicom.dataset import Dataset

from readfirst.domain.deid import ReceiptBatch, sign, verify
from tests.spec.deid.conftest import Cleaner

KEY = b"an invented signing key"


def test_a_receipt_names_rules_and_never_a_value(ct: Dataset, clean: Cleaner) -> None:
    text = clean(ct).receipt.model_dump_json()
    for value in ("Quillfeather", "MRN-0048213", "ACC998877", "Hilltop", "Brakspear", "1.2.826.0.1.3680043.9.7"):
        assert value not in text
    assert "00080080" in text


def test_a_signed_batch_verifies_with_its_key_and_with_no_other(ct: Dataset, clean: Cleaner) -> None:
    batch = sign(ReceiptBatch(token="t" * 32, receipts=(clean(ct).receipt,)), "key-1", KEY)
    assert verify(batch, {"key-0": b"an older key", "key-1": KEY})
    assert not verify(batch, {"key-1": b"another key"})
    assert not verify(batch, {"key-0": KEY})


def test_a_changed_batch_does_not_verify(ct: Dataset, clean: Cleaner) -> None:
    batch = sign(ReceiptBatch(token="t" * 32, receipts=(clean(ct).receipt,)), "key-1", KEY)
    assert not verify(batch.model_copy(update={"token": "u" * 32}), {"key-1": KEY})


def test_a_batch_survives_its_way_through_json(ct: Dataset, clean: Cleaner) -> None:
    batch = sign(ReceiptBatch(token="t" * 32, receipts=(clean(ct).receipt,)), "key-1", KEY)
    assert verify(ReceiptBatch.model_validate_json(batch.model_dump_json()), {"key-1": KEY})
