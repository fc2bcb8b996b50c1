"""Rehearsals: paired, resumable, the figures as defined, and a clear line for what cannot be rehearsed."""

import itertools
import json
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from labelwise.flows import rehearse as flow
from labelwise.tasks.errors import InputError, SettingsError
from labelwise.tasks.kinds import measure, multilabel
from labelwise.tasks.learners import Exam, Examples, Items, auto, encoder, frozen
from labelwise.tasks.settings import Columns, Settings, parse
from labelwise.tasks.trial import kept, rehearsal
from labelwise.tasks.trial.plan import Plan, gathered, rows_of, settings_of
from labelwise.tasks.trial.rehearsal import Run, area, labels_for, summary, verdict

CLASSES = ["bad", "fine", "good"]


class StandIn:
    """An encoder of no weight: texts of one class lie together."""

    calls: list[int] = []  # noqa: RUF012

    def __init__(self, *_settings: Any) -> None: ...

    def encode(self, texts: list[str], progress: Any = lambda _done: None) -> NDArray[np.float32]:
        self.calls.append(len(texts))
        progress(len(texts))
        rows = []
        for text in texts:
            number = int(text.split()[1]) if " " in text else 0  # a name alone is that of a class
            rng = np.random.default_rng(sum(text.encode()) + 1000 * number)
            rows.append(np.eye(16)[CLASSES.index(text.split()[0])] + rng.normal(0, 0.4, 16))
        vectors = np.array(rows)
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def unknown(self, texts: list[str]) -> NDArray[np.float32]:
        return np.zeros(len(texts), np.float32)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "Encoder", StandIn)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    StandIn.calls = []


def csv(folder: Path, name: str, start: int, count: int, classes: list[str] = CLASSES) -> str:
    rows = [(f"{classes[n % len(classes)]} {n}", classes[n % len(classes)]) for n in range(start, start + count)]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / name, index=False)
    return str(folder / name)


def plan_of(folder: Path, **changes: Any) -> Plan:
    content: dict[str, Any] = {
        "pool": csv(folder, "pool.csv", 0, 90),
        "gold": csv(folder, "gold.csv", 90, 60),
        "strategies": ["random", "margin"],
        "learners": ["frozen"],
        "batch": 6,
        "rounds": 4,
        "seeds": 2,
        "noise": 0.0,
    }
    return Plan(**content | changes)


def played(plan: Plan, out: Path) -> tuple[dict[str, Any], list[str]]:
    told: list[str] = []
    return flow.rehearse(plan, out, None, told.append), told


def test_the_figures_are_those_of_the_rounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, told = played(plan_of(tmp_path), tmp_path / "out")
    assert capsys.readouterr().out.strip().endswith(content["verdict"])
    assert {tuple(run) for run in content["runs"]} == {
        ("strategy", "learner", "seed", "labels", "score", "seconds", "accuracy")
    }
    assert all(run["score"] == run["accuracy"] for run in content["runs"])
    assert (content["measure"], content["full"]["score"]) == ("accuracy", content["full"]["accuracy"])
    assert len(content["runs"]) == 4
    for run in content["runs"]:
        assert run["labels"] == [6, 12, 18, 24]
        assert len(run["seconds"]) == 4
        assert max(run["accuracy"]) <= 1
    assert content["full"]["accuracy"] > 0.8
    saved = json.loads((tmp_path / "out" / "rehearsal.json").read_text())
    assert saved == json.loads(json.dumps(content))
    assert (tmp_path / "out" / "rehearsal.png").stat().st_size > 10_000
    assert any("MLflow" in line for line in told)
    assert any(line.endswith("the whole pool gives " + f"{content['full']['accuracy']:.3f} (frozen)") for line in told)
    assert [line for line in told if "cold start" in line] == [
        "rehearse: 2 of 8 batches of margin are by typiclust (cold start: margin needs labels of two classes)"
    ]


