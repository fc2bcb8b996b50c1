"""The report and the reviewers' page: the answer first, hostile text harmless, readable wide and narrow, light and
dark, in a real browser."""

import json
import os
import re
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import sync_playwright

from labelwise.tasks import figures, report, settings, stop
from labelwise.tasks.errors import WorkspaceError
from labelwise.tasks.gold import trusted
from labelwise.tasks.kinds import text
from labelwise.tasks.labels import ledger
from labelwise.tasks.proof import prevalence, savings
from labelwise.tasks.records import ANSWERS, ASKED, BATCH, CONSENSUS, LABELS, POOL, content_id
from labelwise.tasks.reporting import coming, page, reviewers, status, tables
from labelwise.tasks.services.label_studio.project import BatchProgress
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Columns
from labelwise.tasks.upkeep import init
from labelwise.tasks.workspace import Workspace, write_csv, write_json, write_parquet
from tests.tasks.labels.rows import labelled
from tests.tasks.labels.rows import rows as ledger_rows
from tests.tasks.proof.test_proof import played

EVIL = '<script>document.title="stolen"</script><img src=x onerror="document.title=1">'
TEXTS = [f"{EVIL} {n}" for n in range(20)]
IDS = [content_id(text) for text in TEXTS]
CLASSES = ["<b>bold</b>", "plain"]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """One round is over, every text and class in it hostile."""
    pd.DataFrame({"text": TEXTS}).to_csv(tmp_path / "pool.csv", index=False)
    pd.DataFrame({"text": ["one", "two"], "label": CLASSES}).to_csv(tmp_path / "gold.csv", index=False)
    sources = [str(tmp_path / f"{name}.csv") for name in ("pool", "gold")]
    made = init.run(tmp_path / "here", *sources, classes=None, name="<i>name</i>", remote=None, columns=Columns())
    made.pool.mkdir(parents=True, exist_ok=True)
    pool = pd.DataFrame({"id": IDS, "text": TEXTS, "source_id": None})
    write_parquet(made.pool / "shard-0001.parquet", pool.astype("string"))
    given = pd.DataFrame({"id": IDS[:6], "label": CLASSES * 3, "status": "labelled", "round": 1, "why": "uncertain"})
    given = given.assign(origin="asked", annotator=["7", "8"] * 3, annotation_id=range(6), lead_time_s=36.0)
    ledger.append(made.labels, 1, LABELS.conform(given.reindex(columns=list(LABELS.columns))))
    write_parquet(
        made.batch, pd.DataFrame({"id": IDS[6:9]}).reindex(columns=list(BATCH.columns)).fillna({"rank": 1}), BATCH
    )
    write_parquet(
        made.scores, pd.DataFrame({"id": IDS, "prediction": "plain", "confidence": 0.8, "least_confidence": 0.2})
    )
    gold = pd.DataFrame({"id": ["g1", "g2"], "text": [f"{EVIL} gold", "x" * 500], "label": CLASSES})
    write_parquet(made.gold, gold)
    figures = dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high", "macro_f1", "calibration_error"), 0.8)
    write_json(made.metrics / "gold.json", figures | {"items": 2})
    answers = pd.DataFrame({"id": ["g1", "g2"], "actual": CLASSES, "predicted": CLASSES[::-1], "confidence": 0.9})
    answers.to_csv(made.metrics / "predictions.csv", index=False)
    pd.DataFrame({"confidence": [0.9], "correct": [0.5], "items": [2]}).to_csv(
        made.metrics / "calibration.csv", index=False
    )
    return made


def measured(workspace: Workspace, power: float) -> None:
    found = played(power, seed=0)
    write_json(workspace.metrics / "proof.json", {"said": savings.sentence(found), "savings": found.as_json()})


def written(workspace: Workspace) -> str:
    report.run(workspace)
    return page.write(workspace, Versions(workspace.root)).read_text(encoding="utf-8")


def test_before_the_first_round_there_is_nothing_to_report(workspace: Workspace) -> None:
    workspace.batch.unlink()
    with pytest.raises(WorkspaceError, match="no round to report yet"):
        page.write(workspace, Versions(workspace.root))


