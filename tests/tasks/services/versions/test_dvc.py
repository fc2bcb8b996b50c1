"""Versions with real git and real DVC, in repositories that are thrown away."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labelwise.tasks import made_with
from labelwise.tasks.errors import ServiceError, WorkspaceError
from labelwise.tasks.labels import ledger
from labelwise.tasks.services.versions import differences
from labelwise.tasks.services.versions.workspace import Versions, create

PIPELINE = """\
stages:
  double:
    cmd: "false"  # is never run by the loop itself
    deps:
      - data/labels
    params:
      - seed
    outs:
      - out.txt
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one version: a ledger of one shard, and a stage that has run on it."""
    root = tmp_path_factory.mktemp("template") / "workspace"
    shard = root / "data" / "labels" / "round-0000.parquet"
    shard.parent.mkdir(parents=True)
    shard.write_text("first")
    (root / "params.yaml").write_text("seed: 0\n")
    (root / "dvc.yaml").write_text(PIPELINE)
    versions = create(root, str(root.parent / "remote"))
    (root / "out.txt").write_text("out")
    versions.add()
    versions.record("double")
    versions.save("begun")
    return root


@pytest.fixture
def versions(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Versions:
    """A copy of its own for a test that stands somewhere else."""
    root = Path(shutil.copytree(template, tmp_path / "workspace"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    return Versions(root)


def follow(versions: Versions, error: Exception) -> int:
    """Do what the line says, word by word, where nobody can be asked: its first command in backquotes. Its exit
    status."""
    line = str(error)
    assert len(line.splitlines()) == 1
    return people(versions, line.partition("To mend it: ")[2].split("`")[1])


def people(versions: Versions, command: str) -> int:
    """A command as a person gives it in the workspace."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    who = {f"GIT_{role}_{part}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    variables = os.environ | who | {"PATH": programs, "GIT_EDITOR": "true"}
    return subprocess.run(
        command, shell=True, cwd=versions.root, env=variables, stdin=subprocess.DEVNULL, check=False
    ).returncode


def shard(versions: Versions, number: int = 0) -> Path:
    return versions.root / "data" / "labels" / f"round-{number:04d}.parquet"


def commits(versions: Versions) -> list[str]:
    return versions.git("log", "--format=%s").splitlines()


# Saving


def test_what_is_saved_twice_is_one_version(versions: Versions) -> None:
    shard(versions, 1).write_text("second")
    for _ in range(2):
        versions.add()
        versions.save("round 1: 1 labels")
    assert commits(versions) == ["round 1: 1 labels", "begun"]
    assert versions.git("status", "--porcelain") == ""
    assert versions.message("HEAD") == "round 1: 1 labels"


def test_the_labels_themselves_are_with_dvc_and_not_with_git(versions: Versions) -> None:
    kept = versions.git("ls-files").splitlines()
    assert "data/labels.dvc" in kept
    assert not any(name.endswith(".parquet") for name in kept)


def test_a_tag_marks_a_version_and_is_never_moved(versions: Versions) -> None:
    assert not versions.tagged("round-0000")
    versions.save("nothing new", "round-0000")
    marked = versions.git("rev-parse", "round-0000")
    assert marked == versions.head
    assert versions.tagged("round-0000")

    (versions.root / "params.yaml").write_text("seed: 1\n")
    versions.save("another", "round-0000")
    assert versions.head != marked
    assert versions.git("rev-parse", "round-0000") == marked


def at_round_2(versions: Versions) -> Versions:
    """The same after two rounds, of which the second is tagged on `main`."""
    for number in (1, 2):
        shard(versions, number).write_text(f"of round {number}")
        versions.add()
        versions.save(f"round {number}", f"round-{number:04d}")
    return versions


def test_a_tag_counts_only_where_it_is_in_the_past(versions: Versions) -> None:
    at_round_2(versions)
    versions.git("checkout", "--quiet", "round-0001")
    assert versions.tagged("round-0001")
    assert not versions.tagged("round-0002")
    assert not versions.tagged("round-0003")
    versions.git("checkout", "--quiet", "main")
    assert versions.tagged("round-0001")
    assert versions.tagged("round-0002")


