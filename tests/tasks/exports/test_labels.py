"""Which labels are exported, what is known of them, and from which round."""

import json
from pathlib import Path

import pandas as pd
import pytest

from labelwise.tasks.errors import InputError
from labelwise.tasks.exports import labels
from labelwise.tasks.exports.run import run
from labelwise.tasks.items import forgotten
from labelwise.tasks.kinds import choice, multilabel
from labelwise.tasks.labels import ledger
from labelwise.tasks.records import ANSWERS, ASKED, FINISHED, GOLD, LABELS, POOL, tag
from labelwise.tasks.services.versions.workspace import Versions, create
from labelwise.tasks.workspace import Workspace, write_parquet
from tests.tasks.labels.rows import labelled, rows

CONTENT = {"project": {"name": "n", "id": "i"}, "classes": ["x", "y"], "pull": {"pool": "p", "gold": "g"}}


def by(person: str, item: str, label: str, number: int, at: str) -> dict[str, object]:
    return labelled(item, label, number, at) | {"annotator": person, "origin": "asked", "why": "control"}


def test_people_and_how_far_they_agree() -> None:
    given = rows(
        by("1", "a", "x", 1, "2026-01-01"),
        by("2", "a", "y", 2, "2026-01-02"),
        by("2", "a", "x", 2, "2026-01-03"),  # thought better of it
        by("1", "b", "x", 3, "2026-01-01"),
        by("2", "b", "y", 4, "2026-01-02"),
        labelled("c", "x", 5) | {"annotator": "imported", "origin": "imported"},
        {"id": "d", "status": "skipped", "annotation_id": 6, "annotator": "1"},
        {"id": "b", "status": "skipped", "annotation_id": 7, "annotator": "3"},
        labelled("e", "x", 8) | {"label": None},  # by a class that no longer exists
    )
    found = labels.counting(ledger.effective(given), given, choice).set_index("id")
    assert found[["label", "by", "people"]].to_dict("index") == {
        "a": {"label": "x", "by": "person", "people": 2},
        "b": {"label": "y", "by": "person", "people": 2},
        "c": {"label": "x", "by": "imported", "people": 0},
    }
    assert found.agreement.fillna(-1).tolist() == [1, 0.5, -1]
    assert found.labelled_at.tolist() == ["2026-01-03", "2026-01-02", "2026-01-01"]
    assert labels.without_label(given, set(found.index)) == {
        "skipped": 1,
        "labelled by a class that no longer exists": 1,
    }
    assert labels.Labels(found.reset_index(), None, {}).disputed == 1


