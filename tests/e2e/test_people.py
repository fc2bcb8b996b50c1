"""What reviewers and administrators really do in Label Studio, and what becomes of it: the rules of docs/guarantees.md,
on the real server."""

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from labelwise.tasks import figures, kinds, settings
from labelwise.tasks.errors import InputError, ServiceError, SettingsError
from labelwise.tasks.kinds import text
from labelwise.tasks.kinds.choice import result as choice
from labelwise.tasks.kinds.controls import FROM, TO
from labelwise.tasks.kinds.interface import interface
from labelwise.tasks.labels import ledger, roster
from labelwise.tasks.past.audit import run as audit
from labelwise.tasks.reporting import page, status
from labelwise.tasks.services.home import Addresses
from labelwise.tasks.services.label_studio.accounts import Reviewer
from labelwise.tasks.services.label_studio.project import (
    BatchProgress,
    LabelStudioProject,
    open_gold_project,
    open_project,
)
from labelwise.tasks.services.mlflow import open_tracking
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Columns
from labelwise.tasks.trial import review
from labelwise.tasks.upkeep import init
from labelwise.tasks.workspace import Workspace
from tests.bench import marking
from tests.e2e.conftest import CLASSES, Make, Source, answer, command, play, play_rounds, rows, tool, uncount

SIZE = 8
Ask = Callable[..., Any]


@pytest.fixture
def ask(servers: Addresses) -> Ask:
    """Label Studio's interface, as its pages use it: ask(method, path, body)."""
    headers = {"Authorization": f"Token {servers.label_studio_api_key}"}
    with httpx.Client(base_url=servers.label_studio_url, headers=headers, timeout=60) as client:

        def request(method: str, path: str, body: Any = None) -> Any:
            done = client.request(method, f"/api/{path}", json=body).raise_for_status()
            return done.json() if done.content else None

        yield request


def delete_tasks(ask: Ask, project: LabelStudioProject, task_ids: list[int]) -> None:
    """As people do it in the data manager."""
    chosen = {"selectedItems": {"all": False, "included": task_ids}}
    ask("POST", f"dm/actions?id=delete_tasks&project={project.number}", chosen)


def annotations(project: LabelStudioProject, task_id: int) -> list[dict[str, Any]]:
    return project.answered([task_id])[0]["annotations"]


def other(label: str) -> str:
    return next(name for name in CLASSES if name != label)


def labels(workspace: Workspace) -> dict[str, str]:
    counts = ledger.effective(rows(workspace))
    return dict(zip(counts.id, counts.label, strict=True))


def next_round(workspace: Workspace, source: Source) -> pd.DataFrame:
    """Answer the open batch and let the loop take it in; the rows that came with it."""
    before = len(rows(workspace))
    answer(workspace, source)
    play(workspace)
    return rows(workspace)[before:]


