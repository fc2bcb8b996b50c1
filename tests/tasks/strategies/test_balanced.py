"""Labels in turn, against the definition, and what `auto` makes of it."""

import numpy as np
import pytest

from labelwise.tasks.kinds import multilabel
from labelwise.tasks.strategies import Candidates, Labelled
from labelwise.tasks.strategies.auto import auto
from labelwise.tasks.strategies.balanced import TURN, round_robin, unclear_of
from labelwise.tasks.strategies.base import Floats
from labelwise.tasks.strategies.hybrid import badge


def given(seed: int = 0, n: int = 50, c: int = 4) -> Candidates:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    p, limits = rng.beta(0.3, 2, (n, c)).astype(np.float32), rng.uniform(0.1, 0.5, c).astype(np.float32)
    answers = (rng.random((12, c)) < [0.6, 0.3, 0.2, 0.0][:c]).astype(np.float32)
    answered = Labelled(rng.normal(size=(12, 5)).astype(np.float32), answers)
    return Candidates(p, lambda rows: vectors[rows], answered, None, multilabel.views(p, limits), limits)


def literal_turns(p: Floats, limits: Floats, positives: list[float], k: int) -> list[int]:
    """Turn after turn, over all that is left."""
    picks: list[int] = []
    while len(picks) < k:
        label = min((one for one in range(len(positives)) if positives[one] > 0), key=lambda one: positives[one])
        away = {
            row: abs(p[row, label] * (1 - limits[label]) - (1 - p[row, label]) * limits[label])
            / (p[row, label] * (1 - limits[label]) + (1 - p[row, label]) * limits[label])
            for row in range(len(p))
            if row not in picks
        }
        picks.append(min(away, key=lambda row: away[row]))
        kept = positives[label] > 0
        positives = [n + float(p[picks[-1], at]) if n > 0 else n for at, n in enumerate(positives)]
        positives[label] += TURN * kept
    return picks


@pytest.mark.parametrize("seed", range(4))
def test_each_label_takes_what_is_least_clear_for_it_the_rarest_first(seed: int) -> None:
    there = given(seed)
    positives = there.labelled.labels.sum(axis=0).tolist()
    found = round_robin(there, 15, np.random.default_rng(seed))
    assert there.thresholds is not None
    p, limits = there.probabilities.astype(float), there.thresholds.astype(float)
    assert found.indices.tolist() == literal_turns(p, limits, positives, 15)


def test_what_is_at_its_threshold_is_least_clear() -> None:
    p = np.linspace(0, 1, 101)[:, None]
    assert unclear_of(p, np.array([0.2]))[:, 0].argmax() == 20
    assert unclear_of(p, None)[:, 0].argmax() == 50


def test_no_label_is_asked_for_more_than_its_share_however_rare() -> None:
    """One label has a single positive and nothing looks like it; the other's turn comes all the same."""
    there = given(c=2)
    p = np.tile(np.float32([0.3, 0.001]), (50, 1))
    labels = np.zeros((12, 2), np.float32)
    labels[:3, 0], labels[0, 1] = 1, 1
    limits = np.float32([0.3, 0.1])
    alike = Candidates(p, there.gather, Labelled(there.labelled.vectors, labels), None, None, limits)
    assert len(round_robin(alike, 20, np.random.default_rng(0)).indices) == 20


def test_auto_is_half_badge_and_half_in_turn() -> None:
    there = given()
    found = auto(there, 11, np.random.default_rng(0))
    assert found.indices[:5].tolist() == badge(there, 5, np.random.default_rng(0)).indices.tolist()
    assert len(set(found.indices.tolist())) == 11
    rest = np.setdiff1d(np.arange(50), found.indices[:5])
    in_turn = rest[round_robin(there.take(rest), 6, np.random.default_rng(0)).indices]
    assert found.indices[5:].tolist() == in_turn.tolist()
