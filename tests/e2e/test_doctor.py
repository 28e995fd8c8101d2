"""The doctor's canary goes the whole way through the stack, and the real apps refuse what it forges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from readfirst.adapters.uploads import clinic_results
from readfirst.adapters.uploads.clinic_urls import clinic_urls
from readfirst.cli import build
from readfirst.cli.doctor import canary, tokens
from readfirst.domain.reading.study_record import FLAGGED, NOT_FLAGGED
from readfirst.domain.refusals import Reason, Refused
from readfirst.local.stack import Stack
from readfirst.services import list_study
from tests.e2e.conftest import letters
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("stack")]


def test_a_canary_comes_home_labelled_wakes_nobody_and_leaves_nothing_in_the_inbox(stack: Stack) -> None:
    command = ["doctor", "--canary", "lakeside", "--state", str(stack.folders.state)]
    done = CliRunner().invoke(build(("doctor",)), command, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    for line in ("canary: upload", "canary: label", "canary: results at home", "0 files left", "READFIRST^CANARY"):
        assert line in done.output
    handle = done.output.split("canary: study")[1].split(",")[0].strip()
    record = next(r for r in list_study.every() if r.handle == handle)
    assert record.label in (FLAGGED, NOT_FLAGGED)
    assert (record.purpose, record.alerted) == ("prior", "")
    assert letters(stack, handle) == []


def test_a_canary_of_a_clinic_that_is_not_on_the_list_is_told(stack: Stack) -> None:
    command = ["doctor", "--canary", "nowhere", "--state", str(stack.folders.state)]
    done = CliRunner().invoke(build(("doctor",)), command)
    assert done.exit_code == 2 and "no such clinic" in done.output


def test_a_canary_that_is_refused_or_lost_is_told_with_a_remedy(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = clinic_urls("hillcrest", timedelta(hours=1))
    lost = canary.Canary("canary-lost", "1.2.3", "CANARY-LOST", 1, datetime.now(UTC))
    monkeypatch.setattr(canary, "release", lambda _: lost)
    found = {line.what: line for line in canary.fly(urls.inbox, urls.results, patience=0.5, every=0.1)}
    assert found["canary: result"].verdict == "missing" and "runbook" in found["canary: result"].remedy
    clinic_results.say_upload("hillcrest", "0123456789", "canary-lost/study/IM1", Refused(Reason.NOT_DICOM))
    found = {line.what: line for line in canary.fly(urls.inbox, urls.results, patience=PATIENCE, every=0.1)}
    assert "refused" in found["canary: result"].seen


@pytest.mark.parametrize("app", ["api", "identity"])
def test_the_running_apps_refuse_every_forged_token(stack: Stack, app: str) -> None:
    environment = stack.environment
    lines = list(
        tokens.knock(
            app,  # type: ignore[arg-type]
            f"http://127.0.0.1:{stack.ports.host}",
            environment["OIDC_ISSUER"],
            environment["OIDC_AUDIENCE"],
        )
    )
    assert len(lines) == 4
    assert {line.verdict for line in lines} == {"ok"}, lines