@pytest.mark.long
def test_answers_are_changed_withdrawn_given_again_and_imported_again(make: Make, source: Source, ask: Ask) -> None:
    workspace = make(select__batch=SIZE, train__learner="frozen")
    play_rounds(workspace, source, 1)
    project = open_project(workspace.settings)
    tasks = project.tasks(1).sort_values("task_id").reset_index(drop=True)
    before = labels(workspace)
    changed, deleted, emptied, twice, shared, lost = tasks.id[:6]
    task_of = dict(zip(tasks["id"], tasks.task_id, strict=True))
    own = {item: annotations(project, task_of[item])[0]["id"] for item in before}

    ask("PATCH", f"annotations/{own[changed]}/", {"result": choice(other(before[changed]))})
    ask("DELETE", f"annotations/{own[deleted]}/")
    selected = {"selectedItems": {"all": False, "included": [task_of[emptied]]}}
    ask("POST", f"dm/actions?id=delete_tasks_annotations&project={project.number}", selected)
    Reviewer(1).answer(task_of[twice], choice(before[twice]), 1.0)  # the same person says the same again
    Reviewer(2).answer(task_of[shared], choice(other(before[shared])), 1.0)
    delete_tasks(ask, project, [task_of[lost]])

    new = next_round(workspace, source)
    old = new[new["round"] == 1].set_index("id")
    assert old.status.to_dict() == {
        changed: "labelled",
        deleted: "withdrawn",
        emptied: "withdrawn",
        shared: "labelled",
        lost: "gone",
    }
    assert old.annotation_id[changed] == own[changed]
    now = labels(workspace)
    assert {item: now.get(item) for item in before} == before | {
        changed: other(before[changed]),
        deleted: None,
        emptied: None,
        shared: other(before[shared]),
    }
    assert {deleted, emptied, lost} <= set(ledger.closed(rows(workspace)))  # two are open again, one has its answer
    said = "1 answer changed, 2 answers withdrawn, 1 task gone; the last in round 2"
    assert status.status(workspace).reviewers == said
    assert said in page.page(workspace, Versions(workspace.root))

    # The project is imported again from its export, in another order: Label Studio gives numbers of deleted tasks and
    # annotations to others. No answer is taken in twice, and one that was withdrawn and is given again counts again.
    Reviewer(2).answer(task_of[deleted], choice(CLASSES[0]), 1.0)
    exported = ask("GET", f"projects/{project.number}/export?exportType=JSON&download_all_tasks=true")
    delete_tasks(ask, project, [task["id"] for task in exported])
    # An export has predictions by number, and Label Studio's own import answers 500 to these.
    ask("POST", f"projects/{project.number}/import", [task | {"predictions": []} for task in exported[::-1]])
    before = labels(workspace)
    new = next_round(workspace, source)
    assert new[new["round"] < 3].status.value_counts().to_dict() == {"moved": 2 * SIZE - 1, "labelled": 1}
    assert {item: labels(workspace)[item] for item in [*before, deleted]} == before | {deleted: CLASSES[0]}

    # Edits and deletions go on as if nothing had happened.
    tasks = project.tasks(1)
    task_of = dict(zip(tasks["id"], tasks.task_id, strict=True))
    own = {item: annotations(project, task_of[item])[0]["id"] for item in (changed, twice)}
    ask("PATCH", f"annotations/{own[changed]}/", {"result": choice(before[twice])})
    for annotation in annotations(project, task_of[twice]):
        ask("DELETE", f"annotations/{annotation['id']}/")
    new = next_round(workspace, source)
    assert new[new["round"] < 4].set_index("id").status.to_dict() == {changed: "labelled", twice: "withdrawn"}
    assert labels(workspace)[changed] == before[twice]
    assert twice not in labels(workspace)


def test_tasks_deleted_before_an_answer_are_asked_anew(make: Make, ask: Ask) -> None:
    workspace = make(select__batch=SIZE, train__learner="frozen")
    play(workspace)
    project = open_project(workspace.settings)
    first = project.tasks(1)
    delete_tasks(ask, project, first.task_id[:2].tolist())
    assert play(workspace).startswith(f"0 of {SIZE} answered")
    assert sorted(project.tasks(1).id) == sorted(first.id)


def test_an_administrator_changes_the_interface(make: Make, source: Source, ask: Ask) -> None:
    workspace = make(select__batch=SIZE, train__learner="frozen")
    play(workspace)
    project = open_project(workspace.settings)
    ours = project.marked(kinds.interface_of(workspace.settings))
    settings = f"projects/{project.number}/"

    # Other choices: ours are back with the next run.
    ask("PATCH", settings, {"label_config": project.marked(interface(text, kinds.choice, ["weather", CLASSES[0]]))})
    assert any("somebody changed the labelling interface" in line for line in status.status(workspace).problems)
    play(workspace)
    assert ask("GET", settings)["label_config"] == ours
    assert not status.status(workspace).problems

    # Another control, and answers by it: Label Studio keeps it, and answers count by their label.
    ask("PATCH", settings, {"label_config": ours.replace(f'name="{FROM}"', 'name="topic"')})
    tasks = project.tasks(1).sort_values("task_id").reset_index(drop=True)
    someone = Reviewer(1)
    for place, task in tasks.iterrows():
        label = "weather" if place == 0 else CLASSES[0]
        part = {"from_name": "topic", "to_name": TO, "type": "choices", "value": {"choices": [label]}}
        someone.answer(int(task.task_id), [part], 1.0)
    play(workspace)
    assert rows(workspace).status.value_counts().to_dict() == {"labelled": SIZE - 1, "refused": 1}
    assert set(labels(workspace).values()) == {CLASSES[0]}
    seen = status.status(workspace)
    assert seen.round == 1
    assert seen.reviewers == "1 answer refused; the last in round 1"
    assert any("interface" in line for line in seen.problems)
    assert seen.asked == SIZE  # and the next batch is there


