"""A study of two models, against real stores: what is planned, kept, reported and answered of each."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import Dataset

from orchestrations.analyse import plan_analysis, plan_model
from orchestrations.report import LATE, answer_clinic, index_study, release_originals, report
from readfirst.adapters import blobs, clients
from readfirst.adapters.studies import model_changes, receipts, reviews, study_images
from readfirst.adapters.studies.study_index import Worklist
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.analysis import models
from readfirst.domain.analysis.findings import Analysis, Box, Code, Finding
from readfirst.domain.analysis.models import Manifest, default_model
from readfirst.domain.analysis.segment_rle import segment_rle
from readfirst.domain.reading import study_record
from readfirst.domain.reading.reviews import Event, FindingAssessment, Missed, Signed
from readfirst.domain.reading.study_record import StudyRecord
from readfirst.domain.routing.changes import Wish, as_deployed, entry_of, proposal
from readfirst.domain.routing.routes import Routes
from readfirst.domain.workflow_messages import AnalysisOutcome, Answer, Plan, Report, Run, verdict_of
from readfirst.local.phantom import write_phantom_study
from readfirst.services import list_study, plan_models, write_signed_report
from tests.model.results import outputs
from tests.model.test_outputs import concepts, lump
from tests.orchestrations.conftest import do
from tests.orchestrations.test_deidentify import deidentified, sealed_study

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("settings", "two_models")]
LUNG = default_model()
SECOND = LUNG.model_copy(update={"name": "second"})
ABDOMEN = LUNG.model_copy(update={"name": "abdomen", "gate": LUNG.gate.model_copy(update={"body_parts": ("ABDOMEN",)})})
DONE = AnalysisOutcome(outcome="analysed")
BROKEN = AnalysisOutcome(outcome="failed", reason="model-failed: its weights are of another network")


@pytest.fixture
def two_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three approved models, of which chests are routed to two; the third one's gate refuses them."""
    known = (LUNG, SECOND, ABDOMEN)
    table = Routes(default=tuple(m.name for m in known))
    monkeypatch.setattr(models, "approved", lambda: known)
    monkeypatch.setattr(plan_models, "approved", lambda: known)
    monkeypatch.setattr(plan_models, "routes", lambda: table)


@pytest.fixture
def history() -> Iterator[Callable[..., None]]:
    """Writes an entry of the models' history, as two persons do; afterwards there is none again."""
    container = clients.container(resource_names.STUDIES, resource_names.MODEL_CHANGES)
    deployed = as_deployed((LUNG, SECOND, ABDOMEN), plan_models.routes())
    model_changes._entries.cache_clear()

    def change(act: Any, model: Manifest | None = None, to: int | None = None) -> None:
        found = model_changes.history(deployed)
        wish = Wish(act=act, digest=model.digest if model else "", to=to, reason="as the comparison shows")
        who = {"by": "oda", "by_name": "Oda", "at": "2026-03-02T12:00:00+00:00"}
        made = proposal(wish, found, (LUNG, SECOND, ABDOMEN), id="0" * 32, **who)
        assert model_changes.add(entry_of(made, found, **{**who, "by": "rona", "note": ""}))

    yield change
    for name in list(container.list_blob_names()):
        container.delete_blob(name)
    model_changes._entries.cache_clear()


