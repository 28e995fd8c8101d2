"""`readfirst model list|check|approve|route`: which models may run, how another one gets that leave, who gets which.

Changing which of them run is in model_changes.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from readfirst.cli import model_changes
from readfirst.domain.analysis import models
from readfirst.domain.analysis.models import Manifest
from readfirst.domain.counted import counted
from readfirst.domain.routing import routes
from readfirst.domain.routing.routes import parse_routes, route

IMAGE = "image_models.json"  # beside the approvals: what of them the job's image holds
APPROVED = Path(models.__file__).with_name("approved_models.json")
ROUTES = Path(routes.__file__).with_name("model_routes.json")
Approvals = Annotated[Path, typer.Option("--approvals", help="The list of approvals, a file of the repository.")]
Run = Annotated[bool, typer.Option("--run", help="Also run an approved bundle on noise (needs torch and MONAI).")]
Bundle = Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A bundle: manifest.json and its files.")]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Which models may run and which do: list, check, approve; propose, confirm and undo changes.",
    )
    group.command("list")(list_models)
    group.command()(check)
    group.command()(approve)
    group.command("route")(route_study)
    model_changes.register(group)
    app.add_typer(group, name="model")


def list_models(approvals: Approvals = APPROVED) -> None:
    """The approved models; the first one is the default."""
    from rich.table import Table

    from readfirst.cli.printing import Terminal

    table = Table("model", "version", "digest", "use", "finds")
    for m in _listed(approvals):
        finds = ", ".join(channel.kind for channel in m.targets)
        table.add_row(f"[bold]{m.name}[/]\n{m.disclaimer}", m.version, m.digest[:12], m.intended_use, finds)
    Terminal().print(table)


def check(bundle: Bundle, approvals: Approvals = APPROVED, run: Run = False) -> None:
    """Say whether a bundle would run: its manifest, its files, its approval."""
    from model_container.engines.registry import NotApproved, check_files, complaints, digests

    try:
        # Before its approval a manifest names no files: they are taken as they are, as the approval would.
        manifest = _manifest(bundle, None if _names_files(bundle) else digests(bundle))
        check_files(bundle, manifest)
    except NotApproved as error:
        _fail(str(error))
    if wrong := complaints(bundle, manifest):
        _fail(f"{manifest.name} {manifest.version} would not run: {'; '.join(wrong)}.")
    known = {m.digest for m in _listed(approvals)}
    if manifest.digest not in known:
        _fail(
            f"{manifest.name} {manifest.version} ({manifest.digest[:12]}) is complete, but not approved: "
            f"`readfirst model approve {bundle}` shows what it would run as code, and approves it."
        )
    typer.echo(f"{manifest.name} {manifest.version} ({manifest.digest[:12]}) is complete and approved.")
    if run:
        _run(bundle, manifest)


def _run(bundle: Path, manifest: Manifest) -> None:
    """Only what is approved: a bundle's code runs on this machine."""
    from model_container.engines.engine import ModelFailed
    from model_container.engines.monai.engine import try_out

    if manifest.engine != "monai-bundle":
        _fail("--run is for MONAI bundles.")
    try:
        typer.echo(f"It runs: {try_out(bundle, manifest)}.")
    except ModelFailed as error:
        _fail(f"It does not run: {error}.")


def approve(bundle: Bundle, approvals: Approvals = APPROVED) -> None:
    """Take the bundle's files as they are, and write its approval; the commit of that file makes it valid."""
    from model_container.engines.registry import NotApproved, code_of, complaints, digests

    try:
        manifest = _manifest(bundle, digests(bundle))
    except NotApproved as error:
        _fail(f"{bundle.name}: {error}.")
    if wrong := complaints(bundle, manifest):
        _fail(f"{manifest.name} {manifest.version} would not run: {'; '.join(wrong)}.")
    listed = _listed(approvals)
    if any(m.digest == manifest.digest for m in listed):
        typer.echo(f"{manifest.name} {manifest.version} is approved already.")
        return
    if any((m.name, m.version) == (manifest.name, manifest.version) for m in listed):
        _fail(f"Another {manifest.name} {manifest.version} is approved: raise the version in manifest.json.")
    (bundle / "manifest.json").write_text(manifest.model_dump_json(indent=1) + "\n")
    # A newer version takes the place of the older ones, which stay listed for the results that they gave: their files
    # are gone from the bundle's folder, and a default that stayed the older one could not run any more.
    place = next((n for n, m in enumerate(listed) if m.name == manifest.name), len(listed))
    whole = [m.model_dump(mode="json") for m in (*listed[:place], manifest, *listed[place:])]
    approvals.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    gone = _list_in_image(manifest, listed, approvals)
    typer.echo(f"{manifest.name} {manifest.version}: digest {manifest.digest}")
    if code := code_of(bundle):
        typer.echo("Its configuration runs as code; these lines are what you approve, with its scripts:")
        typer.echo("\n".join(f"  {line}" for line in code))
    typer.echo(f"Commit {approvals.name} and {IMAGE}, and put the bundle at model_container/models/{manifest.name}.")
    for m in gone:
        typer.echo(
            f"{m.name} {m.version} cannot be gone back to any more. To keep it, put its files at "
            f"model_container/models/{m.name}-{m.version} and its digest ({m.digest}) into {IMAGE}."
        )
    if not any(m.name == manifest.name for m in listed):
        typer.echo(f"No study gets it before {ROUTES.name} names it: `readfirst model route STUDY_DIR` shows which.")