def rename_a_class(workspace: Workspace, source: Source, project: LabelStudioProject, folder: Path) -> None:
    """In params.yaml and the gold file, with a batch open and partly answered: refused with two ways on. Both are
    followed, and the round that comes is as if the class had always had its new name."""
    params, old, new = workspace.root / "params.yaml", CLASSES[-1], "sport: all of it"
    truth = review.read_answers(source.answers, workspace.settings)
    written, before = params.read_text(encoding="utf-8"), rows(workspace)
    tasks = project.tasks(3)
    for task, item in zip(tasks.task_id[:3], tasks.id[:3], strict=True):
        Reviewer(1).answer(int(task), choice(truth[item]), 1.0)
    gold = folder / "gold.csv"
    pd.read_csv(source.gold).replace({"label": {old: new}}).to_csv(gold, index=False)

    def rename() -> str:
        changes = {"classes": [*CLASSES[:-1], new], "pull.gold": str(gold)}
        settings.change(params, changes)
        with pytest.raises(SettingsError) as caught:
            play(workspace)
        return str(caught.value)

    said = rename()
    assert f"none of the name {old!r} (" in said and len(said.splitlines()) == 1
    assert any(label == old for label in before.label)
    shown = re.findall("`(git show [^`]+)`", said)
    params.write_text(tool(workspace.root, *shown[0].split()) + "\n", encoding="utf-8")
    settings.change(params, {"project.name": "spring"})
    assert params.read_text(encoding="utf-8") == written
    assert play(workspace).startswith(f"3 of {SIZE} answered")

    (renaming,) = re.findall("now, `labelwise ([^`]+)`", rename())
    done = command(*shlex.split(renaming))
    assert done.returncode == 0, done.stderr
    assert f"'{old}' is called '{new}' now" in done.stdout or "what counts as which class" in done.stdout
    assert tool(workspace.root, "git", "log", "-1", "--format=%s").startswith(f"classes: rename {old} to {new}")
    (pending,) = status.status(Workspace.open(workspace.root)).problems
    assert pending.startswith("reviewers still choose by params.yaml as it was; the next `labelwise run`")
    assert play(workspace).startswith(f"3 of {SIZE} answered")
    assert project.choices() == [*CLASSES[:-1], new]
    here = Workspace.open(workspace.root)
    assert not status.status(here).problems
    answer(here, source)
    play(here)

    today = ledger.effective(ledger.today(here))
    asked = {*before.id, *tasks.id}
    assert dict(zip(today.id, today.label, strict=True)) == {item: truth[item].replace(old, new) for item in asked}
    pd.testing.assert_frame_equal(rows(here)[: len(before)], before)  # no row is edited
    assert set(rows(here).status) == {"labelled"}
    measured = pd.read_csv(here.metrics / "predictions.csv")
    assert len(measured) == 100 and set(measured.actual) == {*CLASSES[:-1], new}
    assert figures.gold_metrics(here)["accuracy"] > 0.7
    seen = audit.run(here.root, "")
    assert seen.in_order, seen.parts


