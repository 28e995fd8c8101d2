"""Where a person can hide in a file: values, items, private blocks, numbers, binary values."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, PngImagePlugin
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from readfirst.domain.deid.dicom.standard_tables import content_rows
from tests.drawn.adversary.objects import code, item
from tests.drawn.adversary.people import Somebody, dicom_day
from tests.drawn.attacks import plain

_LENGTHS = {"AE": 16, "CS": 16, "SH": 16, "LO": 64, "PN": 64, "ST": 1024, "LT": 10240, "UI": 64}
_WORDED = ("LO", "LO", "SH", "SH", "ST", "LT", "UT", "UC", "UR", "PN", "AE")
# What the reading of a file depends on, and what the objects are made of.
_FRAME = frozenset((0x0008_0005, 0x0008_0016, 0x0008_0018, 0x0020_000D, 0x0020_000E, 0x0040_A730))

# What says who it is (the texts that are planted are of the same person), and sequences of which no item may be added.
_IDS = frozenset((0x0010_0020, 0x0008_0050, 0x0020_0010, 0x0040_0512))
_ALONE = frozenset((0x0040_A043, 0x5200_9229, 0x5200_9230, 0x3006_0010, 0x3006_0020, 0x3006_0039, 0x3006_0080))


@lru_cache(maxsize=64)
def attributes(vr: str) -> tuple[int, ...]:
    """The standard's attributes of a VR, without groups that are not of data sets."""
    skipped = (0x0028, 0x5400, 0x7FE0, 0xFFFE, 0xFFFA)
    return tuple(
        t for t, e in DicomDictionary.items()
        if vr in e[0].split(" or ") and t >> 16 >= 8 and t >> 16 not in skipped and t not in _FRAME and t & 0xFFFF
    )  # fmt: skip


def nested(ds: Dataset, inner: Dataset, rng: random.Random, most: int = 4) -> None:
    """Puts the elements of a data set into the object, under as many sequences as chance says."""
    for _ in range(rng.randrange(most + 1)):
        tag = Tag(rng.choice(attributes("SQ")))
        outer = Dataset()
        outer[tag] = DataElement(tag, "SQ", Sequence([inner]))
        outer[tag].is_undefined_length = rng.random() < 0.5
        inner = outer
    for element in inner:
        if element.tag not in ds:
            ds[element.tag] = element
        elif element.VR == "SQ" and ds[element.tag].VR == "SQ" and element.tag not in _ALONE:
            ds[element.tag].value.extend(element.value)
        elif (
            element.VR == ds[element.tag].VR
            and element.VR in ("LO", "SH", "ST", "LT", "UT")
            and element.tag not in _IDS
        ):
            ds[element.tag] = element


def fitted(text: str, vr: str, charset: object) -> str:
    """The text as the VR can hold it; "" where it cannot."""
    if vr in ("AE", "CS", "UR"):
        text = text.encode("ascii", "ignore").decode().strip()
    if vr == "CS":
        text = "".join(c if c.isalnum() else "_" for c in text.upper())
    if vr in ("AE", "SH", "LO", "PN"):
        text = text.replace("\\", "/")
    return text[: _LENGTHS.get(vr, 10240)]


def listed(one: Somebody, text: str, rng: random.Random) -> Dataset:
    """Any attribute of the standard that holds a text."""
    vr = rng.choice(_WORDED)
    inner = Dataset()
    for tag in rng.sample(attributes(vr), min(3, len(attributes(vr)))):
        inner.add_new(tag, vr, fitted(text, vr, one.who.charset))
    return inner


def descriptions(one: Somebody, text: str, rng: random.Random) -> Dataset:
    """The descriptions that every reader shows."""
    inner = Dataset()
    for keyword in rng.sample(
        ("StudyDescription", "SeriesDescription", "ProtocolName", "ImageComments", "RequestedProcedureDescription",
         "PerformedProcedureStepDescription", "ContrastBolusAgent", "DerivationDescription", "AcquisitionComments"), 3,
    ):  # fmt: skip
        vr = str(DicomDictionary[Tag(keyword)][0])
        inner.add_new(keyword, vr, fitted(text, vr, one.who.charset))
    return inner