def test_a_rehearsal_that_was_cut_off_goes_on_and_comes_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tmp_path, strategies=["random", "bandit"])
    whole, _ = played(plan, tmp_path / "whole")
    StandIn.calls = []
    saved = kept.write_json
    written = itertools.count()

    def die(path: Path, content: Any) -> None:
        saved(path, content)
        if path.parent.name == "runs" and next(written) == 9:  # in the middle of the third run
            raise KeyboardInterrupt

    monkeypatch.setattr(kept, "write_json", die)
    with pytest.raises(KeyboardInterrupt):
        played(plan, tmp_path / "cut")
    monkeypatch.setattr(kept, "write_json", saved)
    again, _ = played(plan, tmp_path / "cut")

    def without_times(content: dict[str, Any]) -> list[dict[str, Any]]:
        return [{key: value for key, value in run.items() if key != "seconds"} for run in content["runs"]]

    assert without_times(again) == without_times(whole)
    assert StandIn.calls == [90, 60]  # nothing is encoded twice


def test_played_again_nothing_is_done_twice_and_mlflow_has_each_run_once(tmp_path: Path) -> None:
    import mlflow

    plan = plan_of(tmp_path, seeds=1)
    first, _ = played(plan, tmp_path / "out")
    second, told = played(plan, tmp_path / "out")
    assert any("1 of 4 batches of margin are by typiclust (cold start" in line for line in told)
    assert second["runs"] == first["runs"]  # the seconds too: they were read, not measured
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'out' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("rehearsal")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["labelwise.strategy"] for run in runs) == ["all", "margin", "random"]
    assert list((tmp_path / "out" / "mlflow").rglob("rehearsal.png"))  # and not in the folder one happens to be in
    margin = next(run for run in runs if run.data.tags["labelwise.strategy"] == "margin")
    history = client.get_metric_history(margin.info.run_id, "accuracy")
    assert [(point.step, point.value) for point in history] == list(
        zip(first["runs"][1]["labels"], first["runs"][1]["accuracy"], strict=True)
    )


def test_what_is_chance_but_not_strategy_is_the_same_for_all(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": [f"i{n}" for n in range(300)], "text": "", "label": "fine"})
    rows = rehearsal.Rows(table, np.zeros((300, 2), np.float16))
    wrong = [(rows.answers(0.2, CLASSES, seed) != "fine").to_numpy() for seed in (0, 0, 1)]
    assert (wrong[0] == wrong[1]).all()
    assert (wrong[0] != wrong[2]).any()
    assert 0.1 < wrong[0].mean() < 0.3
    assert (rows.answers(0, CLASSES, 0) == "fine").all()


def test_an_encoder_that_gives_no_numbers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: StandIn, texts: list[str], _progress: Any) -> NDArray[np.float32]:
        return np.full((len(texts), 16), np.nan, np.float32)

    monkeypatch.setattr(StandIn, "encode", broken)
    with pytest.raises(InputError, match="vectors that are no numbers: expected finite figures"):
        played(plan_of(tmp_path), tmp_path / "out")


def test_rows_that_are_all_the_same_cannot_be_rehearsed(tmp_path: Path) -> None:
    pd.DataFrame({"text": ["good 1"] * 40, "label": ["good", "bad"] * 20}).to_csv(tmp_path / "same.csv", index=False)
    with pytest.raises(InputError, match="two classes in the pool"):
        played(plan_of(tmp_path, pool=str(tmp_path / "same.csv")), tmp_path / "out")


