"""What the pipeline knows about one clean instance without opening it again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydicom.dataset import Dataset

from readfirst.domain.models import PROJECTIONS
from readfirst.domain.numbers import decimal, whole

FUNCTIONAL_GROUPS = (0x52009229, 0x52009230)  # the sequences that tell of an enhanced file's frames
# BodyPartExamined for the regions that enhanced files state as codes instead (PS3.16, Table L-1).
_REGIONS = {
    "816094009": "CHEST", "51185008": "CHEST", "T-D3000": "CHEST", "818981001": "ABDOMEN", "113345001": "ABDOMEN",
    "T-D4000": "ABDOMEN", "69536005": "HEAD", "T-D1100": "HEAD", "12738006": "BRAIN", "T-A0100": "BRAIN",
    "45048000": "NECK", "T-D1600": "NECK", "816092008": "PELVIS", "12921003": "PELVIS", "T-D6000": "PELVIS",
    "416550000": "CHESTABDOMEN", "416775004": "CHESTABDPELVIS", "416949008": "ABDOMENPELVIS",
}  # fmt: skip

FRONTAL, LATERAL = "FRONTAL", "LATERAL"
# ViewCodeSequence (PS3.16 CID 4010) as ViewPosition.
_VIEWS = {
    "399348003": "AP", "R-10206": "AP", "272479007": "PA", "R-40888": "PA", "R-10214": "PA",
    "399173006": "LL", "R-10236": "LL", "399198007": "RL", "R-10232": "RL", "399033003": FRONTAL, "R-10202": FRONTAL,
}  # fmt: skip
_APART = ("ConvolutionKernel", "FilterType", "KVP", "SliceThickness", "StackID", "TemporalPositionIdentifier",
          "TemporalPositionIndex", "NominalPercentageOfCardiacPhase")  # fmt: skip
_RENDERED = (
    "FrameContentSequence",
    "CTReconstructionSequence",
    "CTXRayDetailsSequence",
    "CardiacSynchronizationSequence",
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
    rendering: str | None = None


class InstanceFacts(BaseModel):
    """The facts of one clean instance that choose and order a series. No identifier, no free text.

    Lengths in mm, positions and directions in the patient's coordinate system (PS3.3 C.7.6.2.1.1, LPS).
    Absent or malformed attributes are None.
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
    rendering: str = ""  # the same for the slices of one reconstruction and one moment (a digest: no free text)
    view: str = ""  # of a radiograph: ViewPosition, or what stands for it; FRONTAL and LATERAL where no more is known
    laterality: str = ""  # of a paired part: L or R
    intent: str = ""  # PresentationIntentType: a radiograph's, of which there can be two versions
    acquired: str = ""  # YYYYMMDDHHMMSS as the clean copy has it: only the order among a study's pictures is true
    instance_number: int | None = None
    patient_age: str = ""
    patient: str = ""  # the patient's token: PatientID of the clean copy
    path: str = ""  # blob name in container `clean`
    digest: str = ""  # sha256 of the clean file, hex

    def slices(self) -> Iterator[InstanceFacts]:
        """One for each frame of an enhanced file, as if it were a file of its own; else the instance itself."""
        if not self.planes:
            yield self
            return
        plain = self.model_copy(update={"planes": ()})
        for number, plane in enumerate(self.planes, start=1):
            own = {name: value for name in Plane.model_fields if (value := getattr(plane, name)) is not None}
            yield plain.model_copy(update={"frame": number, **own})


def facts_of(ds: Dataset, *, path: str = "", digest: str = "") -> InstanceFacts:
    """Reads the facts from a data set (a clean one: nothing here is removed)."""
    meta = getattr(ds, "file_meta", None)
    frames = _integer(ds, "NumberOfFrames") or 1
    shared, planes = _functional_groups(ds, frames)
    plain = Plane(
        position=_numbers(ds, "ImagePositionPatient", 3), orientation=_numbers(ds, "ImageOrientationPatient", 6),
        pixel_spacing=_numbers(ds, "PixelSpacing", 2), image_type=tuple(str(v) for v in _values(ds, "ImageType")),
    )  # fmt: skip
    return InstanceFacts(
        study_uid=_text(ds, "StudyInstanceUID"),
        series_uid=_text(ds, "SeriesInstanceUID"),
        sop_uid=_text(ds, "SOPInstanceUID"),
        sop_class=_text(ds, "SOPClassUID"),
        transfer_syntax=str(getattr(meta, "TransferSyntaxUID", "") or ""),
        modality=_text(ds, "Modality"),
        body_part=_text(ds, "BodyPartExamined").upper() or _region(_group(ds, "SharedFunctionalGroupsSequence")),
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
        rendering=_rendering(ds),
        patient_age=_text(ds, "PatientAge"),
        patient=_text(ds, "PatientID"),
        path=path,
        digest=digest,
        **(_radiograph(ds) if _text(ds, "Modality") in PROJECTIONS else {}),
    )


def _radiograph(ds: Dataset) -> dict[str, Any]:
    side = _text(ds, "ImageLaterality") or _text(ds, "Laterality")
    return {
        "view": _view(ds),
        "laterality": side if side in ("L", "R") else "",
        "intent": _text(ds, "PresentationIntentType").upper(),
        "acquired": _acquired(ds),
        "instance_number": _integer(ds, "InstanceNumber"),
    }


def _view(ds: Dataset) -> str:
    """Which view a radiograph is: by its position, its code, or the directions in which rows and columns run."""
    if said := _text(ds, "ViewPosition").upper():
        return said
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


def _functional_groups(ds: Dataset, frames: int) -> tuple[Plane, tuple[Plane, ...]]:
    """What all frames of an enhanced file share, and what each has of its own; nothing of other files.

    A file whose groups are not as many as its frames tells nothing: nobody can say which is whose.
    """
    own = _items(ds, "PerFrameFunctionalGroupsSequence")
    if len(own) != frames:
        return Plane(), ()
    shared = _plane(_group(ds, "SharedFunctionalGroupsSequence"))
    return shared, tuple(_plane(group) for group in own)


def _plane(group: Dataset) -> Plane:
    kinds = tuple(str(v) for v in _values(_group(group, "CTImageFrameTypeSequence"), "FrameType"))
    return Plane(
        position=_numbers(_group(group, "PlanePositionSequence"), "ImagePositionPatient", 3),
        orientation=_numbers(_group(group, "PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        pixel_spacing=_numbers(_group(group, "PixelMeasuresSequence"), "PixelSpacing", 2),
        image_type=kinds or None,
        acquisition_number=_integer(_group(group, "FrameContentSequence"), "FrameAcquisitionNumber"),
        rendering=_rendering(*(_group(group, name) for name in _RENDERED)) or None,
    )


def _rendering(*groups: Dataset) -> str:
    """What tells reconstructions of one acquisition apart, and moments; empty where nothing is said."""
    said = [_text(group, keyword) for group in groups for keyword in _APART]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16] if any(said) else ""


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
