"""A pool is finished on the real servers, killed on the way, and every label is somebody's."""

import json
import os
import signal
import subprocess
import sys

import pandas as pd
import pytest

from labelwise.flows import finish as command_of
from labelwise.tasks import figures, finish
from labelwise.tasks.errors import InputError, WorkspaceError
from labelwise.tasks.kinds import choice
from labelwise.tasks.proof import finishing
from labelwise.tasks.records import run_of
from labelwise.tasks.reporting.status import status
from labelwise.tasks.services.label_studio.accounts import Reviewer
from labelwise.tasks.services.label_studio.project import LabelStudioProject, open_project
from labelwise.tasks.services.mlflow import open_tracking
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace
from tests.e2e.conftest import CLASSES, Make, Source, answer, command, play, play_rounds, rows, tool

WRONG = 0.15
KILLED = """
from tests.e2e import die
die.plant({place!r}, {nth}, {when!r}, die.die)
from labelwise.flows.loop import {flow} as flow
flow({root!r}, {words})
"""


def killed(workspace: Workspace, place: str, nth: int, when: str, flow: str, words: str) -> None:
    """A run that dies at the n-th call of a function."""
    program = KILLED.format(place=place, nth=nth, when=when, flow=flow, root=str(workspace.root), words=words)
    died = subprocess.run([sys.executable, "-c", program], env=os.environ, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()[-2000:]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_pool_is_finished_and_killed_on_the_way(make: Make, source: Source) -> None:
    workspace = make(stop__rule="none", train__learner="frozen", evaluate__resamples=100)
    with pytest.raises(WorkspaceError, match="has no model yet"):
        command_of.forecast(workspace, 0.05, 0.95)
    play_rounds(workspace, source, 1)
    numbers = set(open_project(workspace.settings).tasks(2).task_id)
    early, late = _answer_while_taken_back(workspace, source)
    answered = set(rows(workspace).id[rows(workspace).status == "labelled"])
    forecast = command_of.forecast(workspace, WRONG, 0.95)
    assert len(forecast) == 2 + len(finish.CURVE)
    assert sum(line.startswith("-> at most 15 % wrong: people still label ") for line in forecast) == 1

    # It dies before the round whose model is fixed is saved; the same command goes on, with one plan and one exam.
    versions = Versions(workspace.root)
    killed(
        workspace,
        "labelwise.tasks.services.versions.workspace:Versions.save",
        1,
        "before",
        "finish",
        f"{WRONG}, 0.95, 0",
    )
    assert "answered, waiting for" in finished(workspace, WRONG)
    workspace = Workspace.open(workspace.root)
    plan = workspace.settings.select.finish
    assert plan is not None
    assert (plan.wrong, plan.round, plan.look, plan.after) == (WRONG, 2, 1, 0)
    batch = pd.read_parquet(workspace.batch)
    assert batch.why.eq(finishing.EXAM).all()
    assert batch.propensity.eq(plan.share).all()
    assert not set(batch.id) & answered
    project = open_project(workspace.settings)
    assert project.tasks(2).task_id.tolist() == [early]  # the rest of the batch that was open is gone
    assert not numbers & set(project.tasks(3).task_id)  # or who still sees a deleted task answers another item
    assert not Reviewer(1).answer(late, choice.result(CLASSES[0]), 1.0)
    assert (rows(workspace).query("round == 2").status == "labelled").sum() == 1
    shown = project.tasks(3)
    assert set(shown.id) == set(batch.id)
    assert not any(task["suggestion"] for task in shown.data)  # a blind exam
    titles = [view.data["title"] for view in project.client.views.list(project=project.number)]
    assert "Finish 3" in titles
    assert finish.going_on(workspace).startswith("under way: at most 15 % wrong")
    with pytest.raises(InputError, match="another promise is being worked for"):
        finished(workspace, 0.3)

    # While people answer, `labelwise run` goes on as well; the model stays what it is.
    model = {path.name: path.read_bytes() for path in workspace.model.rglob("*") if path.is_file()}
    for _ in range(6):
        answer(workspace, source)
        if len(pd.read_parquet(workspace.batch)) and pd.read_parquet(workspace.batch).why.iloc[0] == finishing.REST:
            break
        play(workspace)
    assert {path.name: path.read_bytes() for path in workspace.model.rglob("*") if path.is_file()} == model

    # It dies when the finished pool is written and not yet saved, and once more when it is saved.
    killed(workspace, "labelwise.tasks.finish:keep", 0, "before", "loop", "None, 0")
    said = play(workspace)
    workspace = Workspace.open(workspace.root)
    assert workspace.settings.select.finish is None
    (look,) = figures.looks(workspace)
    now = status(workspace)
    assert said == look["said"] == finish.done(workspace) == now.finished
    assert now.state == "finished"

    table = pd.read_parquet(workspace.root / "finished" / "finished.parquet")
    truth = pd.read_csv(source.answers).set_index("text").label
    assert len(table) == len(truth) == sum(look["by"].values())
    assert table.by.value_counts().to_dict() == {by: count for by, count in look["by"].items() if count}
    wrong = table.label != table.text.map(truth)
    assert not wrong[table.by == "person"].any()
    assert wrong.sum() <= WRONG * len(table)
    assert set(table.id[table.by == "person"]) == set(rows(workspace).id[rows(workspace).status == "labelled"])
    assert table.confidence.notna().tolist() == (table.by == "model").tolist()
    listed = pd.read_csv(workspace.root / "finished" / "finished.csv", dtype=str, keep_default_na=False)
    assert listed.label.tolist() == table.label.tolist()
    page = (workspace.root / "finished" / "promise.html").read_text(encoding="utf-8")
    assert f"at most {int(WRONG * len(table))} (15 %" in page

    # Tagged, at the remote, in MLflow; and the round of the exam is the same again from its tag.
    assert "finished-0001" in tool(workspace.root, "git", "tag", "--list")
    assert "finished" in tool(workspace.root, "git", "show", "--stat", "--format=", "finished-0001")
    assert json.loads(tool(workspace.root, "dvc", "status", "--cloud", "--json")) == {}
    tracking = open_tracking(workspace.settings)
    files = {
        each.path
        for each in tracking.client.list_artifacts(run_of(versions.message(f"round-{look_round(workspace):04d}")))
    }
    assert {"finished.parquet", "finished.csv", "promise.html"} <= files
    replayed = command("replay", "round-0003", "--workspace", str(workspace.root))
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    with pytest.raises(InputError, match="are finished at 20 % wrong or less"):
        finish.wanted(workspace, 0.2, 0.95)
    assert finish.wanted(workspace, 0.05, 0.95).look == 2


def _answer_while_taken_back(workspace: Workspace, source: Source) -> tuple[int, int]:
    """Of two open tasks that are about to be deleted, somebody answers one just then: it stays. Returns both."""
    project, truth = open_project(workspace.settings), pd.read_csv(source.answers).set_index("text").label
    seen = project.tasks(2).head(2)
    early, late = seen.task_id.tolist()
    Reviewer(1).answer(early, choice.result(truth[seen.data.iloc[0]["text"]]), 1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LabelStudioProject, "tasks", lambda *_: seen)
        project.take_back(2)
    assert set(project.tasks(2).task_id) >= {early} and late not in set(project.tasks(2).task_id)
    return early, late


def finished(workspace: Workspace, wrong: float) -> str:
    from labelwise.flows.loop import finish as flow

    return flow(str(workspace.root), wrong, 0.95, 0)


def look_round(workspace: Workspace) -> int:
    """The last round before the pool was finished."""
    versions = Versions(workspace.root)
    tags = versions.git("tag", "--merged", "finished-0001", "--list", "round-*").split()
    return int(max(tags).removeprefix("round-"))
