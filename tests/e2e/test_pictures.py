"""Pictures on the real servers: a person classifies one in a browser, the loop dies in the middle of a round and goes
on, the past is replayed, and a forgotten picture is gone from every file."""

import json
import re
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

import labelwise
from labelwise.tasks import settings
from labelwise.tasks.kinds import image
from labelwise.tasks.services.home import Addresses
from labelwise.tasks.services.label_studio.project import open_project
from labelwise.tasks.services.mlflow import open_tracking
from labelwise.tasks.trial import review
from labelwise.tasks.workspace import Workspace
from tests.e2e.conftest import command, killed, play, rows
from tests.e2e.test_browser import begin, given, looked_at, sign_in
from tests.tasks.kinds.pictures import BLUE, RED, as_bytes, drawn, folder_of

HOSTILE = "<img src=x onerror=alert(1)>.png"
UNREADABLE = {  # what a table may name for a picture, and what is said of it
    "../../etc/x.png": "file lies outside of the folder of its table or archive",
    "pics/none.png": "file is not there",
    "http://127.0.0.1:9/x.png": "address is of a kind or a network that is not read",
}


@pytest.fixture
def workspace(servers: Addresses, tmp_path: Path) -> Workspace:
    """Red and blue squares in a folder without labels, a gold set in class folders, and what is refused."""
    pool = tmp_path / "pool"
    pool.mkdir()
    for number in range(24):
        colour = (BLUE, RED)[number % 2]
        (pool / f"{number:02}.png").write_bytes(as_bytes(drawn(colour, number)))
        (pool / f"{number:02}.bmp").write_bytes(as_bytes(drawn(colour, number), "BMP"))  # the same pixels
    (pool / "01.png").rename(pool / HOSTILE)
    (pool / "script.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    (pool / "page.png").write_text("<!doctype html><script>alert(1)</script>")
    (pool / "cut.jpg").write_bytes(as_bytes(Image.effect_noise((200, 200), 60), "JPEG")[:2000])
    folder_of(tmp_path / "gold", 10, 100)
    answers = tmp_path / "answers"
    for number in range(24):
        folder = answers / ("blue", "red")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:02}.png").write_bytes(as_bytes(drawn((BLUE, RED)[number % 2], number)))
    root = tmp_path / "squares"
    words = ["init", str(root), "--pool", str(pool), "--gold", str(tmp_path / "gold"), "--item", "image"]
    made = command(*words)
    assert made.returncode == 0, made.stderr
    assert "51 rows, 24 items, 24 repeated, refused 3" in made.stderr, made.stderr
    quick = {"select.batch": 6, "wait.poll_seconds": [0.2, 1], "embed.pixels": 32, "select.near_duplicate": None}
    settings.change(root / "params.yaml", quick | {"gold.near_duplicate": None})
    return Workspace.open(root)


@pytest.mark.long
def test_pictures_from_folder_to_model(page: Page, workspace: Workspace, tmp_path: Path) -> None:
    root, answers = str(workspace.root), tmp_path / "answers"
    play(workspace)
    refused = pd.read_parquet(next(workspace.quarantine.glob("pool-*")))
    assert set(refused.reason) == {
        "file is an SVG drawing, which may hold scripts; save it as PNG",
        "file is a web page and no picture",
        "picture is cut off before its end",
    }

    # A person
    project, asked = open_project(workspace.settings), []
    page.on("request", lambda request: asked.append(request.url))
    sign_in(page, project.url)
    begin(page, workspace, "Round 1", ["blue", "red"])
    shown = page.locator("img[src^='blob:']").first
    expect(shown).to_be_visible()
    assert shown.evaluate("picture => picture.naturalWidth") == 24
    looked_at(page, "picture")
    first = pd.read_parquet(workspace.batch).sort_values("rank").id.iloc[0]
    truth = review.read_answers(answers, workspace.settings)
    page.keyboard.press(str(["blue", "red"].index(truth[first]) + 1))
    expect(page.locator("input[type=radio]:checked")).to_have_count(1)
    with given(page):
        page.get_by_test_id("bottombar-submit-button").click()
    strange = [url for url in asked if not url.startswith((project.url, "data:", "blob:"))]
    assert not strange
    review.run(workspace, answers, review.Manner(users=2), print)

    # The loop dies while it saves the round, and goes on
    killed(workspace)
    play(workspace)
    ledger = rows(workspace).set_index("id")
    assert ledger.label.to_dict() == {item: truth[item] for item in ledger.index}
    assert first in ledger.index and len(ledger) == 6

    # Pages
    for name in ("round-0001.html", "round-0001-reviewers.html"):
        text = (workspace.scraps / "reports" / name).read_text(encoding="utf-8")
        assert not re.findall(r"(?:src|href)=\"(?!data:|http://(?:127\.0\.0\.1|localhost))", text)
        assert "<img src=x" not in text
    assert '<img class="item"' in (workspace.scraps / "reports" / "round-0001.html").read_text(encoding="utf-8")

    # Programs
    red = drawn(RED, 900)
    (tmp_path / "new.png").write_bytes(as_bytes(red))
    model = labelwise.load(workspace.root)
    assert model.predict([str(tmp_path / "new.png"), as_bytes(red), red, drawn(BLUE, 901)]).label.tolist() == [
        *["red"] * 3,
        "blue",
    ]
    name = open_tracking(workspace.settings).name
    served = mlflow.pyfunc.load_model(f"models:/{name}@champion")
    assert served.predict(pd.DataFrame({"image": [as_bytes(red)]})).label.tolist() == ["red"]
    with pytest.raises(labelwise.InputError, match="picture 1: file is no picture"):
        model.predict([red, b"no picture"])

    # The past, and a picture that somebody wants gone
    again = command("replay", "round-0001", "--from", root)
    assert again.returncode == 0 and "identical" in again.stdout, again.stdout + again.stderr
    gone = command("forget", first, "--yes", "--workspace", root)
    assert gone.returncode == 0, gone.stderr
    assert first not in _held(workspace) and len(_held(workspace)) == 23 + 20
    looked = command("audit", "--workspace", root)
    assert looked.returncode == 0, looked.stdout + looked.stderr


