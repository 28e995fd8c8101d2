"""Which models a study gets: by the routes that it meets, else by default; and why not the others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from readfirst.domain.analysis.models import Gate, Manifest, approved, default_model
from readfirst.domain.routing.routes import Route, Routes, Routing, parse_routes, route, routes, unmet_by
from readfirst.domain.workflow_messages import MOST_MODELS
from tests.spec.test_series import slices

CHEST = default_model()
SPLEEN = CHEST.model_copy(
    update={"name": "spleen", "gate": Gate(modalities=("CT",), body_parts=("ABDOMEN", "CHESTABDOMEN"))}
)
CHILD = CHEST.model_copy(update={"name": "child", "gate": Gate(modalities=("CT",), body_parts=("CHEST",), max_age=17)})
MODELS = (CHEST, SPLEEN, CHILD)
ONLY_CHEST = Routes(default=(CHEST.name,))


def routed(
    table: Routes,
    *,
    models: tuple[Manifest, ...] = MODELS,
    clinic: str = "north",
    purpose: Any = "current",
    **facts: Any,
) -> Routing:
    return route(slices(14, **{"body_part": "CHEST", **facts}), clinic, purpose, table, models)


def asked(routing: Routing) -> list[str]:
    return [one.model.name for one in routing.asked]


def why_not(routing: Routing) -> dict[str, str]:
    return {one.model.name: one.why for one in routing.others}


def of(name: str, *models: str, **conditions: Any) -> Route:
    return Route(name=name, models=models, **conditions)


def test_a_study_that_meets_no_route_gets_the_default_models() -> None:
    (one,) = routed(ONLY_CHEST).asked
    assert one.model == CHEST and one.why == "by default: the study meets no route"


def test_a_study_gets_the_models_of_every_route_that_it_meets_each_once() -> None:
    table = Routes(
        routes=(of("chests", CHEST.name), of("torsos", "spleen", CHEST.name, body_parts=("CHESTABDOMEN",))),
        default=("child",),
    )
    found = routed(table, body_part="CHESTABDOMEN")
    assert asked(found) == [CHEST.name, "spleen"]
    assert [one.routes for one in found.asked] == [("chests", "torsos"), ("torsos",)]
    assert why_not(found) == {"child": "it is the default, and the study meets a route"}


def test_a_model_whose_gate_does_not_admit_the_study_is_not_asked_and_its_gate_says_why() -> None:
    found = routed(Routes(routes=(of("all", CHEST.name, "spleen"),)))
    assert asked(found) == [CHEST.name]
    assert why_not(found)["spleen"].startswith("its gate: body-part-out-of-scope: ")
    assert found.nearest is None


def test_where_no_gate_admits_the_study_the_first_model_says_why() -> None:
    nearest = routed(Routes(routes=(of("all", "spleen", "child"),)), patient_age="040Y").nearest
    assert nearest is not None and nearest.model == SPLEEN and nearest.choice is not None


def test_a_study_that_no_route_and_no_default_leads_anywhere_gets_no_model() -> None:
    found = routed(Routes(routes=(of("mr", CHEST.name, modalities=("MR",)),)))
    assert asked(found) == [] and found.nearest is None
    assert why_not(found) == {
        CHEST.name: "route mr is for MR", "spleen": "no route names it", "child": "no route names it"
    }  # fmt: skip


CONDITIONS = [
    ({"clinics": ("south",)}, {}, "for the clinics south"),
    ({"purposes": ("prior",)}, {}, "for studies that are prior"),
    ({"modalities": ("MR", "PT")}, {}, "for MR/PT"),
    ({"body_parts": ("HEAD",)}, {}, "for HEAD"),
    ({"min_age": 18}, {"patient_age": "017Y"}, "for ages from 18"),
    ({"max_age": 17}, {"patient_age": "018Y"}, "for ages up to 17"),
    ({"min_age": 1, "max_age": 2}, {"patient_age": "old"}, "for ages 1 to 2"),
    ({"min_slices": 15}, {}, "for at least 15 slices"),
    ({"max_thickness": 1.0}, {"slice_thickness": 2.5}, "for slices of at most 1 mm"),
]


@pytest.mark.parametrize(("conditions", "facts", "said"), CONDITIONS, ids=[said for *_, said in CONDITIONS])
def test_each_condition_of_a_route_is_held(conditions: dict[str, Any], facts: dict[str, Any], said: str) -> None:
    study = slices(14, **{"body_part": "CHEST", **facts})
    assert unmet_by(study, "north", "current", of("one", CHEST.name, **conditions)) == said
    assert unmet_by(study, "north", "current", of("one", CHEST.name)) == ""


@pytest.mark.parametrize("facts", [{"patient_age": ""}, {"body_part": ""}, {"slice_thickness": None}])
def test_what_the_header_does_not_say_restricts_nothing(facts: dict[str, Any]) -> None:
    study = slices(14, **{"body_part": "CHEST", **facts})
    asks = of("one", CHEST.name, body_parts=("CHEST",), min_age=18, max_thickness=3.0)
    assert unmet_by(study, "north", "current", asks) == ""


def test_the_facts_of_a_series_have_to_be_those_of_one_series() -> None:
    """A thick chest and a thin head are not a thin chest."""
    study = slices(14, series="1.1", body_part="CHEST", slice_thickness=5.0)
    study += slices(14, series="1.2", body_part="HEAD", slice_thickness=1.0)
    asks = of("thin-chests", CHEST.name, body_parts=("CHEST",), max_thickness=1.5)
    assert unmet_by(study, "north", "current", asks) == "for CHEST, slices of at most 1.5 mm"


def test_of_several_versions_of_a_model_the_first_approved_one_is_asked() -> None:
    newer = CHEST.model_copy(update={"version": "9"})
    (one,) = routed(ONLY_CHEST, models=(newer, CHEST)).asked
    assert one.model.version == "9"


def test_what_is_kept_of_a_routing_names_models_by_digest_and_says_why() -> None:
    kept = routed(ONLY_CHEST).kept
    assert kept.asked == {CHEST.digest: "by default: the study meets no route"}
    assert kept.others[f"spleen {SPLEEN.version}"] == "no route names it"


WRONG = [
    ({"default": ["nobody"]}, "not approved: nobody"),
    ({"routes": [{"name": "a", "models": []}]}, "at least 1 item"),
    ({"routes": [{"name": "a", "models": ["spleen"]}, {"name": "a", "models": ["spleen"]}]}, "the same name"),
    ({"routes": [{"name": "a", "models": ["spleen"], "min_age": 9, "max_age": 8}]}, "no patient"),
    ({"routes": [{"name": "a", "models": ["spleen"], "scanner": "x"}]}, "Extra inputs"),
    ({"default": [f"m{k}" for k in range(MOST_MODELS + 1)]}, f"it may name {MOST_MODELS}"),
]


@pytest.mark.parametrize(("table", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_table_that_cannot_be_right_is_refused_and_says_why(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_routes(json.dumps(table), MODELS)


def test_the_table_in_force_names_approved_models_and_routes_a_chest_to_the_default_one() -> None:
    assert asked(routed(routes(), models=approved())) == [CHEST.name]


def test_the_table_that_the_documents_show_is_one() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/models.md").read_text()
    (shown,) = [block for block in re.findall(r"```json\n(.*?)```", text, re.S) if '"routes"' in block]
    table = parse_routes(shown, MODELS)
    assert asked(routed(table)) == [CHEST.name]
