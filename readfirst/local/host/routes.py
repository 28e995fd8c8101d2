"""Routes of HTTP triggers, in ASP.NET form: literals, {name}, {name?}, {name=default}, {name:int}, {*rest}. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from readfirst.local.host.settings import CannotRun

_GUID = r"\{?[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?"


def _is_datetime(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


_CONSTRAINTS: dict[str, Callable[[str], bool]] = {
    "int": lambda text: re.fullmatch(r"[+-]?\d{1,10}", text) is not None and -(2**31) <= int(text) < 2**31,
    "long": lambda text: re.fullmatch(r"[+-]?\d{1,19}", text) is not None and -(2**63) <= int(text) < 2**63,
    "bool": lambda text: text.lower() in ("true", "false"),
    "guid": lambda text: re.fullmatch(_GUID, text) is not None,
    "alpha": lambda text: re.fullmatch(r"[A-Za-z]*", text) is not None,
    "datetime": _is_datetime,
    "required": bool,
}
_SIZED: dict[str, Callable[[str, int], bool]] = {
    "length": lambda text, size: len(text) == size,
    "minlength": lambda text, size: len(text) >= size,
    "maxlength": lambda text, size: len(text) <= size,
}


@dataclass(frozen=True)
class _Part:
    literal: str | None = None
    name: str = ""
    optional: bool = False
    default: str | None = None
    rest: bool = False
    checks: tuple[Callable[[str], bool], ...] = ()

    def fits(self, text: str) -> bool:
        if self.literal is not None:
            return text.lower() == self.literal.lower()
        return all(check(text) for check in self.checks)

    @property
    def rank(self) -> int:
        """Literals are tried before constrained parameters, those before free ones, the rest last."""
        return 0 if self.literal is not None else 3 if self.rest else 1 if self.checks else 2


@dataclass(frozen=True)
class Route:
    parts: tuple[_Part, ...]

    @property
    def rank(self) -> tuple[int, ...]:
        return tuple(part.rank for part in self.parts)

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """The parameters when the path's decoded segments fit the route."""
        found: dict[str, str] = {}
        position = 0
        for part in self.parts:
            if part.rest:
                if position < len(segments):
                    found[part.name] = "/".join(segments[position:])
                return found
            if position >= len(segments):
                if part.default is not None:
                    found[part.name] = part.default
                elif not part.optional:
                    return None
                continue
            if not part.fits(segments[position]):
                return None
            if part.literal is None:
                found[part.name] = segments[position]
            position += 1
        return found if position == len(segments) else None


def parse_route(template: str) -> Route:
    """Raises CannotRun for what this host does not understand: better than to read it otherwise than Azure."""
    return Route(tuple(_part(text, template) for text in template.strip("/").split("/") if text))


def _part(text: str, template: str) -> _Part:
    if "{" not in text:
        return _Part(literal=text)
    match = re.fullmatch(r"\{(\*{0,2})(\w+)((?::\w+(?:\([^()]*\))?)*)(?:=([^{}?]*))?(\?)?\}", text)
    if match is None:
        raise CannotRun(f"the embedded host does not understand {text!r} in the route {template!r}")
    stars, name, constraints, default, optional = match.groups()
    checks = tuple(_check(item, template) for item in constraints.split(":")[1:])
    return _Part(None, name, optional is not None, default, bool(stars), checks)


def _check(text: str, template: str) -> Callable[[str], bool]:
    name, _, argument = text.rstrip(")").partition("(")
    if name in _CONSTRAINTS and not argument:
        return _CONSTRAINTS[name]
    if name in _SIZED and argument.isdigit():
        size, check = int(argument), _SIZED[name]
        return lambda value: check(value, size)
    raise CannotRun(f"the embedded host does not know the constraint {text!r} in the route {template!r}")