@pytest.mark.long
def test_several_classes_a_picture(servers: Addresses, tmp_path: Path) -> None:
    truth = {}
    for number in range(40):
        said = [name for name, bit in (("blue", 1), ("red", 2)) if number & bit]
        truth[f"pics/{number:02}.png"] = json.dumps(said)
        made = Image.new("RGB", (48, 24), "white")
        for name, colour, at in (("blue", BLUE, 0), ("red", RED, 24)):
            made.paste(drawn(colour if name in said else (225, 225, 225), number), (at, 0))
        (tmp_path / "pics").mkdir(exist_ok=True)
        (tmp_path / f"pics/{number:02}.png").write_bytes(as_bytes(made))
    table = pd.DataFrame({"image": list(truth), "label": list(truth.values())})
    bad = pd.DataFrame({"image": list(UNREADABLE), "label": '["blue", "red"]'})
    again = pd.concat([table[["image"]][:1]] * 999)
    parts = {"pool": pd.concat([table[:20], again, bad])[["image"]], "answers": table[:20], "gold": table[20:]}
    parts |= {"given": pd.concat([table[:4], bad]), "none": bad}
    for name, part in parts.items():
        part.to_csv(tmp_path / f"{name}.csv", index=False)
    root, csv = tmp_path / "two", {name: str(tmp_path / f"{name}.csv") for name in parts}
    words = ["init", str(root), "--item", "image", "--answer", "multilabel", "--pool", csv["pool"], "--gold"]
    refused = command(*words, csv["none"], "--labelled", csv["given"])
    assert refused.returncode == 2 and not root.exists(), refused.stderr
    why = ", ".join(f"1 x {fault} ({name!r})" for name, fault in UNREADABLE.items())
    first, second = refused.stderr.splitlines()
    assert first.endswith(f"given.csv: left out 3 images that cannot be read: {why}")
    assert (
        f"none.csv: more than 20% of the rows are refused and no row is left: expected usable rows, got {why}" in second
    )
    made_so = command(*words, csv["gold"])
    assert made_so.returncode == 0, made_so.stderr
    faults = ", ".join(f"1 x {fault}" for fault in UNREADABLE.values())
    assert f"pool  1,022 rows, 20 items, 999 repeated, refused 3 ({faults})" in made_so.stderr
    quick = {"select.batch": 8, "embed.pixels": 32, "select.near_duplicate": None, "gold.near_duplicate": None}
    settings.change(root / "params.yaml", quick | {"select.suspects": 0.0})
    workspace = Workspace.open(root)
    begun = command("run", "--workspace", str(root), "--max-wait", "0")
    assert begun.returncode == 0 and f"refused 3 ({faults})" in begun.stdout + begun.stderr, begun.stderr
    kept = pd.read_parquet(next(workspace.quarantine.glob("pool-*")))
    assert kept.reason.tolist() == list(UNREADABLE.values())
    assert [cell.rpartition(f"{fault}:")[2] for cell, fault in zip(kept.image, kept.reason, strict=True)] == [
        *UNREADABLE
    ]
    answers = review.read_answers(tmp_path / "answers.csv", workspace.settings)
    review.run(workspace, tmp_path / "answers.csv", review.Manner(), print)
    play(workspace)
    ledger = rows(workspace)
    assert len(ledger) == 8 and ledger.set_index("id").label.to_dict() == {item: answers[item] for item in ledger.id}
    assert "[]" in set(ledger.label) and '["blue", "red"]' in set(ledger.label)
    asked = open_project(workspace.settings).tasks_of(ledger.id)
    assert len(asked) == 8
    both, none = (tmp_path / f"pics/{number}.png" for number in (23, 24))
    assert labelwise.load(workspace.root).predict([both, none]).label.tolist() == ['["blue", "red"]', "[]"]


def _held(workspace: Workspace) -> set[str]:
    """The ids of all pictures in the files of the workspace, by their bytes."""
    found = set()
    for path in (workspace.root / "data").rglob("*.parquet"):
        table = pd.read_parquet(path)
        found |= {image.identify(cell) for cell in table.get("image", []) if cell and cell.startswith("data:")}
    return found
