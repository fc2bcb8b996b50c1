"""`bag_of_words`: a logistic head on the words a text holds, weighed by tf-idf (Salton & Buckley 1988, 'Term-weighting
approaches in automatic text retrieval'). An encoder reads the first few hundred tokens of a text and turns names,
product codes and typing errors into what they resemble; this reads to the end and takes each word as it is. Worth
little with a handful of labels, and much on long texts with a few hundred.

Of scripts that put no blanks between words, and of emoji, the characters count, alone and in pairs.

Words are hashed (Weinberger et al. 2009, arXiv 0902.2206), so that a model holds no list of what people wrote.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix

from labelwise.tasks.learners import calibration, frozen, one_vs_rest
from labelwise.tasks.learners.base import Examples, Items
from labelwise.tasks.settings import Settings

NAME = "bag_of_words"
SERVES = frozenset({"choice", "multilabel"})
READS = frozenset({"text"})
BUCKETS = 2**18  # that words are hashed into; models on disk hold positions among these, so it stays
BITS = 2**32 - 1
KNOWN = 2**17  # words whose buckets are remembered
REGULARISATION = 30.0  # scikit-learn's C: between 30 and 100 nothing could be told apart
WORD = re.compile(r"\b\w\w+\b")
# Thai to Myanmar, Khmer, kana, Chinese, emoji and other symbols. Korean has blanks.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2190-\u2bff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U0001f000-\U0001faff\U00020000-\U0003ffff]+"
)


def words(text: str) -> list[str]:
    """The words of a text in lower case, of two characters or more; where words are not set apart, also each character
    and each pair of them.

    >>> words("Pay it, 退款"), words("😍😍!")
    (['pay', 'it', '退款', '退', '款', '退款'], ['😍', '😍', '😍😍'])
    """
    text = text.lower()
    found = WORD.findall(text)
    if text.isascii():
        return found
    for run in UNSPACED.findall(text):
        found += [*run, *map("".join, pairwise(run))]
    return found


@lru_cache(KNOWN)
def bucket(word: str) -> int:
    """The bucket of a word, as scikit-learn's HashingVectorizer has it.

    >>> bucket("pay"), bucket("退款")
    (136713, 49098)
    """
    hashed = murmur(word.encode("utf-8"))
    return min(hashed, 2**32 - hashed) % BUCKETS


def murmur(data: bytes) -> int:
    """MurmurHash3 of 32 bits, seed 0 (Appleby 2011, public domain), in [0, 2**32)."""
    found, whole = 0, len(data) // 4 * 4
    for at in range(0, whole, 4):
        found ^= _mixed(int.from_bytes(data[at : at + 4], "little"))
        found = (found << 13 | found >> 19) & BITS
        found = (found * 5 + 0xE6546B64) & BITS
    found ^= _mixed(int.from_bytes(data[whole:], "little")) ^ len(data)
    found = (found ^ found >> 16) * 0x85EBCA6B & BITS
    found = (found ^ found >> 13) * 0xC2B2AE35 & BITS
    return found ^ found >> 16


def _mixed(four: int) -> int:
    four = four * 0xCC9E2D51 & BITS
    return ((four << 15 | four >> 17) & BITS) * 0x1B873593 & BITS


@dataclass(frozen=True)
class Vocabulary:
    """What the labelled texts hold. buckets: (v,) those with a word in them, in order; rarity: (v,) inverse document
    frequencies. Words of no labelled text count nothing: nothing has been learned of them."""

    buckets: NDArray[np.int64]
    rarity: NDArray[np.float32]

    @classmethod
    def of(cls, texts: list[str]) -> "Vocabulary":
        """The words of m >= 1 texts; where there are none, one that never occurs."""
        held = Counter(each for text in texts for each in set(map(bucket, words(text))))
        buckets = np.array(sorted(held) or [0], np.int64)
        texts_with = np.array([held[each] for each in buckets.tolist()])
        return cls(buckets, (np.log((1 + len(texts)) / (1 + texts_with)) + 1).astype(np.float32))

    @cached_property
    def _places(self) -> dict[int, int]:
        return {each: place for place, each in enumerate(self.buckets.tolist())}

    def vectors(self, texts: list[str]) -> csr_matrix:
        """n texts -> (n, v), rows of unit length, or zero where no word is known. Not by scikit-learn, whose way to the
        same figures takes milliseconds for one text."""
        places: list[int] = []
        counts: list[int] = []
        ends = [0]
        for text in texts:
            found = Counter(self._places[each] for each in map(bucket, words(text)) if each in self._places)
            held = sorted(found)
            places += held
            counts += [found[place] for place in held]
            ends.append(len(places))
        at = np.array(places, np.int64)
        weights = (np.log(np.array(counts, np.float64)) + 1) * self.rarity[at]
        rows = np.repeat(np.arange(len(texts)), np.diff(ends))
        lengths = np.sqrt(np.bincount(rows, weights * weights, len(texts)))
        return csr_matrix((weights / lengths[rows], at, ends), shape=(len(texts), len(self.buckets)))


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
        parts = [self.head.logits(self.vocabulary.vectors(block.texts())) for block in items.blocks()]
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
    texts = examples.items.texts()
    vocabulary = Vocabulary.of(texts)
    vectors = vocabulary.vectors(texts)
    logits = frozen.held_out(examples.take(rows), vectors[rows], REGULARISATION, seed)
    return logits, vocabulary, frozen.head(examples, vectors, REGULARISATION)


def _of_labels(
    examples: Examples, rows: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.float64], Vocabulary, one_vs_rest.Heads]:
    texts = examples.items.texts()
    vocabulary = Vocabulary.of(texts)
    vectors = vocabulary.vectors(texts)
    (odds,) = one_vs_rest.held_out(examples.take(rows), vectors[rows], (REGULARISATION,), seed)
    return odds, vocabulary, one_vs_rest.heads(examples, vectors, REGULARISATION)


def load(folder: Path) -> BagOfWords:
    """The model that `BagOfWords.save` wrote."""
    tensors = load_file(folder / "words.safetensors")
    return BagOfWords(Vocabulary(tensors["buckets"], tensors["rarity"]), frozen.load(folder / "head"))
