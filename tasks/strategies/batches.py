"""Wrappers around any strategy: what a batch as a whole should be like."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.kinds.wording import Wording, alike
from labelwise.tasks.strategies.base import Candidates, Choice, Floats, Indices, Strategy

TEMPLATE_SHARE = 10  # no template has more than a tenth of a batch, unless nothing else fills it


def spread(strategy: Strategy, threshold: float, beside: Candidates | None = None) -> Strategy:
    """The same strategy, but no two items of its batch are near-duplicates, nor is one of an item that is in the batch
    already (beside); and no template of machine-made texts has more than its share (`shares`). Near-duplicates have a
    cosine similarity of `threshold` or more, which their wording confirms where it is known; items of one group count
    as such, too. What chance drew is exempt: it stays, and the others make way.

    The strategy is asked, whatever is too near to an accepted item or of a template that has its share is shut out, and
    it is asked again for what is missing. When nothing else is left, such items fill the batch. Items whose word is
    'random' keep their propensity, since nothing can turn them out. What makes up for near-duplicates has none,
    whatever drew it: its chance hangs on what the batch held by then.

    A batch without near-duplicates costs one call of the strategy. Otherwise there is one more call for each time that
    near ones come back, rarely more than three and k at most, and O(nkd) time for all of them together; O(n) memory.
    """

    def choose(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
        choice = strategy(candidates, k, rng)
        there = Held.of(candidates.take(choice.indices[:0]) if beside is None else beside)
        most = shares(candidates, k)
        kept = _apart(candidates, choice, threshold, there, most)
        if len(kept.indices) == k:
            return choice
        batch = _made_up(strategy, candidates, kept, k, threshold, there, most, rng)
        return replace(batch, propensity=np.where(_by_chance(batch), batch.propensity, np.nan))

    return choose


@dataclass(frozen=True)
class Held:
    """What is known of j items that others are compared with. vectors: (j, d); wording, groups: (j,) or None."""

    vectors: Floats
    wording: Wording | None
    groups: NDArray[np.int64] | None

    @classmethod
    def of(cls, candidates: Candidates) -> "Held":
        """All of the candidates, which must be few: their vectors are read."""
        return cls(candidates.gather(np.arange(len(candidates))), candidates.wording, candidates.groups)

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: Indices) -> "Held":
        """These items alone."""
        groups = None if self.groups is None else self.groups[rows]
        return Held(self.vectors[rows], None if self.wording is None else self.wording[rows], groups)

    def and_(self, other: "Held") -> "Held":
        """These items, then the others."""
        known = None if self.wording is None or other.wording is None else np.append(self.wording, other.wording)
        groups = None if self.groups is None or other.groups is None else np.append(self.groups, other.groups)
        return Held(np.concatenate([self.vectors, other.vectors]), known, groups)

    def near(self, others: "Held", threshold: float) -> NDArray[np.bool_]:
        """(j, m) which are near-duplicates of which, or of one group."""
        found = np.asarray(self.vectors @ others.vectors.T >= threshold)
        if self.wording is not None and others.wording is not None and found.any():
            found = np.asarray(found & alike(self.wording, others.wording))
        if self.groups is None or others.groups is None:
            return found
        return found | ((self.groups[:, None] == others.groups) & (others.groups >= 0))


def of_template(wording: Wording | None, held: Wording | None) -> NDArray[np.int64] | int:
    """(n,) how many of the held items have the template of each of n; 0 where nothing is known."""
    if wording is None or held is None or not len(held):
        return 0
    names, counts = np.unique(held["template"], return_counts=True)
    at = np.searchsorted(names, wording["template"]).clip(max=len(names) - 1)
    return np.where(names[at] == wording["template"], counts[at], 0)


def shares(candidates: Candidates, k: int) -> NDArray[np.int64]:
    """(n,) how many of k items may have the template of each candidate: the least that fills a batch evenly, but a
    tenth of it at least. A template whose answers differ so far may have any number: there the numbers or names matter,
    and the strategy knows where.

    Of templates that have 8, 1 and 1 candidates, 3, 1 and 1 fill a batch of 5.
    """
    if candidates.wording is None or not len(candidates):
        return np.full(len(candidates), k)
    there = np.sort(np.unique(candidates.wording["template"], return_counts=True)[1])
    # Where each gives at most what the j-th smallest has, the smaller ones give all they have.
    filled = np.concatenate([[0], np.cumsum(there)[:-1]]) + there * np.arange(len(there), 0, -1)
    j = int(np.searchsorted(filled, k))
    least = -(-(k - int(there[:j].sum())) // max(len(there) - j, 1))
    return np.where(_differing(candidates), k, max(least, -(-k // TEMPLATE_SHARE)))


def _differing(candidates: Candidates) -> NDArray[np.bool_]:
    """(n,) whose template has been given two labels."""
    known = candidates.labelled.wording
    if candidates.wording is None or known is None or not len(known):
        return np.zeros(len(candidates), dtype=bool)
    of = pd.DataFrame({"template": known["template"], "label": candidates.labelled.answers})
    several = of.groupby("template").label.nunique() > 1
    return np.isin(candidates.wording["template"], several.index[several])


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
    there: Held,
    most: NDArray[np.int64],
    rng: np.random.Generator,
) -> Choice:
    """`batch`, whose items are apart, made up to k."""
    free = np.ones(len(candidates), dtype=bool)
    _shut_out(free, candidates, there, threshold)
    fresh = batch
    while (missing := k - len(batch.indices)) > 0:
        _shut_out(free, candidates, Held.of(candidates.take(fresh.indices)), threshold)
        held = there.and_(Held.of(candidates.take(batch.indices)))
        free &= of_template(candidates.wording, held.wording) < most
        free[fresh.indices] = False  # with float32 the similarity of a vector to itself may fall short of 1
        if not free.any():
            left = np.setdiff1d(np.arange(len(candidates)), batch.indices)
            last = asked_of(strategy, candidates, left, missing, rng)
            return joined([batch, replace(last, propensity=np.full(missing, np.nan))])
        rows = np.flatnonzero(free)
        fresh = asked_of(strategy, candidates, rows, min(missing, len(rows)), rng)
        fresh = replace(fresh, propensity=np.full(len(fresh.indices), np.nan))  # chance has no privilege any more
        fresh = _apart(candidates, fresh, threshold, held, most)
        batch = joined([batch, fresh])
    return batch


def _shut_out(free: NDArray[np.bool_], candidates: Candidates, accepted: Held, threshold: float) -> None:
    """Candidates that are near-duplicates of one of the accepted are free no longer."""
    if len(accepted):
        for part, vectors in candidates.blocks(beside=len(accepted)):
            wording = None if candidates.wording is None else candidates.wording[part]
            groups = None if candidates.groups is None else candidates.groups[part]
            free[part] &= ~Held(vectors, wording, groups).near(accepted, threshold).any(axis=1)


def _apart(candidates: Candidates, choice: Choice, threshold: float, there: Held, most: NDArray[np.int64]) -> Choice:
    """The items of the choice that chance drew, and in order the others that are near-duplicates of none of these, of
    none before them and of none that is there already, while their template has less than its share: most, (n,)."""
    own, by_chance = Held.of(candidates.take(choice.indices)), _by_chance(choice)
    others = np.flatnonzero(~by_chance)
    kept = others[
        _spread(
            own.take(others), threshold, there.and_(own.take(np.flatnonzero(by_chance))), most[choice.indices[others]]
        )
    ]
    return _part(choice, np.sort(np.append(np.flatnonzero(by_chance), kept)))


def _by_chance(choice: Choice) -> NDArray[np.bool_]:
    """(k,) what is a plain sample, with a chance that is known."""
    return (np.asarray(choice.why) == "random") & np.isfinite(choice.propensity)


def _spread(given: Held, threshold: float, there: Held, most: NDArray[np.int64]) -> Indices:
    """Positions of the items that go with those there already and with those kept before them. O(m (m + j))."""
    held = there.and_(given)
    near = given.near(held, threshold)
    in_batch = np.arange(len(held)) < len(there)
    for row in range(len(given)):
        own = given.take(np.array([row])).wording
        same = of_template(own, None if held.wording is None else held.wording[in_batch])
        in_batch[len(there) + row] = not near[row, in_batch].any() and bool(np.all(same < most[row]))
    return np.flatnonzero(in_batch[len(there) :])


def asked_of(strategy: Strategy, candidates: Candidates, rows: Indices, k: int, rng: np.random.Generator) -> Choice:
    """What the strategy chooses among these candidates alone, with the numbers they have among all."""
    choice = strategy(candidates.take(rows), k, rng)
    return replace(choice, indices=rows[choice.indices])


def _part(choice: Choice, places: Indices) -> Choice:
    """The items of the choice at these places, in this order."""
    why = choice.why if isinstance(choice.why, str) else choice.why[places]
    return Choice(choice.indices[places], choice.scores[places], why, choice.propensity[places])
