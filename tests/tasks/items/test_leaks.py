"""Gold in the pool: the same items, and those that are nearly the same."""

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks.items import leaks
from labelwise.tasks.records import LEAKS

GOLD = np.eye(3, dtype=np.float32)
IDS = pd.Index(["same", "near", "far", "between"])
POOL = np.array([[0, 0, 1], [0.99, 0.141, 0], [-1, 0, 0], [0.8, 0.6, 0]], dtype=np.float16)


@pytest.mark.parametrize("block", [1, 3, 8192])
def test_the_same_and_the_nearly_same_are_found_with_the_gold_item(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "BLOCK", block)
    found = leaks.leaks(IDS, POOL, pd.Index(["g0", "g1", "same"]), GOLD, 0.98)
    assert found.dtypes.astype(str).to_dict() == LEAKS.columns
    assert found[["id", "gold"]].to_numpy().tolist() == [["same", "same"], ["near", "g0"]]
    assert leaks.near(found).id.tolist() == ["near"]
    assert found.similarity.tolist() == pytest.approx([1, 0.99], abs=1e-3)


def test_how_near_is_too_near_is_a_setting() -> None:
    gold = pd.Index(["g0", "g1", "same"])
    assert leaks.leaks(IDS, POOL, gold, GOLD, None).id.tolist() == ["same"]
    assert set(leaks.leaks(IDS, POOL, gold, GOLD, 0.5).id) == {"same", "near", "between"}
    assert leaks.leaks(IDS, POOL, pd.Index([]), GOLD[:0], 0.5).empty


def test_items_of_a_group_that_gold_has() -> None:
    gold = pd.DataFrame({"id": ["g0", "g1", "g2"], "group": ["thread 1", "thread 1", None]})
    groups = pd.Series(["thread 1", None, "thread 2", "thread 1"], dtype="string")
    found = leaks.of_groups(IDS, groups, gold)
    assert found.id.tolist() == [IDS[0], IDS[3]]
    assert set(found.gold) == {"g0"}
    assert len(leaks.near(found)) == 0
    assert leaks.counted(found) == [(2, leaks.OF_GROUP)]
