"""De-identifies one file: clean bytes, the identity for the vault, and a receipt; or a reason why not."""

from __future__ import annotations

import hashlib
import io
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO, cast

from readfirst.domain.decoding import JPEG, JPEG_2000, RLE
from readfirst.domain.deid.acceptance import clutter_of, is_directory, not_taken, refusal_of
from readfirst.domain.deid.cleaner import Cleaner
from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.codec import parse
from readfirst.domain.deid.dicom.element_view import element_view
from readfirst.domain.deid.dicom.elements import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    PIXEL_DATA,
    Bulk,
    Element,
    Encoding,
    File,
    Fragments,
    Unreadable,
    is_pixels,
    text_of,
)
from readfirst.domain.deid.dicom.pixel_data import Shape, shape_of, tidy
from readfirst.domain.deid.dicom.standard_tables import TABLE_EDITION, types_of
from readfirst.domain.deid.dicom.unused_bits import CLEARED, bits_of
from readfirst.domain.deid.dicom.writer import Writer, write_meta
from readfirst.domain.deid.heads import Region
from readfirst.domain.deid.identity import IdentityRecord, PatientIdentity, StudyIdentity
from readfirst.domain.deid.markers import with_markers
from readfirst.domain.deid.pixels import check_pixels, screen_pixels
from readfirst.domain.deid.pixels.burned_in_risk import must_search
from readfirst.domain.deid.pixels.faces import VOLUMES, could_show_face, names_limb
from readfirst.domain.deid.pixels.frames import Images, images_of
from readfirst.domain.deid.pixels.overlays import overlays_without_text
from readfirst.domain.deid.pixels.placed import region_of
from readfirst.domain.deid.receipt import PixelCheck, Receipt, RuleFired
from readfirst.domain.deid.residual_check import holds_identifier
from readfirst.domain.deid.rules.plan import Plan, plan_of
from readfirst.domain.deid.rules.profile import Options, Profile
from readfirst.domain.deid.stated import person_among, stated_by
from readfirst.domain.deid.streams.pictures import fragment_bytes
from readfirst.domain.deid.subject import Subject, subject_of
from readfirst.domain.deid.text.known_identifiers import KnownIdentifiers, learn
from readfirst.domain.deid.text.scrubber import Scrubber, scrubber_of
from readfirst.domain.deid.text.teaching import taught_by
from readfirst.domain.deid.traces import Traces
from readfirst.domain.deid.version import ENGINE_VERSION, engine_build
from readfirst.domain.instance_facts import InstanceFacts, facts_of
from readfirst.domain.intake.person import Person
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import FAULTS, Reason, Refused, fault

# Ours, so that a reader of the file can tell what wrote it (PS3.7 D.3.3.2).
IMPLEMENTATION_CLASS_UID = "2.25.119468520171184210365180284961936519"


IMPLEMENTATION_VERSION = f"READFIRST_{ENGINE_VERSION.replace('.', '_')}"[:16]


@dataclass(frozen=True)
class Deidentified:
    """A clean copy was written: its facts, whom it was, and what was done."""

    facts: InstanceFacts
    identity: IdentityRecord
    receipt: Receipt


UNCOMPRESSED = "a compression that few programs read: stored uncompressed"


SPELLED = "known identifier among the codes of the compressed picture: stored uncompressed"


_LOOKED_AT = PixelCheck(outcome="looked at by a person", verified=True)