def several_values(one: Somebody, text: str, rng: random.Random) -> Dataset:
    """A text cut over the values of one attribute."""
    inner, cut = Dataset(), rng.randrange(1, max(2, len(text)))
    inner.add_new(
        rng.choice(attributes("LO")),
        "LO",
        [text[:cut][:64], text[cut:][:64]] if rng.random() < 0.5 else list(text)[:64],
    )
    return inner


def codes(one: Somebody, text: str, rng: random.Random) -> Dataset:
    """A coded entry: value, scheme, meaning."""
    entry = code(f"P{rng.randrange(100)}", rng.choice(("99SITE", "SCT", "DCM", "L")), text[:64])
    if rng.random() < 0.4:
        entry.add_new(
            *rng.choice(
                (
                    (0x0008_0119, "UC", text),
                    (0x0008_0120, "UR", "http://x/" + plain(one.who.number)),
                    (0x0008_0115, "ST", text),
                    (0x0008_0103, "SH", text[:16]),
                    (0x0008_010B, "CS", "Y"),
                )
            )
        )
    if rng.random() < 0.3:
        entry.CodeValue = one.who.number
    tag = rng.choice(attributes("SQ"))
    inner = Dataset()
    inner.add_new(tag, "SQ", Sequence([entry]))
    return inner


def content(one: Somebody, text: str, rng: random.Random) -> Dataset:
    """Content items of every value type, under any concept name."""
    scheme, value, _ = rng.choice(sorted(content_rows()))
    concept = rng.choice((code(value, scheme, "x"), code("121071", "DCM", "Finding"), code("C1", "99SITE", text[:64])))
    kind = rng.choice(("TEXT", "PNAME", "CODE", "UIDREF", "DATE", "NUM", "IMAGE"))
    piece = item(RelationshipType="CONTAINS", ValueType=kind, ConceptNameCodeSequence=[concept])
    match kind:
        case "TEXT":
            piece.TextValue = text
        case "PNAME":
            piece.PersonName = fitted(text, "PN", "")
        case "CODE":
            piece.ConceptCodeSequence = [code("C2", "99SITE", text[:64])]
        case "UIDREF":
            piece.UID = f"{one.root}.77"
        case "DATE":
            piece.Date = dicom_day(one.born)
        case "NUM":
            measured = item(NumericValue="4", MeasurementUnitsCodeSequence=[code("mm", "UCUM", text[:64])])
            piece.MeasuredValueSequence = [measured]
        case "IMAGE":
            piece.ReferencedSOPSequence = [item(
                ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID=f"{one.root}.78",
                TextValue=text, PurposeOfReferenceCodeSequence=[code("C3", "99SITE", text[:64])])]  # fmt: skip
    if rng.random() < 0.3:
        piece.ObservationDateTime, piece.ObservationUID = dicom_day(one.studied) + "1200", f"{one.root}.79"
    inner = Dataset()
    inner.add_new(rng.choice((0x0040_A730, 0x0040_0555, 0x0040_0441, 0x0040_A730)), "SQ", Sequence([piece]))
    return inner


def private(one: Somebody, text: str, rng: random.Random) -> Dataset:
    """Private blocks: values, creators, sequences, blocks without a creator, declared safe."""
    inner, group = Dataset(), rng.choice((0x0009, 0x0019, 0x0029, 0x0051, 0x7053, 0x2005, 0x0021))
    creator = rng.choice(("ACME 1.1", "SIEMENS CSA HEADER", "GEMS_PARM_01", "Philips PET Private Group", text[:64]))
    if rng.random() < 0.85:
        inner.add_new((group, 0x10), "LO", creator)
    for element in rng.sample(range(0x1000, 0x1100), 3):
        vr = rng.choice(("LO", "SH", "LT", "PN", "UN", "OB", "UT"))
        raw = text.encode("utf-8", "ignore")[:200]
        raw += b" " * (len(raw) & 1)
        inner.add_new((group, element), vr, raw if vr in ("UN", "OB") else fitted(text, vr, ""))
    hidden = item(PatientName=one.who.pn, ImageComments=text)
    inner.add_new((group, 0x10F0 ^ 0xF), "SQ", Sequence([hidden]))
    if rng.random() < 0.3:
        safe = Dataset()
        safe.add_new(0x0008_0301, "US", group)
        safe.add_new(0x0008_0302, "LO", creator)
        safe.add_new(0x0008_0303, "CS", "SAFE")
        inner.add_new(0x0008_0300, "SQ", Sequence([safe]))
    return inner


