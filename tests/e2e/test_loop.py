"""Three rounds on the real servers, and what each system says of them."""

import json
import sys
from pathlib import Path

import httpx
import mlflow
import pandas as pd
import pytest

from labelwise.tasks import push, settings, snapshot
from labelwise.tasks.errors import InputError, WorkspaceBusy, WorkspaceError
from labelwise.tasks.items import stored
from labelwise.tasks.labels import ledger
from labelwise.tasks.reporting import coming, status
from labelwise.tasks.services.home import Addresses
from labelwise.tasks.services.label_studio.project import BatchProgress, LabelStudioProject, open_project
from labelwise.tasks.services.mlflow import Tracking, experiment_name, open_tracking
from labelwise.tasks.services.versions.cache import Cache
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Columns
from labelwise.tasks.trial import synthesise
from labelwise.tasks.upkeep import gc, init
from labelwise.tasks.workspace import Workspace, claimed
from tests.e2e.conftest import BATCH, CLASSES, Make, Source, answer, command, play, play_rounds, rows, tool, uncount


def files(folder: Path) -> dict[str, bytes]:
    """All that is in a folder, by path."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_three_rounds_leave_the_same_story_everywhere(make: Make, source: Source, servers: Addresses) -> None:
    workspace = make()
    play_rounds(workspace, source, 3)

    # the ledger
    ledger_rows = rows(workspace)
    truth = pd.read_csv(source.answers).set_index("text").label
    texts = stored.cells_by_id(workspace, ledger_rows.id)
    assert len(ledger_rows) == ledger_rows.id.nunique() == 3 * BATCH
    assert ledger_rows.label.tolist() == [truth[texts[item]] for item in ledger_rows.id]
    asked = [set(why) for _, why in ledger_rows.groupby("round").why]
    both = {"diverse", "uncertain", "control"}  # while classes have few labels
    assert asked == [{"diverse", "control"}, both, both]

    # git and DVC
    subjects = tool(workspace.root, "git", "log", "--format=%s", "--reverse").splitlines()
    assert [line.split(":")[0] for line in subjects[1:]] == [f"round {n}" for n in (0, 1, 1, 2, 2, 3, 3)]
    assert tool(workspace.root, "git", "tag").split() == [snapshot.tag(n) for n in range(4)]
    assert tool(workspace.root, "git", "status", "--porcelain") == ""
    assert "up to date" in tool(workspace.root, "dvc", "status")
    assert "up to date" in tool(workspace.root, "dvc", "status", "--cloud") or "in sync" in tool(
        workspace.root, "dvc", "status", "--cloud"
    )
    assert "accuracy" in tool(workspace.root, "dvc", "metrics", "show")
    assert "accuracy" in tool(workspace.root, "dvc", "metrics", "diff", "round-0001", "round-0003")
    assert "index.html" in tool(workspace.root, "dvc", "plots", "show")

    # MLflow
    chosen = workspace.settings
    client = mlflow.MlflowClient(servers.mlflow_tracking_uri)
    experiment = client.get_experiment_by_name(experiment_name(chosen))
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["labelwise.round"] for run in runs) == ["1", "2", "3"]
    last = next(run for run in runs if run.data.tags["labelwise.round"] == "3")
    gold = json.loads((workspace.metrics / "gold.json").read_text())
    assert last.data.metrics["accuracy"] == gold["accuracy"]
    assert last.data.params["select.strategy"] == "auto"
    assert last.data.tags["dvc.labels"] in (workspace.root / "data" / "labels.dvc").read_text()
    assert f"MLflow-Run: {last.info.run_id}" in tool(workspace.root, "git", "log", "-1", "--format=%B", "round-0003")
    assert tool(
        workspace.root, "git", "log", "-1", "--format=%s", last.data.tags["mlflow.source.git.commit"]
    ).startswith("round 3: 12 labels")
    assert {entry.dataset.name for entry in last.inputs.dataset_inputs} == {"pool", "gold", "labels"}
    assert {file.path for file in client.list_artifacts(last.info.run_id)} >= {
        "learning_curve.png",
        "confusion.png",
        "round-0003.html",
        "round-0003-reviewers.html",
    }

    # the registered model answers text, and was not pickled
    champion = open_tracking(chosen).champion()
    assert champion is not None
    loaded = mlflow.pyfunc.load_model(f"models:/{experiment_name(chosen)}@champion")
    answers = loaded.predict(pd.DataFrame({"text": ["the striker scored a late goal to win the cup match"]}))
    assert answers.label.tolist() == ["sport"]

    # Label Studio: the next batch, in a tab of its own, with what the model thinks
    project = open_project(chosen)
    open_batch = project.tasks(4)
    assert sorted(open_batch.id) == sorted(pd.read_parquet(workspace.batch).id)
    described = project.client.projects.get(project.number).description
    assert f"Round 3: your last {BATCH} labels took it from" in described
    page = f"/runs/{last.info.run_id}/artifacts/round-0003-reviewers.html?workflowType=machine_learning"
    assert described.endswith(page)

    # and status says the same
    seen = json.loads(status.status(workspace).json())
    assert seen["round"] == 3 and seen["state"] == "waiting"
    assert (seen["asked"], seen["answered"], seen["labels"]) == (BATCH, 0, 3 * BATCH)
    assert seen["gold"]["accuracy"] == gold["accuracy"]
    assert seen["champion"].endswith(f"/{champion.version}")
    assert seen["to_label"] == f"label {BATCH} more: {project.tab(4)}&labeling=1"
    assert seen["urls"]["mlflow"].endswith(
        f"/#/experiments/{experiment.experiment_id}/runs?viewStateShareKey=labelwise&workflowType=machine_learning"
    )
    told = status.lines(status.status(workspace))
    assert told[-2].endswith("&labeling=1")
    assert seen["commit"] == tool(workspace.root, "git", "rev-parse", "HEAD")
    assert sum(seen["by_class"].values()) == seen["labels"] and set(seen["by_class"]) == set(chosen.classes)
    there = seen["prevalence"]
    assert {one["name"]: one["found"] for one in there["classes"]} == seen["by_class"] and there["control"] > 0
    assert there["items"] == seen["pool"]["left"] + seen["labels"]  # what is asked now is open still
    assert all(one["found"] <= one["low"] <= one["middle"] <= one["high"] for one in there["classes"])
    assert any(line.startswith("classes      ") and " found of " in line for line in told)
    assert seen["pool"]["items"] - seen["labels"] - seen["pool"]["reserve"] >= seen["pool"]["left"] > 0
    assert seen["urls"]["label_studio"] == project.tab(4) and not seen["problems"] and not seen["loop"]
    assert seen["next"] == status.command("run", workspace, "--max-wait", "0")
    number, asked = coming.run(workspace)
    assert number == 4 and [item.rank for item in asked] == list(range(1, BATCH + 1))
    assert {item.id for item in asked} == set(open_batch.id) and all(item.text for item in asked)

    # without their clients, which take seconds to import
    look = "import sys; from labelwise.tasks.reporting import status; "
    look += f"status.status(status.Workspace.open({str(workspace.root)!r}))"
    slow = "set(sys.modules) & {'mlflow', 'label_studio_sdk', 'torch', 'sklearn', 'scipy', 'dvc.repo', 'prefect'}"
    assert tool(workspace.root, sys.executable, "-c", f"{look}; print({slow} or 'none')") == "none"

    # Prefect: its page looks at the server where it is, and each task bears its stage's name
    shown = httpx.get(f"{servers.prefect_api_url.removesuffix('/api')}/ui-settings").json()
    assert shown["api_url"] == servers.prefect_api_url
    names = {
        run["name"].split(" ")[0]
        for run in httpx.post(f"{servers.prefect_api_url}/task_runs/filter", json={"limit": 200}).json()
    }
    assert names >= {
        "pull",
        "embed",
        "train",
        "evaluate",
        "score",
        "select",
        "push",
        "wait",
        "snapshot",
        "promote",
        "prove",
        "report",
    }
    wanted = {
        f"{name}-{chosen.project.id}"
        for name in ("rounds", "learning-curve", "open-batch", "answers", "report", "reviewers")
    }
    query = {"artifacts": {"key": {"any_": sorted(wanted)}}}
    found = httpx.post(f"{servers.prefect_api_url}/artifacts/latest/filter", json=query).json()
    assert {artifact["key"] for artifact in found} == wanted


@pytest.mark.long
def test_the_same_seed_gives_the_same_batches_and_metrics(make: Make, source: Source) -> None:
    first, second = make("first", train__learner="ensemble"), make("second", train__learner="ensemble")
    for workspace in (first, second):
        play_rounds(workspace, source, 1)
    assert pd.read_parquet(first.batch).equals(pd.read_parquet(second.batch))
    assert rows(first)[["id", "label", "why"]].equals(rows(second)[["id", "label", "why"]])
    assert (first.metrics / "gold.json").read_text() == (second.metrics / "gold.json").read_text()
    assert files(first.model) == files(second.model)


@pytest.mark.long
def test_a_finished_round_can_be_rebuilt_from_a_clone(make: Make, source: Source, tmp_path: Path) -> None:
    workspace = make()
    play_rounds(workspace, source, 3)
    _make_room(workspace)
    clone = tmp_path / "clone"
    tool(tmp_path, "git", "clone", "--quiet", str(workspace.root), str(clone))
    tool(clone, "git", "checkout", "--quiet", "round-0002")
    tool(clone, "dvc", "pull")
    before = {name: (clone / name).read_bytes() for name in ("metrics/gold.json", "data/batch.parquet")}
    weights = files(clone / "model")
    for name in before:
        (clone / name).unlink()
    tool(clone, "dvc", "repro", "--force")
    assert {name: (clone / name).read_bytes() for name in before} == before
    assert files(clone / "model") == weights


def _make_room(workspace: Workspace) -> None:
    """`labelwise gc` with all that it may take: only the last round stays whole."""
    versions, name = Versions(workspace.root), experiment_name(workspace.settings)
    tracking, cache = Tracking(name), Cache(versions)
    tracking.crown("3")
    for version in tracking.models().version:
        tracking.note(version, promoted=str(version == "3").lower())
        if "replaces" in tracking.tags(version):
            tracking.client.delete_model_version_tag(name, version, "replaces")
    before, models = cache.objects(), tracking.models()
    own = workspace.root / ".dvc" / "cache" / "files" / "md5" / "00" / f"{0:030x}"
    own.parent.mkdir(exist_ok=True)
    own.write_text("of a run that died; in no version, and not in the remote")

    told = gc.run(workspace, keep=1, rebuildable=True, remove=False)
    assert told[-1].startswith("Nothing was removed")
    assert len(cache.objects()) == len(before) + 1
    done = gc.run(workspace, keep=1, rebuildable=True, remove=True)

    assert [line.replace("removed", "can go") for line in done] == told[:-1]
    left = cache.objects()
    assert 0 < len(left) - 1 < len(before)
    assert cache.needed([snapshot.tag(3)]) <= set(left.index)
    assert own.exists() and "that no version needs, for the DVC remote lacks them" in done[-1]
    assert tracking.models().removed.tolist() == [version in ("1", "2") for version in models.version]
    assert [tracking.size(one) > 0 for one in models.model_id] == [version == "3" for version in models.version]
    assert tracking.champion() is not None
    assert mlflow.pyfunc.load_model(f"models:/{name}@champion")
    assert "up to date" in tool(workspace.root, "dvc", "status")
    cloud = tool(workspace.root, "dvc", "status", "--cloud")
    assert "up to date" in cloud or "in sync" in cloud
    again = gc.run(workspace, keep=1, rebuildable=True, remove=False)
    assert again[0].startswith("DVC cache    0 (0.0 MB)") and again[1].startswith("MLflow       0 (0.0 MB)")


def test_pushing_twice_changes_nothing_and_a_cut_push_is_completed(make: Make) -> None:
    workspace = make()
    play(workspace)
    project = open_project(workspace.settings)
    first = project.tasks(1)
    push.run(workspace, project, "")
    assert project.tasks(1).equals(first)
    project.remove(first.task_id[:5].tolist())
    push.run(workspace, project, "")
    assert sorted(project.tasks(1).id) == sorted(first.id)


def test_skipped_and_late_answers(make: Make, source: Source) -> None:
    workspace = make(wait__quorum=0.5)
    play(workspace)
    project = open_project(workspace.settings)
    tasks = project.tasks(1).sort_values("task_id").reset_index(drop=True)
    truth = pd.read_csv(source.answers).set_index("text").label
    texts = stored.cells_by_id(workspace, tasks.id)

    def label(position: int) -> None:
        from labelwise.tasks.kinds.choice import result as choice

        row = tasks.loc[position]
        project.client.annotations.create(id=int(row.task_id), result=choice(truth[texts[row.id]]))

    project.client.annotations.create(id=int(tasks.task_id[0]), result=[], was_cancelled=True)
    for position in range(1, 7):
        label(position)
    play(workspace)
    status_of = rows(workspace).set_index("id").status
    assert status_of[tasks.id[0]] == "skipped"
    assert status_of[tasks.id[1:6]].tolist() == ["labelled"] * 5
    assert status_of[tasks.id[7:]].tolist() == ["unanswered"] * (BATCH - 7)
    assert not set(tasks.id[7:]) & set(pd.read_parquet(workspace.batch).id)  # they are still open at the reviewers
    label(8)  # late
    answer(workspace, source)
    play(workspace)
    late = rows(workspace).query("id == @tasks.id[8]")
    assert late[["status", "round"]].to_numpy().tolist() == [["unanswered", 1], ["labelled", 1]]
    assert tasks.id[8] in set(ledger.effective(rows(workspace)).id)


def test_answers_that_were_not_counted_are_found_and_one_outside_the_classes_goes_to_quarantine(
    make: Make, source: Source
) -> None:
    from labelwise.tasks.kinds.choice import result as choice

    workspace = make(select__batch=3)
    play(workspace)
    project = open_project(workspace.settings)
    strange = project.tasks(1).iloc[0]
    project.client.annotations.create(id=int(strange.task_id), result=choice("weather"))
    answer(workspace, source)
    uncount(project.tasks(1).task_id)
    with pytest.raises(InputError, match="no open task"):
        answer(workspace, source)
    assert status.status(workspace).state == "answered"
    play(workspace)
    kept = pd.read_parquet(workspace.quarantine / "labels-0001.parquet")
    assert kept.id.tolist() == [strange.id]
    assert "label" in kept.reason[0]
    assert rows(workspace).set_index("id").status[strange.id] == "refused"
    assert strange.id not in ledger.closed(rows(workspace))  # it is asked once more


def test_who_answers_a_batch_waits_for_all_of_it(make: Make, source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import may be looked at while it is under way: its first tasks are no batch."""
    workspace, look, looks = make(select__batch=6), LabelStudioProject.tasks, []
    play(workspace)

    def partly(project: LabelStudioProject, number: int) -> pd.DataFrame:
        looks.append(number)
        return look(project, number)[: 2 if len(looks) == 1 else None]

    monkeypatch.setattr(LabelStudioProject, "tasks", partly)
    answer(workspace, source, batches=1)
    assert looks == [1, 1] and open_project(workspace.settings).progress(1) == BatchProgress(6, 6)


