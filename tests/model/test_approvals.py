"""Only approved bundles run, and only as they were approved."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import zipfile
from contextlib import suppress

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from model_container.engines.registry import (
    MODELS,
    NEEDED,
    ModelRegistry,
    NotApproved,
    check_files,
    digests,
    folder_of,
)
from readfirst.cli import build
from readfirst.domain.analysis.models import Manifest, approved, default_model, in_image, parse_approved


@pytest.fixture
def shelf(tmp_path):
    """A copy of the models, that a test may tamper with."""
    shutil.copytree(MODELS, tmp_path / "models")
    return tmp_path / "models"


def model(*arguments):
    return CliRunner().invoke(build(("model",)), ["model", *map(str, arguments)])


def test_the_approved_model_loads_once(shelf):
    loaded = ModelRegistry(shelf)
    manifest, engine = loaded.load(default_model().digest)
    assert manifest == default_model() and loaded.load(manifest.digest)[1] is engine


def test_a_model_that_nobody_approved_does_not_load(shelf):
    with pytest.raises(NotApproved, match="not approved"):
        ModelRegistry(shelf, allowed=()).load(default_model().digest)


@pytest.mark.parametrize("file", sorted(default_model().files))
def test_a_bundle_with_one_byte_changed_does_not_load(shelf, file):
    path = shelf / default_model().name / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(NotApproved, match="differs from what was approved"):
        ModelRegistry(shelf).load(default_model().digest)


def test_a_bundle_with_a_file_too_few_or_too_many_does_not_load(shelf):
    folder = shelf / default_model().name
    (folder / "extra.py").write_text("print('hello')")
    with pytest.raises(NotApproved, match=r"extra\.py was never approved"):
        ModelRegistry(shelf).load(default_model().digest)
    (folder / "extra.py").unlink()
    (folder / "calibration.json").unlink()
    with pytest.raises(NotApproved, match=r"calibration\.json is missing"):
        ModelRegistry(shelf).load(default_model().digest)


def test_list_shows_the_default_model_and_that_it_is_synthetic():
    said = model("list").output
    assert "readfirst-chest" in said and "NOT FOR" in said


def test_check_tells_whole_tampered_and_unapproved_apart(shelf):
    folder = shelf / default_model().name
    assert model("check", folder).exit_code == 0
    changed = default_model().model_copy(update={"version": "9.9"})
    (folder / "manifest.json").write_text(changed.model_dump_json())
    unapproved = model("check", folder)
    assert unapproved.exit_code == 1 and "complete, but not approved" in unapproved.output
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
    new, former = parse_approved(approvals.read_bytes())
    assert new.version == "9.9" and new.files != default_model().files
    assert former == default_model()  # results of the older version still find what it was
    assert ModelRegistry(shelf, allowed=[new]).load(new.digest)[0] == new


def test_the_list_of_what_the_image_holds_is_what_its_shelf_holds():
    complete = set()
    for manifest in approved():
        with suppress(NotApproved):
            check_files(folder_of(MODELS, manifest), manifest)
            complete.add(manifest.digest)
    assert complete == in_image()


def test_a_version_that_is_kept_to_go_back_to_loads_from_a_folder_of_its_own(shelf, tmp_path):
    folder, approvals = shelf / default_model().name, tmp_path / "approved.json"
    approvals.write_text(f"[{default_model().model_dump_json()}]")
    shutil.copytree(folder, shelf / f"{folder.name}-{default_model().version}")
    stated = json.loads((folder / "manifest.json").read_text()) | {"version": "9.9"}
    (folder / "manifest.json").write_text(json.dumps(stated))
    said = model("approve", folder, "--approvals", approvals).output
    new = parse_approved(approvals.read_bytes())[0]
    assert json.loads((tmp_path / "image_models.json").read_text()) == [new.digest], "the repository's shelf has one"
    assert f"{folder.name} {default_model().version} cannot be gone back to" in said
    registry = ModelRegistry(shelf, allowed=[new, default_model()])
    assert [registry.load(m.digest)[0] for m in (new, default_model())] == [new, default_model()]


class Evil:
    def __reduce__(self):
        return (print, ("owned",))


def zoo(folder, weights, config="inference.json"):
    """A MONAI bundle's files, and its manifest."""
    for name in ("configs", "models"):
        (folder / name).mkdir(parents=True)
    (folder / "configs" / config).write_text(
        '{\n"imports": ["$import os"],\n"device": "$os.system(1)",\n"a": 1,\n'
        + ",\n".join(f'"{name}": {{"_target_": "{name}.X"}}' for name in NEEDED["segmentation"][1:])
        + "\n}"
    )
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


def link(folder):
    (folder / "scripts").symlink_to("/etc", target_is_directory=True)