def known_private(one: Somebody, text: str, rng: random.Random) -> Dataset:
    """The private attributes that the standard calls safe, holding what they should not."""
    creator, tag, vr = rng.choice(_SAFE)
    inner = Dataset()
    inner.add_new(tag & 0xFFFF0000 | 0x10, "LO", creator)
    value: object = {"DS": _digits(one), "IS": _digits(one), "FD": 3.5, "FL": 3.5, "SL": int(_digits(one))}.get(
        vr, fitted(text, vr, "")
    )
    if vr == "FD" and rng.random() < 0.7:
        value = struct.unpack("<d", one.who.number.encode().ljust(8)[:8])[0]
    inner.add_new(tag & 0xFFFF0000 | 0x1000 | tag & 0xFF, vr, value)
    return inner


_SAFE = (
    ("Philips PET Private Group", 0x7053_0000, "DS"), ("Philips PET Private Group", 0x7053_0009, "DS"),
    ("SIEMENS MR HEADER", 0x0019_000C, "IS"), ("SIEMENS MR HEADER", 0x0019_000E, "FD"),
    ("GEMS_ACQU_01", 0x0019_0002, "SL"), ("Philips MR Imaging DD 005", 0x2005_000E, "FL"),
    ("GEMS_PARM_01", 0x0043_006F, "DS"), ("SPI-P Release 1", 0x0019_0010, "LO"), ("ELSCINT1", 0x01E1_0026, "CS"),
    ("SIEMENS MR HEADER", 0x0019_000B, "DS"),
)  # fmt: skip


def _digits(one: Somebody) -> str:
    return "".join(c for c in one.who.number if c.isdigit())


def as_numbers(one: Somebody, text: str, rng: random.Random) -> Dataset:
    """Numbers that are the number of a person, or the letters of a name."""
    inner, digits = Dataset(), _digits(one)
    raw = (one.who.number.encode() + one.who.family.encode("ascii", "ignore")).ljust(16)[:32]
    values: dict[str, object] = {
        "DS": rng.choice((digits, f"{int(digits)}.0", f"{int(digits):.7e}"[:16])), "IS": digits, "UL": int(digits),
        "SL": int(digits), "FD": float(digits), "US": list(raw), "SS": list(raw), "AS": "097Y",
        "FL": list(struct.unpack("<4f", raw[:16])), "OF": raw[:16], "OD": raw[:16], "OL": raw[:16], "OW": raw[:16],
        "OB": raw[:16], "UN": raw[:16], "OV": raw[:16], "AT": int(digits), "SV": int(digits), "UV": int(digits),
    }  # fmt: skip
    for vr in rng.sample(sorted(values), 3):
        pool = attributes(vr) or attributes("OB")
        inner.add_new(rng.choice(pool), vr if pool is not attributes("OB") else "OB", values[vr] if pool else raw[:16])
    return inner


def uids(one: Somebody, text: str, rng: random.Random) -> Dataset:
    """UIDs in any attribute, of the study, and made of a number and a birth date."""
    inner = Dataset()
    made = f"1.2.392.200036.{int(_digits(one))}.{dicom_day(one.born)}"
    for tag in rng.sample(attributes("UI"), 3):
        inner.add_new(tag, "UI", rng.choice((f"{one.root}.5.{rng.randrange(9)}", made, one.number_uid)))
    return inner


