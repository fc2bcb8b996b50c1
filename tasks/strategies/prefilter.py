"""Which items of a large pool are worth the whole model's look, by what its quick part thinks of all of them.

SEALS (Coleman et al. 2022, 'Similarity Search for Efficient Active Learning and Search of Rare Concepts',
arXiv:2007.00077) takes the neighbours of what has been labelled. A linear head takes a product a class of each vector
and not one a label, needs no index, and has an opinion of every item; docs/scale.md compares what each way finds.
"""

import numpy as np
from numpy.typing import NDArray

BY_CHANCE, LIKELIEST = 0.125, 0.125  # shares of the candidates; the rest are drawn by doubt
POWER = 4.0  # of the margin, in proportion to which these are drawn: docs/scale.md has what other draws came to


def worth_a_look(
    chances: NDArray[np.floating], margin: NDArray[np.floating], most: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The rows of `most` of n items, ascending: some by chance, so that nothing is out of reach; of each class in turn
    the likeliest, since what a model is sure is rare is sought, too; and most by doubt: drawn in proportion to a power
    of their margin, without replacement, by the keys of Efraimidis & Spirakis (2006, 'Weighted random sampling with a
    reservoir'). Those of the highest margin alone would be much alike, and a batch is to be spread.

    chances: (n, c) of each class; margin: (n,) as `margin_of` has it, high where two are nearly as likely; most: at
    most n.

    >>> chances = np.array([[0.9, 0.1], [0.5, 0.5], [0.8, 0.2], [0.3, 0.7]])
    >>> worth_a_look(chances, np.array([0.1, 1.0, 0.2, 0.3]), 1, np.random.default_rng(0)).tolist()
    [1]
    """
    found = np.zeros(len(chances), dtype=bool)
    found[rng.choice(len(chances), int(BY_CHANCE * most), replace=False)] = True
    seen = np.flatnonzero(chances.any(axis=0))
    for of_class in seen:
        _add(found, -chances[:, of_class], int(LIKELIEST * most / len(seen)))
    with np.errstate(divide="ignore"):
        keys = POWER * np.log(margin) + rng.gumbel(size=len(margin))
    _add(found, -keys, most - int(found.sum()))
    return np.flatnonzero(found)


def _add(found: NDArray[np.bool_], by: NDArray[np.floating], k: int) -> None:
    """Mark the k rows of the least `by` of those that are not marked, the earlier of two that are alike."""
    rest = np.flatnonzero(~found)
    if k < len(rest):
        last = np.partition(by[rest], k - 1)[k - 1] if k else -np.inf
        sure, alike = rest[by[rest] < last], rest[by[rest] == last]
        rest = np.concatenate([sure, alike[: k - len(sure)]])
    found[rest] = True
