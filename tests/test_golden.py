"""What a workspace of before there were kinds holds comes out the same, byte by byte: tests/recorded/choice.tar.xz."""

import json
import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labelwise.tasks import kinds, push, snapshot
from labelwise.tasks.items.stored import cells_by_id
from labelwise.tasks.labels import ledger
from labelwise.tasks.records import LABELS
from labelwise.tasks.workspace import Workspace, write_parquet


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    with tarfile.open(Path(__file__).parent / "recorded" / "choice.tar.xz") as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def workspace(recorded: Path) -> Workspace:
    return Workspace.open(recorded / "tickets")


@pytest.fixture(scope="module")
def shown(recorded: Path) -> dict[str, Any]:
    return json.loads((recorded / "label_studio.json").read_text(encoding="utf-8"))


def test_reviewers_see_the_same(workspace: Workspace, shown: dict[str, Any]) -> None:
    settings = workspace.settings
    assert (settings.kind.item, settings.kind.answer) == ("text", "choice")
    interface = ET.tostring(kinds.interface_of(settings), encoding="unicode")
    assert interface == shown["interface"].replace(' className="MARK"', "", 1)
    assert kinds.instructions_of(settings, push.SUGGESTS) == shown["instruction"].removeprefix("<!-- labelwise -->")


def test_the_open_batch_is_asked_by_the_same_tasks(workspace: Workspace, shown: dict[str, Any]) -> None:
    batch = pd.read_parquet(workspace.batch)
    wanted = push.tasks(batch, cells_by_id(workspace, batch.id), 4, True)
    assert [task["data"] for task in wanted] == [data for data in shown["tasks"] if data["round"] == 4]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_answers_become_the_same_bytes_of_the_ledger(
    workspace: Workspace, shown: dict[str, Any], number: int, tmp_path: Path
) -> None:
    before = ledger.shard(workspace.labels, number)
    asks = pd.read_parquet(before)[["id", "round", "why", "propensity"]]
    found = snapshot.collect(shown["exported"], asks)
    made = snapshot.sift(found, workspace.settings.answerable, asks.id).rows
    write_parquet(tmp_path / "made.parquet", made.drop(columns="import_id"), LABELS)
    assert (tmp_path / "made.parquet").read_bytes() == before.read_bytes()
