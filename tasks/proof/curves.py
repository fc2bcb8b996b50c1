"""Learning curves with what is not known about them.

The error after n labels is taken to be `floor + scale / (1 + (n / turn)^power)`: the MMF curve, which is a power law
far beyond its turn and bends like an S in log n around it, as curves of many classes do. Among seventeen families it is
one of the two that follow real learning curves best (Mohr et al. 2022, LCDB; Viering & Loog 2022, arXiv 2103.10948).
What few points cannot tell stays open: each draw from the posterior has a floor, scale, turn and power of its own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
POWERS = np.array([0.2, 0.35, 0.5, 0.7, 0.9, 1.2, 1.6])
TURNS = np.array([0.003, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2])  # in multiples of the most labels seen
SHAPES = np.stack([array.ravel() for array in np.meshgrid(TURNS, POWERS, indexing="ij")], axis=1)
FLOORS = np.linspace(0, 0.98, 20)  # of the smallest error seen
MISFIT = 0.03  # of the error: how far real curves keep from any such family
LEAST, MOST = 0.002, 100.0  # times the most labels seen: where a curve is no longer followed


@dataclass(frozen=True)
class Points:
    """What has been measured of one curve.

    sizes: (j,) labels, mostly rising: labels may be withdrawn. errors: (draws, j) the error at each size, a row a
    resample of the gold set. spread: (j,) standard deviation of the error between training sets of that size. alike:
    how the points' deviations correlate, since the larger sets hold the smaller ones.
    """

    sizes: Floats
    errors: Floats
    spread: Floats
    alike: float = 0.5


@dataclass(frozen=True)
class Curves:
    """Draws from the posterior of one curve. floor, scale: (draws,) in error; shape: (draws,) rows of SHAPES; unit: the
    most labels seen."""

    floor: Floats
    scale: Floats
    shape: NDArray[np.int64]
    unit: float

    def errors(self, n: float | Floats) -> Floats:
        """(draws,) the error after n labels."""
        turn, power = SHAPES[self.shape].T
        return self.floor + self.scale * _fall(n / self.unit, turn, power)

    def labels_for(self, errors: Floats) -> Floats:
        """(draws,) the labels after which each curve has come down to its error, between LEAST and MOST times those
        seen."""
        turn, power = SHAPES[self.shape].T
        share = (errors - self.floor) / self.scale  # of the fall that is still to come: 1 at the start, 0 at the end
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            found = turn * (1 / share - 1) ** (1 / power)
        found = np.where(share >= 1, LEAST, np.where(share <= 0, MOST, found))
        return self.unit * np.clip(found, LEAST, MOST)


def posterior(points: Points, rng: np.random.Generator, each: int = 1) -> Curves:
    """Curves for each row of `points.errors`, `each` of them: floor and shape drawn from a grid by likelihood and
    prior, the scale from its normal given both. O(rows x grid x j).

    Even priors, but for the floor: curves that look flat mostly fall further, so a floor just below what has been seen
    is unlikely before anything else is known.
    """
    j, unit = len(points.sizes), max(float(points.sizes.max()), 1.0)
    typical = points.errors.mean(axis=0)
    own = (1 - points.alike) * points.spread**2 + (MISFIT * typical) ** 2 + 1e-8
    whiten = np.diag(own**-0.5)
    if points.alike:  # else there is nothing to invert, which hundreds of rounds would make slow
        shared = points.alike * np.outer(points.spread, points.spread)
        whiten = np.linalg.inv(np.linalg.cholesky(shared + np.diag(own)))
    turn, power = SHAPES.T
    table = _fall(points.sizes[:, None] / unit, turn, power).T  # (shapes, j)
    white = table @ whiten.T
    norm = (white**2).sum(axis=1)
    floors = FLOORS * points.errors.min(axis=1, keepdims=True)  # (draws, floors)
    rest = (points.errors @ whiten.T)[:, None, :] - floors[..., None] * (whiten @ np.ones(j))
    fit = rest @ white.T / norm  # (draws, floors, shapes): the best scale
    misses = (rest**2).sum(axis=2)[..., None] - fit**2 * norm
    falls = fit > 0
    falls |= ~falls.any(axis=(1, 2), keepdims=True)  # none falls where no error was seen: then they are alike, and flat
    weight = np.where(falls, -misses / 2 - np.log(norm) / 2 + np.log(1 - FLOORS)[:, None], -np.inf)
    weight = weight.reshape(len(rest), -1)  # the log of it, up to a constant
    weight = np.exp(weight - weight.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    chosen = np.concatenate([rng.choice(weight.shape[1], size=each, p=row) for row in weight])
    at_floor, shape = np.divmod(chosen, len(SHAPES))
    rows = np.repeat(np.arange(len(rest)), each)
    scale = fit[rows, at_floor, shape] + rng.normal(size=len(rows)) / np.sqrt(norm[shape])
    return Curves(floors[rows, at_floor], np.maximum(scale, 1e-6), shape, unit)


def _fall(n: float | Floats, turn: Floats, power: Floats) -> Floats:
    return 1 / (1 + (n / turn) ** power)
