"""Which models may run, on what, and what their answers mean: the manifest beside every bundle.

An approval is a commit: `approved_models.json` is part of the package, so the intake app and the GPU job hold the
same list, and a model that is not in it cannot be asked for and does not run.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter, field_validator, model_validator

from readfirst.domain.analysis.findings import SYNTHETIC, Code, ModelIdentity, Part
from readfirst.domain.instance_facts import PROJECTIONS

UNKNOWN_VIEW = "UNKNOWN"  # in a gate's views: also pictures that do not say which view they are
_CHEST, _FRONTAL_VIEWS = {"CHEST", "THORAX", "TORAX", "LUNG"}, ("PA", "AP")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RelativePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$")]


Word = Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9_ ]{0,15}$")]  # as DICOM writes such values (VR CS)
Share = Annotated[float, Field(ge=0, le=1)]
_ONE_LINE = r"^[^\\\x00-\x1f]+$"  # goes into DICOM results: one line, and no backslash, which parts values there
_SCHEMES = r"^(SCT|DCM|LN|RADLEX|FMA|UMLS|NCIt|I10|99[A-Z0-9_]{1,14})$"  # PS3.16, table 8-1, and private


class Gate(Part):
    """What a model may be given. Lengths in mm, ages in years; what lies outside is refused with a reason."""

    modalities: Annotated[tuple[Word, ...], Field(min_length=1)]
    body_parts: Annotated[tuple[Word, ...], Field(min_length=1)]  # BodyPartExamined; without one the pixels decide
    min_age: int = 0
    max_age: int = 130
    min_slices: int = 1
    min_coverage: float = 0.0
    max_spacing: float = 1000.0
    max_pixel: float = 1000.0
    min_pixels: int = 16  # rows and columns
    views: tuple[Word, ...] = ()  # of radiographs: ViewPosition, best first; none named: frontal for chests, else any

    @property
    def projection(self) -> bool:
        """Whether the model reads single radiographs, and no stacks of slices."""
        return set(self.modalities) <= PROJECTIONS

    @property
    def wanted_views(self) -> tuple[str, ...]:
        """The views that the model reads, the best first; none: any."""
        return self.views or (_FRONTAL_VIEWS if _CHEST & set(self.body_parts) else ())

    @model_validator(mode="after")
    def _of_one_kind(self) -> Gate:
        if not self.projection and set(self.modalities) & PROJECTIONS:
            raise ValueError("a gate admits radiographs or stacks of slices, not both")
        if self.views and not self.projection:
            raise ValueError("views are for radiographs")
        if self.projection and (self.min_slices > 1 or self.min_coverage):
            raise ValueError("a radiograph is one picture and covers no length")
        return self


_VERHOEFF = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)  # how a digit changes with its place


class Channel(Part):
    """What one output channel (or detection label) of the network means."""

    index: Annotated[int, Field(ge=0)]
    kind: Annotated[str, Field(pattern=_ONE_LINE, max_length=48)]  # for example "lung-nodule"
    concept: Code
    category: Literal[1, 2, 3]  # ACR actionable finding: minutes, hours, days
    site: Code | None = None  # where findings of this kind lie
    target: bool = True  # a finding to report; False: an organ that the gate or the picture uses

    @field_validator("concept", "site")
    @classmethod
    def _is_a_concept(cls, code: Code | None) -> Code | None:
        if code and (wrong := wrong_with(code)):
            raise ValueError(wrong)
        return code


class RiskRule(Part):
    """When a study is high risk: one finding of at least this probability and size."""

    min_probability: Share
    min_diameter_mm: Annotated[float, Field(ge=0)] = 0.0
    report_from: Share = 0.5  # findings less probable than this are not reported
    text: str  # for people

    def met_by(self, probability: float, diameter_mm: float) -> bool:
        """Whether a finding of this probability and diameter makes the study high risk."""
        return probability >= self.min_probability and diameter_mm >= self.min_diameter_mm


def wrong_with(code: Code) -> str:
    """What is wrong with a coded concept, as far as its form shows; empty if nothing is."""
    if not re.fullmatch(_SCHEMES, code.scheme):
        return f"{code.scheme} is not a coding scheme that DICOM knows; private ones begin with 99"
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,16}", code.value):
        return f"{code.value} is not a code value: up to 16 letters and digits"
    if code.scheme == "SCT" and not _is_sctid(code.value):
        return f"{code.value} is not a SNOMED CT identifier: its check digit is wrong"
    if len(code.meaning) > 64 or not re.fullmatch(_ONE_LINE, code.meaning):
        return "a code's meaning is one line of up to 64 characters"
    return ""


def _is_sctid(value: str) -> bool:
    """Whether the last of 6 to 18 digits is right by Verhoeff's scheme, in the dihedral group of ten (0-4 turn, 5-9
    mirror); identifiers of SNOMED's first form (letters) are none."""
    if not re.fullmatch(r"[1-9][0-9]{5,17}", value):
        return False
    check = 0
    for place, digit in enumerate(int(d) for d in reversed(value)):
        for _ in range(place % 8):
            digit = _VERHOEFF[digit]
        turn = digit % 5 if check < 5 else -(digit % 5)
        check = (check + turn) % 5 + 5 * ((check >= 5) != (digit >= 5))
    return check == 0


