"""Studies drawn at random from a seed: what hospitals send, mixed, with the truth about every slice kept beside it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from readfirst.domain.analysis.models import Gate
from readfirst.domain.blob_paths import RefusedFile
from readfirst.domain.instance_facts import APART, InstanceFacts, Part, Plane
from readfirst.domain.reading.accounting import Received
from readfirst.domain.refusals import Reason

GATE = Gate(
    modalities=("CT",), body_parts=("CHEST", "THORAX"), min_age=18, min_slices=8, min_coverage=20.0, max_spacing=5.0,
    max_pixel=2.0, min_pixels=64,
)  # fmt: skip
Key = tuple[str, int]


@dataclass
class Drawn:
    """A study as it arrives, and what only its maker knows: which picture each slice shows, and whether it counts."""

    seed: int
    instances: list[InstanceFacts] = field(default_factory=list)
    refused: list[RefusedFile] = field(default_factory=list)
    copies: int = 0
    skipped: int = 0
    picture: dict[Key, int] = field(default_factory=dict)  # slice -> the reconstruction and moment that it shows
    counts: dict[Key, float] = field(default_factory=dict)  # slices of originals that a gate admits -> their height
    lost: bool = False  # a part of a concatenation never came

    @property
    def received(self) -> Received:
        """What the ledger would say."""
        files = len(self.instances) + len(self.refused) + self.copies
        return Received(files, identical=self.copies, skipped={"text": self.skipped} if self.skipped else {})


class Maker:
    """Draws one study."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.study = Drawn(seed)
        self.pictures = 0
        self.origin = (-180.0, -180.0)

    def make(self) -> Drawn:
        """A chest, some of what comes with one, and some of what goes wrong."""
        self.chest()
        for _ in range(self.draw.randrange(3)):
            self.draw.choice((self.detail, self.second_series, self.localizer, self.derived, self.head, self.zeff,
                              self.tracking, self.concatenation, self.continuing))()  # fmt: skip
        if self.draw.random() < 0.3:
            self.lose_some()
        self.study.copies = self.draw.choice((0, 0, 0, 1, 7))
        self.study.skipped = self.draw.choice((0, 0, 2))
        if self.draw.random() < 0.2:
            reason = self.draw.choice((Reason.TRUNCATED, Reason.BURNED_IN, Reason.NO_PIXELS))
            self.study.refused.append(RefusedFile(arrival="a", reason=reason, series="s", modality="CT"))
        self.draw.shuffle(self.study.instances)
        return self.study

    def put(self, series: str, heights: list[float], *, counts: bool = True, picture: int | None = None, **facts):
        """Slices of one picture. Returns them, for what else is drawn about them."""
        if picture is None:
            picture, self.pictures = self.pictures, self.pictures + 1
        made = []
        for height in heights:
            uid = f"{series}.{len(self.study.instances)}.{self.draw.randrange(10**9)}"
            said = {
                "study_uid": "1", "sop_class": "1.2.840.10008.5.1.4.1.1.2", "transfer_syntax": "", "modality": "CT",
                "body_part": "CHEST", "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"), "rows": 512, "columns": 512,
                "orientation": (1, 0, 0, 0, 1, 0), "pixel_spacing": (0.7, 0.7), "patient_age": "061Y",
                "acquisition_number": 1, "frame_of_reference": "9", "digest": f"{self.draw.getrandbits(256):064x}",
            } | facts  # fmt: skip
            one = InstanceFacts(series_uid=series, sop_uid=uid, position=(*self.origin, height), **said)
            self.study.instances.append(one)
            self.study.picture[uid, 0] = picture
            if counts:
                self.study.counts[uid, 0] = height
            made.append(one)
        return made

    def change(self, made: list[InstanceFacts], **by) -> None:
        """Says something else of some slices."""
        for one in made:
            k = self.study.instances.index(one)
            self.study.instances[k] = one.model_copy(update={n: v(one) if callable(v) else v for n, v in by.items()})

    def heights(self, spacing: float, start: float = 0.0, end: float = 150.0) -> list[float]:
        """Places from start to end."""
        return [start + spacing * k for k in range(int((end - start) / spacing) + 1)]

    # ------------------------------------------------------------ the chest itself

    def chest(self) -> None:
        """The main series: as it should be, or with what changes along the patient, or several moments at a place."""
        spacing = self.draw.choice((1.25, 2.5, 2.5, 5.0))
        places = self.heights(spacing)
        how = self.draw.choice(("plain", "changing", "changing", "moments", "moments", "kernels", "wider"))
        if how in ("plain", "changing", "wider"):
            made = self.put("1.1", places, apart=_said(KVP="a", SliceThickness="a"))
            cut = self.draw.randrange(1, len(made))
            part = made[cut:] if self.draw.random() < 0.5 else made[:cut]
            if how == "changing":
                self.change(part, **self.draw.choice((
                    {"acquisition_number": 2}, {"apart": _said(KVP="b")}, {"apart": _said(ConvolutionKernel="b")},
                    {"apart": _said(StackID="c", SliceThickness="d")}, {"rendering": "b"}, {"instance_number": 4},
                )))  # fmt: skip
            if how == "wider":
                self.change(part, pixel_spacing=(0.8, 0.8))
        elif how == "kernels":
            offset = self.draw.choice((0.0, 0.0, spacing / 2, spacing / 3))
            self.put("1.1", places, apart=_said(ConvolutionKernel="a"))
            self.put("1.1", [h + offset for h in places], apart=_said(ConvolutionKernel="b"))
        else:
            self.moments(places)

    def moments(self, places: list[float]) -> None:
        """Two or three moments at each place, told apart in one way, in two, or not at all; perhaps one is short."""
        count = self.draw.choice((2, 2, 3))
        passes = [self.put("1.1", places) for _ in range(count)]
        if self.draw.random() < 0.3:
            gone = self.draw.choice(self.draw.choice(passes))
            self.forget(gone)
            passes = [[one for one in this if one is not gone] for this in passes]
        ways = self.draw.sample(("number", "place by place", "clock", "trigger", "acquisition", "nothing"), 1)
        if self.draw.random() < 0.3:
            ways.append("shuffled numbers")
        for moment, this in enumerate(passes):
            known = {one.sop_uid: one for one in self.study.instances}
            for k, one in enumerate(this):
                now = known[one.sop_uid]
                for way in ways:
                    now = now.model_copy(update=self.told(way, moment, k, len(places), count))
                self.study.instances[self.study.instances.index(known[one.sop_uid])] = now

    def told(self, way: str, moment: int, k: int, places: int, count: int) -> dict:
        """How a header tells this slice's moment."""
        return {
            "number": {"instance_number": moment * places + k + 1},
            "place by place": {"instance_number": k * count + moment + 1},
            "clock": {"moments": (moment * 30 + k / 10,), "apart": _said(AcquisitionTime=f"{moment}-{k}")},
            "trigger": {"moments": (moment / 3,), "apart": _said(TriggerTime=str(moment))},
            "acquisition": {"acquisition_number": moment + 1},
            "shuffled numbers": {"instance_number": self.draw.randrange(10**6)},
            "nothing": {},
        }[way]

    # ------------------------------------------------------------ what comes with it

    def detail(self) -> None:
        """A thinner reconstruction of a part."""
        start = self.draw.choice((0.0, 40.0, 110.0))
        self.put("1.2", self.heights(0.625, start, start + 40))

    def second_series(self) -> None:
        """Another reconstruction, which may begin lower or end higher."""
        self.put("1.3", self.heights(2.5, self.draw.choice((0.0, -20.0)), self.draw.choice((150.0, 170.0))))

    def continuing(self) -> None:
        """Another acquisition, of what lies above."""
        self.put("1.4", self.heights(2.5, 150.0, 230.0), acquisition_number=7)

    def localizer(self) -> None:
        """In the chest's own series, as scanners put it."""
        self.put("1.1", [400.0], counts=False, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))

    def derived(self) -> None:
        """Thick slabs through the same chest and beyond."""
        kind = self.draw.choice((("DERIVED", "SECONDARY", "AXIAL", "MIP"), ("DERIVED", "SECONDARY", "MPR")))
        self.put("1.5", self.heights(1.0, 0.0, 300.0), counts=False, image_type=kind)

    def head(self) -> None:
        """What the gate does not admit, higher up."""
        self.put("1.6", self.heights(1.0, 300.0, 400.0), counts=False, body_part="HEAD")

    def zeff(self) -> None:
        """Thinner, complete, and no densities."""
        self.put("1.7", self.heights(0.625), counts=False, unfit="the slices hold other values than densities in HU")

    def tracking(self) -> None:
        """Many slices of one place, in the chest's own series."""
        self.put("1.1", [75.0] * 9, acquisition_number=99, apart=_said(ScanOptions="t"))

    def concatenation(self) -> None:
        """An enhanced series of several files, of which one may be missing."""
        total, frames, picture = self.draw.choice((2, 3)), 20, self.pictures
        self.pictures += 1
        came = [n for n in range(1, total + 1) if n == 1 or self.draw.random() < 0.7]
        for n in came:
            (one,) = self.put(f"1.8.{picture}", [0.0], counts=False, picture=picture)
            heights = [2.5 * ((n - 1) * frames + k) for k in range(frames)]
            planes = tuple(Plane(position=(*self.origin, h)) for h in heights)
            part = Part(uid=f"5.{picture}", number=n, total=total)
            self.change([one], frames=frames, planes=planes, part=part, position=None)
            for k, height in enumerate(heights, start=1):
                self.study.picture[one.sop_uid, k] = picture
                self.study.counts[one.sop_uid, k] = height
        self.study.lost |= len(came) < total

    # ------------------------------------------------------------ what goes wrong

    def forget(self, one: InstanceFacts) -> None:
        """This slice never came."""
        self.study.instances = [other for other in self.study.instances if other.sop_uid != one.sop_uid]
        self.study.counts.pop((one.sop_uid, 0), None)

    def lose_some(self) -> None:
        """Files that never came, out of any series."""
        for one in self.draw.sample(self.study.instances, min(3, len(self.study.instances) - 1)):
            if one.part is None:
                self.forget(one)


def _said(**values: str) -> tuple[str, ...]:
    return tuple(values.get(name, "") for name in APART)
