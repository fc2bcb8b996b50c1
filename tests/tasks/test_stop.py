"""Stage `stop`: whose word counts, and for how long."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks import figures, promote, stop
from labelwise.tasks.errors import SettingsError
from labelwise.tasks.labels import ledger
from labelwise.tasks.learners.frozen import Head
from labelwise.tasks.proof import prevalence, stopping
from labelwise.tasks.records import LABELS
from labelwise.tasks.services.mlflow import Tracking
from labelwise.tasks.stop import GO_ON, STOP, Advised, Answers, advised, worth_found
from labelwise.tasks.workspace import Workspace, write_parquet


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Kept in a real MLflow store that needs no server."""
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "PREFECT_API_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    made = Answers.__new__(Answers)
    made.tracking = Tracking("news-1")
    return made


@pytest.mark.parametrize(
    ("cause", "act", "answer", "ends"),
    [
        ("", "advise", "", ""),
        ("value", "advise", "", ""),
        ("value", "advise", STOP, "stopped, as you said"),
        ("value", "advise", GO_ON, ""),
        ("", "advise", STOP, "stopped, as you said"),
        ("", "stop", "", ""),
        ("value", "stop", "", "stopped by the rule of params.yaml: costs more"),
        ("value", "stop", GO_ON, ""),
    ],
)
def test_a_person_counts_for_more_than_the_rule(cause: str, act: str, answer: str, ends: str) -> None:
    verdict = Advised(cause, "costs more", act).verdict(answer)
    assert verdict.startswith(ends)
    assert bool(verdict) == bool(ends)


def test_an_answer_holds_until_the_advice_changes(answers: Answers) -> None:
    advice, others = Advised("value", "costs 2"), [Advised("", "pays"), Advised("stop.max_cost (5.0) is reached", "")]
    assert answers.to(advice) == ""
    answers.keep(GO_ON, advice)
    assert answers.to(Advised("value", "costs 3")) == GO_ON  # other figures, the same advice
    assert [answers.to(other) for other in [*others, Advised("value", "costs 2", act="stop")]] == ["", "", ""]
    answers.forget_others(Advised("value", "costs 3"))
    assert answers.to(advice) == GO_ON
    answers.forget_others(others[0])
    assert answers.to(advice) == ""  # it came again: it is asked again


# By how many there are


def made(folder: Path, **changed: object) -> Workspace:
    """A workspace judged by the F1 of one class, in which three labels count."""
    content = {
        "project": {"name": "news", "id": "1"},
        "classes": ["ham", "spam"],
        "pull": {"pool": "", "gold": ""},
        "evaluate": {"measure": "f1:spam"},
    }
    (folder / "params.yaml").write_text(json.dumps(content | changed))
    here = Workspace(folder)
    ledger.append(here.labels, 0, LABELS.frame())
    return here


def counted(here: Workspace, found: int, most: int, middle: int | None) -> None:
    spam = prevalence.ClassCount("spam", found, found, middle, most, most)
    figures.keep_proof(here, {"prevalence": prevalence.Prevalence(4000, 900, 180, [spam]).as_json()})


@pytest.mark.parametrize(
    ("found", "most", "middle", "stops", "said"),
    [
        (
            96,
            100,
            97,
            True,
            "at least 96 % of what is spam is found, with 95 % confidence (96 found, at most 100 there)",
        ),
        (94, 100, 97, False, "(94 found, at most 100 there); 95 % is wanted"),
        (0, 40, 0, True, "spam: none among 900 labelled; at most 1 % of the pool, with 95 % confidence"),
        (0, 60, 0, False, "spam: none among 900 labelled; at most 1.5 % of the pool, with 95 % confidence"),
        (9, 3100, None, False, "nobody can know how many are spam: no label was drawn by chance (select.control)"),
    ],
)
def test_a_loop_ends_when_the_class_is_found(
    tmp_path: Path, found: int, most: int, middle: int | None, stops: bool, said: str
) -> None:
    """Also before there is a model: all answers may be of one class."""
    here = made(tmp_path, stop={"rule": "recall"})
    assert advised(here).words == "go on: nobody has counted yet how many are spam"
    counted(here, found, most, middle)
    advice = advised(here)
    assert bool(advice.cause) == stops and said in advice.words
    figures_of_run = promote.of_class(here)  # nothing where nobody knows
    assert figures_of_run.get("in_pool") == middle and figures_of_run.get("found", found) == found


@pytest.mark.parametrize(("section", "key"), [("stop", {"rule": "recall"}), ("prove", {"found_worth": 5.0})])
def test_what_is_about_a_class_wants_a_measure_that_names_one(
    tmp_path: Path, section: str, key: dict[str, object]
) -> None:
    with pytest.raises(SettingsError, match=r"set that to one such as f1:spam"):
        stop.advice(made(tmp_path, evaluate={}, **{section: key}))


def test_what_a_batch_finds_is_worth_something(tmp_path: Path) -> None:
    here = made(tmp_path, prove={"found_worth": 5.0})
    assert worth_found(here) == 0
    scores = pd.DataFrame({"id": ["a", "b", "c"], "p0": [0.2, 0.9, 0.5], "p1": [0.8, 0.1, 0.5]})
    write_parquet(here.scores, scores)
    write_parquet(here.batch, pd.DataFrame({"id": ["a", "b"]}))
    head = Head(["ham", "spam"], np.arange(2), np.zeros((2, 2), np.float32), np.zeros(2, np.float32))
    here.model.mkdir()
    head.save(here.model)
    assert worth_found(here) == pytest.approx(4.5)
    replace(head, classes=["ham", "not known then"]).save(here.model)
    assert worth_found(here) == 0
    rounds = pd.DataFrame({"labels": [25, 50, 75, 100, 125, 150], "score": [0.9, 0.91, 0.91, 0.91, 0.91, 0.91]})
    rounds = rounds.assign(asks=25)
    assert stopping.value(rounds, stopping.Prices(10.0, 1.0)).stop
    paid = stopping.value(rounds, stopping.Prices(10.0, 1.0, found=12.0))
    assert not paid.stop and paid.why.endswith("what it should find is worth 12.00")
    assert not stopping.value(rounds.assign(score=1.0), stopping.Prices(10.0, 1.0, found=12.0)).stop
