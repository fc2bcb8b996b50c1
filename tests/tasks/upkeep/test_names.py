"""Names in params.yaml that cannot serve what is said of an item."""

import numpy as np
import pytest

from labelwise.tasks.errors import SettingsError
from labelwise.tasks.learners import able_to_learn
from labelwise.tasks.settings import parse
from labelwise.tasks.strategies import COLD_STARTS, GIVEN, NEEDS, STRATEGIES, Candidates, Choice, serving
from labelwise.tasks.strategies.base import uniform
from labelwise.tasks.upkeep import names

BASE = {"project": {"name": "n", "id": "i"}, "classes": ["a", "b"], "pull": {"pool": "p", "gold": "g"}}


def refused(answer: str, **sections: object) -> str:
    settings = parse(BASE | {"kind": {"item": "text", "answer": answer}} | sections)
    with pytest.raises(SettingsError) as error:
        names.refuse_unknown(settings)
    return str(error.value)


@pytest.mark.parametrize("answer", ["choice", "multilabel"])
def test_what_stands_there_when_nothing_is_said_serves_every_kind(answer: str) -> None:
    names.refuse_unknown(parse(BASE | {"kind": {"item": "text", "answer": answer}}))
    assert set(COLD_STARTS) <= set(serving(answer))


def test_every_strategy_says_what_it_needs() -> None:
    assert NEEDS.keys() == STRATEGIES.keys()
    for need in NEEDS.values():
        assert any(need <= given for given in GIVEN.values())


@pytest.mark.parametrize("name", sorted(STRATEGIES.keys() - set(serving("multilabel"))))
def test_a_strategy_of_one_class_an_item_is_refused_with_those_that_serve(name: str) -> None:
    said = refused("multilabel", select={"strategy": name})
    assert f"`select.strategy: {name}` cannot serve `kind.answer: multilabel`" in said
    assert ", ".join(serving("multilabel")) in said


@pytest.mark.parametrize("key", ["train", "prove"])
def test_a_learner_of_one_class_an_item_is_refused_with_those_that_serve(key: str) -> None:
    said = refused("multilabel", **{key: {"learner": "contrastive"}})
    assert f"`{key}.learner: contrastive` cannot serve" in said
    assert ", ".join(able_to_learn("multilabel")) in said


@pytest.mark.parametrize(
    ("section", "field"), [("select", "balance"), ("train", "self_training"), ("train", "zero_shot")]
)
def test_what_goes_by_the_one_class_of_an_item_is_refused(section: str, field: str) -> None:
    assert f"set {section}.{field} to false" in refused("multilabel", **{section: {field: True}})
    names.refuse_unknown(parse(BASE | {section: {field: True}}))


def test_a_strategy_of_another_package_is_taken_to_need_classes_unless_it_says_what(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
        return uniform(candidates, k, rng)

    told.NEEDS = frozenset({"simplex"})  # type: ignore[attr-defined]  # as docs/extending.md has it
    known = {**STRATEGIES, "theirs": lambda *given: uniform(*given), "told": told}
    monkeypatch.setattr("labelwise.tasks.strategies.strategies", lambda: known)
    monkeypatch.setattr("labelwise.tasks.upkeep.names.strategies", lambda: known)
    names.refuse_unknown(parse(BASE | {"select": {"strategy": "theirs"}}))
    names.refuse_unknown(parse(BASE | {"kind": {"answer": "multilabel"}, "select": {"strategy": "told"}}))
    assert "`select.strategy: theirs` cannot serve" in refused("multilabel", select={"strategy": "theirs"})
