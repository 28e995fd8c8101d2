"""When a study is announced as complete: by the modality's word, and only when all that it names has gone out."""

from __future__ import annotations

from readfirst.domain.gateway.completion import COMPLETED, DISCONTINUED, IN_PROGRESS, Said, expected


def step(state: str, *instances: str) -> Said:
    return Said("step", state, frozenset(instances))


def there(*instances: str) -> Said:
    return Said("availability", COMPLETED, frozenset(instances))


def test_without_a_word_of_the_modality_nothing_is_announced() -> None:
    assert expected([], {"1", "2"}, 0) is None


def test_a_completed_step_whose_instances_went_out_announces_all_that_went_out() -> None:
    assert expected([step(COMPLETED, "1", "2")], {"1", "2"}, 0) == 2
    assert expected([step(COMPLETED, "1", "2")], {"1", "2", "3"}, 0) == 3


def test_an_instance_that_the_step_names_and_that_did_not_come_keeps_it_waiting() -> None:
    assert expected([step(COMPLETED, "1", "2")], {"1", "3"}, 0) is None


def test_a_file_of_the_study_in_the_spool_keeps_it_waiting() -> None:
    assert expected([step(COMPLETED, "1")], {"1"}, 1) is None


def test_another_step_that_is_in_progress_keeps_it_waiting() -> None:
    assert expected([step(COMPLETED, "1"), step(IN_PROGRESS)], {"1"}, 0) is None


def test_a_step_that_was_discontinued_announces_nothing_and_hinders_nothing() -> None:
    assert expected([step(DISCONTINUED, "1")], {"1"}, 0) is None
    assert expected([step(DISCONTINUED, "1", "9"), step(COMPLETED, "2")], {"1", "2"}, 0) == 2


def test_a_step_that_names_no_instance_announces_nothing() -> None:
    assert expected([step(COMPLETED)], {"1"}, 0) is None


def test_a_notification_of_availability_counts_as_a_completed_step() -> None:
    assert expected([there("1", "2")], {"1", "2"}, 0) == 2
    assert expected([there("1", "2")], {"1"}, 0) is None


def test_a_step_and_a_notification_must_both_be_matched() -> None:
    assert expected([step(COMPLETED, "1"), there("1", "2")], {"1"}, 0) is None
