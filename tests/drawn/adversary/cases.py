"""One drawn case: a file of any kind with a person hidden in it, and what it was before that."""

from __future__ import annotations

import copy
import io
import random
from dataclasses import dataclass

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tests.drawn.adversary.objects import KINDS
from tests.drawn.adversary.people import Somebody, somebody, text_about
from tests.drawn.adversary.places import PLACES, nested, spelled_bytes

_PLAIN = (ExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian,
          ExplicitVRBigEndian)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A file: what was drawn, whom it hides, the object before anything was hidden in it, and its bytes."""

    seed: int
    what: str
    one: Somebody
    text: str
    before: Dataset
    content: bytes


def file_of(ds: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The data set as a file of this transfer syntax."""
    out = io.BytesIO()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def draw(seed: int, kind: str = "") -> Case:
    """A case. One to three places of the data set hide a form of an identifier each, and perhaps the file around it."""
    rng = random.Random(f"adversary-{seed}")
    one = somebody(rng)
    kind = kind or rng.choice(sorted(KINDS))
    with config.disable_value_validation():
        before = KINDS[kind](one, rng)
        ds, notes, texts = copy.deepcopy(before), [], []
        if rng.random() < 0.3 and kind != "RTDOSE":
            ds.SpecificCharacterSet = "ISO_IR 192"
        for place in rng.sample(sorted(PLACES), rng.choice((1, 1, 2, 3))):
            form, text = text_about(one, rng)
            nested(ds, PLACES[place](one, text, rng), rng)
            notes.append(f"{place} ({form})")
            texts.append(text)
        syntax = rng.choice(_PLAIN)
        if syntax == ExplicitVRBigEndian and (
            {"numbers", "pictures", "safe private", "containers"} & set(PLACES) or kind == "ECG"
        ):
            syntax = ExplicitVRLittleEndian if rng.random() < 0.8 or not _swappable(ds) else syntax
        content = _around(file_of(ds, syntax), ds, one, rng, notes)
    return Case(seed, f"{kind}, {syntax.name}: {'; '.join(notes)}", one, " | ".join(texts), before, content)


def _swappable(ds: Dataset) -> bool:
    """Whether pydicom can write it in big endian: it does not swap numbers that it holds as bytes."""
    return not any(e.VR in ("OW", "OL", "OF", "OD", "OV") and e.value for e in ds.iterall())


def _around(content: bytes, ds: Dataset, one: Somebody, rng: random.Random, notes: list[str]) -> bytes:
    """Perhaps hides the person in what lies around the data set: preamble, file meta information, bytes behind it."""
    raw, where = spelled_bytes(one, rng), rng.randrange(10)
    syntax = ds.file_meta.TransferSyntaxUID
    if where == 0:
        notes.append("preamble")
        return raw.ljust(128, b"\0")[:128] + content[128:]
    if where == 1 and syntax != DeflatedExplicitVRLittleEndian:
        notes.append("padding at the end")
        ds.add_new(0xFFFC_FFFC, "OB", raw)
        return file_of(ds, syntax)
    if where == 2:
        notes.append("file meta information")
        ds.file_meta.SourceApplicationEntityTitle = one.who.number[:16]
        ds.file_meta.PrivateInformationCreatorUID, ds.file_meta.PrivateInformation = UID(f"{one.root}.8"), raw
        return file_of(ds, syntax)
    return content
