"""Candidates and answers drawn by chance, for comparing strategies with their definitions, and what such definitions
are written in."""

import math
from collections.abc import Iterable

import numpy as np
from scipy.special import softmax

from labelwise.tasks.strategies import STRATEGIES, Candidates, Labelled
from labelwise.tasks.strategies.base import Floats


def unit(vectors: Floats) -> Floats:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clustered(seed: int, n: int = 60, m: int = 8, c: int = 3, d: int = 6) -> Candidates:
    """n candidates and m answers around c centres; each class has an answer; a linear model's probabilities."""
    rng = np.random.default_rng(seed)
    centres = 2 * rng.normal(size=(c, d))
    labels = np.concatenate([rng.integers(c, size=n), np.arange(c), rng.integers(c, size=m - c)])
    vectors = unit(centres[labels] + rng.normal(size=(n + m, d)))
    p = softmax(4 * vectors @ unit(centres).T, axis=1).astype(np.float32)
    why = np.full(m, "uncertain", dtype=object)
    answered = Labelled(vectors[n:], labels[n:], p[n:], np.ones(m, dtype=np.int64), why)
    return Candidates(p[:n], lambda rows: vectors[:n][rows], answered)


def vectors_of(candidates: Candidates) -> Floats:
    return candidates.gather(np.arange(len(candidates)))


def picks(name: str, candidates: Candidates, k: int, seed: int = 0) -> list[int]:
    return STRATEGIES[name](candidates, k, np.random.default_rng(seed)).indices.tolist()


def ranked(scores: list[float], k: int) -> list[int]:
    return sorted(range(len(scores)), key=lambda row: -scores[row])[:k]


def entropy(p: Iterable[float]) -> float:
    return -sum(float(x) * math.log(x) for x in p if x > 0)


def divergence(p: Iterable[float], q: Iterable[float]) -> float:
    return sum(float(x) * math.log(x / y) for x, y in zip(p, q, strict=True) if x > 0)
