"""Words that we use where plain technical English has a better one, and where we look for them: in the documents, in
what the programs say (errors, e-mails, the command line, the API's answers), and in what the portal shows.

usage: python -m tools.words. Prints each place with what to write instead; ends with 1 if there is one.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "DEVELOPERS.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**/*.md")  # the changelog is history
PROGRAMS = ("main.py", "function_app", "orchestrations", "readfirst", "model_container")
PORTAL = ("portal_static/src", "portal_static/public", "portal_static/index.html")
INSTEAD = {
    r"(?<!there )(is|are|was) no (?!longer|more|one\b)": "is not a …, does not …",
    r"stands?\b(?!-in| for\b)": "is, is listed, depends",
    r"told\b(?! apart)": "notified, reported, given",
    r"whole\b(?! numbers?\b| slide\b)": "complete, full, entire, or nothing",
    r"beside\b": "next to, in addition to, with",
}
_NO_PROSE = re.compile(r"`[^`]*`|\]\([^)]*\)")  # code, and where a link leads
_TAG = re.compile(r"<[^<>]*>")
_SHOWN = re.compile(r"""\b(?:title|aria-label|placeholder|alt)="([^"]*)\"""")  # of a tag, what people see or hear
_QUOTED = {quote: re.compile(rf"{quote}(?:[^{quote}\\\n]|\\.)*{quote}") for quote in "\"'"}
Place = tuple[int, str, str]  # line, word, what to write instead


def found(text: str) -> Iterator[Place]:
    """Each place in a text; a file's or program's name is not a word."""
    for number, line in enumerate(text.splitlines(), start=1):
        prose = _NO_PROSE.sub("", line)
        for pattern, instead in INSTEAD.items():
            for match in re.finditer(rf"\b{pattern}", prose, re.IGNORECASE):
                yield number, match[0].strip(), instead


def said(source: str) -> Iterator[Place]:
    """Each place in what a Python program says: its strings of more than one word, but no docstring and no pattern."""
    nodes = list(ast.walk(ast.parse(source)))
    silent = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    silent |= {id(argument) for node in nodes if _makes_a_pattern(node) for argument in ast.walk(node)}
    for node in nodes:
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in silent:
            continue
        if " " in node.value.strip():
            yield from ((node.lineno + line - 1, word, instead) for line, word, instead in found(node.value))


def _makes_a_pattern(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "re"


def shown(source: str) -> Iterator[Place]:
    """Each place in what a TypeScript source shows: strings of more than one word, and the text of templates."""
    _, strings = _code(source, 0)
    for at, string in strings:
        if " " in string.strip():
            line = source.count("\n", 0, at)
            yield from ((line + number, word, instead) for number, word, instead in marked_up(string))


def marked_up(text: str) -> Iterator[Place]:
    """Each place in what a piece of HTML shows."""
    return found(_TAG.sub(lambda tag: " ".join(_SHOWN.findall(tag[0])) + "\n" * tag[0].count("\n"), text))


def _code(text: str, at: int) -> tuple[int, list[tuple[int, str]]]:
    """Where a piece of code ends (at the brace that closes it), and its strings, each with its place."""
    strings: list[tuple[int, str]] = []
    depth = 0
    while at < len(text):
        if text.startswith(("//", "/*"), at):
            end = text.find("\n" if text[at + 1] == "/" else "*/", at + 2)
            at = len(text) if end < 0 else end + 1
        elif text[at] == "`":
            at, inner = _template(text, at)
            strings += inner
        elif text[at] in "\"'":
            match = _QUOTED[text[at]].match(text, at)
            strings += [(at, match[0])] if match else []
            at = match.end() if match else at + 1
        else:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            if depth < 0:
                return at, strings
            at += 1
    return at, strings


def _template(text: str, start: int) -> tuple[int, list[tuple[int, str]]]:
    """Where a template ends, and its text without the code in it (so that a tag that holds code is one tag)."""
    strings: list[tuple[int, str]] = []
    own, at = "", start + 1
    while at < len(text) and text[at] != "`":
        if text.startswith("${", at):
            end, inner = _code(text, at + 2)
            strings += inner
            own += "\n" * text.count("\n", at, end)
            at = end + 1
        else:
            own += text[at]
            at += 1
    return at + 1, [(start, own), *strings]


def places() -> Iterator[tuple[str, Place]]:
    """Each place of the repository, with its file."""
    for patterns, suffix, look in (
        (DOCUMENTS, "", found), (PROGRAMS, ".py", said), (PORTAL, ".ts", shown), (PORTAL, ".html", marked_up),
    ):  # fmt: skip
        for file in _files(patterns, suffix):
            yield from ((str(file.relative_to(ROOT)), place) for place in look(file.read_text("utf-8")))


def _files(patterns: tuple[str, ...], suffix: str) -> list[Path]:
    named = {file for pattern in patterns for file in ROOT.glob(pattern)}
    inside = {file for folder in named if folder.is_dir() for file in folder.rglob(f"*{suffix}")}
    return sorted(
        file
        for file in named | inside
        if file.is_file() and file.name.endswith(suffix) and "node_modules" not in file.parts
    )


def main() -> int:
    """Looks through everything."""
    none = True
    for name, (number, word, instead) in places():
        print(f"{name}:{number}: “{word}”: write {instead}")
        none = False
    return 0 if none else 1


if __name__ == "__main__":
    sys.exit(main())
