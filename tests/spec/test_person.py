"""A study's person is decided once, from what all its files say; two persons are never taken for one."""

from __future__ import annotations

import random
from collections import Counter
from itertools import permutations

import pytest

from readfirst.domain.intake.person import (
    Disagreement,
    Person,
    Question,
    Ruling,
    Stated,
    chosen,
    decide,
    person_of,
    persons,
)
from readfirst.domain.pseudonyms import Pseudonyms

NAMES = Pseudonyms(bytes(range(32)), "hilltop")
UID = "1.2.826.0.1.3680043.9.7.1.1"
ANNA = Stated(patient_id="MRN-48213", name="Orchardson^Anna^B", birth_date="19510423", sex="F")
BORIS = Stated(patient_id="MRN-77150", name="Pilkovich^Boris", birth_date="19680911", sex="M")


def but(stated: Stated, **changed: str) -> Stated:
    return stated.model_copy(update=changed)


def groups(*said: Stated) -> int:
    return len(persons(dict.fromkeys(said, 1)))


@pytest.mark.parametrize(
    "other",
    [
        but(ANNA, patient_id="MRN-48214"),
        but(BORIS, patient_id=""),
        but(BORIS, patient_id=ANNA.patient_id),
        but(BORIS, issuer="HILLTOP"),
        but(ANNA, patient_id="MRN-48214", name="", birth_date=""),
        but(ANNA, patient_id="MRN-99", issuer="HILLTOP", birth_date=""),
    ],
    ids=["another ID", "no ID", "the same ID, nothing else", "an issuer", "nothing but an ID", "perhaps one issuer"],
)
def test_two_persons_are_told_apart_by_id_or_by_name_and_birth_date(other: Stated) -> None:
    assert groups(ANNA, other) == 2


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (but(ANNA, issuer="HILLTOP"), {Disagreement.ISSUER}),
        (but(ANNA, patient_id=""), {Disagreement.ID_MISSING}),
        (but(ANNA, patient_id="mrn-48213 "), {Disagreement.ID_WRITTEN}),
        (but(ANNA, patient_id="00MRN-48213"), {Disagreement.ID_WRITTEN}),
        (but(ANNA, patient_id="ＭＲＮ-48213"), {Disagreement.ID_WRITTEN}),
        (but(ANNA, patient_id="TRAUMA-17", name="Unknown^Trauma", birth_date=""), {Disagreement.ID,
         Disagreement.BIRTH_DATE_MISSING}),
        (but(ANNA, patient_id="A-5", issuer="RIVERSIDE"), {Disagreement.ID, Disagreement.ISSUER}),
        (but(ANNA, name="Kettering^Anna"), {Disagreement.NAME}),
        (but(ANNA, birth_date="19510424"), {Disagreement.BIRTH_DATE}),
        (but(ANNA, birth_date=""), {Disagreement.BIRTH_DATE_MISSING}),
        (but(ANNA, name=""), {Disagreement.NAME_MISSING}),
        (but(ANNA, sex="M"), {Disagreement.SEX}),
        (Stated(), {Disagreement.ID_MISSING, Disagreement.NAME_MISSING, Disagreement.BIRTH_DATE_MISSING}),
    ],
)  # fmt: skip
def test_what_else_does_not_agree_is_recorded_and_the_study_stays_one_persons(
    other: Stated, what: set[Disagreement]
) -> None:
    counted = {ANNA: 20, other: 1}
    (group,) = persons(counted)
    person = person_of(group, counted, NAMES, UID)
    assert set(person.disagree) == what
    assert person.accepts(ANNA) and person.accepts(other)
    assert person.token == NAMES.patient_token(ANNA.issuer, ANNA.patient_id), "as a study that agrees with itself has"
    assert (person.identity.name, person.identity.birth_date) == (ANNA.name, ANNA.birth_date)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Müller^Hans", "MUELLER^HANS"),
        ("Müller^Hans", "Muller^Hans"),
        ("Orchardson^Anna^B", "Orchardson^Anna"),
        ("Anna Orchardson", "Orchardson^Anna"),
        ("Yamada^Tarou=山田^太郎", "=山田^太郎"),
        ("Yamada^Tarou", "=山田^太郎"),
        ("van der Berg^Jo", "VANDERBERG^JO"),
    ],
)
def test_a_name_written_otherwise_is_the_same_name_beside_a_wrong_birth_date(one: str, other: str) -> None:
    assert groups(but(ANNA, patient_id="", name=one), but(BORIS, patient_id="", name=other)) == 1


