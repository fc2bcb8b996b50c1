"""Who is to answer which items of a batch, where people.yaml says so: hard items go to experts alone, and whoever may
answer a part alone has a tab with that part. Label Studio's Community edition gives nobody a task of their own, so that
it is written into each task's data, and tabs show tasks by it."""

from collections import Counter
from collections.abc import Iterator, Mapping

import pandas as pd

from labelwise.tasks.kinds import Answer, context
from labelwise.tasks.labels import ledger, roster
from labelwise.tasks.labels.roster import Person
from labelwise.tasks.services.label_studio.project import EXPERTS, Queue
from labelwise.tasks.workspace import Workspace


def queues(people: Mapping[str, Person], accounts: Mapping[str, object]) -> Iterator[Queue]:
    """Those that there may be. accounts: who can sign in, by number. No two are called alike, whatever the case."""
    names = Counter([EXPERTS, *(person.name.casefold() for person in people.values())])
    if roster.experts(people, accounts):
        yield Queue(EXPERTS, EXPERTS)
    for number, person in people.items():
        if person.limited and number in accounts:
            alone = names[person.name.casefold()] == 1
            yield Queue(number, (person.name if alone else f"{person.name} ({number})") if person.name else number)


def hard(workspace: Workspace, batch: pd.DataFrame) -> set[str]:
    """Ids of the batch that people have labelled differently, and are asked for once more."""
    said = ledger.labelled(ledger.today(workspace)).groupby("id").label.nunique()
    return set(batch.id[batch.why == ledger.RELABEL]) & set(said.index[said > 1])


def whose(
    batch: pd.DataFrame,
    contexts: Mapping[str, str],
    hard: set[str],
    people: Mapping[str, Person],
    accounts: Mapping[str, object],
    answer: Answer,
) -> dict[str, str]:
    """What the data of each task says of it, by id: EXPERTS, or the numbers of those of a part who may answer it, each
    between blanks; '' for what is nobody's in particular. Nothing where that holds of all. hard: ids of what is for
    experts; contexts: by id. Which class an item has is what the model thinks; where it thinks nothing, it may have
    any."""
    limited = [(each.whose, people[each.whose]) for each in queues(people, accounts) if each.whose != EXPERTS]
    found = {}
    for item, prediction in zip(batch.id, batch.prediction, strict=True):
        cells = context.unpacked(contexts.get(item))
        classes = [] if pd.isna(prediction) else answer.members(prediction)
        numbers = [number for number, person in limited if person.may(cells, classes)]
        found[item] = EXPERTS if item in hard else f" {' '.join(numbers)} " if numbers else ""
    return found if any(found.values()) else {}
