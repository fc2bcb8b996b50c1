"""`make bench-people`: what several people said of the same items, taken together (labels/consensus.py).

Simulated crowds of known quality; and of each set of DATA with people's labels (a folder with `annotations.parquet`:
id, annotator, label) a few labels an item, where the majority of many is taken for the truth. Beside ours, where
.venv-rivals is there (`make rivals`), crowd-kit and cleanlab on the same answers, and with the same opinion of a model.
"""

import argparse
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from labelwise.tasks.kinds import choice
from labelwise.tasks.labels import consensus, suspects
from labelwise.tasks.labels.aggregate import Agreed, Answers, dawid_skene, majority
from labelwise.tasks.labels.agreement import settings_for
from labelwise.tasks.labels.combined import DAWID_SKENE, Said, combine, held_out
from labelwise.tasks.learners import Items
from tests.bench import figures, overlap, weak, wrong
from tests.bench.loops import vectors_of

SEEDS, ITEMS, PEOPLE = 10, 1000, 50
# classes, answers an item (from, to), and the beta distribution of how often a person is right
CROWDS = [(2, (3, 3), (6, 2)), (2, (1, 5), (6, 2)), (2, (2, 2), (16, 4)), (5, (1, 3), (6, 2)), (5, (2, 2), (6, 2))]
CROWDS += [(5, (3, 3), (3, 2)), (10, (1, 2), (6, 2)), (10, (3, 3), (6, 2)), (4, (2, 2), (2, 1.2)), (4, (3, 3), (16, 4))]
ANSWERS, DIMENSIONS = 50_000, 384  # of a large ledger; of its items' vectors
SIZES = (2, 10, 77)  # classes of it
WRONG, BUDGET, FLIPPED = 0.1, 0.15, 3000  # labels made wrong, looked at again, and of a set at most
MANY, FEW = 5, 2  # labels of an item that make the truth, and of them those that are given

Opinion = NDArray[np.float64]
Truth = NDArray[np.int64]
Whole = NDArray[np.integer]
Found = tuple[Whole, NDArray[np.float64]]  # the class of each item, and how sure it is
Way = Callable[[Answers, Opinion], Agreed]


@dataclass(frozen=True)
class Crowd:
    """What was said, the truth, and a model's held-out opinion."""

    answers: Answers
    truth: Truth
    opinion: Opinion


def simulated(seed: int, classes: int, each: tuple[int, int], good: tuple[float, float]) -> Crowd:
    """Answers, the truth, and what a model says of the items. Some people answer far more than others."""
    rng = np.random.default_rng([seed, classes])
    truth = rng.choice(classes, ITEMS, p=rng.dirichlet(np.full(classes, 3.0)))
    says = np.zeros((PEOPLE, classes, classes))
    for person in says:
        right = rng.beta(*good)
        for k in range(classes):
            person[k] = np.insert((1 - right) * rng.dirichlet(np.full(classes - 1, 0.7)), k, right)
    busy = rng.pareto(1.2, PEOPLE) + 0.2
    rows = [
        (item, person, rng.choice(classes, p=says[person, truth[item]]))
        for item in range(ITEMS)
        for person in rng.choice(PEOPLE, rng.integers(each[0], each[1] + 1), replace=False, p=busy / busy.sum())
    ]
    logits = rng.standard_normal((ITEMS, classes))
    logits[np.arange(ITEMS), truth] += 1.8
    opinion = np.exp(1.2 * logits)
    answers = Answers(*np.array(rows).T, ITEMS, PEOPLE, classes)
    return Crowd(answers, truth, opinion / opinion.sum(axis=1, keepdims=True))


WAYS: dict[str, Way] = {
    "majority": lambda answers, _: majority(answers),
    "ours, people alone": lambda answers, _: dawid_skene(answers),
    "ours, and a model": dawid_skene,
}


def of_rivals(crowds: list[Crowd]) -> dict[str, list[Found]]:
    """By way of the rivals, the class of each item of each crowd and how sure it is; none where .venv-rivals is not
    there."""
    if not figures.RIVALS.exists():
        return {}
    with TemporaryDirectory() as scratch:
        given, out = Path(scratch) / "crowds.npz", Path(scratch) / "out.npz"
        arrays = {
            f"{at:04d}-{name}": value
            for at, crowd in enumerate(crowds)
            for name, value in {**vars(crowd.answers), "opinion": crowd.opinion}.items()
            if isinstance(value, np.ndarray)
        }
        np.savez(given, **arrays)
        script = figures.ROOT / "tests" / "bench" / "rival_people.py"
        subprocess.run([figures.RIVALS, "-W", "ignore", script, given, out], check=True)
        with np.load(out) as found:
            by_way: dict[str, list[Found]] = {}
            for name in sorted(found):
                by_way.setdefault(name.partition("-")[2], []).append((found[name][:, 0].astype(int), found[name][:, 1]))
    return by_way


