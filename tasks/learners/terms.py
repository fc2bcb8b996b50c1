"""The words of texts, hashed (Weinberger et al. 2009, 'Feature hashing for large scale multitask learning', arXiv
0902.2206), so that a model holds no list of what people wrote.

Of scripts that put no blanks between words, and of emoji, the characters count, alone and in pairs.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

BUCKETS = 2**18  # that words are hashed into; models on disk hold positions among these, so it stays
BITS = 2**32 - 1
KNOWN = 2**17  # words whose buckets are remembered
MOST = 2**16 - 1  # times that a word is counted in a text
READ = 1  # another number where the words of a text come out otherwise than they did
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
class Terms:
    """The words of n texts. buckets: (t,) int32 of the words of one text after the other, in order within each; counts:
    (t,) uint16 how often each word is there; ends: (n + 1,) where the words of each text begin, and the last ends."""

    buckets: NDArray[np.int32]
    counts: NDArray[np.uint16]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Terms":
        """
        >>> found = Terms.of(["Pay it, pay!", ""])
        >>> found.buckets.tolist(), found.counts.tolist(), found.ends.tolist()
        ([67646, 136713], [1, 2], [0, 2, 2])
        """
        buckets: list[int] = []
        counts: list[int] = []
        ends = [0]
        for text in texts:
            found = Counter(map(bucket, words(text)))
            held = sorted(found)
            buckets += held
            counts += [min(found[each], MOST) for each in held]
            ends.append(len(buckets))
        return cls(np.array(buckets, np.int32), np.array(counts, np.uint16), np.array(ends, np.int64))

    def __len__(self) -> int:
        return len(self.ends) - 1

    def take(self, rows: NDArray[np.integer]) -> "Terms":
        """The words of the texts at these rows."""
        first, sizes = self.ends[rows], np.diff(self.ends)[rows]
        ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        if len(rows) and (np.diff(rows) == 1).all():
            part = slice(int(first[0]), int(first[0] + ends[-1]))
            return Terms(self.buckets[part], self.counts[part], ends)
        at = np.repeat(first - ends[:-1], sizes) + np.arange(ends[-1])
        return Terms(self.buckets[at], self.counts[at], ends)

    @classmethod
    def joined(cls, parts: Sequence["Terms"]) -> "Terms":
        """The words of all, in their order; of at least one."""
        sizes = np.concatenate([np.diff(part.ends) for part in parts])
        ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        buckets, counts = (np.concatenate([getattr(part, name) for part in parts]) for name in ("buckets", "counts"))
        return cls(buckets, counts, ends)
