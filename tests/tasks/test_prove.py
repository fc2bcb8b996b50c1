"""Stage `prove`: what the meter says of real models, and of ledgers and gold sets that cannot tell anything."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks import kinds, prove
from labelwise.tasks.kinds import multilabel
from labelwise.tasks.labels import ledger
from labelwise.tasks.learners import Examples, Items, frozen
from labelwise.tasks.proof import control, savings, taught
from labelwise.tasks.proof.looked import Looked
from labelwise.tasks.records import GOLD, LABELS, POOL
from labelwise.tasks.settings import Evaluate, Settings, parse
from labelwise.tasks.workspace import Workspace, write_parquet

CLASSES = ["a", "b", "c"]
RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 3, 600)
VECTORS = (np.eye(3, 16)[TRUTH] + 0.6 * RNG.normal(size=(600, 16))).astype(np.float32)
IDS = [f"i{n:03d}" for n in range(600)]
EXAM = slice(300, 600)


def settings(answer: str = "choice", judge: str = "frozen", **select: float) -> Settings:
    content = {"project": {"name": "n", "id": "i"}, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}}
    of = {"kind": {"answer": answer}, "prove": {"learner": judge}}
    return parse(content | of | {"train": {"learner": "frozen"}, "select": select})


def labels(one_class: bool = False) -> pd.DataFrame:
    """300 labels in 12 rounds, a fifth of them in the control arm; one_class: all of these have the same label."""
    places = control.order(pd.Index(IDS[:300]), 0)
    why = np.where(places <= np.sort(places)[59], control.WHY, "uncertain")
    names = np.array(CLASSES, dtype=object)[TRUTH[:300]]
    given = np.where((why == control.WHY) & one_class, "a", names)
    made = pd.DataFrame({"id": IDS[:300], "label": given, "round": 1 + np.arange(300) // 25, "why": why})
    return made.assign(control=control.sample(made, pd.Index([]), 0))


def metered(given: pd.DataFrame, exam: np.ndarray, weight: np.ndarray | float = 1.0) -> savings.Savings | None:
    gold = pd.DataFrame({"label": np.array(CLASSES, dtype=object)[TRUTH[exam]], "weight": weight})
    items = Items.of(VECTORS[: len(given)])
    return prove.meter(given, items, gold, Items.of(VECTORS[exam]), items, settings())


def test_labels_that_chance_chose_save_nothing() -> None:
    found = metered(labels(), np.arange(300, 600))
    assert found is not None
    assert found.ratio.low <= 1 <= found.ratio.high
    assert (found.labels, found.control) == (300, 60)


def test_labels_that_no_round_asked_for_are_in_both_arms() -> None:
    given = labels()
    imported = (np.arange(300) % 6 == 0) & (given["round"] > 2).to_numpy()
    given = given.assign(round=given["round"].where(~imported, 0), why=given.why.where(~imported, "imported"))
    found = metered(given, np.arange(300, 600))
    assert found is not None
    assert found.base == imported.sum()
    assert found.labels == 300 - imported.sum()
    assert found.control == (given.control & ~imported).sum() < given.control.sum()


def test_gold_items_count_by_their_weight() -> None:
    exam = np.arange(300, 600)
    easy = np.linalg.norm(VECTORS[exam] - np.eye(3, 16)[TRUTH[exam]], axis=1)
    near = np.where(easy < np.quantile(easy, 0.3), 3.0, 0.01)
    alike, weighed = metered(labels(), exam), metered(labels(), exam, near)
    assert alike is not None and weighed is not None
    assert weighed.curves["loop"][-1]["middle"] > alike.curves["loop"][-1]["middle"] + 0.03


@pytest.mark.parametrize(
    ("one_class", "exam"),
    [
        (True, np.arange(300, 600)),  # nothing can be learned from the control arm
        (False, np.arange(300, 310)),  # ten gold items
        (False, np.flatnonzero(TRUTH == 2)),  # two classes are not in gold at all
    ],
)
def test_what_cannot_tell_much_is_measured_without_an_error(one_class: bool, exam: np.ndarray) -> None:
    found = metered(labels(one_class), exam)
    assert found is not None
    for interval in (found.ratio, found.needed, found.projected, found.saved):
        assert np.isfinite([interval.low, interval.middle, interval.high]).all()
        assert interval.low <= interval.middle <= interval.high


def test_ten_gold_items_give_no_verdict() -> None:
    for first in (300, 310, 320):
        found = metered(labels(), np.arange(first, first + 10))
        assert found is not None
        assert found.verdict == "unclear"


def test_another_learner_than_the_cheap_one_can_be_the_judge() -> None:
    own = settings().model_copy(update={"prove": settings().prove.model_copy(update={"learner": "propagate"})})
    gold = pd.DataFrame({"label": np.array(CLASSES, dtype=object)[TRUTH[EXAM]], "weight": 1.0})
    items = Items.of(VECTORS[:300])
    judged = prove.judged_by(labels(), items, gold, Items.of(VECTORS[EXAM]), items, own)
    assert judged(np.arange(200)).hits.mean() > 0.5


@pytest.mark.parametrize("learner", ["frozen", "bag_of_words"])
def test_sets_of_classes_are_judged_by_what_they_miss(learner: str) -> None:
    """Each class is a direction; a quarter of the items have two of them, a quarter none."""
    rng = np.random.default_rng(1)
    holds = rng.random((600, 3)) < 0.4
    vectors = (holds @ np.eye(3, 16) + 0.4 * rng.normal(size=(600, 16))).astype(np.float32)
    texts = [
        " ".join(np.array(["x", "red", "green", "blue"])[np.append(True, row & (rng.random(3) < 0.85))])
        for row in holds
    ]
    names = [multilabel.label_of(np.array(CLASSES)[row]) for row in holds]
    own = settings(answer="multilabel", judge=learner)
    given = labels().assign(label=names[:300])
    gold = pd.DataFrame({"label": names[300:], "weight": 1.0})
    items, exam = Items.of(vectors[:300], texts[:300]), Items.of(vectors[300:], texts[300:])
    judged = prove.judged_by(given, items, gold, exam, items, own)
    few, many = (1 - judged(np.arange(n)).hits[:, 0] for n in (4, 300))
    assert ((many >= 0) & (many <= 1)).all() and len(set(few)) > 2  # some are right in part
    assert many.mean() < few.mean() and many.mean() < 0.25
    if learner == "frozen":
        worth = prove.prove(given, items, gold, exam, items, own)
        found, next_model = worth.savings, worth.successor
        assert found is not None and found.ratio.low <= 1 <= found.ratio.high
        assert next_model is not None and not next_model.worse and next_model.chosen > 0.8


def taught_by(hurt: bool, imported: int = 0, measure: str = "accuracy") -> taught.Taught | None:
    """Twelve rounds of 25, a fifth by chance. hurt: all that was chosen from the second round on is of one class."""
    given, own = labels(), settings()
    by_strategy = (~given.control & (given["round"] > 1)).to_numpy()
    kept = np.flatnonzero(~by_strategy | (TRUTH[:300] == 0)) if hurt else np.arange(300)
    given = given.iloc[kept].reset_index(drop=True)
    given.loc[: imported - 1, ["round", "why"]] = [0, "imported"]
    own = own.model_copy(update={"evaluate": Evaluate(measure=measure)})
    gold = pd.DataFrame({"label": np.array(CLASSES, dtype=object)[TRUTH[EXAM]], "weight": 1.0})
    items = Items.of(VECTORS[kept])
    judged = prove.judged_by(given, items, gold, Items.of(VECTORS[EXAM]), items, own)
    return prove.teaching(judged, given, gold, own)


@pytest.mark.parametrize("measure", ["accuracy", "macro_f1", "f1:b"])
def test_labels_that_teach_less_than_random_ones_are_seen(measure: str) -> None:
    bad, fair = taught_by(True, measure=measure), taught_by(False, measure=measure)
    assert bad is not None and fair is not None
    assert bad.less and bad.difference < -0.1 and bad.high < 0
    assert not fair.less and fair.low <= 0 <= fair.high
    assert fair.labels == 60  # as many as the control arm has
    assert bad.as_json()["less"] is True


def test_both_sorts_of_labels_begin_with_the_imported_ones() -> None:
    alone, beside = taught_by(True), taught_by(True, imported=60)
    assert alone is not None and beside is not None
    assert beside.chosen > alone.chosen + 0.05


def test_fewer_than_twenty_labels_of_either_sort_tell_nothing() -> None:
    given = labels().iloc[:100].reset_index(drop=True)
    gold = pd.DataFrame({"label": np.array(CLASSES, dtype=object)[TRUTH[EXAM]], "weight": 1.0})
    items = Items.of(VECTORS[:100])
    judged = prove.judged_by(given, items, gold, Items.of(VECTORS[EXAM]), items, settings())
    assert 0 < given.control.sum() < taught.LEAST + 5
    few = given.assign(control=given.control & (np.cumsum(given.control) < taught.LEAST))
    assert prove.teaching(judged, few, gold, settings()) is None


@pytest.mark.parametrize(("strategy", "falls"), [("auto", True), ("margin", False)])
def test_the_stage_says_that_labels_teach_less_and_what_follows(tmp_path: Path, strategy: str, falls: bool) -> None:
    made = Workspace(tmp_path)
    own = settings(control=0.2)
    select = own.select.model_copy(update={"strategy": strategy, "fallback": True})
    (tmp_path / "params.yaml").write_text(own.model_copy(update={"select": select}).model_dump_json())
    write_parquet(
        made.pool / "shard-0000.parquet", pd.DataFrame({"id": IDS[:300], "text": IDS[:300], "source_id": None}), POOL
    )
    names = np.array(CLASSES, dtype=object)[TRUTH[EXAM]]
    write_parquet(
        made.gold, pd.DataFrame({"id": IDS[EXAM], "text": IDS[EXAM], "source_id": None, "label": names}), GOLD
    )
    made.vectors.mkdir()
    np.save(made.vectors / "shard-0000.npy", VECTORS[:300].astype(np.float16))
    np.save(made.vectors / f"{made.gold.stem}.npy", VECTORS[EXAM].astype(np.float16))
    given = labels()
    given = given[given.control | (given["round"] == 1) | (given.label == "a")].drop(columns="control")
    given = given.assign(status="labelled", annotation_id=range(len(given)), created_at="2026-01-01")
    ledger.append(made.labels, 0, LABELS.frame())
    for number, rows in given.groupby("round"):
        ledger.append(made.labels, int(str(number)), LABELS.conform(rows.reindex(columns=list(LABELS.columns))))

    said = prove.run(made)
    found = json.loads((made.metrics / "proof.json").read_text())
    assert found["taught"]["less"] is True
    words = "80% of a batch by chance: 60 chosen labels teach less than 60 random ones"
    assert (words in said) == (words in found["said"]) == falls


@pytest.mark.parametrize(("share", "said"), [(0.0, "nobody can know them"), (0.2, "too few labels")])
def test_the_stage_says_what_it_cannot_know(tmp_path: Path, share: float, said: str) -> None:
    made = Workspace(tmp_path)
    (tmp_path / "params.yaml").write_text(settings(control=share).model_dump_json())
    pool = pd.DataFrame({"id": IDS[:30], "text": IDS[:30], "source_id": None})
    write_parquet(made.pool / "shard-0000.parquet", pool, POOL)
    gold = pd.DataFrame({"id": IDS[300:310], "text": IDS[300:310], "source_id": None, "label": "a"})
    write_parquet(made.gold, gold, GOLD)
    made.vectors.mkdir()
    np.save(made.vectors / "shard-0000.npy", VECTORS[:30].astype(np.float16))
    np.save(made.vectors / f"{made.gold.stem}.npy", VECTORS[300:310].astype(np.float16))
    given = labels()[:30].assign(status="labelled", why="uncertain", annotation_id=range(30), created_at="2026-01-01")
    ledger.append(made.labels, 0, LABELS.frame())
    ledger.append(made.labels, 1, LABELS.conform(given.reindex(columns=list(LABELS.columns))))

    assert said in prove.run(made)
    content = json.loads((made.metrics / "proof.json").read_text())
    assert content["savings"] is None
    found = content["prevalence"]
    assert (found["labelled"], found["control"]) == (30, 0)
    assert sum(one["found"] for one in found["classes"]) == 30


def test_models_of_the_meter_say_what_the_measure_asks_for() -> None:
    rng = np.random.default_rng(1)
    truth = rng.choice(3, 600, p=[0.65, 0.3, 0.05])
    vectors = (np.eye(3, 16)[truth] + 0.6 * rng.normal(size=(600, 16))).astype(np.float32)
    names = np.array(CLASSES, dtype=object)[truth]
    given = labels().assign(label=names[:300])
    gold = pd.DataFrame({"label": names[EXAM], "weight": 1.0})
    items, exam = Items.of(vectors[:300]), Items.of(vectors[EXAM])
    own = settings().model_copy(update={"evaluate": Evaluate(measure="balanced_accuracy")})
    measure, rows = kinds.measure(own), np.arange(100)
    judged = prove.judged_by(given, items, gold, exam, items, own)(rows)
    examples = Examples(items, truth[:300], CLASSES)
    head = frozen.head(examples.take(rows), vectors[rows], frozen.crossed(examples, own)[0])
    likeliest = measure.parts(kinds.answer("choice").decide(head.of(vectors[EXAM]), CLASSES).tolist(), names[EXAM])
    value, plain = (measure.values(parts, np.ones((1, 300)))[0] for parts in (judged, likeliest))
    assert value > plain


@pytest.mark.parametrize("answer", ["choice", "multilabel"])
def test_models_of_the_meter_say_a_class_at_the_precision_that_is_asked_for(answer: str) -> None:
    names = np.array(CLASSES, dtype=object)[TRUTH]
    if answer == "multilabel":
        names = np.array([multilabel.label_of([name]) for name in names], dtype=object)
    given, gold = labels().assign(label=names[:300]), pd.DataFrame({"label": names[EXAM], "weight": 1.0})
    items, exam = Items.of(VECTORS[:300]), Items.of(VECTORS[EXAM])
    found = {}
    for wanted in (0.6, 0.95):
        own = settings(answer).model_copy(update={"evaluate": Evaluate(measure=f"recall:c at precision {wanted}")})
        parts = prove.judged_by(given, items, gold, exam, items, own)(np.arange(200))
        hits, told = parts.hits.sum(), (parts.trials - parts.true + parts.hits).sum()
        assert hits / told == pytest.approx(wanted, abs=0.12)
        found[wanted] = hits / parts.true.sum()
    assert found[0.6] > found[0.95] > 0.3


def test_what_second_looks_at_labels_were_worth() -> None:
    """A fifth of the first labels were wrong, and people put them right."""
    given, own, items, exam = labels(), settings(), Items.of(VECTORS[:300]), Items.of(VECTORS[EXAM])
    gold = pd.DataFrame({"label": np.array(CLASSES, dtype=object)[TRUTH[EXAM]], "weight": 1.0})
    judged = prove.judged_by(given, items, gold, exam, items, own)

    def looked(first: pd.Series) -> Looked | None:
        return prove.looked_again(judged, given.assign(first=first), items, gold, exam, items, own)

    some, right = np.arange(300) % 5 < 2, given.label
    wrong = right.map(dict(zip(CLASSES, np.roll(CLASSES, 1), strict=True))).where(np.arange(300) % 5 == 0, right)
    found, same = looked(wrong.where(some)), looked(right.where(some))
    assert found is not None and found.before is not None and found.after is not None
    assert (found.again, found.changed) == (120, 60) and found.before < found.after
    assert found.low is not None and found.high is not None and found.low <= found.after - found.before <= found.high
    assert same == Looked(120, 0) and looked(right.where(right == "")) is None
