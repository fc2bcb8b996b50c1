"""What people say of the items of a model at work is learned at once, behind the same promise."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from labelwise.tasks import embed, learners, train
from labelwise.tasks.answering import promised
from labelwise.tasks.answering.at_work import Served
from labelwise.tasks.answering.model import Chosen
from labelwise.tasks.answering.online import Online, said
from labelwise.tasks.answering.tickets import ANSWERED, CALIBRATING, Ticket, Tickets
from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds import text
from labelwise.tasks.labels import ledger
from labelwise.tasks.learners.serving import Classifier
from labelwise.tasks.records import GOLD, LABELS, POOL
from labelwise.tasks.workspace import Workspace, write_parquet

CLASSES = ["apple", "bread", "cheese"]


class Encoder:
    """A direction for each class, and a little of its own for each text."""

    def encode(self, cells: list[str], _done: Any = None) -> NDArray[np.float32]:
        found = np.zeros((len(cells), 16), np.float32)
        for row, cell in zip(found, cells, strict=True):
            name, number = cell.split()
            row[CLASSES.index(name)] = 1
            row[3:] = 0.1 * np.random.default_rng([int(number), CLASSES.index(name)]).standard_normal(13)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def texts(first: int, count: int) -> list[str]:
    return [f"{CLASSES[number % 3]} {number}" for number in range(first, first + count)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A model that has never seen cheese, which is a third of the pool and of gold."""
    monkeypatch.setattr(text, "encoder", lambda *_: Encoder())
    content: dict[str, Any] = {
        "project": {"name": "n", "id": "i"},
        "classes": CLASSES,
        "pull": {"pool": "p", "gold": "g"},
        "train": {"learner": "frozen"},
        "embed": {"wording": False},
        "answer": {"online": True},
    }
    (tmp_path / "params.yaml").write_text(json.dumps(content))
    made = Workspace(tmp_path)
    pool, gold = texts(0, 300), texts(1000, 600)
    rows = pd.DataFrame({"id": list(map(text.identify, pool)), "text": pool, "source_id": None})
    write_parquet(made.pool / "shard-0000.parquet", rows, POOL)
    labels = [each.split()[0] for each in gold]
    rows = pd.DataFrame({"id": list(map(text.identify, gold)), "text": gold, "label": labels, "source_id": None})
    write_parquet(made.gold, GOLD.conform(rows), GOLD)
    ledger.append(made.labels, 0, LABELS.frame())
    known = [each for each in pool[:60] if "cheese" not in each]
    told = {
        "label": [each.split()[0] for each in known],
        "annotation_id": range(len(known)),
        "why": "random",
        "annotator": "1",
        "task_id": 1,
        "propensity": 0.1,
        "lead_time_s": 1.0,
    }
    rows = pd.DataFrame({"id": list(map(text.identify, known)), **told, "created_at": "2026-01-01T00:00:00Z"})
    ledger.append(made.labels, 1, LABELS.conform(rows.assign(status="labelled", round=1, origin="asked")))
    embed.run(made)
    train.run(made)
    return made


def champion(here: Workspace) -> Served:
    model = Classifier(Encoder(), learners.load(here.model), embed=here.settings.embed)
    return promised.serve(here, Chosen(model, "version 1 (round-0001)"))


def told(here: Workspace, tickets: Tickets, cells: list[str]) -> None:
    """People answer these items."""
    for cell in cells:
        name = text.identify(cell)
        tickets.add([Ticket(name, name, cell, CALIBRATING, "not sure", "apple", 0.5, "version 1", 0.0)])
        tickets.decide(name, ANSWERED, cell.split()[0])


def test_what_people_say_is_learned_and_takes_over_where_it_may_answer_more(here: Workspace, tmp_path: Path) -> None:
    tickets, before = Tickets(tmp_path / "tickets"), champion(here)
    online = Online(here, tickets, train.with_more, before)
    assert online.better(before) is None
    told(here, tickets, ["cheese 1"])
    assert online.better(before) is None  # 40 labels wait for two more answers
    told(here, tickets, texts(2000, 30))
    after = online.better(before)
    assert after is not None and after.name == "version 1 (round-0001) and 28 answers since"  # 3 are nearly gold
    assert before.found.coverage < 0.7 < 0.9 < after.found.coverage
    assert after.model.judged(["cheese 5000", "bread 5001"]).label.tolist() == ["cheese", "bread"]
    assert online.better(after) is None  # nothing new
    told(here, tickets, ["apple 3000"])
    assert online.better(after) is None and tickets.another_look() == 2  # so that looks at gold stay few


def test_neither_gold_nor_what_is_nearly_gold_nor_what_has_a_label_is_learned(here: Workspace, tmp_path: Path) -> None:
    tickets = Tickets(tmp_path / "tickets")
    told(here, tickets, ["cheese 1001", "apple 0", "cheese 7"])  # gold, known, new
    assert said(here, tickets, pd.Series([text.identify("apple 0")])).cell.tolist() == ["cheese 7"]


def test_a_learner_that_takes_a_minute_is_refused(here: Workspace, tmp_path: Path) -> None:
    served = champion(here)
    content = json.loads((here.root / "params.yaml").read_text()) | {"train": {"learner": "contrastive"}}
    (here.root / "params.yaml").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"train.learner auto or ensemble, frozen.*got choice and contrastive"):
        Online(Workspace(here.root), Tickets(tmp_path / "tickets"), train.with_more, served)
