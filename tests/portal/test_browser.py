"""Whole jobs in Debian's Chromium, against the whole stack: sign-in, host, storage and index are the real ones."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect
from pydicom import dcmread

from readfirst.domain.analysis.findings import Box
from readfirst.domain.deid import IdentityRecord
from readfirst.domain.intake.person import Question, Stated
from readfirst.domain.reading.accounting import Accounting
from readfirst.domain.reading.study_record import READ_IN_PART, StudyRecord
from tests.portal.browser import CHROMIUM, picture_of
from tests.portal.stage import LESION, SIDE, Stage, chest, furnish, staged
from tests.portal.studies import analysed_now, record
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.skipif(not CHROMIUM, reason="chromium is needed")]
AXE = Path(__file__).parents[2] / "portal_static/node_modules/axe-core/axe.min.js"
EVIL = "<img src=x onerror=\"document.title='owned'\">'\"><script>document.title='owned'</script>{{7*7}}"
NAME = "Quellmalz^Ottokar"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("stack")) as made:
        made.study = furnish(made)
        yield made


def _study(stage: Stage, number: int, **changes: object) -> StudyRecord:
    return stage.put(record(number, "lakeside", high_risk=True, **changes), images=True, slices=30)


def _ready(page: Page) -> None:
    expect(page.locator(".progress")).to_contain_text("All images here")


def _settled(page: Page) -> None:
    """A page whose lists, or whose images, are all there."""
    page.locator("h1").wait_for()
    expect(page.locator(".skeleton")).to_have_count(0)
    if page.locator("rf-study .viewport").count():
        _ready(page)
    page.wait_for_load_state("networkidle")


def test_a_study_that_was_read_in_part_says_so_in_the_list_and_on_its_page(
    stage: Stage, as_user: Callable[..., Page]
) -> None:
    """Never "not flagged" for what was left out; and what became of every file stands on the page."""
    books = Accounting(
        received=80, read=67, left_out={"beyond-what-was-read": 7, "localizer": 2}, refused={"truncated": 1},
        skipped={"text": 3}, frames=67, analysed=67, missing=7, unsaid=("age",),
    )  # fmt: skip
    assert books.holds
    study = stage.put(record(391, "lakeside", label=READ_IN_PART, partial=True, part=books.part, accounting=books))
    page = as_user("radiologist.lakeside", f"/?handle={study.handle}")
    line = page.locator("table.studies tbody tr").filter(has_text=study.handle)
    expect(line.locator(".label")).to_contain_text("READ IN PART: read as usual")
    expect(line).to_contain_text("read in part: 67 of 74 slices")
    expect(line).not_to_contain_text("not flagged")
    line.locator("a.handle").click()
    expect(page.locator(".notice").filter(has_text="Read in part: 67 of 74 slices")).to_be_visible()
    page.get_by_text("80 files received, 67 read").click()
    expect(page.locator(".books")).to_contain_text("Left out: beyond what was read")
    expect(page.locator(".books")).to_contain_text("The header does not say: age")


def test_a_high_risk_study_arrives_is_read_by_keyboard_corrected_completed_and_signed(
    stage: Stage, as_user: Callable[..., Page]
) -> None:
    page = as_user("radiologist.lakeside")
    page.locator("table.studies").wait_for()
    study = _study(stage, 201)
    expect(page.locator(".news")).to_contain_text(study.handle)
    rows = page.locator("tr:not(.band) a.handle").all_inner_texts()
    for _ in range(rows.index(study.handle)):
        page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("h1 .handle")).to_have_text(study.handle)
    _ready(page)
    expect(page.locator(".slice")).to_have_text(f"{LESION[0] + 1} / 30")
    page.keyboard.press("c")
    page.get_by_label("Diameter, mm").fill("11.5")
    page.get_by_label("Comment").fill("Smaller than the AI says")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".verdict")).to_contain_text("Corrected")
    page.keyboard.press("j")
    page.keyboard.press("m")
    page.get_by_label("What it is").fill("Pleural effusion")
    page.keyboard.press("Enter")
    expect(page.locator(".panel")).to_contain_text("Added by the reader")
    page.keyboard.press("s")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Solitary nodule of lung, left lung: corrected")
    expect(dialog).to_contain_text(f"Pleural effusion, slice {LESION[0] + 2}: added")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator(".head .state")).to_have_text("in progress")  # one key signs nothing
    page.keyboard.press("s")
    dialog.wait_for()
    page.keyboard.press("Enter")
    expect(page.locator(".panel")).to_contain_text("Signed by")
    page.keyboard.press("u")
    page.locator("table.studies").wait_for()
    expect(page.locator("table.studies")).not_to_contain_text(study.handle)


def test_the_overlay_lies_on_the_right_pixels_of_the_right_slice(stage: Stage, as_user: Callable[..., Page]) -> None:
    study = stage.study
    page = as_user("radiologist", f"/studies/{study.id}")
    _ready(page)
    shown = picture_of(page)
    page.keyboard.press("h")
    plain = picture_of(page, unlike=shown)
    changed = np.argwhere(np.abs(shown - plain).sum(axis=2) > 60)
    height, width = plain.shape[:2]
    scale = min(height, width) / SIDE
    _, row, column, radius = LESION
    centre = (height / 2 + (row - SIDE / 2) * scale, width / 2 + (column - SIDE / 2) * scale)
    assert len(changed), "the overlay shows nothing"
    assert np.abs(changed.mean(axis=0) - centre).max() < 3 * scale
    assert np.abs(changed - centre).max() < (radius + 5) * scale
    page.keyboard.press("h")
    picture_of(page, unlike=plain)
    page.keyboard.press("j")
    picture_of(page, unlike=shown)
    expect(page.locator(".slice")).to_have_text(f"{LESION[0] + 2} / 40")


def test_the_second_of_two_radiologists_is_told_and_sees_the_firsts_word(
    stage: Stage, as_user: Callable[..., Page]
) -> None:
    study = _study(stage, 202)
    first = as_user("radiologist.lakeside", f"/studies/{study.id}")
    second = as_user("radiologist", f"/studies/{study.id}")
    for page in (first, second):
        page.locator(".findings li").wait_for()
    first.get_by_role("button", name="Accept").click()
    expect(first.locator(".verdict")).to_have_text("Accepted")
    second.get_by_role("button", name="Reject").click()
    expect(second.locator(".notice.bad")).to_contain_text("changed this review after you had opened it")
    expect(second.locator(".verdict")).to_have_text("Accepted")


def test_a_prior_lies_beside_and_scrolls_to_the_same_place_until_it_is_unlinked(
    stage: Stage, as_user: Callable[..., Page]
) -> None:
    now = _study(stage, 208)
    # Half as many slices, five millimetres apart, on a table that stood 300 mm lower.
    stage.prior(record(209, "lakeside", patient=now.patient, review="signed"), day="20190903", step=2, shift=-300)
    page = as_user("radiologist", f"/studies/{now.id}")
    _ready(page)
    expect(page.locator(".panel")).to_contain_text("−14 months")
    page.keyboard.press("b")
    prior = page.locator("rf-prior")
    expect(prior.locator(".corner.top")).to_contain_text("−14 months")
    expect(prior.locator(".slice")).to_have_text(f"{LESION[0] // 2 + 1} / 15")
    assert "2019" not in page.locator("rf-study").inner_text() and "2020" not in page.locator("rf-study").inner_text()
    for _ in range(3):
        page.keyboard.press("j")
    expect(page.locator(".frame.main .slice")).to_have_text(f"{LESION[0] + 4} / 30")
    expect(prior.locator(".slice")).to_have_text(f"{(LESION[0] + 3) // 2 + 1} / 15")
    prior.get_by_role("button", name="Linked").click()
    prior.get_by_label("Slice of the prior").focus()
    page.keyboard.press("ArrowLeft")
    expect(prior.locator(".slice")).to_have_text(f"{(LESION[0] + 3) // 2} / 15")
    prior.get_by_role("button", name="Linked").click()  # from here they go together again
    page.keyboard.press("Tab")
    page.locator(".frame.main .viewport").focus()
    for _ in range(2):
        page.keyboard.press("k")
    expect(prior.locator(".slice")).to_have_text(f"{(LESION[0] + 3) // 2 - 1} / 15")
    page.keyboard.press("b")
    expect(prior).to_have_count(0)


def test_a_file_of_many_frames_is_a_stack_and_opens_on_the_findings_frame(
    stage: Stage, as_user: Callable[..., Page]
) -> None:
    study = record(210, "lakeside", high_risk=True)
    series = f"{study.study_uid}.3"
    slices = [dcmread(io.BytesIO(image)) for image in chest(study.study_uid, series, 30)[18:28]]
    ds = slices[0]
    ds.NumberOfFrames, ds.PixelData = len(slices), b"".join(one.PixelData for one in slices)
    out = io.BytesIO()
    ds.save_as(out)
    name = f"{study.id}/instances/{series}/{ds.SOPInstanceUID}.dcm"
    stage.blobs.get_blob_client("clean", name).upload_blob(out.getvalue())
    found = study.findings[0].model_copy(update={"series_uid": series, "sop_uid": ds.SOPInstanceUID, "frame": 6})
    stage.put(study.model_copy(update={"findings": (found,)}))
    page = as_user("radiologist", f"/studies/{study.id}")
    _ready(page)
    expect(page.locator(".slice")).to_have_text("6 / 10")
    there = picture_of(page)
    for _ in range(4):
        page.keyboard.press("k")
    expect(page.locator(".slice")).to_have_text("2 / 10")
    picture_of(page, unlike=there)


def test_the_reports_of_cost_and_of_de_identification_are_on_the_study_page(
    stage: Stage, as_user: Callable[..., Page]
) -> None:
    page = as_user("radiologist", f"/studies/{stage.study.id}")
    page.get_by_text("Cost: about US$").click()
    expect(page.locator(".money")).to_contain_text("Functions")
    page.get_by_text("Provenance").click()
    page.get_by_role("button", name="De-identification report").click()
    expect(page.get_by_role("dialog")).to_contain_text(stage.study.handle)
    with page.expect_download() as kept:
        page.get_by_role("button", name="Save as a page").click()
    assert "<h1>De-identification report" in kept.value.path().read_text()
    officer = as_user("privacy-officer", "/privacy")
    officer.get_by_label("Handle of a study of your clinics").fill(stage.study.handle.lower())
    officer.keyboard.press("Enter")
    officer.get_by_role("button", name="De-identification report").click()
    expect(officer.get_by_role("dialog")).to_contain_text(stage.study.handle)
    officer.keyboard.press("Escape")
    officer.get_by_label("Handle of a study of your clinics").fill("7ZZZZZZ7")
    officer.keyboard.press("Enter")
    expect(officer.get_by_role("alert")).to_contain_text("No study of your clinics has this handle")
    expect(officer.get_by_role("button", name="De-identification report")).to_have_count(0)


def test_a_study_shows_how_far_its_analysis_is_and_gets_its_result_while_it_is_looked_at(
    stage: Stage, as_user: Callable[..., Page]
) -> None:
    done = record(211, "lakeside", high_risk=True)
    study = stage.put(analysed_now(done), images=True, slices=30)
    stage.progress(study, 0.4, "infer")
    page = as_user("radiologist.lakeside")
    line = page.get_by_role("row", name=study.handle)
    expect(line.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "40")
    expect(line).to_contain_text("Looking for findings 40 %")
    height = line.bounding_box()["height"]
    stage.progress(study, 0.9, "write")
    expect(line.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "90")
    stage.progress(study, 0.9, "write", age=600)
    expect(line).to_contain_text("Waiting for the analysis")
    assert line.get_by_role("progressbar").get_attribute("aria-valuenow") is None
    assert line.bounding_box()["height"] == height, "the list must not jump"

    line.get_by_role("link").click()
    _ready(page)
    expect(page.get_by_role("progressbar", name="Analysis")).to_have_attribute(
        "aria-valuetext", "Waiting for the analysis"
    )
    expect(page.get_by_role("button", name="Sign off")).to_have_count(0)
    stage.put(done, images=True, slices=30)
    expect(page.locator(".panel")).to_contain_text("its result is here")
    expect(page.locator(".findings")).to_contain_text("Solitary nodule of lung")
    expect(page.get_by_role("progressbar", name="Analysis")).to_have_count(0)
    expect(page.get_by_role("button", name="Sign off")).to_be_visible()
    page.goto(stage.url)
    expect(page.get_by_role("row", name=study.handle)).to_contain_text("flagged")


def test_of_a_finding_without_a_place_nothing_is_drawn(stage: Stage, as_user: Callable[..., Page]) -> None:
    """A class of a radiograph has the whole picture as its box: a frame around everything would show nothing."""
    study = stage.put(record(212, "lakeside", high_risk=True), images=True, slices=30)
    whole = {"diameter_mm": 0.0, "centre": None, "box": Box(left=0, top=0, right=SIDE, bottom=SIDE)}
    stage.put(study.model_copy(update={"findings": (study.findings[0].model_copy(update=whole),)}))
    page = as_user("radiologist", f"/studies/{study.id}")
    _ready(page)
    expect(page.get_by_label("Overlay", exact=True)).to_have_count(0)
    with_overlay = picture_of(page)
    page.keyboard.press("h")
    expect(page.get_by_role("button", name="AI overlay")).to_have_attribute("aria-pressed", "false")
    assert np.abs(picture_of(page) - with_overlay).max() < 8


def test_text_that_tries_to_be_code_stays_text(stage: Stage, as_user: Callable[..., Page]) -> None:
    study = _study(stage, 204, why=EVIL, body_part=EVIL, reason=EVIL)
    page = as_user("radiologist", f"/studies/{study.id}")
    _ready(page)
    expect(page.locator(".thumbs")).to_contain_text("<b>1.25</b>")
    page.get_by_role("button", name="Comment").click()
    page.locator("textarea[name=text]").fill(EVIL)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".panel q")).to_have_text(EVIL)
    page.goto(stage.url)
    expect(page.locator("table.studies")).to_contain_text("onerror")
    assert "owned" not in page.title()
    assert page.locator("table.studies img, table.studies script").count() == 0


def _seal(stage: Stage, study: StudyRecord) -> None:
    """Puts an identity into the vault as intake does."""
    identity = IdentityRecord.model_validate(
        {
            "clinic": study.clinic, "token": study.id, "handle": study.handle, "clean_study_uid": study.study_uid,
            "study": {"accession_number": "ACC-77"},
            "patients": {study.patient: {"patient_id": "KH-1", "name": NAME, "birth_date": "19600102"}},
        }
    )  # fmt: skip
    code = "import sys; from readfirst.adapters.identity import vault; vault.add(sys.argv[1], sys.argv[2].encode())"
    name = f"{study.id}/000001-000000.json"
    command = [sys.executable, "-W", "ignore", "-c", code, name, identity.model_dump_json()]
    subprocess.run(command, env={"PATH": "/usr/bin:/bin", **stage.stack.environment}, check=True, timeout=PATIENCE)


def test_the_three_doors_show_an_identity_to_whom_they_should(stage: Stage, as_user: Callable[..., Page]) -> None:
    study = _study(stage, 205)
    _seal(stage, study)
    path = f"/studies/{study.id}"

    treating = as_user("clinician.lakeside", path)
    expect(treating.locator("rf-identity")).not_to_contain_text("Quellmalz")
    treating.get_by_role("button", name="Show patient").click()
    expect(treating.locator(".identity")).to_contain_text("Quellmalz Ottokar")
    expect(treating.locator(".identity")).to_contain_text("ACC-77")
    treating.get_by_role("button", name="Hide").click()
    expect(treating.locator("body")).not_to_contain_text("Quellmalz")

    reader = as_user("radiologist", path)
    expect(reader.get_by_role("button", name="Show patient")).to_have_count(0)
    reader.get_by_role("button", name="Break glass").click()
    reader.get_by_label(re.compile("Reason")).fill("The ward does not answer and it is urgent")
    reader.get_by_role("button", name="Show the identity").click()
    expect(reader.locator(".identity")).to_contain_text("Quellmalz Ottokar")

    reader.reload()
    reader.get_by_role("button", name="Other use").click()
    reader.get_by_label(re.compile("Reason")).fill("A case conference for teaching")
    reader.get_by_role("button", name="Ask", exact=True).click()
    expect(reader.locator("rf-identity")).to_contain_text("A second person decides")

    officer = as_user("privacy-officer", "/requests")
    officer.get_by_role("row", name=study.handle).get_by_role("button", name="Approve").click()
    expect(officer.get_by_role("row", name=study.handle)).to_contain_text("approved")
    officer.goto(f"{stage.url}/privacy")
    expect(officer.get_by_role("row", name=study.handle).first).to_contain_text("does not answer")
    officer.get_by_role("button", name="Justified", exact=True).first.click()
    expect(officer.locator("main")).to_contain_text("Every chain of this app is unbroken")

    reader.goto(f"{stage.url}/requests")
    reader.get_by_role("button", name="Show the identity").click()
    expect(reader.locator(".identity")).to_contain_text("Quellmalz Ottokar")

    officer.get_by_label("Handle", exact=True).fill(study.handle.lower())
    officer.get_by_label("Reason (do not name the patient)").fill("The patient asks to be forgotten")
    officer.get_by_label("This cannot be undone").check()
    officer.get_by_role("button", name="Erase").click()
    expect(officer.get_by_role("status")).to_contain_text(f"Being erased: {study.handle}")


def test_a_clinic_user_uploads_files_and_sees_what_became_of_them(
    stage: Stage, as_user: Callable[..., Page], tmp_path: Path
) -> None:
    (tmp_path / "note.dcm").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "large.bin").write_bytes(b"x" * (9 << 20))
    page = as_user("clinic-user.lakeside", "/uploads")
    page.get_by_label("Files").set_input_files([tmp_path / "note.dcm", tmp_path / "large.bin"])
    expect(page.locator("main")).to_contain_text("2 of 2 sent")
    expect(page.locator("table")).to_contain_text("note.dcm")
    expect(page.get_by_role("row", name=re.compile("note.dcm"))).to_contain_text("The file is not DICOM")


def test_a_folder_with_a_zip_goes_on_after_a_reload_and_becomes_a_study(
    stage: Stage, as_user: Callable[..., Page], tmp_path: Path
) -> None:
    study = record(207, "lakeside")
    with zipfile.ZipFile(tmp_path / "ct.zip", "w", zipfile.ZIP_STORED) as archive:
        for number, image in enumerate(chest(study.study_uid, f"{study.study_uid}.3", 96)):
            archive.writestr(f"IM{number}", image)  # 12.6 MB: four blocks
    (tmp_path / "readme.txt").write_text("no image")
    page = as_user("clinic-user.lakeside", "/uploads")
    sent: list[str] = []
    page.on("request", lambda r: sent.append(r.url) if "comp=block&" in r.url else None)

    def break_off(route: Route) -> None:
        route.continue_() if len(sent) <= 2 else route.abort()

    page.route(re.compile("comp=block"), break_off)
    page.get_by_label("Folder").set_input_files(tmp_path)
    expect(page.locator("main")).to_contain_text("1 failed")
    page.unroute_all()
    page.reload()
    sent.clear()
    page.get_by_label("Folder").set_input_files(tmp_path)
    expect(page.locator("main")).to_contain_text("1 of 2 sent, 1 sent before")
    assert 1 <= len(sent) <= 2, "blocks that had arrived were sent again"
    assert "ct.zip" not in page.evaluate("JSON.stringify(localStorage)")  # a file's name can be a patient's
    expect(page.get_by_role("row", name=re.compile("ct.zip"))).to_contain_text("taken, 96 images")


def test_a_file_in_quarantine_is_looked_at_and_released(stage: Stage, as_user: Callable[..., Page]) -> None:
    from azure.storage.blob import BlobServiceClient

    study = _study(stage, 206)
    image = f"{study.id}/instances/{study.study_uid}.3/{study.study_uid}.3.1.dcm"
    data = stage.blobs.get_blob_client("clean", image).download_blob().readall()
    uploads = BlobServiceClient.from_connection_string(stage.stack.environment["UPLOADS"])
    kept = uploads.get_blob_client("quarantine", f"{study.id}/{'b' * 32}")
    kept.upload_blob(data, metadata={"reason": "burned-in-text-likely"})
    page = as_user("privacy-officer.lakeside", "/quarantine")
    page.get_by_role("button", name="burned-in-text-likely").click()
    expect(page.get_by_alt_text("The picture that was kept back")).to_be_visible()
    page.get_by_label("Reason for the decision").fill("A scale, no name")
    page.get_by_role("button", name="Release").click()
    expect(page.locator("main")).to_contain_text("Release asked for")


def test_a_privacy_officer_says_whose_study_of_two_persons_it_is(stage: Stage, as_user: Callable[..., Page]) -> None:
    from azure.storage.blob import BlobServiceClient

    study = _study(stage, 210)
    shown = (Stated(patient_id="A-1", name="Orchardson^Anna"), Stated(patient_id="B-2", name="<b>Boris</b>"))
    asked = Question(persons=tuple((one,) for one in shown), files=(20, 3), shown=shown, pinned=0)
    uploads = BlobServiceClient.from_connection_string(stage.stack.environment["UPLOADS"])
    kept = uploads.get_blob_client("quarantine", f"{study.id}/{'f' * 32}")
    kept.upload_blob(asked.model_dump_json(), metadata={"reason": "several-persons"})
    page = as_user("privacy-officer.lakeside", "/quarantine")
    page.get_by_role("button", name="several-persons").first.click()
    row = page.get_by_role("row", name=re.compile("Orchardson"))
    expect(row).to_contain_text("20")
    other = page.get_by_role("row", name=re.compile("Boris"))
    expect(other).to_contain_text("<b>Boris</b>")
    expect(other.get_by_role("button")).to_be_disabled()
    page.get_by_label("Reason for the decision").fill("By the order of the ward")
    row.get_by_role("button", name="Only this person's files").click()
    expect(page.locator("main")).to_contain_text("Your word is noted")


PAGES = {
    "radiologist": [
        "/",
        "/?label=flagged&modality=MR",
        "/operations",
        "/requests",
        "/about",
        "/study/7ZZZZZZ7",
        "STUDY",
    ],
    "privacy-officer": ["/quarantine", "/privacy", "/nowhere"],
    "clinic-user": ["/uploads"],
}


@pytest.mark.parametrize("user", list(PAGES))
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing(stage: Stage, as_user: Callable[..., Page], user: str, theme: str) -> None:
    page = as_user(user, "/about", bypass_csp=True)
    page.evaluate("theme => localStorage.setItem('readfirst.theme', theme)", theme)
    for path in PAGES[user]:
        path = f"/studies/{stage.study.id}" if path == "STUDY" else path
        page.goto(stage.url + path)
        _settled(page)
        page.add_script_tag(path=AXE)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        if path.startswith("/studies"):
            page.get_by_text("Provenance").click()
            page.keyboard.press("b")
            page.locator("rf-prior .slice").wait_for()
            found += page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
            page.get_by_role("button", name="De-identification report").click()
            page.get_by_role("dialog").wait_for()
            found += page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        told = [(v["id"], [n["html"][:160] for n in v["nodes"][:3]]) for v in found]
        assert told == [], f"{path} {theme}"


_REACHED = """() => {
  const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")];
  const shown = all.filter(e => !e.disabled && e.checkVisibility() && !e.closest("dialog:not([open])"));
  const at = document.activeElement;
  const style = getComputedStyle(at);
  return [shown.length, shown.indexOf(at), style.outlineStyle !== "none" || style.boxShadow !== "none"];
}"""


@pytest.mark.parametrize("user", list(PAGES))
def test_the_tab_key_reaches_everything_on_a_page_and_one_sees_where_one_is(
    stage: Stage, as_user: Callable[..., Page], user: str
) -> None:
    page = as_user(user, "/about")
    for path in PAGES[user]:
        path = f"/studies/{stage.study.id}" if path == "STUDY" else path
        page.goto(stage.url + path)
        _settled(page)
        page.evaluate("document.activeElement.blur()")
        count, reached = page.evaluate(_REACHED)[0], set()
        for _ in range(count + 5):
            page.keyboard.press("Tab")
            _, index, visible = page.evaluate(_REACHED)
            assert index < 0 or visible, f"{path}: element {index} does not show that it has the focus"
            reached.add(index)
        assert reached >= set(range(count)), f"{path}: not reached {set(range(count)) - reached}"


def test_a_server_that_fails_or_is_away_is_told_in_words_and_the_page_goes_on_when_it_is_back(
    stage: Stage, as_user: Callable[..., Page]
) -> None:
    page = as_user("radiologist")
    page.locator("table.studies").wait_for()
    body = '{"code":"fault","detail":"Something failed on our side. Reference 0123."}'
    for answer, words in (
        (lambda r: r.fulfill(status=500, content_type="application/problem+json", body=body), "Reference 0123"),
        (lambda r: r.abort(), "cannot be reached"),
        (lambda r: r.fulfill(status=502, body="<html>gateway</html>"), "The server answered 502"),
    ):
        page.route("**/api/v1/studies?**", answer)
        page.keyboard.press("r")
        expect(page.get_by_role("alert")).to_contain_text(words)
        expect(page.locator("table.studies")).to_be_visible()  # what was known stays
        page.unroute_all()
        page.keyboard.press("r")
        expect(page.get_by_role("alert")).to_have_count(0)
    page.goto(f"{stage.url}/studies/{'0' * 32}")
    expect(page.get_by_role("alert")).to_contain_text("There is no such study")
    expect(page.get_by_role("link", name="Back to the worklist")).to_be_visible()


def test_every_answer_of_the_portal_has_the_headers_and_no_inline_code_is_allowed(stage: Stage) -> None:
    import requests

    for path, status in (("/", 200), ("/studies/unknown", 200), ("/assets/none.js", 404)):
        answer = requests.get(stage.url + path, timeout=PATIENCE)
        assert answer.status_code == status, path
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe-inline" not in policy and "'unsafe-eval'" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_worklist_works_with_sixty_kilobytes_of_code(stage: Stage, as_user: Callable[..., Page]) -> None:
    import gzip

    page = as_user("radiologist")
    dist = Path(__file__).parents[2] / "portal_static/dist"
    entry = re.search(r'src="/(assets/[^"]+\.js)"', (dist / "index.html").read_text())[1]
    needed = {entry, *(f"assets/{name}" for name in re.findall(r'from"\./([^"]+)"', (dist / entry).read_text()))}
    size = sum(len(gzip.compress((dist / name).read_bytes())) for name in needed)
    assert 0 < size <= 60_000, f"{size} bytes of gzipped JavaScript"
    # What is fetched beside it, for the study that will be opened, is not needed for the list.
    page.route("**/*.js", lambda r: r.continue_() if r.request.url.split("/", 3)[3] in needed else r.abort())
    page.goto(stage.url)
    page.locator("table.studies a.handle").first.wait_for()
    page.keyboard.press("j")
    expect(page.locator("tr[aria-selected=true]")).to_have_count(1)
