"""What a month and a study cost: quantities times prices, free amounts once, and nothing for work that was not done."""

from __future__ import annotations

import pytest

from readfirst.domain.operations import costs
from readfirst.domain.operations.costs import Line, Profile, Study, estimate, of_study, prices, total


def line(lines: list[Line], price: str, kind: str = "studies") -> Line:
    """The one line of a price."""
    (found,) = [one for one in lines if (one.price, one.kind) == (price, kind)]
    return found


@pytest.mark.parametrize("profile", costs.PROFILES)
def test_a_month_without_studies_has_fixed_and_idle_lines_alone(profile: Profile) -> None:
    lines = estimate(profile, 0)
    assert {one.kind for one in lines} == {"fixed", "idle"}
    assert costs.fixed(profile) == pytest.approx(total(lines, "fixed") + total(lines, "idle"))


def test_fixed_lines_are_counts_times_prices() -> None:
    lines = {one.price: one for one in estimate("hospital", 0) if one.kind == "fixed"}
    assert {name: lines[name].quantity for name in costs.FIXED["hospital"]} == costs.FIXED["hospital"]
    assert lines["private-endpoint"].usd == pytest.approx(18 * prices()["private-endpoint"].usd)
    assert lines["key-rotation"].quantity == pytest.approx(0.5), "three keys, twice a year each"


def test_lines_come_fixed_first_then_idle_then_studies_the_largest_first_in_each() -> None:
    lines = estimate("clinic", 500)
    kinds = [one.kind for one in lines]
    assert kinds == sorted(kinds, key=["fixed", "idle", "studies"].index)
    for kind in set(kinds):
        sums = [one.usd for one in lines if one.kind == kind]
        assert sums == sorted(sums, reverse=True)


def test_a_free_amount_is_given_once_and_idle_work_takes_it_first() -> None:
    free = prices()["log-gb"].free
    lines = estimate("student", 100_000)
    idle, studies = line(lines, "log-gb", "idle"), line(lines, "log-gb")
    assert idle.usd == 0 < idle.quantity < free
    assert studies.usd == pytest.approx((studies.quantity - (free - idle.quantity)) * prices()["log-gb"].usd)


def test_a_total_is_of_the_kinds_that_are_asked_for() -> None:
    lines = estimate("clinic", 500)
    parts = [total(lines, kind) for kind in ("fixed", "idle", "studies")]
    assert total(lines) == pytest.approx(sum(parts))
    assert total(lines, "fixed", "idle") == pytest.approx(parts[0] + parts[1])


def test_a_study_pays_for_the_seconds_of_its_job_by_the_profiles_hardware() -> None:
    seconds = 40 + 90 / 5  # five studies share a cold start of 90 seconds
    lines = of_study("hospital", 300, 40.0, alerted=False)
    assert line(lines, "vcpu").quantity == pytest.approx(24 * seconds)
    assert line(lines, "gib").quantity == pytest.approx(220 * seconds)
    assert line(lines, "gpu-a100").quantity == pytest.approx(seconds)
    assert not [one for one in of_study("student", 300, 40.0, alerted=False) if one.price.startswith("gpu")]


def test_a_study_that_no_job_looked_at_paid_for_none() -> None:
    paid = {one.price for one in of_study("clinic", 300, 0.0, alerted=False)}
    assert not paid & {"vcpu", "gib", "gpu-t4"} and "blob-write" in paid


def test_only_an_alert_costs_an_email() -> None:
    with_alert = of_study("student", 10, 5.0, alerted=True)
    without = of_study("student", 10, 5.0, alerted=False)
    assert line(with_alert, "email").quantity == 1
    assert total(with_alert) - total(without) == pytest.approx(prices()["email"].usd)


def test_what_one_study_cost_leaves_the_months_free_amounts_out() -> None:
    for one in of_study("hospital", 300, 12.0, alerted=True):
        assert one.usd == pytest.approx(one.quantity * prices()[one.price].usd) and one.usd > 0


def test_data_through_private_endpoints_is_paid_where_there_are_some() -> None:
    by_profile = {p: {one.price for one in estimate(p, 10)} for p in costs.PROFILES}
    assert [p for p in costs.PROFILES if "private-link-gb" in by_profile[p]] == ["hospital"]


def test_every_clinic_adds_one_listing_of_its_inbox_to_each_look() -> None:
    one, three = (line(estimate("student", 0, clinics=n), "blob-write", "idle").quantity for n in (1, 3))
    assert three - one == pytest.approx(2 * 2_628_000 / 900)


def test_more_files_write_and_read_more() -> None:
    few, many = (estimate("student", 10, study=Study(files=n)) for n in (100, 200))
    assert line(many, "blob-write").quantity - line(few, "blob-write").quantity == pytest.approx(10 * 100 * 5.5)
    assert line(many, "blob-read").quantity > line(few, "blob-read").quantity
