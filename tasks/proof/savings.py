"""The savings meter: how many labels the loop needed for what random labelling reached with its own.

Both arms are learning curves of one learner. Random's comes from parts of the control arm, the loop's from the labels
of past rounds; both are measured on the same gold items, so what is hard about the gold set cancels out. What is
measured is `evaluate.measure`, such as the accuracy or the F1 of a rare class. Two figures:

`measured`: the loop's labels for the score that the m labels of the control arm give, over m. Both curves have been
there, nothing is extrapolated.
`projected`: the loop's labels so far over those that random labelling would need for the loop's present score.
Random's curve has been seen up to m labels only; the interval is as wide as that leaves it. Where the arm is small and
has not been near that score, the figure is hardly more than the prior, and counts as not known.

Labels that neither arm chose, such as those imported before round 1, are what both begin with: every model of either
has learned from them, and what is counted is the labels after them.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.figures import ACCURACY
from labelwise.tasks.kinds import Measure, measures
from labelwise.tasks.kinds.measures import Parts
from labelwise.tasks.proof.curves import LEAST, Curves, Points, posterior

DRAWS = 1000
CONFIDENCE = 0.90
PARTS = (1, 2, 4, 8, 16)  # into how many the control arm is split, which gives its curve
REPEATS = 3
SMALLEST = 8  # labels in a part
ROUNDS = 8  # of the loop that are looked at, evenly in the logarithm of their labels
GROUPS = 10  # of draws, each with a guess of its own at how much training sets differ
FALLS = (
    0.0,
    1.0,
)  # powers of their size with which variances between training sets fall: of real ones, anything between
NOISE = 0.004  # of the error between training sets, at least: models that all name the commonest class prove nothing
PROJECTABLE = 100  # control labels from which on a projection is more than its prior
FAR = 20  # times the control labels there are: "more than that many would be needed"

Floats = NDArray[np.float64]
NO_LABELS = np.empty(0, dtype=np.int64)
PartsOf = Callable[[NDArray[np.int64]], Parts]  # label numbers -> what a model of these labels says of g gold items


@dataclass(frozen=True)
class Interval:
    """The median of the posterior with the ends of its 90 % interval."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, draws: Floats) -> "Interval":
        low, middle, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, 0.5, (1 + CONFIDENCE) / 2])
        return cls(float(middle), float(low), float(high))

    def __format__(self, spec: str) -> str:
        return f"{self.middle:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


@dataclass(frozen=True)
class Savings:
    """labels: of the loop; control: of its control arm; base: those that both began with, not counted in either.
    ratio (measured): below 1 is fewer labels than random. needed: the loop's labels for what the control arm's gave.
    projected: the ratio at the loop's present score; saved: the labels that this is; known: whether these two follow
    from what was seen. missing: control labels until they do. further: control labels that would settle `ratio`, None
    where it is settled, or out of reach."""

    labels: int
    control: int
    base: int
    ratio: Interval
    needed: Interval
    projected: Interval
    saved: Interval
    known: bool
    further: int | None
    curves: dict[str, list[dict[str, float]]]

    @property
    def verdict(self) -> str:
        """`saves`, `costs` (more labels than random would) or `unclear`. A loop that was good at first and has stood
        still since costs by the projected figure, which then lies where the control arm has been."""
        if self.ratio.low > 1 or (self.known and self.projected.low > 1):
            return "costs"
        return "saves" if self.ratio.high < 1 else "unclear"

    @property
    def missing(self) -> int:
        """Control labels that the projection still lacks."""
        return 0 if self.known else PROJECTABLE - self.control

    def as_json(self) -> dict[str, Any]:
        """For metrics/proof.json."""
        return {"verdict": self.verdict, "missing": self.missing, **asdict(self)}


