"""The signed review as a report: what the reader said of each finding, in a successor of the AI's own report."""

from __future__ import annotations

import copy
import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from model_container.engines.engine import Detection, Mask
from readfirst.domain.analysis.models import default_model
from readfirst.domain.reading.reviews import FindingAssessment, Measured, Missed, Review, Signed, What, fold
from readfirst.domain.reading.signed_report import verified
from readfirst.local.phantom import write_phantom_study
from tests.model.results import outputs
from tests.spec.records import said

AT = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
ACCEPT = FindingAssessment(finding="1", verdict="accept")
MISSED = Missed(what="mass", site="left", category=2, diameter_mm=12, series_uid="1.2", sop_uid="1.2.3", slice=4)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The report that the job writes of a study with two findings."""
    folder = tmp_path_factory.mktemp("chest")
    write_phantom_study(folder, seed=3, slices=12, size=256, nodules=(30.0,))
    voxels = np.ones((4, 20, 10), bool)
    lumps = [
        Detection(default_model().targets[0], 0.9, 21.5, 1234.0, (z + 1.5, row, 80.0), Mask((z, row, 75), voxels))
        for z, row in ((1, 60), (5, 120))
    ]
    contents = [path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()]
    _, files = outputs(contents, *lumps)
    return pydicom.dcmread(io.BytesIO(files["sr.dcm"]))


def signed(report: Dataset, *what: What, predecessor: Dataset | None = None, at: datetime = AT, reader: str = "Rona") -> Dataset:  # fmt: skip # noqa: E501
    """The report after a review, signed. The image that was measured lies in frame of reference 1.2.9."""
    review = fold(said(*what, Signed()), "k")
    spaces = {"1.2.3": "1.2.9"}
    return verified(report, review, predecessor=predecessor or report, at=at, reader=reader, spaces=spaces)


def groups(report: Dataset) -> list[Dataset]:
    """The measurement groups, in their order: one for each finding, then the one of the study's risk."""
    (body,) = [c for c in report.ContentSequence if c.ConceptNameCodeSequence[0].CodeValue == "126010"]
    return [g for g in body.ContentSequence if g.ConceptNameCodeSequence[0].CodeValue == "125007"]


def values(group: Dataset, concept: str) -> list[str]:
    """What a group says of one concept."""
    items = [c for c in group.ContentSequence if c.ConceptNameCodeSequence[0].CodeMeaning == concept]
    return [
        c.TextValue if c.ValueType == "TEXT"
        else str(c.MeasuredValueSequence[0].NumericValue) if c.ValueType == "NUM"
        else c.ConceptCodeSequence[0].CodeMeaning
        for c in items
    ]  # fmt: skip


def test_a_finding_that_was_accepted_stays_as_the_ai_reported_it(report: Dataset) -> None:
    before, after = groups(report)[0], groups(signed(report, ACCEPT))[0]
    assert values(after, "Long Axis") == values(before, "Long Axis") != []
    assert values(after, "Presence") == ["Present"]
    assert values(after, "Comment") == ["Accepted by the reader"]


def test_a_finding_that_was_rejected_is_absent_and_has_no_measurements(report: Dataset) -> None:
    first, second, _ = groups(signed(report, FindingAssessment(finding="1", verdict="reject", comment="a vessel")))
    assert values(first, "Presence") == ["Absent"]
    assert [c for c in first.ContentSequence if c.ValueType == "NUM"] == []
    assert values(first, "Comment") == ["Rejected by the reader: a vessel"]
    assert values(second, "Presence") == ["Present"], "the other finding is nobody's business here"


def test_a_correction_replaces_the_size_and_says_where(report: Dataset) -> None:
    corrected = FindingAssessment(finding="2", verdict="correct", diameter_mm=9.5, site="right lung")
    first, second, _ = groups(signed(report, corrected))
    assert values(second, "Long Axis") == ["9.5"] != values(first, "Long Axis")
    assert values(second, "Comment") == ["Corrected by the reader; right lung"]


def test_a_correction_of_something_else_leaves_the_size(report: Dataset) -> None:
    moved = groups(signed(report, FindingAssessment(finding="1", verdict="correct", site="rib")))[0]
    assert values(moved, "Long Axis") == values(groups(report)[0], "Long Axis")


def test_what_the_ai_missed_is_a_finding_of_its_own_with_the_slice_as_people_count(report: Dataset) -> None:
    unmeasured = MISSED.model_copy(update={"diameter_mm": None, "comment": "new"})
    made = groups(signed(report, MISSED, unmeasured))
    assert len(made) == len(groups(report)) + 2
    made = made[-2:]
    assert values(made[0], "Long Axis") == ["12"] and values(made[0], "Presence") == ["Present"]
    assert values(made[0], "Comment") == ["mass; left; slice 5"]
    assert values(made[1], "Long Axis") == [] and values(made[1], "Comment") == ["mass; left; slice 5: new"]
    uids = [c.UID for g in made for c in g.ContentSequence if c.ValueType == "UIDREF"]
    assert len(set(uids)) == len(uids) == 2