MINE = "echo 'seed: 9' > params.yaml && git commit --quiet --all --message mine"
SIDE_TRACKS = {
    "main is behind": "git reset --hard round-0001 && dvc checkout",
    "main is behind and has gone another way": f"git reset --hard round-0001 && {MINE}",
    "another branch": "git switch -c again round-0001",
    "another branch with a commit": f"git switch -c again round-0001 && dvc checkout && {MINE}",
    "a branch without a commit": "git switch --orphan again",
    "no branch, an older round": "git checkout round-0001 && dvc checkout",
    "no branch, an older round, a commit": f"git checkout round-0001 && {MINE}",
    "no branch, the newest round": "git checkout --detach",
    "no branch, the newest round, a commit": f"git checkout --detach && {MINE}",
    "no branch, main is behind": "git checkout --detach && git branch -f main round-0001",
    "no branch, main has gone another way": f"git branch set-aside-1 && git reset --hard round-0001 && {MINE}"
    " && git checkout round-0002 && git branch -D set-aside-1",
    "no branch, main has gone another way, a commit": "git checkout -b x && git commit --quiet --allow-empty -m loose"
    f" && git switch main && git reset --hard round-0001 && {MINE} && git checkout --detach x && git branch -D x",
    "no branch, all have gone another way": "git checkout --detach round-0001 && git branch -f main round-0001"
    " && git commit --quiet --allow-empty -m loose && git branch set-aside-1 begun",
    "no branch at all": "git checkout round-0001 && git branch -D main",
    "a branch with a name like a command": "git branch -m 'a;false' && git checkout round-0001",
    "a branch with the name of a file": "git branch -m data && git checkout round-0001",
}


@pytest.mark.parametrize("deed", SIDE_TRACKS)
def test_beside_the_loop_s_way_the_line_leads_back_and_keeps_every_commit(versions: Versions, deed: str) -> None:
    versions.git("tag", "begun")
    at_round_2(versions)
    for name in ("release-9", "round-x", "round-0003-try"):  # tags of people
        versions.git("tag", name, "HEAD")
    assert people(versions, SIDE_TRACKS[deed]) == 0
    before = versions.git("rev-list", "--branches", "--tags", *["HEAD"] * bool(versions.head)).splitlines()
    with pytest.raises(WorkspaceError, match=r"(older version .*holds round-0002|on no branch).*`git ") as caught:
        differences.refuse_side_tracks(versions)
    assert follow(versions, caught.value) == 0
    as_the_loop_left_it(versions)
    assert set(before) <= set(versions.git("rev-list", "--branches", "--tags").splitlines())


def as_the_loop_left_it(versions: Versions) -> None:
    again = Versions(versions.root)
    differences.refuse_side_tracks(again)
    differences.refuse_strange_changes(again)
    assert again.git("branch", "--show-current")
    assert {file.name: file.read_text() for file in shard(versions).parent.iterdir()} == {
        "round-0000.parquet": "first",
        "round-0001.parquet": "of round 1",
        "round-0002.parquet": "of round 2",
    }


def test_a_branch_that_holds_every_round_will_do(versions: Versions) -> None:
    differences.refuse_side_tracks(versions)  # without any tag
    at_round_2(versions)
    differences.refuse_side_tracks(versions)
    versions.git("checkout", "--quiet", "-b", "mine")
    differences.refuse_side_tracks(versions)


CLASH = f"git switch -c other round-0001 && {MINE} && git switch main && echo 'seed: 8' > params.yaml"
CLASH += " && git commit --quiet --all --message clash"
HALFWAY = {
    "merge": (CLASH, "git merge other"),
    "rebase": (CLASH, "git rebase other"),
    "rebase by patches": (CLASH, "git rebase --apply other"),
    "am": (CLASH, "git format-patch --stdout main..other | git am"),
    "cherry-pick": (CLASH, "git cherry-pick other"),
    "cherry-pick of two": (CLASH, "git cherry-pick round-0001..main~1 other; git checkout HEAD params.yaml"),
    "revert": (f"{MINE} && {MINE.replace('9', '7')}", "git revert HEAD~1"),
    "bisect": ("true", "git bisect start HEAD HEAD~2"),
}


