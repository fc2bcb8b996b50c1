"""Stage `push`: a batch is with the reviewers once, whatever happened before or happens meanwhile."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelwise.tasks.errors import ServiceDown
from labelwise.tasks.items.stored import cells_by_id
from labelwise.tasks.kinds import choice, spans, text
from labelwise.tasks.kinds.interface import interface
from labelwise.tasks.labels import ledger
from labelwise.tasks.push import run, tasks
from labelwise.tasks.records import BATCH, LABELS, POOL
from labelwise.tasks.services.label_studio.delivery import deliver
from labelwise.tasks.services.label_studio.project import NOT_OURS
from labelwise.tasks.workspace import Workspace, write_parquet

TEXTS = {"a": "first", "b": "second", "c": "third"}


def batch(predictions: list[str | None]) -> pd.DataFrame:
    """Items c, b, a; a is to be asked first."""
    rows = {"id": list("cba"), "rank": [3, 2, 1], "prediction": predictions, "confidence": [0.5, 0.6, 0.7]}
    return BATCH.conform(pd.DataFrame(rows).reindex(columns=list(BATCH.columns)))


WANTED = tasks(batch(["x"] * 3), TEXTS, 2, prediction_shown=True)


class Project:
    """Label Studio's tasks in memory. It refuses no duplicates; nor does the real one."""

    people = 1

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.imports: list[list[str]] = []
        self.made = 0
        self.meanwhile: list[str] = []  # items of an earlier import of ours that goes through just before the next
        self.settings: dict[str, Any] = {}
        self.takes = 1000  # of each import, as many tasks
        self.found: int | None = 1
        self.title = self.called = "n · i"
        self.ours = True  # whether the interface is
        self.offered = ["x", "y"]
        self.cut_off = False  # the import goes through, but we never hear of it

    def put(self, item: str, answers: int = 0, number: int = 2) -> int:
        data = {"item": item, "round": number}
        self.made += 1  # no number twice
        self.rows.append({"task_id": self.made, "id": item, "answers": answers, "round": number, "data": data})
        return self.made

    def tasks(self, round_number: int) -> pd.DataFrame:
        found = [row for row in self.rows if row["round"] == round_number]
        return pd.DataFrame(found, columns=["task_id", "id", "answers", "data"])

    def settle(self) -> int | None:
        return self.found

    def update(self, **settings: Any) -> None:
        self.settings |= settings

    def create(self, _interface: ET.Element) -> None:
        self.found, self.called = 2, self.title

    def instruct(self, instructions: str) -> None:
        self.update(instructions=instructions)

    def change(self, task_id: int, data: dict[str, Any]) -> None:
        next(row for row in self.rows if row["task_id"] == task_id)["data"] = data

    def choices(self) -> list[str]:
        return self.offered

    def offer(self, interface: ET.Element) -> bool:
        self.update(label_config=ET.tostring(interface))
        return self.ours

    def tab(self, round_number: int, _word: str = "Round") -> str:
        return f"tab of {round_number}"

    def count(self, round_number: int) -> int:
        return len(self.tasks(round_number))

    def add(self, wanted: list[dict[str, Any]]) -> None:
        self.imports.append([task["data"]["item"] for task in wanted])
        data = {task["data"]["item"]: task["data"] for task in wanted}
        for item in self.meanwhile + self.imports[-1][: self.takes]:
            self.change(self.put(item), data.get(item, {}))
        if self.cut_off:
            raise ConnectionError

    def remove(self, task_ids: list[int]) -> None:
        self.rows = [row for row in self.rows if row["task_id"] not in task_ids]


def pushed(project: Any) -> int:
    return deliver(project, WANTED, 2)


# The format


def test_tasks_are_in_order_of_rank_and_carry_item_and_round() -> None:
    assert [{key: task["data"][key] for key in ("text", "item", "round")} for task in WANTED] == [
        {"text": TEXTS[item], "item": item, "round": 2} for item in ("a", "b", "c")
    ]


def suggestions(made: list[dict[str, Any]]) -> list[str]:
    return [task["data"]["suggestion"] for task in made]


def test_what_the_model_thinks_is_said_and_not_chosen() -> None:
    made = tasks(batch(["<b>", "y", None]), TEXTS, 2, prediction_shown=True)
    assert suggestions(made) == ["", "The model suggests: y (60 %)", "The model suggests: <b> (50 %)"]
    assert {key for task in made for key in task} == {"data"}
    assert not any(suggestions(tasks(batch(["x"] * 3), TEXTS, 2, prediction_shown=False)))