@dataclass
class Planned:
    """A study whose orders are written: the plan of each model."""

    run: Run
    each: tuple[Plan, ...]

    def writes(self, model: Manifest, **fields: Any) -> None:
        """The job has read the study with this model."""
        plan = self.of(model)
        order = receipts.ordered(self.run.token, plan.run_key)
        assert order is not None and order.model_digest == model.digest
        result = Analysis.model_validate(
            {"token": self.run.token, "run_key": plan.run_key, "outcome": "analysed", "model": model.identity,
             "series_uid": order.series_uid, "seconds": {"infer": 1.5}, **fields}
        )  # fmt: skip
        container = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
        blobs.put(container, blob_paths.result_path(self.run.token, plan.run_key), result.model_dump_json().encode())

    def of(self, model: Manifest) -> Plan:
        return next(plan for plan in self.each if plan.model == model.digest)

    def told(self, lung: AnalysisOutcome, second: AnalysisOutcome) -> tuple[StudyRecord, list[str]]:
        """The record and the alerts of a report in which the two models ended so."""
        answers = (Answer(plan=self.of(LUNG), verdict=lung), Answer(plan=self.of(SECOND), verdict=second))
        return self.reports(Report(run=self.run, verdict=verdict_of(answers), each=answers))

    def reports(self, told: Report) -> tuple[StudyRecord, list[str]]:
        alerts = [alert["finding"] for alert in do(report, told.dump())]
        record = list_study.read(self.run.token)
        assert record is not None
        return record, alerts


def planned(folder: Path, seed: int) -> Planned:
    run, _ = sealed_study(folder, seed=seed, slices=20, size=256)
    deidentified(run)
    plan = Plan.model_validate(do(plan_analysis, run.dump()))
    assert plan.outcome == "several"
    return Planned(run, plan.each)


def finding(kind: str) -> Finding:
    return Finding(
        key="1", kind=kind, concept=Code(value="1", scheme="99T", meaning=kind), category=1, probability=0.9,
        diameter_mm=20, volume_mm3=4000, centre=None, site="", series_uid="1.2", sop_uid="1.2.3", slice=0,
        box=Box(left=0, top=0, right=9, bottom=9),
    )  # fmt: skip


def test_each_model_gets_an_order_of_its_own_and_what_is_not_asked_is_kept_with_the_reason(tmp_path: Path) -> None:
    study = planned(tmp_path, seed=161)
    assert [plan.model for plan in study.each] == [LUNG.digest, SECOND.digest]
    assert len({plan.run_key for plan in study.each}) == 2
    kept = receipts.routing(study.run.token, 1)
    assert kept is not None and set(kept.asked) == {LUNG.digest, SECOND.digest}
    assert kept.others[f"abdomen {ABDOMEN.version}"].startswith("its gate: body-part-out-of-scope")
    listed = clients.cosmos_container().read_item(study.run.token, partition_key=study.run.clinic)
    assert listed["analysing"] == study.of(LUNG).run_key


def test_the_record_the_list_and_the_answer_say_which_model_said_what(tmp_path: Path) -> None:
    study = planned(tmp_path, seed=62)
    study.writes(LUNG, risk=0.2)
    study.writes(SECOND, risk=0.9, high_risk=True, why="large", findings=[finding("mass")], outputs={"sr": "x/sr.dcm"})
    record, alerts = study.told(DONE, DONE)
    assert (record.label, record.high_risk, record.risk, alerts) == (study_record.FLAGGED, True, 0.9, ["mass"])
    assert [f.key for f in record.findings] == ["second.1"] and record.found_by == {"second.1": "second"}
    assert record.outputs == {"second.sr": "x/sr.dcm"}
    assert record.by_model == {LUNG.name: "not flagged", "second": "flagged"}
    assert [one.routed for one in record.models] == ["by default: the study meets no route"] * 2
    assert set(record.not_asked) == {f"abdomen {ABDOMEN.version}"}
    assert record.accounting is not None and record.accounting.holds and record.accounting.read == 20
    assert all(one.accounting and one.accounting.holds for one in record.models)
    assert record.seconds["job.infer"] == 3.0, "the seconds of both"
    do(index_study, study.run.dump())
    listed = clients.cosmos_container().read_item(study.run.token, partition_key=study.run.clinic)
    assert listed["by_model"] == record.by_model
    do(plan_analysis, study.run.dump())
    for plan in study.each:
        Worklist(clients.cosmos_container()).begun(record.model_copy(update={"analysing": plan.run_key}))
    listed = clients.cosmos_container().read_item(study.run.token, partition_key=study.run.clinic)
    assert listed["analysing"] == "", "a mark that comes after the result is too late"
    do(answer_clinic, study.run.dump())
    home = clients.container(resource_names.UPLOADS, resource_names.results(study.run.clinic))
    said = json.loads(blobs.read(home, f"studies/{record.handle}/status.json") or b"{}")
    assert said["models"] == record.by_model


