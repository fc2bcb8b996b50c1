"""What is looked for: classes of which people gave something, and by name those that are rare."""

from typing import Any

import numpy as np
import pandas as pd

from labelwise.tasks.items.vectors import Vectors
from labelwise.tasks.labels.sought import Way, described, looked_for
from labelwise.tasks.learners import Items
from labelwise.tasks.learners.untrained import Untrained
from labelwise.tasks.proof import control
from labelwise.tasks.score import score
from labelwise.tasks.select import as_labelled, select
from labelwise.tasks.settings import Settings, parse
from labelwise.tasks.strategies.seeking import WHY, Sought

N = 40
VECTORS = np.float32(np.random.default_rng(0).normal(size=(N, 8)))
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
ITEMS = Items.of(VECTORS, [f"text {n}" for n in range(N)])
IDS = [f"i{n:02d}" for n in range(N)]
POOL = Vectors(pd.Index(IDS), [VECTORS.astype(np.float16)])


def settings(seek: bool = False, classes: Any = ("ham", "spam")) -> Settings:
    given = {"project": {"name": "n", "id": "i"}, "pull": {"pool": "", "gold": ""}}
    chosen = {"seek": seek, "batch": 10, "control": 0.2, "near_duplicate": None}
    return parse(given | {"classes": classes if isinstance(classes, dict) else list(classes), "select": chosen})


def labels(*said: str) -> pd.DataFrame:
    return pd.DataFrame({"id": IDS[: len(said)], "label": list(said), "round": 1, "why": "uncertain"})


def sought(ledger: pd.DataFrame, *given: str, seek: bool = False) -> Sought | None:
    def ways(names: list[str]) -> list[Way]:
        found = [Way(name, ["text 7"], VECTORS[7:8], True) for name in names if name in given]
        return found + [Way(name, [name], VECTORS[9:10], False) for name in names if seek or name in given]

    return looked_for(ITEMS, np.arange(len(ledger)), ledger, settings(seek), given, ways)


def test_by_seeds_from_the_first_batch_on_and_by_name_once_there_are_labels() -> None:
    found = sought(labels(), "spam")
    assert found is not None
    assert found.labels.tolist() == [1, 1], "by what was given, and by the name"
    assert found.nearness.argmax(axis=0).tolist() == [7, 9]
    assert found.most.tolist() == [3, 2]
    assert sought(labels(), seek=True) is None
    assert sought(labels("ham"), seek=False) is None
    named = sought(labels("ham"), seek=True)
    assert named is not None
    assert (named.labels.tolist(), named.most.tolist()) == ([1], [5])


def test_given_classes_come_first_and_are_done_with_ten_labels() -> None:
    both = sought(labels("ham", "ham", "spam"), "ham", seek=True)
    assert both is not None and both.labels.tolist() == [0, 0]
    assert sought(labels(*["spam"] * 10, "ham"), "spam") is None


def test_the_batch_keeps_its_control_arm_and_has_half_near_what_is_sought() -> None:
    ledger, chosen = labels(), settings()
    scores = score(POOL.ids, ITEMS, Untrained(chosen.classes), chosen.score)
    labelled = as_labelled(scores, POOL, ledger, chosen.classes)
    batch = select(
        scores,
        POOL,
        labelled,
        pd.Index([]),
        chosen.select,
        np.random.default_rng(0),
        looked_for=sought(ledger, "spam"),
    )
    assert batch.why.value_counts().to_dict() == {WHY: 5, "diverse": 3, control.WHY: 2}
    assert batch.propensity[batch.why == control.WHY].tolist() == [2 / N] * 2
    assert batch.propensity[batch.why == WHY].isna().all()
    assert {"i07", "i09"} <= set(batch.id)


def test_names_are_read_as_words_and_what_holds_none_is_left_out() -> None:
    told = settings(classes={"card_lost": "a card is gone", "A1": None, "B2": "second line"})
    assert described("card_lost", told) == ["card lost", "a card is gone"]
    assert described("A1", told) == []
    assert described("B2", told) == ["second line"]
