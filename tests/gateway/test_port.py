"""The port: who may send what, and what becomes of peers that do not keep to the protocol."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless
from pynetdicom import AE, _config, build_context
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification

from readfirst.domain import uid_registry
from readfirst.domain.gateway import contexts
from readfirst.gateway import wire
from tests.gateway.rig import SENDER, TITLE, Rig, data_set, program, ran, slices, storescu
from tests.waiting import PATIENCE, eventually

LIMITS = "keep_free = 0\npatience = 10.0\nidle = 12.0\nassociations = 3\npdu = 65536"


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A gateway without an address: what it takes stays in its spool."""
    rig = Rig(tmp_path_factory.mktemp("gateway"), limits=LIMITS)
    yield rig.start()
    rig.stop()


@pytest.fixture
def port(listening: Rig) -> Rig:
    """The same with an empty spool, once it has noticed that the peers of the test before are gone."""
    eventually(lambda: listening.status()["associations now"] == 0)
    for file in listening.waiting():
        file.unlink()
    return listening


def associated(port: Rig, *proposed: tuple[str, list[str]], title: str = SENDER, called: str = TITLE) -> Association:
    """How the gateway answered: established or rejected. pynetdicom's own call may return a moment before it knows."""
    ae = AE(title)
    asked = [build_context(uid, syntaxes) for uid, syntaxes in proposed]
    made = ae.associate("127.0.0.1", port.port, contexts=asked, ae_title=called)
    eventually(lambda: made.is_established or made.is_rejected or made.is_aborted)
    return made


def counted(port: Rig, what: str) -> int:
    return int(port.status()["connections since the start"].get(what, 0))


@pytest.fixture
def as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """pynetdicom sends files as they are on the disk."""
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)


def test_dcmtk_verifies_the_connection(port: Rig) -> None:
    assert ran(program("echoscu"), "-aet", SENDER, "-aec", TITLE, "127.0.0.1", port.port).returncode == 0


def test_dcmtk_sends_a_series_and_every_image_is_in_the_spool(port: Rig, tmp_path: Path) -> None:
    files = slices(tmp_path / "sent", 5)
    assert storescu(port, files).returncode == 0
    sent = {str(ds.SOPInstanceUID): ds for ds in map(dcmread, files)}
    kept = {str(ds.SOPInstanceUID): ds for ds in map(dcmread, port.waiting())}
    assert kept == sent
    meta = next(iter(kept.values())).file_meta
    assert meta.SourceApplicationEntityTitle == SENDER
    assert meta.MediaStorageSOPClassUID == CTImageStorage


def test_dcmsend_which_proposes_what_each_file_has_is_taken_too(port: Rig, tmp_path: Path) -> None:
    """It ends with status 0 whatever happens to the files, so the spool says what came."""
    files = slices(tmp_path / "sent", 3)
    ran(program("dcmsend"), "-aet", SENDER, "-aec", TITLE, "127.0.0.1", port.port, *files)
    assert {data_set(kept.read_bytes()) for kept in port.waiting()} == {data_set(file.read_bytes()) for file in files}


@pytest.mark.usefixtures("as_it_is")
def test_a_data_set_is_kept_byte_by_byte_in_the_senders_transfer_syntax(port: Rig, tmp_path: Path) -> None:
    (file,) = slices(tmp_path / "sent", 1, side=200)
    ds = dcmread(file)
    ds.add_new(0x00091001, "UN", b"as the scanner writes it")
    ds.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0abcd\xfe\xff\xdd\xe0\0\0\0\0"
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
    ds.save_as(file, enforce_file_format=True)
    association = associated(port, (CTImageStorage, [JPEG2000Lossless]))
    assert association.send_c_store(file).Status == 0
    association.release()
    (kept,) = port.waiting()
    assert data_set(kept.read_bytes()) == data_set(file.read_bytes())
    assert dcmread(kept).file_meta.TransferSyntaxUID == JPEG2000Lossless


