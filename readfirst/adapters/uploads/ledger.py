"""The ledger in container `arrivals`: what arrived, which run took it. Each side writes before it reads.

{token}/files/{arrival}.json    one per uploaded file, put once
{token}/seals/{run:06d}.json    one per run, put once: the first writer's list is the truth
{token}/complete.json           the sender's last word on the study
{token}/learned-{run:06d}.json  the identifiers that a run's headers name, and what they say of the patient
{token}/person                  the pseudonym that the study's clean copies carry: the first one pinned is the truth
{token}/rulings/{n:06d}.json    what a privacy officer decided about a study of several persons, in order
{token}/cancelled.json          the last run that an operator called off, until it is replayed
{token}/others/{upload}.json    what came for the study, or in one archive with it, and has no place of its own
handles/{handle}                which token has the handle
"""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

from readfirst.adapters import blobs, clients
from readfirst.domain import resource_names
from readfirst.domain.intake.ledger import Arrival, ArrivalNote, Complete, Learned, Others, Seal
from readfirst.domain.intake.person import Ruling
from readfirst.domain.pseudonyms import handle_of

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

_PARALLEL = 8


class Ledger:
    """One study's page of the ledger."""

    def __init__(self, container: ContainerClient, token: str) -> None:
        self._container, self._token = container, token

    def record(self, arrival: Arrival) -> None:
        """Writes an arrival; a second time is no error."""
        note = arrival.note
        metadata = {"series": note.series, "modality": note.modality, "arrived": note.arrived.isoformat()}
        blobs.put_once(
            self._container, f"{self._token}/files/{note.id}.json", arrival.model_dump_json().encode(), metadata
        )

    def notes(self) -> list[ArrivalNote]:
        """Every arrival of the study, from one listing."""
        listed = self._container.list_blobs(name_starts_with=f"{self._token}/files/", include=["metadata"])
        return [
            ArrivalNote(
                id=blob.name.rsplit("/", 1)[1].removesuffix(".json"),
                series=blob.metadata["series"],
                modality=blob.metadata["modality"],
                arrived=datetime.fromisoformat(blob.metadata["arrived"]),
            )
            for blob in listed
        ]

    def arrivals(self, ids: tuple[str, ...]) -> list[Arrival]:
        """The arrivals of those ids, in that order. Raises FileNotFoundError where one is gone."""

        def fetch(arrival: str) -> Arrival:
            data = blobs.read(self._container, f"{self._token}/files/{arrival}.json")
            if data is None:
                raise FileNotFoundError("the ledger lost an arrival")
            return Arrival.model_validate_json(data)

        with ThreadPoolExecutor(_PARALLEL) as pool:
            return list(pool.map(fetch, ids))

    def seal(self, seal: Seal) -> Seal:
        """Writes the run's seal unless it has one; returns the one that counts."""
        name = self._seal_name(seal.run)
        if blobs.put_once(self._container, name, seal.model_dump_json().encode()):
            return seal
        return self.sealed(seal.run)

    def sealed(self, run: int) -> Seal:
        """The seal of a run. Raises FileNotFoundError where the run has not sealed."""
        data = blobs.read(self._container, self._seal_name(run))
        if data is None:
            raise FileNotFoundError("the run has no seal")
        return Seal.model_validate_json(data)

    def runs(self) -> int:
        """How many runs have sealed."""
        return sum(1 for _ in blobs.names(self._container, f"{self._token}/seals/"))

    def unsealed(self) -> tuple[list[ArrivalNote], int]:
        """The files that no run has taken, and how many runs have taken."""
        notes = self.notes()
        taken = {a for run in range(1, self.runs() + 1) for a in self.sealed(run).arrivals}
        return [note for note in notes if note.id not in taken], len(taken)

    def _seal_name(self, run: int) -> str:
        return f"{self._token}/seals/{run:06d}.json"

    def keep_others(self, upload: str, others: Others) -> None:
        """Keeps what came for the study and has no place of its own here; a second time is no error."""
        blobs.put_once(self._container, f"{self._token}/others/{upload}.json", others.model_dump_json().encode())

    def others(self) -> Others:
        """All that `keep_others` kept, together."""
        names = list(blobs.names(self._container, f"{self._token}/others/"))
        kept = [Others.model_validate_json(blobs.read(self._container, name) or b"{}") for name in names]
        return Others(
            skipped=sum((Counter(one.skipped) for one in kept), Counter()),
            refused=sum((Counter(one.refused) for one in kept), Counter()),
            instances={token: reason for one in kept for token, reason in one.instances.items()},
        )

    def forget_others(self, upload: str) -> None:
        """Forgets what `keep_others` kept: the file is received again."""
        blob = self._container.get_blob_client(f"{self._token}/others/{upload}.json")
        if blobs.properties(blob) is not None:
            blob.delete_blob()

    def say_complete(self, complete: Complete) -> None:
        """Keeps the sender's word; the last one counts."""
        data = complete.model_dump_json(by_alias=True).encode()
        blobs.put(self._container, f"{self._token}/complete.json", data)

    def complete(self) -> Complete | None:
        """The sender's word, if any."""
        data = blobs.read(self._container, f"{self._token}/complete.json")
        return Complete.model_validate_json(data) if data else None

    def cancel(self, run: int) -> None:
        """Notes that an operator called off the runs up to this one."""
        blobs.put(self._container, f"{self._token}/cancelled.json", json.dumps({"run": run}).encode())

    def resume(self) -> None:
        """Takes that back."""
        blobs.delete_now(self._container, f"{self._token}/cancelled.json")

    def cancelled(self, run: int) -> bool:
        """Whether the run was called off."""
        data = blobs.read(self._container, f"{self._token}/cancelled.json")
        return data is not None and run <= int(json.loads(data)["run"])

    def keep_learned(self, run: int, learned: Learned) -> None:
        """Keeps what a run has learned from its headers."""
        blobs.put(self._container, self._learned_name(run), learned.model_dump_json().encode())

    def learned(self, run: int) -> Learned:
        """What `keep_learned` kept. Raises FileNotFoundError where there is nothing."""
        data = blobs.read(self._container, self._learned_name(run))
        if data is None:
            raise FileNotFoundError("what the run has learned is not there")
        return Learned.model_validate_json(data)

    def has_learned(self, run: int) -> bool:
        """Whether the run has learned."""
        return blobs.exists(self._container, self._learned_name(run))

    def _learned_name(self, run: int) -> str:
        return f"{self._token}/learned-{run:06d}.json"

    def pinned(self) -> str:
        """The pseudonym that the study's clean copies carry; "" where none was pinned."""
        return (blobs.read(self._container, f"{self._token}/person") or b"").decode()

    def pin(self, patient: str) -> str:
        """Pins the study's pseudonym unless it has one; returns the one that counts."""
        name = f"{self._token}/person"
        return patient if blobs.put_once(self._container, name, patient.encode()) else self.pinned()

    def rulings(self) -> tuple[Ruling, ...]:
        """What was decided about the study's persons, in order."""
        listed = sorted(blobs.names(self._container, f"{self._token}/rulings/"))
        found = (blobs.read(self._container, name) for name in listed)
        return tuple(Ruling.model_validate_json(data) for data in found if data)

    def rule(self, ruling: Ruling) -> None:
        """Adds a decision after those that are there; the same one twice is one."""
        while (there := self.rulings())[-1:] != (ruling,):
            name = f"{self._token}/rulings/{len(there) + 1:06d}.json"
            blobs.put_once(self._container, name, ruling.model_dump_json().encode())

    def own_names(self) -> dict[str, str]:
        """The names that its clinic gave the study, for the answers to that clinic and nobody else."""
        first = islice(blobs.names(self._container, f"{self._token}/files/"), _PARALLEL)
        arrivals = self.arrivals(tuple(name.rsplit("/", 1)[1].removesuffix(".json") for name in first))
        accession = next((a.accession for a in arrivals if a.accession), "")
        own = {"studyInstanceUid": arrivals[0].study_uid if arrivals else "", "accessionNumber": accession}
        return {name: value for name, value in own.items() if value}

    def handle(self) -> str:
        """The study's handle: claimed once, so that no two studies share one."""
        attempt = 0
        while True:
            handle = handle_of(self._token, attempt)
            if blobs.put_once(self._container, f"handles/{handle}", self._token.encode()):
                return handle
            if blobs.read(self._container, f"handles/{handle}") == self._token.encode():
                return handle
            attempt += 1


def ledger_of(token: str) -> Ledger:
    """The study's page in the uploads account."""
    return Ledger(clients.container(resource_names.UPLOADS, resource_names.ARRIVALS), token)
