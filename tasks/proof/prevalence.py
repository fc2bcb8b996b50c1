"""How many items of each class there are in the pool, and how many of them are found.

What has a label is counted. Of the rest the control arm tells: in each round it takes the next items of an order that
nobody's model had a say in, which is a uniform draw, without replacement, of all that was open then. Let R items of the
class be left without a label today, and D of those open in a round have got theirs since. Then that round drew from
R + D of the class, whatever the strategies asked beside it and however well: the number it saw is hypergeometric. R is
the one thing not known, and the rounds' likelihoods multiply. A round that drew while the class was still plentiful
counts for less than one that drew of what is left, as it should.

The interval is a mid-p one (Lancaster 1961; Berry & Armitage 1995): half-way between the two of Clopper and Pearson
(1934), which for one draw are the posteriors under the priors 1 / (1 - p) and 1 / p. Where several rounds drew, p is
that of each, weighed by the information that it has. It may be that more were found since than the draws lead to
expect: R is let run below 0 for its lower end, while the upper end is that of what can be (as CL_s, Read 2002), so that
a lucky arm does not prove that nothing is left. `most`, by which a loop may end, is Clopper and Pearson's own: where
none of n is of the class, the rule of three.

Where the pool grew, the control arm draws of what is new until it has caught up. Then each part of the pool has its own
D, and R is taken to lie in the parts as what has no label does: exact only if the parts are alike, and in the end near
to it even where they are not, since the arm draws of each in proportion.

The pool here is what can be asked or has a label: not what is nearly gold, nor what is kept for gold. An item that
nobody could answer, or that has lost its label, counts as one without.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import figures, kinds
from labelwise.tasks.proof import control
from labelwise.tasks.settings import Settings
from labelwise.tasks.workspace import Workspace, reading

if TYPE_CHECKING:
    from labelwise.tasks.items.vectors import Vectors  # the learners, which `status` need not import

CONFIDENCE = 0.95
NOBODY = "no label was drawn by chance (select.control)"
ROUNDS = 50  # that are told apart; of more, neighbours count as one
PARTS = 4  # of a pool that grew, likewise
POINTS = 400  # at which the likelihood is looked at, from either end
NEGLIGIBLE = 30.0  # below the best log likelihood
LEAST = 0.02  # of an item: keeps the information of a round finite that drew where there was none of the class

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Draws:
    """What the control arm drew, a value a round, and of a pool that grew a value a round and part of it. drawn: (t,)
    items; among: (t,) how many were open then; hits: (t,) of those drawn, of the class; since: (t,) items of the class
    that were open then and have a label today, the hits among them; share: (t,) of what has no label today, that which
    was open then: 1 but for a pool that grew. left: items without a label today."""

    drawn: Integers
    among: Integers
    hits: Integers
    since: Integers
    share: Floats
    left: int


@dataclass(frozen=True)
class Rest:
    """Items of the class among those without a label: the likeliest number with the ends of a 95 % interval, and how
    many there are at most, with 95 % confidence."""

    low: int
    middle: int
    high: int
    most: int


@dataclass(frozen=True)
class ClassCount:
    """One class in the pool. found: items that are labelled as it. low, middle, high: how many there are, with a 95 %
    interval; most: at most so many, with 95 % confidence. middle is None where no item was drawn by chance: then the
    ends are all that could be."""

    name: str
    found: int
    low: int
    middle: int | None
    high: int
    most: int

    @property
    def there(self) -> str:
        """How many there are, in words. Where the labels by chance hold none that was not found, the best guess is that
        all are found, which says little: then the ends stand alone.

        >>> ClassCount("a", 164, 170, 210, 290, 280).there, ClassCount("a", 17, 17, 17, 206, 190).there
        ('about 210', '17 to 206')
        """
        return f"{self.low:,} to {self.high:,}" if self.middle in (None, self.low) else f"about {self.middle:,}"

    @property
    def found_at_least(self) -> float:
        """Which share of the class is found at least, with 95 % confidence; 0 where none is found."""
        return self.found / self.most if self.found else 0.0


@dataclass(frozen=True)
class Prevalence:
    """items: of the pool, those that can be asked or have a label. labelled: of these. control: labels of the control
    arm that count. classes: in the order of the settings."""

    items: int
    labelled: int
    control: int
    classes: Sequence[ClassCount]

    def as_json(self) -> dict[str, Any]:
        """For metrics/proof.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Prevalence":
        """From metrics/proof.json."""
        return cls(**content | {"classes": [ClassCount(**one) for one in content["classes"]]})

    def of(self, name: str) -> ClassCount | None:
        """The class of that name, None where it was no class when this was counted."""
        return next((one for one in self.classes if one.name == name), None)

    def rarest_first(self, leading: str = "") -> list[ClassCount]:
        """The classes from the rarest on, after the one that is `leading`."""
        return sorted(self.classes, key=lambda one: (one.name != leading, one.middle or one.found))

    def sentence(self, one: ClassCount, name: str | None = None) -> str:
        """What is known of a class in words. name: how it is to be called.

        >>> found = Prevalence(40_000, 900, 180, [ClassCount("abusive", 164, 170, 210, 290, 280)])
        >>> print(found.sentence(found.classes[0]))
        abusive: 164 found of about 210 (170 to 290)
        >>> print(found.sentence(ClassCount("abusive", 17, 17, 17, 206, 190)))
        abusive: 17 found of 17 to 206
        >>> print(found.sentence(ClassCount("fraud", 0, 0, 0, 640, 640)))
        fraud: none among 900 labelled; at most 1.6 % of the pool, with 95 % confidence
        """
        called = one.name if name is None else name
        if one.middle is None:
            return f"{called}: {one.found:,} found; nobody can know of how many, {NOBODY}"
        if not one.found:
            share = one.most / max(self.items, 1)
            bound = "none is left" if not one.most else f"at most {100 * share:.2g} % of the pool, with 95 % confidence"
            return f"{called}: none among {self.labelled:,} labelled; {bound}"
        if one.low == one.high:
            return f"{called}: {one.found:,} found, all that there are"
        ends = "" if one.middle == one.low else f" ({one.low:,} to {one.high:,})"
        return f"{called}: {one.found:,} found of {one.there}{ends}"


