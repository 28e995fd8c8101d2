"""Imports the app as the Python worker does; turns what it registers into records, and refuses what cannot run."""

from __future__ import annotations

import importlib.util
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import azure.functions as func

from readfirst.local.host.settings import DEFAULT_SCRIPT, CannotRun

TRIGGERS = {
    "httpTrigger",
    "blobTrigger",
    "queueTrigger",
    "timerTrigger",
    "orchestrationTrigger",
    "activityTrigger",
}
INPUTS = {"durableClient", "blob"}
OUTPUTS = {"http", "queue", "blob"}

_log = logging.getLogger("readfirst.host")


@dataclass(frozen=True)
class Binding:
    """One binding as the app declares it; `raw` keeps its attributes (path, queueName, schedule, route…)."""

    name: str
    type: str
    direction: str  # "in" or "out"
    raw: Mapping[str, Any]


@dataclass(frozen=True)
class Function:
    name: str
    call: Callable[..., Any]
    is_async: bool
    trigger: Binding
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    annotations: Mapping[str, Any]
    wants_context: bool  # has a parameter `context` that no binding fills
    directory: str


def load_functions(app_dir: Path) -> list[Function]:
    """Imports the script that PYTHON_SCRIPT_FILE_NAME names and indexes its app.

    Raises CannotRun with every reason at once, so that one look is enough to mend an app.
    """
    module = _import_script(app_dir)
    app = _find_app(module)
    try:
        declared = app.get_functions()
    except Exception as problem:
        raise CannotRun(f"the app cannot be indexed: {type(problem).__name__}: {problem}") from problem
    problems: list[str] = []
    functions = []
    for item in declared:
        try:
            function = _function(item, app_dir)
        except CannotRun as problem:
            problems.append(str(problem))
            continue
        if os.environ.get(f"AzureWebJobs.{function.name}.Disabled", "").lower() in ("true", "1"):
            _log.info("Function %s is disabled by an app setting", function.name)
            continue
        functions.append(function)
    problems += _duplicates(functions)
    if problems:
        raise CannotRun("\n".join(problems))
    return functions


def _import_script(app_dir: Path) -> ModuleType:
    script = app_dir / os.environ.get("PYTHON_SCRIPT_FILE_NAME", DEFAULT_SCRIPT)
    if not script.exists():
        raise CannotRun(f"{script} does not exist (PYTHON_SCRIPT_FILE_NAME names the app's script)")
    if str(app_dir) not in sys.path:
        sys.path.insert(0, str(app_dir))
    spec = importlib.util.spec_from_file_location(script.stem, script)
    if spec is None or spec.loader is None:
        raise CannotRun(f"{script} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[script.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as problem:
        _log.debug("Import of the app failed", exc_info=True)
        raise CannotRun(f"{script.name} cannot be imported: {type(problem).__name__}: {problem}") from problem
    return module


def _find_app(module: ModuleType) -> Any:
    apps = {id(value): value for value in vars(module).values() if isinstance(value, func.FunctionRegister)}
    if len(apps) != 1:
        raise CannotRun(f"{module.__name__} must hold exactly one FunctionApp at module level; it holds {len(apps)}")
    return next(iter(apps.values()))


def _function(item: Any, app_dir: Path) -> Function:
    name = item.get_function_name()
    call = item.get_user_function()
    bindings = [_binding(json.loads(text)) for text in item.get_raw_bindings()]
    triggers = [b for b in bindings if b.type.endswith("Trigger")]
    if len(triggers) != 1:
        raise CannotRun(f"function {name} must have one trigger; it has {len(triggers)}")
    trigger = triggers[0]
    inputs = tuple(b for b in bindings if b.direction == "in" and b is not trigger)
    outputs = tuple(b for b in bindings if b.direction == "out")
    _refuse_unknown(name, trigger, inputs, outputs)
    if item.get_settings_dict("retry_policy"):
        raise CannotRun(f"function {name} has a retry policy, which the embedded host does not run")
    parameters = set(inspect.signature(call).parameters)
    missing = {b.name for b in bindings if b.name != "$return"} - parameters
    if (
        missing and trigger.type != "orchestrationTrigger"
    ):  # the SDK wraps an orchestrator: its parameter has its own name
        raise CannotRun(f"function {name} has no parameter for the binding(s) {', '.join(sorted(missing))}")
    return Function(
        name=name,
        call=call,
        is_async=inspect.iscoroutinefunction(call),
        trigger=trigger,
        inputs=inputs,
        outputs=outputs,
        annotations=_annotations(call),
        wants_context="context" in parameters and all(b.name != "context" for b in bindings),
        directory=str(app_dir),
    )


def _binding(raw: dict[str, Any]) -> Binding:
    direction = str(raw.get("direction", "in")).lower()
    if direction == "inout":
        raise CannotRun(f"the binding {raw.get('name')} has direction inout, which the embedded host does not run")
    return Binding(name=raw["name"], type=raw["type"], direction=direction, raw=raw)


def _refuse_unknown(name: str, trigger: Binding, inputs: tuple[Binding, ...], outputs: tuple[Binding, ...]) -> None:
    wrong = [b.type for b in (trigger,) if b.type not in TRIGGERS]
    wrong += [b.type for b in inputs if b.type not in INPUTS]
    wrong += [b.type for b in outputs if b.type not in OUTPUTS]
    if wrong:
        raise CannotRun(f"function {name} uses {', '.join(wrong)}, which the embedded host does not run")


def _annotations(call: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(call)
    except (NameError, TypeError):
        return dict(getattr(call, "__annotations__", {}))  # a name that exists only for type checkers


def _duplicates(functions: list[Function]) -> list[str]:
    seen: set[str] = set()
    problems = []
    for function in functions:
        if function.name.lower() in seen:
            problems.append(f"two functions are called {function.name}")
        seen.add(function.name.lower())
    return problems