def deidentify(
    source: BinaryIO,
    target: BinaryIO,
    *,
    names: Pseudonyms,
    handle: str,
    profile: Profile,
    known: KnownIdentifiers,
    looked_at: bool = False,
    person: Person | None = None,
) -> Deidentified | Refused:
    """Writes the clean copy of `source` to `target`, or says why it does not. Malformed input never raises.

    `source` is seekable; large values are streamed. `handle` becomes accession number and study ID. `known` are the
    identifiers of the whole study (see `known_identifiers`). `looked_at`: a person has seen the picture and released
    it, so it is not searched for text. `person`: whose study it is, by all its files (see
    `domain.intake.person`); a file that is not of that person is refused. Without it the headers that
    `known` was learned from say it.
    """
    clutter = clutter_of(source)
    if clutter is not None:
        return Refused(Reason.NOT_DICOM, clutter.what)
    try:
        read = _Read(source)
        original = cast(BinaryIO, read)  # read, seek and tell are all that is used
        file = parse(original)
        return _deidentify(read, original, file, target, names, handle, plan_of(profile), known, looked_at, person)
    except Unreadable as error:
        return Refused(error.reason, error.detail)
    except FAULTS as error:
        return fault(error)


def _deidentify(
    read: _Read,
    source: BinaryIO,
    file: File,
    target: BinaryIO,
    names: Pseudonyms,
    handle: str,
    plan: Plan,
    known: KnownIdentifiers,
    looked_at: bool,
    person: Person | None,
) -> Deidentified | Refused:
    refusal = Refused(Reason.NOT_DICOM, "DICOMDIR") if is_directory(file) else refusal_of(file, plan.profile.scope)
    if refusal is not None:
        return refusal
    subject = subject_of(file)
    stated = stated_by(subject.values)
    if person is None:
        person = person_among(stated, known.stated, names, subject[tags.StudyInstanceUID])
    elif not person.accepts(stated):
        return Refused(Reason.OTHER_PERSON)
    shape = shape_of(file.elements, file.encoding)
    notes = tidy(file.elements, shape, file.transfer_syntax, bits_of(file.elements, file.encoding))
    images = images_of(source, file, shape)
    face = could_show_face(subject.values, _region(file, images, subject))
    if face and plan.options.visual_features == "refuse":
        return Refused(Reason.VISUAL_FEATURES)
    pixels = _LOOKED_AT if looked_at else _searched(file, images, plan.options, subject)
    if isinstance(pixels, Refused):
        return pixels
    notes += _without_unused_bits(source, file, shape)
    kept = learn(taught_by([e for e in file.elements if plan.keeps(e.tag)]))
    scrubber = scrubber_of((known | learn(taught_by(file.elements))).without(kept))
    notes += _without_spelled_names(source, file, shape, scrubber)
    patient = person.token
    overlays = overlays_without_text(file.elements, file.encoding) if plan.options.graphics else frozenset()
    types, days = types_of(subject[tags.SOPClassUID]), names.shift_days(patient)
    cleaner = Cleaner(plan, names, scrubber, types, days, subject[tags.PatientBirthDate], file.encoding.big, overlays)
    clean = cleaner.data_set(file.elements)
    if holds_identifier(clean, scrubber):
        return Refused(Reason.RESIDUAL)
    clean = with_markers(clean, plan, subject, patient, handle, face, pixels)
    output = _write(file, clean, target)
    identity = _identity(file, subject, cleaner, names, person, handle)
    receipt = Receipt(
        sop_uid=_value(clean, tags.SOPInstanceUID),
        engine=engine_build(),
        table=TABLE_EDITION,
        profile=plan.profile.name,
        profile_digest=plan.digest,
        input_digest=read.digest(),
        output_digest=output,
        rules=_rules(cleaner.traces),
        residual="none found",
        residual_checked=scrubber.count,
        pixels=pixels,
        notes=tuple(notes),
    )
    facts = facts_of(element_view(file, clean), sent=element_view(file, file.elements), digest=output)
    return Deidentified(facts, identity, receipt)


def _region(file: File, images: Images | None, subject: Subject) -> Region:
    """What of the body a slice of a volume shows; "" where that cannot be told."""
    if subject[tags.Modality] not in VOLUMES or images is None:
        return ""
    return region_of(file.elements, images, subject[tags.Modality], names_limb(subject.values))


