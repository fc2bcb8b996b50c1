"""The savings meter where labels were imported before the first round, with known truth: a synthetic judge, so that
hundreds of loops take a minute.

Items of two classes lie around their class's centre in `WIDTH` dimensions; a model is the difference of its labels'
class means, so that its error follows from the mean variance of its labels alone. Chosen labels lie nearer to their
centre, by `QUIET` in variance: so many of them are worth one random one.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from labelwise.tasks.kinds.measures import Parts, of_scores
from labelwise.tasks.proof import savings

IMPORTED = (0, 200, 1000)
QUIET = {"loop = chance": 1.0, "chosen worth 4": 0.25}
RUNS = 20
ROUNDS, BATCH, CONTROL = 16, 25, 5  # labels a round, and those of them in the control arm
GOLD, WIDTH, APART = 500, 100, 1.6


def measured(imported: int, quiet: float, seed: int, both: bool = True) -> savings.Savings:
    """What the meter says of a loop. both: whether the control arm begins with the imported labels, too."""
    rng = np.random.default_rng([seed, imported])
    n = ROUNDS * BATCH
    in_control = imported + np.flatnonzero(np.arange(n) % BATCH < CONTROL)
    variance = np.ones(imported + n)
    variance[imported:][np.arange(n) % BATCH >= CONTROL] = quiet
    centre = np.zeros(WIDTH)
    centre[0] = APART
    towards = centre + rng.normal(size=(imported + n, WIDTH)) * np.sqrt(variance)[:, None]  # items, turned to one class
    gold = (centre + rng.normal(size=(GOLD, WIDTH))).astype(np.float32)

    def judged(rows: NDArray[np.int64]) -> Parts:
        return of_scores(np.asarray(gold @ towards[rows].mean(axis=0) >= 0, dtype=np.float64))

    base = np.arange(imported)
    rounds = [imported + np.arange(number * BATCH) for number in range(1, ROUNDS + 1)]
    if both:
        found = savings.measure(judged, rounds, in_control, np.ones(GOLD), rng, base)
    else:
        found = savings.measure(judged, [np.concatenate([base, one]) for one in rounds], in_control, np.ones(GOLD), rng)
    assert found is not None
    return found


def truth(imported: int, quiet: float) -> float:
    """The labels of the loop that its whole control arm is worth, over the arm's: where the variance of both models'
    centres is the same."""
    mean = (CONTROL + (BATCH - CONTROL) * quiet) / BATCH
    m = ROUNDS * CONTROL
    arm = 1 / (imported + m)
    return float(brentq(lambda n: (imported + mean * n) / (imported + n) ** 2 - arm, 1e-6, 1.01 * m)) / m


def imported_rows() -> list[dict[str, str]]:
    """A row a number of imported labels and kind of loop."""
    rows = []
    for name, quiet in QUIET.items():
        for imported in IMPORTED:
            true = truth(imported, quiet)
            found = [measured(imported, quiet, seed) for seed in range(RUNS)]
            before = [measured(imported, quiet, seed, both=False) for seed in range(RUNS)]
            rows.append(
                {
                    "loop": name,
                    "imported": f"{imported:,}",
                    "true ratio": f"{true:.2f}",
                    "median": f"{np.median([one.ratio.middle for one in found]):.2f}",
                    "interval holds it": f"{sum(one.ratio.low <= true <= one.ratio.high for one in found)} of {RUNS}",
                    "saves / costs said": _said(found),
                    "median, imported in the loop's alone": f"{np.median([one.ratio.middle for one in before]):.2f}",
                    "said then": _said(before),
                }
            )
    return rows


def _said(found: list[savings.Savings]) -> str:
    verdicts = [one.verdict for one in found]
    return f"{verdicts.count('saves')} / {verdicts.count('costs')}"
