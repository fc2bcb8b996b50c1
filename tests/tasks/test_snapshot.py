"""Stage `snapshot`: from Label Studio's export to rows of the ledger, each answer once and as what it was asked."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labelwise.tasks import finish
from labelwise.tasks.items import stored, suites
from labelwise.tasks.kinds import spans, text
from labelwise.tasks.kinds.choice import result as choice
from labelwise.tasks.labels import ledger
from labelwise.tasks.labels.ledger import OVERLAP
from labelwise.tasks.records import BATCH, GOLD, LABELS, POOL
from labelwise.tasks.settings import Finish
from labelwise.tasks.snapshot import collect, look, run_labels, sift, unanswered
from labelwise.tasks.workspace import Workspace, write_parquet

CLASSES = ["no", "yes"]
ASKED = pd.DataFrame(
    {
        "id": ["a", "b", "old", "gone"],
        "round": [3, 3, 1, 3],
        "why": ["uncertain", "uncertain", "random", "uncertain"],
        "propensity": [None, None, 0.25, None],
        "task_id": pd.array([11, 12, 5, None], dtype="Int64"),
    }
)


def answer(number: int, result: list[dict[str, Any]] | str, skipped: bool = False, who: Any = 7) -> dict[str, Any]:
    """An annotation as Label Studio exports it."""
    return {
        "id": number,
        "completed_by": who,
        "result": choice(result) if isinstance(result, str) else result,
        "was_cancelled": skipped,
        "lead_time": 4.5,
        "created_at": f"2026-01-01T00:00:{number:02d}Z",
    }


def task(number: int, *annotations: dict[str, Any], ask: tuple[str, int] | None = None) -> dict[str, Any]:
    """A task as Label Studio exports it. ask: item and round in its data; those of ASKED where not given."""
    known = {11: ("a", 3), 12: ("b", 3), 5: ("old", 1)}
    item, round_number = ask or known.get(number, (None, None))
    return {"id": number, "annotations": list(annotations), "data": {"item": item, "round": round_number}}


def only(rows: pd.DataFrame) -> dict[str, Any]:
    (row,) = rows.to_dict("records")
    return row


def test_an_answer_becomes_a_row_with_what_it_was_asked_as() -> None:
    row = only(collect([task(11, answer(1, "yes", who={"id": 7, "email": "a@b.c"}))], ASKED))
    assert row | {"propensity": None, "import_id": 0} == {
        "id": "a",
        "label": "yes",
        "status": "labelled",
        "annotator": "7",
        "round": 3,
        "origin": "asked",
        "why": "uncertain",
        "propensity": None,
        "task_id": 11,
        "annotation_id": 1,
        "lead_time_s": 4.5,
        "import_id": 0,
        "created_at": "2026-01-01T00:00:01.000000Z",
    }


def test_a_late_answer_keeps_the_round_in_which_it_was_asked() -> None:
    row = only(collect([task(5, answer(1, "no"))], ASKED))
    assert (row["id"], row["round"], row["why"], row["propensity"]) == ("old", 1, "random", 0.25)


def test_a_skip_is_kept_without_the_answer_it_may_hold() -> None:
    row = only(collect([task(11, answer(1, "yes", skipped=True))], ASKED))
    assert (row["status"], row["annotation_id"]) == ("skipped", 1)
    assert pd.isna(row["label"])


def test_a_row_says_when_the_answer_was_last_changed_and_in_which_task_it_is_now() -> None:
    changed = answer(1, "no", who=None) | {"updated_at": "2026-01-02T02:00:00+02:00", "import_id": 4}
    row = only(collect([task(77, changed, ask=("a", 3))], ASKED))
    assert (row["created_at"], row["task_id"], row["import_id"]) == ("2026-01-02T00:00:00.000000Z", 77, 4)
    assert row["annotator"] == ledger.NOBODY


def test_two_reviewers_of_one_task_are_two_rows() -> None:
    exported = [task(11, answer(1, "yes"), answer(2, "no")), task(12, answer(3, "no"))]
    assert collect(exported, ASKED).annotation_id.tolist() == [1, 2, 3]
    nothing = collect([], ASKED)
    assert nothing.empty
    assert nothing.dtypes.astype(str).to_dict() == LABELS.columns | {"import_id": "Int64"}


@pytest.mark.parametrize(
    "result",
    [
        "maybe",
        [],
        choice("no") + choice("yes"),
        [{"from_name": "label", "value": {"choices": ["no", "yes"]}}],
        [{"from_name": "another control", "value": {"text": ["no"]}}],
    ],
    ids=["not offered", "nothing", "two parts", "two labels", "another kind of control"],
)
def test_an_answer_that_cannot_count_is_set_aside_with_a_reason(result: Any) -> None:
    exported = [task(11, answer(1, result), answer(2, "yes")), task(12, answer(3, [], skipped=True))]
    sifted = sift(collect(exported, ASKED), CLASSES, ASKED.id)
    assert sifted.rows.annotation_id.tolist() == [1, 2, 3]
    assert sifted.rows.status.tolist() == ["refused", "labelled", "skipped"]
    assert sifted.rows.label.isna().tolist() == [True, False, True]
    assert LABELS.conform(sifted.rows).dtypes.astype(str).to_dict() == LABELS.columns
    refused = only(sifted.refused)
    assert (refused["annotation_id"], refused["status"]) == (1, "labelled")
    assert "label" in refused["reason"]
    assert sifted.page.suite == "ledger"


def test_an_answer_to_what_was_never_asked_is_set_aside() -> None:
    sifted = sift(collect([task(11, answer(1, "yes"))], ASKED), CLASSES, asked_ids=["b"])
    assert sifted.rows[["status", "annotation_id"]].to_numpy().tolist() == [["refused", 1]]
    assert only(sifted.refused)["reason"] == "id was never asked"


def test_nothing_to_sift() -> None:
    sifted = sift(LABELS.frame(), CLASSES, ASKED.id)
    assert sifted.rows.empty
    assert sifted.refused.empty
    assert sifted.page.suite == "ledger"


def test_what_is_in_the_ledger_as_refused_passes_its_suite() -> None:
    exported = [task(11, answer(1, "maybe"), answer(2, [])), task(12, answer(3, "no"))]
    sifted = sift(collect(exported, ASKED), CLASSES, ASKED.id)
    assert sift(LABELS.conform(sifted.rows), CLASSES, ASKED.id).refused.empty


@pytest.mark.parametrize("data", [{}, {"item": "a"}, {"item": ["a"], "round": 3}, {"item": "a", "round": 10**30}])
def test_tasks_that_somebody_else_made_are_left_alone(data: dict[str, Any]) -> None:
    strange = task(11, answer(1, "yes")) | {"data": data}
    assert collect([strange, task(11, answer(2, "no")), task(98)], ASKED).annotation_id.tolist() == [2]


def test_every_task_that_nobody_answered_leaves_a_trace() -> None:
    this_round = ASKED[ASKED["round"] == 3]
    silent = unanswered(this_round, collect([task(11, answer(1, "yes"))], ASKED))
    assert silent.id.tolist() == ["b", "gone"]
    assert set(silent.status) == {"unanswered"}
    assert silent.task_id.isna().tolist() == [False, True]
    assert silent.dtypes.astype(str).to_dict() == LABELS.columns
    everything = collect([task(11, answer(1, "no")), task(12, answer(2, "no"))], ASKED)
    assert unanswered(this_round[:2], everything).empty


def test_a_late_answer_to_an_earlier_task_does_not_hide_that_the_present_one_is_open() -> None:
    twice = ASKED.assign(id=["a", "b", "a", "gone"])  # `a` was asked as task 5 before, and again as task 11
    rows = collect([task(5, answer(1, [], skipped=True), ask=("a", 1))], twice)
    assert unanswered(twice[twice["round"] == 3], rows).task_id.dropna().tolist() == [11, 12]


# A look at everything


ASKS = {1: ("a", 1), 2: ("b", 1), 3: ("c", 1)}  # tasks of the first round, by number
MOMENT = "2026-01-03T00:00:00.000000Z"


class Project:
    """Label Studio's answers to a look: the tasks of round 2, and tasks with what was said, all touched since."""

    def __init__(self, tasks: dict[int, str], exported: list[dict[str, Any]], earlier: int = 3) -> None:
        self._asks = dict(list(ASKS.items())[:earlier]) | {number: (item, 2) for number, item in tasks.items()}
        self._exported = {each["id"]: each for each in exported}
        self.since: list[pd.Timestamp | None] = []

    def tasks(self, number: int) -> pd.DataFrame:
        seen = self._all()
        return seen[seen["round"] == number][["task_id", "id", "answers"]].reset_index(drop=True)

    def count(self, number: int) -> int:
        return len(self.tasks(number))

    def count_between(self, first: int, last: int) -> int:
        return int(self._all()["round"].between(first, last).sum())

    def touched(self, since: pd.Timestamp | None) -> pd.DataFrame:
        self.since.append(since)
        seen = self._all()
        return seen[seen.task_id.isin(self._exported)].assign(updated_at=MOMENT).reset_index(drop=True)

    def answered(self, task_ids: list[int]) -> list[dict[str, Any]]:
        found = [(self._exported[number], self._asks[number]) for number in task_ids if number in self._exported]
        return [each | {"data": {"item": item, "round": number}} for each, (item, number) in found]

    def _all(self) -> pd.DataFrame:
        said = {number: len(each["annotations"]) for number, each in self._exported.items()}
        rows = [(number, item, at, said.get(number, 0)) for number, (item, at) in self._asks.items()]
        return pd.DataFrame(rows, columns=["task_id", "id", "round", "answers"])


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Round 1 is over; its task 1 was answered, 2 skipped, 3 not. Round 2 asks d, e and f."""
    made = Workspace(tmp_path)
    content = {"project": {"name": "n", "id": "i"}, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}}
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    before = pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "label": ["yes", None, None],
            "status": ["labelled", "skipped", "unanswered"],
            "round": 1,
            "why": "diverse",
            "task_id": [1, 2, 3],
            "annotation_id": pd.array([1, 2, None], dtype="Int64"),
            "annotator": ["7", "7", None],
            "origin": "asked",
            "created_at": ["2026-01-01T00:00:00Z", "2026-01-01T00:00:02Z", None],
        }
    )
    ledger.append(made.labels, 0, LABELS.frame())
    ledger.append(made.labels, 1, LABELS.conform(before.reindex(columns=list(LABELS.columns))))
    batch = pd.DataFrame({"id": ["d", "e", "f"], "rank": [1, 2, 3], "why": "uncertain"})
    write_parquet(made.batch, batch.reindex(columns=list(BATCH.columns)), BATCH)
    return made


def test_a_look_brings_new_late_and_missing_answers(workspace: Workspace) -> None:
    exported = [
        task(1, answer(1, "yes"), answer(8, "no", who=8)),  # answered before, and now by somebody else too
        task(2, answer(2, [], skipped=True), answer(4, "no")),  # skipped then, answered late
        task(3, answer(5, "yes")),
        task(6, answer(6, "no"), answer(7, "never offered")),
    ]
    project = Project({6: "d", 7: "e"}, exported)  # f: its task was deleted
    seen = look(workspace, project)  # type: ignore[arg-type]

    assert project.since == [pd.Timestamp("2026-01-01T00:00:02Z") - OVERLAP]
    rows = seen.rows[["id", "label", "status", "round", "task_id"]].astype(object)
    assert rows.where(rows.notna(), None).to_numpy().tolist() == [
        ["a", "no", "labelled", 1, 1],
        ["b", "no", "labelled", 1, 2],
        ["c", "yes", "labelled", 1, 3],
        ["d", "no", "labelled", 2, 6],
        ["d", None, "refused", 2, 6],
        ["e", None, "unanswered", 2, 7],
        ["f", None, "unanswered", 2, None],
    ]
    assert seen.refused.annotation_id.tolist() == [7]

    ledger.append(workspace.labels, 2, seen.rows)
    history = ledger.read(workspace.labels)
    assert sorted(ledger.closed(history)) == ["a", "b", "c", "d", "e"]  # f goes back to the pool


class Sent(Project):
    """The same, and tasks that the model at work gave to people: their cells by number."""

    def __init__(self, cells: dict[int, str], names: dict[int, str], exported: list[dict[str, Any]]) -> None:
        super().__init__({}, exported)
        self._asks |= {number: (names.get(number, text.identify(cell)), 0) for number, cell in cells.items()}
        self._cells = cells

    def answered(self, task_ids: list[int]) -> list[dict[str, Any]]:
        found = super().answered(task_ids)
        return [each | {"data": each["data"] | {"cell": self._cells.get(each["id"])}} for each in found]


def test_what_the_model_gave_to_people_joins_pool_and_ledger(workspace: Workspace) -> None:
    """But for what is gold, has a cell that is no such item, or breaks a rule of the pool."""
    column = stored.column_of(workspace)
    gold = {"id": text.identify("a gold text"), column: "a gold text", "label": "yes", "source_id": None}
    write_parquet(workspace.gold, pd.DataFrame([gold]), GOLD.holding(column))
    there = pd.DataFrame({"id": [text.identify("known")], column: ["known"], "source_id": None})
    write_parquet(stored.next_shard(workspace)[0], there, POOL.holding(column))
    write_parquet(workspace.batch, BATCH.frame(), BATCH)
    cells = {11: "a new text", 12: "A gold text", 13: "another", 14: "\0", 15: "known", 16: "nobody has answered"}
    exported = [task(number, answer(number, "no")) for number in range(11, 16)]
    project: Any = Sent(cells, {13: text.identify("what it was")}, exported)
    versions: Any = Saved()
    assert run_labels(workspace, versions, project) == "2 labels"
    new = ledger.read_by_shard(workspace.labels).query("shard == 2")
    assert new[["id", "label", "round", "origin", "why"]].to_numpy().tolist() == [
        [text.identify(cell), "no", 0, "escalated", "escalated"] for cell in ("a new text", "known")
    ]
    assert new.propensity.isna().all() and new.task_id.tolist() == [11, 15]
    assert stored.cells_by_id(workspace, new.id) == {text.identify(cell): cell for cell in ("a new text", "known")}
    assert stored.items(workspace) == 2
    assert ledger.effective(ledger.read(workspace.labels)).id.isin(new.id).sum() == 2

    # Once only; a changed answer is a later row; while a pool is being finished the others wait.
    project = Sent(cells, {}, [task(11, answer(11, "yes")), task(16, answer(16, "no"))])
    finish.keep(workspace, Finish(wrong=0.05, round=2))
    assert look(workspace, project).rows[["id", "label"]].to_numpy().tolist() == [[text.identify("a new text"), "yes"]]
    finish.keep(workspace, None)
    found = look(workspace, project)
    assert found.rows.label.tolist() == ["yes", "no"] and found.strange == 0
    assert found.joining is not None and found.joining[column].tolist() == ["nobody has answered"]


class Saved:
    """Versions that are counted and not made."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def add(self) -> None:
        pass

    def save(self, message: str) -> None:
        self.messages.append(message)

    def push(self) -> None:
        pass


