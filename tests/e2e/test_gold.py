"""The gold set grows on the real Label Studio: two people answer, a third decides where they differ."""

import json

import pandas as pd
import pytest

from labelwise.tasks.errors import InputError
from labelwise.tasks.gold import asking, trusted
from labelwise.tasks.kinds.choice import result as choice
from labelwise.tasks.proof import champion
from labelwise.tasks.reporting import status
from labelwise.tasks.services.label_studio.accounts import Reviewer
from labelwise.tasks.services.label_studio.project import open_gold_project
from labelwise.tasks.services.mlflow import open_tracking
from labelwise.tasks.trial import review
from labelwise.tasks.workspace import Workspace, unfinished
from tests.e2e.conftest import CLASSES, Make, Source, answer, command, play, tool


def cut_off(*_words: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.long
def test_a_grown_gold_set_from_the_draw_to_the_metrics(make: Make, source: Source) -> None:
    workspace = make(select__batch=20, gold__reserve=0.3)
    play(workspace)
    answer(workspace, source)
    play(workspace)
    drawn = command("gold", "grow", "6", "--for", CLASSES[0], "--workspace", str(workspace.root))
    assert drawn.returncode == 0, drawn.stderr
    assert "6 items put up for trusted labels" in drawn.stdout
    assert f"of these are {CLASSES[0]}, and" in drawn.stdout
    asked = trusted.asked(workspace)
    assert not set(asked.id) & set(pd.read_parquet(workspace.batch).id)
    project = open_gold_project(workspace.settings)
    assert project.title == f"news · {workspace.settings.project.id} · gold"
    assert sorted(project.tasks(1).id) == sorted(asked.id)
    assert project.client.projects.get(project.number).maximum_annotations == 2

    # two people, who differ on the first
    truth = pd.read_csv(source.answers).set_index("text").label
    tasks = asked.merge(project.tasks(1), on="id")
    people = [Reviewer(number) for number in (1, 2, 3)]
    wrong = {label: CLASSES[(CLASSES.index(label) + 1) % 3] for label in CLASSES}
    for at, row in tasks.iterrows():
        label = truth[row.text]
        people[0].answer(row.task_id, choice(label), 5.0)
        people[1].answer(row.task_id, choice(wrong[label] if at == 0 else label), 5.0)
    assert asking.run_collect(workspace, print).startswith("12 new answers")
    assert asking.counts(workspace).disputed == 1
    assert trusted.gold(workspace).weight.eq(1).all()  # nothing of a grow counts before all of it is decided
    assert asking.run_collect(workspace, print).startswith("0 new answers")
    assert len(trusted.answers(workspace)) == 12

    # Label Studio asks a third, who decides
    queue = people[2].browser.get(f"/api/projects/{project.number}/next").json()
    assert queue["id"] == tasks.task_id[0]
    people[2].answer(queue["id"], choice(truth[tasks.text[0]]), 5.0)

    # the loop takes it in by itself, and the next round measures by the grown set, with its weights
    answer(workspace, source)
    play(workspace)
    whole = trusted.gold(workspace)
    grown = whole[whole.id.isin(asked.id)]
    assert grown.label.tolist() == [truth[text] for text in grown.text]
    assert tool(workspace.root, "git", "status", "--porcelain") == ""
    metrics = json.loads((workspace.metrics / "gold.json").read_text())
    predictions = pd.read_csv(workspace.metrics / "predictions.csv")
    assert metrics["items"] == len(predictions) == 106
    errors = (predictions.actual != predictions.predicted) * predictions.weight
    assert metrics["accuracy"] == pytest.approx(1 - errors.sum() / 106, abs=1e-5)
    assert predictions.set_index("id").weight[grown.id].tolist() == pytest.approx(grown.weight.tolist(), abs=1e-6)
    seen = status.status(Workspace.open(workspace.root))
    assert "6 grown" in seen.trusted

    # the champion, whichever model it is, is measured by the grown set, too
    stands = champion.standing(workspace)
    assert stands is not None and stands.gold is not None and stands.gold.items == 106
    assert stands.learned == 2 or (stands.fresh is not None and stands.fresh.items == 6)
    assert seen.standing == str(stands)
    tracking = open_tracking(workspace.settings)
    assert tracking.tags(stands.version)["standing"] == str(stands)

    # a gold row of the user's that the model contradicts goes before people; so does a label that one contradicts later
    people[2].answer(int(tasks.task_id[1]), choice(wrong[truth[tasks.text[1]]]), 5.0)
    asking.run_collect(workspace, print)
    assert trusted.seen(workspace).set_index("id").state[tasks.id[1]] == "disputed"
    with pytest.raises(InputError, match="gold review: expected 1 to"):
        asking.run_review(workspace, 99, print)
    assert not unfinished(workspace)  # nothing was done that the next command would have to go on with
    asking.run_review(workspace, 1, print)
    (row,) = trusted.seen(workspace).query("why == 'review'").to_dict("records")
    both = pd.concat([pd.read_csv(source.answers), pd.read_csv(source.gold)])
    both.to_csv(source.answers.with_name("both.csv"), index=False)
    review.run_gold(workspace, source.answers.with_name("both.csv"), review.Manner(users=4), print)
    asking.run_collect(workspace, print)
    after = trusted.seen(workspace).set_index("id")
    assert after.state.eq("decided").all()
    assert after.verdict[row["id"]] == row["label"]

    # a trusted answer that somebody deletes no longer counts, as the next run sees by itself
    held = project.answered(tasks.task_id.tolist())
    task = next(one for one in held if one["data"]["item"] == tasks.id[2])
    project.client.annotations.delete(task["annotations"][0]["id"])
    answer(workspace, source)
    play(workspace)
    assert trusted.seen(workspace).set_index("id").state[tasks.id[2]] == "open"
    assert len(trusted.gold(workspace)) == 100
    people[2].answer(task["id"], choice(truth[tasks.text[2]]), 5.0)
    answer(workspace, source)
    play(workspace)

    # a project deleted with answers in it is no reason to lose them: it is made anew with the next ask. That is cut off
    # before it is kept; the next command, though it is another one and refused, keeps it and says so
    project.client.projects.delete(project.number)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(asking, "keep", cut_off)
        asking.run_grow(workspace, 1, print)
    said: list[str] = []
    with pytest.raises(InputError, match="gold review"):
        asking.run_review(workspace, 99, said.append)
    assert said[-1].endswith("it need not be given again")
    assert len(trusted.drawn(workspace)) == 7
    assert tool(workspace.root, "git", "status", "--porcelain") == ""
    anew = open_gold_project(workspace.settings)
    assert anew.found not in (None, project.found)
    newest = int(trusted.asked(workspace).ask.max())
    assert len(anew.tasks(newest)) == 1
    assert len(trusted.gold(workspace)) == 106
    answer(workspace, source)
    assert "waiting" in play(workspace)
