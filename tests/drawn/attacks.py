"""An adversary's files: one person in one script, written into one hiding place, in one encoding, by chance.

Nothing here is shared with the generator of `readfirst bench privacy`: what one forgets, the other may hold.
"""

from __future__ import annotations

import io
import random
import struct
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

# Character set, then the family and given names that a person of that script may have: (single byte form, own script).
SCRIPTS: dict[str, tuple[str | list[str], tuple[str, ...], tuple[str, ...]]] = {
    "latin": (
        "ISO_IR 100",
        ("Wickramasuriya", "Oyelowo", "Szczepanik", "Thorvald"),
        ("Marguerita", "Ikenna", "Zbyszko"),
    ),
    "accents": (
        "ISO_IR 100",
        ("Grønbækdal", "Müßiggang", "Núñezpardo", "Ölschläger"),
        ("Sørine", "Jürgenhard", "Iñigo"),
    ),
    "polish": ("ISO_IR 101", ("Wójcikiewicz", "Dąbrówczyk"), ("Bożenna", "Świętosław")),
    "cyrillic": ("ISO_IR 144", ("Ковальчукова", "Щербинский", "Жиглов"), ("Людмила", "Ярополк")),
    "greek": ("ISO_IR 126", ("Χατζηδάκης", "Ψαρούδης"), ("Ευφροσύνη", "Θρασύβουλος")),
    "hebrew": ("ISO_IR 138", ("אברמוביץ", "שטיינברג"), ("רחלינה", "יהונתן")),
    "arabic": ("ISO_IR 127", ("الزهراوي", "القرطبي"), ("عبدالرحمن", "فاطمة")),
    "thai": ("ISO_IR 166", ("ศรีสุวรรณ", "จันทร์โอชา"), ("สมหญิง", "ประยุทธ์")),
    "japanese": (["", "ISO 2022 IR 87"], ("渡辺", "佐々木"), ("健太郎", "美智子")),
    "korean": (["", "ISO 2022 IR 149"], ("남궁", "황보"), ("민수", "영희")),
    "chinese": ("GB18030", ("欧阳", "司马"), ("晓明", "国强")),
    "utf8": (
        "ISO_IR 192",
        ("Łukasiewicz", "Đặngvăn", "渡辺", "Чайковський", "Şahinoğlu"),
        ("Zdeňka", "健太郎", "Ğülnaz"),
    ),
}
LATIN_OF = {
    "渡辺": "Watanabe",
    "佐々木": "Sasaki",
    "健太郎": "Kentarou",
    "美智子": "Michiko",
    "남궁": "Namgung",
    "황보": "Hwangbo",
}
LATIN_OF |= {
    "민수": "Minsoo",
    "영희": "Younghee",
    "欧阳": "Ouyang",
    "司马": "Simatong",
    "晓明": "Xiaoming",
    "国强": "Guoqiang",
}


@dataclass(frozen=True)
class Target:
    """Who must not be found."""

    script: str
    charset: str | list[str]
    family: str
    given: str
    number: str
    phone: str

    @property
    def pn(self) -> str:
        """As PatientName."""
        if self.family in LATIN_OF:
            return f"{LATIN_OF[self.family]}^{LATIN_OF.get(self.given, 'Kei')}={self.family}^{self.given}"
        return f"{self.family}^{self.given}"

    @property
    def needles(self) -> tuple[str, ...]:
        """What a clean file must not show, folded."""
        latin = [LATIN_OF[n] for n in (self.family, self.given) if n in LATIN_OF]
        return tuple(plain(n) for n in (self.family, self.given, *latin, self.number, self.phone))


def plain(text: str) -> str:
    """Lower-case without accents, spaces and punctuation."""
    bare = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in bare if c.isalnum() and not unicodedata.combining(c))


def target(rng: random.Random) -> Target:
    """Somebody."""
    script = rng.choice(sorted(SCRIPTS))
    charset, families, givens = SCRIPTS[script]
    number = f"{rng.choice(('', 'KL', 'P-'))}{rng.randrange(10**6, 10**8)}"
    phone = f"0{rng.randrange(20, 99)} {rng.randrange(1000, 9999)} {rng.randrange(1000, 9999)}"
    return Target(script, charset, rng.choice(families), rng.choice(givens), number, phone)


def spelled(who: Target, rng: random.Random) -> str:
    """The person as somebody may write the name down."""
    family, given = who.family, who.given
    latin = who.script in ("latin", "accents", "polish")
    ways: list[Callable[[], str]] = [
        lambda: f"{family}, {given}",
        lambda: f"{given} {family}",
        lambda: f"{family.upper()} {given[0]}",
        lambda: f"({given.lower()} {family.lower()})",
        lambda: f"see {family}'s scan" if latin else f"[{family}]",
        lambda: f"{given}_{family}",
        lambda: f"{family}{given}",
        lambda: " ".join(family),
        lambda: f"ID:{who.number}",
        lambda: f"#{'-'.join(who.number)}",
        lambda: f"Tel {who.phone}",
    ]
    if latin and len(family) >= 8:
        at = rng.randrange(2, len(family) - 2)
        ways += [lambda: family[:at] + family[at + 1 :], lambda: family[:at] + family[at] + family[at:]]
    return rng.choice(ways)()


