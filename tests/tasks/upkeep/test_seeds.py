"""What is given to `labelwise seed`: texts, or files with texts; the rest is in e2e/test_provable.py."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks import pull, settings
from labelwise.tasks.items.vectors import fingerprint, vectors_of
from labelwise.tasks.labels.sought import of_gold
from labelwise.tasks.upkeep import seeds
from labelwise.tasks.workspace import Workspace, write_json

GIVEN = {"project": {"name": "n", "id": "i"}, "classes": ["ham", "spam"], "pull": {"pool": "p", "gold": "g"}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(json.dumps(GIVEN))
    return Workspace(tmp_path)


@pytest.mark.parametrize(
    "text", ["You won! Claim it at http://win.example/now", "docs", "a text\nof two lines", "x" * 9_000]
)
def test_a_text_is_a_text_whatever_stands_in_it(here: Workspace, text: str) -> None:
    (here.root / "docs").mkdir()
    assert seeds.texts_of(here, [text]) == [text]


def test_files_give_their_texts(here: Workspace) -> None:
    (here.root / "some.csv").write_text("text\nwin a prize\nunread: your prize\n")
    (here.root / "words.txt").write_text("prize\nmoney\n")
    assert seeds.texts_of(here, ["some.csv", "lottery"]) == ["win a prize", "unread: your prize", "lottery"]
    assert seeds.texts_of(here, ["words.txt"]) == ["prize", "money"]


def test_vectors_of_another_encoder_are_compared_with_nothing(here: Workspace) -> None:
    for name, rows in {"p": "text\nhello\nwin it\n", "g": "text,label\nwin a prize,spam\nhello there,ham\n"}.items():
        (here.root / f"{name}.csv").write_text(rows)
    settings.change(here.root / "params.yaml", {"pull.pool": "p.csv", "pull.gold": "g.csv"})
    pull.run(here)
    vectors_of(here, here.gold).parent.mkdir()
    np.save(vectors_of(here, here.gold), np.eye(2, 8, dtype=np.float16))
    write_json(vectors_of(here, here.gold).with_suffix(".json"), fingerprint(here.gold, here.settings.embed))
    given = pd.Series(["win a prize", "a prize for you"], dtype=object)
    assert of_gold(here, given, np.float32([[0, 0, 1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0]])).tolist() == [
        True,
        True,
    ]
    settings.change(here.root / "params.yaml", {"embed.encoder": "another"})
    assert of_gold(Workspace(here.root), given, np.float32([[0, 0, 1], [0, 1, 0]])).tolist() == [True, False]
