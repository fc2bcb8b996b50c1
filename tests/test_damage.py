"""Files of a workspace that are emptied, cut off in the middle, filled with noise or gone: a command works as before,
or says in one line which file it is, and what that line proposes brings all back. No traceback, no wrong figure.

Of each sort of file one is damaged in one way and read by one command, in turn. LABELWISE_FUZZ=all plays every file,
damage and command, which takes half an hour.
"""

import os
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labelwise.flows import cli
from labelwise.flows.stages import REPRODUCIBLE
from labelwise.tasks import figures, made_with, pull, report, settings
from labelwise.tasks.items.vectors import vectors_of
from labelwise.tasks.labels import ledger
from labelwise.tasks.records import ANSWERS, ASKED, LABELS, content_id, tag
from labelwise.tasks.reporting import page
from labelwise.tasks.services.home import NAMES
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Columns
from labelwise.tasks.upkeep import init
from labelwise.tasks.workspace import Workspace, claimed, write_parquet

CLASSES = ["good", "bad"]
TEXTS = [f"{name} thing number {n}" for n in range(12) for name in CLASSES]
DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "emptied": lambda _content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "noise": lambda content: random.Random(len(content)).randbytes(max(len(content), 64)),
    "gone": lambda _content: None,
}
COMMANDS = {
    "status": ["status"],
    "next": ["next"],
    "report": ["report"],
    "reviewers": ["report", "--reviewers"],
    "lineage": ["lineage", content_id(TEXTS[0])],
    "synthesise": ["synthesise", "2", "between.csv"],
}
APART = (".git/", ".dvc/cache/", ".dvc/tmp/", ".labelwise/data_docs/", ".labelwise/reports/")  # git's, DVC's, pages


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """One round is over: labels, trusted labels, a model, figures, the next batch. No server was asked."""
    folder = tmp_path_factory.mktemp("damage")
    pd.DataFrame({"text": [*TEXTS[:-4], "", "x"]}).to_csv(folder / "pool.csv", index=False)
    pd.DataFrame({"text": TEXTS[-4:], "label": CLASSES * 2}).to_csv(folder / "gold.csv", index=False)
    init.run(folder / "here", str(folder / "pool.csv"), str(folder / "gold.csv"), CLASSES, "n", None, Columns())
    quick = {"select.batch": 4, "train.learner": "ensemble", "evaluate.resamples": 100, "embed.max_tokens": 16}
    settings.change(folder / "here" / "params.yaml", quick)
    here = Workspace.open(folder / "here")
    versions = Versions(here.root)
    pull.run(here)
    ids = [content_id(text) for text in TEXTS[:8]]
    given = {"label": CLASSES * 3, "status": "labelled", "round": 1, "why": "random", "origin": "asked"}
    given |= {"annotator": "1", "annotation_id": range(6), "lead_time_s": 1.0, "propensity": 1.0}
    shard = pd.DataFrame({"id": ids[:6], **given}).reindex(columns=list(LABELS.columns))
    made_with.note(here.root)
    ledger.append(here.labels, 1, LABELS.conform(shard))
    asked = pd.DataFrame({"id": ids[6:], "ask": 1, "text": TEXTS[6:8], "why": "grow"})
    write_parquet(here.trusted / "asked-0001.parquet", asked.reindex(columns=list(ASKED.columns)), ASKED)
    write_parquet(here.trusted / "answers-0001.parquet", ANSWERS.frame(), ANSWERS)
    for run in REPRODUCIBLE.values():
        run(here)
    report.run(here)
    figures.spend(here, "train", 1.0)
    figures.keep_spent(here, 1)
    page.write(here, versions)
    with claimed(here):
        pass
    versions.add()
    for stage in REPRODUCIBLE:
        versions.record(stage)
    versions.save("round 1")
    versions.push()
    versions.save("round 1", tag(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABELWISE_HOME", str(folder / "home"))
        patch.setenv("DVC_NO_ANALYTICS", "1")
        for name in NAMES:
            patch.delenv(name, raising=False)
        patch.chdir(folder)
        yield here


Said = tuple[int, str, str]


@pytest.fixture
def say(
    played: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], Said]:
    """What a command says: exit status, output with the page it wrote, errors. In this process, for speed."""

    def call(command: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["labelwise", *COMMANDS[command], "--workspace", str(played.root)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        if "report" in COMMANDS[command] and not code:
            out += Path(out.strip()).read_text(encoding="utf-8")
        return code, out, err

    return call


def files(root: Path) -> dict[str, bytes]:
    """Every file of the workspace."""
    every = {str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in every.items() if not name.startswith(APART)}


def put(path: Path, content: bytes | None) -> None:
    """Make it the content of a file; what DVC has linked to its cache is not written through."""
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)


def mend(root: Path, whole: dict[str, bytes]) -> None:
    """Put back what is no longer as it was."""
    now = files(root)
    for name in now.keys() | whole.keys():
        if now.get(name) != whole.get(name):
            put(root / name, whole.get(name))
    subprocess.run(["git", "stash", "clear"], cwd=root, check=True)
    subprocess.run(["git", "reset", "--quiet"], cwd=root, check=True)


def follow(root: Path, line: str) -> None:
    """Do what a line proposes, DVC in this process: as one of its own it takes two seconds."""
    from dvc.cli import main as dvc

    advice = re.search(r"To mend it: [^`]*`([^`]+)`", line)
    assert advice, f"nothing is proposed: {line}"
    for step in advice[1].split(" && "):
        program, *words = shlex.split(step)
        if program == "dvc":
            with chdir(root):
                assert dvc([*words, "--quiet"]) == 0, step
        else:
            subprocess.run([program, *words], cwd=root, check=True, capture_output=True)


def one_of_a_sort(names: list[str]) -> list[str]:
    """Of the files with one ending in one folder, the first."""
    found: dict[tuple[Path, str], str] = {}
    for name in names:
        found.setdefault((Path(name).parent, Path(name).suffix), name)
    return list(found.values())


def played_out(whole: dict[str, bytes]) -> list[tuple[str, str, str]]:
    """File, damage and command of each case."""
    if os.environ.get("LABELWISE_FUZZ") == "all":
        return list(product(whole, DAMAGE, COMMANDS))
    every = list(product(DAMAGE, COMMANDS))
    return [(name, *every[5 * number % len(every)]) for number, name in enumerate(one_of_a_sort(list(whole)))]


@pytest.mark.timeout(7200 if os.environ.get("LABELWISE_FUZZ") == "all" else 600)
def test_a_damaged_file_is_named_and_comes_back_or_is_done_without(
    played: Workspace, say: Callable[[str], Said]
) -> None:
    root, whole = played.root, files(played.root)
    versioned = {name: content for name, content in whole.items() if not name.startswith(".labelwise/")}
    expected = {command: [say(command), say(command)][1] for command in COMMANDS}
    assert not [said for said in expected.values() if said[0]], expected
    wrong, cases = [], played_out(whole)
    for name, damage, command in cases:
        put(root / name, DAMAGE[damage](whole[name]))
        try:
            code, out, err = said = say(command)
            if said != expected[command]:
                news = [line for line in out.splitlines() if line not in expected[command][1].splitlines()]
                lines = err.splitlines() if code else [line for line in news if line.startswith("problem ")]
                assert len(lines) == 1, f"{code} {lines or out}"
                assert name in lines[0], lines[0]
                follow(root, lines[0])
                now = files(root)
                assert not [each for each, content in versioned.items() if now.get(each) != content], lines[0]
                assert say(command) == expected[command], f"after {lines[0]}"
        except Exception as error:  # all are collected before the test fails
            wrong.append(f"{name} {damage}, {command}: {type(error).__name__}: {error}")
        finally:
            mend(root, whole)
    print(f"{len(cases)} cases, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("part", [np.s_[:, :3], np.s_[1:]], ids=["dimension", "items"])
def test_vectors_of_another_encoder_or_of_other_items_are_named_and_come_back(
    played: Workspace, say: Callable[[str], Said], part: Any
) -> None:
    expected, path = say("synthesise"), vectors_of(played, played.pool / "shard-0001.parquet")
    there = np.load(path)
    path.unlink()  # what DVC has linked to its cache is not written through
    np.save(path, there[part])
    code, _, err = say("synthesise")
    assert code and len(err.splitlines()) == 1 and "data/vectors/shard-0001.npy" in err, err
    follow(played.root, err)
    assert say("synthesise") == expected
