"""What mkdocs does beyond its settings: the pages at the top level join, and links into the sources become their names.

The documents are written to be read in the repository, where a link may lead to a source file or a folder. The rendered
pages hold documents alone: a link to one of these leads to its page, any other to nothing but the words.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TOP = ("README.md", "DEVELOPERS.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages at the top level."""
    from mkdocs.structure.files import File

    for name in TOP:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Points links at pages."""
    source = page.file.src_uri
    return _LINK.sub(lambda found: _link(found, source), markdown)


def _link(found: re.Match[str], source: str) -> str:
    picture, words, target = found.groups()
    if re.match(r"[a-z]+:|#|/", target):
        return found[0]
    path, mark, anchor = target.partition("#")
    page = page_of(source, path)
    if page is None:
        return words
    here = posixpath.dirname(source)
    return f"{picture}[{words}]({posixpath.relpath(page, here or '.')}{mark}{anchor})"


def page_of(source: str, target: str) -> str | None:
    """The file in the rendered documents that a link of the page `source` leads to; None: it leads into the sources.

    Raises FileNotFoundError where the repository has no such file.
    """
    folder = "" if source in TOP else posixpath.join("docs", posixpath.dirname(source))
    path = posixpath.normpath(posixpath.join(folder, target))
    if not (ROOT / path).exists():
        raise FileNotFoundError(f"{source} links to {target}, which is not there")
    if (ROOT / path).is_dir() and (ROOT / path / "README.md").exists():
        path = f"{path}/README.md"
    if path in TOP:
        return path
    return path.removeprefix("docs/") if path.startswith("docs/") and (ROOT / path).is_file() else None
