"""What the pipeline knows about one clean instance without opening it again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydicom.dataset import Dataset

from readfirst.domain.analysis import densities, image_types, said
from readfirst.domain.coded_terms import MODALITIES
from readfirst.domain.numbers import decimal, whole

PROJECTIONS = {"CR", "DX", "MG"}  # modalities of single radiographs
FUNCTIONAL_GROUPS = (0x52009229, 0x52009230)  # the sequences that tell of an enhanced file's frames
# BodyPartExamined for the regions that enhanced files state as codes instead (PS3.16, Table L-1).
_REGIONS = {
    "816094009": "CHEST", "51185008": "CHEST", "T-D3000": "CHEST", "818981001": "ABDOMEN", "113345001": "ABDOMEN",
    "T-D4000": "ABDOMEN", "69536005": "HEAD", "T-D1100": "HEAD", "12738006": "BRAIN", "T-A0100": "BRAIN",
    "45048000": "NECK", "T-D1600": "NECK", "816092008": "PELVIS", "12921003": "PELVIS", "T-D6000": "PELVIS",
    "416550000": "CHESTABDOMEN", "416775004": "CHESTABDPELVIS", "416949008": "ABDOMENPELVIS",
}  # fmt: skip

FRONTAL, LATERAL = "FRONTAL", "LATERAL"
_INTENTS = frozenset(("FOR PRESENTATION", "FOR PROCESSING"))
# ViewCodeSequence (PS3.16 CID 4010) as ViewPosition.
_VIEWS = {
    "399348003": "AP", "R-10206": "AP", "272479007": "PA", "R-40888": "PA", "R-10214": "PA",
    "399173006": "LL", "R-10236": "LL", "399198007": "RL", "R-10232": "RL", "399033003": FRONTAL, "R-10202": FRONTAL,
}  # fmt: skip
# What tells pictures of one place apart: reconstructions, then moments. Where each may stand in an enhanced file is
# in _GROUPS. `InstanceFacts.apart` holds them in this order: new ones are added at the end.
APART = (
    "ConvolutionKernel", "FilterType", "KVP", "SliceThickness", "StackID", "ImageType", "ScanOptions",
    "ContrastBolusAgent", "TemporalPositionIdentifier", "TemporalPositionIndex", "NominalPercentageOfCardiacPhase",
    "NominalCardiacTriggerDelayTime", "NominalPercentageOfRespiratoryPhase", "NominalRespiratoryTriggerDelayTime",
    "TriggerTime", "IrradiationEventUID", "AcquisitionUID", "AcquisitionDateTime", "AcquisitionTime",
    "FrameAcquisitionDateTime", "ContentTime", "EchoTime", "EchoNumbers", "DiffusionBValue", "InversionTime",
)  # fmt: skip
_CLOCKS = ("FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime", "ContentTime")  # and TriggerTime, ms
_GROUPS = (
    "FrameContentSequence",
    "CTReconstructionSequence",
    "CTXRayDetailsSequence",
    "CTAcquisitionTypeSequence",
    "PixelMeasuresSequence",
    "TemporalPositionSequence",
    "CardiacSynchronizationSequence",
    "RespiratorySynchronizationSequence",
    "ContrastBolusUsageSequence",
)

Vector = tuple[float, float, float]
Orientation = tuple[float, float, float, float, float, float]


class Plane(BaseModel):
    """Where one frame of a multi-frame file lies. What is None is as the instance says."""

    model_config = ConfigDict(frozen=True)

    position: Vector | None = None
    orientation: Orientation | None = None
    pixel_spacing: tuple[float, float] | None = None
    image_type: tuple[str, ...] | None = None
    acquisition_number: int | None = None
    rendering: str | None = None  # as in InstanceFacts
    apart: tuple[str, ...] | None = None
    moments: tuple[float | None, ...] | None = None
    unfit: str | None = None


class Part(BaseModel):
    """Which part of a concatenation (that has `uid`) a file is, by PS3.3 C.7.6.16.2.2.4. `total`: 0 if unsaid."""

    model_config = ConfigDict(frozen=True)

    uid: str
    number: int
    total: int
    offset: int | None = None  # frames in the parts before it


class InstanceFacts(BaseModel):
    """The facts of one clean instance that choose and order a series. No identifier, no free text.

    Lengths in mm, positions and directions in the patient's coordinate system (PS3.3 C.7.6.2.1.1, LPS).
    Absent or malformed attributes are None. What gates judge is read from the file as it was sent (domain/said.py):
    de-identification empties what is not well-formed, and an empty value is not the same as an unreadable one.
    """

    model_config = ConfigDict(frozen=True)

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    transfer_syntax: str
    modality: str
    body_part: str = ""
    image_type: tuple[str, ...] = ()
    rows: int = 0
    columns: int = 0
    frames: int = 1
    planes: tuple[Plane, ...] = ()  # of an enhanced multi-frame file: one for each frame
    frame: int = 0  # set where the facts are those of one frame: its number, from 1
    position: Vector | None = None
    orientation: Orientation | None = None
    pixel_spacing: tuple[float, float] | None = None
    slice_thickness: float | None = None
    gantry_tilt: float | None = None
    series_number: int | None = None
    acquisition_number: int | None = None
    rendering: str = ""  # older facts: one digest for what `apart` tells
    apart: tuple[str, ...] = ()  # a digest for each of APART, empty where nothing is said: no free text
    moments: tuple[float | None, ...] = ()  # seconds by each clock (_CLOCKS, TriggerTime) that the clean copy keeps
    frame_of_reference: str = ""
    part: Part | None = None
    derivation: str = ""  # what made a derived picture (domain/image_types.py)
    unfit: str = ""  # why its values are no densities of a grey picture
    view: str = ""  # of a radiograph: ViewPosition, or what stands for it; FRONTAL and LATERAL where no more is known
    laterality: str = ""  # of a paired part: L or R
    intent: str = ""  # PresentationIntentType: a radiograph's, of which there can be two versions
    acquired: str = ""  # YYYYMMDDHHMMSS as the clean copy has it: only the order among a study's pictures is true
    instance_number: int | None = None
    patient_age: str = ""
    patient: str = ""  # the patient's token: PatientID of the clean copy
    path: str = ""  # blob name in container `clean`
    digest: str = ""  # sha256 of the clean file, hex

    @property
    def place(self) -> tuple[str, str]:
        """What names the instance: its series and its SOP Instance UID, for two series may name theirs alike."""
        return self.series_uid, self.sop_uid

    def slices(self) -> Iterator[InstanceFacts]:
        """One for each frame of an enhanced file, as if it were a file of its own; else the instance itself."""
        if not self.planes:
            yield self
            return
        plain = self.model_copy(update={"planes": ()})
        for number, plane in enumerate(self.planes, start=1):
            own = {name: value for name in Plane.model_fields if (value := getattr(plane, name)) is not None}
            yield plain.model_copy(update={"frame": number, **own})


def facts_of(ds: Dataset, *, sent: Dataset | None = None, path: str = "", digest: str = "") -> InstanceFacts:
    """Reads the facts from a data set (a clean one: nothing here is removed), and what gates judge from what was sent:
    the original's data set, where the other one is its clean copy."""
    sent = ds if sent is None else sent
    meta = getattr(ds, "file_meta", None)
    frames = _integer(ds, "NumberOfFrames") or 1
    shared, planes = _functional_groups(ds, sent, frames)
    plain = Plane(
        position=_numbers(ds, "ImagePositionPatient", 3), orientation=_numbers(ds, "ImageOrientationPatient", 6),
        pixel_spacing=_numbers(ds, "PixelSpacing", 2), image_type=_kinds(ds, sent, "ImageType"),
    )  # fmt: skip
    modality = said.term_of(_text(ds, "Modality"), _text(sent, "Modality"), MODALITIES)
    shared_groups = _group(ds, "SharedFunctionalGroupsSequence")
    everywhere = (ds, *_told(shared_groups))
    return InstanceFacts(
        study_uid=_text(ds, "StudyInstanceUID"),
        series_uid=_text(ds, "SeriesInstanceUID"),
        sop_uid=_text(ds, "SOPInstanceUID"),
        sop_class=_text(ds, "SOPClassUID"),
        transfer_syntax=str(getattr(meta, "TransferSyntaxUID", "") or ""),
        modality=modality,
        body_part=_body_part(ds, sent),
        image_type=shared.image_type or plain.image_type or (),
        rows=_integer(ds, "Rows") or 0,
        columns=_integer(ds, "Columns") or 0,
        frames=frames,
        planes=planes,
        position=plain.position or shared.position,
        orientation=plain.orientation or shared.orientation,
        pixel_spacing=plain.pixel_spacing or shared.pixel_spacing,
        slice_thickness=_thickness(ds),
        gantry_tilt=(_numbers(ds, "GantryDetectorTilt", 1) or (None,))[0],
        series_number=_integer(ds, "SeriesNumber"),
        acquisition_number=_integer(ds, "AcquisitionNumber"),
        apart=_apart(*everywhere),
        moments=_moments(*everywhere),
        frame_of_reference=_text(ds, "FrameOfReferenceUID"),
        part=_part(ds),
        derivation=_derivation(sent),
        unfit=_unfit(ds, shared_groups, bool(planes)) if modality not in PROJECTIONS else "",
        instance_number=_integer(ds, "InstanceNumber"),
        patient_age=said.age_of(_text(sent, "PatientAge"), _text(ds, "PatientAge")),
        patient=_text(ds, "PatientID"),
        path=path,
        digest=digest,
        **(_radiograph(ds, sent) if modality in PROJECTIONS else {}),
    )


