"""`make bench-people`: what several people said of the same items, taken together (labels/consensus.py).

Simulated crowds of known quality; and of each set of DATA with people's labels (a folder with `annotations.parquet`:
id, annotator, label) a few labels an item, where the majority of many is taken for the truth. CROWDLAB and Dawid and
Skene's way without priors are our own reading of the papers (Goh, Tkachenko & Mueller 2022, arXiv 2210.06812; Dawid &
Skene 1979).
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.labels.consensus import Agreed, Answers, dawid_skene, majority
from tests.bench.figures import machine

SEEDS, ITEMS, PEOPLE = 10, 1000, 50
# classes, answers an item (from, to), and the beta distribution of how often a person is right
CROWDS = [(2, (3, 3), (6, 2)), (2, (1, 5), (6, 2)), (2, (2, 2), (16, 4)), (5, (1, 3), (6, 2)), (5, (2, 2), (6, 2))]
CROWDS += [(5, (3, 3), (3, 2)), (10, (1, 2), (6, 2)), (10, (3, 3), (6, 2)), (4, (2, 2), (2, 1.2)), (4, (3, 3), (16, 4))]
MANY, FEW = 5, 2  # labels of an item that make the truth, and of them those that are given

Opinion = NDArray[np.float64]
Truth = NDArray[np.int64]
Way = Callable[[Answers, Opinion], Agreed]


def crowd(seed: int, classes: int, each: tuple[int, int], good: tuple[float, float]) -> tuple[Answers, Truth, Opinion]:
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
    return answers, truth, opinion / opinion.sum(axis=1, keepdims=True)


def without_priors(answers: Answers, _opinion: Opinion) -> Agreed:
    """Dawid and Skene as they wrote it, by maximum likelihood."""
    agreed = majority(answers).opinion
    for _ in range(100):
        given = np.full((answers.people, answers.classes, answers.classes), 1e-3)
        np.add.at(given, (answers.person, slice(None), answers.label), agreed[answers.item])
        says = np.log(given / given.sum(axis=2, keepdims=True))[answers.person, :, answers.label]
        logs = np.log(agreed.mean(axis=0) + 1e-9) + np.stack(
            [np.bincount(answers.item, says[:, k], minlength=answers.items) for k in range(answers.classes)], axis=1
        )
        now = np.exp(logs - logs.max(axis=1, keepdims=True))
        before, agreed = agreed, now / now.sum(axis=1, keepdims=True)
        if np.abs(before - agreed).max() < 1e-5:
            break
    return Agreed(agreed)


def crowdlab(answers: Answers, opinion: Opinion) -> Agreed:
    """A weighted mean of the model's opinion and of people's, each by how often it agrees with the majority."""
    many, counts = majority(answers).label, answers.counts()
    n = counts.sum(axis=1)
    several = (n > 1)[answers.item]
    same = answers.label == many[answers.item]
    heard = np.bincount(answers.person, several, minlength=answers.people)
    agree = np.bincount(answers.person, same & several, minlength=answers.people) / np.maximum(heard, 1)
    likeliest = np.bincount(many, minlength=answers.classes).max() / answers.items
    weights = np.maximum(1 - (1 - agree) / (1 - likeliest), 1e-3)
    right = (opinion.argmax(axis=1) == many)[n > 1].mean() if (n > 1).any() else likeliest
    model = max(1 - (1 - right) / (1 - likeliest), 1e-3) * np.sqrt(n.mean())
    sure = same[several].mean() if several.any() else 0.8
    says = np.full((answers.classes, answers.classes), (1 - sure) / (answers.classes - 1))
    np.fill_diagonal(says, sure)
    total, whole = model * opinion, np.full(answers.items, model)
    np.add.at(total, answers.item, weights[answers.person][:, None] * says[answers.label])
    np.add.at(whole, answers.item, weights[answers.person])
    return Agreed(total / whole[:, None])


WAYS: dict[str, Way] = {
    "majority": lambda answers, _: majority(answers),
    "without priors": without_priors,
    "ours, people alone": lambda answers, _: dawid_skene(answers),
    "CROWDLAB": crowdlab,
    "ours, and a model": dawid_skene,
}


def told(agreed: Agreed, truth: Truth) -> float:
    """AUROC of telling wrong labels by their trust."""
    wrong = agreed.label != truth
    ranks = pd.Series(1 - agreed.trust).rank().to_numpy()
    pairs = wrong.sum() * (~wrong).sum()
    return float((ranks[wrong].sum() - wrong.sum() * (wrong.sum() + 1) / 2) / pairs) if pairs else float("nan")


def few_of_many(folder: Path, seed: int) -> tuple[Answers, Truth]:
    """FEW labels of each item that MANY people or more have labelled, and what most of all of these said."""
    rows = pd.read_parquet(folder / "annotations.parquet").drop_duplicates(["id", "annotator"])
    rows = rows[rows.groupby("id").label.transform("size") >= MANY]
    items, people, classes = (sorted(rows[name].unique()) for name in ("id", "annotator", "label"))

    def answers(of: pd.DataFrame) -> Answers:
        at = [
            pd.Index(known).get_indexer(of[name]) for known, name in zip((items, people, classes), NAMES, strict=True)
        ]
        return Answers(at[0], at[1], at[2], len(items), len(people), len(classes))

    some = rows.sample(frac=1, random_state=seed).groupby("id").head(FEW)
    return answers(some), majority(answers(rows)).label


NAMES = ("id", "annotator", "label")


def main() -> None:
    """Print the tables."""
    read = argparse.ArgumentParser()
    read.add_argument("data", nargs="?", type=Path)
    data = read.parse_args().data
    print(
        f"{machine()}\n\nMean of {SEEDS} crowds of {ITEMS} items and {PEOPLE} people: accuracy, AUROC of wrong labels\n"
    )
    print("| classes | answers an item | people | " + " | ".join(WAYS) + " |\n|" + "---|" * (3 + len(WAYS)))
    for classes, each, good in CROWDS:
        cells = []
        for way in WAYS.values():
            found = []
            for seed in range(SEEDS):
                answers, truth, opinion = crowd(seed, classes, each, good)
                agreed = way(answers, opinion)
                found.append(((agreed.label == truth).mean(), told(agreed, truth)))
            right, known = np.nanmean(found, axis=0)
            cells.append(f"{right:.3f}, {known:.3f}")
        print(f"| {classes} | {each[0]} to {each[1]} | beta{good} | " + " | ".join(cells) + " |", flush=True)
    for folder in sorted(data.iterdir()) if data else []:
        if (folder / "annotations.parquet").is_file():
            print(f"\n{folder.name}, {FEW} labels of items with {MANY} and more\n")
            for name in ("majority", "without priors", "ours, people alone"):
                found = []
                for seed in range(SEEDS):
                    answers, truth = few_of_many(folder, seed)
                    agreed = WAYS[name](answers, np.empty((0, 0)))
                    found.append(((agreed.label == truth).mean(), told(agreed, truth)))
                print(f"{name}: {np.mean(found, axis=0).round(3).tolist()}", flush=True)


if __name__ == "__main__":
    main()
