"""How texts are worded: a second opinion beside the encoder's vectors on which texts are nearly the same.

An encoder gives texts whose characters it does not know, such as emoji, one and the same vector, and messages that
machines make nearly the same one. So two texts are near-duplicates only where their characters are alike, too, and
not where the one is the other with further numbers or names: those are two messages of one template.
"""

import re
import string
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.kinds.forms import folded

ALIKE = 0.35  # cosine of the counts of three characters in a row; paraphrases rarely have less, strangers rarely more
NEARLY_THE_SAME = 0.9  # asked where the encoder's word counts nothing
MANY = 0.2  # share of the texts from which on it is said that the encoder cannot read them
MULTILINGUAL = "intfloat/multilingual-e5-small"
UNKNOWN = 0.5  # share of a text's tokens, from which on the encoder's word counts nothing
BITS = 256  # of a signature: the cosine that it stands for is right to about 0.07
BUCKETS = 2**13  # that three characters in a row are hashed into
FEW_LETTERS = 8  # a template of fewer says nothing: "Order 17", "Order 18"
START, END = "\x02\x02", "\x03\x03"  # so that a text of one character has three in a row
# template: hash of the masked text. signature: signs of random projections of the counts of three characters in a row.
# unknown: share of the tokens that the encoder does not know.
WORDING = np.dtype([("template", np.uint64), ("signature", np.uint64, BITS // 64), ("unknown", np.float16)])
Wording = NDArray[np.void]  # (n,) of WORDING

# What varies between two messages of one template: quoted words; whatever holds a digit, a slash or an at sign among
# ASCII (Chinese has no blanks around numbers); and names, which are words with a capital that begin no sentence.
VARIES = re.compile(
    r"\"[^\"\n]{1,80}\"|'[^'\n]{1,80}'(?!\w)"
    r"|[A-Za-z0-9_.:/@#%+?=&~\\-]*[0-9@/\\][A-Za-z0-9_.:/@#%+?=&~\\-]*"
    r"|(?:(?<=[^\W\d_]\s)|(?<=[^\W\d_][,;:]\s))[A-Z][^\W\d_]*[a-z][^\W\d_]*"
)
MASK = "\x00"
NO_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation, " "))


def masked(text: str) -> str:
    """The text with a mark in place of each run of numbers and names, folded. The text itself, folded, where too
    little would be left of it.

    >>> masked("Disk on db-07 is 91 % full") == masked("Disk on web-2 is 8 % full")
    True
    >>> masked("Order 17")
    'order 17'
    """
    left = re.sub(rf"{MASK}(?:[\s,;]*{MASK})+", MASK, VARIES.sub(MASK, text))
    letters = _letters(left)
    return folded(left if letters >= max(FEW_LETTERS, _letters(text) / 3) else text)


def wording(texts: Sequence[str], unknown: NDArray[np.floating]) -> Wording:
    """(n,) texts, with the share of each one's tokens that the encoder does not know -> (n,) of WORDING. Signatures are
    those of Charikar 2002, 'Similarity estimation techniques from rounding algorithms'. The same everywhere for the
    same text. O(characters)."""
    result = np.zeros(len(texts), dtype=WORDING)
    if len(texts):
        templates = np.array([masked(text) for text in texts], dtype=object)
        result["template"] = pd.util.hash_array(templates, categorize=False)
        counts = _trigrams().transform(START + folded(text.translate(NO_PUNCTUATION)) + END for text in texts)
        result["signature"] = np.packbits(counts @ _projections() > 0, axis=1).view(np.uint64)
        result["unknown"] = unknown
    return result


def alike(one: Wording, others: Wording) -> NDArray[np.bool_]:
    """(n, m) whether what the encoder holds for near-duplicates may be: the characters of the two are somewhat alike,
    or very much so where the encoder does not know one of the texts; and neither is another message of the other's
    template. O(n m)."""
    agree = _signs(one) @ _signs(others).T  # BITS where all agree, 0 where half of them do
    strange = (one["unknown"] > UNKNOWN)[:, None] | (others["unknown"] > UNKNOWN)
    another_message = (one["template"][:, None] == others["template"]) & (agree < BITS)
    return (agree >= np.where(strange, _agreeing(NEARLY_THE_SAME), _agreeing(ALIKE))) & ~another_message


def unreadable(unknown: NDArray[np.floating]) -> str:
    """What to do where the encoder cannot read many of the texts; '' where it can. unknown: (n,) of WORDING."""
    share = float((unknown > UNKNOWN).mean()) if len(unknown) else 0.0
    return (
        f"the encoder does not know most characters of {share:.0%} of the texts, so to it they look alike: set "
        f"embed.encoder in params.yaml to a multilingual one, such as {MULTILINGUAL} (fetched once, by network)"
        if share >= MANY
        else ""
    )


@cache
def _trigrams() -> Any:
    """Counts three characters in a row. scikit-learn takes a second to import, which who only compares need not pay."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashed: Any = {"n_features": BUCKETS, "alternate_sign": False, "norm": None, "dtype": np.float32}
    return HashingVectorizer(analyzer="char", ngram_range=(3, 3), **hashed)


def _agreeing(cosine: float) -> float:
    """The bits that agree less those that do not, of two signatures whose counts have this cosine."""
    return float(BITS * (1 - 2 * np.arccos(cosine) / np.pi))


def _signs(given: Wording) -> NDArray[np.float32]:
    """(n, BITS) of +1 and -1."""
    bits = np.unpackbits(np.ascontiguousarray(given["signature"]).view(np.uint8), axis=1)
    return 2 * bits.astype(np.float32) - 1


def _projections() -> NDArray[np.float32]:
    """(BUCKETS, BITS) of +1 and -1, always the same."""
    return 2 * np.random.default_rng(0).integers(0, 2, (BUCKETS, BITS)).astype(np.float32) - 1


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))
