"""Which series a model gets: the rule, as a specification."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from readfirst.domain.analysis.models import Gate
from readfirst.domain.analysis.said import UNREADABLE
from readfirst.domain.analysis.series_selection import (
    BEYOND,
    LEFT_OUT,
    SAME_POSITIONS,
    Ineligible,
    NotEligible,
    Selection,
    choose,
    reach_of,
    run_key,
    select_series,
)
from readfirst.domain.instance_facts import APART, InstanceFacts, Part, Plane

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


def test_of_series_that_cover_the_same_the_thinnest_wins_then_the_first_number():
    thick, thin = slices(20, series="1.1", spacing=5.0), slices(77, series="1.9", spacing=1.25)
    longer, later = slices(78, series="1.8", spacing=1.25), slices(78, series="1.0", spacing=1.25, series_number=9)
    assert chosen(thick + thin).series_uid == "1.9"
    assert chosen(thick + thin + longer).series_uid == "1.8"
    assert chosen(later + longer).series_uid == "1.8"


def test_a_thin_part_does_not_win_over_the_whole_chest():
    """A detail reconstruction of 30 mm is thinner and shows a quarter: the rest would go unread."""
    whole, detail = slices(48, series="1.1"), slices(24, series="1.9", spacing=1.25)
    assert chosen(detail + whole).series_uid == "1.1" and chosen(detail + whole).missing == 0


def test_what_no_series_covers_as_a_whole_is_read_in_part_and_says_how_much():
    """Two acquisitions in two series: one volume is read, and 30 slices of the patient are not."""
    lower, upper = slices(44, series="1.1"), slices(30, series="1.2", start=110.0)
    both = chosen(lower + upper)
    assert (both.series_uid, len(both.instances), both.missing) == ("1.1", 44, 30)


def test_a_series_with_a_gap_still_counts_for_what_there_is_to_read():
    gap = slices(48, series="1.1")
    del gap[20]
    detail = chosen(gap + slices(24, series="1.9", spacing=1.25))
    assert detail.series_uid == "1.9" and detail.missing >= 70


def test_in_another_frame_of_reference_only_lengths_can_be_compared():
    """After the patient was laid anew the same height is another place, so nothing is said to be the same."""
    first = slices(40, series="1.1", frame_of_reference="9.1")
    moved = slices(40, series="1.2", start=700.0, frame_of_reference="9.2")
    assert chosen(first + moved).missing == 0
    assert chosen(first + slices(70, series="1.2", spacing=5.0, frame_of_reference="9.2")).missing == 0
    short = slices(24, series="1.3", spacing=1.25, frame_of_reference="9.3")
    assert chosen(short + slices(30, series="1.2", spacing=6.0, frame_of_reference="9.2")).missing > 90


@pytest.mark.parametrize(
    ("start", "missing"), [(75.0, True), (80.0, True), (60.0, True), (10.0, False), (300.0, False)]
)
def test_a_series_that_goes_on_where_another_ends_is_more_of_the_patient_in_whatever_frame(start, missing):
    """Some scanners give each bed position a frame of its own: half the chest was told as the whole."""
    lower = slices(30, series="1.1", frame_of_reference="9.1")
    upper = slices(30, series="1.2", start=start, frame_of_reference="9.2")
    assert (chosen(lower + upper).missing > 0) == missing


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


def told(**said):
    """`apart` with these attributes said."""
    return tuple(str(said.get(name, "")) for name in APART)


def numbered(given, first=1, **changes):
    return [i.model_copy(update={"instance_number": first + k, **changes}) for k, i in enumerate(given)]


def again(given, suffix="9", **changes):
    """The same places once more, as other instances."""
    return [i.model_copy(update={"sop_uid": f"{i.sop_uid}.{suffix}", **changes}) for i in given]


@pytest.mark.parametrize(
    "changes",
    [
        {"acquisition_number": 2}, {"apart": told(KVP="b")}, {"apart": told(ConvolutionKernel="b")}, {"rendering": "b"},
        {"apart": told(SliceThickness="b")}, {"apart": told(StackID="b")}, {"apart": told(AcquisitionTime="b")},
    ],
)  # fmt: skip
@pytest.mark.parametrize("cut", [3, 30, 36])
def test_what_changes_along_the_patient_cuts_off_no_slice(changes, cut):
    """A lesion lay in slices whose acquisition number was another one; they lay above the others, no place twice."""
    given = slices(37, apart=told(KVP="a", ConvolutionKernel="a", SliceThickness="a", StackID="a", AcquisitionTime="a"))
    changed = [i.model_copy(update=changes) if k >= cut else i for k, i in enumerate(given)]
    assert list(chosen(changed).instances) == changed


def test_a_field_of_view_that_changes_along_the_patient_is_no_volume():
    given = slices(36)
    wider = [i.model_copy(update={"pixel_spacing": (0.8, 0.8)}) for i in given[23:]]
    assert refused(given[:23] + wider) == Ineligible.SHIFTED
    larger = [i.model_copy(update={"rows": 768, "columns": 768}) for i in given[35:]]
    assert refused(given[:35] + larger) == Ineligible.SHIFTED


def test_two_fields_of_view_of_the_same_places_are_two_reconstructions():
    both = slices(36) + again(slices(36, pixel_spacing=(1.0, 1.0), rows=256, columns=256))
    assert len({i.pixel_spacing for i in chosen(both).instances}) == 1 and len(chosen(both).instances) == 36


@pytest.mark.parametrize(("aside", "read"), [(2.5, True), (3.5, False), (5.5, False), (25.0, False)])
def test_a_field_of_view_that_moves_aside_half_way_is_seen_at_the_step_where_it_moves(aside, read):
    """From the line through all slices each half lies only half as far: 6 mm went unseen."""
    given = slices(24)
    moved = [i.model_copy(update={"position": (i.position[0] + aside, *i.position[1:])}) for i in given[12:]]
    if read:
        assert len(chosen(given[:12] + moved).instances) == 24
    else:
        assert refused(given[:12] + moved) == Ineligible.SHIFTED


MOMENTS = [
    (lambda a, b: (numbered(a), numbered(b, 13)), "numbers that go on"),
    (lambda a, b: (numbered(a, 1), numbered(b[::-1], 13)[::-1]), "there and back"),
    (lambda a, b: ([i.model_copy(update={"instance_number": 2 * k}) for k, i in enumerate(a)],
                   [i.model_copy(update={"instance_number": 2 * k + 1}) for k, i in enumerate(b)]), "place by place"),
    (lambda a, b: ([i.model_copy(update={"moments": (k / 9,)}) for k, i in enumerate(a)],
                   [i.model_copy(update={"moments": (30 + k / 9,)}) for k, i in enumerate(b)]), "a clock that runs"),
    (lambda a, b: ([i.model_copy(update={"apart": told(TriggerTime="0")}) for i in a],
                   [i.model_copy(update={"apart": told(TriggerTime="4")}) for i in b]), "a trigger"),
    (lambda a, b: ([i.model_copy(update={"acquisition_number": 1 + k // 6}) for k, i in enumerate(a)],
                   [i.model_copy(update={"acquisition_number": 3 + k // 6}) for k, i in enumerate(b)]), "halves"),
]  # fmt: skip


@pytest.mark.parametrize(("tell", "how"), MOMENTS, ids=[how for _, how in MOMENTS])
def test_of_two_moments_at_the_same_places_one_is_read_whole(tell, how):
    first, second = tell(slices(acquisition_number=None), again(slices(acquisition_number=None)))
    for seed in range(4):
        given = random.Random(seed).sample(first + second, 24)
        assert {i.sop_uid.endswith(".9") for i in chosen(given).instances} in ({True}, {False}), how
        assert len(chosen(given).instances) == 12


@pytest.mark.parametrize(
    "kept", [{"acquisition_number": None}, {"apart": ()}, {"rendering": ""}], ids=lambda k: next(iter(k))
)
def test_a_value_that_every_second_slice_leaves_out_does_not_halve_a_series(kept):
    """A number that nobody can read is none: half the slices were taken for another picture of the same positions."""
    given = slices(24, apart=told(KVP="a"), rendering="r")
    given = [i.model_copy(update=kept) if k % 2 else i for k, i in enumerate(given)]
    assert len(chosen(given).instances) == 24 and chosen(given).spacing == 2.5


@pytest.mark.parametrize("offset", [0.0, 0.9, 1.25])
def test_what_is_said_of_one_picture_alone_tells_it_from_another_that_lies_between(offset):
    first = slices(24, apart=told(ConvolutionKernel="a"))
    second = again(slices(24, start=offset, apart=told(ConvolutionKernel="b")))
    assert len({i.apart for i in chosen(first + second).instances}) == 1
    if offset != 1.25:  # at even steps, what is not said cannot make two pictures
        unsaid = [i.model_copy(update={"apart": ()}) for i in second]
        assert len({i.apart for i in chosen(first + unsaid).instances}) == 1


def test_moments_that_nothing_tells_apart_are_refused():
    """Which of two slices at a place belongs to which moment is a guess, and a mixture shows nothing."""
    assert refused(slices() + again(slices())) == Ineligible.MIXED
    shuffled = random.Random(1).sample(range(24), 24)
    plain = slices(acquisition_number=None)
    both = [i.model_copy(update={"instance_number": shuffled[k]}) for k, i in enumerate(plain)]
    assert refused(both + again(slices(acquisition_number=None), instance_number=7)) == Ineligible.MIXED


def test_of_moments_of_which_one_lacks_a_slice_none_is_made_up_from_the_other():
    """Nobody can say by numbers alone where the second pass begins if the first may be short."""
    first, second = numbered(slices()), numbered(again(slices()), 13)
    assert refused(first[:5] + first[6:] + second) == Ineligible.MIXED
    told_by_phase = [i.model_copy(update={"acquisition_number": 2}) for i in second]
    complete = chosen(first[:5] + first[6:] + told_by_phase)
    assert {i.acquisition_number for i in complete.instances} == {2} and len(complete.instances) == 12


def test_two_kernels_of_two_phases_are_four_pictures():
    given = [
        i.model_copy(update={"sop_uid": f"{i.sop_uid}.{kernel}{phase}", "acquisition_number": phase,
                             "apart": told(ConvolutionKernel=kernel)})
        for kernel in "ab" for phase in (1, 2) for i in slices()
    ]  # fmt: skip
    assert len({(i.acquisition_number, i.apart) for i in chosen(given).instances}) == 1


def test_slices_of_bolus_tracking_beside_the_scan_are_another_picture():
    tracking = [
        i.model_copy(update={"position": (-180, -180, 50.0), "sop_uid": f"8.{k}"})
        for k, i in enumerate(slices(9, acquisition_number=9, start=50.0))
    ]
    assert list(chosen(slices(40) + tracking).instances) == slices(40)


def concatenation(numbers, total):
    return [
        enhanced(frames(12, start=30.0 * (n - 1)), series=f"1.5.{n}").model_copy(
            update={"series_uid": "1.5", "sop_uid": f"1.5.{n}", "part": Part(uid="7.7", number=n, total=total)}
        )
        for n in numbers
    ]


def test_a_concatenation_is_read_when_all_its_parts_are_there():
    assert len(chosen(concatenation((1, 2, 3), 3)).instances) == 36
    assert len(chosen(concatenation((1, 2, 3), 0)).instances) == 36


@pytest.mark.parametrize(("numbers", "total"), [((1, 2), 3), ((2, 3), 3), ((1, 3), 0), ((2, 3), 0)])
def test_a_concatenation_of_which_a_part_is_missing_is_not_read(numbers, total):
    assert refused(concatenation(numbers, total)) == Ineligible.MISSING


def test_a_part_that_never_came_makes_what_else_is_read_a_part():
    other = slices(20, series="1.1", start=0.0)
    assert chosen(other + concatenation((1,), 2)).missing == 12


@pytest.mark.parametrize(
    ("age", "code"), [("007Y", Ineligible.AGE), (UNREADABLE, Ineligible.AGE), ("061Y", None), ("", None)]
)
def test_an_age_that_another_series_says_is_the_patient_s(age, code):
    given = slices(40, patient_age="") + slices(9, series="1.9", patient_age=age, body_part="HEAD")
    assert (refused(given) if code else chosen(given).series_uid) == (code or "1.2.3")


def test_a_body_part_that_cannot_be_read_is_not_taken_for_one_that_is_not_said():
    assert refused(slices(body_part=UNREADABLE)) == Ineligible.BODY_PART


@pytest.mark.parametrize(
    ("image_type", "derivation", "read"),
    [
        (("ORIGINAL", "SECONDARY", "AXIAL"), "", True), (("DERIVED", "PRIMARY", "AXIAL"), "kept", True),
        (("DERIVED", "SECONDARY", "AXIAL"), "kept", True), (("DERIVED", "PRIMARY", "AXIAL"), "compressed", True),
        (("DERIVED", "SECONDARY", "AXIAL"), "compressed", False), (("DERIVED", "PRIMARY", "AXIAL"), "", False),
        (("DERIVED", "SECONDARY", "MPR"), "kept", False), (("ORIGINAL", "PRIMARY", "OTHER", "MIP"), "", False),
    ],
)  # fmt: skip
def test_original_densities_are_read_however_they_were_stored(image_type, derivation, read):
    given = slices(image_type=image_type, derivation=derivation)
    assert isinstance(select_series(given, GATE), Selection) == read


def test_a_series_without_densities_leaves_the_place_to_the_next_best():
    """An effective-Z map is thinner than the chest itself, and shows something else."""
    zeff = slices(40, series="1.1", spacing=1.25, unfit="the slices hold other values than densities in HU")
    assert chosen(zeff + slices(12)).series_uid == "1.2.3"
    assert refused(zeff) == Ineligible.UNREADABLE


def test_every_slice_is_read_or_left_out_for_a_reason():
    scout = again(slices(1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")), "8")
    head = slices(20, series="1.7", body_part="HEAD")
    soft, above = again(slices(series="1.5"), "7"), slices(20, series="1.6", start=35.0)
    choice = choose(slices(14) + scout + head + soft + above, GATE)
    read = next(s for s in choice.selections if s.series_uid == "1.2.3")
    reasons = choice.left_out(read, reach_of(GATE))
    assert Counter(reasons.values()) == {
        "localizer": 1, Ineligible.BODY_PART: 20, SAME_POSITIONS: 12, BEYOND: 20,
    }  # fmt: skip
    assert all(reason in LEFT_OUT or reason in set(Ineligible) for reason in reasons.values())


def test_the_run_key_tells_a_part_from_the_whole():
    whole = chosen(slices(44))
    part = chosen(slices(44) + slices(30, series="1.2", start=110.0))
    assert part.instances == whole.instances and part.missing
    assert run_key(part, "a" * 64) != run_key(whole, "a" * 64)
