"""Stage `promote`: who is the champion, and what a run is told of the settings."""

import pytest

from tasks.promote import flat, passes
from tasks.services.mlflow import Champion

CHAMPION = Champion("4", 0.9, "gold-hash")


@pytest.mark.parametrize(
    ("accuracy", "tolerance", "promoted", "why"),
    [
        (0.91, 0.0, True, "gold accuracy 0.9100 is not worse than version 4's 0.9000"),
        (0.9, 0.0, True, "gold accuracy 0.9000 is not worse than version 4's 0.9000"),
        (0.8999, 0.0, False, "gold accuracy 0.8999 is worse than version 4's 0.9000"),
        (0.89, 0.02, True, "gold accuracy 0.8900 is not worse than version 4's 0.9000 less 0.02"),
        (0.87, 0.02, False, "gold accuracy 0.8700 is worse than version 4's 0.9000 less 0.02"),
    ],
)
def test_the_gate(accuracy: float, tolerance: float, promoted: bool, why: str) -> None:
    assert passes(accuracy, "gold-hash", CHAMPION, tolerance) == (promoted, why)


def test_the_first_model_is_the_champion() -> None:
    assert passes(0.0, "gold-hash", None, 0.0) == (True, "the first model")


@pytest.mark.parametrize(
    "champion", [Champion("4", 0.9, "another"), Champion("4", 0.9, ""), Champion("4", None, "gold-hash")]
)
def test_figures_of_different_gold_sets_are_not_compared(champion: Champion) -> None:
    promoted, why = passes(0.1, "gold-hash", champion, 0.0)
    assert promoted
    assert why == "version 4 was measured on another gold set, so the newer model is taken"


def test_settings_as_flat_texts_that_mlflow_takes() -> None:
    nested = {"seed": 0, "pull": {"pool": "p" * 900, "columns": {"id": None}}, "wait": {"poll_seconds": [1, 30]}}
    assert flat(nested) == {
        "seed": "0",
        "pull.pool": "p" * 500,
        "pull.columns.id": "None",
        "wait.poll_seconds": "[1, 30]",
    }
