"""The faults that we know: one family, said in words, and turned into an exit code in one place."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from model_container.storage import MissingSetting
from readfirst import cli
from readfirst.adapters.settings import SettingsError
from readfirst.domain.deid.rules.profile import ProfileError
from readfirst.domain.faults import Fault, WrongCall
from readfirst.local.processes import StackError


def _ended_by(error: Exception) -> tuple[int, str, bool]:
    """The exit code of a command that raises the error, what it says, and whether it leaves the error to Python."""
    app = cli.build(())

    @app.command()
    def anything() -> None:
        raise error

    result = CliRunner().invoke(app, ["anything"])
    return result.exit_code, result.output, result.exception is error


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("The key may not be used."), 1), (WrongCall("No such folder."), 2), (StackError("No port."), 1),
        (SettingsError("CLINICS is missing."), 2), (ProfileError("No such profile."), 2), (MissingSetting("x"), 2),
    ],
)  # fmt: skip
def test_a_command_says_a_fault_in_words_and_ends_with_its_code(fault: Fault, code: int) -> None:
    assert _ended_by(fault) == (code, f"{fault}\n", False)


def test_what_nobody_expected_keeps_its_traceback() -> None:
    code, said, left = _ended_by(KeyError("x"))
    assert (code, said, left) == (1, "", True)


def test_a_commands_own_exit_code_stays() -> None:
    assert _ended_by(typer.Exit(7))[0] == 7
