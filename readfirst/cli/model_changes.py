"""`readfirst model propose|rollback|confirm|history`: changing which models run, which takes two persons.

These commands ask app `identity`, as the portal does: nobody's storage rights are enough to change what runs.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from pydantic import ValidationError

from readfirst.cli.session import DEFAULT_STATE, State
from readfirst.domain.addresses import API
from readfirst.domain.routing.changes import Wish

Reason = Annotated[str, typer.Option("--reason", help="Why, for the history: at least ten characters.")]
Who = Annotated[str, typer.Option("--as", help="Who you are on the local stack: operator, radiologist, …")]
_PATH = f"{API}/identity/model-changes"
_SECONDS = 60


def register(group: typer.Typer) -> None:
    """Adds the commands to `readfirst model`."""
    group.command()(propose)
    group.command()(rollback)
    group.command()(confirm)
    group.command()(history)


def propose(
    act: Annotated[Literal["activate", "deactivate", "routes"], typer.Argument(help="What is to change.")],
    what: Annotated[str, typer.Argument(help="A model's digest (its first 8 digits do), or a file of routes.")],
    reason: Reason,
    who: Who = "",
    state: State = DEFAULT_STATE,
) -> None:
    """Propose a change of what runs. Nothing changes before a second person confirms it."""
    changed: dict[str, Any] = {"digest": what}
    if act == "routes":
        try:
            changed = {"table": json.loads(Path(what).read_text())}
        except (OSError, ValueError) as error:
            _fail(f"{what} is not a table of routes: {error}")
    _propose({"act": act, "reason": reason, **changed}, who, state)


def rollback(
    reason: Reason,
    to: Annotated[int, typer.Argument(help="The entry whose state comes back; without it, the one before.")] = -1,
    who: Who = "",
    state: State = DEFAULT_STATE,
) -> None:
    """Propose to go back to what ran after an earlier entry of the history (0: as deployed)."""
    if to < 0:
        to = int(_call("GET", "", None, who, state)["number"]) - 1
        if to < 0:
            _fail("Nothing was changed yet: what runs is what was deployed.")
    _propose({"act": "rollback", "to": to, "reason": reason}, who, state)


def confirm(
    proposal: Annotated[str, typer.Argument(help="The proposal's id, as `readfirst model history` shows it.")],
    decline: Annotated[bool, typer.Option("--decline", help="Decline it; or take your own back.")] = False,
    note: Annotated[str, typer.Option(help="A word for the history.")] = "",
    who: Who = "",
    state: State = DEFAULT_STATE,
) -> None:
    """Confirm another person's proposal: from the next study on, it is what runs."""
    done = _call("POST", f"/{proposal}/decision", {"confirm": not decline, "note": note}, who, state)
    what = "is confirmed: entry" if done["state"] == "confirmed" else "is declined; what runs is still entry"
    typer.echo(f"{done['what']} {what} {done['number']}")


def history(who: Who = "", state: State = DEFAULT_STATE) -> None:
    """Show what runs, what waits for a second person, and who changed what, when and why."""
    from rich.table import Table

    from readfirst.cli.printing import Terminal

    found = _call("GET", "", None, who, state)
    since = f"since entry {found['number']}" if found["number"] else "as deployed"
    models = Table("model", "version", "digest", "active", "in the image", title=f"What runs, {since}")
    for m in found["models"]:
        shown = ("yes" if m["active"] else "no", "yes" if m["in_image"] else "no")
        models.add_row(m["name"], m["version"], m["digest"][:12], *shown)
    terminal = Terminal()
    terminal.print(models)
    for m in found["models"]:
        if m["active"] and not (m["approved"] and m["in_image"]):
            what = "in the job's image" if m["approved"] else "approved"
            terminal.print(f"{m['name']} {m['digest'][:12]} is active, but not {what}: it does not run.", markup=False)
    terminal.print(f"routes {found['routing'][:12]}", markup=False)
    for one in found["proposals"]:
        why_not = f" (cannot be confirmed: {one['why_not']})" if one["why_not"] else ""
        asked = f"{one['id']}: {one['what']}, proposed by {one['by']}, lapses {one['lapses']}: {one['reason']}{why_not}"
        terminal.print(asked, markup=False)
    if found["changes"]:
        changes = Table("entry", "at", "what", "digest", "routes", "proposed by", "confirmed by", "why")
        for c in found["changes"]:
            changes.add_row(
                str(c["number"]), c["confirmed_at"][:19], c["what"], c["digest"][:12], c["routing"][:12],
                c["proposed_by"], c["confirmed_by"], c["reason"],
            )  # fmt: skip
        terminal.print(changes)


def _propose(body: dict[str, Any], who: str, state: Path) -> None:
    try:
        Wish.model_validate(body)
    except ValidationError as error:
        _fail("; ".join(f"{'.'.join(map(str, e['loc']))} {e['msg']}".strip() for e in error.errors()))
    made = _call("POST", "", body, who, state)
    typer.echo(f"{made['what']} is proposed. Until {made['lapses']} another person can say:")
    typer.echo(f"readfirst model confirm {made['id']}")


def _call(method: str, path: str, body: dict[str, Any] | None, who: str, state: Path) -> dict[str, Any]:
    """What app `identity` answers; a refusal ends the command with its words."""
    import requests

    address, token = _session(who, state)
    with requests.Session() as session:
        session.trust_env = address.startswith("https:")  # no proxy stands between us and 127.0.0.1
        headers = {"Authorization": f"Bearer {token}"}
        try:
            answer = session.request(method, f"{address}{_PATH}{path}", json=body, headers=headers, timeout=_SECONDS)
            said = answer.json()
        except (requests.RequestException, ValueError) as error:
            _fail(f"{address} did not answer as app `identity` does ({type(error).__name__}).")
    if not answer.ok:
        fields = "; ".join(f"{f['field']}: {f['problem']}" for f in said.get("fields", ()))
        _fail(f"{said.get('detail', answer.reason)} {fields}".strip())
    return dict(said)


def _session(who: str, state: Path) -> tuple[str, str]:
    """Where app `identity` is, and the caller's access token."""
    if address := os.environ.get("READFIRST_IDENTITY_URL", ""):
        token = os.environ.get("READFIRST_TOKEN", "")
        if not token:
            _fail("Set READFIRST_TOKEN to an access token for the API: a change is a person's act.")
        return address.rstrip("/"), token
    from readfirst.local import people
    from readfirst.local.stack import running_stack

    stack = running_stack(state)
    if stack is None:
        _fail(f"No stack runs on {state}. Start one with `readfirst up`, or set READFIRST_IDENTITY_URL.")
    if not who:
        _fail("Say who you are: --as operator, for example. `readfirst up` lists the people of the local stack.")
    try:
        token = people.access_token(stack["environment"], who, stack["password"])
    except people.NotSignedIn as error:
        _fail(f"{who} is not signed in: {error}")
    return f"http://127.0.0.1:{stack['ports']['host']}", token


def _fail(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(1)
