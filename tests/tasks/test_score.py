"""Stage `score`: a row an item, in the pool's order, its probabilities unharmed by the disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks import score as score_module
from labelwise.tasks import workspace
from labelwise.tasks.items.vectors import Vectors
from labelwise.tasks.kinds import choice
from labelwise.tasks.learners import Items, Model, untrained
from labelwise.tasks.learners.calibration import random_positions
from labelwise.tasks.learners.frozen import Head
from labelwise.tasks.records import SCORES, probabilities
from labelwise.tasks.score import as_sure, chance
from labelwise.tasks.score import score as score_items
from labelwise.tasks.settings import Score
from labelwise.tasks.strategies.prefilter import worth_a_look
from labelwise.tasks.strategies.uncertainty import entropy_of, least_confidence_of, margin_of
from labelwise.tasks.workspace import write_parquet

CLASSES = ["a, b", "long name of a class", "c"]
RNG = np.random.default_rng(0)
SHARDS = [RNG.normal(size=(n, 4)).astype(np.float16) for n in (5, 1, 7)]
VECTORS = Vectors(pd.Index([f"i{n}" for n in range(13)]), SHARDS)
HEAD = Head(CLASSES, np.arange(3), RNG.normal(size=(3, 4)).astype(np.float32), np.zeros(3, dtype=np.float32))
ITEMS = Items(13, VECTORS.gather, lambda rows: [str(row) for row in rows])


def score(vectors: Vectors, model: Model) -> pd.DataFrame:
    return score_items(vectors.ids, ITEMS, model, Score())


def columns(model: Model) -> list[str]:
    return [*SCORES.columns, *(f"p{n}" for n in range(len(model.classes)))]


def test_each_row_is_what_the_model_says_of_that_item() -> None:
    scores = score(VECTORS, HEAD)
    assert scores.columns.tolist() == columns(HEAD)
    assert scores.id.tolist() == VECTORS.ids.tolist()
    for row in range(len(VECTORS)):
        p = HEAD.of(VECTORS.gather(np.array([row])))
        np.testing.assert_allclose(probabilities(scores)[[row]], p, atol=1e-6)
        assert scores.prediction[row] == CLASSES[p.argmax()]
    p = probabilities(scores)
    np.testing.assert_array_equal(scores.confidence, p.max(axis=1))
    for name, measure in (("least_confidence", least_confidence_of), ("margin", margin_of), ("entropy", entropy_of)):
        np.testing.assert_array_equal(scores[name], measure(p))


def test_the_probabilities_are_bit_for_bit_the_same_after_the_disk(tmp_path: Path) -> None:
    scores = score(VECTORS, HEAD)
    write_parquet(tmp_path / "scores.parquet", scores)
    again = pd.read_parquet(tmp_path / "scores.parquet")
    assert probabilities(again).dtype == np.float32
    assert probabilities(again).tobytes() == probabilities(scores).tobytes()
    pd.testing.assert_frame_equal(again, scores)


def test_before_the_first_model_nothing_is_known_of_any_item(tmp_path: Path) -> None:
    model = untrained.Untrained(CLASSES)
    write_parquet(tmp_path / "scores.parquet", score(VECTORS, model))
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    assert scores.columns.tolist() == columns(model)
    assert scores.id.tolist() == VECTORS.ids.tolist()
    assert scores.drop(columns="id").isna().all(axis=None)
    assert probabilities(scores).shape == (13, 3)


class Costly:
    """A model that reads texts, and says the opposite of its draft."""

    classes, trained, draft, thresholds = CLASSES, True, HEAD, None

    def __init__(self) -> None:
        self.read: list[str] = []

    def probabilities(self, items: Items) -> np.ndarray:
        self.read += items.texts()
        return HEAD.of(-items.vectors())

    def save(self, folder: Path) -> None: ...


def test_a_costly_model_judges_only_what_its_draft_is_least_sure_of() -> None:
    model = Costly()
    p = probabilities(score_items(VECTORS.ids, ITEMS, model, Score(reencode=4)))
    quick = HEAD.of(ITEMS.vectors())
    unsure = np.argsort(-margin_of(quick))[:4]
    assert sorted(map(int, model.read)) == sorted(unsure.tolist())
    np.testing.assert_array_equal(p[unsure], HEAD.of(-ITEMS.vectors()[unsure]))
    sure = np.setdiff1d(np.arange(13), unsure)
    np.testing.assert_array_equal(p[sure], quick[sure])


def test_a_costly_model_judges_a_small_pool_as_a_whole() -> None:
    p = probabilities(score_items(VECTORS.ids, ITEMS, Costly(), Score(reencode=13)))
    np.testing.assert_array_equal(p, HEAD.of(-ITEMS.vectors()))


class Slow(Costly):
    """The same, judged by its quick part first."""

    draft, prefilter = None, HEAD


def test_of_a_large_pool_the_model_judges_its_candidates_alone() -> None:
    model = Slow()
    scores = score_items(VECTORS.ids, ITEMS, model, Score(candidates=6), seed=3)
    rows = np.flatnonzero(scores.candidate)
    compared = random_positions(13, 6, 0)
    assert len(rows) == 6 and list(map(int, model.read)) == [*compared, *rows]
    np.testing.assert_array_equal(probabilities(scores)[rows], HEAD.of(-ITEMS.vectors()[rows]))
    quick = as_sure(HEAD, model, VECTORS.ids[compared], ITEMS.take(compared), choice)
    others, said = np.flatnonzero(~scores.candidate), quick.probabilities(ITEMS)
    np.testing.assert_array_equal(probabilities(scores)[others], said[others])
    sure = HEAD.of(-ITEMS.vectors())[compared].max(axis=1).mean()
    assert said[compared].max(axis=1).mean() == pytest.approx(sure, abs=1e-3)
    assert scores.id.tolist() == VECTORS.ids.tolist()
    pd.testing.assert_frame_equal(scores, score_items(VECTORS.ids, ITEMS, Slow(), Score(candidates=6), seed=3))


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (lambda: HEAD, Score()),
        (Costly, Score(reencode=5)),
        (Slow, Score(candidates=6)),
        (lambda: untrained.Untrained(CLASSES), Score()),
    ],
    ids=["whole", "draft", "candidates", "no model"],
)
def test_a_table_that_is_made_in_parts_is_the_whole_to_the_byte(
    make: Callable[[], Model], settings: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = score_items(VECTORS.ids, ITEMS, make(), settings)
    monkeypatch.setattr(score_module, "BLOCK", 3)
    monkeypatch.setattr(workspace, "ROW_GROUP", 8)
    parts = list(score_module.scored(VECTORS.ids, ITEMS, make(), settings))
    assert [len(part) for part in parts] == [3, 3, 3, 3, 1]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole, atol=1e-6)
    workspace.write_blocks(tmp_path / "parts.parquet", parts)
    pd.concat(parts, ignore_index=True).to_parquet(tmp_path / "whole.parquet", index=False, row_group_size=8)
    assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_a_pool_without_items_has_a_table_without_rows(tmp_path: Path) -> None:
    none = Vectors(VECTORS.ids[:0], [SHARDS[0][:0]])
    parts = list(score_module.scored(none.ids, Items(0, none.gather, lambda _rows: []), HEAD, Score()))
    workspace.write_blocks(tmp_path / "none.parquet", parts)
    assert pd.read_parquet(tmp_path / "none.parquet").columns.tolist() == columns(HEAD)


def test_candidates_are_what_is_unsure_likely_and_by_chance() -> None:
    p = np.random.default_rng(0).dirichlet([1, 1, 1], 100)
    margin = margin_of(p)
    found = [set(worth_a_look(p, margin, 24, np.random.default_rng(seed)).tolist()) for seed in range(300)]
    assert {len(rows) for rows in found} == {24}
    assert set.union(*found) == set(range(100))  # nothing is out of reach
    assert all(set(p.argmax(axis=0)) <= rows for rows in found)
    often = sum(np.isin(np.arange(100), list(rows)).astype(int) for rows in found)
    fifths = often[np.argsort(-margin)].reshape(5, 20).mean(axis=1)
    assert fifths[0] > 1.2 * fifths[1] > 1.2**2 * fifths[2] > 1.2**3 * fifths[3]  # the last fifth has the likeliest


def test_a_pool_of_no_more_than_candidates_is_judged_as_a_whole() -> None:
    scores = score_items(VECTORS.ids, ITEMS, Slow(), Score(candidates=13))
    assert "candidate" not in scores
    np.testing.assert_array_equal(probabilities(scores), HEAD.of(-ITEMS.vectors()))


def test_the_chance_of_a_round_follows_from_its_model(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "same", "other")]
    for folder, head in zip(folders, (HEAD, HEAD, HEAD.at(2.0)), strict=True):
        folder.mkdir()
        head.save(folder)
    one, same, other = map(chance, folders)
    assert one == same != other
