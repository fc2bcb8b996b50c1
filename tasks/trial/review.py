"""A stand-in for reviewers: answers the open batch, or what is put up for trusted labels, from a file; for the demo,
the tests and anyone's trial."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from labelwise.tasks import kinds, sources
from labelwise.tasks.errors import InputError, named, quantity
from labelwise.tasks.gold import asking, trusted
from labelwise.tasks.items import stored
from labelwise.tasks.kinds import Answer, choice
from labelwise.tasks.labels import ledger, roster
from labelwise.tasks.pull import read_together, refuse_faults
from labelwise.tasks.services.label_studio.accounts import Reviewer
from labelwise.tasks.services.label_studio.project import is_hard, open_gold_project, open_project
from labelwise.tasks.settings import Settings
from labelwise.tasks.workspace import Workspace, read_parquet

LEAD_TIME_S = (4.0, 20.0)  # what a person takes for a short text
LOOK_S = 1.0


@dataclass(frozen=True)
class Manner:
    """How they answer. noise: share of wrong answers; rate: answers a minute, 0: no pause; batches: how many,
    waiting for each; None: the open one. noises: of each of them in turn, where they differ."""

    noise: float = 0.0
    users: int = 1
    rate: float = 0.0
    batches: int | None = None
    seed: int = 0
    noises: tuple[float, ...] = ()

    def of(self, number: int) -> "Manner":
        """The same for one of them, 0 and on, who errs in a way of their own."""
        noise = self.noises[number % len(self.noises)] if self.noises else self.noise
        return replace(self, seed=self.seed + number, noise=noise)


def shares(words: str) -> tuple[float, ...]:
    """Shares of wrong answers, separated by commas. InputError where one is none.

    >>> shares("0.02,0.1")
    (0.02, 0.1)
    """
    try:
        found = tuple(float(word) for word in words.split(","))
    except ValueError:
        found = (-1.0,)
    if not all(0 <= share <= 1 for share in found):
        raise InputError("review --noise", expected="a share from 0 to 1, or several, as 0.02,0.1", got=repr(words))
    return found


def read_answers(path: Path, settings: Settings, tell: Callable[[str], None] = lambda _line: None) -> dict[str, str]:
    """Labels by item id; a blank one is no answer, nor is one by a class that no longer exists, and a name that a class
    had before is the class. InputError when a label is none, or names what is no class."""
    pull, answer, item = settings.pull, kinds.answer(settings.kind.answer), kinds.item(settings.kind.item)
    columns, own = pull.columns, item.columns(pull.columns)
    answers: dict[str, str] = {}
    form = kinds.cells_of(item, answer, columns, columns.label)
    parts = sources.chunks(str(path), [*own, columns.label], encoding=pull.encoding, cells=form)
    for chunk in read_together(parts, answer):
        rows = pd.DataFrame({"item": item.read(chunk[own], pull), "label": chunk[columns.label]}).dropna()
        read = answer.read_all(rows["label"].tolist(), rows["item"].tolist(), pull.delimiter)
        refuse_faults(str(path), rows.label, read, answer, rows["item"])
        for remark in read.remarks:
            tell(f"{path}: {remark}")
        for kept, label in zip(rows["item"], read.labels, strict=True):
            if label:
                said = answer.renamed(label, settings.renamed, settings.dropped)
                answers |= {item.identify(cell): said for cell in (kept, item.tidy(kept))}
    lapsed = {label for label in set(answers.values()) if set(answer.members(label)) & set(settings.lapsed)}
    answers = {item: label for item, label in answers.items() if label not in lapsed}
    named_there = {name for label in set(answers.values()) for name in answer.members(label)}
    if strangers := sorted(named_there - set(settings.classes)):
        got = ", ".join(map(repr, strangers[:5]))
        raise InputError(f"{path}: labels outside the classes", expected="one of " + named(settings.classes), got=got)
    return answers


def given(item: str, truth: str, classes: list[str], manner: Manner, answer: Answer = choice) -> str:
    """The answer to an item: mostly the truth. The same seed errs on the same items, in whatever order they come."""
    chance = random.Random(f"{manner.seed} {item}")  # noqa: S311
    return answer.wrong(truth, classes, chance) if chance.random() < manner.noise else truth


def run(workspace: Workspace, path: Path, manner: Manner, tell: Callable[[str], None]) -> None:
    """Answer `batches` batches, waiting for each, or the open one. InputError where nothing that is open is known."""
    settings, item = workspace.settings, workspace.settings.kind.item
    answers = read_answers(path, settings, tell)
    reviewers = [Reviewer(number + 1) for number in range(manner.users)]
    met: set[int] = set()  # rounds in which there was something to answer
    while True:
        number = ledger.current_round(workspace.labels) + 1
        if len(met) == manner.batches and number not in met:
            return  # the last batch is over and the next one not ours
        done, whole, strange = _batch(workspace, number, answers, reviewers, manner)
        if strange or (manner.batches is None and not done):  # no other batch comes before this one is answered
            raise _nothing_known(path, item)
        if done:
            met.add(number)
            tell(f"reviewers: {quantity(done, 'answer')} given")
        if manner.batches is None or (whole and len(met) == manner.batches):
            return
        if not done:
            time.sleep(LOOK_S)


def run_gold(workspace: Workspace, path: Path, manner: Manner, tell: Callable[[str], None]) -> None:
    """Answer what is put up for trusted labels: each item by different people, until it is decided or nobody is left
    who has not answered it. Each errs in their own way."""
    settings = workspace.settings
    if manner.users < trusted.AGREE:
        raise InputError("review --gold", expected=f"--users {trusted.AGREE} or more: they must agree", got="1")
    answers = read_answers(path, settings, tell)
    project, asked = open_gold_project(settings), trusted.asked(workspace)
    answer = kinds.answer(settings.kind.answer)
    people = [(person := Reviewer(number + 1), person.id) for number in range(manner.users)]
    tasks = pd.concat([project.tasks(number) for number in trusted.asks(asked)] or [pd.DataFrame({"id": []})])
    exported = project.answered(tasks.task_id.tolist()) if len(tasks) else []
    cells = asking.cells_of(asked, settings)
    said = asking.answered(exported, asked, settings.answerable, answer, cells)
    known = trusted.answers(workspace)
    together = pd.concat([known, said[~said.annotation_id.isin(known.annotation_id)]])
    so_far = trusted.votes(trusted.today(workspace, together))
    done = 0
    open_tasks = asked.merge(tasks[tasks.id.isin(answers)], on="id")
    for row in open_tasks.to_dict("records"):
        votes = so_far.get(row["id"], [])
        own = None if pd.isna(row["label"]) else str(row["label"])
        for number, (person, name) in enumerate(people):
            if trusted.agreement_of(votes, own, answer).state in ("decided", "set aside"):
                break
            if name not in {who for who, _ in votes}:
                label = given(row["id"], answers[row["id"]], settings.classes, manner.of(number), answer)
                person.answer(int(row["task_id"]), answer.result(label, cells[row["id"]]), LEAD_TIME_S[0])
                votes.append((name, label))
                done += 1
    if not done:
        raise InputError(
            f"nothing is open for trusted labels whose {settings.kind.item} is in {path}",
            fix="`labelwise gold grow 10`",
        )
    tell(f"reviewers: {quantity(done, 'answer')} given for gold")


def _nothing_known(path: Path, item: str) -> InputError:
    return InputError(
        f"no open task holds an item ({item}) of {path}",
        fix=f"`labelwise run --max-wait 0` asks a batch; in one that is open, other {item}s stand",
    )


def _batch(
    workspace: Workspace, number: int, answers: dict[str, str], reviewers: list[Reviewer], manner: Manner
) -> tuple[int, bool, bool]:
    """Answer every open task of a round that the file knows; returns how many answers that took, whether nothing of the
    batch is left to answer, and whether there are tasks of the round of which the file knows none. A batch may be on
    its way: what is not there yet is left."""
    project = open_project(workspace.settings)
    if project.found is None:
        return 0, False, False
    classes, answer = workspace.settings.classes, kinds.answer(workspace.settings.kind.answer)
    people = project.people if workspace.settings.select.finish is None else 1
    if people > len(reviewers):
        expected = f"--users {people} or more: so many answer each item"
        raise InputError("review", expected=expected, got=str(len(reviewers)))
    tasks = project.tasks(number)
    hard = tasks.data.map(is_hard)
    open_tasks = tasks[(tasks.answers < hard.map({True: 1, False: people})) & tasks.id.isin(answers)]
    cells = stored.cells_by_id(workspace, open_tasks.id)
    everyone = range(len(reviewers))
    experts = _experts(workspace, reviewers) if hard.any() else []
    done = 0
    for position, task in enumerate(open_tasks.to_dict("records")):
        lead_time = random.Random(f"lead {manner.seed} {task['id']}").uniform(*LEAD_TIME_S)  # noqa: S311
        among, wanted = (experts or everyone, 1) if is_hard(task["data"]) else (everyone, people)
        for turn in who(task["id"], position, wanted, len(among))[task["answers"] :]:
            each = among[turn]
            own = manner.of(each) if people > 1 or manner.noises else manner
            said = answer.result(given(task["id"], answers[task["id"]], classes, own, answer), cells[task["id"]])
            done += reviewers[each].answer(task["task_id"], said, round(lead_time, 1))
            if manner.rate:
                time.sleep(60 / manner.rate)
    batch = set(read_parquet(workspace.batch, columns=["id"]).id) if workspace.batch.exists() else None
    whole = batch is not None and batch & answers.keys() <= set(tasks.id)
    return done, whole, bool(len(tasks)) and not tasks.id.isin(answers).any()


def _experts(workspace: Workspace, reviewers: list[Reviewer]) -> list[int]:
    """Positions of the experts among them."""
    accounts = [one.id for one in reviewers]
    return [accounts.index(each) for each in roster.experts(roster.read(workspace), accounts)]


def who(item: str, position: int, people: int, there: int) -> list[int]:
    """The numbers of those who answer an item, in turn; of several the same ones whenever it is asked. position: the
    item's among the open ones."""
    first = position if people == 1 else random.Random(item).randrange(there)  # noqa: S311
    return [(first + turn) % there for turn in range(people)]
