"""Stage `evaluate`: measure the model on the gold set, each figure with its uncertainty."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import bootstrap

from labelwise.tasks import figures, kinds, learners, stage
from labelwise.tasks.gold import trusted
from labelwise.tasks.gold.intervals import estimated
from labelwise.tasks.items.vectors import gold_items
from labelwise.tasks.kinds import Measure, measures
from labelwise.tasks.kinds.base import OfRows
from labelwise.tasks.settings import MeasureName, measure_named
from labelwise.tasks.workspace import Workspace

BINS = 10
MEAN_SCORE = measure_named(None, "choice", [])
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Evaluation:
    """What the gold set says.

    metrics: the kind's mean score (accuracy or set_f1), its further figures, `evaluate.measure` where it is another
    one, with the precision where that asks for one, and calibration_error, all in [0, 1], each with the ends of its
    95 % interval; items.
    predictions: a row a gold item. per_class: a row a class. calibration: a row a bin of confidence.
    """

    metrics: dict[str, float]
    predictions: pd.DataFrame
    per_class: pd.DataFrame
    calibration: pd.DataFrame


def evaluate(
    gold: pd.DataFrame,
    probabilities: NDArray[np.float32],
    classes: list[str],
    resamples: int,
    seed: int,
    measure: Measure = measures.OF_CHOICE,
    thresholds: NDArray[np.float32] | None = None,
) -> Evaluation:
    """Compare (g, c) probabilities with the labels of g gold items (columns id, label, and weight unless all count
    alike).

    The mean score has Wilson's interval, see `gold/active_testing.py`: the percentile bootstrap says 1.000 to 1.000
    where all are right. The other intervals are percentile bootstraps over gold items, each with its weight (Efron &
    Tibshirani 1993, chapter 13).
    """
    weights = gold.weight.to_numpy() if "weight" in gold else np.ones(len(gold))
    answer = measure.answer
    found = answer.measured(gold.label.tolist(), probabilities, classes, thresholds, weights)
    told = {"actual": gold.label, "predicted": found.said, "confidence": found.confidence, "weight": weights}
    metrics: dict[str, float] = {}
    everything = np.arange(len(gold))
    for name, of_rows in found.measures.items():
        value = of_rows(everything)
        low, high = interval(of_rows, everything, resamples, seed)
        metrics |= dict(zip(_ends(name), (value, min(low, value), max(high, value)), strict=True))
    judges = [measures.mean_score(answer), measure, measure.precision_of()]
    for each in {one.name: one for one in judges if one}.values():
        if judged := estimated(each, list(found.said), gold.label.tolist(), weights):
            metrics |= dict(zip(_ends(each.name), (judged.value, judged.low, judged.high), strict=True))
    ends = calibration_error(found.scores, found.confidence, weights)
    metrics |= dict(zip(_ends("calibration_error"), ends, strict=True))
    metrics["items"] = len(gold)
    curve = reliability(found.scores, found.confidence, weights)
    return Evaluation(metrics, pd.DataFrame({"id": gold.id, **told}), found.by_class, curve)


def _ends(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


def interval(measure: OfRows, rows: NDArray[np.int64], resamples: int, seed: int) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a measure over rows. One row alone tells nothing: (0, 1)."""
    if len(rows) < 2:
        return 0.0, 1.0
    result = bootstrap(
        (rows,),
        measure,
        n_resamples=resamples,
        confidence_level=CONFIDENCE,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def calibration_error(
    correct: NDArray[np.float64], confidence: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> tuple[float, float, float]:
    """The calibration error with the ends of its 95 % interval, all in [0, 1]: the root mean square, over equal-width
    bins of confidence, of how far it is from the share that is right. 0 is perfect.

    The gaps that are seen are larger than the true ones, since chance never leaves a bin at 0. So what it adds on
    average is taken off (Kumar, Liang & Ma 2019), here for items that weigh different amounts. A sum of squared gaps is
    near to a noncentral chi square, of which the interval holds the noncentralities that agree with what was seen;
    where less was seen than chance mostly gives, it ends where it would have for the middle of what chance gives
    (Cowan et al. 2011). A bin's variance is that of one item more, half right: all right out of few is no certainty.
    One item alone tells nothing: (0, 1).
    """
    from scipy.special import chdtri, chndtr, chndtrinc

    weights = np.ones(len(correct)) if weights is None else weights
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)

    def by_bin(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(bins, values, minlength=BINS)[filled].astype(np.float64)

    filled = np.bincount(bins, minlength=BINS) > 0
    heavy, whole = by_bin(weights), weights.sum()
    gaps = by_bin(weights * (correct - confidence)) / heavy
    effective = heavy**2 / by_bin(weights**2)
    right = (effective * by_bin(weights * correct) / heavy + 0.5) / (effective + 1)
    chance = heavy / whole * right * (1 - right) / effective  # what each bin adds on average
    seen = float((heavy / whole * gaps**2).sum())
    value = float(np.sqrt(max(seen - chance.sum(), 0.0)))
    if len(correct) < 2:
        return value, 0.0, 1.0
    unit, freedom = (chance**2).sum() / chance.sum(), chance.sum() ** 2 / (chance**2).sum()  # Satterthwaite 1946
    at, tail = seen / unit, (1 - CONFIDENCE) / 2
    least = chndtrinc(at, freedom, 1 - tail) if chndtr(at, freedom, 0.0) > 1 - tail else 0.0
    most = chndtrinc(max(at, float(chdtri(freedom, 0.5))), freedom, tail)
    low, high = (min(float(np.sqrt(unit * end)), 1.0) for end in (least, most))
    return min(value, 1.0), min(low, value), max(high, value)


def reliability(
    correct: NDArray[np.float64], confidence: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> pd.DataFrame:
    """A row a bin that is not empty: mean `confidence`, share that was `correct`, `items` in it."""
    weights = np.ones(len(correct)) if weights is None else weights
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    total = np.bincount(bins, weights, minlength=BINS)
    items = np.bincount(bins, minlength=BINS)
    filled = items > 0
    means = {
        name: np.bincount(bins, weights * values, minlength=BINS)[filled] / total[filled]
        for name, values in (("confidence", confidence), ("correct", correct))
    }
    return pd.DataFrame({**means, "items": items[filled]})


def unmeasured(gold: pd.DataFrame) -> Evaluation:
    """The evaluation of round 0, which has no model, and of a gold set that has no item: the same tables, empty."""
    return Evaluation(
        {"items": len(gold)},
        pd.DataFrame(columns=["id", "actual", "predicted", "confidence", "weight"]),
        pd.DataFrame(columns=["class", "precision", "recall", "f1", "items"]),
        pd.DataFrame(columns=["confidence", "correct", "items"]),
    )


def run(workspace: Workspace) -> str:
    """Read model and gold, write metrics/. Returns a line for people."""
    settings = workspace.settings
    model = learners.load(workspace.model)
    gold = trusted.gold(workspace)
    if model.trained and len(gold):
        p = model.probabilities(gold_items(workspace))
        drawn = settings.evaluate.resamples, settings.seed
        result = evaluate(gold, p, model.classes, *drawn, kinds.measure(settings), learners.thresholds_of(model))
    else:
        result = unmeasured(gold)
    figures.keep_evaluation(workspace, result.metrics, result.predictions, result.per_class, result.calibration)
    said, lack = spoken(result.metrics, settings.measure), trusted.too_few(workspace)
    return f"{said}; {lack}" if lack else said


def spoken(metrics: dict[str, float], measure: MeasureName = MEAN_SCORE) -> str:
    """The headline figure in words.

    >>> spoken({"accuracy": 0.9, "accuracy_low": 0.88, "accuracy_high": 0.92})
    'accuracy 0.900 (95 % interval 0.880 to 0.920)'
    """
    if measure.text not in metrics:
        if not metrics.get("items", 1):
            return "no gold item to measure by"
        return f"no gold item of {measure.of} to measure the {measure.words} by" if len(metrics) > 1 else "no model yet"
    value, low, high = (metrics[name] for name in _ends(measure.text))
    said = f"{measure.words} {value:.3f} (95 % interval {low:.3f} to {high:.3f})"
    return "; ".join(filter(None, [said, figures.precise(metrics, measure)]))


if __name__ == "__main__":
    stage.main(run)
