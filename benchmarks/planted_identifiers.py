"""DICOM files with an invented person's identifiers planted, one file per kind of hiding place."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pydicom
from PIL import Image
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit

from readfirst.domain.deid.dicom.standard_tables import is_tag, rows

# Attributes that the reader and the model need: cleaning must not lose them.
USEFUL = {
    "Modality": "CT",
    "Manufacturer": "Example Scanners",
    "ManufacturerModelName": "Scan 64",
    "PatientSex": "F",
    "PatientWeight": "71.5",
    "BodyPartExamined": "CHEST",
    "ScanOptions": "HELICAL MODE",
    "SliceThickness": "1.25",
    "KVP": "120",
    "ConvolutionKernel": "BONEPLUS",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "SeriesDescription": "Thorax axial 1.25 mm, lung window",
    "StudyDescription": "CT chest with contrast",
    "ImagePositionPatient": [-170, -180, -100.5],
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "PixelSpacing": [0.7, 0.7],
    "RescaleIntercept": "-1024",
    "RescaleSlope": "1",
    "WindowCenter": "-600",
    "WindowWidth": "1500",
    "SeriesNumber": "4",
    "InstanceNumber": "17",
}


@dataclass(frozen=True)
class Person:
    """An invented person and the study's other identifiers."""

    family: str
    given: str
    physician: str
    patient_id: str
    accession: str
    phone: str
    street: str
    institution: str
    born: str
    studied: str
    root: str  # of the study's UIDs

    @property
    def name(self) -> str:
        """As a PN."""
        return f"{self.family}^{self.given}"

    @property
    def needles(self) -> tuple[str, ...]:
        """What must not be found in a clean file, lower-case."""
        raw = (
            *(self.family, self.given, self.physician, self.patient_id, self.accession, self.phone),
            *(self.street, self.institution, self.born, self.studied, self.root),
        )
        return tuple(n.lower() for n in raw)


def person(seed: int) -> Person:
    """One of many invented persons."""
    rng = random.Random(f"person-{seed}")
    syllables = ("bra", "quil", "dor", "min", "tev", "osk", "lau", "vex", "hol", "zim", "pra", "net", "ful", "gar")

    def word(count: int) -> str:
        return "".join(rng.choice(syllables) for _ in range(count)).capitalize()

    return Person(
        family=word(3) + "ow",
        given=word(3) + "ina",
        physician=word(3) + "sky",
        patient_id=f"{rng.choice('ABCDEFGH')}{rng.randrange(10**6, 10**7)}",
        accession=f"X{rng.randrange(10**7, 10**8)}",
        phone=f"555-{rng.randrange(100, 999)}-{rng.randrange(1000, 9999)}",
        street=f"{rng.randrange(1, 99)} {word(3)} Lane",
        institution=f"{word(3)} Imaging",
        born=f"19{rng.randrange(40, 99)}0{rng.randrange(1, 10)}1{rng.randrange(0, 10)}",
        studied=f"202{rng.randrange(0, 6)}1{rng.randrange(0, 3)}2{rng.randrange(0, 9)}",
        root=f"1.2.826.0.1.3680043.9.{rng.randrange(10**6, 10**7)}",
    )


