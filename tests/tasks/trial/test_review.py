"""The stand-in for reviewers: it knows the answers of its file, and errs as often as it is told to."""

import json
from pathlib import Path

import pytest

from labelwise.tasks.errors import InputError
from labelwise.tasks.records import content_id
from labelwise.tasks.settings import Settings, parse
from labelwise.tasks.trial.review import Manner, given, read_answers

CLASSES = ["no", "yes"]


def of(**more: object) -> Settings:
    project = {"name": "p", "id": "p"}
    return parse({"project": project, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}} | more)


def answers(path: Path, *rows: tuple[str | None, str | None]) -> Path:
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    return path


def test_answers_are_known_by_the_text(tmp_path: Path) -> None:
    path = answers(tmp_path / "a.jsonl", ("one", "no"), ("two", " yes\t"), ("three", None), (None, "no"))
    expected = {content_id("one"): "no", content_id("two"): "yes"}
    assert read_answers(path, of()) == expected


def test_a_name_that_a_class_had_before_is_the_class(tmp_path: Path) -> None:
    path = answers(tmp_path / "a.jsonl", ("one", "never"), ("two", "yes"))
    expected = {content_id("one"): "no", content_id("two"): "yes"}
    assert read_answers(path, of(renamed={"never": "no"})) == expected


def test_labels_outside_the_classes_are_named(tmp_path: Path) -> None:
    path = answers(tmp_path / "a.jsonl", ("one", "no"), ("two", "Yes"), ("three", "a\nb"), ("four", "Yes"))
    with pytest.raises(InputError) as caught:
        read_answers(path, of())
    line = str(caught.value)
    assert line == rf"{path}: labels outside the classes: expected one of no, yes, got 'Yes', 'a\nb'"


def test_not_all_of_very_many_are_named(tmp_path: Path) -> None:
    path = answers(tmp_path / "a.jsonl", *((str(number), f"class {number}") for number in range(1000)))
    with pytest.raises(InputError) as caught:
        read_answers(path, of())
    assert len(str(caught.value)) < len(str(path)) + 200


def test_the_same_seed_errs_on_the_same_items() -> None:
    items = [f"item {number}" for number in range(1000)]

    def said(manner: Manner) -> list[str]:
        return [given(item, "no", ["no", "yes", "maybe"], manner) for item in items]

    assert said(Manner()) == ["no"] * 1000
    assert "no" not in said(Manner(noise=1.0))
    noisy = said(Manner(noise=0.2))
    assert noisy == said(Manner(noise=0.2))
    assert noisy != said(Manner(noise=0.2, seed=1))
    assert 150 < sum(answer != "no" for answer in noisy) < 250
    assert set(noisy) == {"no", "yes", "maybe"}