@pytest.mark.parametrize("command", HALFWAY)
def test_amid_a_command_of_git_the_line_leads_back_to_where_it_began(versions: Versions, command: str) -> None:
    at_round_2(versions)
    before, deed = HALFWAY[command]
    assert people(versions, before) == 0
    known = versions.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
    people(versions, deed)
    with pytest.raises(WorkspaceError, match=f"a git {command.split()[0]}.* is under way") as caught:
        differences.refuse_side_tracks(versions)
    with pytest.raises(WorkspaceError):
        versions.save("round 3") if command in ("rebase", "bisect") else differences.refuse_side_tracks(versions)
    assert follow(versions, caught.value) == 0
    as_the_loop_left_it(versions)
    assert versions.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags") == known


def test_a_conflict_that_a_stash_left_is_put_aside(versions: Versions) -> None:
    at_round_2(versions)
    people(versions, f"echo 'seed: 5' > params.yaml && git stash && {MINE} && git stash pop")
    with pytest.raises(WorkspaceError, match=r"conflict .*got params\.yaml") as caught:
        differences.refuse_side_tracks(versions)
    assert follow(versions, caught.value) == 0
    as_the_loop_left_it(versions)
    assert "seed: 5" in versions.git("stash", "show", "-p", "stash@{0}")
    assert (versions.root / "params.yaml").read_text() == "seed: 9\n"


def test_nothing_is_committed_on_a_detached_head(versions: Versions) -> None:
    at_round_2(versions)
    versions.git("checkout", "--quiet", "--detach")
    before = versions.head
    (versions.root / "params.yaml").write_text("seed: 1\n")
    with pytest.raises(WorkspaceError, match="detached HEAD") as caught:
        versions.save("round 3")
    assert versions.head == before
    assert follow(versions, caught.value) == 0
    versions.save("round 3")
    assert versions.git("show", "main:params.yaml") == "seed: 1"


def test_labels_that_no_version_has_yet_outlive_the_way_back(versions: Versions) -> None:
    at_round_2(versions)
    shard(versions, 3).write_text("of round 3")
    versions.git("checkout", "--quiet", "round-0001")
    with pytest.raises(WorkspaceError, match="older version") as caught:
        differences.refuse_side_tracks(versions)
    assert follow(versions, caught.value) != 0  # DVC would have to ask
    assert shard(versions, 3).read_text() == "of round 3"
    differences.refuse_side_tracks(versions)
    with pytest.raises(WorkspaceError, match=r"got data/labels\.dvc") as caught:
        differences.refuse_strange_changes(versions)
    assert follow(versions, caught.value) == 0
    as_the_loop_left_it(versions)
    assert people(versions, "git stash pop && dvc checkout") == 0
    assert shard(versions, 3).read_text() == "of round 3"


def test_settings_are_committed_and_what_the_user_has_staged_is_not(versions: Versions) -> None:
    (versions.root / "params.yaml").write_text("seed: 1\n")
    (versions.root / "notes.txt").write_text("mine")
    versions.git("add", "notes.txt")
    versions.save("round 1")
    assert versions.git("show", "--name-only", "--format=", "HEAD") == "params.yaml"
    assert versions.git("diff", "--cached", "--name-only") == "notes.txt"


def test_before_the_first_version_there_is_no_head(tmp_path: Path) -> None:
    versions = create(tmp_path, "remote")
    assert versions.head == ""
    assert not versions.tagged("round-0000")


@pytest.fixture
def gitconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only configuration that git finds; it guesses no names from those of the machine."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for variable in [variable for variable in os.environ if variable.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))]:
        monkeypatch.delenv(variable)
    monkeypatch.delenv("EMAIL", raising=False)
    config = home / ".gitconfig"
    config.write_text("[user]\n  useConfigOnly = true\n")
    return config