def _body_part(ds: Dataset, sent: Dataset) -> str:
    """As the clean copy has it, else the region that it codes, else in our words what was sent."""
    shared = _group(ds, "SharedFunctionalGroupsSequence")
    region = _region(shared) or _region(ds)
    return _text(ds, "BodyPartExamined").upper() or region or said.part_of(_text(sent, "BodyPartExamined"))


def _kinds(ds: Dataset, sent: Dataset, keyword: str) -> tuple[str, ...]:
    """An image's or frame's type: as the clean copy has it, or, where a value was no valid one, the words we know."""
    clean = tuple(str(v).upper() for v in _values(ds, keyword))
    original = tuple(str(v) for v in _values(sent, keyword))
    if clean and len(clean) == len(original) and "REMOVED" not in clean:
        return clean
    return tuple(image_types.known_words(value) for value in original)


def _derivation(sent: Dataset) -> str:
    codes = [_text(item, "CodeValue") for item in _items(sent, "DerivationCodeSequence")]
    return image_types.derivation_of(codes, _text(sent, "DerivationDescription"), _text(sent, "LossyImageCompression"))


def _part(ds: Dataset) -> Part | None:
    """A file of a concatenation. Where it does not say of which one, its source or its series stands for that."""
    number, total = _integer(ds, "InConcatenationNumber"), _integer(ds, "InConcatenationTotalNumber") or 0
    names = ("ConcatenationUID", "SOPInstanceUIDOfConcatenationSource", *(["SeriesInstanceUID"] if total > 1 else []))
    uid = next((text for name in names if (text := _text(ds, name))), "")
    if not uid or number is None:
        return None
    return Part(uid=uid, number=number, total=total, offset=_integer(ds, "ConcatenationFrameOffsetNumber"))


