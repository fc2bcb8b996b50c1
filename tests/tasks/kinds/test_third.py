"""Another kind of item, made here: a point, read from two columns of figures. Nothing of the program knows of it."""

import json
import math
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks import embed, evaluate, kinds, pull, push, score, select, settings, train
from labelwise.tasks.errors import SettingsError
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import stored
from labelwise.tasks.items.leaks import leaked
from labelwise.tasks.items.vectors import pool_vectors
from labelwise.tasks.kinds.base import DECODES, Encoder, Wording
from labelwise.tasks.kinds.wording import WORDING
from labelwise.tasks.labels import ledger
from labelwise.tasks.learners import serving
from labelwise.tasks.past import replay
from labelwise.tasks.records import LABELS, content_id
from labelwise.tasks.reporting import coming, tables
from labelwise.tasks.services.expectations import BETWEEN, PRESENT, Rule
from labelwise.tasks.trial import review
from labelwise.tasks.trial.plan import Plan, rows_of
from labelwise.tasks.upkeep import forget, names
from labelwise.tasks.workspace import Workspace, read_parquet


def figures(cell: str) -> list[float]:
    try:
        return [float(each) for each in cell.split(";")]
    except ValueError:
        return []


class Point:
    """A content: its cell is two figures."""

    NAME, COLUMN = "point", "place"
    WORDS, ARRAYS = False, False
    DEFAULTS: Mapping[str, Any] = MappingProxyType({})
    wording, settled = None, None

    def columns(self, columns: settings.Columns) -> list[str]:
        del columns  # its columns have these names
        return ["east", "north"]

    def detected(self, look: Any, columns: settings.Columns) -> tuple[settings.Columns, list[str]]:
        del look
        return columns, []

    def files(self, columns: settings.Columns) -> None:
        del columns

    def read(self, rows: pd.DataFrame, pull: settings.Pull) -> pd.Series:
        del pull
        given = rows.astype(object).where(rows.notna() & (rows != ""), None)
        return pd.Series([None if None in row else ";".join(row) for row in given.itertuples(index=False)], rows.index)

    def rules(self, max_chars: int) -> list[Rule]:
        del max_chars
        return [
            Rule("a figure is missing", "point: characters", PRESENT),
            DECODES,
            Rule("point has no two figures", "point: figures", BETWEEN, {"min_value": 2, "max_value": 2}),
        ]

    def measures(self, cells: Sequence[str | None]) -> dict[str, Any]:
        return {
            "point: characters": pd.Series([None if cell is None else len(cell) for cell in cells], dtype="float64"),
            "point: figures": pd.Series([len(figures(cell or "")) for cell in cells], dtype="float64"),
        }

    def tidy(self, cell: str) -> str:
        return ";".join(map(repr, figures(cell))) or cell

    def identify(self, cell: str) -> str:
        return content_id(f"point {cell}")

    def fold(self, cell: str) -> str:
        return ";".join(f"{each:.1f}" for each in figures(cell)) or cell

    def encoder(self, embed: settings.Embed, settled: Mapping[str, Any] | None = None) -> Encoder:
        del embed, settled

        def encode(cells: list[str], progress: Any = bool) -> Any:
            found = np.array([figures(cell) for cell in cells], np.float32).reshape(-1, 2)
            progress(len(cells))
            return found / np.linalg.norm(found, axis=1, keepdims=True)

        made: Any = SimpleNamespace(encode=encode)
        return made

    def given(self, items: Any, pull: settings.Pull) -> list[str]:
        del pull
        return [f"{east};{north}" for east, north in items]

    def takes(self, columns: settings.Columns) -> list[tuple[str, str | None]]:
        del columns
        return [("double", "east"), ("double", "north")]

    def remarks(self, cells: list[str], gold: Sequence[tuple[str, str]] = ()) -> list[str]:
        del gold
        return [] if cells else ["no points"]

    def notes(self, cells: list[str]) -> Counter[str]:
        del cells
        return Counter()

    def view(self, columns: settings.Columns) -> ET.Element:
        del columns
        return ET.Element("Header", {"value": "$shown"})

    def task(self, cell: str) -> dict[str, str]:
        return {"shown": self.brief(cell)}

    def brief(self, cell: str) -> str:
        return f"({cell.replace(';', ', ')})"

    def thumbnail(self, cell: str) -> str:
        del cell
        return ""


