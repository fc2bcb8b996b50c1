"""Gate and accuracy where answers are right in part: scores between 0 and 1, as the F1 of two sets is.

One of the benches behind docs/proof.md and docs/proof-gold.md (`make bench-proof`). By itself, five minutes:

    python -m tests.bench.proof_scores [RUNS]
"""

import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from labelwise.tasks.gold import active_testing
from labelwise.tasks.proof.gate import by_signs, compare, level
from tests.bench import figures

RUNS, LOOKS = 300, 30
ALIKE = 0.5  # how the looks' luck correlates
SIZES = (20, 60, 200)
# What a new model scores more than the champion: how much, and in which share of the items
GAINS: dict[str, dict[float, float]] = {
    "equal, gains as losses": {-1: 0.02, -2 / 3: 0.02, -0.5: 0.03, -1 / 3: 0.05}
    | {1: 0.02, 2 / 3: 0.02, 0.5: 0.03, 1 / 3: 0.05},
    "equal: gains 1/3 often, loses 2/3": {-2 / 3: 0.1, 1 / 3: 0.2},
    "equal: gains 1/3 often, loses 1": {-1: 0.05, 1 / 3: 0.15},
    "10 points better, by thirds": {-1 / 3: 0.05, 1 / 3: 0.2, 2 / 3: 0.075},
}
SCORES: dict[str, dict[float, float]] = {
    "right or wrong, 0.95": {1: 0.95, 0: 0.05},
    "mostly right, 0.92": {1: 0.85, 2 / 3: 0.08, 0.5: 0.04, 0: 0.03},
    "0.53": {1: 0.3, 2 / 3: 0.2, 0.5: 0.2, 0: 0.3},
    "never quite right, 0.63": {2 / 3: 0.95, 0: 0.05},
}

Floats = NDArray[np.float64]


def drawn_weights(g: int, rng: np.random.Generator) -> Floats:
    """About such as active testing gives, with a share of rows of one's own."""
    return np.where(rng.random(g) < 0.3, 1.0, rng.gamma(2.0, 0.5, g))


def looks_in_a_row(name: str, g: int, rng: np.random.Generator) -> Floats:
    """(looks, g) gains of 30 models over one champion, on the same items."""
    sizes = [*GAINS[name], 0.0]
    shares = [*GAINS[name].values(), 1 - sum(GAINS[name].values())]
    order = np.argsort(sizes)
    luck = np.sqrt(ALIKE) * rng.normal(size=g) + np.sqrt(1 - ALIKE) * rng.normal(size=(LOOKS, g))
    at = np.searchsorted(np.cumsum(np.array(shares)[order]), ndtr(luck))
    return np.array(sizes)[order][at.clip(max=len(sizes) - 1)]


def gate_rows(runs: int = RUNS) -> Iterator[dict[str, str]]:
    """How often a model is crowned, by the signs alone and as the gate does it. The interval is that of one look."""
    spent = [level(look, 0.95) for look in range(1, LOOKS + 1)]
    for name, gains in GAINS.items():
        true = sum(size * share for size, share in gains.items())
        for g in SIZES:
            for weighed in (False, True):
                rng = np.random.default_rng([g, weighed])
                signs, gate, first, held = 0, 0, 0, 0
                for _ in range(runs):
                    weights = drawn_weights(g, rng) if weighed else np.ones(g)
                    rows = looks_in_a_row(name, g, rng)
                    stakes = rows * weights
                    clear = stakes.sum(axis=1) > 1.8 * np.sqrt((stakes**2).sum(axis=1))  # the others crown nobody
                    found = {
                        at: compare(np.maximum(rows[at], 0), np.maximum(-rows[at], 0), weights, 0.025)
                        for at in {0, *np.flatnonzero(clear).tolist()}
                    }
                    signs += any(by_signs(stakes[at], 20_000)[0] <= spent[at] for at in found)
                    gate += any(one.p_better <= spent[at] for at, one in found.items())
                    first += found[0].p_better <= spent[0]
                    held += found[0].low <= true <= found[0].high
                yield {
                    "the new models are": name,
                    "gold items": f"{g}{', weighed' * weighed}",
                    "crowned in 30 looks, by signs alone": f"{signs / runs:.1%}",
                    "by the gate": f"{gate / runs:.1%}",
                    "at the first look": f"{first / runs:.1%}",
                    "95 % interval holds": f"{held / runs:.1%}",
                }


def accuracy_rows(runs: int = RUNS) -> Iterator[dict[str, str]]:
    """How often the interval of the mean score holds the truth, and its mean width: items drawn by chance, or by the
    model's doubt."""
    for name, shares in SCORES.items():
        rng = np.random.default_rng(3)
        scores = rng.choice([*shares], 4000, p=[*shares.values()])
        doubt = np.clip(1 - scores + rng.normal(scale=0.25, size=4000), 0.01, 1)
        row = {"answers": name}
        for g in (20, 100, 500):
            for how in ("by chance", "drawn"):
                found = []
                for _ in range(runs):
                    order = rng.permutation(4000)
                    rows, weights = order[:g], np.ones(g)
                    if how == "drawn":
                        reserve = order[: max(1000, 2 * g)]
                        drawn = active_testing.draw(doubt[reserve], g, rng)
                        rows = reserve[drawn.rows]
                        weights = active_testing.weights(drawn.propensity, drawn.among)
                    found.append(active_testing.weighted_mean(scores[rows], weights))
                held = np.mean([one.low <= scores.mean() <= one.high for one in found])
                row[f"{g} {how}"] = f"{held:.1%}, {np.mean([one.high - one.low for one in found]):.3f}"
        yield row


def main(runs: int) -> None:
    for rows in (gate_rows, accuracy_rows):
        print(figures.table(pd.DataFrame(rows(runs))), flush=True)
    print(figures.machine())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS)
