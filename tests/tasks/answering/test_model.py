"""Which model answers, and what is said where there is none."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labelwise.tasks import figures
from labelwise.tasks.answering import model
from labelwise.tasks.errors import InputError, LabelwiseError, ServiceDown
from labelwise.tasks.services.mlflow import Champion
from labelwise.tasks.workspace import Workspace

CHAMPION = Champion("3", "run", {"labelwise.tag": "round-0003"})


class Tracking:
    """MLflow with the versions 1, whose files are gone, 2 and 3, the champion."""

    def __init__(self, champion: Champion | None = CHAMPION) -> None:
        self.champion = lambda: champion
        self.brought: list[str] = []

    def models(self) -> Any:
        return SimpleNamespace(version=SimpleNamespace(tolist=lambda: ["1", "2", "3"]))

    def tags(self, version: str) -> dict[str, str]:
        return {"labelwise.tag": f"round-000{version}"} | ({"removed": "by labelwise gc"} if version == "1" else {})

    def files(self, version: str, folder: Path) -> Path:
        self.brought.append(version)
        (folder / version).mkdir()
        (folder / version / "which").write_text(version)
        return folder / version


@dataclass
class Choosing:
    """`model.chosen` by what MLflow is: a Tracking, or None where it does not answer."""

    here: Workspace
    patch: pytest.MonkeyPatch

    def __call__(self, tracking: Tracking | None, wanted: str = "") -> tuple[str, str, list[str]]:
        def opened(_settings: object, looking: bool = False) -> Tracking:
            del looking
            if tracking is None:
                raise ServiceDown("MLflow does not answer", fix="`labelwise up`")
            return tracking

        self.patch.setattr(model, "open_tracking", opened)
        told: list[str] = []
        found: Any = model.chosen(self.here, wanted, told.append)
        return found.classifier.folder, found.name, told


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Choosing:
    """Models are known by where they come from; that of round-0000 has learned nothing."""
    here = Workspace(tmp_path)
    content = '{"project": {"name": "n", "id": "i"}, "classes": ["x", "y"], "pull": {"pool": "p", "gold": "g"}}'
    (tmp_path / "params.yaml").write_text(content)

    def loaded(folder: Path, later: bool) -> Any:
        assert later
        name = (folder / "which").read_text() if folder.is_dir() else folder.name
        return SimpleNamespace(model=SimpleNamespace(trained=name != "round-0000"), folder=name)

    class Past:
        def __init__(self, _root: Path, name: str, *_words: Any) -> None:
            self.there = SimpleNamespace(root=Path(name))

        def __enter__(self) -> tuple[None, Any]:
            return None, self.there

        def __exit__(self, *_words: object) -> None:
            pass

    monkeypatch.setattr(model.serving, "load", loaded)
    monkeypatch.setattr(model.clones, "past", Past)

    return Choosing(here, monkeypatch)


def test_the_champion_or_the_one_that_is_named(chosen: Choosing) -> None:
    assert chosen(Tracking()) == ("3", "version 3 (round-0003)", [])
    assert chosen(Tracking(), "2") == ("2", "version 2 (round-0002)", [])
    assert chosen(None, "round-0002") == ("round-0002", "round-0002", [])  # MLflow is not asked


def test_the_files_of_the_champion_are_brought_once(chosen: Choosing) -> None:
    tracking = Tracking()
    for _ in range(2):
        assert chosen(tracking)[0] == "3"
    assert tracking.brought == ["3"]
    tracking.champion = lambda: Champion("2", "another run", {})
    assert chosen(tracking)[:2] == ("2", "version 2")
    tracking.champion = lambda: Champion("1", "a third run", {"removed": "by labelwise gc"})
    with pytest.raises(InputError, match="were removed by `labelwise gc`"):
        chosen(tracking)


@pytest.mark.parametrize(
    ("tracking", "wanted", "problem"),
    [
        (Tracking(None), "", "there is no champion yet. To mend it: answer a batch and let `labelwise run` learn"),
        (
            None,
            "",
            "there is no champion yet, as far as is known without MLflow. To mend it: `labelwise up`; or answer",
        ),
        (None, "2", "MLflow does not answer. To mend it: `labelwise up`"),
        (Tracking(), "9", "--version: expected one of 1, 2, 3, got '9'"),
        (Tracking(), "best", "--version: expected a registered version such as 3, or a round such as round-0003, got"),
        (Tracking(), "1", "the files of version 1 were removed by `labelwise gc`. To mend it: `--version round-0001`"),
        (Tracking(), "round-0000", "the model of round-0000 has learned nothing: expected one of a round with labels"),
    ],
)
def test_where_there_is_no_such_model_it_says_what_to_do(
    chosen: Choosing, tracking: Tracking | None, wanted: str, problem: str
) -> None:
    with pytest.raises(LabelwiseError) as caught:
        chosen(tracking, wanted)
    assert str(caught.value).startswith(problem)
    assert isinstance(caught.value, InputError | ServiceDown)


def test_without_mlflow_it_is_the_champion_of_the_last_round_and_that_is_said(chosen: Choosing) -> None:
    figures.keep_champion(chosen.here, {"version": "2", "learned": 1, "measured": 3})
    folder, name, (told,) = chosen(None)
    assert (folder, name) == ("round-0001", "version 2 (round-0001)")
    assert told.startswith(
        "MLflow does not answer: version 2 is taken, the champion of round 3; a `labelwise rollback`"
    )
