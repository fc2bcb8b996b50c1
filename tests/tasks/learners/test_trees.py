"""Trees on rows: what is read of scikit-learn's nodes says what it says itself; kept as arrays; several labels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.ensemble import HistGradientBoostingClassifier

from labelwise.tasks import learners
from labelwise.tasks.errors import InputError
from labelwise.tasks.learners import auto, calibration, ensemble, frozen, trees
from labelwise.tasks.learners.base import Examples, Items
from labelwise.tasks.learners.kernel import Kernel, settled
from labelwise.tasks.settings import Columns, Settings, parse

COLUMNS = {"a": "number", "b": "number", "job": "category"}


def rows(n: int, seed: int = 0) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Rows of which those are of class 1 that lie beyond a threshold or have one job; some figures are missing."""
    rng = np.random.default_rng(seed)
    a, b, job = rng.normal(size=n), rng.exponential(size=n), rng.choice(["nurse", "smith", "clerk"], n)
    labels = ((a > 0.5) ^ (job == "nurse")).astype(np.int64)
    missing = rng.random(n) < 0.1
    cells = [
        json.dumps({"a": float(x), "b": None if gone else float(y), "job": str(z)})
        for x, y, z, gone in zip(a, b, job, missing, strict=True)
    ]
    return cells, labels


def given(answer: str = "choice") -> Settings:
    content = {"project": {"name": "n", "id": "i"}, "classes": ["no", "yes"], "kind": {"item": "row", "answer": answer}}
    pull = {"pool": "p", "gold": "g", "columns": {"features": COLUMNS}}
    return parse(content | {"pull": pull, "embed": {"encoder": "kernel"}})


def items(cells: list[str]) -> Items:
    return Items.of(Kernel.of(settled(cells, COLUMNS)).encode(cells), cells)


@pytest.mark.parametrize("classes", [2, 4])
def test_nodes_say_what_scikit_learn_says(classes: int) -> None:
    rng = np.random.default_rng(classes)
    x = rng.normal(size=(300, 5))
    x[rng.random(x.shape) < 0.1] = np.nan
    y = np.digitize(np.nan_to_num(x[:, 0] * x[:, 1]), np.linspace(-0.5, 0.5, classes - 1))
    model = HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=8, early_stopping=False).fit(x, y)
    own = trees.Forest.grown(model).scores(x)
    theirs = np.asarray(model.decision_function(x)).reshape(len(x), -1)
    np.testing.assert_allclose(own, theirs, atol=1e-6)


def test_it_learns_what_cuts_and_categories_say_and_is_kept(tmp_path: Path) -> None:
    cells, labels = rows(400)
    exam, truth = rows(300, seed=1)
    model = trees.fit(Examples(items(cells), labels, ["no", "yes"]), items(cells), given())
    said = model.probabilities(items(exam))
    assert (said.argmax(axis=1) == truth).mean() > 0.9
    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-5)
    model.save(tmp_path)
    np.testing.assert_array_equal(learners.load(tmp_path).probabilities(items(exam)), said)
    assert "nurse" not in (tmp_path / "config.json").read_text()  # no list of what people wrote


def test_several_labels_a_row(tmp_path: Path) -> None:
    cells, labels = rows(300)
    several = np.stack([labels, 1 - labels], axis=1).astype(np.float32)
    model = trees.fit(Examples(items(cells), several, ["no", "yes"]), items(cells), given("multilabel"))
    exam, truth = rows(200, seed=1)
    said = model.probabilities(items(exam))
    assert ((said >= model.thresholds) == np.stack([truth, 1 - truth], axis=1)).mean() > 0.85
    model.save(tmp_path)
    assert learners.answer(tmp_path) == "multilabel"
    np.testing.assert_array_equal(learners.load(tmp_path).probabilities(items(exam)), said)


