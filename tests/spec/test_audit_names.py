"""The audit chain with the names of people, and as older versions wrote it."""

from __future__ import annotations

import json

import pytest

from readfirst.domain.access.audit_chain import Entry, Tail, broken_at, entry, genesis

START = genesis("api", "2026-03-01", None)


def _entry(tail: Tail, **more: str) -> Entry:
    return entry(
        tail, at="2026-03-01T12:00:00Z", app="api", actor="a", role="r", act="study", outcome="allowed", **more
    )


def _older(one: Entry) -> bytes:
    """As a version wrote it that knew neither names nor handles."""
    return json.dumps({k: v for k, v in one.model_dump().items() if k not in ("name", "handle")}).encode()


def test_a_chain_of_an_older_version_stays_whole_and_goes_on_with_names() -> None:
    first = _entry(START)
    second = _entry(Tail(1, first.hash), name="Dr Rita Ray", handle="7ZZZZZZ7")
    assert broken_at(START, [_older(first), second.line()]) is None


@pytest.mark.parametrize("field", ["name", "handle"])
def test_a_name_or_a_handle_cannot_be_changed_taken_away_or_put_in(field: str) -> None:
    known, unknown = _entry(START, **{field: "7ZZZZZZ7"}), _entry(START)
    for one, value in ((known, "6YYYYYY6"), (known, ""), (unknown, "6YYYYYY6")):
        assert broken_at(START, [one.model_copy(update={field: value}).line()]) == 1
