"""Committees against their definition: members by resampling the answers, votes and divergences written out."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from labelwise.tasks.strategies import STRATEGIES, Candidates, committee, heads
from labelwise.tasks.strategies.base import Floats
from tests.tasks.strategies.cases import clustered, divergence, entropy, vectors_of

MEMBERS = np.random.default_rng(0).dirichlet(np.ones(4), (5, 20))  # (T, n, c)


def test_vote_entropy_is_that_of_the_votes() -> None:
    for row, found in enumerate(committee.vote_entropy_of(MEMBERS)):
        votes = [int(MEMBERS[t, row].argmax()) for t in range(5)]
        assert found == pytest.approx(entropy(np.array([votes.count(label) / 5 for label in range(4)])))


def test_consensus_kl_is_the_mean_divergence_from_the_mean() -> None:
    for row, found in enumerate(committee.consensus_kl_of(MEMBERS)):
        mean = MEMBERS[:, row].mean(axis=0)
        parts = [divergence(MEMBERS[t, row], mean) for t in range(5)]
        assert found == pytest.approx(np.mean(parts))


def test_a_committee_knows_every_class_that_has_a_label() -> None:
    known = clustered(0, m=4, c=3).labelled
    for member in committee.members(known, 5, np.random.default_rng(0)):
        assert np.isfinite(member.bias).tolist() == [True, True, True, False, False]


def literal_opinions(given: Candidates, seed: int) -> Floats:
    """(T, n, c): heads on bootstrap samples, one answer of each class certain to be in."""
    rng, known = np.random.default_rng(seed), given.labelled
    opinions = []
    for _ in range(committee.MEMBERS):
        rows = [int(rng.choice(np.flatnonzero(known.labels == label))) for label in sorted(set(known.labels.tolist()))]
        rows += rng.integers(len(known), size=len(known) - len(rows)).tolist()
        model = LogisticRegression(C=heads.INVERSE_REGULARISATION, max_iter=500).fit(
            known.vectors[rows], known.labels[rows]
        )
        opinions.append(model.predict_proba(vectors_of(given)))
    return np.array(opinions)


def votes(opinions: Floats, row: int) -> float:
    given = [int(one[row].argmax()) for one in opinions]
    return entropy([given.count(label) / len(given) for label in range(opinions.shape[2])])


def mean_divergence(opinions: Floats, row: int) -> float:
    mean = [sum(column) / len(opinions) for column in zip(*(one[row].tolist() for one in opinions), strict=True)]
    return sum(divergence(one[row], mean) for one in opinions) / len(opinions)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("name", "measure"), [("vote_entropy", votes), ("consensus_kl", mean_divergence)])
def test_a_committee_asks_where_it_is_most_divided(name: str, measure, seed: int) -> None:
    given = clustered(seed, m=14)
    opinions = literal_opinions(given, seed)
    divided = np.array([measure(opinions, row) for row in range(60)])
    choice = STRATEGIES[name](given, 12, np.random.default_rng(seed))
    np.testing.assert_allclose(choice.scores, np.sort(divided)[::-1][:12], atol=2e-3)
    np.testing.assert_allclose(divided[choice.indices], choice.scores, atol=2e-3)
    assert len(set(choice.indices.tolist())) == 12
