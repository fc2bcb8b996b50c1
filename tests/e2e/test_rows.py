"""Rows with a signal, from a file to the model: classified by a person in a real browser, cut off in the middle, gone
on with, replayed, forgotten."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

import labelwise
from labelwise.flows.demos.recordings import RATE, recorded
from labelwise.flows.replay import replay
from labelwise.tasks import embed, pull, push, score, select, settings, snapshot, train
from labelwise.tasks.gold import asking, trusted
from labelwise.tasks.items import stored
from labelwise.tasks.kinds import row
from labelwise.tasks.labels import ledger
from labelwise.tasks.past import lineage
from labelwise.tasks.past.audit import run as audit
from labelwise.tasks.services.home import Addresses
from labelwise.tasks.services.label_studio.project import open_project
from labelwise.tasks.settings import Columns, Kind
from labelwise.tasks.trial import review
from labelwise.tasks.upkeep import gc, init
from labelwise.tasks.workspace import Workspace
from tests.e2e.conftest import command, play, rows, tool
from tests.e2e.test_browser import begin, given, looked_at, sign_in

CLASSES = ["asleep", "awake", "drowsy"]
FEATURES = {"age": "number", "electrodes": "category", "front": f"signal at {RATE} Hz"}


@pytest.fixture
def windows(servers: Addresses, tmp_path: Path) -> tuple[Workspace, Path]:
    """A workspace of windows of recordings, those of the gold set of other recordings; and the answers."""
    del servers
    made = recorded(6, 16, seed=1).drop(columns="back")
    made = made[made.label != "artefact"].reset_index(drop=True)
    made["electrodes"] = made.electrodes + np.where(made.index == 3, "<script>document.title='owned'</script>", "")
    is_gold = made.recording.isin(["r00", "r01"])
    for name, part in (
        ("pool", made[~is_gold].drop(columns="label")),
        ("gold", made[is_gold]),
        ("answers", made[~is_gold]),
    ):
        part.to_parquet(tmp_path / f"{name}.parquet")
    sources = str(tmp_path / "pool.parquet"), str(tmp_path / "gold.parquet")
    columns = Columns(id="window", group="recording", features=FEATURES)
    init.run(tmp_path / "w", *sources, CLASSES, "windows", None, columns, kind=Kind(item="row"))
    quick = {"select.batch": 6, "wait.poll_seconds": [0.2, 1], "evaluate.resamples": 100, "gold.reserve": 0.2}
    settings.change(tmp_path / "w" / "params.yaml", quick)
    return Workspace.open(tmp_path / "w"), tmp_path / "answers.parquet"


class CutOff(Exception):
    """What nobody expects, and nobody catches."""


def cut_off(*_given: object, **_more: object) -> None:
    raise CutOff


def drawn(page: Page) -> str:
    """The picture that Label Studio shows, once it is there: it makes an address of its own for what the task holds."""
    wide = f"image => image.naturalWidth === {row.WIDE_PICTURE}"
    page.wait_for_function(f"() => [...document.images].some({wide})")
    return str(page.evaluate(f"async () => (await fetch([...document.images].find({wide}).src)).text()"))


@pytest.mark.long
def test_a_row_from_the_click_to_the_model(
    page: Page, windows: tuple[Workspace, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, known = windows
    root = str(workspace.root)
    assert workspace.settings.pull.columns.features["front"] == "signal of 256 at 128 Hz"
    play(workspace)
    project = open_project(workspace.settings)
    batch = pd.read_parquet(workspace.batch).sort_values("rank")
    cells = stored.cells_by_id(workspace, batch.id)

    # a person sees figures, categories and the curve, and classifies by mouse and by key
    sign_in(page, project.url)
    begin(page, workspace, "Round 1", CLASSES)
    said: dict[str, str] = {}
    for item, label in zip(batch.id.head(2), ("drowsy", "awake"), strict=True):
        shown = page.locator(".labelwise-row table")
        expect(shown).to_contain_text(json.loads(cells[item])["electrodes"])
        assert shown.locator("script").count() == 0 and page.title() != "owned"
        assert drawn(page) == row.curves(row.signals_of(cells[item]), row.WIDE_PICTURE, row.STRIP)
        looked_at(page, f"row-{label}")
        if said:
            page.keyboard.press(str(CLASSES.index(label) + 1))
        else:
            page.locator("label", has_text=label).first.click()
        with given(page):
            page.keyboard.press("Control+Enter")
        said[item] = label
    review.run(workspace, known, review.Manner(), print)

    # the round is cut off where it learns, and goes on from there when it is called again
    with monkeypatch.context() as patched, pytest.raises(CutOff):
        patched.setattr(train, "train", cut_off)
        play(workspace)
    play(workspace)
    first = rows(workspace).set_index("id").label
    assert {item: first[item] for item in said} == said and len(first) == 6
    assert ledger.current_round(workspace.labels) == 1

    # what a program gives is what the source holds
    given_rows = pd.read_parquet(known)
    model = labelwise.load(root)
    assert set(model.predict(given_rows).label) <= set(CLASSES)
    assert list(model.predict(given_rows.head(3).to_dict("records")).label) == list(model.predict(given_rows).label[:3])

    # one more round; an appended shard moves no vector of another
    vectors = {path.name: path.read_bytes() for path in workspace.vectors.glob("*.npy")}
    more = recorded(9, 16, seed=1).drop(columns="back").query("recording == 'r08' and label != 'artefact'")
    pool = Path(workspace.settings.pull.pool)
    pd.concat([pd.read_parquet(pool), more.drop(columns="label")]).to_parquet(pool)
    review.run(workspace, known, review.Manner(), print)
    play(workspace)
    assert len(stored.shards(workspace)) == 2
    assert {name: (workspace.vectors / name).read_bytes() for name in vectors} == vectors
    page_of = next((workspace.scraps / "reports").glob("*2.html")).read_text(encoding="utf-8")
    assert "data:image/svg+xml;base64," in page_of and "<script>document" not in page_of

    # trusted labels are drawn from what was kept for them, by whole rows
    said: list[str] = []
    asking.run_grow(workspace, 3, said.append)
    drawn_rows = trusted.drawn(workspace)
    assert len(drawn_rows) == 3 and set(json.loads(drawn_rows.row.iloc[0])) == set(FEATURES)
    both = pd.concat([pd.read_parquet(known), pd.read_parquet(workspace.settings.pull.gold), more])
    both.to_parquet(known.with_name("both.parquet"))
    review.run_gold(workspace, known.with_name("both.parquet"), review.Manner(users=2), print)
    asking.run_collect(workspace, said.append)
    assert trusted.seen(workspace).state.eq("decided").all()

    # what is kept beside, and what can go
    docs = "".join(path.read_text(encoding="utf-8") for path in (workspace.scraps / "data_docs").rglob("*.html"))
    assert "row: column with text" in docs and "<script>document" not in docs
    assert gc.run(workspace, 1, True, False)[0].startswith("DVC cache")

    # the past, and a row that somebody wants gone: the scale that it had a part in stays
    assert "identical" in replay(workspace.root, "round-0001", "", True, print).verdict
    assert audit.run(workspace.root, "").in_order
    assert "drowsy" in "\n".join(lineage.lines(lineage.run(workspace, batch.id.iloc[0])))
    scale = (workspace.root / "data" / "settled.json").read_text(encoding="utf-8")
    gone = command("forget", batch.id.iloc[0], "--yes", "--workspace", root)
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert not stored.cells_by_id(workspace, batch.id[:1])
    assert (workspace.root / "data" / "settled.json").read_text(encoding="utf-8") == scale
    assert tool(workspace.root, "git", "ls-files", "data/settled.json")


def test_several_labels_of_a_row_are_ticked(page: Page, windows: tuple[Workspace, Path]) -> None:
    """By the stages alone: what is between the batch and the ledger."""
    workspace, _ = windows
    settings.change(workspace.root / "params.yaml", {"kind.answer": "multilabel", "project.id": "several"})
    workspace = Workspace(workspace.root)
    gold = pd.read_parquet(workspace.settings.pull.gold)
    gold.assign(label=gold.label.map(lambda label: [label])).to_parquet(workspace.settings.pull.gold)
    pull.run(workspace)
    embed.run(workspace)
    train.run(workspace)
    score.run(workspace)
    select.run(workspace)
    project = open_project(workspace.settings)
    pushed = push.run(workspace, project, "")
    sign_in(page, project.url)
    begin(page, workspace, "Round 1", CLASSES, pushed.rpartition(" ")[2])
    batch = pd.read_parquet(workspace.batch).sort_values("rank")
    cells = stored.cells_by_id(workspace, batch.id)
    for item, ticked in zip(batch.id, (["asleep", "drowsy"], []), strict=False):
        expect(page.locator(".labelwise-row table")).to_contain_text(json.loads(cells[item])["electrodes"])
        assert drawn(page) == row.curves(row.signals_of(cells[item]), row.WIDE_PICTURE, row.STRIP)
        for key in [str(CLASSES.index(label) + 1) for label in ticked] or ["0"]:
            page.keyboard.press(key)
        expect(page.locator("input[type=checkbox]:checked")).to_have_count(len(ticked) or 1)
        looked_at(page, f"row-several-{len(ticked)}")
        with given(page):
            page.keyboard.press("Control+Enter")
    said = snapshot.look(workspace, project).rows.set_index("id")
    assert said.label[batch.id.head(2)].tolist() == ['["asleep", "drowsy"]', "[]"]
