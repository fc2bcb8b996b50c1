"""Several labels an item: the heads against scikit-learn, thresholds against their definition, and what holds for every
learner that serves them."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from labelwise.tasks import learners
from labelwise.tasks.learners import LEARNERS, Examples, Items, calibration, one_vs_rest
from labelwise.tasks.learners.encoder import Encoder
from labelwise.tasks.settings import Settings, parse

CLASSES = ["colour", "animal", "loud", "never given"]
COLOURS = ["red", "blue", "green", "dark yellow", "pink", "deep orange", "violet", "pale white"]
ANIMALS = ["dog", "cat", "horse", "parrot", "cow", "sheep", "wolf", "fox"]
QUICK = ["frozen", "bag_of_words", "ensemble", "auto"]
SERVING = sorted(learners.able_to_learn("multilabel"))


def settings_of(seed: int = 0) -> Settings:
    content = {"project": {"name": "n", "id": "i"}, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}}
    return parse(content | {"seed": seed, "embed": {"max_tokens": 16}})


def said() -> tuple[list[str], NDArray[np.float32]]:
    """Texts with a colour, an animal, both or neither; a few are loud."""
    rng = np.random.default_rng(0)
    texts, targets = [], []
    for at in range(160):
        colour, animal, loud = rng.random() < 0.4, rng.random() < 0.4, at % 20 == 0
        words = [rng.choice(COLOURS)] * colour + [rng.choice(ANIMALS)] * animal
        texts.append(" ".join(["there is", *words, "now", *["HELP HELP!"] * loud, str(at)]))
        targets.append([colour, animal, loud, False])
    return texts, np.array(targets, np.float32)


@pytest.fixture(scope="module")
def pool() -> Items:
    texts, _ = said()
    vectors = Encoder("all-MiniLM-L6-v2", 16).encode(texts).astype(np.float16).astype(np.float32)
    return Items.of(vectors, texts)


def f1(truth: NDArray[np.floating], found: NDArray[np.bool_]) -> NDArray[np.floating]:
    both = (truth * found).sum(axis=0)
    return 2 * both / np.maximum(truth.sum(axis=0) + found.sum(axis=0), 1)


@pytest.mark.parametrize("name", SERVING)
def test_a_learner_says_several_labels_or_none_and_comes_back_as_it_was(name: str, pool: Items, tmp_path: Path) -> None:
    _, targets = said()
    rows = np.arange(100)
    model = LEARNERS[name].fit(Examples(pool.take(rows), targets[rows], CLASSES), pool, settings_of())
    p = model.probabilities(pool)
    assert p.shape == (160, 4)
    assert p.dtype == model.thresholds.dtype == np.float32
    assert ((p >= 0) & (p <= 1)).all()
    found = p >= model.thresholds
    assert f1(targets[100:], found[100:])[:2].min() > 0.8
    assert not found[:, 3].any()  # a label that nobody has given
    assert (p[:, 3] == 0).all()

    model.save(tmp_path)
    again = learners.load(tmp_path)

    assert again.classes == CLASSES
    assert again.thresholds is not None
    np.testing.assert_array_equal(again.thresholds, model.thresholds)
    kept = json.loads((tmp_path / "config.json").read_text())["thresholds"]
    np.testing.assert_array_equal(np.array(kept, np.float32), model.thresholds)
    np.testing.assert_allclose(again.probabilities(pool), p, atol=1e-5)
    assert {file.suffix for file in tmp_path.rglob("*.*")} == {".json", ".safetensors"}


@pytest.mark.parametrize("name", QUICK)
def test_the_same_seed_gives_the_same_bytes(name: str, pool: Items, tmp_path: Path) -> None:
    _, targets = said()
    made = []
    for at in ("first", "second"):
        (tmp_path / at).mkdir()
        LEARNERS[name].fit(Examples(pool, targets, CLASSES), pool, settings_of()).save(tmp_path / at)
        made.append({file.relative_to(tmp_path / at): file.read_bytes() for file in (tmp_path / at).rglob("*.*")})
    assert made[0] == made[1]


FEW = {
    "one item without a label": [[0, 0, 0, 0]],
    "one item with a label": [[1, 0, 0, 0]],
    "none has any": [[0, 0, 0, 0]] * 9,
    "all have one": [[1, 0, 0, 0]] * 9,
    "all have one, some another": [[1, at % 2, 0, 0] for at in range(9)],
    "three labels": [[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0]],
    "all have all": [[1, 1, 1, 1]] * 9,
}


@pytest.mark.parametrize(
    ("name", "given"), [*((name, given) for name in QUICK for given in FEW), ("finetune", "one item with a label")]
)
def test_few_labels_and_labels_that_all_have_are_no_trouble(name: str, given: str, pool: Items) -> None:
    targets = np.array(FEW[given], np.float32)
    examples = Examples(pool.take(np.arange(len(targets))), targets, CLASSES)
    model = LEARNERS[name].fit(examples, pool, settings_of())
    p = model.probabilities(pool)
    assert np.isfinite(p).all()
    assert ((p >= 0) & (p <= 1)).all()
    never = ~(targets > 0).any(axis=0)
    assert not (p >= model.thresholds)[:, never].any()
    always = (targets > 0).all(axis=0)
    if len(targets) > 1:
        assert (p >= model.thresholds)[:, always].all()


@pytest.mark.parametrize("c", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("m", [40, 400])
def test_heads_are_those_of_scikit_learn_one_by_one(c: float, m: int) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(m, 60)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    targets = (vectors @ rng.normal(size=(60, 4)) * 4 + rng.logistic(size=(m, 4)) > [0, 1, -1, 2]).astype(np.float32)
    weights = rng.choice([0.5, 1.0], m).astype(np.float32)
    examples = Examples(Items.of(vectors), targets, CLASSES, weights)
    found = one_vs_rest.heads(examples, vectors, c).logits(vectors)
    for label in range(4):
        reference = LogisticRegression(C=c, max_iter=5000, tol=1e-8).fit(vectors, targets[:, label], weights)
        np.testing.assert_allclose(found[:, label], reference.decision_function(vectors), rtol=0.1, atol=0.2)


def literal_threshold(p: NDArray[np.float32]) -> float:
    """The expected F1 of saying the k most probable ones, for each k, term by term."""
    falling = sorted((float(one) for one in p), reverse=True)
    reached = [2 * sum(falling[:k]) / (k + sum(falling)) for k in range(1, len(falling) + 1)]
    k = int(np.argmax(reached)) + 1
    return (falling[k - 1] + falling[min(k, len(falling) - 1)]) / 2


def test_a_threshold_is_that_of_the_highest_expected_f1_and_half_of_it() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(0.2, 2, size=(3000, 3)).astype(np.float32)
    p[:, 2] = 0
    found = one_vs_rest.thresholds(p)
    np.testing.assert_allclose(found[:2], [literal_threshold(p[:, 0]), literal_threshold(p[:, 1])], rtol=1e-5)
    assert found[2] == one_vs_rest.NEVER
    for label in (0, 1):
        told = p[:, label] >= found[label]
        expected = 2 * p[told, label].sum() / (told.sum() + p[:, label].sum())
        assert found[label] == pytest.approx(expected / 2, rel=0.02)  # Lipton et al. 2014


def test_with_three_positives_a_threshold_is_steadier_than_one_of_the_best_f1_on_labels_held_out() -> None:
    """Labels drawn anew again and again from one pool, three positives each time."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2000, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    truth = (vectors @ rng.normal(size=16) * 5 - 6 + rng.logistic(size=2000) > 0).astype(np.float32)[:, None]
    pool, own, plain = Items.of(vectors), [], []
    for seed in range(12):
        draw = np.random.default_rng(seed)
        rows = np.concatenate(
            [draw.choice(np.flatnonzero(truth[:, 0] > 0), 3, False), draw.choice(np.flatnonzero(truth[:, 0] == 0), 60)]
        )
        examples = Examples(pool.take(rows), truth[rows], CLASSES[:1])
        model = one_vs_rest.fit(examples, pool, settings_of(seed))
        (logits,) = one_vs_rest.held_out(examples, vectors[rows], (10.0,), seed)
        odds = np.unique(logits[:, 0])
        best = odds[np.argmax([f1(truth[rows], logits >= limit)[0] for limit in odds])]
        rest = np.setdiff1d(np.arange(2000), rows)
        scores = one_vs_rest.heads(examples, vectors[rows], 10.0).logits(vectors[rest])
        own.append(f1(truth[rest], model.of(vectors[rest]) >= model.thresholds)[0])
        plain.append(f1(truth[rest], scores >= best)[0])
    assert np.mean(own) > np.mean(plain)
    assert np.std(own) < np.std(plain)