def change_the_classes(workspace: Workspace) -> None:
    """One more, one dropped and its labels given anew, two merged; the loop goes on, and the past is as it was."""
    before, number = rows(workspace), ledger.current_round(workspace.labels)
    gone, *others = workspace.settings.classes
    for given in (["add", "weather"], ["drop", gone]):
        done = command("classes", *given, "--workspace", str(workspace.root))
        assert done.returncode == 0, done.stderr
    here = Workspace.open(workspace.root)
    lapsed = set(ledger.lapsed(ledger.today(here)))
    assert lapsed == set(before.id[before.label == gone])
    play(here)
    assert open_project(here.settings).choices() == [*others, "weather"]
    for task in open_project(here.settings).tasks(number + 1).task_id:
        Reviewer(1).answer(int(task), choice(others[0]), 1.0)
    play(here)
    batch = pd.read_parquet(here.batch)
    anew = set(batch.id[batch.why == ledger.RELABEL])
    assert len(anew) == 1 and anew <= lapsed
    assert set(pd.read_csv(here.metrics / "predictions.csv").actual) == set(others)
    tasks = open_project(here.settings).tasks(number + 2)
    for task, item in zip(tasks.task_id, tasks.id, strict=True):
        assert not (item in anew and tasks.data[tasks.id == item].iloc[0]["suggestion"])
        Reviewer(1).answer(int(task), choice("weather" if item in anew else others[0]), 1.0)
    play(here)
    assert labels_of_today(here)[anew.pop()] == "weather"
    pd.testing.assert_frame_equal(rows(here)[: len(before)], before)  # no row is edited
    done = command("classes", "merge", *others, others[0], "--workspace", str(here.root))
    assert done.returncode == 0, done.stderr
    assert set(labels_of_today(Workspace.open(here.root)).values()) == {others[0], "weather"}
    replayed = command("replay", str(number), "--workspace", str(here.root))
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr


def labels_of_today(workspace: Workspace) -> dict[str, str]:
    counts = ledger.effective(ledger.today(workspace))
    return dict(zip(counts.id, counts.label, strict=True))


def ran(workspace: Workspace) -> str:
    """What the loop says of what can be done now."""
    done = command("run", "--max-wait", "0", "--workspace", str(workspace.root))
    assert done.returncode == 0, done.stderr
    return done.stderr


def say(tasks: pd.DataFrame, person: int, labels: list[str]) -> None:
    for task, label in zip(tasks.task_id, labels, strict=True):
        Reviewer(person).answer(int(task), choice(label), 1.0)


def offered(person: int, project: LabelStudioProject) -> dict[str, Any] | None:
    """The task that Label Studio gives next to somebody who labels the tab of round 1, as its page asks for it."""
    tab = project.tab_now(1).rpartition("tab=")[2]
    query = f"id=next_task&project={project.number}&tabID={tab}"
    given = Reviewer(person)._post(f"/api/dm/actions?{query}", json={"selectedItems": {"all": True, "excluded": []}})
    return None if given.status_code == httpx.codes.NOT_FOUND else given.raise_for_status().json()


