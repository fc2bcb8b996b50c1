"""Stage `report`: the curve counts every round once, the words fit the figures."""

import json
from pathlib import Path

import pandas as pd
import pytest

from labelwise.tasks import figures, report
from labelwise.tasks.figures import CURVE, curve, seconds_by_stage, with_round
from labelwise.tasks.labels import ledger
from labelwise.tasks.records import BATCH, LABELS
from labelwise.tasks.reporting.rounds import in_words, markdown, table, turned
from labelwise.tasks.workspace import Workspace, write_csv, write_json, write_parquet

PARAMS = {"project": {"name": "n", "id": "i"}, "classes": ["x", "y"], "pull": {"pool": "p", "gold": "g"}}
NO_ROUNDS = pd.DataFrame(columns=CURVE)


def measured(accuracy: float) -> dict[str, float]:
    return {
        "accuracy": accuracy,
        "accuracy_low": accuracy - 0.05,
        "accuracy_high": accuracy + 0.05,
        "macro_f1": accuracy - 0.01,
        "calibration_error": 0.1,
    }


def rounds(count: int) -> pd.DataFrame:
    """Round 0 without a model, then `count` rounds of 25 labels."""
    made = with_round(NO_ROUNDS, row(0, 0))
    for number in range(1, count + 1):
        made = with_round(made, row(number, 25 * number, 0.7 + number / 10))
    return made


def row(number: int, labels: int, accuracy: float | None = None) -> dict[str, float | None]:
    figures = {} if accuracy is None else {"score": accuracy, "low": accuracy - 0.05, "high": accuracy + 0.05}
    return {"round": number, "labels": labels, "asks": 25, **figures}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """One round is over: two labels, one item asked next."""
    made = Workspace(tmp_path)
    shown = {"project": {"name": "p", "id": "p"}, "classes": ["a", "b"], "pull": {"pool": "p", "gold": "g"}}
    (tmp_path / "params.yaml").write_text(json.dumps(shown), encoding="utf-8")
    ledger.append(made.labels, 0, LABELS.frame())
    given = pd.DataFrame({"id": ["a", "b"], "label": "x", "status": "labelled", "round": 1})
    ledger.append(made.labels, 1, LABELS.conform(given.reindex(columns=list(LABELS.columns))))
    asked = pd.DataFrame({"id": ["c"], "rank": [1]})
    write_parquet(made.batch, asked.reindex(columns=list(BATCH.columns)), BATCH)
    write_json(made.metrics / "gold.json", measured(0.8))
    write_parquet(made.scores, scores(["x", "x", "y"]))
    return made