def test_a_model_that_fails_leaves_the_other_s_result_and_its_own_is_still_wanted(tmp_path: Path) -> None:
    study = planned(tmp_path, seed=63)
    study.writes(LUNG, risk=0.9, high_risk=True, findings=[finding("lung-nodule")])
    record, alerts = study.told(DONE, BROKEN)
    assert (record.state, record.label, alerts) == ("reported", study_record.FLAGGED, ["lung-nodule"])
    assert record.reason == "model-failed: second: its weights are of another network"
    assert record.part == "second: no result"
    do(release_originals, study.run.dump())
    assert tagged(study.run) == 0, "the originals are kept for the replay"
    study.writes(SECOND)
    again = Plan.model_validate(do(plan_analysis, study.run.dump()))
    assert [plan.outcome for plan in again.each] == ["known", "known"], "the working model is not asked again"
    record, _ = study.told(DONE, DONE)
    assert (record.reason, record.part, record.by_model["second"]) == ("", "", "not flagged")
    do(release_originals, study.run.dump())
    assert tagged(study.run) > 0


def test_a_clear_result_beside_a_failed_one_is_never_not_flagged(tmp_path: Path) -> None:
    study = planned(tmp_path, seed=64)
    study.writes(LUNG)
    record, alerts = study.told(DONE, BROKEN)
    assert (record.label, record.partial, alerts) == (study_record.READ_IN_PART, True, [])


def test_where_the_deadline_passes_what_one_model_has_found_is_told_at_once(tmp_path: Path) -> None:
    study = planned(tmp_path, seed=65)
    study.writes(SECOND, risk=0.9, high_risk=True, findings=[finding("mass")])
    late = Report(run=study.run, verdict=AnalysisOutcome(outcome="failed", reason=LATE))
    record, alerts = study.reports(late)
    assert (record.state, record.label, alerts) == ("reported", study_record.FLAGGED, ["mass"])
    assert record.by_model == {LUNG.name: "failed", "second": "flagged"}
    assert record.reason.startswith("late: ")
    study.writes(LUNG)
    record, _ = study.told(DONE, DONE)
    assert record.by_model[LUNG.name] == "not flagged"
    again, _ = study.reports(late)
    assert (again.by_model, again.reason) == (record.by_model, ""), "it takes the results that are there"


def test_where_no_model_has_an_answer_the_study_is_not_analysed(tmp_path: Path) -> None:
    study = planned(tmp_path, seed=66)
    record, alerts = study.told(BROKEN, BROKEN)
    assert (record.state, record.label, alerts) == ("failed", study_record.NOT_ANALYSED, [])
    assert [one.says for one in record.models] == ["failed", "failed"]


def test_a_model_that_was_withdrawn_meanwhile_is_not_asked_again(tmp_path: Path) -> None:
    study = planned(tmp_path, seed=67)
    gone = Plan.model_validate(do(plan_model, {"run": study.run.dump(), "model": "0" * 64}))
    assert gone.outcome == "out-of-scope" and gone.reason.startswith("model-not-approved")
    same = Plan.model_validate(do(plan_model, {"run": study.run.dump(), "model": SECOND.digest}))
    assert same == study.of(SECOND)


