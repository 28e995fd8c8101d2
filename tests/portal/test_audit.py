"""The audit chain against real append blobs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from azure.storage.blob import ContainerClient

from readfirst.adapters import audit_log, clients
from readfirst.adapters.audit_log import AuditLog
from readfirst.domain import resource_names

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


def _rewrite(app: str, day: str, lines: list[bytes]) -> None:
    blob = _container(app).get_blob_client(audit_log.name_of(day))
    blob.delete_blob()
    blob.create_append_blob()
    blob.append_block(b"".join(line + b"\n" for line in lines))


def _days(app: str) -> list[bytes]:
    log = _log(app)
    for day in range(3):
        for _ in range(4):
            _add(log, DAY + timedelta(days=day))
    return audit_log.lines(_container(app), "2026-03-02")


def test_a_chain_of_several_days_is_whole(storage: None) -> None:
    _days("whole")
    assert _check("whole") == [("2026-03-01", 4, None), ("2026-03-02", 4, None), ("2026-03-03", 4, None)]


def test_the_latest_days_alone_can_be_looked_at(storage: None) -> None:
    _days("latest")
    container = _container("latest")
    assert list(audit_log.verify(container, "latest", 2)) == [("2026-03-02", 4, None), ("2026-03-03", 4, None)]
    container.delete_blob(audit_log.name_of("2026-03-02"))
    assert list(audit_log.verify(container, "latest", 1)) == [("2026-03-03", 4, 1)]


def test_a_changed_entry_a_missing_entry_and_a_swapped_one_are_found(storage: None) -> None:
    lines = _days("changed")
    for changed, broken in (
        ([*lines[:2], lines[2].replace(b"someone", b"nobody!"), lines[3]], 3),
        ([lines[0], *lines[2:]], 2),
        ([lines[0], lines[2], lines[1], lines[3]], 2),
        ([b"{}", *lines[1:]], 1),
        (lines[1:], 1),
    ):
        _rewrite("changed", "2026-03-02", changed)
        assert _check("changed")[1] == ("2026-03-02", len(changed), broken)
    _rewrite("changed", "2026-03-02", lines)
    assert _check("changed")[1][2] is None


def test_a_day_that_was_cut_away_is_found_on_the_next_day(storage: None) -> None:
    _days("cut")
    _container("cut").delete_blob(audit_log.name_of("2026-03-02"))
    assert _check("cut") == [("2026-03-01", 4, None), ("2026-03-03", 4, 1)]


def test_several_processes_that_write_at_once_make_one_whole_chain(storage: None) -> None:
    logs = [_log("many") for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: _add(logs[n % 6], DAY), range(60)))
    assert _check("many") == [("2026-03-01", 60, None)]


def test_an_entry_written_late_for_the_day_before_breaks_nothing(storage: None) -> None:
    log, other = _log("late"), _log("late")
    _add(log, DAY)
    _add(other, DAY + timedelta(days=1))
    _add(log, DAY)
    assert [broken for _, _, broken in _check("late")] == [None, None]


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
