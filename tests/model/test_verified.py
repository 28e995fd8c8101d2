"""The signed review as a report: valid DICOM, true to what the reader said, and following the AI's own."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

import highdicom as hd
import pytest

from readfirst.domain.reading.reviews import FindingAssessment, Measured, Missed, Review
from readfirst.domain.reading.signed_report import verified
from tests.model.test_outputs import concepts, lump, opened, outputs, slices

AT = datetime(2019, 4, 5, 12, 30, tzinfo=UTC)
MISSED = Missed(
    what="Liver lesion <b>", site="segment IVa", category=2, diameter_mm=12, series_uid="1.2", sop_uid="1.2.3", slice=4,
    comment="größer als früher",
)  # fmt: skip


@pytest.fixture(scope="module")
def study(phantom):
    """An analysis with two findings, and its files."""
    return outputs(slices(phantom), lump(), lump(6, 40, 60))


DRAWN = tuple(
    Measured.model_validate({"series_uid": "1.2", "sop_uid": "1.2.3", "points": points, **more})
    for points, more in (
        (((0, 0, 5), (3, 4, 5)), {"tool": "length", "value": 5, "unit": "mm"}),
        (((0, 0, 5), (3, 4, 5)), {"tool": "length", "value": 5, "unit": "px"}),
        (((0, 0, 5), (1, 0, 5), (1, 1, 5)), {"tool": "angle", "value": 90, "unit": "deg"}),
        (((0, 0, 5), (3, 4, 5), (1, 0, 5), (1, 2, 5)), {"tool": "bidirectional", "value": 5, "unit": "mm", "short": 2}),
        (((0, 0, 5), (2, 0, 5), (1, -2, 5), (1, 2, 5)),
         {"tool": "ellipse", "value": 6.28, "unit": "mm2", "mean_hu": -500, "sd_hu": 12.5}),
        (((0, 0, 5), (3, 4, 5)), {"tool": "arrow", "value": 0, "unit": "none"}),
    )
)  # fmt: skip


def signed(study, *verdicts, missed=(), drawn=(), predecessor=None):
    result, files = study
    said = {f.key: v.model_copy(update={"finding": f.key}) for f, v in zip(result.findings, verdicts, strict=True)}
    review = Review(version=5, state="signed", signed=AT.isoformat(), verdicts=said, missed=missed, measurements=drawn)
    report = opened(files, "sr.dcm")
    spaces = {"1.2.3": "1.2.9"}
    return report, verified(report, review, predecessor=predecessor or report, at=AT, reader="Rona Diaz", spaces=spaces)


ACCEPT = FindingAssessment(finding="x", verdict="accept")
REJECT = FindingAssessment(finding="x", verdict="reject", comment="a vessel")
CORRECT = FindingAssessment(finding="x", verdict="correct", diameter_mm=17.5, site="left lung")


def test_it_is_verified_names_who_signed_when_and_the_report_before_it(study):
    report, made = signed(study, ACCEPT, ACCEPT)
    assert (report.VerificationFlag, made.VerificationFlag) == ("UNVERIFIED", "VERIFIED")
    observer = made.VerifyingObserverSequence[0]
    assert (str(observer.VerifyingObserverName), observer.VerificationDateTime) == ("Diaz^Rona", "20190405123000")
    before = made.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert before.ReferencedSOPInstanceUID == report.SOPInstanceUID != made.SOPInstanceUID
    _, again = signed(study, ACCEPT, ACCEPT)
    assert again.SOPInstanceUID == made.SOPInstanceUID, "the same signature makes the same report"
    _, next_one = signed(study, ACCEPT, ACCEPT, predecessor=made)
    followed = next_one.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert followed.ReferencedSOPInstanceUID == made.SOPInstanceUID


@pytest.mark.parametrize(
    ("zone", "day", "time"),
    [("+0900", "20190405", "213000"), ("-1400", "20190404", "223000"), ("", "20190405", "123000")],
)
def test_it_was_signed_at_a_time_of_the_zone_that_the_report_names(study, zone, day, time):
    report = opened(study[1], "sr.dcm")
    report.TimezoneOffsetFromUTC = zone
    review = Review(version=5, state="signed", signed=AT.isoformat())
    made = verified(report, review, predecessor=report, at=AT, reader="Rona Diaz")
    assert (made.ContentDate, made.ContentTime, made.get("TimezoneOffsetFromUTC")) == (day, time, zone)
    assert made.VerifyingObserverSequence[0].VerificationDateTime == day + time


def test_what_the_reader_rejected_is_absent_and_what_they_corrected_is_corrected(study):
    report, made = signed(study, REJECT, CORRECT)
    before, after = list(concepts(report)), list(concepts(made))
    assert [v for n, v in before if n == "Presence"] == ["Present", "Present"]
    assert [v for n, v in after if n == "Presence"] == ["Absent", "Present"]
    assert [v for n, v in after if n == "Long Axis"] == [17.5]
    assert [v for n, v in after if n == "Comment"] == [
        "Rejected by the reader: a vessel",
        "Corrected by the reader; left lung",
    ]


def test_what_the_ai_missed_is_there_in_the_readers_words(study):
    _, made = signed(study, ACCEPT, ACCEPT, missed=(MISSED,))
    said = list(concepts(made))
    assert ("Comment", "Liver lesion <b>; segment IVa; slice 5: größer als früher") in said
    assert ("Long Axis", 12.0) in said
    assert [v for n, v in said if n == "Presence"] == ["Present"] * 3


@pytest.mark.parametrize("drawn", [(), DRAWN])
@pytest.mark.parametrize("missed", [(), (MISSED,)])
def test_it_is_valid_and_other_readers_open_it(study, missed, drawn, tmp_path):
    _, made = signed(study, REJECT, CORRECT, missed=missed, drawn=drawn)
    made.save_as(tmp_path / "sr.dcm", enforce_file_format=True)
    said = subprocess.run(["dciodvfy", str(tmp_path / "sr.dcm")], capture_output=True, text=True)
    assert [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")] == []
    assert hd.sr.srread(tmp_path / "sr.dcm").VerificationFlag == "VERIFIED"
