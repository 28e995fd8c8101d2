"""What a study's headers say about people: the names, numbers, dates and places that no text may still show."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.charsets import readings
from readfirst.domain.deid.dicom.standard_tables import content_rows, is_tag, rows
from readfirst.domain.deid.stated import stated_person, study_of
from readfirst.domain.intake.person import Stated

DATES = {tags.StudyDate, tags.SeriesDate, tags.AcquisitionDate, tags.ContentDate, tags.PatientBirthDate}
UIDS = {
    tags.StudyInstanceUID,
    tags.SeriesInstanceUID,
    tags.FrameOfReferenceUID,
}  # not the instances': any UID in a text goes by its form
# Attributes besides person names whose values point to a person, a device or a place: by what the table calls them.
_KINDS = {
    "phones": re.compile(r"Telephone|Telecom"),
    "phrases": re.compile(
        r"Address|Institution|Organization|Station Name|Department|Residence|Issuer of Patient|Patient.*Location"
    ),
    "ids": re.compile(r"\b(?:IDs?|Identifier|Number|Locator|AE Title|Plan Identification)\b"),
}
# Identifiers of what is done rather than to whom: "CT-CHEST-1" would take the words out of every description.
_OF_THINGS = re.compile(r"Protocol|Plan|Beam|Template|Equipment|Field|Detector|Source|Filter|Gantry|Channel")


_KINDS_OF_VALUE = ("names", "ids", "phones", "phrases", "dates", "uids")
_WORDED = ("LO", "SH", "ST", "LT", "UT", "UC", "AE")


Value = tuple[str, str]  # the field of KnownIdentifiers, and what it gets


def _by_name() -> dict[int, str]:
    kinds = {}
    for row in rows():
        if is_tag(row.tag) and row.vr in _WORDED and not _OF_THINGS.search(row.name):
            kind = next((k for k, pattern in _KINDS.items() if pattern.search(row.name)), "")
            if kind:
                kinds[int(row.tag, 16)] = kind
    return kinds


TAGS = _by_name()
PERSON_NAMES = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "PN")
# Codes that stand for a person, or for where a person works.
_CODED = {
    tags.PersonIdentificationCodeSequence: "names",
    tags.VerifyingObserverIdentificationCodeSequence: "names",
    tags.InstitutionCodeSequence: "phrases",
}
_CODE_VALUES = frozenset((tags.CodeValue, tags.LongCodeValue))
_CODE_MEANING = tags.CodeMeaning


@dataclass(frozen=True)
class KnownIdentifiers:
    """Identifiers of one study, as its headers write them."""

    names: frozenset[str] = frozenset()  # PN values
    ids: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()
    phrases: frozenset[str] = frozenset()  # institutions, addresses, stations
    dates: frozenset[str] = frozenset()  # YYYYMMDD
    uids: frozenset[str] = frozenset()
    # Study Instance UIDs, and what the headers of their files say of the patient: no identifier to look for in texts.
    stated: frozenset[tuple[str, Stated]] = field(default=frozenset(), compare=False)

    def __or__(self, other: KnownIdentifiers) -> KnownIdentifiers:
        """Both together."""
        if other.stated <= self.stated and all(getattr(other, kind) <= getattr(self, kind) for kind in _KINDS_OF_VALUE):
            return self
        both = _of({kind: getattr(self, kind) | getattr(other, kind) for kind in _KINDS_OF_VALUE})
        return replace(both, stated=self.stated | other.stated)

    def without(self, kept: KnownIdentifiers) -> KnownIdentifiers:
        """All but what a profile keeps; names of persons stay known."""
        if not kept:
            return self
        return replace(self, ids=self.ids - kept.ids, phrases=self.phrases - kept.phrases)

    def __repr__(self) -> str:  # no identifier reaches a log
        return f"KnownIdentifiers({len(self)} values)"

    def __len__(self) -> int:
        return sum(len(getattr(self, kind)) for kind in _KINDS_OF_VALUE)

    def to_json(self) -> str:
        """The identifiers as JSON, in a stable order."""
        return json.dumps({kind: sorted(getattr(self, kind)) for kind in _KINDS_OF_VALUE}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> KnownIdentifiers:
        """From `to_json`'s text."""
        document = json.loads(text)
        return cls(**{kind: frozenset(document.get(kind, ())) for kind in _KINDS_OF_VALUE})