@pytest.mark.parametrize(
    ("known", "author"),
    [
        ("", "Labelwise <labelwise@localhost>"),
        ("  name = Ada\n  email = ada@example.org\n", "Ada <ada@example.org>"),
        ("  email = ada@example.org\n", "Labelwise <labelwise@localhost>"),  # half a name is none
        ("  name = Ada\n", "Labelwise <labelwise@localhost>"),
    ],
)
def test_a_version_can_be_saved_where_git_knows_nobody(
    versions: Versions, gitconfig: Path, known: str, author: str
) -> None:
    gitconfig.write_text(gitconfig.read_text() + known)
    (versions.root / "params.yaml").write_text("seed: 1\n")
    versions.save("round 1")
    assert versions.git("log", "-1", "--format=%an <%ae>") == author


def test_a_name_from_the_environment_counts(
    versions: Versions, gitconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gitconfig.exists()
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Bob")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "bob@example.org")
    (versions.root / "params.yaml").write_text("seed: 1\n")
    versions.save("round 1")
    assert versions.git("log", "-1", "--format=%an <%ae> %cn") == "Bob <bob@example.org> Bob"


def test_nothing_is_signed_for_nobody_is_there_to_type_the_passphrase(versions: Versions, gitconfig: Path) -> None:
    signing = (
        "[commit]\n  gpgSign = true\n[tag]\n  gpgSign = true\n  forceSignAnnotated = true\n[gpg]\n  program = false\n"
    )
    gitconfig.write_text(gitconfig.read_text() + signing)
    (versions.root / "params.yaml").write_text("seed: 1\n")
    versions.save("round 1", "round-0001")
    assert commits(versions)[0] == "round 1"
    assert versions.tagged("round-0001")


def test_the_repository_of_a_hook_that_calls_us_is_left_alone(
    versions: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    subprocess.run(["git", "init", "--quiet", str(other)], check=True)
    before = sorted(other.rglob("*"))
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    shard(versions, 1).write_text("second")

    differences.refuse_rewriting(versions, "data/labels")
    versions.add()
    versions.save("round 1", "round-0001")
    differences.refuse_side_tracks(versions)
    differences.refuse_strange_changes(versions)

    assert sorted(other.rglob("*")) == before
    assert commits(versions) == ["round 1", "begun"]
    assert versions.tagged("round-0001")


def test_what_is_pushed_comes_back_in_a_clone(versions: Versions, tmp_path: Path) -> None:
    from dvc.repo import Repo

    shard(versions, 1).write_text("second")
    versions.add()
    versions.save("round 1")
    versions.push()
    versions.push()

    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(versions.root), str(clone)], check=True)
    with Repo(str(clone)) as repo:
        repo.pull()
    read = {file.name: file.read_text() for file in (clone / "data" / "labels").iterdir()}
    assert read == {"round-0000.parquet": "first", "round-0001.parquet": "second"}


# Changes by others


def test_a_workspace_as_the_loop_left_it_is_fine(versions: Versions) -> None:
    differences.refuse_strange_changes(versions)
    (versions.root / "params.yaml").write_text("seed: 5\n")  # the user's to change
    (versions.root / "notes.txt").write_text("mine")
    differences.refuse_strange_changes(versions)


def edit_a_label(versions: Versions) -> None:
    shard(versions).write_text("edited")


def add_a_label(versions: Versions) -> None:
    shard(versions, 1).write_text("slipped in")


def edit_the_map(versions: Versions) -> None:
    (versions.root / "dvc.yaml").write_text(PIPELINE.replace("seed", "sead"))


