"""The gateway's one file of settings, in TOML. All that is wrong in it is said at once, before anything starts."""

from __future__ import annotations

import ssl
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from readfirst.domain.faults import WrongCall

# PS3.5 6.2, VR AE: at most 16 characters without backslash and control characters; blanks around it do not count.
Title = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[\x21-\x5b\x5d-\x7e]([\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?$")]  # fmt: skip # noqa: E501
Port = Annotated[int, Field(ge=0, le=65535)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Tls(_Table):
    """DICOM TLS (PS3.15 B.12). `authority` says whose certificates are trusted: of senders here, of the PACS there."""

    certificate: Path
    key: Path
    authority: Path

    def server(self) -> ssl.SSLContext:
        """For senders, each of which shows a certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.authority)
        context.load_cert_chain(self.certificate, self.key)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self) -> ssl.SSLContext:
        """For the PACS, to which the gateway shows its certificate."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self.authority)
        context.load_cert_chain(self.certificate, self.key)
        return context


class Sender(_Table):
    """A modality or PACS that may send: its AE title and, where it is given, its one network address."""

    title: Title
    host: str = ""

    @field_validator("host")
    @classmethod
    def _is_an_address(cls, host: str) -> str:
        return str(ip_address(host)) if host else ""


class Pacs(_Table):
    """Where results go. `dicomweb`: the service's address, for STOW-RS and QIDO-RS in place of C-STORE and C-FIND."""

    title: Title = "PACS"
    host: str = ""
    port: Port = 104
    tls: Tls | None = None
    dicomweb: str = Field("", pattern=r"^$|^https?://[^?#]+$")
    verify: Literal["find", "commitment"] = "find"

    @model_validator(mode="after")
    def _reachable(self) -> Pacs:
        if not self.host and not self.dicomweb:
            raise ValueError("needs host and port, or dicomweb")
        if self.verify == "commitment" and not self.host:
            raise ValueError('verify = "commitment" needs host and port')
        return self


class Limits(_Table):
    """What a peer may take. Seconds, bytes and counts."""

    associations: int = Field(20, ge=1, le=500)
    pdu: int = Field(256 << 10, ge=4096, le=16 << 20)
    file: int = Field(8 << 30, ge=1 << 20)  # as large as the cloud takes
    idle: float = Field(60.0, gt=0)  # seconds that a peer may say nothing between two messages
    patience: float = Field(30.0, gt=0)  # seconds for one PDU, for a TLS handshake, for the association request
    keep_free: int = Field(1 << 30, ge=0)  # bytes of the spool's disk; below that nothing more is taken
    uploads: int = Field(4, ge=1, le=32)  # at once


class Settings(_Table):
    """All of it."""

    title: Title
    host: str = "0.0.0.0"  # noqa: S104 - a modality's network is what it is for; titles and hosts are allow-listed
    port: Port = 11112
    spool: Path
    addresses: Path
    senders: tuple[Sender, ...] = Field(min_length=1)
    tls: Tls | None = None
    pacs: Pacs | None = None
    status_port: Port = 8042
    poll: float = Field(30.0, gt=0)  # seconds between two looks for results
    limits: Limits = Field(default_factory=lambda: Limits.model_validate({}))

    @model_validator(mode="after")
    def _titles_differ(self) -> Settings:
        titles = [sender.title for sender in self.senders]
        if len(set(titles)) < len(titles):
            raise ValueError("two senders have one title")
        if self.title in titles:
            raise ValueError("a sender has the gateway's own title")
        return self


def load(path: Path) -> Settings:
    """Reads the file; paths in it are relative to its folder. Raises WrongCall, with a line for each thing wrong."""
    try:
        text = path.read_text("utf-8")
        found = Settings.model_validate(tomllib.loads(text))
    except (OSError, UnicodeDecodeError):
        raise WrongCall(f"{path} cannot be read") from None
    except tomllib.TOMLDecodeError as error:
        raise WrongCall(f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, one['loc'])) or '(file)'}: {one['msg']}" for one in error.errors()]
        raise WrongCall("\n".join([f"{path}:", *lines])) from None
    settings = _placed(found, path.resolve().parent)
    for tls in (settings.tls, settings.pacs.tls if settings.pacs else None):
        try:
            _ = tls and tls.server()
        except (OSError, ssl.SSLError) as error:
            raise WrongCall(f"{path}: a certificate, key or authority cannot be used: {error}") from None
    return settings


def _placed(settings: Settings, home: Path) -> Settings:
    def at(tls: Tls | None) -> Tls | None:
        return tls and Tls(certificate=home / tls.certificate, key=home / tls.key, authority=home / tls.authority)

    pacs = settings.pacs and settings.pacs.model_copy(update={"tls": at(settings.pacs.tls)})
    placed = {"spool": home / settings.spool, "addresses": home / settings.addresses}
    return settings.model_copy(update={**placed, "tls": at(settings.tls), "pacs": pacs})
