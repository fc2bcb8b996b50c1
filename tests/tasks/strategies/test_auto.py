"""`auto` as new workspaces have it: half of the batch is typical of the pool while classes have few labels."""

from dataclasses import replace

import numpy as np
import pytest

from labelwise.tasks.select import strategy_for
from labelwise.tasks.settings import Select
from labelwise.tasks.strategies.auto import FEW, auto, typical_first
from labelwise.tasks.strategies.base import Candidates, Labelled

C, N, K = 4, 400, 20
RNG = np.random.default_rng(0)
OF = RNG.integers(0, C, N)
VECTORS = (np.eye(C, 16)[OF] + 0.2 * RNG.normal(size=(N, 16))).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
FAR = np.arange(N - 40, N)  # a tenth of the pool is like nothing else
VECTORS[FAR] = RNG.normal(size=(40, 16))
VECTORS[FAR] /= np.linalg.norm(VECTORS[FAR], axis=1, keepdims=True)
P = RNG.dirichlet(np.full(C, 4.0), N)
P[FAR] = 1 / C  # and most doubtful


def candidates(labels: int) -> Candidates:
    known = np.arange(labels)
    why = np.full(labels, "control", dtype=object)
    answered = Labelled(VECTORS[known], OF[known], P[known], np.ones(labels, np.int64), why)
    return Candidates(P, lambda rows: VECTORS[rows], answered)


def same(given: Candidates, k: int = K) -> bool:
    own, other = (one(given, k, np.random.default_rng(1)) for one in (typical_first, auto))
    return own.indices.tolist() == other.indices.tolist()


def test_half_of_the_batch_is_typical_while_classes_have_few_labels() -> None:
    given = candidates(12)
    batch = typical_first(given, K, np.random.default_rng(1))
    assert len(set(batch.indices.tolist())) == K
    first, second = np.split(batch.indices, 2)
    assert set(batch.why[: K // 2]) == {"diverse"} and set(batch.why[K // 2 :]) == {"uncertain"}
    assert np.isin(first, FAR).sum() < np.isin(second, FAR).sum()  # less of what is like nothing else
    assert np.isnan(batch.propensity).all()


def test_elsewhere_it_is_auto() -> None:
    assert not same(candidates(FEW * C - 1))
    assert same(candidates(FEW * C))
    assert same(candidates(12), k=1)
    rare = replace(
        candidates(150), probabilities=np.hstack([P, np.zeros((N, 20))])
    )  # of twenty classes no label by chance
    assert same(rare)


@pytest.mark.parametrize(("typical", "expected"), [(True, typical_first), (False, auto)])
def test_params_from_before_have_it_as_it_was(typical: bool, expected: object) -> None:
    two = candidates(12).labelled
    strategy, said = strategy_for(Select(typical=typical, near_duplicate=None), two)
    assert strategy is expected and said == "auto"
