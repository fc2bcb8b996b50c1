"""When an item came, which rounds learned from it, and that its words cannot harm a terminal."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from labelwise.tasks.errors import InputError
from labelwise.tasks.items import leaks
from labelwise.tasks.labels import ledger
from labelwise.tasks.past import lineage
from labelwise.tasks.past.lineage import Answer, Entry, Lineage
from labelwise.tasks.records import GOLD, LABELS, LEAKS, POOL, tag
from labelwise.tasks.services.versions.history import Commit
from labelwise.tasks.services.versions.workspace import Versions, create
from labelwise.tasks.settings import parse
from labelwise.tasks.terminal import plain
from labelwise.tasks.upkeep import forget
from labelwise.tasks.workspace import Workspace, write_parquet
from tests.tasks.labels.rows import labelled, rows

LIFE = Lineage(
    "i", "text", ["in the pool"], Entry("pool/shard-0001.parquet", "c" * 40, "2026", "round 0"), None, [], {}
)


def test_an_item_is_learned_from_the_round_in_which_its_label_came_in() -> None:
    life = rows({"id": "a", "status": "unanswered", "task_id": 1}, labelled("a", "x", 1)).assign(shard=[1, 3])
    assert lineage.learned(life, range(5), {}) == [3, 4]
    assert lineage.learned(life, range(5), {3: ["a"], 4: ["b"]}) == [4]
    assert lineage.learned(life[:1], range(5), {}) == lineage.learned(life[:0], range(5), {}) == []


@pytest.fixture
def leaked_later(tmp_path: Path) -> tuple[Workspace, Versions]:
    """Items a and b were labelled in round 1. In round 3 gold came that is nearly a; it stays."""
    here = Workspace(tmp_path / "here")
    content = {"project": {"name": "n", "id": "i"}, "classes": ["x", "y"], "pull": {"pool": "p", "gold": "g"}}
    here.root.mkdir()
    (here.root / "params.yaml").write_text(json.dumps(content))
    (here.root / "dvc.yaml").write_text("stages:\n  embed:\n    cmd: 'true'\n    outs: [data/vectors]\n")
    shard = here.pool / "shard-0001.parquet"
    write_parquet(shard, pd.DataFrame({"id": ["a", "b"], "text": ["A", "B"], "source_id": ["T-1", "T-2"]}), POOL)
    write_parquet(here.gold, GOLD.frame())
    versions = create(here.root, str(tmp_path / "remote"))
    given = {1: rows(labelled("a", "x", 1), labelled("b", "y", 2))}
    for number in range(5):
        ledger.append(here.labels, number, given.get(number, LABELS.frame()))
        near = pd.DataFrame({"id": ["a"] * (number >= 3), "gold": "g", "similarity": 0.99})
        write_parquet(leaks.leaks_of(here, shard), near, LEAKS)
        (here.vectors / "of-the-round").write_text(str(number))
        versions.record("embed")
        versions.add()
        versions.save(f"round {number}", tag(number))
    return here, versions


def test_what_became_nearly_gold_was_learned_before_that(
    leaked_later: tuple[Workspace, Versions], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, versions = leaked_later
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody is there
    assert list(lineage.run(here, "a").learned) == ["round-0001", "round-0002"]
    assert list(lineage.run(here, "b").learned) == [tag(number) for number in range(1, 5)]
    stone = forget._tombstones(here, versions, pd.DataFrame({"id": ["a"], "text": ["A"]}))
    assert stone[["held", "learned"]].to_numpy().tolist() == [["round-0000 to round-0004", "round-0001 to round-0002"]]


def test_an_item_is_found_by_ones_own_key_and_by_its_text(
    leaked_later: tuple[Workspace, Versions], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = leaked_later
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody is there
    assert [lineage.run(here, named).item for named in ("a", "T-1", "A")] == ["a", "a", "a"]
    again = pd.DataFrame({"id": ["c"], "text": ["C\x1b[2J"], "source_id": ["T-1"]})
    write_parquet(here.pool / "shard-0002.parquet", again, POOL)
    with pytest.raises(InputError, match=r"'T-1' names several items: .* got 2 items: a \(A\), c \(C.x1b"):
        lineage.run(here, "T-1")
    with pytest.raises(InputError, match=r"no such item.*your own key"):
        lineage.run(here, "T-3")


def test_where_the_vectors_of_a_round_are_gone_its_model_counts_as_having_learned(
    leaked_later: tuple[Workspace, Versions],
) -> None:
    here, versions = leaked_later
    shutil.rmtree(here.root / ".dvc" / "cache")
    stone = forget._tombstones(here, versions, pd.DataFrame({"id": ["a"], "text": ["A"]}))
    assert stone.learned.tolist() == ["round-0001 to round-0004"]


def test_the_commit_that_brought_a_shard() -> None:
    commits = [(Commit("first", "2026", "round 0: asks 5"), 1), (Commit("second", "2027", "round 4"), 3)]
    assert lineage.entry(1, "s", commits) == Entry("s", "first", "2026", "round 0: asks 5")
    assert [found.commit for n in (2, 3) if (found := lineage.entry(n, "s", commits))] == ["second", "second"]
    assert lineage.entry(4, "s", commits) is None


def test_the_rows_tell_who_answered_what_and_what_counts() -> None:
    first = Answer(1, "control", 0.25, "labelled", "x", "7", "2026-01-01", 1, 1)
    answers = [
        first,
        replace(first, label="y", annotation=2, counts=True),
        Answer(3, "uncertain", None, "unanswered", *[None] * 5),
    ]
    said = lineage.lines(replace(LIFE, rows=answers, learned={"round-0001": "4"}, open_in=4))
    assert "  asked       round 1: control with probability 0.2500, task 1" in said
    assert "  answered    2026-01-01: 'x' by reviewer 7 (superseded)" in said
    assert "  answered    2026-01-01: 'y' by reviewer 7 (counts)" in said
    assert "  answered    unanswered" in said
    assert "  learned by  the model of round-0001, version 4" in said


def test_a_text_is_shortened_and_can_do_nothing_to_a_terminal() -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\n" + "x" * 500
    said = "\n".join(lineage.lines(replace(LIFE, text=hostile)))
    assert "\x1b" not in said and "\x07" not in said and "\u202e" not in said
    assert "x" * 300 not in said and "\\x1b" in said
    assert "\x1b" not in replace(LIFE, text=hostile).json()
    assert plain("größe 猫") == "größe 猫"


def test_what_was_said_is_told_with_what_it_is_called_today_and_counts_while_its_class_is_there() -> None:
    project = {"project": {"name": "n", "id": "i"}, "classes": ["x", "y"], "pull": {"pool": "p", "gold": "g"}}
    changed = parse(project | {"renamed": {"old": "x"}, "dropped": ["gone"]})
    said = lineage._answers(rows(labelled("a", "old", 1), labelled("a", "gone", 2)), rows()[:0].assign(ask=[]), changed)
    assert [(each.label, each.today, each.lapsed, each.counts) for each in said] == [
        ("old", "x", False, False),
        ("gone", None, True, False),
    ]
    sets = parse(project | {"renamed": {"old": "x"}, "kind": {"answer": "multilabel"}})
    (one,) = lineage._answers(rows(labelled("a", '["old", "y"]', 1)), rows()[:0].assign(ask=[]), sets)
    assert (one.today, one.counts) == ('["x", "y"]', True)
