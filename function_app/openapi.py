"""The OpenAPI 3.1 document, made from the access table and the shapes that the handlers parse."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from readfirst.domain.access import RULES, Rule
from readfirst.domain.records import StudyRecord
from readfirst.domain.reviews import WHAT, Review, Told

_PARAMETER = re.compile(r"{(\w+)}")
_REFERENCE = "#/components/schemas/{model}"
_PROBLEMS = {"400": "Bad request", "401": "Not signed in", "403": "Forbidden", "404": "Not found", "429": "Too many"}


@cache
def document() -> dict[str, Any]:
    """The document."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in RULES:
        paths.setdefault(f"/api/{rule.route}", {})[rule.method.lower()] = _operation(rule)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Readfirst", "version": "1", "description": "Worklist, study, review, DICOMweb, identity."},
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": _schemas(),
        },
    }


def _schemas() -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, schema in (
        ("StudyRecord", StudyRecord.model_json_schema(ref_template=_REFERENCE)),
        ("Review", Review.model_json_schema(ref_template=_REFERENCE)),
        ("ReviewEvent", WHAT.json_schema(ref_template=_REFERENCE)),
        ("Told", Told.model_json_schema(ref_template=_REFERENCE)),
    ):
        made |= schema.pop("$defs", {})
        made[name] = schema
    made["Problem"] = {
        "type": "object",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {n: {"type": "string"} for n in ("type", "title", "code", "detail")}
        | {"status": {"type": "integer"}},
    }
    return made


_BODIES = {
    "study_review": {"type": "object", "properties": {"what": {"$ref": "#/components/schemas/ReviewEvent"}}},
    "study_told": {"$ref": "#/components/schemas/Told"},
}


def _operation(rule: Rule) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(rule.route)
    ]
    if rule.name == "study_review":
        parameters.append({"name": "If-Match", "in": "header", "required": True, "schema": {"type": "string"}})
    operation: dict[str, Any] = {
        "operationId": rule.name,
        "summary": rule.summary,
        "tags": [rule.app],
        "description": f"Roles: {', '.join(rule.roles) or 'everyone'}. {rule.why}",
        "parameters": parameters,
        "responses": {"default": {"description": "Answered"}} | (_problems() if not rule.anonymous else {}),
        "security": [] if rule.anonymous else [{"bearer": []}],
    }
    if rule.method == "POST":
        schema = _BODIES.get(rule.name, {"type": "object"})
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return operation


def _problems() -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": text, "content": content} for status, text in _PROBLEMS.items()}
