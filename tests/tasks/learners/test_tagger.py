"""Spans of made-up texts: learned, told with their chances, kept and read back; what cannot be learned is counted."""

import json
from pathlib import Path

import numpy as np
import pytest

from labelwise.tasks import learners, settings
from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds import marked, measures, spans
from labelwise.tasks.kinds.marked import Marked
from labelwise.tasks.learners import Examples, Items, auto, crf, frozen, tagger, words
from labelwise.tasks.learners.words import Words

CLASSES = ["city", "name"]
NAMES, CITIES = ["Ann", "Bob", "Cleo", "Dan", "Eve"], ["Rome", "Oslo", "New York", "Lima", "San Jose"]
SETTINGS = settings.parse(
    {
        "project": {"name": "n", "id": "i"},
        "kind": {"answer": "spans"},
        "classes": CLASSES,
        "pull": {"pool": "", "gold": ""},
        "train": {"learner": "tagger"},
    }
)


def told(seed: int, n: int) -> tuple[list[str], list[str]]:
    """Texts and what is to be marked in them."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(n):
        name, city = rng.choice(NAMES), rng.choice(CITIES)
        text = rng.choice(
            [f"{name} lives in {city} .", f"They saw {name} .", "Nothing happened today .", f"In {city} !"]
        )
        found = [
            (text.index(each), text.index(each) + len(each), of)
            for each, of in ((name, "name"), (city, "city"))
            if each in text
        ]
        texts.append(str(text))
        labels.append(spans.label_of(found))
    return texts, labels


def items(texts: list[str]) -> Items:
    """Texts with words whose states say whether they begin with a capital, and little else."""
    places = [words.places(text) for text in texts]
    starts = np.concatenate([[0], np.cumsum([len(each) for each in places])])
    noise = np.random.default_rng(7).standard_normal((int(starts[-1]), 8)).astype(np.float32) / 10
    own = [text[s:e] for text, each in zip(texts, places, strict=True) for s, e in each]
    noise[:, 0] = [word[0].isupper() for word in own]
    marks = [words.marks(text, each) for text, each in zip(texts, places, strict=True)]
    read = Words(starts, np.concatenate(places), np.concatenate(marks), noise)
    return Items(
        len(texts),
        lambda rows: np.eye(len(texts), dtype=np.float32)[rows],
        lambda rows: [texts[r] for r in rows],
        words_at=read.take,
    )


def examples(texts: list[str], labels: list[str], classes: list[str] = CLASSES) -> Examples:
    return Examples(items(texts), spans.targets(labels, classes), classes, said=labels)


POOL = told(1, 200)
TAUGHT = examples(*told(0, 60))
MODEL = tagger.fit(TAUGHT, items(POOL[0]), SETTINGS)


def test_it_marks_what_it_was_taught() -> None:
    texts, truth = told(2, 100)
    opinion = MODEL.probabilities(items(texts))
    said = spans.decide(opinion, CLASSES, MODEL.thresholds)
    assert measures.measure_of(SETTINGS.measure, spans, CLASSES).value(said.tolist(), truth) > 0.95
    for text, label in zip(texts, said, strict=True):
        assert all(text[start:end] in (*NAMES, *CITIES) for start, end, _ in spans.spans_of(label))
    expected = spans.expect(opinion, MODEL.thresholds)
    assert (expected >= 0).all() and (expected <= 1).all()
    assert abs(expected.mean() - spans.score(said.tolist(), truth).mean()) < 0.1


def test_what_is_kept_of_an_opinion() -> None:
    texts = [*POOL[0][:20], ""]
    opinion = MODEL.probabilities(items(texts))
    kept = spans.kept(opinion, MODEL.thresholds)
    views = spans.views(kept)
    assert kept.dtype == np.float32 and kept.shape == (21, marked.width(2))
    np.testing.assert_allclose(views.simplex.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(views.errors.sum(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(views.doubt, 1 - spans.expect(opinion, MODEL.thresholds), atol=1e-6)
    assert views.words is not None and views.words[:, 3].tolist() == [len(words.places(text)) for text in texts]
    chances = spans.chances(kept)
    assert chances.shape == (21, 2) and chances[-1].tolist() == [0, 0]
    named = np.array([any(name in text for name in NAMES) for text in texts])
    assert chances[named, 1].min() > 0.5 > chances[~named, 1].max()
    nothing = spans.kept(learners.untrained.Untrained(CLASSES).probabilities(items(texts)))
    assert nothing.shape == kept.shape and np.isnan(nothing).all()


def test_there_and_back(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    again = learners.load(tmp_path)
    assert learners.answer(tmp_path) == "spans"
    np.testing.assert_array_equal(learners.thresholds(tmp_path), MODEL.thresholds)
    for one, other in zip(again.probabilities(items(POOL[0])), MODEL.probabilities(items(POOL[0])), strict=True):
        np.testing.assert_array_equal(one.probability, other.probability)
    assert all(path.suffix in learners.PLAIN for path in tmp_path.iterdir())


@pytest.mark.parametrize("made", [words.READ - 1, None])
def test_a_model_of_words_that_are_read_otherwise_is_refused(tmp_path: Path, made: int | None) -> None:
    MODEL.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | {"words": made}
    (tmp_path / "config.json").write_text(json.dumps(config))
    said = rf"expected words by rule {words.READ}, got {made}. To mend it: train it anew"
    with pytest.raises(InputError, match=said):
        learners.load(tmp_path)


def test_the_same_labels_give_the_same_model_by_whatever_name() -> None:
    for learner in (tagger, auto, frozen):
        again = learner.fit(TAUGHT, items(POOL[0]), SETTINGS)
        np.testing.assert_array_equal(again.weights.states, MODEL.weights.states)
    assert {"tagger", "auto", "frozen"} <= set(learners.able_to_learn("spans"))
    assert "tagger" not in learners.able_to_learn("choice")


def test_what_a_flat_tagger_cannot_say_is_left_open_and_counted() -> None:
    text = "Bank of New York unfair end"
    label = [(0, 16, "name"), (8, 16, "city"), (19, 23, "city")]  # one in another, and "fair" in "unfair"
    open_tags, lost = tagger.taggings(items([text]).words(), [label], CLASSES)
    assert lost == 3
    tags = [np.flatnonzero(row).tolist() for row in open_tags]
    assert tags == [[3], [4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0]]
    found = tagger.field(examples([text], [spans.label_of(label)]), tagger.Scale.of(items([text]), 0))
    assert found.remark.endswith(": 3")


@pytest.mark.parametrize("frame", ["昨天{}去了{}。", "어제 {}이 {}에서 살았다", "เมื่อวาน{}ไป{}", "きのう{}が{}に"])
def test_a_span_in_a_run_without_blanks_is_learned(frame: str) -> None:
    names, cities = ["王芳", "李小龙", "김민수", "สมชาย", "たろう"], ["北京", "上海", "부산", "東京都", "ลำปาง"]

    def said(pairs: list[tuple[str, str]]) -> tuple[list[str], list[str]]:
        texts = [frame.format(*pair) for pair in pairs]
        marks = [
            spans.label_of(
                (text.index(each), text.index(each) + len(each), of) for each, of in zip(pair, order, strict=True)
            )
            for text, pair in zip(texts, pairs, strict=True)
        ]
        return texts, marks

    order = ("name", "city")
    pairs = [(name, city) for name in names for city in cities]
    texts, labels = said(pairs[::2])
    model = tagger.fit(examples(texts, labels), items([frame.format(*pair) for pair in pairs]), SETTINGS)
    assert not model.remark
    fresh, truth = said(pairs[1::2])
    answers = spans.decide(model.probabilities(items(fresh)), CLASSES, model.thresholds).tolist()
    assert measures.measure_of(SETTINGS.measure, spans, CLASSES).value(answers, truth) > 0.9


def test_texts_without_spans_and_classes_nobody_has_given() -> None:
    model = tagger.fit(examples(["a b .", "c d", "e"], ["[]"] * 3), items(POOL[0]), SETTINGS)
    opinion = model.probabilities(items(["Ann went", ""]))
    assert spans.decide(opinion, CLASSES, model.thresholds).tolist() == ["[]", "[]"]
    assert spans.expect(opinion).tolist() == [1.0, 1.0]
    one = tagger.fit(
        examples(["Ann went .", "Bob came .", "we left ."], ['[[0, 3, "name"]]'] * 2 + ["[]"]), items(POOL[0]), SETTINGS
    )
    assert one.seen.tolist() == [1]
    found = one.probabilities(items(["Cleo went ."]))[0]
    assert set(found.of.tolist()) <= {1} and found.least[1] == 0 and found.least[2] == 0


def test_of_spans_that_overlap_the_likeliest_is_said() -> None:
    none = np.zeros(5, np.float32)
    one = Marked(
        np.array([0, 0, 4]),
        np.array([3, 7, 7]),
        np.array([0, 1, 0]),
        np.array([0.4, 0.35, 0.3]),
        none,
        none,
        0.0,
        0.0,
        1.0,
        2,
        0,
    )
    assert marked.said(one, None) == []
    assert marked.said(one, np.array([0.25, 0.25])) == [0, 2]
    assert marked.said(one, np.array([0.5, 0.25])) == [1]
    assert marked.expected(one, [0, 2]) == pytest.approx(2 * 0.7 / (2 + 1.05))


def test_thresholds_by_measure() -> None:
    p, of = np.array([0.9, 0.6, 0.3, 0.2]), np.array([0, 0, 1, 1])
    together = tagger.thresholds(p, of, np.ones(4), SETTINGS.measure, CLASSES)
    assert together[0] == together[1]
    macro = settings.measure_named("macro_f1", "spans", CLASSES)
    apart = tagger.thresholds(p, of, np.ones(4), macro, CLASSES)
    assert apart[1] < apart[0]


def test_chances_are_calibrated_by_labels_held_out() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.98, 4000)
    true = rng.random(4000) < p
    slope, shift = tagger.calibrated(p, true)
    assert slope == pytest.approx(1, abs=0.1) and shift == pytest.approx(0, abs=0.15)
    odds = np.log(p / (1 - p))
    bold = 1 / (1 + np.exp(-2 * odds))
    slope, shift = tagger.calibrated(bold, true)
    assert slope == pytest.approx(0.5, abs=0.05)
    assert tagger.calibrated(np.zeros(3), np.ones(3, bool)) == (1.0, 0.0)


def test_no_step_of_a_model_goes_where_it_may_not() -> None:
    steps = MODEL.weights.steps
    assert np.isneginf(steps[~crf.allowed(2)]).all() and np.isfinite(steps[crf.allowed(2)]).all()