@pytest.mark.parametrize(
    ("power", "tone", "said"),
    [(3.0, "good", "the loop needs"), (0.05, "bad", "NO GAIN HERE"), (1.0, "open", "cannot tell yet")],
)
def test_the_answer_says_what_was_saved(workspace: Workspace, power: float, tone: str, said: str) -> None:
    measured(workspace, power)
    html = written(workspace)
    card = re.search(r'<div class="(\w+)"><small>labels, against labelling by chance</small>(.*)</div>', html)
    assert card is not None
    assert card[1] == tone
    assert said in card[2]
    kept = figures.savings(workspace)
    assert kept[["round", "labels", "control"]].to_numpy().tolist() == [[1, 500, 100]]


def test_what_people_differ_on_is_shown_and_nobody_is_named(workspace: Workspace) -> None:
    assert "What people differ on" not in written(workspace)
    given = pd.DataFrame({"id": IDS[:4], "label": ["plain", "plain", CLASSES[0], "plain"], "annotator": "4711"})
    given = given.assign(status="labelled", round=2, why="relabel", origin="asked", annotation_id=range(10, 14))
    ledger.append(workspace.labels, 2, LABELS.conform(given.reindex(columns=list(LABELS.columns))))
    rows = {"id": IDS[:6], "label": CLASSES * 3, "trust": [0.55, 1, 0.95, 1, 1, 1], "people": [2] * 4 + [1] * 2}
    kept = pd.DataFrame(rows).assign(doubt=[0.5, 0, 0, 0, 0, 0], round=1, why="uncertain")
    write_parquet(workspace.consensus, CONSENSUS.conform(kept))
    html = written(Workspace.open(workspace.root))
    said = (
        "Of 4 items with answers of two people or more they differ on 1; the label of 1 of these is still less than 90%"
    )
    assert said in html and "4711" not in html.partition("What people differ on")[2].partition("<h2>")[0]
    own = html.partition("Items that people cannot agree on")[2].partition("<h2>")[0]
    assert "55%" in own and "&lt;b&gt;bold&lt;/b&gt;; plain" in own and "<script>document" not in own


def test_how_many_there_are_is_said_of_classes_with_any_name(workspace: Workspace) -> None:
    assert "there in the pool" not in written(workspace)  # a round of before counted nothing
    settings.change(workspace.root / "params.yaml", {"evaluate.measure": f"f1:{CLASSES[0]}"})
    evil = prevalence.ClassCount(CLASSES[0], 164, 170, 210, 290, 280)
    there = prevalence.Prevalence(40_000, 900, 180, [prevalence.ClassCount("plain", 0, 0, 0, 640, 640), evil])
    write_json(workspace.metrics / "proof.json", {"said": "", "savings": None, "prevalence": there.as_json()})
    html = written(Workspace.open(workspace.root))
    assert "<b>bold" not in html and "<b>164 of about 210</b>" in html
    assert "at least 59% are found, with 95 % confidence" in html
    assert html.index(">170 to 290<") < html.index(">0 to 640<") and "0.42 to 0.72 %" in html  # what is measured first

    nobody = prevalence.Prevalence(40, 6, 0, [prevalence.ClassCount(CLASSES[0], 3, 3, None, 37, 37)])
    write_json(workspace.metrics / "proof.json", {"said": "", "savings": None, "prevalence": nobody.as_json()})
    assert "Nobody can know how many there are: no label was drawn by chance" in written(workspace)


def test_what_a_small_control_arm_projects_is_said_by_nobody(workspace: Workspace) -> None:
    found = played(1.0, seed=0, rounds=10)
    write_json(workspace.metrics / "proof.json", {"said": savings.sentence(found), "savings": found.as_json()})
    html = written(workspace)
    assert "not known yet" in html
    assert "50 more control labels until this can be projected" in html
    kept = figures.savings(workspace)
    assert kept.known.tolist() == [False]
    assert kept.filter(regex="projected|saved|money").isna().all(axis=None)
    assert kept.ratio.notna().all()