def test_a_label_with_three_positives_is_calibrated_like_all_and_one_with_many_by_itself() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3000, 4)) * 2 - [1, 1, 1, 4]
    honest = rng.random((3000, 4)) < 1 / (1 + np.exp(-logits))
    targets = honest.astype(np.float32)
    logits[:, 0] *= 3  # too sure of the first, which has many positives
    targets[:, 3] = 0
    targets[np.argsort(-logits[:, 3])[:3], 3] = 1
    slopes, shifts = one_vs_rest.calibrated(logits, targets)
    assert slopes[0] == pytest.approx(1 / 3, abs=0.08)
    assert slopes[1] == pytest.approx(1, abs=0.15)
    assert abs(np.log(slopes[3] / slopes[1:3].mean())) < 0.5
    assert np.abs(shifts[:3]).max() < 0.3


def test_folds_spread_the_rarest_label_of_each_item() -> None:
    targets = np.zeros((60, 3), np.float32)
    targets[:40, 0] = 1
    targets[:6, 1] = 1
    fold = calibration.folds(targets, 0)
    assert np.bincount(fold[:6], minlength=3).tolist() == [2, 2, 2]
    assert np.ptp(np.bincount(fold[:40], minlength=3)) <= 2


def test_thresholds_are_looked_for_on_the_pool_as_it_was_before_it_was_asked() -> None:
    """All positives are labelled: by what is left, nothing would have the label."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(400, 4)).astype(np.float32)
    p = np.repeat(np.float32([0.6, 0.01]), [100, 300])[:, None]
    odds = np.log(p / (1 - p)).astype(np.float64)
    rows = np.arange(120)
    pool, targets = Items.of(vectors), (rows < 60).astype(np.float32)[:, None]
    examples = Examples(pool.take(rows), targets, CLASSES[:1])
    asked_of: list[Items] = []

    def believed(items: Items) -> NDArray[np.float32]:
        asked_of.append(items)
        return np.full((len(items), 1), 0.01, np.float32)

    _, found = one_vs_rest.limits(believed, odds[rows], examples, pool, settings_of())
    assert len(asked_of[0]) == 280  # nothing that was learned
    assert found == pytest.approx(one_vs_rest.thresholds(p))
    assert 0.01 < found[0] < 0.6
    _, again = one_vs_rest.limits(lambda items: p[: len(items)], odds[rows], examples, examples.items, settings_of())
    assert again[0] < 0.6


def test_what_stands_for_several_items_counts_as_they_do() -> None:
    p = np.random.default_rng(0).beta(0.3, 2, size=(50, 2)).astype(np.float32)
    times = np.random.default_rng(1).integers(1, 4, 50)
    one_by_one = one_vs_rest.thresholds(np.repeat(p, times, axis=0))
    together = one_vs_rest.thresholds(p, times.astype(np.float64))
    assert ((p >= one_by_one) == (p >= together)).all()
