"""The head against scikit-learn, and what a model is on disk: tensors and JSON, bit for bit."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file
from sklearn.linear_model import LogisticRegression

from labelwise.tasks import learners
from labelwise.tasks.errors import InputError, SettingsError
from labelwise.tasks.learners import Examples, Items, calibration, frozen, untrained
from labelwise.tasks.settings import Settings, parse

CLASSES = ["business", "entertainment", "politics", "sport", "tech"]


def clusters(seen: list[int], n: int = 60, spread: float = 0.3) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Unit vectors around one direction a class, and the position of each one's class."""
    rng = np.random.default_rng(0)
    labels = np.asarray(seen)[np.arange(n) % len(seen)]
    vectors = np.eye(8)[labels] + rng.normal(0, spread, (n, 8))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def settings_of(c: float | None) -> Settings:
    train = {"regularisation": c}
    return parse(
        {"project": {"name": "n", "id": "i"}, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}, "train": train}
    )


def fit(vectors: NDArray[np.float32], labels: NDArray[np.int64], c: float | None = None) -> frozen.Head:
    return frozen.of_one(Examples(Items.of(vectors), labels, CLASSES), settings_of(c))


def fitted(seen: list[int], spread: float = 0.3) -> tuple[frozen.Head, NDArray[np.float32], NDArray[np.int64]]:
    vectors, labels = clusters(seen, spread=spread)
    return fit(vectors, labels, 10.0), vectors, labels


@pytest.mark.parametrize("seen", [[0, 1, 2, 3, 4], [4, 1], [2]])
def test_classes_that_lie_apart_are_learned(seen: list[int]) -> None:
    head, _, _ = fitted(seen, spread=0.1)
    vectors, labels = clusters(seen, n=200, spread=0.1)
    assert (head.of(vectors).argmax(axis=1) == labels).all()


@pytest.mark.parametrize("seen", [[0, 1], [1, 4], [0, 2, 3], [0, 1, 2, 3, 4]])
def test_probabilities_are_those_of_scikit_learn(seen: list[int]) -> None:
    head, vectors, labels = fitted(seen)
    reference = LogisticRegression(C=10.0, max_iter=2000).fit(vectors, labels)
    bare = frozen.head(Examples(Items.of(vectors), labels, CLASSES), vectors, 10.0)
    p = bare.of(vectors)
    np.testing.assert_allclose(p[:, seen], reference.predict_proba(vectors), atol=1e-3)
    np.testing.assert_array_equal(p.argmax(axis=1), head.of(vectors).argmax(axis=1))  # calibrated, the order stays
    assert p.dtype == np.float32


@pytest.mark.parametrize("seen", [[3], [1, 4], [0, 2, 3]])
def test_a_class_that_nobody_has_given_has_probability_zero(seen: list[int]) -> None:
    head, vectors, _ = fitted(seen)
    p = head.of(vectors)
    unseen = np.setdiff1d(np.arange(len(CLASSES)), seen)
    assert p.shape == (60, len(CLASSES))
    assert (p[:, unseen] == 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)


def test_regularisation_makes_the_bare_model_less_sure() -> None:
    vectors, labels = clusters([0, 1, 2])
    examples = Examples(Items.of(vectors), labels, CLASSES)
    sure = [frozen.head(examples, vectors, c).of(vectors).max(axis=1).mean() for c in (0.01, 1.0, 100.0)]
    assert sure == sorted(sure)
    assert sure[-1] - sure[0] > 0.3


def test_without_a_setting_regularisation_is_the_one_that_labels_held_out_speak_for() -> None:
    vectors, labels = clusters([0, 1, 2], n=90, spread=0.6)
    chosen, logits = frozen.crossed(Examples(Items.of(vectors), labels, CLASSES), settings_of(None))
    losses = {}
    for c in frozen.GRID:
        other = frozen.crossed(Examples(Items.of(vectors), labels, CLASSES), settings_of(c))[1]
        losses[c] = calibration.log_loss(other, labels, calibration.temperature(other, labels))
    assert chosen.c == min(losses, key=lambda c: losses[c])
    assert logits.shape == (90, len(CLASSES))


def test_probabilities_are_calibrated_on_items_that_the_head_has_not_seen() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(1000) % 3
    vectors = (np.eye(64)[labels] + rng.normal(0, 0.5, (1000, 64))).astype(np.float32)
    examples = Examples(Items.of(vectors[:100]), labels[:100], CLASSES)
    bare = frozen.head(examples, vectors[:100], 1000.0)  # separates its own labels, and is far too sure

    def gap(p: NDArray[np.float32]) -> float:
        return abs(float(p.max(axis=1).mean() - (p.argmax(axis=1) == labels[100:]).mean()))

    assert gap(fit(vectors[:100], labels[:100], 1000.0).of(vectors[100:])) < gap(bare.of(vectors[100:])) / 2


@pytest.mark.parametrize("seen", [[3], [1, 4], [0, 1, 2, 3, 4]])
def test_the_same_seed_gives_the_same_bytes_and_they_are_read_back_as_they_were(
    tmp_path: Path, seen: list[int]
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        head, vectors, _ = fitted(seen)
        head.save(tmp_path / name)
    files = {file.name: file.read_bytes() for file in (tmp_path / "first").iterdir()}
    assert files == {file.name: file.read_bytes() for file in (tmp_path / "second").iterdir()}

    again = learners.load(tmp_path / "first")

    assert again.classes == CLASSES
    assert again.trained
    assert (again.probabilities(Items.of(vectors)) == head.of(vectors)).all()


def test_a_model_is_tensors_and_json_only(tmp_path: Path) -> None:
    fitted([0, 2])[0].save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "head.safetensors"]
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["classes"] == CLASSES
    assert load_file(tmp_path / "head.safetensors")["seen"].tolist() == [0, 2]


def test_the_model_of_round_0_has_no_opinion(tmp_path: Path) -> None:
    untrained.Untrained(CLASSES).save(tmp_path)
    model = learners.load(tmp_path)
    assert model.classes == CLASSES
    assert not model.trained
    p = model.probabilities(Items.of(np.zeros((3, 8), dtype=np.float32)))
    assert p.shape == (3, len(CLASSES))
    assert np.isnan(p).all()


@pytest.mark.parametrize("config", [None, "", "{}"])
def test_a_folder_without_a_model(tmp_path: Path, config: str | None) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(InputError, match="holds no model"):
        learners.load(tmp_path)


def test_a_model_of_a_learner_that_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"learner": "froze"}')
    with pytest.raises(SettingsError, match="did you mean `frozen`"):
        learners.load(tmp_path)