POINT: kinds.Content = Point()
ROUND = [(math.cos(at), math.sin(at)) for at in np.linspace(0.05, 1.5, 30)]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Points on a quarter of a circle, those of the gold set labelled by the axis that they are near; bad rows too."""
    monkeypatch.setitem(kinds.ITEMS, "point", POINT)
    monkeypatch.setitem(settings.PAIRS, "point", ("choice",))
    pool = ["key,east,north", *(f"k{at},{x:.6f},{y:.6f}" for at, (x, y) in enumerate(ROUND))]
    pool += [f"again,0{ROUND[3][0]:.6f}0,{ROUND[3][1]:.6f}", "no,one,2", "none,,3", "gold,1.0,0.0"]
    (tmp_path / "pool.csv").write_text("\n".join(pool) + "\n")
    gold = ["east,north,label", "1,0,east", "2,0.1,east", "0,1,north", "0.1,3,north", "5,5,east", "5.0,5.0,north"]
    (tmp_path / "gold.csv").write_text("\n".join(gold) + "\n")
    sources = {"pool": str(tmp_path / "pool.csv"), "gold": str(tmp_path / "gold.csv"), "max_refused": 0.5}
    content = {
        "project": {"name": "n", "id": "i"},
        "kind": {"item": "point", "answer": "choice"},
        "classes": ["east", "north"],
        "pull": sources | {"columns": {"id": None}},
        "embed": {"wording": True},
        "train": {"learner": "frozen"},
        "prove": {"learner": "frozen"},
        "select": {"batch": 6, "control": 0.0},
        "evaluate": {"resamples": 100},
    }
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    return Workspace(tmp_path)


def test_a_round_of_points(workspace: Workspace) -> None:
    names.refuse_unknown(workspace.settings)
    done = pull.run(workspace)
    assert done.new_pool == 29 and done.repeated == 1 and done.new_gold == 4
    assert done.refused == {
        "the same point has several labels": 2,
        "point has no two figures": 1,
        "a figure is missing": 1,
        "also in the gold set": 2,
    }
    shard = read_parquet(stored.shards(workspace)[0])
    assert list(shard.columns) == ["id", "place", "source_id"]
    assert POINT.identify(shard.place[0]) == shard.id[0]
    refused = read_parquet(next(workspace.quarantine.glob("pool-*")))
    assert set(refused.place.dropna()) == {"one;2", "1.0;0.0", "0.998750;0.049979"}

    assert embed.run(workspace).startswith("33 points encoded")
    assert pool_vectors(workspace).wording is None
    assert not leaked(workspace).empty  # the points beside the axes

    ledger.append(workspace.labels, 0, LABELS.frame())
    train.run(workspace)
    assert "no model yet" in score.run(workspace)
    select.run(workspace)
    batch = read_parquet(workspace.batch)
    assert len(batch) == 6

    wanted = push.tasks(batch, stored.cells_by_id(workspace, batch.id), 1, True, item=POINT)
    assert all(task["data"]["shown"].startswith("(0.") for task in wanted)
    interface = ET.tostring(kinds.interface_of(workspace.settings), encoding="unicode")
    assert 'value="$shown"' in interface and "point" in interface
    assert coming.run(workspace)[1][0].text == wanted[0]["data"]["shown"]

    cells = stored.cells_by_id(workspace, batch.id)
    labels = ["east" if figures(cells[item])[0] > figures(cells[item])[1] else "north" for item in batch.id]
    given = {"status": "labelled", "annotator": "1", "round": 1, "origin": "asked", "why": "uncertain"}
    rows = pd.DataFrame({"id": batch.id, "label": labels, **given, "created_at": "2026-01-01T00:00:00+00:00"})
    ledger.append(workspace.labels, 1, LABELS.conform(rows.reindex(columns=list(LABELS.columns))))
    train.run(workspace)
    evaluate.run(workspace)
    score.run(workspace)
    assert read_parquet(workspace.scores).prediction.notna().all()
    assert set(tables.gold_texts(workspace).values()) == {"(1.0, 0.0)", "(2.0, 0.1)", "(0.0, 1.0)", "(0.1, 3.0)"}

    gold = trusted.gold(workspace)
    assert replay.items(gold, [], ("a", None), POINT) == []
    assert "its point was changed" in replay.items(gold.assign(place="7.0;7.0"), [], ("a", None), POINT)[0]
    beside = gold.assign(place=gold.place.str.replace("2.0;0.1", "1.01;0.04"))
    assert len(forget.resolve(beside, [gold.id[0]], POINT)) == 2
    served = serving.load(workspace.root).predict([(1, 0.2), (0.1, 2)])
    assert served.label.tolist() == ["east", "north"]
    answers = review.read_answers(Path(workspace.settings.pull.gold), workspace.settings)
    assert set(gold.id) <= set(answers)


def test_rows_of_points_are_rehearsed(workspace: Workspace) -> None:
    plan = Plan(workspace.settings.pull.gold, None, ["random"], ["frozen"], 1, 1, 1, 0.0, item="point")
    told: list[str] = []
    assert rows_of(plan.pool, plan, told.append).place.tolist() == ["1;0", "2;0.1", "0;1", "0.1;3", "5;5"]
    assert "0 rows without point or label and 1 repeated one" in told[0]


def test_a_learner_that_reads_texts_is_refused_with_those_that_do_not(workspace: Workspace) -> None:
    given = workspace.settings.model_dump() | {"train": {"learner": "contrastive"}}
    with pytest.raises(
        SettingsError, match=r"contrastive` cannot serve `kind.answer: choice` of a point.*auto, frozen"
    ):
        names.refuse_unknown(settings.parse(given))


def test_a_second_opinion_is_asked_where_a_content_has_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wording(cells: list[str], _encoder: Encoder) -> Wording:
        return np.zeros(len(cells), WORDING)

    monkeypatch.setattr(Point, "wording", staticmethod(wording))
    pull.run(workspace)
    embed.run(workspace)
    found = pool_vectors(workspace).wording
    assert found is not None and len(found) == 29
