"""What a model says where one class is rare, by the measure it is judged by."""

from pathlib import Path

import numpy as np
import pytest

from labelwise.tasks import learners
from labelwise.tasks.kinds import choice
from labelwise.tasks.kinds.measures import measure_of
from labelwise.tasks.learners import Examples, Items, deciding, one_vs_rest
from labelwise.tasks.learners.frozen import Head
from labelwise.tasks.learners.serving import Classifier
from labelwise.tasks.settings import Settings, measure_named, parse

CLASSES = ["common", "other", "rare"]
SHARES = (0.78, 0.2, 0.02)


def settings_of(measure: str | None, classes: list[str] = CLASSES) -> Settings:
    return parse(
        {
            "project": {"name": "n", "id": "i"},
            "classes": classes,
            "pull": {"pool": "p", "gold": "g"},
            "evaluate": {"measure": measure},
        }
    )


def drawn(n: int, seed: int, shares: tuple[float, ...] = SHARES) -> tuple[Items, np.ndarray]:
    """n texts of overlapping classes in these shares, with vectors."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(len(shares), n, p=shares)
    vectors = np.eye(6)[labels] + rng.normal(0, 0.6, (n, 6))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return Items.of(vectors, [f"{'abc'[label]} {number}" for number, label in enumerate(labels)]), labels


@pytest.mark.parametrize("measure", ["balanced_accuracy", "f1:rare", "macro_f1"])
@pytest.mark.parametrize("learner", ["frozen", "ensemble", "auto"])
def test_a_model_says_what_its_measure_asks_for(learner: str, measure: str, tmp_path: Path) -> None:
    pool, truth = drawn(1500, 0)
    exam, answers = drawn(3000, 1)
    rows = np.sort(np.random.default_rng(2).permutation(1500)[:200])
    settings = settings_of(measure)
    examples = Examples(pool.take(rows), truth[rows], CLASSES)
    model, plain = (learners.LEARNERS[learner].fit(examples, pool, each) for each in (settings, settings_of(None)))
    if learner != "auto":  # which compares with a tuned encoder where it may
        np.testing.assert_array_equal(model.probabilities(exam), plain.probabilities(exam))
    assert plain.thresholds is None
    judged = measure_of(settings.measure, choice, CLASSES)
    said, likeliest = (
        judged.value(choice.decide(model.probabilities(exam), CLASSES, limits).tolist(), names(answers))
        for limits in (model.thresholds, None)
    )
    assert said > likeliest

    model.save(tmp_path)
    assert learners.answer(tmp_path) == "choice"
    again = learners.load(tmp_path)
    np.testing.assert_array_equal(again.thresholds, model.thresholds)
    np.testing.assert_array_equal(learners.thresholds(tmp_path), model.thresholds)


def test_the_precision_that_is_asked_for_is_about_what_a_model_has() -> None:
    pool, truth = drawn(1500, 0, (0.6, 0.3, 0.1))
    exam, answers = drawn(6000, 1, (0.6, 0.3, 0.1))
    rows = np.sort(np.random.default_rng(2).permutation(1500)[:300])
    found = []
    for wanted in (0.5, 0.8):
        settings = settings_of(f"recall:rare at precision {wanted}")
        model = learners.LEARNERS["frozen"].fit(Examples(pool.take(rows), truth[rows], CLASSES), pool, settings)
        said = choice.decide(model.probabilities(exam), CLASSES, model.thresholds) == "rare"
        assert (answers[said] == 2).mean() == pytest.approx(wanted, abs=0.15)
        found.append(said[answers == 2].mean())
    assert found[0] > found[1] > 0.3


def names(labels: np.ndarray) -> list[str]:
    return [CLASSES[label] for label in labels]


def test_without_a_measure_a_model_is_kept_as_before(tmp_path: Path) -> None:
    pool, truth = drawn(100, 0)
    settings = settings_of(None)
    learners.LEARNERS["frozen"].fit(Examples(pool, truth, CLASSES), pool, settings).save(tmp_path)
    assert learners.thresholds(tmp_path) is None
    assert (tmp_path / "config.json").read_text() == '{"learner": "frozen", "classes": ["common", "other", "rare"]}'


def test_who_serves_it_says_one_class() -> None:
    """Thresholds alone do not make it a model of several labels."""
    bias, limits = np.log(np.float32([0.9, 0.1])), np.float32([0.95, 0.05])
    head = Head(["no", "yes"], np.arange(2), np.zeros((2, 4), np.float32), bias, limits)

    class Encoder:
        def encode(self, texts: list[str]) -> np.ndarray:
            return np.ones((len(texts), 4), np.float32)

    said = Classifier(Encoder(), head).predict(["a"])  # type: ignore[arg-type]
    assert said.label.tolist() == ["yes"]
    assert said.confidence.tolist() == pytest.approx([0.1])


def test_the_f1_of_one_class_is_the_best_that_its_probabilities_allow() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet([4, 2, 0.3], 300)
    limits = deciding.thresholds(measure_named("f1:rare", "choice", CLASSES), CLASSES, p)

    def expected(said: np.ndarray) -> float:
        return float(2 * p[said, 2].sum() / (said.sum() + p[:, 2].sum()))

    own = expected((p / limits).argmax(axis=1) == 2)
    scores = deciding.against(p, 2)
    assert own == pytest.approx(max(expected(scores >= cut) for cut in scores))


@pytest.mark.parametrize("measure", ["f1:yes", "macro_f1"])
def test_a_model_that_tells_nothing_apart_does_not_say_a_rare_class_of_everything(measure: str) -> None:
    classes, p = ["no", "yes"], np.full((500, 2), (0.95, 0.05))
    limits = deciding.thresholds(measure_named(measure, "choice", classes), classes, p)
    assert set(choice.decide(p, classes, limits)) == {"no"}
    p[:40] = 0.6, 0.4  # here it does, and the class is said of these
    limits = deciding.thresholds(measure_named(measure, "choice", classes), classes, p)
    assert choice.decide(p, classes, limits).tolist() == ["yes"] * 40 + ["no"] * 460


@pytest.mark.parametrize("p_of", ["continuous", "few values"])
def test_a_class_is_said_as_often_as_the_precision_allows(p_of: str) -> None:
    p = np.random.default_rng(0).dirichlet([4, 2, 0.3], 300)
    if p_of == "few values":
        p = np.repeat(np.round(p[:30], 1) + np.array([0, 0, 1e-3]), 10, axis=0)
    scores = deciding.against(p, 2)
    for wanted in (0.3, 0.5, 0.8):
        name = measure_named(f"recall:rare at precision {wanted}", "choice", CLASSES)
        own = (p / deciding.thresholds(name, CLASSES, p)).argmax(axis=1) == 2
        found = [p[scores >= cut, 2].sum() for cut in scores if p[scores >= cut, 2].mean() >= wanted]
        assert p[own, 2].sum() == pytest.approx(max(found, default=0))
    nowhere = measure_named("recall:rare at precision 0.999", "choice", CLASSES)
    assert not ((p / deciding.thresholds(nowhere, CLASSES, p)).argmax(axis=1) == 2).any()


def test_of_several_labels_one_may_have_a_precision_to_keep() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 0.7, (500, 3))
    plain = one_vs_rest.thresholds(p)
    wanted = one_vs_rest.precisions(measure_named("recall:rare at precision 0.9", "multilabel", CLASSES), CLASSES)
    found = one_vs_rest.thresholds(p, wanted=wanted)
    np.testing.assert_array_equal(found[:2], plain[:2])
    said = p[:, 2] >= found[2]
    assert p[said, 2].mean() >= 0.9 > p[p[:, 2] >= found[2] - 0.01, 2].mean()


def test_by_balanced_accuracy_each_class_is_weighed_by_its_share() -> None:
    p = np.random.default_rng(0).dirichlet([4, 2, 0.3], 300)
    limits = deciding.thresholds(measure_named("balanced_accuracy", "choice", CLASSES), CLASSES, p)
    np.testing.assert_allclose(limits, p.mean(axis=0), rtol=1e-6)
