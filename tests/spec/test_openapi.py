"""The description of the API: made from the access table and from what the handlers say of themselves."""

from __future__ import annotations

import json

import azure.functions as func
import pytest
from openapi_spec_validator import validate

from function_app import blueprints
from function_app.http import openapi as served
from readfirst.domain.access.rules import RULES
from readfirst.domain.addresses import API
from tools import openapi

DOCUMENT = openapi.document()
OPERATIONS = {one["operationId"]: one for path in DOCUMENT["paths"].values() for one in path.values()}


def test_the_document_that_is_served_is_made_from_the_code() -> None:
    """After a change: `python -m tools.openapi`."""
    assert openapi.FILE.read_text() == openapi.text()
    assert served.document() == json.loads(openapi.text())


def test_it_is_a_valid_document_and_has_every_rule_of_the_table() -> None:
    validate(DOCUMENT)
    assert OPERATIONS.keys() == {rule.name for rule in RULES}


def test_every_rule_says_what_it_answers() -> None:
    """A JSON answer has a shape of its own name; DICOMweb's are the standard's."""
    known = openapi.contracts()
    for rule in RULES:
        contract = known[rule.name]
        assert contract.media, rule.name
        if "application/json" in contract.media:
            assert contract.answers is not None, rule.name


@pytest.mark.parametrize("app", ["api", "identity"])
def test_every_module_with_handlers_is_described_and_registered(app: str) -> None:
    """The tool and the apps list the same modules. Each rule is at the address of this version and at that of 1.0."""
    registered = func.FunctionApp()
    for blueprint in blueprints((app,)):
        registered.register_functions(blueprint)
    http = [one.get_trigger() for one in registered.get_functions() if one.get_trigger().type == "httpTrigger"]
    routes = {(one.methods[0].value, f"/api/{one.route}") for one in http}
    own = [rule for rule in RULES if rule.app == app]
    for api in (API, "/api"):
        assert {(rule.method, f"{api}/{rule.route}") for rule in own} <= routes, f"at {api}"
    assert len(routes) == 2 * len(own), "nothing else answers"
    assert {rule.name for rule in own} <= openapi.contracts().keys()


def test_an_answer_names_all_its_fields_and_a_body_only_those_that_must_be_sent() -> None:
    """So a type made from the document says what is there; what is sent may rely on defaults."""
    schemas = DOCUMENT["components"]["schemas"]
    assert "comment" in schemas["FindingAssessment"]["required"]
    assert "comment" not in schemas["FindingAssessmentInput"]["required"]
    assert schemas["FindingAssessmentInput"]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["FindingAssessment"], "an answer may get more fields"
