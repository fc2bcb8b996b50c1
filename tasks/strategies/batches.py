"""Wrappers around any strategy: what a batch as a whole should be like."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tasks.strategies.base import Candidates, Choice, Floats, Indices, Strategy


def without_near_duplicates(strategy: Strategy, threshold: float, beside: Floats | None = None) -> Strategy:
    """The same strategy, but no two items of its batch have a cosine similarity of `threshold` or more, nor has one to
    an item that is in the batch already: beside, (j, d). What chance drew is exempt: it stays, and the others make way.

    The strategy is asked, whatever is too near to an accepted item is shut out, and it is asked again for what is
    missing. When nothing but near-duplicates is left, they fill the batch. Items whose word is 'random' keep their
    propensity, since nothing can turn them out. What makes up for near-duplicates has none, whatever drew it: its
    chance hangs on what the batch held by then.

    A batch without near-duplicates costs one call of the strategy. Otherwise there is one more call for each time that
    near ones come back, seldom more than three and k at most, and O(nkd) time for all of them together; O(n) memory.
    """

    def choose(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
        choice = strategy(candidates, k, rng)
        there = candidates.gather(choice.indices[:0]) if beside is None else beside
        kept = _apart(candidates, choice, threshold, there)
        if len(kept.indices) == k:
            return choice
        batch = _made_up(strategy, candidates, kept, k, threshold, there, rng)
        return replace(batch, propensity=np.where(_by_chance(batch), batch.propensity, np.nan))

    return choose


def class_balanced(strategy: Strategy) -> Strategy:
    """The same strategy, so that labels given and asked come out as even over the predicted classes as the candidates
    allow, rare classes first. Bengar et al. 2022 (arXiv 2110.04543) weigh the same evenness against the strategy's own
    score; here it comes first. The classes are the model's guesses, so the true ones come out less even.

    The strategy is asked for a whole batch among the classes whose turn comes. Each takes what is due to it, in the
    strategy's order; where that falls short, the strategy is asked again among the classes that still want some, for
    twice as many as are missing, then four times, and so on. Of a strategy that ranks, each class so gets its highest.
    A batch drawn by chance alone is a plain sample of each class, and has that propensity; in any other it is unknown.

    Costs one run of the strategy, and a few more among ever fewer candidates; no more of them than there are classes.
    O(n) memory.
    """

    def choose(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
        predicted = candidates.probabilities.argmax(axis=1)
        c = candidates.probabilities.shape[1]
        there = np.bincount(predicted, minlength=c)
        turn_of = turns(np.bincount(candidates.labelled.labels, minlength=c), there, k)
        due = np.bincount(turn_of, minlength=c)
        batch = _due(strategy, candidates, predicted, due, rng)
        own = predicted[batch.indices]
        plain = np.all(batch.why == "random")
        batch = replace(batch, propensity=due[own] / there[own] if plain else np.full(k, np.nan))
        return _part(batch, np.argsort(own, kind="stable")[in_turns(turn_of)])

    return choose


def _due(strategy: Strategy, candidates: Candidates, groups: Indices, due: Indices, rng: np.random.Generator) -> Choice:
    """What is due to each group, in no order of groups. groups: (n,) that of each candidate; due: how many of each, no
    more than there are."""
    open_ = np.ones(len(candidates), dtype=bool)
    wanted, batch = 1, []
    while missing := int(due.sum()):
        rows = np.flatnonzero(open_ & (due[groups] > 0))
        fresh = asked_of(strategy, candidates, rows, min(wanted * missing, len(rows)), rng)
        own = groups[fresh.indices]
        fresh = _part(fresh, np.flatnonzero(places_within(own) < due[own]))
        due = due - np.bincount(groups[fresh.indices], minlength=len(due))
        open_[fresh.indices] = False
        batch.append(fresh)
        wanted *= 2
    return joined(batch)


def places_within(groups: Indices) -> Indices:
    """(k,) how many of its own group stand before each.

    >>> places_within(np.array([7, 3, 7, 7, 3])).tolist()
    [0, 0, 1, 2, 1]
    """
    order = np.argsort(groups, kind="stable")
    _, first, counts = np.unique(groups[order], return_index=True, return_counts=True)
    places = np.empty(len(groups), dtype=np.int64)
    places[order] = np.arange(len(groups)) - np.repeat(first, counts)
    return places


def in_turns(turn_of: Indices) -> Indices:
    """(k,) where each place of a batch finds its item, when items lie group by group: those of the lowest group first.

    >>> in_turns(np.array([2, 0, 2])).tolist()
    [1, 0, 2]
    """
    return np.argsort(np.argsort(turn_of, kind="stable"))


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
            last = asked_of(strategy, candidates, left, missing, rng)
            return joined([batch, replace(last, propensity=np.full(missing, np.nan))])
        rows = np.flatnonzero(free)
        fresh = asked_of(strategy, candidates, rows, min(missing, len(rows)), rng)
        fresh = replace(fresh, propensity=np.full(len(fresh.indices), np.nan))  # chance has no privilege any more
        fresh = _apart(candidates, fresh, threshold, there)
        batch = joined([batch, fresh])
    return batch


def _shut_out(free: NDArray[np.bool_], candidates: Candidates, accepted: Floats, threshold: float) -> None:
    """Candidates that are too near to one of the accepted (j, d) vectors are free no longer."""
    if len(accepted):
        for part, vectors in candidates.blocks(beside=len(accepted)):
            free[part] &= (vectors @ accepted.T).max(axis=1) < threshold


def _apart(candidates: Candidates, choice: Choice, threshold: float, there: Floats) -> Choice:
    """The items of the choice that chance drew, and in order the others that are not too near to one of these, to one
    before them or to one that is there already."""
    vectors, by_chance = candidates.gather(choice.indices), _by_chance(choice)
    others = np.flatnonzero(~by_chance)
    kept = others[_spread(vectors[others], threshold, np.concatenate([there, vectors[by_chance]]))]
    return _part(choice, np.sort(np.append(np.flatnonzero(by_chance), kept)))


def _by_chance(choice: Choice) -> NDArray[np.bool_]:
    """(k,) what is a plain sample, with a chance that is known."""
    return (np.asarray(choice.why) == "random") & np.isfinite(choice.propensity)


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