def test_a_birth_date_that_stands_in_for_none_tells_nobody_apart() -> None:
    assert groups(but(ANNA, patient_id=""), but(BORIS, patient_id="", birth_date="19000101")) == 1


def test_two_temporary_ids_are_two_persons() -> None:
    assert groups(Stated(patient_id="TRAUMA-17"), Stated(patient_id="TRAUMA-18")) == 2


def test_the_order_in_which_files_come_decides_nothing() -> None:
    said = (ANNA, but(ANNA, patient_id="", birth_date=""), BORIS, but(BORIS, issuer="HILLTOP"), Stated())
    answers = {persons(dict.fromkeys(order, 1)) for order in permutations(said)}
    assert len(answers) == 1
    assert {frozenset(group) for group in answers.pop()} == {
        frozenset({ANNA, said[1]}), frozenset({BORIS, said[3]}), frozenset({Stated()}),
    }  # fmt: skip


def test_a_file_without_an_id_goes_with_the_one_whom_its_name_means_and_with_nobody_else() -> None:
    anonymous = but(BORIS, patient_id="", birth_date="")
    found = {frozenset(group) for group in persons({ANNA: 3, BORIS: 2, anonymous: 1, Stated(): 1})}
    assert found == {frozenset({ANNA}), frozenset({BORIS, anonymous}), frozenset({Stated()})}


def test_the_pseudonym_is_that_of_most_files_and_the_values_are_the_fullest() -> None:
    plain, labelled = but(ANNA, name="", birth_date=""), but(ANNA, issuer="HILLTOP")
    for counted in ({plain: 9, labelled: 1}, {labelled: 1, plain: 9}):
        person = person_of(persons(counted)[0], counted, NAMES, UID)
        assert person.token == NAMES.patient_token("", ANNA.patient_id)
        assert person.identity == ANNA
    more = {plain: 1, labelled: 9}
    assert person_of(persons(more)[0], more, NAMES, UID).token == NAMES.patient_token("HILLTOP", ANNA.patient_id)


def test_a_study_without_any_id_has_a_person_of_its_own_and_keeps_it_when_the_id_comes_late() -> None:
    first = {Stated(): 5}
    person = person_of(persons(first)[0], first, NAMES, UID)
    assert person.token not in (NAMES.patient_token("", ""), NAMES.patient_token("", ANNA.patient_id))
    late = {Stated(): 5, ANNA: 30}
    later = person_of(persons(late)[0], late, NAMES, UID, token=person.token)
    assert (later.token, later.identity) == (person.token, ANNA)


def test_a_person_is_no_other_persons() -> None:
    person = person_of((ANNA,), {ANNA: 1}, NAMES, UID)
    assert not person.accepts(BORIS)
    assert "Orchardson" not in repr(person)


def _drawn(rng: random.Random, person: Stated) -> Stated:
    """A person as some system or other would write them into a file."""
    changes = {
        "patient_id": ("", person.patient_id.lower(), f" {person.patient_id} ", f"00{person.patient_id}"),
        "issuer": ("HILLTOP", "hilltop "),
        "name": ("", person.name.upper(), person.name.replace("^", " "), person.name.split("^")[0]),
        "birth_date": ("", "19000101", f"{person.birth_date[:4]}.{person.birth_date[4:6]}.{person.birth_date[6:]}"),
        "sex": ("", "O"),
    }
    chosen = rng.sample(sorted(changes), rng.randrange(4))
    return but(person, **{field: rng.choice(changes[field]) for field in chosen})


