"""The loop dies, or a server fails it, at each boundary of a round; run again each time, it ends like one that nobody
disturbed. The whole is `make chaos`, which draws places and moments at random."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from secrets import token_hex

import pytest

from labelwise.tasks.services.home import Addresses
from labelwise.tasks.services.label_studio.project import TABS, BatchProgress, LabelStudioProject
from labelwise.tasks.services.mlflow import RoundRun, Tracking, experiment_name
from labelwise.tasks.settings import parse
from tests.e2e.strikes import BOUNDARIES


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("which", ["round", pytest.param("gold", marks=pytest.mark.long)])
def test_every_boundary_leaves_what_an_undisturbed_loop_leaves(servers: Addresses, which: str) -> None:
    """Those of two rounds; in the long test gold commands', too; LABELWISE_CHAOS=1 plays all."""
    which = "all" if os.environ.get("LABELWISE_CHAOS") else which
    command = [sys.executable, "-m", "tests.e2e.chaos", "--boundaries", which]
    environment = os.environ | {"LABELWISE_TEST_HOME": os.environ["LABELWISE_HOME"]}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1700, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    struck, missed, lost, doubled = re.findall(r"^all +(\d+) +(\d+) +(\d+) +(\d+) ", done.stdout, re.M)[0]
    assert (int(struck), missed, lost, doubled) == (len(BOUNDARIES[which]), "0", "0", "0"), done.stdout


@pytest.fixture
def project(servers: Addresses) -> LabelStudioProject:
    """A project with a task, and two empty ones of its title: the older a request that went through unheard."""
    name = token_hex(4)
    made = LabelStudioProject("twins", name)
    for _ in range(3):
        made.client.projects.create(title=made.title, label_config="<View/>")
    numbers = sorted(each.id for each in made._ours())
    made.found = numbers[1]
    made.add([{"data": {"text": "t", "item": "a", "round": 1}}])
    return LabelStudioProject("twins", name)


def test_of_projects_of_one_title_the_one_with_tasks_stays(project: LabelStudioProject) -> None:
    used = project.found
    assert project.settle() == used
    assert [each.id for each in project._ours()] == [used]
    assert project.count(1) == 1
    project.create(["x", "y"])  # finds it
    assert [each.id for each in project._ours()] == [used]


def test_of_two_tabs_the_older_stays(project: LabelStudioProject) -> None:
    first = project.tab(1)
    project.client.views.create(project=project.number, data={"title": "Round 1"})
    project.client.views.create(project=project.number, data={"title": "mine"})
    assert project.tab(1) == first
    titles = [view.data["title"] for view in project.client.views.list(project=project.number)]
    assert sorted(titles) == ["Round 1", "mine"]


def test_tabs_of_rounds_long_past_go_and_those_of_people_stay(project: LabelStudioProject) -> None:
    def titles() -> list[str]:
        return sorted(view.data["title"] for view in project.client.views.list(project=project.number))

    for title in ("Round", "Round 0", "Round 1st", f"Round {'9' * 5000}", "Ask 1"):
        project.client.views.create(project=project.number, data={"title": title})
    theirs = titles()
    for number in (1, 2, TABS + 1):
        project.tab(number)
    assert titles() == sorted([*theirs, "Round 2", f"Round {TABS + 1}"])
    assert project.count(1) == 1  # its tasks stay


def test_a_task_that_is_gone_is_no_obstacle_to_its_removal(project: LabelStudioProject) -> None:
    task = int(project.tasks(1).task_id[0])
    project.remove([task])
    project.remove([task])
    assert project.count(1) == 0


def test_tasks_of_other_origin_are_not_counted_whatever_they_call_their_columns(project: LabelStudioProject) -> None:
    project.add([{"data": {"text": "t", "round": number}} for number in (1, 1, 2, "first")])
    project.add([{"data": {"text": "t", "round": 1, "item": ""}}, {"data": {"text": "t", "round": 1, "item": None}}])
    assert project.tasks(1).id.tolist() == ["a"]
    assert (project.count(1), project.count(2), project.count_between(1, 2)) == (1, 0, 1)
    assert project.progress(1) == BatchProgress(1, 0)
    project.client.annotations.create(id=int(project.tasks(1).task_id[0]), result=[])
    assert project.progress(1) == BatchProgress(1, 1)