@pytest.mark.long
def test_the_pool_runs_out_and_the_loop_ends_well(make: Make, source: Source) -> None:
    few = source.pool.with_name("few.csv")
    pd.read_csv(source.pool)[:50].to_csv(few, index=False)
    workspace = make(select__batch=30, pull__pool=str(few))
    play_rounds(workspace, source, 1)
    assert len(pd.read_parquet(workspace.batch)) < 30
    answer(workspace, source)
    assert play(workspace) == "the pool is empty: nothing is left to ask"
    assert status.status(workspace).state == "finished"
    assert play(workspace) == "the pool is empty: nothing is left to ask"


@pytest.mark.long
def test_a_second_answer_to_an_old_task_is_no_obstacle(make: Make, source: Source) -> None:
    from labelwise.tasks.kinds.choice import result as choice

    workspace = make(select__batch=3)
    play_rounds(workspace, source, 1)
    project = open_project(workspace.settings)
    old = int(project.tasks(1).task_id[0])
    project.client.annotations.create(id=old, result=choice(CLASSES[0]))
    assert [task["id"] for task in project.answered([old])] == [old]  # not the whole project
    answer(workspace, source)
    play(workspace)
    assert ledger.current_round(workspace.labels) == 2


@pytest.mark.long
def test_an_older_version_checked_out_stops_the_loop(make: Make, source: Source, tmp_path: Path) -> None:
    workspace = make(select__batch=3)
    play_rounds(workspace, source, 1)
    clone = tmp_path / "clone"
    tool(tmp_path, "git", "clone", "--quiet", str(workspace.root), str(clone))
    with pytest.raises(WorkspaceError, match="--take-over"):  # the first copy plays its rounds
        play(Workspace.open(clone))
    tool(workspace.root, "git", "checkout", "--quiet", "round-0000")
    with pytest.raises(WorkspaceError, match="older version"):
        play(Workspace.open(workspace.root))
    assert open_project(workspace.settings).count(2) == 3


