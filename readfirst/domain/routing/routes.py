"""Which approved models a study gets: a table of routes as data, and one rule that reads it.

A study gets the models of every route that it meets, and where it meets none, those of `default`. A model whose gate
does not admit the study is not asked, with the gate's reason. What the headers do not say restricts nothing here, as
in a gate: the pixels decide later.

The table is `model_routes.json`: a file of the repository, as the approvals are, so a change of it is a commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import Field, model_validator

from readfirst.domain.analysis.eligibility import NotEligible, years_of
from readfirst.domain.analysis.findings import Part
from readfirst.domain.analysis.models import Manifest, Word, approved
from readfirst.domain.analysis.said import UNREADABLE, admits_part
from readfirst.domain.analysis.series_selection import Choice, choose
from readfirst.domain.instance_facts import InstanceFacts
from readfirst.domain.workflow_messages import MOST_MODELS

Purpose = Literal["current", "prior"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class Route(Part):
    """What a study has to be to get these models. Empty conditions do not restrict. Lengths in mm, ages in years.

    Modality, body part, slices and thickness have to be those of one series of the study.
    """

    name: Name
    models: Annotated[tuple[Name, ...], Field(min_length=1)]
    clinics: tuple[str, ...] = ()
    purposes: tuple[Purpose, ...] = ()
    modalities: tuple[Word, ...] = ()
    body_parts: tuple[Word, ...] = ()
    min_age: Annotated[int, Field(ge=0)] | None = None
    max_age: Annotated[int, Field(ge=0)] | None = None
    min_slices: Annotated[int, Field(ge=1)] = 1
    max_thickness: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _can_be_met(self) -> Route:
        if self.min_age is not None and self.max_age is not None and self.min_age > self.max_age:
            raise ValueError("no patient is older than max_age and younger than min_age")
        return self

    @property
    def ages(self) -> str:
        """The ages that it takes, for people; empty where it takes any."""
        if self.min_age is None:
            return f"up to {self.max_age}" if self.max_age is not None else ""
        return f"{self.min_age} to {self.max_age}" if self.max_age is not None else f"from {self.min_age}"

    def admits_age(self, age: str) -> bool:
        """Whether it takes a patient of this age (VR AS). One that cannot be read is not taken where ages count."""
        years = years_of(age)
        if years is None:
            return not self.ages
        return (self.min_age is None or years >= self.min_age) and (self.max_age is None or years <= self.max_age)


class Routes(Part):
    """The table: routes, and the models of a study that meets none of them."""

    routes: tuple[Route, ...] = ()
    default: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Routes:
        if len({route.name for route in self.routes}) != len(self.routes):
            raise ValueError("two routes have the same name")
        if len(self.models) > MOST_MODELS:
            raise ValueError(f"the table names {len(self.models)} models; it may name {MOST_MODELS}")
        return self

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that the table names, each once."""
        named = [*(name for route in self.routes for name in route.models), *self.default]
        return tuple(dict.fromkeys(named))


def parse_routes(text: str | bytes, models: Iterable[Manifest]) -> Routes:
    """Reads a table; raises ValueError where it is not one, or names a model that is not approved."""
    table = Routes.model_validate_json(text)
    if unknown := sorted(set(table.models) - {m.name for m in models}):
        raise ValueError(f"the routes name models that are not approved: {', '.join(unknown)}")
    return table


@lru_cache(maxsize=1)
def routes() -> Routes:
    """The table that is in force."""
    return parse_routes(resources.files(__package__).joinpath("model_routes.json").read_bytes(), approved())


@dataclass(frozen=True)
class Asked:
    """A model that the study gets: by which routes (none: the default), and what its gate chose of the study."""

    model: Manifest
    routes: tuple[str, ...]
    choice: Choice

    @property
    def why(self) -> str:
        """For people."""
        return f"by route {', '.join(self.routes)}" if self.routes else "by default: the study meets no route"


@dataclass(frozen=True)
class NotAsked:
    """A model that the study does not get, and why. `choice`: where its gate refused the study."""

    model: Manifest
    why: str
    choice: Choice | None = None


class Routed(Part):
    """A routing as it is kept: which models a run's study gets, and why, by their digests; and why not the others."""

    change: int = 0  # the entry of the models' history by which it was routed; 0: as deployed
    asked: Mapping[str, str] = Field(default_factory=dict)  # digest -> why
    others: Mapping[str, str] = Field(default_factory=dict)  # name and version -> why not


