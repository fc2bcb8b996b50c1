"""One class for an item. The label is the class's name, byte for byte."""

import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.kinds import controls, counting
from labelwise.tasks.kinds.base import Floats, Measured, Read, one_by_one
from labelwise.tasks.kinds.values import LABEL
from labelwise.tasks.settings import MEASURES

NAME = "choice"
METRIC, MEASURE = MEASURES[NAME]
EXAMPLE = "the name of a class"
LISTS = False
PLACES = False
VALUE = LABEL
FAULTS: Mapping[str, str] = {}
HEADER = "Which class fits this {item}?"
HINT = "Key of the class, then Ctrl+Enter. Unsure, or none fits: skip with Ctrl+Space."
HOW = (
    "<p>Choose the class that fits the {item}: press its key or click it, then press Ctrl+Enter or Submit.</p>"
    "<p>If you are unsure, or no class fits, skip it (Ctrl+Space): a guess does more harm than no answer. What is "
    "skipped may be asked once more in a later round, and is then left out.</p>"
)


def read(cell: str, _delimiter: str | None = None) -> str:
    """The class in a cell."""
    return cell.strip()


def read_all(cells: Sequence[str | None], _items: Sequence[str | None], _delimiter: str | None = None) -> Read:
    """The labels in cells, each by itself."""
    return one_by_one(read, cells)


def members(label: str) -> list[str]:
    """The one class.

    >>> members("spam")
    ['spam']
    """
    return [label]


def spoken(label: str, _item: str | None = None) -> str:
    """The class's name."""
    return label


def renamed(label: str, renames: Mapping[str, str], _dropped: Collection[str] = ()) -> str:
    """Under its other name, where it has one. Without its class nothing would be left of it.

    >>> renamed("billing", {"billing": "invoices"})
    'invoices'
    """
    return renames.get(label, label)


def questions(_labels: Iterable[str]) -> list[str]:
    """One: which class it is."""
    return [""]


def reply(label: str, _question: str) -> str:
    """The class."""
    return label


def joined(replies: Mapping[str, str]) -> str:
    """The class."""
    return replies[""]


def choices(classes: Sequence[str]) -> list[str]:
    """The classes."""
    return [*classes]


def control(classes: Sequence[str]) -> ET.Element:
    """Radio buttons."""
    choices = ET.Element("Choices", controls.named(choice="single-radio"))
    controls.fill(choices, classes)
    return choices


def result(label: str, _item: str | None = None) -> list[dict[str, Any]]:
    """An answer in Label Studio's format."""
    return controls.choices_result([label])


def parse(result: Sequence[Any], _item: str | None = None) -> str | None:
    """The class that was chosen; None for none, or more than one.

    >>> parse([{"from_name": "renamed", "value": {"choices": ["spam"]}}]), parse([])
    ('spam', None)
    """
    labels = controls.choices(result)
    return labels[0] if labels and len(labels) == 1 else None


def targets(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """(m,) positions among the classes; -1 for what is none.

    >>> targets(["bug", "x"], ["billing", "bug"]).tolist()
    [1, -1]
    """
    return np.asarray(pd.Index(classes).get_indexer(pd.Index(labels)), dtype=np.int64)


def decide(probabilities: Floats, classes: Sequence[str], thresholds: Floats | None = None) -> NDArray[np.object_]:
    """The likeliest class; with thresholds, the one whose probability is the highest multiple of its own.

    >>> p = np.array([[0.9, 0.1]])
    >>> decide(p, ["ham", "spam"]).tolist(), decide(p, ["ham", "spam"], np.array([0.95, 0.05])).tolist()
    (['ham'], ['spam'])
    """
    return np.asarray(classes, dtype=object)[decided(probabilities, thresholds)]


def decided(probabilities: Floats, thresholds: Floats | None) -> NDArray[np.int64]:
    """(n,) the position of what `decide` says."""
    return (probabilities if thresholds is None else probabilities / thresholds).argmax(axis=1)


def expect(probabilities: Floats, thresholds: Floats | None = None) -> NDArray[np.float64]:
    """The probability of the class that is said."""
    said = decided(probabilities, thresholds)
    return np.take_along_axis(probabilities, said[:, None], axis=1)[:, 0].astype(np.float64)


def score(said: Sequence[str | None], truth: Sequence[str]) -> NDArray[np.float64]:
    """1 where right, 0 where wrong.

    >>> score(["a", None], ["a", "b"]).tolist()
    [1.0, 0.0]
    """
    return (np.asarray(said, dtype=object) == np.asarray(truth, dtype=object)).astype(np.float64)


def counts(said: Sequence[str | None], truth: Sequence[str], classes: Sequence[str]) -> NDArray[np.float64]:
    """(3, g, c) 1 where a class is right, is said, and is true."""
    return counting.by_name(said, truth, classes, members)


def kept(probabilities: Floats, _thresholds: Floats | None = None) -> Floats:
    """The probabilities."""
    return probabilities


def chances(probabilities: Floats) -> Floats:
    """The probabilities."""
    return probabilities


def simplex(probabilities: Floats, _thresholds: Floats | None = None) -> Floats:
    """The probabilities themselves."""
    return probabilities


def views(_probabilities: Floats, _thresholds: Floats | None = None) -> None:
    """None: strategies read the probabilities."""


def measured(
    truth: Sequence[str],
    probabilities: Floats,
    classes: Sequence[str],
    thresholds: Floats | None,
    weights: Floats,
) -> Measured:
    """Right or wrong, and the mean of the classes' F1."""
    from sklearn.metrics import precision_recall_fscore_support

    actual, predicted = targets(truth, classes), decided(probabilities, thresholds)
    c = len(classes)
    figures = precision_recall_fscore_support(
        actual, predicted, labels=range(c), zero_division=0, sample_weight=weights
    )
    by_class = pd.DataFrame(
        {
            "class": list(classes),
            **dict(zip(("precision", "recall", "f1"), figures[:3], strict=True)),
            "items": np.bincount(actual, minlength=c),
        }
    )
    return Measured(
        np.asarray(classes, dtype=object)[predicted],
        (actual == predicted).astype(np.float64),
        expect(probabilities, thresholds),
        {"macro_f1": lambda rows: macro_f1(actual[rows], predicted[rows], c, weights[rows])},
        by_class,
    )


def macro_f1(actual: NDArray[np.int64], predicted: NDArray[np.int64], c: int, weights: Floats | None = None) -> float:
    """The mean of the classes' F1; a class that is neither in the truth nor predicted does not count.

    (scikit-learn's figure; ours in one pass of counting, since a bootstrap asks a thousand times.)
    """
    weights = np.ones(len(actual)) if weights is None else weights
    right = actual == predicted
    hits = np.bincount(actual[right], weights[right], minlength=c)
    total = np.bincount(actual, weights, minlength=c) + np.bincount(predicted, weights, minlength=c)
    present = total > 0
    return float((2 * hits[present] / total[present]).mean())


def suggestion(label: str, confidence: float) -> str:
    """What the model thinks of an item, for reviewers.

    >>> suggestion("billing", 0.834), suggestion("billing", 0.9996)
    ('The model suggests: billing (83 %)', 'The model suggests: billing (over 99 %)')
    """
    return f"The model suggests: {label} ({controls.percent(confidence)})"


def wrong(label: str, classes: Sequence[str], chance: Any) -> str:
    """Another class, each as likely; the same where there is no other."""
    others = [name for name in classes if name != label]
    return str(chance.choice(others)) if others else label


def value(label: str, _item: str) -> str:
    """The class."""
    return label
