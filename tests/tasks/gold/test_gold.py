"""Trusted labels on files: what is drawn, asked, taken in and kept, whatever the reviewers do."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks import score
from labelwise.tasks.errors import InputError, ServiceError, WorkspaceError
from labelwise.tasks.gold import asking, trusted
from labelwise.tasks.kinds.choice import result as choice
from labelwise.tasks.labels import ledger
from labelwise.tasks.learners import Items, untrained
from labelwise.tasks.learners.frozen import Head
from labelwise.tasks.past.audit import run as audit
from labelwise.tasks.proof import control
from labelwise.tasks.records import ANSWERS, ASKED, GOLD, LABELS, POOL
from labelwise.tasks.settings import Score
from labelwise.tasks.workspace import Workspace, write_parquet
from tests.tasks.test_push import Project as Tasks

CLASSES = ["x", "y"]
N = 300
IDS = [f"i{n:03d}" for n in range(N)]
VECTORS = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
HEAD = Head(CLASSES, np.arange(2), np.eye(2, 4, dtype=np.float32), np.zeros(2, dtype=np.float32))
INSIDE = [item for item, kept in zip(IDS, control.reserved(control.order(pd.Index(IDS), 0), 0.2), strict=True) if kept]


class Project(Tasks):
    """The gold project in memory."""

    title = "n · i · gold"

    def __init__(self) -> None:
        super().__init__()
        self.found: Any = None
        self.said: dict[int, list[dict[str, Any]]] = {}
        self.people: dict[int, int] = {}
        self.touched_at: dict[int, str] = {}
        self.looks: list[pd.Timestamp | None] = []

    @property
    def number(self) -> int:
        if self.found is None:
            raise ServiceError("Label Studio has no project")
        return int(self.found)

    def create(self, interface: ET.Element, answers: int = 1, description: str = "") -> None:
        assert set(CLASSES) <= {choice.get("value") for choice in interface.iter("Choice")} and answers == 2
        assert description
        self.found = 7

    def offer(self, interface: ET.Element) -> bool:
        self.offered = interface
        return True

    def add(self, wanted: list[dict[str, Any]]) -> None:
        self.imports.append([task["data"]["item"] for task in wanted])
        for task in wanted:
            self.put(task["data"]["item"], number=task["data"]["round"])

    def tab(self, round_number: int, word: str = "Round") -> str:
        return f"{word} {round_number}"

    def answer(self, item: str, person: int, label: str | None, annotation: int | None = None) -> None:
        task = next(row["task_id"] for row in self.rows if row["id"] == item)
        number = annotation or sum(map(len, self.said.values())) + 1
        one = {"id": number, "was_cancelled": label is None, "result": choice(label) if label else []}
        one |= {"completed_by": {"id": person}, "lead_time": 3.0, "created_at": "2026-11-25T10:00:00Z"}
        one["updated_at"] = f"2026-11-25T11:{len(self.said.get(task, [])):02d}:{number % 60:02d}Z"
        kept = [old for old in self.said.get(task, []) if old["id"] != number]
        self.said[task] = [*kept, one]
        self.touched_at[task] = one["updated_at"]

    def withdraw(self, item: str, person: int) -> None:
        task = next(row["task_id"] for row in self.rows if row["id"] == item)
        self.said[task] = [one for one in self.said[task] if one["completed_by"]["id"] != person]
        self.touched_at[task] = "2026-11-25T13:00:00Z"

    def touched(self, since: pd.Timestamp | None) -> pd.DataFrame:
        self.looks.append(since)
        at = [self.touched_at.get(row["task_id"], "2026-11-25T09:00:00Z") for row in self.rows]
        found = pd.DataFrame(self.rows, columns=["task_id", "id", "round", "answers"]).assign(updated_at=at)
        return found if since is None else found[pd.to_datetime(found.updated_at, utc=True) > since]

    def answered(self, task_ids: list[int]) -> list[dict[str, Any]]:
        data = {row["task_id"]: {"item": row["id"], "round": row["round"]} if row["id"] else {} for row in self.rows}
        return [
            {"id": task, "data": data[task], "annotations": self.said[task]} for task in task_ids if task in self.said
        ]

    def ask_again(self, task_id: int, people: int) -> None:
        self.people[task_id] = people


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A pool with scores, and a gold set of three."""
    made = Workspace(tmp_path)
    content = {"project": {"name": "n", "id": "i"}, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}}
    (tmp_path / "params.yaml").write_text(json.dumps(content | {"gold": {"reserve": 0.2}}))
    pool = pd.DataFrame({"id": IDS, "text": [f"text of {each}" for each in IDS], "source_id": None})
    write_parquet(made.pool / "shard-0001.parquet", pool, POOL)
    own = pd.DataFrame({"id": list("abc"), "text": list("abc"), "source_id": None, "label": ["x", "x", "y"]})
    write_parquet(made.gold, own, GOLD)
    write_parquet(made.scores, score.score(pd.Index(IDS), Items.of(VECTORS), HEAD, Score()))
    predictions = {"id": list("abc"), "actual": ["x", "x", "y"], "predicted": ["x", "y", "x"]}
    made.model.mkdir()
    HEAD.save(made.model)
    made.metrics.mkdir()
    pd.DataFrame(predictions | {"confidence": [0.9, 0.6, 0.8]}).to_csv(made.metrics / "predictions.csv", index=False)
    return made


