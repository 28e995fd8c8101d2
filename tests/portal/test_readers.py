"""Two readers of one study know of each other, in the worklist and on its page, and neither waits for the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.portal.browser import CHROMIUM
from tests.portal.stage import Stage
from tests.portal.studies import index, record


def _line(client, handle: str) -> dict:
    (line,) = client.get("/studies", params={"handle": handle}).json()["items"]
    return line


def test_who_says_that_they_read_a_study_is_seen_by_colleagues_and_sees_them(as_) -> None:
    study = record(821)
    index(study)
    ray, diaz = as_("radiologist", name="Dr Ray"), as_("radiologist", name="Dr Diaz")
    assert ray.post(f"/studies/{study.id}/reading").json() == {"readers": []}
    assert _line(diaz, study.handle)["readers"] == ["Dr Ray"]
    assert _line(ray, study.handle)["readers"] == []
    assert diaz.post(f"/studies/{study.handle}/reading").json() == {"readers": ["Dr Ray"]}
    assert ray.post(f"/studies/{study.id}/reading").json() == {"readers": ["Dr Diaz"]}


def test_a_claim_outlives_what_is_written_of_the_study_meanwhile(as_) -> None:
    study = record(822, high_risk=True)
    index(study)
    ray, diaz = as_("radiologist", name="Dr Ray"), as_("radiologist", name="Dr Diaz")
    ray.post(f"/studies/{study.id}/reading")
    tag = diaz.get(f"/studies/{study.id}").json()["etag"]
    accepted = {"what": {"kind": "verdict", "finding": study.findings[0].key, "verdict": "accept"}}
    answer = diaz.post(f"/studies/{study.id}/review", json=accepted, headers={"If-Match": tag})
    assert answer.status_code == 201, answer.text
    assert _line(diaz, study.handle)["readers"] == ["Dr Ray"]


@pytest.mark.parametrize("role", ["clinician", "operator", "privacy-officer", "clinic-user"])
def test_only_a_radiologist_reads_in_this_sense(as_, role: str) -> None:
    study = record(823)
    index(study)
    assert as_(role).post(f"/studies/{study.id}/reading").status_code == 403


@pytest.mark.browser
@pytest.mark.stack
@pytest.mark.skipif(not CHROMIUM, reason="chromium is needed")
def test_a_study_that_a_colleague_has_open_says_so_and_can_be_read_all_the_same(
    stage: Stage, as_user: Callable[..., Page]
) -> None:
    study = stage.put(record(824, "lakeside", high_risk=True), images=True, slices=4)
    first = as_user("radiologist", f"/studies/{study.handle}")
    expect(first.locator(".head .handle")).to_have_text(study.handle)
    worklist = as_user("radiologist.lakeside", f"/?handle={study.handle}")
    expect(worklist.get_by_role("row", name=study.handle)).to_contain_text(
        "reading: Rona Diaz (radiologist), every clinic"
    )
    second = as_user("radiologist.lakeside", f"/studies/{study.handle}")
    expect(second.locator(".head")).to_contain_text("every clinic is reading this now")
    second.get_by_role("button", name="Accept").click()
    expect(second.locator(".panel .verdict")).to_contain_text("Accepted")
