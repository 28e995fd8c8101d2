"""What Readfirst answers to input that it cannot take: a value with a reason that the sender can act on."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a file was refused. The value is the stable code; `ADVICE` says what the sender can do."""

    EMPTY = "empty-file"
    NOT_DICOM = "not-dicom"
    TRUNCATED = "truncated"
    NO_STUDY = "no-study-uid"
    NO_PIXELS = "no-pixel-data"
    UNREADABLE = "unreadable-data-set"
    TRANSFER_SYNTAX = "unsupported-transfer-syntax"
    BURNED_IN = "burned-in-text-likely"
    PIXELS_UNVERIFIED = "pixels-not-verified"
    ENCAPSULATED = "encapsulated-document"
    UNSUPPORTED_OBJECT = "unsupported-object"
    VISUAL_FEATURES = "recognizable-visual-features"
    RESIDUAL = "identifier-left"
    ZIP_UNREADABLE = "zip-unreadable"
    ZIP_LIMITS = "zip-over-limits"
    ZIP_ENCRYPTED = "zip-encrypted"
    ZIP_NO_DICOM = "zip-without-dicom"
    ARCHIVE = "archive-not-opened"
    TOO_LARGE = "too-large"
    BAD_COMPLETE = "bad-complete-message"
    CONTENT_ENCODING = "content-encoding"
    NOT_TAKEN = "could-not-be-taken"
    SEVERAL_PERSONS = "several-persons"
    OTHER_PERSON = "another-person"
    DUPLICATE = "duplicate-instance"


# What bad values can raise in code that did not expect them. Not what storage raises: that is tried again.
FAULTS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, struct.error)

ADVICE: dict[Reason, str] = {
    Reason.EMPTY: "The file has no bytes. Export it again and upload it again.",
    Reason.NOT_DICOM: "The file is not DICOM. Upload the images as the scanner or PACS exports them.",
    Reason.TRUNCATED: "The file ends too early. Its upload or export broke off: send it again.",
    Reason.NO_STUDY: "The file names no Study, Series or SOP Instance UID. Export it again from the PACS.",
    Reason.NO_PIXELS: "The file holds no image. Send image objects; reports and worklists are not analysed.",
    Reason.UNREADABLE: "The file's data set cannot be read to its end. Export it again from the PACS.",
    Reason.TRANSFER_SYNTAX: "This compression is not supported. "
    "Export as uncompressed, JPEG lossless, JPEG-LS, JPEG 2000 (also High-Throughput), JPEG XL or RLE.",
    Reason.BURNED_IN: "Images of this kind usually carry names in the picture. They wait for a person to look.",
    Reason.PIXELS_UNVERIFIED: "It could not be proven that the picture shows no name. It waits for a person to look.",
    Reason.ENCAPSULATED: "The file wraps a document (PDF, CDA, …) that cannot be de-identified. Send images only.",
    Reason.UNSUPPORTED_OBJECT: "Objects of this kind are not accepted. Send images only.",
    Reason.VISUAL_FEATURES: "The image could show a face, and the profile in force does not allow that.",
    Reason.RESIDUAL: "An identifier was found after de-identification. The file was kept back; the operator knows.",
    Reason.ARCHIVE: "Archives of this kind, and archives inside others, are not opened. "
    "Send a .zip (or .tar, .tar.gz) that holds the files themselves.",
    Reason.ZIP_UNREADABLE: "The archive is damaged. Make it again and upload it again.",
    Reason.ZIP_LIMITS: "The archive holds too many or too large files. Send one study per archive.",
    Reason.ZIP_ENCRYPTED: "The archive is protected by a password. Send it without one: the connection is encrypted.",
    Reason.ZIP_NO_DICOM: "The archive holds no DICOM file.",
    Reason.TOO_LARGE: "The file is larger than the limit for one file.",
    Reason.BAD_COMPLETE: "The complete message must be JSON with studyInstanceUid and, if given, expected (a number), "
    "priority (stat or routine) and purpose (current or prior).",
    Reason.CONTENT_ENCODING: "The file was uploaded with a Content-Encoding, so that its bytes are not the image's. "
    "Upload it as it is.",
    Reason.NOT_TAKEN: "The file could not be taken, several times, while others could. Upload it again under another "
    "name with the default settings of your tool: no archive tier, no encryption key or legal hold of your own.",
    Reason.SEVERAL_PERSONS: "The files of this study name several persons. A privacy officer has to say whose it is. "
    "Or give the images of each person a Study Instance UID of their own and send them again.",
    Reason.OTHER_PERSON: "The file names another person than the study. "
    "Give that person's images a Study Instance UID of their own and send them again.",
    Reason.DUPLICATE: "Another file of the same series has the same SOP Instance UID and a different content. "
    "One of the two counts. Give each image a UID of its own and send the series again.",
}


@dataclass(frozen=True)
class Refused:
    """Input that cannot be taken. `detail` adds facts without content: never a value, a name or a file name."""

    reason: Reason
    detail: str = ""

    @property
    def advice(self) -> str:
        """What the sender can do about it."""
        return ADVICE[self.reason]


def fault(error: Exception) -> Refused:
    """The refusal of a file whose values nobody expected: one file must not stop its study. Tests look for these."""
    return Refused(Reason.UNREADABLE, f"its values led to a fault ({type(error).__name__})")


@dataclass(frozen=True)
class Skipped:
    """Clutter that travels with a study (DICOMDIR, viewers, autorun, text): no fault of anyone's."""

    what: str
