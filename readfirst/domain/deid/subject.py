"""What the rules need to know of a file's own subject and of what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from readfirst.domain.deid.dicom.charsets import decoded
from readfirst.domain.deid.dicom.elements import (
    Element,
    File,
    text_of,
)


@dataclass(frozen=True)
class Subject:
    """What the original says about patient and study, as Unicode."""

    values: dict[int, str]

    def __getitem__(self, tag: int) -> str:
        return self.values.get(tag, "")


_SUBJECT_TAGS = frozenset(
    (
        *(0x00080008, 0x00080016, 0x00080020, 0x00080030, 0x00080050, 0x00080060, 0x00080064, 0x00080090, 0x00081030),
        *(0x0008103E, 0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00100040, 0x00101010, 0x00180015, 0x00181030),
        *(0x0020000D, 0x00200010, 0x00280301),
    )
)


def subject_of(file: File) -> Subject:
    charsets = charsets_of(file.elements)
    return Subject(
        {
            e.tag: decoded(e.value, charsets).strip(" \0")
            for e in file.elements
            if e.tag in _SUBJECT_TAGS and isinstance(e.value, bytes)
        }
    )


def charsets_of(elements: list[Element]) -> tuple[str, ...]:
    return tuple(next((text_of(e) for e in elements if e.tag == 0x00080005), "").split("\\"))
