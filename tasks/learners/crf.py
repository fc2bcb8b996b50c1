"""A linear-chain conditional random field over the tags of words (Lafferty, McCallum & Pereira 2001), for spans: tags
are `O`, then `B` and `I` of each class; an `I` follows only a `B` or `I` of its own class.

What a word's tag is need not be known: a label may leave several open, and the likelihood is that of all taggings that
agree with it (Tsuboi et al. 2008, 'Training conditional random fields using incomplete annotations'). So what a flat
tagger cannot say, such as a span within another, is left out of the loss and is never taught as `O`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from labelwise.tasks.learners.optimizers import minimize
from labelwise.tasks.learners.words import HASHED, MARKS, Words
from labelwise.tasks.threads import one_thread

Floats = NDArray[np.floating]
Batch = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]
BATCH = 256  # texts of like length that are gone through together
RIDGE = 0.3  # of the weights; of 0.03 to 1 the best at 100 and 500 sentences together
RIDGE_OF_STEPS = 1.0  # of the scores of one tag after another
STEPS = 100
LEAST = 0.02  # spans less probable than this are not told


def allowed(c: int) -> NDArray[np.bool_]:
    """(k, k) which tag may follow which, k = 1 + 2 c.

    >>> allowed(1).astype(int).tolist()
    [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    """
    k = 1 + 2 * c
    found = np.ones((k, k), bool)
    for inside in range(2, k, 2):
        found[:, inside] = False
        found[[inside - 1, inside], inside] = True
    return found


@dataclass(frozen=True)
class Weights:
    """states: (d, k) and marks: (HASHED, k) what the features of a word say for each tag; bias: (k,); steps: (k, k)
    what a tag says for the next one, minus infinity where that may not follow."""

    states: Floats
    marks: Floats
    bias: Floats
    steps: Floats

    def scores(self, words: Words) -> NDArray[np.float64]:
        """(N, k) of each word by itself."""
        found = np.asarray(words.states, np.float32) @ self.states.astype(np.float32)
        return found + _marks(words) @ self.marks + self.bias


@dataclass(frozen=True)
class Tagged:
    """What the field says of n texts with N words. tags: (N, k) the probability of each tag. inside: (N, c, 2) that the
    class goes on with the next word, where it begins with this one, and where it went on with it. margin: (n,) how far
    the best tagging is before the next best, as a difference of probabilities; best: (n,) its log probability."""

    tags: Floats
    inside: Floats
    margin: NDArray[np.float64]
    best: NDArray[np.float64]


def fit(
    words: Words, open_tags: NDArray[np.bool_], counting: Floats, steps: int = STEPS, ridge: float = RIDGE
) -> Weights:
    """The field of the highest likelihood. open_tags: (N, k) which tags a label leaves open to each word; counting:
    (n,) what each text counts."""
    d, k = words.states.shape[1], open_tags.shape[1]
    may = allowed(k // 2)
    # Each word's states and marks together, so that a step is two products.
    states, of_marks = np.asarray(words.states, np.float32), _marks(words)
    turned, batches = of_marks.T.tocsr(), list(_batches(words.lengths))
    weigh = np.repeat(np.asarray(counting, np.float64), words.lengths)

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        w = _weights(flat, d, k, may)
        scores = (states @ w.states.astype(np.float32)).astype(np.float64) + of_marks @ w.marks + w.bias
        value, gap, gap_steps = _loss(scores, w.steps, batches, open_tags, counting)
        gap *= weigh[:, None]
        kept = np.where(may, w.steps, 0.0)
        value += 0.5 * ridge * float((w.states**2).sum() + (w.marks**2).sum()) + 0.5 * RIDGE_OF_STEPS * (kept**2).sum()
        slope = [
            (states.T @ gap.astype(np.float32)).astype(np.float64) + ridge * w.states,
            turned @ gap + ridge * w.marks,
            gap.sum(axis=0),
            np.where(may, gap_steps + RIDGE_OF_STEPS * kept, 0.0),
        ]
        return value, np.concatenate([each.ravel() for each in slope])

    start = np.zeros((d + HASHED + 1 + k) * k)
    with one_thread():
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": steps}).x
    return _weights(found, d, k, may)


def judge(weights: Weights, words: Words) -> Tagged:
    """What the field says of texts."""
    scores = weights.scores(words)
    k, c = scores.shape[1], scores.shape[1] // 2
    n = len(words)
    tags, inside = np.empty((len(scores), k), np.float32), np.zeros((len(scores), c, 2), np.float32)
    margin, best = np.ones(n), np.zeros(n)
    after = np.exp(weights.steps)
    for rows, numbers, there in _batches(words.lengths):
        of_batch = scores[numbers]
        alpha, beta, size, _ = _passes(of_batch, there, after)
        tags[numbers[there]] = (alpha * beta)[there]
        inside[numbers[there]] = _going_on(of_batch, there, after, beta, size)[there]
        first, second = _best_two(of_batch, there, weights.steps)
        whole = np.log(size).sum(axis=1) + np.where(there, of_batch.max(axis=2), 0.0).sum(axis=1)
        best[rows] = np.minimum(first - whole, 0.0)
        margin[rows] = np.exp(best[rows]) - np.exp(np.minimum(second - whole, 0.0))
    return Tagged(tags, inside, margin, best)


def log_loss(
    scores: NDArray[np.float64], steps: Floats, lengths: NDArray[np.int64], open_tags: NDArray[np.bool_]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Minus the log-likelihood of labels, in nats, that leave these tags open, (N, k), to the words of texts of these
    lengths, by the (N, k) scores of the words and (k, k) of the steps; and its derivatives by each of both."""
    return _loss(scores, steps, list(_batches(lengths)), open_tags, np.ones(len(lengths)))


def log_losses(weights: Weights, words: Words, open_tags: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) minus the log-likelihood of the label of each text, in nats, that leaves these tags open, (N, k)."""
    scores, after, found = weights.scores(words), np.exp(weights.steps), np.zeros(len(words))
    for rows, numbers, there in _batches(words.lengths):
        of_batch = scores[numbers]
        whole, agreeing = (_passes(of_batch, there, after, each)[2] for each in (None, open_tags[numbers]))
        found[rows] = np.log(whole).sum(axis=1) - np.log(agreeing).sum(axis=1)
    return found


def _loss(
    scores: NDArray[np.float64], steps: Floats, batches: list[Batch], open_tags: NDArray[np.bool_], counting: Floats
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """The same of texts that count differently, (n,); the derivatives by scores are those of texts that count once."""
    gap, gap_steps, value = np.zeros_like(scores), np.zeros(steps.shape), 0.0
    after = np.exp(steps)
    for rows, numbers, there in batches:
        with_bounds = _forward_backward(scores[numbers], there, after, counting[rows])
        agreeing = _forward_backward(scores[numbers], there, after, counting[rows], open_tags[numbers])
        value += float(counting[rows] @ (with_bounds[0] - agreeing[0]))
        gap[numbers[there]] = (with_bounds[1] - agreeing[1])[there]
        gap_steps += with_bounds[2] - agreeing[2]
    return value, gap, gap_steps


@dataclass(frozen=True)
class Spans:
    """M possible spans. text, first, last, of: (M,) the text of each, the numbers of its first and last word in that,
    and its class; probability: (M,) that just this is one."""

    text: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    of: NDArray[np.int64]
    probability: NDArray[np.float64]


def spans(tagged: Tagged, words: Words) -> Spans:
    """All spans of probability `LEAST` and more, text by text. That a span ends with a word is that its class begins
    somewhere, goes on up to there and not further: the field is a Markov chain, also once the words are known."""
    begin, of = np.nonzero(tagged.tags[:, 1::2] >= LEAST)
    p = tagged.tags[begin, 1 + 2 * of].astype(np.float64)
    text = np.repeat(np.arange(len(words)), words.lengths)
    end, last_of = begin.copy(), words.starts[1:][text[begin]] - 1
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    went_on = 0
    while len(begin):
        further = np.where(end < last_of, tagged.inside[end, of, went_on], 0.0)
        told = p * (1 - further) >= LEAST
        found.append((begin[told], end[told], of[told], (p * (1 - further))[told]))
        p, went_on = p * further, 1
        left = p >= LEAST
        begin, end, of, p, last_of = begin[left], end[left] + 1, of[left], p[left], last_of[left]
    if not found:
        none = np.empty(0, np.int64)
        return Spans(none, none, none, none, np.empty(0))
    begin, end, of, p = (np.concatenate(each) for each in zip(*found, strict=True))
    order = np.lexsort((of, end, begin))
    begin, end, of, p = begin[order], end[order], of[order], p[order]
    return Spans(text[begin], begin - words.starts[text[begin]], end - words.starts[text[begin]], of, p)


def _marks(words: Words) -> csr_matrix:
    """(N, HASHED) how often each word has each mark."""
    rows = np.arange(0, len(words.marks) * MARKS + 1, MARKS)
    found = csr_matrix(
        (np.ones(words.marks.size, np.float64), words.marks.ravel().astype(np.int32), rows),
        shape=(len(words.marks), HASHED),
    )
    found.sum_duplicates()
    return found


def _weights(flat: NDArray[np.float64], d: int, k: int, may: NDArray[np.bool_]) -> Weights:
    states, marks, bias, steps = np.split(flat, np.cumsum([d * k, HASHED * k, k]))
    return Weights(states.reshape(d, k), marks.reshape(HASHED, k), bias, np.where(may, steps.reshape(k, k), -np.inf))


def _batches(lengths: NDArray[np.int64]) -> Iterator[Batch]:
    """Texts of like length that have words: their (b,) rows, the (b, t) numbers of their words and which of these there
    are; the others are copies of the last."""
    starts = np.concatenate([[0], np.cumsum(lengths)])
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    for at in range(0, len(order), BATCH):
        rows = order[at : at + BATCH]
        place = np.arange(int(lengths[rows].max()))
        there = place < lengths[rows][:, None]
        yield rows, starts[rows][:, None] + np.minimum(place, lengths[rows][:, None] - 1), there


def _passes(
    scores: Floats, there: NDArray[np.bool_], after: Floats, open_tags: NDArray[np.bool_] | None = None
) -> tuple[Floats, Floats, Floats, Floats]:
    """(b, t, k) scaled forward and backward probabilities (Rabiner 1989), (b, t) the scales, and (b, t, k) what the
    scores were worth, divided by the highest of each word."""
    b, t, k = scores.shape
    worth = np.exp(scores - scores.max(axis=2, keepdims=True))
    if open_tags is not None:
        worth = worth * open_tags
    worth[:, 0, 2::2] = 0.0  # no class goes on from before the first word
    alpha, size = np.empty((b, t, k)), np.ones((b, t))
    before = worth[:, 0]
    for at in range(t):
        if at:
            before = np.where(there[:, at, None], (alpha[:, at - 1] @ after) * worth[:, at], alpha[:, at - 1])
        size[:, at] = np.where(there[:, at], np.maximum(before.sum(axis=1), 1e-300), 1.0)
        alpha[:, at] = before / size[:, at, None]
    beta = np.ones((b, t, k))
    for at in range(t - 2, -1, -1):
        further = (worth[:, at + 1] * beta[:, at + 1] / size[:, at + 1, None]) @ after.T
        beta[:, at] = np.where(there[:, at + 1, None], further, 1.0)
    return alpha, beta, size, worth


def _forward_backward(
    scores: Floats,
    there: NDArray[np.bool_],
    after: Floats,
    counting: Floats,
    open_tags: NDArray[np.bool_] | None = None,
) -> tuple[Floats, Floats, Floats]:
    """(b,) log of the sum over all taggings that are open, up to what they share; (b, t, k) how probable each tag is;
    (k, k) how often each step is expected, over all texts as they count."""
    alpha, beta, size, worth = _passes(scores, there, after, open_tags)
    tags = alpha * beta
    into = worth[:, 1:] * beta[:, 1:] / size[:, 1:, None] * (there[:, 1:] * counting[:, None])[..., None]
    k = after.shape[0]
    pairs = (alpha[:, :-1].reshape(-1, k).T @ into.reshape(-1, k)) * after
    return np.log(size).sum(axis=1), tags, pairs


def _going_on(
    scores: Floats, there: NDArray[np.bool_], after: Floats, beta: Floats, size: Floats
) -> NDArray[np.float64]:
    """(b, t, c, 2) see Tagged."""
    b, t, k = scores.shape
    found = np.zeros((b, t, k // 2, 2))
    worth = np.exp(scores - scores.max(axis=2, keepdims=True))
    into = (worth[:, 1:] * beta[:, 1:] / size[:, 1:, None])[:, :, 2::2]
    for sort, tag in enumerate((1, 2)):
        step = after[np.arange(tag, k, 2), np.arange(2, k, 2)]
        here = beta[:, :-1, tag::2]
        share = np.divide(into * step, here, out=np.zeros_like(into), where=here > 0)
        found[:, :-1, :, sort] = np.clip(share, 0.0, 1.0) * there[:, 1:, None]
    return found


def _best_two(scores: Floats, there: NDArray[np.bool_], steps: Floats) -> tuple[Floats, Floats]:
    """(b,) the scores of the best tagging and of the next best: that differs from it somewhere, and is the best of
    those with another tag there (max-marginals)."""
    scores, steps = scores.astype(np.float32), steps.astype(np.float32)  # half the time, and close enough
    b, t, k = scores.shape
    ahead = np.empty((b, t, k), np.float32)
    first = scores[:, 0].copy()
    first[:, 2::2] = -np.inf
    ahead[:, 0] = first
    for at in range(1, t):
        moved = (ahead[:, at - 1][:, :, None] + steps).max(axis=1) + scores[:, at]
        ahead[:, at] = np.where(there[:, at, None], moved, ahead[:, at - 1])
    behind = np.zeros((b, t, k), np.float32)
    for at in range(t - 2, -1, -1):
        moved = (steps + (scores[:, at + 1] + behind[:, at + 1])[:, None, :]).max(axis=2)
        behind[:, at] = np.where(there[:, at + 1, None], moved, 0.0)
    through = np.where(there[:, :, None], ahead + behind, -np.inf)
    by_word = np.partition(through, k - 2, axis=2)[:, :, -2:]
    return through.max(axis=(1, 2)), np.where(there, by_word[:, :, 0], -np.inf).max(axis=1)
