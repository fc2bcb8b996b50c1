"""Strategies that ask for information on the weights, against sums over draws and outcomes written out."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from sklearn.linear_model import LogisticRegression

from labelwise.tasks.strategies import STRATEGIES, Labelled, bayesian, committee, heads
from labelwise.tasks.strategies.base import Floats
from tests.tasks.strategies.cases import clustered, entropy, picks, ranked, vectors_of


def literal_joint(p: Floats, batch: list[int]) -> float:
    """I(outcomes of the batch; draw), by going through every outcome."""
    t, _, c = p.shape
    joint = 0.0
    for outcome in itertools.product(range(c), repeat=len(batch)):
        mass = np.mean([np.prod([p[draw, row, y] for row, y in zip(batch, outcome, strict=True)]) for draw in range(t)])
        joint -= mass * math.log(mass)
    return joint - float(np.mean([sum(entropy(p[draw, row]) for row in batch) for draw in range(t)]))


def test_batch_bald_gains_are_those_of_the_joint_outcomes() -> None:
    p = np.random.default_rng(1).dirichlet(np.ones(3) / 2, (6, 5))
    joint, weight = np.ones((1, 6)), np.ones(1)
    batch: list[int] = []
    total = 0.0
    for pick in (2, 0, 4):
        gains = bayesian.joint_entropy(joint, weight, p)
        conditional = [np.mean([entropy(p[t, row]) for t in range(6)]) for row in range(5)]
        known = sum(conditional[row] for row in batch)
        for row in set(range(5)) - set(batch):
            assert gains[row] - conditional[row] - known == pytest.approx(literal_joint(p, [*batch, row]))
        batch.append(pick)
        joint, weight = bayesian.followed(joint, weight, p[:, pick], np.random.default_rng(0))
        total = literal_joint(p, batch)
    assert total > 0


def test_outcomes_that_are_drawn_give_nearly_the_same() -> None:
    rng = np.random.default_rng(2)
    p = rng.dirichlet(np.ones(3), (20, 7))
    joint, weight = np.ones((1, 20)), np.ones(1)
    for row in range(6):  # 729 outcomes, of which 200 are drawn
        joint, weight = bayesian.followed(joint, weight, p[:, row], rng)
    assert len(joint) == bayesian.OUTCOMES
    found = bayesian.joint_entropy(joint, weight, p)[6] - sum(
        np.mean([entropy(p[t, row]) for t in range(20)]) for row in range(7)
    )
    assert found == pytest.approx(literal_joint(p, list(range(7))), rel=0.2)


@pytest.mark.parametrize("posterior", [bayesian.laplace, bayesian.dropout, bayesian.hypermodel])
def test_a_posterior_is_surer_where_it_has_seen_more(posterior: bayesian.Posterior) -> None:
    few, many = clustered(5, m=6), clustered(5, m=300)
    told = [
        committee.consensus_kl_of(
            posterior(one.labelled, 3, 40, np.random.default_rng(0)).probabilities(vectors_of(few))
        ).mean()
        for one in (few, many)
    ]
    if posterior is bayesian.dropout:  # its width does not follow the labels: known, and why Laplace is the default
        assert min(told) > 0
    else:
        assert told[1] < told[0]


def test_the_laplace_posterior_is_the_inverse_of_the_literal_hessian_for_one_class_against_another() -> None:
    known = clustered(1, m=30, c=2, d=3).labelled
    head = heads.fit(known.vectors, known.labels, 2)
    p = head.probabilities(known.vectors).astype(np.float64)
    mean = sum(np.diag(row) - np.outer(row, row) for row in p) / len(p)
    precision = np.kron(mean, known.vectors.T @ known.vectors) + 2 * np.eye(6) / heads.INVERSE_REGULARISATION
    draws = bayesian.laplace(known, 2, 40_000, np.random.default_rng(0)).weights.reshape(40_000, 6)
    expected_covariance = np.linalg.inv(precision)
    np.testing.assert_allclose(np.cov(draws.T), expected_covariance, atol=0.05 * expected_covariance.max())


def test_of_two_classes_the_difference_is_as_wide_as_the_regularisation_it_was_fitted_with() -> None:
    """What scikit-learn minimises for two classes has one row of weights, and a ridge on it once."""
    known = clustered(1, m=30, c=2, d=3).labelled
    p = heads.fit(known.vectors, known.labels, 2).probabilities(known.vectors)
    hessian = (p * (1 - p))[:, 0].mean() * known.vectors.T @ known.vectors
    expected = np.linalg.inv(hessian + np.eye(3) / heads.INVERSE_REGULARISATION)
    drawn = bayesian.laplace(known, 2, 40_000, np.random.default_rng(0)).weights
    np.testing.assert_allclose(np.cov((drawn[:, 1] - drawn[:, 0]).T), expected, atol=0.05 * expected.max())


def softmax(logits: list[float]) -> list[float]:
    weights = [math.exp(one - max(logits)) for one in logits]
    return [one / sum(weights) for one in weights]


def information(weights: Floats, bias: Floats, x: Floats) -> float:
    """Entropy of the mean prediction less the mean entropy of the predictions, of (T, c, d) draws for one item."""
    told = [softmax([float(row @ x + b) for row, b in zip(one, bias, strict=True)]) for one in weights]
    mean = [sum(column) / len(told) for column in zip(*told, strict=True)]
    return entropy(mean) - sum(entropy(one) for one in told) / len(told)


def literal_head(known: Labelled) -> tuple[Floats, Floats]:
    """Of three classes that all have an answer."""
    model = LogisticRegression(C=heads.INVERSE_REGULARISATION, max_iter=500).fit(known.vectors, known.labels)
    return model.coef_.astype(np.float32), model.intercept_.astype(np.float32)


def laplace_draws(known: Labelled, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The posterior itself is compared with its definition above."""
    draws = bayesian.laplace(known, 3, bayesian.DRAWS, rng)
    return draws.weights, draws.bias


