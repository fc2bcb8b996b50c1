"""Vectors that lie on disk, in shards: read where they are asked for, and let go of."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks.items.vectors import MANY, Vectors, widen
from labelwise.tasks.workspace import read_array

SIZES = (700, 1, 900)


@pytest.fixture
def whole(tmp_path: Path) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(sum(SIZES), 8)).astype(np.float16)
    for number, part in enumerate(np.split(rows, np.cumsum(SIZES)[:-1])):
        np.save(tmp_path / f"{number}.npy", part)
    return rows


@pytest.mark.parametrize("count", [1, MANY - 1, MANY, 5 * MANY + 3, sum(SIZES)])
@pytest.mark.parametrize("ordered", [True, False])
def test_rows_of_any_number_are_those_on_disk(tmp_path: Path, whole: np.ndarray, count: int, ordered: bool) -> None:
    shards = [read_array(tmp_path / f"{number}.npy", on_disk=True) for number in range(len(SIZES))]
    vectors = Vectors(pd.RangeIndex(len(whole)), shards)
    rows = np.random.default_rng(count).permutation(len(whole))[:count]
    rows = np.sort(rows) if ordered else rows
    np.testing.assert_array_equal(vectors.gather(rows), whole[rows].astype(np.float32))
    np.testing.assert_array_equal(vectors.gather(np.arange(count)), whole[:count].astype(np.float32))


def test_each_figure_is_widened_as_numpy_does_it() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].reshape(-1, 2)  # the smallest, which are no normal figures, and both zeros, too
    found = np.empty(finite.shape, np.float32)
    widen(finite, found)
    np.testing.assert_array_equal(found.view(np.uint32), finite.astype(np.float32).view(np.uint32))