def compared(crowds: list[Crowd]) -> dict[str, NDArray[np.float64]]:
    """By way, (crowds, 2): accuracy, and AUROC of wrong labels."""
    found: dict[str, list[Found]] = {}
    for name, way in WAYS.items():
        agreed = [way(crowd.answers, crowd.opinion) for crowd in crowds]
        found[name] = [(each.label, each.trust) for each in agreed]
    scores = {}
    for name, by_crowd in (found | of_rivals(crowds)).items():
        pairs = zip(by_crowd, crowds, strict=True)
        scores[name] = np.array([((at == of.truth).mean(), told(at, sure, of.truth)) for (at, sure), of in pairs])
    return scores


def told(label: Whole, trust: NDArray[np.float64], truth: Truth) -> float:
    """AUROC of telling wrong labels by their trust."""
    wrong = label != truth
    ranks = pd.Series(1 - trust).rank().to_numpy()
    pairs = wrong.sum() * (~wrong).sum()
    return float((ranks[wrong].sum() - wrong.sum() * (wrong.sum() + 1) / 2) / pairs) if pairs else float("nan")


def few_of_many(folder: Path, seed: int) -> Crowd:
    """FEW labels of each item that MANY people or more have labelled, and what most of all of these said; and what a
    model says that learned from the few labels of other items."""
    rows = pd.read_parquet(folder / "annotations.parquet").drop_duplicates(["id", "annotator"])
    rows = rows[rows.groupby("id").label.transform("size") >= MANY]
    items, people, classes = (sorted(rows[name].unique()) for name in ("id", "annotator", "label"))

    def answers(of: pd.DataFrame) -> Answers:
        at = [
            pd.Index(known).get_indexer(of[name]) for known, name in zip((items, people, classes), NAMES, strict=True)
        ]
        return Answers(at[0], at[1], at[2], len(items), len(people), len(classes))

    some = answers(rows.sample(frac=1, random_state=seed).groupby("id").head(FEW))
    opinion = heard(vectors_of(folder, tuple(items)), dawid_skene(some), classes)
    return Crowd(some, majority(answers(rows)).label, opinion)


def heard(vectors: NDArray[np.float32], agreed: Agreed, classes: list[object]) -> Opinion:
    """What a model says that learned what is agreed of other items."""
    names = [str(one) for one in classes]
    labels = [names[at] for at in agreed.label]
    return held_out(Items.of(vectors), labels, agreed.trust, settings_for(names))


PARTS = {"wrong": wrong, "weak": weak, "overlap": overlap}
NAMES = ("id", "annotator", "label")


def flipped(folder: Path, seed: int) -> tuple[Crowd, NDArray[np.bool_]]:
    """A set whose labels one person gave, WRONG of which say another class that there is; and which."""
    rows = pd.read_parquet(folder / "pool.parquet").dropna(subset="label").drop_duplicates("id")
    rows = rows.sample(min(len(rows), FLIPPED), random_state=0)
    classes = sorted(rows.label.unique())
    truth = pd.Index(classes).get_indexer(pd.Index(rows.label))
    rng = np.random.default_rng([seed, 3])
    wrong = rng.permutation(len(rows)) < WRONG * len(rows)
    said = np.where(wrong, (truth + rng.integers(1, len(classes), len(rows))) % len(classes), truth)
    n = np.arange(len(rows))
    answers = Answers(n, np.zeros(len(rows), np.int64), said, len(rows), 1, len(classes))
    opinion = heard(vectors_of(folder, tuple(rows.id)), majority(answers), classes)
    return Crowd(answers, truth, opinion), wrong


