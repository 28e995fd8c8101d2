"""A result that goes home says when it was made, not when the patient was examined."""

from __future__ import annotations

from datetime import UTC, datetime

from pydicom.dataset import Dataset

from readfirst.domain.reading.content_dates import date_content


def test_a_result_has_the_day_it_was_made_and_the_study_keeps_its_own() -> None:
    report = Dataset()
    report.StudyDate = report.SeriesDate = report.ContentDate = report.InstanceCreationDate = "20200101"
    report.StudyTime = report.ContentTime = report.InstanceCreationTime = "080000"
    date_content(report, datetime(2026, 3, 1, 14, 5, 6, tzinfo=UTC))
    assert (report.ContentDate, report.ContentTime) == ("20260301", "140506")
    assert (report.InstanceCreationDate, report.InstanceCreationTime) == ("20260301", "140506")
    assert (report.StudyDate, report.StudyTime, report.SeriesDate) == ("20200101", "080000", "20200101")


def test_the_moment_is_written_in_the_time_zone_that_the_result_names() -> None:
    report = Dataset()
    report.ContentDate, report.TimezoneOffsetFromUTC = "20200101", "-0500"
    date_content(report, datetime(2026, 3, 1, 2, 0, 0, tzinfo=UTC))
    assert (report.ContentDate, report.ContentTime) == ("20260228", "210000")


def test_what_a_result_does_not_date_stays_undated() -> None:
    picture = Dataset()
    date_content(picture, datetime(2026, 3, 1, tzinfo=UTC))
    assert len(picture) == 0