@pytest.mark.parametrize("why", ["control", "relabel", "gold"])
def test_whose_answers_must_not_be_swayed_are_told_nothing(why: str) -> None:
    rows = batch(["x"] * 3).assign(why=["uncertain", why, why])
    assert suggestions(tasks(rows, TEXTS, 2, prediction_shown=True)) == ["", "", "The model suggests: x (50 %)"]


def test_no_prediction_is_shown_when_it_is_turned_off() -> None:
    assert not any("predictions" in task for task in tasks(batch(["x"] * 3), TEXTS, 2, prediction_shown=False))


def test_texts_are_found_over_all_shards(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    content = {"project": {"name": "n", "id": "i"}, "classes": ["x", "y"], "pull": {"pool": "p", "gold": "g"}}
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    for number, ids in enumerate((["a", "b"], ["c", "d"])):
        rows = pd.DataFrame({"id": ids, "text": [f"text of {each}" for each in ids], "source_id": None})
        write_parquet(workspace.pool / f"shard-{number:04d}.parquet", rows, POOL)
    wanted = pd.Series(["d", "a"], dtype="string")
    assert cells_by_id(workspace, wanted) == {"a": "text of a", "d": "text of d"}


# Once


def test_nothing_is_imported_twice() -> None:
    project = Project()
    assert pushed(project) == 3
    assert pushed(project) == 0
    assert project.imports == [["a", "b", "c"]]


def test_an_interrupted_push_is_completed() -> None:
    project = Project()
    project.put("b", answers=1)
    assert pushed(project) == 2
    assert project.imports == [["a", "c"]]


def test_an_import_that_went_through_unheard_is_not_repeated() -> None:
    project = Project()
    project.cut_off = True
    with pytest.raises(ConnectionError):
        pushed(project)
    assert pushed(project) == 0
    assert len(project.imports) == 1


def test_an_import_that_was_taken_in_part_is_completed_by_the_next_try() -> None:
    project = Project()
    project.takes = 1
    for there in ("1", "2"):
        with pytest.raises(ServiceDown, match=f"expected 3 tasks, got {there}"):
            pushed(project)
    assert pushed(project) == 1
    assert project.imports == [["a", "b", "c"], ["b", "c"], ["c"]]


def test_doubles_that_arrive_while_we_import_are_removed() -> None:
    project = Project()
    project.meanwhile = ["a", "b"]
    assert pushed(project) == 3
    assert sorted(project.tasks(2).id) == ["a", "b", "c"]
    assert sorted(project.tasks(2).task_id) == [1, 2, 5]  # the older stay


def test_of_doubles_the_answered_one_is_kept() -> None:
    project = Project()
    for item in "abc":
        project.put(item)
    answered = project.put("b", answers=1)
    project.put("b")
    assert pushed(project) == 0
    assert project.tasks(2).set_index("id").task_id.to_dict() == {"a": 1, "b": answered, "c": 3}


def test_the_same_item_in_another_round_is_another_task() -> None:
    project = Project()
    earlier = [project.put("a", number=1), project.put("a", number=1)]
    assert pushed(project) == 3
    assert project.tasks(1).task_id.tolist() == earlier


def test_the_settings_of_the_project_are_put_right_each_time(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    content = {"project": {"name": "n", "id": "i"}, "classes": ["x", "y"], "pull": {"pool": "p", "gold": "g"}}
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    ledger.append(workspace.labels, 0, LABELS.frame())
    ledger.append(workspace.labels, 1, LABELS.frame())
    rows = pd.DataFrame({"id": list(TEXTS), "text": list(TEXTS.values()), "source_id": None})
    write_parquet(workspace.pool / "shard-0001.parquet", rows, POOL)
    project: Any = Project()
    for line in ("3 tasks new", "0 tasks new"):
        write_parquet(workspace.batch, batch(["x"] * 3), BATCH)
        assert run(workspace, project, "news") == f"{line}, 3 in round 2: tab of 2"
        assert project.settings["description"] == "news"
        assert project.settings["show_collab_predictions"] is False
        assert project.settings["label_config"] == ET.tostring(interface(text, choice, ["x", "y"]))
        project.settings = {}
    project.offered = ["why", "z", "x"]
    content["renamed"] = {"why": "y"}
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    write_parquet(workspace.batch, batch(["why"] * 3), BATCH)
    said = run(Workspace(tmp_path), project, "news")
    assert "(the choices are up to date: 'why' is called 'y' now, 'z' is gone)" in said
    assert project.rows[0]["data"]["suggestion"].startswith("The model suggests: y (")
    project.offered = ["x", "y"]
    project.ours = False
    assert NOT_OURS in run(workspace, project, "news")
    project.called = "Tickets, second try"
    assert "calls the project 'Tickets, second try'" in run(workspace, project, "news")
    project.found, project.rows = None, []
    assert "3 tasks new, 3 in round 2 (the project was gone" in run(workspace, project, "news")


def test_open_tasks_suggest_what_is_suggested_now() -> None:
    """`push.show_prediction` is changed while a batch is open, or the batch was made by an earlier version."""
    project = Project()
    project.put("a", answers=1)
    earlier = project.put("b")
    project.rows[earlier - 1]["data"]["added by somebody"] = 1
    assert pushed(project) == 1
    said = [row["data"].get("suggestion") for row in project.rows]
    assert said == [None, "The model suggests: x (60 %)", "The model suggests: x (50 %)"]
    assert project.rows[earlier - 1]["data"]["added by somebody"] == 1
    silent: Any = project
    assert deliver(silent, tasks(batch(["x"] * 3), TEXTS, 2, prediction_shown=False), 2) == 0
    assert [row["data"].get("suggestion") for row in project.rows] == [None, "", ""]


def test_what_went_through_when_its_round_was_over_is_removed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    content = {"project": {"name": "n", "id": "i"}, "classes": ["x", "y"], "pull": {"pool": "p", "gold": "g"}}
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    for number in (0, 1):
        ledger.append(workspace.labels, number, LABELS.frame())
    rows = pd.DataFrame({"id": list(TEXTS), "text": list(TEXTS.values()), "source_id": None})
    write_parquet(workspace.pool / "shard-0001.parquet", rows, POOL)
    write_parquet(workspace.batch, batch(["x"] * 3), BATCH)
    project: Any = Project()
    asked, _ = project.put("d", answers=1, number=1), project.put("d", number=1)
    run(workspace, project, "news")
    assert project.tasks(1).task_id.tolist() == [asked]


@given(there=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), max_size=10))
def test_from_any_beginning_the_batch_is_there_and_no_answer_is_lost(there: list[tuple[str, int]]) -> None:
    project = Project()
    for item, answers in there:
        project.put(item, answers)

    pushed(project)

    after = project.tasks(2)
    assert sorted(after.answers[after.answers > 0]) == sorted(answers for _, answers in there if answers)
    for item in "abc":
        kept = after[after.id == item]
        assert (kept.answers == 0).sum() == (0 if (kept.answers > 0).any() else 1)
    assert pushed(project) == 0


