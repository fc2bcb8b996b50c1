"""Wrappers around any strategy: what a batch as a whole should be like."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tasks.strategies.base import Candidates, Choice, Floats, Indices, Strategy


def without_near_duplicates(strategy: Strategy, threshold: float, beside: Floats | None = None) -> Strategy:
    """The same strategy, but no two items of its batch have a cosine similarity of `threshold` or more, nor has one to
    an item that is in the batch already: beside, (j, d).

    The strategy is asked, whatever is too near to an accepted item is shut out, and it is asked again for what is
    missing. When nothing but near-duplicates is left, they fill the batch. A batch drawn by chance alone stays as it
    is, for its propensities must hold; in any other batch that had to be changed they are unknown, NaN. A batch
    without near-duplicates costs one call of the strategy. Otherwise there is one more call for each time that near
    ones come back, seldom more than three and k at most, and O(nkd) time for all of them together; O(n) memory.
    """

    def choose(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
        choice = strategy(candidates, k, rng)
        if np.all(np.asarray(choice.why) == "random"):
            return choice
        there = candidates.gather(choice.indices[:0]) if beside is None else beside
        kept = _apart(candidates, choice, threshold, there)
        if len(kept.indices) == k:
            return choice
        batch = _made_up(strategy, candidates, kept, k, threshold, there, rng)
        return replace(batch, propensity=np.full(k, np.nan))

    return choose


def class_balanced(strategy: Strategy) -> Strategy:
    """The same strategy, asked for each predicted class by itself, so that labels given and asked come out as even over
    the classes as the candidates allow, rare classes first. Bengar et al. 2022 (arXiv 2110.04543) weigh the same
    evenness against the strategy's own score; here it comes first. The classes are the model's guesses, so the true
    ones come out less even. Costs the strategy's time on all candidates once, and O(n + kc).
    """

    def choose(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
        predicted = candidates.probabilities.argmax(axis=1)
        c = candidates.probabilities.shape[1]
        labelled = np.bincount(candidates.labelled.labels, minlength=c)
        turn_of = turns(labelled, np.bincount(predicted, minlength=c), k)
        classes, shares = np.unique(turn_of, return_counts=True)
        asked = [
            asked_of(strategy, candidates, np.flatnonzero(predicted == label), int(share), rng)
            for label, share in zip(classes, shares, strict=True)
        ]
        places = np.argsort(turn_of, kind="stable")  # of the first class's items, then of the second's
        return _part(joined(asked), np.argsort(places))

    return choose


def turns(labelled: Indices, there: Indices, k: int) -> Indices:
    """(k,) the class whose turn it is, place after place: the one with the fewest labels given or asked so far among
    those that have a candidate left; the first of several. labelled, there: (c,) counts. O(kc).

    >>> turns(np.array([5, 1, 0]), np.array([9, 9, 1]), 4).tolist()
    [2, 1, 1, 1]
    """
    totals, left = labelled.astype(float), there.copy()
    order = np.empty(k, dtype=np.int64)
    for place in range(k):
        label = np.where(left > 0, totals, np.inf).argmin()
        totals[label] += 1
        left[label] -= 1
        order[place] = label
    return order


def joined(choices: list[Choice]) -> Choice:
    """One choice after the other. `why` is one word each, whatever it was before."""
    return Choice(
        np.concatenate([choice.indices for choice in choices]),
        np.concatenate([choice.scores for choice in choices]),
        np.concatenate([np.full(len(choice.indices), choice.why, dtype=object) for choice in choices]),
        np.concatenate([choice.propensity for choice in choices]),
    )


def mixed(first: Choice, second: Choice, rng: np.random.Generator) -> Choice:
    """Both choices as one: those of the first at places left to chance, those of the second in their order around
    them."""
    total = len(first.indices) + len(second.indices)
    places = np.full(total, -1)
    places[rng.choice(total, len(first.indices), replace=False)] = np.arange(len(first.indices))
    places[places < 0] = np.arange(len(first.indices), total)
    return _part(joined([first, second]), places)


def _made_up(
    strategy: Strategy,
    candidates: Candidates,
    batch: Choice,
    k: int,
    threshold: float,
    there: Floats,
    rng: np.random.Generator,
) -> Choice:
    """`batch`, whose items are apart, made up to k."""
    free = np.ones(len(candidates), dtype=bool)
    _shut_out(free, candidates, there, threshold)
    fresh = batch
    while (missing := k - len(batch.indices)) > 0:
        _shut_out(free, candidates, candidates.gather(fresh.indices), threshold)
        free[fresh.indices] = False  # with float32 the similarity of a vector to itself may fall short of 1
        if not free.any():
            left = np.setdiff1d(np.arange(len(candidates)), batch.indices)
            return joined([batch, asked_of(strategy, candidates, left, missing, rng)])
        rows = np.flatnonzero(free)
        fresh = _apart(candidates, asked_of(strategy, candidates, rows, min(missing, len(rows)), rng), threshold, there)
        batch = joined([batch, fresh])
    return batch


def _shut_out(free: NDArray[np.bool_], candidates: Candidates, accepted: Floats, threshold: float) -> None:
    """Candidates that are too near to one of the accepted (j, d) vectors are free no longer."""
    if len(accepted):
        for part, vectors in candidates.blocks(beside=len(accepted)):
            free[part] &= (vectors @ accepted.T).max(axis=1) < threshold


def _apart(candidates: Candidates, choice: Choice, threshold: float, there: Floats) -> Choice:
    """The items of the choice, in order, that are not too near to one before them or to one that is there already."""
    return _part(choice, _spread(candidates.gather(choice.indices), threshold, there))


def _spread(vectors: Floats, threshold: float, there: Floats) -> Indices:
    """Positions of vectors that are not too near to one kept before them. O(kd) memory, never k x k."""
    kept: list[int] = []
    held = np.concatenate([there, np.empty_like(vectors)])
    for row, vector in enumerate(vectors):
        full = len(there) + len(kept)
        if not full or (held[:full] @ vector).max() < threshold:
            held[full] = vector
            kept.append(row)
    return np.array(kept, dtype=np.int64)


def asked_of(strategy: Strategy, candidates: Candidates, rows: Indices, k: int, rng: np.random.Generator) -> Choice:
    """What the strategy chooses among these candidates alone, with the numbers they have among all."""
    choice = strategy(candidates.take(rows), k, rng)
    return replace(choice, indices=rows[choice.indices])


def _part(choice: Choice, places: Indices) -> Choice:
    """The items of the choice at these places, in this order."""
    why = choice.why if isinstance(choice.why, str) else choice.why[places]
    return Choice(choice.indices[places], choice.scores[places], why, choice.propensity[places])
