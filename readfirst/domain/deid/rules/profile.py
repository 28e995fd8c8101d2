"""Profiles: which options of PS3.15 Annex E are applied. A profile is a TOML file; three come with the package."""

from __future__ import annotations

import hashlib
import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from readfirst.domain.faults import WrongCall

READY = ("triage-default", "research-sharing", "strict")


class ProfileError(WrongCall, ValueError):
    """A profile file that cannot be used; the message names the line where it can."""


class Part(BaseModel):
    """A frozen piece of a profile that refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Options(Part):
    """The options of PS3.15 Annex E, each a switch. What is off follows the Basic Profile."""

    dates: Literal["none", "year", "modified", "full"] = "none"
    patient_characteristics: bool = False
    device_identity: bool = False
    institution_identity: bool = False
    uids: bool = False
    safe_private: bool = False
    descriptors: bool = False
    structured_content: bool = False
    graphics: bool = False
    pixels: bool = True
    visual_features: Literal["allow", "refuse"] = "refuse"


class Scope(Part):
    """Which objects are taken. Encapsulated documents are judged by `documents` alone, all others by `objects`."""

    objects: Literal["images", "any"] = "images"
    documents: Literal["refuse", "remove"] = "refuse"


class SafePrivate(Part):
    """One private attribute known to be safe: its creator, its element number in the creator's block, its VR."""

    creator: str
    group: str  # 4 hex digits
    element: str  # the last 2 hex digits
    vr: str = ""  # needed where the file does not say it


class Private(Part):
    """The site's own lists beside the standard's (PS3.15 Table E.3.10-1)."""

    allow: tuple[SafePrivate, ...] = ()
    deny_creators: tuple[str, ...] = ()


class Profile(Part):
    """A whole profile."""

    name: str
    title: str = ""
    legal: str
    options: Options = Options()
    scope: Scope = Scope()
    private: Private = Private()

    @property
    def digest(self) -> str:
        """sha256, hex, of what the profile says: receipts name it."""
        document = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(document.encode()).hexdigest()

    def pipeline_refusal(self) -> str | None:
        """Why the pipeline may not run this profile; None if it may. The command line runs any."""
        broken = [
            text
            for wrong, text in (
                (self.options.uids, "it keeps original UIDs"),
                (self.options.dates == "full", "it keeps full dates"),
                (self.options.institution_identity, "it keeps the institution's identity"),
                (self.options.device_identity, "it keeps device serial numbers"),
                (not self.options.pixels, "it does not search the pictures for burned-in text"),
                (self.scope.objects != "images", "it takes objects that are not images"),
                (self.scope.documents != "refuse", "it takes encapsulated documents"),
            )
            if wrong
        ]
        return f"profile {self.name}: {', '.join(broken)}" if broken else None


def load_profile(name_or_path: str | Path) -> Profile:
    """A ready profile by its name, or the profile in a TOML file. Raises ProfileError."""
    if str(name_or_path) in READY:
        text = (resources.files("readfirst.domain.deid") / "profiles" / f"{name_or_path}.toml").read_text("utf-8")
    else:
        try:
            text = Path(name_or_path).read_text("utf-8")
        except OSError as error:
            raise ProfileError(f"{name_or_path}: no such profile (ready ones: {', '.join(READY)})") from error
    return parse_profile(text, str(name_or_path))


def parse_profile(text: str, origin: str) -> Profile:
    """A profile from TOML text. Raises ProfileError, which names the line."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{origin}: {error}") from error
    try:
        return Profile.model_validate(document)
    except ValidationError as error:
        faults = [
            f"{origin}{_line(text, fault['loc'])}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors()
        ]
        raise ProfileError("\n".join(faults)) from error


def _line(text: str, location: tuple[int | str, ...]) -> str:
    """Where a key stands in the file, as ":12"; nothing for a key that is missing."""
    table, key = "", str(location[-1])
    wanted = ".".join(str(part) for part in location[:-1] if isinstance(part, str))
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip()
        if bare.startswith("["):
            table = bare.split("]")[0].strip("[] ")
            if table == ".".join([wanted, key]).strip("."):
                return f":{number}"
        elif bare.split("=")[0].strip().strip('"') == key and table == wanted:
            return f":{number}"
    return ""
