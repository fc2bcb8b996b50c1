"""A registered model can be rebuilt and checked; what was forged, lost or forgotten is found and named."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from labelwise.flows import cli
from labelwise.tasks import figures, records, settings
from labelwise.tasks.errors import InputError, WorkspaceError
from labelwise.tasks.gold import asking
from labelwise.tasks.items import forgotten, stored
from labelwise.tasks.labels import ledger
from labelwise.tasks.past import lineage
from labelwise.tasks.past.audit import run as audits
from labelwise.tasks.past.audit.part import Part
from labelwise.tasks.past.replay import DIFFERS, IDENTICAL
from labelwise.tasks.records import content_id
from labelwise.tasks.reporting import status
from labelwise.tasks.services.home import Addresses
from labelwise.tasks.services.label_studio.project import open_project
from labelwise.tasks.services.mlflow import experiment_name, open_tracking
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Columns
from labelwise.tasks.strategies import seeking
from labelwise.tasks.upkeep import forget, init, seeds
from labelwise.tasks.workspace import Workspace, read_parquet
from tests import test_damage as damage
from tests.e2e.conftest import BATCH, CLASSES, Source, answer, command, play, rows, tool


@pytest.fixture(scope="module")
def played(servers: Addresses, source: Source, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two rounds, and the third batch with the reviewers."""
    root = tmp_path_factory.mktemp("provable") / "news"
    init.run(root, str(source.pool), str(source.gold), CLASSES, "news", None, Columns())
    settings.change(
        root / "params.yaml",
        {"select.batch": BATCH, "wait.poll_seconds": [0.2, 1], "train.learner": "frozen", "evaluate.resamples": 100}
        | {"select.control": "auto", "select.suspects": 0.0},  # each batch is of new items
    )
    workspace = Workspace.open(root)
    play(workspace)
    for _ in range(2):
        answer(workspace, source)
        play(workspace)
    return workspace


def forgery(played: Workspace, folder: Path) -> Workspace:
    """A copy of the workspace and of its DVC remote, for a forger to work on."""
    root = Path(shutil.copytree(played.root, folder / "forged"))
    remote = shutil.copytree(f"{played.root}.remote", folder / "forged.remote")
    (root / ".dvc" / "config.local").write_text(
        f"[core]\n    remote = forged\n['remote \"forged\"']\n    url = {remote}\n"
    )
    return Workspace.open(root)


def flip(path: Path) -> str:
    """Change the first label in a shard of the ledger; the item's id."""
    shard = pd.read_parquet(path)
    shard.loc[0, "label"] = next(name for name in CLASSES if name != shard.label[0])
    path.chmod(0o644)
    shard.to_parquet(path, index=False)
    return str(shard.id[0])


def replayed(workspace: Workspace, name: str, source: str = "") -> dict[str, tuple[str, str]]:
    """Verdict and words by part."""
    from labelwise.flows.replay import replay

    seen = replay(workspace.root, name, source, False, print)
    return {part.part: (part.verdict, part.said) for part in seen.parts}


def parts(workspace: Workspace, source: str = "") -> dict[str, Part]:
    return {part.name: part for part in audits.run(workspace.root, source).parts}


# Replay


def test_a_round_is_rebuilt_bit_by_bit(played: Workspace) -> None:
    found = replayed(played, "round-0001")
    assert {verdict for verdict, _ in found.values()} == {IDENTICAL}, found
    assert set(found) == {
        *("commit", "pool", "gold", "ledger", "working copy"),
        *("vectors", "model", "metrics", "batch"),
    }
    with pytest.raises(InputError, match=r"expected one of round-0000 to round-0002, got 'round-0009'"):
        replayed(played, "round-0009")


def test_a_label_flipped_at_the_dvc_remote_is_named(played: Workspace, tmp_path: Path) -> None:
    forged = forgery(played, tmp_path)
    name = "round-0002.parquet"
    listing = tool(forged.root, "dvc", "ls", "--show-hash", ".", "data/labels").splitlines()
    digest = next(line.split()[0] for line in listing if line.endswith(name))
    item = flip(tmp_path / "forged.remote" / "files" / "md5" / digest[:2] / digest[2:])

    found = replayed(forged, "2", source=str(forged.root))
    assert found["commit"][0] == found["pool"][0] == found["gold"][0] == IDENTICAL
    verdict, said = found["ledger"]
    assert verdict == DIFFERS
    assert said.startswith(f"item {item}: labelled ") and "but it was labelled" in said
    assert f"data/labels/{name} is not what its hash says" in said
    assert found["model"][0] == DIFFERS  # it learned another label


