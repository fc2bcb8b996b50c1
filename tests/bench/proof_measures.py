"""Gate and meter where models are judged by what finds a rare class: its F1, the balanced accuracy, macro F1, and its
recall at a precision, of which the interval is simulated here as well.

One of the benches behind docs/proof.md (`make bench-proof`). By itself, some minutes:

    python -m tests.bench.proof_measures [RUNS]
"""

import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from labelwise.tasks.gold.intervals import estimated
from labelwise.tasks.kinds import Measure, choice
from labelwise.tasks.kinds.measures import Floats, Parts, measure_of
from labelwise.tasks.promote import too_imprecise
from labelwise.tasks.proof import savings
from labelwise.tasks.proof.gate import compare
from labelwise.tasks.settings import measure_named
from tests.bench import figures

RUNS = 300
CLASSES = ["ham", "spam"]
MEASURES = ["f1:spam", "balanced_accuracy", "macro_f1"]
ALIKE = 0.6  # how the two models' luck correlates
SIZES = ((0.02, 500), (0.02, 2000), (0.1, 200), (0.3, 100))  # share of spam, gold items
FOUND, ALARMS = 0.6, 0.01  # of spam, and of ham that is called spam
BOLD = 0.85  # what another model of the same F1 finds, with more alarms
PRECISION = 0.9  # that is asked for
REACHED = (0.97, 0.9, 0.75)
LOUD = (0.95, 0.75)  # what a model finds that has bought it with this precision; the champion finds FOUND at PRECISION
# The meter: items in one dimension, spam above, a learner that puts the limit where the labels say.
ROUNDS, BATCH, CONTROL, GOLD, SHARE = 16, 25, 5, 1500, 0.1
APART = 2.2
BEST = APART / 2 + np.log((1 - SHARE) / SHARE) / APART  # the limit of the fewest errors


def measure(name: str) -> Measure:
    """The measure of two classes of that name."""
    return measure_of(measure_named(name, "choice", CLASSES), choice, CLASSES)


def names(spam: NDArray[np.bool_]) -> list[str]:
    """The labels, where it is spam and where not."""
    return np.array(CLASSES, dtype=object)[spam.astype(int)].tolist()


def alarms_of(found: float, share: float) -> float:
    """The share of ham that a model calls spam which finds so much and has the F1 of FOUND and ALARMS."""
    f1 = 2 * FOUND * share / (FOUND * share + ALARMS * (1 - share) + share)
    return (2 * found * share / f1 - found * share - share) / (1 - share)