def test_without_a_meter_nothing_is_claimed(workspace: Workspace) -> None:
    html = written(workspace)
    assert "cannot tell yet" in html
    assert "saved so far" not in html
    assert "An answer takes 36.0 s: 0.300 EUR at 30.00 EUR an hour." in html


def test_what_nobody_measured_is_not_spoken_of_and_the_matrix_has_figures(workspace: Workspace) -> None:
    html = written(workspace)
    assert "Bands:" not in html and "extrapolated" not in html
    assert "Which class is taken for which" in html and 'class="matrix"' in html
    assert "labels still needed for 90%" in html and "not known yet" in html
    assert tables.cut("fish &amp;amp; chips &lt;b&gt;") == "fish & chips <b>"


def test_labels_that_serve_another_model_worse_are_warned_of(workspace: Workspace) -> None:
    check = {"labels": 50, "chosen": 0.7, "random": 0.8, "difference": -0.1, "low": -0.15, "high": -0.05, "worse": True}
    write_json(workspace.metrics / "proof.json", {"said": "", "savings": None, "successor": check})
    assert "Warning: a model of another kind learns less" in written(workspace)


def test_the_verdict_is_one_breath() -> None:
    figures = {"score": 0.9}
    assert page.verdict({}, {}, 0, stop=False) == "No model yet: the first answers make one."
    assert page.verdict(figures, {"savings": {"verdict": "costs"}}, 50, stop=True) == (
        "Right in 90.0% of the gold set with 50 labels. No gain: the loop needs more labels than chance. "
        "Stopping is advised."
    )


def test_costs_add_up_round_by_round(workspace: Workspace) -> None:
    pd.DataFrame({"round": [0, 1], "train": [36.0, 72.0], "wait": [9e9, 9e9]}).to_csv(
        workspace.metrics / "seconds.csv", index=False
    )
    assert tables.spent(workspace, ledger.read(workspace.labels)).rows == [
        ["0", "0", "0.00", "36", "0.01", "0.01"],
        ["1", "6", "1.80", "72", "0.01", "1.81"],
        ["all", "6", "1.80", "108", "0.01", "1.81"],
    ]


def test_of_two_answers_the_one_that_counts_is_shown(workspace: Workspace) -> None:
    given = ledger_rows(
        labelled(IDS[0], "earlier", 1, "2026-01-01"),
        labelled(IDS[0], "later", 2, "2026-01-02"),
        labelled(IDS[1], "stays", 3),
        {"id": IDS[1], "status": "gone", "task_id": 3},  # its task, after the answer
        {"id": IDS[2], "status": "skipped", "annotation_id": 4},
    )
    shown = tables.last_batch(workspace, Versions(workspace.root), given.assign(origin="asked"), 1).rows
    assert [row[3] for row in shown] == ["later", "stays", "skipped"]


def test_texts_of_drawn_gold_are_shown_as_those_of_the_users_own(workspace: Workspace) -> None:
    assert tables.gold_texts(workspace).keys() == {"g1", "g2"}
    item = {"id": IDS[9], "text": "drawn", "ask": 1, "why": trusted.GROWN, "turn": 1, "propensity": 0.5, "among": 2}
    trusted.append(workspace, ASKED, pd.DataFrame([item]).reindex(columns=list(ASKED.columns)))
    said = {"id": IDS[9], "label": "plain", "status": "labelled", "ask": 1, "task_id": 1, "lead_time_s": 1.0}
    people = pd.DataFrame([said, said]).assign(annotator=["7", "8"], annotation_id=[1, 2], created_at="2026-01-01")
    trusted.append(workspace, ANSWERS, people)
    assert tables.gold_texts(workspace)[IDS[9]] == "drawn"


