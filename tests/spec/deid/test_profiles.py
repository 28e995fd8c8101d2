"""Chapter: every switch of a profile, from a profile file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from readfirst.domain.deid import load_profile
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Reason, Refused
from tests.spec.deid.conftest import Cleaner, attempt, file_of, profile_from


def codes(ds: Dataset) -> set[str]:
    return {item.CodeValue for item in ds.DeidentificationMethodCodeSequence}


@pytest.mark.parametrize(
    ("dates", "study", "moment", "time", "says", "code"),
    [
        ("none", "", None, "", "REMOVED", None),
        ("year", "20240101", "2024", "", "MODIFIED", None),
        ("full", "20240229", "20240229142301.250", "142205", "UNMODIFIED", "113106"),
    ],
)
def test_dates(
    ct: Dataset, clean: Cleaner, tmp_path: Path, dates: str, study: str, moment: str, time: str, says: str, code: str
) -> None:
    ds = clean(ct, profile=profile_from(tmp_path, dates=dates)).ds
    assert ds.StudyDate == study
    assert ds.get("AcquisitionDateTime") == moment
    assert ds.StudyTime == time
    assert ds.PatientBirthDate == ""
    assert ds.LongitudinalTemporalInformationModified == says
    assert codes(ds) >= ({code} if code else set())


def test_strict_keeps_the_year_as_safe_harbor_does_and_joins_all_ages_over_89(ct: Dataset, clean: Cleaner) -> None:
    ct.PatientBirthDate = "19300101"
    ds = clean(ct, profile="strict").ds
    assert (ds.StudyDate, ds.get("SeriesDate"), ds.StudyTime, ds.PatientAge) == ("20240101", "20240101", "", "090Y")
    assert "1930" not in str(ds)


@pytest.mark.parametrize(
    ("option", "keyword", "value", "code"),
    [
        ("patient_characteristics", "PatientSex", "F", "113108"),
        ("device_identity", "DeviceSerialNumber", "SN-4711", "113109"),
        ("institution_identity", "InstitutionName", "Hilltop Imaging", "113112"),
        ("uids", "StudyInstanceUID", "1.2.826.0.1.3680043.9.7.1.1", "113110"),
        ("descriptors", "SeriesDescription", "Thorax axial", "113105"),
    ],
)
def test_what_an_option_retains_is_there_with_it_and_gone_without(
    ct: Dataset, clean: Cleaner, tmp_path: Path, option: str, keyword: str, value: str, code: str
) -> None:
    ct.DeviceSerialNumber, ct.SeriesDescription = "SN-4711", "Thorax axial"
    kept = clean(ct, profile=profile_from(tmp_path, **{option: True})).ds
    gone = clean(ct, profile=profile_from(tmp_path, **{option: False})).ds
    assert (kept.get(keyword), code in codes(kept)) == (value, True)
    assert gone.get(keyword) != value
    assert code not in codes(gone)


def test_safe_private_attributes_stay_by_the_sites_list_and_its_veto_comes_first(
    ct: Dataset, clean: Cleaner, tmp_path: Path
) -> None:
    ct.add_new(0x00290010, "LO", "ACME DOSE")
    ct.add_new(0x00291001, "DS", "12.5")
    ct.add_new(0x00291002, "LO", "Quillfeather")
    text = """name = "site"
