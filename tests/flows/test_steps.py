"""What is refused before any server is asked, what a hiccup of one does not end, and when there is another round."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from labelwise.tasks import pull, settings, snapshot
from labelwise.tasks.errors import ServiceDown, SettingsError, WorkspaceBusy
from labelwise.tasks.items import stored
from labelwise.tasks.labels import ledger
from labelwise.tasks.records import BATCH, LABELS
from labelwise.tasks.services.patience import patient
from labelwise.tasks.services.versions import differences
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Columns, Project
from labelwise.tasks.stop import Advised
from labelwise.tasks.upkeep import init
from labelwise.tasks.workspace import Workspace, write_parquet
from tests.tasks.test_workspace import holder


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"select": {"strategy": "margn"}}, r"`select\.strategy`: expected one of .*, got 'margn'.*mean `margin`"),
        ({"select": {"cold_start": "medoid"}}, r"`select\.cold_start`: expected one of .*mean `medoids`"),
        ({"train": {"learner": "frozn"}}, r"`train\.learner`: expected one of .*, got 'frozn'.*mean `frozen`"),
        ({"prove": {"learner": "frozn"}}, r"`prove\.learner`: expected one of .*, got 'frozn'.*mean `frozen`"),
        ({"stop": {"rule": "kapa"}}, r"`stop\.rule`: expected one of .*, got 'kapa'.*mean `kappa`"),
    ],
)
def test_a_name_that_nobody_knows_stops_the_loop_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: dict[str, Any], said: str
) -> None:
    from labelwise.flows.steps import Steps

    monkeypatch.setattr(Steps, "project", property(lambda _self: pytest.fail("no server is asked")))
    content = {"project": {"name": "n", "id": "i"}, "classes": ["x", "y"], "pull": {"pool": "p", "gold": "g"}}
    (tmp_path / "params.yaml").write_text(json.dumps(content | section))
    with pytest.raises(SettingsError, match=said):
        Steps(Workspace(tmp_path), SimpleNamespace()).check(unfinished=False)


@pytest.mark.parametrize("project_id", ["a_b", "v1.2", "Team-7", "0", "_.-"])
def test_prefect_takes_the_key_of_every_id_that_settings_allow(project_id: str) -> None:
    from prefect.client.schemas.actions import ArtifactCreate

    from labelwise.flows.steps import artifact_key

    Project(name="n", id=project_id)
    key = artifact_key("learning-curve", project_id)
    assert ArtifactCreate(key=key).key == key


class Hiccup:
    """Works at the third try: before that its server does not answer."""

    def __init__(self, result: Any = None) -> None:
        self.tries, self.result = 0, result

    def __call__(self, *_words: Any) -> Any:
        self.tries += 1
        if self.tries < 3:
            raise ServiceDown("it does not answer")
        return self.result


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The steps of a workspace, without Prefect and without pauses."""
    from labelwise.flows.steps import Steps

    def step(self: Any, stage: str, do: Callable[[], Any], outside: bool = False) -> Any:
        return patient(do, self._tell(stage)) if outside else do()

    monkeypatch.setattr("labelwise.tasks.services.patience._pause", lambda _state: 0.0)
    monkeypatch.setattr(Steps, "_step", step)
    monkeypatch.setattr(Steps, "_artifact", lambda *_words, **_content: None)
    monkeypatch.setattr(Steps, "say", lambda *_words, **_named: None)
    shown = {"project": {"name": "p", "id": "p"}, "classes": ["a", "b"], "pull": {"pool": "p", "gold": "g"}}
    (tmp_path / "params.yaml").write_text(json.dumps(shown), encoding="utf-8")
    return Steps(Workspace(tmp_path), SimpleNamespace(add=lambda: None, tagged=lambda _: False))