def _radiograph(ds: Dataset, sent: Dataset) -> dict[str, Any]:
    side = (_text(sent, "ImageLaterality") or _text(sent, "Laterality")).upper()[:1]
    intent = _text(ds, "PresentationIntentType"), _text(sent, "PresentationIntentType")
    return {
        "view": _view(ds, sent),
        "laterality": side if side in ("L", "R") else "",
        "intent": said.term_of(*intent, _INTENTS),
        "acquired": _acquired(ds),
    }


def _view(ds: Dataset, sent: Dataset) -> str:
    """Which view a radiograph is: by its position, its code, or the directions in which rows and columns run."""
    if stated := said.term_of(_text(ds, "ViewPosition"), _text(sent, "ViewPosition"), said.VIEWS):
        return stated
    coded = _items(ds, "ViewCodeSequence")
    if coded and (known := _VIEWS.get(_text(coded[0], "CodeValue"))):
        return known
    ways = [str(v)[:1].upper() for v in _values(ds, "PatientOrientation")]
    if len(ways) != 2 or ways[1] not in ("F", "H"):
        return ""
    return FRONTAL if ways[0] in ("L", "R") else LATERAL if ways[0] in ("A", "P") else ""


def _acquired(ds: Dataset) -> str:
    """When the picture was made: digits alone, without fractions of a second."""
    whole = _text(ds, "AcquisitionDateTime")
    pairs = (("AcquisitionDate", "AcquisitionTime"), ("ContentDate", "ContentTime"), ("SeriesDate", "SeriesTime"))
    dated = (_text(ds, day) + _text(ds, time) for day, time in pairs if _text(ds, time))
    return (whole or next(dated, "")).partition(".")[0][:14]


def _functional_groups(ds: Dataset, sent: Dataset, frames: int) -> tuple[Plane, tuple[Plane, ...]]:
    """What all frames of an enhanced file share, and what each has of its own; nothing of other files.

    A file whose groups are not as many as its frames tells nothing: nobody can say which is whose.
    """
    own, was = (_items(data, "PerFrameFunctionalGroupsSequence") for data in (ds, sent))
    if len(own) != frames or len(was) != frames:
        return Plane(), ()
    shared, first = (_group(data, "SharedFunctionalGroupsSequence") for data in (ds, sent))
    return _plane(shared, first), tuple(_plane(*groups) for groups in zip(own, was, strict=True))


