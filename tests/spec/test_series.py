"""Which series a model gets: the rule, as a specification."""

from __future__ import annotations

import random

import pytest

from readfirst.domain.instances import InstanceFacts, Plane
from readfirst.domain.models import Gate
from readfirst.domain.series import Ineligible, NotEligible, Selection, run_key, select_series

GATE = Gate(
    modalities=("CT",), body_parts=("CHEST", "THORAX"), min_age=18, min_slices=8, min_coverage=20.0,
    max_spacing=5.0, max_pixel=2.0, min_pixels=64,
)  # fmt: skip


def slices(count=12, *, series="1.2.3", spacing=2.5, start=0.0, **changes):
    """A plain chest CT series of `count` slices."""
    facts = {
        "study_uid": "1.2", "series_uid": series, "sop_class": "1.2.840.10008.5.1.4.1.1.2",
        "transfer_syntax": "1.2.840.10008.1.2.1", "modality": "CT", "body_part": "CHEST",
        "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"), "rows": 512, "columns": 512,
        "orientation": (1, 0, 0, 0, 1, 0), "pixel_spacing": (0.7, 0.7), "slice_thickness": spacing,
        "series_number": 2, "acquisition_number": 1, "patient_age": "061Y",
    } | changes  # fmt: skip
    return [
        InstanceFacts(
            sop_uid=f"{series}.{k}.{facts['acquisition_number']}", position=(-180, -180, start + spacing * k),
            digest=f"{abs(hash((series, k))):064x}", **facts,
        )
        for k in range(count)
    ]  # fmt: skip


def chosen(instances):
    answer = select_series(instances, GATE)
    assert isinstance(answer, Selection), answer
    return answer


def refused(instances):
    answer = select_series(instances, GATE)
    assert isinstance(answer, NotEligible), answer
    return answer.code


def test_slices_come_out_from_feet_to_head_in_whatever_order_they_came():
    given = slices()
    shuffled = random.Random(3).sample(given, len(given))
    assert list(chosen(shuffled).instances) == given


def test_slices_of_a_patient_who_lies_head_last_are_ordered_by_place_not_by_number():
    turned = [i.model_copy(update={"orientation": (-1, 0, 0, 0, 1, 0)}) for i in slices()]
    heights = [i.position[2] for i in chosen(turned).instances]
    assert heights == sorted(heights)


def test_the_thinnest_series_wins_then_the_longest_then_the_first_number():
    thick, thin = slices(20, series="1.1", spacing=5.0), slices(30, series="1.9", spacing=1.25)
    longer, later = slices(40, series="1.8", spacing=1.25), slices(40, series="1.0", spacing=1.25, series_number=9)
    assert chosen(thick + thin).series_uid == "1.9"
    assert chosen(thick + thin + longer).series_uid == "1.8"
    assert chosen(later + longer).series_uid == "1.8"


def test_a_localiser_beside_the_slices_is_no_slice():
    scout = slices(1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"), start=500)
    assert len(chosen(slices() + scout).instances) == 12


def test_a_single_localiser_is_refused():
    assert refused(slices(1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))) == Ineligible.NO_AXIAL


def test_reformatted_and_secondary_pictures_are_refused():
    assert refused(slices(image_type=("DERIVED", "SECONDARY", "AXIAL"))) == Ineligible.NO_AXIAL
    assert refused(slices(orientation=(1, 0, 0, 0, 0, -1))) == Ineligible.NO_AXIAL


def test_a_tilted_gantry_is_still_axial():
    tilted = (1, 0, 0, 0, 0.9397, -0.342)
    given = [
        i.model_copy(update={"position": (-180, -180 + k, 2.5 * k)}) for k, i in enumerate(slices(orientation=tilted))
    ]
    assert len(chosen(given).instances) == 12


def test_coronal_slices_in_the_same_series_are_left_out():
    mixed = slices(14) + slices(5, orientation=(1, 0, 0, 0, 0, -1), start=300)
    assert len(chosen(mixed).instances) == 14


