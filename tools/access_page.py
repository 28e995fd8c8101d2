"""Writes docs/access.md: who may do what in the portal, from the access table.

usage: python -m tools.access_page. A test holds the page to the table.
"""

from __future__ import annotations

from pathlib import Path

from readfirst.domain.access.rules import RULES, Role

PAGE = Path(__file__).parents[1] / "docs" / "access.md"
_HEAD = """# Who may do what in the portal

Made from `readfirst/domain/access/rules.py` by `python -m tools.access_page`: the same table makes the routes, the
OpenAPI document (`/api/v1/openapi.json`) and the tests that try every role on every route.

Roles are Entra app roles; clinics come from groups (setting `ACCESS`). A study of a clinic that is not yours does not
exist for you: the answer is 404. Scope `study`: the study's clinic must be yours; `lists`: only your clinics appear;
`any-study`: across clinics, by the rule's purpose; `none`: nothing of a clinic is shown.
"""


def page() -> str:
    """The page."""
    roles = list(Role)
    lines = [
        "| Route | What | " + " | ".join(roles) + " | Scope | Why |",
        "|---|---|" + ":-:|" * len(roles) + "---|---|",
    ]
    for rule in RULES:
        marks = " | ".join("anyone" if rule.anonymous else "✓" if role in rule.roles else "" for role in roles)
        route = f"`{rule.method} {rule.address}`"
        lines.append(f"| {route} | {rule.summary} | {marks} | {rule.scope} | {rule.why} |")
    return _HEAD + "\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