def edit_the_lock(versions: Versions) -> None:
    (versions.root / "dvc.lock").write_text("schema: '2.0'\n")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (edit_a_label, "data/labels.dvc"),
        (add_a_label, "data/labels.dvc"),
        (edit_the_map, "dvc.yaml"),
        (edit_the_lock, "dvc.lock"),
    ],
)
def test_a_change_by_somebody_else_is_refused_by_name(
    versions: Versions, change: Callable[[Versions], None], names: str
) -> None:
    change(versions)
    with pytest.raises(WorkspaceError, match=rf"got {names}.*\. To mend it: `.*git stash .*dvc checkout --f") as caught:
        differences.refuse_strange_changes(versions)
    assert follow(versions, caught.value) == 0
    differences.refuse_strange_changes(versions)  # the mending that the line proposes mends it
    changed = (versions.root / names).read_text()
    assert versions.git("stash", "list")
    assert people(versions, "git stash pop && dvc checkout data/labels.dvc") == 0  # and it was put aside, not lost
    assert (versions.root / names).read_text() != changed
    with pytest.raises(WorkspaceError, match=f"got {names}"):
        differences.refuse_strange_changes(versions)


def rename_a_label(versions: Versions) -> None:
    shard(versions).rename(shard(versions, 7))


def remove_a_label(versions: Versions) -> None:
    shard(versions).unlink()


def remove_them_all(versions: Versions) -> None:
    shutil.rmtree(shard(versions).parent)


@pytest.mark.parametrize("change", [edit_a_label, rename_a_label, remove_a_label, remove_them_all])
@pytest.mark.parametrize("added", [False, True], ids=["as it lies there", "added to DVC"])
def test_what_is_committed_is_never_rewritten(
    versions: Versions, change: Callable[[Versions], None], added: bool
) -> None:
    differences.refuse_rewriting(versions, "data/labels")
    change(versions)
    if added and change is not remove_them_all:
        versions.add()
    with pytest.raises(WorkspaceError, match=r"got data/labels/round-0000\.parquet\. .*`.*dvc checkout --f") as caught:
        differences.refuse_rewriting(versions, "data/labels", "data/pool")
    assert len(str(caught.value).splitlines()) == 1
    differences.refuse_rewriting(versions, "data/pool")  # another folder
    assert follow(versions, caught.value) == 0
    differences.refuse_rewriting(versions, "data/labels")
    assert shard(versions).read_text() == "first"


def test_new_files_rewrite_nothing(versions: Versions) -> None:
    add_a_label(versions)
    differences.refuse_rewriting(versions, "data/labels")
    versions.add()
    differences.refuse_rewriting(versions, "data/labels")  # recorded by a loop that died before it committed
    (versions.root / "params.yaml").write_text("seed: 5\n")
    (versions.root / "out.txt").write_text("another out")
    differences.refuse_rewriting(versions, "data/labels", "data/pool")


def test_labels_that_were_written_and_not_committed_are_seen(versions: Versions) -> None:
    assert not versions.uncommitted("data/labels")
    add_a_label(versions)
    assert versions.uncommitted("data/labels")
    versions.add()
    assert versions.uncommitted("data/labels")  # with DVC, but not with git yet
    versions.save("round 1")
    assert not versions.uncommitted("data/labels")


@pytest.mark.parametrize("name", ["dvc.lock", "data/labels.dvc"])
def test_a_file_of_dvc_that_was_cut_off_anywhere_comes_back(versions: Versions, name: str) -> None:
    file = versions.root / name
    whole = file.read_text()
    line_ends = [at + 1 for at, letter in enumerate(whole[:-1]) if letter == "\n"]
    for length in [*range(0, len(whole), 17), *line_ends]:
        file.write_text(whole[:length])
        versions.restore()
        left = file.read_text()
        assert left == whole or (name == "dvc.lock" and length in line_ends and versions.changed("double"))
        file.write_text(whole)
    assert versions.changes() == []