def test_a_label_flipped_in_a_history_that_was_rewritten_is_named(played: Workspace, tmp_path: Path) -> None:
    """Ledger, DVC hashes, commits and tag all agree with each other. MLflow remembers."""
    forged = forgery(played, tmp_path)
    run_id = records.run_of(tool(forged.root, "git", "log", "-1", "--format=%B", "round-0002"))
    tool(forged.root, "git", "reset", "--quiet", "--hard", "round-0001")
    item = flip(ledger.shard(forged.labels, 2))
    versions = Versions(forged.root)
    versions.add(["data/labels"])
    versions.save("round 2: 12 labels")
    from labelwise.flows.stages import REPRODUCIBLE

    for stage, run in REPRODUCIBLE.items():
        run(forged)
        versions.record(stage)
    versions.save(f"round 2: as if nothing had happened\n\n{records.RUN}: {run_id}")
    tool(forged.root, "git", "tag", "--force", "round-0002")
    versions.push()

    found = replayed(forged, "round-0002", source=str(forged.root))
    assert found["ledger"][0] == DIFFERS
    assert f"item {item}: labelled" in found["ledger"][1]
    assert "params.yaml or dvc.lock is not the one that MLflow has seen" in found["commit"][1]
    assert "it was rewritten" in found["commit"][1]
    assert "head.safetensors of registered version 2 is not the recorded one" in found["model"][1]

    seen = parts(forged)
    assert any(line.startswith(f"item {item}: labelled") for line in seen["ledger rows"].changed)
    assert any(line.startswith(f"item {item}: annotation") for line in seen["answers"].changed)
    assert seen["models"].changed and seen["files at remote"].missing == []


# Audit and lineage


def test_everything_is_accounted_for(played: Workspace, servers: Addresses) -> None:
    seen = json.loads(audits.run(Path(), str(played.root)).json())
    assert seen["in_order"]
    assert seen["verdict"] == "all accounted for"
    head = tool(played.root, "git", "log", "--format=%H", "-1", "round-0002~1")
    model = seen["models"][1]
    assert (model["version"], model["round"], model["commit"]) == ("2", "round-0002", head)
    assert (model["rows"], len(model["reviewers"])) == (2 * BATCH, 1)
    checked = {part["name"]: part["checked"] for part in seen["parts"]}
    assert checked["answers"] == checked["ledger rows"] == 2 * BATCH
    assert checked["files at remote"] > 20


def test_an_emptied_remote_is_noticed_and_filled_anew_as_the_line_says(played: Workspace, tmp_path: Path) -> None:
    forged = forgery(played, tmp_path)
    shutil.rmtree(tmp_path / "forged.remote" / "files")
    seen = audits.run(forged.root, "")
    assert not seen.in_order
    done = command("audit", "--from", str(forged.root), "--workspace", str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "")
    (complaint,) = [line for line in done.stdout.splitlines() if line.startswith("files at remote: ")]
    assert complaint in audits.lines(seen)
    assert "missing: the DVC remote lacks the data that round-0002 names" in complaint
    tool(tmp_path, "sh", "-c", re.findall(r"`(dvc [^`]+ push [^`]+)`", complaint)[0])
    assert audits.run(forged.root, "").in_order


def test_a_champion_that_lost_a_file_is_noticed(played: Workspace, tmp_path: Path) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    tracking = open_tracking(played.settings)
    champion = tracking.champion()
    assert champion is not None
    source = tracking.client.get_model_version(tracking.name, champion.version).source
    place = tracking.client.get_logged_model(source.removeprefix("models:/")).artifact_location
    files = get_artifact_repository(place, tracking_uri=tracking.uri)
    kept = files.download_artifacts("MLmodel", str(tmp_path))
    files.delete_artifacts("MLmodel")
    try:
        seen = parts(played)["champion"]
    finally:
        files.log_artifact(kept)
    assert len(seen.missing) == 1 and "is no model of ours, or parts of it are gone" in seen.missing[0]
    assert parts(played)["champion"].complaints == []