@pytest.mark.long
def test_each_item_is_answered_by_two_people_and_what_they_say_is_combined(
    make: Make, source: Source, ask: Ask
) -> None:
    """The batch is open until both have answered; consensus, model and replay then follow from what both said."""
    expert = [Reviewer(person).id for person in (1, 2)][1]
    here = make(select__batch=12, train__learner="frozen", people__overlap=2)
    assert "2 people an item" in ran(here)
    project = open_project(here.settings)
    tasks = project.tasks(1)
    labels = [CLASSES[at % 2] for at in range(12)]
    say(tasks, 1, labels)
    assert str(project.progress(1)) == "0 of 12 answered"
    assert offered(1, project) is None  # nobody gets a task twice
    given = offered(2, project)
    assert given is not None and not given["annotations"]  # nor sees what others said
    ran(here)
    assert ledger.current_round(here.labels) == 0
    say(tasks, 2, [other(label) for label in labels[:2]] + labels[2:])
    assert str(project.progress(1)) == "12 of 12 answered"
    settings.change(here.root / "params.yaml", {"select.suspects": 0.5})
    (here.root / roster.FILE).write_text(f"{expert}: {{expert: true}}\n")
    said = ran(here)
    assert "12 labels, 12 by two people or more, who differ on 2" in said
    table = pd.read_parquet(here.consensus).set_index("id")
    assert set(table["people"]) == {2}
    assert table.doubt[tasks.id[:2]].tolist() == [0.5, 0.5]
    assert table.trust[tasks.id[:2]].max() < table.trust[tasks.id[2:]].min()
    replayed = command("replay", "1", "--workspace", str(here.root))
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    told = command("people", "--workspace", str(here.root)).stdout.splitlines()
    assert told[0].startswith("12 items have answers of two people or more")
    assert [line.partition(":")[0] for line in told[1:]] == sorted(Reviewer(person).id for person in (1, 2))
    assert all(line.endswith("; 12 answers") for line in told[1:])

    # What they differ on is an expert's alone, in a tab of its own.
    number = re.search(r"2 for experts: http\S+tab=(\d+)\)", said)
    assert number is not None
    shown = [
        {task["data"]["item"] for task in ask("GET", f"tasks?project={project.number}&view={tab}")["tasks"]}
        for tab in (number[1], project.tab_now(2).rpartition("tab=")[2])
    ]
    assert shown[0] == set(tasks.id[:2]) and shown[1] == set(project.tasks(2).id) - shown[0]
    titles = {str(view["id"]): view["data"]["title"] for view in ask("GET", f"dm/views?project={project.number}")}
    assert titles[number[1]] == "Experts, round 2"
    assert re.search(rf"2 of these for experts: \S+tab={number[1]}&", status.status(here).beside)

    # The stand-ins know that each item has two, and who the experts are.
    with pytest.raises(InputError, match="--users 2 or more: so many answer each item, got 1"):
        answer(here, source)
    answer(here, source, users=2)
    hard = project.tasks(2).query("id in @shown[0]").task_id
    by_whom = [[str(one["completed_by"]) for one in annotations(project, int(each))] for each in hard]
    assert by_whom == [[expert]] * 2
    uncount(project.tasks(2).task_id)
    assert project.progress(2) == BatchProgress(12, 12) and sorted(project.tasks(2).answers) == [1] * 2 + [2] * 10
    ran(here)
    assert ledger.current_round(here.labels) == 2

    # More people than there are accounts: it says so, and asks no more; lowered, the open batch is complete with one.
    settings.change(here.root / "params.yaml", {"people.overlap": 20})
    (here.root / roster.FILE).write_text("1: {rate: 60}\n99999: {name: Nobody}\n")
    said = ran(here)
    assert "people.overlap is 20, and Label Studio has " in said
    assert "people.yaml names 99999, which is no account in Label Studio; there are 1 (" in said
    say(project.tasks(3), 1, labels)
    settings.change(here.root / "params.yaml", {"people.overlap": 1})
    ran(here)
    assert ledger.current_round(here.labels) == 3
    assert roster.FILE not in tool(here.root, "git", "ls-files")  # what an hour of somebody costs is its owner's


@pytest.mark.long
def test_a_project_is_known_by_its_id_whatever_it_is_called(
    make: Make, source: Source, ask: Ask, tmp_path: Path
) -> None:
    """Named anew in params.yaml, then in Label Studio, a class of it, then deleted there with its batch open: the loop
    goes on as if nothing had happened, and says so."""
    workspace = make(select__batch=SIZE, train__learner="frozen")
    play(workspace)
    answer(workspace, source)
    settings.change(workspace.root / "params.yaml", {"project.name": "bob's tickets of spring"})
    play(workspace)
    workspace = Workspace.open(workspace.root)
    project = open_project(workspace.settings)
    assert project.found is not None and project.called.startswith("news · ")
    models = open_tracking(workspace.settings)
    assert models.champion() is not None

    first = project.number
    ask("PATCH", f"projects/{first}/", {"title": "Tickets, second try"})
    answer(workspace, source)
    settings.change(workspace.root / "params.yaml", {"project.name": "spring"})
    play(workspace)
    renamed = open_project(workspace.settings)
    assert (renamed.found, renamed.called) == (first, "Tickets, second try")
    assert open_gold_project(workspace.settings).found is None
    assert sorted(rows(workspace).status) == ["labelled"] * 2 * SIZE

    rename_a_class(workspace, source, renamed, tmp_path)

    ask("DELETE", f"projects/{first}/")
    assert open_project(workspace.settings).found is None
    play(workspace)
    anew = open_project(workspace.settings)
    assert anew.found != first and anew.called == f"spring{anew.end}"
    assert sorted(anew.tasks(4).id) == sorted(pd.read_parquet(workspace.batch).id)
    answer(workspace, source)

    # And the experiment in MLflow, which its own command brings back.
    models.client.delete_experiment(models._experiment())
    with pytest.raises(ServiceError, match="was deleted in MLflow at") as no:
        play(workspace)
    assert any("was deleted in MLflow" in line for line in status.status(workspace).problems)
    tool(workspace.root.parent, "sh", "-c", re.findall(r"`([^`]+)`", str(no.value))[0])
    play(workspace)
    assert len(labels(workspace)) == 4 * SIZE
    now = open_tracking(Workspace.open(workspace.root).settings)
    assert now.name == models.name
    assert len(now.registered()) == 4
    change_the_classes(Workspace.open(workspace.root))


