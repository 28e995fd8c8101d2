"""Where a stack keeps what: everything below one state directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folders:
    """The files and folders of one stack."""

    state: Path

    @property
    def lock(self) -> Path:
        """Held by the stack that runs here."""
        return self.state / "lock"

    @property
    def description(self) -> Path:
        """stack.json: addresses, process ids and app settings of the running stack."""
        return self.state / "stack.json"

    @property
    def ports(self) -> Path:
        """The ports of the last run."""
        return self.state / "ports.json"

    @property
    def secrets(self) -> Path:
        """The keys of the accounts and services."""
        return self.state / "secrets.json"

    @property
    def tls(self) -> Path:
        """Certificates."""
        return self.state / "tls"

    @property
    def sign_in(self) -> Path:
        """The OpenID provider's configuration and its signing key."""
        return self.state / "sign-in.json"

    @property
    def azurite(self) -> Path:
        """Blobs, queues and tables."""
        return self.state / "azurite"

    @property
    def host(self) -> Path:
        """The embedded host's own state."""
        return self.state / "host"

    @property
    def key_vault(self) -> Path:
        """Keys and secrets, one file per version."""
        return self.state / "key-vault"

    @property
    def jobs(self) -> Path:
        """One folder per execution of the GPU job."""
        return self.state / "jobs"

    @property
    def job_definition(self) -> Path:
        """The GPU job: its resource id, command and environment."""
        return self.state / "job.json"

    @property
    def outbox(self) -> Path:
        """One .eml file per e-mail."""
        return self.state / "outbox"

    @property
    def logs(self) -> Path:
        """One log per server."""
        return self.state / "logs"
