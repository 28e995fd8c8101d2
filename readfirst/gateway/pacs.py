"""The PACS as a peer: objects are sent to it as they are, and it is asked, instance by instance, whether it has them.

No exit status, count or C-STORE answer is proof: peers end with success although a context was refused, answer an
error although they have stored, and forget. Proof is an answer to a question for one SOP Instance UID, or a storage
commitment.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, _config, build_context

from readfirst.domain.gateway import contexts
from readfirst.gateway.config import Pacs
from readfirst.gateway.journal import Result
from readfirst.gateway.spool import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION

if TYPE_CHECKING:
    from pynetdicom.association import Association

_config.STORE_SEND_CHUNKED_DATASET = True  # files are sent as they lie on the disk, never decoded and written anew
_FIND = "1.2.840.10008.5.1.4.1.2.2.1"  # Study Root Query/Retrieve Information Model - FIND
_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
_MOST_CONTEXTS = 128
_SECONDS = 60.0


class Unreachable(Exception):
    """The PACS does not answer, or refuses the association."""


class Refuses(Unreachable):
    """The PACS answers, and takes none of what was proposed to it."""


REFUSED = "the PACS refuses this kind of object"


@dataclass(frozen=True)
class Answer:
    """What came of sending one object. `word`: why it was not taken, in words without content; empty where it was."""

    result: Result
    word: str = ""


class Dimse:
    """A PACS by C-STORE and C-FIND. `title`: the gateway's."""

    def __init__(self, pacs: Pacs, title: str) -> None:
        self._pacs = pacs
        self._title = title

    def send(self, files: Sequence[tuple[Result, Path]]) -> Iterator[Answer]:
        """Sends objects, each in its own class and transfer syntax. Raises Unreachable."""
        wanted = sorted({(one.sop_class, one.syntax) for one, _ in files})
        for at in range(0, len(wanted), _MOST_CONTEXTS):
            pairs = wanted[at : at + _MOST_CONTEXTS]
            some = [(one, path) for one, path in files if (one.sop_class, one.syntax) in pairs]
            try:
                with self._association([build_context(*pair) for pair in pairs]) as association:
                    given = association.accepted_contexts
                    agreed = {(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in given}
                    for one, path in some:
                        yield Answer(one, _sent(association, one, path, agreed))
            except Refuses:
                yield from (Answer(one, REFUSED) for one, _ in some)

    def there(self, results: Sequence[Result]) -> Iterator[tuple[Result, bool]]:
        """Asks for each instance by its UIDs. Raises Unreachable."""
        with self._association([build_context(_FIND)]) as association:
            for one in results:
                yield (
                    one,
                    one.instance in list(_found(association, one)),
                )  # all answers are read before the next question

    def commit(self, results: Sequence[Result], asked: Callable[[str], None]) -> bool:
        """Asks for storage commitment; the report comes to the gateway's port. Returns whether the PACS took it.

        `asked` is called with the transaction's UID before it is sent, since the report may be faster than the answer.
        Raises Unreachable.
        """
        ds = Dataset()
        ds.TransactionUID = generate_uid()
        ds.ReferencedSOPSequence = [_reference(one) for one in results]
        try:
            with self._association([build_context(contexts.COMMITMENT)]) as association:
                asked(str(ds.TransactionUID))
                status, _ = association.send_n_action(ds, 1, contexts.COMMITMENT, _COMMITMENT_INSTANCE)
                return status is not None and status.get("Status") == 0
        except Refuses:
            return False

    def echo(self) -> bool:
        """Whether the PACS answers a C-ECHO."""
        try:
            with self._association([build_context(contexts.VERIFICATION)]) as association:
                return bool(association.send_c_echo().get("Status") == 0)
        except (Unreachable, RuntimeError, ValueError):
            return False

    @contextmanager
    def _association(self, proposed: list[Any]) -> Iterator[Association]:
        ae = AE(self._title)
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = _SECONDS
        tls = self._pacs.tls
        association = ae.associate(
            self._pacs.host,
            self._pacs.port,
            contexts=proposed,
            ae_title=self._pacs.title,
            max_pdu=0,
            tls_args=(tls.client(), self._pacs.host) if tls else None,
        )
        if not association.is_established:
            refused = bool(association.rejected_contexts)
            association.abort()
            raise Refuses if refused else Unreachable
        try:
            yield association
        finally:
            if association.is_established:
                association.release()


def _sent(association: Association, one: Result, path: Path, agreed: set[tuple[str, str]]) -> str:
    if (one.sop_class, one.syntax) not in agreed:
        return REFUSED
    if not association.is_established:
        return "the association ended"
    try:
        status = association.send_c_store(path).get("Status")
    except (RuntimeError, ValueError, AttributeError, OSError):
        return "it could not be sent"
    if status is None:
        return "the PACS did not answer"
    # 0xB000 and its like are warnings: stored, with something to say (PS3.4 B.2.3).
    return "" if status == 0 or status >> 12 == 0xB else f"the PACS answers 0x{status:04X}"


def _found(association: Association, one: Result) -> Iterator[str]:
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID, query.SeriesInstanceUID, query.SOPInstanceUID = one.study, one.series, one.instance
    for status, found in association.send_c_find(query, _FIND):
        if not status:
            raise Unreachable
        if status.Status in (0xFF00, 0xFF01) and found is not None:
            yield str(found.get("SOPInstanceUID") or "")


def _reference(one: Result) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.sop_class, one.instance
    return item


class Dicomweb:
    """A PACS by STOW-RS and QIDO-RS (PS3.18 10.5, 10.6)."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")

    def send(self, files: Sequence[tuple[Result, Path]]) -> Iterator[Answer]:
        """Sends objects one by one: the answer to a mixed request says little. Raises Unreachable."""
        for one, path in files:
            boundary = uuid.uuid4().hex
            head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
            body = head + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
            kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
            status, _ = self._asked("/studies", body, {"Content-Type": kind})
            yield Answer(one, "" if status in (200, 202) else f"the PACS answers {status}")

    def there(self, results: Sequence[Result]) -> Iterator[tuple[Result, bool]]:
        """Asks for each instance by its UIDs. Raises Unreachable."""
        for one in results:
            wanted = urlencode({"SOPInstanceUID": one.instance})
            status, data = self._asked(f"/studies/{one.study}/series/{one.series}/instances?{wanted}")
            if status not in (200, 204, 404):
                raise Unreachable
            yield one, status == 200 and one.instance in _instances(data)

    def echo(self) -> bool:
        """Whether the service answers a search."""
        try:
            return self._asked("/studies?limit=1")[0] in (200, 204)
        except Unreachable:
            return False

    def _asked(self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        request = Request(self._address + path, body, {"Accept": "application/dicom+json", **(headers or {})})  # noqa: S310 - config.py takes http and https only
        try:
            with urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                return int(answer.status), bytes(answer.read())
        except HTTPError as error:
            return error.code, b""
        except (URLError, OSError):
            raise Unreachable from None


def _instances(data: bytes) -> list[str]:
    try:
        return [str(item["00080018"]["Value"][0]) for item in json.loads(data)]
    except (ValueError, KeyError, IndexError, TypeError):
        return []