def world(**train: Any) -> tuple[rehearsal.Rows, rehearsal.Rows, Settings]:
    """A pool of 60 whose first three items are nearly those of gold, and a gold set of 30."""
    rng = np.random.default_rng(0)
    vectors = np.eye(16)[np.arange(90) % 3] + rng.normal(0, 0.3, (90, 16))
    vectors[:3] = vectors[60:63] + rng.normal(0, 0.001, (3, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    table = pd.DataFrame({"id": [f"i{n:02d}" for n in range(90)], "label": [CLASSES[n % 3] for n in range(90)]})
    table = table.assign(text=table.id)
    pool, gold = (
        rehearsal.Rows(table[part].reset_index(drop=True), vectors[part]) for part in (slice(0, 60), slice(60, 90))
    )
    content = {"project": {"name": "n", "id": "i"}, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}}
    select = {"strategy": "margin", "control": 0.0, "near_duplicate": None}
    return pool, gold, parse(content | {"select": select, "train": {"learner": "frozen", **train}})


def test_what_is_nearly_gold_is_neither_asked_nor_learned_as_in_the_loop() -> None:
    pool, gold, settings = world()
    *_, run = rehearsal.play(Run("margin", "frozen", 0), pool, gold, settings, [20] * 4, 0.0)
    assert run.labels == [20, 40, 57]  # the pool, but for three
    assert not {"i00", "i01", "i02"} & {item for batch in run.asked for item in batch}


def test_rounds_that_go_on_know_what_learners_were_chosen_by_before(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []

    def fit(examples: Examples, pool: Items, settings: Settings) -> auto.Auto:
        seen.append([exam.labels for exam in examples.exams])
        exam = Exam(len(examples), -0.25, 0.125) if len(examples) > 6 else None
        return auto.Auto({"frozen": frozen.of_one(examples, settings, pool)}, "made for this test", exam)

    monkeypatch.setattr(auto, "fit", fit)
    pool, gold, settings = world(learner="auto")
    *_, run = rehearsal.play(Run("margin", "auto", 0), pool, gold, settings, [6] * 3, 0.0)
    assert run.exams == [[], [12, -0.25, 0.125], [18, -0.25, 0.125]]
    assert seen == [[], [], [12]]
    again = Run.of(json.loads(json.dumps(asdict(run))))
    seen.clear()
    list(rehearsal.play(again, pool, gold, settings, [6] * 4, 0.0))
    assert seen == [[12, 18], [12, 18]]  # the model it stopped at, and the next


def test_self_training_takes_no_item_that_has_a_label_as_in_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, gold, settings = world(self_training=True)
    offered: list[int] = []

    def around(fit: Any, items: Items) -> Any:
        offered.append(len(items))
        return fit

    monkeypatch.setattr("labelwise.tasks.train.self_training.around", around)
    list(rehearsal.play(Run("margin", "frozen", 0), pool, gold, settings, [20, 20], 0.0))
    assert offered == [37, 17]  # 57 less those that were answered


def test_vectors_that_are_all_the_same_are_rehearsed() -> None:
    table = pd.DataFrame({"id": [f"i{n:02d}" for n in range(30)], "text": "", "label": CLASSES * 10})
    rows = rehearsal.Rows(table, np.tile(np.eye(4, dtype=np.float16)[:1], (30, 1)))
    content = {"project": {"name": "n", "id": "i"}, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}}
    content |= {"select": {"strategy": "auto", "control": 0.0}, "gold": {"near_duplicate": None}}
    settings = parse(content | {"train": {"learner": "frozen"}})
    exam = rehearsal.Rows(table.assign(id="gold " + table.id), rows.vectors)
    *_, run = rehearsal.play(Run("auto", "frozen", 0), rows, exam, settings, [6, 6, 6], 0.0)
    assert run.labels == [6, 12, 18]


@pytest.mark.parametrize("strategy", ["random", "margin", "badge"])
def test_sets_of_classes_are_rehearsed_and_score_by_their_f1(strategy: str) -> None:
    rng = np.random.default_rng(0)
    holds = rng.random((200, 3)) < 0.4
    vectors = (holds @ np.eye(3, 16) + 0.3 * rng.normal(size=(200, 16))).astype(np.float16)
    labels = [multilabel.label_of(np.array(CLASSES)[row]) for row in holds]
    table = pd.DataFrame({"id": [f"i{n:03d}" for n in range(200)], "text": "", "label": labels})
    pool, gold = (
        rehearsal.Rows(table[part].reset_index(drop=True), vectors[part]) for part in (slice(150), slice(150, 200))
    )
    content = {"project": {"name": "n", "id": "i"}, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}}
    content |= {"select": {"strategy": strategy, "control": 0.0}, "kind": {"answer": "multilabel"}}
    settings = parse(content | {"train": {"learner": "frozen"}, "gold": {"near_duplicate": None}})
    *_, run = rehearsal.play(Run(strategy, "frozen", 0), pool, gold, settings, [20] * 4, 0.0)
    assert run.labels == [20, 40, 60, 80] and run.score[-1] > 0.75
    assert run.as_json(measure(settings)).keys() == {"strategy", "learner", "seed", "labels", "score", "seconds"}
    wrong = pool.answers(0.5, CLASSES, 0, multilabel)
    assert 0.3 < (wrong.to_numpy() != pool.table.label).mean() < 0.7
    assert set(wrong) <= {multilabel.label_of(names) for n in range(4) for names in combinations(CLASSES, n)}