def counted(workspace: Workspace) -> Prevalence | None:
    """What `prove` counted in the last round; None before there was a label, and where an earlier version counted
    nothing."""
    with reading(figures.file(workspace, figures.PROOF)):
        content = figures.proof(workspace).get("prevalence")
        found = content and Prevalence.from_json(content)
    return found if found and found.labelled else None


def in_pool(labels: pd.DataFrame, vectors: "Vectors", kept_out: pd.Index, settings: Settings) -> Prevalence:
    """How many items of each class there are in the pool. labels: those that count (columns id, label, round, why).
    kept_out: ids that are never asked, and count only where they have a label."""
    sizes = [len(shard) for shard in vectors.shards]
    part = np.repeat(in_parts(sizes), sizes)
    counts = ~vectors.ids.isin(kept_out.difference(pd.Index(labels.id)))
    items = np.bincount(part[counts], minlength=int(part.max(initial=0)) + 1).tolist()
    members = kinds.answer(settings.kind.answer).members
    return count(labels.assign(part=part[vectors.rows(labels.id)]), settings.classes, items, members)


def count(
    labels: pd.DataFrame, classes: Sequence[str], items: Sequence[int], members: Callable[[str], Sequence[str]]
) -> Prevalence:
    """How many items there are of each class. Each class is counted by itself.

    labels: those that count (columns label, round, why, part). items: of the pool that can be asked or have a label, in
    each part of it; a part is what came at about one time (0, 1, ...), so that a round draws by chance from each part
    that was there. members: the classes that a label names.
    """
    rounds, parts = (labels[name].to_numpy(dtype=np.int64) for name in ("round", "part"))
    sizes = np.asarray(items, dtype=np.int64)
    left = sizes - np.bincount(parts, minlength=len(sizes))
    in_control = ((labels.why == control.WHY) & (rounds > 0)).to_numpy(dtype=bool)
    by_chance = in_control & (left[parts] > 0)  # a part in which all have a label tells nothing of the rest
    cells, at = np.unique(np.stack([parts, _merged(rounds, by_chance)])[:, by_chance], axis=1, return_inverse=True)

    def open_in(of: NDArray[np.bool_]) -> Integers:
        """Which of these labels were given in each cell's part and in its round or later."""
        return np.array([(of & (parts == part) & (rounds >= number)).sum() for part, number in cells.T], dtype=np.int64)

    drawn, among = np.bincount(at, minlength=cells.shape[1]), left[cells[0]] + open_in(np.ones(len(labels), dtype=bool))
    share = left[cells[0]] / max(int(left.sum()), 1)
    named = [set(members(label)) for label in labels.label]
    counts = []
    for name in classes:
        of_class = np.array([name in each for each in named], dtype=bool)
        found, total = int(of_class.sum()), int(left.sum())
        if not len(drawn):
            most = found + total
            counts.append(ClassCount(name, found, found, None if total else found, most, most))
            continue
        hits = np.bincount(at[of_class[by_chance]], minlength=len(drawn))
        rest = unfound(Draws(drawn, among, hits, open_in(of_class), share, total))
        counts.append(ClassCount(name, found, *(found + end for end in (rest.low, rest.middle, rest.high, rest.most))))
    return Prevalence(int(sizes.sum()), len(labels), int(in_control.sum()), counts)


