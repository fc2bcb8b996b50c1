"""A linear softmax head that a strategy fits for itself, on the vectors of what has been answered.

Strategies that ask 'what would another model say?' (Bayesian, committees, expected change) need models to ask. A head
on fixed vectors is fitted in milliseconds and judged on a million items in one matrix product, whatever learner the
workspace has; so these strategies cost no pass through an encoder.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from labelwise.tasks.strategies.base import Floats, Indices
from labelwise.tasks.threads import one_thread

INVERSE_REGULARISATION = 10.0  # scikit-learn's C
STEPS = 500


@dataclass(frozen=True)
class LinearModel:
    """weights: (c, d); bias: (c,), minus infinity for a class that nobody has given yet."""

    weights: Floats
    bias: Floats

    @property
    def ridge(self) -> float:
        """Of each row. scikit-learn's for two classes lies on the difference of their rows alone: the same penalty on
        two rows, each half of it, counts twice."""
        return (2 if np.isfinite(self.bias).sum() == 2 else 1) / INVERSE_REGULARISATION

    def probabilities(self, vectors: Floats) -> Floats:
        """(n, d) -> (n, c)."""
        return softmax(vectors @ self.weights.T + self.bias, axis=1)


def fit(vectors: Floats, labels: Indices, c: int, weight: Floats | None = None) -> LinearModel:
    """A head on (m, d) vectors, m >= 1, and (m,) positions below c; weight: (m,) of each item, all alike if None."""
    if weight is not None:
        counts = weight > 0
        vectors, labels, weight = vectors[counts], labels[counts], weight[counts]
    weights, bias = np.zeros((c, vectors.shape[1]), np.float32), np.full(c, -np.inf, np.float32)
    seen = np.unique(labels)
    bias[seen] = 0
    if len(seen) > 1:
        model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=STEPS)
        with one_thread():
            model.fit(vectors, labels, sample_weight=weight)
        # scikit-learn keeps one row for two classes: what the second has more than the first.
        share = np.array([-0.5, 0.5]) if len(seen) == 2 else np.ones(1)
        weights[seen], bias[seen] = share[:, None] * model.coef_, share * model.intercept_
    return LinearModel(weights, bias)


def curvature(p: Floats, inputs: Floats, ridge: float) -> tuple[Floats, Floats, Floats]:
    """How curved the loss of a fitted head is: Σ (diag p - p pᵀ) ⊗ h hᵀ over what it has learned, taken as the mean of
    the first times the sum of the second (Kronecker-factored: Ritter et al. 2018), and the ridge. p: (m, c), inputs:
    (m, d). Eigenvectors of the outputs (c, c) and of the inputs (d, d), in columns, and (c, d) the curvature along
    each pair, above 0. O(md² + d³ + c³)."""
    p, inputs = p.astype(np.float64), inputs.astype(np.float64)
    left, outputs = np.linalg.eigh(np.diag(p.mean(axis=0)) - p.T @ p / len(p))
    right, directions = np.linalg.eigh(inputs.T @ inputs)
    return outputs, directions, np.outer(np.maximum(left, 0), np.maximum(right, 0)) + ridge
