"""Stage `stop`: whose word counts, and for how long."""

from pathlib import Path

import pytest

from labelwise.tasks.services.mlflow import Tracking
from labelwise.tasks.stop import GO_ON, STOP, Advised, Answers


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
