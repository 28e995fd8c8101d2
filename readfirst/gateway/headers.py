"""The few elements that the gateway reads of a file: whose study it belongs to, and whether Readfirst made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom.filereader import read_partial
from pydicom.tag import Tag

_SERIES = 0x0020000E
_MAKER = "Readfirst"  # (0008,0070) of every result (model_container/outputs/study.py)
_WANTED = [
    Tag(name) for name in ("SOPClassUID", "SOPInstanceUID", "Manufacturer", "StudyInstanceUID", "SeriesInstanceUID")
]


@dataclass(frozen=True)
class Head:
    """UIDs as they are written; empty where the file names none, or cannot be read."""

    sop_class: str = ""
    instance: str = ""
    study: str = ""
    series: str = ""
    syntax: str = ""
    ours: bool = False


def head_of(path: Path) -> Head:
    """Reads the beginning of a file. Whatever is wrong with it, the cloud says so to its sender: here it is unnamed."""
    try:
        with path.open("rb") as file:
            ds = read_partial(file, lambda tag, *_: tag > _SERIES, specific_tags=_WANTED)
            study, series = (str(ds.get(name) or "") for name in ("StudyInstanceUID", "SeriesInstanceUID"))
            syntax = str(ds.file_meta.get("TransferSyntaxUID") or "")
            uid, instance = str(ds.get("SOPClassUID") or ""), str(ds.get("SOPInstanceUID") or "")
            return Head(uid, instance, study, series, syntax, ds.get("Manufacturer") == _MAKER)
    except Exception:  # pydicom raises many kinds at a file that it cannot read; nothing of the content travels on
        return Head()