def test_one_that_was_never_committed_is_made_anew(versions: Versions) -> None:
    pool = versions.root / "data" / "pool"
    pool.mkdir()
    (pool / "shard").write_text("text")
    versions.add()
    file = versions.root / "data" / "pool.dvc"
    whole = file.read_text()
    file.write_text(whole[: len(whole) // 2])
    versions.restore()
    assert not file.exists()
    versions.add()
    assert file.read_text() == whole


def test_a_whole_file_stays_as_it_is(versions: Versions) -> None:
    shard(versions, 1).write_text("second")
    versions.add()
    versions.record("double")
    before = [(versions.root / name).read_text() for name in ("dvc.lock", "data/labels.dvc")]
    versions.restore()
    assert [(versions.root / name).read_text() for name in ("dvc.lock", "data/labels.dvc")] == before


# Stages


def test_a_stage_must_run_again_when_anything_it_follows_from_has_changed(versions: Versions) -> None:
    here = Path.cwd()
    out = versions.root / "out.txt"
    assert not versions.changed("double")
    shard(versions).write_text("edited")
    assert versions.changed("double")

    out.write_text("another out")
    versions.record("double")
    assert not versions.changed("double")
    assert not Versions(versions.root).changed("double")  # nor for another process

    shard(versions).write_text("first")
    assert versions.changed("double")
    shard(versions).write_text("edited")
    assert not versions.changed("double")
    (versions.root / "params.yaml").write_text("seed: 1\n")
    assert versions.changed("double")
    (versions.root / "params.yaml").write_text("seed: 0\n")
    out.unlink()
    assert versions.changed("double")
    assert Path.cwd() == here


def test_a_hash_follows_from_the_content_alone(versions: Versions) -> None:
    before = versions.hashes()
    assert set(before) == {"labels"}
    add_a_label(versions)
    versions.add()
    assert versions.hashes() != before
    shard(versions, 1).unlink()
    versions.add()
    assert versions.hashes() == before


def test_inputs_follow_from_settings_and_lock_alone(versions: Versions) -> None:
    before = versions.inputs()
    assert before == Versions(versions.root).inputs()
    (versions.root / "notes.txt").write_text("mine")
    (versions.root / "out.txt").write_text("another out")
    assert versions.inputs() == before
    for name in ("params.yaml", "dvc.lock"):
        file = versions.root / name
        content = file.read_text()
        file.write_text(f"{content}\n")
        assert versions.inputs() != before
        file.write_text(content)
        assert versions.inputs() == before


# Complaints


def test_what_git_refuses_is_one_line(versions: Versions) -> None:
    with pytest.raises(ServiceError, match=r"^git checkout failed in .*no-such-version") as caught:
        versions.git("checkout", "no-such-version")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("url", ["{root}/params.yaml/x", "s3://bucket", "gs://bucket"])
def test_a_remote_that_does_not_take_it_is_one_line(
    versions: Versions, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")  # nobody listens there
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    config = versions.root / ".dvc" / "config"
    lines = config.read_text().splitlines()
    config.write_text("\n".join("url = " + url.format(root=versions.root) if "url" in line else line for line in lines))
    with pytest.raises(ServiceError, match=r"^the DVC remote cannot be written: got .*credentials") as caught:
        versions.push()
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".dvc/config", b"[core\n"),
        (".dvcignore", b"\xff\xfe\0"),
        ("dvc.yaml", b"stages: [\n"),
        ("data/labels.dvc", b"outs: 5\n"),
    ],
)
def test_a_file_that_dvc_cannot_read_is_put_aside_as_the_line_says(
    versions: Versions, name: str, content: bytes
) -> None:
    (versions.root / ".dvcignore").write_text("x\n")
    versions.save("with files to ignore")
    (versions.root / name).write_bytes(content)
    with pytest.raises(ServiceError, match=f"DVC .*git stash push -- {name}`") as caught:
        versions.add()
    assert follow(versions, caught.value) == 0
    Versions(versions.root).add()
    differences.refuse_strange_changes(Versions(versions.root))
    assert people(versions, f"git cat-file -e stash@{{0}}:{name}") == 0


@pytest.mark.parametrize("changed", [False, True])
def test_a_round_that_is_missing_comes_back_as_the_line_says(versions: Versions, changed: bool) -> None:
    at_round_2(versions)
    shard(versions, 1).unlink()
    if changed:
        shard(versions, 2).write_text("cut off")
    with pytest.raises(WorkspaceError, match="lacks a round") as caught:
        ledger.current_round(shard(versions).parent)
    assert follow(versions, caught.value) == 0
    assert ledger.current_round(shard(versions).parent) == 2
    as_the_loop_left_it(versions)


