"""How a handler becomes functions: by its rule in the access table, with what it takes and answers beside it.

The OpenAPI document, and from it the portal's types, are made of what is said here (`python -m tools.openapi`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import azure.functions as func
from pydantic import BaseModel, ConfigDict

from function_app.http.guard import RULE, Handler, guarded
from readfirst.domain.access.rules import App, Rule
from readfirst.domain.addresses import API, OLDER_API

_HOST_PREFIX = "/api"  # the host puts it before every route (host.json has no other)
JSON = ("application/json",)
PNG = ("image/png",)
# The model_config of an answer that leaves out what has its default. Every other answer gives all its fields.
SPARSE = ConfigDict(json_schema_serialization_defaults_required=False)


class Tagged(BaseModel):
    """An answer that carries its ETag: the platform's CORS shows no such header to a page."""

    etag: str = ""


class Accepted(BaseModel):
    """A command is in its queue."""

    accepted: bool = True


@dataclass(frozen=True)
class Contract:
    """What a route takes and answers when all is well. `answers` is the shape of a JSON answer, `takes` that of the
    body; PS3.18 says what DICOMweb's are."""

    answers: type[BaseModel] | None
    takes: type[BaseModel] | None
    status: int
    media: tuple[str, ...]


class Routes:
    """The handlers of a module, all of one app."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.handlers: dict[str, Handler] = {}
        self.contracts: dict[str, Contract] = {}

    def answers(
        self,
        shape: type[BaseModel] | None = None,
        *,
        takes: type[BaseModel] | None = None,
        status: int = 200,
        media: tuple[str, ...] = JSON,
        rules: Sequence[str] = (),
    ) -> Callable[[Handler], Handler]:
        """Says that the function below serves the rule of its name, or the named ones, and what that answers."""

        def add(handler: Handler) -> Handler:
            for name in rules or (handler.__name__,):
                self.handlers[name] = handler
                self.contracts[name] = Contract(shape, takes, status, media)
            return handler

        return add

    def blueprint(self) -> func.Blueprint:
        """The functions, for each rule that has a handler here."""
        made = func.Blueprint()
        for name, handler in self.handlers.items():
            _add(made, RULE[name], handler)
        return made


def _add(made: func.Blueprint, rule: Rule, handler: Handler) -> None:
    """One function for each address of the rule. The host names a function once, so that of the older has a suffix."""
    for name, api in ((rule.name, API), (f"{rule.name}_unversioned", OLDER_API)):
        route = f"{api.removeprefix(_HOST_PREFIX).lstrip('/')}/{rule.route}".lstrip("/")
        register = made.route(route=route, methods=[rule.method], auth_level=func.AuthLevel.ANONYMOUS)
        made.function_name(name)(register(_function(name, rule, handler)))


def _function(name: str, rule: Rule, handler: Handler) -> Callable[[func.HttpRequest], func.HttpResponse]:
    def run(req: func.HttpRequest) -> func.HttpResponse:
        return guarded(rule, handler, req)

    run.__name__ = name
    return run
