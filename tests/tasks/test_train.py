"""Stage `train`: from the ledger and the vectors to a model folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from labelwise.tasks import learners, train
from labelwise.tasks.errors import SettingsError, WorkspaceError
from labelwise.tasks.labels import ledger
from labelwise.tasks.learners import Exam, Examples, Items, auto, frozen, self_training
from labelwise.tasks.learners.encoder import Encoder
from labelwise.tasks.records import LABELS, LEAKS, POOL
from labelwise.tasks.settings import Settings, parse
from labelwise.tasks.workspace import Workspace, write_parquet

CONTENT: dict[str, Any] = {
    "project": {"name": "n", "id": "i"},
    "classes": ["no", "yes", "never given"],
    "pull": {"pool": "p", "gold": "g"},
    "train": {"learner": "frozen"},
}
VECTORS = np.eye(4, 8, dtype=np.float16)[np.arange(20) % 2]  # even items point one way, odd ones another
NOTHING = Items.of(np.empty((0, 8), dtype=np.float32))
IDS = [f"i{n:02d}" for n in range(20)]


def answers(labels: dict[int, str], first: int = 0) -> pd.DataFrame:
    """Ledger rows for these items; their annotation ids count from `first`."""
    rows = [
        {"id": IDS[n], "label": label, "annotation_id": first + at, "created_at": "2026-01-01"}
        for at, (n, label) in enumerate(labels.items())
    ]
    return LABELS.conform(pd.DataFrame(rows, columns=list(LABELS.columns)).assign(status="labelled", round=1))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A pool with vectors, no label yet."""
    made = Workspace(tmp_path)
    (tmp_path / "params.yaml").write_text(json.dumps(CONTENT))
    pool = pd.DataFrame({"id": IDS, "text": IDS, "source_id": None})
    write_parquet(made.pool / "shard-0000.parquet", pool, POOL)
    made.vectors.mkdir()
    np.save(made.vectors / "shard-0000.npy", VECTORS)
    ledger.append(made.labels, 0, LABELS.frame())
    return made


def predicted(workspace: Workspace) -> NDArray[np.int64]:
    return learners.load(workspace.model).probabilities(Items.of(VECTORS.astype(np.float32))).argmax(axis=1)


def test_without_labels_the_model_is_untrained(workspace: Workspace) -> None:
    assert train.run(workspace) == "0 labels in 0 of 3 classes"
    assert not learners.load(workspace.model).trained


def test_the_model_learns_the_labels_that_count_and_replaces_the_last(workspace: Workspace) -> None:
    train.run(workspace)
    ledger.append(workspace.labels, 1, answers({2: "yes", 3: "no", 5: "no"}))  # the wrong way round
    train.run(workspace)
    assert (predicted(workspace) == 1 - np.arange(20) % 2).all()

    ledger.append(workspace.labels, 2, answers({5: "yes", 3: "yes", 2: "no"}, first=10))  # corrected
    assert train.run(workspace) == "3 labels in 2 of 3 classes"
    assert (predicted(workspace) == np.arange(20) % 2).all()
    assert sorted(file.name for file in workspace.model.iterdir()) == ["config.json", "head.safetensors"]


def test_the_order_of_answers_changes_no_byte(workspace: Workspace) -> None:
    given = {0: "no", 1: "yes", 2: "no", 3: "yes", 4: "yes"}
    models = []
    for order in (given, dict(reversed(given.items()))):
        (workspace.labels / "round-0001.parquet").unlink(missing_ok=True)
        ledger.append(workspace.labels, 1, answers(order))
        train.run(workspace)
        models.append({file.name: file.read_bytes() for file in workspace.model.iterdir()})
    assert models[0] == models[1]


def test_labels_of_items_that_are_nearly_gold_are_left_out_and_counted(workspace: Workspace) -> None:
    ledger.append(workspace.labels, 1, answers({2: "yes", 3: "no", 5: "yes"}))
    leaks = pd.DataFrame({"id": [IDS[2], IDS[7]], "gold": "g", "similarity": 0.99})
    write_parquet(workspace.vectors / "shard-0000.leaks.parquet", leaks, LEAKS)
    assert train.run(workspace) == "2 labels in 2 of 3 classes, 1 left out: in gold or nearly so"


