"""Which radiograph a model gets: the rule, as a specification."""

from __future__ import annotations

import random

import pytest
from pydicom.dataset import Dataset

from readfirst.domain.analysis.models import Gate
from readfirst.domain.analysis.series_selection import Ineligible, NotEligible, Selection, run_key, select_series
from readfirst.domain.instance_facts import InstanceFacts, facts_of

CHEST = Gate(modalities=("DX", "CR"), body_parts=("CHEST", "THORAX"), min_age=18, min_pixels=64)
DX, CR, CAPTURE = (f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("1.1", "1", "7"))


def picture(name: str = "1", **changes: object) -> InstanceFacts:
    """A plain frontal chest radiograph."""
    facts = {
        "study_uid": "1.2", "series_uid": "1.2.3", "sop_uid": f"1.2.3.{name}", "sop_class": DX, "modality": "DX",
        "transfer_syntax": "1.2.840.10008.1.2.1", "body_part": "CHEST", "image_type": ("ORIGINAL", "PRIMARY"),
        "rows": 2000, "columns": 1800, "view": "PA", "intent": "FOR PRESENTATION", "acquired": "20201105101500",
        "patient_age": "061Y", "digest": f"{hash(name) & 0xFFFF:064x}",
    } | changes  # fmt: skip
    return InstanceFacts.model_validate(facts)


def chosen(*pictures: InstanceFacts, gate: Gate = CHEST) -> InstanceFacts:
    answer = select_series(random.Random(1).sample(pictures, len(pictures)), gate)
    assert isinstance(answer, Selection), answer
    assert len(answer.instances) == 1 and answer.series_uid == answer.instances[0].series_uid
    return answer.instances[0]


def refused(*pictures: InstanceFacts, gate: Gate = CHEST) -> Ineligible:
    answer = select_series(pictures, gate)
    assert isinstance(answer, NotEligible), answer
    assert answer.text.endswith(".")
    return answer.code


def test_of_a_frontal_and_a_lateral_chest_the_frontal_is_chosen() -> None:
    frontal, lateral = picture("1", series_uid="1.2.4"), picture("2", view="LL", acquired="20201105101900")
    assert chosen(frontal, lateral) == frontal


def test_pa_is_chosen_before_ap_and_both_before_a_picture_that_only_its_directions_call_frontal() -> None:
    pa, ap, some = picture("1"), picture("2", view="AP"), picture("3", view="FRONTAL")
    assert chosen(ap, pa, some) == pa and chosen(ap, some) == ap and chosen(some) == some


def test_of_repeats_the_latest_is_chosen_and_an_original_before_a_derived_one() -> None:
    first, second = picture("1"), picture("2", acquired="20201105102200")
    later = picture("3", image_type=("DERIVED", "PRIMARY"), acquired="20201105103000")
    assert chosen(first, second, later) == second


def test_a_derived_picture_that_is_meant_to_be_looked_at_is_taken_where_there_is_no_original() -> None:
    derived = picture(image_type=("DERIVED", "PRIMARY"))
    assert chosen(derived) == derived
    assert refused(picture(image_type=("DERIVED", "PRIMARY"), sop_class=CR, intent="")) == Ineligible.NO_ORIGINAL


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"view": "LL"}, Ineligible.VIEW),
        ({"view": ""}, Ineligible.VIEW),
        ({"sop_class": CAPTURE}, Ineligible.NO_ORIGINAL),
        ({"image_type": ("DERIVED", "SECONDARY")}, Ineligible.NO_ORIGINAL),
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, Ineligible.NO_ORIGINAL),
        ({"frames": 20}, Ineligible.NO_ORIGINAL),
        ({"intent": "FOR PROCESSING"}, Ineligible.RAW),
        ({"modality": "CT"}, Ineligible.MODALITY),
        ({"body_part": "HAND"}, Ineligible.BODY_PART),
        ({"patient_age": "009Y"}, Ineligible.AGE),
        ({"rows": 32}, Ineligible.TOO_COARSE),
    ],
)
def test_what_the_model_cannot_read_is_refused_with_its_reason(changes: dict[str, object], code: Ineligible) -> None:
    assert refused(picture(**changes)) == code


