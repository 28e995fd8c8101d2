"""De-identifies one file: clean bytes, the identity for the vault, and a receipt; or a reason why not."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from readfirst.domain.deid import dates
from readfirst.domain.deid.clean import Cleaner, Traces, decoded
from readfirst.domain.deid.codec import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Bulk,
    Element,
    Encoding,
    File,
    Unreadable,
    Writer,
    parse,
    text_of,
    write_meta,
)
from readfirst.domain.deid.header import as_dataset, clutter_of, is_directory, refusal_of
from readfirst.domain.deid.identity import IdentityRecord, PatientIdentity, StudyIdentity
from readfirst.domain.deid.known import KnownIdentifiers, kind_of, learn
from readfirst.domain.deid.pixeldata import shape_of, tidy
from readfirst.domain.deid.plan import Plan, plan_of
from readfirst.domain.deid.profile import Profile
from readfirst.domain.deid.receipt import ENGINE_VERSION, PixelCheck, Receipt, RuleFired
from readfirst.domain.deid.scrub import Scrubber, scrubber_of
from readfirst.domain.deid.table import TABLE_EDITION, types_of
from readfirst.domain.deid.visual import could_show_face
from readfirst.domain.instances import InstanceFacts, facts_of
from readfirst.domain.pseudonyms import Pseudonyms, handle_of
from readfirst.domain.refusals import Reason, Refused

# Ours, so that a reader of the file can tell what wrote it (PS3.7 D.3.3.2).
IMPLEMENTATION_CLASS_UID = "2.25.119468520171184210365180284961936519"
IMPLEMENTATION_VERSION = f"READFIRST_{ENGINE_VERSION.replace('.', '_')}"[:16]

# Modalities whose pictures usually carry names, and those that only a person can tell.
RISKY_MODALITIES = frozenset(
    ("US", "IVUS", "BDUS", "SC", "XC", "RF", "XA", "OT", "ES", "GM", "SM", "DG", "DOC", "VL", "OP", "OPT", "TG", "HC")
)
_CONVERTED = frozenset(("DV", "DI", "DF", "WSD", "SD", "SI", "DRW"))


@dataclass(frozen=True)
class Deidentified:
    """A clean copy was written: its facts, whom it was, and what was done."""

    facts: InstanceFacts
    identity: IdentityRecord
    receipt: Receipt


@dataclass(frozen=True)
class _Subject:
    """What the original says about patient and study, as Unicode."""

    values: dict[int, str]

    def __getitem__(self, tag: int) -> str:
        return self.values.get(tag, "")


def deidentify(
    source: BinaryIO,
    target: BinaryIO,
    *,
    names: Pseudonyms,
    handle: str,
    profile: Profile,
    known: KnownIdentifiers,
) -> Deidentified | Refused:
    """Writes the clean copy of `source` to `target`, or says why it does not. Malformed input never raises.

    `source` is seekable; large values are streamed. `handle` becomes accession number and study ID. `known` are the
    identifiers of the whole study (see `known_identifiers`).
    """
    clutter = clutter_of(source)
    if clutter is not None:
        return Refused(Reason.NOT_DICOM, clutter.what)
    try:
        file = parse(source)
        return _deidentify(source, file, target, names, handle, plan_of(profile), known)
    except Unreadable as error:
        return Refused(error.reason, error.detail)


def _deidentify(
    source: BinaryIO,
    file: File,
    target: BinaryIO,
    names: Pseudonyms,
    handle: str,
    plan: Plan,
    known: KnownIdentifiers,
) -> Deidentified | Refused:
    refusal = Refused(Reason.NOT_DICOM, "DICOMDIR") if is_directory(file) else refusal_of(file, plan.profile.scope)
    if refusal is not None:
        return refusal
    subject = _subject(file)
    face = could_show_face(subject.values)
    if face and plan.options.visual_features == "refuse":
        return Refused(Reason.VISUAL_FEATURES)
    notes = tidy(file.elements, shape_of(file.elements, file.encoding), file.transfer_syntax)
    risk = burned_in_risk(subject)
    if risk:
        return Refused(Reason.BURNED_IN, risk)
    scrubber = scrubber_of(known | learn(_triples(file.elements)))
    patient = names.patient_token(*_person(subject))
    cleaner = Cleaner(
        plan, names, scrubber, types_of(subject[0x00080016]), names.shift_days(patient), file.encoding.big
    )
    clean = cleaner.data_set(file.elements)
    clean = _marked(clean, plan, subject, patient, handle, face)
    if holds_identifier(clean, scrubber):
        return Refused(Reason.RESIDUAL)
    output = _write(file, clean, target)
    cleaned = File([], clean, file.encoding, file.transfer_syntax, 0)
    identity = _identity(file, subject, cleaner, names, patient, handle)
    receipt = Receipt(
        sop_uid=_value(clean, 0x00080018),
        engine=ENGINE_VERSION,
        table=TABLE_EDITION,
        profile=plan.profile.name,
        profile_digest=plan.profile.digest,
        input_digest=_digest(source),
        output_digest=output,
        rules=_rules(cleaner.traces),
        residual="none found",
        residual_checked=scrubber.count,
        pixels=PixelCheck(outcome="low risk"),
        notes=tuple(notes),
    )
    return Deidentified(facts_of(as_dataset(cleaned), digest=output), identity, receipt)


# -- what the original says

_SUBJECT_TAGS = frozenset(
    (
        *(0x00080008, 0x00080016, 0x00080020, 0x00080030, 0x00080050, 0x00080060, 0x00080064, 0x00080090, 0x00081030),
        *(0x0008103E, 0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00100040, 0x00101010, 0x00180015, 0x00181030),
        *(0x0020000D, 0x00200010, 0x00280301),
    )
)


def _subject(file: File) -> _Subject:
    charsets = _charsets(file.elements)
    return _Subject(
        {
            e.tag: decoded(e.value, charsets).strip(" \0")
            for e in file.elements
            if e.tag in _SUBJECT_TAGS and isinstance(e.value, bytes)
        }
    )


def _charsets(elements: list[Element]) -> tuple[str, ...]:
    return tuple(next((text_of(e) for e in elements if e.tag == 0x00080005), "").split("\\"))


def _person(subject: _Subject) -> tuple[str, str]:
    """Issuer and ID. Files without an ID are of one person only as far as they are of one study."""
    if subject[0x00100020]:
        return subject[0x00100021], subject[0x00100020]
    return "readfirst:no-patient-id", subject[0x0020000D]


def burned_in_risk(subject: _Subject) -> str:
    """Why text is likely in the picture; "" if it is not."""
    if subject[0x00280301].upper() == "YES":
        return "BurnedInAnnotation is YES"
    if subject[0x00080060] in RISKY_MODALITIES or not subject[0x00080060]:
        return f"modality {subject[0x00080060] or 'missing'}"
    if subject[0x00080016].startswith("1.2.840.10008.5.1.4.1.1.7"):
        return "secondary capture"
    return "converted from another medium" if subject[0x00080064] in _CONVERTED else ""


def _triples(elements: list[Element], charsets: tuple[str, ...] = ()) -> Iterator[tuple[int, str, str]]:
    """(tag, VR, value) of the short values at every depth, for learning."""
    charsets = _charsets(elements) if any(e.tag == 0x00080005 for e in elements) else charsets
    for element in elements:
        if isinstance(element.value, list):
            for item in element.value:
                yield from _triples(item, charsets)
        elif isinstance(element.value, bytes) and kind_of(element.tag, element.vr):
            for value in decoded(element.value, charsets).split("\\"):
                yield element.tag, element.vr, value


# -- what the clean copy says about itself


def _marked(
    clean: list[Element], plan: Plan, subject: _Subject, patient: str, handle: str, face: bool
) -> list[Element]:
    """The clean elements with the new names and the markers of PS3.15 E.1.1 and PS3.3 C.12.1.1."""
    options = plan.options
    longitudinal = {"none": "REMOVED", "modified": "MODIFIED", "full": "UNMODIFIED"}[options.dates]
    set_values: dict[int, tuple[str, str]] = {
        0x00080050: ("SH", handle),
        0x00100010: ("PN", f"RF-{handle_of(patient)}"),
        0x00100020: ("LO", patient),
        0x00200010: ("SH", handle),
        0x00120062: ("CS", "YES"),
        0x00120063: ("LO", f"Readfirst {ENGINE_VERSION}\\PS3.15 {TABLE_EDITION}\\Profile {plan.profile.name}"[:200]),
        0x00280303: ("CS", longitudinal),
    }
    if face:
        set_values[0x00280302] = ("CS", "YES")
    if options.patient_characteristics:
        age = dates.capped_age(subject[0x00101010]) or dates.age_at(subject[0x00100030], subject[0x00080020])
        if age:
            set_values[0x00101010] = ("AS", age)
    merged = {e.tag: e for e in clean}
    merged.update({tag: Element(tag, vr, value.encode("ascii")) for tag, (vr, value) in set_values.items()})
    merged[0x00120064] = Element(0x00120064, "SQ", [_code(*code) for code in method_codes(plan)])
    return [merged[tag] for tag in sorted(merged)]


def method_codes(plan: Plan) -> list[tuple[str, str]]:
    """CID 7050: each option's code only where the option is fully applied."""
    options = plan.options
    codes = [
        (True, "113100", "Basic Application Confidentiality Profile"),
        (options.structured_content, "113104", "Clean Structured Content Option"),
        (options.descriptors, "113105", "Clean Descriptors Option"),
        (options.dates == "full", "113106", "Retain Longitudinal Temporal Information Full Dates Option"),
        (options.dates == "modified", "113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
        (options.patient_characteristics, "113108", "Retain Patient Characteristics Option"),
        (options.device_identity, "113109", "Retain Device Identity Option"),
        (options.uids, "113110", "Retain UIDs Option"),
        (options.institution_identity, "113112", "Retain Institution Identity Option"),
    ]
    return [(value, meaning) for applied, value, meaning in codes if applied]


def _code(value: str, meaning: str) -> list[Element]:
    return [
        Element(0x00080100, "SH", value.encode()),
        Element(0x00080102, "SH", b"DCM"),
        Element(0x00080104, "LO", meaning.encode()),
    ]


_SEARCHED = frozenset(("LO", "SH", "ST", "LT", "UT", "UC", "PN", "CS", "UR", "AE"))


def holds_identifier(elements: list[Element], scrubber: Scrubber, charsets: tuple[str, ...] = ()) -> bool:
    """Whether a text of the clean data set still shows a known identifier: the last look before writing."""
    charsets = _charsets(elements) if any(e.tag == 0x00080005 for e in elements) else charsets
    for element in elements:
        value = element.value
        if isinstance(value, list):
            if any(holds_identifier(item, scrubber, charsets) for item in value):
                return True
        elif isinstance(value, bytes) and element.vr in _SEARCHED and scrubber.holds_known(decoded(value, charsets)):
            return True
    return False


# -- writing


class _Digesting(io.RawIOBase):
    """Passes bytes on and digests them."""

    def __init__(self, target: BinaryIO) -> None:
        self.target = target
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.sha256.update(data)
        return self.target.write(data)


def _write(file: File, clean: list[Element], target: BinaryIO) -> str:
    """Writes the clean file in the encoding of the original; its sha256. The file meta information is made anew."""
    encapsulated = file.transfer_syntax not in (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED)
    syntax = EXPLICIT_LITTLE if file.transfer_syntax == DEFLATED else file.transfer_syntax
    encoding = Encoding(True, False) if encapsulated or syntax == EXPLICIT_LITTLE else file.encoding
    digesting = _Digesting(target)
    meta = [
        (0x00020001, "OB", b"\0\1"),
        (0x00020002, "UI", _value(clean, 0x00080016).encode()),
        (0x00020003, "UI", _value(clean, 0x00080018).encode()),
        (0x00020010, "UI", syntax.encode()),
        (0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode()),
        (0x00020013, "SH", IMPLEMENTATION_VERSION.encode()),
    ]
    stream: BinaryIO = digesting  # type: ignore[assignment] # write is all that is used
    write_meta(stream, [Element(*m) for m in meta])
    Writer(stream, encoding).elements(clean)
    return digesting.sha256.hexdigest()


def _digest(source: BinaryIO) -> str:
    size = source.seek(0, 2)
    sha256 = hashlib.sha256()
    for chunk in Bulk(source, 0, size).chunks():
        sha256.update(chunk)
    return sha256.hexdigest()


def _value(elements: list[Element], tag: int) -> str:
    return next((text_of(e) for e in elements if e.tag == tag), "")


def _rules(traces: Traces) -> tuple[RuleFired, ...]:
    return tuple(
        RuleFired(path=path, action=action, why=why, count=count)  # type: ignore[arg-type] # pydantic checks it
        for (path, action, why), count in sorted(traces.rules.items())
    )


def _identity(
    file: File, subject: _Subject, cleaner: Cleaner, names: Pseudonyms, patient: str, handle: str
) -> IdentityRecord:
    original = {tag: _value(file.elements, tag) for tag in (0x0020000D, 0x0020000E, 0x00080018, 0x00200052)}
    uids = {clean: origin for origin, clean in cleaner.traces.uids.items()}
    placed = {tag: {names.uid(uid): uid} for tag, uid in original.items() if uid}
    main = {clean for pair in placed.values() for clean in pair}
    return IdentityRecord(
        clinic=names.clinic,
        token=names.study_token(original[0x0020000D]),
        handle=handle,
        clean_study_uid=names.uid(original[0x0020000D]),
        study=StudyIdentity(
            study_uid=original[0x0020000D],
            accession_number=subject[0x00080050],
            study_id=subject[0x00200010],
            study_date=subject[0x00080020],
            study_time=subject[0x00080030],
            description=subject[0x00081030],
            referring_physician=subject[0x00080090],
        ),
        patients={
            patient: PatientIdentity(
                patient_id=subject[0x00100020],
                issuer=subject[0x00100021],
                name=subject[0x00100010],
                birth_date=subject[0x00100030],
                sex=subject[0x00100040],
                shift_days=cleaner.shift_days,
            )
        },
        series=placed.get(0x0020000E, {}),
        instances=placed.get(0x00080018, {}),
        frames_of_reference=placed.get(0x00200052, {}),
        other_uids={clean: origin for clean, origin in uids.items() if clean not in main},
    )
