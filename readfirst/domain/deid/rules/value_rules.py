"""Values by their VR: which are well formed, which are safe, and the dummies that stand in for what has to go."""

from __future__ import annotations

import re
from functools import lru_cache

from pydicom._dicom_dict import DicomDictionary

from readfirst.domain import uid_registry
from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.elements import PIXEL_DATA, Bulk, Element
from readfirst.domain.deid.rules import dates
from readfirst.domain.deid.rules.content import (
    CONCEPT_NAME,
)
from readfirst.domain.deid.rules.whose_dates import DATE_VRS
from readfirst.domain.deid.text.lexicon import dicom_words

CHARACTER_SET = tags.SpecificCharacterSet


DUMMY_TEXT = b"REMOVED"


MAX_CHARACTERS = {"AE": 16, "CS": 16, "SH": 16, "LO": 64, "ST": 1024, "LT": 10240}


# Binary attributes that describe the image and hold nothing else.
SAFE_BINARY = frozenset(
    {
        PIXEL_DATA,
        tags.FloatPixelData,  # FloatPixelData
        tags.DoubleFloatPixelData,  # DoubleFloatPixelData
        tags.LUTData,  # LUTData
        tags.WaveformData,  # WaveformData
        tags.SpectroscopyData,  # SpectroscopyData
        *range(tags.RedPaletteColorLookupTableData, 0x00281205),  # palettes: red, green, blue, alpha
        *range(tags.SegmentedRedPaletteColorLookupTableData, 0x00281225),  # segmented palettes
    }
)


# Bytes in one number of a VR.
MOST_NUMBERS = 16 << 20  # bytes of numbers in one attribute: more than any object has, little enough to search


SIZES = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "AT": 4, "FD": 8, "SV": 8, "UV": 8}


# What makes an item a content item: relationship, value type, concept name, continuity.
ITEM_FRAME = frozenset((tags.RelationshipType, tags.ValueType, CONCEPT_NAME, tags.ContinuityOfContent))


# Items that say what a number means, also inside an identifying item: concept name, unit, qualifier, template.
MEANINGS = frozenset(
    (
        CONCEPT_NAME,
        tags.MeasurementUnitsCodeSequence,
        tags.NumericValueQualifierCodeSequence,
        tags.ContentTemplateSequence,
    )
)


NUMERIC_VRS = frozenset(("DS", "IS", "US", "SS", "UL", "SL", "FL", "FD", "SV", "UV", "AT", "OF", "OD"))


CONTENT_DATES = frozenset((tags.DateTime, tags.Date, tags.Time))


GRAPHIC_LAYER = tags.GraphicLayer


OPTICAL_PATHS = frozenset(
    (tags.OpticalPathIdentifier, tags.OpticalPathIdentificationSequence, tags.ReferencedOpticalPathIdentifier)
)


ICC_PROFILE = tags.ICCProfile


LARGEST_PROFILE = 32 << 20  # bytes


BINARY = frozenset(("OB", "OW", "OD", "OF", "OL", "OV", "UN"))


FREE_TEXT = frozenset(["LO", "SH", "ST", "LT", "UT", "UC"])


FORMATS = {
    "CS": re.compile(rb"[A-Z0-9_ ]{0,16}"),
    "DS": re.compile(rb" *[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)? *"),
    "IS": re.compile(rb" *[-+]?\d{1,12} *"),
    "AS": re.compile(rb"\d{3}[DWMY]"),
}


CHARSETS = re.compile(r"(?:ISO[_ ]IR[_ ]\d{1,3}|ISO 2022 IR \d{1,3}|GB18030|GBK)?")


@lru_cache(maxsize=4096)
def most_values(tag: int) -> int:
    """The most values that the standard gives to an attribute; a billion where it sets no bound."""
    most = str(DicomDictionary[tag][1]).rpartition("-")[2] if tag in DicomDictionary else "n"
    return int(most) if most.isdigit() else 10**9


def registered(uid: str, tag: int = 0) -> bool:
    """Whether a UID belongs to the standard (or, for a coding scheme, to HL7's register): it names nobody's object."""
    if tag in _OWN:
        return False  # some writers make their own UIDs under DICOM's root
    return uid_registry.of_dicom(uid) or (tag == tags.CodingSchemeUID and is_hl7(uid))


_OWN = frozenset((tags.StudyInstanceUID, tags.SeriesInstanceUID, tags.SOPInstanceUID))  # of study, series and instance


def is_hl7(uid: str) -> bool:
    return re.fullmatch(r"2\.16\.840\.1\.113883\.(?:3|6)\.\d{1,4}", uid) is not None


def is_trade_term(element: Element) -> bool:
    """Whether a code string says nothing but the standard's own words: POLYLINE, CENTER, Y."""
    if element.vr != "CS" or not isinstance(element.value, bytes):
        return False
    words = re.split(r"[\W_]+", element.value.decode("latin-1").lower().strip(" \0"))
    return all(w in ("y", "n", "yes", "no", "") or w in dicom_words() for w in words)


def dummy_for(element: Element) -> bytes:
    """A value without meaning that is valid for an element's VR, and has as many numbers as the element.

    So what says how many there are (LUT Descriptor, Number of Waveform Samples, the VM) stays true. A table is all
    zeros but for its largest number, put last: it has the bits that its descriptor says, and nobody takes it for real.
    """
    value = element.value
    size = value.length if isinstance(value, Bulk) else len(value) if isinstance(value, bytes) else 0
    if element.tag in SAFE_BINARY and 1 < size <= MOST_NUMBERS:
        words = value.read() if isinstance(value, Bulk) else value if isinstance(value, bytes) else b""
        largest = max(words[at : at + 2][::-1] for at in range(0, size - 1, 2))[::-1]
        return bytes(size - 2) + (largest if element.tag >> 16 == 0x0028 else bytes(2))
    one, size = dummy_value(element.vr), size if size <= MOST_NUMBERS else 0
    if element.vr in SIZES:
        return one * _count(element.tag, size // SIZES[element.vr])
    if element.vr in ("DS", "IS") and isinstance(value, bytes):
        return b"\\".join([one] * _count(element.tag, value.count(b"\\") + 1))
    return one


def _count(tag: int, count: int) -> int:
    """A number of values, within what the standard gives to an attribute."""
    least = str(DicomDictionary[tag][1]).partition("-")[0] if tag in DicomDictionary else "1"
    return min(max(count, int(least) if least.isdigit() else 1, 1), most_values(tag))


def dummy_value(vr: str) -> bytes:
    """A value without meaning that is valid for its VR."""
    if vr == "DA":
        return dates.DUMMY_DATE.encode()
    if vr == "DT":
        return (dates.DUMMY_DATE + dates.DUMMY_TIME).encode()
    if vr == "TM":
        return dates.DUMMY_TIME.encode()
    if vr in ("DS", "IS"):
        return b"0"
    if vr == "AS":
        return b"000D"
    if vr in FREE_TEXT or vr in ("AE", "CS", "PN", "UR"):
        return DUMMY_TEXT
    return bytes({"FD": 8, "OD": 8, "OV": 8, "SV": 8, "UV": 8, "US": 2, "SS": 2, "OB": 2, "OW": 2}.get(vr, 4))


def says_nothing_of_a_person(element: Element) -> bool:
    """Whether a value of an identifying item may stay: UIDs, numbers and dates have rules of their own."""
    return element.vr in ("UI", *NUMERIC_VRS, *DATE_VRS) or element.tag == GRAPHIC_LAYER or is_trade_term(element)
