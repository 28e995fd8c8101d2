"""A forecast: which weather comes, where, when and how often. Read from a TOML file, checked against the catalogue."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from readfirst.domain.faults import WrongCall
from readfirst.local.weather.catalogue import ROWS, Row, Service, row


class NoForecast(WrongCall):
    """The file is not a forecast; the message says where and why."""


class Spell(BaseModel):
    """One behaviour of one service, for a while."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: Service = Field(description="One of the table's services.")
    behaviour: str = Field(description="One that the table has for it.")
    chance: float = Field(1.0, gt=0, le=1, description="Share of the requests that it concerns.")
    begins: float = Field(0.0, ge=0, description="Seconds after the weather began.")
    lasts: float | None = Field(None, gt=0, description="Seconds; without it: to the end.")
    times: int | None = Field(None, gt=0, description="At most so often.")
    requests: str = Field("", description="Only requests whose `METHOD path` this regular expression finds.")
    seconds: float | None = Field(None, ge=0, description="Retry-After, delay, life or lag; else the catalogue's.")
    count: int | None = Field(None, gt=0, description="A limit below the documented one, to reach it sooner.")

    @model_validator(mode="after")
    def _documented(self) -> Spell:
        found = row(self.service, self.behaviour)
        if found is None:
            known = ", ".join(one.behaviour for one in ROWS if one.service == self.service)
            raise ValueError(f"{self.service} is not documented to do {self.behaviour!r}; it does: {known}")
        if self.seconds is not None and self.seconds > found.most_seconds:
            raise ValueError(f"{self.service} {self.behaviour}: at most {found.most_seconds:g} seconds are documented")
        if self.count is not None and not 0 < self.count <= found.count:
            raise ValueError(f"{self.service} {self.behaviour}: count is a limit up to the documented {found.count}")
        try:
            re.compile(self.requests)
        except re.error as error:
            raise ValueError(f"requests is not a regular expression: {error}") from error
        return self

    @property
    def row(self) -> Row:
        """Its row of the catalogue."""
        found = row(self.service, self.behaviour)
        assert found, "checked when it was made"  # noqa: S101
        return found

    @property
    def wait(self) -> float:
        """Seconds: its own, or the catalogue's."""
        return self.row.seconds if self.seconds is None else self.seconds

    @property
    def most(self) -> int:
        """The limit: its own, or the documented one."""
        return self.count or self.row.count


class Forecast(BaseModel):
    """The spells to come. The same seed draws the same chances."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    spell: tuple[Spell, ...] = ()


CALM = Forecast()


def read(file: Path) -> Forecast:
    """The forecast in a TOML file: `seed`, and one `[[spell]]` each. Raises NoForecast."""
    try:
        return Forecast.model_validate(tomllib.loads(file.read_text("utf-8")))
    except OSError as error:
        raise NoForecast(f"{file} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise NoForecast(f"{file} is not a TOML file: {error}") from None
    except ValidationError as error:
        reasons = (f"{'.'.join(map(str, one['loc'])) or 'forecast'}: {one['msg']}" for one in error.errors())
        raise NoForecast(f"{file} is not a forecast. " + "; ".join(reasons)) from None