def test_self_training_takes_no_item_that_is_in_gold_drawn_for_it_or_nearly_so(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[list[str]] = []
    real = frozen.fit

    def fit(examples: Examples, pool: Items, settings: Settings) -> frozen.Head:
        learned.append(examples.items.texts())
        return real(examples, pool, settings)

    monkeypatch.setattr(frozen, "fit", fit)
    monkeypatch.setattr(self_training, "SURE", 0.0)
    params = CONTENT | {"train": {"learner": "frozen", "self_training": True}}
    (workspace.root / "params.yaml").write_text(json.dumps(params))
    given = {n: ["no", "yes"][n % 2] for n in range(12, 20)}
    ledger.append(workspace.labels, 1, answers(given))
    leaks = pd.DataFrame({"id": IDS[:11], "gold": "g", "similarity": 0.99})
    write_parquet(workspace.vectors / "shard-0000.leaks.parquet", leaks, LEAKS)
    train.run(workspace)
    assert len(learned) == 2  # with the labels, then with the surest items too
    assert len(learned[1]) > len(learned[0])
    assert not set(learned[1]) & set(leaks.id)


def test_what_learners_were_chosen_by_is_kept_for_later_rounds(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Sequence[Exam]] = []

    def fit(examples: Examples, pool: Items, settings: Settings) -> auto.Auto:
        seen.append(examples.exams)
        exam = Exam(len(examples), -0.25, 0.125)
        return auto.Auto({"frozen": frozen.of_one(examples, settings, pool)}, "made for this test", exam)

    monkeypatch.setattr(auto, "fit", fit)
    (workspace.root / "params.yaml").write_text(json.dumps(CONTENT | {"train": {"learner": "auto"}}))
    here = Workspace(workspace.root)
    for number, rows in enumerate(({2: "yes", 3: "no"}, {4: "yes"}), start=1):
        ledger.append(here.labels, number, answers(rows, first=10 * number))
        train.run(here)
    train.run(here)  # the same round once more
    assert seen == [[], [Exam(2, -0.25, 0.125)], [Exam(2, -0.25, 0.125), Exam(3, -0.25, 0.125)]]
    kept = {"gain": -0.25, "error": 0.125, "of": train.examined(here.settings)}
    assert json.loads((here.metrics / "exams.json").read_text()) == {"2": kept, "3": kept}
    (workspace.root / "params.yaml").write_text(
        json.dumps(CONTENT | {"train": {"learner": "auto"}, "embed": {"encoder": "another"}})
    )
    train.run(Workspace(workspace.root))
    assert seen[-1] == []  # what was found with another encoder says nothing of this one
    (here.metrics / "exams.json").write_text('{"2": 1}')
    with pytest.raises(WorkspaceError, match=r"exams\.json is broken.*git checkout HEAD -- metrics/exams\.json"):
        train.run(here)


def test_a_label_that_is_no_class_any_more(workspace: Workspace) -> None:
    ledger.append(workspace.labels, 1, answers({0: "no", 1: "gone"}))
    with pytest.raises(WorkspaceError, match=r"the label 'gone'.*put it back into `classes`"):
        train.run(workspace)
    assert not workspace.model.exists()


def test_an_unknown_learner_is_said_even_when_there_is_nothing_to_learn() -> None:
    settings = parse(CONTENT | {"train": {"learner": "frozn"}})
    with pytest.raises(SettingsError, match=r"`train\.learner`.*did you mean `frozen`"):
        train.train(NOTHING, pd.Series(dtype="string"), NOTHING, settings)


def test_class_names_alone_make_a_model_where_it_is_asked_for() -> None:
    settings = parse(CONTENT | {"classes": ["sport", "cooking"], "train": {"zero_shot": True}})
    model = train.train(NOTHING, pd.Series(dtype="string"), NOTHING, settings)
    vectors = Encoder("all-MiniLM-L6-v2", 32).encode(["the match ended two to one", "boil the pasta for ten minutes"])
    assert model.trained
    assert model.probabilities(Items.of(vectors)).argmax(axis=1).tolist() == [0, 1]


def test_nothing_that_reviewers_see_beside_the_text_is_learned(workspace: Workspace) -> None:
    """Neither by what reads texts nor by what reads vectors: the model is the same, byte by byte."""
    (workspace.root / "params.yaml").write_text(json.dumps(CONTENT | {"train": {"learner": "ensemble"}}))
    here = Workspace(workspace.root)
    ledger.append(here.labels, 1, answers({n: "yes" if n % 2 else "no" for n in range(8)}))
    shard, models = here.pool / "shard-0000.parquet", []
    for beside in ({}, {"context": [f'{{"said": "{"yes" if n % 2 else "no"}"}}' for n in range(20)]}):
        write_parquet(shard, pd.DataFrame({"id": IDS, "text": IDS, "source_id": None, **beside}), POOL)
        assert ("context" in pd.read_parquet(shard)) == bool(beside)
        train.run(here)
        models.append({str(file): file.read_bytes() for file in sorted(here.model.rglob("*")) if file.is_file()})
    assert models[0] == models[1]
