"""The alert e-mail's link leads to the study, with the finding in view: out of the letter, opened in Chromium."""

from __future__ import annotations

import email
import email.policy
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from readfirst.domain.addresses import study_link
from readfirst.domain.analysis.findings import Finding, first_to_read
from readfirst.domain.reading.study_record import StudyRecord
from readfirst.local.servers import PORTAL
from readfirst.local.stack import Stack
from tests.e2e.conftest import invent, letters, upload, whole
from tests.portal.browser import CHROMIUM, new_page, picture_of, sign_in
from tests.waiting import eventually

pytestmark = [
    pytest.mark.stack,
    pytest.mark.browser,
    pytest.mark.usefixtures("stack"),
    pytest.mark.skipif(not CHROMIUM, reason="chromium is needed"),
    pytest.mark.skipif(not PORTAL.exists(), reason="the portal is not built: make portal"),
]
READER = "radiologist.lakeside"


@pytest.fixture(scope="module")
def alerted(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """A study whose radiologist was called."""
    study = invent(tmp_path_factory.mktemp("alerted") / "study")
    upload(study.files)
    return whole(study)


@pytest.fixture(scope="module")
def link(stack: Stack, alerted: StudyRecord) -> str:
    """What a person clicks on: the address in the letter's HTML, which is the one in its text."""
    letter = eventually(lambda: _letter(stack.folders.state / "outbox", alerted.handle))
    found = {
        address
        for kind, pattern in (("plain", r"https?://\S+"), ("html", r'href="([^"]+)"'))
        for address in re.findall(pattern, letter.get_body((kind,)).get_content())
    }
    assert len(found) == 1, found
    return found.pop()


def _letter(outbox: Path, handle: str) -> email.message.EmailMessage | None:
    for file in outbox.glob("*.eml"):
        letter = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        if handle in str(letter["Subject"]):
            return letter
    return None


def _finding_in_view(page: Page, record: StudyRecord) -> None:
    """The study's page, on the slice of the finding for which the reader was called, with the finding drawn there."""
    expect(page.locator("h1 .handle")).to_have_text(record.handle)
    finding = first_to_read(record.findings)
    assert finding is not None
    expect(page.locator(".findings li.chosen .title")).to_contain_text(finding.concept.meaning)
    count = next(s.instances for s in record.series if s.series_uid == finding.series_uid)
    expect(page.locator(".frame.main .slice")).to_have_text(f"{finding.slice + 1} / {count}")
    expect(page.locator(".progress")).to_contain_text("All images here")
    assert _drawn_share(page, finding) > 0.5, "nothing is drawn in the finding's box"


def _drawn_share(page: Page, finding: Finding) -> float:
    """How much of the picture the overlay changes, as a share of the finding's box on the screen."""
    shown = picture_of(page)
    page.keyboard.press("h")
    plain = picture_of(page, unlike=shown)
    page.keyboard.press("h")
    changed = (abs(shown - plain).sum(axis=2) > 40).sum()
    box = finding.box
    return float(changed) / ((box.right - box.left) * (box.bottom - box.top))


def test_the_links_address_holds_the_handle_and_nothing_else(stack: Stack, link: str, alerted: StudyRecord) -> None:
    """No token, no clinic, no finding: a mailbox learns only what people say on the telephone."""
    assert link == study_link(stack.environment["PORTAL_URL"], alerted.handle)
    assert urlsplit(link).query == urlsplit(link).fragment == ""


def test_who_is_signed_out_signs_in_and_lands_on_the_finding(
    stack: Stack, browser: Browser, link: str, alerted: StudyRecord
) -> None:
    """The way to the issuer and back keeps the address; a wrong password on the way changes nothing."""
    page = new_page(browser)
    page.goto(link)
    sign_in(page, READER, "a wrong guess")
    expect(page.get_by_role("alert")).to_contain_text("Wrong user or password")
    sign_in(page, READER, stack.password)
    page.wait_for_url(link)
    _finding_in_view(page, alerted)
    page.context.close()


def test_who_is_signed_in_lands_on_the_finding_directly(
    stack: Stack, browser: Browser, link: str, alerted: StudyRecord
) -> None:
    """In the tab that is open and in a new one, and no password is asked for."""
    page = new_page(browser)
    context = page.context
    page.goto(stack.environment["PORTAL_URL"])
    sign_in(page, READER, stack.password)
    page.locator("header.bar").wait_for()
    for tab in (page, context.new_page()):
        asked: list[str] = []
        tab.on(
            "request",
            lambda r, asked=asked: asked.append(r.url) if r.method == "POST" and "/interaction/" in r.url else None,
        )
        tab.goto(link)
        _finding_in_view(tab, alerted)
        assert (tab.url, asked) == (link, [])
    context.close()


@pytest.mark.parametrize("form", ["/study/{handle}", "/studies/{token}", "/studies/{small}", "/studies/{handle}/"])
def test_older_and_mistyped_addresses_lead_to_the_same_page(
    stack: Stack, browser: Browser, link: str, alerted: StudyRecord, form: str
) -> None:
    """E-mails and bookmarks that exist stay good, and the address becomes the one that is given away."""
    page = new_page(browser)
    path = form.format(handle=alerted.handle, small=alerted.handle.lower(), token=alerted.id)
    page.goto(stack.environment["PORTAL_URL"] + path)
    sign_in(page, READER, stack.password)
    _finding_in_view(page, alerted)
    assert page.url == link
    page.context.close()


@pytest.mark.parametrize(
    ("user", "handle", "words"),
    [
        (READER, "7ZZZZZZ7", "There is no such study"),
        ("radiologist.hillcrest", "", "There is no such study"),  # another clinic's: nobody learns that it exists
        ("clinic-user.lakeside", "", "Your role does not include reading studies"),
    ],
)
def test_an_unknown_handle_and_a_person_without_the_right_get_a_page_that_says_so(
    stack: Stack, browser: Browser, link: str, alerted: StudyRecord, user: str, handle: str, words: str
) -> None:
    """It names what was asked for, says what to do, and shows nothing of the study."""
    page = new_page(browser)
    page.goto(link.replace(alerted.handle, handle or alerted.handle))
    sign_in(page, user, stack.password)
    expect(page.get_by_role("heading", name=re.compile("cannot be shown"))).to_contain_text(handle or alerted.handle)
    expect(page.locator("main")).to_contain_text(words)
    expect(page.locator("main")).to_contain_text("ask whoever looks after your access")
    assert page.locator(".viewport, .findings").count() == 0
    page.context.close()


def test_a_letter_that_comes_back_makes_the_escalation_go_out_at_once(stack: Stack, tmp_path: Path) -> None:
    """The radiologist's mailbox is gone: nobody waits half an hour for an answer from there."""
    stack.inject("email", "bounce")
    study = invent(tmp_path / "study")
    upload(study.files)
    record = whole(study)
    eventually(lambda: len(letters(stack, record.handle)) == 2)
    first, second = sorted(letters(stack, record.handle), key=lambda letter: "has not been acknowledged" in letter)
    assert "To: radiologist@lakeside.example" in first
    assert "To: on-call@lakeside.example" in second
