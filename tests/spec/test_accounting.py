"""The books of a study: every file and frame is read, or left out for a reason; and what is said of a part."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from readfirst.domain.analysis.findings import Analysis
from readfirst.domain.analysis.messages import AnalysisRequest
from readfirst.domain.analysis.models import default_model
from readfirst.domain.analysis.series_selection import BEYOND, Ineligible, Selection, choose
from readfirst.domain.blob_paths import BatchFacts, RefusedFile
from readfirst.domain.reading import alert_email, study_record
from readfirst.domain.reading.accounting import Accounting, Received
from readfirst.domain.reading.books import NEVER_CLEANED, account
from readfirst.domain.reading.build_record import Outcome, Study, record_of
from readfirst.domain.reading.study_record import StudyRecord
from readfirst.domain.refusals import Reason
from tests.spec.records import one_model
from tests.spec.test_series import GATE, again, enhanced, frames, slices

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def closed(instances, refused=(), received=None, **more):
    """The books where the best series was read."""
    choice = choose(instances, GATE)
    read = choice.selections[0] if choice.selections else None
    received = received or Received(len(instances) + len(refused))
    return account(received, instances, refused, choice, read, GATE, **more)


def refusal(reason, series="", modality="CT"):
    return RefusedFile(arrival="a", reason=reason, series=series, modality=modality)


def test_every_file_is_read_left_out_refused_skipped_or_a_copy():
    scout = again(slices(1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")), "8")
    head = slices(20, series="1.7", body_part="HEAD")
    received = Received(14 + 1 + 20 + 2 + 3, identical=3, skipped={"text": 4}, refused={"not-dicom": 1})
    books = closed(slices(14) + scout + head, [refusal(Reason.NO_PIXELS)] * 2, received)
    assert books.holds and (books.received, books.read, books.identical) == (45, 14, 3)
    assert books.left_out == {"localizer": 1, Ineligible.BODY_PART: 20}
    assert (books.refused, books.skipped) == ({"no-pixel-data": 2, "not-dicom": 1}, {"text": 4})
    assert books.part == "" and "45 files received: 14 read, 21 left out" in books.sentence


def test_every_frame_of_the_files_read_is_analysed_or_left_out():
    derived = frames(6, start=200, image_type=("DERIVED", "PRIMARY", "VOLUME", "MAXIMUM"))
    books = closed([enhanced(derived + frames())])
    assert books.holds and (books.read, books.frames, books.analysed) == (1, 18, 12)
    assert books.frames_left_out == {"projection": 6}


def test_a_file_that_nobody_can_account_for_opens_the_books_and_the_study_is_a_part():
    books = closed(slices(14), received=Received(15))
    assert not books.holds and "not accounted for" in books.part


def test_a_study_that_nothing_was_read_of_leaves_all_of_it_out_for_its_reason():
    choice = choose(slices(14), GATE)
    books = account(Received(14), slices(14), (), choice, None, GATE, why="no-lungs")
    assert books.holds and books.left_out == {"no-lungs": 14} and books.part == ""
    broken = account(Received(20), slices(14), (), choice, None, GATE, why="deadline", never_cleaned=6)
    assert broken.holds and broken.left_out == {"deadline": 14, NEVER_CLEANED: 6}


def test_a_part_says_of_how_many_slices_it_is():
    books = closed(slices(67) + slices(7, series="1.9", start=67 * 2.5))
    assert books.part == "67 of 74 slices" and books.left_out == {BEYOND: 7}


@pytest.mark.parametrize(
    ("refused", "part"),
    [
        (refusal(Reason.TRUNCATED, "other"), True), (refusal(Reason.BURNED_IN, "read"), True),
        (refusal(Reason.BURNED_IN, "other"), False), (refusal(Reason.NO_PIXELS, "read"), False),
        (refusal(Reason.ENCAPSULATED, "other"), False), (refusal(Reason.TRUNCATED, "other", "US"), False),
        (RefusedFile(arrival="older", reason=Reason.TRUNCATED), True),
        (refusal(Reason.DUPLICATE, "read"), True), (RefusedFile(arrival="sent again", reason=Reason.DUPLICATE), False),
    ],
)  # fmt: skip
def test_a_refused_file_makes_a_part_where_it_may_have_been_a_slice(refused, part):
    """A dose page that waits in quarantine is no reason to tell readers that slices are missing; a cut-off slice is."""
    assert bool(closed(slices(14), [refused], with_read={"read"}).part) == part


def test_a_refused_file_that_was_sent_anew_and_taken_is_not_missing():
    """The sender did what the refusal advises: the study is whole."""
    cut = refusal(Reason.TRUNCATED, "read").model_copy(update={"instance": "i"})
    books = closed(slices(14), [cut], Received(15, taken={"i"}))
    assert books.holds and books.part == "" and books.refused == {"truncated": 1}
    arrived = Received(14, refused={"truncated": 2}, refused_instances={"i": "truncated"}, taken={"i"})
    assert closed(slices(14), received=arrived).not_had == 1


def test_fewer_files_than_announced_and_lost_members_of_an_archive_make_a_part():
    assert "announced" in closed(slices(14), short=True).part
    assert closed(slices(14), received=Received(14, refused={"truncated": 1})).part
    assert not closed(slices(14), received=Received(14, refused={"not-dicom": 1}, skipped={"text": 9})).part


def test_files_that_came_later_are_still_to_be_taken_before_nothing_was_found():
    """A series that has fallen silent is read while others arrive: what they show is not known yet."""
    books = closed(slices(14), to_come=3)
    assert books.holds and record(books).label == study_record.READ_IN_PART and "3 file(s)" in books.part


def test_what_the_header_does_not_say_is_in_the_books():
    assert closed(slices(14, patient_age="", body_part="")).unsaid == ("age", "body part")
    assert closed(slices(14)).unsaid == ()


def record(books, *, high=False, state="analysed"):
    analysis = Analysis(
        token="t", run_key="k", outcome="analysed", model=default_model().identity, series_uid="1.2.3", high_risk=high
    )
    study = Study("t", "c", "h", "p", 1, slices(14), (), False, NOW, None)
    return record_of(study, Outcome(state, "why", one_model(analysis, books), books), None, NOW)


def test_not_flagged_is_said_only_of_what_was_read_whole():
    whole, part = closed(slices(14)), closed(slices(14), short=True)
    assert record(whole).label == study_record.NOT_FLAGGED and not record(whole).partial
    assert record(part).label == study_record.READ_IN_PART and record(part).partial and record(part).part == part.part


def test_what_was_found_in_a_part_is_flagged_and_the_part_is_told():
    found = record(closed(slices(14), short=True), high=True)
    assert found.label == study_record.FLAGGED and found.part
    assert record(closed(slices(14), short=True), state="failed").label == study_record.NOT_ANALYSED


def test_the_letter_says_that_only_a_part_was_read():
    for letter in (
        alert_email.urgent("H", "https://p", alert_email.About(part="67 of 74 slices")),
        alert_email.overdue("H", "https://p", alert_email.About(part="67 of 74 slices")),
    ):
        assert "in part only: 67 of 74 slices" in letter.text and "67 of 74 slices" in letter.html
    assert "part" not in alert_email.urgent("H", "https://x").text


def test_what_was_stored_before_there_were_books_is_still_read():
    now = record(closed(slices(14)))
    older = now.model_dump(exclude={"part", "accounting"})
    assert StudyRecord.model_validate(older).accounting is None
    batch = {"patient": "p", "instances": [], "refused": [{"arrival": "a", "reason": "truncated"}]}
    assert BatchFacts.model_validate(batch).series == {}
    order = {"token": "t", "handle": "h", "run_key": "k", "model_name": "m", "model_digest": "d", "series_uid": "1",
             "instances": [], "receipts": []}  # fmt: skip
    assert AnalysisRequest.model_validate(order).missing == 0
    assert Accounting(received=3).holds is False


def test_what_was_ordered_is_accounted_for_by_what_was_read_not_by_what_would_be_chosen_now():
    """An order of an older version may have taken the thin part: its study is told as read in part."""
    whole, detail = slices(48, series="1.1"), slices(24, series="1.9", spacing=1.25)
    choice = choose(whole + detail, GATE)
    read = choice.as_read("1.9", detail, GATE)
    assert isinstance(read, Selection) and read.missing > 60
    books = account(Received(72), whole + detail, (), choice, read, GATE)
    assert books.holds and books.read == 24 and books.part


def test_one_file_and_one_frame_are_said_as_one() -> None:
    books = Accounting(received=1, read=1, frames=1, analysed=1)
    assert books.holds
    assert books.sentence == "1 file received: 1 read. 1 frame in the files read: 1 analysed."