def base(who: Person) -> Dataset:
    """A CT slice of the person: complete, with every useful attribute."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in USEFUL.items():
        setattr(ds, keyword, value)
    ds.SOPClassUID = CTImageStorage
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{who.root}.1", f"{who.root}.2"
    ds.SOPInstanceUID, ds.FrameOfReferenceUID = f"{who.root}.3", f"{who.root}.4"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = who.name, who.patient_id, who.born
    ds.AccessionNumber, ds.StudyDate, ds.StudyTime = who.accession, who.studied, "141502"
    ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = who.studied
    ds.ReferringPhysicianName, ds.InstitutionName = f"{who.physician}^A", who.institution
    ds.PatientAddress, ds.PatientTelephoneNumbers = who.street, who.phone
    ds.StudyID, ds.PositionReferenceIndicator = "", ""
    ds.Rows = ds.Columns = 8
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation, ds.SamplesPerPixel = 15, 0, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelData = bytes(128)
    return ds


def value_for(vr: str, who: Person) -> object:
    """An identifying value that a VR can hold; None where it can hold none."""
    if vr in ("LO", "SH", "LT", "ST", "UT", "UC"):
        return who.family if vr == "SH" else f"{who.family}, {who.given}"
    return {
        "PN": who.name,
        "DA": who.studied,
        "DT": f"{who.studied}141502",
        "UI": f"{who.root}.9",
        "AE": who.family[:16].upper(),
        "CS": who.family[:16].upper(),
        "UR": f"https://{who.family.lower()}.example.org/",
        "OB": f"{who.family} {who.patient_id} ".encode(),
        "UN": f"{who.family} {who.patient_id} ".encode(),
    }.get(vr)


def text_variants(who: Person) -> list[str]:
    """Ways in which people write the identifiers into free text."""
    family, given = who.family, who.given
    born = f"{who.born[6:]}.{who.born[4:6]}.{who.born[:4]}"
    return [
        f"CT of {given} {family}, follow-up",
        f"{family.upper()}, {given.upper()[0]}. chest",
        f"prior of {family.lower()} reviewed",
        f"{family[0]}-{'-'.join(family[1:])}",
        " ".join(family),
        f"{given}_{family}_thorax",
        f"{given.lower()}{family.lower()}",
        f"{family}'s nodule",
        f"referred by Dr {who.physician}",
        f"ID {who.patient_id[0]} {who.patient_id[1:4]} {who.patient_id[4:]}",
        f"acc# {who.accession}",
        f"call {who.phone}",
        f"born {born}, {who.institution}",
        f"lives at {who.street}",
        f"scan of {who.studied[:4]}-{who.studied[4:6]}-{who.studied[6:]}",
        f"see {who.root}.1",
    ]


CLINICAL = (
    "Hodgkin lymphoma, follow-up after chemotherapy",
    "Gleason 7, PSA rising, prior prostatectomy",
    "Parkinson disease, fall from standing height",
    "AP and lateral views, portable, supine",
    "1.25 mm axial, lung window, 120 kV, 512x512",
    "nodule 12 x 8 mm in the left lower lobe, Lung-RADS 4B",
    "Colles fracture, Baker cyst, Crohn flare",
    "pulmonary embolism? D-dimer 2.4, Wells score 6",
    "T2N1M0, RECIST 1.1, SUVmax 8.3",
    "compare with prior CT, no acute finding",
    "Long axis, short axis and four chamber view",
    "Thorax nativ, Abdomen mit KM, venöse Phase",
    "IRM cérébrale sans et avec gadolinium",
    "TC tórax con contraste, fase arterial",
)


def _listed(ds: Dataset, who: Person) -> int:
    count = 0
    for row in rows():
        value = value_for(row.vr, who) if is_tag(row.tag) else None
        tag = Tag(int(row.tag, 16)) if is_tag(row.tag) else Tag(0)
        if value is None or tag.group < 8 or tag in ds or row.vr == "UN" or tag == 0x00420011:
            continue
        ds[tag] = DataElement(tag, row.vr, value)
        count += 1
    return count


def _unlisted(ds: Dataset, who: Person) -> int:
    listed = {int(r.tag, 16) for r in rows() if is_tag(r.tag)}
    count = 0
    for number, entry in DicomDictionary.items():
        group = number >> 16
        skip = number in listed or group < 8 or group in (0x0028, 0x5400, 0x7FE0, 0xFFFE) or Tag(number) in ds
        if skip or entry[0] not in ("PN", "DA", "DT", "UI", "LO", "SH", "ST", "LT", "UT", "UR", "OB", "AE"):
            continue
        if entry[4] in ("SpecificCharacterSet", "SOPClassUID"):
            continue
        ds[Tag(number)] = DataElement(Tag(number), entry[0], value_for(entry[0], who))
        count += 1
    return count


def _nested(plant: Callable[[Dataset, Person], int], *path: str) -> Callable[[Dataset, Person], int]:
    def run(ds: Dataset, who: Person) -> int:
        inner = Dataset()
        count = plant(inner, who)
        for keyword in reversed(path):
            outer = Dataset()
            setattr(outer, keyword, Sequence([inner]))
            inner = outer
        for element in inner:
            ds[element.tag] = element
        return count

    return run


def _private(ds: Dataset, who: Person) -> int:
    ds.add_new(0x00090010, "LO", "ACME 1.1")
    ds.add_new(0x00110010, "LO", f"{who.family} PRIVATE")
    kinds = ("PN", "LO", "SH", "LT", "DA", "UI", "OB", "UN", "UT")
    for offset, vr in enumerate(kinds):
        ds.add_new(0x00091000 + offset, vr, value_for(vr, who))
        ds.add_new(0x00111000 + offset, vr, value_for(vr, who))
    item = Dataset()
    item.PatientName, item.PatientID = who.name, who.patient_id
    ds.add_new(0x00091040, "SQ", Sequence([item]))
    return 2 * len(kinds) + 3


def _texts(ds: Dataset, who: Person) -> int:
    variants = text_variants(who)
    ds.ImageComments = variants[0]
    ds.SeriesDescription = variants[1]
    ds.ProtocolName = variants[2]
    ds.PatientComments = "\r\n".join(variants)
    ds.AdditionalPatientHistory = "; ".join(reversed(variants))
    ds.AcquisitionComments = " / ".join(variants[5:])
    ds.DerivationDescription = ", ".join(variants[:8])
    ds.ImageType = ["ORIGINAL", "PRIMARY", who.family[:16].upper()]
    return 4 + 3 * len(variants)


def _graphics(ds: Dataset, who: Person) -> int:
    for group in (0x6000, 0x6002):
        ds.add_new((group, 0x0010), "US", 8)
        ds.add_new((group, 0x0011), "US", 8)
        ds.add_new((group, 0x0022), "LO", who.name)
        ds.add_new((group, 0x1500), "LO", who.family)
        ds.add_new((group, 0x4000), "LT", who.name)
        ds.add_new((group, 0x3000), "OW", f"{who.family}{who.patient_id}".encode().ljust(32))
    ds.add_new((0x5000, 0x3000), "OW", f"{who.family}{who.patient_id}".encode().ljust(32))
    ds.add_new((0x5000, 0x2500), "LO", who.name)
    icon = Dataset()
    icon.Rows = icon.Columns = 4
    icon.BitsAllocated = 8
    icon.PixelData = who.patient_id.encode().ljust(16)
    ds.IconImageSequence = Sequence([icon])
    return 11


def _wrong_vr(ds: Dataset, who: Person) -> int:
    """Identifiers under VRs that the standard gives other attributes."""
    ds.add_new("Exposure", "LO", who.name)
    ds.add_new("ScanOptions", "LT", who.name)
    ds.add_new("FilterType", "OB", f"{who.family} ".encode())
    ds.add_new("GantryID", "UN", f"{who.family} ".encode())
    ds.add_new("PatientOrientation", "PN", who.name)
    ds.add_new("LossyImageCompression", "UT", f"{who.family} {who.patient_id}")
    ds.add_new("TriggerTime", "SH", who.family)
    return 7


def _file(ds: Dataset, implicit: bool = False) -> bytes:
    out = io.BytesIO()
    if implicit:
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    with pydicom.config.disable_value_validation():
        ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _containers(who: Person) -> Iterator[tuple[str, int, bytes]]:
    """Places outside the data set's values."""
    spell = f"{who.family} {who.given} {who.patient_id}".encode()
    plain = _file(base(who))
    yield "preamble", 1, spell.ljust(128, b"\0")[:128] + plain[128:]
    yield "after the data set", 1, plain + spell
    ds = base(who)
    ds.PixelData = bytes(128) + spell + b" " * (len(spell) & 1)
    yield "after the last pixel", 1, _file(ds)
    ds = base(who)
    ds.file_meta.SourceApplicationEntityTitle = who.family[:16]
    ds.file_meta.PrivateInformationCreatorUID = UID(f"{who.root}.8")
    ds.file_meta.PrivateInformation = spell + b" " * (len(spell) & 1)
    ds.file_meta.ImplementationVersionName = who.family[:16]
    yield "group 0002", 4, _file(ds)
    ds = base(who)
    ds.add_new(0xFFFCFFFC, "OB", spell + b" " * (len(spell) & 1))
    yield "trailing padding", 1, _file(ds)
    ds = base(who)
    stream = io.BytesIO()
    Image.new("L", (8, 8), 90).save(stream, "JPEG")
    note = b"\xff\xfe" + (len(spell) + 2).to_bytes(2, "big") + spell
    comment = b"\xff\xd8" + note + stream.getvalue()[2:] + spell
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelData = encapsulate([comment])
    ds["PixelData"].is_undefined_length = True
    yield "comments in a JPEG stream", 2, _file(ds)
    ds = base(who)
    ds.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1.99")
    ds.PatientComments = f"{who.family} {who.patient_id}"
    yield "deflated", 1, _file(ds)


