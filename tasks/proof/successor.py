"""Do these labels serve another model as well? Labels that one model asked for may serve the next one worse than
random ones would (Lowell, Lipton & Wallace 2019)."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

REPEATS = 10
MOST = 1000  # labels of each kind: a check, not a second loop
LEAST = 20
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Successor:
    """labels: of each kind. chosen, random: the accuracy they gave. difference: chosen less random, with its 95 %
    interval."""

    labels: int
    chosen: float
    random: float
    difference: float
    low: float
    high: float

    @property
    def worse(self) -> bool:
        """Whether chosen labels served it clearly worse."""
        return self.high < 0

    def as_json(self) -> dict[str, Any]:
        """For metrics/proof.json."""
        return {**asdict(self), "worse": self.worse}


def check(
    labels: pd.DataFrame, chosen: NDArray[np.bool_], control: NDArray[np.bool_], gold: pd.DataFrame, seed: int
) -> Successor | None:
    """Train a linear model on words (TF-IDF: nothing in common with the encoder) on as many chosen as control labels.

    labels: columns text, label. chosen, control: (m,) which are of either kind. gold: text, label, weight. None where
    there are too few. The interval holds chance in the gold items and, by drawing labels with replacement (the
    bootstrap), in which labels either arm happens to have.
    """
    k = min(int(chosen.sum()), int(control.sum()), MOST)
    if k < LEAST:
        return None
    rng = np.random.default_rng([seed, 2])
    truth = gold.label.to_numpy(dtype=object)
    right: dict[str, list[NDArray[np.bool_]]] = {"chosen": [], "random": []}
    for _ in range(REPEATS):
        for name, kind in (("chosen", chosen), ("random", control)):
            rows = np.sort(rng.choice(np.flatnonzero(kind), k))
            right[name].append(_answers(labels.iloc[rows], gold.text) == truth)
    own, other = (np.array(right[name], dtype=float) for name in ("chosen", "random"))
    shares = gold.weight.to_numpy() / gold.weight.sum()
    by_run, by_run_other = own @ shares, other @ shares
    gains = own.mean(axis=0) - other.mean(axis=0)
    difference = float(gains @ shares)
    between = by_run.var(ddof=1) + by_run_other.var(ddof=1)
    within = shares**2 @ (gains - difference) ** 2  # of the gold items; with equal weights their variance over n
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, 2 * REPEATS - 2) * np.sqrt(within + between))
    ends = difference - reach, difference + reach
    return Successor(k, float(by_run.mean()), float(by_run_other.mean()), difference, *ends)


def _answers(labels: pd.DataFrame, texts: pd.Series) -> NDArray[np.object_]:
    if labels.label.nunique() == 1:
        return np.full(len(texts), labels.label.iloc[0], dtype=object)
    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10.0, max_iter=300))
    try:
        model.fit(labels.text, labels.label.to_numpy(dtype=object))
    except ValueError:  # no words in any of the texts
        return np.full(len(texts), labels.label.mode().iloc[0], dtype=object)
    return np.asarray(model.predict(texts), dtype=object)