def test_every_storage_class_of_the_standard_is_taken_128_an_association(port: Rig) -> None:
    every = [uid for uid in uid_registry.table() if contexts.is_storage(uid)]
    syntaxes = [uid for uid in uid_registry.table() if contexts.is_file_syntax(uid)]
    taken: list[str] = []
    for at in range(0, len(every), 128):
        proposed = [(uid, syntaxes[k % len(syntaxes) :][:1]) for k, uid in enumerate(every[at : at + 128])]
        association = associated(port, *proposed)
        taken += [str(one.abstract_syntax) for one in association.accepted_contexts]
        assert [one.transfer_syntax for one in association.accepted_contexts] == [s for _, s in proposed]
        association.release()
    assert len(taken) > 128
    assert sorted(taken) == sorted(every)


@pytest.mark.parametrize(
    ("title", "called", "why"),
    [
        ("STRANGER", TITLE, "refused: an unknown sender"),
        ("ELSEWHERE", TITLE, "refused: an unknown sender"),  # known, from another address
        (SENDER, "OTHER", "refused: another title was called"),
    ],
)
def test_a_title_that_is_not_on_the_list_is_refused(port: Rig, title: str, called: str, why: str) -> None:
    before = counted(port, why)
    association = associated(port, (contexts.VERIFICATION, [ExplicitVRLittleEndian]), title=title, called=called)
    assert association.is_rejected
    eventually(lambda: counted(port, why) == before + 1)


def test_whoever_is_refused_closes_the_connection_and_reads_the_answer_first(port: Rig) -> None:
    """PS3.8 9.2, Sta13. pynetdicom takes the refusal for a broken line where the connection is gone at once."""
    line = socket.create_connection(("127.0.0.1", port.port), timeout=PATIENCE)
    line.sendall(request("STRANGER"))
    assert line.recv(1 << 16)[0] == 3
    line.settimeout(0.3)
    with pytest.raises(TimeoutError):
        line.recv(1)
    line.close()


def test_an_association_too_many_is_refused_and_there_is_room_again_afterwards(port: Rig) -> None:
    echo = (contexts.VERIFICATION, [ExplicitVRLittleEndian])
    three = [associated(port, echo) for _ in range(3)]
    try:
        assert all(one.is_established for one in three)
        assert associated(port, echo).is_rejected
    finally:
        for one in three:
            one.release() if one.is_established else one.abort()

    def again() -> bool:
        association = associated(port, echo)
        taken = association.is_established
        association.release() if taken else association.abort()
        return bool(taken)

    eventually(again)


def test_what_is_not_storage_on_a_storage_context_is_answered_with_a_failure(port: Rig, tmp_path: Path) -> None:
    (file,) = slices(tmp_path / "sent", 1)
    ds = dcmread(file)
    association = associated(
        port, (CTImageStorage, [ExplicitVRLittleEndian]), (contexts.MPPS, [ExplicitVRLittleEndian])
    )
    status, _ = association.send_n_set(ds, contexts.MPPS, "1.2.3")
    assert status.Status == 0x0112  # no such object instance
    association.release()
    assert port.waiting() == []


# ---------------------------------------------------------------- peers that do not keep to the protocol


def request(title: str = SENDER) -> bytes:
    """An association request for CT images."""
    asked = A_ASSOCIATE()
    asked.application_context_name = "1.2.840.10008.3.1.1.1"
    asked.calling_ae_title, asked.called_ae_title = title, TITLE
    context = build_context(CTImageStorage, [ExplicitVRLittleEndian])
    context.context_id = 1
    asked.presentation_context_definition_list = [context]
    length, maker = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received, maker.implementation_class_uid = 16384, "1.2.3"
    asked.user_information = [length, maker]
    return bytes(A_ASSOCIATE_RQ(asked).encode())


def connected(port: Rig) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port.port), timeout=PATIENCE)
    line.sendall(request())
    assert line.recv(1 << 16)[0] == 2
    return line


def rest(line: socket.socket) -> bytes:
    """All that the gateway says until it closes the connection."""
    said = b""
    try:
        while piece := line.recv(1 << 16):
            said += piece
    except ConnectionError:
        pass
    line.close()
    return said


def pdata(*values: tuple[int, int, bytes]) -> bytes:
    body = b"".join(struct.pack(">LBB", 2 + len(data), context, control) + data for context, control, data in values)
    return struct.pack(">BBL", 4, 0, len(body)) + body