def test_a_server_that_hiccups_while_gold_is_collected_ends_nothing(
    steps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected = Hiccup("4 new answers")
    monkeypatch.setattr("labelwise.flows.steps.pull.run", lambda _: SimpleNamespace(warnings=[], docs=None))
    monkeypatch.setattr("labelwise.flows.steps.asking.pull", collected)
    steps.pull()
    assert collected.tries == 3


def test_a_server_that_hiccups_when_it_is_asked_whether_to_stop_ends_nothing(
    steps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Hiccup("stop")
    made = Hiccup(SimpleNamespace(to=answer))
    monkeypatch.setattr("labelwise.flows.steps.stop.advised", lambda _: Advised("max_rounds", "enough"))
    monkeypatch.setattr("labelwise.flows.steps.stop.Answers", made)
    with steps._asking(None) as told_to_stop:
        assert told_to_stop()
    assert made.tries == 3


def test_a_server_that_hiccups_when_deleted_tasks_are_asked_anew_ends_nothing(
    steps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = Hiccup()
    ledger.append(steps.workspace.labels, 0, LABELS.frame())
    steps.project = object()
    monkeypatch.setattr("labelwise.flows.steps.push.run", pushed)
    monkeypatch.setattr("labelwise.flows.steps.Steps._news", lambda _: "")
    steps._ask_anew(2)
    assert pushed.tries == 3


def new_gold(folder: Path) -> None:
    (folder / "gold.csv").write_text((folder / "gold.csv").read_text() + "green,cold\n")


def a_row_refused(folder: Path) -> None:
    (folder / "pool.csv").write_text((folder / "pool.csv").read_text() + "RED\n")


def a_new_item(folder: Path) -> None:
    (folder / "pool.csv").write_text((folder / "pool.csv").read_text() + "item 9\n")


def another_setting(folder: Path) -> None:
    settings.change(folder / "here" / "params.yaml", {"gold.reserve": 0.0})


def gold_that_is_committed(folder: Path) -> None:
    new_gold(folder)
    here = Workspace(folder / "here")
    pull.run(here)
    versions = Versions(here.root)
    versions.add()
    versions.save("trusted labels")


@pytest.mark.parametrize("change", [new_gold, gold_that_is_committed, a_row_refused, a_new_item, another_setting])
def test_a_finished_loop_plays_one_round_more_for_whatever_a_pull_brings(
    steps: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(
        "labelwise.tasks.services.expectations._render", lambda folder, _: (folder / "index.html").touch()
    )
    (tmp_path / "pool.csv").write_text("text\n" + "".join(f"item {n}\n" for n in range(8)))
    (tmp_path / "gold.csv").write_text("text,label\nred,warm\nblue,cold\n")
    sources = [str(tmp_path / name) for name in ("pool.csv", "gold.csv")]
    workspace = init.run(tmp_path / "here", *sources, None, "", None, Columns())
    steps.workspace, steps.versions = workspace, Versions(workspace.root)
    steps.project = SimpleNamespace(
        count=lambda _: 0,
        tasks=lambda _: pd.DataFrame(columns=["task_id", "id", "answers"]),
        touched=lambda _: pd.DataFrame(columns=["task_id", "id", "round", "answers", "updated_at"]),
        answered=lambda _: [],
        count_between=lambda *_: 0,
    )

    def learn() -> None:
        """As much of a round as nobody has anything left to ask in."""
        steps.pull()
        items = pd.concat(map(pd.read_parquet, stored.shards(workspace)))
        write_parquet(workspace.scores, items[["id"]])
        write_parquet(workspace.batch, BATCH.frame())
        steps.versions.save(f"round {steps.round}")
        steps.versions.push()
        steps.versions.save(f"round {steps.round}", snapshot.tag(steps.round))

    learn()
    assert not steps.anything_new()
    change(tmp_path)
    assert steps.anything_new()
    assert steps.anything_new()  # as after a death at this place
    snapshot.run_labels(workspace, steps.versions, steps.project)
    learn()
    assert not steps.anything_new()
    assert steps.round == 1
    differences.refuse_strange_changes(steps.versions)


def test_a_second_finish_is_told_who_is_at_work(tmp_path: Path) -> None:
    from labelwise.flows.loop import finish

    content = {"project": {"name": "n", "id": "i"}, "classes": ["x", "y"], "pull": {"pool": "p", "gold": "g"}}
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    for folder in (".git", ".dvc"):
        (tmp_path / folder).mkdir()
    with holder(Workspace(tmp_path)) as first, pytest.raises(WorkspaceBusy, match=f"process {first.pid} on "):
        finish.fn(str(tmp_path), 0.05, 0.95)


def test_settings_that_were_changed_while_the_loop_waited_hold_from_the_next_round_on(tmp_path: Path) -> None:
    from labelwise.flows.loop import learn

    content = {"project": {"name": "n", "id": "i"}, "classes": ["x", "y"], "pull": {"pool": "p", "gold": "g"}}
    (tmp_path / "params.yaml").write_text(json.dumps(content | {"select": {"batch": 25}}))
    (tmp_path / "dvc.yaml").write_text("stages: {}")
    workspace = Workspace(tmp_path)
    assert workspace.settings.select.batch == 25
    settings.change(tmp_path / "params.yaml", {"select.batch": 4})
    seen: list[int] = []

    def note(*_: object) -> None:
        seen.append(workspace.settings.select.batch)

    names = "pull", "plan_finish", "run_rules", "ask_llm", "reproduce", "promote", "report", "snapshot_round"
    stages = dict.fromkeys(names, note)
    steps: Any = SimpleNamespace(workspace=workspace, **stages)
    learn(steps)
    assert set(seen) == {4}


def test_a_note_that_names_no_run_of_prefects_stops_nothing() -> None:
    from labelwise.flows.loop import declare_dead

    for noted in ("", "no id", "1" * 5000):
        declare_dead(noted)
