"""What every model that a run's study got has said of it, from the results that are there when it is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from readfirst.adapters.studies import receipts
from readfirst.adapters.studies.receipts import Receipted
from readfirst.adapters.uploads.ledger import Ledger
from readfirst.domain.analysis.findings import Analysis
from readfirst.domain.analysis.models import Gate, approved_by_digest, default_model
from readfirst.domain.analysis.series_selection import choose
from readfirst.domain.instance_facts import InstanceFacts
from readfirst.domain.reading.accounting import Accounting
from readfirst.domain.routing.readings import Ended, ModelReading, Together, reading_of, together
from readfirst.domain.routing.routes import Routed
from readfirst.domain.workflow_messages import AnalysisOutcome, Answer, Plan, Report, verdict_of
from readfirst.services import close_books
from readfirst.services.plan_models import plan_again

_NOT_ROUTED = Routed()
_WITHOUT_RESULT: dict[str, Ended] = {"failed": "failed", "waiting": "waiting", "out-of-scope": "out-of-scope"}


@dataclass(frozen=True)
class Gathered:
    """What a report says of its models. `verdict`: how the analysis ended by all of them."""

    verdict: AnalysisOutcome
    models: Together
    accounting: Accounting
    not_asked: dict[str, str]
    run_key: str  # of the first plan: what a study without a result is reviewed by


def gather(told: Report, ledger: Ledger, receipted: Receipted, *, ended_without: bool = False) -> Gathered:
    """Takes the models' answers together.

    `ended_without`: the report comes from outside of the analysis (its deadline, a fault of a stage) and brings no
    answers: the results of several models that are there count all the same.
    """
    routed = receipts.routing(told.run.token, told.run.n) or _NOT_ROUTED
    answers = _answers(told, receipted, routed if ended_without else _NOT_ROUTED)
    several = len(answers) > 1
    verdict = verdict_of(answers) if several else told.verdict
    keys = [one.plan.run_key for one in answers if one.plan.run_key]
    results = {key: receipts.result(told.run.token, key) for key in keys}
    books = [_books(told, ledger, receipted, one) for one in answers]
    readings = [
        _reading(one, results.get(one.plan.run_key), routed.asked.get(one.plan.model, ""), own)
        for one, own in zip(answers, books, strict=True)
    ]
    return Gathered(
        verdict=verdict,
        models=together(
            [one for one in readings if one], {key: found.findings for key, found in results.items() if found}
        ),
        accounting=books[0] if len(books) == 1 else _of_all(told, ledger, receipted, answers, verdict),
        not_asked=dict(routed.others),
        run_key=answers[0].plan.run_key if answers else "",
    )


def _answers(told: Report, receipted: Receipted, routed: Routed) -> list[Answer]:
    if told.each:
        return list(told.each)
    if told.plan is not None:
        return [Answer(plan=told.plan, verdict=told.verdict)]
    if len(routed.asked) < 2:
        return []
    plans = [plan_again(told.run, receipted, digest, lambda *_: None) for digest in routed.asked]
    return [Answer(plan=plan, verdict=_as_found(plan, told.verdict)) for plan in plans]


def _as_found(plan: Plan, verdict: AnalysisOutcome) -> AnalysisOutcome:
    """How a model's part stands by the result that is there; without one, as the report says."""
    if plan.outcome == "known":
        return AnalysisOutcome(outcome="analysed")
    return AnalysisOutcome(outcome="out-of-scope", reason=plan.reason) if plan.outcome == "out-of-scope" else verdict


def _reading(answer: Answer, result: Analysis | None, why: str, books: Accounting) -> ModelReading | None:
    """One model's part; None for a model that was not asked after all: its gate refused the study, or it is withdrawn
    and has left no result."""
    verdict = answer.verdict
    if result is not None and verdict.outcome == result.outcome:
        return reading_of(result, routed=why, accounting=books)
    known = approved_by_digest(answer.plan.model)
    if known is None or not answer.plan.run_key or verdict.outcome not in _WITHOUT_RESULT:
        return None
    return ModelReading(
        model=known.identity,
        run_key=answer.plan.run_key,
        outcome=_WITHOUT_RESULT[verdict.outcome],
        reason=verdict.reason,
        routed=why,
    )


def _of_all(
    told: Report, ledger: Ledger, receipted: Receipted, answers: Sequence[Answer], verdict: AnalysisOutcome
) -> Accounting:
    """The study's books: by the first model that has read it, with whatever the others have read."""
    read = [one for one in answers if one.verdict.outcome == "analysed"]
    orders = [receipts.ordered(told.run.token, one.plan.run_key) for one in read[1:]]
    also = [instance for order in orders if order for instance in order.instances]
    first = (read or list(answers) or [Answer(plan=told.plan or Plan(outcome="out-of-scope"), verdict=verdict)])[0]
    return _books(told, ledger, receipted, first, also)


def _books(
    told: Report, ledger: Ledger, receipted: Receipted, answer: Answer, also: Sequence[InstanceFacts] = ()
) -> Accounting:
    """The books by what one model was asked to read, if it has read it."""
    verdict = answer.verdict
    gate = _gate(answer.plan.model)
    choice = choose(receipted.instances, gate)
    order = receipts.ordered(told.run.token, answer.plan.run_key) if verdict.outcome == "analysed" else None
    read = choice.as_read(order.series_uid, order.instances, gate) if order else None
    broken = verdict.outcome not in ("analysed", "out-of-scope")
    why = verdict.reason.partition(":")[0]
    return close_books.close(
        ledger, told.run.n, receipted, choice, read, gate, why=why, broken=broken, reported=True, also=also
    )


def _gate(digest: str) -> Gate:
    """The gate of the model that was asked; a plan of an older version does not name it, and was for the default."""
    return (approved_by_digest(digest) or default_model()).gate
