"""Ask what the model is least sure of (Settles 2009, 'Active Learning Literature Survey', section 3.1).

Three layers: the measures work on probabilities alone, (n, c) -> (n,), higher is less sure, O(nc) time, O(n) memory;
the strategies take the top of them; choosing the batch with care for its variety is another family's work.
"""

import numpy as np

from labelwise.tasks.strategies.base import Candidates, Choice, Floats, top


def least_confidence_of(probabilities: Floats) -> Floats:
    """One less the highest probability (Lewis & Gale 1994). In [0, 1 - 1/c].

    >>> least_confidence_of(np.array([[0.5, 0.5], [1.0, 0.0]])).tolist()
    [0.5, 0.0]
    """
    return 1 - probabilities.max(axis=1)


def margin_of(probabilities: Floats) -> Floats:
    """One less the gap between the two highest probabilities (Scheffer et al. 2001). In [0, 1].

    >>> margin_of(np.array([[0.5, 0.5], [1.0, 0.0]])).tolist()
    [1.0, 0.0]
    """
    second, first = np.partition(probabilities, -2, axis=1)[:, -2:].T
    return 1 - (first - second)


def entropy_of(probabilities: Floats) -> Floats:
    """Shannon entropy in nats (Shannon 1948). In [0, ln c].

    >>> entropy_of(np.array([[0.5, 0.5], [1.0, 0.0]])).round(3).tolist()
    [0.693, 0.0]
    """
    logs = np.log(probabilities, where=probabilities > 0, out=np.zeros_like(probabilities))
    return np.abs((probabilities * logs).sum(axis=1))  # abs: no negative zero


def least_confidence(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The items whose best guess is least probable (Lewis & Gale 1994). O(nc + k log k) time, O(n) memory.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> least_confidence(GIVEN, 2, chance()).indices.tolist()
    [3, 2]
    """
    return top(least_confidence_of(candidates.simplex), k, rng)


def margin(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The items whose two best guesses are closest (Scheffer et al. 2001); the best single choice over text sets in
    most comparisons. O(nc + k log k) time, O(nc) memory.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> margin(GIVEN, 2, chance()).indices.tolist()
    [3, 2]
    """
    return top(margin_of(candidates.simplex), k, rng)


def entropy(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """The items whose probabilities are most spread (Shannon 1948); prefers items torn between many classes. O(nc + k
    log k) time, O(nc) memory.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> entropy(GIVEN, 2, chance()).indices.tolist()
    [3, 2]
    """
    return top(entropy_of(candidates.simplex), k, rng)
