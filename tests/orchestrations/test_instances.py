"""Instance ids: what the orchestrators call is what an erasure and a cancellation stop, and one module names it."""

from __future__ import annotations

import ast
import asyncio
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrations import erase
from orchestrations.erase import cancel_runs, stop_runs
from readfirst.domain.workflow_messages import MOST_MODELS, Run, model_of
from tests.orchestrations.test_outage import ALERT, RUN, Study

ROOT = Path(__file__).parents[2]
SOURCES = [path for room in ("orchestrations", "function_app", "readfirst") for path in (ROOT / room).rglob("*.py")]
NAMES = ROOT / "readfirst/domain/workflow_messages.py"


def under_way() -> dict[str, str]:
    """Every orchestration that reading and replaying a study brings into being, by instance id; alerts left out."""
    study = Study().goes()
    study.host.start("replay_study", RUN.replay, RUN.dump())
    study.host.run()
    return {name: made.name for name, made in study.host.instances.items() if name != ALERT.instance}


def called_by_an_orchestrator() -> set[str]:
    """The orchestrators that the sources call as a part of another one."""
    calls = (
        node
        for path in (ROOT / "orchestrations").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "").startswith("call_sub_orchestrator")
    )
    return {ast.unparse(call.args[0]).strip("\"'") for call in calls}


def test_a_run_lists_every_orchestration_that_it_and_its_replay_call() -> None:
    """Whoever adds a sub-orchestration adds it to `Run.instances`: a study that is erased must not go on in it.

    This study gets one model; where it gets several, an orchestration for each is called too (test_several_models.py).
    """
    found = under_way()
    analyses = [name for name, what in found.items() if what == "analyse"]
    of_models = {model_of(analysis, k) for analysis in analyses for k in range(1, MOST_MODELS + 1)}
    assert set(found) | of_models == set(RUN.instances())
    assert set(found.values()) - {"run_study", "replay_study"} == called_by_an_orchestrator() - {"ask_model"}


def test_a_sub_orchestration_that_is_not_listed_would_be_found() -> None:
    """The test above starts from what really runs: here a run calls one more."""

    def run_study_with_another(context: Any) -> Any:
        return (yield context.call_sub_orchestrator("read_study", RUN.dump(), f"{context.instance_id}-another"))

    study = Study()
    study.host.others = {"run_study": run_study_with_another}
    study.goes()
    assert set(study.host.instances) - set(RUN.instances()) - {ALERT.instance} == {
        f"{RUN.instance}-another", f"{RUN.instance}-another-analyse",
    }  # fmt: skip


class Client:
    """A durable client of which every orchestration is under way."""

    def __init__(self) -> None:
        self.stopped: list[str] = []

    async def get_status(self, instance: str) -> SimpleNamespace:
        return SimpleNamespace(runtime_status=SimpleNamespace(value="Running"))

    async def terminate(self, instance: str, reason: str) -> None:
        self.stopped.append(instance)


class Ledger:
    """A study of two runs."""

    def runs(self) -> int:
        return 2

    def cancel(self, run: int) -> None:
        pass


@pytest.fixture
def two_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erase, "ledger_of", lambda token: Ledger())
    monkeypatch.setattr(erase, "seal_rest", lambda ledger: ledger.runs())
    monkeypatch.setattr(erase.receipts, "alerted", lambda token: ["lung-nodule"])


def stopped_by(activity: Any, given: Any) -> list[str]:
    """What an activity stops."""
    client = Client()
    asyncio.run(activity._function.get_user_function().client_function(given, client))
    return client.stopped


def test_a_cancellation_stops_every_instance_of_every_run(two_runs: None) -> None:
    assert stopped_by(cancel_runs, RUN.next.dump()) == [*RUN.instances(), *RUN.next.instances()]


def test_an_erasure_stops_those_the_run_that_still_settles_and_the_alerts(two_runs: None) -> None:
    three = [Run(token=RUN.token, clinic="any", n=n).instances() for n in (1, 2, 3)]
    assert stopped_by(stop_runs, RUN.token) == [*(name for one in three for name in one), ALERT.instance]


def test_no_other_module_makes_up_an_instance_id() -> None:
    made_up = re.compile(
        r"\}-(read|analyse|replay|cancel)\b|[\"'](erase|alert)-\{|[\"']-(read|analyse|replay|cancel)\b"
    )
    assert made_up.search(NAMES.read_text())
    found = [str(path.relative_to(ROOT)) for path in SOURCES if path != NAMES and made_up.search(path.read_text())]
    assert found == []