def test_confusions_come_with_the_error_it_was_surest_of(workspace: Workspace) -> None:
    answers = [("a", "x", "y", 0.5), ("b", "x", "y", 0.9), ("c", "y", "x", 0.99), ("d", "x", "x", 1.0)]
    table = pd.DataFrame(answers, columns=["id", "actual", "predicted", "confidence"])
    table.to_csv(workspace.metrics / "predictions.csv", index=False)
    found = tables.confused(workspace, {"b": "surest"})
    assert found.rows == [["x", "y", "2", "67%", "surest"], ["y", "x", "1", "100%", ""]]
    assert "3 of 4 gold items wrong" in found.said


def test_agreement_is_of_items_that_two_answered() -> None:
    given = [("a", "x", "1"), ("a", "x", "2"), ("b", "x", "1"), ("b", "y", "2"), ("c", "x", "3")]
    rows = pd.DataFrame(given, columns=["id", "label", "annotator"]).assign(status="labelled", origin="asked")
    rows = rows.assign(round=1, lead_time_s=[60.0, 30, 60, 30, 1e6])
    rows = LABELS.conform(rows.reindex(columns=list(LABELS.columns)))
    found = tables.reviewers(rows)
    assert "agreement 50% on 2 items" in found.said
    assert "a tab that was left open counts as ten times the median" in found.said
    assert [row[:4] for row in found.rows] == [
        ["1", "2", "0", "50% (2)"],
        ["2", "2", "0", "50% (2)"],
        ["3", "1", "0", ""],
    ]
    assert tables.reviewers(rows[:0]).rows == []


def test_the_reviewers_page_holds_no_money_and_no_reviewer(workspace: Workspace) -> None:
    report.run(workspace)
    html = reviewers.write(workspace, Versions(workspace.root)).read_text(encoding="utf-8")
    assert "With your first 6 labels the model is right in 80.0%" in html
    assert "3 answers" in html  # to the next step
    assert "Round 2: 3 to label" in html
    told = reviewers.tell(workspace, BatchProgress(3, 2, skipped=1), "http://127.0.0.1:8080/projects/7/data?tab=3")
    assert told is not None
    assert (
        'Round 2: 1 of 3 answered, 1 skipped. Go on: <a href="http://127.0.0.1:8080/projects/7/data?tab=3&amp;labeling=1"'
        in told.read_text(encoding="utf-8")
    )
    reviewers.tell(workspace, BatchProgress(3, 3, skipped=1), "http://127.0.0.1:8080/projects/7")
    assert "Round 2: 2 of 3 answered, 1 skipped. Complete: thank you.</p>" in told.read_text(encoding="utf-8")
    words = re.sub(r"data:image[^\"]*|<style>.*</style>", "", html, flags=re.DOTALL)
    assert not re.search(r"\b(money|costs?|worth|hour|reviewer)\b|>7<|>8<", words)


def test_the_reviewers_headline_claims_no_gain_that_is_none() -> None:
    known = pd.DataFrame({"labels": [25, 50], "score": [0.8, 0.85]})
    assert reviewers.opening(known) == "Your last 25 labels took the model from 80.0% to 85.0%."
    fell = reviewers.opening(known.assign(score=[0.85, 0.8]))
    assert fell == "With your 50 labels the model is right in 80.0% of cases it has never seen."
    withdrawn = reviewers.opening(known.assign(labels=[25, 22]))
    assert withdrawn == "With your 22 labels the model is right in 85.0% of cases it has never seen."


