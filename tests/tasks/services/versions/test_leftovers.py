"""What dead processes leave: locks that nobody holds go, locks that somebody may hold stay."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelwise.tasks.services.versions import leftovers
from labelwise.tasks.services.versions.leftovers import git_locks, remove_dead_locks, remove_scraps

LOCKS = ["index.lock", "HEAD.lock", "packed-refs.lock", "refs/heads/main.lock", "refs/tags/round-0001.lock"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with no process in it."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def dead(root: Path) -> int:
    """The number of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


@pytest.fixture
def git(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A git that works in the repository, and goes on working."""
    process = subprocess.Popen(["git", "-C", str(root), "cat-file", "--batch"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_of_git_that_nobody_holds_goes(root: Path, name: str) -> None:
    (root / ".git" / name).touch()
    remove_dead_locks(root)
    assert git_locks(root) == []


def test_a_lock_stays_while_a_git_works_there(
    root: Path, git: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "WAIT_S", 0.2)
    lock = root / ".git" / "index.lock"
    lock.touch()
    remove_dead_locks(root)
    assert lock.exists()
    git.kill()
    git.wait()
    remove_dead_locks(root)
    assert not lock.exists()


def test_a_git_in_another_repository_is_no_obstacle(
    root: Path, git: subprocess.Popen[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    subprocess.run(["git", "init", "--quiet", str(other)], check=True)
    (other / ".git" / "index.lock").touch()
    remove_dead_locks(other)
    assert git_locks(other) == []


def record(root: Path, pid: int) -> Path:
    """DVC's record of who writes, with one process in it."""
    path = root / ".dvc" / "tmp" / "rwlock"
    path.write_text(json.dumps({"write": {"data": {"pid": pid, "cmd": "dvc add"}}, "read": {}}))
    return path


def test_the_record_of_a_dead_dvc_goes(root: Path, dead: int) -> None:
    path = record(root, dead)
    remove_dead_locks(root)
    assert not path.exists()


def test_the_record_of_a_living_dvc_stays(root: Path, git: subprocess.Popen[bytes]) -> None:
    path = record(root, git.pid)
    remove_dead_locks(root)
    assert path.exists()


def test_a_number_that_was_given_again_is_no_dvc(root: Path, git: subprocess.Popen[bytes]) -> None:
    path = record(root, git.pid)
    os.utime(path, (0, 0))  # written long before that process was born
    remove_dead_locks(root)
    assert not path.exists()
    path = record(root, os.getpid())  # as in a container, where the loop always gets the same
    remove_dead_locks(root)
    assert not path.exists()


@pytest.mark.parametrize("content", ["", '{"write": {"da', "[]", '{"write": {"data": 3}}', '{"read": null}'])
def test_a_record_cut_off_in_the_middle_goes(root: Path, content: str) -> None:
    path = root / ".dvc" / "tmp" / "rwlock"
    path.write_text(content)
    remove_dead_locks(root)
    assert not path.exists()


def test_scraps_of_writes_go_and_nothing_else(root: Path) -> None:
    kept = [root / "data" / "labels" / "round-0000.parquet", root / "data" / "part", root / "notes.part"]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / ".model.7.part").mkdir()
    (root / ".model.7.part" / "weights").touch()
    (root / "data" / "labels" / ".round-0001.parquet.7.part").touch()
    remove_scraps(root)
    assert sorted(path for path in root.rglob("*") if path.is_file() and ".git" not in path.parts) == sorted(kept)