def _scripts(who: Person) -> Iterator[tuple[str, int, bytes]]:
    """Names in other scripts and character sets, known by one component group and written by another."""
    for label, term, name, text in (
        ("ISO 2022 (Japanese)", ["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "山田太郎 胸部"),
        ("UTF-8 (Chinese)", "ISO_IR 192", "Zhang^Xiaodong=张^小东", "张小东 胸部CT"),
        ("Latin-1 (German)", "ISO_IR 100", "Müllerström^Jürgen", "Mullerstrom, MUELLERSTROEM, Müllerström"),
        ("Cyrillic", "ISO_IR 144", "Люкceмбypг^Ольгерта", "пациент Ольгерта"),
    ):
        ds = base(who)
        ds.SpecificCharacterSet = term
        ds.PatientName, ds.ImageComments = name, text
        yield label, 2, _file(ds)


PLANTS: dict[str, Callable[[Dataset, Person], int]] = {
    "attributes of the table": _listed,
    "attributes beside the table": _unlisted,
    "table, in a listed sequence": _nested(_listed, "RequestAttributesSequence"),
    "table, in an unlisted sequence": _nested(_listed, "CTExposureSequence"),
    "table, four sequences deep": _nested(
        _listed,
        "SharedFunctionalGroupsSequence",
        "CTExposureSequence",
        "PlanePositionSequence",
        "AnatomicRegionSequence",
    ),
    "beside the table, nested": _nested(_unlisted, "SharedFunctionalGroupsSequence", "FrameContentSequence"),
    "private blocks": _private,
    "private blocks, nested": _nested(_private, "CTExposureSequence"),
    "free text": _texts,
    "free text, nested": _nested(_texts, "SharedFunctionalGroupsSequence", "CTExposureSequence"),
    "overlays, curves, icons": _graphics,
    "values under wrong VRs": _wrong_vr,
}


@dataclass(frozen=True)
class Planted:
    """One file with identifiers in one kind of place."""

    kind: str
    count: int  # identifiers planted beside those of every file
    content: bytes
    needles: tuple[str, ...]


def planted(seed: int = 1) -> Iterator[Planted]:
    """A file for each kind of hiding place."""
    who = person(seed)
    for kind, plant in PLANTS.items():
        for implicit in (False, True):
            ds = base(who)
            with pydicom.config.disable_value_validation():
                count = plant(ds, who)
                content = _file(ds, implicit)
            yield Planted(f"{kind}{' (implicit VR)' if implicit else ''}", count, content, who.needles)
    for kind, count, content in _containers(who):
        yield Planted(kind, count, content, who.needles)
    extra = (
        *("yamada", "tarou", "山田", "太郎", "やまだ", "zhang", "xiaodong", "张小", "小东"),
        *("müller", "muller", "mueller", "jürgen", "люкc", "ольгерта"),
    )
    for kind, count, content in _scripts(who):
        yield Planted(f"scripts: {kind}", count, content, (*who.needles, *extra))


def residuals(content: bytes, needles: tuple[str, ...]) -> list[str]:
    """Where a file still shows an identifier: paths of values, or "bytes" for what lies outside them."""
    with pydicom.config.disable_value_validation():
        ds = pydicom.dcmread(io.BytesIO(content), force=True)
        found = list(_walk(ds, needles, ""))
        found += (
            [f"group 0002 {e.tag}" for e in ds.file_meta if _shows(e.value, needles)] if "file_meta" in dir(ds) else []
        )
    raw = content.replace(b"\0", b"").lower()
    if not found and any(n.encode() in raw for n in needles):
        found.append("bytes")
    return found


def _walk(ds: Dataset, needles: tuple[str, ...], path: str) -> Iterator[str]:
    for element in ds:
        here = f"{path}/{element.tag:08X}"
        if element.VR == "SQ":
            for item in element.value or ():
                yield from _walk(item, needles, here)
        elif _shows(element.value, needles):
            yield here


def _shows(value: object, needles: tuple[str, ...]) -> bool:
    text = value.replace(b"\0", b"").decode("latin-1") if isinstance(value, bytes) else str(value)
    return any(n in text.lower() for n in needles)


def useful_kept(before: bytes, after: bytes) -> tuple[int, int]:
    """How many of the useful attributes a clean file still has as they were, and how many its original had."""
    original, clean = (pydicom.dcmread(io.BytesIO(content), force=True) for content in (before, after))
    expected = Dataset()
    for keyword, value in USEFUL.items():
        setattr(expected, keyword, value)
    had = [k for k in USEFUL if k in original and original[k].value == expected[k].value]
    return sum(k in clean and clean[k].value == expected[k].value for k in had), len(had)