def test_the_report_is_verified_by_the_reader_at_the_moment_of_signing(report: Dataset) -> None:
    made = signed(report, ACCEPT, reader="R" * 90)
    assert (made.VerificationFlag, made.CompletionFlag) == ("VERIFIED", "COMPLETE")
    (signature,) = made.VerifyingObserverSequence
    assert str(signature.VerifyingObserverName) == "R" * 64, "a name that fits its attribute (PS3.5, PN)"
    assert signature.VerificationDateTime == "20260302123000" == made.ContentDate + made.ContentTime


def test_a_zone_that_is_not_well_formed_leaves_the_time_as_it_is(report: Dataset) -> None:
    odd = copy.deepcopy(report)
    for zone, time in (("+0130", "140000"), ("-0130", "110000"), ("Z", "123000")):
        odd.TimezoneOffsetFromUTC = zone
        assert signed(odd, ACCEPT).ContentTime == time


def test_it_names_the_report_that_it_follows(report: Dataset) -> None:
    first = signed(report, ACCEPT)
    second = signed(report, ACCEPT, MISSED, predecessor=first)
    for made, before in ((first, report), (second, first)):
        (document,) = made.PredecessorDocumentsSequence
        reference = document.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        assert (reference.ReferencedSOPInstanceUID, reference.ReferencedSOPClassUID) == (
            before.SOPInstanceUID, before.SOPClassUID,
        )  # fmt: skip
        assert document.StudyInstanceUID == report.StudyInstanceUID


def test_the_same_review_makes_the_same_report_and_another_one_another(report: Dataset) -> None:
    assert signed(report, ACCEPT) == signed(report, ACCEPT)
    one, other = signed(report, ACCEPT), signed(report, ACCEPT, MISSED)
    assert len({report.SOPInstanceUID, one.SOPInstanceUID, other.SOPInstanceUID}) == 3
    assert one.SOPInstanceUID == one.file_meta.MediaStorageSOPInstanceUID
    assert len({report.InstanceNumber, one.InstanceNumber, other.InstanceNumber}) == 3


def test_the_ais_own_report_stays_as_it_was(report: Dataset) -> None:
    before = copy.deepcopy(report)
    signed(report, FindingAssessment(finding="1", verdict="reject"), MISSED)
    assert report == before


def test_a_review_without_a_word_on_any_finding_makes_a_verified_report(report: Dataset) -> None:
    review = Review(version=1, state="signed")
    made = verified(report, review, predecessor=report, at=AT, reader="Rona")
    assert [values(g, "Comment") for g in groups(made)] == [values(g, "Comment") for g in groups(report)]


def _measured(**more: object) -> Measured:
    line = {"tool": "length", "points": ((0, 0, 5), (3, 4, 5)), "value": 5.0, "unit": "mm"}
    return Measured.model_validate({"series_uid": "1.2", "sop_uid": "1.2.3", **line, **more})


def _places(group: Dataset) -> list[tuple[str, list[float]]]:
    items = [c for n in group.ContentSequence for c in n.get("ContentSequence", ()) if c.ValueType == "SCOORD3D"]
    assert {c.ReferencedFrameOfReferenceUID for c in items} <= {"1.2.9"}
    return [(c.GraphicType, [float(v) for v in c.GraphicData]) for c in items]


def test_what_the_reader_measured_is_in_the_report_with_its_place(report: Dataset) -> None:
    (line,) = groups(signed(report, _measured()))[3:]
    assert values(line, "Length") == ["5"] and values(line, "Tracking Identifier") == ["measured by the reader 1"]
    assert _places(line) == [("POLYLINE", [0, 0, 5, 3, 4, 5])]


def test_a_bidirectional_measurement_has_both_axes_the_long_one_first(report: Dataset) -> None:
    axes = ((1, 0, 5), (1, 2, 5), (0, 0, 5), (3, 4, 5))  # the short one was drawn first
    (both,) = groups(signed(report, _measured(tool="bidirectional", points=axes, short=2.0)))[3:]
    assert (values(both, "Long Axis"), values(both, "Short Axis")) == (["5"], ["2"])
    assert _places(both) == [("POLYLINE", [0, 0, 5, 3, 4, 5]), ("POLYLINE", [1, 0, 5, 1, 2, 5])]


def test_an_area_has_its_major_axis_first_and_what_lies_inside(report: Dataset) -> None:
    ends = ((0, 0, 5), (2, 0, 5), (1, -2, 5), (1, 2, 5))
    area = _measured(tool="ellipse", points=ends, value=6.28, unit="mm2", mean_hu=-500.0, sd_hu=12.5)
    (made,) = groups(signed(report, area))[3:]
    assert values(made, "Area") == ["6.28"] and values(made, "Attenuation Coefficient") == ["-500", "12.5"]
    assert _places(made) == [("ELLIPSE", [1, -2, 5, 1, 2, 5, 0, 0, 5, 2, 0, 5])]


def test_what_was_measured_on_an_image_without_a_frame_of_reference_has_no_place(report: Dataset) -> None:
    (line,) = groups(signed(report, _measured(sop_uid="1.2.4", unit="px")))[3:]
    assert values(line, "Length") == ["5"] and _places(line) == []


def test_an_arrow_is_mentioned_and_measures_nothing(report: Dataset) -> None:
    (arrow,) = groups(signed(report, _measured(tool="arrow", value=0, unit="none")))[3:]
    assert values(arrow, "Comment") == ["Arrow drawn by the reader"]
    assert [c for c in arrow.ContentSequence if c.ValueType == "NUM"] == []
