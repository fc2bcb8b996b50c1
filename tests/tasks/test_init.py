"""Labels that exist already: the ledger's first rows, or one line that says why not."""

from pathlib import Path
from typing import Any

import pytest

from tasks import init
from tasks.errors import InputError
from tasks.labels import ledger
from tasks.settings import Columns
from tasks.workspace import Workspace

POOL = "text\n" + "".join(f"item {n}\n" for n in range(20))
GOLD = "text,label\nred,warm\nblue,cold\n"


def made(tmp_path: Path, labelled: str, pool: str = POOL) -> Workspace:
    for name, content in (("pool.csv", pool), ("gold.csv", GOLD), ("labelled.csv", labelled)):
        (tmp_path / name).write_text(content)
    sources: dict[str, Any] = {name: str(tmp_path / f"{name}.csv") for name in ("pool", "gold", "labelled")}
    return init.run(tmp_path / "here", **sources, classes=None, name="", remote=None, columns=Columns())


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
    ],
)
def test_what_cannot_be_imported(tmp_path: Path, labelled: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        made(tmp_path, labelled)
    assert not (tmp_path / "here").exists()


def test_gold_is_not_imported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="in the gold set"):
        made(tmp_path, "text,label\nred,warm\n", POOL + "red\n")