def place(ds: Dataset, who: Target, text: str, rng: random.Random) -> str:
    """Writes the text somewhere. Returns where."""
    where = rng.choice(PLACES)
    _in_values(ds, where, who, text)
    _in_items(ds, where, who, text)
    _in_bytes(ds, where, who, text)
    return where


def _in_values(ds: Dataset, where: str, who: Target, text: str) -> None:
    """Values of the data set."""
    ascii_text = text.encode("ascii", "ignore") or who.number.encode()
    match where:
        case "ImageComments" | "StudyDescription" | "SeriesDescription" | "ProtocolName" | "LUTExplanation":
            ds.add_new(_TEXTS[where], "LO", text)
        case "long text":
            ds.add_new(0x0010_21B0, "LT", "chest\r\n" * 3 + text + "\r\nend")
            ds.add_new(0x0018_9424, "LT", text)
        case "decimal":
            ds.add_new(0x0018_0050, "DS", "".join(c for c in who.number if c.isdigit()))
            ds.add_new(0x0020_0012, "IS", "".join(c for c in who.number if c.isdigit()))
        case "code string":
            ds.add_new(0x0018_5100, "CS", plain(who.family).upper()[:16] if who.family.isascii() else "HFS")
            ds.ImageType = ["ORIGINAL", "PRIMARY", ascii_text.decode().upper()[:16].strip() or "X"]
        case "application":
            ds.add_new(0x0008_0055, "AE", ascii_text[:16])
            ds.add_new(0x0040_E010, "UR", "http://x.example/" + ascii_text.decode().replace(" ", ""))
        case "retired":
            ds.add_new(0x0020_31AA, "CS", ascii_text.decode()[:16])
            ds.add_new(0x0010_1050, "LO", text[:64])
            ds.add_new(0x0008_4000, "LT", text)
            ds.add_new(0x0032_4000, "LT", text)
            ds.add_new(0x4008_010B, "ST", text)
        case "delimiters":
            ds.add_new(0x0020_4000, "LT", "\u200b".join(who.family) if who.script == "utf8" else "/".join(who.family))


def _in_items(ds: Dataset, where: str, who: Target, text: str) -> None:
    """Items, codes and private blocks."""
    inner = Dataset()
    match where:
        case "code meaning":
            inner.CodeValue, inner.CodingSchemeDesignator, inner.CodeMeaning = "C1", "99X", text[:64]
            ds.AnatomicRegionSequence = [inner]
        case "person code":
            inner.CodeValue, inner.CodingSchemeDesignator = "U77", "99X"
            inner.CodeMeaning = f"{who.given} {who.family}"
            ds.PatientName = ""
            outer = Dataset()
            outer.PersonIdentificationCodeSequence = [inner]
            ds.OperatorIdentificationSequence = [outer]
            ds.StudyDescription = f"chest {who.family}"
        case "private creator":
            ds.add_new(0x0029_0010, "LO", text[:64])
            ds.add_new(0x0029_1001, "LO", text[:64])
        case "declared safe":
            ds.add_new(0x0029_0010, "LO", "ACME SAFE")
            ds.add_new(0x0029_1001, "LO", text[:64])
            inner.add_new(0x0008_0301, "US", 0x29)
            inner.add_new(0x0008_0302, "LO", f"ACME {text}"[:64])
            inner.add_new(0x0008_0303, "CS", "SAFE")
            ds.add_new(0x0008_0300, "SQ", Sequence([inner]))
        case "presentation":
            inner.UnformattedTextValue = text
            graphic = Dataset()
            graphic.TextObjectSequence = [inner]
            graphic.GraphicLayer = "L1"
            ds.GraphicAnnotationSequence = [graphic]
        case "waveform":
            inner.UnformattedTextValue = text
            ds.WaveformAnnotationSequence = [inner]
        case "content":
            inner.ValueType, inner.TextValue = "TEXT", text
            ds.add_new(0x0040_A730, "SQ", Sequence([inner]))


def _in_bytes(ds: Dataset, where: str, who: Target, text: str) -> None:
    """Binary values, and values that lie about what they are."""
    inner = Dataset()
    raw = (f"{who.family} {who.number}".encode("utf-8", "ignore") + b" ")[: 400 & ~1]
    raw += b" " * (len(raw) & 1)
    match where:
        case "unknown tag":
            ds.add_new(0x0018_FFF1, "UN", raw)
        case "numbers":
            ds.add_new(0x0018_9445, "OB", raw)
            ds.add_new(0x0028_3006, "US", list(struct.unpack(f"<{len(raw) // 2}H", raw)))
            ds.add_new(0x0018_1318, "FD", [struct.unpack("<d", who.number.encode().ljust(8)[:8])[0]] * 3)
        case "icon":
            inner.Rows = inner.Columns = 8
            inner.BitsAllocated = 8
            inner.PixelData = raw.ljust(64)
            inner["PixelData"].VR = "OB"
            ds.CTExposureSequence = [inner]
        case "graphics":
            ds.add_new(0x6002_0022, "LO", text[:64])
            ds.add_new(0x6002_3000, "OW", raw.ljust(64))
            ds.add_new(0x5004_2500, "LO", text[:64])
            ds.add_new(0x5004_3000, "OW", raw)
        case "wrong VR":
            ds.add_new(0x0008_103E, "OB", raw)
            ds.add_new(0x0010_1030, "LO", text[:64])
            ds.add_new(0x0018_0015, "LO", text[:64])
        case "hidden sequence":
            inner.ImageComments, inner.PatientID = text, who.number
            config.replace_un_with_known_vr = False  # pydicom would open the sequence before it is written
            try:
                ds.add_new(0x0040_0275, "UN", implicit(inner))
            finally:
                config.replace_un_with_known_vr = True


