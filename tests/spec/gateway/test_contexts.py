"""What the gateway accepts of what a peer proposes: every storage class of the standard, as its sender has it."""

from __future__ import annotations

import pytest

from readfirst.domain import uid_registry
from readfirst.domain.gateway import contexts
from readfirst.domain.gateway.contexts import EXPLICIT, IMPLICIT, Proposed

CT = "1.2.840.10008.5.1.4.1.1.2"
J2K, JPEG, BIG_ENDIAN, DEFLATED = (f"1.2.840.10008.1.2.{x}" for x in ("4.90", "4.50", "2", "1.99"))


def chosen(*syntaxes: str, of: str = CT) -> str:
    answer = contexts.answer(Proposed(1, of, syntaxes))
    return answer.transfer_syntax if answer.result == contexts.ACCEPTED else f"refused: {answer.result}"


def test_more_storage_classes_are_taken_than_an_association_has_contexts() -> None:
    taken = [uid for uid in uid_registry.table() if contexts.is_storage(uid)]
    assert len(taken) > 128
    assert {CT, "1.2.840.10008.5.1.4.1.1.66.7", "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.34.7"} <= set(
        taken
    )


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.5.1.4.1.1.200.4",  # CT Defined Procedure Protocol - FIND
        "1.2.840.10008.5.1.4.1.2.2.1",  # Study Root - FIND
        "1.2.840.10008.1.3.10",  # a DICOMDIR
        "1.2.840.10008.5.1.1.27",  # Stored Print
        "1.2.840.10008.4.2",  # the service class itself
        "1.2.840.10008.1.20.1.1",
        "1.3.12.2.1107.5.9.1",  # a manufacturer's own
        "",
    ],
)
def test_what_is_not_storage_is_refused_by_its_class(uid: str) -> None:
    assert not contexts.is_storage(uid)
    assert contexts.answer(Proposed(1, uid, (EXPLICIT,))).result == contexts.NO_ABSTRACT_SYNTAX


def test_a_storage_class_of_a_later_edition_is_taken_by_its_root() -> None:
    assert uid_registry.name_of("1.2.840.10008.5.1.4.1.1.999") == ""
    assert contexts.is_storage("1.2.840.10008.5.1.4.1.1.999")


def test_the_senders_first_syntax_counts_since_it_need_not_convert_for_it() -> None:
    assert chosen(J2K, EXPLICIT) == J2K
    assert chosen(EXPLICIT, J2K) == EXPLICIT
    assert chosen(BIG_ENDIAN, EXPLICIT) == BIG_ENDIAN
    assert chosen(DEFLATED) == DEFLATED


def test_implicit_vr_is_the_last_choice_since_it_forgets_types() -> None:
    assert chosen(IMPLICIT, EXPLICIT) == EXPLICIT
    assert chosen(IMPLICIT, JPEG) == JPEG
    assert chosen(IMPLICIT) == IMPLICIT


def test_a_syntax_of_nobody_and_live_video_are_passed_over() -> None:
    assert chosen("1.2.840.113619.5.2", JPEG) == JPEG
    assert chosen("1.2.840.113619.5.2") == f"refused: {contexts.NO_TRANSFER_SYNTAX}"
    assert chosen("1.2.840.10008.1.2.7.1") == f"refused: {contexts.NO_TRANSFER_SYNTAX}"


def test_every_syntax_in_which_a_file_can_be_is_taken_for_every_storage_class() -> None:
    """What is registered, but for the three of live video."""
    syntaxes = [uid for uid, row in uid_registry.table().items() if row.kind == "Transfer Syntax"]
    refused = [one for one in syntaxes if chosen(one) != one]
    assert all(one.startswith("1.2.840.10008.1.2.7.") for one in refused)
    assert len(syntaxes) - len(refused) > 40


def test_services_speak_the_uncompressed_syntaxes_only() -> None:
    assert chosen(J2K, IMPLICIT, of=contexts.MPPS) == IMPLICIT
    assert chosen(J2K, of=contexts.VERIFICATION) == f"refused: {contexts.NO_TRANSFER_SYNTAX}"


def test_each_context_is_judged_by_itself_also_where_a_class_comes_twice() -> None:
    answers = contexts.answers(
        [Proposed(1, CT, (J2K,)), Proposed(3, CT, (EXPLICIT,)), Proposed(5, "1.2.3", (EXPLICIT,))]
    )
    assert [(one.id, one.result) for one in answers] == [(1, 0), (3, 0), (5, 3)]
    assert [one.transfer_syntax for one in answers[:2]] == [J2K, EXPLICIT]
