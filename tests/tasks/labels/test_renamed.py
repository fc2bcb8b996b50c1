"""A class with another name than when something was said of it: the one line that asks, and what counts once it is
followed."""

import json
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
from ruamel.yaml import YAML

from labelwise.tasks.errors import SettingsError
from labelwise.tasks.gold import trusted
from labelwise.tasks.labels import ledger, removed
from labelwise.tasks.labels.removed import advice, successors
from labelwise.tasks.records import GOLD, LABELS, tag
from labelwise.tasks.services.versions.workspace import Versions
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


@pytest.mark.parametrize(
    ("classes", "past", "line"),
    [
        (["x", "money: in", "v", "w"], history(classes=["x", "y", "v", "w"]), 'renamed: {y: "money: in"}'),
        (["x", "why", "v", "w"], history(), "renamed: {y: why}"),  # no round yet, but nothing bears `why`
        (["x", "why", "v", "w", "more"], history(classes=["x", "y", "v", "w", "more"]), "renamed: {y: why}"),
        (["ex", "why", "v", "w"], history(classes=["x", "y", "v", "w"]), "renamed: {x: ex, y: why}"),
        (["w", "v", "x", "why", "new"], history(classes=["x", "y", "v", "w", "new"]), "renamed: {y: why}"),
        (["x", "v", "w"], history(classes=["x", "v", "w"], renamed={"y": "x"}), "renamed: {y: x}"),  # the line was lost
    ],
)
def test_the_advice_is_a_line_to_be_followed(root: Path, classes: list[str], past: Versions, line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        removed.refuse(here(root, classes=classes), past)
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert "'y' (2 labels, 0 gold rows)" in said and f"add to params.yaml the line `{line}`; else put" in said
    followed = here(root, classes=classes, **YAML(typ="safe").load(line))
    removed.refuse(followed, past)
    assert set(ledger.effective(ledger.today(followed)).label) <= set(classes)
    assert len(ledger.effective(ledger.today(followed))) == 5
    assert ledger.read(followed.labels).label.tolist() == list("xxyyv")  # no row is edited


def test_names_of_which_only_people_know_what_they_are_now(root: Path) -> None:
    with pytest.raises(SettingsError, match=r"none of the name 'v' \(1 labels, 0 gold rows\), 'w' \(0 labels, 1 gold"):
        removed.refuse(here(root, classes=["x", "y", "new"]), history(classes=["x", "y", "v", "w"]))
    with pytest.raises(SettingsError, match=r"\{v: CLASS, w: CLASS\}`, with the class that each is today"):
        removed.refuse(here(root, classes=["x", "y", "new", "newer"]), history())  # in which order, nobody knows
    merged = here(root, classes=["x", "y", "new"], renamed={"v": "new", "w": "new"})
    removed.refuse(merged, history(classes=["x", "y", "v", "w"]))
    assert trusted.gold(merged).label.tolist() == ["new"]
    assert pd.read_parquet(merged.gold).label.tolist() == ["w"]


def test_advice_changes_the_line_that_is_there_and_names_the_way_back() -> None:
    shown = "git show round-0003:params.yaml"
    more = advice(["b"], {"b": "c"}, {"a": "z"}, shown)
    assert "change the line `renamed` of params.yaml to `renamed: {a: z, b: c}`; else put it back" in more
    assert more.endswith(f"`{shown}` shows how")
    unknown = advice(["b", "d"], {}, {}, shown)
    assert "if they have other names now, add to params.yaml the line `renamed: {b: CLASS, d: CLASS}`" in unknown


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
