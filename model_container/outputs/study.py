"""What every result object shares: the clean study's identity, dates and UIDs, and the model that made it.

All of them carry the identity of the clean study (its tokens), dates of the clean study and never the clock's, the
model's name, version and digest, and the sentence that the model is synthetic. Their UIDs derive from the run key, so
the same work gives the same objects.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as Concept
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage
from pydicom.valuerep import format_number_as_ds

from model_container.engines.engine import Detection
from model_container.images.volume import Volume
from readfirst.domain.analysis.findings import Code, Finding
from readfirst.domain.analysis.messages import AnalysisRequest
from readfirst.domain.analysis.models import Manifest
from readfirst.domain.instance_facts import FUNCTIONAL_GROUPS

MANUFACTURER = "Readfirst"


SERIES = {"seg": 9101, "sr": 9102, "sc": 9103}


_OF_FRAMES = (*FUNCTIONAL_GROUPS, Tag("NumberOfFrames"), Tag("SOPClassUID"))


OF_RADIOGRAPHS = ("PatientOrientation", "ImagerPixelSpacing")  # without which none can be described (TID 1603)


DATES = ("SeriesDate", "StudyDate", "AcquisitionDate", "ContentDate")


_TYPE_2 = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
           "AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator")  # fmt: skip


ZONE = re.compile(r"[+-]\d{4}")


@dataclass(frozen=True)
class Study:
    """What all outputs of one analysis need."""

    order: AnalysisRequest
    manifest: Manifest
    volume: Volume
    detections: Sequence[Detection]
    findings: Sequence[Finding]
    risk: float

    def uid(self, *parts: str) -> str:
        """A UID that this analysis always gives to the same thing."""
        text = "|".join([self.order.token, self.order.run_key, *parts])
        return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"

    @property
    def placed(self) -> list[tuple[Detection, Finding]]:
        """The findings that have a place; in this order they are the segments, from 1."""
        return [(d, f) for d, f in zip(self.detections, self.findings, strict=True) if d.mask is not None]

    @property
    def part(self) -> str:
        """How much of the study was read, where it was not all."""
        if self.order.accounting:
            return self.order.accounting.part
        read = len(self.order.instances)
        return f"{read} of {read + self.order.missing} slices" if self.order.missing else ""

    @property
    def sources(self) -> list[Dataset]:
        """The headers of the analysed instances, each once."""
        unique = {str(header.SOPInstanceUID): header for header in self.volume.headers}
        return list(unique.values())

    def slice_header(self, k: int) -> Dataset:
        """The header of slice k; that of an enhanced file's frame as if the frame were a plain file: `_encoded` sets
        right what then names it."""
        header = self.volume.headers[k]
        if not self.volume.frames[k]:
            return header
        plain = Dataset()
        plain.update({e.tag: e for e in header if e.tag not in _OF_FRAMES})
        plain.file_meta = header.file_meta
        plain.SOPClassUID = CTImageStorage
        plain.ImagePositionPatient = [float(v) for v in self.volume.positions[k]]
        plain.ImageOrientationPatient = [*self.volume.along_columns.tolist(), *self.volume.along_rows.tolist()]
        plain.PixelSpacing, plain.SliceThickness = list(self.volume.pixel), self.volume.spacing
        return plain

    def complete(self) -> None:
        """Fills in what results must state and the images may lack: type 2 attributes, and a frame of reference.
        Results are in UTF-8, whatever the images are in: they hold the manifest's words as well, and the writer takes
        no set of characters that is extended by others, as files from Japan and Korea have it."""
        _set_right(self.sources[0])
        for header in self.sources:
            for keyword in _TYPE_2:
                if keyword not in header:
                    setattr(header, keyword, None)
            if self.volume.flat:
                continue
            if not header.get("FrameOfReferenceUID"):
                header.FrameOfReferenceUID = self.uid("frame of reference")
            if len(self.volume.hu) > 1:  # some headers state another step than the one between the slices
                header.SpacingBetweenSlices = format_number_as_ds(round(self.volume.spacing, 6))


def _set_right(header: Dataset) -> None:
    """UTF-8, and no values that the standard does not know, which some sites write."""
    if header.get("SpecificCharacterSet") != "ISO_IR 192":
        header.decode()
        header.SpecificCharacterSet = "ISO_IR 192"
    for keyword, known in (("PatientSex", "[MFO]"), ("PatientAge", "[0-9]{3}[DWMY]")):
        if not re.fullmatch(known, str(header.get(keyword) or "")):
            header.pop(keyword, None)


def software(manifest: Manifest) -> str:
    return f"{manifest.version} {manifest.digest[:16]}"


def concept(code: Code) -> Concept:
    return Concept(code.value, code.scheme, code.meaning)