def test_a_class_that_is_rare_is_looked_for_by_its_name_but_not_by_chance(tmp_path: Path) -> None:
    names = ["good"] * 190 + ["bad"] * 10
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"label": rng.permutation(names)})
    table = table.assign(id=[f"i{n:03d}" for n in range(200)], text=[f"{of} {n}" for n, of in enumerate(table.label)])
    pool = rehearsal.Rows(table, StandIn().encode(table.text.tolist()).astype(np.float16))
    exam = rehearsal.Rows(table.assign(id="gold " + table.id), pool.vectors)
    given = settings_of(plan_of(tmp_path), ["bad", "good"])
    settings = given.model_copy(update={"gold": given.gold.model_copy(update={"near_duplicate": None})})
    found = {}
    for strategy in ("random", "margin"):
        own = kept.settings_of_run(settings, strategy, "frozen", 0)
        *_, run = rehearsal.play(Run(strategy, "frozen", 0), pool, exam, own, [10] * 3, 0.0)
        found[strategy] = sum(why == "seed" for whys in run.why for why in whys)
    assert found["random"] == 0 < found["margin"]


def test_runs_are_judged_by_the_measure_that_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = replace(plan_of(tmp_path), measure="f1:bad")
    content = flow.rehearse(plan, tmp_path / "out", None, lambda _line: None)
    assert content["measure"] == "F1 of bad" and "accuracy" not in content["runs"][0]
    plain = flow.rehearse(plan_of(tmp_path), tmp_path / "plain", None, lambda _line: None)
    assert content["runs"][0]["score"] != plain["runs"][0]["score"] == plain["runs"][0]["accuracy"]
    assert "F1 of bad" in capsys.readouterr().out
    exact = flow.rehearse(
        replace(plan, measure="recall:bad at precision 0.9"), tmp_path / "at", None, lambda _line: None
    )
    assert exact["measure"] == "recall of bad (at precision 0.9)" and 0 <= exact["full"]["score"] <= 1
    with pytest.raises(InputError, match=r"--measure: 'recall:bad at precision 9': expected a precision above 0"):
        flow.rehearse(replace(plan, measure="recall:bad at precision 9"), tmp_path / "other", None, lambda _line: None)
    with pytest.raises(InputError, match="--measure: 'f1:bda' names none of the classes; did you mean 'f1:bad'"):
        flow.rehearse(replace(plan, measure="f1:bda"), tmp_path / "other", None, lambda _line: None)


def test_without_gold_a_third_of_every_class_measures(tmp_path: Path) -> None:
    told: list[str] = []
    pool, gold = gathered(plan_of(tmp_path, gold=None), told.append)
    assert gold.label.value_counts().tolist() == [10, 10, 10]
    assert len(pool) == 60
    assert not set(pool.id) & set(gold.id)
    assert "no --gold" in told[0]


@pytest.mark.parametrize("with_gold", [False, True])
def test_groups_are_whole_on_one_side_and_reach_learner_and_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_gold: bool
) -> None:
    """Five rows a group, in two classes; each ninth row in none."""
    plan = plan_of(tmp_path, strategies=["random"], seeds=1, rounds=2, columns=Columns(group="thread"))
    plan = plan if with_gold else replace(plan, gold=None)
    for name, start, count in (("pool.csv", 0, 180), ("gold.csv", 152, 90)):
        rows = pd.read_csv(csv(tmp_path, name, start, count))
        thread = [f"t{n // 5}" if n % 9 else " " for n in range(start, start + count)]
        rows.assign(thread=thread).to_csv(tmp_path / name, index=False)
    told: list[str] = []
    pool, gold = gathered(plan, told.append)
    assert not set(pool.group.dropna()) & set(gold.group.dropna())
    assert pool.group.isna().any() and gold.group.isna().any()
    assert (len(pool) + len(gold) == 180) == (not with_gold)
    assert set(pool.label) == set(gold.label) == set(CLASSES)
    assert any("a group that gold has" in line for line in told) == with_gold
    seen: list[Any] = []
    fit = frozen.fit
    monkeypatch.setattr(frozen, "fit", lambda *given: (seen.append(given[0].items.groups), fit(*given))[1])
    played(plan, tmp_path / "out")
    runs = json.loads(next((tmp_path / "out" / "runs").iterdir()).read_text())
    assert all(groups is not None and len(groups) for groups in seen)
    groups = pool.set_index("id").group[runs["asked"][0]].dropna()
    assert groups.is_unique  # a batch has one item of a group


