"""No class is expected more or less often than the control arm says that it can be."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from labelwise.tasks import learners, train
from labelwise.tasks.items.vectors import Vectors
from labelwise.tasks.learners import Items, Left, Model, shifted
from labelwise.tasks.proof import control
from labelwise.tasks.records import LEAKS
from labelwise.tasks.settings import Settings, parse

CLASSES = ["common", "rare"]
N, SHARE = 3_000, 0.01
IDS = pd.Index([f"i{n:04d}" for n in range(N)])


def left_of(items: int, *ends: tuple[float, float]) -> Left:
    return Left(items, *np.array(ends, float).T)


@pytest.fixture
def p() -> NDArray[np.float64]:
    """400 items, of which three classes have 100, 60 and 240 by what a model expects."""
    rng = np.random.default_rng(0)
    drawn = rng.dirichlet([1.0, 0.6, 2.4], 400)
    return shifted.moved(drawn, shifted.of_one(drawn, left_of(400, (100, 100), (60, 60), (240, 240))))


def test_what_is_within_the_intervals_stays(p: NDArray[np.float64]) -> None:
    within = left_of(400, (90, 110), (0, 61), (239, 241))
    assert shifted.of_one(p, within) is None
    assert shifted.of_several(p, within) is None
    assert shifted.of_one(p, None) is None
    assert shifted.of_one(p[:0], within) is None


def test_what_is_beyond_goes_to_the_nearest_end(p: NDArray[np.float64]) -> None:
    beyond = left_of(400, (0, 400), (5, 20), (0, 400))
    found = shifted.moved(p, shifted.of_one(p, beyond))
    np.testing.assert_allclose(found.sum(axis=0), [100 * 380 / 340, 20, 240 * 380 / 340], atol=0.05)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    order = [np.argsort(one[:, 1] / one[:, 0]).tolist() for one in (p, found)]
    assert order[0] == order[1]  # odds are shifted, all by the same

    each = shifted.moved_each(p, shifted.of_several(p, beyond))
    np.testing.assert_allclose(each.sum(axis=0), [100, 20, 240], atol=0.01)


def test_a_class_that_the_model_cannot_know_stays_at_nothing(p: NDArray[np.float64]) -> None:
    unknown = np.column_stack([p, np.zeros(400)])
    found = left_of(400, (0, 50), (0, 400), (0, 400), (3, 9))
    after = shifted.moved(unknown, shifted.of_one(unknown, found))
    np.testing.assert_allclose(after[:, :3].sum(axis=0), [50, 70, 280], atol=0.05)
    assert not after[:, 3].any()
    again = shifted.moved_each(unknown, shifted.of_several(unknown, found))
    assert again[:, 0].sum() == pytest.approx(50, abs=0.01)
    assert not again[:, 3].any()


@pytest.mark.parametrize("ends", [((0, 0), (0, 400), (0, 400)), ((400, 400), (0, 0), (0, 0))])
def test_none_and_all_are_numbers_too(p: NDArray[np.float64], ends: tuple[tuple[float, float], ...]) -> None:
    for found in (
        shifted.moved(p, shifted.of_one(p, left_of(400, *ends))),
        shifted.moved_each(p, shifted.of_several(p, left_of(400, *ends))),
    ):
        assert np.isfinite(found).all()
        assert found[:, 0].sum() == pytest.approx(np.mean(ends[0]), abs=1.1)


# A loop that asked for a rare class


def settings_of(learner: str, measure: str | None, answer: str = "choice") -> Settings:
    return parse(
        {
            "project": {"name": "n", "id": "i"},
            "classes": CLASSES,
            "pull": {"pool": "p", "gold": "g"},
            "kind": {"answer": answer},
            "train": {"learner": learner, "regularisation": 0.02},  # so stiff that it can but tell how frequent it is
            "evaluate": {"measure": measure},
        }
    )


def drawn() -> tuple[Items, Vectors, pd.DataFrame]:
    """A pool, and labels of four rounds: of 60 a round 20 by chance, the others two in three of the rare class while
    there are any."""
    rng = np.random.default_rng(3)
    rare = np.zeros(N, bool)
    rare[rng.permutation(N)[: round(N * SHARE) + 60]] = True
    vectors = rng.normal(0, 1, (N, 8)) + 0.4 * rare[:, None]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    pool = Items.of(vectors.astype(np.float32), [f"text {'odd' * one} {n}" for n, one in enumerate(rare)])
    places, asked = control.order(IDS, 0), np.zeros(N, bool)
    rows = []
    for number in range(1, 5):
        by_chance = control.draw(np.where(asked, np.iinfo(np.uint64).max, places), 20, 1.0, rng)
        asked[by_chance] = True
        wanted = [*np.flatnonzero(rare & ~asked)[:20], *np.flatnonzero(~rare & ~asked)[:20]]
        asked[wanted] = True
        rows += [(IDS[at], CLASSES[int(rare[at])], number, control.WHY) for at in by_chance]
        rows += [(IDS[at], CLASSES[int(rare[at])], number, "uncertain") for at in wanted]
    labels = pd.DataFrame(rows, columns=["id", "label", "round", "why"]).sort_values("id", ignore_index=True)
    return pool, Vectors(IDS, [vectors]), labels


def taught(settings: Settings, by_chance: bool = True) -> tuple[Model, Items, Left | None, NDArray[np.float32]]:
    """A model of the labels; the pool; what is known of the items without a label; and what the model says of these,
    those among them that are kept for gold."""
    pool, vectors, labels = drawn()
    if settings.kind.answer == "multilabel":
        labels = labels.assign(label=labels.label.map({"common": "[]", "rare": '["rare"]'}))
    labels = labels if by_chance else labels.assign(why="uncertain")
    model, _ = train.taught(labels, LEAKS.frame(), vectors, pool, settings)
    rest = np.flatnonzero(~IDS.isin(labels.id))
    left = train.left(labels, LEAKS.frame(), vectors, settings)
    return model, pool, left, model.probabilities(pool.take(rest))


@pytest.mark.parametrize(
    ("learner", "answer"),
    [
        *((learner, answer) for learner in ("frozen", "ensemble", "auto") for answer in ("choice", "multilabel")),
        ("bag_of_words", "multilabel"),
    ],
)
def test_a_model_expects_no_more_of_a_rare_class_than_there_can_be(learner: str, answer: str, tmp_path: Path) -> None:
    settings = settings_of(learner, "f1:rare", answer)
    _, _, nothing, before = taught(settings, by_chance=False)
    assert nothing is None
    model, pool, left, after = taught(settings)
    assert left is not None
    at_first, expected, most = before[:, 1].mean(), after[:, 1].mean(), left.high[1] / left.items
    assert expected == pytest.approx(min(at_first, most), rel=0.01)
    if learner == "frozen":
        assert at_first > 2 * most  # or this shows nothing

    model.save(tmp_path)
    again = learners.load(tmp_path)
    np.testing.assert_allclose(again.probabilities(pool), model.probabilities(pool), atol=1e-6)
    np.testing.assert_array_equal(learners.thresholds(tmp_path), model.thresholds)


def test_thresholds_follow_what_is_expected_then() -> None:
    settings = settings_of("frozen", "balanced_accuracy")
    before, after = (taught(settings, by_chance)[0].thresholds for by_chance in (False, True))
    assert before is not None and after is not None
    assert after[1] < before[1]


def test_who_says_the_likeliest_class_says_what_he_said_before() -> None:
    without, with_arm = (taught(settings_of("frozen", None), by_chance) for by_chance in (False, True))
    assert with_arm[2] is None
    np.testing.assert_array_equal(without[3], with_arm[3])
