"""The e-mail to the radiologist: the handle, the reason to hurry, a link. No identifier, no finding's detail."""

from __future__ import annotations

import html
import uuid
from dataclasses import dataclass

from readfirst.domain.addresses import study_link
from readfirst.domain.analysis.findings import SYNTHETIC

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


def urgent(handle: str, portal_url: str, part: str = "") -> Letter:
    """Asks the radiologist to read a study now. The AI suspects; the reader decides. `part`: how much it has read,
    where that was not all."""
    why = f"The AI suspects a finding that should not wait in study {handle}.{_only(part)}"
    return _letter(f"Readfirst: study {handle} should be read now", why, handle, portal_url)


def overdue(handle: str, portal_url: str, part: str = "") -> Letter:
    """Tells the next in line that nobody has acknowledged the study."""
    why = (
        f"Nobody has acknowledged study {handle}, in which the AI suspects a finding that should not wait.{_only(part)}"
    )
    return _letter(f"Readfirst: study {handle} has not been acknowledged", why, handle, portal_url)


def _only(part: str) -> str:
    return f" It has read the study in part only: {part}." if part else ""


def _letter(subject: str, why: str, handle: str, portal_url: str) -> Letter:
    link = study_link(portal_url, handle)
    known = "You sign in with your own account; this message holds no patient data."
    text = "\n\n".join((why, f"Please read it now: {link}", known, SYNTHETIC)) + "\n"
    button = f'<p><a href="{html.escape(link)}">Open study {html.escape(handle)}</a></p>'
    body = "".join(f"<p>{html.escape(line)}</p>" for line in (known, SYNTHETIC))
    return Letter(subject, text, f"<p>{html.escape(why)}</p>{button}{body}")
