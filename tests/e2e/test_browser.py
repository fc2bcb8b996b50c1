"""A person in a real browser: signs in, opens the round's tab, labels a task by clicking, skips one."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tasks import push, status
from tasks.services import local
from tasks.services.label_studio import LabelStudioProject
from tests.e2e.conftest import CLASSES, Make, Source, answer, play, rows

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
SOON = 60_000  # ms; a busy machine draws slowly


@pytest.fixture
def page() -> Iterator[Page]:
    program = os.environ.get("LABELWISE_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no browser here: install chromium, or name one in LABELWISE_BROWSER")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        opened = browser.new_page(viewport={"width": 1400, "height": 900})
        opened.set_default_timeout(SOON)
        yield opened
        browser.close()


def sign_in(page: Page, url: str) -> None:
    email, password = local.sign_in()
    page.goto(f"{url}/user/login/")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda address: "/user/login" not in address)


def answers(project: LabelStudioProject) -> int:
    return project.progress(1).answered


def test_what_a_person_clicks_reaches_the_ledger(page: Page, make: Make, source: Source) -> None:
    workspace = make(select__batch=3)
    play(workspace)
    project = push.open_project(workspace.settings)
    sign_in(page, project.url)
    page.goto(status.status(workspace).urls["label_studio"])
    expect(page.get_by_text("Round 1", exact=True).first).to_be_visible()
    page.get_by_role("button", name="Label All Tasks").or_(page.get_by_text("Label 3 Tasks")).first.click()

    page.locator("label", has_text=CLASSES[1]).first.click()
    with page.expect_response(lambda answer: "/annotations" in answer.url and answer.request.method == "POST"):
        page.get_by_test_id("bottombar-submit-button").click()
    with page.expect_response(lambda answer: "/annotations" in answer.url and answer.request.method == "POST"):
        page.get_by_test_id("bottombar-skip-button").or_(page.get_by_role("button", name="Skip")).first.click()

    assert answers(project) == 2
    answer(workspace, source)
    play(workspace)
    ledger = rows(workspace)
    assert sorted(ledger.status) == ["labelled", "labelled", "skipped"]
    by_hand = ledger[(ledger.annotator == ledger.annotator[ledger.status == "skipped"].iloc[0])]
    assert CLASSES[1] in set(by_hand.label.dropna())
