"""What reviewers see and say, there and back, for any names of classes."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labelwise.tasks import kinds
from labelwise.tasks.kinds import Answer, choice, multilabel, text
from labelwise.tasks.kinds.controls import HOTKEYS
from labelwise.tasks.kinds.interface import interface
from labelwise.tasks.settings import NONE

XML_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1)
CONTROLS = {"Choices": "Choice", "Labels": "Label"}
HOSTILE = ["<script>alert(1)</script>", '"/><Choice value="x', "a & b", "&amp;", "'", "]]>", "$x_", "a\nb", " a ", "a"]


@pytest.mark.parametrize("answer", kinds.ANSWERS.values(), ids=kinds.ANSWERS)
@given(classes=st.lists(XML_TEXT, min_size=2, max_size=50, unique=True))
@example(classes=HOSTILE)
def test_the_interface_offers_exactly_the_classes(answer: Answer, classes: list[str]) -> None:
    view = ET.fromstring(ET.tostring(interface(text, answer, classes), encoding="unicode"))
    (item,) = view.iter("Text")
    (choices,) = [each for each in view.iter() if each.tag in CONTROLS]
    assert choices.get("toName") == item.get("name")
    assert [each.tag for each in choices] == [CONTROLS[choices.tag]] * len(choices)
    own = [NONE] if answer is multilabel else []
    assert [each.get("value") for each in choices] == [*classes, *own]
    keys = [each.get("hotkey") for each in choices if each.get("hotkey")]
    assert len(set(keys)) == len(keys)


def test_hotkeys_are_given_once_as_far_as_they_go() -> None:
    view = interface(text, choice, [f"class {number}" for number in range(77)])
    keys = [each.get("hotkey") for each in view.iter("Choice")]
    assert keys[: len(HOTKEYS)] == list(HOTKEYS)
    assert len(set(HOTKEYS)) == len(HOTKEYS) == 35
    assert keys[len(HOTKEYS) :] == [None] * (77 - 35)


@given(label=st.text())
def test_a_class_there_and_back(label: str) -> None:
    assert choice.parse(choice.result(label)) == label


@given(names=st.lists(st.text().filter(lambda name: name != NONE)))
def test_several_classes_there_and_back(names: list[str]) -> None:
    label = multilabel.label_of(names)
    assert multilabel.parse(multilabel.result(label)) == label
    if all(name and name == name.strip() for name in names):
        assert multilabel.read(label) == label


@pytest.mark.parametrize("answer", kinds.ANSWERS.values(), ids=kinds.ANSWERS)
def test_an_answer_is_bound_to_the_names_in_the_interface(answer: Answer) -> None:
    (part,) = answer.result('[[0, 1, "x"]]' if answer.PLACES else "x")
    (choices,) = [each for each in interface(text, answer, ["x", "y"]).iter() if each.tag in CONTROLS]
    assert (part["from_name"], part["to_name"]) == (choices.get("name"), choices.get("toName"))


def test_no_answer_and_more_than_one() -> None:
    assert choice.parse([]) is None
    assert choice.parse(choice.result("a") + choice.result("b")) is None
    assert choice.parse([{"from_name": "label", "value": {}}]) is None
    assert choice.parse([{"from_name": "comment", "value": {"text": ["hm"]}}, *choice.result("a")]) == "a"
    assert multilabel.parse([]) is None
    assert multilabel.parse([{"from_name": "label", "value": {"choices": []}}]) is None
    both = [{"from_name": "label", "value": {"choices": ["a", NONE]}}]
    assert multilabel.parse(both) is None, "a class, and none of them: that says nothing"
    assert multilabel.parse([{"from_name": "label", "value": {"choices": [NONE]}}]) == "[]"