# Marks in the text


def marking(shown: bool = True) -> list[dict[str, Any]]:
    labels = ['[[0, 5, "x"]]', "[]", '[[0, 2, "x"], [1, 3, "y"]]']
    rows = batch(labels).assign(why=["control", "uncertain", "uncertain"])
    return tasks(rows, TEXTS, 2, shown, spans)


class Marked(Project):
    """With predictions. lost: how many of the next import's a busy server does not take."""

    def __init__(self, lost: int = 0) -> None:
        super().__init__()
        self.marks: dict[int, list[Any]] = {}
        self.lost = lost

    def add(self, wanted: list[dict[str, Any]]) -> None:
        super().add(wanted)
        for row, task in zip(self.rows[-len(wanted) :], wanted, strict=True):
            self.marks[row["task_id"]] = [] if self.lost else [each["result"] for each in task["predictions"]]
            self.lost = max(self.lost - 1, 0)

    def predictions(self, _round_number: int) -> dict[int, list[Any]]:
        return self.marks

    def predict(self, task_id: int, predictions: list[dict[str, Any]]) -> None:
        self.marks[task_id] = [each["result"] for each in predictions]


def test_what_the_model_marks_is_marked_in_advance_but_where_it_could_sway() -> None:
    made = {task["data"]["item"]: task for task in marking()}
    (own,) = made["a"]["predictions"]
    assert [each["value"] for each in own["result"]] == [
        {"start": 0, "end": 2, "text": "fi", "labels": ["x"]},
        {"start": 1, "end": 3, "text": "ir", "labels": ["y"]},
    ]
    assert made["b"]["predictions"] == made["c"]["predictions"] == []
    assert made["b"]["data"]["suggestion"] == "The model suggests: nothing to mark (60 %)"
    assert made["c"]["data"]["suggestion"] == ""
    assert all("predictions" not in task for task in WANTED)


def test_marks_that_a_busy_server_did_not_take_are_brought_and_stay_what_they_should_be() -> None:
    project: Any = Marked(lost=3)
    assert deliver(project, marking(), 2) == 3
    there = project.tasks(2).set_index("id").task_id
    assert [len(project.marks[there[item]]) for item in "abc"] == [1, 0, 0]
    deliver(project, marking(shown=False), 2)  # push.show_prediction is switched off
    assert not any(project.marks.values())
    project.rows[0]["answers"] = 1  # what was answered stays as its reviewer saw it
    deliver(project, marking(), 2)
    assert project.rows[0]["id"] == "a" and not any(project.marks.values())
