"""The field against what follows from going through every tagging of short texts."""

from itertools import product

import numpy as np
import pytest
from scipy.special import logsumexp

from labelwise.tasks.learners import crf
from labelwise.tasks.learners.words import HASHED, MARKS, Words

CLASSES = 2
K = 1 + 2 * CLASSES


def of(lengths: list[int], seed: int = 0, d: int = 3) -> Words:
    """Words of made-up states."""
    rng = np.random.default_rng(seed)
    total = sum(lengths)
    places = np.stack([np.arange(total), np.arange(total) + 1], axis=1).astype(np.int32)
    return Words(
        np.concatenate([[0], np.cumsum(lengths)]),
        places,
        rng.integers(0, HASHED, (total, MARKS)).astype(np.uint16),
        rng.standard_normal((total, d)).astype(np.float32),
    )


@pytest.fixture
def weights() -> crf.Weights:
    rng = np.random.default_rng(1)
    steps = np.where(crf.allowed(CLASSES), rng.standard_normal((K, K)), -np.inf)
    return crf.Weights(rng.standard_normal((3, K)), np.zeros((HASHED, K)), rng.standard_normal(K), steps)


def taggings(scores: np.ndarray, steps: np.ndarray) -> dict[tuple[int, ...], float]:
    """Every tagging that is allowed with its log score."""
    found = {}
    for tags in product(range(K), repeat=len(scores)):
        value = float("-inf") if tags[0] and tags[0] % 2 == 0 else scores[0, tags[0]]
        for at in range(1, len(tags)):
            value += steps[tags[at - 1], tags[at]] + scores[at, tags[at]]
        if np.isfinite(value):
            found[tags] = value
    return found


def spans_in(tags: tuple[int, ...]) -> set[tuple[int, int, int]]:
    found, start = set(), -1
    for at, tag in enumerate((*tags, 0)):
        if start >= 0 and not (tag and tag % 2 == 0):
            found.add((start, at - 1, (tags[start] - 1) // 2))
            start = -1
        if tag % 2:
            start = at
    return found


def test_what_a_field_says_is_what_all_taggings_say_together(weights: crf.Weights) -> None:
    words = of([4, 1, 0, 3])
    tagged, scores = crf.judge(weights, words), weights.scores(words)
    found = crf.spans(tagged, words)
    for text in range(len(words)):
        mine = slice(words.starts[text], words.starts[text + 1])
        if mine.start == mine.stop:
            assert tagged.margin[text] == 1 and not (found.text == text).any()
            continue
        every = taggings(scores[mine], weights.steps)
        whole = logsumexp(list(every.values()))
        p = {tags: float(np.exp(value - whole)) for tags, value in every.items()}
        tags = np.zeros((mine.stop - mine.start, K))
        for each, chance in p.items():
            tags[np.arange(len(each)), each] += chance
        np.testing.assert_allclose(tagged.tags[mine], tags, atol=1e-5)
        first, second = sorted(p.values(), reverse=True)[:2]
        assert tagged.margin[text] == pytest.approx(first - second, abs=1e-6)
        assert np.exp(tagged.best[text]) == pytest.approx(first, abs=1e-6)
        expected: dict[tuple[int, int, int], float] = {}
        for each, chance in p.items():
            for span in spans_in(each):
                expected[span] = expected.get(span, 0.0) + chance
        here = found.text == text
        told = dict(
            zip(
                zip(found.first[here], found.last[here], found.of[here], strict=True),
                found.probability[here],
                strict=True,
            )
        )
        assert told.keys() == {span for span, chance in expected.items() if chance >= crf.LEAST}
        for span, chance in told.items():
            assert chance == pytest.approx(expected[span], abs=1e-5)


def test_a_field_learns_what_is_said_and_nothing_of_words_left_open() -> None:
    words = of([6] * 40, seed=3)
    truth = (words.states[:, 0] > 0.3).astype(int)  # one class, each span one word
    open_tags = np.zeros((len(truth), 3), bool)
    open_tags[np.arange(len(truth)), truth] = True
    learned = crf.judge(crf.fit(words, open_tags, np.ones(40)), words)
    assert (learned.tags.argmax(axis=1) == truth).mean() > 0.95
    nothing = crf.fit(words, np.ones_like(open_tags), np.ones(40))
    assert np.abs(nothing.states).max() < 1e-6  # all is open: nothing is taught
    assert np.isneginf(nothing.steps[0, 2])
    heavy = np.zeros(40)
    heavy[:1] = 1.0  # texts of no weight say nothing
    alone = crf.fit(words.take(np.arange(1)), open_tags[:6], np.ones(1))
    np.testing.assert_allclose(crf.fit(words, open_tags, heavy).states, alone.states, atol=1e-3)


def test_of_no_class_and_no_word() -> None:
    words = of([0, 2])
    weights = crf.fit(words, np.ones((2, 1), bool), np.ones(2))
    tagged = crf.judge(weights, words)
    assert tagged.tags.tolist() == [[1.0], [1.0]] and len(crf.spans(tagged, words).text) == 0