def test_of_two_slices_at_one_place_the_first_acquisition_counts():
    doubled = slices() + slices(acquisition_number=2)
    assert {i.acquisition_number for i in chosen(doubled).instances} == {1}


def test_two_phases_that_lie_between_each_other_are_two_stacks():
    phases = slices(12) + slices(12, acquisition_number=2, start=0.9)
    assert {i.acquisition_number for i in chosen(phases).instances} == {1}


def test_slices_of_two_persons_are_never_one_study_however_complete_each_is():
    one, other = slices(20, patient="a"), slices(20, patient="b", series="1.9")
    assert refused(one + other) == Ineligible.SEVERAL_PERSONS
    assert refused(one[::2] + [i.model_copy(update={"patient": "b"}) for i in one[1::2]]) == Ineligible.SEVERAL_PERSONS
    assert len(chosen(one).instances) == 20


def test_missing_slices_are_refused():
    given = slices(20)
    del given[9]
    assert refused(given) == Ineligible.MISSING
    assert refused(given[:5] + given[15:]) == Ineligible.MISSING


def test_too_few_slices_too_short_too_thick_and_too_coarse_are_refused():
    assert refused(slices(7)) == Ineligible.TOO_FEW
    assert refused(slices(10, spacing=1.0)) == Ineligible.COVERAGE
    assert refused(slices(30, spacing=10.0)) == Ineligible.TOO_THICK
    assert refused(slices(pixel_spacing=(3.0, 3.0))) == Ineligible.TOO_COARSE


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"modality": "MR"}, Ineligible.MODALITY),
        ({"body_part": "HEAD"}, Ineligible.BODY_PART),
        ({"body_part": "ABDOMEN"}, Ineligible.BODY_PART),
        ({"patient_age": "009Y"}, Ineligible.AGE),
        ({"patient_age": "011M"}, Ineligible.AGE),
        ({"orientation": None}, Ineligible.GEOMETRY),
        ({"pixel_spacing": None}, Ineligible.GEOMETRY),
    ],
)
def test_what_the_model_was_not_made_for_is_refused_with_its_reason(changes, code):
    answer = select_series(slices(**changes), GATE)
    assert isinstance(answer, NotEligible)
    assert answer.code == code and answer.text


def test_a_study_without_an_age_or_body_part_is_left_to_the_pixels():
    assert len(chosen(slices(body_part="", patient_age="")).instances) == 12


def test_the_reason_is_that_of_the_largest_series():
    assert refused(slices(3, series="1.1") + slices(90, series="1.2", modality="MR")) == Ineligible.MODALITY


def test_an_empty_study_is_refused():
    assert refused([]) == Ineligible.EMPTY


def test_the_run_key_names_the_slices_their_order_and_the_model():
    selection = chosen(slices())
    other = Selection(selection.series_uid, selection.instances[::-1], selection.spacing)
    key = run_key(selection, "a" * 64)
    assert len(key) == 32 and int(key, 16) >= 0
    assert key == run_key(chosen(slices()[::-1]), "a" * 64)
    assert key != run_key(selection, "b" * 64)
    assert key != run_key(other, "a" * 64)


def enhanced(planes, **changes):
    """One enhanced file of these frames."""
    (one,) = slices(1, **changes)
    return one.model_copy(update={"frames": len(planes), "planes": tuple(planes), "position": None})


def frames(count=12, spacing=2.5, start=0.0, **changes):
    return [Plane(position=(-180, -180, start + spacing * k), **changes) for k in range(count)]


def test_the_frames_of_an_enhanced_file_are_slices():
    selection = chosen([enhanced(frames()[::-1])])
    assert [i.frame for i in selection.instances] == list(range(12, 0, -1)) and selection.spacing == 2.5


def test_an_enhanced_series_may_be_several_files():
    whole = [enhanced(frames(6, start=15), series="1.5", acquisition_number=2), enhanced(frames(6), series="1.5")]
    assert [i.acquisition_number for i in chosen(whole).instances] == [1] * 6 + [2] * 6


