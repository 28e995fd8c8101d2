"""How a clinic sent a file, in the metadata of the blob: quarantine keeps it, and a release gives it back."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Sent:
    """How a clinic sent a file: the name that it gave it, and the id of that upload. Its answers are found by them.

    The name is empty for a file that was kept before quarantine knew it.
    """

    name: str
    upload: str

    @property
    def metadata(self) -> dict[str, str]:
        """For a blob. Metadata is ASCII, and a name may be anything."""
        named = {"sent": base64.urlsafe_b64encode(self.name.encode()).decode()} if self.name else {}
        return {"upload": self.upload, **named}

    @classmethod
    def of(cls, metadata: Mapping[str, str] | None) -> Sent | None:
        """From a blob's metadata; None where they say nothing of the kind."""
        known = metadata or {}
        if not re.fullmatch(r"[0-9a-f]{32}", known.get("upload", "")):
            return None
        try:
            return cls(base64.urlsafe_b64decode(known.get("sent", "")).decode(), known["upload"])
        except ValueError:
            return None
