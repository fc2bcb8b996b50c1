"""What the ledger amounts to: by setting, and as before while one person labels an item."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks import agree, learners, train
from labelwise.tasks.labels import consensus, ledger, people
from labelwise.tasks.learners import Items
from labelwise.tasks.records import CONSENSUS, LABELS
from labelwise.tasks.settings import parse
from labelwise.tasks.workspace import Workspace, read_parquet, write_parquet
from tests.tasks.labels.rows import rows, unlabelled

CONTENT: dict[str, Any] = {
    "project": {"name": "n", "id": "i"},
    "classes": ["no", "yes"],
    "pull": {"pool": "p", "gold": "g"},
    "train": {"learner": "frozen"},
    "agree": {"by": "auto"},
}
N = 60
IDS = [f"i{n:02d}" for n in range(N)]
TRUTH = np.arange(N) % 2
VECTORS = np.eye(2, 8, dtype=np.float16)[TRUTH] + 0.01 * np.random.default_rng(0).standard_normal((N, 8))


def items_of(ids: pd.Series) -> Items:
    return Items.of(VECTORS[pd.Index(IDS).get_indexer(ids)].astype(np.float32))


def answer(n: int, person: str, label: str, number: int, round_: int = 1) -> dict[str, Any]:
    common = {"id": IDS[n], "label": label, "annotator": person, "annotation_id": number, "why": "margin"}
    return common | {"round": round_, "created_at": "2026-01-01", "task_id": n}


def crowd(people: int = 2, wrong: int = 5) -> list[dict[str, Any]]:
    """People who label all items; the last of them errs on every fifth."""
    return [
        answer(
            n, str(person), ("no", "yes")[(TRUTH[n] + (person == people - 1 and n % wrong == 0)) % 2], N * person + n
        )
        for person in range(people)
        for n in range(N)
    ]


def found(given: pd.DataFrame, by: str = "auto") -> pd.DataFrame:
    settings = parse(CONTENT | {"agree": {"by": by}})
    return consensus.consensus(given, items_of, settings)


@pytest.mark.parametrize("by", ["auto", "latest"])
def test_while_one_person_labels_an_item_it_is_what_counted_before(by: str) -> None:
    given = rows(*(answer(n, str(n % 3), "yes", n) for n in range(20)))
    table = found(given, by)
    pd.testing.assert_frame_equal(table[["id", "label", "round", "why"]], ledger.effective(given))
    assert set(table.trust) == {1.0} and set(table.people) == {1} and set(table.doubt) == {0.0}


def test_two_accidents_do_not_weigh_everybody() -> None:
    """Two items that a second person has labelled, too: the latest counts, as ever."""
    given = [answer(n, "0", "yes", n) for n in range(20)] + [answer(n, "1", "no", 50 + n) for n in range(2)]
    table = found(rows(*given))
    assert table.label.tolist() == ["no", "no", *["yes"] * 18]
    assert set(table.trust) == {1.0}
    assert table.doubt.tolist() == [0.5, 0.5, *[0.0] * 18]


def test_where_two_differ_the_model_of_the_other_items_decides() -> None:
    table = found(rows(*crowd()))
    right = np.array(["no", "yes"])[TRUTH]
    assert (table.label == right).mean() > 0.95
    differ = table.doubt > 0
    assert differ.sum() == N / 5
    assert table.trust[differ].mean() < table.trust[~differ].mean() - 0.005
    assert (found(rows(*crowd()), "latest").label == right).mean() == pytest.approx(0.8)


def test_an_answer_that_was_changed_or_withdrawn_is_no_voice_any_more() -> None:
    given = [*crowd(), answer(0, "1", "no", N, 2)]  # the second person thought better of item 0
    table = found(rows(*given)).set_index("id")
    assert table.doubt[IDS[0]] == 0 and table.people[IDS[0]] == 2
    gone = answer(1, "0", "", 1) | {"status": "withdrawn", "label": None}
    assert found(rows(*crowd(), gone)).set_index("id").people[IDS[1]] == 1


def test_nobody_said_anything() -> None:
    assert found(LABELS.frame()).equals(CONSENSUS.frame())


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return unlabelled(tmp_path, CONTENT, IDS, VECTORS)


def test_the_stage_writes_it_and_train_learns_each_label_by_its_trust(workspace: Workspace) -> None:
    ledger.append(workspace.labels, 1, rows(*crowd()))
    said = agree.run(workspace)
    assert said.startswith(f"{N} labels, {N} by two people or more, who differ on {N // 5}; trust ")
    table = read_parquet(workspace.consensus)
    assert list(table) == list(CONSENSUS.columns)
    train.run(workspace)
    weighed = learners.load(workspace.model).probabilities(items_of(table.id))
    write_parquet(workspace.consensus, table.assign(trust=1.0), CONSENSUS)
    train.run(workspace)
    alike = learners.load(workspace.model).probabilities(items_of(table.id))
    assert not np.allclose(weighed, alike)


def test_the_same_answers_are_the_same_bytes_again(workspace: Workspace) -> None:
    ledger.append(workspace.labels, 1, rows(*crowd()))
    agree.run(workspace)
    before = workspace.consensus.read_bytes()
    agree.run(workspace)
    assert workspace.consensus.read_bytes() == before


def test_a_workspace_without_the_stage_takes_it_from_the_ledger(workspace: Workspace) -> None:
    """Also where a file lies there that a later round has left."""
    ledger.append(workspace.labels, 1, rows(*(answer(n, "0", "yes", n) for n in range(4))))
    agree.run(workspace)
    ledger.append(workspace.labels, 2, rows(answer(4, "0", "no", 4, 2)))
    assert len(consensus.current(workspace)) == 4
    (workspace.root / "dvc.yaml").write_text("stages: {}")
    assert len(consensus.current(workspace)) == 5


def test_what_came_since_the_stage_ran_counts_as_it_was_said(workspace: Workspace) -> None:
    ledger.append(workspace.labels, 1, rows(*crowd()[:-1]))  # the second person left the last item out
    agree.run(workspace)
    ledger.append(workspace.labels, 2, rows(answer(N - 1, "0", "no", N - 1, 2)))
    now = consensus.today(workspace, ledger.today(workspace)).set_index("id").label
    written = read_parquet(workspace.consensus).set_index("id").label
    assert now[IDS[N - 1]] == "no" != written[IDS[N - 1]]
    assert now.drop(IDS[N - 1]).equals(written.drop(IDS[N - 1]).astype(now.dtype))


def test_how_often_each_person_is_right_is_said_once_enough_items_are_shared(workspace: Workspace) -> None:
    assert people.run(workspace) == ["nobody has labelled anything yet"]
    ledger.append(workspace.labels, 1, rows(*(answer(n, str(n % 2), "yes", n) for n in range(4))))
    (said,) = people.run(workspace)
    assert "0 items have answers of two people, 10 are needed (people.overlap in params.yaml)" in said
    ledger.append(
        workspace.labels, 2, rows(*({**each, "annotation_id": 1000 + at} for at, each in enumerate(crowd(3))))
    )
    head, *lines = people.run(workspace)
    assert head.startswith("60 items have answers of two people or more")
    right = {line.partition(":")[0]: int(line.split()[1]) for line in lines}
    assert right["2"] < 90 < min(right["0"], right["1"])


def test_what_was_written_has_the_names_that_classes_have_today(workspace: Workspace) -> None:
    ledger.append(workspace.labels, 1, rows(*crowd()))
    agree.run(workspace)
    content = CONTENT | {"classes": ["no", "certainly"], "renamed": {"yes": "certainly"}}
    (workspace.root / "params.yaml").write_text(json.dumps(content))
    workspace.reread()
    assert set(consensus.current(workspace).label) == {"no", "certainly"}
    assert set(consensus.today(workspace, ledger.today(workspace)).label) == {"no", "certainly"}