@pytest.mark.long
def test_new_items_after_the_end_are_asked(make: Make, source: Source, tmp_path: Path) -> None:
    growing = tmp_path / "growing.csv"
    everything = pd.read_csv(source.pool)
    everything[:6].to_csv(growing, index=False)
    workspace = make(pull__pool=str(growing), select__batch=6, gold__reserve=0.0)
    play_rounds(workspace, source, 1)
    assert status.status(workspace).state == "finished"
    everything[:9].to_csv(growing, index=False)
    assert "waiting for 3" in play(workspace)
    answer(workspace, source)
    assert "the pool is empty" in play(workspace)
    assert len(ledger.effective(rows(workspace))) == 9
    assert tool(workspace.root, "git", "status", "--porcelain") == ""


@pytest.mark.long
def test_settings_changed_after_a_death_before_the_tag(make: Make, source: Source) -> None:
    from labelwise.tasks import settings

    workspace = make(select__batch=3)
    play_rounds(workspace, source, 1)
    tool(workspace.root, "git", "tag", "--delete", "round-0001")
    seen = status.status(workspace)
    assert (seen.state, seen.round, seen.learned, seen.measured, seen.to_label) == ("interrupted", 1, 0, 1, "")
    assert seen.next == status.command("run", workspace)
    assert "loop         none is at work; the last one was cut off, the next goes on from there" in status.lines(seen)
    settings.change(workspace.root / "params.yaml", {"select.batch": 4})
    play(workspace)
    assert len(pd.read_parquet(workspace.batch)) == 4


