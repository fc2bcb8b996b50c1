"""Stage `evaluate`: measure the model on the gold set, each figure with its uncertainty."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import bootstrap
from sklearn.metrics import precision_recall_fscore_support

from tasks import learners, stage
from tasks.embed import gold_items
from tasks.workspace import Workspace, write_csv, write_json

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
    """Compare (g, c) probabilities with the labels of g gold items.

    Intervals are percentile bootstraps over gold items (Efron & Tibshirani 1993, chapter 13).
    """
    actual = pd.Index(classes).get_indexer(pd.Index(gold.label))
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1).astype(np.float64)
    names = np.asarray(classes, dtype=object)
    predictions = pd.DataFrame(
        {"id": gold.id, "actual": gold.label, "predicted": names[predicted], "confidence": confidence}
    )
    measures: dict[str, Measure] = {
        "accuracy": lambda rows: float((actual[rows] == predicted[rows]).mean()),
        "macro_f1": lambda rows: macro_f1(actual[rows], predicted[rows], len(classes)),
        "calibration_error": lambda rows: calibration_error(actual[rows] == predicted[rows], confidence[rows]),
    }
    metrics: dict[str, float] = {}
    everything = np.arange(len(gold))
    for name, measure in measures.items():
        value = measure(everything)
        low, high = interval(measure, everything, resamples, seed)
        metrics |= {name: value, f"{name}_low": low, f"{name}_high": high}
    metrics["items"] = len(gold)
    return Evaluation(
        metrics, predictions, _per_class(actual, predicted, classes), reliability(actual == predicted, confidence)
    )


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


def macro_f1(actual: NDArray[np.int64], predicted: NDArray[np.int64], c: int) -> float:
    """The mean of the classes' F1; a class that is neither in the truth nor predicted does not count.

    (scikit-learn's figure; ours in one pass of counting, since a bootstrap asks a thousand times.)
    """
    hits = np.bincount(actual[actual == predicted], minlength=c)
    total = np.bincount(actual, minlength=c) + np.bincount(predicted, minlength=c)
    present = total > 0
    return float((2 * hits[present] / total[present]).mean())


def calibration_error(correct: NDArray[np.bool_], confidence: NDArray[np.float64]) -> float:
    """Expected calibration error over equal-width bins (Naeini et al. 2015): 0 is perfect, 1 the worst."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gap = np.bincount(bins, weights=correct - confidence, minlength=BINS)
    return float(np.abs(gap).sum() / len(correct))


def reliability(correct: NDArray[np.bool_], confidence: NDArray[np.float64]) -> pd.DataFrame:
    """A row a bin that is not empty: mean `confidence`, share that was `correct`, `items` in it."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows = pd.DataFrame({"bin": bins, "confidence": confidence, "correct": correct.astype(float)})
    table = rows.groupby("bin").agg(
        confidence=("confidence", "mean"), correct=("correct", "mean"), items=("bin", "size")
    )
    return table.reset_index(drop=True)


def _per_class(actual: NDArray[np.int64], predicted: NDArray[np.int64], classes: list[str]) -> pd.DataFrame:
    figures = precision_recall_fscore_support(actual, predicted, labels=range(len(classes)), zero_division=0)
    return pd.DataFrame({"class": classes, **dict(zip(("precision", "recall", "f1", "items"), figures, strict=True))})


def unmeasured(gold: pd.DataFrame) -> Evaluation:
    """The evaluation of round 0, which has no model: the same tables, empty."""
    return Evaluation(
        {"items": len(gold)},
        pd.DataFrame(columns=["id", "actual", "predicted", "confidence"]),
        pd.DataFrame(columns=["class", "precision", "recall", "f1", "items"]),
        pd.DataFrame(columns=["confidence", "correct", "items"]),
    )


def run(workspace: Workspace) -> str:
    """Read model and gold, write metrics/. Returns a line for people."""
    settings = workspace.settings
    model = learners.load(workspace.model)
    gold = pd.read_parquet(workspace.gold)
    if model.trained:
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
        return "no model yet"
    low, high = metrics["accuracy_low"], metrics["accuracy_high"]
    return f"accuracy {metrics['accuracy']:.3f} (95 % interval {low:.3f} to {high:.3f})"


if __name__ == "__main__":
    stage.main(run)
