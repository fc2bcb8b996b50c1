"""A person in a real browser: signs in, reads the instructions, labels by mouse and by keys, skips."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from labelwise.tasks import settings
from labelwise.tasks.reporting import status
from labelwise.tasks.services.label_studio.project import LabelStudioProject, open_project
from labelwise.tasks.services.local import credentials
from labelwise.tasks.workspace import Workspace
from tests.e2e.conftest import CLASSES, Make, Source, answer, play, play_rounds, rows

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
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
    email, password = credentials.sign_in()
    page.goto(f"{url}/user/login/")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda address: "/user/login" not in address)


def begin(page: Page, workspace: Workspace, tab: str) -> None:
    """Open the tab of the open batch, begin to label, read the instructions and close them."""
    page.goto(status.status(workspace).urls["label_studio"])
    expect(page.get_by_text(tab, exact=True).first).to_be_visible()
    some = page.get_by_text(re.compile("Label \\d+ Tasks"))
    page.get_by_role("button", name="Label All Tasks").or_(some).first.click()
    told = page.get_by_text("skip it (Ctrl+Space)")
    expect(told).to_be_visible()
    for number, name in enumerate(CLASSES, 1):
        expect(page.get_by_role("listitem").filter(has_text=f"{name} (key {number})")).to_be_visible()
    page.keyboard.press("Escape")
    expect(told).to_be_hidden()


def with_context(workspace: Workspace, source: Source, folder: Path) -> Workspace:
    """The same with columns for reviewers to see: harmless ones, and what somebody put there for them."""
    cells = {
        "subject": f"Not <b>paid</b> {HOSTILE}",
        "page": "https://shop.example/?order=1&back='2'",
        "trap": "javascript:document.title='owned'",
        "mail": "m" * 2**20,
    }
    pool = folder / "pool.jsonl"
    rows = pd.read_csv(source.pool).assign(**cells)
    rows.head(40).to_json(pool, orient="records", lines=True)
    settings.change(workspace.root / "params.yaml", {"pull.pool": str(pool), "pull.columns.context": list(cells)})
    return Workspace.open(workspace.root)


def sees_context(page: Page) -> None:
    """The labelling page shows it above the text: markup as text, one link, nothing run."""
    shown = page.locator(".labelwise-context table")
    expect(shown).to_be_visible()
    expect(shown.locator("tr").first).to_contain_text(f"Not <b>paid</b> {HOSTILE}")
    assert shown.locator("img, script, b").count() == 0
    link = shown.locator("a")
    expect(link).to_have_count(1)
    expect(link).to_have_attribute("target", "_blank")
    expect(link).to_have_attribute("href", "https://shop.example/?order=1&back='2'")
    page.context.route("https://shop.example/**", lambda route: route.fulfill(body="the shop"))
    with page.expect_popup() as opened:
        link.click()
    expect(opened.value.get_by_text("the shop")).to_be_visible()
    opened.value.close()
    expect(shown.locator("tr").nth(2)).to_have_text(re.compile("trap\\s*javascript:document.title='owned'"))
    expect(shown.locator("tr").nth(3)).to_contain_text("mmm…")
    assert page.title() != "owned"


@contextmanager
def given(page: Page) -> Iterator[None]:
    """Until Label Studio has an answer or a skip, and shows the next task."""
    with page.expect_response(lambda said: "/annotations" in said.url and said.request.method == "POST"):
        yield


def answers(project: LabelStudioProject) -> int:
    return project.progress(1).answered


def test_what_a_person_clicks_reaches_the_ledger(page: Page, make: Make, source: Source, tmp_path: Path) -> None:
    workspace = with_context(make(select__batch=3), source, tmp_path)
    play(workspace)
    project = open_project(workspace.settings)
    sign_in(page, project.url)
    begin(page, workspace, "Round 1")
    sees_context(page)

    page.locator("label", has_text=CLASSES[1]).first.click()
    with given(page):
        page.get_by_test_id("bottombar-submit-button").click()
    with given(page):
        page.get_by_test_id("bottombar-skip-button").or_(page.get_by_role("button", name="Skip")).first.click()

    assert answers(project) == 2
    answer(workspace, source)
    play(workspace)
    ledger = rows(workspace)
    assert sorted(ledger.status) == ["labelled", "labelled", "skipped"]
    by_hand = ledger[(ledger.annotator == ledger.annotator[ledger.status == "skipped"].iloc[0])]
    assert CLASSES[1] in set(by_hand.label.dropna())


def test_a_suggestion_is_read_and_confirmed_by_its_key(page: Page, make: Make, source: Source) -> None:
    """Nothing is chosen in advance: a key would take that back. Switched on with a batch open, suggestions are shown on
    all its tasks but those of the control arm."""
    workspace = make(select__batch=6, select__control=0.5, train__learner="frozen", push__show_prediction=False)
    root = workspace.root / "params.yaml"
    kept = root.read_text(encoding="utf-8")
    listed = f"classes: [{', '.join(CLASSES)}]"
    assert listed in kept
    described = f"classes:\n  {CLASSES[0]}: <b>shops</b> & <script>document.title = 'owned'</script>\n"
    described += "".join(f"  {name}:\n" for name in CLASSES[1:])
    root.write_text(kept.replace(listed, described), encoding="utf-8")
    workspace = Workspace.open(workspace.root)
    play_rounds(workspace, source, 1)
    project = open_project(workspace.settings)
    assert {data["suggestion"] for data in project.tasks(2).data} == {""}

    settings.change(root, {"push.show_prediction": True})
    workspace = Workspace.open(workspace.root)
    play(workspace)
    batch = pd.read_parquet(workspace.batch).set_index("id")
    tasks = project.tasks(2).set_index("id")
    suggested = tasks.data.map(lambda data: data["suggestion"])
    assert len(tasks) == len(batch) == 6
    assert set(batch.why[suggested == ""]) == {"control"} == set(batch.why) - set(batch.why[suggested != ""])
    play(workspace)
    assert project.tasks(2).set_index("id").data.to_dict() == tasks.data.to_dict()

    sign_in(page, project.url)
    begin(page, workspace, "Round 2")
    assert page.title() != "owned"
    expect(page.locator(".lsf-sidepanels__wrapper").first).to_be_hidden()
    chosen: dict[str, str] = {}
    for item, row in batch.sort_values("rank").iterrows():
        shown = page.get_by_text("The model suggests:")
        expect(page.get_by_text(tasks.data[item]["text"].split("  ")[0], exact=True).first).to_be_visible()
        if row.why == "control":
            expect(shown).to_have_count(0)
        else:
            expect(shown.first).to_have_text(suggested[item])
        assert page.locator("input[type=radio]:checked").count() == 0
        chosen[str(item)] = row.prediction
        page.keyboard.press(str(CLASSES.index(row.prediction) + 1))
        expect(page.locator("input[type=radio]:checked")).to_have_count(1)
        with given(page):
            page.keyboard.press("Control+Enter")
    play(workspace)
    second = rows(workspace)
    assert dict(zip(second.id[second["round"] == 2], second.label[second["round"] == 2], strict=True)) == chosen
