"""What several people said, taken together: better than a majority where people differ, no worse where they do not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds import multilabel
from labelwise.tasks.labels import agreement
from labelwise.tasks.labels.aggregate import Answers, dawid_skene, majority, quality
from labelwise.tasks.labels.agreement import Asked

Truth = NDArray[np.int64]


def crowd(seed: int, each: int, good: tuple[float, float], classes: int = 4, n: int = 600) -> tuple[Answers, Truth]:
    """n items, of which `each` people label each; how often a person is right is a draw of a beta distribution."""
    rng = np.random.default_rng(seed)
    truth, people = rng.integers(0, classes, n), 30
    right = rng.beta(*good, people)
    person = np.concatenate([rng.choice(people, each, replace=False) for _ in range(n)])
    item = np.repeat(np.arange(n), each)
    wrong = (truth[item] + rng.integers(1, classes, len(item))) % classes
    label = np.where(rng.random(len(item)) < right[person], truth[item], wrong)
    return Answers(item, person, label, n, people, classes), truth


def scores(each: int, good: tuple[float, float]) -> tuple[float, float]:
    """How often a majority is right, and Dawid and Skene's way, in the mean of eight crowds."""
    found = []
    for seed in range(8):
        answers, truth = crowd(seed, each, good)
        found.append([(way(answers).label == truth).mean() for way in (majority, dawid_skene)])
    many, ours = np.mean(found, axis=0)
    return float(many), float(ours)


def test_people_who_differ_are_told_apart() -> None:
    many, ours = scores(3, (2.0, 1.2))
    assert ours > many + 0.03


@pytest.mark.parametrize("each", [1, 2, 3])
def test_where_there_is_little_to_tell_by_it_is_no_worse_than_a_majority(each: int) -> None:
    many, ours = scores(each, (16.0, 4.0))
    assert ours >= many - 0.005


def test_trust_is_how_often_the_label_is_right() -> None:
    answers, truth = crowd(3, 3, (4.0, 2.0))
    agreed = dawid_skene(answers)
    assert agreed.trust.mean() == pytest.approx((agreed.label == truth).mean(), abs=0.04)


def test_a_model_is_heard_as_far_as_it_explains_what_people_said() -> None:
    answers, truth = crowd(4, 2, (2.0, 1.2))
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((answers.items, answers.classes))
    nonsense = np.exp(2 * logits) / np.exp(2 * logits).sum(axis=1, keepdims=True)
    logits[np.arange(answers.items), truth] += 2
    good = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    alone = (dawid_skene(answers).label == truth).mean()
    assert (dawid_skene(answers, good).label == truth).mean() > alone + 0.05
    assert (dawid_skene(answers, nonsense).label == truth).mean() > alone - 0.01


def test_the_quality_of_a_person_is_within_its_interval() -> None:
    answers, truth = crowd(5, 3, (4.0, 2.0), n=2000)
    mean, error = quality(answers.person, np.ones(len(answers.item), bool), dawid_skene(answers).right(answers), 30)
    right = np.array([(truth[answers.item] == answers.label)[answers.person == each].mean() for each in range(30)])
    assert (np.abs(mean - right) <= 3 * error).mean() > 0.9


def test_who_answers_alike_whatever_comes_weighs_nothing() -> None:
    """And who answers alone has no quality that could be told."""
    answers, truth = crowd(6, 3, (8.0, 2.0), classes=2)
    idle = np.zeros(answers.items, int)
    item, person = np.append(answers.item, np.arange(answers.items)), np.append(answers.person, idle + 30)
    crowded = Answers(item, person, np.append(answers.label, idle), answers.items, 31, 2)
    assert (dawid_skene(crowded).label == truth).mean() >= (dawid_skene(answers).label == truth).mean() - 0.01
    lonely = Answers(np.array([0]), np.array([0]), np.array([0]), 1, 1, 2)
    assert np.isnan(quality(lonely.person, np.array([False]), majority(lonely).right(lonely), 1)[0]).all()


def table(folder: Path, rows: list[tuple[str, str, str]]) -> Path:
    place = folder / "answers.csv"
    pd.DataFrame(rows, columns=["id", "annotator", "label"]).to_csv(place, index=False)
    return place


