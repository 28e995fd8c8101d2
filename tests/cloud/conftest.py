"""The evaluated deployments, each made once."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from bicep import generate
from bicep.generate import Grant, Resource

NO_BICEP = "no Bicep CLI: set BICEP, put it on the PATH, or keep it at ../shared/tools/bicep"


@pytest.fixture(scope="session")
def bicep() -> None:
    """The real CLI. CI must have it; a developer without it is told what is skipped."""
    if generate.find_bicep() is None:
        if os.environ.get("CI"):
            pytest.fail(NO_BICEP)
        pytest.skip(NO_BICEP)


@pytest.fixture(scope="session")
def evaluated(bicep: None) -> Callable[..., list[Resource]]:
    """evaluated(profile, text="") -> the resources that would be deployed."""
    return generate.snapshot


@pytest.fixture(scope="session", params=generate.PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def resources(profile: str, evaluated: Callable[..., list[Resource]]) -> list[Resource]:
    return evaluated(profile)


@pytest.fixture(scope="session")
def granted(resources: list[Resource]) -> list[Grant]:
    return generate.grants(resources)


def of_type(resources: list[Resource], kind: str) -> list[Resource]:
    """The resources of one type; a test that would look at none fails here."""
    found = [r for r in resources if r["type"].lower() == kind.lower()]
    assert found, f"no {kind} in the deployment"
    return found


def app_settings(resources: list[Resource]) -> dict[str, dict[str, str]]:
    """The settings of each app."""
    return {
        site["tags"]["azd-service-name"]: {
            s["name"]: s["value"] for s in site["properties"]["siteConfig"]["appSettings"]
        }
        for site in of_type(resources, "Microsoft.Web/sites")
    }
