"""Weak labels: kept, read under the names of today, and taken for what their sources' word was worth."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labelwise.tasks import agree, learners, train
from labelwise.tasks.labels import consensus, ledger, reliability, weak
from labelwise.tasks.records import CONSENSUS
from labelwise.tasks.settings import parse
from labelwise.tasks.workspace import Workspace, read_parquet
from tests.tasks.labels.rows import rows, unlabelled

CONTENT: dict[str, Any] = {
    "project": {"name": "n", "id": "i"},
    "classes": ["no", "yes"],
    "pull": {"pool": "p", "gold": "g"},
    "train": {"learner": "frozen"},
    "gold": {"reserve": 0.0},
}
N = 80
IDS = [f"i{n:02d}" for n in range(N)]
TRUTH = pd.Series(["no", "yes"] * (N // 2), IDS)


def settings(**more: Any) -> Any:
    return parse(CONTENT | more)


def said(source: str, labels: dict[str, str | None]) -> pd.DataFrame:
    made = [
        {"id": each, "label": label, "source": source, "written_at": "2026-01-01"} for each, label in labels.items()
    ]
    return pd.DataFrame(made)


def people(n: int) -> pd.DataFrame:
    return pd.DataFrame({"id": IDS[:n], "label": TRUTH[IDS[:n]].to_numpy()})


def other(label: str) -> str:
    return {"no": "yes", "yes": "no"}[label]


def test_a_source_is_believed_as_far_as_people_bear_it_out() -> None:
    good = said("rule:good", {each: TRUTH[each] for each in IDS})
    bad = said("llm:bad", {each: other(TRUTH[each]) if n % 3 else TRUTH[each] for n, each in enumerate(IDS)})
    unheard = reliability.combined(bad, people(0), settings())
    assert unheard.trust.mean() == pytest.approx(reliability.PRIOR, abs=0.05)  # nothing is known of it
    found = reliability.combined(pd.concat([good, bad]), people(40), settings()).set_index("id")
    assert found.index.tolist() == IDS[40:]
    assert found.label.tolist() == TRUTH[IDS[40:]].tolist() and (found.trust > 0.9).all()
    assert (found.people == 0).all() and (found.why == "weak").all()
    alone = reliability.combined(bad, people(40), settings())
    assert (alone.trust < 0.6).all()  # worth less than nothing counts as nothing, and is not turned round


def test_a_source_that_is_right_of_one_class_alone_is_believed_of_that() -> None:
    source = said(
        "rule:r", dict.fromkeys(IDS, "yes") | dict.fromkeys(IDS[1:40:2], "yes") | dict.fromkeys(IDS[0:40:2], "no")
    )
    half = reliability.combined(source, people(40), settings())
    assert (half.label == "yes").all() and (half.trust > 0.8).all()


def test_nobody_is_outvoted_and_strange_labels_say_nothing() -> None:
    source = said("rule:r", {IDS[0]: "no", IDS[1]: "maybe", IDS[2]: "yes"})
    found = reliability.combined(source, people(1), settings())
    assert found.id.tolist() == [IDS[2]]
    assert reliability.combined(source, people(3), settings()).equals(CONSENSUS.frame())


def test_of_several_labels_a_rule_says_what_holds_and_a_language_model_what_does_not_too() -> None:
    several = settings(kind={"answer": "multilabel"}, classes=["a", "b"])
    given = pd.DataFrame({"id": IDS[:20], "label": ['["a", "b"]'] * 20})
    word = dict.fromkeys(IDS[20:], '["a"]')
    by_rule = reliability.combined(said("rule:r", word), given, several)
    by_model = reliability.combined(said("llm:m", dict.fromkeys(IDS, '["a"]')), given, several)
    assert set(by_rule.label) == {'["a", "b"]'}  # people say b of everything, and the rule nothing of b
    assert set(by_model.label) == {'["a", "b"]'}  # that b is not there was never right
    unheard = reliability.combined(said("llm:m", word), given[:0], several)
    assert set(unheard.label) == {'["a"]'}
    assert reliability.combined(said("llm:m", word), given[:0], settings(kind={"answer": "spans"})).empty


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    noise = 0.6 * np.random.default_rng(0).standard_normal((N, 8))
    return unlabelled(tmp_path, CONTENT, IDS, np.eye(2, 8)[np.arange(N) % 2] + noise)


def test_a_later_row_takes_the_place_of_an_earlier_one(workspace: Workspace) -> None:
    weak.append(workspace, said("rule:a", {"x": "no", "y": "yes"}))
    assert weak.append(workspace, said("rule:a", {"x": None})).name == "weak-0002.parquet"
    weak.append(workspace, said("llm:m", {"x": "yes"}).assign(prompt="p", tokens_in=3, tokens_out=1, cost=0.1))
    assert weak.read(workspace).to_dict("records") == [
        {"id": "x", "label": "yes", "source": "llm:m"},
        {"id": "y", "label": "yes", "source": "rule:a"},
    ]
    assert weak.every(workspace).cost.sum() == pytest.approx(0.1)
    (workspace.root / "params.yaml").write_text(
        json.dumps(CONTENT | {"classes": ["no", "sure"], "renamed": {"yes": "sure"}})
    )
    workspace.reread()
    assert set(weak.read(workspace).label) == {"sure"}


def test_before_anybody_has_labelled_the_model_is_made_of_weak_labels(workspace: Workspace) -> None:
    weak.append(workspace, said("rule:a", {each: TRUTH[each] for each in IDS[::3]}))
    assert "weak ones of 27 items that nobody has labelled" in agree.run(workspace)
    assert "27 weak labels at 1 of one" in train.run(workspace)
    assert consensus.current(workspace).empty  # people have labelled nothing
    model, pool = learners.load(workspace.model), consensus.items_in(workspace)(pd.Series(IDS))
    assert model.trained and (model.probabilities(pool).argmax(axis=1) == np.arange(N) % 2).mean() > 0.8


def test_beside_people_weak_labels_count_as_far_as_they_help(workspace: Workspace) -> None:
    given = [{"id": each, "label": TRUTH[each], "annotation_id": n, "why": "margin"} for n, each in enumerate(IDS[:30])]
    ledger.append(workspace.labels, 1, rows(*given))
    agree.run(workspace)
    train.run(workspace)
    alone = (workspace.model / "head.safetensors").read_bytes()
    weak.append(workspace, said("llm:m", {each: other(TRUTH[each]) for each in IDS}))
    agree.run(workspace)
    train.run(workspace)  # people have shown that it is worth nothing
    assert (workspace.model / "head.safetensors").read_bytes() == alone
    weak.append(workspace, said("llm:m", {each: TRUTH[each] for each in IDS}))
    agree.run(workspace)
    train.run(workspace)
    assert (workspace.model / "head.safetensors").read_bytes() != alone
    written = read_parquet(workspace.consensus)
    assert len(consensus.current(workspace)) == 30 and len(written) == N