def _list_in_image(manifest: Manifest, listed: Sequence[Manifest], approvals: Path) -> list[Manifest]:
    """Notes that the job's image will hold the model, in the place of the version that is in its folder so far.

    Returns the versions that it holds no longer: all of that name but those kept in a folder of their own.
    """
    from model_container.engines.registry import MODELS

    image = approvals.with_name(IMAGE)
    held = json.loads(image.read_text()) if image.exists() else [m.digest for m in listed]
    gone = [
        m for m in listed
        if m.name == manifest.name and m.digest in held and not (MODELS / f"{m.name}-{m.version}").is_dir()
    ]  # fmt: skip
    now = [manifest.digest, *(d for d in held if d not in {m.digest for m in gone})]
    image.write_text(json.dumps(now, indent=1) + "\n")
    return gone


def route_study(
    study: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A folder of DICOM files.")],
    clinic: Annotated[str, typer.Option(help="The clinic that sends it.")] = "",
    prior: Annotated[bool, typer.Option("--prior", help="It is a prior study.")] = False,
    table: Annotated[Path, typer.Option("--routes", help="The routes, a file of the repository.")] = ROUTES,
    approvals: Approvals = APPROVED,
) -> None:
    """Say which models a study would get, why, and why not the others. Nothing is run."""
    from readfirst.cli.analyse import read_study

    known = _listed(approvals)
    try:
        in_force = parse_routes(table.read_bytes(), known)
    except (OSError, ValueError) as error:
        _fail(f"{table} is not a table of routes: {_reasons(error)}")
    instances = read_study(study).instances
    routing = route(instances, clinic, "prior" if prior else "current", in_force, known)
    for one in routing.asked:
        chosen = one.choice.selections[0]
        number = chosen.instances[0].series_number
        what = f"series {number}, {counted(len(chosen.instances), 'image')}"
        typer.echo(f"{one.model.name} {one.model.version}: asked {one.why} ({what})")
    for other in routing.others:
        typer.echo(f"{other.model.name} {other.model.version}: not asked: {other.why}")
    if not routing.asked:
        _fail("No model would read this study: it would be reported as NOT ANALYSED.")


def _listed(approvals: Path) -> tuple[Manifest, ...]:
    try:
        return models.parse_approved(approvals.read_bytes())
    except (OSError, ValueError) as error:
        _fail(f"{approvals} is not a list of approvals: {_reasons(error)}")


def _names_files(bundle: Path) -> bool:
    """Whether the manifest names files: `approve` writes them there. One that cannot be read is told by `_manifest`."""
    try:
        stated = json.loads((bundle / "manifest.json").read_text())
    except (OSError, ValueError):
        return True
    return not isinstance(stated, dict) or "files" in stated


def _manifest(bundle: Path, files: dict[str, str] | None = None) -> Manifest:
    """The bundle's manifest, with these files instead of its own where they are given."""
    try:
        stated = json.loads((bundle / "manifest.json").read_text())
        if files is not None and isinstance(stated, dict):
            stated["files"] = files
        return Manifest.model_validate(stated)
    except FileNotFoundError:
        _fail("The bundle has no manifest.json: docs/models.md shows one.")
    except (OSError, ValueError) as error:  # no JSON is a ValueError, too
        _fail(f"manifest.json is not valid: {_reasons(error)}")


def _reasons(error: Exception) -> str:
    """What is wrong, a line for each place."""
    if not isinstance(error, ValidationError):
        return str(error)
    found = [(".".join(map(str, e["loc"])), e["msg"].removeprefix("Value error, ")) for e in error.errors()]
    return "".join(f"\n  {place + ': ' if place else ''}{why}" for place, why in found)


def _fail(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(1)
