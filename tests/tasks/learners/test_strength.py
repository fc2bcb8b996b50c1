"""How much it counts where something is in a picture: what labels held out say, and that a head knows it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelwise.tasks.learners import Examples, Items, frozen, one_vs_rest, vision
from labelwise.tasks.learners.strength import Strength
from labelwise.tasks.settings import Settings
from tests.tasks.learners.test_frozen import settings_of

FIRST = vision.WHERE[vision.PACKAGED]
CLASSES = ["a", "b", "c"]


def of_pictures() -> Settings:
    given = settings_of(None)
    return given.model_copy(update={"embed": given.embed.model_copy(update={"encoder": vision.PACKAGED})})


def drawn(told_by: slice, n: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of unit length whose figures tell the classes in one of the two parts, and are noise in the other."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, n)
    vectors = rng.normal(size=(n, 25)) @ rng.normal(size=(25, 4 * FIRST)) / 5  # a few directions, as of features
    size = vectors[:, told_by].shape[1]
    vectors[:, told_by] = vectors[:, told_by] / 2 + rng.normal(size=(3, size))[labels] / 2
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize(("told_by", "wanted"), [(slice(None, FIRST), (0.0, 0.5)), (slice(FIRST, None), (1.0, 2.0))])
@pytest.mark.parametrize("several", [False, True])
def test_labels_held_out_say_whether_places_count(told_by: slice, wanted: tuple[float, ...], several: bool) -> None:
    vectors, labels = drawn(told_by)
    module: Any = one_vs_rest if several else frozen
    targets = np.eye(3, dtype=np.float32)[labels] if several else labels
    examples = Examples(Items.of(vectors), targets, CLASSES)
    strength, logits = module.crossed(examples, of_pictures())
    assert strength.scale in wanted and strength.first in (0, FIRST) and logits.shape == (90, 3)
    plain, _ = module.crossed(examples, settings_of(None))  # an encoder that does not say where
    assert plain == Strength(plain.c)


@pytest.mark.parametrize("several", [False, True])
def test_a_head_reads_vectors_as_they_are_kept(several: bool, tmp_path: Path) -> None:
    vectors, labels = drawn(slice(None, FIRST), 30)
    targets = np.eye(3, dtype=np.float32)[labels] if several else labels
    fit: Any = one_vs_rest.heads if several else frozen.head
    examples = Examples(Items.of(vectors), targets, CLASSES)
    blind, half = (fit(examples, vectors, Strength(10.0, FIRST, scale)) for scale in (0.0, 0.5))
    assert (blind.weights[:, FIRST:] == 0).all() and blind.weights[:, :FIRST].any()
    scaled = vectors.copy()
    scaled[:, FIRST:] /= 2
    assert np.allclose(half.logits(vectors), fit(examples, scaled, 10.0).logits(scaled), atol=1e-4)
    half.save(tmp_path)
    assert np.allclose(frozen.load(tmp_path).logits(vectors), half.logits(vectors))
