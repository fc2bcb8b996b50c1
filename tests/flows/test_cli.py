"""The command line: what a user can get wrong is one line and a non-zero exit, and leaves nothing behind."""

import errno
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from labelwise.flows import cli
from labelwise.tasks import settings
from labelwise.tasks.services.home import NAMES
from labelwise.tasks.services.versions import differences
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Columns
from labelwise.tasks.upkeep import init as init_stage
from labelwise.tasks.workspace import Workspace, claimed, holder, running

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256))
HEAVY = {"torch", "transformers", "prefect", "mlflow", "dvc", "pandas", "sklearn", "great_expectations", "matplotlib"}
COMMANDS = ["up", "down", "ps", "env", "init", "run", "status", "rehearse", "serve", "review", "gold", "demo"]
COMMANDS += ["replay", "audit", "lineage", "forget"]
COMMANDS += ["export", "predict", "bundle", "next", "report", "stop", "go-on", "rollback", "synthesise", "seed"]


class Said(NamedTuple):
    code: int
    out: str
    err: str


Labelwise = Callable[..., Said]


@pytest.fixture
def labelwise(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Labelwise:
    """The command as a shell would call it, on a machine where no server runs."""
    monkeypatch.setenv("LABELWISE_HOME", str(tmp_path / "home"))
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)

    def call(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["labelwise", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        return Said(code, *capsys.readouterr())

    return call


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with a pool and a gold set that are fine, and with others that are not."""
    folder = tmp_path / "sources"
    folder.mkdir()
    for name, content in {
        "pool.csv": b"text,key\none,1\ntwo,2\n",
        "gold.csv": b"text,label,key\nthree,no,3\nfour,yes,4\nfive,no,5\n",
        "spaced.csv": b"text,label\nthree, no\nfour,yes \nfive,no\nsix,  \n"
        + b"".join(b"%d,no\n" % n for n in range(9)),
        "unlabelled.csv": b"text,label\nthree,\nfour,  \n",
        "no_key.csv": b"text,label\nthree,no\nfour,yes\n",
        "one_class.csv": b"text,label\nthree,no\nfour,no\n",
        "header.csv": b"text,label\n",
        "empty.csv": b"",
        "picture.csv": PNG,
        "pool.xlsx": b"text\none\n",
    }.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A new workspace. Tests leave it as they found it."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "pool.csv").write_text("text\none\ntwo\n")
    (folder / "gold.csv").write_text("text,label\nthree,no\nfour,yes\n")
    pool, gold = str(folder / "pool.csv"), str(folder / "gold.csv")
    return init_stage.run(folder / "workspace", pool, gold, None, "", None, Columns())


def assert_one_line(said: Said, code: int, *parts: str) -> None:
    assert said.code == code
    assert said.out == ""
    assert said.err.startswith("labelwise: ")
    assert len(said.err.splitlines()) == 1
    for part in parts:
        assert part in said.err


# Help


def test_help_lists_the_commands_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from labelwise.flows.cli import app; app(['--help'], standalone_mode=False); print(*sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    *text, modules = shown.splitlines()
    listed = {line.strip("│ ").split(" ")[0] for line in text}
    assert set(COMMANDS) <= listed
    assert HEAVY.isdisjoint(modules.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does(labelwise: Labelwise, command: str) -> None:
    said = labelwise(command, "--help")
    assert said.code == 0
    assert f"labelwise {command}" in said.out


@pytest.mark.parametrize(
    "words", [["runn"], ["run", "--rounds", "-1"], ["run", "--rounds", "x"], ["init"], ["init", "a", "--pool", "b"]]
)
def test_a_command_that_is_none_is_refused(labelwise: Labelwise, words: list[str]) -> None:
    said = labelwise(*words)
    assert said.code == 2
    assert "Usage" in said.err
    assert "Traceback" not in said.err


# init


def test_init_makes_a_workspace(labelwise: Labelwise, sources: Path, tmp_path: Path) -> None:
    root = tmp_path / "new" / "news"
    said = labelwise("init", root, "--pool", sources / "pool.csv", "--gold", sources / "gold.csv", "--id-column", "key")
    assert said.code == 0
    assert said.err.splitlines()[-1].endswith("items: no 2, yes 1")  # what there is
    workspace = Workspace.open(root)
    assert workspace.settings.classes == ["no", "yes"]
    assert workspace.settings.project.name == "news"
    assert workspace.settings.pull.columns.id == "key"
    versions = Versions(workspace.root)
    assert versions.git("status", "--porcelain") == ""
    differences.refuse_strange_changes(versions)


@pytest.mark.parametrize(
    ("gold", "labels", "classes"),
    [
        ("spaced.csv", "", ["no", "yes"]),
        ("spaced.csv", "yes, no ,maybe", ["yes", "no", "maybe"]),
        ("one_class.csv", "yes,no", ["yes", "no"]),
    ],
)
def test_classes_are_those_named_else_those_of_the_gold_set(
    labelwise: Labelwise, sources: Path, tmp_path: Path, gold: str, labels: str, classes: list[str]
) -> None:
    root = tmp_path / "w"
    said = labelwise("init", root, "--pool", sources / "pool.csv", "--gold", sources / gold, "--labels", labels)
    assert said.code == 0
    assert Workspace.open(root).settings.classes == classes


def test_names_as_long_as_label_studio_takes_them(labelwise: Labelwise, sources: Path, tmp_path: Path) -> None:
    root = tmp_path / ("folder" * 10)
    assert labelwise("init", root, "--pool", sources / "pool.csv", "--gold", sources / "gold.csv").code == 0
    project = Workspace.open(root).settings.project
    assert project.name == root.name[:36]
    assert len(project.id) <= 11


def test_a_relative_remote_is_meant_from_where_one_stands(
    labelwise: Labelwise, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = ["--pool", "sources/pool.csv", "--gold", "sources/gold.csv"]
    assert labelwise("init", "deep/workspace", *here, "--remote", "store/data").code == 0
    monkeypatch.chdir(sources)
    Versions(tmp_path / "deep" / "workspace").push()
    assert [path for path in (tmp_path / "store" / "data").rglob("*") if path.is_file()]
    assert not list(sources.rglob("store"))


def test_what_a_killed_write_leaves_is_in_no_version(made: Workspace) -> None:
    versions = Versions(made.root)
    before = versions.hashes()
    left = [made.labels / ".round-0001.parquet.17.part", made.metrics / ".gold.json.17.part"]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_text("cut off")
    differences.refuse_strange_changes(versions)
    versions.add()
    assert versions.hashes() == before
    assert versions.git("status", "--porcelain") == ""
    for path in left:
        path.unlink()


BAD_SOURCES = {
    "a pool that is not there": (["missing.csv", "gold.csv"], "missing.csv"),
    "a gold set that is not there": (["pool.csv", "missing.csv"], "missing.csv"),
    "an empty pool": (["empty.csv", "gold.csv"], "empty.csv"),
    "an empty gold set": (["pool.csv", "empty.csv"], "empty.csv"),
    "a pool without a row": (["header.csv", "gold.csv"], "header.csv"),
    "a gold set without a row": (["pool.csv", "header.csv"], "header.csv: too few labels: expected gold rows"),
    "a gold set of blank labels": (["pool.csv", "unlabelled.csv"], "got no labelled row"),
    "a gold set without labels": (["pool.csv", "pool.csv"], "'label'"),
    "a picture for a pool": (["picture.csv", "gold.csv"], "picture.csv"),
    "a picture for a gold set": (["pool.csv", "picture.csv"], "picture.csv"),
    "an ending nobody reads": (["pool.xlsx", "gold.csv"], "pool.xlsx"),
    "a single class": (["pool.csv", "one_class.csv"], "two classes at least, got no. To mend it:"),
}
BAD_OPTIONS = {
    "no such text column": (["--text-column", "body"], "'body'"),
    "no such label column": (["--label-column", "topic"], "'topic'"),
    "no such id column": (["--id-column", "number"], "'number'"),
    "no such group column": (["--group-column", "thread"], "'thread'"),
    "no such column of context": (["--context", "TEXTS"], "did you mean 'text'?"),
    "the label as context": (["--context", "label"], "'label' is the column of the label"),
    "a column of context twice": (["--context", "url,subject,url"], "'url' stands there more than once"),
    "one class named, of two": (["--labels", "no"], "labels outside the classes: expected one of 'no', got 'yes'"),
    "a gold label that is not named": (["--labels", "no,maybe"], "expected one of 'no', 'maybe', got 'yes'"),
    "a class named twice": (["--labels", "no,yes,no"], "no stands there more than once"),
    "a name that is too long": (["--name", "n" * 37], "`project.name`"),
    "a remote of no known kind": (["--remote", "gopher://x"], "gopher"),
}
BAD = {
    "one class named and found": ("pool.csv", "one_class.csv", ["--labels", "no"], "two classes at least, got no"),
    "classes named and no gold": ("pool.csv", "header.csv", ["--labels", "no,yes"], "got no labelled row"),
    **{name: (pool, gold, [], part) for name, ([pool, gold], part) in BAD_SOURCES.items()},
    **{name: ("pool.csv", "gold.csv", options, part) for name, (options, part) in BAD_OPTIONS.items()},
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
@pytest.mark.parametrize("there", [False, True], ids=["new folder", "empty folder"])
def test_init_refuses_in_one_line_and_leaves_nothing_behind(
    labelwise: Labelwise, sources: Path, tmp_path: Path, case: tuple[str, str, list[str], str], there: bool
) -> None:
    pool, gold, options, part = case
    root = tmp_path / "workspace"
    if there:
        root.mkdir()
    said = labelwise("init", root, "--pool", sources / pool, "--gold", sources / gold, *options)
    said = Said(said.code, said.out, said.err.splitlines(keepends=True)[-1])  # after what there is
    assert_one_line(said, said.code, part)
    assert said.code in (2, 5)
    assert root.exists() == there
    assert not there or not any(root.iterdir())
    assert not (tmp_path / "workspace.remote").exists()


@pytest.mark.parametrize("what", ["folder", "file"])
def test_init_touches_nothing_that_is_there(labelwise: Labelwise, sources: Path, tmp_path: Path, what: str) -> None:
    root = tmp_path / "mine"
    mine = root / "notes.txt" if what == "folder" else root
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    said = labelwise("init", root, "--pool", sources / "pool.csv", "--gold", sources / "gold.csv")
    assert_one_line(said, 2, "mine", "new folder")
    assert mine.read_text() == "mine"
    assert [path for path in tmp_path.rglob("*") if path.name in (".git", "params.yaml")] == []


# Workspaces


IN_A_WORKSPACE = [["run"], ["status"], ["serve"], ["stop"], ["go-on"], ["review", "--answers", "answers.csv"]]
IN_A_WORKSPACE += [["gold", "grow", "5"]]


@pytest.mark.parametrize("words", IN_A_WORKSPACE, ids=lambda words: words[0])
def test_a_folder_that_is_no_workspace(labelwise: Labelwise, tmp_path: Path, words: list[str]) -> None:
    assert_one_line(labelwise(*words, "-w", tmp_path), 3, "no params.yaml")
    assert_one_line(labelwise(*words, "-w", tmp_path / "missing"), 3, "no params.yaml")
    (tmp_path / "params.yaml").touch()
    assert_one_line(labelwise(*words, "-w", tmp_path), 3, "not a git repository")


@pytest.mark.parametrize("words", IN_A_WORKSPACE, ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("broken", "part"), [("sede: 1\n", "did you mean `seed`?"), ("seed: x\n", "`seed`"), ("seed: [\n", "is no YAML")]
)
def test_settings_that_are_wrong_are_said_first(
    labelwise: Labelwise, made: Workspace, words: list[str], broken: str, part: str
) -> None:
    params = made.root / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("seed: 0", broken))
    try:
        assert_one_line(labelwise(*words, "-w", made.root), 2, "params.yaml", part)
    finally:
        params.write_text(before)


@pytest.mark.parametrize(
    "words", [["run"], ["serve"], ["stop"], ["go-on"], ["review", "--answers", "answers.csv"], ["env"]]
)
def test_without_servers_the_way_to_start_them_is_said(labelwise: Labelwise, made: Workspace, words: list[str]) -> None:
    (made.root.parent / "answers.csv").write_text("text,label\none,no\n")
    here = [] if words == ["env"] else ["-w", made.root]
    words = [str(made.root.parent / word) if word == "answers.csv" else word for word in words]
    assert_one_line(labelwise(*words, *here), 5, "no local server runs", "`labelwise up`")


def test_answers_that_no_reviewer_could_give_are_said_first(labelwise: Labelwise, made: Workspace) -> None:
    answers = made.root.parent / "strange.csv"
    answers.write_text("text,label\none,no\ntwo,perhaps\n")
    said = labelwise("review", "--answers", answers, "-w", made.root)
    assert_one_line(said, 2, "strange.csv: labels outside the classes: expected one of no, yes, got 'perhaps'")


def test_status_without_servers_says_what_is_known_here(labelwise: Labelwise, made: Workspace) -> None:
    said = labelwise("status", "-w", made.root)
    assert said.code == 0
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert {"round 0 (new)", "loop none is at work", "labels 0", "accuracy no model yet"} <= set(lines)
    assert lines[-1] == "next labelwise up"
    assert any(line.startswith("problem no local server runs") for line in lines)

    seen = json.loads(labelwise("status", "-w", made.root, "--json").out)
    assert (seen["round"], seen["state"], seen["asked"], seen["gold"]["accuracy"]) == (0, "new", None, None)
    assert seen["commit"] == Versions(made.root).head


def test_the_next_command_can_be_pasted(labelwise: Labelwise, monkeypatch: pytest.MonkeyPatch, sources: Path) -> None:
    place = sources / "bob's tickets"
    said = labelwise("init", place, "--pool", sources / "pool.csv", "--gold", sources / "gold.csv")
    following = said.out.strip().partition(" Next: ")[2]
    assert shlex.split(following) == ["labelwise", "run", "--workspace", str(place)]
    for name in NAMES:
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody is there
    seen = json.loads(labelwise("status", "-w", place, "--json").out)
    assert seen["next"] == following and len(seen["problems"]) == 1


def test_a_loop_at_work_is_seen_also_by_who_may_only_read(made: Workspace) -> None:
    assert holder(made) == ""
    with claimed(made):
        (made.scraps / "lock").chmod(0o400)
        assert f"process {os.getpid()} on " in holder(made)
        (made.scraps / "lock").chmod(0o600)
    assert not running(made)


def test_version_is_that_of_the_package(labelwise: Labelwise) -> None:
    assert labelwise("--version").out == f"labelwise {version('labelwise')}\n"


def test_next_without_a_batch_says_how_to_get_one(labelwise: Labelwise, made: Workspace) -> None:
    assert_one_line(labelwise("next", "-w", made.root), 3, "no batch yet", "`labelwise run`")


# What the machine refuses


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_disk_that_refuses_is_one_line(labelwise: Labelwise, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full() -> None:
        raise OSError(number, "refused", "data/labels")

    monkeypatch.setattr(cli, "app", full)
    assert_one_line(labelwise(), 6, "data/labels", "refused")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_no_memory_is_one_line(labelwise: Labelwise, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def full() -> None:
        raise error

    monkeypatch.setattr(cli, "app", full)
    assert_one_line(labelwise(), 6, "there is not enough memory", "`ulimit -v`")


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", "answers.csv"), "No such file (answers.csv)."),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "data"), "Not a directory (data)."),
        (OSError(errno.EIO, "Input/output error"), "Input/output error."),
        (FileNotFoundError("the corpus is missing:\nrun `make setup`"), "the corpus is missing: run `make setup`"),
        (OSError(), "OSError"),
    ],
)
def test_whatever_else_the_machine_refuses_is_one_line(
    labelwise: Labelwise, monkeypatch: pytest.MonkeyPatch, error: OSError, part: str
) -> None:
    def refused() -> None:
        raise error

    monkeypatch.setattr(cli, "app", refused)
    assert_one_line(labelwise(), 6, part)


def test_a_file_where_a_folder_should_be_is_one_line(labelwise: Labelwise, sources: Path) -> None:
    root = sources / "pool.csv" / "workspace"
    said = labelwise("init", root, "--pool", sources / "pool.csv", "--gold", sources / "gold.csv")
    assert said.code == 6
    assert "Not a directory" in said.err.splitlines()[-1]


def test_a_fault_of_ours_keeps_its_traceback(labelwise: Labelwise, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong() -> None:
        raise KeyError("x")

    monkeypatch.setattr(cli, "app", wrong)
    with pytest.raises(KeyError):
        labelwise()


def test_a_failure_where_files_were_changed_names_them_and_keeps_its_traceback(
    labelwise: Labelwise, made: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Workspace.open(shutil.copytree(made.root, tmp_path / "copy"))

    def wrong(_workspace: Workspace) -> None:
        raise KeyError("https://me:secret@example.org")

    monkeypatch.setattr("labelwise.tasks.reporting.status.status", wrong)
    with pytest.raises(KeyError):  # all is as the last version has it: a fault of ours, though params.yaml was edited
        settings.change(here.root / "params.yaml", {"seed": 1})
        labelwise("status", "--workspace", here.root)
    (here.root / "dvc.yaml").write_text("stages: {}\n")
    with pytest.raises(KeyError), claimed(here) as claim:  # its files are between two versions
        claim.begin()
        labelwise("status", "--workspace", here.root)
    with claimed(here):
        pass
    said = labelwise("status", "--workspace", here.root)
    kept = here.scraps / "traceback.txt"
    assert_one_line(said, 3, "got dvc.yaml. To mend it: `git stash push ", "KeyError: 'https://***@example.org'")
    assert said.err.endswith(f"it is a fault of ours: {kept} says where\n")
    assert "in wrong" in kept.read_text() and "secret" not in kept.read_text()
    aside = said.err.split("`")[1].split(" && ")[0]
    subprocess.run(aside.split(), cwd=here.root, check=True, capture_output=True)
    with pytest.raises(KeyError):
        labelwise("status", "--workspace", here.root)


def test_ctrl_c_is_one_line(labelwise: Labelwise, made: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_words: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "prepare", lambda _workspace: None)
    monkeypatch.setitem(sys.modules, "labelwise.flows.loop", SimpleNamespace(loop=stopped))
    assert_one_line(labelwise("run", "-w", made.root), 130, "run the same command again")


# The past


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("replay", "round-0001"), ("expected a history with rounds", "got 'round-0001'")),
        (("lineage", "nonesuch"), ("no such item", "16 hexadecimal digits", "got 'nonesuch'")),
        (("export", "nonesuch.csv"), ("there are no labels, from round 0", "answer a batch")),
        (("export", "nonesuch.csv", "--round", "3"), ("expected a history with rounds", "got 'round-0003'")),
        (("forget", "nonesuch", "--yes"), ("unknown, so nothing was changed", "'nonesuch'")),
    ],
)
def test_a_round_or_an_item_that_is_none_is_refused(
    labelwise: Labelwise, made: Workspace, words: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    said = labelwise(*words, "--workspace", made.root)
    last = said._replace(err=said.err.splitlines()[-1])
    assert_one_line(last, 2, *parts)
    assert Versions(made.root).git("status", "--porcelain") == ""


def test_forgetting_wants_a_yes(labelwise: Labelwise, made: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from labelwise.tasks.upkeep import forget

    def asked(_workspace: object, _items: object, agreed: Callable[[list[str]], bool]) -> list[str]:
        return ["gone"] if agreed(["id  'text'"]) else ["kept"]

    monkeypatch.setattr(forget, "run", asked)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))
    assert_one_line(labelwise("forget", "a", "-w", made.root), 2, "cannot be undone", "--yes, or a terminal")
    assert labelwise("forget", "a", "-w", made.root, "--yes").out == "gone\n"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    for said, end in ((True, "gone"), (False, "kept")):
        monkeypatch.setattr("typer.confirm", lambda _question, said=said: said)
        assert labelwise("forget", "a", "-w", made.root).out.splitlines() == ["id  'text'", end]


def test_what_differs_or_is_missing_is_no_success(
    labelwise: Labelwise, made: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labelwise.flows import replay
    from labelwise.tasks.past.audit import run as audit
    from labelwise.tasks.past.audit.part import Part
    from labelwise.tasks.past.replay import DIFFERS, IDENTICAL, Finding

    for verdict, code in ((IDENTICAL, 0), (DIFFERS, 1)):
        seen = replay.Replayed("round-0001", "c" * 40, "", "", [], [Finding("ledger", verdict, "item a")])
        monkeypatch.setattr(replay, "replay", lambda *_, seen=seen: seen)
        said = labelwise("replay", "1", "-w", made.root)
        assert (said.code, said.out.splitlines()[-1].split()[:2]) == (code, ["verdict:", verdict])
        assert json.loads(labelwise("replay", "1", "-w", made.root, "--json").out)["verdict"] == verdict
    for missing, code in (([], 0), (["item a"], 1)):
        monkeypatch.setattr(audit, "run", lambda *_, lost=missing: audit.Audit([], [Part("items", 1, missing=lost)]))
        assert labelwise("audit", "-w", made.root).code == code
        assert json.loads(labelwise("audit", "-w", made.root, "--json").out)["in_order"] == (code == 0)


# A folder that somebody else has filled


def test_settings_and_modules_of_the_folder_one_stands_in_are_not_followed(made: Workspace, tmp_path: Path) -> None:
    """Prefect would: its logging configuration may name code to run, and a run's process looks for modules there."""
    (tmp_path / ".env").write_text(f"PREFECT_LOGGING_CONFIG_PATH={tmp_path}/evil.yml\n")
    (tmp_path / "prefect.toml").write_text(f'[logging]\nconfig_path = "{tmp_path}/evil.yml"\n')
    (tmp_path / "pyproject.toml").write_text(f'[tool.prefect.logging]\nconfig_path = "{tmp_path}/evil.yml"\n')
    standing_there = (
        "import sys, httpx; from pathlib import Path; from types import SimpleNamespace\n"
        "httpx.get = lambda *_, **__: SimpleNamespace(raise_for_status=lambda: None)\n"
        "from labelwise.flows import cli; cli.prepare(Path(sys.argv[1]))\n"
        "from prefect.settings import get_current_settings; print(get_current_settings().logging.config_path)\n"
    )
    where = {"LABEL_STUDIO_URL": "http://x", "LABEL_STUDIO_API_KEY": "x", "MLFLOW_TRACKING_URI": "http://x"}
    done = subprocess.run(
        [sys.executable, "-c", standing_there, str(made.root)],
        cwd=tmp_path,
        env=os.environ | where | {"PREFECT_API_URL": "http://x", "PYTHONPATH": str(Path(cli.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip().endswith("logging.yml"), done.stderr
    assert "evil" not in done.stdout


def test_passwords_of_addresses_are_not_said(
    labelwise: Labelwise, made: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = "http://me:hunter2@127.0.0.1:9"
    monkeypatch.setenv("LABEL_STUDIO_URL", nobody)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "hunter2" * 5)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", nobody)
    monkeypatch.setenv("PREFECT_API_URL", f"{nobody}/api")
    for words in (["run", "--max-wait", "0"], ["status"], ["status", "--json"], ["rollback"]):
        said = labelwise(*words, "--workspace", str(made.root))
        assert "hunter2" not in said.out + said.err, words
        assert "127.0.0.1:9" in said.out + said.err, words


@pytest.mark.parametrize("option", ["--pool", "--gold", "--remote"])
def test_an_address_with_a_password_is_not_committed(
    labelwise: Labelwise, sources: Path, tmp_path: Path, option: str
) -> None:
    given = {"--pool": "pool.csv", "--gold": "gold.csv"} | {option: "s3://KEY:hunter2@bucket/x"}
    words = [f"{name}={value if '://' in value else sources / value}" for name, value in given.items()]
    said = labelwise("init", str(tmp_path / "new"), *words)
    assert_one_line(said, 2, "the address carries a password or a key")
    assert "hunter2" not in said.err
    assert not (tmp_path / "new").exists()
