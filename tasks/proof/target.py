"""How many more labels it takes to reach a mean score, which is what a manager asks first."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.proof.curves import MOST, Points, posterior

ROUNDS = 3  # with fewer points a curve says nothing
DRAWS = 200
LEVELS = (0.05, 0.5, 0.95)
REACHABLE = 0.5  # share of the curves that must reach a score, for the labels to be named


@dataclass(frozen=True)
class Needed:
    """How many more labels it takes to reach the score, with a 90 % interval. None: it is never reached, as far as the
    curve tells; middle None: nobody can say."""

    score: float
    low: int | None
    middle: int | None
    high: int | None


def needed(rounds: pd.DataFrame, scores: list[float], seed: int) -> list[Needed]:
    """How many more labels it takes to reach each of these mean scores, by the loop's own learning curve (columns
    labels, score, low, high: a 95 % interval, a row a round). Empty before `ROUNDS` rounds have a model, and while none
    of these gets anything right.

    Curves are drawn from their posterior (tasks/proof/curves.py). All rounds are measured on one gold set, which is
    luckier or less so for all of them alike; that is drawn, too. More labels of the same kind are supposed: a new class
    or other reviewers change the curve.
    """
    known = rounds.dropna(subset=["score", "low", "high"])
    known = known[known.labels > 0].drop_duplicates("labels", keep="last")
    if len(known) < ROUNDS or not known.score.any():  # a curve that has not left 0 does not show how it will rise
        return []
    rng = np.random.default_rng([seed, 5, len(known)])
    errors, deviation = 1 - known.score.to_numpy(), ((known.high - known.low) / 3.92).to_numpy()
    sizes, now = known.labels.to_numpy(dtype=float), float(known.labels.max())
    luck = rng.normal(size=(DRAWS, 1)) * deviation
    drawn = np.clip(errors + luck, 1e-4, 1 - 1e-4)
    curves = posterior(Points(sizes, drawn, np.maximum(deviation / 2, 0.002)), rng, each=2)
    last = float(1 - known.score.iloc[-1])
    return [_needed(curves.labels_for(np.full(2 * DRAWS, 1 - wanted)) - now, wanted, last, now) for wanted in scores]


def _needed(more: NDArray[np.float64], wanted: float, error: float, now: float) -> Needed:
    if 1 - error >= wanted:
        return Needed(wanted, 0, 0, 0)
    endless = (MOST - 1) * now * 0.99
    low, middle, high = (float(np.quantile(more, level)) for level in LEVELS)
    ends = [None if end >= endless else max(round(end), 0) for end in (low, middle, high)]
    return Needed(wanted, *ends)
