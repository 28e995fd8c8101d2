"""What has to hold after a chaotic day, and what of it does not. Pure: it sees only what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from readfirst.domain.reading.study_record import StudyRecord


@dataclass(frozen=True)
class Due:
    """A study as it was sent, and the one right end that it has."""

    kind: str
    clinic: str
    token: str
    images: int
    label: str
    letters: int
    files: frozenset[str]  # SHA-256 of everything that was sent of it or together with it
    bad: frozenset[str] = frozenset()  # those of them that are not images, and are to be set aside


@dataclass(frozen=True)
class Found:
    """What the stack holds when the day is over."""

    records: Mapping[str, StudyRecord]  # by token, from the blobs
    subjects: Sequence[str]  # of every e-mail in the outbox
    held: frozenset[str]  # SHA-256 of every original and of every file in quarantine
    set_aside: Mapping[str, Mapping[str, str]]  # clinic: SHA-256 of each of its files in quarantine, and the reason
    inbox: Mapping[str, int]  # clinic: how many uploads nobody has taken
    answers: Mapping[str, Mapping[str, Any]]  # token: what its clinic reads of it
    index: Sequence[Mapping[str, Any]]  # its documents
    rebuilt: Sequence[Mapping[str, Any]]  # the documents after the index was emptied and built again
    queues: Mapping[str, int]  # messages that nobody has finished, parked ones too, by the queue's name
    listed: Mapping[str, int]  # parked messages that the product lists, by queue
    running: Mapping[str, int] = field(default_factory=dict)  # orchestrations that have not ended, by name
    failures: Sequence[str] = ()  # what the product lists as failed
    leaks: Sequence[tuple[str, str]] = ()  # (place, what was found there)
    places: int = 0  # that were looked through for identifiers


FEWEST_PLACES = 100  # blobs, messages, entries, logs: a scan of less has looked in the wrong place


def judge(due: Sequence[Due], found: Found) -> dict[str, list[str]]:
    """Each invariant with what breaks it: an empty list holds."""
    return {name: sorted(rule(due, found)) for name, rule in INVARIANTS.items()}


def right(due: Due, record: StudyRecord | None) -> str:
    """What is wrong with a study's record; empty: nothing."""
    if record is None:
        return "has no record"
    if record.label != due.label:
        return f"is {record.label!r}, not {due.label!r} ({record.reason})"
    if record.state != "reported":
        return f"is {record.state}"
    if record.instances != due.images:
        return f"has {record.instances} images, not {due.images}"
    if due.letters and not record.alerted:
        return "has not alerted"
    return ""


def _one_right_state(due: Sequence[Due], found: Found) -> Iterator[str]:
    for one in due:
        if why := right(one, found.records.get(one.token)):
            yield f"{_name(one, found)} {why}"
    for token in found.records.keys() - {one.token for one in due}:
        yield f"{found.records[token].handle} was never sent"


def _no_file_lost(due: Sequence[Due], found: Found) -> Iterator[str]:
    for one in due:
        if lost := len(one.files - found.held):
            yield f"{_name(one, found)}: {lost} of {len(one.files)} files are gone"
    yield from (f"{left} uploads lie in the inbox of {clinic}" for clinic, left in found.inbox.items() if left)


def _bad_files_set_aside(due: Sequence[Due], found: Found) -> Iterator[str]:
    for clinic in {one.clinic for one in due} | found.set_aside.keys():
        kept = found.set_aside.get(clinic, {})
        wanted = frozenset[str]().union(*(one.bad for one in due if one.clinic == clinic))
        if missing := len(wanted - kept.keys()):
            yield f"{clinic}: {missing} of {len(wanted)} bad files are not set aside"
        if others := kept.keys() - wanted:
            yield f"{clinic}: {len(others)} other files are set aside ({', '.join(sorted({kept[o] for o in others}))})"
        if not all(kept.values()):
            yield f"{clinic}: a file was set aside without a reason"


def _alerts(due: Sequence[Due], found: Found) -> Iterator[str]:
    about = Counter[str]()
    for one in due:
        record = found.records.get(one.token)
        sent = sum(record.handle in subject for subject in found.subjects) if record else 0
        about[one.token] = sent
        if sent != one.letters:
            yield f"{_name(one, found)}: {sent} alerts, not {one.letters}"
    if strange := len(found.subjects) - about.total():
        yield f"{strange} e-mails are about none of the studies"


def _answers(due: Sequence[Due], found: Found) -> Iterator[str]:
    for one in due:
        record, said = found.records.get(one.token), found.answers.get(one.token, {})
        if record and (said.get("label"), said.get("state")) != (record.label, record.state):
            yield f"{_name(one, found)}: its clinic reads {said.get('label')!r}, and it is {record.label!r}"


def _index(due: Sequence[Due], found: Found) -> Iterator[str]:
    there = {str(document["id"]): document for document in found.index}
    truth = {str(document["id"]): document for document in found.rebuilt}
    yield from (f"{one[:8]} is not in the index" for one in truth.keys() - there.keys())
    yield from (f"{one[:8]} is in the index alone" for one in there.keys() - truth.keys())
    for one in truth.keys() & there.keys():
        other = sorted(
            name for name in truth[one].keys() | there[one].keys() if truth[one].get(name) != there[one].get(name)
        )
        if other:
            yield f"{one[:8]} differs in the index: {', '.join(other)}"
    yield from (f"{one.token[:8]} cannot be rebuilt" for one in due if one.token not in truth)


def _nothing_left(due: Sequence[Due], found: Found) -> Iterator[str]:
    yield from (f"{count} of {name} have not ended" for name, count in found.running.items() if count)
    for queue, count in found.queues.items():
        parked = queue.removesuffix("-poison")
        if parked == queue:
            yield from [f"{count} messages wait in {queue}"] * bool(count)
        elif count != found.listed.get(parked, 0):
            yield f"{count} messages are parked in {queue}, and {found.listed.get(parked, 0)} are listed"


def _no_failure(due: Sequence[Due], found: Found) -> Iterator[str]:
    yield from found.failures
    yield from (f"{count} messages of {queue} are parked" for queue, count in found.listed.items() if count)


def _no_leak(due: Sequence[Due], found: Found) -> Iterator[str]:
    yield from (f"{what} in {place}" for place, what in found.leaks)
    if found.places < FEWEST_PLACES:
        yield f"only {found.places} places were looked through"


INVARIANTS: Mapping[str, Callable[[Sequence[Due], Found], Iterator[str]]] = {
    "every study is in exactly one right state": _one_right_state,
    "no file is lost": _no_file_lost,
    "bad files are set aside with a reason": _bad_files_set_aside,
    "one alert for each study that needs one": _alerts,
    "each clinic reads what the record says": _answers,
    "no identifier outside uploads and vault": _no_leak,
    "the index equals a rebuild": _index,
    "nothing is under way, and every parked message is listed": _nothing_left,
    "nothing is listed as failed": _no_failure,
}


def _name(one: Due, found: Found) -> str:
    record = found.records.get(one.token)
    return f"{one.kind} {record.handle if record else one.token[:8]} of {one.clinic}"
