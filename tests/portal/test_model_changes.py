"""Two persons change what runs: through app `identity`, audited, into a history that the command line shows too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from function_app.http import guard
from function_app.http import model_changes as handlers
from readfirst.adapters import clients, clock
from readfirst.adapters.studies import model_changes as kept
from readfirst.cli import build
from readfirst.domain import resource_names
from readfirst.domain.addresses import API
from readfirst.domain.analysis.models import default_model
from readfirst.domain.routing.changes import PROPOSAL_LASTS, as_deployed
from readfirst.domain.routing.routes import routes
from tests.portal.conftest import Client, Issuer
from tests.portal.studies import CLINIC_NAMES

PATH = "/identity/model-changes"
EVERYWHERE = tuple(CLINIC_NAMES)
OLD = default_model()
NEW = OLD.model_copy(update={"version": "9.0"})
ABSENT = OLD.model_copy(update={"version": "9.1"})
ACTIVATE = {"act": "activate", "digest": NEW.digest, "reason": "Better on thin slices, as the card says"}


@pytest.fixture(autouse=True)
def history(storage: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three approved versions of a model, of which the image holds two; nobody has changed anything."""
    monkeypatch.setattr(handlers, "approved", lambda: (OLD, NEW, ABSENT))
    monkeypatch.setattr(handlers, "in_image", lambda: frozenset({OLD.digest, NEW.digest}))
    made = {app: guard.Buckets(per_minute=60, burst=40) for app in ("api", "identity")}
    monkeypatch.setattr(guard, "buckets", made.__getitem__)
    container = clients.container(resource_names.STUDIES, resource_names.MODEL_CHANGES)
    for name in list(container.list_blob_names()):
        container.delete_blob(name)
    kept._entries.cache_clear()
    yield
    kept._entries.cache_clear()


@pytest.fixture
def oda(as_: Callable[..., Client]) -> Client:
    return as_("operator", clinics=EVERYWHERE, name="Oda")


@pytest.fixture
def rona(as_: Callable[..., Client]) -> Client:
    return as_("radiologist", clinics=EVERYWHERE, name="Rona")


def running() -> str:
    """The version that runs, as planning and the job read it."""
    state = kept.history(as_deployed((OLD, NEW, ABSENT), routes())).state
    return next(m.version for m in (OLD, NEW, ABSENT) if m.digest == state.active[m.name])


def confirm(client: Client, proposal: str, **word: Any) -> Any:
    return client.post(f"{PATH}/{proposal}/decision", json={"confirm": True, **word})


def test_a_model_runs_once_a_second_person_has_confirmed_it_and_is_gone_again_the_same_way(
    oda: Client, rona: Client
) -> None:
    made = oda.post(PATH, json=ACTIVATE)
    assert made.status_code == 201 and running() == OLD.version
    own = confirm(oda, made.json()["id"])
    assert own.status_code == 409 and "second person" in own.json()["detail"] and running() == OLD.version
    done = confirm(rona, made.json()["id"], note="Looked at the card")
    assert (done.status_code, done.json()["number"], running()) == (200, 1, "9.0")
    assert confirm(rona, made.json()["id"]).json() == done.json(), "sent again: the same answer, no second entry"
    back = rona.post(PATH, json={"act": "rollback", "to": 0, "reason": "Too many false alarms since then"})
    assert confirm(oda, back.json()["id"]).json()["number"] == 2
    assert running() == OLD.version
    shown = oda.get(PATH).json()
    assert [(c["number"], c["what"], c["proposed_by"], c["confirmed_by"]) for c in shown["changes"]] == [
        (2, "rollback to 0", "Rona", "Oda"),
        (1, "activate readfirst-chest 9.0", "Oda", "Rona"),
    ]
    assert shown["changes"][1]["reason"] == ACTIVATE["reason"] and shown["changes"][1]["note"] == "Looked at the card"
    assert {m["version"]: (m["active"], m["in_image"]) for m in shown["models"]} == {
        OLD.version: (True, True), "9.0": (False, True), "9.1": (False, False)
    }  # fmt: skip


