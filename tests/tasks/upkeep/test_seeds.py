"""What is given to `labelwise seed`: texts, or files with texts; the rest is in e2e/test_provable.py."""

import json
from pathlib import Path

import pytest

from labelwise.tasks.upkeep import seeds
from labelwise.tasks.workspace import Workspace

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
    (here.root / "some.csv").write_text("text\nwin a prize\nfree money\n")
    (here.root / "words.txt").write_text("prize\nmoney\n")
    assert seeds.texts_of(here, ["some.csv", "lottery"]) == ["win a prize", "free money", "lottery"]
    assert seeds.texts_of(here, ["words.txt"]) == ["prize", "money"]