def test_items_of_the_reserve_are_drawn_once_however_often_it_grows(workspace: Workspace) -> None:
    project: Any = Project()
    for n in (10, 5):
        assert asking.grow(workspace, n, project).startswith(f"{n} items put up for trusted labels: Ask")
    asked = trusted.asked(workspace)
    assert asked.dtypes.astype(str).to_dict() == ASKED.columns
    assert set(asked.id) <= set(INSIDE)
    assert asked.id.is_unique
    assert asked.turn.tolist() == list(range(1, 16))
    assert asked.ask.tolist() == [1] * 10 + [2] * 5
    assert asked.among.tolist() == [len(INSIDE) - turn for turn in range(15)]
    assert sorted([item for batch in project.imports for item in batch]) == sorted(asked.id)
    by_id = pd.read_parquet(workspace.scores).set_index("id").confidence
    assert asked.doubt.tolist() == pytest.approx((1 - by_id[asked.id]).tolist())
    least, most = asked.sort_values("doubt").iloc[[0, -1]].propensity
    assert most > least


@pytest.mark.parametrize("n", [0, -3, len(INSIDE) + 1])
def test_more_than_there_is_and_nothing_are_refused(workspace: Workspace, n: int) -> None:
    with pytest.raises(InputError, match=rf"expected 1 to {len(INSIDE)} items .*got {n}"):
        asking.grow(workspace, n, Project())  # type: ignore[arg-type]
    assert trusted.asked(workspace).empty


def test_all_of_the_reserve_can_be_drawn(workspace: Workspace) -> None:
    asking.grow(workspace, len(INSIDE), Project())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected 1 to 0 items"):
        asking.grow(workspace, 1, Project())  # type: ignore[arg-type]


def test_without_a_reserve_a_round_or_the_old_seed_nothing_is_drawn(workspace: Workspace) -> None:
    project: Any = Project()
    asking.grow(workspace, 10, project)
    params = workspace.root / "params.yaml"
    content = json.loads(params.read_text())
    for change, said in (({"gold": {"reserve": 0.0}}, "no item is kept"), ({"seed": 1}, "no longer in the reserve")):
        params.write_text(json.dumps(content | change))
        with pytest.raises(InputError, match=said):
            asking.grow(Workspace(workspace.root), 1, project)
    workspace.scores.unlink()
    with pytest.raises(WorkspaceError, match="no scores to draw by"):
        asking.grow(workspace, 1, project)


def test_without_a_model_each_item_is_as_likely(workspace: Workspace) -> None:
    scores = score.score(pd.Index(IDS), Items.of(VECTORS), untrained.Untrained(CLASSES), Score())
    write_parquet(workspace.scores, scores)
    asking.grow(workspace, 2, Project())  # type: ignore[arg-type]
    assert "drawn by chance alone" in asking.grow(workspace, 3, Project(), of="y")  # type: ignore[arg-type]
    asked = trusted.asked(workspace)
    assert asked.propensity.tolist() == pytest.approx((1 / asked.among).tolist())
    assert asked.doubt.isna().all()


def measured_by(workspace: Workspace, measure: str) -> Workspace:
    """The workspace with another `evaluate.measure`."""
    params = workspace.root / "params.yaml"
    params.write_text(json.dumps(json.loads(params.read_text()) | {"evaluate": {"measure": measure}}))
    return Workspace(workspace.root)


