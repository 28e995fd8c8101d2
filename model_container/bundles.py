"""The models on this machine: found by digest, checked file by file, loaded once.

A bundle's configuration is code, and weights can be tampered with: what is not approved, or differs from what was
approved by one byte, does not run.
"""

from __future__ import annotations

import hashlib
import pickletools
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from model_container.reading import Engine
from readfirst.domain.models import Manifest, approved

# What plain weights are made of.
_PLAIN = {
    "collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter", "torch.Size",
    *(f"torch.{kind}Storage" for kind in ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte",
                                          "Bool")),
}  # fmt: skip
MODELS = Path(__file__).parent / "models"


class NotApproved(Exception):
    """The model may not run; the message says why and what to do, without content."""


def digests(folder: Path) -> dict[str, str]:
    """The digest of every file of a bundle but its manifest."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in files
        if p.name != "manifest.json"
    }


class Shelf:
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
            folder = self.folder / manifest.name
            check_files(folder, manifest)
            self._loaded[digest] = (manifest, open_engine(folder, manifest))
        return self._loaded[digest]


def check_files(folder: Path, manifest: Manifest) -> None:
    """Raises NotApproved unless the folder holds exactly the files that were approved."""
    present = digests(folder)
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
    found = []
    if configuration(folder) is None:
        found.append("configs/ holds no inference.json or inference.yaml")
    weights = folder / "models" / "model.pt"
    if not weights.is_file():
        found.append("models/model.pt is missing: the zoo keeps weights apart (large_files.yml)")
    elif strange := sorted(set(_pickled(weights)) - _PLAIN):
        found.append(f"models/model.pt holds more than weights ({', '.join(strange[:5])}), and will not be loaded")
    return found


def configuration(folder: Path) -> Path | None:
    """The configuration that is run."""
    places = sorted((folder / "configs").glob("inference.*")) if (folder / "configs").is_dir() else []
    return next((p for p in places if p.suffix in (".json", ".yaml", ".yml")), None)


def code_of(folder: Path) -> list[str]:
    """Those lines of a bundle's configuration that MONAI would evaluate as Python: a person reads them to approve."""
    path = configuration(folder)
    lines = path.read_text().splitlines() if path else []
    return [line.strip() for line in lines if re.search(r"""(^|["'\s:-])\$""", line)]


def _pickled(weights: Path) -> Iterator[str]:
    """Whatever a file of weights would import when it is loaded; "?" for what is no pickle at all."""
    try:
        with zipfile.ZipFile(weights) as packed:
            name = next(n for n in packed.namelist() if n.endswith("data.pkl"))
            content = packed.read(name)
    except (zipfile.BadZipFile, StopIteration):
        content = weights.read_bytes()  # as torch wrote them before 1.6
    texts: list[str] = []
    try:
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
        from model_container.monai_bundle import BundleEngine

        return BundleEngine(folder, manifest)
    from model_container.chest import ChestEngine

    return ChestEngine(folder, manifest)
