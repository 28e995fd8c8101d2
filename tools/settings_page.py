"""Writes docs/reference/settings.md: every app setting, from `readfirst.adapters.settings.Settings`.

usage: python -m tools.settings_page. A test holds the page to the class.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from pydantic.fields import FieldInfo

from readfirst.adapters.settings import App, Clinic, Settings
from readfirst.domain.access.rules import Grant

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"
_HEAD = """# Settings

Made from `readfirst/adapters/settings.py` by `python -m tools.settings_page`.

The Functions apps read these app settings once, as they start, and name each one that is missing or wrong, never a
value. Bicep writes those that a deployment needs; the defaults of the others are safe for production. On a developer's
machine `local.settings.sample.json` shows them.
"""
_KINDS = {"str": "text", "float": "number", "int": "number"}


def page() -> str:
    """The page."""
    lines = ["| Setting | Kind | Default | What it says |", "|---|---|---|---|"]
    for field in Settings.model_fields.values():
        lines.append(f"| `{field.alias}` | {_kind(field)} | {_default(field)} | {field.description} |")
    return "\n".join([_HEAD, *lines, "", *_shape("CLINICS", Clinic), *_shape("ACCESS", Grant)])


def _kind(field: FieldInfo) -> str:
    name = getattr(field.annotation, "__name__", "")
    if name in _KINDS:
        return _KINDS[name]
    if field.alias in ("CLINICS", "ACCESS"):
        return "JSON list"
    if field.alias == "READFIRST_APPS":
        return " ".join(f"`{app}`" for app in get_args(App))
    choices = [one for one in get_args(field.annotation) if isinstance(one, str)]
    return " or ".join(f"`{one}`" for one in choices) or "number or empty"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    if field.alias == "READFIRST_APPS":
        return f"`{','.join(field.default)}`"
    return f"`{field.default}`" if field.default not in ("", None, ()) else ""


def _shape(setting: str, shape: type[Clinic | Grant]) -> list[str]:
    """The JSON of one entry, as its schema says it."""
    said = shape.model_json_schema()
    rows = [
        f"| `{name}` | {'**required**' if name in said.get('required', ()) else _json(of)} |"
        for name, of in said["properties"].items()
    ]
    return [f"## An entry of `{setting}`", "", "| Field | Default |", "|---|---|", *rows, ""]


def _json(of: dict[str, object]) -> str:
    return f"`{json.dumps(of.get('default'))}`"


if __name__ == "__main__":
    PAGE.write_text(page())
