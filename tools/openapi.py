"""Writes function_app/http/openapi.json: the OpenAPI 3.1 document of the API.

usage: python -m tools.openapi. It is made from the access table (who may call what) and from what each handler says
that it takes and answers (function_app/http/routes.py). The portal's types are made from it when the portal is built.
A test holds the file to the code.
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from function_app.http.routes import Contract
from readfirst.domain.access.rules import RULES, Rule
from readfirst.domain.addresses import API
from readfirst.domain.reading.reviews import WHAT

FILE = Path(__file__).parents[1] / "function_app/http/openapi.json"
_MODULES = (
    "studies", "images", "reviews", "operations", "dicomweb", "identity_access", "quarantine", "clinic_uploads",
    "model_changes",
)  # fmt: skip
_PARAMETER = re.compile(r"{(\w+)}")
_PROBLEMS = {
    "400": "Bad request",
    "401": "Not signed in",
    "403": "Forbidden",
    "404": "Not found",
    "406": "Not acceptable",
    "409": "Not now",
    "412": "Conflict",
    "413": "Too large",
    "422": "Invalid",
    "428": "If-Match needed",
    "429": "Too many",
}
_REFUSALS = {status: {"$ref": f"#/components/responses/Problem{status}"} for status in _PROBLEMS}
Mode = Literal["validation", "serialization"]
Key = tuple[str, Mode]


class Problem(BaseModel):
    """A refusal (RFC 9457): `code` is stable, `detail` is for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str


class _Schema(GenerateJsonSchema):
    """What we answer has all its fields, also those with a default, and may get more; a body may leave those out, and
    names none that we do not know."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: Any) -> Any:
        made = super().model_schema(schema)
        if self.mode == "serialization" and made.get("additionalProperties") is False:
            del made["additionalProperties"]
        return made

    def field_is_required(self, field: Any, total: bool) -> bool:
        full = self._config.config_dict.get("json_schema_serialization_defaults_required", True)
        if self.mode == "serialization" and full:
            return not field.get("serialization_exclude")
        return super().field_is_required(field, total)


def contracts() -> dict[str, Contract]:
    """What each rule's handler takes and answers, by the rule's name."""
    found: dict[str, Contract] = {}
    for module in _MODULES:
        found |= import_module(f"function_app.http.{module}").routes.contracts
    return found


def document() -> dict[str, Any]:
    """The document, from the code."""
    known = contracts()
    references, schemas = _schemas(known)
    paths: dict[str, dict[str, Any]] = {}
    for rule in RULES:
        paths.setdefault(f"/{rule.route}", {})[rule.method.lower()] = _operation(rule, known[rule.name], references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Readfirst", "version": "1", "description": "Worklist, study, review, DICOMweb, identity."},
        "servers": [{"url": API}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "responses": {f"Problem{status}": _problem(text, references) for status, text in _PROBLEMS.items()},
            "schemas": schemas,
        },
    }


def _schemas(known: dict[str, Contract]) -> tuple[dict[Key, Any], dict[str, Any]]:
    """A reference for each shape, and the shapes. One that is both taken and answered with optional fields is two."""
    answered = {c.answers for c in known.values() if c.answers} | {Problem}
    taken = {c.takes for c in known.values() if c.takes}
    inputs: list[tuple[Key, Mode, TypeAdapter[Any]]] = [
        *(((m.__name__, "serialization"), "serialization", TypeAdapter(m)) for m in answered),
        *(((m.__name__, "validation"), "validation", TypeAdapter(m)) for m in taken),
        (("ReviewEvent", "validation"), "validation", WHAT),
    ]
    inputs.sort(key=lambda one: one[0])
    made, rest = TypeAdapter.json_schemas(
        [(key, mode, adapter) for key, mode, adapter in inputs],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Schema,
    )
    references: dict[Key, Any] = {key: schema for (key, _), schema in made.items()}
    schemas = {**rest["$defs"], "ReviewEvent": references["ReviewEvent", "validation"]}
    return _renamed(references), dict(sorted(_renamed(schemas).items()))


def _renamed(tree: Any) -> Any:
    """What is answered keeps its name; what a body may leave fields out of is called …Input."""
    text = json.dumps(tree if not isinstance(tree, dict) else list(tree.items()))
    text = re.sub(r"\b(\w+)-Output\b", r"\1", text)
    text = re.sub(r"\b(\w+)-Input\b", r"\1Input", text)
    read = json.loads(text)
    if not isinstance(tree, dict):
        return read
    return {tuple(key) if isinstance(key, list) else key: value for key, value in read}


def _operation(rule: Rule, contract: Contract, references: dict[Key, Any]) -> dict[str, Any]:
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
        "responses": _answers(rule, contract, references) | ({} if rule.anonymous else _REFUSALS),
        "security": [] if rule.anonymous else [{"bearer": []}],
    }
    if contract.takes:
        schema = references[contract.takes.__name__, "validation"]
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _answers(rule: Rule, contract: Contract, references: dict[Key, Any]) -> dict[str, Any]:
    """What the route answers when all is well. 304 where a client says what it has already."""
    content = {kind: _content(kind, contract, references) for kind in contract.media}
    answers: dict[str, Any] = {str(contract.status): {"description": rule.summary, "content": content}}
    if rule.method == "GET":
        answers["304"] = {"description": "As you have it"}
    return answers


def _content(kind: str, contract: Contract, references: dict[Key, Any]) -> dict[str, Any]:
    if kind == "application/dicom+json":  # PS3.18 F.2: a list of data sets
        return {"schema": {"type": "array", "items": {"type": "object"}}}
    if kind == "application/json" and contract.answers:
        return {"schema": references[contract.answers.__name__, "serialization"]}
    return {}


def _problem(text: str, references: dict[Key, Any]) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": references["Problem", "serialization"]}}
    return {"description": text, "content": content}


def text() -> str:
    """The file's content."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
