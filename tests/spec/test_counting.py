"""Every instance counts once: what came twice alike is a copy, what came twice and differs is reported."""

from __future__ import annotations

from itertools import pairwise

import pytest

from readfirst.domain.blob_paths import BatchFacts, Counted, RefusedFile, Repeat, counted
from readfirst.domain.instance_facts import InstanceFacts


def instance(sop: str, digest: str, series: str = "1.1") -> InstanceFacts:
    return InstanceFacts(
        study_uid="1", series_uid=series, sop_uid=sop, sop_class="", transfer_syntax="", modality="CT", digest=digest
    )


def repeat(sop: str, digest: str, original: str = "", series: str = "1.1") -> Repeat:
    return Repeat(arrival=f"arrival-{digest}", series_uid=series, sop_uid=sop, original=original, digest=digest)


def count(*batches: tuple[InstanceFacts | Repeat, ...], originals: dict[str, str] | None = None) -> Counted:
    made = [
        BatchFacts(
            patient="p",
            instances=tuple(i for i in batch if isinstance(i, InstanceFacts)),
            repeats=tuple(i for i in batch if isinstance(i, Repeat)),
        )
        for batch in batches
    ]
    return counted(made, originals or {})


def test_a_copy_that_says_the_same_counts_once_wherever_it_was_cleaned() -> None:
    for batches in (
        ((repeat("1", "a"), instance("1", "a")),),
        ((repeat("1", "a"),), (instance("1", "a"),)),
        ((instance("1", "a"),), (instance("1", "a"),)),
    ):
        assert count(*batches) == Counted((instance("1", "a"),), 1, ())


def test_the_last_of_two_that_differ_counts_and_the_other_is_reported() -> None:
    found = count((repeat("1", "a"), instance("1", "b")))
    assert found == Counted((instance("1", "b"),), 0, (RefusedFile(arrival="arrival-a", reason="duplicate-instance"),))
    later = count((instance("1", "a"),), (instance("1", "b"),))
    assert (later.instances, later.copies, len(later.replaced)) == ((instance("1", "b"),), 0, 1)


def test_the_same_file_is_a_copy_though_a_later_run_knows_more_names_and_cleans_it_of_them() -> None:
    found = count((instance("1", "a"),), (instance("1", "b"),), originals={"a": "file", "b": "file"})
    assert (found.copies, found.replaced) == (1, ())


def test_two_series_that_name_their_instances_alike_are_two_instances() -> None:
    found = count((instance("1", "a"), instance("1", "b", series="1.2")))
    assert (len(found.instances), found.copies, found.replaced) == (2, 0, ())


def test_a_copy_whose_other_was_refused_is_not_lost_without_a_word() -> None:
    assert len(count((repeat("1", "a"),)).replaced) == 1


@pytest.mark.parametrize(
    ("before", "told"), [((0.0, 0.0, 2.5), "token"), ((0.0, 0.0, 0.0), ""), ((0.0, 0.0, 0.001), ""), (None, "")]
)
def test_a_file_that_was_replaced_names_its_series_where_its_slice_lay_elsewhere(before, told) -> None:
    """It may be a slice of the patient that nobody has now; a file that was sent again corrected is none."""
    kept = instance("1", "b").model_copy(update={"position": (0.0, 0.0, 0.0)})
    gone = instance("1", "a").model_copy(update={"position": before})
    within = BatchFacts(patient="p", instances=(kept,), series={"1.1": "token"},
                        repeats=(repeat("1", "a").model_copy(update={"facts": gone}),))  # fmt: skip
    before_it = BatchFacts(patient="p", instances=(gone,), series={"1.1": "token"})
    after_it = BatchFacts(patient="p", instances=(kept,), series={"1.1": "token"})
    assert [one.series for one in counted([within], {}).replaced] == [told]
    assert [one.series for one in counted([before_it, after_it], {}).replaced] == [told]


def test_a_repeat_of_which_an_older_version_did_not_note_the_place_may_lie_elsewhere() -> None:
    facts = BatchFacts(
        patient="p", instances=(instance("1", "b"),), series={"1.1": "token"}, repeats=(repeat("1", "a"),)
    )
    assert [one.series for one in counted([facts], {}).replaced] == ["token"]


def test_every_file_is_an_instance_a_copy_or_reported() -> None:
    files = [instance(str(n % 5), "ab"[n % 3 == 0], series=str(n % 2)) for n in range(40)]
    batches = [(one, other) for one, other in pairwise(files[::2])]
    found = count(*batches)
    assert len(found.instances) + found.copies + len(found.replaced) == 2 * len(batches)