def found_again(folder: Path) -> dict[str, str]:
    """Of the wrong labels of `flipped`, the share among the BUDGET of all labels that look worst: by `suspects`, by
    ours, and by how unlikely a model says that each is."""
    shares = []
    for seed in range(SEEDS):
        crowd, wrong = flipped(folder, seed)
        at = (crowd.answers.item, crowd.answers.label)
        names = [str(number) for number in range(crowd.answers.classes)]
        labels = [names[label] for label in crowd.answers.label.tolist()]
        said = Said(*at[:1], crowd.answers.person, labels, crowd.answers.items, 1)
        doubted = suspects.doubts(said, labels, choice, names, lambda *_, heard=crowd.opinion: heard)
        by_way = (-doubted.wrong, dawid_skene(crowd.answers, crowd.opinion).opinion[at], crowd.opinion[at])
        first = [np.argsort(each, kind="stable")[: int(BUDGET * len(wrong))] for each in by_way]
        shares.append([wrong[each].sum() / wrong.sum() for each in first])
    ways = ("suspects", "ours", "the model alone")
    return {"set": folder.name} | {way: f"{mean:.3f}" for way, mean in zip(ways, np.mean(shares, axis=0), strict=True)}


def taken(classes: int) -> dict[str, str]:
    """CPU seconds of taking many answers together, two an item, with a model on vectors that tell something."""
    rng = np.random.default_rng(classes)
    truth = rng.integers(0, classes, ANSWERS // 2)
    item, right = np.repeat(np.arange(len(truth)), 2), rng.beta(6, 2, PEOPLE)
    person = rng.permuted(np.tile(np.arange(PEOPLE), (len(truth), 1)), axis=1)[:, :2].ravel()
    wrong = rng.random(ANSWERS) > right[person]
    said = (truth[item] + wrong * rng.integers(1, classes, ANSWERS)) % classes
    names = [f"class {number}" for number in range(classes)]
    vectors = rng.standard_normal((classes, DIMENSIONS))[truth] + 3 * rng.standard_normal((len(truth), DIMENSIONS))
    opinion = consensus.opinion(Items.of(vectors.astype(np.float32)), settings_for(names))
    answers = Said(item, person, [names[at] for at in said], len(truth), PEOPLE)
    cells = {"answers": f"{ANSWERS:,}", "people": str(PEOPLE), "classes": str(classes)}
    for name, heard in (("people alone", None), ("and a model", opinion)):
        begun = time.process_time()
        found = combine(answers, DAWID_SKENE, choice, names, heard, strange=False)
        alike = np.mean([label == names[at] for label, at in zip(found.label, truth, strict=True)])
        cells[f"{name}: CPU s, accuracy"] = f"{time.process_time() - begun:.1f}, {alike:.3f}"
    return cells


def main() -> None:
    """Print the tables."""
    read = argparse.ArgumentParser()
    read.add_argument("data", nargs="?", type=Path)
    read.add_argument("part", nargs="?", choices=PARTS, help="loops whose people err; weak labels; a second answer")
    asked, words = read.parse_known_args()
    data: Path | None = asked.data
    if asked.part and data:
        PARTS[asked.part].main(data, words)
        return
    print(f"{figures.machine()}\n")
    print(f"{figures.table(pd.DataFrame([taken(classes) for classes in SIZES]))}\n")
    print(f"Mean of {SEEDS} crowds; accuracy, AUROC of wrong labels\n")
    kinds = [
        ({"classes": classes, "answers an item": f"{each[0]} to {each[1]}", "people": f"beta{good}"}, made)
        for classes, each, good in CROWDS
        for made in [partial(simulated, classes=classes, each=each, good=good)]
    ]
    for folder in sorted(data.iterdir()) if data else []:
        if (folder / "annotations.parquet").is_file():
            cells = {"classes": folder.name, "answers an item": f"{FEW} of {MANY} or more", "people": "real"}
            kinds.append((cells, partial(few_of_many, folder)))
    rows = []
    for cells, made in kinds:
        found = compared([made(seed) for seed in range(SEEDS)])
        shown = {name: "{:.3f}, {:.3f}".format(*np.nanmean(each, axis=0)) for name, each in found.items()}
        rows.append(cells | shown)
        print(figures.table(pd.DataFrame(rows[-1:]).fillna("-")), flush=True)
    print(f"\n{figures.table(pd.DataFrame(rows).fillna('-'))}")
    print(f"\n{WRONG:.0%} of the labels of a set made wrong: share of these among the {BUDGET:.0%} that look worst\n")
    for folder in sorted(data.iterdir()) if data else []:
        pool = folder / "pool.parquet"
        if pool.is_file() and {"text", "label"} <= set(pq.read_schema(pool).names):
            print(figures.table(pd.DataFrame([found_again(folder)])), flush=True)


if __name__ == "__main__":
    main()
