"""Stage `evaluate`: measure the model on the gold set, each figure with its uncertainty."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import bootstrap
from sklearn.metrics import precision_recall_fscore_support

from labelwise.tasks import learners, stage
from labelwise.tasks.gold import trusted
from labelwise.tasks.gold.active_testing import accuracy
from labelwise.tasks.items.vectors import gold_items
from labelwise.tasks.workspace import Workspace, write_csv, write_json

BINS = 10
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Evaluation:
    """What the gold set says.

    metrics: accuracy, macro_f1 and calibration_error, in [0, 1], each with the ends of its 95 % interval; items.
    predictions: a row a gold item. per_class: a row a class. calibration: a row a bin of confidence.
    """

    metrics: dict[str, float]
    predictions: pd.DataFrame
    per_class: pd.DataFrame
    calibration: pd.DataFrame


def evaluate(
    gold: pd.DataFrame, probabilities: NDArray[np.float32], classes: list[str], resamples: int, seed: int
) -> Evaluation:
    """Compare (g, c) probabilities with the labels of g gold items (columns id, label, and weight unless all count
    alike).

    The accuracy has Wilson's interval, see `proof/active_testing.py`: the percentile bootstrap says 1.000 to 1.000
    where all are right. The other intervals are percentile bootstraps over gold items, each with its weight (Efron &
    Tibshirani 1993, chapter 13).
    """
    weights = gold.weight.to_numpy() if "weight" in gold else np.ones(len(gold))
    actual = pd.Index(classes).get_indexer(pd.Index(gold.label))
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1).astype(np.float64)
    names = np.asarray(classes, dtype=object)
    predictions = pd.DataFrame(
        {
            "id": gold.id,
            "actual": gold.label,
            "predicted": names[predicted],
            "confidence": confidence,
            "weight": weights,
        }
    )
    correct = actual == predicted
    measures: dict[str, Measure] = {
        "macro_f1": lambda rows: macro_f1(actual[rows], predicted[rows], len(classes), weights[rows]),
    }
    right = accuracy(correct.astype(np.float64), weights)
    metrics: dict[str, float] = {"accuracy": right.value, "accuracy_low": right.low, "accuracy_high": right.high}
    everything = np.arange(len(gold))
    for name, measure in measures.items():
        value = measure(everything)
        low, high = interval(measure, everything, resamples, seed)
        metrics |= {name: value, f"{name}_low": min(low, value), f"{name}_high": max(high, value)}
    ends = calibration_error(correct, confidence, weights)
    metrics |= dict(zip(("calibration_error", "calibration_error_low", "calibration_error_high"), ends, strict=True))
    metrics["items"] = len(gold)
    by_class = _per_class(actual, predicted, classes, weights)
    return Evaluation(metrics, predictions, by_class, reliability(correct, confidence, weights))


Measure = Callable[[NDArray[np.int64]], float]


def interval(measure: Measure, rows: NDArray[np.int64], resamples: int, seed: int) -> tuple[float, float]:
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


def macro_f1(
    actual: NDArray[np.int64], predicted: NDArray[np.int64], c: int, weights: NDArray[np.float64] | None = None
) -> float:
    """The mean of the classes' F1; a class that is neither in the truth nor predicted does not count.

    (scikit-learn's figure; ours in one pass of counting, since a bootstrap asks a thousand times.)
    """
    weights = np.ones(len(actual)) if weights is None else weights
    right = actual == predicted
    hits = np.bincount(actual[right], weights[right], minlength=c)
    total = np.bincount(actual, weights, minlength=c) + np.bincount(predicted, weights, minlength=c)
    present = total > 0
    return float((2 * hits[present] / total[present]).mean())


def calibration_error(
    correct: NDArray[np.bool_], confidence: NDArray[np.float64], weights: NDArray[np.float64] | None = None
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
    correct: NDArray[np.bool_], confidence: NDArray[np.float64], weights: NDArray[np.float64] | None = None
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


def _per_class(
    actual: NDArray[np.int64], predicted: NDArray[np.int64], classes: list[str], weights: NDArray[np.float64]
) -> pd.DataFrame:
    figures = precision_recall_fscore_support(
        actual, predicted, labels=range(len(classes)), zero_division=0, sample_weight=weights
    )
    named = dict(zip(("precision", "recall", "f1"), figures[:3], strict=True))
    return pd.DataFrame({"class": classes, **named, "items": np.bincount(actual, minlength=len(classes))})


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
        result = evaluate(gold, p, model.classes, settings.evaluate.resamples, settings.seed)
    else:
        result = unmeasured(gold)
    write_json(workspace.metrics / "gold.json", {name: round(value, 6) for name, value in result.metrics.items()})
    write_csv(workspace.metrics / "predictions.csv", result.predictions)
    write_csv(workspace.metrics / "per_class.csv", result.per_class)
    write_csv(workspace.metrics / "calibration.csv", result.calibration)
    return spoken(result.metrics)


def spoken(metrics: dict[str, float]) -> str:
    """The headline figure in words.

    >>> spoken({"accuracy": 0.9, "accuracy_low": 0.88, "accuracy_high": 0.92})
    'accuracy 0.900 (95 % interval 0.880 to 0.920)'
    """
    if "accuracy" not in metrics:
        return "no model yet" if metrics.get("items", 1) else "no gold item to measure by"
    low, high = metrics["accuracy_low"], metrics["accuracy_high"]
    return f"accuracy {metrics['accuracy']:.3f} (95 % interval {low:.3f} to {high:.3f})"


if __name__ == "__main__":
    stage.main(run)