_TEXTS = {
    "ImageComments": 0x00204000,
    "StudyDescription": 0x00081030,
    "SeriesDescription": 0x0008103E,
    "ProtocolName": 0x00181030,
    "LUTExplanation": 0x00283003,
}
PLACES = (
    *_TEXTS,
    *(
        "long text",
        "code meaning",
        "person code",
        "private creator",
        "declared safe",
        "unknown tag",
        "numbers",
        "decimal",
    ),
    *("code string", "application", "icon", "graphics", "retired", "presentation", "waveform", "content", "wrong VR"),
    *("hidden sequence", "delimiters"),
)
SEQUENCES = (0x0008_1140, 0x0008_2112, 0x0018_9321, 0x0020_9111, 0x0040_0555, 0x5200_9229, 0x0054_0220, 0x0008_2218)


def implicit(ds: Dataset) -> bytes:
    """One item in implicit little endian, as unknown sequences are written."""
    from pydicom.filebase import DicomBytesIO

    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, True
    write_dataset(out, ds, "utf-8")
    body = out.getvalue()
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(body)) + body


def image(who: Target) -> Dataset:
    """A CT image of the person."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.SpecificCharacterSet = who.charset
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, "1.3.6.1.4.1.9590.100.1.2.44.3"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.3.6.1.4.1.9590.100.1.2.44.1", "1.3.6.1.4.1.9590.100.1.2.44.2"
    ds.PatientName, ds.PatientID, ds.PatientTelephoneNumbers = who.pn, who.number, who.phone
    ds.PatientBirthDate, ds.StudyDate, ds.StudyTime = "19630917", "20231105", "081500"
    ds.Modality, ds.BodyPartExamined = "CT", "ABDOMEN"
    ds.Rows = ds.Columns = 4
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation, ds.SamplesPerPixel = 15, 0, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelData = bytes(32)
    ds["PixelData"].VR = "OW"
    return ds


def attack(seed: int) -> tuple[str, Target, bytes]:
    """One file: what it does, who is in it, its bytes."""
    rng = random.Random(f"attack-{seed}")
    who = target(rng)
    with config.disable_value_validation():
        ds = image(who)
        inner = Dataset() if rng.random() < 0.5 else ds
        where = place(inner, who, spelled(who, rng), rng)
        if inner is not ds:
            for keyword in ("PatientName",):
                if keyword in inner:
                    ds.PatientName = inner.PatientName
                    del inner.PatientName
            for tag in rng.sample(SEQUENCES, rng.randrange(1, 4)):
                outer = Dataset()
                outer[Tag(tag)] = DataElement(Tag(tag), "SQ", Sequence([inner]))
                outer[Tag(tag)].is_undefined_length = rng.random() < 0.5
                inner = outer
            for element in inner:
                ds[element.tag] = element
        syntax = rng.choice(
            (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
        )
        if where in ("numbers", "hidden sequence") and syntax != ExplicitVRLittleEndian:
            syntax = ExplicitVRLittleEndian
        ds.file_meta.TransferSyntaxUID = syntax
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = (
            CTImageStorage,
            ds.SOPInstanceUID,
        )
        out = io.BytesIO()
        ds.save_as(out, enforce_file_format=True)
    return f"{where}, {who.script}, {syntax.name}", who, out.getvalue()


def shown(content: bytes, who: Target) -> list[str]:
    """The person's names and numbers that a clean file still shows, in any of its values or raw bytes."""
    import pydicom

    from readfirst.domain.deid.dicom.charsets import spellings

    with config.disable_value_validation():
        ds = pydicom.dcmread(io.BytesIO(content), force=True)
        texts = plain(" | ".join(_texts(ds)))
    found = [n for n in who.needles if n in texts]
    raw = content.lower().replace(b"\0", b"")
    found += [n for n in who.needles if n.isascii() and len(n) > 4 and n.encode() in raw]
    for name in (who.family, who.given):
        if not name.isascii():
            found += [name for s in spellings(name) if len(s) > 4 and s in content]
    return found


def _texts(ds: Dataset) -> list[str]:
    texts = []
    for element in ds:
        if element.VR == "SQ":
            texts += [t for item in element.value for t in _texts(item)]
        elif element.VR == "PN" or not isinstance(element.value, bytes):
            texts.append(str(element.value))
    return texts
