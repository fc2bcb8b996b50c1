"""Do chosen labels teach as much as random ones? A model of labels that the strategy chose against a model of as many
labels of the control arm, on the same gold items.

The savings meter follows whole curves; with fewer than some hundred control labels it tells nothing from a little, and
the loop that it follows has its control labels, too. Here the chosen ones stand alone, so what teaches next to nothing
(outliers, near-copies, what the model is sure of) shows early. For the same reason a strategy that asks what is
difficult looks a little worse here than it is: only what is clear counts (docs/proof.md).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from labelwise.tasks.kinds import Measure, measures
from labelwise.tasks.kinds.measures import Parts
from labelwise.tasks.proof.contrast import CONFIDENCE, LEAST, MOST, Contrast
from labelwise.tasks.proof.savings import NO_LABELS

DRAWS = 12


class Taught(Contrast):
    """By the loop's measure."""

    @property
    def less(self) -> bool:
        """Whether chosen labels clearly taught less."""
        return self.clear

    def as_json(self, verdict: str = "less") -> dict[str, Any]:
        """For metrics/proof.json."""
        return super().as_json(verdict)


def compare(
    judged: Callable[[NDArray[np.int64]], Parts],
    chosen: NDArray[np.int64],
    control: NDArray[np.int64],
    weights: NDArray[np.float64],
    rng: np.random.Generator,
    base: NDArray[np.int64] = NO_LABELS,
    measure: Measure = measures.OF_CHOICE,
) -> Taught | None:
    """As many chosen labels as control labels. None where either are fewer than twenty.

    judged, weights, base: as of `savings.measure`. chosen, control: label numbers. Each draw takes labels of either
    sort with replacement (the bootstrap: Efron 1979) and weighs the gold items anew (Rubin 1981), so the interval
    holds what chance there is in both.
    """
    k = min(len(chosen), len(control), MOST)
    if k < LEAST:
        return None
    values = np.empty((DRAWS, 2))
    for draw in range(DRAWS):
        exam = rng.dirichlet(np.ones(len(weights))) * weights
        for at, sort in enumerate((chosen, control)):
            rows = np.sort(np.concatenate([base, rng.choice(sort, k)]))
            values[draw, at] = measure.values(judged(rows), exam[None])[0]
    gains = values[:, 0] - values[:, 1]
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, DRAWS - 1) * gains.std(ddof=1))
    difference = float(gains.mean())
    own, other = values.mean(axis=0)
    return Taught(k, float(own), float(other), difference, difference - reach, difference + reach)
