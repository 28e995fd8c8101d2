"""Chapter: properties over generated data sets. Whoever the person is and wherever the name hides, it does not leak."""

from __future__ import annotations

import io

import pydicom
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from benchmarks.planted_identifiers import base, person, residuals
from readfirst.domain.deid.text.lexicon import (
    ABBREVIATIONS,
    COMMON,
    PARTICLES,
    PLACEHOLDERS,
    TITLES,
    dicom_words,
    lexicon,
)
from readfirst.domain.pseudonyms import Pseudonyms
from tests.spec.deid.conftest import ROOT, Clean, attempt

NAMES = Pseudonyms(ROOT, "hilltop")
TEXTS = ("LO", "SH", "ST", "LT", "UT", "PN")
ATTRIBUTES = [t for t, e in DicomDictionary.items() if e[0] in TEXTS and t >> 16 >= 8 and t >> 16 not in (0x28, 0x5400)]
SEQUENCES = [t for t, e in DicomDictionary.items() if e[0] == "SQ" and t >> 16 >= 8]
WORDS = ABBREVIATIONS | COMMON | PARTICLES | PLACEHOLDERS | TITLES | dicom_words()
LETTERS = st.one_of(
    st.text("abcdefghijklmnopqrstuvwxyz", min_size=4, max_size=12),
    st.text("абвгдежзиклмнопрстуфхцчшэюя", min_size=4, max_size=12),
    st.text("αβγδεζηθικλμνξοπρστυφχψω", min_size=4, max_size=12),
    st.text("äöüéèçñøåabcdefg", min_size=4, max_size=12),
    st.text("山田太郎小林佐藤鈴木王李张伟", min_size=2, max_size=4),
)
# How a text writes a name.
SPELLINGS = st.sampled_from(("{}", "seen: {}", "{} again", "({})", "pt_{}_01", "x {}, y", "{}.", "A/{}/B"))


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=LETTERS,
    tags=st.lists(st.sampled_from(ATTRIBUTES), min_size=1, max_size=6, unique=True),
    path=st.lists(st.sampled_from(SEQUENCES), max_size=4),
    spelling=SPELLINGS,
    upper=st.booleans(),
)
def test_a_name_does_not_leak(name: str, tags: list[int], path: list[int], spelling: str, upper: bool) -> None:
    assume(name not in WORDS and name not in lexicon())
    written = spelling.format(name.upper() if upper else name.capitalize())
    inner = Dataset()
    with pydicom.config.disable_value_validation():
        for tag in tags:
            value = written.replace("/", "-")[:64] if dictionary_VR(tag) != "SH" else written[:16]
            assume(name.casefold() in value.casefold())
            inner[Tag(tag)] = DataElement(Tag(tag), dictionary_VR(tag), value)
        for tag in path:
            outer = Dataset()
            outer[Tag(tag)] = DataElement(Tag(tag), "SQ", Sequence([inner]))
            inner = outer
        ds = base(person(5))
        ds.SpecificCharacterSet = "ISO_IR 192"
        for element in inner:
            if element.tag not in ds:
                ds[element.tag] = element
        ds.PatientName = f"{name}^Other"
        out = io.BytesIO()
        ds.save_as(out, enforce_file_format=True)
    done = attempt(out.getvalue(), NAMES)
    if isinstance(done, Clean):  # a residue that was seen is a refusal, never a leak
        assert residuals(done.content, (name.casefold(),)) == []
        assert attempt(out.getvalue(), NAMES).content == done.content  # type: ignore[union-attr]
