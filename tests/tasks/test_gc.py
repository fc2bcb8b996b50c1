"""What can go, and what never does."""

import pandas as pd

from tasks.gc import Waste, lines, old_models, unneeded


def models(*rows: tuple[str, str | None, str | None, bool]) -> pd.DataFrame:
    """Versions (version, model, replaces, removed); the run of version n is `run n`."""
    frame = pd.DataFrame(rows, columns=["version", "model_id", "replaces", "removed"])
    return frame.assign(run_id="run " + frame.version)


def test_what_some_version_needs_stays() -> None:
    objects = pd.Series({"a": 1, "b": 2, "c": 3})
    assert unneeded(objects, {"b", "elsewhere"}).to_dict() == {"a": 1, "c": 3}


def test_of_the_models_those_go_that_were_never_champion_and_are_old() -> None:
    given = models(
        ("1", "m1", None, False),  # the champion before the last one
        ("2", "m2", None, False),
        ("3", "m3", "1", False),  # ... which it replaced
        ("4", "m4", None, False),
        ("5", "m5", "3", False),  # the champion
        ("6", "m6", None, True),  # gone already
        ("7", None, None, False),  # its files are nowhere
        ("8", "m8", None, False),  # of no round that anybody knows
        ("9", "m9", None, False),  # too young
    )
    rounds = {f"run {number}": number for number in (1, 2, 3, 4, 5, 6, 7, 9)}
    found = old_models(given, rounds, champion="5", since=9)
    assert found[["version", "round"]].to_numpy().tolist() == [["2", 2], ["4", 4]]
    assert old_models(given, rounds, champion=None, since=0).empty
    assert old_models(models(), {}, None, 5).empty


def test_what_is_kept_is_said_too() -> None:
    nothing = pd.Series(dtype="int64")
    empty = pd.DataFrame({"version": [], "bytes": pd.Series(dtype="int64")})
    assert len(lines(Waste(nothing, nothing, empty), 10, removed=True)) == 2
    said = lines(Waste(pd.Series({"a": 2_000_000}), pd.Series({"b": 1}), empty), 10, removed=False)
    assert said[0] == "DVC cache    1 (2.0 MB) can go: no version needs them, and the DVC remote has them"
    assert "the DVC remote lacks them" in said[2]
    assert "--remove" in said[3]
