"""The audit chain: what was written cannot be changed, taken out, put in or moved without being seen."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from readfirst.domain.access.audit_chain import Entry, Tail, broken_at, entry, genesis

START = genesis("api", "2026-03-02", None)


def chain(count: int = 5, start: Tail = START) -> list[Entry]:
    """A day's entries."""
    made: list[Entry] = []
    tail = start
    for n in range(count):
        made.append(entry(tail, at=f"2026-03-02T12:0{n}:00Z", app="api", actor=f"a{n}", role="radiologist",
                          act="study", outcome="allowed", token=f"t{n}", clinic="north", reason="Größe"))  # fmt: skip
        tail = Tail(made[-1].number, made[-1].hash)
    return made


def lines(entries: list[Entry]) -> list[bytes]:
    """The blob's lines, as they are read back."""
    return b"".join(one.line() for one in entries).splitlines()


def test_entries_are_numbered_from_one_and_each_names_the_one_before() -> None:
    made = chain(3)
    assert [one.number for one in made] == [1, 2, 3]
    assert [one.previous for one in made] == [START.hash, made[0].hash, made[1].hash]


def test_an_untouched_chain_holds_and_so_does_a_day_without_entries() -> None:
    assert broken_at(START, lines(chain())) is None
    assert broken_at(START, []) is None


@pytest.mark.parametrize("name", [name for name in Entry.model_fields if name not in ("number", "previous", "hash")])
def test_a_changed_field_is_found_whichever_it_is(name: str) -> None:
    made = chain()
    made[2] = made[2].model_copy(update={name: "changed"})
    assert broken_at(START, lines(made)) == 3


def test_an_entry_that_is_changed_and_hashed_anew_is_found_by_the_one_after_it() -> None:
    made = chain()
    one = made[2].model_dump(exclude={"number", "previous", "hash"})
    made[2] = entry(Tail(2, made[1].hash), **{**one, "actor": "somebody else"})
    assert broken_at(START, lines(made)) == 4


@pytest.mark.parametrize(
    ("tampered", "at"),
    [
        (lambda e: e[:2] + e[3:], 3),
        (lambda e: e[1:], 1),
        (lambda e: [e[0], e[2], e[1], *e[3:]], 2),
        (lambda e: [*e[:2], e[1], *e[2:]], 3),
    ],
    ids=["taken out", "the first cut off", "two exchanged", "one twice"],
)
def test_entries_taken_out_moved_or_repeated_are_found_where_it_happened(tampered, at: int) -> None:
    assert broken_at(START, tampered(lines(chain()))) == at


@pytest.mark.parametrize("line", [b"", b"{}", b"no json", b"\xff"])
def test_a_line_that_is_not_an_entry_breaks_the_chain(line: bytes) -> None:
    assert broken_at(START, [*lines(chain(2)), line]) == 3


def test_a_field_that_no_entry_has_breaks_the_chain() -> None:
    odd = json.dumps({**chain(1)[0].model_dump(), "extra": ""}).encode()
    assert broken_at(START, [odd]) == 1


def test_every_app_day_and_history_starts_a_chain_of_its_own() -> None:
    """A day that is cut away, or one app's day given as another's, is seen at the first entry."""
    before = Tail(5, chain()[-1].hash)
    starts = [START, genesis("identity", "2026-03-02", None), genesis("api", "2026-03-03", None),
              genesis("api", "2026-03-02", before), genesis("api", "2026-03-02", Tail(4, before.hash))]  # fmt: skip
    assert len({start.hash for start in starts}) == len(starts)
    assert {start.number for start in starts} == {0}
    for other in starts[1:]:
        assert broken_at(other, lines(chain())) == 1


def test_an_entry_is_one_line_whatever_its_reason_says() -> None:
    odd = entry(START, at="", app="api", actor="a", role="", act="x", outcome="allowed", reason="two\nlines\u2028three")
    assert odd.line().count(b"\n") == 1 and odd.line().endswith(b"\n")
    assert broken_at(START, [odd.line()]) is None


def test_an_entry_cannot_be_changed_in_memory() -> None:
    with pytest.raises(ValidationError):
        chain(1)[0].actor = "somebody else"