class Manifest(Part):
    """A model that can be approved: its files, its purpose, its limits and the meaning of its outputs."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,31}$")]
    title: str
    engine: Literal["onnx-chest", "monai-bundle"]
    task: Literal["segmentation", "detection", "classification"]
    settings: dict[str, JsonValue] = Field(
        default_factory=dict
    )  # of a bundle's configuration: what replaces its own, by id
    pictures: tuple[float, float] | None = None  # a network of pictures gets each slice in this window (centre, width)
    intended_use: Literal["triage", "detection"]
    patience_minutes: Annotated[float, Field(gt=0)] = 15.0  # how long a bundle may take for one study
    disclaimer: Annotated[str, Field(pattern=_ONE_LINE, max_length=46)] = SYNTHETIC
    files: dict[RelativePath, Sha256]
    channels: tuple[Channel, ...]
    gate: Gate
    risk: RiskRule

    @model_validator(mode="after")
    def _complete(self) -> Manifest:
        if not self.files:
            raise ValueError("a manifest names the model's files")
        if not any(channel.target for channel in self.channels):
            raise ValueError("a manifest has at least one channel that is a finding")
        for what in ("index", "kind"):
            if len({getattr(channel, what) for channel in self.channels}) != len(self.channels):
                raise ValueError(f"two channels have the same {what}")
        if self.engine != "monai-bundle" and (self.settings or self.pictures or self.task == "classification"):
            raise ValueError("settings, pictures and the task classification are for MONAI bundles")
        if self.pictures and self.task != "classification":
            raise ValueError("pictures are for the task classification: they have no place in a volume")
        if self.gate.projection and self.task != "classification":
            raise ValueError("a model of radiographs classifies: segments and boxes need a volume")
        if self.task == "classification" and self.risk.min_diameter_mm:
            raise ValueError("a class has no diameter: the risk rule must not ask for one")
        return self

    @property
    def digest(self) -> str:
        """sha256, hex, of the canonical manifest; it holds every file's digest, so it names the whole model."""
        fields = type(self).model_fields
        unset = {  # older digests had none of these
            name for name in ("settings", "pictures", "patience_minutes")
            if getattr(self, name) == fields[name].get_default(call_default_factory=True)
        }  # fmt: skip
        facts = self.model_dump(mode="json", exclude=unset)
        if not self.gate.views:
            del facts["gate"]["views"]
        canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def identity(self) -> ModelIdentity:
        """How results name this model."""
        return ModelIdentity(
            name=self.name,
            version=self.version,
            digest=self.digest,
            intended_use=self.intended_use,
            disclaimer=self.disclaimer,
        )

    @property
    def targets(self) -> tuple[Channel, ...]:
        """The channels that are findings."""
        return tuple(channel for channel in self.channels if channel.target)


_MANIFESTS = TypeAdapter(tuple[Manifest, ...])


def parse_approved(text: str | bytes) -> tuple[Manifest, ...]:
    """Reads a list of approved manifests; raises ValueError when two of them have one name and version."""
    manifests = _MANIFESTS.validate_json(text)
    if len({(m.name, m.version) for m in manifests}) != len(manifests):
        raise ValueError("two approved models have the same name and version")
    return manifests


@lru_cache(maxsize=1)
def approved() -> tuple[Manifest, ...]:
    """The models that may run; the first one is the default."""
    return parse_approved(resources.files(__package__).joinpath("approved_models.json").read_bytes())


@lru_cache(maxsize=1)
def in_image() -> frozenset[str]:
    """The digests of the models whose files are in the job's image, as `readfirst model approve` lists them."""
    text = resources.files(__package__).joinpath("image_models.json").read_bytes()
    return frozenset(TypeAdapter(tuple[Sha256, ...]).validate_json(text))


def default_model() -> Manifest:
    """The model that analyses a study when nobody asked for another."""
    return approved()[0]


def approved_by_digest(digest: str) -> Manifest | None:
    """The approved model with this digest, if there is one."""
    return next((manifest for manifest in approved() if manifest.digest == digest), None)
