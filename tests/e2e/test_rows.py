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
from labelwise.tasks import settings, train
from labelwise.tasks.items import stored
from labelwise.tasks.kinds import row
from labelwise.tasks.labels import ledger
from labelwise.tasks.past import lineage
from labelwise.tasks.services.home import Addresses
from labelwise.tasks.services.label_studio.project import open_project
from labelwise.tasks.settings import Columns, Kind
from labelwise.tasks.trial import review
from labelwise.tasks.upkeep import init
from labelwise.tasks.workspace import Workspace
from tests.e2e.conftest import command, play, rows
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
    quick = {"select.batch": 6, "wait.poll_seconds": [0.2, 1], "evaluate.resamples": 100, "gold.reserve": 0.0}
    settings.change(tmp_path / "w" / "params.yaml", quick)
    return Workspace.open(tmp_path / "w"), tmp_path / "answers.parquet"


def drawn(page: Page) -> str:
    """The picture that Label Studio shows, once it is there: it makes an address of its own for what the task holds."""
    wide = f"image => image.naturalWidth === {row.WIDE_PICTURE}"
    page.wait_for_function(f"() => [...document.images].some({wide})")
    return str(page.evaluate(f"async () => (await fetch([...document.images].find({wide}).src)).text()"))


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
    learn = train.train
    with monkeypatch.context() as patched:
        cut: list[str] = []

        def cut_off(*_given: object, **_more: object) -> None:
            cut.append("here")
            raise KeyboardInterrupt

        patched.setattr(train, "train", cut_off)
        with pytest.raises(BaseException):  # noqa: B017  (as Prefect hands it on)
            play(workspace)
    assert cut == ["here"], "it ended where it was cut off, and nowhere else"
    assert train.train is learn
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
    more = recorded(9, 16, seed=1).drop(columns=["back", "label"])
    pd.concat([pd.read_parquet(workspace.settings.pull.pool), more[more.recording == "r08"]]).to_parquet(
        workspace.settings.pull.pool
    )
    review.run(workspace, known, review.Manner(), print)
    play(workspace)
    assert len(stored.shards(workspace)) == 2
    assert {name: (workspace.vectors / name).read_bytes() for name in vectors} == vectors
    page_of = next((workspace.scraps / "reports").glob("*2.html")).read_text(encoding="utf-8")
    assert "data:image/svg+xml;base64," in page_of and "<script>document" not in page_of

    for words, wanted in (("replay", "1"), "identical"), (("audit",), "all accounted for"):
        done = command(*words, "--workspace", root)
        assert done.returncode == 0 and wanted in done.stdout, done.stdout + done.stderr
    assert "drowsy" in "\n".join(lineage.lines(lineage.run(workspace, batch.id.iloc[0])))
    gone = command("forget", batch.id.iloc[0], "--yes", "--workspace", root)
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert not stored.cells_by_id(workspace, batch.id[:1])