def test_who_has_only_git_dvc_and_mlflow_is_told_what_was_not_checked(
    played: Workspace, servers: Addresses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "PREFECT_API_URL"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("LABELWISE_HOME", str(tmp_path))
    seen = audits.run(tmp_path, str(played.root))
    assert seen.in_order
    assert seen.verdict == "all accounted for, answers not checked, gold answers not checked"


def test_what_is_surplus_or_changed_is_named(played: Workspace) -> None:
    project = open_project(played.settings)
    project.add([{"data": {"text": "not ours"}}])
    exported = {task.id: task for task in project._list([], 100, "id,data")}
    foreign = next(number for number, task in exported.items() if "item" not in task.data)
    result = [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [CLASSES[0]]}}]
    project.client.annotations.create(id=foreign, result=result)
    path = ledger.shard(played.labels, 1)
    before = path.read_bytes()
    item = flip(path)
    try:
        seen = audits.run(played.root, "")
        found = {part.name: part for part in seen.parts}
        assert not seen.in_order
        assert any(f"on task {foreign}, which the loop has not made" in line for line in found["answers"].surplus)
        assert any(line.startswith(f"item {item}: annotation") for line in found["answers"].changed)
        assert any(line.startswith(f"item {item}: labelled") for line in found["ledger rows"].changed)
        assert any(item in line for line in audits.lines(seen))
    finally:
        path.write_bytes(before)
        project.remove([foreign])


