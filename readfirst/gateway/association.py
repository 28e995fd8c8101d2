"""One peer's association: admitted or refused, its messages one after the other, ended in order or not.

A thread reads, writes to the disk, and answers. A data set is never in memory: what a C-STORE brings goes to the spool
as it comes, and other messages are small or refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from pydicom.uid import generate_uid
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import build_context

from readfirst.domain.gateway import contexts
from readfirst.domain.gateway.contexts import Answered, Proposed
from readfirst.gateway import wire
from readfirst.gateway.config import Limits
from readfirst.gateway.spool import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION, Full, Incoming, Spool, file_head
from readfirst.gateway.wire import Fragment, Garbage, Wire

_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_LARGEST_MESSAGE = 16 << 20  # bytes of a data set that is not stored: a procedure step of 50,000 images takes 8 MB
C_STORE, C_ECHO, N_EVENT, N_SET, N_CREATE = 0x0001, 0x0030, 0x0100, 0x0120, 0x0140
_CANCEL = 0x0FFF
_ANSWER = 0x8000

SUCCESS, OUT_OF_RESOURCES, NOT_SUPPORTED, NOT_THIS_CLASS, UNRECOGNISED = 0x0000, 0xA700, 0x0122, 0xA900, 0x0211
FAILURE = 0x0110


class Rejected(Exception):
    """The association is refused: result, source and reason (PS3.8 9.3.4), and a word for the log."""

    def __init__(self, result: int, source: int, reason: int, word: str) -> None:
        super().__init__(word)
        self.answer = (result, source, reason)


@dataclass(frozen=True)
class Notice:
    """A message of a service other than storage, with its data set as it came."""

    field: int
    class_uid: str
    instance_uid: str
    event: int
    transfer_syntax: str
    data: bytes


class House(Protocol):
    """What an association needs of the gateway."""

    title: str
    limits: Limits
    spool: Spool

    def knows(self, title: str, host: str) -> bool:
        """Whether a sender of that title may send from there."""

    def admit(self) -> bool:
        """Whether there is room for another association; then it is counted."""

    def leave(self) -> None:
        """The association that was counted has ended."""

    def stored(self) -> None:
        """A file was kept."""

    def notice(self, notice: Notice) -> int:
        """Takes a message, durably, and says its status (PS3.7 C)."""

    @property
    def stopping(self) -> bool:
        """Whether the gateway is about to end."""


class Association:
    """The conversation with one peer. `host` is its network address."""

    def __init__(self, line: Wire, house: House, host: str) -> None:
        self._line, self._house, self._host = line, house, host
        self._contexts: dict[int, Answered] = {}
        self._sender = ""
        self.files = 0

    def converse(self) -> None:
        """Until the peer releases the association. Raises Rejected, Garbage, Gone or Silent, with the peer answered."""
        counted = False
        try:
            self._establish()
            counted = True
            self._messages()
        except Rejected as error:
            self._line.send(wire.short_pdu(wire.ASSOCIATE_RJ, *error.answer))
            raise
        except Garbage:
            self._abort(2, 6)  # by the service provider: invalid PDU parameter value (PS3.8 9.3.8)
            raise
        except wire.Silent:
            self._abort(2, 0)
            raise
        finally:
            if counted:
                self._house.leave()

    def _abort(self, source: int, reason: int) -> None:
        try:
            self._line.send(wire.short_pdu(wire.ABORT, source, reason))
        except (wire.Gone, wire.Silent):
            return

    # ---------------------------------------------------------------- the association request

    def _establish(self) -> None:
        kind, pdu = self._line.next(self._house.limits.patience)
        if kind != wire.ASSOCIATE_RQ:
            raise Garbage("no association request")
        request = _request_of(bytes(pdu))
        self._sender = str(request.calling_ae_title or "").strip()
        if request.application_context_name != _APPLICATION_CONTEXT:
            raise Rejected(1, 1, 2, "another application context")
        if not self._house.knows(self._sender, self._host):
            self._sender = ""
            raise Rejected(1, 1, 3, "an unknown sender")
        if str(request.called_ae_title or "").strip() != self._house.title:
            raise Rejected(1, 1, 7, "another title was called")
        if not self._house.admit():
            raise Rejected(2, 3, 2, "too many associations")
        try:
            self._line.send(self._acceptance(request))
        except BaseException:
            self._house.leave()
            raise

    def _acceptance(self, request: A_ASSOCIATE) -> bytes:
        proposed = [
            Proposed(int(one.context_id or 0), str(one.abstract_syntax), tuple(map(str, one.transfer_syntax)))
            for one in request.presentation_context_definition_list
        ]
        answered = contexts.answers(proposed)
        self._contexts = {one.id: one for one in answered if one.result == contexts.ACCEPTED}
        roles = []
        for item in request.user_information:
            if isinstance(item, SCP_SCU_RoleSelectionNegotiation) and item.sop_class_uid == contexts.COMMITMENT:
                roles.append(item)  # a PACS that reports proposes to be the provider: agreed as proposed
        return _acceptance(request, answered, roles, self._house.limits.pdu)

    # ---------------------------------------------------------------- messages

    def _messages(self) -> None:
        while not self._house.stopping:
            kind, pdu = self._line.next(self._house.limits.idle)
            if kind == wire.RELEASE_RQ:
                self._line.send(wire.short_pdu(wire.RELEASE_RP))
                return
            if kind == wire.ABORT:
                return
            if kind != wire.P_DATA:
                raise Garbage("an unexpected PDU")
            self._message(_Fragments(self._line, self._house.limits.idle, pdu))
        self._abort(2, 0)

    def _message(self, fragments: _Fragments) -> None:
        context, command = fragments.command()
        agreed = self._contexts.get(context)
        if agreed is None:
            raise Garbage("a context that was not agreed")
        field = int(command[wire.FIELD])
        has_data = command.get(wire.DATA_SET_TYPE, wire.NO_DATA_SET) != wire.NO_DATA_SET
        if field == C_STORE and has_data:
            status = self._store(agreed, command, fragments)
        elif field == C_ECHO and not has_data and agreed.abstract_syntax == contexts.VERIFICATION:
            status = SUCCESS
        elif field == _CANCEL:
            return
        elif field & _ANSWER:
            raise Garbage("an answer that nobody asked for")
        else:
            status = self._notice(agreed, command, fragments.gathered(context) if has_data else b"")
        self._answer(context, command, status)

    def _store(self, agreed: Answered, command: dict[int, int | str], fragments: _Fragments) -> int:
        uid, instance = str(command.get(wire.CLASS_UID, "")), str(command.get(wire.INSTANCE_UID, ""))
        status = SUCCESS
        if not contexts.is_storage(agreed.abstract_syntax):
            status = NOT_SUPPORTED
        elif uid != agreed.abstract_syntax:
            status = NOT_THIS_CLASS
        file: Incoming | None = None
        try:
            if status == SUCCESS:
                file = self._house.spool.begin(file_head(uid, instance, agreed.transfer_syntax, self._sender))
        except (Full, OSError):
            status = OUT_OF_RESOURCES
        try:
            came = 0
            for piece in fragments.data(agreed.id):
                came += piece.nbytes
                if came > self._house.limits.file:
                    raise Garbage("an object larger than is taken")
                if file is not None and status == SUCCESS:
                    status = _written(file, piece)
            if file is not None and status == SUCCESS:
                status = self._kept(file)
                file = file if status else None
        finally:
            if file is not None:
                file.discard()
        return status

    def _kept(self, file: Incoming) -> int:
        try:
            file.keep()
        except OSError:
            return OUT_OF_RESOURCES
        self.files += 1
        self._house.stored()
        return SUCCESS

    def _notice(self, agreed: Answered, command: dict[int, int | str], data: bytes) -> int:
        field = int(command[wire.FIELD])
        spoken = {contexts.MPPS: (N_CREATE, N_SET), contexts.AVAILABILITY: (N_CREATE,), contexts.COMMITMENT: (N_EVENT,)}
        if field not in spoken.get(agreed.abstract_syntax, ()):
            return UNRECOGNISED
        instance = command.get(wire.INSTANCE_UID) or command.get(wire.REQUESTED_INSTANCE_UID, "")
        if field == N_CREATE and not instance:  # the provider names what it creates (PS3.7 10.1.5.1.4)
            instance = command[wire.INSTANCE_UID] = str(generate_uid())
        event = int(command.get(wire.EVENT_TYPE, 0))
        syntax = agreed.transfer_syntax
        return self._house.notice(Notice(field, agreed.abstract_syntax, str(instance), event, syntax, data))

    def _answer(self, context: int, command: dict[int, int | str], status: int) -> None:
        answer: dict[int, int | str] = {
            wire.FIELD: int(command[wire.FIELD]) | _ANSWER,
            wire.ANSWERED_ID: int(command.get(wire.MESSAGE_ID, 0)),
            wire.DATA_SET_TYPE: wire.NO_DATA_SET,
            wire.STATUS: status,
        }
        for said in (wire.CLASS_UID, wire.REQUESTED_CLASS_UID):
            if said in command:
                answer[wire.CLASS_UID] = command[said]
        for said in (wire.INSTANCE_UID, wire.REQUESTED_INSTANCE_UID):
            if said in command:
                answer[wire.INSTANCE_UID] = command[said]
        if wire.EVENT_TYPE in command:
            answer[wire.EVENT_TYPE] = command[wire.EVENT_TYPE]
        data = wire.command(answer)
        self._line.send(wire.data_pdu(context, data, command=True))


class _Fragments:
    """The values of one message, PDU by PDU, from the first one on. A message begins in a PDU of its own."""

    def __init__(self, line: Wire, idle: float, first: memoryview) -> None:
        self._line, self._idle = line, idle
        self._values = wire.fragments(first)

    def _next(self) -> Fragment:
        while (value := next(self._values, None)) is None:
            kind, pdu = self._line.next(self._idle)
            if kind == wire.ABORT:
                raise wire.Gone
            if kind != wire.P_DATA:
                raise Garbage("an unexpected PDU inside a message")
            self._values = wire.fragments(pdu)
        return value

    def command(self) -> tuple[int, dict[int, int | str]]:
        """The context, and the command. Raises Garbage."""
        data = bytearray()
        while True:
            value = self._next()
            if not value.command or len(data) + value.data.nbytes > wire.LONGEST_COMMAND:
                raise Garbage("no command where one must be")
            data += value.data
            if value.last:
                return value.context, wire.command_of(bytes(data))

    def data(self, context: int) -> Iterator[memoryview]:
        """The pieces of the data set."""
        while True:
            value = self._next()
            if value.command or value.context != context:
                raise Garbage("a command inside a data set")
            yield value.data
            if value.last:
                return

    def gathered(self, context: int) -> bytes:
        """The data set of a message that is small. Raises Garbage."""
        data = bytearray()
        for piece in self.data(context):
            if len(data) + piece.nbytes > _LARGEST_MESSAGE:
                raise Garbage("a message longer than any of its kind")
            data += piece
        return bytes(data)


def _written(file: Incoming, piece: memoryview) -> int:
    try:
        file.write(piece)
    except (Full, OSError):
        return OUT_OF_RESOURCES
    return SUCCESS


def _request_of(pdu: bytes) -> A_ASSOCIATE:
    request = A_ASSOCIATE_RQ()
    try:
        request.decode(bytes((wire.ASSOCIATE_RQ, 0)) + len(pdu).to_bytes(4, "big") + pdu)
        return request.to_primitive()
    except Exception:  # pynetdicom raises many kinds at what is not an association request
        raise Garbage("not an association request") from None


def _acceptance(
    request: A_ASSOCIATE,
    answered: Collection[Answered],
    roles: Collection[SCP_SCU_RoleSelectionNegotiation],
    longest: int,
) -> bytes:
    accepted = A_ASSOCIATE()
    accepted.application_context_name = _APPLICATION_CONTEXT
    accepted.calling_ae_title, accepted.called_ae_title = request.calling_ae_title, request.called_ae_title
    accepted.result, accepted.result_source = 0, 1
    results = []
    for one in answered:
        context = build_context(one.abstract_syntax, one.transfer_syntax)
        context.context_id, context.result = one.id, one.result
        results.append(context)
    accepted.presentation_context_definition_results_list = results
    length = MaximumLengthNotification()
    length.maximum_length_received = longest
    class_uid = ImplementationClassUIDNotification()
    class_uid.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION
    accepted.user_information = [length, class_uid, version, *roles]
    pdu = A_ASSOCIATE_AC()
    pdu.from_primitive(accepted)
    return bytes(pdu.encode())