def test_rows_that_cannot_count_are_left_out_and_told(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    source = Path(plan.pool)
    source.write_text("text,label\ngood 1,good\nGOOD  1,good\n,good\nbad 2,\nbad 3,bad\nunread: fine 4,fine\n")
    told: list[str] = []
    pool = rows_of(plan.pool, plan, told.append)
    assert pool.text.tolist() == ["good 1", "bad 3", "unread: fine 4"]
    assert "2 rows without text or label and 1 repeated one left out" in told[0]


def test_the_pool_may_end_before_the_rounds_do_and_noise_is_in_its_labels_too(tmp_path: Path) -> None:
    content, told = played(plan_of(tmp_path, batch=40, seeds=1, noise=0.6), tmp_path / "out")
    assert content["full"]["accuracy"] == pytest.approx(content["runs"][0]["accuracy"][-1], abs=0.15)
    assert content["full"]["accuracy"] < 0.8
    assert any("its labels as noisy as the runs' (60% wrong)" in line for line in told)
    assert content["runs"][0]["labels"] == [40, 80, 90]
    assert any("the pool ends after 90 labels" in line for line in told)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"strategies": ["random", "margn"]}, SettingsError, "one of auto, .*, got 'margn'.*did you mean `margin`"),
        ({"learners": ["frozn"]}, SettingsError, "one of auto, .*, got 'frozn'.*did you mean `frozen`"),
        ({"batch": 91}, InputError, "a first batch of at most 90"),
        ({"pool": "nowhere.csv"}, InputError, "nowhere.csv"),
    ],
)
def test_what_cannot_be_rehearsed(tmp_path: Path, changes: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        played(plan_of(tmp_path, **changes), tmp_path / "out")
    assert not (tmp_path / "out" / "runs").exists()


def test_a_name_of_the_settings_file_that_nobody_knows(tmp_path: Path) -> None:
    """Also one that a rehearsal itself has no use for: the loop that follows has."""
    content = {
        "project": {"name": "n", "id": "0123456789"},
        "classes": ["bad", "good"],
        "pull": {"pool": "pool.csv", "gold": "gold.csv"},
        "stop": {"rule": "kapa"},
    }
    params = tmp_path / "params.yaml"
    params.write_text(json.dumps(content))
    with pytest.raises(SettingsError, match=r"stop.rule.*got 'kapa'"):
        played(plan_of(tmp_path, params=str(params)), tmp_path / "out")
    assert not (tmp_path / "out" / "runs").exists()


def test_one_class_alone_cannot_be_rehearsed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"two classes in the pool.*got 20 pool rows of 1 \(good\), 60 gold rows"):
        played(plan_of(tmp_path, pool=csv(tmp_path, "one.csv", 0, 20, ["good"])), tmp_path / "out")


def test_a_folder_of_another_rehearsal_is_refused(tmp_path: Path) -> None:
    played(plan_of(tmp_path, seeds=1, rounds=1), tmp_path / "out")
    with pytest.raises(InputError, match=r"another --out"):
        played(plan_of(tmp_path, batch=7, seeds=1, rounds=1), tmp_path / "out")
    more, _ = played(plan_of(tmp_path, seeds=1, rounds=3), tmp_path / "out")  # more rounds of the same are welcome
    assert more["runs"][0]["labels"] == [6, 12, 18]


# The figures


def run_of(accuracy: list[float], strategy: str = "margin", seed: int = 0) -> Run:
    labels = [10 * (at + 1) for at in range(len(accuracy))]
    return Run(strategy, "frozen", seed, labels, accuracy, [1.0] * len(accuracy))


