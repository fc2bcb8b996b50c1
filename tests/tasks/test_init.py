"""Labels that exist already: the ledger's first rows, or one line that says why not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tasks import init, pull
from tasks.errors import InputError
from tasks.labels import ledger
from tasks.settings import Columns
from tasks.workspace import Workspace

POOL = "text\n" + "".join(f"item {n}\n" for n in range(20))
GOLD = "text,label\nred,warm\nblue,cold\n"


def made(
    tmp_path: Path, labelled: str, pool: str = POOL, gold: str = GOLD, tell: Callable[[str], None] = print
) -> Workspace:
    for name, content in (("pool.csv", pool), ("gold.csv", gold), ("labelled.csv", labelled)):
        (tmp_path / name).write_text(content)
    sources: dict[str, Any] = {name: str(tmp_path / f"{name}.csv") for name in ("pool", "gold", "labelled")}
    return init.run(tmp_path / "here", **sources, classes=None, name="", remote=None, columns=Columns(), tell=tell)


def test_labels_that_exist_are_the_first_in_the_ledger(tmp_path: Path) -> None:
    workspace = made(tmp_path, "text,label\nitem 1,warm\nitem 7, cold\nitem 1,warm\n")
    rows = ledger.read(workspace.labels)
    assert rows.label.tolist() == ["warm", "cold"]
    assert set(rows.origin) == {"imported"}
    assert ledger.current_round(workspace.labels) == 0
    assert set(ledger.closed(rows)) == set(rows.id)  # nobody is asked again


@pytest.mark.parametrize(
    ("labelled", "said"),
    [
        ("text,label\nitem 1,hot\n", "1 labels outside the classes: expected one of cold, warm"),
        ("text,label\nitem 99,warm\n", "1 rows that are not in the pool"),
        ("text,label\nitem 1,warm\nitem 1,cold\n", "2 rows with two labels"),
        ("text,label\nitem 1,\n", "labels outside the classes"),
        ("text,label\n", "labelled.csv holds no row: expected rows of the pool, with a label"),
    ],
)
def test_what_cannot_be_imported(tmp_path: Path, labelled: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        made(tmp_path, labelled)
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("red", "also in the gold set"),
        ("RED", "also in the gold set"),
        ("a" * 20_001, "text has more than 20000 characters"),
        ("\u200b", "text is blank"),
    ],
)
def test_what_the_pull_will_refuse_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, why: str
) -> None:
    monkeypatch.setattr("tasks.services.expectations._render", lambda folder, _: (folder / "index.html").touch())
    said: list[str] = []
    workspace = made(tmp_path, f"text,label\n{text},warm\nitem 1,cold\n", f"{POOL}{text}\n", tell=said.append)
    (line,) = said
    assert line.endswith(f"labelled.csv: 1 labels left out, since the pull will refuse their rows: 1 x {why}")
    assert ledger.read(workspace.labels).label.tolist() == ["cold"]
    assert pull.run(workspace).refused == {why: 1}
    (shard,) = workspace.pool.iterdir()
    assert set(ledger.read(workspace.labels).id) <= set(pd.read_parquet(shard).id)


def test_where_nothing_is_left_to_import_the_ledger_is_empty(tmp_path: Path) -> None:
    said: list[str] = []
    workspace = made(tmp_path, "text,label\nRed,warm\nBlue,cold\n", POOL + "Red\nBlue\n", tell=said.append)
    assert "2 labels left out" in said[0]
    assert ledger.read(workspace.labels).empty


def test_a_text_that_gold_cannot_have_is_the_pools(tmp_path: Path) -> None:
    gold = GOLD + "item 1,warm\nItem 1,cold\n"  # nobody can say which
    workspace = made(tmp_path, "text,label\nitem 1,warm\n", gold=gold, tell=pytest.fail)
    assert ledger.read(workspace.labels).label.tolist() == ["warm"]