def moments(one: Somebody, text: str, rng: random.Random) -> Dataset:
    """Days and ages in attributes of dates."""
    inner = Dataset()
    for vr in ("DA", "DT", "TM"):
        day = dicom_day(rng.choice((one.born, one.studied)))
        inner.add_new(rng.choice(attributes(vr)), vr, {"DA": day, "DT": day + "101530.5+0100", "TM": "101530"}[vr])
    return inner


def pictures(one: Somebody, text: str, rng: random.Random) -> Dataset:
    """Icons, overlays, curves, palettes and tables made of letters."""
    inner, raw = Dataset(), spelled_bytes(one, rng)
    icon = item(Rows=8, Columns=8, BitsAllocated=8, BitsStored=8, HighBit=7, SamplesPerPixel=1, PixelRepresentation=0,
                PhotometricInterpretation="MONOCHROME2")  # fmt: skip
    icon.add_new(0x7FE0_0010, "OB", raw.ljust(64)[:64])
    match rng.randrange(6):
        case 0:
            inner.add_new(rng.choice((0x0088_0200, 0x0008_2112, 0x0018_9321)), "SQ", Sequence([icon]))
        case 1:
            group = rng.choice((0x6000, 0x6002, 0x601E, 0x6001))
            inner.add_new((group, 0x0022), "LO", text[:64])
            inner.add_new((group, 0x3000), "OW", raw.ljust(64))
            inner.add_new((group, 0x1500), "LO", text[:64])
        case 2:
            inner.add_new(0x5000_3000, "OW", raw)
            inner.add_new(0x5002_2500, "LO", text[:64])
        case 3:
            inner.add_new(0x0028_1201, "OW", raw)
            inner.add_new(0x0028_1221, "OW", raw)
        case 4:
            table = item(LUTDescriptor=[16, 0, 16], LUTExplanation=text[:64], ModalityLUTType="HU")
            table.add_new(0x0028_3006, "OW", raw.ljust(32)[:32])
            inner.ModalityLUTSequence = [table]
        case _:
            inner.add_new(0x0018_9445, "OB", raw)
            inner.add_new(0x0400_0520, "OB", raw)
    return inner


def containers(one: Somebody, text: str, rng: random.Random) -> Dataset:
    """Binary values that are files of their own: compressed, pictures, documents, signatures."""
    inner, raw = Dataset(), f"{one.who.family} {one.who.number}".encode()
    packed = rng.choice(_PACKERS)(raw)
    packed += bytes(len(packed) & 1)
    tag = rng.choice((*attributes("OB"), *attributes("UN"), 0x0009_1010, 0x0042_0011, 0x0400_0120))
    if tag == 0x0009_1010:
        inner.add_new(0x0009_0010, "LO", "ACME FILES")
    inner.add_new(tag, "OB", packed)
    return inner


def spelled_bytes(one: Somebody, rng: random.Random) -> bytes:
    """The name and number as bytes, of one or two bytes a letter."""
    text = f"{one.who.family} {one.who.number} "
    raw = text.encode(rng.choice(("utf-8", "utf-16-le", "utf-16-be")), "ignore")
    return raw + b" " * (len(raw) & 1)


def _zipped(raw: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("note.txt", raw * 3)
    return out.getvalue()


def _png(raw: bytes) -> bytes:
    out, note = io.BytesIO(), PngImagePlugin.PngInfo()
    note.add_text("Comment", raw.decode("utf-8"))
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(out, "PNG", pnginfo=note)
    return out.getvalue()


_PACKERS: tuple[Callable[[bytes], bytes], ...] = (
    gzip.compress, lambda raw: zlib.compress(raw * 4), _zipped, _png, lambda raw: b"%PDF-1.7 " + raw,
    lambda raw: raw.decode("utf-8").encode("utf-16"), lambda raw: b"<xml>" + raw + b"</xml>", lambda raw: raw,
)  # fmt: skip

PLACES: dict[str, Callable[[Somebody, str, random.Random], Dataset]] = {
    "any text attribute": listed, "descriptions": descriptions, "several values": several_values, "codes": codes,
    "content items": content, "private": private, "safe private": known_private, "numbers": as_numbers, "UIDs": uids,
    "dates and ages": moments, "pictures": pictures, "containers": containers,
}  # fmt: skip