def test_labels_needed_lie_on_the_line_between_two_points() -> None:
    run = run_of([0.5, 0.7, 0.6, 0.9])
    assert labels_for(run, 0.4) == 10
    assert labels_for(run, 0.6) == pytest.approx(15)
    assert labels_for(run, 0.8) == pytest.approx(30 + 10 * 0.2 / 0.3)
    assert labels_for(run, 0.95) is None


def test_the_area_is_the_mean_height_of_the_curve() -> None:
    assert area(run_of([0.5, 0.7, 0.6])) == pytest.approx((0.6 + 0.65) / 2)
    assert area(run_of([0.5])) == 0.5


def test_a_strategy_that_needs_half_is_said_to() -> None:
    quick = [run_of([0.5, 0.98 + 0.001 * seed, 0.99, 0.99], "margin", seed) for seed in range(5)]
    slow = [run_of([0.5, 0.6, 0.7, 0.98 + 0.001 * seed], "random", seed) for seed in range(5)]
    entries = summary([*slow, *quick], {"frozen": 1.0})
    assert entries[1]["ratio"]["mean"] == pytest.approx(0.5, abs=0.01)
    assert entries[1]["ratio"]["bound"] == ""
    assert entries[0]["labels"]["98%"] == pytest.approx(40, abs=0.5)
    assert verdict(entries).startswith("margin (frozen) needs 0.50 (0.50 to 0.50)")


def test_no_gain_is_said_to_be_none() -> None:
    pairs = [(0.98, 0.7), (0.7, 0.98), (0.9, 0.9), (0.98, 0.7), (0.7, 0.98)]
    runs = [
        run_of([0.5, value, 0.99], strategy, seed)
        for seed, both in enumerate(pairs)
        for strategy, value in zip(("random", "margin"), both, strict=True)
    ]
    assert verdict(summary(runs, {"frozen": 1.0})).startswith("no gain here")


def test_a_run_that_never_gets_there_is_not_dropped() -> None:
    never = [run_of([0.5, 0.6, 0.7], "random", seed) for seed in range(3)]
    there = [run_of([0.5, 0.99, 0.99], "margin", seed) for seed in range(3)]
    entries = summary([*never, *there], {"frozen": 1.0})
    assert entries[1]["ratio"]["bound"] == "at most"
    assert entries[0]["labels"]["98%"] is None
    assert "not reached" in rehearsal.table(entries).iloc[0].tolist()
    assert summary([*there, *never], {"frozen": 1.0})[0]["ratio"]["bound"] == "at most"


def test_one_seed_is_no_comparison() -> None:
    entries = summary([run_of([0.5, 0.6, 0.99], "random"), run_of([0.5, 0.99, 0.99])], {"frozen": 1.0})
    assert verdict(entries).startswith("one seed is no comparison")


def test_a_rehearsal_that_shows_nothing_says_so() -> None:
    def run(strategy: str, seed: int, level: float) -> Run:
        return Run(strategy, "frozen", seed, [10, 20], [level, level + 0.05], [1.0, 1.0], [[], []], [[], []])

    runs = [run(name, seed, level) for seed in (0, 1) for name, level in (("random", 0.3), ("auto", 0.4))]
    entries = summary(runs, {"frozen": 0.9})
    assert verdict(entries).startswith("cannot tell: no run came to 90%")
    silent = [replace(run, score=[0.0] * len(run.score)) for run in runs]  # nor does the whole pool's model say it
    assert verdict(summary(silent, {"frozen": 0.0})).startswith("cannot tell")
    assert "cannot tell" in rehearsal.table(entries).to_string()


def test_without_gold_a_class_with_one_row_can_be_learned(tmp_path: Path) -> None:
    rows = pd.DataFrame({"text": [f"text {n}" for n in range(31)], "label": ["a", "b"] * 15 + ["rare"]})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    plan = Plan(str(tmp_path / "rows.csv"), None, ["random"], ["frozen"], 2, 1, 1, 0.0)
    pool, gold = gathered(plan, lambda _line: None)
    assert "rare" in set(pool.label)
    assert len(gold) == 10
