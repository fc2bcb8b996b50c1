"""What an answer would change, against going through every item and every answer it may get."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

from labelwise.tasks.strategies import STRATEGIES, Candidates, expected, heads
from labelwise.tasks.strategies.base import Floats
from labelwise.tasks.threads import one_thread
from tests.tasks.strategies.cases import clustered, entropy, picks, ranked, vectors_of

SEEDS = range(3)


def literal_lengths(given: Candidates) -> list[float]:
    """Expected length of the gradient of a softmax head with a bias."""
    return [
        sum(
            float(p[y]) * float(np.linalg.norm(np.outer(p - np.eye(len(p))[y], np.append(h, 1)))) for y in range(len(p))
        )
        for p, h in zip(given.probabilities.astype(np.float64), vectors_of(given), strict=True)
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_gradient_length_is_expected_over_the_classes(seed: int) -> None:
    given = clustered(seed)
    lengths = literal_lengths(given)
    choice = STRATEGIES["gradient_length"](given, 9, np.random.default_rng(seed))
    assert choice.indices.tolist() == ranked(lengths, 9)
    np.testing.assert_allclose(choice.scores, sorted(lengths, reverse=True)[:9], rtol=1e-5)


def doubt(logits: Floats) -> float:
    p = np.exp(logits - logits.max())
    return entropy(p / p.sum())


def literal_reductions(given: Candidates) -> list[float]:
    """By how much the mean entropy of all candidates falls after a Newton step for the answer, averaged over answers;
    the curvature is that of what is labelled, its two factors written out."""
    known, vectors = given.labelled, vectors_of(given)
    head = heads.fit(known.vectors, known.labels, 3)
    p = head.probabilities(known.vectors).astype(np.float64)
    outputs = sum(np.diag(row) - np.outer(row, row) for row in p) / len(p)
    inputs = sum(np.outer(x, x) for x in (np.append(h, 1.0) for h in known.vectors.astype(np.float64)))
    inverse = np.linalg.inv(np.kron(outputs, inputs) + np.eye(3 * len(inputs)) / heads.INVERSE_REGULARISATION)
    items = [np.append(h, 1.0) for h in vectors.astype(np.float64)]
    before = [head.weights @ h + head.bias for h in vectors]
    found = []
    for x, logits in zip(items, before, strict=True):
        belief = np.exp(logits) / np.exp(logits).sum()
        after = 0.0
        for answer in range(3):
            step = (inverse @ np.kron(np.eye(3)[answer] - belief, x)).reshape(3, -1)
            after += belief[answer] * float(
                np.mean([doubt(own + step @ z) for own, z in zip(before, items, strict=True)])
            )
        found.append(float(np.mean([doubt(one) for one in before])) - after)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_error_reduction_takes_what_leaves_the_pool_least_in_doubt(seed: int) -> None:
    given = clustered(seed, n=25)
    reductions = literal_reductions(given)
    choice = STRATEGIES["error_reduction"](given, 6, np.random.default_rng(seed))
    assert choice.indices.tolist() == ranked(reductions, 6)
    np.testing.assert_allclose(choice.scores, sorted(reductions, reverse=True)[:6], atol=1e-4)


def test_only_the_least_sure_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected, "TRIED", 1)
    given = clustered(0, n=40)
    unsure = set(picks("margin", given, 8))
    reductions = literal_reductions(given)
    tried = sorted(unsure, key=lambda row: -reductions[row])
    assert picks("error_reduction", given, 2) == tried[:2]


def literal_refits(given: Candidates) -> list[float]:
    """The definition itself: learn each answer in full, and measure again."""
    known, vectors = given.labelled, vectors_of(given)
    belief = heads.fit(known.vectors, known.labels, 3).probabilities(vectors)
    found = []
    for row, vector in enumerate(vectors):
        after = 0.0
        for answer in range(3):
            model = LogisticRegression(C=heads.INVERSE_REGULARISATION, max_iter=500)
            model.fit(np.vstack([known.vectors, vector]), np.append(known.labels, answer))
            after += belief[row, answer] * float(np.mean([entropy(p) for p in model.predict_proba(vectors)]))
        found.append(-after)
    return found


def test_a_step_ranks_items_much_as_full_fits_do() -> None:
    cases = [clustered(seed, n=25, m=12) for seed in range(5)]
    with one_thread():
        alike = [spearmanr(literal_reductions(given), literal_refits(given)).statistic for given in cases]
    assert np.mean(alike) > 0.7