def test_answers_go_into_the_ledger_and_what_came_to_nothing_twice_is_set_aside(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "labelwise.tasks.services.expectations._render", lambda folder, _: (folder / "index.html").touch()
    )
    batch = pd.DataFrame({"id": ["b", "e"], "rank": [1, 2], "why": "uncertain"})  # b is asked again
    write_parquet(workspace.batch, batch.reindex(columns=list(BATCH.columns)), BATCH)
    versions = Saved()

    for number, exported in {
        2: [task(6, answer(6, "maybe")), task(7, answer(7, "never offered"))],
        3: [],
    }.items():
        project = Project({6: "b", 7: "e"}, exported)
        assert "labels" in run_labels(workspace, versions, project)  # type: ignore[arg-type]
        if number == 2:
            write_parquet(workspace.batch, BATCH.frame(), BATCH)

    assert versions.messages == ["round 2: 0 labels, 2 refused", "round 3: 0 labels"]
    history = ledger.read(workspace.labels)
    assert history[history["round"] == 2][["id", "status"]].to_numpy().tolist() == [["b", "refused"], ["e", "refused"]]
    assert sorted(ledger.closed(history)) == ["a", "b", "c"]  # e is asked once more; c is still open
    (kept,) = workspace.quarantine.glob("*")
    assert kept.name == "labels-0002.parquet"
    assert pd.read_parquet(kept)[["id", "label", "reason"]].astype(object).fillna("").to_numpy().tolist() == [
        ["b", "", "asked twice and came to nothing"],
        ["b", "maybe", "label is outside the classes"],
        ["e", "never offered", "label is outside the classes"],
    ]
    assert (workspace.scraps / "data_docs" / "results" / "ledger.json").exists()

    known = Project({6: "b", 7: "e"}, [task(6, answer(6, "maybe"))])
    assert look(workspace, known).rows.empty  # type: ignore[arg-type]