def test_for_a_class_it_is_drawn_where_that_may_be(workspace: Workspace) -> None:
    project: Any = Project()
    line = asking.grow(workspace, 10, project, of="y")
    p = pd.read_parquet(workspace.scores).set_index("id").p1
    asked = trusted.asked(workspace)
    assert f"{p[asked.id].sum():,.0f} of these are y, and" in line
    assert f"{p[INSIDE].sum() - p[asked.id].sum():,.0f} more in the rest of the reserve; gold and reserve hold" in line
    assert "fewer than the 73 that +-0.1 takes: add to the pool" in line or "set gold.reserve in params.yaml" in line
    # of the items that are not said to be y, those count for more that may be it all the same
    told = asked[p[asked.id].to_numpy() < 0.5].assign(p=lambda rows: p[rows.id].to_numpy()).sort_values("p")
    assert told.propensity.iloc[-1] > told.propensity.iloc[0]
    by_measure = measured_by(workspace, "f1:y")
    for shard in by_measure.trusted.glob("asked-*"):
        shard.unlink()
    assert asking.grow(by_measure, 10, project) == line
    pd.testing.assert_frame_equal(trusted.asked(by_measure), asked)


def test_for_no_class_or_one_that_the_model_does_not_know_nothing_is_drawn(workspace: Workspace) -> None:
    with pytest.raises(InputError, match=r"expected one of the classes: x, y, got 'Y'"):
        asking.grow(workspace, 5, Project(), of="Y")  # type: ignore[arg-type]
    params = workspace.root / "params.yaml"
    params.write_text(json.dumps(json.loads(params.read_text()) | {"classes": [*CLASSES, "new"]}))
    with pytest.raises(InputError, match=r"does not know this class.*`labelwise run --max-wait 0` makes one that does"):
        asking.grow(Workspace(workspace.root), 5, Project(), of="new")  # type: ignore[arg-type]
    assert trusted.asked(workspace).empty
    later = measured_by(workspace, "f1:new")  # a draw that follows the measure goes on, by doubt
    assert asking.grow(later, 5, Project()) == "5 items put up for trusted labels: Ask 1"  # type: ignore[arg-type]


def test_gold_that_is_too_small_for_its_measure_is_said(workspace: Workspace) -> None:
    assert asking.standing(workspace) == "3 own, 0 grown"
    said = asking.standing(measured_by(workspace, "f1:y"))
    assert said.startswith("3 own, 0 grown; 1 gold item of y; about 73 would give an interval of +-0.1")


def test_answers_are_taken_in_once_and_a_third_person_is_asked_where_two_differ(workspace: Workspace) -> None:
    project: Any = Project()
    asking.grow(workspace, 2, project)
    first, second = trusted.asked(workspace).id
    for person, label in ((1, "x"), (2, "x")):
        project.answer(first, person, label)
    project.answer(second, 1, "x")
    project.answer(second, 2, "z")  # no class: kept, and no vote
    assert asking.collect(workspace, project) == "4 new answers: 3 own, 0 grown, 2 to come (1 open, 0 disputed)"
    assert trusted.answers(workspace).status.tolist() == ["labelled", "labelled", "labelled", "refused"]
    assert list(project.people.values()) == [3]
    assert len(trusted.gold(workspace)) == 3
    assert asking.collect(workspace, project).startswith("0 new answers")
    project.answer(second, 3, "x")
    assert asking.collect(workspace, project) == "1 new answer: 3 own, 2 grown"
    found = trusted.gold(workspace)
    assert found.id.tolist() == ["a", "b", "c", first, second]
    assert found.text.tolist()[3:] == [f"text of {first}", f"text of {second}"]
    project.answer(first, 2, "y", annotation=2)  # that person has thought again
    assert "1 disputed" in asking.collect(workspace, project)
    assert len(trusted.answers(workspace)) == 6
    assert trusted.gold(workspace).label.tolist()[3] == "x"


