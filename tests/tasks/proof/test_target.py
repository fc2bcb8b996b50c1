"""Labels still needed: more for more, none for what is there, and nothing said of what nobody can know."""

import numpy as np
import pandas as pd

from labelwise.tasks.proof.target import needed


def rounds(*points: tuple[int, float]) -> pd.DataFrame:
    labels, accuracy = np.array(points).T
    half = 1.96 * np.sqrt(accuracy * (1 - accuracy) / 2000)
    return pd.DataFrame({"labels": labels, "score": accuracy, "low": accuracy - half, "high": accuracy + half})


FALLING = rounds(*((n, 1 - 2 * n**-0.5) for n in (50, 100, 150, 200, 250, 300)))


def test_a_curve_that_falls_reaches_where_it_would() -> None:
    near, far = needed(FALLING, [0.9, 0.95], seed=0)
    assert near.low is not None and near.middle is not None and near.high is not None
    assert near.low <= 100 <= near.high and 30 < near.middle < 300  # 400 labels in truth, of which 300 are there
    assert far.middle is None or far.middle > near.middle
    assert needed(FALLING, [0.9, 0.95], seed=0) == [near, far]


def test_what_is_there_needs_nothing_and_few_rounds_say_nothing() -> None:
    assert needed(FALLING, [0.8], seed=0)[0].middle == 0
    assert needed(FALLING[:2], [0.9], seed=0) == []
    assert needed(rounds(*((n, 0.0) for n in (25, 50, 75, 100))), [0.9], seed=0) == []  # nothing has been learned yet


def test_a_flat_curve_may_never_get_there() -> None:
    found = needed(rounds(*((n, 0.7) for n in range(50, 1000, 50))), [0.95], seed=0)[0]
    assert found.middle is None and found.high is None


def test_degenerate_curves_say_something_whole() -> None:
    for accuracy in (0.0, 1.0):
        for found in needed(rounds(*((n, accuracy) for n in (10, 20, 30, 40))), [0.5, 0.99], seed=0):
            assert found.score in (0.5, 0.99) and (found.middle is None or found.middle >= 0)
