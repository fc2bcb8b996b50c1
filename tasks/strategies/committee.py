"""Ask what several models disagree about (query by committee: Seung et al. 1992).

Members are heads on bootstrap resamples of the labels, each class kept. The measures work on (T, n, c) probabilities
of T members and give (n,), higher is more disagreement.
"""

from collections.abc import Callable

import numpy as np

from labelwise.tasks.strategies import heads
from labelwise.tasks.strategies.base import Candidates, Choice, Floats, Labelled, top
from labelwise.tasks.strategies.uncertainty import entropy_of

MEMBERS = 8


def vote_entropy_of(members: Floats) -> Floats:
    """Entropy of the members' votes, in nats (Dagan & Engelson 1995). In [0, ln min(T, c)]."""
    votes = np.stack([(members.argmax(axis=2) == label).mean(axis=0) for label in range(members.shape[2])], axis=1)
    return entropy_of(votes)


def consensus_kl_of(members: Floats) -> Floats:
    """Mean divergence KL(member, mean of the members), in nats (McCallum & Nigam 1998). In [0, ln T].

    It is the entropy of the mean less the mean of the entropies: the mutual information that BALD asks for.
    """
    return np.maximum(entropy_of(members.mean(axis=0)) - np.mean([entropy_of(one) for one in members], axis=0), 0)


def vote_entropy(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The items on which the members' votes are most spread (Dagan & Engelson 1995). T = 8 fits of a head, then O(nTcd)
    time; O(n) memory beside a block of 4,096 items.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> vote_entropy(GIVEN, 2, chance()).indices.tolist()
    [2, 3]
    """
    committee = members(candidates.labelled, candidates.probabilities.shape[1], rng)
    return top(by_block(candidates, committee, vote_entropy_of), k, rng)


def consensus_kl(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The items on which members are furthest from their mean (McCallum & Nigam 1998). T = 8 fits of a head, then
    O(nTcd) time; O(n) memory beside a block of 4,096 items.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> consensus_kl(GIVEN, 2, chance()).indices.tolist()
    [2, 3]
    """
    committee = members(candidates.labelled, candidates.probabilities.shape[1], rng)
    return top(by_block(candidates, committee, consensus_kl_of), k, rng)


def members(labelled: Labelled, c: int, rng: np.random.Generator) -> list[heads.LinearModel]:
    """Heads on resamples of the labels: one item of each class is certain to be in, the rest are drawn with
    replacement."""
    order = np.argsort(labelled.labels, kind="stable")
    starts = np.unique(labelled.labels[order], return_index=True)[1]
    result = []
    for _ in range(MEMBERS):
        certain = [int(rng.choice(group)) for group in np.split(order, starts[1:])]
        drawn = rng.integers(len(labelled), size=len(labelled) - len(certain))
        weight = np.bincount(np.concatenate([certain, drawn]), minlength=len(labelled)).astype(np.float64)
        result.append(heads.fit(labelled.vectors, labelled.labels, c, weight))
    return result


def by_block(candidates: Candidates, committee: list[heads.LinearModel], measure: Callable[[Floats], Floats]) -> Floats:
    """(n,) the measure of every candidate, block by block."""
    return np.concatenate(
        [measure(np.stack([one.probabilities(vectors) for one in committee])) for _, vectors in candidates.blocks(4096)]
    )
