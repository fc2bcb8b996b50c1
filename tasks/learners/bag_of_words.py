"""`bag_of_words`: a logistic head on the words a text holds, weighed by tf-idf (Salton & Buckley 1988, 'Term-weighting
approaches in automatic text retrieval'). An encoder reads the first few hundred tokens of a text and turns names,
product codes and typing errors into what they resemble; this reads to the end and takes each word as it is. Worth
little with a handful of labels, and much on long texts with a few hundred.

What a word is, and how words are hashed, says learners/terms.py.
"""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix

from labelwise.tasks.learners import calibration, frozen, one_vs_rest
from labelwise.tasks.learners.base import Examples, Items
from labelwise.tasks.learners.terms import BUCKETS, Terms
from labelwise.tasks.settings import Settings

NAME = "bag_of_words"
SERVES = frozenset({"choice", "multilabel"})
READS = frozenset({"text"})
REGULARISATION = 30.0  # scikit-learn's C: between 30 and 100 nothing could be told apart


@dataclass(frozen=True)
class Vocabulary:
    """What the labelled texts hold. buckets: (v,) those with a word in them, in order; rarity: (v,) inverse document
    frequencies. Words of no labelled text count nothing: nothing has been learned of them."""

    buckets: NDArray[np.int64]
    rarity: NDArray[np.float32]

    @classmethod
    def of(cls, terms: Terms) -> "Vocabulary":
        """The words of m >= 1 texts; where there are none, one that never occurs."""
        held = np.bincount(terms.buckets, minlength=1)
        buckets = np.flatnonzero(held) if len(terms.buckets) else np.zeros(1, np.int64)
        return cls(buckets, (np.log((1 + len(terms)) / (1 + held[buckets])) + 1).astype(np.float32))

    @cached_property
    def _places(self) -> NDArray[np.int32]:
        """(BUCKETS,) the place of each bucket in the vocabulary, -1 where it has none."""
        places = np.full(BUCKETS, -1, np.int32)
        places[self.buckets] = np.arange(len(self.buckets))
        return places

    def vectors(self, terms: Terms) -> csr_matrix:
        """n texts -> (n, v), rows of unit length, or zero where no word is known. Not by scikit-learn, whose way to the
        same figures takes milliseconds for one text."""
        at = self._places[terms.buckets]
        known = at >= 0
        rows = np.repeat(np.arange(len(terms)), np.diff(terms.ends))[known]
        at = at[known]
        weights = (np.log(terms.counts[known].astype(np.float64)) + 1) * self.rarity[at]
        lengths = np.sqrt(np.bincount(rows, weights * weights, len(terms)))
        ends = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(terms)))])
        return csr_matrix((weights / lengths[rows], at, ends), shape=(len(terms), len(self.buckets)))


@dataclass(frozen=True)
class BagOfWords:
    """A head over the words of a vocabulary, or one a label."""

    vocabulary: Vocabulary
    head: frozen.Head | one_vs_rest.Heads
    learner: ClassVar[str] = NAME
    trained: bool = True
    draft: None = None

    @property
    def classes(self) -> list[str]:
        return self.head.classes

    @property
    def thresholds(self) -> NDArray[np.float32] | None:
        return self.head.thresholds

    def probabilities(self, items: Items) -> NDArray[np.float32]:
        """n items -> (n, c)."""
        return self.head.believed(self.logits(items))

    def turned(self, slopes: NDArray[np.floating], shifts: NDArray[np.floating]) -> "BagOfWords":
        """The same heads, one a label, the log odds of each multiplied by its slope, (c,), and shifted, (c,)."""
        assert isinstance(self.head, one_vs_rest.Heads)
        return replace(self, head=self.head.turned(slopes, shifts))

    def logits(self, items: Items) -> NDArray[np.float32]:
        """n items -> (n, c); minus infinity for classes not seen."""
        parts = [self.head.logits(self.vocabulary.vectors(block.terms())) for block in items.blocks()]
        return np.concatenate([np.zeros((0, len(self.classes)), np.float32), *parts])

    def save(self, folder: Path) -> None:
        """`config.json`, `words.safetensors`, and the head in a folder of its own."""
        config = {"learner": NAME, **one_vs_rest.kept(self.thresholds)}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        save_file({"buckets": self.vocabulary.buckets, "rarity": self.vocabulary.rarity}, folder / "words.safetensors")
        (folder / "head").mkdir()
        self.head.save(folder / "head")


def fit(examples: Examples, pool: Items, settings: Settings) -> BagOfWords:
    """A calibrated head on the words of the labelled texts, or one a label where an item may have several. Time and
    memory grow with the words of these, not with the pool."""
    rows = calibration.sampled(examples, settings.seed)
    if examples.multilabel:
        odds, vocabulary, bare = _of_labels(examples, rows, settings.seed)
        slopes, shifts = one_vs_rest.calibrated(odds, examples.labels[rows])
        heads = bare.turned(slopes, shifts)
        believed, calibrated = BagOfWords(vocabulary, heads).probabilities, odds * slopes + shifts
        limits = one_vs_rest.limits(believed, calibrated, examples.take(rows), pool, settings)
        return BagOfWords(vocabulary, heads.settled(*limits))
    logits, vocabulary, whole = _of_one(examples, rows, settings.seed)
    head = whole.at(calibration.temperature(logits, examples.labels[rows]))
    return BagOfWords(vocabulary, head)


def crossed(examples: Examples, rows: NDArray[np.int64], settings: Settings) -> tuple[NDArray[np.float64], BagOfWords]:
    """(r, c) logits of the labels at these rows, each from the labels at the rows of the other folds alone; and the
    model of all labels, not calibrated."""
    logits, vocabulary, head = _of_one(examples, rows, settings.seed)
    return logits, BagOfWords(vocabulary, head)


def crossed_labels(
    examples: Examples, rows: NDArray[np.int64], settings: Settings
) -> tuple[NDArray[np.float64], BagOfWords]:
    """The same where an item may have several labels: (r, c) log odds, NaN where the other folds hold no positive."""
    odds, vocabulary, heads = _of_labels(examples, rows, settings.seed)
    return odds, BagOfWords(vocabulary, heads)


def _of_one(
    examples: Examples, rows: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.float64], Vocabulary, frozen.Head]:
    terms = examples.items.terms()
    vocabulary = Vocabulary.of(terms)
    vectors = vocabulary.vectors(terms)
    logits = frozen.held_out(examples.take(rows), vectors[rows], REGULARISATION, seed)
    return logits, vocabulary, frozen.head(examples, vectors, REGULARISATION)


def _of_labels(
    examples: Examples, rows: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.float64], Vocabulary, one_vs_rest.Heads]:
    terms = examples.items.terms()
    vocabulary = Vocabulary.of(terms)
    vectors = vocabulary.vectors(terms)
    (odds,) = one_vs_rest.held_out(examples.take(rows), vectors[rows], (REGULARISATION,), seed)
    return odds, vocabulary, one_vs_rest.heads(examples, vectors, REGULARISATION)


def load(folder: Path) -> BagOfWords:
    """The model that `BagOfWords.save` wrote."""
    tensors = load_file(folder / "words.safetensors")
    return BagOfWords(Vocabulary(tensors["buckets"], tensors["rarity"]), frozen.load(folder / "head"))