def test_a_study_without_any_image_is_refused() -> None:
    assert refused() == Ineligible.EMPTY


def test_the_reason_is_that_of_the_picture_that_came_closest() -> None:
    capture, other = picture("1", sop_class=CAPTURE), picture("2", modality="OT")
    assert refused(other, capture, picture("3", view="LL")) == Ineligible.VIEW


def test_pictures_of_another_part_do_not_hinder_the_chest() -> None:
    assert chosen(picture("1"), picture("2", body_part="HAND", acquired="20201105110000")).sop_uid == "1.2.3.1"


def test_one_of_two_sides_is_never_read_as_if_it_were_the_study() -> None:
    hand = Gate(modalities=("DX",), body_parts=("HAND",))
    left, right = (picture(side, body_part="HAND", laterality=side) for side in "LR")
    assert refused(left, right, gate=hand) == Ineligible.SEVERAL
    assert refused(left, left.model_copy(update={"view": "LL"}), gate=hand) == Ineligible.SEVERAL
    assert chosen(left, gate=hand) == left


def test_an_operator_names_the_views_and_may_take_pictures_that_do_not_say_theirs() -> None:
    lateral, untold = picture("1", view="LL"), picture("2", view="")
    assert chosen(lateral, picture("3"), gate=CHEST.model_copy(update={"views": ("LL",)})) == lateral
    assert chosen(untold, lateral, gate=CHEST.model_copy(update={"views": ("PA", "AP", "UNKNOWN")})) == untold


def test_the_same_picture_for_the_same_model_is_the_same_work() -> None:
    one, again = select_series([picture()], CHEST), select_series([picture("9", view="LL"), picture()], CHEST)
    assert isinstance(one, Selection) and isinstance(again, Selection)
    assert run_key(one, "a" * 64) == run_key(again, "a" * 64)


def test_a_chest_is_a_chest_by_whatever_word_the_gate_names_it() -> None:
    thorax = Gate(modalities=("CR",), body_parts=("THORAX",))
    assert refused(picture(modality="CR", body_part="THORAX", view="LL"), gate=thorax) == Ineligible.VIEW


def test_a_gate_for_radiographs_and_slices_at_once_is_refused() -> None:
    for wrong in ({"modalities": ("DX", "CT")}, {"modalities": ("CT",), "views": ("PA",)}, {"min_slices": 8}):
        with pytest.raises(ValueError, match="radiograph"):
            Gate.model_validate({"modalities": ("DX",), "body_parts": ("CHEST",), **wrong})


@pytest.mark.parametrize(
    ("attributes", "view"),
    [
        ({"ViewPosition": "pa"}, "PA"),
        ({"ViewCodeSequence": "399348003"}, "AP"),
        ({"ViewCodeSequence": "R-10236"}, "LL"),
        ({"PatientOrientation": ["L", "F"]}, "FRONTAL"),
        ({"PatientOrientation": ["R", "F"]}, "FRONTAL"),
        ({"PatientOrientation": ["P", "F"]}, "LATERAL"),
        ({"PatientOrientation": ["L", "P"]}, ""),
        ({}, ""),
    ],
)
def test_the_view_is_read_from_position_code_or_directions(attributes: dict[str, object], view: str) -> None:
    ds = Dataset()
    ds.Modality = "DX"
    for keyword, value in attributes.items():
        if keyword == "ViewCodeSequence":
            coded = Dataset()
            coded.CodeValue = value
            value = [coded]
        setattr(ds, keyword, value)
    assert facts_of(ds).view == view


def test_when_a_picture_was_made_is_read_without_fractions() -> None:
    ds = Dataset()
    ds.Modality, ds.ContentDate, ds.ContentTime, ds.AcquisitionTime = "CR", "20201105", "101500.25", ""
    assert facts_of(ds).acquired == "20201105101500"
