"""Whose request the job carries out next."""

from __future__ import annotations

from readfirst.domain.analysis.turns import STAT_IN_A_ROW, Queue, Turns


def drain(stat: int, routine: int) -> list[Queue]:
    """The order in which so many waiting requests are carried out."""
    turns, waiting, order = Turns(), {"stat": stat, "routine": routine}, []
    while any(waiting.values()):
        queue = next(queue for queue in turns.order() if waiting[queue])
        waiting[queue] -= 1
        turns.begun(queue)
        order.append(queue)
    return order


def test_a_stat_request_is_taken_before_fifty_routine_ones() -> None:
    assert drain(stat=1, routine=50)[0] == "stat"


def test_a_routine_request_is_taken_at_least_every_fifth_time_however_many_are_stat() -> None:
    assert STAT_IN_A_ROW == 4
    order = drain(stat=20, routine=4)
    assert order[:20] == ["stat", "stat", "stat", "stat", "routine"] * 4


def test_stat_requests_wait_for_nobody_where_none_is_routine() -> None:
    assert drain(stat=7, routine=0) == ["stat"] * 7


def test_a_routine_request_that_is_ready_is_overtaken_by_four_stat_ones_at_most() -> None:
    turns = Turns()
    turns.begun("routine")
    for _ in range(STAT_IN_A_ROW):
        assert turns.overtaking_allowed()
        turns.begun("stat")
    assert not turns.overtaking_allowed()