def answers(
    truth: NDArray[np.bool_], luck: Floats, found: float, alarms: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """What a model says to be spam that finds this share of it, and calls this share of ham so."""
    u = ndtr(np.sqrt(ALIKE) * luck + np.sqrt(1 - ALIKE) * rng.normal(size=len(truth)))
    return np.where(truth, u < found, u < alarms)


def weights_of(g: int, weighed: bool, rng: np.random.Generator) -> Floats:
    """What g gold items count."""
    return np.where(rng.random(g) < 0.3, 1.0, rng.gamma(2.0, 0.5, g)) if weighed else np.ones(g)


def gate_rows(runs: int = RUNS) -> Iterator[dict[str, str]]:
    """How often one of two models is shown to be better than the other, one-sided at 2.5 %, though they are equal."""
    for name in MEASURES:
        for share, g in SIZES:
            for weighed in (False, True):
                for bold in (False, True) if name == "f1:spam" else (False,):
                    rng = np.random.default_rng([g, weighed, bold])
                    better, worse, held = 0, 0, 0
                    for _ in range(runs):
                        truth, luck = rng.random(g) < share, rng.normal(size=g)
                        rates = (BOLD if bold else FOUND, alarms_of(BOLD, share) if bold else ALARMS), (FOUND, ALARMS)
                        new, old = (answers(truth, luck, *each, rng) for each in rates)
                        weights = weights_of(g, weighed, rng)
                        paired = measure(name).paired(names(new), names(old), names(truth), weights)
                        one = compare(paired.new, paired.old, paired.weights, 0.025).times(paired.scale)
                        better += one.p_better <= 0.025
                        worse += one.p_worse <= 0.025
                        held += one.low <= 0 <= one.high
                    yield {
                        "measure": name,
                        "gold items": f"{g}, {share:.0%} spam{', weighed' * weighed}",
                        "the new model": "finds more, with more alarms" if bold else "is as the old one",
                        "shown to be better": f"{better / runs:.1%}",
                        "worse": f"{worse / runs:.1%}",
                        "95 % interval holds": f"{held / runs:.1%}",
                    }


def precision_rows(runs: int = RUNS) -> Iterator[dict[str, str]]:
    """The recall at a precision: whether its interval holds; how often the gate shows one of two models to be better,
    one-sided at 2.5 %, and refuses it for its precision. The new model is as the champion, or louder."""
    of = measure(f"recall:spam at precision {PRECISION}")
    rows = [(FOUND, reached, reached) for reached in REACHED] + [(*LOUD, PRECISION)]
    for share, g in SIZES:
        for weighed in (False, True):
            for found, reached, before in rows:
                rng = np.random.default_rng([g, weighed, round(100 * reached)])
                rates = [(r, r * share * (1 / q - 1) / (1 - share)) for r, q in ((found, reached), (FOUND, before))]
                true = found / max(1.0, 1 - found + found * (1 / reached - 1) * of.price)
                told: list[tuple[bool, ...]] = []
                figure: list[float] = []
                for _ in range(runs):
                    truth, luck = rng.random(g) < share, rng.normal(size=g)
                    new, old = (names(answers(truth, luck, *each, rng)) for each in rates)
                    actual, weights = names(truth), weights_of(g, weighed, rng)
                    paired = of.paired(new, old, actual, weights)
                    one = compare(paired.new, paired.old, paired.weights, 0.025).times(paired.scale)
                    refused = bool(too_imprecise(of, new, old, actual, weights))
                    judged = estimated(of, new, actual, weights)
                    held = judged is None or judged.low <= true <= judged.high
                    better = one.p_better <= 0.025
                    told.append((better, one.p_worse <= 0.025, refused, better and not refused, held))
                    figure.append(judged.value if judged else np.nan)
                shares = [f"{part:.1%}" for part in np.mean(told, axis=0)]
                heads = ("shown to be better", "worse", "refused for its precision", "promoted", "95 % interval holds")
                yield {
                    "gold items": f"{g}, {share:.0%} spam{', weighed' * weighed}",
                    "the new model": f"finds {found:.0%}, precision {reached:.0%}",
                    "the champion": f"{FOUND:.0%}, {before:.0%}",
                    "figure (mean found)": f"{true:.2f} ({np.nanmean(figure):.2f})",
                    **dict(zip(heads, shares, strict=True)),
                }


def metered(name: str, gain: float, seed: int) -> savings.Savings | None:
    """What the meter says where a chosen label is worth `gain` random ones: a learner knows the place of the limit
    between the classes as well as the root of its labels' worth lets it."""
    rng = np.random.default_rng([seed, 7])
    own = measure(name)
    spam = rng.random(GOLD) < SHARE
    at = np.where(spam, APART, 0.0) + rng.normal(size=GOLD)

    def judged(rows: NDArray[np.int64]) -> Parts:
        worth = float(np.where(rows < 10_000, 1.0, gain).sum())
        luck = np.random.default_rng(rows)
        limit = BEST + 3.0 * max(worth, 1.0) ** -0.5 * (1 + 0.2 * luck.normal())
        return own.parts(names(at > limit), names(spam))

    arm, chosen = np.arange(ROUNDS * CONTROL), 10_000 + np.arange(ROUNDS * (BATCH - CONTROL))
    so_far = [np.concatenate([arm[: n * CONTROL], chosen[: n * (BATCH - CONTROL)]]) for n in range(1, ROUNDS + 1)]
    return savings.measure(judged, so_far, arm, np.ones(GOLD), rng, measure=own)


def meter_rows(runs: int = 40) -> Iterator[dict[str, str]]:
    """The verdicts, and how often the interval holds the true ratio."""
    for name in MEASURES:
        for gain in (0.5, 1.0, 3.0):
            found = [one for seed in range(runs) if (one := metered(name, gain, seed))]
            true = BATCH / (CONTROL + gain * (BATCH - CONTROL))
            verdicts = pd.Series([one.verdict for one in found]).value_counts(normalize=True)
            yield {
                "measure": name,
                "a chosen label is worth": f"{gain:g} random ones",
                "true ratio": f"{true:.2f}",
                "found, median": f"{np.median([one.ratio.middle for one in found]):.2f}",
                "90 % interval holds": f"{np.mean([one.ratio.low <= true <= one.ratio.high for one in found]):.0%}",
                **{word: f"{verdicts.get(word, 0):.0%}" for word in ("saves", "costs", "unclear")},
            }


def main(runs: int) -> None:
    """All tables."""
    print(figures.table(pd.DataFrame(meter_rows(max(runs // 8, 5)))), flush=True)
    print(figures.table(pd.DataFrame(gate_rows(runs))), flush=True)
    print(figures.table(pd.DataFrame(precision_rows(runs))), flush=True)
    print(figures.machine())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS)
