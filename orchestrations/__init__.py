"""The process: orchestrators that read as policy, and the activities of each stage, in the order of the stages."""

from __future__ import annotations

from orchestrations import alert, analyse, deidentify, erase, report, settle, study
from orchestrations.blueprint import blueprint

__all__ = ["alert", "analyse", "blueprint", "deidentify", "erase", "report", "settle", "study"]