def test_once_a_batch_is_known_only_its_tasks_are_read_and_none_is_overlooked(
    project: LabelStudioProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever becomes of them: added, deleted, or numbered anew by a Label Studio that was put back."""
    asked: list[str] = []
    page = project._page
    monkeypatch.setattr(project, "_page", lambda filters, *a, **k: asked.append(str(filters)) or page(filters, *a, **k))
    assert (project.count(1), project.count(1)) == (1, 1)
    assert ["tasks:id" in each for each in asked] == [False, False, True]  # the newest task, all, the batch
    project.add([{"data": {"text": "t", "round": 1, "item": each}} for each in ("b", "c")])
    first, *others = project.tasks(1).task_id
    assert project.progress(1) == BatchProgress(3, 0) and "tasks:id" in asked[-1]
    project.remove(others)
    assert (project.count(1), project.tasks(1).task_id.tolist()) == (1, [first])
    project.remove([first])
    assert (project.count(1), project.tasks(1).empty) == (0, True)
    assert project.count(1) == 0 and "tasks:id" in asked[-1]  # not there yet: it can only come after what is there
    project.add([{"data": {"text": "t", "round": 1, "item": each}} for each in ("b", "c")])
    for look in (
        project.count,
        lambda number: len(project.tasks(number)),
        lambda number: project.progress(number).total,
    ):
        project._began[1] = 10**9, 2  # what a Label Studio knew that was put back since
        assert look(1) == 2


@pytest.mark.parametrize("name", ["twins", "bob's", 'R&D "beta" #1?', "100% `a` \\\\ b_", "..", "é" * 36])
def test_of_runs_models_and_versions_the_one_in_use_stays(servers: Addresses, tmp_path: Path, name: str) -> None:
    given = {"project": {"name": name, "id": token_hex(4)}, "classes": ["x", "y"], "pull": {"pool": "", "gold": ""}}
    tracking = Tracking(experiment_name(parse(given)))
    Tracking(f"{tracking.name}x")._make_registered_model()
    (tmp_path / "weights").write_text("w")
    tags = {"labelwise.round": "1", "labelwise.inputs": "x"}
    run = RoundRun(1, {"seed": "0"}, {"accuracy": 0.5}, tags, {"pool": ("data/pool", "abc")})
    first = tracking.record(run, tmp_path)
    tracking.crown(first[1])
    tracking.note(first[1], gate=json.dumps({f"worse.{name}": 0.5}))  # a class may be called like that, too
    found = tracking.champion()
    assert found is not None and (found.version, found.run_id) == (first[1], first[0])
    assert (tracking.files(first[1], tmp_path / "again") / "weights").read_text() == "w"
    client, experiment = tracking.client, tracking._experiment()
    # what requests leave that go through unheard, or late
    client.create_run(experiment, tags=tags, start_time=1)
    client.create_run(experiment, tags=tags | {"labelwise.round": "0"})
    client.create_logged_model(experiment, "model", first[0])
    source = client.get_model_version(tracking.name, first[1]).source
    client.create_model_version(tracking.name, source, first[0], model_id=source.removeprefix("models:/"))

    assert tracking.record(run, tmp_path) == first
    assert [found.info.run_id for found in client.search_runs([experiment])] == [first[0]]
    assert tracking.models().version.tolist() == [each.version for each in tracking.registered()] == [first[1]]
    assert len(client.search_logged_models([experiment])) == 1
    assert len(client.get_metric_history(first[0], "accuracy")) == 1
    (logged,) = client.search_logged_models([experiment])
    assert {each.key: each.value for each in logged.metrics} == {"accuracy": 0.5}  # MLflow's list of models shows it
    kept = client.get_run(first[0])
    assert (kept.info.status, len(kept.inputs.dataset_inputs)) == ("FINISHED", 1)

    client.delete_model_version(tracking.name, first[1])  # as if we had died before it was registered
    again = tracking.record(run, tmp_path)
    assert again[0] == first[0] and again[1] != first[1]
    assert len(client.search_logged_models([experiment])) == 1
