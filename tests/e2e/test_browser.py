"""A person in a real browser: signs in, reads the instructions, labels by mouse and by keys, skips."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
import pytest
from playwright.sync_api import Locator, Page, expect

import labelwise
from labelwise.flows import facts
from labelwise.flows.demo import bbc_news
from labelwise.tasks import settings
from labelwise.tasks.gold import asking, trusted
from labelwise.tasks.items import stored
from labelwise.tasks.kinds import multilabel
from labelwise.tasks.labels import ledger
from labelwise.tasks.reporting import status
from labelwise.tasks.services.home import Addresses
from labelwise.tasks.services.label_studio.accounts import Reviewer
from labelwise.tasks.services.label_studio.project import LabelStudioProject, open_gold_project, open_project
from labelwise.tasks.services.local import credentials
from labelwise.tasks.services.mlflow import open_tracking
from labelwise.tasks.settings import NONE, Columns, Kind
from labelwise.tasks.trial import review
from labelwise.tasks.upkeep import init
from labelwise.tasks.workspace import Workspace
from tests.e2e.conftest import CLASSES, SOON, Make, Source, answer, command, killed, play, play_rounds, rows

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def sign_in(page: Page, url: str, account: tuple[str, str] | None = None) -> None:
    email, password = account or credentials.sign_in()
    page.goto(f"{url}/user/login/")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda address: "/user/login" not in address)


def instructions(page: Page) -> Locator:
    """The instructions as Label Studio shows them, once they stand: while they still appear, Escape is lost."""
    told = page.locator(".lsf-modal-ls").filter(has_text="skip it (Ctrl+Space)")
    expect(told).to_have_class(re.compile("lsf-visible"))
    return told


def begin(page: Page, workspace: Workspace, tab: str, classes: Sequence[str] = CLASSES, address: str = "") -> None:
    """Open the tab of the open batch, begin to label, read the instructions and close them."""
    page.goto(address or status.status(workspace).urls["label_studio"])
    expect(page.get_by_text(tab, exact=True).first).to_be_visible()
    some = page.get_by_text(re.compile("Label \\d+ Tasks"))
    page.get_by_role("button", name="Label All Tasks").or_(some).first.click()
    told = instructions(page)
    for number, name in enumerate(classes, 1):
        expect(told.get_by_role("listitem").filter(has_text=f"{name} (key {number})")).to_be_visible()
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
    given_so_far = rows(workspace)
    assert sorted(given_so_far.status) == ["labelled", "labelled", "skipped"]
    skipping = given_so_far.annotator[given_so_far.status == "skipped"].iloc[0]
    by_hand = given_so_far[given_so_far.annotator == skipping]
    assert CLASSES[1] in set(by_hand.label.dropna())


@pytest.mark.long
def test_two_people_answer_the_same_batch_and_neither_sees_the_other(page: Page, make: Make, source: Source) -> None:
    """Each in a browser of their own, turn by turn: nobody waits for the other, and nothing is chosen for anybody."""
    workspace = make(select__batch=3, people__overlap=2, push__show_prediction=False)
    reviewer = Reviewer(1)
    assert page.context.browser is not None
    context = page.context.browser.new_context(viewport={"width": 1400, "height": 900})
    other = context.new_page()
    other.set_default_timeout(SOON)
    play(workspace)
    project = open_project(workspace.settings)
    sign_in(page, project.url)
    sign_in(other, project.url, (reviewer.email, reviewer.password))
    for each in (page, other):
        begin(each, workspace, "Round 1")
    pool = pd.read_parquet(workspace.pool / "shard-0001.parquet").set_index("id").text
    texts = set(pool[pd.read_parquet(workspace.batch).id])
    seen: dict[Page, list[str]] = {page: [], other: []}
    for _ in range(3):
        for each, name in ((page, CLASSES[0]), (other, CLASSES[1])):
            choice = each.locator("label", has_text=name).first
            expect(choice).to_be_visible()
            (text,) = (text for text in texts if each.get_by_text(text, exact=True).count())
            seen[each].append(text)
            assert each.locator("input[type=radio]:checked, input[type=checkbox]:checked").count() == 0
            assert not each.get_by_text("owner@labelwise.local" if each is other else reviewer.email).count()
            choice.click()
            with given(each):
                each.get_by_test_id("bottombar-submit-button").click()
            expect(each.get_by_text(text, exact=True)).to_be_hidden()
    assert sorted(seen[page]) == sorted(set(seen[other])) and len(seen[page]) == 3
    context.close()
    play(workspace)
    said = rows(workspace)
    assert sorted(said.label) == sorted([CLASSES[0], CLASSES[1]] * 3) and said.annotator.nunique() == 2
    assert said.groupby("id").annotator.nunique().eq(2).all()


@pytest.mark.long
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


# Several labels an item

FACTS = ["court", "film", "politics", "sport"]


@pytest.fixture
def sets(servers: Addresses, tmp_path: Path) -> tuple[Workspace, Path]:
    """A workspace whose labels are facts of a headline, any number of them, and the answers."""
    news = bbc_news().sample(300, random_state=0)
    known = [
        [fact for fact in facts.facts(section, text) if fact in FACTS]
        for section, text in zip(news.label, news.text, strict=True)
    ]
    rows = pd.DataFrame({"text": news.text.str.split().str[:14].str.join(" "), "label": list(map(json.dumps, known))})
    for name, part in (("pool", rows[:200][["text"]]), ("gold", rows[200:]), ("answers", rows[:200])):
        part.to_csv(tmp_path / f"{name}.csv", index=False)
    sources = str(tmp_path / "pool.csv"), str(tmp_path / "gold.csv")
    root = tmp_path / "facts"
    init.run(root, *sources, FACTS, "facts", None, Columns(), kind=Kind(answer="multilabel"))
    quick = {"select.batch": 8, "wait.poll_seconds": [0.2, 1], "train.learner": "frozen", "gold.reserve": 0.3}
    settings.change(root / "params.yaml", quick | {"select.suspects": 0.0})  # each batch is of new items
    return Workspace.open(root), tmp_path / "answers.csv"


def looked_at(page: Page, name: str) -> None:
    """A picture for whoever asks for one by LABELWISE_PICTURES, a folder."""
    if folder := os.environ.get("LABELWISE_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def ask_and_learn(workspace: Workspace, answers: Path) -> None:
    review.run(workspace, answers, review.Manner(users=2), print)
    play(workspace)


def change_the_classes(workspace: Workspace, known: Path) -> Workspace:
    """One renamed, one dropped, one new, by commands; the loop goes on, and the past is as it was."""
    root, before, number = str(workspace.root), rows(workspace), ledger.current_round(workspace.labels)
    for words in (["rename", "film", "cinema"], ["drop", "sport"], ["add", "weather"]):
        done = command("classes", *words, "--workspace", root)
        assert done.returncode == 0, done.stderr
    here = Workspace.open(root)
    assert "reviewers still choose by params.yaml as it was" in " ".join(status.status(here).problems)
    play(here)
    project = open_project(here.settings)
    assert project.choices() == ["court", "cinema", "politics", "weather", NONE]
    assert not status.status(here).problems
    tasks = project.tasks(number + 1).sort_values("task_id")
    Reviewer(1).answer(int(tasks.task_id.iloc[0]), multilabel.result('["cinema", "weather"]'), 5.0)
    ask_and_learn(here, known)

    pd.testing.assert_frame_equal(rows(here)[: len(before)], before)  # no row is edited
    today = ledger.effective(ledger.today(here)).set_index("id").label
    told = {item: set(json.loads(label)) for item, label in zip(before.id, before.label, strict=True)}
    assert any("sport" in names for names in told.values()) and any("film" in names for names in told.values())
    for item, names in told.items():
        assert set(json.loads(today[item])) == {name.replace("film", "cinema") for name in names - {"sport"}}
    assert today[tasks.id.iloc[0]] == '["cinema", "weather"]'
    measured = pd.read_csv(here.metrics / "predictions.csv", keep_default_na=False)
    named = {name for label in measured.actual for name in json.loads(label)}
    assert named == {"court", "cinema", "politics"}
    assert "identical" in command("replay", "2", "--workspace", root).stdout
    whole = command("audit", "--workspace", root)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    return here


@pytest.mark.long
def test_several_labels_from_the_click_to_the_model(page: Page, sets: tuple[Workspace, Path]) -> None:
    workspace, known = sets
    play(workspace)
    project = open_project(workspace.settings)
    sign_in(page, project.url)
    begin(page, workspace, "Round 1", FACTS)

    # two boxes by mouse, two classes by keys, none of these by mouse and by its key, a class that is taken back
    boxes = page.locator("input[type=checkbox]:checked")
    shown = project.tasks(1).set_index("id").data.map(lambda data: data["text"])
    in_order = pd.read_parquet(workspace.batch).sort_values("rank").id
    said: list[str] = []
    for item, (label, clicked, keys) in zip(
        in_order,
        [
            ('["court", "politics"]', ["court", "politics"], ""),
            ('["film", "sport"]', [], "24"),
            ("[]", [NONE], ""),
            ("[]", [], "0"),
            ('["sport"]', [], "114"),
        ],
        strict=False,
    ):
        expect(page.get_by_text(shown[item], exact=True).first).to_be_visible()
        expect(boxes).to_have_count(0)
        for name in clicked:
            page.locator("label", has_text=name).first.click()
        for key in keys:
            page.keyboard.press(key)
        expect(boxes).to_have_count(max(1, label.count('"') // 2))
        looked_at(page, f"answer-{len(said)}")
        with given(page):
            page.keyboard.press("Control+Enter")
        said.append(label)
    assert answers(project) == 5
    ask_and_learn(workspace, known)
    first = rows(workspace)
    mine = first[first.annotator == first.annotator.value_counts().index[0]]
    assert sorted(mine.label) == sorted(said)

    ask_and_learn(workspace, known)
    data = project.tasks(3).set_index("id").data
    batch = pd.read_parquet(workspace.batch).sort_values("rank")
    for item, why, label, sure in batch[["id", "why", "prediction", "confidence"]].itertuples(index=False):
        wanted = "" if why == "control" else multilabel.suggestion(label, sure)
        assert data[item]["suggestion"] == wanted
    begin(page, workspace, "Round 3", FACTS)
    expect(page.get_by_text(data[batch.id.iloc[0]]["text"], exact=True).first).to_be_visible()
    looked_at(page, "suggested")
    page.evaluate("document.documentElement.setAttribute('data-color-scheme', 'dark')")  # as its own switch does
    looked_at(page, "suggested-dark")
    ask_and_learn(workspace, known)

    root = str(workspace.root)
    assert "set F1" in command("status", "--workspace", root).stdout
    assert command("next", "--workspace", root).returncode == 0
    item = mine.id.iloc[0]
    told = command("lineage", item, "--workspace", root)
    assert told.returncode == 0 and str(mine.label.iloc[0]) in told.stdout

    # trusted labels: two people who differ in one class; a third decides
    asking.run_grow(workspace, 2, print)
    asked = trusted.asked(workspace).merge(open_gold_project(workspace.settings).tasks(1), on="id")
    people = [Reviewer(number) for number in (1, 2, 3)]
    for at, task in enumerate(asked.task_id):
        people[0].answer(int(task), multilabel.result('["court", "politics"]'), 5.0)
        people[1].answer(int(task), multilabel.result('["court"]' if at else '["court", "politics"]'), 5.0)
    asking.run_collect(workspace, print)
    assert asking.counts(workspace).disputed == 1
    people[2].answer(int(asked.task_id[1]), multilabel.result('["court", "film"]'), 5.0)
    asking.run_collect(workspace, print)
    seen = trusted.seen(workspace).set_index("id")
    assert seen.verdict[asked.id].tolist() == ['["court", "politics"]', '["court"]']

    # a gold row that the model contradicts, put before people who say something else again
    asking.run_review(workspace, 1, print)
    (doubted,) = set(trusted.asked(workspace).id) - set(asked.id)
    (task,) = open_gold_project(workspace.settings).tasks(2).task_id
    for person in people[:2]:
        person.answer(int(task), multilabel.result('["film", "sport"]'), 5.0)
    asking.run_collect(workspace, print)
    assert trusted.gold(workspace).set_index("id").label[doubted] == '["film", "sport"]'

    workspace = change_the_classes(workspace, known)

    # the model, by both ways to load it, and its figure
    tracking = open_tracking(workspace.settings)
    texts = pd.read_csv(known).text.tolist()[:20]
    address = f"models:/{tracking.name}/{tracking.registered()[-1].version}"
    predicted = labelwise.load(address).predict(texts)
    served = mlflow.pyfunc.load_model(address).predict(pd.DataFrame({"text": texts}))
    assert served.label.tolist() == predicted.label.tolist()
    assert all(multilabel.label_of(json.loads(label)) == label for label in predicted.label)
    metrics = json.loads((workspace.metrics / "gold.json").read_text())
    assert 0 <= metrics["set_f1"] <= 1
    logged = tracking.registered()[-1].metrics
    assert logged is not None and logged["set_f1"] == pytest.approx(metrics["set_f1"])

    for name, words in (("report", ["report"]), ("reviewers", ["report", "--reviewers"])):
        made = command(*words, "--workspace", root)
        assert made.returncode == 0, made.stderr
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.goto(Path(made.stdout.splitlines()[0]).resolve().as_uri())
            looked_at(page, f"{name}-{theme}")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert "set F1" in page.inner_text("body")
            assert '["' not in page.inner_text("body")

    gone = command("forget", item, "--yes", "--workspace", root)
    assert gone.returncode == 0, gone.stderr
    assert item not in set(rows(workspace).id)


# Marks in a text

NAMES = ["person", "place"]
MARKED: dict[str, tuple[str, str] | None] = {  # text -> what is dragged over in it, with its key; None: it is skipped
    "plain words, then Rome at last": ("Rome", "2"),
    "a smile \U0001f600 and  two blanks before  Ada, who ran": ("Ada", "1"),
    "a family \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \u200bgoes to  New  York  today": (
        "New  York",
        "2",
    ),
    "خرج الرجل من روما \u05d0\u05de\u05e1 and Oslo \u05d9\u05d5\u05dd": ("Oslo", "2"),
    "first line \t end\n\n  third <b>line</b> &amp; Rome": ("Rome", "2"),
    "nobody goes anywhere": ("", ""),
    "somebody may go somewhere": None,
}
# Where on the page the first and the last character of some words stand.
AT = """(words) => {
  const box = document.querySelector("[class*='richtext__container']"), nodes = [];
  let all = "", node;
  const walk = document.createTreeWalker(box, NodeFilter.SHOW_ALL);
  while ((node = walk.nextNode())) {
    if (node.nodeType === 3) { nodes.push([node, all.length]); all += node.data; }
    else if (node.nodeName === "BR") all += "\\n";
  }
  const at = all.indexOf(words);
  return [at, at + words.length - 1].map((place) => {
    const [text, begin] = nodes.find(([each, first]) => first <= place && place < first + each.data.length);
    const range = document.createRange();
    range.setStart(text, place - begin);
    range.setEnd(text, place - begin + 1);
    const box = range.getBoundingClientRect();
    return [box.left, box.right, (box.top + box.bottom) / 2];
  });
}"""


@pytest.fixture
def marking(servers: Addresses, tmp_path: Path) -> Workspace:
    """A workspace whose texts have all that has ever moved a mark, and as trusted labels those of other texts."""
    gold = [
        {"text": f"{who} went to {where}", "label": [[0, 1, "person"], [10, 11, "place"]]}
        for who in "ABCD"
        for where in "XYZ"
    ]
    pd.DataFrame({"text": [text.replace("\n", " \r\n") for text in MARKED]}).to_json(
        tmp_path / "pool.jsonl", orient="records", lines=True
    )
    pd.DataFrame(gold).to_json(tmp_path / "gold.jsonl", orient="records", lines=True)
    root = tmp_path / "marks"
    sources = str(tmp_path / "pool.jsonl"), str(tmp_path / "gold.jsonl")
    init.run(root, *sources, None, "marks", None, Columns(), kind=Kind(answer="spans"))
    settings.change(
        root / "params.yaml", {"select.batch": len(MARKED), "gold.reserve": 0.0, "wait.poll_seconds": [0.2, 1]}
    )
    return Workspace.open(root)


def drag(page: Page, words: str) -> None:
    """Over words of the text, from left to right."""
    first, last = page.evaluate(AT, words)
    page.mouse.move(first[0] + 1, first[2])
    page.mouse.down()
    page.mouse.move((first[0] + last[1]) / 2, (first[2] + last[2]) / 2, steps=4)
    page.mouse.move(last[1] - 1, last[2], steps=4)
    page.mouse.up()


def test_what_a_person_marks_is_in_the_ledger_also_after_the_loop_died(page: Page, marking: Workspace) -> None:
    play(marking)
    batch = pd.read_parquet(marking.batch).sort_values("rank")
    texts = stored.cells_by_id(marking, batch.id)
    assert set(texts.values()) == set(MARKED)  # without the blanks at the ends of lines
    project = open_project(marking.settings)
    sign_in(page, project.url)
    begin(page, marking, "Round 1", NAMES)
    wanted: dict[str, str | None] = {}
    for item in batch.id:
        text = texts[item]
        expect(page.locator("[class*='richtext__line']").last).to_have_text(text.rpartition("\n")[2].strip())
        told = MARKED[text]
        if told is None:
            wanted[item] = None
        else:
            words, key = told
            if words:
                page.keyboard.press(key)
                drag(page, words)
                expect(page.locator("[class*='htx-highlight']").first).to_be_visible()
            start = text.index(words)
            name = NAMES[int(key) - 1] if key else ""
            wanted[item] = json.dumps([[start, start + len(words), name]] if words else [], ensure_ascii=False)
        looked_at(page, f"spans-{len(wanted)}")
        with given(page):
            page.keyboard.press("Control+Space" if told is None else "Control+Enter")
    killed(marking)
    play(marking)
    said = rows(marking).set_index("id")
    assert said.status[[item for item, label in wanted.items() if label is None]].tolist() == ["skipped"]
    known = said[said.status == "labelled"].label.to_dict()
    assert known == {item: label for item, label in wanted.items() if label is not None}
    assert (marking.model / "tagger.safetensors").exists()
    again = command("replay", "round-0001", "--from", str(marking.root))
    assert again.returncode == 0 and "identical" in again.stdout, again.stdout + again.stderr
