"""Chapter: a word of the trade that is somebody's name stays where nobody can stand, and goes where somebody does."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from readfirst.domain.deid import KnownIdentifiers
from readfirst.domain.deid.text.scrubber import Scrubber
from tests.spec.deid.conftest import Cleaner


def scrubbed(name: str, text: str) -> str:
    return Scrubber(KnownIdentifiers(names=frozenset((name,)))).scrub(text)


@pytest.mark.parametrize(
    ("who", "name", "keyword", "value"),
    [
        ("PatientName", "Phillips^Ann", "Manufacturer", "Philips Medical Systems"),
        ("PatientName", "Phillips^Ann", "Manufacturer", "Philips Medical Systems DMC GmbH Hamburg"),
        ("PatientName", "Siemens^Ann", "Manufacturer", "SIEMENS"),
        ("OperatorsName", "STANDARD", "ConvolutionKernel", "STANDARD"),
        ("PatientName", "Sharp^Ann", "ConvolutionKernel", "SHARP"),
        ("ReferringPhysicianName", "Wedge^Tom", "FilterType", "WEDGE"),
        ("PatientName", "Force^Ann", "ManufacturerModelName", "SOMATOM Force"),
        ("PatientName", "Neck^Ann", "ReceiveCoilName", "HeadNeck_20"),
        ("PatientName", "Lead^Ann", "GridAbsorbingMaterial", "LEAD"),
        ("PatientName", "Iodine^Ann", "Radiopharmaceutical", "Iodine I-131"),
    ],
)
def test_an_attribute_of_a_machine_keeps_its_own_words(
    ct: Dataset, clean: Cleaner, who: str, name: str, keyword: str, value: str
) -> None:
    setattr(ct, who, name)
    setattr(ct, keyword, value)
    assert clean(ct).ds.get(keyword) == value


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("Manufacturer", "Quillfeather Imaging"),
        ("ManufacturerModelName", "CT of Quillfeather"),
        ("Manufacturer", "Philips, Quillfeather Oswina"),
        ("ConvolutionKernel", "QUILLFEATHER"),
        ("SequenceName", "mrn48213"),
    ],
)
def test_whoever_is_written_among_them_is_found(ct: Dataset, clean: Cleaner, keyword: str, value: str) -> None:
    setattr(ct, keyword, value)
    shown = str(clean(ct).ds.get(keyword, "")).lower()
    assert "quillfeather" not in shown
    assert "48213" not in shown


def test_a_place_called_after_a_maker_does_not_take_the_makers_name_away(ct: Dataset, clean: Cleaner) -> None:
    ct.StationName, ct.InstitutionName = "PHILIPS-CT1", "Radiologie Klinikum Hilltop"
    ct.Manufacturer, ct.SeriesDescription = "Philips", "Radiologie Thorax"
    ds = clean(ct).ds
    assert (ds.Manufacturer, ds.SeriesDescription) == ("Philips", "Radiologie Thorax")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Colon^Maria", "CT Colon with contrast"),
        ("Ray^Anna", "X-Ray chest"),
        ("Root^Eli", "Nerve Root Injection L5"),
        ("Base^Tom", "Skull Base"),
        ("Arch^Lee", "Aortic Arch"),
        ("Temple^Jo", "Left Temple"),
        ("Lead^Jo", "Pacemaker Lead in place"),
        ("Coil^Jo", "Body Coil in use"),
        ("Tube^Jo", "NG Tube position"),
        ("Kopf^Hans", "CT Kopf/Hals"),
        ("Hals^Frans", "CT Hals mit KM"),
        ("Schuler^Jo", "Schulter rechts"),
        ("Main^Paul", "Main gauche"),
        ("Cabeza^Jo", "TC Cabeza"),
        ("Marrow^Jo", "Bone Marrow edema"),
        ("Chamber^Jo", "4 Chamber View"),
        ("Gray^Jo", "50 Gray in 25 fractions"),
        ("Foley^Jo", "Foley catheter"),
        ("Henle^Jo", "loop of Henle"),
        ("Willis^Jo", "Circle of Willis"),
        ("Hess^Jo", "Hunt and Hess 2"),
        ("Spetzler^Jo", "Spetzler-Martin grade III"),
        ("Weber^Jo", "Weber B fracture"),
        ("Dixon^Jo", "T1 Dixon"),
    ],
)
def test_a_description_keeps_the_words_of_the_trade(name: str, text: str) -> None:
    assert scrubbed(name, text) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Colon^Maria", "Colon, Maria: cough"),
        ("Colon^Maria", "seen by Dr Colon"),
        ("Colon^Maria", "COLON MARIA CT"),
        ("Colon^Maria", "M. Colon"),
        ("Temple^Rose", "Rose Temple"),
        ("Root^Eli", "called Root about it"),
        ("Base^Tom", "discussed with Base on the ward"),
        ("Temple^Jo", "patient Temple"),
        ("Kopf^Hans", "Herr Kopf, CT Hals"),
        ("Hals^Frans", "FRANS HALS CT"),
        ("Ray^Anna", "report for Ray"),
        ("Hunt^Kim", "seen with Hunt on the ward"),
        ("Martin^Jo", "MARTIN CT CHEST"),
        ("Foot^Ben", "Ben Foot, knee"),
    ],
)
def test_the_same_words_go_where_a_person_is_meant(name: str, text: str) -> None:
    assert name.split("^", maxsplit=1)[0].lower() not in scrubbed(name, text).lower()


def test_a_modality_is_not_a_title() -> None:
    assert scrubbed("Quillfeather^Oswina", "MR Knee left") == "MR Knee left"
    assert "Knee" not in scrubbed("Quillfeather^Oswina", "Mr Knee called")
