"""An invented person's files, and one call to clean them: the fixtures of the chapters about de-identification."""

from __future__ import annotations

from tests.spec.deid.conftest import clean, ct, names

__all__ = ["clean", "ct", "names"]