def test_new_items_are_pulled_and_asked(make: Make, source: Source, tmp_path: Path) -> None:
    growing = tmp_path / "growing.csv"
    everything = pd.read_csv(source.pool)
    everything[:5].to_csv(growing, index=False)
    workspace = make(pull__pool=str(growing), select__batch=5)
    play(workspace)
    answer(workspace, source)
    everything.to_csv(growing, index=False)
    play(workspace)
    assert len(list(workspace.pool.glob("*.parquet"))) == 2
    assert len(pd.read_parquet(workspace.batch)) == 5
    assert tool(workspace.root, "git", "status", "--porcelain") == ""


def test_max_wait_0_does_what_can_be_done_and_says_what_it_waits_for(make: Make) -> None:
    """In a workspace of before 0.2, too: that is brought up to date first."""
    workspace = make()
    stages = workspace.root / "dvc.yaml"
    today = stages.read_bytes()
    stages.write_bytes(today.replace(b"python -P -m labelwise.tasks.", b"python -m tasks."))
    tool(workspace.root, "git", "commit", "--quiet", "--all", "--message", "as it was")
    done = command("run", "--workspace", str(workspace.root), "--max-wait", "0")
    assert done.returncode == 0, done.stderr
    assert f"0 of {BATCH} answered, waiting for {BATCH}" in done.stdout
    assert "dvc.yaml was made by an earlier version" in done.stderr
    assert stages.read_bytes() == today
    messages = tool(workspace.root, "git", "log", "--format=%s").splitlines()
    assert messages[1:] == [
        "dvc.yaml calls the stages by the names they have since labelwise 0.2",
        "as it was",
        *messages[3:],
    ]
    assert tool(workspace.root, "dvc", "status") == "Data and pipelines are up to date."