def test_of_an_enhanced_file_s_frames_those_that_are_original_and_axial_count():
    derived = frames(6, start=200, image_type=("DERIVED", "PRIMARY", "VOLUME", "MAXIMUM"))
    coronal = frames(5, start=300, orientation=(1, 0, 0, 0, 0, -1))
    assert {i.frame for i in chosen([enhanced(derived + frames() + coronal)]).instances} == set(range(7, 19))


def test_missing_frames_are_missing_slices():
    assert refused([enhanced(frames(9) + frames(9, start=40))]) == Ineligible.MISSING


def test_an_enhanced_file_s_phases_are_told_apart_by_their_acquisition():
    both = frames(acquisition_number=1) + frames(start=0.9, acquisition_number=2)
    assert {i.frame for i in chosen([enhanced(both)]).instances} == set(range(1, 13))


def test_a_file_of_many_frames_that_does_not_say_where_each_lies_is_refused():
    assert refused([i.model_copy(update={"frames": 40}) for i in slices()]) == Ineligible.GEOMETRY


def test_slices_that_differ_by_less_than_anybody_could_see_are_one_stack():
    given = [
        i.model_copy(
            update={"orientation": (1, 0.0050 + 1e-4 * (k % 2), 0, 0, 1, 0), "pixel_spacing": (0.7005, 0.7005)}
        )
        for k, i in enumerate(slices())
    ]
    assert len(chosen(given).instances) == 12


def test_slices_that_do_not_lie_above_each_other_are_no_volume():
    given = slices()
    moved = [i.model_copy(update={"position": (-140, -180, i.position[2])}) for i in given[6:]]
    assert refused(given[:6] + moved) == Ineligible.SHIFTED


def test_the_run_key_tells_frames_of_one_file_apart():
    selection = chosen([enhanced(frames(13))])
    fewer = Selection(selection.series_uid, selection.instances[1:], selection.spacing)
    other = Selection(selection.series_uid, selection.instances[:-1], selection.spacing)
    assert run_key(fewer, "a" * 64) != run_key(other, "a" * 64)


def test_a_run_key_without_digests_is_a_fault():
    bare = [i.model_copy(update={"digest": ""}) for i in slices()]
    with pytest.raises(ValueError, match="digest"):
        run_key(chosen(bare), "a" * 64)


@pytest.mark.parametrize("offset", [0.0, 0.6, 1.25, 2.5 / 3])
def test_of_two_reconstructions_in_one_series_one_is_read_and_never_a_mixture(offset):
    """Lung and soft kernel at the same places, or between each other: every second slice would be another picture."""
    soft, sharp = slices(rendering="soft"), slices(series="1.2.4", start=offset, rendering="sharp")
    sharp = [i.model_copy(update={"series_uid": "1.2.3"}) for i in sharp]
    for seed in range(4):
        given = random.Random(seed).sample(soft + sharp, 24)
        assert [i.sop_uid for i in chosen(given).instances] == [i.sop_uid for i in soft]


def test_acquisitions_that_continue_each_other_are_one_volume():
    lower, upper = slices(12), slices(12, start=25.0, acquisition_number=2)  # with two slices in common
    assert [i.position[2] for i in chosen(upper + lower).instances] == [2.5 * k for k in range(22)]


def test_what_differs_from_slice_to_slice_is_no_reconstruction_of_its_own():
    given = [i.model_copy(update={"rendering": str(k)}) for k, i in enumerate(slices())]
    assert list(chosen(given).instances) == given


def test_slices_at_uneven_steps_are_refused():
    """Two acquisitions that overlap, a little beside each other: a volume of them would have no true lengths."""
    upper = slices(12, start=25.4, acquisition_number=2)
    assert refused(slices(12) + upper) == Ineligible.UNEVEN


@pytest.mark.parametrize("orientation", [(2, 0, 0, 0, 2, 0), (1, 0, 0, 0.5, 0.866, 0), (0,) * 6, (1, 0, 0, 1, 0, 0)])
def test_directions_that_are_none_or_not_at_a_right_angle_are_no_geometry(orientation):
    assert refused(slices(orientation=orientation)) == Ineligible.GEOMETRY