def compiled(folder):
    (folder / "scripts" / "__pycache__").mkdir(parents=True)
    (folder / "scripts" / "__pycache__" / "net.cpython-311.pyc").write_bytes(b"code that nobody read")


def pipe(folder):
    os.mkfifo(folder / "models" / "pipe")


def strange_name(folder):
    (folder / ".DS_Store").write_bytes(b"")


def another_manifest(folder):
    (folder / "configs" / "manifest.json").write_text("{}")


@pytest.mark.parametrize(
    ("add", "why"),
    [(link, "scripts is a link"), (compiled, "scripts/__pycache__ is compiled Python"),
     (pipe, "models/pipe is not a plain file"),
     (strange_name, r"files\.\.DS_Store"), (another_manifest, r"configs/manifest\.json was never approved")],
    ids=lambda case: getattr(case, "__name__", ""),
)  # fmt: skip
def test_what_nobody_can_read_or_approve_is_refused_before_approval_and_when_it_is_added_later(tmp_path, add, why):
    """A link leads elsewhere tomorrow, and Python prefers compiled code to the script beside it."""
    approvals = tmp_path / "approved.json"
    approvals.write_text("[]")
    folder = zoo(tmp_path / "later", pickle.dumps({}, 2))
    assert model("approve", folder, "--approvals", approvals).exit_code == 0
    (approved,) = parse_approved(approvals.read_bytes())
    add(folder)
    with pytest.raises(
        NotApproved, match="model later: " + (why if add is not strange_name else r"\.DS_Store was never")
    ):
        ModelRegistry(tmp_path, allowed=[approved]).load(approved.digest)
    if add is not another_manifest:  # which is a file as any other
        said = model("approve", folder, "--approvals", approvals)
        assert said.exit_code == 1 and re.search(why, said.output) and "Traceback" not in said.output


def old_weights(content):
    """As torch wrote them before 1.6: pickles one after the other; the fourth holds the weights."""
    return b"".join(pickle.dumps(part, 2) for part in (1, 2, {}, content, []))


def test_weights_in_the_old_form_are_looked_into_as_well(tmp_path):
    folder = zoo(tmp_path / "old", b"")
    for content, good in (({"a": 1}, True), ({"model": Evil()}, False)):
        (folder / "models" / "model.pt").write_bytes(old_weights(content))
        said = model("approve", folder, "--approvals", tmp_path / "none.json").output
        assert ("holds more than weights" in said) is not good and ("print" in said) is not good


@pytest.mark.parametrize(
    ("spoil", "why"),
    [(lambda f: (f / "models/model.pt").rename(f / "models/model.ts"), "model.ts is not taken instead"),
     (lambda f: (f / "models/model.pt").write_bytes(b"no zip, no pickle"), "holds more than weights (?)"),
     (lambda f: zipfile.ZipFile(f / "models/model.pt", "a").writestr("model/code/net.py", ""), "TorchScript"),
     (lambda f: (f / "configs/inference.json").write_text("{"), "inference.json is not JSON"),
     (lambda f: (f / "configs/inference.json").write_text("[]"), "is not a list of names and values"),
     (lambda f: (f / "configs/inference.json").write_text('{"device": 1}'), "has no preprocessing, network, inferer")],
)  # fmt: skip
def test_a_bundle_that_could_not_run_is_told_so_before_it_is_approved(tmp_path, spoil, why):
    folder = zoo(tmp_path / "spoilt", pickle.dumps({}, 2))
    spoil(folder)
    said = model("approve", folder, "--approvals", tmp_path / "none.json")
    assert said.exit_code == 1 and why in said.output and "Traceback" not in said.output


def test_an_approver_is_shown_every_script_and_what_a_configuration_calls(tmp_path):
    approvals = tmp_path / "approved.json"
    approvals.write_text("[]")
    folder = zoo(tmp_path / "calls", pickle.dumps({}, 2))
    config = json.loads((folder / "configs/inference.json").read_text()) | {
        "inferer": {"_target_": "shutil.rmtree", "path": "/"}, "network": {"_target_": "monai.networks.nets.UNet"},
    }  # fmt: skip
    (folder / "configs/inference.json").write_text(json.dumps(config, indent=1))
    (folder / "scripts").mkdir()
    (folder / "scripts" / "net.py").write_text("")
    said = model("approve", folder, "--approvals", approvals).output
    assert "shutil.rmtree" in said and "scripts/net.py" in said and "monai.networks" not in said