def test_a_second_loop_is_told_who_holds_the_workspace(make: Make) -> None:
    workspace = make()
    with claimed(workspace), pytest.raises(WorkspaceBusy, match="another loop"):
        play(workspace)


@pytest.mark.long
def test_changes_by_others_stop_the_loop(make: Make, source: Source) -> None:
    workspace = make()
    play_rounds(workspace, source, 1)
    shard = workspace.labels / "round-0001.parquet"
    changed = pd.read_parquet(shard)
    changed.loc[0, "label"] = CLASSES[0] if changed.label[0] != CLASSES[0] else CLASSES[1]
    shard.unlink()
    changed.to_parquet(shard)
    for _ in range(2):  # a refused run is no excuse for the next
        with pytest.raises(WorkspaceError, match=r"labels/round-0001.parquet"):
            play(workspace)


@pytest.mark.long
def test_a_project_deleted_under_us(make: Make, source: Source) -> None:
    workspace = make()
    play_rounds(workspace, source, 1)
    project = open_project(workspace.settings)
    project.client.projects.delete(project.number)
    assert "waiting for" in play(workspace)
    assert open_project(workspace.settings).count(2) == BATCH  # made anew, with what was open


@pytest.mark.long
def test_the_default_learner_tunes_and_comes_out_the_same_from_a_clone(
    make: Make, source: Source, tmp_path: Path
) -> None:
    workspace = make(train__learner="contrastive", score__reencode=40)
    play_rounds(workspace, source, 1)
    assert json.loads((workspace.model / "config.json").read_text())["learner"] == "contrastive"
    loaded = mlflow.pyfunc.load_model(f"models:/{experiment_name(workspace.settings)}@champion")
    assert loaded.predict(["the striker scored a late goal to win the cup match"]).label.tolist() == ["sport"]
    clone = tmp_path / "clone"
    tool(tmp_path, "git", "clone", "--quiet", str(workspace.root), str(clone))
    tool(clone, "dvc", "pull")
    before = files(clone / "model")
    tool(clone, "dvc", "repro", "--force")
    assert files(clone / "model") == before
    assert tool(clone, "git", "diff", "--stat") == ""


