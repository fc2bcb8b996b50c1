"""What it was worth to ask people about labels once more: a model of today's labels against one of the labels that
these items had first, on the same gold items."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.kinds import Measure
from labelwise.tasks.kinds.measures import Parts

DRAWS = 1000


@dataclass(frozen=True)
class Looked:
    """again: items whose label was asked for again; changed: those of them that have another one now. before, after:
    what the two models are worth, by the loop's measure; low, high: the ends of a 95 % interval of the difference. None
    where no label changed."""

    again: int
    changed: int
    before: float | None = None
    after: float | None = None
    low: float | None = None
    high: float | None = None

    def as_json(self) -> dict[str, Any]:
        """For metrics/proof.json."""
        return asdict(self)


def compare(
    again: int,
    changed: int,
    before: Parts,
    after: Parts,
    weights: NDArray[np.float64],
    measure: Measure,
    rng: np.random.Generator,
) -> Looked:
    """What both models' answers to the g gold items bring to the measure, each item by its weight; the interval is of
    gold items that are weighed anew in each draw (Rubin 1981, 'The Bayesian bootstrap')."""
    own = weights[None]
    exams = rng.dirichlet(np.ones(len(weights)), DRAWS) * weights
    gains = measure.values(after, exams) - measure.values(before, exams)
    low, high = np.quantile(gains, [0.025, 0.975])
    was, now = (float(measure.values(parts, own)[0]) for parts in (before, after))
    return Looked(again, changed, was, now, float(low), float(high))
