"""A class with another name than when something was said of it: the one line that asks, and what counts once it is
followed."""

import json
import re
import shlex
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks.errors import SettingsError
from labelwise.tasks.gold import trusted
from labelwise.tasks.labels import ledger, removed, renamed
from labelwise.tasks.labels.removed import advice, successors
from labelwise.tasks.records import GOLD, LABELS, tag
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.upkeep import classes as upkeep
from labelwise.tasks.workspace import Workspace, write_parquet

GIVEN = {"project": {"name": "n", "id": "i"}, "pull": {"pool": "p", "gold": "g"}}


class History:
    """The rounds that there were, and the params.yaml of the last."""

    def __init__(self, last: dict[str, Any] | None = None) -> None:
        self.last = last

    def tagged(self, name: str) -> bool:
        return self.last is not None and name == tag(0)

    def git(self, *_words: str) -> str:
        return json.dumps(GIVEN | (self.last or {}))


def test_chances_of_a_model_are_those_of_the_classes_of_today(tmp_path: Path) -> None:
    told = {"classes": ["x", "y"], "renamed": {"a": "x", "b": "x"}, "dropped": ["c"]}
    (tmp_path / "params.yaml").write_text(json.dumps(GIVEN | told))
    p = np.array([[0.25, 0.25, 0.25, 0.25], [0.75, 0.0, 0.5, 0.0]], np.float32)
    found = renamed.chances(p, ["a", "y", "b", "c"], Workspace(tmp_path).settings)
    assert {name: found[name].tolist() for name in found} == {"x": [0.5, 1.0], "y": [0.25, 0.0]}


def history(**last: Any) -> Versions:
    return cast(Versions, History(last or None))


