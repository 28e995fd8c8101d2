"""The e-mail to the radiologist: the handle, the reason to hurry, a link. No identifier, no finding's detail."""

from __future__ import annotations

import html
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from readfirst.domain.addresses import study_link
from readfirst.domain.analysis.findings import SYNTHETIC

# By the category of the finding, as the portal says it of each finding (portal_static/src/format.ts).
_WITHIN = {1: "within minutes", 2: "within hours", 3: "within days"}
_WHEN = {1: "now", 2: "first", 3: "first"}
# Styles are in the tags: mail programs drop style sheets. The button is wide enough for a thumb.
_PAGE = "max-width:34rem;font:16px/1.5 system-ui,sans-serif;color:#17202a"
_BUTTON = (
    "display:inline-block;padding:14px 22px;border-radius:8px;background:#17202a;color:#ffffff;"
    "font-weight:600;text-decoration:none"
)
_OVERDUE = "-overdue"
_OPERATIONS = uuid.UUID("6f0b8e0e-0b0f-5d6e-9a53-7d1d5f1f2c11")


@dataclass(frozen=True)
class Letter:
    """Subject and body, as plain text and as HTML."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class About:
    """What a letter says of its study next to the handle. `part`: how much the AI has read, where that was not all;
    `category`: of the most urgent finding (ACR: 1 minutes, 2 hours, 3 days); `clinic`: its name;
    `due`: when it is to be read at the latest, ISO 8601 UTC."""

    part: str = ""
    category: int = 1
    modality: str = ""
    clinic: str = ""
    due: str = ""


def operation_id(token: str, finding: str) -> str:
    """The same alert always has the same operation id: handing it over twice sends it once."""
    return str(uuid.uuid5(_OPERATIONS, f"{token}|{finding}"))


def letter_name(finding: str, round_: int = 1, *, overdue: bool = False) -> str:
    """How a letter of an alert is kept: to the radiologist, or (`overdue`) to the escalation address."""
    name = f"{finding}{_OVERDUE}" if overdue else finding
    return name if round_ == 1 else f"again/{round_}/{name}"


def finding_of(letter: str) -> str:
    """The kind of finding that a letter of that name is for."""
    return letter.rpartition("/")[2].removesuffix(_OVERDUE)


def urgent(handle: str, portal_url: str, about: About = About()) -> Letter:
    """Asks the radiologist to read a study before others. The AI suspects; the reader decides."""
    within, when = _WITHIN[about.category], _WHEN[about.category]
    why = f"The AI suspects a finding in study {handle} that is to be communicated {within}.{_only(about.part)}"
    return _letter(f"Readfirst: study {handle} should be read {when}", why, handle, portal_url, about)


def overdue(handle: str, portal_url: str, about: About = About()) -> Letter:
    """Tells the next in line that nobody has acknowledged the study."""
    why = (
        f"Nobody has acknowledged study {handle}, in which the AI suspects a finding that is to be communicated "
        f"{_WITHIN[about.category]}.{_only(about.part)}"
    )
    return _letter(f"Readfirst: study {handle} has not been acknowledged", why, handle, portal_url, about)


def _only(part: str) -> str:
    return f" It has read the study in part only: {part}." if part else ""


def _letter(subject: str, why: str, handle: str, portal_url: str, about: About) -> Letter:
    link, when = study_link(portal_url, handle), _WHEN[about.category]
    facts = ", ".join(fact for fact in (about.modality, about.clinic, _due(about.due)) if fact)
    known = "You sign in with your own account; this message holds no patient data."
    text = "\n\n".join(line for line in (why, facts, f"Please read it {when}: {link}", known, SYNTHETIC) if line) + "\n"
    body = "".join(
        f'<p style="{style}">{line}</p>'
        for style, line in (
            ("font-size:17px", html.escape(why)),
            ("font-weight:600", html.escape(facts)),
            ("margin:24px 0", f'<a href="{html.escape(link)}" style="{_BUTTON}">Open study {html.escape(handle)}</a>'),
            ("color:#526070", html.escape(known)),
            ("color:#526070", html.escape(SYNTHETIC)),
        )
        if line
    )
    return Letter(subject, text, f'<div style="{_PAGE}">{body}</div>')


def _due(iso: str) -> str:
    """When it is due, for people: a letter does not know its reader's time zone."""
    return f"to be read by {datetime.fromisoformat(iso).astimezone(UTC):%d %b %Y, %H:%M} UTC" if iso else ""