ROWS = [("1", "ada", "cat"), ("1", "bob", "cat"), ("1", "eve", "dog"), ("2", "ada", "dog"), ("2", "bob", "dog")]


def test_a_table_becomes_one_row_an_item(tmp_path: Path) -> None:
    more = [("3", "ada", ""), ("", "ada", "cat"), ("2", "bob", "cat"), ("2", "bob", "dog")]
    source = table(tmp_path, ROWS + more)
    out, people = tmp_path / "out.csv", tmp_path / "people.csv"
    said = agreement.run(str(source), out, Asked(by="majority"), people)
    assert said == [
        f"{out}: 2 labels of 5 answers by 3 people, mean trust 0.83",
        "1 row has no label",
        "1 row has no id or no annotator, and was left out",
        "2 answers were changed later by the same person",
        "2 items have several labels",
    ]
    assert out.read_text().splitlines() == [
        "id,label,trust,people,doubt",
        "1,cat,0.666667,3,0.333333",
        "2,dog,1.0,2,0.0",
    ]
    found = pd.read_csv(people).set_index("annotator")
    assert found.answers.to_dict() == {"ada": 2, "bob": 2, "eve": 1}
    assert found.right["ada"] == pytest.approx(5 / 6) and found.right["eve"] == pytest.approx(1 / 3)
    assert (found.low <= found.right).all() and (found.right <= found.high).all()


@pytest.mark.parametrize("answer", ["choice", "multilabel"])
def test_texts_let_a_model_be_heard(tmp_path: Path, answer: str) -> None:
    """One careless answer a text in four; what the texts say mends most of them."""
    rng = np.random.default_rng(0)
    words = {"sport": "the team won the match with a late goal", "money": "the bank raised its interest rate on loans"}
    rows, truth = [], {}
    for number in range(120):
        name = ["sport", "money"][number % 2]
        truth[str(number)] = name
        said = name if rng.random() < 0.75 else ["money", "sport"][number % 2]
        label = said if answer == "choice" else multilabel.label_of([said])
        rows.append((str(number), f"p{rng.integers(5)}", label, f"{words[name]}, report {number}"))
    source = tmp_path / "answers.parquet"
    pd.DataFrame(rows, columns=["id", "annotator", "label", "text"]).to_parquet(source)
    right = []
    for text in ("", "text"):
        (_, *more) = agreement.run(str(source), tmp_path / f"out{text}.csv", Asked(text=text, answer=answer))
        assert more == [agreement.ALONE]
        found = pd.read_csv(tmp_path / f"out{text}.csv", dtype=str).set_index("id").label.to_dict()
        told = {key: label.strip('[]"') for key, label in found.items()}
        right.append(np.mean([told[key] == name for key, name in truth.items()]))
    assert right[0] < 0.8 < 0.92 < right[1]


def said_of_several(seed: int, n: int = 400, people: int = 12) -> tuple[pd.DataFrame, list[str]]:
    """Three people say of each item which of three facts hold; some miss much, some see what is not there."""
    rng = np.random.default_rng(seed)
    facts = ["late", "broken", "rude"]
    truth = rng.random((n, 3)) < [0.4, 0.25, 0.1]
    misses, adds = rng.beta(1.5, 6, people), rng.beta(1, 12, people)
    rows = []
    for item in range(n):
        for person in rng.choice(people, 3, replace=False):
            says = np.where(truth[item], rng.random(3) > misses[person], rng.random(3) < adds[person])
            rows.append((f"i{item:03d}", f"p{person}", multilabel.label_of(np.array(facts)[says])))
    whole = [multilabel.label_of(np.array(facts)[row]) for row in truth]
    return pd.DataFrame(rows, columns=["id", "annotator", "label"]), whole