def here(root: Path, **content: Any) -> Workspace:
    (root / "params.yaml").write_text(json.dumps(GIVEN | content))
    return Workspace(root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two labels each of x and y, one of v, and a gold row of w."""
    made = Workspace(tmp_path)
    rows = [{"id": str(n), "label": label, "status": "labelled", "round": 0} for n, label in enumerate("xxyyv")]
    ledger.append(made.labels, 0, LABELS.conform(pd.DataFrame(rows, columns=list(LABELS.columns))))
    write_parquet(made.gold, pd.DataFrame({"id": ["g"], "text": ["t"], "source_id": [None], "label": ["w"]}), GOLD)
    return tmp_path


def test_before_there_are_labels_a_class_may_go(tmp_path: Path) -> None:
    removed.refuse(here(tmp_path, classes=["x", "z"]), history())


@pytest.mark.parametrize(("was", "now"), [("choice", "multilabel"), ("multilabel", "choice")])
def test_a_kind_stays_as_it_is_once_there_is_a_round(root: Path, was: str, now: str) -> None:
    past = history(classes=["x", "y", "v", "w"], kind={"item": "text", "answer": was})
    changed = here(root, classes=["x", "y", "v", "w"], kind={"item": "text", "answer": now})
    with pytest.raises(SettingsError, match=f"expected item text, answer {was}, got .*put `answer: {was}` back"):
        removed.refuse(changed, past)
    removed.refuse(here(root, classes=["x", "y", "v", "w"], kind={"item": "text", "answer": was}), past)


@pytest.mark.parametrize(("was", "now"), [("choice", "multilabel"), ("multilabel", "choice")])
def test_a_kind_stays_as_it_is_once_there_are_labels(tmp_path: Path, was: str, now: str) -> None:
    """Such as were imported, before any round is complete."""
    said = {"choice": ["x", "y"], "multilabel": ["[]", '["x", "y"]']}[was]
    rows = [{"id": str(n), "label": label, "status": "labelled", "round": 0} for n, label in enumerate(said)]
    rows.append({"id": "s", "label": None, "status": "skipped", "round": 0})
    ledger.append(Workspace(tmp_path).labels, 0, LABELS.conform(pd.DataFrame(rows, columns=list(LABELS.columns))))
    with pytest.raises(SettingsError, match=f"expected item text, answer {was}, got .*put `answer: {was}` back"):
        removed.refuse(here(tmp_path, classes=["x", "y"], kind={"answer": now}), history())
    removed.refuse(here(tmp_path, classes=["x", "y"], kind={"answer": was}), history())


def test_a_kind_stays_as_it_is_once_gold_is_read(tmp_path: Path) -> None:
    gold = pd.DataFrame({"id": ["g"], "text": ["t"], "source_id": [None], "label": ["x"]})
    write_parquet(Workspace(tmp_path).gold, gold, GOLD)
    with pytest.raises(SettingsError, match="answer choice, got item text, answer multilabel"):
        removed.refuse(here(tmp_path, classes=["x", "y"], kind={"answer": "multilabel"}), history())


def test_a_class_may_be_called_as_a_list_is_written(tmp_path: Path) -> None:
    gold = pd.DataFrame({"id": ["g"], "text": ["t"], "source_id": [None], "label": ['["x"]']})
    write_parquet(Workspace(tmp_path).gold, gold, GOLD)
    removed.refuse(here(tmp_path, classes=['["x"]', "y"]), history())


def test_before_there_are_labels_a_kind_may_change(tmp_path: Path) -> None:
    removed.refuse(here(tmp_path, classes=["x", "z"], kind={"answer": "multilabel"}), history())


def follow(workspace: Workspace, advice: str) -> Workspace:
    """Do what the advice says, word by word."""
    for command in advice.split(" && "):
        words = shlex.split(command)
        assert words[:2] == ["labelwise", "classes"] and words[3:5] == ["--workspace", str(workspace.root)]
        after, _ = upkeep.planned(workspace, words[2], [word for word in words[5:] if word != "--"])
        upkeep.write(workspace, after)
    return workspace


@pytest.mark.parametrize(
    ("classes", "past", "renames"),
    [
        (["x", "money: in", "v", "w"], history(classes=["x", "y", "v", "w"]), {"y": "money: in"}),
        (["x", "-1", "v", "w"], history(classes=["x", "y", "v", "w"]), {"y": "-1"}),
        (["x", "why", "v", "w"], history(), {"y": "why"}),  # no round yet, but nothing bears `why`
        (["x", "why", "v", "w", "more"], history(classes=["x", "y", "v", "w", "more"]), {"y": "why"}),
        (["ex", "why", "v", "w"], history(classes=["x", "y", "v", "w"]), {"x": "ex", "y": "why"}),
        (["w", "v", "x", "why", "new"], history(classes=["x", "y", "v", "w", "new"]), {"y": "why"}),
        (["x", "v", "w"], history(classes=["x", "v", "w"], renamed={"y": "x"}), {"y": "x"}),  # the line was lost
    ],
)
def test_the_advice_is_a_command_to_be_followed(
    root: Path, classes: list[str], past: Versions, renames: dict[str, str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        removed.refuse(here(root, classes=classes), past)
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert "'y' (2 labels, 0 gold rows)" in said
    renaming, dropping = re.findall("now, `([^`]+)`; if (?:it is|they are) to go, `([^`]+)`; else put", said)[0]
    by_hand = here(root, classes=classes, renamed=renames)  # as a line of params.yaml
    removed.refuse(by_hand, past)
    followed = follow(here(root, classes=classes), renaming)
    removed.refuse(followed, past)
    assert (followed.settings.classes, followed.settings.renamed) == (classes, renames)
    assert set(ledger.effective(ledger.today(followed)).label) <= set(classes)
    assert len(ledger.effective(ledger.today(followed))) == 5
    gone = follow(here(root, classes=classes), dropping)
    removed.refuse(gone, past)
    assert (gone.settings.classes, gone.settings.dropped) == (classes, [*renames])
    assert ledger.read(followed.labels).label.tolist() == list("xxyyv")  # no row is edited


def test_names_of_which_only_people_know_what_they_are_now(root: Path) -> None:
    with pytest.raises(SettingsError, match=r"none of the name 'v' \(1 label, 0 gold rows\), 'w' \(0 labels, 1 gold"):
        removed.refuse(here(root, classes=["x", "y", "new"]), history(classes=["x", "y", "v", "w"]))
    with pytest.raises(SettingsError, match=r" v CLASS && .* w CLASS`, with the class that each is today"):
        removed.refuse(here(root, classes=["x", "y", "new", "newer"]), history())  # in which order, nobody knows
    merged = here(root, classes=["x", "y", "new"], renamed={"v": "new", "w": "new"})
    removed.refuse(merged, history(classes=["x", "y", "v", "w"]))
    assert trusted.gold(merged).label.tolist() == ["new"]
    assert pd.read_parquet(merged.gold).label.tolist() == ["w"]


def test_advice_names_the_way_back() -> None:
    shown = "git show round-0003:params.yaml"
    assert advice(["b"], {"b": "c"}, shown) == (
        "if 'b' is called 'c' now, `labelwise classes rename b c`; if it is to go, `labelwise classes drop b`; else "
        f"put it back as written before, `{shown}` shows how"
    )


@pytest.mark.parametrize(
    ("gone", "classes", "before", "found"),
    [
        (["a"], ["b", "x"], ["a", "b"], {"a": "x"}),  # at another place
        (["a"], ["b"], ["a", "b"], {}),  # taken out
        (["a"], ["b", "x", "y"], ["a", "b"], {}),  # which of the two?
        (["a", "b"], ["y", "x", "c"], ["a", "b", "c"], {"a": "y", "b": "x"}),  # each in its place
        (["a", "b"], ["c", "x", "y"], ["a", "b", "c"], {}),  # moved: nobody can tell
        (["a", "b"], ["x", "b2", "c", "d"], ["a", "b", "c"], {}),
    ],
)
def test_what_a_class_is_called_now(
    gone: list[str], classes: list[str], before: list[str], found: dict[str, str]
) -> None:
    assert successors(gone, classes, before) == found
