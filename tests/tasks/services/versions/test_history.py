"""Past versions read from real git and real DVC: a clone, many commits at once, data that is not what its hash says."""

from pathlib import Path

import pytest

from labelwise.tasks.errors import ServiceError
from labelwise.tasks.services.versions import clones, history
from labelwise.tasks.services.versions.workspace import Versions, create


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    """Two rounds of a ledger, the second with two shards; each sent to the DVC remote and tagged."""
    root = tmp_path_factory.mktemp("past") / "workspace"
    labels = root / "data" / "labels"
    labels.mkdir(parents=True)
    (root / "params.yaml").write_text("seed: 0\n")
    versions = create(root, str(root.parent / "remote"))
    for number in range(2):
        (labels / f"round-000{number}.parquet").write_text(f"shard {number}")
        versions.add()
        message = f"round {number}\n\nMLflow-Run: run{number}"
        versions.save(message)
        versions.push()
        versions.save(message, f"round-000{number}")
    return versions


@pytest.fixture
def clone(past: Versions, tmp_path: Path) -> Versions:
    made = clones.clone(str(past.root), tmp_path / "clone")
    clones.checkout(made, "round-0001")
    clones.fetch(made, ["data/labels.dvc"])
    return made


def test_rounds_by_tag_with_what_their_commits_say(past: Versions) -> None:
    found = history.tagged_rounds(past)
    assert list(found) == ["round-0000", "round-0001"]
    assert found["round-0001"].message == "round 1\n\nMLflow-Run: run1"
    assert (found["round-0001"].id, found["round-0001"].subject) == (past.head, "round 1")
    assert [each.subject for each in history.log(past, "--reverse", "HEAD", path="data/labels.dvc")] == [
        "round 0",
        "round 1",
    ]


def test_one_file_at_many_commits(past: Versions) -> None:
    found = history.contents(past, "data/labels.dvc", ["round-0000", "nonesuch", "round-0001"])
    assert [history.tracked(content)["nfiles"] for content in found.values()] == [1, 2]
    assert history.contents(past, "data/gold.dvc", ["round-0000"]) == {}


def test_a_clone_has_all_a_past_round_needs_and_nothing_of_the_cache(clone: Versions, past: Versions) -> None:
    assert history.outputs(clone) == history.outputs(past)
    assert (clone.root / "data" / "labels" / "round-0001.parquet").read_text() == "shard 1"
    path, md5 = next(iter(history.outputs(clone).items()))
    assert history.strangers(clone, path, md5) == []


def test_files_that_were_changed_added_or_lost_are_named(clone: Versions) -> None:
    labels = clone.root / "data" / "labels"
    md5 = history.outputs(clone)["data/labels"]
    (labels / "round-0000.parquet").unlink()
    (labels / "round-0001.parquet").write_text("forged")
    (labels / "round-0002.parquet").write_text("more")
    assert history.strangers(clone, "data/labels", md5) == [f"data/labels/round-000{n}.parquet" for n in range(3)]
    listing = Path(clone.repo.cache.local.oid_to_path(md5))
    listing.chmod(0o644)
    listing.write_text("[]")
    assert history.strangers(clone, "data/labels", md5) == ["data/labels/ (its list of files)"]


def test_what_the_remote_was_changed_to_comes_without_complaint_and_is_found_all_the_same(
    past: Versions, tmp_path: Path
) -> None:
    made = clones.clone(str(past.root), tmp_path / "clone")
    stored = next(
        file for file in (past.root.parent / "remote").rglob("*") if file.is_file() and file.read_text() == "shard 0"
    )
    stored.chmod(0o644)
    stored.write_text("shard X")
    try:
        clones.fetch(made, ["data/labels.dvc"])
        md5 = history.outputs(made)["data/labels"]
        assert history.strangers(made, "data/labels", md5) == ["data/labels/round-0000.parquet"]
    finally:
        stored.write_text("shard 0")


def test_every_file_that_any_round_names_and_whether_the_remote_has_it(past: Versions, tmp_path: Path) -> None:
    made = clones.clone(str(past.root), tmp_path / "clone")  # its cache is empty: lists come from the remote
    found = history.objects(made, history.tagged_rounds(made))
    assert sorted(found.values()) == ["round-0000", "round-0000", "round-0001", "round-0001"]  # two lists, two shards
    assert history.at_remote(made, [*found, "0" * 32]) == set(found)


def test_no_such_history_is_one_line_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"no history from https://\*\*\*@localhost:1/x") as caught:
        clones.clone("https://me:secret@localhost:1/x", tmp_path / "clone")
    assert "secret" not in str(caught.value)


def test_links_in_a_strange_history_are_not_followed(past: Versions, tmp_path: Path) -> None:
    strange = clones.clone(str(past.root), tmp_path / "strange")
    strange.git("config", "core.symlinks", "true")
    (strange.root / "leak").symlink_to("/etc/passwd")
    strange.git("add", "leak")
    strange.git("-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "-m", "a link")
    made = clones.clone(str(strange.root), tmp_path / "clone")
    assert (made.root / "leak").read_text() == "/etc/passwd"  # the name alone, as a plain file