legal = "none"
[options]
safe_private = true
[[private.allow]]
creator = "ACME DOSE"
group = "0029"
element = "01"
"""
    path = tmp_path / "private.toml"
    path.write_text(text)
    ds = clean(ct, profile=load_profile(path)).ds
    assert ds[0x00291001].value == 12.5
    assert 0x00291002 not in ds
    path.write_text(text.replace("[[private", '[private]\ndeny_creators = ["ACME DOSE"]\n[[private'))
    assert 0x00291001 not in clean(ct, profile=load_profile(path)).ds


def report(ct: Dataset) -> Dataset:
    """A structured report about the patient."""
    ct.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    ct.Modality = "SR"
    del ct.PixelData
    items = []
    for code, meaning, kind, value in (
        ("121071", "Finding", "TEXT", "Nodule, told to Zubrowska on 2024-02-29"),
        ("121008", "Person Observer Name", "PNAME", "Zubrowska^Violetta"),
        ("121029", "Subject Name", "PNAME", "Quillfeather^Oswina"),
        ("111060", "Study Date", "DATE", "20240229"),
        ("121018", "Procedure Study Instance UID", "UIDREF", "1.2.826.0.1.3680043.9.7.1.1"),
    ):
        item, concept = Dataset(), Dataset()
        concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning = code, "DCM", meaning
        item.ValueType, item.ConceptNameCodeSequence, item.RelationshipType = kind, [concept], "CONTAINS"
        setattr(item, {"TEXT": "TextValue", "PNAME": "PersonName", "DATE": "Date", "UIDREF": "UID"}[kind], value)
        items.append(item)
    ct.ValueType, ct.ContentSequence = "CONTAINER", items
    return ct


@pytest.mark.parametrize("structured", [True, False])
def test_a_report_shows_nobody_with_or_without_its_content(
    ct: Dataset, clean: Cleaner, tmp_path: Path, structured: bool
) -> None:
    profile = profile_from(tmp_path, 'objects = "any"', structured_content=structured, descriptors=True)
    done = clean(report(ct), profile=profile)
    for secret in (b"Zubrowska", b"Violetta", b"Quillfeather", b"20240229", b"2024-02-29", b"3680043.9.7.1"):
        assert secret not in done.content
    assert ("113104" in codes(done.ds)) == structured


@pytest.mark.parametrize("content", [b"%PDF-1.7 Quillfeather", b"<ClinicalDocument>Quillfeather</ClinicalDocument>"])
def test_an_encapsulated_document_is_refused_or_taken_out(
    ct: Dataset, names: Pseudonyms, tmp_path: Path, content: bytes
) -> None:
    ct.SOPClassUID = EncapsulatedPDFStorage
    del ct.PixelData
    ct.DocumentTitle, ct.MIMETypeOfEncapsulatedDocument = "Letter about Quillfeather", "application/pdf"
    ct.EncapsulatedDocument = content + b" " * (len(content) & 1)
    refused = attempt(file_of(ct), names, profile=profile_from(tmp_path, 'objects = "any"'))
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.ENCAPSULATED
    taken = attempt(file_of(ct), names, profile=profile_from(tmp_path, 'objects = "any"\ndocuments = "remove"'))
    assert not isinstance(taken, Refused)
    assert b"Quillfeather" not in taken.content
    assert len(taken.ds.EncapsulatedDocument) <= 4


def overlaid(ct: Dataset, drawn: Image.Image) -> Dataset:
    """The CT image, larger, with an overlay."""
    bits = np.asarray(drawn, dtype=np.uint8)
    ct.Rows, ct.Columns = bits.shape
    ct.PixelData = np.zeros(bits.shape, np.uint16).tobytes()
    for element, vr, value in (
        (0x0010, "US", bits.shape[0]),
        (0x0011, "US", bits.shape[1]),
        (0x0022, "LO", "by Quillfeather"),
        (0x0040, "CS", "G"),
        (0x0050, "SS", [1, 1]),
        (0x0100, "US", 1),
        (0x0102, "US", 0),
        (0x3000, "OW", np.packbits(bits, axis=None, bitorder="little").tobytes()),
    ):
        ct.add_new(0x60000000 | element, vr, value)
    return ct


def test_an_overlay_stays_when_a_search_finds_no_text_in_it(ct: Dataset, clean: Cleaner, tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="the text detector is not installed")
    region, name = Image.new("1", (256, 128)), Image.new("1", (256, 128))
    ImageDraw.Draw(region).polygon((10, 10, 80, 120, 240, 70), outline=1)
    ImageDraw.Draw(name).text((20, 40), "QUILLFEATHER", fill=1, font=ImageFont.load_default(24))
    profile = profile_from(tmp_path, graphics=True)
    ds = clean(overlaid(ct, region), profile=profile).ds
    assert ds[0x60003000].value == ct[0x60003000].value
    assert 0x60000022 not in ds
    assert "113103" in codes(ds)
    assert 0x60003000 not in clean(overlaid(ct, name), profile=profile).ds
    assert 0x60003000 not in clean(overlaid(ct, region)).ds


def test_faces_are_allowed_or_refused(ct: Dataset, names: Pseudonyms, tmp_path: Path) -> None:
    ct.BodyPartExamined = "HEAD"
    allowed = attempt(file_of(ct), names, profile=profile_from(tmp_path, visual_features="allow"))
    assert not isinstance(allowed, Refused)
    assert allowed.ds.RecognizableVisualFeatures == "YES"
    refused = attempt(file_of(ct), names, profile=profile_from(tmp_path, visual_features="refuse"))
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.VISUAL_FEATURES


def test_pictures_that_must_be_searched_are_refused_where_the_search_is_off(
    ct: Dataset, names: Pseudonyms, tmp_path: Path
) -> None:
    ct.BurnedInAnnotation = "YES"
    refused = attempt(file_of(ct), names, profile=profile_from(tmp_path, pixels=False))
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.BURNED_IN
