"""Vectors of rows: random Fourier features (Rahimi & Recht 2007, 'Random features for large-scale kernel machines').

Figures are standardised; then half of a vector's length is of each column by itself, and half of all together: the
cosine of two vectors is the mean of an additive kernel (Duvenaud et al. 2011, 'Additive Gaussian processes') and of a
Gaussian one. A linear head on the first half is a sum of smooth curves, one a column, and the second half adds what the
columns mean together. Cosines and sines have one length whatever the figures are, so that large figures are not lost by
making vectors of unit length, and a vector that differs little is of a row that differs little.

The scale is settled once, by the first items, and kept: an item that comes later moves no vector of another.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.kinds.forms import unpacked
from labelwise.tasks.settings import CATEGORY, SIGNAL, Feature, feature_of

Doubles = NDArray[np.float64]

FREQUENCIES = (0.5, 1.0)  # of a column by itself, in radians a standard deviation
WIDEST = 96  # figures; of more each has but the first frequency
TOGETHER = 128  # random directions of all columns together, a cosine and a sine each
WIDTH = 2.0  # of the Gaussian kernel: its variance, a figure
CODE = 32  # signs by which a category is told from others
FAR = 5.0  # standard deviations; what lies beyond counts as that
TELLING = 10  # values of a column from which on their mean and deviation tell none of them
TAIL = 1.0  # per cent at either end that do not count for the scale: one wrong figure must not flatten the others
FITTED = 100_000  # rows that settle the scale at most
BANDS = 6  # octaves below half the sampling rate
STATISTICS = ("mean", "deviation", "least", "greatest", "crossings", "roughness")


# Figures of rows


@dataclass(frozen=True)
class Layout:
    """What the columns of rows are, in order: those with figures of their own, signals and categories, by name."""

    features: dict[str, Feature]

    @classmethod
    def of(cls, columns: Mapping[str, str]) -> "Layout":
        """From `pull.columns.features`."""
        return cls({name: feature_of(text) for name, text in columns.items()})

    @property
    def categories(self) -> list[str]:
        """The columns of categories."""
        return [name for name, feature in self.features.items() if feature.form == CATEGORY]

    @property
    def names(self) -> list[str]:
        """Of the figures, those that describe signals too."""
        return [
            full
            for name, feature in self.features.items()
            if feature.form != CATEGORY
            for full in ([f"{name}: {each}" for each in described(feature)] if feature.form == SIGNAL else [name])
        ]

    def figures(self, rows: list[dict[str, Any]]) -> Doubles:
        """n rows -> (n, len(names)), NaN where one is missing."""
        parts: list[Doubles] = []
        for name, feature in self.features.items():
            values = [row.get(name) for row in rows]
            if feature.form == SIGNAL:
                parts.append(of_signals(values))
            elif feature.form != CATEGORY:
                parts.append(np.array([_number(value) for value in values], float).reshape(-1, 1))
        return np.hstack(parts) if parts else np.zeros((len(rows), 0))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else np.nan


def described(feature: Feature) -> list[str]:
    """The names of the figures of a signal: statistics, and the power of each octave below half the sampling rate.

    >>> described(Feature(SIGNAL, 256, 128.0))[-2:]
    ['power 16 to 32 Hz', 'power 32 to 64 Hz']
    """
    rate, unit = (1.0, "of the rate") if feature.rate is None else (feature.rate, "Hz")
    ends = [0.0, *(rate / 2 ** (BANDS - at) for at in range(BANDS))]
    return [*STATISTICS, *(f"power {low:g} to {high:g} {unit}" for low, high in pairwise(ends))]


def of_signals(values: list[Any]) -> Doubles:
    """n signals -> (n, f) figures of each, in the order of `described`; NaN where there is none. Those of one length
    are read together. Powers, and whatever grows as they do, are logarithms."""
    result = np.full((len(values), len(STATISTICS) + BANDS), np.nan)
    lengths = np.array([len(value) if isinstance(value, list) else 0 for value in values])
    for length in np.unique(lengths[lengths > 1]):
        rows = np.flatnonzero(lengths == length)
        result[rows] = _described(np.array([[_number(each) for each in values[row]] for row in rows], float))
    return result


def _described(signals: Doubles) -> Doubles:
    """(n, t) signals -> (n, f). A gap counts as the mean."""
    mean = np.nanmean(signals, axis=1, keepdims=True)
    flat = np.where(np.isnan(signals), 0, signals - mean)
    deviation = flat.std(axis=1)
    least, greatest = flat.min(axis=1), flat.max(axis=1)
    crossings = (np.diff(np.signbit(flat), axis=1) != 0).mean(axis=1)
    tiny = np.finfo(np.float64).tiny
    roughness = np.abs(np.diff(flat, axis=1)).mean(axis=1)
    spectrum = np.abs(np.fft.rfft(flat * np.hanning(flat.shape[1] + 2)[1:-1], axis=1)) ** 2 / flat.shape[1]
    at = np.fft.rfftfreq(flat.shape[1])  # as a share of the rate, up to a half
    ends = [0.0, *(1 / 2 ** (BANDS - each) for each in range(BANDS))]
    powers = [spectrum[:, (at > low) & (at <= high)].sum(axis=1) for low, high in pairwise(ends)]
    floor = 1e-6 * spectrum.sum(axis=1) + tiny
    logs = [np.log10(power + floor) for power in powers]
    spread = [np.log10(each + tiny) for each in (deviation, roughness)]
    return np.column_stack([mean[:, 0], spread[0], least, greatest, crossings, spread[1], *logs])


# Vectors


def settled(cells: list[str], columns: Mapping[str, str]) -> dict[str, Any]:
    """What the vectors of all rows are made by, from those of the first: of each figure the centre, the scale, and
    whether it is missing anywhere."""
    step = max(1, len(cells) // FITTED)
    layout = Layout.of(columns)
    figures = layout.figures([unpacked(cell) for cell in cells[::step]])
    known = np.isfinite(figures)
    scales = [scale(figures[known[:, at], at]) for at in range(figures.shape[1])]
    gaps = (~known).any(axis=0)
    return {
        "columns": dict(columns),
        "centre": [centre for centre, _ in scales],
        "scale": [width for _, width in scales],
        "gaps": gaps.tolist(),
        "missing": [float(share) for share in (~known).mean(axis=0)] if len(figures) else [0.0] * len(scales),
    }


def scale(values: Doubles) -> tuple[float, float]:
    """The mean and the standard deviation of figures, the ends bent in; 1 for a constant, whose figures then all come
    to lie in one place. Of few figures only the first digit of either: what is kept must tell none of them.

    >>> scale(np.full(10, 3.5)), scale(np.array([3456.0])), scale(np.array([]))
    ((3.5, 1.0), (3000.0, 1.0), (0.0, 1.0))
    """
    if not len(values):
        return 0.0, 1.0
    bent = np.clip(values, *np.percentile(values, [TAIL, 100 - TAIL]))
    width = bent.std() or values.std()
    found = float(bent.mean()), float(width) if np.isfinite(width) and width > 0 else 1.0
    return found if len(values) >= TELLING else (float(f"{found[0]:.0e}"), float(f"{found[1]:.0e}"))


@dataclass(frozen=True)
class Kernel:
    """An encoder of rows. layout: of the columns; centre, scale: (f,) of the figures; gaps: (f,) which of them were
    missing somewhere, and how often: these have a figure more, which says so."""

    layout: Layout
    centre: Doubles
    scale: Doubles
    gaps: NDArray[np.bool_]
    missing: Doubles

    @classmethod
    def of(cls, known: Mapping[str, Any]) -> "Kernel":
        """From what `settled` gave."""
        return cls(
            Layout.of(known.get("columns", {})),
            np.array(known.get("centre", []), float),
            np.array(known.get("scale", []), float),
            np.array(known.get("gaps", []), bool),
            np.array(known.get("missing", []), float),
        )

    def encode(self, cells: list[str], progress: Callable[[int], None] = lambda _done: None, /) -> NDArray[np.float32]:
        """n rows -> (n, d) vectors of unit length."""
        rows = [unpacked(cell) for cell in cells]
        standard = self.standard(rows)
        codes = [[code(name, row.get(name)) for row in rows] for name in self.layout.categories]
        vectors = np.hstack([self.apart(standard, codes), self.joint(standard, rows)]) / np.sqrt(2)
        progress(len(cells))
        return vectors.astype(np.float32)

    def standard(self, rows: list[dict[str, Any]]) -> Doubles:
        """n rows -> (n, f) standardised figures, 0 where one is missing, and a figure for each that may be."""
        figures = self.layout.figures(rows)
        absent = ~np.isfinite(figures)
        with np.errstate(over="ignore", invalid="ignore"):
            far = np.clip((figures - self.centre) / self.scale, -FAR, FAR)
        share = np.clip(self.missing[self.gaps], 0.02, 0.98)
        said = (absent[:, self.gaps] - share) / np.sqrt(share * (1 - share))
        return np.hstack([np.where(absent, 0, far), np.clip(said, -FAR, FAR)])

    def plain(self, cells: list[str]) -> NDArray[np.float32]:
        """n rows -> (n, d) standardised figures and the codes of categories, of about unit length: what a plane is
        drawn through."""
        rows = [unpacked(cell) for cell in cells]
        standard = self.standard(rows)
        codes = [np.array([code(name, row.get(name)) for row in rows]) for name in self.layout.categories]
        whole = np.hstack([standard, *(each.reshape(len(rows), CODE) for each in codes)])
        whole = whole if whole.shape[1] else np.ones((len(rows), 1))
        return (whole / np.sqrt(max(standard.shape[1] + len(codes), 1))).astype(np.float32)

    def known(self) -> dict[str, Any]:
        """What `of` makes the same from: as JSON."""
        columns = {name: feature.text for name, feature in self.layout.features.items()}
        figures = {"centre": self.centre, "scale": self.scale, "gaps": self.gaps, "missing": self.missing}
        return {"columns": columns, **{name: values.tolist() for name, values in figures.items()}}

    def apart(self, standard: Doubles, codes: list[list[NDArray[np.float64]]]) -> Doubles:
        """(n, f) -> (n, d) of length 1: each column by itself."""
        count = standard.shape[1]
        turns = FREQUENCIES if count <= WIDEST else FREQUENCIES[:1]
        waves = [wave(turn * standard) / np.sqrt(len(turns)) for turn in turns] if count else []
        of_codes = [np.array(each).reshape(len(standard), CODE) for each in codes]
        together = np.hstack([*waves, *of_codes]) if waves or of_codes else np.ones((len(standard), 1))
        return np.asarray(together / np.sqrt(max(count + len(codes), 1)))

    def joint(self, standard: Doubles, rows: list[dict[str, Any]]) -> Doubles:
        """(n, f) -> (n, 2 TOGETHER) of length 1: all columns together."""
        count = standard.shape[1] + len(self.layout.categories)
        directions = np.random.default_rng(0).normal(size=(standard.shape[1], TOGETHER))
        phases = standard @ directions
        for name in self.layout.categories:
            phases += np.array([direction(name, row.get(name)) for row in rows]).reshape(-1, TOGETHER)
        return wave(phases / np.sqrt(WIDTH * max(count, 1))) / np.sqrt(TOGETHER)


def wave(angles: Doubles) -> Doubles:
    """(n, d) -> (n, 2 d)."""
    return np.hstack([np.cos(angles), np.sin(angles)])


_CODES: dict[tuple[str, Any], tuple[Doubles, Doubles]] = {}


def _drawn(name: str, value: Any) -> tuple[Doubles, Doubles]:
    """A code and a direction for a category, always the same ones: no list of categories needs to be kept, and one
    that comes later has its own."""
    key = name, value if isinstance(value, str) else None
    if key not in _CODES:
        digest = hashlib.sha256(repr(key).encode("utf-8", "backslashreplace")).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        signs = 2 * rng.integers(0, 2, CODE) - 1
        if len(_CODES) >= FITTED:
            _CODES.clear()
        _CODES[key] = signs / np.sqrt(CODE), rng.normal(size=TOGETHER)
    return _CODES[key]


def code(name: str, value: Any) -> Doubles:
    """(CODE,) of length 1."""
    return _drawn(name, value)[0]


def direction(name: str, value: Any) -> Doubles:
    """(TOGETHER,)."""
    return _drawn(name, value)[1]