def store_command(uid: str = str(CTImageStorage), instance: str = "1.2.3") -> bytes:
    return wire.command(
        {wire.CLASS_UID: uid, wire.FIELD: 1, wire.MESSAGE_ID: 1, wire.DATA_SET_TYPE: 0, wire.INSTANCE_UID: instance}
    )


@pytest.mark.parametrize(
    ("what", "sent", "why"),
    [
        ("garbage", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "aborted: not a PDU"),
        ("noise", b"\xff" * 5000, "aborted: not a PDU"),
        ("a request that is none", struct.pack(">BBL", 1, 0, 40) + b"\x07" * 40, "aborted: not an association request"),
        (
            "an endless request",
            struct.pack(">BBL", 1, 0, 0xFFFFFFFF) + b"\0" * 9000,
            "aborted: a PDU longer than agreed",
        ),
        ("data before a request", pdata((1, 3, b"")), "aborted: no association request"),
    ],
)
def test_garbage_at_the_door_is_aborted_and_counted(port: Rig, what: str, sent: bytes, why: str) -> None:
    before = counted(port, why)
    with socket.create_connection(("127.0.0.1", port.port), timeout=PATIENCE) as line:
        line.sendall(sent)
        assert rest(line)[:1] in (b"\x07", b"")
    eventually(lambda: counted(port, why) == before + 1)


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (struct.pack(">BBL", 4, 0, 65537) + b"\0" * 70000, "aborted: a PDU longer than agreed"),
        (struct.pack(">BBL", 4, 0, 0xFFFFFFF0) + b"\0" * 70000, "aborted: a PDU longer than agreed"),
        (pdata((9, 3, store_command())), "aborted: a context that was not agreed"),
        (pdata((1, 3, b"\1\0\0\0")), "aborted: a command that ends inside an element"),
        (pdata((1, 3, b"\0\0\0\1\2\0\0\0\1\0\0\0\0\1\xff\xff\xff\xff")), "aborted: not a command"),
        (pdata((1, 2, b"data and no command")), "aborted: no command where one must be"),
        (pdata((1, 3, store_command()), (1, 3, store_command())), "aborted: a command inside a data set"),
        (struct.pack(">BBL", 4, 0, 6) + struct.pack(">LBB", 900, 1, 3), "aborted: a value that is longer than its PDU"),
        (struct.pack(">BBL", 4, 0, 3) + b"abc", "aborted: a PDU that ends inside a value"),
    ],
)
def test_what_breaks_the_protocol_inside_an_association_is_aborted(port: Rig, sent: bytes, why: str) -> None:
    before = counted(port, why)
    line = connected(port)
    line.sendall(sent)
    assert rest(line)[:1] in (b"\x07", b"")
    eventually(lambda: counted(port, why) == before + 1)
    assert port.waiting() == []
    assert list((port.spool / "incoming").iterdir()) == []


def test_a_command_in_pieces_without_end_is_not_gathered(port: Rig) -> None:
    line = connected(port)
    with pytest.raises(ConnectionError):
        for _ in range(10_000):
            line.sendall(pdata((1, 1, b"\0" * 60_000)))
    line.close()


def test_an_object_larger_than_the_limit_is_cut_off(rig: Rig) -> None:
    rig.limits = f"keep_free = 0\nfile = {1 << 20}"
    rig.start()
    line = connected(rig)
    with pytest.raises(ConnectionError):
        line.sendall(pdata((1, 3, store_command())))
        for _ in range(10_000):
            line.sendall(pdata((1, 0, b"\0" * 60_000)))
    line.close()
    eventually(lambda: counted(rig, "aborted: an object larger than is taken"))
    assert rig.waiting() == []
    assert list((rig.spool / "incoming").iterdir()) == []


def test_a_peer_that_stops_in_the_middle_leaves_nothing_and_holds_nobody_up(port: Rig, tmp_path: Path) -> None:
    stuck = []
    for _ in range(3):
        line = connected(port)
        line.sendall(
            pdata((1, 3, store_command())) + pdata((1, 0, b"half")) + struct.pack(">BBL", 4, 0, 60000) + b"abc"
        )
        stuck.append(line)
    eventually(lambda: port.status()["associations now"] == 0)
    assert list((port.spool / "incoming").iterdir()) == []
    assert storescu(port, slices(tmp_path / "sent", 1)).returncode == 0
    for line in stuck:
        line.close()


