"""The report: the answer first, hostile text harmless, readable wide and narrow, in a real browser."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import sync_playwright

from tasks import init, page, report
from tasks.errors import WorkspaceError
from tasks.labels import ledger
from tasks.proof import savings
from tasks.records import BATCH, LABELS, content_id
from tasks.services.dvc import Versions
from tasks.settings import Columns
from tasks.workspace import Workspace, write_json, write_parquet
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
    given = given.assign(annotator=["7", "8"] * 3, annotation_id=range(6), lead_time_s=36.0)
    ledger.append(made.labels, 1, LABELS.conform(given.reindex(columns=list(LABELS.columns))))
    write_parquet(
        made.batch, pd.DataFrame({"id": IDS[6:9]}).reindex(columns=list(BATCH.columns)).fillna({"rank": 1}), BATCH
    )
    write_parquet(made.scores, pd.DataFrame({"id": IDS, "prediction": "plain", "least_confidence": 0.2}))
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
    kept = report.kept(workspace, "savings.csv", report.SAVINGS)
    assert kept[["round", "labels", "control"]].to_numpy().tolist() == [[1, 500, 100]]


def test_without_a_meter_nothing_is_claimed(workspace: Workspace) -> None:
    html = written(workspace)
    assert "cannot tell yet" in html
    assert "saved so far" not in html
    assert "36.0 s each, 0.300" in html  # at 30 an hour


def test_labels_that_serve_another_model_worse_are_warned_of(workspace: Workspace) -> None:
    check = {"labels": 50, "chosen": 0.7, "random": 0.8, "difference": -0.1, "low": -0.15, "high": -0.05, "worse": True}
    write_json(workspace.metrics / "proof.json", {"said": "", "savings": None, "successor": check})
    assert "Warning: a model of another kind learns less" in written(workspace)


def test_hostile_text_is_shown_and_does_nothing_and_the_page_fits_any_screen(workspace: Workspace) -> None:
    program = os.environ.get("LABELWISE_BROWSER") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if program is None:
        pytest.skip("no browser here: install chromium, or name one in LABELWISE_BROWSER")
    measured(workspace, 3.0)
    assert EVIL not in written(workspace)
    path = page.write(workspace, Versions(workspace.root))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for width, scheme in ((1200, "light"), (380, "dark")):
            shown = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()  # type: ignore[arg-type]
            asked: list[str] = []
            shown.on("request", lambda request, asked=asked: asked.append(request.url))
            shown.goto(path.as_uri())
            assert shown.title() == "<i>name</i>: round 1"
            assert shown.get_by_text(EVIL).count() == 6  # as text
            assert shown.evaluate("document.documentElement.scrollWidth") <= width
            assert {url.partition(":")[0] for url in asked} <= {"file", "data"}  # nothing from a network
            ink, paper = (
                np.array([int(part) for part in re.findall(r"\d+", value)[:3]])
                for value in shown.evaluate(
                    "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
                )
            )
            assert abs(int(ink.mean()) - int(paper.mean())) > 150
        browser.close()
