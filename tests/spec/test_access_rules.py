"""Who may do what: the promises that the table of routes keeps, whatever rows it has."""

from __future__ import annotations

import pytest

from readfirst.domain.access.rules import RULES, Grant, Person, Role, Rule, default_grants, groups_left_out, person_from

CARE = {Role.CLINICIAN, Role.RADIOLOGIST}
CLINICS = ("north", "south")
SHOWN = [rule for rule in RULES if rule.route.startswith(("dicomweb", "studies")) and rule.method == "GET"]
BY_NAME = {rule.name: rule for rule in RULES}


def person(*roles: Role, clinics: tuple[str, ...] = ()) -> Person:
    """Somebody with these roles."""
    return Person("id", "Ana", frozenset(roles), frozenset(clinics))


def test_nothing_but_the_description_of_the_interface_answers_without_a_token() -> None:
    assert [rule.name for rule in RULES if rule.anonymous] == ["api_description"]


@pytest.mark.parametrize("rule", SHOWN, ids=lambda rule: rule.name)
def test_pictures_and_results_are_shown_to_care_and_to_nobody_else(rule: Rule) -> None:
    """One exception: who answers for privacy sees what was removed, and no picture."""
    assert set(rule.roles) - CARE == ({Role.PRIVACY} if rule.name == "study_privacy" else set())


@pytest.mark.parametrize(
    "rule", [r for r in RULES if "{token}" in r.route or "{study}" in r.route], ids=lambda r: r.name
)
def test_a_study_is_shown_by_its_clinic_except_where_reaching_across_is_the_point(rule: Rule) -> None:
    across = {"study_replay", "study_cancel", "break_glass", "request_identity", "erase"}
    assert rule.scope == ("any-study" if rule.name in across else "study")


def test_an_operator_repairs_and_measures_and_sees_no_study() -> None:
    may = {rule.name for rule in RULES if Role.OPERATOR in rule.roles}
    assert may == {"me", "study_replay", "study_cancel", "models", "ops", "failures", "refused",
                   "request_identity", "requests", "request_open", "model_changes", "model_change_propose",
                   "model_change_decide"}  # fmt: skip


def test_a_clinics_own_users_see_their_inbox_and_nothing_of_care() -> None:
    may = {rule.name for rule in RULES if Role.CLINIC_USER in rule.roles}
    assert may == {"me", "models", "uploads", "upload_address"}


def test_only_a_radiologist_signs_and_only_a_privacy_officer_decides_erases_merges_and_reads_the_audit() -> None:
    assert BY_NAME["study_review"].roles == (Role.RADIOLOGIST,)
    for name in ("request_decision", "break_glass_review", "erase", "merge", "quarantine_decision", "audit"):
        assert BY_NAME[name].roles == (Role.PRIVACY,), name


def test_whatever_reads_an_identity_is_in_the_app_that_may_open_the_vault() -> None:
    doors = [r for r in RULES if r.route.startswith(("identity/", "quarantine", "uploads"))]
    assert {rule.app for rule in doors} == {"identity"}
    assert {rule.app for rule in RULES if rule not in doors} == {"api"}


def test_whatever_changes_something_is_a_post() -> None:
    changes = {"study_review", "study_reading", "study_told", "study_replay", "study_cancel", "treatment",
               "break_glass", "break_glass_review", "request_identity", "request_decision", "request_open",
               "erase", "merge", "quarantine_decision", "upload_address", "model_change_propose",
               "model_change_decide"}  # fmt: skip
    assert {rule.name for rule in RULES if rule.method == "POST"} == changes


def test_one_of_a_persons_roles_is_enough_and_no_role_is_not() -> None:
    rule = BY_NAME["study"]
    assert person(Role.OPERATOR, Role.RADIOLOGIST).may(rule)
    assert not person(Role.OPERATOR).may(rule)
    assert not person().may(rule)
    assert person().may(BY_NAME["api_description"])


def test_a_person_sees_the_clinics_that_are_theirs() -> None:
    assert person(clinics=("north",)).sees("north")
    assert not person(clinics=("north",)).sees("south")
    assert not person(Role.PRIVACY).sees("north"), "a role gives no clinic"


def test_by_default_a_group_gives_its_clinic_and_one_group_gives_all() -> None:
    grants = default_grants(CLINICS)
    for groups, clinics in [(["clinic-north"], {"north"}), (["clinics"], {"north", "south"}), (["clinic-"], set())]:
        found = person_from({"oid": "o", "groups": groups, "roles": ["clinician"]}, grants, CLINICS)
        assert (found.clinics, found.roles) == (clinics, {Role.CLINICIAN})


def test_what_a_token_says_of_clinics_gives_none() -> None:
    """Clinics come from groups alone: a claim that names one is nothing that the directory's owner granted."""
    found = person_from({"oid": "o", "clinics": ["north"], "roles": ["*"]}, default_grants(CLINICS), CLINICS)
    assert (found.clinics, found.roles) == (frozenset(), frozenset())


def test_every_clinic_means_every_one_that_is_configured() -> None:
    everywhere = (Grant(group="g", clinics=("*", "closed")),)
    assert person_from({"oid": "o", "groups": ["g"]}, everywhere, CLINICS).clinics == {"north", "south"}


@pytest.mark.parametrize("value", ["clinician", {"clinician": 1}, 7, None])
def test_roles_that_are_not_a_list_give_none(value: object) -> None:
    assert person_from({"oid": "o", "roles": value}, (), CLINICS).roles == frozenset()


@pytest.mark.parametrize(
    ("claims", "who"),
    [
        ({"oid": "o", "sub": "s", "name": "Ana", "preferred_username": "ana@x"}, ("o", "Ana")),
        ({"sub": "s", "preferred_username": "ana@x"}, ("s", "ana@x")),
        ({"sub": "s", "name": "n" * 500}, ("s", "n" * 120)),
        ({"sub": "s"}, ("s", "unnamed")),
    ],
)
def test_a_person_is_the_directorys_object_and_has_a_name_of_bounded_length(claims, who: tuple[str, str]) -> None:
    found = person_from(claims, (), CLINICS)
    assert (found.id, found.name) == who


@pytest.mark.parametrize(
    ("claims", "left_out"),
    [
        ({"_claim_names": {"groups": "src1"}}, True),
        ({"hasgroups": True}, True),
        ({"hasgroups": "True"}, True),
        ({"groups": "src1"}, True),
        ({"groups:src1": {"endpoint": "https://graph.example"}}, True),
        ({"groups": [], "hasgroups": True}, False),
        ({"groups": ["a"]}, False),
        ({"hasgroups": False}, False),
        ({}, False),
    ],
)
def test_groups_that_are_named_elsewhere_are_left_out_in_whichever_form_that_is_said(
    claims: dict[str, object], left_out: bool
) -> None:
    assert groups_left_out(claims) is left_out