def test_several_labels_are_agreed_on_class_by_class(tmp_path: Path) -> None:
    """More often wholly right than a majority of each class, and as often as the trust says."""
    right, trust, known = [], [], []
    for seed in range(8):
        rows, truth = said_of_several(seed)
        rows.to_csv(tmp_path / "answers.csv", index=False)
        for by in ("majority", "auto"):
            asked, people = Asked(by=by, answer="multilabel"), tmp_path / "people.csv"
            agreement.run(str(tmp_path / "answers.csv"), tmp_path / "out.csv", asked, people, force=True)
            found = pd.read_csv(tmp_path / "out.csv")
            assert found.id.tolist() == [f"i{item:03d}" for item in range(len(truth))]
            right.append((found.label == truth).mean())
        trust.append(found.trust.mean())
        of_person = (rows.label == rows.id.map(dict(zip(found.id, truth, strict=True)))).groupby(rows.annotator).mean()
        known.append(pd.read_csv(people).set_index("annotator").right.corr(of_person))
    many, ours = np.mean(np.reshape(right, (-1, 2)), axis=0)
    assert ours > many + 0.004
    assert np.mean(trust) == pytest.approx(ours, abs=0.03)
    assert min(known) > 0.8


def test_sets_of_names_may_be_lists_or_have_a_delimiter_and_none_is_an_answer(tmp_path: Path) -> None:
    rows = [("1", "ada", ["b", "a"]), ("1", "bob", ["a", "b"]), ("2", "ada", []), ("2", "bob", []), ("2", "eve", ["a"])]
    lists = tmp_path / "answers.parquet"
    pd.DataFrame(rows, columns=["id", "annotator", "label"]).to_parquet(lists)
    agreement.run(str(lists), tmp_path / "lists.csv", Asked(answer="multilabel", by="majority"))
    delimited = table(tmp_path, [(item, who, "; ".join(names) or "[]") for item, who, names in rows])
    asked = Asked(answer="multilabel", by="majority", delimiter=";")
    agreement.run(str(delimited), tmp_path / "delimited.csv", asked)
    found = (tmp_path / "lists.csv").read_text()
    assert found == (tmp_path / "delimited.csv").read_text()
    assert found.splitlines()[1:] == ['1,"[""a"", ""b""]",1.0,2,0.0', "2,[],0.666666,3,0.333333"]
    with pytest.raises(InputError, match=r"no JSON list: expected in the column 'label' a JSON list.*got 'b; a'"):
        agreement.run(str(delimited), tmp_path / "no.csv", Asked(answer="multilabel"))
    with pytest.raises(InputError, match="names no class"):
        nobody = str(table(tmp_path, [("1", "ada", "[]")]))
        agreement.run(nobody, tmp_path / "no.csv", Asked(answer="multilabel"))
    assert not (tmp_path / "no.csv").exists()


def test_spans_that_most_have_marked(tmp_path: Path) -> None:
    per, loc = '[0, 5, "PER"]', '[9, 14, "LOC"]'
    rows = [("1", who, f"[{spans}]") for who, spans in (("ada", f"{per}, {loc}"), ("bob", per), ("eve", per))]
    source = table(tmp_path, [*rows, ("2", "ada", "[]"), ("2", "bob", "[]")])
    told = agreement.run(str(source), tmp_path / "out.csv", Asked(answer="spans", by="majority", text="id"))
    assert "of spans no model is heard: the texts change nothing" in told
    found = pd.read_csv(tmp_path / "out.csv")
    assert found.label.tolist() == [f"[{per}]", "[]"]
    assert found.doubt.round(3).tolist() == [0.333, 0.0]


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        (Asked(annotator="who"), "who"),
        (Asked(answer="tree"), "--answer: expected choice, multilabel, spans, got 'tree'"),
        (Asked(by="crowd"), "--by: expected auto, latest, majority, dawid_skene, got 'crowd'"),
    ],
)
def test_what_cannot_be_taken_together_says_why(asked: Asked, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem):
        agreement.run(str(table(tmp_path, ROWS)), tmp_path / "out.csv", asked)
    assert not (tmp_path / "out.csv").exists()


def test_nothing_of_anothers_is_written_over(tmp_path: Path) -> None:
    source, out = table(tmp_path, ROWS), tmp_path / "out.csv"
    out.write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        agreement.run(str(source), out, Asked())
    agreement.run(str(source), out, Asked(), force=True)
    assert out.read_text().startswith("id,label")
    with pytest.raises(InputError, match="a name ending in"):
        agreement.run(str(source), tmp_path / "out.txt", Asked())
    with pytest.raises(InputError, match="holds no label"):
        agreement.run(str(table(tmp_path, [("1", "ada", "")])), tmp_path / "new.csv", Asked())
