"""What a model is judged by: the figures are scikit-learn's, and two models differ by what their answers bring."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from labelwise.tasks.errors import SettingsError
from labelwise.tasks.kinds import Measure, choice, measure, multilabel
from labelwise.tasks.kinds.measures import mean_score, measure_of
from labelwise.tasks.proof.gate import compare
from labelwise.tasks.settings import measure_named, parse

CLASSES = ["ham", "odd: one", "spam"]
AT = ["recall:spam at precision 0.9", "recall:odd: one at precision 0.5", "recall:ham at precision 0.2"]
NAMES = ["accuracy", "balanced_accuracy", "macro_f1", "f1:spam", "f1:odd: one", *AT]


def of(name: str, answer: str = "choice") -> Measure:
    kind = choice if answer == "choice" else multilabel
    return measure_of(measure_named(name, answer, CLASSES), kind, CLASSES)


def labels(at: Sequence[int]) -> list[str]:
    return [CLASSES[each] for each in at]


places = st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=40)


@given(rows=places)
@settings(deadline=None)
def test_figures_are_those_of_scikit_learn(rows: list[tuple[int, int, int]]) -> None:
    truth, said, _ = (labels(column) for column in zip(*rows, strict=True))
    weights = np.arange(1, len(rows) + 1) / 7
    given = {"sample_weight": weights}
    assert of("accuracy").value(said, truth, weights) == pytest.approx(accuracy_score(truth, said, **given))
    assert of("macro_f1").value(said, truth, weights) == pytest.approx(
        f1_score(truth, said, average="macro", zero_division=0, **given)
    )
    assert of("f1:spam").value(said, truth, weights) == pytest.approx(
        f1_score(truth, said, labels=["spam"], average="macro", zero_division=0, **given)
    )
    if len({*truth}) > 1:  # scikit-learn warns where it makes little sense
        known = [at for at, each in enumerate(said)]
        assert of("balanced_accuracy").value(said, truth, weights) == pytest.approx(
            balanced_accuracy_score([truth[at] for at in known], said, **given)
        )


@given(rows=places, name=st.sampled_from(NAMES))
@settings(deadline=None)
def test_the_difference_of_two_models_is_one_of_mean_scores(rows: list[tuple[int, int, int]], name: str) -> None:
    truth, new, old = (labels(column) for column in zip(*rows, strict=True))
    weights = np.linspace(0.3, 2, len(rows))
    own, paired = of(name), of(name).paired(new, old, truth, weights)
    assert all(((side >= 0) & (side <= 1)).all() for side in (paired.new, paired.old))
    found = compare(paired.new, paired.old, paired.weights, 0.025).times(paired.scale)
    sides = [own.parts(said, truth) for said in (new, old)]
    if all((((weights @ one.trials) > 0) == ((weights @ sides[0].trials) > 0)).all() for one in sides):
        assert found.difference == pytest.approx(own.value(new, truth, weights) - own.value(old, truth, weights))
    assert found.low - 1e-9 <= found.difference <= found.high + 1e-9


@given(rows=places, name=st.sampled_from(["set_f1", "macro_f1", "f1:spam", *AT]))
@settings(deadline=None)
def test_sets_of_classes_are_judged_as_well(rows: list[tuple[int, int, int]], name: str) -> None:
    truth, new, old = (
        [multilabel.label_of(CLASSES[: each + at % 2]) for at, each in enumerate(column)]
        for column in zip(*rows, strict=True)
    )
    weights, own = np.ones(len(rows)), of(name, "multilabel")
    paired = own.paired(new, old, truth, weights)
    assert all(((side >= 0) & (side <= 1)).all() for side in (paired.new, paired.old))
    assert own.value(truth, truth) in (1, 0)
    assert own.paired(new, new, truth, weights).new.tolist() == own.paired(new, new, truth, weights).old.tolist()
    if name == "macro_f1" and any(label != "[]" for label in truth):
        flat = [multilabel.targets(side, CLASSES) for side in (truth, new)]
        present = (flat[0] + flat[1]).sum(axis=0) > 0
        expected = f1_score(*flat, average=None, zero_division=0)[present].mean()
        assert own.value(new, truth) == pytest.approx(expected)


def test_a_model_that_never_says_the_rare_class_is_right_and_worth_nothing() -> None:
    truth = ["ham"] * 98 + ["spam"] * 2
    said = ["ham"] * 100
    assert of("accuracy").value(said, truth) == 0.98
    assert of("balanced_accuracy").value(said, truth) == 0.5
    assert of("f1:spam").value(said, truth) == 0
    assert of(AT[0]).value(said, truth) == 0
    assert of("f1:spam").value([None] * 100, truth) == 0  # a champion of before knows nothing of some items


def test_the_settings_name_a_measure() -> None:
    content = {"project": {"name": "n", "id": "i"}, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}}
    assert measure(parse(content)).name == mean_score(choice).name == "accuracy"
    made = parse(content | {"evaluate": {"measure": "f1:odd: one"}})
    assert (made.measure.text, made.measure.words, measure(made).name) == (
        "f1:odd: one",
        "F1 of odd: one",
        "f1:odd: one",
    )
    assert parse(content | {"kind": {"answer": "multilabel"}}).measure.words == "set F1"


@pytest.mark.parametrize("of", ["odd: one", "one at precision 0.5", " spam", "a: at precision b"])
@pytest.mark.parametrize(
    "text", ["recall:{} at precision 0.9", "recall:{}  at precision\t0.90 ", "recall: {} at  precision .9"]
)
def test_the_recall_of_any_class_can_be_asked_for_at_a_precision(of: str, text: str) -> None:
    name = measure_named(
        text.format(of), "choice", ["spam", of] if of != " spam" or ": {" not in text else [of.strip()]
    )
    assert name.text.replace(" spam", "spam") == f"recall:{of} at precision 0.9".replace(" spam", "spam")
    assert name.precision == 0.9 and name.about("else").words == "recall of else (at precision 0.9)"
    assert measure_named(name.text, "choice", [name.of]) == name


def test_a_recall_is_that_of_the_class_unless_false_alarms_are_more_than_the_precision_allows() -> None:
    truth = ["spam"] * 100 + ["ham"] * 900
    exact, loud = (
        ["spam"] * found + ["ham"] * (100 - found) + ["spam"] * alarms + ["ham"] * (900 - alarms)
        for found, alarms in ((63, 7), (90, 100))
    )
    measure = of(AT[0])
    assert measure.value(exact, truth) == 0.63
    assert measure.value(loud, truth) == pytest.approx(90 / (10 + 9 * 100))  # nine finds are asked for each false alarm
    precision = measure.precision_of()
    assert precision is not None and precision.value(loud, truth) == pytest.approx(90 / 190)
    assert of("recall:spam at precision 0.4").value(loud, truth) == 0.9


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("f1:spma", "choice", "names none of the classes; did you mean 'f1:spam'?"),
        ("f1", "choice", "names none of the classes"),
        ("f1:", "choice", "names none of the classes"),
        (
            "accuracy:spam",
            "choice",
            "is no measure of a choice; there are accuracy, balanced_accuracy, macro_f1, f1:CLASS",
        ),
        ("f2", "choice", "is no measure of a choice"),
        (
            "balanced_accuracy",
            "multilabel",
            "is no measure of a multilabel; there are set_f1, macro_f1, f1:CLASS and recall",
        ),
        ("recall:spam", "choice", "does not name a class and a precision; write it as 'recall:spam at precision 0.9'"),
        ("recall at precision 0.9", "choice", "write it as 'recall:CLASS at precision 0.9'"),
        ("recall:spam at 0.9", "multilabel", "write it as 'recall:spam at precision 0.9'"),
        ("recall:spma at precision 0.8", "choice", "did you mean 'recall:spam at precision 0.8'"),
        *[
            (f"recall:spam at precision {p}", "choice", f"expected a precision above 0 and below 1.* got '{p}'")
            for p in ("0", "1", "90%", "nan", "-0.5", "high", "inf")
        ],
    ],
)
def test_a_measure_that_is_none_is_refused(name: str, answer: str, said: str) -> None:
    content = {"project": {"name": "n", "id": "i"}, "classes": CLASSES, "pull": {"pool": "p", "gold": "g"}}
    with pytest.raises(SettingsError, match=f"evaluate.measure: .*{said}"):
        parse(content | {"kind": {"answer": answer}, "evaluate": {"measure": name}})
