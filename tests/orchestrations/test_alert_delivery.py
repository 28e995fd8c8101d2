"""An alert ends when somebody has the study in hand, or when a letter has arrived and nobody is left to be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from orchestrations.alert import ACKNOWLEDGED, REPORTED
from readfirst.domain.reading.alert_email import letter_name
from readfirst.domain.workflow_messages import Alert
from tests.orchestrations.simulated import START, Host

ALERT = Alert(token="a" * 32, clinic="north", handle="AAAABBBB", finding="nodule")
FIRST, ESCALATION = letter_name("nodule"), letter_name("nodule", overdue=True)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NEVER = timedelta(days=300)


@dataclass
class Clinic:
    """A clinic's mailboxes: what becomes of each letter, and after how long that is reported.

    `fate`: by letter, or for all others under "": whether it arrives, and after how long that is reported.
    """

    fate: dict[str, tuple[bool, timedelta]]
    escalation: bool = True
    in_hand: datetime | None = None
    sent: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.host = Host(
            {
                "send_alert": lambda _: self._first(),
                "escalate_alert": self._escalate,
                "look_at_letters": self._look,
                "say_undelivered": lambda _: None,
                "say_stuck": lambda _: None,
            }
        )
        self.host.start("alert", ALERT.instance, ALERT.dump())

    def _send(self, letter: str) -> None:
        if letter not in self.sent:
            self.sent[letter] = self.host.clock
            self.host.raise_event(ALERT.instance, REPORTED, {}, after=self._fate(letter)[1])

    def _fate(self, letter: str) -> tuple[bool, timedelta]:
        return self.fate.get(letter, self.fate.get("", (True, NEVER)))

    def _reported(self, letter: str) -> bool | None:
        arrives, after = self._fate(letter)
        return arrives if self.sent[letter] + after <= self.host.clock else None

    def _first(self) -> float:
        self._send(FIRST)
        return 1800.0 if self.escalation else 0.0

    def _escalate(self, given: Any) -> bool:
        this = Alert.model_validate(given)
        if self._acknowledged:
            return True
        if this.round > 1:
            self._send(letter_name("nodule", this.round))
        if self.escalation:
            self._send(letter_name("nodule", this.round, overdue=True))
        return False

    def _look(self, given: Any) -> str:
        round_ = Alert.model_validate(given).round
        if self._acknowledged:
            return ACKNOWLEDGED
        if any(self._reported(letter) for letter in self.sent):
            return "arrived"
        names = {letter_name("nodule", round_), letter_name("nodule", round_, overdue=True)} & set(self.sent)
        return "failed" if names and all(self._reported(name) is False for name in names) else "silent"

    @property
    def _acknowledged(self) -> bool:
        return self.in_hand is not None and self.in_hand <= self.host.clock

    def acknowledge(self, after: timedelta, *, lost: bool = False) -> None:
        """Somebody takes the study in hand so long after the beginning; `lost`: the event never comes."""
        self.in_hand = START + after
        if not lost:
            self.host.raise_event(ALERT.instance, ACKNOWLEDGED, {}, after=after)

    def goes(self, lasting: timedelta = timedelta(days=10)) -> Clinic:
        self.host.run(lasting)
        return self

    @property
    def output(self) -> Any:
        return self.host.output(ALERT.instance)

    @property
    def minutes(self) -> list[int]:
        """When the letters went out, in minutes since the beginning."""
        return [round((at - START) / MINUTE) for at in self.sent.values()]

    @property
    def undelivered(self) -> list[int]:
        """When it was said that no letter is known to have arrived, in minutes since the beginning."""
        return [round((at - START) / MINUTE) for at in self.host.ran("say_undelivered")]


def test_a_letter_that_comes_back_makes_the_escalation_go_out_at_once() -> None:
    """Not after the half hour that a radiologist who has the letter is given."""
    clinic = Clinic({FIRST: (False, MINUTE), ESCALATION: (True, MINUTE)}).goes()
    assert list(clinic.sent) == [FIRST, ESCALATION]
    assert clinic.minutes == [0, 1]
    assert clinic.output == "arrived"
    assert clinic.undelivered == []


def test_a_letter_that_arrived_leaves_the_radiologist_the_time_to_answer() -> None:
    clinic = Clinic({"": (True, MINUTE)}).goes()
    assert clinic.minutes == [0, 30]
    assert clinic.output == "arrived"


def test_where_nobody_is_named_for_the_escalation_the_alert_ends_when_its_letter_has_arrived() -> None:
    clinic = Clinic({"": (True, 2 * MINUTE)}, escalation=False).goes()
    assert list(clinic.sent) == [FIRST]
    assert clinic.output == "arrived"
    assert clinic.host.clock == START + 2 * MINUTE


@pytest.mark.parametrize(
    ("reported", "said"),
    [(MINUTE, [2, 62]), (NEVER, [90, 210])],
    ids=["each comes back", "no word of any"],
)
def test_as_long_as_no_letter_is_known_to_have_arrived_everybody_is_written_to_again(
    reported: timedelta, said: list[int]
) -> None:
    """An operator hears of it each time; the pauses grow; the letter that arrives in the end is the last one."""
    third = letter_name("nodule", 3)
    clinic = Clinic({"": (False, reported), third: (True, MINUTE)}).goes()
    assert list(clinic.sent) == [
        FIRST,
        ESCALATION,
        *(letter_name("nodule", n, overdue=o) for n in (2, 3) for o in (0, 1)),
    ]
    _, escalation, *later = clinic.minutes
    assert later == [escalation + 60] * 2 + [escalation + 180] * 2
    assert clinic.undelivered == said
    assert clinic.output == "arrived"


@pytest.mark.parametrize("when", [timedelta(seconds=90), 10 * MINUTE, 45 * MINUTE, 5 * HOUR])
def test_an_acknowledgement_ends_it_whenever_it_comes(when: timedelta) -> None:
    clinic = Clinic({"": (False, 20 * MINUTE)})
    clinic.acknowledge(when)
    clinic.goes()
    assert clinic.output == ACKNOWLEDGED
    assert clinic.host.clock == START + when


def test_an_acknowledgement_whose_event_was_lost_ends_it_before_the_next_letter() -> None:
    clinic = Clinic({"": (False, MINUTE)})
    clinic.acknowledge(20 * MINUTE, lost=True)
    clinic.goes()
    assert clinic.output == ACKNOWLEDGED
    assert list(clinic.sent) == [FIRST, ESCALATION]


def test_reports_that_come_twice_or_late_change_nothing() -> None:
    """However many come: the SDK gives one that nobody waited for to each later wait of the same execution."""
    clinic = Clinic({FIRST: (False, MINUTE), ESCALATION: (True, 40 * MINUTE)})
    for after in (1, 1, 1, 2, 2, 3, 20):
        clinic.host.raise_event(ALERT.instance, REPORTED, {}, after=after * MINUTE)
    clinic.goes()
    assert clinic.minutes == [0, 1]
    assert clinic.output == "arrived"
    assert len(clinic.host.ran("look_at_letters")) < 20


def test_an_alert_that_waited_when_the_app_was_upgraded_goes_on() -> None:
    """Before, it listened to the acknowledgement only, and was over when the escalation had gone out."""
    from orchestrations.blueprint import MAIL

    def older(context: Any) -> Any:
        this = Alert.model_validate(context.get_input())
        patience = yield context.call_activity_with_retry("send_alert", MAIL, this.dump())
        answer = context.wait_for_external_event(ACKNOWLEDGED)
        late = context.create_timer(context.current_utc_datetime + timedelta(seconds=patience))
        winner = yield context.task_any([answer, late])
        if winner == answer:
            return "acknowledged"
        yield context.call_activity_with_retry("escalate_alert", MAIL, this.dump())
        return "escalated"

    clinic = Clinic({"": (True, 10 * MINUTE)})
    clinic.host.others = {"alert": older}
    clinic.goes(5 * MINUTE)
    clinic.host.others = {}
    clinic.goes()
    assert clinic.minutes == [0, 30]
    assert clinic.output == "arrived"
