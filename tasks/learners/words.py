"""The words of texts as a model of spans reads them: where each is, how it is written, and what the frozen encoder
makes of it. Character offsets are the truth: words are made here, whatever the encoder's own tokens are."""

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Letters and digits together, with the marks that belong to them; all else that shows stands by itself, and so does
# each character of the scripts that put no blanks between words, or write what is no part of a name onto it, as Korean
# does: where a span ends within a word, the word would teach nothing.
ATTACHED = (
    "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff\u200c\u200d\ufe00-\ufe0f"
)
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3100-\u312f\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
WORD = re.compile(rf"[{UNSPACED}]|(?:[^\W{UNSPACED}]|[{ATTACHED}])+|[^\w\s][{ATTACHED}]*")
MARKS = 13  # features of how a word and its neighbours are written
OWN = 1  # which of them is the word itself, whatever its case
READ = 2  # another number where places, marks or states of a text's words come out otherwise than they did
HASHED = 4096  # numbers that a feature may have
EDGE = "<>"  # what stands before the first word and after the last

Places = NDArray[np.int32]
Marks = NDArray[np.uint16]


@dataclass(frozen=True)
class Words:
    """The words of n texts. starts: (n + 1,) where those of each text begin among all N; places: (N, 2) where each word
    begins and ends in its text, in code points; marks: (N, MARKS) how it is written, numbers below HASHED; states:
    (N, d) what the encoder makes of it."""

    starts: NDArray[np.int64]
    places: Places
    marks: Marks
    states: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) how many words each text has: what it costs to read."""
        return np.diff(self.starts)

    def at(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """The numbers of the words of these texts, one text after the other."""
        lengths = self.lengths[rows]
        ends = np.cumsum(lengths)
        return np.arange(int(lengths.sum())) + np.repeat(self.starts[rows] - (ends - lengths), lengths)

    def take(self, rows: NDArray[np.integer]) -> "Words":
        """Those of the texts at these positions, in memory."""
        found = self.at(rows)
        starts = np.concatenate([[0], np.cumsum(self.lengths[rows])])
        return Words(starts, self.places[found], self.marks[found], np.asarray(self.states[found], np.float32))

    @classmethod
    def joined(cls, parts: Sequence["Words"]) -> "Words":
        """Those of one part after those of the other."""
        lengths = np.concatenate([part.lengths for part in parts])
        starts = np.concatenate([[0], np.cumsum(lengths)])
        rest = (np.concatenate([getattr(part, name) for part in parts]) for name in ("places", "marks", "states"))
        return cls(starts, *rest)


def places(text: str) -> Places:
    """(t, 2) where the words of a text begin and end.

    >>> places("Rome's 🏛️ is 3.5 km off").tolist()[:4]
    [[0, 4], [4, 5], [5, 6], [7, 9]]
    >>> places(" ").shape
    (0, 2)
    """
    return np.array([found.span() for found in WORD.finditer(text)], dtype=np.int32).reshape(-1, 2)


def marks(text: str, places: Places) -> Marks:
    """(t, MARKS) how each word of a text and its neighbours are written: the word without its case, its beginning, its
    end, its shape (Xx for capital and small letters, d for digits), and whether a blank stands before it. Hashed, so
    that words never seen have a number, too (Weinberger et al. 2009, arXiv 0902.2206)."""
    words = [text[start:end] for start, end in places.tolist()]
    low = [EDGE, *(word.lower() for word in words), EDGE]
    shapes = [shape(word) for word in words]
    short = [EDGE, *(re.sub(r"(.)\1+", r"\1", each) for each in shapes), EDGE]
    made = np.empty((len(words), MARKS), dtype=np.uint16)
    for at, word in enumerate(words):
        touching = at > 0 and places[at - 1, 1] == places[at, 0]
        said = [f"{name}{off}{of[at + 1 + off]}" for name, of in (("w", low), ("s", short)) for off in (-1, 0, 1)]
        said += [f"S{shapes[at]}", f"p{word[:3].lower()}", f"q{word[-3:].lower()}", f"r{word[-2:].lower()}"]
        said += [f"first{at == 0}", f"touching{touching}", f"long{min(len(word), 8)}"]
        made[at] = [zlib.crc32(each.encode("utf-8", "replace")) % HASHED for each in said]
    return made


def shape(word: str) -> str:
    """How a word is written.

    >>> shape("McDonald's"), shape("B2B")
    ("XxXxxxxx'x", 'XdX')
    """
    return "".join("X" if c.isupper() else "d" if c.isdigit() else "x" if c.isalpha() else c for c in word)


@dataclass(frozen=True)
class Windows:
    """Texts as an encoder takes them: one longer than its window lies in several that overlap by half. Of w windows,
    ids: the tokens of each; owner: (w,) the text; first: (w,) whether it begins its text; pairs: of each, numbers of
    its tokens and the words of its text that they belong to, for the words that are read there. A word is read in one
    window, where it is furthest from an end that was cut. places: of each text."""

    ids: list[list[int]]
    owner: NDArray[np.int64]
    first: NDArray[np.bool_]
    pairs: list[tuple[NDArray[np.int64], NDArray[np.int64]]]
    places: list[Places]

    @classmethod
    def of(cls, encoder: Any, texts: list[str]) -> "Windows":
        """As the encoder cuts n texts. encoder: as of encoder.py."""
        found, most = [places(text) for text in texts], int(encoder.max_tokens)
        given = encoder.tokenizer(
            texts or [""],
            truncation=True,
            max_length=most,
            stride=max((most - encoder.tokenizer.num_special_tokens_to_add()) // 2, 0),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        owner = np.array(given["overflow_to_sample_mapping"])[: None if texts else 0]
        first = np.concatenate([[True], owner[1:] != owner[:-1]]) if texts else np.empty(0, bool)
        ids = list(given["input_ids"][: len(owner)])
        return cls(ids, owner, first, _read_where(owner, given["offset_mapping"], found), found)

    @property
    def starts(self) -> NDArray[np.int64]:
        """(n + 1,) as of Words."""
        return np.concatenate([[0], np.cumsum([len(each) for each in self.places])]).astype(np.int64)

    def words(self, texts: list[str], states: NDArray[np.floating]) -> Words:
        """The words of these texts with their (N, d) states."""
        of_all = [marks(text, each) for text, each in zip(texts, self.places, strict=True)]
        whole = np.concatenate([np.empty((0, MARKS), np.uint16), *of_all])
        return Words(self.starts, np.concatenate([np.empty((0, 2), np.int32), *self.places]), whole, states)


def read(
    encoder: Any, texts: list[str], progress: Callable[[int], None] = lambda _done: None, last: bool = False
) -> tuple[NDArray[np.float32], Words]:
    """(n, d) the vectors of texts, as `encoder.encode` gives them, and their words with their states, (N, d) float32:
    the mean of a word's token states in the encoder's middle layer, which says more of a word than the last one, whose
    states are made to be averaged over a text (docs/labels.md has what was measured). encoder: as of encoder.py.
    last: (N, 2 d), those of the last layer beside them, of an encoder that was tuned for words.

    A text longer than the encoder's window is read in windows that overlap by half. Nothing is left out.
    """
    import torch

    from labelwise.tasks.learners.encoder import pooled

    windows, width = Windows.of(encoder, texts), int(encoder.model.config.hidden_size)
    starts, owner = windows.starts, windows.owner
    states = np.zeros((int(starts[-1]), width * (2 if last else 1)), np.float32)
    vectors = np.empty((len(texts), width), np.float32)

    def read_windows(rows: NDArray[np.int64]) -> int:
        with torch.inference_mode():
            output, mask = encoder.passed([windows.ids[row] for row in rows], output_hidden_states=True)
            layers = output.hidden_states
            whole = pooled(layers[-1].float(), mask).cpu().numpy()
            middle = layers[(len(layers) - 1) // 2]
            of_words = (torch.cat([middle, layers[-1]], dim=-1) if last else middle).float().cpu().numpy()
        for at, row in enumerate(rows):
            numbers, means = _means(of_words[at], *windows.pairs[row])
            states[starts[owner[row]] + numbers] = means
            if windows.first[row]:
                vectors[owner[row]] = whole[at]
        return int(windows.first[rows].sum())

    for done in encoder.in_steps([len(ids) for ids in windows.ids], read_windows):
        progress(done)
    return vectors, windows.words(texts, states)


def _read_where(
    owner: NDArray[np.int64], offsets: Sequence[Sequence[tuple[int, int]]], found: list[Places]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The `pairs` of windows."""
    pairs = []
    for window, text in enumerate(owner):
        begin, end = np.array(offsets[window]).T
        words = found[text]
        first = np.searchsorted(words[:, 1], begin, side="right")
        last = np.where(end > begin, np.searchsorted(words[:, 0], end, side="left"), first)
        counts = np.maximum(last - first, 0)
        tokens = np.repeat(np.arange(len(begin)), counts)
        within = np.arange(len(tokens)) - np.repeat(np.cumsum(counts) - counts, counts)
        pairs.append((tokens, first[tokens] + within))
    best: dict[int, tuple[NDArray[np.float64], NDArray[np.int64]]] = {}
    for window, text in enumerate(owner):
        if (owner[max(window - 1, 0) : window + 2] == text).sum() == 1:
            continue  # the only window of its text
        tokens, words = pairs[window]
        cut = window + 1 < len(owner) and owner[window + 1] == text
        room = np.minimum(
            tokens if window and owner[window - 1] == text else np.inf,
            len(offsets[window]) - 1 - tokens if cut else np.inf,
        )
        furthest, at = best.setdefault(
            int(text), (np.full(len(found[text]), -1.0), np.full(len(found[text]), -1, np.int64))
        )
        least = np.full(len(found[text]), np.inf)
        np.minimum.at(least, words, room)
        better = np.isfinite(least) | np.isin(np.arange(len(least)), words)
        better &= least > furthest
        furthest[better], at[better] = least[better], window
    for window, text in enumerate(owner):
        if int(text) in best:
            tokens, words = pairs[window]
            mine = best[int(text)][1][words] == window
            pairs[window] = tokens[mine], words[mine]
    return pairs


def _means(
    states: NDArray[np.float32], tokens: NDArray[np.int64], words: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The words of a window and the mean state of the tokens of each."""
    if not len(words):
        return words, np.empty((0, states.shape[1]), np.float32)
    numbers, first, counts = np.unique(words, return_index=True, return_counts=True)
    return numbers, (np.add.reduceat(states[tokens], first) / counts[:, None]).astype(np.float32)
