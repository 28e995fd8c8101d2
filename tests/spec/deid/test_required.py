"""Chapter: what an item must have it still has: emptied or replaced by a dummy, as PS3.15 says, never taken out."""

from __future__ import annotations

import struct

import pytest
from pydicom import config
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian

from readfirst.domain.deid import load_profile
from readfirst.domain.deid.dicom.standard_tables import types_of
from readfirst.domain.pseudonyms import Pseudonyms
from tests.spec.deid.conftest import Clean, Cleaner, attempt, file_of

TYPES = types_of("1.2.840.10008.5.1.4.1.1.2")
LETTERS = b"quillfeather 48213077 "  # of a known name and number: no value of these bytes may stay
# An icon's picture goes with the icon. A character set that is none goes, and the default is meant.
NOT_MEANT = frozenset((0x7FE0_0010, 0x0008_0005))
NUMBERS = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "SV": 8, "UV": 8}


def naming(tag: int) -> DataElement:
    """An element with a value that names the patient, as far as its VR can."""
    vr = str(dictionary_VR(tag)).split(" or ", maxsplit=1)[0]
    with config.disable_value_validation():
        if vr in NUMBERS:
            raw = (LETTERS * 8)[: 4 * NUMBERS[vr]]
            form = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "SV": "q", "UV": "Q"}[vr]
            return DataElement(tag, vr, list(struct.unpack(f"<4{form}", raw)))
        value: object = {
            "SQ": Sequence([Dataset()]), "UI": "1.2.826.0.1.3680043.9.77", "DS": "48213077", "IS": "48213077",
            "DA": "19510423", "TM": "quill", "DT": "19510423", "AS": "quill", "AT": 48213077, "PN": "Quillfeather^Zoe",
            "CS": "QUILLFEATHER", "AE": "QUILLFEATHER", "UR": "http://x/quillfeather",
        }.get(vr, LETTERS if vr[0] == "O" or vr == "UN" else "Quillfeather")  # fmt: skip
        return DataElement(tag, vr, value)


def every_item() -> Dataset:
    """A sequence of each kind in the standard, with one item that has all that it must have."""
    ds = Dataset()
    for parent, types in TYPES.items.items():
        if parent >> 16 < 8:
            continue  # of directories
        item = Dataset()
        for tag, kind in types.items():
            if kind in ("1", "2") and tag not in NOT_MEANT:
                item.add(naming(tag))
        ds[parent] = DataElement(Tag(parent), "SQ", Sequence([item]))
    return ds


@pytest.mark.parametrize("profile", ["triage-default", "strict"])
def test_no_item_of_the_standard_loses_what_it_must_have(ct: Dataset, names: Pseudonyms, profile: str) -> None:
    """Every attribute of type 1 or 2 in every sequence of PS3.3, with a value that has to go."""
    ct.PatientName, ct.PatientID = "Quillfeather^Zoe", "48213077"
    ct.update({tag: element for tag, element in every_item().items() if tag not in ct})
    ready = load_profile(profile)
    options = ready.options.model_copy(update={"visual_features": "allow"})
    done = attempt(file_of(ct), names, ready.model_copy(update={"options": options}))
    assert isinstance(done, Clean)
    assert not any(letters in done.content.lower() for letters in (b"quillfeather", b"48213077"))
    lost, empty, seen = [], [], 0
    for parent, types in TYPES.items.items():
        for item in done.ds[parent].value if parent in done.ds else ():
            for tag, kind in types.items():
                if kind not in ("1", "2") or tag in NOT_MEANT:
                    continue
                where, seen = f"{keyword_for_tag(parent)}/{keyword_for_tag(tag)}", seen + 1
                if tag not in item:
                    lost.append(where)
                elif kind == "1" and not item[tag].value and item[tag].VM == 0 and item[tag].VR != "SQ":
                    empty.append(where)
    assert seen > 1000
    assert (lost, empty) == ([], [])


@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
@pytest.mark.parametrize("vr", ["OW", "US"])
def test_a_table_made_of_letters_is_a_dummy_of_as_many_entries(
    ct: Dataset, clean: Cleaner, keyword: str, vr: str
) -> None:
    """A shorter one would end before the entries that LUT Descriptor counts."""
    ct.PatientName = "Quillfeather^Zoe"
    item = Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [16, 0, 16], "HU"
    raw = LETTERS.ljust(32)[:32]
    item.add_new(0x0028_3006, vr, raw if vr == "OW" else list(struct.unpack("<16H", raw)))
    setattr(ct, keyword, [item])
    table = clean(ct).ds[keyword].value[0]
    assert list(table.LUTDescriptor) == [16, 0, 16]
    words = struct.unpack("<16H", table.LUTData) if isinstance(table.LUTData, bytes) else tuple(table.LUTData)
    assert words == (*[0] * 15, max(struct.unpack("<16H", raw)))


def test_a_table_of_numbers_stays(ct: Dataset, clean: Cleaner) -> None:
    item = Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [16, 0, 16], "HU"
    item.add_new(0x0028_3006, "OW", struct.pack("<16H", *range(0, 65536, 4096)))
    ct.ModalityLUTSequence = [item]
    assert clean(ct).ds.ModalityLUTSequence[0].LUTData == item.LUTData


def test_a_dummy_has_as_many_numbers_as_the_attribute_wants(ct: Dataset, clean: Cleaner) -> None:
    ct.PatientID = "48213077"
    measures = Dataset()
    measures.add_new(0x0028_0030, "DS", ["48213077", "0.5"])
    ct.SharedFunctionalGroupsSequence = [Dataset()]
    ct.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = [measures]
    assert ct.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    kept = clean(ct).ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    assert list(kept) == [0, 0]


@pytest.mark.parametrize("value", ["48213077", "12,5"])
def test_a_measured_number_that_cannot_stay_is_no_value_and_never_zero(ct: Dataset, clean: Cleaner, value: str) -> None:
    """A dummy would be a finding that nobody made; no item means that no value is known."""
    ct.PatientID = "48213077"
    item, number = Dataset(), Dataset()
    number.add_new(0x0040_A30A, "LO", value)  # the engine reads it as what the standard says, DS
    item.ValueType, item.MeasuredValueSequence = "NUM", [number]
    other = Dataset()
    other.ValueType, other.MeasuredValueSequence = "NUM", [Dataset()]
    other.MeasuredValueSequence[0].NumericValue = "12.5"
    ct.AcquisitionContextSequence = [item, other]
    first, second = clean(ct).ds.AcquisitionContextSequence
    assert "MeasuredValueSequence" in first and not first.MeasuredValueSequence
    assert second.MeasuredValueSequence[0].NumericValue == 12.5
