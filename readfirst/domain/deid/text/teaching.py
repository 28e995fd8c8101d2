"""What a file's own elements teach about the people that it names."""

from __future__ import annotations

from collections.abc import Iterator

from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.charsets import readings
from readfirst.domain.deid.dicom.elements import (
    Element,
    text_of,
)
from readfirst.domain.deid.subject import charsets_of
from readfirst.domain.deid.text.known_identifiers import Value, kind_of, kind_of_concept


def taught_by(elements: list[Element], charsets: tuple[str, ...] = (), parent: int = 0) -> Iterator[Value]:
    """The values at every depth that can teach something."""
    charsets = charsets_of(elements) if any(e.tag == tags.SpecificCharacterSet for e in elements) else charsets
    said = kind_said(elements) if parent == tags.ContentSequence else ""
    for element in elements:
        if isinstance(element.value, list):
            for item in element.value:
                yield from taught_by(item, charsets, element.tag)
        elif isinstance(element.value, bytes) and element.value:
            kind = kind_of(element.tag, element.vr, parent) or (said if element.tag == tags.TextValue else "")
            if kind:
                for text in readings(element.value, charsets):
                    yield from ((kind, value) for value in text.split("\\"))


def kind_said(item: list[Element]) -> str:
    """Which field the text of a content item feeds, by its concept name."""
    concept = next((e.value for e in item if e.tag == tags.ConceptNameCodeSequence), None)
    if not isinstance(concept, list) or not concept:
        return ""
    code = {e.tag: text_of(e) for e in concept[0]}
    return kind_of_concept(code.get(tags.CodingSchemeDesignator, ""), code.get(tags.CodeValue, ""))