def _searched(file: File, images: Images | None, options: Options, subject: Subject) -> PixelCheck | Refused:
    """Searches the picture, or screens it where text is hardly ever; what is blanked replaces the pixel data."""
    if not any(is_pixels(e.tag) for e in file.elements):
        return PixelCheck(outcome="no pixels")
    reason = must_search(subject.values)
    if not options.pixels:
        return Refused(Reason.BURNED_IN, reason) if reason else PixelCheck(outcome="not looked at")
    if images is None:
        if not reason:  # bitmaps, doses, floats: no picture that a detector can read
            return PixelCheck(outcome="not looked at")
        return Refused(Reason.PIXELS_UNVERIFIED, "the picture's numbers cannot be searched")
    checked = check_pixels(images, ultrasound_regions(file)) if reason else screen_pixels(images)
    if checked.pixels is not None:
        _replace(file, images, checked.pixels)
    return PixelCheck(
        outcome="searched" if reason else "screened",
        frames=checked.frames,
        suspects=0 if reason else checked.searched,
        regions_blanked=sum(len(f.blank) for f in checked.findings),
        markers_kept=sum(len(f.markers_kept) for f in checked.findings),
        markers_blanked=tuple(sorted({m for f in checked.findings for m in f.markers_blanked})),
        verified=bool(reason),
    )


def _without_unused_bits(source: BinaryIO, file: File, shape: Shape) -> list[str]:
    """Stores a compressed picture anew when its codes hold more than its values; the note about it."""
    if not any(isinstance(e.value, Fragments) for e in file.elements):
        return []
    images = images_of(source, file, shape)
    if images is None and file.transfer_syntax not in JPEG | JPEG_2000 | {RLE}:
        raise Unreadable(Reason.TRANSFER_SYNTAX, not_taken(file.transfer_syntax))
    if images is None:
        return []
    little_read, unused = images.form.little_read, images.unused()
    if not little_read and not unused:
        return []
    _replace(file, images, images.blanked([[] for _ in range(shape.frames)]))
    return [CLEARED] * unused + [UNCOMPRESSED] * little_read


def _without_spelled_names(source: BinaryIO, file: File, shape: Shape, scrubber: Scrubber) -> list[str]:
    """Stores a compressed picture anew when a known identifier is spelled among its codes: decoders pass over more
    than a stream's grammar shows (bytes behind the last coded pixel, tables' unused entries). The note about it."""
    parts = [part for e in file.elements if isinstance(e.value, Fragments) for part in e.value.parts]
    if not any(scrubber.in_bytes(fragment_bytes(part)) for part in parts):
        return []
    images = images_of(source, file, shape)
    if images is None:
        raise Unreadable(Reason.RESIDUAL, "in a compressed picture that cannot be stored anew")
    _replace(file, images, images.blanked([[] for _ in range(shape.frames)]))
    return [SPELLED]


def _replace(file: File, images: Images, pixels: Bulk) -> None:
    """Puts blanked pixel data in place of the original; what was compressed is uncompressed then, without loss."""
    if not images.native:
        file.transfer_syntax = EXPLICIT_LITTLE
    for element in file.elements:
        if element.tag == PIXEL_DATA:
            element.value, element.vr = pixels, "OW" if images.shape.allocated > 8 else "OB"
        elif not images.native and element.tag == tags.PhotometricInterpretation and images.shape.samples == 3:
            element.value = b"RGB"
        elif not images.native and element.tag == tags.PlanarConfiguration:
            element.value = b"\0\0"


