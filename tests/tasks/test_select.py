"""Stage `select`: the batch holds what may be asked, as much of it as was wanted, the same for the same seed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy import stats

from labelwise.tasks import figures
from labelwise.tasks import select as stage
from labelwise.tasks.errors import SettingsError
from labelwise.tasks.items.vectors import Vectors
from labelwise.tasks.labels import ledger
from labelwise.tasks.learners import Items, Model, untrained
from labelwise.tasks.learners.frozen import Head
from labelwise.tasks.proof import control
from labelwise.tasks.records import BATCH, LABELS, LEAKS, POOL
from labelwise.tasks.score import score as score_items
from labelwise.tasks.select import as_labelled, select
from labelwise.tasks.settings import Score, Select
from labelwise.tasks.strategies import COLD_STARTS, Labelled, serving
from labelwise.tasks.workspace import Workspace, write_parquet

N = 30
CLASSES = ["x", "y", "z"]
IDS = [f"i{n:02d}" for n in range(N)]
RNG = np.random.default_rng(0)
VECTORS = Vectors(pd.Index(IDS), [RNG.normal(size=(n, 4)).astype(np.float16) for n in (20, 10)])
HEAD = Head(CLASSES, np.arange(3), RNG.normal(size=(3, 4)).astype(np.float32), np.zeros(3, dtype=np.float32))


def score(vectors: Vectors, model: Model) -> pd.DataFrame:
    return score_items(vectors.ids, Items.of(vectors.gather(np.arange(len(vectors)))), model, Score())


SCORES = score(VECTORS, HEAD)
NO_MODEL = score(VECTORS, untrained.Untrained(CLASSES))
NOBODY = pd.Index([])
TWO = pd.DataFrame({"id": IDS[:2], "label": ["x", "y"], "round": [1, 1], "why": ["random", "uncertain"]})
ANSWERED = as_labelled(SCORES, VECTORS, TWO, CLASSES)


def chosen(scores: pd.DataFrame, closed: pd.Index = NOBODY, seed: int = 0, **settings: Any) -> pd.DataFrame:
    labelled = ANSWERED if scores is SCORES else Labelled()
    chosen_by = Select(**{"near_duplicate": None, "control": 0.0} | settings)
    return select(scores, VECTORS, labelled, closed, chosen_by, np.random.default_rng(seed))


def assert_conforms(batch: pd.DataFrame) -> None:
    assert batch.dtypes.astype(str).to_dict() == BATCH.columns
    assert batch["rank"].tolist() == list(range(1, len(batch) + 1))
    assert batch.id.is_unique


@given(
    closed=st.sets(st.sampled_from(IDS)),
    batch=st.integers(1, 40),
    strategy=st.sampled_from(["margin", "entropy", "least_confidence", "random"]),
    model=st.booleans(),
    seed=st.integers(0, 99),
)
@hypothesis_settings(deadline=None, max_examples=50)
def test_what_is_closed_is_never_asked_and_the_batch_is_as_long_as_it_can_be(
    closed: set[str], batch: int, strategy: str, model: bool, seed: int
) -> None:
    scores = SCORES if model else NO_MODEL
    settings = {"batch": batch, "strategy": strategy, "cold_start": "random"}
    asked = chosen(scores, pd.Index(sorted(closed), dtype="string"), seed, **settings)
    assert_conforms(asked)
    assert not set(asked.id) & closed
    assert len(asked) == min(batch, N - len(closed))
    pd.testing.assert_frame_equal(asked, chosen(scores, pd.Index(list(closed), dtype="string"), seed, **settings))


def test_the_least_sure_of_the_open_items_are_asked_first() -> None:
    closed = pd.Index(SCORES.sort_values("margin").id[-5:])
    batch = chosen(SCORES, closed, strategy="margin", batch=6)
    left = SCORES[~SCORES.id.isin(closed)].sort_values("margin", ascending=False)
    assert batch.id.tolist() == left.id[:6].tolist()
    asked = SCORES.set_index("id").loc[batch.id]
    assert batch.prediction.tolist() == asked.prediction.tolist()
    assert batch.confidence.tolist() == asked.confidence.tolist()
    assert batch.score.to_numpy() == pytest.approx(asked.margin.to_numpy(), abs=1e-6)
    assert set(batch.why) == {"uncertain"}


def test_without_a_model_the_cold_start_chooses() -> None:
    batch = chosen(NO_MODEL, batch=5, strategy="margin", cold_start="medoids")
    assert set(batch.why) == {"diverse"}
    assert batch.prediction.isna().all()
    by_chance = chosen(NO_MODEL, batch=5, strategy="margin", cold_start="random")
    assert by_chance.propensity.tolist() == [5 / N] * 5


def test_the_cold_start_sees_the_vectors_of_the_open_items_only() -> None:
    of = np.arange(N) % 3
    vectors = Vectors(pd.Index(IDS), [np.eye(3, 4, dtype=np.float16)[of]])
    closed = pd.Index([name for name, cluster in zip(IDS, of, strict=True) if cluster == 1])
    batch = select(NO_MODEL, vectors, Labelled(), closed, Select(batch=2), np.random.default_rng(0))
    assert sorted(of[[IDS.index(each) for each in batch.id]]) == [0, 2]


def test_an_empty_pool_gives_an_empty_batch() -> None:
    batch = chosen(SCORES, pd.Index(IDS))
    assert batch.empty
    assert_conforms(batch)


@pytest.mark.parametrize("key", ["strategy", "cold_start"])
def test_an_unknown_name_is_said_whether_it_is_needed_or_not(key: str) -> None:
    for scores in (SCORES, NO_MODEL):
        with pytest.raises(SettingsError, match=rf"`select\.{key}`.*did you mean `random`"):
            chosen(scores, **{key: "randon"})


def test_the_stage_asks_other_items_each_round_and_never_one_that_is_labelled(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    content = {"project": {"name": "n", "id": "i"}, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}}
    content |= {"select": {"batch": 11, "strategy": "random"}, "gold": {"reserve": 0.0}}
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    pool = pd.DataFrame({"id": IDS, "text": IDS, "source_id": None})
    write_parquet(workspace.pool / "shard-0000.parquet", pool, POOL)
    workspace.vectors.mkdir()
    np.save(workspace.vectors / "shard-0000.npy", np.concatenate(VECTORS.shards))
    write_parquet(workspace.scores, SCORES)
    ledger.append(workspace.labels, 0, LABELS.frame())
    asked: list[str] = []
    for number, expected in enumerate([11, 11, 8, 0]):
        line = stage.run(workspace)
        batch = pd.read_parquet(workspace.batch)
        assert len(batch) == expected
        assert ("all that is left, fewer than the 11 of select.batch" in line) == (expected == 8)
        asked += batch.id.tolist()
        rows = pd.DataFrame({"id": batch.id, "label": "x", "status": "labelled", "round": number + 1})
        ledger.append(workspace.labels, number + 1, LABELS.conform(rows.reindex(columns=list(LABELS.columns))))
    assert line == "nothing is left to ask"
    assert sorted(asked) == IDS


def scored(root: Path, select: dict[str, object]) -> Workspace:
    """A workspace whose pool has scores and no label yet. select: these settings of it."""
    workspace = Workspace(root)
    content = {"project": {"name": "n", "id": "i"}, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}}
    (root / "params.yaml").write_text(json.dumps(content | {"select": select, "gold": {"reserve": 0.0}}))
    write_parquet(
        workspace.pool / "shard-0000.parquet", pd.DataFrame({"id": IDS, "text": IDS, "source_id": None}), POOL
    )
    workspace.vectors.mkdir()
    np.save(workspace.vectors / "shard-0000.npy", np.concatenate(VECTORS.shards))
    write_parquet(workspace.scores, SCORES)
    ledger.append(workspace.labels, 0, LABELS.frame())
    return workspace


def test_the_control_arm_follows_the_meter_and_its_propensities_with_it(tmp_path: Path) -> None:
    workspace = scored(tmp_path, {"batch": 20, "strategy": "random", "control": "auto"})
    curve = [{"labels": at, "middle": value, "low": 0.3, "high": 0.6} for at, value in ((10, 0.4), (100, 0.5))]
    meter = {"verdict": "saves", "known": True, "ratio": {"low": 0.4, "high": 0.7}}
    meter |= {"curves": {"random": curve, "loop": curve}}
    for said, size in ((None, 4), (meter | {"known": False}, 2), (meter, 1), (meter | {"verdict": "costs"}, 4)):
        figures.keep_proof(workspace, {"savings": said})
        line = stage.run(workspace)
        batch = pd.read_parquet(workspace.batch)
        arm = batch[batch.why == control.WHY]
        assert len(arm) == size and arm.propensity.tolist() == [pytest.approx(size / N)] * size
        assert f"; {size / 20:.0%} of a batch by chance: " in line
        first = np.argsort(control.order(pd.Index(IDS), 0))[:size]
        assert set(arm.id) == {IDS[at] for at in first}  # the head of the same order, however long it is


@pytest.mark.parametrize(
    ("changed", "falls"),
    [
        ({}, True),
        ({"strategy": "margin"}, False),  # whoever names a strategy has it as it is
        ({"fallback": False}, False),  # params.yaml from before
        ({"control": 0.0}, False),  # nobody wants labels by chance
    ],
)
def test_auto_falls_back_on_chance_while_its_labels_teach_less(
    tmp_path: Path, changed: dict[str, object], falls: bool
) -> None:
    set_to = {"batch": 20, "strategy": "auto", "control": 0.2, "fallback": True} | changed
    workspace = scored(tmp_path, set_to)
    small = int(20 * float(str(set_to["control"])))
    told = {"less": True, "labels": 24, "low": -0.2, "high": -0.01}
    for found, less in (
        ({}, False),
        ({"taught": told | {"less": False}, "savings": {"verdict": "unclear"}}, False),
        ({"taught": told, "savings": None}, True),
        ({"taught": None, "savings": {"verdict": "costs"}}, True),
        ({"taught": told | {"less": False}, "savings": {"verdict": "saves"}}, False),  # and goes back
    ):
        figures.keep_proof(workspace, found)
        line = stage.run(workspace)
        batch = pd.read_parquet(workspace.batch)
        by_chance = batch[batch.why == control.WHY]
        wanted = 20 - small if falls and less else small  # chance and strategy change places
        assert len(by_chance) == wanted
        assert by_chance.propensity.tolist() == [pytest.approx(wanted / N)] * wanted
        assert batch.propensity[batch.why != control.WHY].isna().all()
        first = np.argsort(control.order(pd.Index(IDS), 0))[:wanted]
        assert set(by_chance.id) == {IDS[at] for at in first}  # still the head of the order: a uniform sample
        assert ("80% of a batch by chance: " in line) == (falls and less)


def test_the_reserve_and_what_is_nearly_gold_are_never_asked(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    content = {"project": {"name": "n", "id": "i"}, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}}
    content |= {"select": {"batch": N, "strategy": "random"}, "gold": {"reserve": 0.3}}
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    write_parquet(
        workspace.pool / "shard-0000.parquet", pd.DataFrame({"id": IDS, "text": IDS, "source_id": None}), POOL
    )
    workspace.vectors.mkdir()
    np.save(workspace.vectors / "shard-0000.npy", np.concatenate(VECTORS.shards))
    kept = control.reserved(control.order(pd.Index(IDS), 0), 0.3)
    assert 0 < kept.sum() < N
    leak = IDS[int(np.flatnonzero(~kept)[0])]
    found = pd.DataFrame({"id": [leak], "gold": "g", "similarity": 0.99})
    write_parquet(workspace.vectors / "shard-0000.leaks.parquet", found, LEAKS)
    write_parquet(workspace.scores, SCORES)
    ledger.append(workspace.labels, 0, LABELS.frame())
    stage.run(workspace)
    assert set(pd.read_parquet(workspace.batch).id) == set(np.array(IDS)[~kept]) - {leak}


def test_what_has_been_answered_reaches_the_strategies() -> None:
    assert ANSWERED.labels.tolist() == [0, 1]
    assert ANSWERED.rounds.tolist() == [1, 1]
    assert ANSWERED.why.tolist() == ["random", "uncertain"]
    np.testing.assert_array_equal(ANSWERED.vectors, VECTORS.gather(np.arange(2)))
    np.testing.assert_allclose(ANSWERED.probabilities, HEAD.of(ANSWERED.vectors), atol=1e-6)


def test_one_class_alone_is_no_reason_to_ask_the_model() -> None:
    alone = as_labelled(SCORES, VECTORS, TWO[:1], CLASSES)
    settings = Select(batch=5, strategy="margin", cold_start="medoids", control=0.0)
    batch = select(SCORES, VECTORS, alone, NOBODY, settings, np.random.default_rng(0))
    assert set(batch.why) == {"diverse"}
    said = stage.strategy_for(settings, alone)[1]
    assert said == "medoids (cold start: margin needs labels of two classes)"


@pytest.mark.parametrize("name", sorted(set(serving("choice")) - COLD_STARTS.keys()))
def test_what_needs_a_model_falls_back_in_round_0_and_it_is_said(name: str) -> None:
    settings = Select(batch=5, strategy=name, cold_start="medoids", control=0.0)
    batch = select(NO_MODEL, VECTORS, Labelled(), NOBODY, settings, np.random.default_rng(0))
    assert set(batch.why) == {"diverse"}
    assert stage.strategy_for(settings, Labelled())[1] == f"medoids (cold start: {name} needs labels of two classes)"


@pytest.mark.parametrize("name", COLD_STARTS)
def test_what_needs_no_model_is_asked_from_the_first_round_on(name: str) -> None:
    settings = Select(batch=5, strategy=name, cold_start="medoids", control=0.0, near_duplicate=None)
    strategy, said = stage.strategy_for(settings, Labelled())
    assert strategy is COLD_STARTS[name]
    assert said == name


@pytest.mark.parametrize(
    "name", sorted(set(serving("choice")) - {"bald_epinet"})
)  # slow, and no other than `bald` here
def test_items_that_are_all_the_same_are_asked_all_the_same(name: str) -> None:
    same = Vectors(pd.Index(IDS), [np.tile(np.eye(4, dtype=np.float16)[:1], (N, 1))])
    scores = score(same, HEAD)
    two = as_labelled(scores, same, TWO, CLASSES)
    for balance in (False, True):
        settings = Select(batch=7, strategy=name, control=0.2, balance=balance)
        batch = select(scores, same, two, NOBODY, settings, np.random.default_rng(0))
        assert_conforms(batch)
        assert len(batch) == 7


def test_the_control_arm_is_the_head_of_one_order_of_the_pool_however_the_rest_is_chosen() -> None:
    places = pd.Series(control.order(pd.Index(IDS), seed=7), index=IDS).sort_values()
    asked: dict[str, str] = {}
    for number, strategy in enumerate(["margin", "random", "entropy"]):
        settings = Select(batch=8, strategy=strategy, control=0.25)
        closed = pd.Index(list(asked), dtype="string")
        batch = select(SCORES, VECTORS, ANSWERED, closed, settings, np.random.default_rng(number), seed=7)
        assert_conforms(batch)
        assert (batch.why == control.WHY).sum() == 2
        assert (batch.propensity[batch.why == control.WHY] == 2 / (N - len(asked))).all()
        assert batch.score[batch.why == control.WHY].isna().all()
        asked |= dict(zip(batch.id, batch.why, strict=True))
    labels = pd.DataFrame({"id": list(asked), "why": list(asked.values())})
    still_open = pd.Index(IDS).difference(labels.id)
    inside = set(labels.id[control.sample(labels, still_open, seed=7)])
    assert inside >= set(labels.id[labels.why == control.WHY])
    assert inside == set(places.index[: len(inside)])  # no holes: a uniform sample, other arms' items counted in


def test_reviewers_cannot_tell_the_control_arm_by_its_place() -> None:
    ranks: list[int] = []
    for seed in range(200):
        batch = chosen(SCORES, seed=seed, strategy="margin", batch=10, control=0.2)
        ranks += batch["rank"][batch.why == control.WHY].tolist()
    assert len(ranks) == 2 * 200
    assert stats.chisquare(np.bincount(ranks, minlength=11)[1:]).pvalue > 0.001


@pytest.mark.parametrize(("share", "batch"), [(0.2, 1), (0.2, 2), (0.5, 3), (0.1, 25)])
def test_the_share_of_the_control_arm_is_right_on_average(share: float, batch: int) -> None:
    sizes = [
        (chosen(SCORES, seed=seed, strategy="random", batch=batch, control=share).why == control.WHY).sum()
        for seed in range(200)
    ]
    assert np.mean(sizes) == pytest.approx(share * batch, abs=0.1)


def test_near_duplicates_are_not_asked_together() -> None:
    twins = Vectors(pd.Index(IDS), [np.repeat(np.eye(15, dtype=np.float16), 2, axis=0)])
    scores = SCORES.assign(id=IDS)
    batch = select(scores, twins, ANSWERED, NOBODY, Select(batch=10, strategy="margin"), np.random.default_rng(0))
    assert len({IDS.index(each) // 2 for each in batch.id}) == 10


def test_a_balanced_batch_has_every_predicted_class() -> None:
    batch = chosen(SCORES, batch=9, strategy="margin", balance=True)
    there = SCORES.prediction.value_counts()
    assert batch.prediction.value_counts().min() >= min(2, there.min())
    assert len(batch) == 9


def test_the_cold_start_of_a_zero_shot_model_has_every_predicted_class() -> None:
    settings = Select(batch=9, cold_start="random")
    batch = select(SCORES, VECTORS, Labelled(), NOBODY, settings, np.random.default_rng(0))
    assert batch.prediction.value_counts().min() >= min(2, SCORES.prediction.value_counts().min())


def test_the_cold_start_goes_on_where_weak_labels_have_taught_several_labels_an_item() -> None:
    labelled = Labelled(labels=np.empty((0, 3), np.float32))
    settings = Select(batch=9, cold_start="random")
    batch = select(SCORES, VECTORS, labelled, NOBODY, settings, np.random.default_rng(0))
    assert len(batch) == 9 and batch.id.is_unique


def test_labels_that_look_wrong_are_asked_beside_items_without_one() -> None:
    doubted = IDS[8:5:-1]
    closed = pd.Index([*doubted, *IDS[:2]])

    def asked(closed: pd.Index, lapsed: list[str]) -> pd.DataFrame:
        wanted = Select(batch=10, near_duplicate=None, control=0.25)
        return select(SCORES, VECTORS, ANSWERED, closed, wanted, same(), lapsed=lapsed, doubted=doubted)

    batch = asked(closed, [])
    assert_conforms(batch)
    anew = batch[batch.why == ledger.RELABEL]
    assert sorted(anew.id) == sorted(doubted) and anew.propensity.isna().all() and len(batch) == 10
    both = asked(closed, doubted[:2])  # once each, whatever it is asked for
    assert both.id.is_unique and sorted(both.id[both.why == ledger.RELABEL]) == sorted(doubted)
    assert asked(pd.Index(IDS), []).empty


def test_what_is_labelled_anew_has_its_share_of_the_batch_and_moves_nothing_else() -> None:
    lapsed = IDS[5:15]
    closed = pd.Index([*lapsed, *IDS[:2]])

    def asked(**settings: Any) -> pd.DataFrame:
        wanted = Select(**{"near_duplicate": None, "control": 0.25} | settings)
        return select(SCORES, VECTORS, ANSWERED, closed, wanted, np.random.default_rng(0), lapsed=lapsed)

    batch = asked(batch=10)
    assert_conforms(batch)
    anew = batch[batch.why == ledger.RELABEL]
    assert len(batch) == 10 and len(anew) == 2 and anew.id.isin(lapsed).all()
    assert anew.propensity.isna().all() and anew.score.isna().all()
    fresh = batch[batch.why != ledger.RELABEL]
    assert not fresh.id.isin(closed).any() and (fresh.why == control.WHY).sum() == 2  # a quarter of those
    without = select(SCORES, VECTORS, ANSWERED, closed, Select(batch=8, near_duplicate=None, control=0.25), same())
    assert fresh.id.tolist() == without.id.tolist()
    first = np.argsort(control.order(pd.Index(lapsed), 0))[:2]
    assert sorted(anew.id) == sorted(lapsed[place] for place in first)
    assert (asked(batch=2).why == ledger.RELABEL).sum() == 1  # one at least
    assert not (asked(batch=10, relabel=0.0).why == ledger.RELABEL).any()
    assert (asked(batch=25).why == ledger.RELABEL).sum() == 7  # nothing else is left
    alone = select(SCORES, VECTORS, ANSWERED, pd.Index(IDS), Select(batch=4), same(), lapsed=lapsed)
    assert alone.why.tolist() == [ledger.RELABEL] * 4


def same() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("seed", range(10))
def test_strategies_choose_from_the_candidates_and_chance_from_all(seed: int) -> None:
    few = SCORES.assign(candidate=np.isin(np.arange(N), np.arange(5, 17)))
    chosen_by = Select(batch=8, strategy="margin", near_duplicate=None, control=0.25)
    asked = select(few, VECTORS, ANSWERED, pd.Index(IDS[5:8]), chosen_by, np.random.default_rng(seed), seed)
    by_chance = asked[asked.why == control.WHY]
    whole = select(SCORES, VECTORS, ANSWERED, pd.Index(IDS[5:8]), chosen_by, np.random.default_rng(seed), seed)
    assert by_chance.id.tolist() == whole.id[whole.why == control.WHY].tolist()
    assert set(asked.id.drop(by_chance.index)) <= set(IDS[8:17])


def test_where_the_candidates_are_too_few_all_can_be_chosen() -> None:
    few = SCORES.assign(candidate=np.isin(np.arange(N), [3, 4]))
    chosen_by = Select(batch=6, strategy="margin", near_duplicate=None, control=0.0)
    one, other = (select(s, VECTORS, ANSWERED, NOBODY, chosen_by, np.random.default_rng(0)) for s in (few, SCORES))
    pd.testing.assert_frame_equal(one, other)
