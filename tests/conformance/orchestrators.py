"""The orchestrators behind the recordings, written from the words in them ("program")."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import azure.durable_functions as df

_ran = {"nondet": 0}


def chain(context):
    a = yield context.call_activity("upper", context.get_input())
    b = yield context.call_activity("wrap", {"v": a, "n": 1.5, "none": None, "list": [1, "x", True]})
    c = yield context.call_activity("inc", 41)
    return {"a": a, "b": b, "c": c}


def fan3(context):
    results = yield context.task_all([context.call_activity("square", n) for n in (2, 3, 4)])
    return sum(results)


def retry2(context):
    what = {"id": context.instance_id, "fail": 2}
    result = yield context.call_activity_with_retry("flaky", df.RetryOptions(1000, 5), what)
    return result


def retry_exhausted(context):
    try:
        yield context.call_activity_with_retry("fails", df.RetryOptions(500, 3), "x")
    except Exception as problem:
        return {"caught": str(problem), "type": type(problem).__name__}


def act_fail(context):
    yield context.call_activity("fails", context.get_input())


def act_caught(context):
    try:
        yield context.call_activity("fails", 1)
    except Exception as problem:
        error = str(problem)
    result = yield context.call_activity("upper", "cleanup")
    return {"r": result, "e": error}


def all_fail(context):
    try:
        yield context.task_all(
            [context.call_activity("square", 2), context.call_activity("fails", 1), context.call_activity("square", 3)]
        )
    except Exception as problem:
        return {"e": str(problem)}


def any_act(context):
    winner = yield context.task_any([context.call_activity("nap", 3), context.call_activity("square", 5)])
    return winner.result


def boom_orch(context):
    raise ValueError("orchestrator exploded")


def can(context):
    value = yield context.call_activity("inc", context.get_input())
    if value < 3:
        context.continue_as_new(value)
        return None
    return {"final": value}


def custom(context):
    context.set_custom_status({"stage": 1})
    yield context.call_activity("upper", "a")
    context.set_custom_status("stage two")
    yield context.call_activity("nap", 2)
    return "done"


def determ(context):
    first = str(context.new_guid())
    now = context.current_utc_datetime.isoformat()
    a = yield context.call_activity("upper", first)
    return {"g": first, "g2": str(context.new_guid()), "a": a, "replaying": False, "name": True, "t": now}


def ev_before(context):
    yield context.call_activity("nap", 3)
    first = yield context.wait_for_external_event("E")
    second = yield context.wait_for_external_event("E")
    return [first, second]


def ev_wait(context):
    value = yield context.wait_for_external_event("Approval")
    return {"v": value, "type": type(value).__name__}


def forever(context):
    yield context.call_activity("upper", "a")
    value = yield context.wait_for_external_event("Go")
    result = yield context.call_activity("upper", str(value))
    return result


def long_timer(context):
    yield context.create_timer(context.current_utc_datetime + timedelta(days=8))


def missing_activity(context):
    yield context.call_activity("no_such_activity", 1)


def nested_any(context):
    both = context.task_all([context.wait_for_external_event("A"), context.wait_for_external_event("B")])
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=30))
    winner = yield context.task_any([both, timer])
    if winner is both:
        timer.cancel()
    return both.result


def nondet(context):
    _ran["nondet"] += 1
    result = yield context.call_activity("square" if _ran["nondet"] == 1 else "upper", 1)
    return result


def child(context):
    result = yield context.call_activity("square", context.get_input()["x"])
    return {"r": result, "parent": context.parent_instance_id}


def parent(context):
    first = yield context.call_sub_orchestrator("child", {"x": 1})
    second = yield context.call_sub_orchestrator("child", {"x": 2}, f"{context.instance_id}-kid")
    return [first, second]


def parent_fail(context):
    try:
        yield context.call_sub_orchestrator("act_fail", "z")
    except Exception as problem:
        return {"caught": str(problem), "type": type(problem).__name__}


def parent_retry(context):
    try:
        yield context.call_sub_orchestrator_with_retry("act_fail", df.RetryOptions(300, 2), "z")
    except Exception as problem:
        return {"caught": str(problem), "type": type(problem).__name__}


def parent_forever(context):
    yield context.call_sub_orchestrator("forever", None, f"{context.instance_id}-kid")


def race(context):
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=context.get_input()))
    event = context.wait_for_external_event("Approval")
    winner = yield context.task_any([timer, event])
    if winner is timer:
        return {"winner": "timer"}
    timer.cancel()
    result = yield context.call_activity("upper", event.result)
    return {"winner": "event", "value": event.result, "r": result}


def timer2(context):
    before = context.current_utc_datetime
    yield context.create_timer(before + timedelta(seconds=2))
    return {"t0": before.isoformat(), "t1": context.current_utc_datetime.isoformat()}


def unawaited(context):
    context.call_activity("upper", "x")
    yield context.call_activity("upper", "y")
    context.call_activity("upper", "z")
    return "ok"


def run(name: str, context: dict[str, Any]) -> tuple[str, str]:
    """What the SDK makes of one turn: ("returned", JSON) or ("raised", the exception's text)."""
    function: Callable[[Any], Any] = globals()[name]
    try:
        return "returned", df.Orchestrator.create(function)(json.dumps(context))
    except Exception as problem:
        return "raised", str(problem)
