"""TLS for 127.0.0.1: a local certificate authority, made once per state directory, and a server certificate.

Azure's SDKs refuse to send tokens without TLS. `bundle.pem` (certifi and the local authority) makes them trust the
local endpoints through REQUESTS_CA_BUNDLE, with no branch in the product. The authority is constrained to this
machine's own addresses, so that even its stolen key can imitate nobody else.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LOOPBACK = ipaddress.ip_network("127.0.0.0/8")


@dataclass(frozen=True)
class Certificates:
    """The files that the servers and their clients need."""

    folder: Path

    @property
    def authority(self) -> Path:
        """What a person's browser may be told to trust."""
        return self.folder / "authority.pem"

    @property
    def bundle(self) -> Path:
        """The public authorities and the local one, for REQUESTS_CA_BUNDLE and SSL_CERT_FILE."""
        return self.folder / "bundle.pem"

    @property
    def server(self) -> Path:
        """The server's certificate for 127.0.0.1 and localhost."""
        return self.folder / "server.pem"

    @property
    def server_key(self) -> Path:
        """The server's private key."""
        return self.folder / "server-key.pem"


def make(folder: Path, now: datetime) -> Certificates:
    """The certificates in `folder`: the authority is made once, the server's certificate freshly each time."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = Certificates(folder)
    authority, key = _authority(files, now)
    server_key = ec.generate_private_key(ec.SECP256R1())
    server = (
        _builder("Readfirst local server", authority.subject, server_key, now, days=397)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private(files.server_key, _pem(server_key))
    write_private(files.server, server.public_bytes(serialization.Encoding.PEM))
    write_private(files.bundle, Path(certifi.where()).read_bytes() + b"\n" + files.authority.read_bytes())
    return files


def _authority(files: Certificates, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key_file = files.folder / "authority-key.pem"
    if key_file.exists() and files.authority.exists():
        certificate = x509.load_pem_x509_certificate(files.authority.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if isinstance(key, ec.EllipticCurvePrivateKey) and certificate.not_valid_after_utc > now + timedelta(days=30):
            return certificate, key
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Readfirst local authority")])
    certificate = (
        _builder("Readfirst local authority", name, key, now, days=3650)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.NameConstraints([x509.DNSName("localhost"), x509.IPAddress(_LOOPBACK)], excluded_subtrees=None),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    write_private(key_file, _pem(key))
    write_private(files.authority, certificate.public_bytes(serialization.Encoding.PEM))
    return certificate, key


def _builder(
    subject: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - timedelta(hours=1))
        .not_valid_after(now.astimezone(UTC) + timedelta(days=days))
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_private(path: Path, content: bytes) -> None:
    """Replace `path` at once (a reader sees the old or the new content) with a file only its owner may read."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)
