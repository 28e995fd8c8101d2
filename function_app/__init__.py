"""Triggers: translate what the host brings, and delegate. One module per source, one list of which app has which."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

# Which modules an app registers. A module's `blueprint` holds its functions.
_MODULES = {
    "intake": [
        "function_app.triggers.uploads",
        "function_app.triggers.inference",
        "function_app.triggers.commands",
        "function_app.triggers.deliveries",
        "function_app.triggers.housekeeping",
        "function_app.triggers.rotate_intake",
        "orchestrations",
    ],
    "api": [
        "function_app.http.studies",
        "function_app.http.images",
        "function_app.http.reviews",
        "function_app.http.operations",
        "function_app.http.dicomweb",
    ],
    "identity": [
        "function_app.triggers.returns",
        "function_app.triggers.erasures",
        "function_app.http.identity_access",
        "function_app.http.quarantine",
        "function_app.http.clinic_uploads",
        "function_app.http.model_changes",
        "function_app.triggers.rotate_identity",
    ],
}


def blueprints(apps: tuple[str, ...]) -> Iterator[Any]:
    """The blueprints of those apps, each once, imported only now: an app does not load another's clients."""
    seen = dict.fromkeys(module for app in apps for module in _MODULES[app])
    for module in seen:
        yield import_module(module).blueprint
