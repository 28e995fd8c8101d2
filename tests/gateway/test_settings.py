"""The file of settings: all that is wrong is said at once, and DICOM TLS lets in who shows a certificate."""

from __future__ import annotations

import re
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pynetdicom import AE, build_context

from readfirst.domain.faults import WrongCall
from readfirst.domain.gateway import contexts
from readfirst.gateway.config import load
from tests.gateway.rig import SENDER, TITLE, Rig, slices
from tests.waiting import PATIENCE, eventually

ROOT = Path(__file__).resolve().parents[2]
GOOD = 'title = "A"\nspool = "s"\naddresses = "a"\n[[senders]]\ntitle = "CT1"\n'


def written(folder: Path, text: str) -> Path:
    file = folder / "gateway.toml"
    file.write_text(text)
    return file


def test_a_small_file_is_enough_and_paths_are_relative_to_its_folder(tmp_path: Path) -> None:
    settings = load(written(tmp_path, GOOD))
    assert settings.spool == tmp_path / "s"
    assert settings.addresses == tmp_path / "a"
    assert (settings.port, settings.limits.associations, settings.pacs) == (11112, 20, None)


def test_all_that_is_wrong_is_said_at_once_and_nothing_of_the_values(tmp_path: Path) -> None:
    text = 'title = "MUCH TOO LONG FOR A TITLE"\nspool = "s"\nport = 99999\ncolour = "secret"\n'
    text += '[[senders]]\ntitle = "CT\\\\1"\nhost = "scanner.local"\n'
    with pytest.raises(WrongCall) as wrong:
        load(written(tmp_path, text))
    said = str(wrong.value)
    assert {"title", "port", "colour", "addresses", "senders.0.title", "senders.0.host"} <= set(
        re.findall(r"^  ([\w.]+):", said, re.M)
    )
    assert "secret" not in said


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (GOOD + '[[senders]]\ntitle = "CT1"\n', "two senders have one title"),
        (GOOD + '[[senders]]\ntitle = "A"\n', "the gateway's own title"),
        (GOOD.partition("[[")[0], "senders"),
        (GOOD + "[pacs]\n", "needs host and port, or dicomweb"),
        (GOOD + '[pacs]\ndicomweb = "https://p/d"\nverify = "commitment"\n', "needs host and port"),
        (GOOD + '[pacs]\ndicomweb = "file:///etc"\n', "dicomweb"),
        (GOOD + '[tls]\ncertificate = "c"\nkey = "k"\nauthority = "x"\n', "cannot be used"),
        ("title =", "not TOML"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(WrongCall, match=why):
        load(written(tmp_path, text))


def test_the_guides_example_is_a_file_that_is_taken(tmp_path: Path) -> None:
    """But for its certificates, which are not there."""
    guide = (ROOT / "docs/gateway.md").read_text().partition("## Settings")[2].partition("\nFurther:")[0]
    example = "\n".join(line[4:] for line in guide.splitlines() if line.startswith("    "))
    without = re.sub(r"\[(pacs\.)?tls\][^[]*", "", example)
    assert example.count("[tls]") + example.count("[pacs.tls]") == 2
    settings = load(written(tmp_path, without))
    assert [sender.title for sender in settings.senders] == ["CT1", "PACS"]
    assert settings.limits == load(written(tmp_path, GOOD)).limits, "the guide says that these are the defaults"


def test_the_gateway_installs_the_versions_that_the_apps_and_the_developers_have() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[\w-]+==[\w.]+", (ROOT / name).read_text(), re.M))

    others = pins("requirements.txt") | pins("requirements-dev.txt")
    assert {pin for pin in pins("requirements-gateway.txt") if not pin.startswith("pynetdicom")} <= others
    assert "-r requirements-gateway.txt" in (ROOT / "requirements-dev.txt").read_text()


def test_a_check_says_what_is_missing_and_ends(rig: Rig) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "readfirst.cli", "gateway", str(rig.write_settings()), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert "addresses cannot be read" in done.stdout + done.stderr


# ---------------------------------------------------------------- DICOM TLS


def _certificates(folder: Path) -> None:
    """An authority, a certificate of the gateway and one of a scanner."""
    folder.mkdir()
    authority = ec.generate_private_key(ec.SECP256R1())
    _certificate(folder / "authority", "authority", authority, authority, "authority")
    for name in ("gateway", "scanner"):
        _certificate(folder / name, name, ec.generate_private_key(ec.SECP256R1()), authority, "authority")


def _certificate(
    path: Path, name: str, key: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey, by: str
) -> None:
    def named(common: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(by))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=name == by, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(issuer, hashes.SHA256())
    )
    path.with_suffix(".pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path.with_suffix(".key").write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))


def test_with_tls_only_a_sender_with_a_certificate_of_the_authority_gets_in(rig: Rig, tmp_path: Path) -> None:
    home = tmp_path / "certificates"
    _certificates(home)
    files = [f'{kind} = "{home / name}"' for kind, name in (("certificate", "gateway.pem"), ("key", "gateway.key"), ("authority", "authority.pem"))]  # fmt: skip # noqa: E501
    rig.more = "[tls]\n" + "\n".join(files)
    rig.limits = "keep_free = 0\npatience = 20.0"
    rig.start()
    stuck = socket.create_connection(("127.0.0.1", rig.port), timeout=PATIENCE)  # no handshake: it holds nobody up
    known = ssl.create_default_context(cafile=home / "authority.pem")
    unknown = ssl.create_default_context(cafile=home / "authority.pem")
    known.load_cert_chain(home / "scanner.pem", home / "scanner.key")
    (file,) = slices(tmp_path / "sent", 1)
    assert not _stored(rig, file, None)
    assert not _stored(rig, file, unknown)
    assert _stored(rig, file, known)
    assert len(rig.waiting()) == 1
    eventually(lambda: rig.status()["connections since the start"].get("refused: no TLS", 0) >= 1)
    stuck.close()


def _stored(rig: Rig, file: Path, context: ssl.SSLContext | None) -> bool:
    from pydicom import dcmread

    ds = dcmread(file)
    asked = [build_context(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID), build_context(contexts.VERIFICATION)]
    association = AE(SENDER).associate(
        "127.0.0.1", rig.port, contexts=asked, ae_title=TITLE, tls_args=(context, "localhost") if context else None
    )
    if not association.is_established:
        return False
    status = association.send_c_store(ds).get("Status")
    association.release()
    return bool(status == 0)