def measure(
    judged: PartsOf,
    rounds: list[NDArray[np.int64]],
    control: NDArray[np.int64],
    weights: Floats,
    rng: np.random.Generator,
    base: NDArray[np.int64] = NO_LABELS,
    measure: Measure = measures.OF_CHOICE,
) -> Savings | None:
    """Compare the loop with its control arm. None where there is too little of the arm to have a curve.

    judged: label numbers -> what the answers of a model trained on these labels to the g gold items bring to the
    measure. rounds: the labels that each round had, the last one all of them.
    control: the labels of the control arm. weights: (g,) of the gold items. base: labels that neither arm chose and
    both learn from, in none of the others.
    """

    def with_base(rows: NDArray[np.int64]) -> Parts:
        return judged(np.sort(np.concatenate([base, rows])))

    sizes, random, variances = halved(with_base, control, rng, measure)
    if len(sizes) < 3 or len(rounds) < 3:
        return None
    ns, loop = _followed(with_base, rounds)
    start = [[judged(base)]] if len(base) else []
    b, m, n = float(len(base)), float(len(control)), float(len(rounds[-1]))
    found = []
    for _ in range(GROUPS):
        # Few parts say little about how much training sets differ, and how fast that falls with their size: not one
        # guess at that, but as many as groups.
        falls = rng.uniform(*FALLS)
        guess = spread(variances, falls, rng, b / m)
        resample = rng.dirichlet(np.ones(len(weights)), size=DRAWS // GROUPS) * weights
        resample /= resample.sum(axis=1, keepdims=True)  # a Bayesian bootstrap (Rubin 1981) of the gold items
        loops = guess * (varying(ns, b) / varying(m, b)) ** (falls / 2)
        both = errors(measure, resample, start)
        chance = posterior(_points(sizes, errors(measure, resample, random), np.full(len(sizes), guess), both, b), rng)
        own = posterior(_points(ns, errors(measure, resample, loop), loops, both, b), rng)
        needed, instead = own.labels_for(chance.errors(b + m)) - b, chance.labels_for(own.errors(b + n)) - b
        found.append((np.maximum(needed, LEAST * n), np.maximum(instead, LEAST * m), chance, own))
    needed = np.concatenate([one[0] for one in found])
    instead = np.concatenate([one[1] for one in found])
    ratio = Interval.of(needed / m)
    return Savings(
        labels=int(n),
        control=int(m),
        base=len(base),
        ratio=ratio,
        needed=Interval.of(needed),
        projected=Interval.of(n / instead),
        saved=Interval.of(instead - n),
        known=m >= PROJECTABLE or float(np.quantile(instead, (1 + CONFIDENCE) / 2)) <= m,
        further=further(ratio, int(m)),
        curves={
            "random": _band([one[2] for one in found], b + np.geomspace(sizes[0], n, 40)),
            "loop": _band([one[3] for one in found], b + np.geomspace(ns[0], n, 40)),
        },
    )


def errors(measure: Measure, weights: Floats, models: list[list[Parts]]) -> Floats:
    """(draws, g) weights, a row a resample of the gold items, and the models of each of j sizes -> (draws, j) one less
    the measure, the mean of the models of a size."""
    if not models:
        return np.empty((len(weights), 0))
    if measure.plain:  # the mean of the models' losses comes to the same, in one product
        return np.asarray(weights @ np.array([_mean_losses(of_size) for of_size in models]).T)
    means = [np.mean([measure.values(one, weights) for one in of_size], axis=0) for of_size in models]
    return 1 - np.stack(means, axis=1)


def _mean_losses(models: list[Parts]) -> Floats:
    return np.asarray(np.mean([1 - one.hits[:, 0] for one in models], axis=0))


def halved(
    judged: PartsOf, control: NDArray[np.int64], rng: np.random.Generator, measure: Measure = measures.OF_CHOICE
) -> tuple[Floats, list[list[Parts]], dict[int, float]]:
    """The control arm's curve: models of the whole arm, of its halves, quarters and so on.

    Returns sizes (j,), ascending; the models of each size; and by number of parts the variance of the error between
    parts.
    """
    sizes, found, variances = [], [], {}
    for parts in PARTS:
        if len(control) // parts < SMALLEST:
            break
        models = [
            [judged(np.sort(part)) for part in np.array_split(rng.permutation(control), parts)]
            for _ in range(1 if parts == 1 else REPEATS)
        ]
        sizes.append(len(control) / parts)
        found.append([one for repeat in models for one in repeat])
        if 1 < parts <= 8:
            alike = np.ones((1, len(models[0][0].hits)))
            alone = [[1 - measure.values(one, alike)[0] for one in repeat] for repeat in models]
            variances[parts] = float(np.var(alone, axis=1, ddof=1).mean())
    return np.array(sizes[::-1]), found[::-1], variances


def varying(n: Any, base: float) -> Any:
    """How the variance of an error between training sets goes with the number n of their labels that differ, beside
    `base` that do not, if it falls with their number as that of a mean does."""
    return n / (base + n) ** 2


def spread(variances: dict[int, float], falls: float, rng: np.random.Generator, base: float = 0.0) -> float:
    """A draw of the standard deviation of the error between training sets as large as the arm, from the variances
    between its parts: each says what it can with one less than so many degrees of freedom. falls: the power of their
    size with which variances fall. base: labels that all have alike, in multiples of the arm's."""
    freedom = sum(parts - 1 for parts in variances)
    pooled = 0.0
    for parts, value in variances.items():
        pooled += (parts - 1) * value * (varying(1.0, base) / varying(1 / parts, base)) ** falls / freedom
    pooled = max(pooled, NOISE**2)
    return float(np.sqrt(pooled * freedom / rng.chisquare(freedom)))


def further(ratio: Interval, control: int) -> int | None:
    """How many more control labels make the interval narrow enough to leave out 1, if the middle stays where it is: its
    width in logarithms falls with the root of their number. None when it leaves out 1 already, or when that is out of
    reach."""
    middle, low, high = (abs(np.log(value)) for value in (ratio.middle, ratio.low, ratio.high))
    if ratio.low > 1 or ratio.high < 1 or not middle:
        return None
    reach = (high + middle if ratio.middle < 1 else low + middle) / middle
    wanted = control * (reach**2 - 1)
    return int(np.ceil(wanted)) if wanted < FAR * control else None


def _followed(judged: PartsOf, rounds: list[NDArray[np.int64]]) -> tuple[Floats, list[list[Parts]]]:
    """The loop's sizes (j,) and its model at each, at some of its rounds and always the last."""
    picks = np.unique(np.round(np.geomspace(1, len(rounds), ROUNDS)).astype(int)) - 1
    return (
        np.array([len(rounds[at]) for at in picks], dtype=float),
        [[judged(rounds[at])] for at in picks],
    )


def _points(sizes: Floats, errors: Floats, spread: Floats, start: Floats, base: float) -> Points:
    """What was measured of a curve, over all labels that were learned from: first the error with those that both arms
    began with, (draws, 0 or 1), of which there is one set, so that it does not vary."""
    none = np.zeros(start.shape[1])
    return Points(base + np.concatenate([none, sizes]), np.hstack([start, errors]), np.concatenate([none, spread]))


def _band(groups: list[Curves], sizes: NDArray[np.floating]) -> list[dict[str, float]]:
    """The mean score with its 90 % band at some sizes, for the report."""
    points = []
    for n in sizes:
        band = Interval.of((1 - np.concatenate([curves.errors(float(n)) for curves in groups])).clip(0, 1))
        points.append({"labels": round(float(n), 1), **{k: round(v, 4) for k, v in asdict(band).items()}})
    return points


def sentence(savings: Savings | None, measure: str = ACCURACY) -> str:
    """The answer in words. measure: the name of the mean score.

    >>> sentence(None)
    'savings: cannot tell yet, the control arm has too few labels'
    """
    if savings is None:
        return "savings: cannot tell yet, the control arm has too few labels"
    shown = f"{savings.ratio:.2f} of random's labels for what {savings.control} random labels give"
    if savings.base:
        shown += f" after the {savings.base:,} imported ones"
    if savings.verdict == "unclear":
        more = (
            f"about {savings.further} more control labels would settle it"
            if savings.further
            else ("the two are too close for the control arm to settle")
        )
        return f"savings: cannot tell yet, {shown}; {more}"
    if savings.verdict == "costs" and savings.ratio.low <= 1:
        shown = f"{savings.projected:.2f} of the labels that random ones would take for its present {measure}"
    word = "the loop needs" if savings.verdict == "saves" else "NO GAIN HERE: the loop needs"
    return f"savings: {word} {shown}"