def test_people_who_name_other_sets_agree_in_part() -> None:
    given = rows(by("1", "a", '["x"]', 1, "2026-01-01"), by("2", "a", '["x", "y"]', 2, "2026-01-02"))
    assert labels.counting(ledger.effective(given), given, multilabel).agreement.round(3).tolist() == [0.833]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Round 0 without labels, in round 1 a and c are labelled, in round 2 b; g is gold, d was drawn for gold."""
    folder = tmp_path_factory.mktemp("exported")
    made = Workspace(folder / "here")
    made.root.mkdir()
    (made.root / "params.yaml").write_text(json.dumps(CONTENT))
    (made.root / "dvc.yaml").write_text("stages: {}\n")
    items = pd.DataFrame({"id": list("dcba"), "text": list("DCBA"), "source_id": ["T-1", None, None, None]})
    write_parquet(made.pool / "shard-0001.parquet", items[:2], POOL)
    write_parquet(made.pool / "shard-0002.parquet", items[2:], POOL)
    gold = pd.DataFrame({"id": ["g"], "text": ["G"], "source_id": None, "label": ["x"]})
    write_parquet(made.gold, gold, GOLD)
    asked = {"id": ["d"], "text": "D", "source_id": "T-1", "ask": 1, "why": "grown", "turn": 1, "propensity": 0.5}
    write_parquet(
        made.trusted / "asked-0001.parquet", pd.DataFrame(asked | {"label": None, "among": 4, "doubt": 0.1}), ASKED
    )
    said = {"id": "d", "label": ["y", "y"], "status": "labelled", "annotator": ["1", "2"], "ask": 1}
    times = {"task_id": 1, "annotation_id": [1, 2], "lead_time_s": 1.0, "created_at": ["2026-01-01", "2026-01-02"]}
    write_parquet(made.trusted / "answers-0001.parquet", pd.DataFrame(said | times), ANSWERS)
    versions = create(made.root, str(folder / "remote"))
    given = {1: [by("1", "a", "x", 1, "2026-01-01"), by("1", "c", "y", 2, "2026-01-01")]}
    given[2] = [by("1", "b", "y", 3, "2026-01-02"), by("2", "a", "y", 4, "2026-01-02")]
    for number in range(3):
        ledger.append(made.labels, number, rows(*given[number]) if number in given else LABELS.frame())
        versions.add()
        versions.save(f"round {number}")
        versions.push()
        versions.save(f"round {number}", tag(number))
    return made


def test_labels_come_in_the_order_of_the_pool_and_then_gold(here: Workspace) -> None:
    found = labels.read(here, gold=True)
    table = pd.concat(labels.frames(here, found))
    assert table.text.tolist() == ["C", "B", "A", "G", "D"]
    assert table.label.tolist() == ["y", "y", "y", "x", "y"]
    assert table.by.tolist() == ["person", "person", "person", "imported", "person"]
    assert table.people.tolist() == [1, 1, 2, 0, 2]
    assert table.gold.tolist() == [False] * 3 + [True] * 2
    assert table.labelled_at.fillna("").tolist()[-2:] == ["", "2026-01-02"]


def test_a_past_round_is_exported_and_the_workspace_stays_as_it_is(here: Workspace, tmp_path: Path) -> None:
    head = Versions(here.root).head
    said = run(here, tmp_path / "now.csv")
    assert said == [f"{tmp_path / 'now.csv'}: 3 labels (1 on which people differ), from round 2, commit {head[:10]}"]
    commit = Versions(here.root).git("rev-parse", "round-0001")
    before = {path: path.read_bytes() for path in here.labels.iterdir()}
    said = run(here, tmp_path / "then.csv", number=1)
    assert said == [f"{tmp_path / 'then.csv'}: 2 labels, from round 1, commit {commit[:10]}"]
    then = pd.read_csv(tmp_path / "then.csv")
    assert then[["text", "label"]].to_numpy().tolist() == [["C", "y"], ["A", "x"]]
    assert {path: path.read_bytes() for path in here.labels.iterdir()} == before
    assert (
        Versions(here.root).git("status", "--porcelain", "data", "params.yaml") == ""
        and Versions(here.root).head == head
    )
    # What was forgotten since is in no export of a past round either.
    stone = pd.DataFrame({"id": ["a"], "fold": "f", "forgotten_at": "2026", "held": "", "learned": ""})
    forgotten.bury(here, stone)
    said = run(here, tmp_path / "then.csv", number=1)
    assert "1 label, from round 1" in said[0] and said[0].endswith("left out: 1 forgotten since")
    assert "A" not in pd.read_csv(tmp_path / "then.csv").text.tolist()
    with pytest.raises(InputError, match="expected one of round-0000 to round-0002, got 'round-0007'"):
        run(here, tmp_path / "x.csv", number=7)
    with pytest.raises(InputError, match=r"there are no labels, from round 0, .*--gold exports the gold set"):
        run(here, tmp_path / "x.csv", number=0)
    assert run(here, tmp_path / "x.csv", number=0, gold=True)[0].startswith(
        f"{tmp_path / 'x.csv'}: 2 labels (2 of them"
    )
    assert not list(tmp_path.glob(".*part"))


def test_the_finished_pool_is_exported_with_who_said_it(here: Workspace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no finished pool: .*`labelwise finish` makes it"):
        run(here, tmp_path / "a.csv", finished=True)
    with pytest.raises(InputError, match=r"export --finished: expected it alone"):
        run(here, tmp_path / "a.csv", finished=True, gold=True)
    known = {"label": ["x", "y", None], "by": ["person", "model", "nobody"], "confidence": [None, 0.875, None]}
    table = pd.DataFrame({"id": ["a", "b", "d"], "source_id": None, "finish": 1} | known)
    write_parquet(here.root / "finished" / "finished.parquet", table, FINISHED)
    (said,) = run(here, tmp_path / "a.csv", finished=True)
    assert said.startswith(f"{tmp_path / 'a.csv'}: 2 labels (1 by person, 1 by model), from the finished pool, commit ")
    assert said.endswith("; without a label and left out: 1 that nobody labelled")
    found = pd.read_csv(tmp_path / "a.csv").fillna("")
    assert list(found) == ["id", "source_id", "text", "label", "by", "confidence"]
    assert found[["text", "label", "by", "confidence"]].to_numpy().tolist() == [
        ["B", "y", "model", 0.875],
        ["A", "x", "person", ""],
    ]