@pytest.mark.long
def test_a_damaged_file_is_named_by_run_and_audit_and_comes_back_or_is_done_without(
    played: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other commands and all files: tests/test_damage.py."""
    whole = damage.files(played.root)

    def say(name: str, *words: str) -> tuple[int, list[str]]:
        """Exit status and our lines; Prefect's own are among them here."""
        monkeypatch.setattr("sys.argv", ["labelwise", name, "--workspace", str(played.root), *words])
        capsys.readouterr()
        try:
            cli.main()
        except SystemExit as end:
            lines = capsys.readouterr().err.splitlines()
            return int(end.code or 0), [line for line in lines if line.startswith("labelwise: ")]
        return 0, []

    for path, kind, by_run in (
        ("data/batch.parquet", "noise", True),
        ("data/pool/shard-0001.parquet", "emptied", False),
        ("data/labels.dvc", "cut", True),
        ("dvc.lock", "gone", True),
        (".dvc/config", "emptied", True),
        ("params.yaml", "cut", True),
        ("metrics/curve.csv", "cut", True),
        ("data/labels/round-0001.parquet", "noise", False),
        (".labelwise/loop.json", "noise", True),
    ):
        damage.put(played.root / path, damage.DAMAGE[kind](whole[path]))
        command = ["run", "--max-wait", "0"] if by_run else ["audit"]
        code, said = say(*command)
        if code or "loop.json" not in path:
            assert code and len(said) == 1 and path in said[0], (path, kind, code, said)
            damage.follow(played.root, said[0])
            assert say(*command)[0] == 0, path
        now = damage.files(played.root)
        assert not [each for each in whole if now.get(each) != whole[each] and ".labelwise" not in each], (path, said)
        assert tool(played.root, "git", "status", "--porcelain") == ""
    tool(played.root, "git", "stash", "clear")


def test_the_life_of_an_item(played: Workspace, source: Source) -> None:
    row = rows(played).iloc[0]
    seen = lineage.run(played, row.id)
    assert content_id(seen.text) == row.id
    assert seen.entered is not None and seen.entered.said.startswith("round 0: ")
    assert [(each.round, each.why, each.label, each.counts) for each in seen.rows] == [(1, row.why, row.label, True)]
    assert seen.learned == {"round-0001": "1", "round-0002": "2"}
    late = rows(played).iloc[-1]
    assert lineage.run(played, late.id).learned == {"round-0002": "2"}
    asked = pd.read_parquet(played.batch).id[0]
    assert (lineage.run(played, asked).open_in, lineage.run(played, asked).learned) == (3, {})
    gold = stored.gold(played).iloc[0]
    assert lineage.run(played, gold.id).place == [
        f"in the gold set, labelled {gold.label!r}: models are measured by it"
    ]
    with pytest.raises(InputError, match="no such item"):
        lineage.run(played, "0" * 16)


# Forgetting. The last, as it changes the workspace.

DEADLY = """
import os, signal, sys
from importlib import import_module
from labelwise.flows.cli import main

when, module, path, *sys.argv = sys.argv[1:]
*owners, name = path.split(".")
owner = import_module(module)
for each in owners:
    owner = getattr(owner, each)
real = getattr(owner, name)

def deadly(*words, **named):
    if when == "after":
        real(*words, **named)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, deadly)
main()
"""
PLACES = [
    ("before", "labelwise.tasks.upkeep.forget:_delete_tasks"),  # the tombstone is written, nothing else
    ("after", "labelwise.tasks.upkeep.purge:_vectors"),  # the vectors are without it, their table is not
    ("before", "labelwise.tasks.services.versions.workspace:Versions.save"),
    ("after", "labelwise.tasks.services.versions.workspace:Versions.save"),  # committed, not pushed
]


@pytest.mark.long
def test_forgotten_whatever_dies_and_asked_never_again(
    played: Workspace, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was given of a class is asked near, replayed and forgotten like an item."""
    for module in (seeking, seeds):
        monkeypatch.setattr(module, "FOUND", 99)
    given = ["the referee gave a penalty in stoppage time", "a goalkeeper nobody was to remember"]
    told_of = seeds.give(played, "sport", given, print)
    assert told_of[0] == "2 texts of 'sport' kept" and "asks up to 6 of the next 12" in told_of[-1], told_of
    assert any("the nearest of 2" in line for line in told_of), told_of
    assert seeds.give(played, "sport", given[:1], print)[:2] == ["0 texts of 'sport' kept", "1 text given before"]
    secret = seeds.listed(played, "sport")[1].id
    before = tool(played.root, "git", "rev-parse", "HEAD")

    learned, open_one, measured = rows(played).id[0], pd.read_parquet(played.batch).id[0], stored.gold(played).id[0]
    text = stored.cells_by_id(played, pd.Series([learned]))[learned]
    tasks = open_project(played.settings).tasks_of([learned, open_one])
    assert len(tasks) == 2

    with pytest.raises(InputError, match="unknown, so nothing was changed"):
        forget.run(played, ["0" * 16, learned], lambda _: True)
    assert forget.run(played, [learned], lambda shown: learned not in shown[0]) == ["nothing was forgotten"]
    assert tool(played.root, "git", "status", "--porcelain") == "" and not forgotten.ids(played)

    words = ["forget", learned, open_one, measured, secret, "--yes", "--workspace", str(played.root)]
    for when, place in PLACES:
        deadly = [sys.executable, "-c", DEADLY, when, *place.split(":"), "labelwise", *words]
        died = subprocess.run(deadly, env=os.environ, capture_output=True, check=False)
        assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    play(played)  # the loop ends what was begun, and finds its batch without the item

    gone = {learned, open_one, measured, secret}
    assert tool(played.root, "git", "log", "--format=%s").splitlines()[0].startswith("forget: 4 items forgotten")
    assert tool(played.root, "git", "log", "--format=%s", f"{before}..").count("\n") == 0  # one commit
    assert [each.text for each in seeds.listed(played)] == given[:1]
    assert tool(played.root, "git", "status", "--porcelain") == ""
    assert text not in tool(played.root, "git", "log", "--patch", "--all")
    for table in [*played.root.glob("data/**/*.parquet")]:
        assert not set(pd.read_parquet(table).get("id", pd.Series(dtype=str))) & gone, table
    assert open_project(played.settings).tasks_of(list(gone)) == []
    assert len(open_project(played.settings).tasks(3)) == BATCH - 1

    said = forget.run(Workspace.open(played.root), [learned], lambda _: True)
    assert said[0] == f"forgotten before: {learned}"
    assert said[1] == "learned by: the models of round-0001 to round-0002: versions 1, 2"
    assert any(f"{source.pool} still has them" in line for line in said)

    answer(played, source)
    play(played)  # pulls again, from a source that still has all three
    assert len(rows(played)) == 3 * BATCH - 2
    assert stored.items(played) == 298 and len(stored.gold(played)) == 99
    assert open_tracking(played.settings).registered()[-1].facts["labelwise.tag"] == "round-0003"

    assert {verdict for verdict, _ in replayed(played, "round-0002").values()} == {IDENTICAL}  # the past, whole
    assert {verdict for verdict, _ in replayed(played, "round-0003").values()} == {IDENTICAL}
    assert (read_parquet(played.batch).why == seeking.WHY).sum() == BATCH // 2
    seen = audits.run(played.root, "")
    assert seen.in_order, audits.lines(seen)
    assert {part.name: part.forgotten for part in seen.parts}["items asked"] == 4
    told = lineage.run(played, learned)
    assert told.forgotten_at and not told.text and told.rows == []
    assert told.learned == {"round-0001": "1", "round-0002": "2"}


def test_a_registered_version_says_by_itself_what_made_it(played: Workspace, servers: Addresses) -> None:
    """And in few words: a person sees accuracy, verdict and reason in MLflow's list of versions."""
    client = mlflow.MlflowClient(servers.mlflow_tracking_uri)
    version = client.get_model_version(experiment_name(played.settings), "1")
    assert set(version.tags) <= {"accuracy", "trace", "promoted", "reason", "standing", "gate", "replaces"}
    accuracy = client.get_run(str(version.run_id)).data.metrics["accuracy"]
    assert version.tags["accuracy"] == f"{accuracy:.3f}"
    assert str(version.description).startswith(f"{accuracy:.1%} right on gold (95 % interval ")
    facts = open_tracking(played.settings).registered()[0].facts
    assert facts["labelwise.tag"] == "round-0001"
    assert facts["mlflow.source.git.commit"] == tool(played.root, "git", "rev-parse", "round-0001~1")
    assert {"dvc.pool", "dvc.gold", "dvc.labels", "labelwise.inputs", "labelwise.model", "labelwise.labels"} <= set(
        facts
    )
    assert {"seed", "python", "labelwise.code", "labelwise.machine", "version.torch", "version.numpy"} <= set(facts)


# Two copies of the workspace, on one Label Studio project, one experiment and one DVC remote


def refusal(workspace: Workspace, player: Workspace) -> str:
    """The command by which the copy that is refused takes over."""
    with pytest.raises(WorkspaceError, match=r"are played by [^:]+:" + re.escape(f"{player.root} since ")) as no:
        play(workspace)
    assert len(str(no.value).splitlines()) == 1
    return str(re.findall(r"`(cd [^`]+ --take-over)`", str(no.value))[0])


@pytest.mark.long
def test_two_copies_take_turns_and_no_answer_is_lost_or_counted_twice(
    played: Workspace, source: Source, tmp_path: Path
) -> None:
    """Each command that a line names is given as it stands. In the end all is as if one copy had played."""
    before, project = rows(played), open_project(played.settings)
    number = ledger.current_round(played.labels)
    tool(tmp_path, "git", "clone", "--quiet", str(played.root), "second clone")
    second = Workspace.open(tmp_path / "second clone")
    answer(played, source)

    # The second has no data yet, and its DVC remote is not beside it.
    seen = status.status(second)
    assert (seen.state, seen.round, seen.answered) == ("no data", number, BATCH)
    assert f":{played.root} since " in seen.player and any("the DVC remote lacks" in line for line in seen.problems)
    assert f"player       {seen.player}" in "\n".join(status.lines(seen))
    advice = refusal(second, played)
    assert seen.next == advice
    tool(tmp_path, "sh", "-c", f"{advice} --max-wait 0")
    assert len(rows(second)) == len(before) + BATCH

    # The first has no `origin`.
    answer(second, source)
    advice = refusal(played, second)
    assert status.status(played).next == advice
    for touch in (
        lambda: asking.run_collect(played, print),
        lambda: forget.run(played, [pd.read_parquet(played.batch).id[0]], lambda _: True),
    ):
        with pytest.raises(WorkspaceError, match="are played by"):
            touch()
    assert tool(played.root, "git", "status", "--porcelain") == ""
    tool(tmp_path, "sh", "-c", f"{advice} --max-wait 0")

    new = rows(played)[len(before) :]
    assert new.status.tolist() == ["labelled"] * 2 * BATCH and not new.id.isin(before.id).any() and new.id.is_unique
    assert [project.count(each) for each in range(number + 1, number + 4)] == [BATCH] * 3
    subjects = tool(played.root, "git", "log", "--format=%s", f"round-{number:04d}..").splitlines()
    assert [line.partition(":")[0] for line in subjects[::-1]] == [f"round {number + each}" for each in (1, 1, 2, 2)]
    assert tool(played.root, "git", "status", "--porcelain") == ""
    assert figures.seconds_by_stage(played)["round"].tolist() == list(range(number + 3))
    for each in (1, 2):
        name = f"round-{number + each:04d}"
        assert {verdict for verdict, _ in replayed(played, name).values()} == {IDENTICAL}
    seen = audits.run(played.root, "")
    assert seen.in_order, audits.lines(seen)
    assert not status.status(played).player and status.status(second).player
    refusal(second, played)
