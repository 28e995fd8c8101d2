"""Looks at a file as it arrives: what it is, and its header. Nothing here removes anything."""

from __future__ import annotations

import io
import re
from typing import BinaryIO

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_partial
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from readfirst.domain import uid_registry
from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.charsets import encodings_of
from readfirst.domain.deid.dicom.codec import parse
from readfirst.domain.deid.dicom.elements import (
    DIRECTORY_CLASS,
    TEXT_VRS,
    Bulk,
    Element,
    File,
    Fragments,
    Unreadable,
    is_pixels,
    text_of,
)
from readfirst.domain.deid.dicom.pixel_data import SUPPORTED
from readfirst.domain.deid.rules.profile import Scope
from readfirst.domain.intake import archives
from readfirst.domain.intake.tars import is_tar
from readfirst.domain.refusals import FAULTS, Reason, Refused, Skipped, fault

# What begins like this travels on media beside the images (viewers, their pages and settings).
_CLUTTER = (
    (b"MZ", "program"),
    (b"\x7fELF", "program"),
    (b"\xfe\xed\xfa", "program"),
    (b"\xcf\xfa\xed\xfe", "program"),
    (b"\xca\xfe\xba\xbe", "program"),
    (b"%PDF", "document"),
    (b"\xd0\xcf\x11\xe0", "document"),
    (b"{\\rtf", "document"),
    (b"\xff\xd8\xff", "picture"),
    (b"\x89PNG", "picture"),
    (b"GIF8", "picture"),
    (b"BM", "picture"),
    (b"II*\0", "picture"),
    (b"MM\0*", "picture"),
    (b"\0\0\1\0", "picture"),
    (b"RIFF", "media"),
    (b"SQLite format", "viewer data"),
    (b"ITSF", "document"),
    (b"\xef\xbb\xbf", "text"),
    (b"\xff\xfe", "text"),
)
_ARCHIVE = Skipped("archive")
# The first file of office documents and of Java programs, which are zips.
_NO_STUDIES = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"mimetype", b"META-INF/", b"AndroidManifest.xml")
_PIPELINE = Scope()
_BEGINNING = 256 << 10  # bytes: where the UIDs of a study are
_TEXT = re.compile(rb"[\t\n\r\f\x20-\x7e\x80-\xff]+")


def read_header(source: BinaryIO, scope: Scope = _PIPELINE) -> Dataset | Refused | Skipped:
    """The header of a DICOM file without its pixel data, or why it is none that the scope takes.

    The default scope is the pipeline's: images, no encapsulated documents. Reads forward, only as
    much as it needs; the source's size is asked with `seek(0, 2)`.
    """
    clutter = clutter_of(source)
    if clutter == _ARCHIVE:  # a study may be in it: never passed over
        return Refused(Reason.ARCHIVE)
    if clutter is not None:
        return clutter
    try:
        file = parse(source, header_only=True)
    except Unreadable as error:
        return Refused(error.reason, error.detail)
    except FAULTS as error:
        return fault(error)
    if is_directory(file):
        return Skipped("DICOMDIR")
    return refusal_of(file, scope) or as_dataset(file)


def named_in(source: BinaryIO) -> tuple[str, str]:
    """Study and SOP Instance UID that the beginning of a refused file names; empty where it names none.

    A slice that was cut off is missing in its study, and who reads that study must know.
    """
    source.seek(0)
    beginning = io.BytesIO(source.read(_BEGINNING))
    try:
        ds = read_partial(beginning, lambda tag, *_: tag > tags.StudyInstanceUID, force=True)
        return str(ds.get("StudyInstanceUID") or ""), str(ds.get("SOPInstanceUID") or "")
    except Exception:  # pydicom raises many kinds at what was refused already; nothing of the content travels on
        return "", ""


def clutter_of(source: BinaryIO) -> Skipped | None:
    """What a file is that belongs to a medium, not to a study; None if it may be DICOM."""
    source.seek(0)
    head = source.read(512)
    if len(head) >= 132 and head[128:132] == b"DICM":
        return None
    for magic, what in _CLUTTER:
        if head.startswith(magic):
            return Skipped(what)
    if head.startswith(b"PK") and head[30:].startswith(_NO_STUDIES):
        return Skipped("document or program")
    if head.startswith((archives.MAGIC, archives.EMPTY_MAGIC, archives.GZIP)) or archives.other_kind(head):
        return _ARCHIVE
    if is_tar(head):
        return _ARCHIVE
    if len(head) >= 4 and _TEXT.fullmatch(head):
        return Skipped("text")
    return None


