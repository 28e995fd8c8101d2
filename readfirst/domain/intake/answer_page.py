"""The page that a clinic reads about one of its studies: what `status.json` says, for people.

It opens in any browser from where it was downloaded to: one file, without scripts, links or pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any

from readfirst.domain.counted import counted
from readfirst.domain.refusals import ADVICE

_ADVICE = {reason.value: advice for reason, advice in ADVICE.items()}
_STATES = {
    "in progress": "The files have arrived, and the AI is about to read them. Read the study as usual meanwhile.",
    "reported": "The AI has read the study.",
    "failed": "The AI has not read the study.",
    "quarantined": "The study waits for a privacy officer. Read it as usual.",
}
_SUMS = (
    ("received", "Files received"),
    ("read", "Read by the AI"),
    ("left_out", "Left out"),
    ("refused", "Refused"),
    ("skipped", "Skipped"),
    ("identical", "Identical copies"),
    ("frames", "Images in the files read"),
    ("analysed", "Of them analysed"),
    ("frames_left_out", "Images left out"),
    ("missing", "Images that seem to be missing"),
    ("to_come", "Files that came later and are still to be taken"),
)
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body{{font:16px/1.5 system-ui,sans-serif;color:#17202a;max-width:44rem;margin:2rem auto;padding:0 1rem}}
h1{{font-size:1.5rem}}h2{{font-size:1.1rem;margin-top:1.6rem}}.dim{{color:#526070}}
.says{{border:2px solid;border-radius:8px;padding:.8rem 1rem;font-size:1.15rem;font-weight:600}}
table{{border-collapse:collapse;width:100%}}th{{font-weight:500}}
th,td{{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #d0d7de;vertical-align:top}}
</style></head><body>
{body}
</body></html>
"""


def study_page(told: Mapping[str, Any]) -> str:
    """The page of a study from its answer (`status.json`), as HTML.

    Says what the AI made of it in the words of the worklist, how many files were received, read, left out and refused,
    and what the sender can do about each refusal.
    """
    title = f"Study {told['handle']}"
    return _PAGE.format(title=escape(title), body="\n".join(_body(title, told)))


def _body(title: str, told: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h1>{escape(title)}</h1>"
    names = {
        "Accession number": str(told.get("accessionNumber", "")),
        "Study Instance UID": str(told.get("studyInstanceUid", "")),
        "As of": f"{datetime.fromisoformat(str(told['at'])).astimezone(UTC):%d %b %Y, %H:%M} UTC",
    }
    yield _table((label, escape(value)) for label, value in names.items() if value)
    state, label = str(told.get("state", "")), str(told.get("label", ""))
    yield f'<p class="says">{escape(label[:1].upper() + label[1:] or "Not read yet")}</p>'
    yield f"<p>{escape(_STATES.get(state, state))}{escape(_part(told))}</p>"
    if reason := told.get("reason"):
        yield f"<p>Reason: {escape(str(reason))}</p>"
    if models := told.get("models"):
        yield "<h2>What each model says</h2>"
        yield _table((str(name), escape(str(said))) for name, said in models.items())
    if accounting := told.get("accounting"):
        yield "<h2>Every file that was sent</h2>"
        yield _table(_sums(accounting))
    if refused := told.get("refused"):
        yield "<h2>What to do about refused files</h2>"
        files = ((f"{_words(code)} ({counted(n, 'file')})", code) for code, n in refused.items())
        yield _table((label, escape(_ADVICE.get(code, ""))) for label, code in files)
    yield '<p class="dim">NOT FOR DIAGNOSIS. A radiologist reads every image; an AI never takes their place.</p>'


def _part(told: Mapping[str, Any]) -> str:
    part = told.get("readInPart")
    return f" It has read it in part only: {part}." if part else ""


def _sums(accounting: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, label in _SUMS:
        value = accounting.get(key)
        if isinstance(value, Mapping):
            for code, count in sorted(value.items()):
                yield f"{label}: {_words(code)}", str(count)
        elif value:
            yield label, str(value)
    if accounting.get("short"):
        yield "Fewer files came than were announced", "Send the rest: the study is read again with them."


def _words(code: str) -> str:
    return code.replace("-", " ").replace("_", " ")


def _table(rows: Iterator[tuple[str, str]]) -> str:
    """Rows of a label and of HTML."""
    lines = "".join(f"<tr><th>{escape(label)}</th><td>{value}</td></tr>" for label, value in rows)
    return f"<table>{lines}</table>"
