"""The words against a literal tf-idf, and what they are to the ensemble."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from labelwise.tasks import learners
from labelwise.tasks.learners import Examples, Items, bag_of_words, calibration, ensemble, terms
from labelwise.tasks.learners.terms import Terms
from labelwise.tasks.settings import Settings, parse

CLASSES = ["invoice", "outage", "password"]
TEXTS = [
    "pay the invoice, the second one",
    "The network is down",
    "pay it twice",
    "network down again and again",
    "!!!",
]


def settings() -> Settings:
    return parse({"project": {"name": "n", "id": "i"}, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}})


def literal(texts: list[str]) -> list[dict[str, float]]:
    """Tf-idf of each text, word by word: (1 + ln count) (1 + ln (1 + m) / (1 + texts with the word)), unit length."""
    counts = [Counter(re.findall(r"\b\w\w+\b", text.lower())) for text in texts]
    held_by = Counter(word for count in counts for word in count)
    result = []
    for count in counts:
        row = {
            word: (1 + np.log(n)) * (1 + np.log((1 + len(texts)) / (1 + held_by[word]))) for word, n in count.items()
        }
        length = np.sqrt(sum(value**2 for value in row.values()))
        result.append({word: value / length for word, value in row.items()})
    return result


def test_texts_are_as_like_as_tf_idf_says() -> None:
    vectors = bag_of_words.Vocabulary.of(Terms.of(TEXTS)).vectors(Terms.of(TEXTS))
    rows = literal(TEXTS)
    alike = [[sum(value * other.get(word, 0) for word, value in row.items()) for other in rows] for row in rows]
    np.testing.assert_allclose((vectors @ vectors.T).toarray(), alike, atol=1e-6)


@pytest.mark.parametrize(
    ("topics", "glue"),
    [
        (["退款没有到账", "箱子全湿了", "屏幕有划痕"], "谢谢请尽快处理希望给个说法"),
        (["😀🎉😍", "😢🥀🌧", "😤🖕👎"], "✨💤🚀🌍🎈"),
        (["返金されません", "荷物が届かない", "画面が割れた"], "ありがとうございますよろしく"),
    ],
)
def test_characters_tell_where_words_are_not_set_apart(topics: list[str], glue: str) -> None:
    """Two of three characters of a topic, in whatever order, among others: no text is like another as a whole."""
    rng = np.random.default_rng(0)
    labels = np.arange(150) % 3
    texts = []
    for label in labels:
        own = topics[label]
        at = int(rng.integers(len(own) - 1))
        before, after = ("".join(rng.choice(list(glue), 4)) for _ in range(2))
        texts.append(before + own[at : at + 2] + after)
    items = Items.of(np.ones((150, 2), np.float32), texts)
    examples = Examples(items.take(np.arange(90)), labels[:90], CLASSES)
    model = bag_of_words.fit(examples, items, settings())
    right = model.probabilities(items.take(np.arange(90, 150))).argmax(axis=1) == labels[90:]
    assert right.mean() > 0.9


def test_words_of_no_labelled_text_count_nothing() -> None:
    vocabulary = bag_of_words.Vocabulary.of(Terms.of(TEXTS))
    known, more, new = vocabulary.vectors(
        Terms.of(["pay twice", "pay twice, said nobody whom anybody knew", "nobody knew"])
    )
    np.testing.assert_allclose(known.toarray(), more.toarray())
    assert new.nnz == 0


def told_by_words(n: int, filler: str = "") -> tuple[Items, NDArray[np.int64]]:
    """Items whose words tell the class, at the end of a text, and whose vectors tell nothing."""
    labels = np.arange(n) % 3
    vectors = np.random.default_rng(0).normal(size=(n, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Items.of(vectors, [f"{filler}number{at} {CLASSES[label]}" for at, label in enumerate(labels)]), labels


def test_a_long_text_is_read_to_its_end_and_none_of_it_stands_in_the_model(tmp_path: Path) -> None:
    items, labels = told_by_words(60, "dear colleague, " * 400)
    seen = np.arange(30)
    model = bag_of_words.fit(Examples(items.take(seen), labels[seen], CLASSES), items, settings())
    assert (model.probabilities(items).argmax(axis=1) == labels).all()

    model.save(tmp_path)
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"colleague" not in kept
    assert b"number7" not in kept


@pytest.mark.parametrize("text", ["", "!!!", "a"])
def test_texts_without_words_are_no_trouble(text: str) -> None:
    items = Items.of(np.eye(8, dtype=np.float32), [text] * 8)
    examples = Examples(items, np.arange(8) % 2, CLASSES)
    for learner in (bag_of_words, ensemble):
        p = learner.fit(examples, items, settings()).probabilities(items)
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(p[:, 2], 0, atol=1e-5)


def test_the_ensemble_heeds_words_where_they_tell_something() -> None:
    items, labels = told_by_words(120)
    seen, rest = np.arange(60), np.arange(60, 120)
    model = ensemble.fit(Examples(items.take(seen), labels[seen], CLASSES), items, settings())
    assert model.reader is not None
    assert (model.probabilities(items.take(rest)).argmax(axis=1) == labels[rest]).mean() > 0.95


def test_the_ensemble_reads_no_text_where_words_tell_nothing(tmp_path: Path) -> None:
    labels = np.arange(90) % 3
    vectors = np.eye(8, dtype=np.float32)[labels]
    words = np.random.default_rng(0).choice(["some", "ten", "words", "by", "chance"], (90, 10))
    items = Items.of(vectors, [" ".join(row) for row in words])
    model = ensemble.fit(Examples(items.take(np.arange(60)), labels[:60], CLASSES), items, settings())
    assert model.reader is None

    unread = Items.of(vectors)
    assert (model.probabilities(unread).argmax(axis=1) == labels).all()
    model.save(tmp_path)
    np.testing.assert_allclose(learners.load(tmp_path).probabilities(unread), model.probabilities(unread), atol=1e-4)


def test_how_common_a_class_is_comes_from_other_labels_than_those_it_is_weighed_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = np.repeat([0, 1, 2], [12, 7, 3])
    items = Items.of(np.eye(22, dtype=np.float32), [f"w{at}" for at in range(22)])
    given: list[Any] = []

    def noted(opinions: list[Any], of: Any) -> Any:
        given.append((opinions, of))
        return pooling(opinions, of)

    pooling = calibration.pooling
    monkeypatch.setattr(calibration, "pooling", noted)
    ensemble.fit(Examples(items, labels, CLASSES), items, settings())
    opinions, of = next(each for each in given if len(each[0]) > 1)
    fold = calibration.folds(labels, settings().seed)
    expected = [np.log(np.bincount(labels[fold != own], minlength=3) / (fold != own).sum()) for own in fold]
    np.testing.assert_allclose(opinions[2], expected)
    assert (of == labels).all()


def test_words_weigh_as_scikit_learn_has_it_to_the_last_bit() -> None:
    texts = [
        "Pay pay it, 退款",
        "",
        "pay the card now",
        "Ä猫🐈 ?! the the the",
        "x y",
        "a_very_long_word_of_many_bytes it",
    ]
    hashing = HashingVectorizer(analyzer=terms.words, n_features=terms.BUCKETS, alternate_sign=False, norm=None)
    counts = hashing.transform(texts[:5])
    buckets = np.unique(counts.indices)
    weighing = TfidfTransformer(sublinear_tf=True).fit(counts[:, buckets])
    vocabulary = bag_of_words.Vocabulary.of(Terms.of(texts[:5]))
    np.testing.assert_array_equal(vocabulary.buckets, buckets)
    np.testing.assert_array_equal(vocabulary.rarity, weighing.idf_.astype(np.float32))
    weighing.idf_ = vocabulary.rarity
    theirs = weighing.transform(hashing.transform(texts)[:, buckets])
    np.testing.assert_array_equal(vocabulary.vectors(Terms.of(texts)).toarray(), theirs.toarray())
