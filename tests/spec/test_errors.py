"""The text of an error ends in logs and in an orchestration's history: it quotes nothing that may name a person."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from readfirst.domain.access.audit_chain import Anchor
from readfirst.domain.access.audit_chain import Entry as Act
from readfirst.domain.access.identity_requests import Asked, Case, Decision
from readfirst.domain.deid import IdentityRecord, PatientIdentity
from readfirst.domain.intake.ledger import Arrival, Complete, Learned, Others, Seal
from readfirst.domain.intake.person import Question, Ruling, Stated
from readfirst.domain.reading.reviews import Event

NAME = "TARNQUIST"
KEPT = (
    *(Act, Anchor, Asked, Case, Decision, IdentityRecord, PatientIdentity, Event),
    *(Arrival, Complete, Learned, Others, Seal, Question, Ruling, Stated),
)


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: f"{kept.__module__}.{kept.__name__}")
def test_what_is_kept_of_a_person_and_cannot_be_read_is_not_quoted(kept: type[BaseModel]) -> None:
    """As after an upgrade, or where a blob is damaged."""
    wrong = {(field.alias or name): [[NAME]] for name, field in kept.model_fields.items()}
    for stored in (wrong, {**wrong, "another": NAME}, [NAME]):
        with pytest.raises(ValidationError) as error:
            kept.model_validate(stored)
        assert NAME not in str(error.value)
    with pytest.raises(ValidationError) as error:
        kept.model_validate_json('{"a": "' + NAME)
    assert NAME not in str(error.value)