def test_a_peer_that_goes_away_inside_an_image_leaves_nothing(port: Rig) -> None:
    line = connected(port)
    line.sendall(pdata((1, 3, store_command())) + pdata((1, 0, b"half")))
    line.close()
    eventually(lambda: port.status()["associations now"] == 0)
    assert port.waiting() == []
    assert list((port.spool / "incoming").iterdir()) == []


def test_connections_that_say_nothing_do_not_keep_a_known_sender_out_for_long(port: Rig, tmp_path: Path) -> None:
    idle = [socket.create_connection(("127.0.0.1", port.port), timeout=PATIENCE) for _ in range(30)]
    files = slices(tmp_path / "sent", 1)
    eventually(lambda: storescu(port, files).returncode == 0, pause=0.5)
    for line in idle:
        line.close()


def test_memory_is_flat_whatever_comes(port: Rig) -> None:
    """Association after association of noise, oversized PDUs and images that break off."""
    assert port.process is not None
    seen = psutil.Process(port.process.pid)

    def hostile() -> None:
        for sent in (os.urandom(20_000), struct.pack(">BBL", 1, 0, 0x7FFFFFFF) + os.urandom(200_000)):
            with socket.create_connection(("127.0.0.1", port.port), timeout=PATIENCE) as line:
                try:
                    line.sendall(sent)
                except ConnectionError:
                    continue
                rest(line)
        line = connected(port)
        line.sendall(pdata((1, 3, store_command())) + pdata((1, 0, os.urandom(60_000))) * 20)
        line.close()
        eventually(lambda: port.status()["associations now"] == 0)

    for _ in range(5):
        hostile()
    before = seen.memory_info().rss
    for _ in range(20):
        hostile()
    assert seen.memory_info().rss < before + (20 << 20)


def test_nothing_of_a_peer_is_in_the_log(port: Rig, tmp_path: Path) -> None:
    files = slices(tmp_path / "sent", 1, patient="PID-0815", name="Unmistakable^Person")
    storescu(port, files, title="UNMISTAKABLE")
    storescu(port, files)
    with socket.create_connection(("127.0.0.1", port.port), timeout=PATIENCE) as line:
        line.sendall(b"Unmistakable noise")
        rest(line)
    eventually(lambda: counted(port, "aborted: not a PDU"))
    said = ("".join(port.log) + str(port.status())).lower()
    assert "an unknown sender" in said
    assert "unmistakable" not in said
    for secret in ("PID-0815", str(dcmread(files[0]).SOPInstanceUID), str(dcmread(files[0]).StudyInstanceUID)):
        assert secret.lower() not in said


def test_the_spool_is_open_to_its_owner_alone(port: Rig, tmp_path: Path) -> None:
    storescu(port, slices(tmp_path / "sent", 1))
    (file,) = port.waiting()
    assert file.stat().st_mode & 0o777 == 0o600
    assert port.spool.stat().st_mode & 0o777 == 0o700


def test_the_status_page_answers_this_machine_only(port: Rig) -> None:
    address = f"http://127.0.0.1:{port.status_port}/"
    assert "Readfirst gateway" in requests.get(address, timeout=PATIENCE).text
    assert requests.get(address, headers={"Host": "evil.example"}, timeout=PATIENCE).status_code == 403


def test_what_a_power_failure_left_unfinished_is_removed_and_what_was_acknowledged_is_not(
    rig: Rig, tmp_path: Path
) -> None:
    """A file whose name was durable before its data: it is shorter than its name says."""
    rig.start()
    files = slices(tmp_path / "sent", 2)
    assert storescu(rig, files).returncode == 0
    kept, torn = rig.waiting()
    rig.kill()
    os.truncate(torn, 100)
    (rig.spool / "incoming" / "half").write_bytes(b"half")
    rig.start()
    assert rig.waiting() == [kept]
    assert list((rig.spool / "incoming").iterdir()) == []