def known_identifiers(ds: Dataset) -> KnownIdentifiers:
    """The identifiers that a header holds, at any depth, and what it says of the patient."""
    return replace(learn(_walk(ds, (), 0)), stated=frozenset({(study_of(ds), stated_person(ds))}))


def _walk(ds: Dataset, terms: tuple[str, ...], parent: int) -> Iterator[Value]:
    """The values that can teach something. What pydicom has not converted yet is read from its bytes."""
    own = ds.get_item(tags.SpecificCharacterSet)
    if own is not None:
        terms = tuple(_plain(own.value).split("\\"))
    kind = _item_kind(ds, parent)
    for tag in list(ds.keys()):
        element = ds.get_item(tag)
        if element is None:
            continue
        if element.VR == "SQ":
            for item in ds[tag].value or ():
                yield from _walk(item, terms, int(tag))
        elif field := kind_of(int(tag), element.VR or "", parent) or (kind if int(tag) == _TEXT_VALUE else ""):
            if isinstance(element, RawDataElement) or isinstance(element.value, bytes):
                texts = readings(element.value or b"", terms)
            else:
                texts = [str(v) for v in _values(element.value)]
            yield from ((field, value) for text in texts for value in text.split("\\"))


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1").strip(" \0")
    return "\\".join(str(v) for v in _values(value))


_TEXT_VALUE = tags.TextValue
_CONCEPT_NAME = tags.ConceptNameCodeSequence


def _item_kind(item: Dataset, parent: int) -> str:
    """Which field the text of a content item feeds, by its concept name."""
    if parent != tags.ContentSequence or _CONCEPT_NAME not in item or not item[_CONCEPT_NAME].value:
        return ""
    code = item[_CONCEPT_NAME].value[0]
    return kind_of_concept(_plain(code.get("CodingSchemeDesignator")), _plain(code.get("CodeValue")))


def kind_of_concept(scheme: str, code: str) -> str:
    """Which field a content item of Table E.3.4-1 feeds; "" for none."""
    row = content_rows().get((scheme, code, "TEXT"))
    return "" if row is None else next((k for k, pattern in _KINDS.items() if pattern.search(row.meaning)), "")


def _values(value: Any) -> Iterable[Any]:
    if value is None or isinstance(value, bytes):
        return ()
    return (
        (value,) if isinstance(value, str) or not hasattr(value, "__iter__") or hasattr(value, "components") else value
    )


def learn(values: Iterable[Value]) -> KnownIdentifiers:
    """The identifiers among (field, value) pairs."""
    return _learned(frozenset(values))


@lru_cache(maxsize=1024)
def _learned(values: frozenset[Value]) -> KnownIdentifiers:
    """The files of a study teach the same."""
    found: dict[str, set[str]] = {kind: set() for kind in _KINDS_OF_VALUE}
    for kind, value in values:
        text = value.strip(" \0")
        if kind == "dates":
            text = re.sub(r"\D", "", text)[:8]
            if len(text) != 8:
                continue
        if text:
            found[kind].add(text)
    return _of(found)


def _of(found: Mapping[str, Iterable[str]]) -> KnownIdentifiers:
    values: dict[str, Any] = {kind: frozenset(found[kind]) for kind in _KINDS_OF_VALUE}
    return KnownIdentifiers(**values)


def kind_of(tag: int, vr: str, parent: int = 0) -> str:
    """Which field of KnownIdentifiers an attribute feeds, by the sequence that it stands in; "" for none."""
    if vr == "PN" or tag in PERSON_NAMES:
        return "names"
    if tag in DATES:
        return "dates"
    if parent in _CODED:
        if tag == _CODE_MEANING:
            return _CODED[parent]
        if tag in _CODE_VALUES:
            return "ids"
    return "uids" if tag in UIDS else TAGS.get(tag, "")
