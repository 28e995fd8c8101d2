"""Only approved bundles run, and only as they were approved."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from model_container.bundles import MODELS, NotApproved, Shelf, digests
from readfirst.cli import build
from readfirst.domain.models import Manifest, default_model, parse_approved


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


class Evil:
    def __reduce__(self):
        return (print, ("owned",))


def zoo(folder, weights, config="inference.json"):
    """A MONAI bundle's files, and its manifest."""
    for name in ("configs", "models"):
        (folder / name).mkdir(parents=True)
    (folder / "configs" / config).write_text('{\n"imports": ["$import os"],\n"device": "$os.system(1)",\n"a": 1\n}')
    with zipfile.ZipFile(folder / "models" / "model.pt", "w") as packed:
        packed.writestr("model/data.pkl", weights)
    stated = json.loads(default_model().model_dump_json()) | {
        "name": folder.name, "engine": "monai-bundle", "files": digests(folder)
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(stated))
    return folder


@pytest.mark.parametrize("protocol", [2, 4])
def test_weights_that_would_run_code_are_told_before_anything_is_loaded(tmp_path, protocol):
    said = model("check", zoo(tmp_path / "evil", pickle.dumps({"model": Evil()}, protocol)))
    assert said.exit_code == 1 and "holds more than weights" in said.output and "print" in said.output


def test_a_bundle_without_weights_or_configuration_is_told_what_it_lacks(tmp_path):
    folder = zoo(tmp_path / "bare", pickle.dumps({}), config="train.json")
    (folder / "models" / "model.pt").unlink()
    said = model("approve", folder, "--approvals", tmp_path / "none.json").output
    assert "no inference.json" in said and "model.pt is missing" in said


def test_who_approves_a_bundle_is_shown_the_code_in_its_configuration(tmp_path):
    approvals = tmp_path / "approved.json"
    approvals.write_text(f"[{default_model().model_dump_json()}]")
    folder = zoo(tmp_path / "coded", pickle.dumps({}, 2))
    said = model("approve", folder, "--approvals", approvals)
    assert said.exit_code == 0 and "$import os" in said.output and "$os.system(1)" in said.output
    assert '"a": 1' not in said.output


def test_settings_change_the_digest_and_a_class_has_no_diameter(tmp_path):
    stated = json.loads((zoo(tmp_path / "one", b"") / "manifest.json").read_text())
    plain = Manifest.model_validate(stated)
    assert Manifest.model_validate(stated | {"settings": {"network_def#channels": [1]}}).digest != plain.digest
    with pytest.raises(ValidationError, match="a class has no diameter"):
        Manifest.model_validate(stated | {"task": "classification"})


def test_a_folder_without_a_valid_manifest_is_refused_with_what_is_wrong(tmp_path):
    assert "no manifest.json" in model("check", tmp_path).output
    (tmp_path / "manifest.json").write_text("{}")
    said = model("check", tmp_path)
    assert said.exit_code == 1 and "channels" in said.output
