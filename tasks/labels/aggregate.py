"""What people say of items, one class each, taken together: how likely each class is, and how good each person is.

    agreed = dawid_skene(answers)                  people differ in how good they are, and in what they confuse
    agreed = dawid_skene(answers, opinion)         and a model that has not learned these labels is heard, too
    agreed = majority(answers)                     all count alike

Dawid & Skene (1979, 'Maximum likelihood estimation of observer error-rates using the EM algorithm'): which class an
item has, and what each person says of items of each class, are found in turn, each from the other. Where people have
answered little, maximum likelihood believes in accidents, and loses to a majority. So each person's confusions are
drawn towards those of all people, and these towards a person who is mostly right; both in every step (as a posterior
mode: Raykar et al. 2010, JMLR 11).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # `status` must not wait for it
    from scipy.sparse import csr_array

STEPS, SETTLED = 100, 1e-5  # turns at most; the change of an opinion at which they end
ALL = 12.0  # answers that what all people confuse counts for, of each person and class
RIGHT, FEW = 0.8, 10.0  # how often one is right of whom nothing is known, and for how many answers that counts
TRIED = np.array([0.0, 0.25, 0.5, 0.75, 1.0])  # powers of a model's opinion
SOUGHT = 5  # turns in which the power is sought, and then only where opinions have settled: it costs more than the rest

Doubles = NDArray[np.float64]
Whole = NDArray[np.integer]


@dataclass(frozen=True)
class Answers:
    """m answers: which of `items` items, (m,), which of `people` people, (m,), and which of `classes` classes, (m,)."""

    item: Whole
    person: Whole
    label: Whole
    items: int
    people: int
    classes: int

    def counts(self) -> Doubles:
        """(items, classes) how many people gave each class."""
        at = self.item * self.classes + self.label
        return np.bincount(at, minlength=self.items * self.classes).reshape(self.items, -1).astype(np.float64)

    def table(self, telling: NDArray[np.bool_] | None = None) -> "csr_array":
        """(people x classes, items) how often each person gave each class to each item. telling: (m,) which answers
        are in it; None: all."""
        from scipy.sparse import csr_array

        rows = slice(None) if telling is None else telling
        at, item = (self.person * self.classes + self.label)[rows], self.item[rows]
        return csr_array((np.ones(len(at)), (at, item)), shape=(self.people * self.classes, self.items))


@dataclass(frozen=True)
class Agreed:
    """opinion: (items, classes) how likely each class is. confusion: (people, classes, classes) what each person says
    of items of each class; None where all count alike."""

    opinion: Doubles
    confusion: Doubles | None = None

    def right(self, answers: Answers) -> Doubles:
        """(m,) how likely each of these answers is right."""
        return self.opinion[answers.item, answers.label]

    @property
    def label(self) -> NDArray[np.int64]:
        """(items,) the likeliest class."""
        return self.opinion.argmax(axis=1)

    @property
    def trust(self) -> Doubles:
        """(items,) how likely it is right."""
        return self.opinion.max(axis=1)


def majority(answers: Answers) -> Agreed:
    """The class that most people gave; of several the one that is given most of all. Its trust is the share of the
    people who gave it. Where nobody has answered, as often as each class is given."""
    counts = answers.counts()
    often = counts.sum(axis=0) / max(counts.sum(), 1)
    return Agreed(_shares(counts + 1e-6 * often))


def dawid_skene(answers: Answers, opinion: Doubles | None = None, steps: int = STEPS) -> Agreed:
    """Each person's answers by what that person confuses. opinion: (items, classes) what a model says that has not
    learned the labels of these items: it takes the place of how often each class is, to the power at which it explains
    best what people said. steps: turns at most."""
    usually = _usually(answers)
    alone = answers.counts().sum(axis=1) < 2
    agreed = majority(answers).opinion
    # Of an item that one person labelled the label itself says nothing of that person.
    judged = agreed.copy()
    if opinion is not None:
        judged[alone] = opinion[alone]
    telling = answers.table(None if opinion is not None else ~alone[answers.item])
    everything = answers.table().T.tocsr()
    power, thought = 0.0, None if opinion is None else np.log(np.maximum(opinion, 1e-4))
    for step in range(steps):
        before, power_before = agreed, power
        confusion = _confusion(answers, judged, usually, telling)
        said = everything @ np.log(confusion).transpose(0, 2, 1).reshape(-1, answers.classes)
        often = np.log(_shares(before.sum(axis=0) + 1))
        if thought is not None and step < SOUGHT:
            power = _power(said, often, thought)
        first = _first(often, thought, power)
        agreed = _shares(np.exp(_level(said + first)))
        judged = agreed
        if opinion is not None and alone.any():
            judged = agreed.copy()
            judged[alone] = _shares(np.exp(_level(np.broadcast_to(first, agreed.shape)[alone])))
        if np.abs(agreed - before).max(initial=0) < SETTLED:
            if thought is not None:
                power = _power(said, often, thought)
            if power == power_before:
                break
    return Agreed(agreed, confusion)


def quality(person: Whole, shared: NDArray[np.bool_], right: Doubles, people: int) -> tuple[Doubles, Doubles]:
    """(people,) how often each is right, by what is agreed on items that others have labelled, too, and (people,) the
    standard error of that: of so few answers, and of what is not sure of the items. NaN where there are none.

    person: (m,) whose each answer is; shared: (m,) whether others have labelled its item; right: (m,) how likely it is.
    """
    of, right = person[shared], right[shared]
    n = np.bincount(of, minlength=people).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(of, right, minlength=people) / n
        unsure = np.bincount(of, right * (1 - right), minlength=people) / n
        return mean, np.sqrt((mean * (1 - mean) + unsure) / n)


def _confusion(answers: Answers, opinion: Doubles, usually: Doubles, telling: "csr_array") -> Doubles:
    """(people, classes, classes) what each says of items of each class, drawn towards what all say, and that towards
    what they usually say. telling: see `Answers.table`, of the answers that tell anything of people."""
    given = (telling @ opinion).reshape(answers.people, answers.classes, answers.classes).transpose(0, 2, 1)
    n = given.sum(axis=(1, 2), keepdims=True)
    middle = np.median(n[n > 0]) if n.any() else 1.0
    heard = np.minimum(1, middle / np.maximum(n, middle))  # of all people nobody is more than one
    everybody = _shares((heard * given).sum(axis=0) + FEW * usually)
    return _shares(given + ALL * everybody)


def _usually(answers: Answers) -> Doubles:
    """(classes, classes) what a person says, if all are right equally often and err evenly: by how often two agree."""
    counts = answers.counts()
    n = counts.sum(axis=1)
    pairs, alike, c = (n * (n - 1)).sum(), (counts * (counts - 1)).sum(), answers.classes
    right = RIGHT
    if pairs and c > 1:
        agree = (alike + 4 * (RIGHT**2 + (1 - RIGHT) ** 2 / (c - 1))) / (pairs + 4)
        right = (1 + np.sqrt(max((c - 1) * (c * agree - 1), 0))) / c
    found = np.full((c, c), (1 - right) / max(c - 1, 1))
    np.fill_diagonal(found, right if c > 1 else 1.0)
    return np.clip(found, 1e-3, None)


def _first(often: Doubles, thought: Doubles | None, power: float) -> Doubles:
    """What is known of items before people have answered, in logarithms. thought: (n, c) a model's opinion."""
    return often[None] if thought is None or not power else (1 - power) * often + power * thought


def _power(said: Doubles, often: Doubles, thought: Doubles) -> float:
    """The power of a model's opinion at which what people said is likeliest."""
    best = [_likely(said, _first(often, thought, float(power))) for power in TRIED]
    return float(TRIED[int(np.argmax(best))])


def _likely(said: Doubles, first: Doubles) -> float:
    first = first - logsum(first)[:, None]
    return float(logsum(said + first).sum())


def logsum(logs: Doubles) -> Doubles:
    """(n, k) logarithms -> (n,) that of the sum of what they are of."""
    most = logs.max(axis=1)
    return np.asarray(most + np.log(np.exp(logs - most[:, None]).sum(axis=1)))


def _level(logs: Doubles) -> Doubles:
    return np.asarray(logs - logs.max(axis=-1, keepdims=True))


def _shares(weights: Doubles) -> Doubles:
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))
