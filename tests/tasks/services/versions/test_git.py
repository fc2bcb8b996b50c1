"""What git reads of a user's machine and of a stranger's folder, with real git."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from labelwise.tasks.errors import WorkspaceError
from labelwise.tasks.services.versions import clones, git
from labelwise.tasks.services.versions.workspace import Versions, create
from labelwise.tasks.upkeep.init import ATTRIBUTES, IGNORED

IGNORE_ALL = "data/\nmetrics/\n*.csv\n*.lock\n*.dvc\n*.yaml\n"
USERS = {
    "ignored files": "[core]\n  excludesFile = ~/ignore\n",
    "ignored files, in their usual place": "",
    "line ends": "[core]\n  autocrlf = true\n  safecrlf = true\n",
    "line ends by attributes": "[core]\n  autocrlf = input\n  eol = crlf\n  attributesFile = ~/attributes\n",
    "hooks": "[core]\n  hooksPath = ~/hooks\n",
    "signing": "[commit]\n  gpgSign = true\n[tag]\n  gpgSign = true\n[gpg]\n  program = false\n",
    "colours and columns": "[color]\n  ui = always\n  status = always\n  diff = always\n[column]\n  ui = always\n",
    "status": "[status]\n  showUntrackedFiles = no\n  short = true\n  branch = true\n",
    "diff": "[diff]\n  external = false\n  noprefix = true\n  mnemonicPrefix = true\n  relative = true\n",
    "addresses": '[url "https://127.0.0.1:1/"]\n  insteadOf = /\n',
    "templates": "[init]\n  templateDir = ~/template\n  defaultBranch = trunk\n[commit]\n  template = ~/absent\n",
    "monitor": "[core]\n  fsmonitor = ~/hooks/pre-commit\n  pager = false\n  quotePath = true\n",
    "filters": '[filter "x"]\n  clean = false\n  required = true\n[core]\n  attributesFile = ~/filtered\n',
    "history": "[log]\n  follow = true\n  decorate = full\n  showSignature = true\n[tag]\n  sort = -version:refname\n",
    "nobody": "[user]\n  useConfigOnly = true\n",
    "broken": "[core\n",
}


@pytest.mark.parametrize("setting", USERS)
def test_what_a_user_has_set_for_himself_decides_nothing(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "hooks").mkdir(parents=True)
    (home / "template" / "hooks").mkdir(parents=True)
    for hook in (home / "hooks" / "pre-commit", home / "template" / "hooks" / "pre-commit"):
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
    (home / ".gitconfig").write_text(USERS[setting])
    (home / "attributes").write_text("* text=auto eol=crlf\n")
    (home / "filtered").write_text("* filter=x\n")
    usual = home / ("ignore" if setting == "ignored files" else ".config/git/ignore")
    if "ignored" in setting:
        usual.parent.mkdir(parents=True, exist_ok=True)
        usual.write_text(IGNORE_ALL)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)

    root = tmp_path / "Bücher mine"
    versions = create(root_with_files(root), str(root.with_name("Bücher.remote")))
    for number in range(2):
        (root / "metrics" / f"é{number}.csv").write_bytes(b"a,b\n1,2\n")
        (root / "data" / "labels" / f"{number}.parquet").write_text(f"{number}")
        assert "metrics/" in " ".join(versions.changes())
        versions.add()
        versions.save(f"round {number}")
        versions.push()
        versions.save("", f"round-000{number}")
    assert versions.changes() == []
    kept = versions.git("ls-files").splitlines()
    assert {"metrics/é0.csv", "metrics/é1.csv", "data/labels.dvc", "params.yaml"} <= set(kept)
    assert versions.git("show", "HEAD:metrics/é0.csv") == "a,b\n1,2"
    assert versions.git("branch", "--show-current") == "main"

    clone = clones.clone(str(root), tmp_path / "elsewhere" / "clone")
    clones.fetch(clone, ["data/labels.dvc"])
    assert (clone.root / "metrics" / "é1.csv").read_bytes() == b"a,b\n1,2\n"
    assert (clone.root / "data" / "labels" / "1.parquet").read_text() == "1"


@pytest.mark.parametrize("setting", ["ignored files", "line ends", "line ends by attributes"])
def test_the_user_s_own_git_takes_it_as_it_is(setting: str, tmp_path: Path) -> None:
    (tmp_path / ".gitconfig").write_text(USERS[setting])
    (tmp_path / "ignore").write_text(IGNORE_ALL)
    (tmp_path / "attributes").write_text("* text=auto eol=crlf\n")
    root = root_with_files(tmp_path / "workspace")
    create(root, "remote").save("begun")
    (root / "params.yaml").unlink()

    def own(*words: str) -> str:
        variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        return subprocess.run(
            ["git", *words], cwd=root, env=variables, check=True, capture_output=True, text=True
        ).stdout

    own("checkout", "--", ".")
    assert (root / "params.yaml").read_bytes() == b"seed: 0\n"
    assert own("status", "--short") == ""


def root_with_files(root: Path) -> Path:
    for folder in ("metrics", "data/labels"):
        (root / folder).mkdir(parents=True)
    (root / "params.yaml").write_text("seed: 0\n")
    (root / ".gitignore").write_text(IGNORED)
    (root / ".gitattributes").write_text(ATTRIBUTES)
    return root


# A workspace that somebody else has made


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = root_with_files(tmp_path_factory.mktemp("template") / "workspace")
    create(root, str(root.with_name("remote"))).save("begun")
    return root


@pytest.fixture
def root(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "workspace"))


def configure(root: Path, name: str, value: str) -> None:
    subprocess.run(["git", "-C", str(root), "config", "--file", ".git/config", name, value], check=True)


STRANGE = ["extensions.partialClone", "remote.evil.promisor", "remote.evil.uploadpack", "core.sshCommand"]
STRANGE += ["core.gitProxy", "core.askPass", "core.worktree", "core.alternateRefsCommand", "credential.helper"]
STRANGE += ["include.path", "includeIf.gitdir:/.path", "filter.x.smudge", "diff.x.command", "merge.x.driver"]
STRANGE += ["extensions.worktreeConfig", "gc.recentObjectsHook", "trailer.x.command", "what.nobody.knows"]


@pytest.mark.parametrize("name", STRANGE)
def test_a_setting_that_is_not_known_to_be_harmless_is_refused_and_can_be_removed(root: Path, name: str) -> None:
    configure(root, name, "touch owned")
    with pytest.raises(WorkspaceError, match=f"(?i)got {name}\\. To mend it: use a fresh clone.*--unset-all") as caught:
        Versions(root).git("status")
    assert len(str(caught.value).splitlines()) == 1
    command = str(caught.value).partition("remove each by `")[2].partition("`")[0]
    alone = {"PATH": os.environ["PATH"], "GIT_DIR": os.devnull}  # where git itself stops at such a value
    subprocess.run(
        [*command.split()[:2], "--file", ".git/config", *command.split()[3:]], cwd=root, env=alone, check=True
    )
    Versions(root).git("status")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user.name", "Ada"),
        ("remote.origin.url", "git@example.org:x.git"),
        ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
        ("branch.main.merge", "refs/heads/main"),
        ("core.ignorecase", "true"),
        ("core.precomposeunicode", "true"),
        ("core.hooksPath", ".husky"),
        ("pull.rebase", "true"),
        ("alias.st", "status"),
        ("gc.auto", "0"),
        ("lfs.repositoryformatversion", "0"),
        ("lfs.https://example.org/x.git/info/lfs.access", "basic"),
    ],
)
def test_what_people_set_in_a_repository_is_not_refused(root: Path, name: str, value: str) -> None:
    configure(root, name, value)
    assert Versions(root).git("status", "--porcelain") == ""


def test_a_remote_that_would_be_asked_for_what_is_missing_is_not_asked(root: Path, tmp_path: Path) -> None:
    owned = tmp_path / "owned"
    for name, value in (
        ("extensions.partialClone", "evil"),
        ("remote.evil.url", "ssh://example.invalid/x"),
        ("remote.evil.promisor", "true"),
        ("core.sshCommand", f"touch {owned}; false"),
    ):
        configure(root, name, value)
    tree = git.run(root, "rev-parse", "HEAD^{tree}").stdout.decode().strip()
    (root / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    git.run(root, "status")  # git itself: what the check would stop is stopped here once more
    assert not owned.exists()
    for look in (lambda: Versions(root).changes(), lambda: clones.clone(str(root), tmp_path / "clone")):
        with pytest.raises(WorkspaceError, match="partialclone"):
            look()
    assert not owned.exists()


def lead_away(root: Path) -> None:
    (root / ".git").rename(root.with_name("git"))
    (root / ".git").write_text("gitdir: ../git\n")


def link(root: Path) -> None:
    (root / ".git").rename(root.with_name("git"))
    (root / ".git").symlink_to(root.with_name("git"))


def borrow(root: Path) -> None:
    (root / ".git" / "objects" / "info").mkdir(exist_ok=True)
    (root / ".git" / "objects" / "info" / "alternates").write_text("/elsewhere/objects\n")


def attribute(root: Path) -> None:
    (root / ".git" / "info").mkdir(exist_ok=True)
    (root / ".git" / "info" / "attributes").write_text("# mine\n* text eol=crlf\n")


@pytest.mark.parametrize("deed", [lead_away, link, borrow, attribute])
def test_a_folder_of_git_that_leads_elsewhere_is_refused(root: Path, deed: object) -> None:
    assert callable(deed)
    deed(root)
    with pytest.raises(WorkspaceError, match="To mend it: ") as caught:
        Versions(root).git("status")
    assert len(str(caught.value).splitlines()) == 1


def test_credentials_that_could_name_a_program_are_the_user_s_own(root: Path) -> None:
    config = root / ".dvc" / "config.local"
    config.write_text("['remote \"storage\"']\n    url = s3://bucket\n    configpath = ../aws\n")
    (root / "aws").write_text("[default]\ncredential_process = touch owned\n")
    with pytest.raises(WorkspaceError, match=r"configpath of the remote storage: .*aws\. To mend it"):
        Versions(root).push()
    config.write_text("['remote \"storage\"']\n    url = s3://bucket\n    credentialpath = ~/.aws/credentials\n")
    assert Versions(root).repo
