"""The OpenAPI 3.1 document, as `python -m tools.openapi` made it from the access table and the handlers' own shapes."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def document() -> dict[str, Any]:
    """The document."""
    read: dict[str, Any] = json.loads((files(__package__) / "openapi.json").read_text("utf-8"))
    return read
