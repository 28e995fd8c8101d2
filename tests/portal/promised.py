"""What the OpenAPI document promises of an answer. Every call of the tests' clients is held to it."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import requests
from jsonschema import Draft202012Validator

from function_app.http import openapi
from readfirst.domain.access.rules import RULES, Rule


def rule_of(method: str, path: str) -> Rule | None:
    """The rule whose route a path (relative to the API) is of."""
    asked = path.partition("?")[0].lstrip("/")
    return next((rule for rule in RULES if rule.method == method and _pattern(rule.route).fullmatch(asked)), None)


@cache
def _pattern(route: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"{\w+}", "[^/]+", route))


def broken(rule: Rule, answer: requests.Response) -> list[str]:
    """Where the answer is not what the document says of the rule; a fault of ours (5xx) is not in it."""
    status = str(answer.status_code)
    if status == "304" or status >= "500":
        return []
    promised = operation(rule)["responses"].get(status)
    if promised is None:
        return [f"{rule.name} answered {status}, which the document does not know"]
    media = answer.headers["Content-Type"].split(";")[0]
    content = _resolved(promised).get("content", {})
    if media not in content:
        return [f"{rule.name} answered {status} {media}, which the document does not know"]
    if "schema" not in content[media]:
        return []
    errors = _validator(rule, status, media).iter_errors(answer.json())
    return [f"{rule.name} {status}: {list(e.absolute_path)}: {e.message}"[:300] for e in errors]


def operation(rule: Rule) -> dict[str, Any]:
    """What the document says of a rule."""
    return next(
        one for path in openapi.document()["paths"].values() for one in path.values() if one["operationId"] == rule.name
    )


def _resolved(promised: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in promised:
        return promised
    return openapi.document()["components"]["responses"][promised["$ref"].rpartition("/")[2]]


@cache
def _validator(rule: Rule, status: str, media: str) -> Draft202012Validator:
    schema = _resolved(operation(rule)["responses"][status])["content"][media]["schema"]
    return Draft202012Validator({**schema, "components": openapi.document()["components"]})
