"""The audit chain against real append blobs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import ContainerClient

from readfirst.adapters import audit_log, clients
from readfirst.adapters.audit_log import AuditLog
from readfirst.domain import resource_names
from readfirst.domain.access.audit_chain import Segment, Tail, entry, genesis
from tests.waiting import eventually

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _container(app: str) -> ContainerClient:
    container = clients.container(resource_names.AUDIT, resource_names.audit(app))
    if not container.exists():
        container.create_container()
    return container


def _log(app: str) -> AuditLog:
    return AuditLog(_container(app), app)


def _add(log: AuditLog, at: datetime, act: str = "study") -> None:
    log.add(at, actor="someone", role="radiologist", act=act, outcome="allowed")


def _check(app: str) -> list[tuple[str, int, int | None]]:
    return list(audit_log.verify(_container(app), app))


def _replace(app: str, name: str, lines: list[bytes]) -> None:
    blob = _container(app).get_blob_client(name)
    if blob.exists():
        blob.delete_blob()
    blob.create_append_blob()
    blob.append_block(b"".join(line + b"\n" for line in lines))


def _segments(app: str, under: str = "") -> list[str]:
    return sorted(n for n in _container(app).list_blob_names(name_starts_with=under) if Segment.parse(n))


def _days(app: str, days: int = 3) -> list[bytes]:
    log = _log(app)
    for day in range(days):
        for _ in range(4):
            _add(log, DAY + timedelta(days=day))
    return audit_log.lines(_container(app), "2026-03-02")


def _days_of_version_1(app: str) -> list[bytes]:
    """Three days as one chain a day, in the form of version 1.0."""
    before: Tail | None = None
    for day in ("2026-03-01", "2026-03-02", "2026-03-03"):
        tail, lines = genesis(app, day, before), []
        for _ in range(4):
            made = entry(tail, at=f"{day}T12:00:00+00:00", app=app, actor="someone", role="", act="study", outcome="ok")
            lines.append(made.line().rstrip())
            tail = before = Tail(made.number, made.hash)
        _replace(app, audit_log.name_of(day), lines)
    return audit_log.lines(_container(app), "2026-03-02")


def test_a_chain_of_several_days_is_whole(storage: None) -> None:
    _days("whole")
    assert _check("whole") == [("2026-03-01", 4, None), ("2026-03-02", 4, None), ("2026-03-03", 4, None)]
    assert audit_log.days(_container("whole")) == ["2026-03-01", "2026-03-02", "2026-03-03"]


def test_the_latest_days_alone_can_be_looked_at(storage: None) -> None:
    _days("latest")
    container = _container("latest")
    assert list(audit_log.verify(container, "latest", 2)) == [("2026-03-02", 4, None), ("2026-03-03", 4, None)]
    container.delete_blob(_segments("latest", "2026-03-02")[0])
    assert list(audit_log.verify(container, "latest", 1)) == [("2026-03-03", 4, 1)]


@pytest.mark.parametrize("form", ["segments", "version 1.0"])
def test_a_changed_entry_a_missing_entry_and_a_swapped_one_are_found(storage: None, form: str) -> None:
    app = "changed" if form == "segments" else "changed-1"
    lines = _days(app) if form == "segments" else _days_of_version_1(app)
    name = _segments(app, "2026-03-02")[0] if form == "segments" else audit_log.name_of("2026-03-02")
    assert [broken for _, _, broken in _check(app)] == [None] * 3
    for changed, broken in (
        ([*lines[:2], lines[2].replace(b"someone", b"nobody!"), lines[3]], 3),
        ([lines[0], *lines[2:]], 2),
        ([lines[0], lines[2], lines[1], lines[3]], 2),
        ([b"{}", *lines[1:]], 1),
        (lines[1:], 1),
    ):
        _replace(app, name, changed)
        assert _check(app)[1] == ("2026-03-02", len(changed), broken)
    _replace(app, name, lines)
    assert _check(app)[1][2] is None


@pytest.mark.parametrize("form", ["segments", "version 1.0"])
def test_a_day_that_was_cut_away_is_found_on_the_next_day(storage: None, form: str) -> None:
    app = "cut" if form == "segments" else "cut-1"
    _days(app) if form == "segments" else _days_of_version_1(app)
    name = _segments(app, "2026-03-02")[0] if form == "segments" else audit_log.name_of("2026-03-02")
    _container(app).delete_blob(name)
    assert _check(app)[-1] == ("2026-03-03", 4, 1)


def test_several_processes_that_write_at_once_make_a_whole_chain_each(storage: None) -> None:
    logs = [_log("many") for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: _add(logs[n % 6], DAY), range(60)))
    assert _check("many") == [("2026-03-01", 60, None)] and len(_segments("many")) == 6


def test_an_entry_written_late_for_the_day_before_breaks_nothing(storage: None) -> None:
    log, other = _log("late"), _log("late")
    _add(log, DAY)
    _add(other, DAY + timedelta(days=1))
    _add(log, DAY)
    _add(log, DAY + timedelta(days=1))
    _add(log, DAY)
    assert [broken for _, _, broken in _check("late")] == [None, None]


def test_what_the_chains_of_an_hour_came_to_is_anchored_and_a_whole_chain_that_is_cut_away_is_found(
    storage: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AuditLog, "_anchor", lambda *_: None)  # here it is done by hand
    _days_of_version_1("anchored")
    container, logs = _container("anchored"), [_log("anchored") for _ in range(2)]
    for hour in range(100, 103):
        for log in logs:
            _add(log, DAY + timedelta(hours=hour))
    assert audit_log.anchor_until(container, "anchored", "2026-03-05/17") == 2, "the hours that are over"
    assert audit_log.anchor_until(container, "anchored", "2026-03-05/18") == 1
    assert audit_log.anchor_until(container, "anchored", "2026-03-05/18") == 0
    assert [broken for _, _, broken in _check("anchored")] == [None] * 4
    _add(logs[0], DAY + timedelta(hours=102))
    assert _check("anchored")[-1] == ("2026-03-05", 7, None), "an act that was under way when the hour ended"
    for name in _segments("anchored")[-2:]:
        lines = audit_log._lines(container, name)
        container.delete_blob(name)
        assert _check("anchored")[-1][2] is not None
        _replace("anchored", name, lines)
    assert _check("anchored")[-1][2] is None
    last = sorted(container.list_blob_names(name_starts_with="anchors/"))[-1]
    headless = audit_log._anchor_at(container, last).model_copy(update={"heads": {}})
    container.upload_blob(last, headless.model_dump_json(), overwrite=True)
    assert _check("anchored")[-1][2] is not None, "an anchor that was changed"
    container.delete_blob(audit_log.name_of("2026-03-03"))
    assert _check("anchored")[-1][2] is not None, "the end of the chains of version 1.0"


def test_the_acts_that_follow_have_the_hours_before_them_anchored(storage: None) -> None:
    log = _log("by-itself")
    _add(log, DAY)
    _add(log, DAY + timedelta(hours=2))
    anchor = _container("by-itself").get_blob_client("anchors/2026-03-01T12.json")
    eventually(anchor.exists)


def test_a_study_that_was_opened_and_a_call_that_was_refused_are_in_the_log(as_) -> None:
    from tests.portal.studies import index, record

    study = record(50)
    index(study)
    as_("clinician", name="Audited").get(f"/studies/{study.id}")
    as_("clinician", name="Audited").get("/audit")
    seen = as_("privacy-officer", name="Pia").get("/audit", params={"app": "api"}).json()
    ours = [(e["act"], e["outcome"], e["token"]) for e in seen["entries"] if e["actor"].startswith("audited")]
    assert ours == [("audit", "forbidden", ""), ("study", "allowed", study.id)]
    assert seen["days"][-1]["broken_at"] is None


def test_looking_through_a_study_is_one_act_and_every_person_has_their_own(as_) -> None:
    from tests.portal.studies import index, record

    study = record(51)
    index(study)
    for name in ("Looker One", "Looker Two"):
        client = as_("radiologist", name=name)
        for path in (
            f"/studies/{study.id}",
            f"/studies/{study.id}/images",
            f"/dicomweb/studies/{study.study_uid}/metadata",
        ):
            for _ in range(3):
                client.get(path)
    seen = as_("privacy-officer", name="Pia").get("/audit", params={"app": "api"}).json()
    ours = sorted((e["actor"][:10], e["act"]) for e in seen["entries"] if e["token"] == study.id)
    assert ours == [(who, act) for who in ("looker-one", "looker-two") for act in ("study", "study_images")]