def test_labels_that_exist_make_the_first_model(make: Make, source: Source, servers: Addresses, tmp_path: Path) -> None:
    known = tmp_path / "known.csv"
    pd.read_csv(source.answers)[:20].to_csv(known, index=False)
    root = tmp_path / "imported"
    init.run(root, str(source.pool), str(source.gold), CLASSES, "imported", None, Columns(), str(known))
    settings.change(root / "params.yaml", {"select.batch": BATCH, "select.suspects": 0.0, "train.learner": "ensemble"})
    workspace = Workspace.open(root)
    play(workspace)
    assert json.loads((workspace.metrics / "gold.json").read_text())["accuracy"] > 0.6
    batch = pd.read_parquet(workspace.batch)
    assert set(batch.why) == {"diverse", "uncertain", "control"}
    assert not set(batch.id) & set(rows(workspace).id)
    client = mlflow.MlflowClient(servers.mlflow_tracking_uri)
    experiment = client.get_experiment_by_name(experiment_name(workspace.settings))
    assert experiment is not None
    assert [run.data.tags["labelwise.round"] for run in client.search_runs([experiment.experiment_id])] == ["0"]
    made = tmp_path / "synthetic.csv"
    assert "read them before" in synthesise.run(workspace, 5, made)
    texts = pd.read_csv(made)
    assert len(texts) == 5 and texts.synthetic.all()
    assert set(texts.parent_a) | set(texts.parent_b) <= set(pd.read_parquet(workspace.scores).id)
    assert not set(texts.text) & set(pd.read_csv(source.pool).text)
