"""Uses of break-glass and requests, in container `doors` of the vault account: written once, never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from readfirst.adapters import blobs, clients
from readfirst.domain import resource_names
from readfirst.domain.access.identity_requests import Act, Answer, Case

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

Kind = Literal["uses", "requests"]


def keep(kind: Kind, act: Act) -> None:
    """Keeps an act."""
    blobs.put_once(_container(), f"{kind}/{act.id}/act.json", act.model_dump_json().encode())


def answer(kind: Kind, case: Case, word: Answer) -> bool:
    """Keeps the word on a case. Returns whether it was the first."""
    return blobs.put_once(_container(), f"{kind}/{case.act.id}/answer.json", word.model_dump_json().encode())


def opened(case: Case, at: str) -> None:
    """Keeps when the identity of a request was first shown; later looks change nothing."""
    blobs.put_once(_container(), f"requests/{case.act.id}/opened.txt", at.encode())


def case(kind: Kind, act_id: str) -> Case | None:
    """One case; None where there is none of that id."""
    act = blobs.read(_container(), f"{kind}/{act_id}/act.json")
    word = blobs.read(_container(), f"{kind}/{act_id}/answer.json")
    opened = blobs.read(_container(), f"{kind}/{act_id}/opened.txt")
    if act is None:
        return None
    return Case(
        act=Act.model_validate_json(act),
        answer=Answer.model_validate_json(word) if word else None,
        opened=opened.decode() if opened else "",
    )


def cases(kind: Kind) -> list[Case]:
    """Every case, newest first."""
    ids = sorted({name.split("/")[1] for name in blobs.names(_container(), f"{kind}/")})
    found = [one for one in (case(kind, act_id) for act_id in ids) if one]
    return sorted(found, key=lambda one: one.act.at, reverse=True)


def _container() -> ContainerClient:
    return clients.container(resource_names.VAULT, resource_names.DOORS)