def _merged(rounds: Integers, by_chance: NDArray[np.bool_]) -> Integers:
    """The round of each label; where more than `ROUNDS` drew by chance, neighbours count as the first of them."""
    numbers = np.unique(rounds[by_chance])
    if len(numbers) <= ROUNDS:
        return rounds
    firsts = numbers[np.unique(np.linspace(0, len(numbers), ROUNDS, endpoint=False).astype(np.int64))]
    return firsts[np.searchsorted(firsts, rounds, side="right").clip(1) - 1]


def in_parts(sizes: Sequence[int]) -> Integers:
    """The part of each of so many shards of these sizes: at most `PARTS`, of about as many items.

    >>> in_parts([100, 1, 1, 1, 97, 200]).tolist()
    [0, 1, 1, 1, 1, 2]
    """
    before = np.cumsum([0, *sizes[:-1]])
    found = (PARTS * before // max(sum(sizes), 1)).astype(np.int64)
    return np.unique(found, return_inverse=True)[1]


def unfound(draws: Draws) -> Rest:
    """How many items without a label are of the class. At least one item must have been drawn, and one be left."""
    points, likelihood, mid, upper = _confidence(draws)
    possible = (points >= 0) & (points <= draws.left)
    middle = int(points[possible][likelihood[possible].argmax()])

    def low(mass: Floats, tail: float) -> int:
        reached = np.cumsum(mass) >= tail * mass[points <= draws.left].sum()
        return int(points[reached.argmax()].clip(0, middle))

    def high(mass: Floats, tail: float) -> int:
        above = np.append(np.cumsum(mass[:0:-1])[::-1], 0.0)  # not 1 less the others: it may be very small
        reached = above <= tail * mass[points >= 0].sum()
        return int(points[reached.argmax()].clip(middle, draws.left))

    tail = 1 - CONFIDENCE
    most = high(upper, tail)
    return Rest(low(mid, tail / 2), middle, max(high(mid, tail / 2), most), most)


def _confidence(draws: Draws) -> tuple[Integers, Floats, Floats, Floats]:
    """Points (p,), numbers of items left, ascending; how likely each is; and the mass there of the confidence
    distribution by mid-p, and of that by which the upper limit of Clopper and Pearson goes."""
    from scipy.special import gammaln

    drawn, among, hits, since, share = (
        np.asarray(part, dtype=np.float64) for part in (draws.drawn, draws.among, draws.hits, draws.since, draws.share)
    )
    lowest = int(np.ceil(np.max((hits - since) / share)))
    highest = int(np.floor(np.min((among - since - (drawn - hits)) / share)))

    def likelihood(points: Integers) -> Floats:
        """(p,) its logarithm, less what does not depend on the number."""
        theirs = points[:, None] * share + since
        others = among - theirs
        ways = gammaln(theirs + 1) - gammaln(theirs - hits + 1)
        ways += gammaln(others + 1) - gammaln(others - (drawn - hits) + 1)
        return np.asarray(ways.sum(axis=1))

    points = _spread(lowest, highest)
    found = likelihood(points)
    near = np.flatnonzero(found > found.max() - NEGLIGIBLE)
    ends = points[max(near[0] - 1, 0)], points[min(near[-1] + 1, len(points) - 1)]
    points = _spread(min(ends[0], draws.left), max(ends[1], 0))  # some of what is possible, however unlikely
    found = likelihood(points)
    edges = np.concatenate([[points[0] - 0.5], (points[1:] + points[:-1]) / 2, [points[-1] + 0.5]])
    likely = np.exp(found - found.max())
    theirs = points[:, None] * share + since
    information = drawn * among * share
    lower, upper = (
        likely * np.diff(edges) * (information / (part + LEAST)).sum(axis=1) for part in (theirs, among - theirs)
    )
    lower, upper = lower / lower.sum(), upper / upper.sum()
    return points, likely, (lower + upper) / 2, upper


def _spread(lowest: int, highest: int) -> Integers:
    """Numbers from one to the other: all, or where they are too many, evenly and ever closer towards both ends."""
    span = highest - lowest
    if span < 3 * POINTS:
        return np.arange(lowest, highest + 1)
    closer = np.geomspace(1, span + 1, POINTS) - 1
    parts = [np.linspace(lowest, highest, POINTS), lowest + closer, highest - closer]
    return np.unique(np.round(np.concatenate(parts)).astype(np.int64))
