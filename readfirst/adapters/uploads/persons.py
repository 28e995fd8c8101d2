"""Whose study it is, by its page of the ledger; and the question to a privacy officer where that is not clear.

The question is a blob of container `quarantine`, `{study token}/{question}`: it names people, as the originals do.
"""

from __future__ import annotations

from collections import Counter

from pydantic import ValidationError

from readfirst.adapters import blobs, clients, secrets
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain import resource_names
from readfirst.domain.intake.person import Person, Question, Stated, decide
from readfirst.domain.refusals import Reason


def person_of_study(token: str, clinic: str, run: int) -> Person | Question | None:
    """The person of the study by the files of all runs up to `run`; its pseudonym is pinned once it is known.

    None for a study that has runs from before persons were decided: each of its files says for itself whose it is.
    """
    ledger = ledger_of(token)
    learned = [ledger.learned(n) for n in range(1, run + 1)]
    counted: Counter[Stated] = Counter()
    for one in learned:
        if one.stated is None:
            return None
        counted.update(dict(one.stated))
    first = next((arrival for n in range(1, run + 1) for arrival in ledger.sealed(n).arrivals), None)
    if first is None:
        return None
    (arrival,) = ledger.arrivals((first,))
    keys = secrets.pseudonyms(clinic)
    found = decide(counted, ledger.rulings(), keys, arrival.study_uid, ledger.pinned())
    if isinstance(found, Person) and (pinned := ledger.pin(found.token)) != found.token:
        return decide(counted, ledger.rulings(), keys, arrival.study_uid, pinned)  # another run was first
    return found


def asks(token: str, clinic: str, run: int) -> bool:
    """Whether the study waits for a privacy officer's word."""
    return isinstance(person_of_study(token, clinic, run), Question)


def ask(token: str, clinic: str, question: Question) -> None:
    """Puts the question where a privacy officer finds it, in place of an older one about the same study."""
    data = question.model_dump_json().encode()
    name = f"{token}/{secrets.pseudonyms(clinic).arrival('persons', data.decode())}"
    quarantine = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE)
    blobs.put_once(quarantine, name, data, {"reason": Reason.SEVERAL_PERSONS.value})
    for other in list(quarantine.list_blobs(name_starts_with=f"{token}/", include=["metadata"])):
        if other.name != name and (other.metadata or {}).get("reason") == Reason.SEVERAL_PERSONS.value:
            blobs.delete_now(quarantine, other.name)


def asked(token: str, question: str) -> Question | None:
    """A question that waits for its answer; None where that blob is not one."""
    quarantine = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE)
    seen = blobs.properties(quarantine.get_blob_client(f"{token}/{question}"))
    if seen is None or (seen.metadata or {}).get("reason") != Reason.SEVERAL_PERSONS.value:
        return None
    try:
        return Question.model_validate_json(blobs.read(quarantine, f"{token}/{question}") or b"")
    except ValidationError:  # a file that was kept back for that reason
        return None


def close(token: str, question: str) -> None:
    """Takes an answered question away."""
    blobs.delete_now(clients.container(resource_names.UPLOADS, resource_names.QUARANTINE), f"{token}/{question}")
