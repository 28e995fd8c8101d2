"""Which de-identification made a file: the engine's version, and a digest of its sources and rules.

The version is for people and goes into clean copies. The digest changes by itself with every source and every rule, so
that two receipts say the same version only where the same code and the same rules made both.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

ENGINE_VERSION = "1.1.0"
_COUNTS = (".py", ".csv", ".toml", ".json", ".gz")


@cache
def engine_build() -> str:
    """The version and 12 hex digits of the digest, as receipts carry them: "1.1.0+0123456789ab"."""
    return f"{ENGINE_VERSION}+{digest_of(resources.files(__package__))[:12]}"


def digest_of(package: Traversable) -> str:
    """SHA-256, hex, of a package's sources and data files with their names, in the order of these."""
    digest = hashlib.sha256()
    for name, file in sorted(_files(package, "")):
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _files(folder: Traversable, path: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for one in folder.iterdir():
        if one.is_dir() and one.name != "__pycache__":
            found += _files(one, f"{path}{one.name}/")
        elif one.name.endswith(_COUNTS):
            found.append((f"{path}{one.name}", one))
    return found