# A workspace that somebody else has made


def script(path: Path, owned: Path) -> Path:
    """A program that leaves a trace when it is run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ntouch '{owned}'\ncat\n")
    path.chmod(0o755)
    return path


def test_hooks_and_monitors_of_a_workspace_are_not_run(versions: Versions, tmp_path: Path) -> None:
    owned = tmp_path / "owned"
    for name in ("pre-commit", "commit-msg", "post-commit", "reference-transaction", "post-index-change"):
        script(versions.root / ".git" / "hooks" / name, owned)
    program = script(tmp_path / "program", owned)
    for name in ("core.fsmonitor", "core.hooksPath", "gpg.program"):
        subprocess.run(["git", "-C", str(versions.root), "config", name, str(program)], check=True)
    subprocess.run(["git", "-C", str(versions.root), "config", "log.showSignature", "true"], check=True)
    owned.unlink(missing_ok=True)
    (versions.root / "params.yaml").write_text("seed: 1\n")
    versions.save("changed", "round-0000")
    differences.refuse_strange_changes(versions)
    assert versions.message("HEAD") == "changed"
    assert not owned.exists()


@pytest.mark.parametrize(
    "name", ["filter.evil.clean", "filter.evil.process", "diff.external", "diff.x.textconv", "include.path"]
)
def test_programs_that_git_would_run_are_refused(versions: Versions, tmp_path: Path, name: str) -> None:
    owned = tmp_path / "owned"
    program = script(tmp_path / "program", owned)
    if name == "include.path":
        program = tmp_path / "config"
        program.write_text(f"[filter \"evil\"]\n\tclean = touch '{owned}'\n")
    (versions.root / ".gitattributes").write_text("* filter=evil diff=x\n")
    with (versions.root / ".git" / "config").open("a") as config:  # as it would come with the folder
        section, *middle, key = name.split(".")
        config.write(f'[{section} "{middle[0]}"]' if middle else f"[{section}]")
        config.write(f"\n\t{key} = {program}\n")
    (versions.root / "params.yaml").write_text("seed: 1\n")
    with pytest.raises(WorkspaceError, match=f"could make git run programs.*{name}.*use a fresh clone"):
        Versions(versions.root).save("changed")
    assert not owned.exists()


def test_what_dvc_remembers_lies_where_no_stranger_writes(
    versions: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC unpickles it. The workspace may not say where, nor is it the folder that all users of a machine share."""
    monkeypatch.delenv("DVC_SITE_CACHE_DIR")
    monkeypatch.setenv("LABELWISE_HOME", str(tmp_path / "home"))
    config = versions.root / ".dvc" / "config"
    config.write_text(config.read_text().replace("[core]", f"[core]\n    site_cache_dir = {tmp_path / 'strangers'}"))
    versions.add()
    assert Path(versions.repo.site_cache_dir).is_relative_to(tmp_path / "home" / "dvc")
    assert not (tmp_path / "strangers").exists()
    assert [(tmp_path / "home" / name).stat().st_mode & 0o077 for name in (".", "dvc")] == [0, 0]


def test_stages_run_again_when_the_code_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w").mkdir()
    versions = create(tmp_path / "w", str(tmp_path / "remote"))
    named = (
        "stages:\n  one:\n    cmd: 'true'\n    params:\n      - code.yaml:\n          - labelwise\n    outs: [made]\n"
    )
    (versions.root / "dvc.yaml").write_text(named)
    made_with.note(versions.root)
    (versions.root / "made").write_text("x")
    versions.record("one")
    made_with.note(versions.root)
    assert not versions.changed("one")
    monkeypatch.setattr(made_with, "code", lambda: "0123")
    made_with.note(versions.root)
    assert versions.changed("one")
    assert "code.yaml" in versions.changes()
    (versions.root / "dvc.yaml").write_text("stages:\n  one:\n    cmd: 'true'\n    outs: [made]\n")
    (versions.root / "code.yaml").unlink()
    made_with.note(versions.root)  # a map of earlier versions asks for none
    assert not (versions.root / "code.yaml").exists()
