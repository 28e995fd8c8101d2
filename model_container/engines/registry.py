"""The models on this machine: found by digest, checked file by file, loaded once.

A bundle's configuration is code, and weights can be tampered with: what is not approved, or differs from what was
approved by one byte, does not run.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickletools
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from model_container.engines.engine import Engine
from readfirst.domain.analysis.models import Manifest, approved
from readfirst.domain.faults import Fault

# What plain weights are made of.
_PLAIN = {
    "collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter", "torch.Size",
    *(f"torch.{kind}Storage" for kind in ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte",
                                          "Bool")),
}  # fmt: skip
NEEDED = {  # what is used of a bundle's configuration, by task
    "segmentation": ("device", "preprocessing", "network", "inferer", "postprocessing"),
    "classification": ("device", "preprocessing", "network", "inferer", "postprocessing"),
    "detection": ("device", "preprocessing", "network", "detector"),
}
_OLD_PICKLES = 5  # a magic number, a version, facts about the machine, the weights, their keys
_EVALUATED = re.compile(r"""(^|["'\s:-])\$""")
_CALLED = re.compile(r"""_target_["']?\s*:\s*["']?(?!monai\.|torch\.nn\.)\w+\.""")
MODELS = Path(__file__).parents[1] / "models"


class NotApproved(Fault):
    """The model may not run; the message says why and what to do, without content."""


def digests(folder: Path) -> dict[str, str]:
    """The digest of every file of a bundle but its manifest.

    Raises NotApproved for a link, which can lead elsewhere tomorrow, and for compiled Python, which nobody can read
    and which Python prefers to the scripts beside it.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            raise NotApproved(f"{name} is a link: a bundle holds plain files only")
        if "__pycache__" in path.parts or path.suffix == ".pyc":
            raise NotApproved(f"{name} is compiled Python, which nobody can read: remove it")
        if path.is_dir() or name == "manifest.json":
            continue
        if not path.is_file():
            raise NotApproved(f"{name} is not a plain file")
        found[name] = _digest(path, name)
    return found


def _digest(path: Path, name: str) -> str:
    """Weights can be larger than memory: the file is read in pieces."""
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise NotApproved(f"{name} cannot be read ({error.strerror})") from error


class ModelRegistry:
    """The bundles in a directory, each with a manifest that names its files."""

    def __init__(self, folder: Path = MODELS, allowed: Iterable[Manifest] | None = None) -> None:
        self.folder = folder
        self.allowed = {m.digest: m for m in (approved() if allowed is None else allowed)}
        self._loaded: dict[str, tuple[Manifest, Engine]] = {}

    def load(self, digest: str) -> tuple[Manifest, Engine]:
        """The approved model with this digest, loaded; raises NotApproved when it may not run."""
        if digest not in self._loaded:
            manifest = self.allowed.get(digest)
            if manifest is None:
                raise NotApproved(
                    f"model {digest[:12]} is not approved: `readfirst model approve` and a commit make it so"
                )
            folder = folder_of(self.folder, manifest)
            check_files(folder, manifest)
            self._loaded[digest] = (manifest, open_engine(folder, manifest))
        return self._loaded[digest]


def folder_of(models: Path, manifest: Manifest) -> Path:
    """Where a model's files are: in a folder of its name, or, of a version that is kept to go back to, of its name and
    version."""
    of_version = models / f"{manifest.name}-{manifest.version}"
    return of_version if of_version.is_dir() else models / manifest.name


def check_files(folder: Path, manifest: Manifest) -> None:
    """Raises NotApproved unless the folder holds exactly the files that were approved."""
    if not folder.is_dir():
        raise NotApproved(f"model {manifest.name}: its folder is not among the models")
    try:
        present = digests(folder)
    except NotApproved as error:
        raise NotApproved(f"model {manifest.name}: {error}") from error
    for name, digest in manifest.files.items():
        if name not in present:
            raise NotApproved(f"model {manifest.name}: {name} is missing")
        if present[name] != digest:
            raise NotApproved(f"model {manifest.name}: {name} differs from what was approved")
    extra = sorted(set(present) - set(manifest.files))
    if extra:
        raise NotApproved(f"model {manifest.name}: {extra[0]} was never approved, and a bundle's files are code")


def complaints(folder: Path, manifest: Manifest) -> list[str]:
    """What keeps a whole bundle from running, as far as it shows without running any of it."""
    if manifest.engine != "monai-bundle":
        return []
    found = _complaints_about_configuration(configuration(folder), manifest)
    weights = folder / "models" / "model.pt"
    if not weights.is_file():
        others = sorted(p.name for p in weights.parent.glob("model.*"))
        apart = "the zoo keeps weights apart (large_files.yml)"
        found.append(f"models/model.pt is missing: {', '.join(others) + ' is not taken instead' if others else apart}")
    elif strange := sorted(set(_pickled(weights)) - _PLAIN):
        found.append(f"models/model.pt holds more than weights ({', '.join(strange[:5])}), and will not be loaded")
    return found


def _complaints_about_configuration(path: Path | None, manifest: Manifest) -> list[str]:
    if path is None:
        return ["configs/ holds no inference.json or inference.yaml"]
    if path.suffix != ".json":
        return []  # the operator's machine need not read YAML; the job says the same when it loads the bundle
    try:
        stated = json.loads(path.read_text())
    except ValueError as error:
        return [f"configs/{path.name} is not JSON ({error})"]
    if not isinstance(stated, dict):
        return [f"configs/{path.name} is not a list of names and values"]
    missing = [name for name in NEEDED[manifest.task] if name not in stated and name not in manifest.settings]
    return [f"configs/{path.name} has no {', '.join(missing)}, and neither have the settings"] if missing else []


def configuration(folder: Path) -> Path | None:
    """The configuration that is run."""
    places = sorted((folder / "configs").glob("inference.*")) if (folder / "configs").is_dir() else []
    return next((p for p in places if p.suffix in (".json", ".yaml", ".yml")), None)


def code_of(folder: Path) -> list[str]:
    """What a person reads to approve a bundle: the lines of its configuration that MONAI would evaluate or call as
    Python, but for what is MONAI's or torch's own; and its scripts."""
    path = configuration(folder)
    lines = path.read_text().splitlines() if path else []
    code = [line.strip() for line in lines if _EVALUATED.search(line) or _CALLED.search(line)]
    return code + [str(p.relative_to(folder)) for p in sorted(folder.rglob("*.py"))]


def _pickled(weights: Path) -> Iterator[str]:
    """Whatever a file of weights would import when it is loaded; "?" for what is no pickle at all."""
    try:
        with zipfile.ZipFile(weights) as packed:
            name = next(n for n in packed.namelist() if n.endswith("data.pkl"))
            program = any("/code/" in n for n in packed.namelist())
            content = packed.read(name)
    except (zipfile.BadZipFile, StopIteration):
        with weights.open("rb") as file:  # as torch wrote them before 1.6: several pickles, then the numbers
            yield from _imported(file, _OLD_PICKLES)
    except (zlib.error, RuntimeError):  # broken or encrypted
        yield "?"
    else:
        yield from ("TorchScript",) if program else _imported(io.BytesIO(content), 1)


def _imported(content: IO[bytes], pickles: int) -> Iterator[str]:
    """The names that the first pickles in a file import."""
    texts: list[str] = []
    try:
        for _ in range(pickles):
            for opcode, argument, _ in pickletools.genops(content):
                if opcode.name == "GLOBAL":
                    yield str(argument).replace(" ", ".")
                elif opcode.name == "STACK_GLOBAL":
                    yield ".".join(texts[-2:])
                elif isinstance(argument, str):
                    texts.append(argument)
    except ValueError:
        yield "?"


def open_engine(folder: Path, manifest: Manifest) -> Engine:
    """Loads the network with the engine that the manifest names."""
    if manifest.engine == "monai-bundle":
        from model_container.engines.monai.engine import BundleEngine

        return BundleEngine(folder, manifest)
    from model_container.engines.chest.engine import ChestEngine

    return ChestEngine(folder, manifest)
