"""Texts that nobody wrote, made to lie between two classes (membership queries: Angluin 1988; for text: Schumann &
Rehbein 2019). Never part of the loop: what comes out is marked as synthetic, and only a person can put it into a
pool."""

import re

import numpy as np
import pandas as pd

from labelwise.tasks.strategies.base import Floats, Indices

LOOKED_AT = 2_000  # items among which neighbours are looked for


def synthesise(
    texts: list[str], vectors: Floats, predicted: Indices, count: int, rng: np.random.Generator
) -> pd.DataFrame:
    """At most `count` texts, each the first half of one item and the second half of its nearest neighbour of another
    predicted class, nearest pairs first. Columns: text, parent_a, parent_b (positions), synthetic (True).

    texts: n; vectors: (n, d) unit length; predicted: (n,) classes. O(s² d) time for s items, at most 2,000. Fewer, or
    none, where only one class is predicted or the halves give a text that is there already.
    """
    rows = np.sort(rng.permutation(len(texts))[:LOOKED_AT])
    similar = vectors[rows] @ vectors[rows].T
    similar[predicted[rows][:, None] == predicted[rows]] = -np.inf
    mates = similar.argmax(axis=1)
    nearness = similar[np.arange(len(rows)), mates]
    there = set(texts)
    made: list[tuple[str, int, int, bool]] = []
    for at in np.argsort(-nearness, kind="stable"):
        if len(made) == count or nearness[at] == -np.inf:
            break
        a, b = int(rows[at]), int(rows[mates[at]])
        text = recombined(texts[a], texts[b])
        if text not in there:
            there.add(text)
            made.append((text, a, b, True))
    return pd.DataFrame(made, columns=["text", "parent_a", "parent_b", "synthetic"])


def recombined(first: str, second: str) -> str:
    """The first half of one text and the second half of another: whole sentences where both have several, else words.

    >>> recombined("my card is lost", "my card was charged twice today")
    'my card charged twice today'
    """
    parts = [re.split(r"(?<=[.!?])\s+", text.strip()) for text in (first, second)]
    if min(map(len, parts)) < 2:
        parts = [text.split() for text in (first, second)]
    head, tail = parts
    return " ".join([*head[: (len(head) + 1) // 2], *tail[len(tail) // 2 :]])