def test_a_look_when_every_task_of_the_round_is_gone(workspace: Workspace) -> None:
    seen = look(workspace, Project({}, []))  # type: ignore[arg-type]
    assert seen.rows.status.tolist() == ["unanswered"] * 3
    assert seen.rows.task_id.isna().all()


def test_a_look_when_nothing_was_left_to_ask(workspace: Workspace) -> None:
    write_parquet(workspace.batch, BATCH.frame(), BATCH)
    assert look(workspace, Project({}, [])).rows.empty  # type: ignore[arg-type]
    late = look(workspace, Project({}, [task(3, answer(5, "yes"))]))  # type: ignore[arg-type]
    assert late.rows.id.tolist() == ["c"]


# Marks in the text


def test_a_mark_that_is_not_in_the_kept_text_is_refused_with_its_reason() -> None:
    text = "Ada \U0001f600 ran"
    good, moved = spans.result('[[0, 3, "yes"]]', text), spans.result('[[4, 5, "yes"]]', "x" * 9)
    far = [{"type": "labels", "value": {"start": 3, "end": 30, "labels": ["yes"]}}]
    none = spans.result('[[0, 3, "maybe"]]', text)
    given = [answer(number, "yes") | {"result": each} for number, each in enumerate([good, moved, far, none, []], 1)]
    said = collect([task(11, *given)], ASKED, spans, {"a": text})
    assert said.label.fillna("").tolist() == ['[[0, 3, "yes"]]', "", "", '[[0, 3, "maybe"]]', "[]"]
    sifted = sift(said, CLASSES, ASKED.id, spans)
    assert sifted.rows.status.tolist() == ["labelled", "refused", "refused", "refused", "labelled"]
    assert sifted.refused.reason.tolist() == [suites.ELSEWHERE] * 2 + [suites.OUTSIDE]