@dataclass(frozen=True)
class Routing:
    """The models that a study gets, in the table's order, and why not the others."""

    asked: tuple[Asked, ...]
    others: tuple[NotAsked, ...]
    change: int = 0  # the entry of the models' history that was in force; 0: as deployed

    @property
    def kept(self) -> Routed:
        """What the study's record says of it."""
        by = f" (models' history, entry {self.change})" if self.change else ""
        return Routed(
            change=self.change,
            asked={one.model.digest: one.why + by for one in self.asked},
            others={f"{one.model.name} {one.model.version}": one.why for one in self.others},
        )

    @property
    def nearest(self) -> NotAsked | None:
        """Where no model is asked: the first that the study was routed to, whose gate says why not."""
        return next((one for one in self.others if one.choice), None) if not self.asked else None


def route(
    instances: Sequence[InstanceFacts],
    clinic: str,
    purpose: Purpose,
    table: Routes,
    models: Sequence[Manifest],
    off: frozenset[str] = frozenset(),
) -> Routing:
    """Routes a study. `models`: the approved ones; of several versions of a model the first one counts. `off`: those of
    which no version is active. A model that the table names and nobody approves any more is as if it were not named.
    """
    newest = {m.name: m for m in reversed(models)}
    unmet = {one.name: why for one in table.routes if (why := unmet_by(instances, clinic, purpose, one))}
    met = [one for one in table.routes if one.name not in unmet]
    wanted = dict.fromkeys(name for one in met for name in one.models) if met else dict.fromkeys(table.default)
    asked: list[Asked] = []
    others: list[NotAsked] = []
    for name in (name for name in wanted if name in newest):
        if name in off:
            others.append(NotAsked(newest[name], "it is not active"))
            continue
        choice = choose(instances, newest[name].gate)
        if choice.refusal:
            others.append(NotAsked(newest[name], f"its gate: {_said(choice.refusal)}", choice))
        else:
            asked.append(Asked(newest[name], tuple(one.name for one in met if name in one.models), choice))
    rest = sorted(newest.keys() - wanted.keys())
    others += [NotAsked(newest[name], _why_not(name, table, unmet)) for name in rest]
    return Routing(tuple(asked), tuple(others))


def unmet_by(instances: Sequence[InstanceFacts], clinic: str, purpose: Purpose, route: Route) -> str:
    """What of a route the study does not meet, for people; empty where it meets all of it."""
    if route.clinics and clinic not in route.clinics:
        return f"for the clinics {', '.join(route.clinics)}"
    if route.purposes and purpose not in route.purposes:
        return f"for studies that are {' or '.join(route.purposes)}"
    if not all(route.admits_age(age) for age in {one.patient_age for one in instances if one.patient_age}):
        return f"for ages {route.ages}"
    series: dict[str, list[InstanceFacts]] = {}
    for one in instances:
        series.setdefault(one.series_uid, []).append(one)
    if not any(_meets(one, route) for one in series.values()):
        return f"for {_series_of(route)}"
    return ""


def _meets(series: Sequence[InstanceFacts], route: Route) -> bool:
    """Whether one series is what the route asks for."""
    parts = {one.body_part for one in series if one.body_part}
    slices = [piece for one in series for piece in one.slices()]
    thickest = max((one.slice_thickness or 0.0 for one in slices), default=0.0)
    return (
        (not route.modalities or series[0].modality in route.modalities)
        and (not route.body_parts or not parts or any(_admits(part, route) for part in parts))
        and len(slices) >= route.min_slices
        and (route.max_thickness is None or thickest <= route.max_thickness)
    )


def _admits(part: str, route: Route) -> bool:
    return part != UNREADABLE and admits_part(part, route.body_parts)


def _series_of(route: Route) -> str:
    """The series that a route asks for, in words."""
    words = [
        "/".join(route.modalities),
        "/".join(route.body_parts),
        f"at least {route.min_slices} slices" if route.min_slices > 1 else "",
        f"slices of at most {route.max_thickness:g} mm" if route.max_thickness is not None else "",
    ]
    return ", ".join(word for word in words if word) or "studies that hold an image"


def _why_not(name: str, table: Routes, unmet: dict[str, str]) -> str:
    """Why a model that the study was not routed to is not asked."""
    naming = [f"route {one.name} is {unmet[one.name]}" for one in table.routes if name in one.models]
    if name in table.default:
        naming.append("it is the default, and the study meets a route")
    return "; ".join(naming) or "no route names it"


def _said(refusal: NotEligible) -> str:
    return f"{refusal.code}: {refusal.text}"
