"""What azd uploads for each app: packaged here by azd's own rules, listed, weighed, and started from."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pathspec import GitIgnoreSpec

from bicep import generate
from readfirst.local.certificates import Certificates
from readfirst.local.environment import DEFAULT_CLINICS, app_settings, load_secrets
from readfirst.local.ports import Ports

APPS = ("intake", "api", "identity")
BUILT = 735_000  # bytes of a package when this was written: a tenth more is looked at before it is let through
NEVER = re.compile(
    r"(^|/)(\.[^/]+|node_modules|tests?|cli|local|model_container|portal_static|bicep|docs|findings|tools|build"
    r"|__pycache__|local\.settings[^/]*|[^/]*\.(pyc|key|pem|db))(/|$)"
)


def packaged(root: Path) -> Iterator[Path]:
    """The files of azd's zip: createDeployableZip of azd 1.31 (cli/azd/pkg/project/project_utils.go).

    It walks the service's folder, leaves out `.azure`, local.settings.json and the ignore file itself, asks the ignore
    file about every entry, and does not look into a folder that is left out.
    """
    ignored = GitIgnoreSpec.from_lines((root / ".funcignore").read_text().splitlines())
    for here, folders, files in os.walk(root, followlinks=True):
        at = Path(here).relative_to(root)
        folders[:] = [d for d in folders if d != ".azure" and not ignored.match_file(f"{(at / d).as_posix()}/")]
        for name in files:
            if name not in (".funcignore", "local.settings.json") and not ignored.match_file((at / name).as_posix()):
                yield at / name


def zipped(root: Path, target: Path) -> zipfile.ZipFile:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for path in packaged(root):
            made.write(root / path, path)
    return zipfile.ZipFile(target)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipped(generate.ROOT, tmp_path_factory.mktemp("package") / "app.zip")


def projects() -> dict[str, Path]:
    """The folder that azd packages for each Functions app."""
    text = (generate.ROOT / "azure.yaml").read_text()
    found = re.findall(r"^  (\w+):\n    project: (\S+)\n    language: python\n    host: function$", text, re.M)
    return {name: (generate.ROOT / folder).resolve() for name, folder in found}


def test_every_app_is_packaged_from_the_folder_that_has_the_ignore_file() -> None:
    assert projects() == dict.fromkeys(APPS, generate.ROOT)


def test_a_package_holds_what_the_apps_run_and_nothing_besides(package: zipfile.ZipFile) -> None:
    names = package.namelist()
    assert {name.split("/")[0] for name in names} == {
        "main.py",
        "host.json",
        "requirements.txt",
        "function_app",
        "orchestrations",
        "readfirst",
    }
    assert [name for name in names if NEVER.search(name)] == []


def test_a_package_is_small(package: zipfile.ZipFile) -> None:
    size = Path(str(package.filename)).stat().st_size
    assert size < 10_000_000, "the most that an upload of one app may take"
    assert size < BUILT * 1.1, f"{size} bytes: the package has grown by more than a tenth"


def test_secrets_keys_and_leftovers_of_a_developers_machine_never_travel(tmp_path: Path) -> None:
    (tmp_path / ".funcignore").write_text((generate.ROOT / ".funcignore").read_text())
    private = (
        ".readfirst/stack/secrets.json", ".readfirst/tls/server.key", ".readfirst/key-vault/root", ".git/config",
        ".env", ".venv/pyvenv.cfg", ".azure/demo/.env", "local.settings.json", "node_modules/a/index.js",
        "readfirst/local/node/node_modules/a/index.js", "readfirst/cli/doctor/machine.py",
        "portal_static/dist/index.html",
        "tests/data/scan.dcm", "build/model/weights.onnx", "study.zip", "notes.txt",
        "readfirst/domain/__pycache__/names.cpython-311.pyc", "something-new/data.bin",
    )  # fmt: skip
    wanted = (
        "main.py",
        "host.json",
        "requirements.txt",
        "readfirst/domain/resource_names.py",
        "function_app/http/guard.py",
    )
    for name in (*private, *wanted):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert {path.as_posix() for path in packaged(tmp_path)} == set(wanted)


LOAD = """
import json, sys
sys.path.insert(0, sys.argv[1])
import main
functions = [function.get_function_name() for function in main.app.get_functions()]
ours = ("readfirst", "function_app", "orchestrations", "main")
files = [m.__file__ for n, m in list(sys.modules.items()) if n.split(".")[0] in ours and getattr(m, "__file__", None)]
print(json.dumps({"functions": functions, "files": files}))
"""


@pytest.mark.parametrize("app", APPS)
def test_each_app_starts_from_its_package_alone(package: zipfile.ZipFile, tmp_path: Path, app: str) -> None:
    """Nothing that an app imports is left out: every module of ours comes from the unpacked package."""
    place = tmp_path / "site"
    package.extractall(place)
    keys = load_secrets(tmp_path / "secrets.json")
    settings = app_settings(Ports(), keys, Certificates(tmp_path / "tls"), DEFAULT_CLINICS)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(place)],
        cwd=tmp_path,
        env={**settings, "READFIRST_APPS": app, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["functions"]
    assert [file for file in said["files"] if not Path(file).is_relative_to(place)] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install 'readfirst[gateway]'` installs in a clinic, unpacked."""
    folder: Path = tmp_path_factory.mktemp("wheel")
    for name in ("readfirst", "pyproject.toml", "requirements-gateway.txt", "LICENSE"):
        source = generate.ROOT / name
        if source.is_dir():
            left_out = shutil.ignore_patterns("node_modules", "__pycache__")
            shutil.copytree(source, folder / "source" / name, ignore=left_out)
        else:
            shutil.copy(source, folder / "source" / name)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", "."]
    subprocess.run([*build, str(folder / "source")], cwd=folder, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as packed:
        packed.extractall(folder / "installed")
    return folder / "installed"


def test_a_clinic_installs_the_gateway_and_nothing_of_apps_job_local_stack_or_benchmarks(wheel: Path) -> None:
    top = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert top == {"readfirst"}
    inside = {path.name for path in (wheel / "readfirst").iterdir()}
    assert inside == {"__init__.py", "command.py", "upload_client.py", "adapters", "domain", "gateway"}
    assert not [path for path in wheel.rglob("*") if path.is_dir() and path.name in ("local", "cli", "services")]


def test_what_a_clinic_has_installed_is_the_command_gateway(wheel: Path) -> None:
    """The same command as in a clone, without the rest of the command line."""
    call = "import sys; sys.path.insert(0, sys.argv.pop(1)); from readfirst.command import main; main()"
    run = [sys.executable, "-S", "-c", call, str(wheel)]
    packages = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    where = {"cwd": wheel, "env": {"PYTHONPATH": packages, "PATH": os.environ["PATH"]}}
    told = subprocess.run([*run, "--help"], **where, capture_output=True, text=True, check=True).stdout
    assert "gateway" in told
    assert "demo" not in told
    refused = subprocess.run([*run, "gateway", "none.toml"], **where, capture_output=True, text=True, check=False)
    assert refused.returncode == 2, refused.stderr
    assert "none.toml" in refused.stderr
