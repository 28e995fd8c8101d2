"""Chapter: what the header knows is found in the forms that fields, systems and typists make of it."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from readfirst.domain.deid import KnownIdentifiers
from readfirst.domain.deid.text.scrubber import Scrubber
from tests.spec.deid.conftest import Cleaner


def scrubbed(text: str, **known: str) -> str:
    return Scrubber(KnownIdentifiers(**{kind: frozenset((value,)) for kind, value in known.items()})).scrub(text)


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("Quillfeather^Oswina", "CT Chest Quillfe", "CT Chest ***"),
        ("Quillfeather^Oswina", "MR Knee left Quillf", "MR Knee left ***"),
        ("Quillfeather^Oswina", "LUNG QUILLFEATHE", "LUNG ***"),
        ("Quillfeather^Oswina", "QUILLFEA_LUNG", "***_LUNG"),
        ("Quillfeather^Oswina", "Quillfe\\Thorax", "***\\Thorax"),
        ("Quillfeather^Oswina", "plan oquillf 2", "plan *** 2"),
        ("Quillfeather^Oswina", "QUILLFEO 5x10", "*** 5x10"),
        ("Quillfeather^Oswina", "QUILL_OSW boost", "*** boost"),
        ("Quillfeather^Oswina", "osw.quil", "***"),
        ("van der Berg^Jan", "Vanderberg CT", "*** CT"),
        ("van der Berg^Jan", "VDBERG CT", "*** CT"),
        ("De La Cruz^Ana", "DELACRUZ CT", "*** CT"),
        ("Abd el Rahman^Ali", "abdelrahman ct", "*** ct"),
        ("Smith-Jones^Ada", "SMITHJONES CT", "*** CT"),
        ("Kowal^Anna Maria", "annamaria, ct", "***, ct"),
        ("Greenwood^Ann", "Green-wood chest", "*** chest"),
        ("Blackwell^Ann", "BLACK WELL CT", "*** CT"),
        ("王^芳", "王先生 胸部CT", "***先生 胸部CT"),
        ("Wang^Fang=王^芳", "患者王 胸部", "患者*** 胸部"),
        ("林^誠", "林さん", "***さん"),
        ("渡辺^健太郎", "胸部 渡辺健太", "胸部 ***"),
        ("남궁^영희", "CT 남궁영", "CT ***"),
        ("จันทร์โอชา^สมหญิง", "CT จันทร์โอ", "CT ***"),
    ],
)
def test_a_name_is_found_cut_run_together_and_apart(name: str, text: str, left: str) -> None:
    assert scrubbed(text, names=name) == left


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Contreras^Ann", "T1 TSE sagittal Contr"),
        ("Contreras^Ann", "Contrast phase"),
        ("Underhill^Kim", "spread under hill"),
        ("Whitehead^Ann", "white head coil"),
        ("Longfield^Ann", "long field of view"),
        ("van der Berg^Jan", "under the diaphragm"),
        ("王^芳", "王冠 胸部"),
        ("Thoracek^Jan", "CT thoracic spine"),
        ("Spinelli^Eva", "MR cervical spine"),
    ],
)
def test_what_only_begins_like_a_name_stays(name: str, text: str) -> None:
    assert scrubbed(text, names=name) == text


@pytest.mark.parametrize(
    ("number", "text", "left"),
    [
        ("123", "CT chest (123)", "CT chest (***)"),
        ("00004711", "CT 4711 Thorax", "CT *** Thorax"),
        ("004711", "CT 4711_2", "CT ***_2"),
        ("42", "ID 42", "ID ***"),
        ("0042", "CT #42", "CT #***"),
        ("4801177", "CT chest 48011", "CT chest ***"),
        ("4801177", "CT ID48011", "CT ID***"),
        ("QF4801177", "CT Abdomen QF480", "CT Abdomen ***"),
    ],
)
def test_a_number_is_found_short_without_zeros_and_cut(number: str, text: str, left: str) -> None:
    assert scrubbed(text, ids=number) == left


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("120", "120 kV"),
        ("512", "512x512"),
        ("123", "1.123 mm"),
        ("42", "42 slices"),
        ("42", "Series 42"),
        ("300", "TE 2/300"),
    ],
)
def test_a_measure_is_not_a_short_number(number: str, text: str) -> None:
    assert scrubbed(text, ids=number) == text


@pytest.mark.parametrize(
    "day",
    [
        "23.4.51",
        "4/23/51",
        "51/4/23",
        "23-IV-1951",
        "23 iv 51",
        "IV/23/1951",
        "1951/4/23",
        "23. 4. 1951",
        "23_4_51",
        "23.4.",
    ],
)
def test_a_known_day_is_found_as_people_write_it(day: str) -> None:
    assert scrubbed(f"CT {day}", dates="19510423") == "CT ***"


@pytest.mark.parametrize("text", ["23.4 mm", "4.51 ml", "1.23.4", "L4/5", "23/4"])
def test_numbers_like_parts_of_a_known_day_stay(text: str) -> None:
    assert scrubbed(text, dates="19510423") == text


def test_the_beginning_of_a_place_is_found_at_the_end() -> None:
    assert scrubbed("seen at Hilltop Imaging Cen", phrases="Hilltop Imaging Center") == "seen at ***"


def test_a_short_number_in_a_code_stays_a_code(ct: Dataset, clean: Cleaner) -> None:
    region = Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "123", "99HILL", "Chest"
    ct.AnatomicRegionSequence, ct.PatientID = [region], "123"
    assert clean(ct).ds.AnatomicRegionSequence[0].CodeValue == "123"
