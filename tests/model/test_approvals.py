"""Only approved bundles run, and only as they were approved."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from model_container.bundles import MODELS, NotApproved, Shelf
from readfirst.cli import build
from readfirst.domain.models import default_model, parse_approved


@pytest.fixture
def shelf(tmp_path):
    """A copy of the models, that a test may tamper with."""
    shutil.copytree(MODELS, tmp_path / "models")
    return tmp_path / "models"


def model(*arguments):
    return CliRunner().invoke(build(("model",)), ["model", *map(str, arguments)])


def test_the_approved_model_loads_once(shelf):
    loaded = Shelf(shelf)
    manifest, engine = loaded.load(default_model().digest)
    assert manifest == default_model() and loaded.load(manifest.digest)[1] is engine


def test_a_model_that_nobody_approved_does_not_load(shelf):
    with pytest.raises(NotApproved, match="not approved"):
        Shelf(shelf, allowed=()).load(default_model().digest)


@pytest.mark.parametrize("file", sorted(default_model().files))
def test_a_bundle_with_one_byte_changed_does_not_load(shelf, file):
    path = shelf / default_model().name / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(NotApproved, match="differs from what was approved"):
        Shelf(shelf).load(default_model().digest)


def test_a_bundle_with_a_file_too_few_or_too_many_does_not_load(shelf):
    folder = shelf / default_model().name
    (folder / "extra.py").write_text("print('hello')")
    with pytest.raises(NotApproved, match=r"extra\.py was never approved"):
        Shelf(shelf).load(default_model().digest)
    (folder / "extra.py").unlink()
    (folder / "calibration.json").unlink()
    with pytest.raises(NotApproved, match=r"calibration\.json is missing"):
        Shelf(shelf).load(default_model().digest)


def test_list_shows_the_default_model_and_that_it_is_synthetic():
    said = model("list").output
    assert "readfirst-chest" in said and "NOT FOR" in said


def test_check_tells_whole_tampered_and_unapproved_apart(shelf):
    folder = shelf / default_model().name
    assert model("check", folder).exit_code == 0
    changed = default_model().model_copy(update={"version": "9.9"})
    (folder / "manifest.json").write_text(changed.model_dump_json())
    unapproved = model("check", folder)
    assert unapproved.exit_code == 1 and "whole, but not approved" in unapproved.output
    (folder / "calibration.json").write_text("{}")
    tampered = model("check", folder)
    assert tampered.exit_code == 1 and "calibration.json differs" in tampered.output


def test_approve_writes_the_digest_of_every_file_and_an_approval_that_a_commit_makes_valid(shelf, tmp_path):
    folder, approvals = shelf / default_model().name, tmp_path / "approved.json"
    approvals.write_text(f"[{default_model().model_dump_json()}]")
    (folder / "calibration.json").write_text((folder / "calibration.json").read_text().replace("0.", "0.0", 1))
    refused = model("approve", folder, "--approvals", approvals)
    assert refused.exit_code == 1 and "raise the version" in refused.output
    stated = json.loads((folder / "manifest.json").read_text()) | {"version": "9.9"}
    (folder / "manifest.json").write_text(json.dumps(stated))
    assert model("approve", folder, "--approvals", approvals).exit_code == 0
    assert model("check", folder, "--approvals", approvals).exit_code == 0
    new = parse_approved(approvals.read_bytes())[1]
    assert new.version == "9.9" and new.files != default_model().files
    assert Shelf(shelf, allowed=[new]).load(new.digest)[0] == new


def test_a_folder_without_a_valid_manifest_is_refused_with_what_is_wrong(tmp_path):
    assert "no manifest.json" in model("check", tmp_path).output
    (tmp_path / "manifest.json").write_text("{}")
    said = model("check", tmp_path)
    assert said.exit_code == 1 and "channels" in said.output