def dropout_draws(known: Labelled, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Each draw keeps a dimension with a chance of 0.7, and makes up for those that it loses."""
    weights, bias = literal_head(known)
    draws = []
    for _ in range(bayesian.DRAWS):
        kept = [1 / 0.7 if rng.random() < 0.7 else 0.0 for _ in range(weights.shape[1])]
        draws.append([[w * keep for w, keep in zip(row, kept, strict=True)] for row in weights.tolist()])
    return np.array(draws), bias


def hypermodel_draws(known: Labelled, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """W(z) = W + sum of z_i (P_i + D_i); D is trained so that W(z) fits each answer as often as z says it counts."""
    weights, bias = literal_head(known)
    m, size, ridge = len(known), bayesian.INDEX, 1 / heads.INVERSE_REGULARISATION
    prior = torch.from_numpy(rng.normal(size=(size, *weights.shape)).astype(np.float32)) / (ridge * size) ** 0.5
    learned = torch.zeros_like(prior, requires_grad=True)
    signs = rng.normal(size=(m, size)) / size**0.5
    base, vectors = torch.from_numpy(weights), torch.from_numpy(known.vectors)

    def of(z: Floats) -> torch.Tensor:
        return base + sum(float(one) * (prior[at] + learned[at]) for at, one in enumerate(z))

    optimiser = torch.optim.Adam([learned], lr=bayesian.RATE)
    for _ in range(bayesian.EPOCHS):
        rng.permutation(m)  # all answers are seen each time: they are fewer than 256
        loss = torch.zeros(())
        for z in (batch := rng.normal(size=(4, size))):
            logs = torch.log_softmax(vectors @ of(z).T + torch.from_numpy(bias), dim=1)
            for row, label in enumerate(known.labels.tolist()):
                loss = loss - max(0.0, 1 + float(z @ signs[row])) * logs[row, label] / len(batch)
            loss = loss + ridge / 2 * (of(z) ** 2).sum() / len(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return np.array([of(z).detach().numpy() for z in rng.normal(size=(bayesian.DRAWS, size))]), bias


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "posterior"),
    [("bald", laplace_draws), ("bald_dropout", dropout_draws), ("bald_epinet", hypermodel_draws)],
)
def test_bald_takes_the_items_of_most_mutual_information(
    name: str, posterior: Callable[[Labelled, np.random.Generator], tuple[Floats, Floats]], seed: int
) -> None:
    given = clustered(seed + 4, m=12)
    weights, bias = posterior(given.labelled, np.random.default_rng(seed))
    told = np.array([information(weights, bias, x) for x in vectors_of(given)])
    choice = STRATEGIES[name](given, 9, np.random.default_rng(seed))
    np.testing.assert_allclose(choice.scores, np.sort(told)[::-1][:9], rtol=0.02)
    np.testing.assert_allclose(told[choice.indices], choice.scores, rtol=0.02)
    if name != "bald_epinet":  # whose training leaves room for rounding
        assert choice.indices.tolist() == ranked(told.tolist(), 9)


def test_power_bald_draws_one_after_the_other_in_proportion_to_bald(monkeypatch: pytest.MonkeyPatch) -> None:
    given = clustered(4, n=5)
    draws = bayesian.laplace(given.labelled, 3, bayesian.DRAWS, np.random.default_rng(0))
    monkeypatch.setattr(bayesian, "laplace", lambda *_args: draws)
    told = [information(draws.weights, draws.bias, x) for x in vectors_of(given)]
    pairs = list(itertools.permutations(range(5), 2))
    shares = np.array([told[a] / sum(told) * told[b] / (sum(told) - told[a]) for a, b in pairs])
    drawn = [tuple(picks("power_bald", given, 2, seed)) for seed in range(3000)]
    seen = np.array([drawn.count(pair) for pair in pairs])
    assert seen.sum() == 3000
    assert max(told) > 1.5 * min(told)  # so that an even draw, or one by rank, would be found out
    assert chisquare(seen, shares / shares.sum() * 3000).pvalue > 0.001


@pytest.mark.parametrize("seed", range(3))
def test_batch_bald_takes_the_item_each_time_that_makes_the_batch_tell_most(seed: int) -> None:
    given = clustered(seed, n=10)
    draws = bayesian.laplace(given.labelled, 3, bayesian.JOINT_DRAWS, np.random.default_rng(seed))
    p = draws.probabilities(vectors_of(given)).astype(np.float64)
    batch: list[int] = []
    gains = []
    for _ in range(3):
        told = {row: literal_joint(p, [*batch, row]) for row in range(10) if row not in batch}
        before = literal_joint(p, batch) if batch else 0.0
        batch.append(max(told, key=lambda row: told[row]))
        gains.append(told[batch[-1]] - before)
    choice = STRATEGIES["batch_bald"](given, 3, np.random.default_rng(seed))
    assert choice.indices.tolist() == batch
    np.testing.assert_allclose(choice.scores, gains, atol=1e-6)
