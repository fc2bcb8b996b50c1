"""Who labels which item, from the plan to the last answer."""

import numpy as np
import pandas as pd

from labelwise.tasks.kinds import choice
from labelwise.tasks.proof import finishing
from labelwise.tasks.proof.finishing import EXAM, REST, Pool, Standing
from labelwise.tasks.settings import Finish

N = 600
TRUTH = {f"{at:04d}": "a" for at in range(N)}


def pool(known: int = 0) -> Pool:
    """Items of which the model is less and less sure, and wrong in the last tenth; the first `known` have a label."""
    ids = list(TRUTH)
    said = ["a"] * (N - N // 10) + ["b"] * (N // 10)
    label = pd.array([TRUTH[each] if at < known else None for at, each in enumerate(ids)], dtype="string")
    doubt = np.linspace(0, 0.9, N)
    return Pool(pd.DataFrame({"id": ids, "prediction": said, "doubt": doubt, "label": label, "by": None}))


def played(plan: Finish, known: int = 0, mute: frozenset[str] = frozenset()) -> tuple[list[Standing], dict[str, str]]:
    """Each stand until nothing is left to ask, and what people have said. mute: items that nobody answers."""
    there = pool(known)
    exam: dict[str, str] = {}
    said: dict[str, str] = {}
    asked: set[str] = set()
    stands = []
    while True:
        expected = there.open.doubt.to_numpy() ** 8
        of_now = (plan, 7, exam, asked, said, asked, expected, choice)
        stands.append(finishing.stand(there, *of_now))
        if not stands[-1].ask:
            return stands, said
        given = {each: TRUTH[each] for each in stands[-1].ask if each not in mute}
        if stands[-1].why == EXAM:
            exam |= given
            asked |= set(stands[-1].ask)
        said |= given
        asked |= set(stands[-1].ask)


PLAN = Finish(wrong=0.05, round=3, share=0.2, model="x")


def test_first_the_exam_is_asked_then_what_the_model_must_not_label() -> None:
    stands, said = played(PLAN)
    assert [stand.why for stand in stands[:-1]] == [EXAM] * (len(stands) - 2) + [REST]
    last = stands[-1]
    inside = last.items[last.items.inside]
    assert 0.15 * N < len(inside) < 0.25 * N
    assert last.settled
    by_model = last.items[: last.end][~last.items.inside[: last.end]]
    assert set(said) == set(TRUTH) - set(by_model.id)  # nobody is asked for anything else
    wrong = (by_model.prediction != "a").sum()
    assert wrong <= 0.05 * N
    assert last.end > 0.9 * N  # it stops among the wrong ones, not before


def test_an_item_that_nobody_answers_counts_as_wrong() -> None:
    stands, _ = played(PLAN)
    surest = stands[0].ask[: int(finishing.allowed(PLAN, N, choice)) + 1]
    silent, said = played(PLAN, mute=frozenset(surest))
    assert silent[-1].end <= stands[-1].items.id.tolist().index(surest[-1])
    assert not set(surest) & set(said)


def test_the_draw_follows_the_seed_and_the_round_and_nothing_else() -> None:
    first = played(PLAN)[0][0].items
    again = played(PLAN.model_copy(update={"wrong": 0.1}))[0][0].items
    assert first.inside.tolist() == again.inside.tolist()
    other = played(PLAN.model_copy(update={"round": 4}))[0][0].items
    assert first.inside.tolist() != other.inside.tolist()
    wider = played(PLAN.model_copy(update={"share": 0.4}))[0][0].items
    assert not (first.inside & ~wider.inside).any()


def test_labels_that_were_there_are_no_exam_and_count_as_right() -> None:
    stands, said = played(PLAN, known=100)
    assert len(stands[-1].items) == N - 100
    assert finishing.allowed(PLAN, N, choice) == finishing.allowed(PLAN, len(pool(100).items), choice)
    assert not {each for each in said if each < "0100"}


def test_without_an_exam_people_label_all() -> None:
    stands, said = played(PLAN.model_copy(update={"share": 1.0}))
    assert [stand.why for stand in stands[:-1]] == [REST]
    assert set(said) == set(TRUTH)
    assert stands[-1].end == 0
