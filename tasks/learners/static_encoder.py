"""A table in place of an encoder: a vector for each token; a text is the mean of those of its tokens, scaled to unit
length. It needs neither torch nor onnxruntime, and reads a thousand texts in the time in which an encoder reads a few.

It begins with what the encoder says of each token alone (model2vec: Tulkens & van Dongen 2024), less of frequent ones
(Arora, Liang & Ma 2017, 'A simple but tough-to-beat baseline for sentence embeddings'), and is then fitted: by least
squares, so that the means of a pool's texts are the encoder's own vectors of them, with a penalty on what moves away
from the beginning. Tokens that the pool does not have stay as they began. No label is looked at.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds.base import Encoder as AnyEncoder
from labelwise.tasks.learners.encoder import path_of

NEEDS = ("tokenizers",)
TABLE, TOKENIZER = "table.safetensors", "tokenizer.json"
RARE = 1e-3  # share of all tokens at which a token counts half
PENALTY = 0.03  # measured from 0.001 to 1: docs/answering.md
STEPS, ENOUGH = 100, 1e-3  # of the fit at most; what is left of the error's slope when it ends
STEPS_OF_8_BITS = 127.0
CONTINUES = "##"  # how a token begins that goes on with a word

Floats = NDArray[np.float32]


class Encoder:
    """A table of tokens that is read as an encoder of texts. folder: what `save` wrote."""

    def __init__(self, folder: Path, max_tokens: int) -> None:
        self.folder = folder
        try:
            kept = load_file(folder / TABLE)
            self.table, self.step = kept["table"], kept["step"]
        except (OSError, SafetensorError, KeyError) as error:
            said = f"{type(error).__name__}: {error}".splitlines()[0][:160]
            raise InputError(f"{folder} has no table of tokens", got=said, fix="make it again") from None
        self.tokenizer = tokenizer_of(folder, max_tokens)

    def encode(self, texts: list[str], progress: Callable[[int], None] = lambda _done: None, /) -> Floats:
        """(n,) texts -> (n, d) vectors of unit length. `progress` is told how many texts are done."""
        rows = [row.ids for row in self.tokenizer.encode_batch(texts)]
        vectors = np.zeros((len(rows), self.table.shape[1]), np.float32)
        for place, ids in enumerate(rows):
            if ids:
                vectors[place] = self.step[ids] @ self.table[ids].astype(np.float32)
        progress(len(rows))
        return unit(vectors)


def tokenizer_of(folder: Path, max_tokens: int) -> Any:
    """The tokenizer in a folder. InputError where there is none."""
    from tokenizers import Tokenizer

    if not (folder / TOKENIZER).is_file():
        expected = f"a folder with {TOKENIZER}"
        raise InputError("no table can be made of this encoder", expected=expected, got=str(folder))
    found = Tokenizer.from_file(str(folder / TOKENIZER))
    found.no_padding()
    found.enable_truncation(max_tokens)
    return found


def make(folder: Path, name: str, encoder: AnyEncoder, texts: Sequence[str], vectors: Floats, max_tokens: int) -> None:
    """Write the table that imitates an encoder on texts like these. name: of the encoder; vectors: (n, d) its own of
    the texts."""
    source = Path(path_of(name))
    tokenizer = tokenizer_of(source, max_tokens)
    rows = [row.ids for row in tokenizer.encode_batch(list(texts))]
    table = fitted(begun(encoder, tokenizer, rows), rows, vectors)
    step = np.maximum(np.abs(table).max(axis=1), np.finfo(np.float32).tiny) / STEPS_OF_8_BITS
    kept = {"table": np.rint(table / step[:, None]).astype(np.int8), "step": step.astype(np.float32)}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(kept, folder / TABLE)
    (folder / TOKENIZER).write_bytes((source / TOKENIZER).read_bytes())


def begun(encoder: AnyEncoder, tokenizer: Any, rows: Sequence[Sequence[int]]) -> Floats:
    """(v, d) what the encoder says of each token alone, less of those that are frequent in the texts."""
    names = {number: token for token, number in tokenizer.get_vocab().items()}
    words = [names.get(number, "").removeprefix(CONTINUES) for number in range(max(names) + 1)]
    counts = Counter(number for row in rows for number in row)
    share = np.array([counts[number] for number in range(len(words))]) / max(1, counts.total())
    return np.asarray(encoder.encode(words) * (RARE / (RARE + share))[:, None], np.float32)


def fitted(table: Floats, rows: Sequence[Sequence[int]], vectors: Floats, penalty: float = PENALTY) -> Floats:
    """(v, d) the table whose means of n texts, given as their tokens, are nearest to their (n, d) vectors, by conjugate
    gradients (Hestenes & Stiefel 1952). O(steps tokens d) time."""
    from scipy.sparse import csr_matrix

    if not any(rows):
        return table
    ends = np.cumsum([len(row) for row in rows])
    lengths = np.diff(ends, prepend=0)
    ids = np.concatenate([np.asarray(row, np.int64) for row in rows])
    there, at = np.unique(ids, return_inverse=True)
    weights = np.repeat(1 / np.maximum(lengths, 1), lengths).astype(np.float32)
    means = csr_matrix((weights, at, np.concatenate([[0], ends])), shape=(len(rows), len(there)))
    begun = means @ table[there]
    scale = float((begun * vectors).sum() / max(float((begun * begun).sum()), 1e-12))
    moved = np.zeros((len(there), table.shape[1]), np.float32)
    left = means.T @ (vectors - scale * begun)
    way, size = left, (left * left).sum(axis=0)
    first = size.max()
    for _ in range(STEPS):
        if size.max() <= ENOUGH**2 * first:
            break
        curved = means.T @ (means @ way) + penalty * way
        far = size / np.maximum((way * curved).sum(axis=0), 1e-30)
        moved += far * way
        left = left - far * curved
        before, size = size, (left * left).sum(axis=0)
        way = left + size / np.maximum(before, 1e-30) * way
    found = scale * table
    found[there] += moved
    return np.asarray(found, np.float32)


def unit(vectors: Floats) -> Floats:
    """The same of length 1, or 0."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