@pytest.fixture
def decided(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Two items were drawn; two people agreed on both, and that is collected."""
    project = Project()
    as_given: Any = project
    asking.grow(workspace, 2, as_given)
    for item in trusted.asked(workspace).id:
        for person in (1, 2):
            project.answer(item, person, "x")
    assert asking.collect(workspace, as_given) == "4 new answers: 3 own, 2 grown"
    for name in ("gold.asking", "past.audit.run"):
        monkeypatch.setattr(f"labelwise.tasks.{name}.open_gold_project", lambda _settings: project)
    return project


def test_an_answer_that_is_deleted_no_longer_counts_and_its_item_is_open_again(
    workspace: Workspace, decided: Project
) -> None:
    first, second = trusted.asked(workspace).id
    decided.withdraw(first, 2)
    assert asking.pull(workspace) == "0 new answers, 1 withdrawn: 3 own, 0 grown, 2 to come (1 open, 0 disputed)"
    rows = trusted.answers(workspace)
    assert rows.dtypes.astype(str).to_dict() == ANSWERS.columns
    assert rows.status.tolist() == ["labelled"] * 4 + ["withdrawn"]  # what was said stays
    assert (rows.annotator.iloc[-1], rows.created_at.iloc[-1]) == ("2", "2026-11-25T13:00:00Z")
    assert asking.pull(workspace).startswith("0 new answers: ")
    assert len(trusted.answers(workspace)) == 5
    decided.answer(first, 2, "y", annotation=int(rows.annotation_id.iloc[-1]))  # a number that was given before
    assert "1 disputed" in asking.pull(workspace)
    assert trusted.votes(trusted.answers(workspace)) == {
        first: [("1", "x"), ("2", "y")],
        second: [("1", "x"), ("2", "x")],
    }


def test_the_loop_sees_that_a_decided_answer_was_changed_and_reads_only_what_was_touched(
    workspace: Workspace, decided: Project
) -> None:
    assert asking.pull(workspace) == ""
    assert decided.looks[-1] is not None
    first = trusted.asked(workspace).id[0]
    decided.answer(first, 2, "y", annotation=2)
    assert asking.pull(workspace).startswith("1 new answer: 3 own, 2 grown, 0 to come (0 open, 1 disputed)")
    assert list(decided.people.values()) == [3]  # a third person is asked


def test_an_audit_lets_a_deleted_answer_wait_for_the_next_look_and_then_knows_of_it(
    workspace: Workspace, decided: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    decided.withdraw(trusted.asked(workspace).id[0], 2)
    decided.said[decided.put("")] = []  # a task that somebody else made
    nothing = LABELS.frame().assign(shard=0)
    for waiting in (1, 0):
        part = next(each for each in audit._label_studio(workspace, nothing, set()) if each.name == "gold answers")
        assert (part.checked, part.waiting, part.complaints) == (4, waiting, [])
        asking.pull(workspace)


def test_a_task_that_is_deleted_takes_no_trusted_answer_back(workspace: Workspace, decided: Project) -> None:
    decided.remove([1, 2])
    assert asking.pull(workspace) == ""
    as_given: Any = decided
    assert asking.collect(workspace, as_given) == "0 new answers: 3 own, 2 grown"
    decided.found = None
    assert asking.pull(workspace) == ""


def test_times_are_kept_in_utc_and_older_rows_are_ordered_by_time_all_the_same(
    workspace: Workspace, decided: Project
) -> None:
    assert trusted.answers(workspace).created_at.str.endswith(".000000Z").all()
    item = trusted.asked(workspace).id[0]
    early, late = "2026-11-25T11:30:00+02:00", "2026-11-25T10:00:00.000000Z"  # as text the other way round
    given = {"id": item, "status": "labelled", "ask": 1, "task_id": 1, "lead_time_s": 1.0}
    rows = pd.DataFrame([given, given]).assign(
        label=["y", "x"], annotator="1", annotation_id=[8, 7], created_at=[early, late]
    )
    assert trusted.votes(ANSWERS.conform(rows)) == {item: [("1", "y"), ("1", "x")]}


@pytest.mark.parametrize("data", [{}, {"item": "i001"}, {"item": 7, "round": 1}, {"item": "i001", "round": "second"}])
def test_tasks_that_somebody_else_made_are_left_alone(workspace: Workspace, data: dict[str, Any]) -> None:
    project: Any = Project()
    asking.grow(workspace, 1, project)
    asked = trusted.asked(workspace)
    project.answer(asked.id[0], 1, "x")
    (ours,) = project.answered([1])
    exported = [ours, ours | {"id": 9, "data": data}]
    assert asking.answered(exported, asked, CLASSES).task_id.tolist() == [1]


def test_what_five_people_cannot_decide_is_set_aside_and_said(workspace: Workspace) -> None:
    project: Any = Project()
    asking.grow(workspace, 2, project)
    first, second = trusted.asked(workspace).id
    for person, label in enumerate(["x", "y", None, "y", "x"]):
        project.answer(first, person, label)
    for person in range(2):
        project.answer(second, person, "y")
    said = asking.collect(workspace, project)
    assert said == "7 new answers: 3 own, 1 grown, 1 set aside: nobody could decide them"
    assert trusted.gold(workspace).weight.tolist() == pytest.approx([1] * 4)


def test_the_gold_rows_that_the_model_is_surest_to_be_wrong_go_before_people(workspace: Workspace) -> None:
    project: Any = Project()
    asking.review(workspace, 1, project)
    (asked,) = trusted.asked(workspace).to_dict("records")
    assert (asked["id"], asked["label"], asked["why"]) == ("c", "y", "review")
    with pytest.raises(InputError, match="expected 1 to 1 row"):
        asking.review(workspace, 2, project)
    for person in (1, 2):
        project.answer("c", person, "x")
    asking.collect(workspace, project)
    assert trusted.gold(workspace).label.tolist() == ["x", "x", "x"]
    assert pd.read_parquet(workspace.gold).label.tolist() == ["x", "x", "y"]  # what the user gave stays as it was


def test_an_interrupted_ask_is_completed_and_a_deleted_project_made_anew(workspace: Workspace) -> None:
    project: Any = Project()
    asking.grow(workspace, 4, project)
    project.remove([1, 2])
    asking.collect(workspace, project)
    assert sorted(project.tasks(1).id) == sorted(trusted.asked(workspace).id)
    decided, half, *_ = trusted.asked(workspace).id
    for item, person in ((decided, 1), (decided, 2), (half, 1)):
        project.answer(item, person, "x")
    asking.collect(workspace, project)
    gone: Any = Project()  # deleted, with the answers
    assert asking.collect(workspace, gone).endswith("; 3 were gone from Label Studio and are asked anew")
    assert sorted(gone.tasks(1).id) == sorted(set(trusted.asked(workspace).id) - {decided})
    gone.answer(half, 2, "x")
    asking.collect(workspace, gone)
    states = trusted.seen(workspace).set_index("id").state
    assert (states[decided], states[half]) == ("decided", "decided")
    asking.grow(workspace, 1, Project())  # type: ignore[arg-type]
    assert len(trusted.asked(workspace)) == 5


def test_people_whose_accounts_are_deleted_are_not_one_person(workspace: Workspace) -> None:
    project: Any = Project()
    asking.grow(workspace, 2, project)
    item = trusted.asked(workspace).id[0]
    for person in (1, 2):
        project.answer(item, person, "x")
    for one in project.said[1]:
        one["completed_by"] = None
    asking.collect(workspace, project)
    assert set(trusted.answers(workspace).annotator) == {ledger.NOBODY}
    assert trusted.seen(workspace).set_index("id").state[item] == "decided"
    asking.collect(workspace, project)  # and nobody agrees with himself
    assert len(trusted.answers(workspace)) == 2


def test_what_is_drawn_brings_its_group_and_its_context_to_the_people(workspace: Workspace) -> None:
    content = json.loads((workspace.root / "params.yaml").read_text())
    content["pull"] |= {"columns": {"context": ["note"], "group": "thread"}}
    (workspace.root / "params.yaml").write_text(json.dumps(content))
    shard = workspace.pool / "shard-0001.parquet"
    notes = [f'{{"note": "<b>{item}"}}' if item in INSIDE[1:] else None for item in IDS]
    write_parquet(shard, pd.read_parquet(shard).assign(group=[f"t-{item}" for item in IDS], context=notes), POOL)
    here, shown = Workspace(workspace.root), []
    project: Any = Project()
    project.add = shown.extend
    project.count = lambda _number: len(shown)
    asking.grow(here, len(INSIDE), project)
    asked = trusted.asked(here)
    assert asked.group.tolist() == [f"t-{item}" for item in asked.id]
    data = {task["data"]["item"]: task["data"] for task in shown}
    assert len(data) == len(INSIDE) and data[INSIDE[0]]["context"] == ""
    for item in INSIDE[1:]:
        assert data[item]["context"] == f'<table><tr><th>note</th><td dir="auto">&lt;b&gt;{item}</td></tr></table>'
