"""The e-mail to the radiologist: the handle, the reason to hurry, a link. No identifier, no finding's detail."""

from __future__ import annotations

import html
import uuid
from dataclasses import dataclass

from readfirst.domain.addresses import study_link
from readfirst.domain.analysis.findings import SYNTHETIC

# By the category of the finding, as the portal says it of each finding (portal_static/src/format.ts).
_WITHIN = {1: "within minutes", 2: "within hours", 3: "within days"}
_WHEN = {1: "now", 2: "first", 3: "first"}
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


def urgent(handle: str, portal_url: str, part: str = "", category: int = 1) -> Letter:
    """Asks the radiologist to read a study before others. The AI suspects; the reader decides. `part`: how much it has
    read, where that was not all; `category`: of the most urgent finding (ACR: 1 minutes, 2 hours, 3 days)."""
    why = f"The AI suspects a finding in study {handle} that is to be communicated {_WITHIN[category]}.{_only(part)}"
    return _letter(f"Readfirst: study {handle} should be read {_WHEN[category]}", why, handle, portal_url, category)


def overdue(handle: str, portal_url: str, part: str = "", category: int = 1) -> Letter:
    """Tells the next in line that nobody has acknowledged the study."""
    why = (
        f"Nobody has acknowledged study {handle}, in which the AI suspects a finding that is to be communicated "
        f"{_WITHIN[category]}.{_only(part)}"
    )
    return _letter(f"Readfirst: study {handle} has not been acknowledged", why, handle, portal_url, category)


def _only(part: str) -> str:
    return f" It has read the study in part only: {part}." if part else ""


def _letter(subject: str, why: str, handle: str, portal_url: str, category: int) -> Letter:
    link = study_link(portal_url, handle)
    known = "You sign in with your own account; this message holds no patient data."
    text = "\n\n".join((why, f"Please read it {_WHEN[category]}: {link}", known, SYNTHETIC)) + "\n"
    button = f'<p><a href="{html.escape(link)}">Open study {html.escape(handle)}</a></p>'
    body = "".join(f"<p>{html.escape(line)}</p>" for line in (known, SYNTHETIC))
    return Letter(subject, text, f"<p>{html.escape(why)}</p>{button}{body}")
