"""Manifests and approvals: which models may run."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from pydantic import ValidationError

from readfirst.domain.analysis import models
from readfirst.domain.analysis.models import Manifest, approved, approved_by_digest, default_model, parse_approved

MODELS = Path(models.__file__).parents[3] / "model_container" / "models"


def changed(**changes):
    return default_model().model_copy(update=changes)


def test_the_default_model_is_approved_and_its_files_are_the_ones_in_the_repository():
    manifest = default_model()
    folder = MODELS / manifest.name
    assert manifest in approved()
    assert Manifest.model_validate_json((folder / "manifest.json").read_text()) == manifest
    for name, digest in manifest.files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name


def test_the_default_model_says_that_it_is_synthetic():
    assert default_model().disclaimer == "SYNTHETIC MODEL, NOT FOR DIAGNOSIS"
    assert default_model().identity.digest == default_model().digest


def test_every_part_of_a_manifest_is_in_its_digest():
    manifest = default_model()
    assert manifest.digest == Manifest.model_validate_json(manifest.model_dump_json()).digest
    assert changed(version="9").digest != manifest.digest
    assert changed(files=manifest.files | {"model.onnx": "0" * 64}).digest != manifest.digest
    assert changed(risk=manifest.risk.model_copy(update={"min_probability": 0.1})).digest != manifest.digest


def test_a_model_is_found_by_its_digest_and_an_unknown_digest_is_not_approved():
    assert approved_by_digest(default_model().digest) == default_model()
    assert approved_by_digest("0" * 64) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {}},
        {"files": {"../../etc/passwd": "0" * 64}},
        {"files": {"/model.onnx": "0" * 64}},
        {"files": {"model.onnx": "short"}},
        {"name": "Not A Name"},
        {"channels": [c.model_dump() for c in default_model().channels if not c.target]},
    ],
)
def test_a_manifest_that_is_incomplete_or_points_elsewhere_is_refused(changes):
    with pytest.raises(ValidationError):
        Manifest.model_validate(default_model().model_dump() | changes)


def test_two_models_of_one_name_and_version_cannot_both_be_approved():
    one = default_model().model_dump_json()
    with pytest.raises(ValueError, match="same name"):
        parse_approved(f"[{one},{one}]")