def scores(predictions: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame({"id": list("abc"), "prediction": predictions, "least_confidence": [0.1, 0.2, 0.3]})


# The curve


def test_a_round_played_again_counts_once_and_what_came_after_it_is_void() -> None:
    again = with_round(rounds(3), row(2, 49, 0.85))
    assert again["round"].tolist() == [0, 1, 2]
    assert again.labels.tolist() == [0, 25, 49]
    assert again.columns.tolist() == CURVE


def test_the_stage_adds_this_round_to_the_file_once(workspace: Workspace) -> None:
    for _ in range(2):
        assert in_words(report.run(workspace)).startswith("Round 1: With 2 labels")
    kept = curve(workspace)
    assert kept[["round", "labels", "score", "asks"]].to_numpy().tolist() == [[1, 2, 0.8, 1]]


@pytest.mark.parametrize("name", ["macro_f1", "f1:a"])
def test_rounds_that_were_judged_by_another_measure_keep_their_figures(workspace: Workspace, name: str) -> None:
    report.run(workspace)
    content = json.loads((workspace.root / "params.yaml").read_text()) | {"evaluate": {"measure": name}}
    (workspace.root / "params.yaml").write_text(json.dumps(content), encoding="utf-8")
    workspace = Workspace(workspace.root)
    write_json(workspace.metrics / "gold.json", measured(0.9) | {name: 0.4, f"{name}_low": 0.3, f"{name}_high": 0.5})
    ledger.append(workspace.labels, 2, LABELS.frame())
    for _ in range(2):
        assert in_words(report.run(workspace), "the measure").startswith(
            "Round 2: With 2 labels the model's the measure"
        )
    kept = curve(workspace)
    assert kept[["round", "score", "low"]].to_numpy()[1].tolist() == [2, 0.4, 0.3]
    assert kept.score.isna().tolist() == [True, False]
    raw = pd.read_csv(workspace.metrics / "curve.csv")
    assert raw.accuracy.tolist()[0] == 0.8 and raw[name].tolist()[1] == 0.4 and "score" not in raw
    (workspace.root / "params.yaml").write_text(json.dumps(content | {"evaluate": {}}), encoding="utf-8")
    third = json.loads((workspace.root / "params.yaml").read_text()) | {"evaluate": {"measure": "balanced_accuracy"}}
    (workspace.root / "params.yaml").write_text(json.dumps(third), encoding="utf-8")
    assert curve(Workspace(workspace.root)).score.isna().all()
    (workspace.root / "params.yaml").write_text(json.dumps(content | {"evaluate": {}}), encoding="utf-8")
    before = curve(Workspace(workspace.root)).score
    assert before.tolist()[0] == 0.8 and before.isna().tolist() == [False, True]


def test_what_a_round_said_of_savings_is_kept_when_later_rounds_say_otherwise(workspace: Workspace) -> None:
    (workspace.root / "params.yaml").write_text(json.dumps(PARAMS))

    def find(middle: float) -> None:
        interval = {"middle": middle, "low": middle / 2, "high": middle * 2}
        shares = dict.fromkeys(("ratio", "needed", "projected", "saved"), interval)
        write_json(
            workspace.metrics / "proof.json",
            {"savings": {"verdict": "unclear", "labels": 2, "control": 1, "curves": {}, **shares}},
        )
        report.run(workspace)

    find(0.5)
    ledger.append(workspace.labels, 2, LABELS.frame())
    find(0.9)
    kept = figures.savings(workspace)
    assert kept["round"].tolist() == [1, 2]
    assert kept.ratio.tolist() == [0.5, 0.9]


def test_columns_that_an_earlier_version_wrote_stay(workspace: Workspace) -> None:
    write_csv(workspace.metrics / "savings.csv", pd.DataFrame({"round": [0], "ratio": [0.4], "money": [3.5]}))
    kept = figures.savings(workspace)
    assert kept.columns.tolist() == [*figures.SAVINGS, "money"]
    assert with_round(kept, {"round": 1, "ratio": 0.5}).money.tolist()[0] == 3.5


# Words


def test_news_before_the_first_model() -> None:
    for nothing in (NO_ROUNDS, rounds(0)):
        assert in_words(nothing).startswith("Your answers train a model.")
    untold = rounds(2).assign(score=None, low=None, high=None, calibration_error=0.1)
    assert in_words(untold, "F1 of spam").startswith("Your answers have trained a model. What its F1 of spam is")


def test_news_of_the_first_model() -> None:
    assert in_words(rounds(1)) == (
        "Round 1: With 25 labels the model is right in 80.0% of the gold set "
        "(95 % interval 75.0% to 85.0%). That is the first model: thank you."
    )


def test_news_of_a_later_model_tells_what_the_last_labels_did() -> None:
    said = in_words(rounds(2))
    assert said.startswith("Round 2: your last 25 labels took it from 80.0% to 90.0%. With 50 labels")
    assert "first model" not in said


@pytest.mark.parametrize("labels", [50, 47])
def test_news_of_a_round_that_has_no_label_more_or_fewer_claims_nothing(labels: int) -> None:
    said = in_words(with_round(rounds(2), row(3, labels, 0.9)))
    assert said.startswith(f"Round 3: With {labels} labels the model is right in 90.0%")
    assert "took it from" not in said


def test_news_are_the_same_after_the_disk(tmp_path: Path) -> None:
    rounds(2).to_csv(tmp_path / "curve.csv", index=False)
    assert in_words(pd.read_csv(tmp_path / "curve.csv")) == in_words(rounds(2))


# Tables


def test_the_table_shows_seconds_of_the_rounds_that_have_them() -> None:
    seconds = pd.DataFrame({"round": [1], "embed": [12.34], "train": [None]})
    cells = table(rounds(2), seconds)
    assert cells.columns.tolist() == ["round", "labels", "accuracy (95 %)", "embed s", "train s"]
    assert cells.to_numpy().tolist() == [
        ["0", "0", "no model yet", "", ""],
        ["1", "25", "0.800 (0.750-0.850)", "12.3", ""],
        ["2", "50", "0.900 (0.850-0.950)", "", ""],
    ]
    assert markdown(cells).splitlines()[:3] == [
        "| round | labels | accuracy (95 %) | embed s | train s |",
        "| --: | --: | --: | --: | --: |",
        "| 0 | 0 | no model yet |  |  |",
    ]


def test_tables_without_any_round_or_seconds(workspace: Workspace) -> None:
    nothing = seconds_by_stage(workspace)
    assert len(markdown(table(curve(workspace), nothing)).splitlines()) == 2
    assert table(rounds(1), nothing).shape == (2, 3)


# Seconds


def test_seconds_outlive_an_interruption_and_are_kept_by_round(workspace: Workspace) -> None:
    figures.spend(workspace, "embed", 1.5)
    figures.spend(Workspace(workspace.root), "embed", 2.0)  # another process went on
    figures.spend(workspace, "wait", 3.0)
    for _ in range(2):
        figures.keep_spent(workspace, 1)
    assert seconds_by_stage(workspace).to_dict("records") == [{"round": 1, "embed": 3.5, "wait": 3.0}]
    figures.reset_spent(workspace)
    figures.reset_spent(workspace)
    assert figures.spent(workspace) == {}

    figures.spend(workspace, "train", 1.0)
    figures.keep_spent(workspace, 2)
    assert seconds_by_stage(workspace)["round"].tolist() == [1, 2]
    assert seconds_by_stage(workspace).train.dropna().tolist() == [1.0]

    figures.reset_spent(workspace)
    (workspace.scraps / "player").unlink()  # as in a clone
    figures.spend(workspace, "train", 2.5)
    figures.keep_spent(workspace, 2)
    assert len(list((workspace.metrics / "seconds").iterdir())) == 2  # each copy has its own: git merges them as is
    write_csv(workspace.metrics / "seconds.csv", pd.DataFrame({"round": [0, 1], "embed": [8.0, 1.0]}))  # of before
    assert seconds_by_stage(workspace).set_index("round")[["embed", "train"]].sum(axis=1).tolist() == [8.0, 4.5, 3.5]


def test_what_turned_right_and_what_turned_wrong() -> None:
    before = pd.DataFrame({"id": list("abcd"), "actual": "x", "predicted": ["x", "y", "x", "y"]})
    now = pd.DataFrame({"id": list("eabcd"), "actual": "x", "predicted": ["x", "x", "x", "y", "z"]})
    found = turned(now, before)
    assert found[["id", "before", "now", "right"]].to_numpy().tolist() == [
        ["b", "y", "x", True],
        ["c", "x", "y", False],
    ]