def test_what_two_persons_changed_counts_from_the_next_study_on_and_leaves_the_others_as_they_were_planned(
    tmp_path: Path, history: Callable[..., None]
) -> None:
    before = planned(tmp_path / "before", seed=70)
    history("deactivate", LUNG)
    run, _ = sealed_study(tmp_path / "after", seed=71, slices=20, size=256)
    deidentified(run)
    after = Plan.model_validate(do(plan_analysis, run.dump()))
    assert (after.outcome, after.model) == ("ordered", SECOND.digest)
    kept = receipts.routing(run.token, 1)
    assert kept is not None and kept.change == 1 and kept.asked[SECOND.digest].endswith("(models' history, entry 1)")
    assert kept.others[f"{LUNG.name} {LUNG.version}"] == "it is not active"
    again = Plan.model_validate(do(plan_model, {"run": before.run.dump(), "model": LUNG.digest}))
    assert again == before.of(LUNG), "its study goes on with it"
    history("rollback", to=0)
    back = Plan.model_validate(do(plan_analysis, run.dump()))
    assert [plan.model for plan in back.each] == [LUNG.digest, SECOND.digest]


def test_a_signed_review_becomes_a_report_for_each_model_with_the_verdicts_on_its_own_findings(tmp_path: Path) -> None:
    record = both_found(tmp_path, seed=68)
    assert [f.key for f in record.findings] == ["1", "second.1"]
    container = clients.container(resource_names.STUDIES, resource_names.REVIEWS)
    added = Missed(what="a mass that both missed", category=2, series_uid="1.2", sop_uid="1.2.3", slice=4)
    accepted = FindingAssessment(finding="1", verdict="accept")
    rejected = FindingAssessment(finding="second.1", verdict="reject")
    for number, what in enumerate((accepted, rejected, added, Signed()), start=1):
        said = Event(number=number, at="2026-03-02T12:00:00+00:00", by="r", by_name="Rona Diaz",
                     run_key=reviews.run_key(record), what=what)  # fmt: skip
        assert reviews.append(container, record.id, said)
    write_signed_report.follow_review(record.id)
    after = list_study.read(record.id)
    assert after is not None and after.review == "signed"
    lung, second = opened(after.outputs["sr-verified"]), opened(after.outputs["second.sr-verified"])
    assert lung.PredecessorDocumentsSequence[0] != second.PredecessorDocumentsSequence[0]
    told = [str(list(concepts(report))) for report in (lung, second)]
    assert "Accepted by the reader" in told[0] and "Rejected by the reader" not in told[0]
    assert "Rejected by the reader" in told[1] and "Accepted by the reader" not in told[1]
    assert ["a mass that both missed" in text for text in told] == [True, False], "each is said once"
    write_signed_report.follow_review(record.id)
    assert list_study.read(record.id) == after


def test_the_pixels_of_each_model_s_segments_are_found_under_the_study_s_own_keys(tmp_path: Path) -> None:
    record = both_found(tmp_path, seed=69)
    found = {}
    for segmentation, keys in study_images.segmentations(record):
        found |= {keys[own]: runs for own, runs in segment_rle(segmentation, list(keys)).items()}
    assert set(found) == {"1", "second.1"}
    assert found["1"] != found["second.1"], "they lie elsewhere"


def both_found(folder: Path, seed: int) -> StudyRecord:
    """A study in which each model has found something of its own, with the files that the job writes."""
    study = planned(folder / "sent", seed=seed)
    write_phantom_study(folder / "again", seed=seed, slices=20, size=256)
    contents = [path.read_bytes() for path in sorted((folder / "again").iterdir())]
    container = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    for model, place in ((LUNG, lump()), (SECOND, lump(6, 40, 60))):
        result, files = outputs(contents, place, model=model)
        names = {kind: f"{study.run.token}/{model.name}/{name}" for kind, name in result.outputs.items()}
        for kind, name in result.outputs.items():
            blobs.put(container, names[kind], files[name])
        study.writes(model, findings=result.findings, outputs=names)
    return study.told(DONE, DONE)[0]


def opened(path: str) -> Dataset:
    container = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    return pydicom.dcmread(io.BytesIO(blobs.read(container, path) or b""))


def tagged(run: Run) -> int:
    """How many of the run's originals may be deleted by age."""
    container = clients.container(resource_names.UPLOADS, resource_names.ORIGINALS)
    found = container.list_blobs(name_starts_with=run.token, include=["tags"])
    return sum(bool(blob.tags) for blob in found)