@pytest.mark.parametrize("answer", ["choice", "multilabel"])
def test_the_ensemble_heeds_them_where_labels_held_out_speak_for_them(tmp_path: Path, answer: str) -> None:
    cells, labels = rows(200)
    targets = labels if answer == "choice" else np.stack([labels, 1 - labels], axis=1).astype(np.float32)
    model = auto.fit(Examples(items(cells), targets, ["no", "yes"]), items(cells), given(answer))
    inner = model.members["ensemble"]
    assert isinstance(inner, ensemble.Ensemble | ensemble.Labels) and isinstance(inner.reader, trees.Trees)
    model.save(tmp_path)
    exam, _ = rows(50, seed=1)
    again = learners.load(tmp_path).probabilities(items(exam))
    np.testing.assert_allclose(again, model.probabilities(items(exam)), atol=1e-6)


def test_a_plane_through_figures_is_learned_from_few_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    figures = rng.normal(size=(700, 12)) * 10.0 ** np.arange(-6, 6)
    labels = (figures @ (rng.choice([-1.0, 1.0], 12) / 10.0 ** np.arange(-6, 6)) > 0).astype(np.int64)
    columns = {f"f{at}": "number" for at in range(12)} | {"kind": "category"}
    cells = [json.dumps(dict(zip(columns, [*row, "same"], strict=True))) for row in figures.tolist()]
    pool = Items.of(Kernel.of(settled(cells, columns)).encode(cells), cells)
    own = given()
    own = own.model_copy(update={"pull": own.pull.model_copy(update={"columns": Columns(features=columns)})})
    seen, exam = np.arange(40), pool.take(np.arange(200, 700))
    examples = Examples(pool.take(seen), labels[seen], ["no", "yes"])
    model = ensemble.fit(examples, pool, own)
    assert isinstance(model, ensemble.Ensemble)
    right = (model.probabilities(exam).argmax(axis=1) == labels[200:]).mean()
    by_vectors = frozen.fit(examples, pool, own).probabilities(exam).argmax(axis=1) == labels[200:]
    assert right > by_vectors.mean() + 0.02 and right > 0.85
    model.save(tmp_path)
    np.testing.assert_array_equal(learners.load(tmp_path).probabilities(exam), model.probabilities(exam))


def test_weights_start_from_an_equal_say_and_labels_draw_them_to_who_is_right() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    right = np.stack([1 - labels, labels], axis=1) * 2.0
    noise = rng.normal(size=(400, 2))
    few, many = (ensemble.weights_of(opinions(right[:n], noise[:n]), labels[:n], "row") for n in (4, 400))
    assert few[1] == many[1] == 0.0, "frequencies have no part"
    assert many[0] > 20 * many[2] and few[2] > many[2]
    alone = calibration.pooling([right[:4], noise[:4]], labels[:4])
    each = [calibration.pooling([one[:4]], labels[:4])[0] / 2 for one in (right, noise)]
    np.testing.assert_allclose([few[0], few[2]], (4 * alone + 10 * np.array(each)) / 14)


def opinions(head: np.ndarray[Any, Any], reader: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    return {"head": head, "frequency": np.zeros_like(head), "reader": reader}


def test_one_class_alone_and_a_label_that_all_have() -> None:
    cells, labels = rows(20)
    one = trees.fit(Examples(items(cells), np.ones(20, np.int64), ["no", "yes"]), items(cells), given())
    assert one.probabilities(items(cells))[:, 1].min() == 1
    several = np.stack([labels, np.ones(20)], axis=1).astype(np.float32)
    model = trees.fit(Examples(items(cells), several, ["no", "yes"]), items(cells), given("multilabel"))
    assert model.probabilities(items(cells))[:, 1].min() > 0.7


def test_a_node_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    cells, labels = rows(60)
    trees.fit(Examples(items(cells), labels, ["no", "yes"]), items(cells), given()).save(tmp_path)
    arrays = load_file(tmp_path / "trees.safetensors")
    arrays["0.left"][0] = 10**6
    save_file(arrays, tmp_path / "trees.safetensors")
    with pytest.raises(InputError, match="holds no model of ours"):
        learners.load(tmp_path)