def _plane(group: Dataset, sent: Dataset) -> Plane:
    kinds = _kinds(_group(group, "CTImageFrameTypeSequence"), _group(sent, "CTImageFrameTypeSequence"), "FrameType")
    told = _told(group)
    return Plane(
        position=_numbers(_group(group, "PlanePositionSequence"), "ImagePositionPatient", 3),
        orientation=_numbers(_group(group, "PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        pixel_spacing=_numbers(_group(group, "PixelMeasuresSequence"), "PixelSpacing", 2),
        image_type=kinds or None,
        acquisition_number=_integer(_group(group, "FrameContentSequence"), "FrameAcquisitionNumber"),
        apart=_apart(*told) or None,
        moments=_moments(*told) or None,
        unfit=densities.unfit(_group(group, "PixelValueTransformationSequence").get)
        if _items(group, "PixelValueTransformationSequence")
        else None,
    )


def _unfit(ds: Dataset, shared: Dataset, enhanced: bool) -> str:
    """Why the values are no densities. An enhanced file's frames may have a rescaling of their own."""
    grey = densities.not_grey(_integer(ds, "SamplesPerPixel"), _text(ds, "PhotometricInterpretation"))
    rescaled = _group(shared, "PixelValueTransformationSequence")
    if grey or (enhanced and rescaled is _NOTHING):
        return grey
    return densities.unfit((rescaled if enhanced else ds).get, needed=_text(ds, "Modality") == "CT")


def _apart(*groups: Dataset) -> tuple[str, ...]:
    """A digest for each of APART that is said: numbers by their value, however they are written; () for nothing."""
    told = tuple(_digest(_written(groups, keyword)) for keyword in APART)
    return told if any(told) else ()


def _written(groups: Iterable[Dataset], keyword: str) -> str:
    return next((text for group in groups if (text := "\\".join(str(v) for v in _values(group, keyword)))), "")


@lru_cache(maxsize=4096)
def _digest(text: str) -> str:
    if not text.strip():
        return ""
    try:
        plain = f"{float(text):.6g}"
    except ValueError:
        plain = " ".join(text.upper().split())
    return hashlib.sha256(plain.encode()).hexdigest()[:6]


def _moments(*groups: Dataset) -> tuple[float | None, ...]:
    """Seconds by each clock of the file, and by its trigger; () where none is told."""
    told = [_seconds(_written(groups, clock)) for clock in _CLOCKS]
    trigger = next((n for group in groups if (n := _numbers(group, "TriggerTime", 1))), None)
    told.append(trigger[0] / 1000 if trigger else None)
    return tuple(told) if any(moment is not None for moment in told) else ()


def _seconds(text: str) -> float | None:
    """A TM, or a DT with its day, as a number that grows with time; not the seconds between moments of two days."""
    match = re.fullmatch(r"(\d{8})?(\d{2}):?(\d{2})?:?(\d{2}(?:\.\d+)?)?(?:[+-]\d{4})?", text.strip())
    if match is None:
        return None
    day, hours, minutes, seconds = match.groups()
    return int(day or 0) * 86400.0 + (int(hours) * 60 + int(minutes or 0)) * 60 + float(seconds or 0)


def _thickness(ds: Dataset) -> float | None:
    measures = _group(_group(ds, "SharedFunctionalGroupsSequence"), "PixelMeasuresSequence")
    found = _numbers(ds, "SliceThickness", 1) or _numbers(measures, "SliceThickness", 1)
    return found[0] if found else None


def _region(shared: Dataset) -> str:
    region = _group(_group(shared, "FrameAnatomySequence"), "AnatomicRegionSequence")
    return _REGIONS.get(_text(region, "CodeValue"), "")


def _items(ds: Dataset, keyword: str) -> list[Dataset]:
    return list(ds.get(keyword) or [])


def _group(ds: Dataset, keyword: str) -> Dataset:
    """The first item of a sequence; an empty one where there is none."""
    items = _items(ds, keyword)
    return items[0] if items else _NOTHING


def _told(group: Dataset) -> list[Dataset]:
    """The groups of an enhanced file's group that may tell its pictures apart, without those that are not there."""
    return [inner for name in _GROUPS if (inner := _group(group, name)) is not _NOTHING]


_NOTHING = Dataset()  # made once: pydicom's data sets are dear, and most files have no groups


def _text(ds: Dataset, keyword: str) -> str:
    value = ds.get(keyword)
    return "" if value is None else str(value).strip()


def _values(ds: Dataset, keyword: str) -> list[Any]:
    value = ds.get(keyword)
    if value is None or value == "":
        return []
    return [value] if isinstance(value, (str, int, float)) else list(value)


def _integer(ds: Dataset, keyword: str) -> int | None:
    return whole(str(ds.get(keyword)))


def _numbers(ds: Dataset, keyword: str, count: int) -> Any:
    numbers = tuple(decimal(str(v)) for v in _values(ds, keyword))
    return numbers if len(numbers) == count and None not in numbers else None
