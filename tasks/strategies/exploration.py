"""Ask what the model needs, but not only: chance and variety keep their part, and earn more if the past says so.

Each place in a batch belongs to an arm: 'random', 'uncertain' (margin) or 'diverse' (farthest first). Random places are
drawn first, from all candidates alike, so they are a plain sample of what was open; their propensity is the chance
of such a place, r / n for r random places, given r. It is not the chance to be asked for whatever reason. They stay
beside a near-duplicate (see `batches.spread`).

Nothing is kept between rounds. What an arm was worth is found by replaying the answers, whose `why` names their arm
(see `advantages`).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from labelwise.tasks.strategies import heads
from labelwise.tasks.strategies.base import Candidates, Choice, Floats, Indices, Labelled, top
from labelwise.tasks.strategies.diversity import k_centre
from labelwise.tasks.strategies.uncertainty import margin_of

EPSILON = 0.1
EPSILONS = np.array([0.05, 0.1, 0.2, 0.4, 0.8])  # of which `exponentiated_gradient` chooses
FLOOR = 0.1  # the least chance of each arm, and of the grid of epsilons as a whole
RATE = 10.0  # ten points of accuracy, summed over the rounds, are worth a factor of e
REPLAYED = 20  # rounds at most, the last ones: three fits of a head each
TRAVERSED = 5_000  # candidates among which the diverse ones are looked for
ARMS = ("random", "uncertain", "diverse")


def epsilon(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Margin, but each place in the batch is random with a probability of 0.1 (epsilon-greedy: Sutton & Barto 1998,
    'Reinforcement Learning', section 2.2). O(nc + n log n) time, O(nc) memory.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> epsilon(GIVEN, 2, chance()).indices.tolist()
    [3, 2]
    """
    return mixed(candidates, drawn_arms(np.array([EPSILON, 1 - EPSILON, 0]), k, rng), rng)


def exponentiated_gradient(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Epsilon-greedy whose epsilon is drawn from a grid, by weights that the past has taught (Bouneffouf 2014,
    arXiv 1408.2196; exponentiated gradient, Kivinen & Warmuth 1997).

    An epsilon would have earned what its arms earned, each as often as it would have asked it. With little past, all
    epsilons are alike; a tenth of the chance is always shared evenly. O(nc + n log n) time, and the replay: 40 fits of
    a head; O(nc) memory.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> exponentiated_gradient(GIVEN, 3, chance()).indices.tolist()
    [0, 4, 3]
    """
    advice = np.column_stack([EPSILONS, 1 - EPSILONS])
    weights = softmax(RATE * advice @ advantages(candidates, ARMS[:2]).sum(axis=0))
    chances = (1 - FLOOR) * weights + FLOOR / len(EPSILONS)
    eps = rng.choice(EPSILONS, p=chances)
    return mixed(candidates, drawn_arms(np.array([eps, 1 - eps, 0]), k, rng), rng)


def bandit(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """Chance, margin and farthest-first share the batch, by weights that the past has taught: active learning by
    learning (Hsu & Lin 2015), which wants never to be worse than chance. Each arm keeps a chance of 0.1 a place.

    Theirs plays one arm a query and pays that one. Here all arms share a batch, so all can be paid after each (Hedge,
    Freund & Schapire 1997). O(nc + n log n + nmd + 5000 kd) time, and the replay: 60 fits of a head; O(nc) memory and
    that of 5,000 vectors.

    >>> from labelwise.tasks.strategies.example import GIVEN, chance
    >>> bandit(GIVEN, 3, chance()).indices.tolist()
    [3, 5, 0]
    """
    weights = softmax(RATE * advantages(candidates, ARMS).sum(axis=0))
    return mixed(candidates, drawn_arms((1 - FLOOR * len(ARMS)) * weights + FLOOR, k, rng), rng)


def advantages(candidates: Candidates, arms: tuple[str, ...]) -> Floats:
    """(rounds, arms) by how much each arm was better than chance in each of the last 20 rounds that tell; often none.

    For a round and an arm, a head is fitted on all answers before the round and some of the arm's in it, as many of
    each arm, so that none gains by being asked more. It is worth its accuracy on the random items of later rounds: in
    the importance-weighted accuracy of Hsu & Lin an item that chance may draw weighs by n, one that only a
    deterministic arm takes weighs about 1, so that with many candidates the random ones alone count. An arm that is not
    in a round earns nothing in it. Rounds without a random item, or with none in a later round, tell nothing.
    """
    # The loop's control arm is a plain sample too.
    labelled = candidates.labelled
    labelled = replace(labelled, why=np.where(labelled.why == "control", "random", labelled.why))
    by_chance = labelled.why == "random"
    last = labelled.rounds[by_chance].max(initial=-1)
    telling = [number for number in np.unique(labelled.rounds[by_chance]) if number < last][-REPLAYED:]
    c = candidates.probabilities.shape[1]
    return np.array([_advantages_in(labelled, number, arms, c) for number in telling]).reshape(-1, len(arms))


def _advantages_in(labelled: Labelled, number: int, arms: tuple[str, ...], c: int) -> Floats:
    """(arms,) accuracy in this round less that of chance, 0 for an arm that is not in it."""
    asked = [np.flatnonzero((labelled.rounds == number) & (labelled.why == arm)) for arm in arms]
    each = min(len(rows) for rows in asked if len(rows))
    before = np.flatnonzero(labelled.rounds < number)
    later = np.flatnonzero((labelled.rounds > number) & (labelled.why == "random"))
    accuracies = [
        _accuracy(labelled, np.append(before, rows[:each]), later, c) if len(rows) else np.nan for rows in asked
    ]
    return np.nan_to_num(np.array(accuracies) - accuracies[0])


def _accuracy(labelled: Labelled, learned: Indices, judged: Indices, c: int) -> float:
    """Of a head that knows some of the answers, on others."""
    head = heads.fit(labelled.vectors[learned], labelled.labels[learned], c)
    return float((head.probabilities(labelled.vectors[judged]).argmax(axis=1) == labelled.labels[judged]).mean())


def drawn_arms(chances: Floats, k: int, rng: np.random.Generator) -> NDArray[np.object_]:
    """(k,) the arm of each place, by the chance of each of ARMS."""
    return np.array(ARMS, dtype=object)[rng.choice(len(ARMS), size=k, p=chances)]


def mixed(candidates: Candidates, words: NDArray[np.object_], rng: np.random.Generator) -> Choice:
    """A batch with a place for each word: the random places are filled first, then the others, in the order of the
    words."""
    k, n = len(words), len(candidates)
    places = {arm: np.flatnonzero(words == arm) for arm in ARMS}
    indices, scores, propensity = np.empty(k, np.int64), np.full(k, np.nan), np.full(k, np.nan)
    indices[places["random"]] = rng.choice(n, len(places["random"]), replace=False)
    propensity[places["random"]] = len(places["random"]) / n
    unsure = margin_of(candidates.simplex)
    rest = np.setdiff1d(np.arange(n), indices[places["random"]])
    best = top(unsure[rest], len(places["uncertain"]), rng)
    indices[places["uncertain"]], scores[places["uncertain"]] = rest[best.indices], best.scores
    rest = np.setdiff1d(rest, rest[best.indices])
    if len(places["diverse"]):
        sample = np.sort(rng.choice(rest, min(len(rest), max(TRAVERSED, k)), replace=False))
        far = k_centre(candidates.take(sample), len(places["diverse"]), rng)
        indices[places["diverse"]] = sample[far.indices]
    return Choice(indices, scores, words, propensity)
