"""Words are where they are, whatever the encoder's tokens and its window."""

import numpy as np
import pytest
import torch

from labelwise.tasks.learners import devices, words
from labelwise.tasks.learners.encoder import PACKAGED, Encoder

TEXTS = ["Ann went to New York 🏛️ (again), didn't she?", "", "  ", "東京 is naïve\r\nन हिन्दी שלום", "word " * 60]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Rome's 3.5 km", ["Rome", "'", "s", "3", ".", "5", "km"]),
        ("👨‍👩‍👧 x", ["👨‍", "👩‍", "👧", "x"]),
        ("東京 2020", ["東", "京", "2020"]),
        ("𠮷野家で2020年", ["𠮷", "野", "家", "で", "2020", "年"]),
        ("ﾄﾖﾀ ㄅㄆ", ["ﾄ", "ﾖ", "ﾀ", "ㄅ", "ㄆ"]),
        ("서울에서 KBS가", ["서", "울", "에", "서", "KBS", "가"]),
        ("हिन्दी", ["हिन्दी"]),
        ("e\u0301a", ["e\u0301a"]),
        ("a_b@c", ["a_b", "@", "c"]),
    ],
)
def test_words(text: str, said: list[str]) -> None:
    assert [text[start:end] for start, end in words.places(text)] == said


def test_words_read_on_several_cores_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "ON_CPU", 40)
    encoder, threads, found = Encoder(PACKAGED, 16), torch.get_num_threads(), []
    try:
        for cores in (1, 3):
            torch.set_num_threads(cores)
            vectors, read = words.read(encoder, TEXTS * 3)
            found.append([vectors, read.states, read.places, read.starts])
    finally:
        torch.set_num_threads(threads)
    for one, several in zip(*found, strict=True):
        np.testing.assert_array_equal(one, several)


def test_every_word_is_read_once_also_beyond_the_window() -> None:
    wide, narrow = Encoder(PACKAGED, 256), Encoder(PACKAGED, 16)
    told: list[int] = []
    vectors, read = words.read(wide, TEXTS, told.append)
    assert sum(told) == len(TEXTS)
    np.testing.assert_allclose(vectors, wide.encode(TEXTS), atol=1e-5)
    assert read.lengths.tolist() == [len(words.places(text)) for text in TEXTS]
    cut = words.read(narrow, TEXTS)[1]
    for found in (read, cut):
        assert (np.abs(found.states).sum(axis=1) > 0).all()
    near = (read.states * cut.states).sum(axis=1)
    near /= np.linalg.norm(read.states, axis=1) * np.linalg.norm(cut.states, axis=1)
    assert near.min() > 0.8 and near[:8].min() > 0.99
    some = read.take(np.array([3, 0]))
    assert some.places.tolist() == [*words.places(TEXTS[3]).tolist(), *words.places(TEXTS[0]).tolist()]
    both = words.Words.joined([read.take(np.array([3])), read.take(np.array([0]))])
    np.testing.assert_array_equal(both.states, some.states)
    np.testing.assert_array_equal(both.starts, some.starts)


def test_no_text_at_all() -> None:
    vectors, read = words.read(Encoder(PACKAGED, 16), [])
    assert vectors.shape == (0, 384) and len(read) == 0
