"""Do these labels serve another model as well? Labels that one model asked for may serve the next one worse than
random ones would (Lowell, Lipton & Wallace 2019).

The other model is a linear one of words: of one class an item, or one for each class where an item may have several
(one-vs-rest), which says a class from a probability of a half on. Tuned thresholds would need labels of their own.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from labelwise.tasks.kinds import Answer, choice
from labelwise.tasks.proof.contrast import CONFIDENCE, LEAST, MOST, Contrast
from labelwise.tasks.threads import one_thread

READS = frozenset({"text"})  # of which items it can be asked
REPEATS = 10


class Successor(Contrast):
    """By the mean score."""

    @property
    def worse(self) -> bool:
        """Whether chosen labels served it clearly worse."""
        return self.clear

    def as_json(self, verdict: str = "worse") -> dict[str, Any]:
        """For metrics/proof.json."""
        return super().as_json(verdict)


def check(
    labels: pd.DataFrame,
    chosen: NDArray[np.bool_],
    control: NDArray[np.bool_],
    gold: pd.DataFrame,
    seed: int,
    answer: Answer = choice,
) -> Successor | None:
    """Train a linear model on words (TF-IDF: nothing in common with the encoder) on as many chosen as control labels.

    labels: columns text, label. chosen, control: (m,) which are of either sort. gold: text, label, weight. answer: what
    is said of an item, and so what it is worth. None where there are too few. The interval holds chance in the gold
    items and, by drawing labels with replacement (the bootstrap), in which labels either arm happens to have.
    """
    k = min(int(chosen.sum()), int(control.sum()), MOST)
    if k < LEAST:
        return None
    rng = np.random.default_rng([seed, 2])
    truth = gold.label.tolist()
    scores: dict[str, list[NDArray[np.float64]]] = {"chosen": [], "random": []}
    for _ in range(REPEATS):
        for name, sort in (("chosen", chosen), ("random", control)):
            rows = np.sort(rng.choice(np.flatnonzero(sort), k))
            with one_thread():
                said = _predicted(labels.iloc[rows], gold.text, answer)
            scores[name].append(answer.score(said.tolist(), truth))
    own, other = (np.array(scores[name]) for name in ("chosen", "random"))
    shares = gold.weight.to_numpy() / gold.weight.sum()
    by_run, by_run_other = own @ shares, other @ shares
    gains = own.mean(axis=0) - other.mean(axis=0)
    difference = float(gains @ shares)
    between = by_run.var(ddof=1) + by_run_other.var(ddof=1)
    within = shares**2 @ (gains - difference) ** 2  # of the gold items; with equal weights their variance over n
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, 2 * REPEATS - 2) * np.sqrt(within + between))
    ends = difference - reach, difference + reach
    return Successor(k, float(by_run.mean()), float(by_run_other.mean()), difference, *ends)


def _predicted(labels: pd.DataFrame, texts: pd.Series, answer: Answer) -> NDArray[np.object_]:
    """(g,) what a model of these labels says of g texts; the commonest label where nothing can be learned."""
    given = labels.label.to_numpy(dtype=object)
    commonest = np.full(len(texts), labels.label.mode().iloc[0], dtype=object)
    if len(set(given)) == 1:
        return commonest
    words, linear = TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10.0, max_iter=300)
    classes = sorted({name for label in set(given) for name in answer.members(label)})
    targets = answer.targets(given.tolist(), classes)
    try:
        if targets.ndim == 1:
            return np.asarray(make_pipeline(words, linear).fit(labels.text, given).predict(texts), dtype=object)
        features = words.fit_transform(labels.text)
    except ValueError:  # no words in any of the texts
        return commonest
    seen = words.transform(texts)
    everywhere = np.ones(len(texts))
    by_class = [
        everywhere if target.all() else linear.fit(features, target).predict_proba(seen)[:, 1] for target in targets.T
    ]
    return answer.decide(np.column_stack(by_class), classes)
