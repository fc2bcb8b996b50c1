"""A linear softmax head that a strategy fits for itself, on the vectors of what has been answered.

Strategies that ask 'what would another model say?' (Bayesian, committees, expected change) need models to ask. A head
on fixed vectors is fitted in milliseconds and judged on a million items in one matrix product, whatever learner the
workspace has; so these strategies cost no pass through an encoder.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from tasks.strategies.base import Floats, Indices

INVERSE_REGULARISATION = 10.0  # scikit-learn's C
STEPS = 500


@dataclass(frozen=True)
class Head:
    """weights: (c, d); bias: (c,), minus infinity for a class that nobody has given yet."""

    weights: Floats
    bias: Floats

    def probabilities(self, vectors: Floats) -> Floats:
        """(n, d) -> (n, c)."""
        return softmax(vectors @ self.weights.T + self.bias, axis=1)


def fit(vectors: Floats, labels: Indices, c: int, weight: Floats | None = None) -> Head:
    """A head on (m, d) vectors, m >= 1, and (m,) positions below c; weight: (m,) of each item, all alike if None."""
    if weight is not None:
        counts = weight > 0
        vectors, labels, weight = vectors[counts], labels[counts], weight[counts]
    weights, bias = np.zeros((c, vectors.shape[1]), np.float32), np.full(c, -np.inf, np.float32)
    seen = np.unique(labels)
    bias[seen] = 0
    if len(seen) > 1:
        model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=STEPS).fit(vectors, labels, sample_weight=weight)
        one_row = len(model.classes_) == 2  # scikit-learn keeps one row for two classes: its softmax is that of (0, w)
        rows = model.classes_[1:] if one_row else model.classes_
        weights[rows], bias[rows] = model.coef_, model.intercept_
    return Head(weights, bias)
