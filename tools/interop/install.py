"""The peers, each from where its authors publish it: Debian, PyPI into an environment of its own, npm into a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEBIAN = {
    "dcmtk": "dcmdump",
    "orthanc": "Orthanc",
    "orthanc-dicomweb": "",
    "dicom3tools": "dciodvfy",
    "chromium": "chromium",
}
PYPI = (
    "dcm2niix==1.0.20260724", "dcmqi==1.5.7", "dicomweb-client==0.61.2", "highdicom==0.28.2", "nibabel==5.4.2",
    "pydicom==3.0.2", "pyjpegls==1.5.1", "pylibjpeg-openjpeg==2.6.0", "pylibjpeg==2.1.0", "python-gdcm==3.2.6",
    "SimpleITK==2.5.7",
)  # fmt: skip
NPM = ("dicomweb-client@0.11.3",)
_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


class NotHere(Exception):
    """A peer cannot be had on this machine; the message says why."""


@dataclass(frozen=True)
class Installed:
    """Where the peers lie."""

    bin: Path  # of the Python environment
    npm: Path  # node_modules
    reader: Path  # node_modules of dcmjs, which the tests use

    def program(self, name: str) -> str:
        """A program's path: of the environment, else of Debian. Raises NotHere."""
        own = self.bin / name
        found = str(own) if own.exists() else shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/bin")
        if not found:
            raise NotHere(f"{name} is not installed")
        return found

    @property
    def orthanc_plugin(self) -> Path:
        """Orthanc's DICOMweb plugin. Raises NotHere."""
        if not _PLUGIN.exists():
            raise NotHere("Debian's orthanc-dicomweb is not installed")
        return _PLUGIN


def install() -> Installed:
    """Installs what is missing; Debian's packages only where we are root and apt-get is there."""
    _debian()
    home, packages = ROOT / ".venv-interop", ROOT / "build" / "interop"
    pinned = home / ".pinned"
    wanted = "\n".join(PYPI)
    if not pinned.exists() or pinned.read_text() != wanted:
        _run(sys.executable, "-m", "venv", "--clear", str(home))
        _run(str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PYPI)
        pinned.write_text(wanted)
    packages.mkdir(parents=True, exist_ok=True)
    (packages / "package.json").write_text('{"name": "readfirst-interop", "private": true}\n')
    _run(
        "npm",
        "install",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
        "--prefix",
        str(packages),
        *NPM,
    )
    reader = ROOT / "tests/model/reader"
    if not (reader / "node_modules").exists():
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(reader))
    return Installed(home / "bin", packages / "node_modules", reader)


def _debian() -> None:
    missing = [
        name for name, program in DEBIAN.items() if program and not shutil.which(program, path="/usr/bin:/usr/sbin")
    ]
    if not _PLUGIN.exists():
        missing.append("orthanc-dicomweb")
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        _run("apt-get", "update", "-qq", environment=environment)
        _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, environment=environment)


def debian_version(package: str) -> str:
    """As dpkg knows it."""
    asked = ["dpkg-query", "--show", "--showformat", "${Version}", package]
    return subprocess.run(asked, capture_output=True, text=True).stdout.strip() or "?"


def _run(*command: str, environment: dict[str, str] | None = None) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
