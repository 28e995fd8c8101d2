"""`readfirst doctor`: what it says about a machine that lacks something."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from readfirst.cli import build
from readfirst.cli.doctor import machine
from readfirst.local.ports import HOST, choose


def run() -> tuple[int, str]:
    outcome = CliRunner().invoke(build(("doctor",)), ["doctor"], env={"COLUMNS": "200"})
    return outcome.exit_code, outcome.output


def test_a_machine_that_has_everything_passes() -> None:
    code, said = run()
    assert code == 0, said
    assert "Everything that the local stack needs is there." in said


def test_a_machine_without_node_is_told_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code, said = run()
    assert code == 1
    assert "install Node 20 or newer" in said


def test_an_old_node_is_told_to_be_newer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "node"
    program.write_text("#!/bin/sh\necho v18.19.1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    finding = next(machine.node())
    assert (finding.verdict, finding.seen) == ("missing", "18.19.1")


def test_a_package_in_another_version_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model_container").mkdir()
    for file in ("requirements.txt", "requirements-dev.txt", "model_container/requirements.txt"):
        (tmp_path / file).write_text("# a comment\naiohttp==0.0.1\n")
    monkeypatch.setattr(machine, "PROJECT", tmp_path)
    (finding,) = machine.python_packages()
    assert finding.verdict == "missing"
    assert "aiohttp 0.0.1 (found 3." in finding.seen


def test_a_port_in_use_is_named_and_no_obstacle() -> None:
    with socket.create_server((HOST, 0)) as server:
        taken = server.getsockname()[1]
        (finding,) = machine.ports(replace(choose("auto", ()), cosmos=taken))
    assert finding.verdict == "optional"
    assert finding.seen == f"in use: {taken} (cosmos)"