def test_an_active_model_that_a_deployment_approves_no_more_is_shown_as_what_it_is(
    oda: Client, rona: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert confirm(rona, oda.post(PATH, json=ACTIVATE).json()["id"]).status_code == 200
    monkeypatch.setattr(handlers, "approved", lambda: (OLD,))
    shown = {m["digest"]: (m["active"], m["approved"], m["in_image"]) for m in oda.get(PATH).json()["models"]}
    assert shown == {OLD.digest: (False, True, True), NEW.digest: (True, False, False)}


def test_every_part_of_a_change_is_in_the_audit_log(oda: Client, rona: Client, as_: Callable[..., Client]) -> None:
    made = oda.post(PATH, json=ACTIVATE).json()["id"]
    assert confirm(rona, made).status_code == 200
    pia = as_("privacy-officer", clinics=EVERYWHERE, name="Pia")
    entries = pia.get("/audit", params={"app": "identity"}).json()["entries"][:2]
    assert [(e["act"], e["outcome"], e["name"]) for e in entries] == [
        ("model_change_decide", "yes", "Rona"),
        ("model_change_propose", "asked", "Oda"),
    ]
    assert all(NEW.digest in e["reason"] and made in e["reason"] for e in entries)


def test_what_is_not_approved_or_not_in_the_image_cannot_even_be_proposed(oda: Client) -> None:
    unknown = oda.post(PATH, json={**ACTIVATE, "digest": "0" * 64})
    assert unknown.status_code == 409 and "No approved model" in unknown.json()["detail"]
    absent = oda.post(PATH, json={**ACTIVATE, "digest": ABSENT.digest})
    assert absent.status_code == 409 and "image" in absent.json()["detail"]
    assert oda.post(PATH, json={**ACTIVATE, "reason": "short"}).status_code == 422
    assert oda.get(PATH).json()["proposals"] == []


def test_a_person_of_some_clinics_changes_nothing_for_all(as_: Callable[..., Client], oda: Client) -> None:
    local = as_("operator", clinics=(EVERYWHERE[0],), name="Lola")
    refused = local.post(PATH, json=ACTIVATE)
    assert (refused.status_code, refused.json()["code"]) == (403, "not-every-clinic")
    made = oda.post(PATH, json=ACTIVATE).json()["id"]
    assert confirm(local, made).status_code == 403 and running() == OLD.version


def test_a_proposal_is_declined_taken_back_or_lapses(
    oda: Client, rona: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    declined, own, late = (oda.post(PATH, json=ACTIVATE).json()["id"] for _ in range(3))
    assert [p["id"] for p in rona.get(PATH).json()["proposals"]] == [declined, own, late]
    assert confirm(rona, declined, confirm=False).json()["state"] == "declined"
    assert confirm(oda, own, confirm=False).json()["state"] == "declined"
    assert confirm(rona, declined).status_code == confirm(rona, own).status_code == 404
    now = clock.now()
    monkeypatch.setattr(guard.clock, "now", lambda: now + PROPOSAL_LASTS + timedelta(minutes=1))
    assert rona.get(PATH).json()["proposals"] == []
    refused = confirm(rona, late)
    assert refused.status_code == 409 and "lapsed" in refused.json()["detail"] and running() == OLD.version


def test_of_two_proposals_that_are_confirmed_at_once_one_holds(oda: Client, rona: Client) -> None:
    off = {"act": "deactivate", "digest": OLD.digest, "reason": "The scanner was replaced last week"}
    both = [oda.post(PATH, json=wish).json()["id"] for wish in (ACTIVATE, off)]
    with ThreadPoolExecutor() as pool:
        answers = sorted(pool.map(lambda one: confirm(rona, one).status_code, both))
    assert answers == [200, 409]
    shown = rona.get(PATH).json()
    assert shown["number"] == 1 and shown["proposals"] == []


def test_the_command_line_proposes_confirms_goes_back_and_shows_the_history(
    address: str, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("READFIRST_IDENTITY_URL", address.removesuffix(API))

    def model(person: str, *words: str) -> tuple[int, str]:
        claims = issuer.claims("operator", clinics=EVERYWHERE, name=person)
        monkeypatch.setenv("READFIRST_TOKEN", issuer.token(claims))
        done = CliRunner().invoke(build(("model",)), ["model", *words], env={"COLUMNS": "200"})
        return done.exit_code, done.output

    because = ("--reason", ACTIVATE["reason"])
    status, said = model("Oda", "propose", "activate", NEW.digest[:12], *because)
    assert status == 0 and running() == OLD.version
    order = said.splitlines()[-1].removeprefix("readfirst model ").split()
    status, said = model("Oda", *order)
    assert status == 1 and "second person" in said
    assert model("Olaf", *order)[0] == 0 and running() == "9.0"
    back = model("Olaf", "rollback", "--reason", "Too many false alarms since then")[1]
    assert model("Oda", *back.splitlines()[-1].removeprefix("readfirst model ").split())[0] == 0
    assert running() == OLD.version
    table = tmp_path / "routes.json"
    table.write_text(json.dumps({"default": ["tumour"]}))
    status, said = model("Oda", "propose", "routes", str(table), *because)
    assert status == 1 and "not approved: tumour" in said
    status, said = model("Oda", "propose", "activate", NEW.digest, "--reason", "because")
    assert status == 1 and "reason" in said
    shown = model("Oda", "history")[1]
    assert "since entry 2" in shown and "rollback to 0" in shown and "Olaf" in shown