NODULE = {"index": 0, "kind": "nodule", "concept": {"value": "27925004", "scheme": "SCT", "meaning": "Nodule"},
          "category": 3}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "why"),
    [({"channels": [NODULE | {"concept": NODULE["concept"] | {"value": "27925005"}}]}, "check digit"),
     ({"channels": [NODULE | {"concept": NODULE["concept"] | {"scheme": "SNOMED"}}]}, "not a coding scheme"),
     ({"channels": [NODULE | {"concept": NODULE["concept"] | {"meaning": "x" * 65}}]}, "up to 64 characters"),
     ({"channels": [NODULE, NODULE]}, "two channels have the same index"),
     ({"channels": [NODULE | {"index": -1}]}, "channels.0.index"),
     ({"channels": [NODULE | {"category": 4}]}, "channels.0.category"),
     ({"risk": {"min_probability": 90, "text": "per cent"}}, "risk.min_probability"),
     ({"gate": {"modalities": ["CT"], "body_parts": []}}, "gate.body_parts"),
     ({"gate": {"modalities": ["CT"], "body_parts": ["Chest"]}}, "gate.body_parts.0"),
     ({"gate": {"modalities": ["CT"], "body_parts": ["CHEST"], "min_sices": 3}}, "gate.min_sices"),
     ({"version": "1\\2"}, "version"), ({"disclaimer": "x" * 47}, "disclaimer"), ({"patience_minutes": 0}, "patience")],
    ids=lambda case: case if isinstance(case, str) else "",
)  # fmt: skip
def test_a_mistake_in_a_manifest_is_told_with_its_place(tmp_path, change, why):
    folder = zoo(tmp_path / "mistaken", pickle.dumps({}, 2))
    stated = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(stated | change))
    said = model("check", folder)
    assert said.exit_code == 1 and "manifest.json is not valid" in said.output and why in said.output


@pytest.mark.parametrize("text", ["", "[]", "\x00", '"text"'])
def test_a_manifest_or_a_list_of_approvals_that_is_none_is_told_so(tmp_path, text):
    folder = zoo(tmp_path / "none", pickle.dumps({}, 2))
    (tmp_path / "approvals.json").write_text(text)
    said = model("check", folder, "--approvals", tmp_path / "approvals.json")
    assert said.exit_code == 1 and ("is not a list of approvals" in said.output or text == "[]")
    (folder / "manifest.json").write_text(text)
    said = model("check", folder)
    assert said.exit_code == 1 and "manifest.json is not valid" in said.output


def test_check_looks_at_a_bundle_before_it_is_approved_and_names_no_files_yet(tmp_path):
    """As docs/models.md has it: manifest.json is written without `files`, which the approval takes."""
    folder = zoo(tmp_path / "spleen", pickle.dumps({}, protocol=2))
    stated = json.loads((folder / "manifest.json").read_text())
    del stated["files"]
    (folder / "manifest.json").write_text(json.dumps(stated))
    said = model("check", folder)
    assert said.exit_code == 1 and "complete, but not approved" in said.output and "model approve" in said.output
    assert json.loads((folder / "manifest.json").read_text()) == stated, "a check writes nothing"
    (folder / "models" / "model.pt").unlink()
    assert "model.pt is missing" in model("check", folder).output
    (folder / "manifest.json").write_text(json.dumps({**stated, "gate": {}}))
    assert "gate.modalities: Field required" in model("check", folder).output


def test_route_says_which_models_a_study_would_get_and_why_not_the_others(tmp_path):
    from readfirst.local.phantom import write_phantom_study

    write_phantom_study(tmp_path / "study", seed=3, slices=20, size=256)
    second = default_model().model_copy(update={"name": "second"})
    approvals, table = tmp_path / "approved.json", tmp_path / "routes.json"
    approvals.write_text(json.dumps([m.model_dump(mode="json") for m in (default_model(), second)]))
    routes = [{"name": "north-chests", "models": ["readfirst-chest"], "clinics": ["north"]}]
    table.write_text(json.dumps({"routes": routes, "default": ["second"]}))
    options = ("--routes", table, "--approvals", approvals)
    north = model("route", tmp_path / "study", "--clinic", "north", *options)
    assert north.exit_code == 0
    assert "readfirst-chest 0.5.0: asked by route north-chests (series 2, 20 images)" in north.output
    assert "second 0.5.0: not asked: it is the default, and the study meets a route" in north.output
    elsewhere = model("route", tmp_path / "study", *options)
    assert "second 0.5.0: asked by default: the study meets no route" in elsewhere.output
    assert "readfirst-chest 0.5.0: not asked: route north-chests is for the clinics north" in elsewhere.output
    table.write_text(json.dumps({"routes": routes}))
    nobody = model("route", tmp_path / "study", *options)
    assert nobody.exit_code == 1 and "NOT ANALYSED" in nobody.output
    table.write_text(json.dumps({"default": ["third"]}))
    wrong = model("route", tmp_path / "study", *options)
    assert wrong.exit_code == 1 and "not approved: third" in wrong.output
