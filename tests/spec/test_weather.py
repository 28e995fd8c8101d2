"""What may be forecast, what the sky makes of it, and that each behaviour has its source."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from readfirst.local.weather.catalogue import ROWS, SERVICES
from readfirst.local.weather.forecast import Forecast, NoForecast, Spell, read
from readfirst.local.weather.sky import Sky
from tools import weather_page


class Clock:
    """Seconds in a test's hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_weather_page_is_made_from_the_catalogue() -> None:
    assert weather_page.PAGE.read_text() == weather_page.page()


def test_each_behaviour_has_a_public_source_and_is_listed_once() -> None:
    assert {row.service for row in ROWS} == set(SERVICES)
    assert len({(row.service, row.behaviour) for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.source.startswith(("https://learn.microsoft.com/", "https://github.com/")), row
        assert row.what.endswith(".") and row.seconds <= max(row.most_seconds, row.seconds)


@pytest.mark.parametrize(
    ("spell", "why"),
    [
        ({"service": "queue", "behaviour": "copy_fails"}, "queue is not documented to do 'copy_fails'"),
        ({"service": "email", "behaviour": "throttled", "seconds": 3601}, "at most 3600 seconds are documented"),
        ({"service": "blob", "behaviour": "append_full", "count": 50_001}, "up to the documented 50000"),
        ({"service": "blob", "behaviour": "error", "count": 3}, "count is a limit"),
        ({"service": "blob", "behaviour": "error", "chance": 0}, "greater than 0"),
        ({"service": "blob", "behaviour": "error", "requests": "("}, "not a regular expression"),
        ({"service": "moon", "behaviour": "error"}, "service"),
        ({"service": "blob", "behaviour": "error", "often": 1}, "often"),
    ],
)
def test_a_spell_that_no_document_allows_is_refused_with_the_reason(spell: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Spell.model_validate(spell)


def test_a_forecast_is_a_toml_file(tmp_path: Path) -> None:
    file = tmp_path / "weather.toml"
    file.write_text('seed = 7\n[[spell]]\nservice = "cosmos"\nbehaviour = "unavailable"\nlasts = 3600\n')
    assert read(file) == Forecast(seed=7, spell=(Spell(service="cosmos", behaviour="unavailable", lasts=3600),))


@pytest.mark.parametrize("text", ["seed = ", "sun = 1", '[[spell]]\nservice = "blob"', "seed = 'x'", "\xff"])
def test_a_file_that_is_not_a_forecast_is_refused_in_words(tmp_path: Path, text: str) -> None:
    file = tmp_path / "weather.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(NoForecast, match=r"weather\.toml is not a"):
        read(file)
    with pytest.raises(NoForecast, match="cannot be read"):
        read(tmp_path / "none.toml")


def drawn(seed: int) -> list[bool]:
    sky = Sky()
    sky.change(Forecast(seed=seed, spell=(Spell(service="blob", behaviour="error", chance=0.3),)))
    return [sky.strikes("blob", "error") is not None for _ in range(300)]


def test_the_same_seed_draws_the_same_weather() -> None:
    assert drawn(1) == drawn(1) != drawn(2)
    assert 50 < sum(drawn(1)) < 130


def test_a_spell_comes_at_its_time_to_its_requests_and_not_too_often() -> None:
    clock = Clock()
    sky = Sky(clock)
    spell = Spell(service="blob", behaviour="error", begins=10, lasts=5, times=2, requests="^PUT .*/clean/")
    sky.change(Forecast(spell=(spell,)))
    put = "PUT /account/clean/x"
    assert not sky.strikes("blob", "error", put), "too early"
    clock.now += 10
    assert not sky.strikes("blob", "error", "GET /account/clean/x")
    assert not sky.strikes("queue", "error", put)
    assert [sky.strikes("blob", "error", put) is not None for _ in range(3)] == [True, True, False]
    sky.change(Forecast(spell=(spell,)))
    clock.now += 15
    assert not sky.strikes("blob", "error", put), "over"
    assert sky.met == {("blob", "error"): 2}


def test_a_limit_in_a_window_lets_so_many_through_and_more_when_the_window_has_moved() -> None:
    clock = Clock()
    sky = Sky(clock)
    sky.change(Forecast(spell=(Spell(service="email", behaviour="too_many", count=2),)))
    served = [sky.over("email", "too_many", "POST /emails:send") is None for _ in range(3)]
    assert served == [True, True, False]
    clock.now += 60
    assert sky.over("email", "too_many", "POST /emails:send") is None
