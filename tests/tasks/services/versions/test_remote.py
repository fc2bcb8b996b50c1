"""A remote that was moved, emptied or never there, with real git and real DVC. The advice is followed to the letter."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labelwise.tasks.errors import WorkspaceError
from labelwise.tasks.services.versions import clones, differences, remote
from labelwise.tasks.services.versions.workspace import Versions, create

LEDGER = Path("data", "labels")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a workspace `x`, two rounds old, and its remote beside it."""
    home = tmp_path_factory.mktemp("played")
    root = home / "x"
    (root / LEDGER).mkdir(parents=True)
    (root / "params.yaml").write_text("seed: 0\n")
    versions = create(root, f"{root}.remote")
    for number in range(2):
        (root / LEDGER / f"round-{number:04d}.parquet").write_text(f"of round {number}")
        versions.add()
        versions.save(f"round {number}")
        versions.push()
        versions.save(f"round {number}", f"round-{number:04d}")
    return home


@pytest.fixture
def home(played: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(played, tmp_path / "home", symlinks=True))


def advice(error: WorkspaceError) -> list[str]:
    """The commands that it names."""
    assert len(str(error).splitlines()) == 1
    return re.findall(r"`(dvc [^`]+)`", str(error))


def follow(command: str, at: Path) -> None:
    """Run a command as somebody would who stands elsewhere."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command], cwd=at, capture_output=True, text=True, env=os.environ | {"PATH": path}, check=False
    )
    assert done.returncode == 0, done.stderr


def refused(versions: Versions) -> WorkspaceError:
    with pytest.raises(WorkspaceError, match=r"the DVC remote lacks the data that round-0001 names") as caught:
        versions.push()
    return caught.value


def replayable(versions: Versions, scratch: Path) -> None:
    """Every round's data can be had from the remote."""
    for number in range(2):
        past = clones.clone(str(versions.root), scratch / f"round-{number}")
        clones.checkout(past, f"round-{number:04d}")
        clones.fetch(past, ["data/labels.dvc"])
        shards = sorted(file.name for file in (past.root / LEDGER).iterdir())
        assert shards == [f"round-{each:04d}.parquet" for each in range(number + 1)]


def test_a_first_push_lacks_nothing(home: Path) -> None:
    (home / "new" / LEDGER).mkdir(parents=True)
    new = create(home / "new", str(home / "new.remote"))
    (new.root / LEDGER / "round-0000.parquet").write_text("first")
    new.add()
    new.save("begun")
    new.push()
    assert (home / "new.remote").is_dir()


def test_both_moved_go_on_as_before(home: Path, tmp_path: Path) -> None:
    assert "url = ../../x.remote" in (home / "x" / ".dvc" / "config").read_text()
    (home / "deep" / "er").mkdir(parents=True)
    for name in ("x", "x.remote"):
        shutil.move(home / name, home / "deep" / "er" / name)
    moved = Versions(home / "deep" / "er" / "x")
    moved.push()
    replayable(moved, tmp_path)
    assert sorted(each.name for each in home.iterdir()) == ["deep"]


def test_through_a_link_the_same_remote_is_meant(home: Path, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    link = tmp_path / "away" / "link"
    link.symlink_to(home / "x")
    (home / "x" / LEDGER / "round-0002.parquet").write_text("of round 2")
    follow(f"dvc --cd {link} add data/labels", tmp_path)
    follow(f"dvc --cd {link} push", tmp_path)
    assert not (tmp_path / "away" / "x.remote").exists()
    assert sorted(each.name for each in home.iterdir()) == ["x", "x.remote"]


@pytest.mark.parametrize("absolute", [False, True])
def test_moved_without_its_remote_it_is_pointed_back(home: Path, tmp_path: Path, absolute: bool) -> None:
    if absolute:  # as workspaces of before have it
        follow(f"dvc --cd {home / 'x'} remote modify storage url {tmp_path / 'gone' / 'x.remote'}", tmp_path)
    (home / "moved").mkdir()
    shutil.move(home / "x", home / "moved" / "x")
    moved = Versions(home / "moved" / "x")
    error = refused(moved)
    assert f"it is at {home / 'x.remote'}" in str(error)
    assert not (home / "moved" / "x.remote").exists()
    with pytest.raises(WorkspaceError, match="it is at"):
        remote.refuse_lack_of(moved.root)  # what `replay`, `audit` and `gc` ask

    (command,) = advice(error)
    follow(command, tmp_path)
    mended = Versions(moved.root)
    differences.refuse_strange_changes(mended)  # what people may change
    mended.push()
    replayable(mended, tmp_path)
    shutil.move(home, tmp_path / "elsewhere")
    Versions(tmp_path / "elsewhere" / "moved" / "x").push()


def test_where_it_was_before_is_looked_at(home: Path, tmp_path: Path) -> None:
    shutil.move(home / "x", tmp_path / "x")
    moved = Versions(tmp_path / "x")
    assert "it is at" not in str(refused(moved))
    assert f"it is at {home / 'x.remote'}" in str(remote.lack(moved, [home / "x"]))


@pytest.mark.parametrize("left", ["nothing", "a folder"])
def test_a_lost_one_is_filled_anew_from_the_cache(home: Path, tmp_path: Path, left: str) -> None:
    shutil.rmtree(home / "x.remote")
    if left == "a folder":
        (home / "x.remote").mkdir()
    versions = Versions(home / "x")
    error = refused(versions)
    assert ("no such folder" if left == "nothing" else "nothing of it is there") in str(error)
    assert "which has all 4 files" in str(error)
    follow(advice(error)[-1], tmp_path)
    versions = Versions(home / "x")
    versions.push()
    replayable(versions, tmp_path)


def test_what_the_cache_lacks_is_said(home: Path, tmp_path: Path) -> None:
    shutil.rmtree(home / "x.remote")
    first = next(file for file in (home / "x/.dvc/cache").rglob("*") if file.is_file() and "0" in file.read_text()[-1:])
    first.unlink()
    versions = Versions(home / "x")
    error = refused(versions)
    assert "3 of 4 files" in str(error)
    shutil.rmtree(home / "x" / ".dvc" / "cache")
    assert "push" not in str(refused(Versions(home / "x")))


def test_a_clone_elsewhere_is_told_where_the_data_is(home: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    follow(f"git clone --quiet {home / 'x'} far/clone", tmp_path)
    clone = Versions(tmp_path / "far" / "clone")
    error = refused(clone)
    assert f"it is at {home / 'x.remote'}" in str(error)
    (command,) = advice(error)
    follow(command, tmp_path)
    clone = Versions(clone.root)
    assert clone.changes() == []  # its own affair, and in no commit
    follow(f"dvc --cd {clone.root} pull", tmp_path)
    assert (clone.root / LEDGER / "round-0001.parquet").read_text() == "of round 1"
    clone.push()


def test_what_dvc_gc_left_is_enough(home: Path, tmp_path: Path) -> None:
    versions = Versions(home / "x")
    (versions.root / LEDGER / "round-0002.parquet").write_text("of round 2")
    versions.add()
    versions.save("round 2: labels alone")
    versions.push()
    follow(f"dvc --cd {versions.root} gc --workspace --cloud --force", tmp_path)
    Versions(versions.root).push()