def ultrasound_regions(file: File) -> tuple[tuple[int, int, int, int], ...]:
    """Where an ultrasound picture has data (PS3.3 C.8.5.5): left, top, right, bottom."""
    sequence = next((e.value for e in file.elements if e.tag == tags.SequenceOfUltrasoundRegions), None)
    boxes = []
    for item in sequence if isinstance(sequence, list) else ():
        values = {e.tag: e.value for e in item}
        corner = [
            values.get(tag)
            for tag in (
                tags.RegionLocationMinX0,
                tags.RegionLocationMinY0,
                tags.RegionLocationMaxX1,
                tags.RegionLocationMaxY1,
            )
        ]
        if all(isinstance(v, bytes) and len(v) == 4 for v in corner):
            left, top, right, bottom = (struct.unpack(file.encoding.order + "L", v)[0] for v in corner)  # type: ignore[arg-type]
            boxes.append((left, top, right + 1, bottom + 1))
    return tuple(boxes)


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
        (tags.FileMetaInformationVersion, "OB", b"\0\1"),
        (tags.MediaStorageSOPClassUID, "UI", _value(clean, tags.SOPClassUID).encode()),
        (tags.MediaStorageSOPInstanceUID, "UI", _value(clean, tags.SOPInstanceUID).encode()),
        (tags.TransferSyntaxUID, "UI", syntax.encode()),
        (tags.ImplementationClassUID, "UI", IMPLEMENTATION_CLASS_UID.encode()),
        (tags.ImplementationVersionName, "SH", IMPLEMENTATION_VERSION.encode()),
    ]
    stream: BinaryIO = digesting  # type: ignore[assignment] # write is all that is used
    write_meta(stream, [Element(*m) for m in meta])
    writer = Writer(stream, encoding)
    writer.elements(clean)
    writer.flush()
    return digesting.sha256.hexdigest()


class _Read:
    """A source that digests what is read of it, so that most of a file is read once."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._sha256 = hashlib.sha256()
        self._digested = 0  # all bytes before this one are

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def read(self, count: int = -1) -> bytes:
        start = self._source.tell()
        data = self._source.read(count)
        if start <= self._digested < start + len(data):
            self._sha256.update(memoryview(data)[self._digested - start :])
            self._digested = start + len(data)
        return data

    def digest(self) -> str:
        """sha256 of the whole source, hex."""
        self.seek(self._digested)
        while self.read(_PIECE):
            pass
        return self._sha256.hexdigest()


_PIECE = 1 << 20


def _value(elements: list[Element], tag: int) -> str:
    return next((text_of(e) for e in elements if e.tag == tag), "")


def _rules(traces: Traces) -> tuple[RuleFired, ...]:
    return tuple(_fired(*key, count) for key, count in sorted(traces.rules.items()))


@lru_cache(maxsize=4096)
def _fired(path: str, action: str, why: str, count: int) -> RuleFired:
    """The files of a series fire the same rules."""
    return RuleFired(path=path, action=action, why=why, count=count)  # type: ignore[arg-type] # pydantic checks it


def _identity(
    file: File, subject: Subject, cleaner: Cleaner, names: Pseudonyms, person: Person, handle: str
) -> IdentityRecord:
    original = {
        tag: _value(file.elements, tag)
        for tag in (tags.StudyInstanceUID, tags.SeriesInstanceUID, tags.SOPInstanceUID, tags.FrameOfReferenceUID)
    }
    uids = {clean: origin for origin, clean in cleaner.traces.uids.items()}
    placed = {tag: {names.uid(uid): uid} for tag, uid in original.items() if uid}
    main = {clean for pair in placed.values() for clean in pair}
    return IdentityRecord(
        clinic=names.clinic,
        token=names.study_token(original[tags.StudyInstanceUID]),
        handle=handle,
        clean_study_uid=names.uid(original[tags.StudyInstanceUID]),
        study=StudyIdentity(
            study_uid=original[tags.StudyInstanceUID],
            accession_number=subject[tags.AccessionNumber],
            study_id=subject[tags.StudyID],
            study_date=subject[tags.StudyDate],
            study_time=subject[tags.StudyTime],
            description=subject[tags.StudyDescription],
            referring_physician=subject[tags.ReferringPhysicianName],
        ),
        patients={
            person.token: PatientIdentity(**person.identity.model_dump(), shift_days=cleaner.shift_days),
        },
        series=placed.get(tags.SeriesInstanceUID, {}),
        instances=placed.get(tags.SOPInstanceUID, {}),
        frames_of_reference=placed.get(tags.FrameOfReferenceUID, {}),
        other_uids={clean: origin for clean, origin in uids.items() if clean not in main},
    )