@pytest.mark.parametrize("accuracy", [[1.0] * 4, [0.5, 1.0, 1.0, 1.0], [0.0] * 5])
def test_rounds_of_a_perfect_model_can_be_looked_at(
    workspace: Workspace, accuracy: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers are down: what is known here is said all the same."""
    for name in ("LABEL_STUDIO_URL", "PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "none")
    last = accuracy[-1]
    measured = dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high", "macro_f1"), last)
    write_json(workspace.metrics / "gold.json", measured | {"calibration_error": 0.0, "items": 2})
    rounds = pd.DataFrame({"round": range(-len(accuracy) + 1, 1), "labels": range(1, len(accuracy) + 1)})
    rounds = rounds.assign(score=accuracy, low=accuracy, high=accuracy, macro_f1=accuracy, asks=3)
    rounds = rounds.reindex(columns=figures.CURVE).rename(columns={"score": "accuracy"})
    write_csv(workspace.metrics / "curve.csv", rounds)
    report.run(workspace)
    advice = stop.advised(workspace)
    assert "points" in advice.words
    seen = status.status(workspace)
    assert f"accuracy     {last:.3f}" in "\n".join(status.lines(seen))
    assert "open batch   none" in status.lines(seen)
    known = replace(seen, round=2, asked=25, answered=20, skipped=3)
    assert "open batch   round 3: 17 of 25 answered, 3 skipped" in status.lines(known)  # as Label Studio's tab has it
    html = page.write(workspace, Versions(workspace.root)).read_text(encoding="utf-8")
    assert f"Right in {last:.1%}" in html
    assert ">nan" not in html


# Text against what is behind it, the least of the page, as WCAG 2 reckons contrast.
CONTRAST = """() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => { const [r, g, b] = parts(color).slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (node) => getComputedStyle(node).backgroundColor;
  const behind = (node) => parts(ground(node))[3] !== 0 ? ground(node) : behind(node.parentElement);
  const texts = [...document.body.querySelectorAll("*")].filter((node) => [...node.childNodes].some(
    (child) => child.nodeType === 3 && child.textContent.trim()));
  return Math.min(...texts.map((node) => { const [a, b] = [light(getComputedStyle(node).color), light(behind(node))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); }));
}"""


def test_in_a_browser_hostile_text_does_nothing_and_the_pages_fit_any_screen(workspace: Workspace) -> None:
    program = os.environ.get("LABELWISE_BROWSER") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if program is None:
        pytest.skip("no browser here: install chromium, or name one in LABELWISE_BROWSER")
    measured(workspace, 3.0)
    assert EVIL not in written(workspace)
    versions = Versions(workspace.root)
    pages = {page.write(workspace, versions): 7, reviewers.write(workspace, versions): 0}  # how often EVIL stands there
    screens = [(width, scheme) for width in (1280, 375) for scheme in ("light", "dark")]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for (path, evil), (width, scheme) in product(pages.items(), screens):
            shown = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()  # type: ignore[arg-type]
            asked: list[str] = []
            shown.on("request", lambda request, asked=asked: asked.append(request.url))
            shown.goto(path.as_uri())
            assert shown.title() == "<i>name</i>: round 1"
            assert shown.get_by_text(EVIL).count() == evil  # as text
            assert shown.evaluate("document.documentElement.scrollWidth") <= width
            assert {url.partition(":")[0] for url in asked} <= {"file", "data"}  # nothing from a network
            assert shown.evaluate(CONTRAST) >= 4.5, scheme
            ground = shown.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
            assert shown.evaluate("[...document.images].every((image) => image.naturalWidth > 300)")
        browser.close()


def test_an_example_is_shown_with_its_context() -> None:
    assert tables.example("late again", text, '{"subject": "Not\\npaid", "url": "https://shop.example"}') == (
        "late again (subject: Not paid; url: https://shop.example)"
    )
    assert tables.example("late again", text) == tables.example("late again", text, pd.NA) == "late again"
    assert tables.example("late again", text).picture == tables.example(None, text) == ""


def test_the_open_batch_is_listed_with_its_context(workspace: Workspace) -> None:
    settings.change(workspace.root / "params.yaml", {"pull.columns.context": ["note"]})
    shard = workspace.pool / "shard-0001.parquet"
    pool = pd.read_parquet(shard)
    write_parquet(shard, pool.assign(context=[f'{{"note": "\\u001b[31m of {item}"}}' for item in pool.id]), POOL)
    number, asked = coming.run(Workspace(workspace.root))
    assert [item.context for item in asked] == [{"note": f"\x1b[31m of {item.id}"} for item in asked]
    assert json.loads(coming.as_json(number, asked))["items"][0]["context"] == asked[0].context
    printed = coming.lines(number, [replace(item, why="control") for item in asked])
    assert all(line.endswith(f"of {item.id})") for line, item in zip(printed[1:], asked, strict=True))
    assert "\x1b" not in "".join(printed)
