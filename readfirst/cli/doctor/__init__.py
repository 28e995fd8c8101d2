"""`readfirst doctor`: looks at this machine, or at a deployment, and says what is missing."""

from __future__ import annotations

from readfirst.cli.doctor.machine import register

__all__ = ["register"]
