"""The e-mail to the radiologist: the handle, the reason to hurry, a link. No identifier, no finding's detail."""

from __future__ import annotations

import html
import uuid
from dataclasses import dataclass

from readfirst.domain.findings import SYNTHETIC

_OPERATIONS = uuid.UUID("6f0b8e0e-0b0f-5d6e-9a53-7d1d5f1f2c11")


@dataclass(frozen=True)
class Letter:
    """Subject and body, as plain text and as HTML."""

    subject: str
    text: str
    html: str


def operation_id(token: str, finding: str) -> str:
    """The same alert always has the same operation id: handing it over twice sends it once."""
    return str(uuid.uuid5(_OPERATIONS, f"{token}|{finding}"))


def urgent(handle: str, portal_url: str) -> Letter:
    """Asks the radiologist to read a study now. The AI suspects; the reader decides."""
    link = f"{portal_url.rstrip('/')}/study/{handle}"
    lines = (
        f"The AI suspects a finding that should not wait in study {handle}.",
        f"Please read it now: {link}",
        "You sign in with your own account; this message holds no patient data.",
        SYNTHETIC,
    )
    body = "".join(f"<p>{html.escape(line)}</p>" for line in (lines[0], *lines[2:]))
    button = f'<p><a href="{html.escape(link)}">Open study {html.escape(handle)}</a></p>'
    return Letter(f"Readfirst: study {handle} should be read now", "\n\n".join(lines) + "\n", button + body)
