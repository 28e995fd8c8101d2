"""Chapter: objects that are not images, as a profile's scope takes them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, EncapsulatedPDFStorage
from typer.testing import CliRunner

from readfirst.cli import build
from readfirst.domain.deid import load_profile, read_header
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Reason, Refused
from tests.conformance.test_real_files import MISSING, errors_of
from tests.spec.deid.conftest import Clean, attempt, file_of, profile_from
from tests.spec.deid.objects import EVERY, FRAME, IMAGE, SERIES, STUDY, ecg, plan, presentation, report, structures

PROFILES = ("triage-default", "research-sharing", "strict")
SECRETS = ("quillfeather", "quillfea", "oswina", "zubrowska", "brakspear", "48213", "acc998877", "19510423", "20240229")


def taken(ds: Dataset, names: Pseudonyms, profile: str) -> Clean:
    """The object cleaned with a ready profile that takes any object."""
    ready = load_profile(profile)
    done = attempt(
        file_of(ds),
        names,
        profile=ready.model_copy(update={"scope": ready.scope.model_copy(update={"objects": "any"})}),
    )
    assert isinstance(done, Clean), done
    return done


def uids_in(ds: Dataset) -> set[str]:
    return {str(e.value) for e in ds.iterall() if e.VR == "UI" and e.value}


def test_the_command_takes_what_the_profiles_scope_says(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for make in EVERY:
        (tmp_path / "in" / make.__name__).write_bytes(file_of(make()))
    for profile, expected in (("research-sharing", len(EVERY)), ("triage-default", 0)):
        out = tmp_path / profile
        CliRunner().invoke(
            build(("deidentify",)),
            ["deidentify", str(tmp_path / "in"), str(out), "--profile", profile, "--key-file", str(tmp_path / "k")],
        )
        assert len(list(out.rglob("*.dcm"))) == expected, profile


def test_a_profile_that_takes_documents_out_takes_the_objects_that_hold_them(
    ct: Dataset, names: Pseudonyms, tmp_path: Path
) -> None:
    ct.SOPClassUID = EncapsulatedPDFStorage
    del ct.PixelData
    ct.EncapsulatedDocument, ct.MIMETypeOfEncapsulatedDocument = b"%PDF-1.7 Quillfeather ", "application/pdf"
    ct.EncapsulatedDocumentLength = 21
    profile = profile_from(tmp_path, 'documents = "remove"')
    content = file_of(ct)
    assert isinstance(read_header(io.BytesIO(content), profile.scope), Dataset)
    refused = read_header(io.BytesIO(content))
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.ENCAPSULATED
    done = attempt(content, names, profile=profile)
    assert isinstance(done, Clean), done
    assert b"Quillfeather" not in done.content
    assert "EncapsulatedDocumentLength" not in done.ds


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("make", EVERY)
def test_nobody_shows_in_any_object(make: Callable[[], Dataset], names: Pseudonyms, profile: str) -> None:
    shown = taken(make(), names, profile).content.decode("latin-1").lower()
    assert [s for s in SECRETS if s in shown] == []


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("make", EVERY)
def test_every_reference_is_mapped_once(make: Callable[[], Dataset], names: Pseudonyms, profile: str) -> None:
    original = make()
    left = uids_in(taken(original, names, profile).ds)
    for uid in (IMAGE, STUDY, SERIES, FRAME, original.SOPInstanceUID):
        once = names.uid(uid)
        assert uid not in left
        assert names.uid(once) not in left
        assert (once in left) == (uid in uids_in(original)), uid


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("make", EVERY)
@pytest.mark.skipif(MISSING, reason="dciodvfy (Debian dicom3tools) is missing")
def test_every_object_stays_valid(make: Callable[[], Dataset], names: Pseudonyms, tmp_path: Path, profile: str) -> None:
    original = make()
    before = errors_of(file_of(original), tmp_path)
    assert errors_of(taken(original, names, profile).content, tmp_path) - before == {}


@pytest.mark.parametrize("profile", PROFILES)
def test_numbers_and_shapes_are_what_they_were(names: Pseudonyms, profile: str) -> None:
    (diameter,) = (i for i in taken(report(), names, profile).ds.ContentSequence if i.ValueType == "NUM")
    measured = diameter.MeasuredValueSequence[0]
    assert (measured.NumericValue, measured.MeasurementUnitsCodeSequence[0].CodeValue) == (12.4, "mm")
    assert list(diameter.ContentSequence[0].GraphicData) == [1.0, 2.0, 3.0, 4.0]
    assert diameter.ContentSequence[0].GraphicType == "POLYLINE"
    line, circle = taken(presentation(), names, profile).ds.GraphicAnnotationSequence[0].GraphicObjectSequence
    assert (line.GraphicType, list(line.GraphicData)) == ("POLYLINE", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    assert (circle.GraphicType, circle.GraphicFilled) == ("CIRCLE", "Y")
    contour = taken(structures(), names, profile).ds.ROIContourSequence[0].ContourSequence[0]
    assert list(contour.ContourData) == [0, 0, 0, 1, 0, 0, 1.5, 2.25, 0]
    point = taken(plan(), names, profile).ds.BeamSequence[0].ControlPointSequence[0]
    assert (point.GantryAngle, list(point.BeamLimitingDevicePositionSequence[0].LeafJawPositions)) == (45, [-50, 50])


@pytest.mark.parametrize("profile", PROFILES)
def test_a_recording_keeps_its_samples_and_what_its_annotations_point_to(names: Pseudonyms, profile: str) -> None:
    ds = taken(ecg(), names, profile).ds
    assert ds.WaveformSequence[0].WaveformData == ecg().WaveformSequence[0].WaveformData
    note, rate = ds.WaveformAnnotationSequence
    assert list(note.ReferencedWaveformChannels) == [1, 1]
    assert (rate.NumericValue, list(rate.ReferencedWaveformChannels)) == (71, [1, 0])
    assert rate.MeasurementUnitsCodeSequence[0].CodeValue == "/min"


@pytest.mark.parametrize("profile", PROFILES)
def test_the_layers_of_a_presentation_state_still_belong_together(names: Pseudonyms, profile: str) -> None:
    ds = taken(presentation(), names, profile).ds
    marks, notes = (a.GraphicLayer for a in ds.GraphicAnnotationSequence)
    assert [item.GraphicLayer for item in ds.GraphicLayerSequence] == [notes, marks]
    assert marks != notes


def test_two_copies_of_one_date_in_nested_items_move_alike(names: Pseudonyms) -> None:
    original = report()
    inner = original.ContentSequence.pop()
    original.ContentSequence[3].ContentSequence = [inner]
    ds = taken(original, names, "triage-default").ds
    assert ds.ContentSequence[3].ContentSequence[0].Date == ds.StudyDate


def test_the_reference_date_of_a_source_is_the_devices(names: Pseudonyms) -> None:
    source = taken(plan(), names, "triage-default").ds.SourceSequence[0]
    assert (source.SourceStrengthReferenceDate, source.ReferenceAirKermaRate) == ("19000101", 40700)


def test_a_document_of_its_own_identity_loses_it(ct: Dataset, names: Pseudonyms) -> None:
    ct.HL7InstanceIdentifier, ct.NTPSourceAddress = "2.16.840.1.9^DOC4477", "10.1.2.3"
    ds = taken(ct, names, "triage-default").ds
    assert "HL7InstanceIdentifier" not in ds
    assert "NTPSourceAddress" not in ds
    assert UID(ds.SOPInstanceUID).is_valid