def test_however_systems_write_one_person_it_is_one_and_two_are_never_mixed() -> None:
    rng = random.Random(13)
    for _ in range(150):
        own = Counter(_drawn(rng, ANNA) for _ in range(rng.randrange(1, 30)))
        (group,) = persons(own)
        assert all(person_of(group, own, NAMES, UID).accepts(stated) for stated in own)
        foreign = Counter(_drawn(rng, BORIS) for _ in range(rng.randrange(1, 30))) + Counter([BORIS])
        mixed = persons(own + foreign + Counter([ANNA]))
        assert len(mixed) > 1
        for found in mixed:
            assert not (set(found) & set(foreign) and set(found) & set(own) - set(foreign)), "a group of both"


# -- what a privacy officer says


def test_two_persons_wait_for_a_ruling() -> None:
    assert chosen(persons({ANNA: 1, BORIS: 1}), ()) is None
    assert chosen(persons({ANNA: 1}), ()) == 0


def test_persons_who_were_ruled_one_are_one_also_with_later_files() -> None:
    ruling = Ruling(kind="one", persons=((ANNA,), (BORIS,)))
    (group,) = persons({ANNA: 2, BORIS: 1, but(BORIS, issuer="HILLTOP"): 1}, (ruling,))
    assert set(group) == {ANNA, BORIS, but(BORIS, issuer="HILLTOP")}


def test_a_study_that_was_ruled_one_persons_is_of_that_person_whoever_has_more_files() -> None:
    ruling = Ruling(kind="only", persons=((ANNA,), (BORIS,)), keep=1)
    for counted in ({ANNA: 9, BORIS: 1}, {ANNA: 1, BORIS: 9}):
        found = persons(counted, (ruling,))
        index = chosen(found, (ruling,))
        assert index is not None and found[index] == (BORIS,)


def test_a_ruling_holds_for_a_run_that_has_files_of_the_other_person_alone() -> None:
    ruling = Ruling(kind="only", persons=((ANNA,), (BORIS,)), keep=0)
    person = decide({BORIS: 3}, (ruling,), NAMES, UID)
    assert isinstance(person, Person)
    assert person.token == NAMES.patient_token("", ANNA.patient_id) and not person.accepts(BORIS)


def test_a_study_whose_copies_carry_a_pseudonym_is_given_to_nobody_else() -> None:
    pinned = NAMES.patient_token("", BORIS.patient_id)
    asked = decide({ANNA: 9, BORIS: 1}, (), NAMES, UID, pinned)
    assert isinstance(asked, Question)
    assert (asked.files, asked.pinned) == ((9, 1), 1)
    assert asked.ruling(0) is None and asked.ruling(2) is None
    kept, one = asked.ruling(1), asked.ruling(None)
    assert kept is not None and one is not None
    for ruling in (kept, one):
        person = decide({ANNA: 9, BORIS: 1}, (ruling,), NAMES, UID, pinned)
        assert isinstance(person, Person) and person.token == pinned and person.accepts(BORIS)
        assert person.accepts(ANNA) == (ruling is one)
    wrong = Ruling(kind="only", persons=asked.persons, keep=0)
    assert isinstance(decide({ANNA: 9, BORIS: 1}, (wrong,), NAMES, UID, pinned), Question)


def test_somebody_who_turns_up_after_the_ruling_is_asked_about_anew() -> None:
    third = Stated(patient_id="MRN-5", name="Quist^Carl", birth_date="19330101")
    for kind in ("one", "only"):
        rulings = (Ruling.model_validate({"kind": kind, "persons": ((ANNA,), (BORIS,))}),)
        assert chosen(persons({ANNA: 1, BORIS: 1, third: 1}, rulings), rulings) is None