def is_directory(file: File) -> bool:
    """Whether it is a DICOMDIR (PS3.10 8.6)."""
    classes = {text_of(e) for e in file.meta if e.tag == tags.MediaStorageSOPClassUID}
    return DIRECTORY_CLASS in classes or any(e.tag >> 16 == 0x0004 for e in file.elements)


def refusal_of(file: File, scope: Scope) -> Refused | None:
    """Why an object is not taken: no UIDs, an encapsulated document, no image where images are wanted."""
    present = {e.tag: e for e in file.elements}
    for tag in (tags.StudyInstanceUID, tags.SeriesInstanceUID, tags.SOPInstanceUID):
        if tag not in present or not text_of(present[tag]):
            if not any(t >> 16 in (0x0008, 0x0010, 0x0020) for t in present):
                return Refused(Reason.NOT_DICOM, "no attribute of a study")
            if max(present) < tag:  # attributes come in order: what follows was never written
                return Refused(Reason.TRUNCATED, "the file ends before its UIDs")
            return Refused(Reason.NO_STUDY, f"{_written(tag)} is missing or empty")
        if present[tag].vr not in TEXT_VRS:
            return Refused(Reason.UNREADABLE, f"{_written(tag)} has a VR that holds no UID")
    sop_class = text_of(present[tags.SOPClassUID]) if tags.SOPClassUID in present else ""
    if not sop_class:
        return Refused(Reason.UNSUPPORTED_OBJECT, "(0008,0016), the SOP Class UID, is missing or empty")
    document = tags.EncapsulatedDocument in present
    if document and scope.documents == "refuse":
        return Refused(Reason.ENCAPSULATED)
    if scope.objects == "images" and not document and not any(is_pixels(tag) for tag in present):
        return Refused(Reason.NO_PIXELS, uid_registry.name_of(sop_class))
    if not uid_registry.of_dicom(sop_class):
        return Refused(Reason.UNSUPPORTED_OBJECT, "a SOP class that the standard does not define")
    if file.transfer_syntax not in SUPPORTED:
        return Refused(Reason.TRANSFER_SYNTAX, not_taken(file.transfer_syntax))
    return None


def _written(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def not_taken(syntax: str) -> str:
    """Which transfer syntax a file has, and what the sender can do about it."""
    if not uid_registry.is_transfer_syntax(syntax):
        return "a transfer syntax that the standard does not define"
    kind = next((advice for start, advice in _INSTEAD if syntax.startswith(start)), "")
    return f"{uid_registry.name_of(syntax)} ({syntax}){kind}"


_INSTEAD = (
    ("1.2.840.10008.1.2.4.10", ": a video; send the frames as pictures, or the study without it"),
    ("1.2.840.10008.1.2.4.9", ": its pictures lie elsewhere, or take a decoder of parts; retrieve them as JPEG 2000"),
    ("1.2.840.10008.1.2.4.20", ": its pictures lie elsewhere; retrieve them with their pixel data"),
    ("1.2.840.10008.1.2.7", ": a live stream, not a stored picture"),
    ("1.2.840.10008.1.2.4.", ": retired, and no decoder reads it; export it as JPEG Lossless"),
    ("1.2.840.10008.1.2.6", ": not pictures; export the images themselves"),
)


def as_dataset(file: File) -> Dataset:
    """The header as pydicom knows it; values are converted when they are asked for."""
    ds = _converted(file.elements, file)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = file.transfer_syntax
    return ds


def _converted(elements: list[Element], file: File) -> Dataset:
    ds = Dataset()
    for element in elements:
        if is_pixels(element.tag):
            continue
        tag = Tag(element.tag)
        if isinstance(element.value, list):
            # Past pydicom's own setter, which decodes character sets that may be none.
            ds._dict[tag] = DataElement(tag, "SQ", Sequence([_converted(item, file) for item in element.value]))
        elif isinstance(element.value, bytes):
            ds._dict[tag] = RawDataElement(
                tag,
                element.vr,
                len(element.value),
                element.value,
                0,
                not file.encoding.explicit,
                not file.encoding.big,
            )
        elif not isinstance(element.value, (Bulk, Fragments)):
            raise TypeError("a value is bytes, items, or left in the source")
    # pydicom decodes raw values by Python's names of the encodings, not by DICOM's terms.
    terms = next((text_of(e) for e in elements if e.tag == tags.SpecificCharacterSet), "")
    encodings = encodings_of(terms.split("\\"))
    ds.set_original_encoding(not file.encoding.explicit, not file.encoding.big, encodings)
    return ds
