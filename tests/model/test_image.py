"""The job's image, as far as it can be tried without building it: its files alone are enough, and hold nothing else."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "model_container/Dockerfile").read_text()


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """/app as the Dockerfile's own COPY and RUN rm lines make it."""
    app = tmp_path_factory.mktemp("app")
    for source, target in re.findall(r"^COPY (readfirst\S*|model_container) (\S+)$", DOCKERFILE, re.MULTILINE):
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, app / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (app / target).mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, app / target)
    for gone in re.search(r"^RUN rm -rf ([^\\]+)\\", DOCKERFILE, re.MULTILINE)[1].split():
        shutil.rmtree(app / gone) if (app / gone).is_dir() else (app / gone).unlink()
    return app


JOB_PYTHON = ROOT / ".venv-job/bin/python"  # `make sbom` makes it: the job's requirements and nothing else
HADOLINT = Path(sys.executable).with_name("hadolint")


def run(layout, *command, python=sys.executable):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(layout), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run([str(python), *command], cwd=layout, env=environment, capture_output=True, text=True)


def test_the_job_runs_from_the_image_s_files_alone(layout):
    code = (
        "import sys, model_container.job, model_container.engines.chest.engine, model_container.outputs.dicom\n"
        "ours = [m.__file__ for n, m in sys.modules.items() if n.split('.')[0] in ('readfirst', 'model_container')]\n"
        "from readfirst.domain.analysis.models import default_model\n"
        "model_container.engines.registry.ModelRegistry().load(default_model().digest)\n"
        "print('\\n'.join(ours))"
    )
    said = run(layout, "-c", code)
    assert said.returncode == 0, said.stderr
    assert said.stdout.split() and all(line.startswith(str(layout)) for line in said.stdout.split())


@pytest.mark.skipif(not JOB_PYTHON.exists(), reason="`make sbom` makes an environment of the job's requirements alone")
def test_the_job_s_requirements_alone_are_enough(layout):
    """Loads the model, and asks for every decoder and writer that a study can need."""
    code = (
        "import gdcm, jpeg_ls, openjpeg, rle\n"
        "import model_container.job, model_container.outputs.dicom, model_container.images.pixels\n"
        "from model_container.engines.registry import ModelRegistry\n"
        "from readfirst.domain.analysis.models import default_model\n"
        "print(ModelRegistry().load(default_model().digest)[1].device)"
    )
    said = run(layout, "-c", code, python=JOB_PYTHON)
    assert said.returncode == 0 and said.stdout.strip() == "cpu", said.stderr
    started = run(layout, "-m", "model_container", python=JOB_PYTHON)
    assert started.returncode == 1 and "missing settings: STUDIES" in started.stderr


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is not installed (requirements-dev.txt)")
def test_hadolint_has_nothing_to_say_about_the_dockerfile():
    said = subprocess.run([HADOLINT, ROOT / "model_container/Dockerfile"], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, ""), said.stdout


def test_both_variants_install_what_the_requirements_pin(layout):
    """The GPU's runtime replaces the CPU's by its name; a line that the replacement missed would install both."""
    line = re.search(r'sed "s/(\^onnxruntime==\.\*)/', DOCKERFILE)[1]
    pinned = [x for x in (ROOT / "model_container/requirements.txt").read_text().splitlines() if re.match(line, x)]
    assert len(pinned) == 1
    documented = re.search(r"RUNTIME=(onnxruntime==\S+)", DOCKERFILE)[1]
    assert documented == pinned[0]


def test_its_entry_point_is_the_one_that_the_local_stack_starts(layout):
    assert 'ENTRYPOINT ["python", "-m", "model_container"]' in DOCKERFILE
    said = run(layout, "-m", "model_container")
    assert said.returncode == 1 and "missing settings: STUDIES" in said.stderr


def test_everything_that_its_files_import_is_in_its_requirements(layout):
    wanted = set()
    for path in layout.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            wanted |= {name.split(".")[0] for name in names}
    listed = {
        "azure",
        "highdicom",
        "imagecodecs",
        "numpy",
        "onnxruntime",
        "PIL",
        "pydantic",
        "pydicom",
        "readfirst",
        "model_container",
    }
    bundles = {"torch", "monai", "nibabel"}
    deid_only = {"cv2", "rapidocr", "onnxruntime", "zxingcpp", "cryptography"}  # the intake's: the job never calls them
    assert wanted - set(sys.stdlib_module_names) - listed - bundles - deid_only == set()


def test_it_does_not_run_as_root_and_carries_no_training_code(layout):
    assert re.search(r"^USER 10001$", DOCKERFILE, re.MULTILINE)
    assert not (layout / "model_container/training").exists() and not (layout / "readfirst/local").exists()
