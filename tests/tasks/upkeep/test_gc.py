"""What can go, and what never does."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
from mlflow.store.entities import PagedList

from labelwise.tasks.services.mlflow import Tracking
from labelwise.tasks.upkeep.gc import Waste, lines, old_models, unneeded


def models(*rows: tuple[str, str | None, bool, bool]) -> pd.DataFrame:
    """Versions (version, model, promoted, removed); the run of version n is `run n`."""
    frame = pd.DataFrame(rows, columns=["version", "model_id", "promoted", "removed"])
    return frame.assign(run_id="run " + frame.version)


def test_what_some_version_needs_stays() -> None:
    objects = pd.Series({"a": 1, "b": 2, "c": 3})
    assert unneeded(objects, {"b", "elsewhere"}).to_dict() == {"a": 1, "c": 3}


def test_of_the_models_those_go_that_were_never_champion_and_are_old() -> None:
    given = models(
        ("1", "m1", True, False),  # a champion long ago
        ("2", "m2", False, False),
        ("3", "m3", False, False),  # the champion, made so by hand
        ("4", "m4", False, False),
        ("5", "m5", True, False),  # the champion that was rolled back
        ("6", "m6", False, True),  # gone already
        ("7", None, False, False),  # its files are nowhere
        ("8", "m8", False, False),  # of no round that anybody knows
        ("9", "m9", False, False),  # too young
    )
    rounds = {f"run {number}": number for number in (1, 2, 3, 4, 5, 6, 7, 9)}
    found = old_models(given, rounds, champion="3", since=9)
    assert found[["version", "round"]].to_numpy().tolist() == [["2", 2], ["4", 4]]
    assert old_models(given, rounds, champion=None, since=0).empty
    assert old_models(models(), {}, None, 5).empty


def test_who_has_ever_been_champion_is_known_after_a_rollback_too() -> None:
    def version(number: int, **tags: str) -> Any:
        return SimpleNamespace(name="n", version=number, run_id=f"run {number}", source=f"models:/m{number}", tags=tags)

    versions = [
        version(5, promoted="true", replaces="3", rolled_back="true"),
        version(4, promoted="false"),
        version(3, promoted="true", replaces="2"),
        version(2),  # crowned by hand, as its successor says
        version(1),
    ]
    tracking: Any = object.__new__(Tracking)
    tracking.name, tracking.client = (
        "n",
        SimpleNamespace(search_model_versions=lambda *_, **__: PagedList(versions, token=None)),
    )
    found = tracking.models()
    assert found.version[found.promoted].tolist() == ["2", "3", "5"]


def test_what_is_kept_is_said_too() -> None:
    nothing = pd.Series(dtype="int64")
    empty = pd.DataFrame({"version": [], "bytes": pd.Series(dtype="int64")})
    assert len(lines(Waste(nothing, nothing, empty), 10, removed=True)) == 2
    said = lines(Waste(pd.Series({"a": 2_000_000}), pd.Series({"b": 1}), empty), 10, removed=False)
    assert said[0] == "DVC cache    1 (2.0 MB) can go: no version needs them, and the DVC remote has them"
    assert "the DVC remote lacks them" in said[2]
    assert "--remove" in said[3]
