"""Files are replaced whole or not at all; one loop at a time; what a dead one left undone is known."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pytest

from labelwise.tasks.errors import WorkspaceBusy, WorkspaceError
from labelwise.tasks.services.versions.workspace import create
from labelwise.tasks.workspace import (
    Workspace,
    atomic,
    claimed,
    read_json,
    read_parquet,
    read_table,
    running,
    write_json,
    write_parquet,
)

HOLDER = """
import sys
from pathlib import Path
from labelwise.tasks.workspace import Workspace, claimed
with claimed(Workspace(Path(sys.argv[1]))) as claim:
    if "begin" in sys.argv:
        claim.begin()
    print(claim.unfinished, flush=True)
    sys.stdin.readline()
"""
DISK_FULL = """
import resource, sys
from pathlib import Path
import pandas as pd
from labelwise.tasks.workspace import write_csv, write_json, write_parquet
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
rows = pd.DataFrame({"number": range(50_000)})
for write, content in ((write_json, list(range(50_000))), (write_csv, rows), (write_parquet, rows)):
    try:
        write(Path(sys.argv[1]), content)
    except OSError as error:
        print(write.__name__, error.filename)
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@contextmanager
def holder(workspace: Workspace, *does: str) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the workspace; it has said so, and with `begin` that it has begun."""
    command = [sys.executable, "-c", HOLDER, str(workspace.root), *does]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() in ("True\n", "False\n")
        try:
            yield process
        finally:
            process.kill()


# Files


def test_a_file_takes_its_place_when_all_is_well(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.json"
    for content in ({"a": 1}, {"b": 2}):
        write_json(path, content)
        assert json.loads(path.read_text(encoding="utf-8")) == content
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyError), atomic(path) as scratch:
        scratch.write_text("new")
        assert path.read_text() == "old"
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for name in ("old", "new"):
        with atomic(path) as scratch:
            (scratch / "deep").mkdir(parents=True)
            (scratch / "deep" / name).touch()
    assert [file.name for file in path.glob("*/*")] == ["new"]


def test_a_block_that_fails_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(KeyError), atomic(path) as scratch:
        scratch.mkdir()
        (scratch / "new").touch()
        raise KeyError
    assert [file.name for file in tmp_path.rglob("*")] == ["model", "old"]


def test_a_table_is_read_whole_while_a_stage_replaces_it(tmp_path: Path) -> None:
    path = tmp_path / "batch.parquet"
    sizes = {5, 30, 4000}
    versions = [pd.DataFrame({"id": [f"{n} {row}" for row in range(n)], "rank": range(n)}) for n in sorted(sizes)]
    write_parquet(path, versions[0])
    ended = threading.Event()

    def replace() -> None:
        for version in itertools.cycle(versions):
            write_parquet(path, version)
            if ended.is_set():
                return

    with ThreadPoolExecutor(1) as other:
        done = other.submit(replace)
        try:
            read = [(read_parquet(path, ["id"]).id, read_table(path)["id"].to_pandas()) for _ in range(300)]
        finally:
            ended.set()
        done.result()

    found = [ids for both in read for ids in both]
    assert all(ids.str.split().str[0].astype(int).eq(len(ids)).all() for ids in found)
    assert len({len(ids) for ids in found}) > 1  # it was replaced meanwhile


def test_a_table_that_is_away_for_a_moment_is_looked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, aside = tmp_path / "batch.parquet", tmp_path / "aside"
    write_parquet(aside, pd.DataFrame({"id": ["a"]}))
    monkeypatch.setattr("labelwise.tasks.workspace.time.sleep", lambda _seconds: aside.rename(path))

    assert read_parquet(path).id.tolist() == ["a"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    command = [sys.executable, "-c", DISK_FULL, str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert said == ["write_json", str(path), "write_csv", str(path), "write_parquet", str(path)]  # each was refused
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


# Who may change them


def test_a_second_loop_is_told_who_holds_the_workspace(workspace: Workspace) -> None:
    with holder(workspace) as other:
        with pytest.raises(WorkspaceBusy, match=f"process {other.pid} on ") as caught, claimed(workspace):
            pytest.fail("two loops in one workspace")
        assert caught.value.exit_code == 4
        assert running(workspace)


def unfinished(workspace: Workspace) -> bool:
    """What the next loop is told. It fails before it begins, and so leaves things as they are."""
    with suppress(KeyError), claimed(workspace) as claim:
        raise KeyError
    return claim.unfinished


@pytest.mark.parametrize("does", ["begin", "look"])
def test_a_killed_loop_frees_the_workspace_and_is_unfinished_if_it_had_begun(workspace: Workspace, does: str) -> None:
    with holder(workspace, does) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert not running(workspace)
    assert unfinished(workspace) == (does == "begin")


def test_a_loop_that_failed_is_unfinished_until_one_ends_well(workspace: Workspace) -> None:
    with pytest.raises(KeyError), claimed(workspace) as claim:
        assert not claim.unfinished  # nobody was here before
        claim.begin()
        raise KeyError
    assert unfinished(workspace)
    with claimed(workspace) as claim:
        claim.begin()
        assert claim.unfinished  # of the last holder
    assert not unfinished(workspace)


@pytest.mark.parametrize("before", [True, False])
def test_a_failure_before_the_beginning_leaves_what_was_known(workspace: Workspace, before: bool) -> None:
    with suppress(KeyError), claimed(workspace) as claim:
        claim.begin()
        if before:
            raise KeyError
    for _ in range(3):  # each fails in its checks
        assert unfinished(workspace) == before


def test_a_kill_before_the_beginning_leaves_what_was_known(workspace: Workspace) -> None:
    with suppress(KeyError), claimed(workspace) as claim:
        claim.begin()
        raise KeyError
    with holder(workspace, "look") as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert unfinished(workspace)


def test_what_is_said_to_have_ended_is_finished_whatever_comes_after(workspace: Workspace) -> None:
    with suppress(KeyError), claimed(workspace) as claim:
        claim.begin()
        claim.end()
        raise KeyError
    assert not unfinished(workspace)


def test_a_loop_that_ended_in_another_process_is_finished(workspace: Workspace) -> None:
    with holder(workspace, "begin") as other:
        other.communicate("\n")
        assert other.returncode == 0
    assert not unfinished(workspace)


@pytest.mark.parametrize("content", [b"", b'{"pid": 1, "fin', b"[]", bytes(range(128, 256))])
def test_a_note_that_cannot_be_read_says_that_the_work_is_unfinished(workspace: Workspace, content: bytes) -> None:
    workspace.scraps.mkdir()
    (workspace.scraps / "loop.json").write_bytes(content)
    assert unfinished(workspace)


def test_another_commands_unfinished_work_is_known_by_its_words(workspace: Workspace) -> None:
    with suppress(KeyError), claimed(workspace) as claim:
        claim.begin(command="gold grow 5", ask=2)
        raise KeyError
    for _ in range(2):  # who only looks leaves it so
        with suppress(KeyError), claimed(workspace) as claim:
            assert (claim.unfinished, claim.loop_unfinished) == (True, False)
            assert (claim.unfinished_command, claim.unfinished_ask) == ("gold grow 5", 2)
            with pytest.raises(WorkspaceError, match=r"the last `labelwise gold grow 5` did not end"):
                claim.refuse_unfinished()
            raise KeyError


def test_running_says_whether_and_does_not_hold(workspace: Workspace) -> None:
    assert not running(workspace)
    with claimed(workspace):
        assert running(workspace)
    assert not running(workspace)
    with claimed(workspace):
        pass


# Opening


@pytest.mark.parametrize(
    ("there", "complaint"), [([], "no params.yaml"), (["params.yaml"], "git"), (["params.yaml", ".git"], "DVC")]
)
def test_a_folder_that_is_no_workspace(tmp_path: Path, there: list[str], complaint: str) -> None:
    for name in there:
        (tmp_path / name).touch()
    with pytest.raises(WorkspaceError, match=complaint):
        Workspace.open(tmp_path)


def test_a_workspace_is_the_same_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("params.yaml", ".git", ".dvc"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path.parent)
    opened = Workspace.open(tmp_path.name)
    monkeypatch.chdir(os.sep)
    assert opened.root == tmp_path.resolve()
    assert (opened.root / "params.yaml").exists()


@pytest.mark.parametrize("damage", [b"", b"PAR1{", bytes(range(256))])
def test_a_broken_file_is_named_with_the_command_that_brings_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    versions = create(root := tmp_path, str(tmp_path.parent / "remote"))
    (root / "params.yaml").write_text("")
    (root / "dvc.yaml").write_text("stages:\n  select:\n    cmd: 'true'\n    outs: [data/batch.parquet]\n")
    here, rows = Workspace(root), pd.DataFrame({"id": ["a"]})
    write_parquet(here.gold, rows)
    write_parquet(here.batch, rows)
    write_json(here.metrics / "gold.json", {"accuracy": 0.5})
    versions.add(["data/gold"])
    versions.record("select")
    versions.save("round 0")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for path, command, read in (
        (here.gold, "dvc checkout --force data/gold.dvc", read_parquet),
        (here.batch, "dvc checkout --force data/batch.parquet", read_parquet),
        (here.metrics / "gold.json", "git checkout HEAD -- metrics/gold.json", read_json),
    ):
        path.chmod(0o644)
        path.write_bytes(damage)
        with pytest.raises(WorkspaceError, match=rf"{path.name} is broken: got .*\. To mend it: `{command}`$"):
            read(path)
        subprocess.run(command.split(), cwd=root, check=True, capture_output=True)
        read(path)