def test_marks_come_back_from_label_studio_as_they_went(servers: Addresses, tmp_path: Path) -> None:
    """Annotated texts with emoji, blanks, line ends of all sorts, right-to-left and zero-width signs: from files in
    characters, UTF-16 units and bytes, through Label Studio, and from its exports. `tests/bench/marking.py` sends ten
    thousand."""
    project = LabelStudioProject("marks there and back", f"m{os.getpid()}")
    try:
        off = marking.round_trip(project, tmp_path, 60)
    finally:
        project.client.projects.delete(project.number)
    assert off.found == [] and off.texts == 60 and off.marks > 60


@pytest.mark.long
@pytest.mark.usefixtures("servers")
def test_who_may_answer_a_part_alone_has_a_tab_with_that_part(source: Source, tmp_path: Path, ask: Ask) -> None:
    """Also where that is said while the batch is with the reviewers."""
    pool = pd.read_csv(source.pool)[:40]
    pool["language"] = ["de" if at % 2 else "en" for at in range(40)]
    pool.to_csv(tmp_path / "pool.csv", index=False)
    root, columns = tmp_path / "languages", Columns(context=["language"])
    init.run(root, str(tmp_path / "pool.csv"), str(source.gold), CLASSES, "languages", None, columns)
    quick = {"select.batch": 12, "wait.poll_seconds": [0.2, 1], "train.learner": "frozen", "evaluate.resamples": 200}
    settings.change(root / "params.yaml", quick)
    here, ben = Workspace.open(root), Reviewer(1).id
    ran(here)
    project = open_project(here.settings)
    german = {row["id"] for row in project.tasks(1).to_dict("records") if ">de</td>" in row["data"]["context"]}
    assert 0 < len(german) < 12
    (root / roster.FILE).write_text(f"{ben}: {{name: Ben, columns: {{language: [de]}}}}\n")
    said = ran(here)
    number = re.search(rf"{len(german)} for Ben: http\S+tab=(\d+)\)", said)
    assert number is not None, said

    def shown(tab: str) -> set[str]:
        return {task["data"]["item"] for task in ask("GET", f"tasks?project={project.number}&view={tab}")["tasks"]}

    assert shown(number[1]) == german
    assert shown(project.tab_now(1).rpartition("tab=")[2]) == set(project.tasks(1).id)
    titles = {str(view["id"]): view["data"]["title"] for view in ask("GET", f"dm/views?project={project.number}")}
    assert titles[number[1]] == "Ben, round 1"
    assert re.search(rf"{len(german)} of these for Ben: \S+tab={number[1]}&", status.status(here).beside)
    (root / roster.FILE).write_text(f"{ben}: {{name: Ben, columns: {{tongue: [de]}}}}\n")
    refused = command("run", "--workspace", str(root), "--max-wait", "0")
    assert refused.returncode != 0
    assert f"people.yaml: `{ben}.columns`: expected some of language, got 'tongue'" in refused.stderr
    (root / roster.FILE).unlink()
    ran(here)
    assert not any(data.get("for") for data in project.tasks(1).data)
