"""`make bench-labels DATA=FOLDER ARGS=multilabel`: labels needed where an item may have several, by macro F1.

FOLDER holds unfair_tos and goemotions as parquet, with a column `labels`. Ours are played by the loop's own stages, as
`labelwise rehearse` plays them; small-text's strategies in an environment of their own (.venv-rivals), once with the
classifier of its documentation and once more with `frozen` on what they had asked. Same vectors, seeds and budgets.
Everything is kept in .bench/multilabel/.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.kinds import multilabel
from labelwise.tasks.learners import LEARNERS, Examples, Model
from labelwise.tasks.settings import Settings, parse
from labelwise.tasks.strategies.base import Floats
from labelwise.tasks.trial import kept, rehearsal
from labelwise.tasks.trial.rehearsal import Rows, Run
from tests.bench import figures
from tests.bench.figures import RIVALS, ROOT

KEPT = figures.KEPT / "multilabel"  # apart: a set of several labels may be played with one class an item, too
KNOWING = "evened"  # chooses by the true labels
THEIRS = ["smalltext-cvirs", "smalltext-cardinality", "smalltext-adaptive"]
LEARNER = "frozen"
STRONGER = "ensemble"  # within the budget alone: a fit of it takes a minute and more where labels are thousands
SEEDS = (20, 21, 22)  # nothing was chosen on these
SHARE = 0.95  # of the macro F1 that the whole pool gives


@dataclass(frozen=True)
class Set:
    """none: what stands in the set where no label applies, taken as the empty answer. pool: how many of its items,
    drawn by chance, are played with. sizes: of the batches; random is played on in further ones, ours in longer."""

    none: str | None
    pool: int
    sizes: tuple[int, ...]
    further: tuple[int, ...]
    longer: tuple[int, ...]


SETS = {
    "unfair_tos": Set("none", 13_567, (100,) * 12, (300, 500, 1000, 1000, 2000, 3000), (200,) * 5),
    "goemotions": Set(None, 6_000, (300,) * 8, (600,) * 6, (600,) * 3),
}


def rows(data: Path, name: str, part: str, of: Set) -> pd.DataFrame:
    """Columns id, text, label; each text once."""
    found = pd.read_parquet(data / name / f"{part}.parquet").drop_duplicates("text")
    if part == "pool" and len(found) > of.pool:
        found = found.sample(of.pool, random_state=0)
    labels = [multilabel.label_of(one for one in said if one != of.none) for said in found.labels]
    return pd.DataFrame({"id": found.id.astype(str), "text": found.text, "label": labels}).reset_index(drop=True)


def prepared(data: Path, name: str) -> tuple[Rows, Rows, Settings]:
    """Pool and gold with their vectors, gold without what is in the pool, too; for the rivals the same in data.npz."""
    folder = KEPT / name
    folder.mkdir(parents=True, exist_ok=True)
    pool, gold = (rows(data, name, part, SETS[name]) for part in ("pool", "gold"))
    gold = gold[~gold.text.isin(pool.text)].reset_index(drop=True)
    classes = sorted({one for label in [*pool.label, *gold.label] for one in multilabel.members(label)})
    content = {
        "project": {"name": "bench", "id": "bench"},
        "classes": classes,
        "pull": {"pool": "pool", "gold": "gold"},
        "kind": {"answer": "multilabel"},
        "select": {"control": 0.0},
    }
    settings = parse(content)
    made = [Rows(one, kept.encoded(one, settings, folder)) for one in (pool, gold)]
    arrays = {
        f"{part}{what}": values
        for part, one in zip(("pool", "gold"), made, strict=True)
        for what, values in {"": one.vectors, "_labels": multilabel.targets(one.table.label, classes)}.items()
    }
    np.savez(folder / "data.npz", **arrays)
    return made[0], made[1], settings


def macro_f1(model: Model, gold: Rows) -> float:
    """On gold; a label that is neither there nor said counts 0, as in `rivals.macro_f1`."""
    said = multilabel.decided(model.probabilities(gold.items()), model.thresholds)
    truth = multilabel.targets(gold.table.label, model.classes)
    both = (truth * said).sum(axis=0)
    return float((2 * both / np.maximum(truth.sum(axis=0) + said.sum(axis=0), 1)).mean())


def ours(data: Path, name: str, strategy: str, learner: str, seed: int) -> Run:
    """A run by the loop's own stages, its score the macro F1."""
    out = KEPT / name / f"macro-{strategy}-{learner}-{seed}.json"
    if not out.exists():
        pool, gold, settings = prepared(data, name)
        of = SETS[name]
        longer = of.further if strategy == "random" else of.longer
        sizes = [*of.sizes, *(longer if learner == LEARNER else ())]
        scores: list[float] = []
        run = Run(strategy, learner, seed)
        own = kept.settings_of_run(settings, strategy, learner, seed)
        for done in rehearsal.play(
            run, pool, gold, own, sizes, 0.0, lambda model: scores.append(macro_f1(model, gold))
        ):
            print(name, done.name, done.labels[-1], f"{scores[-1]:.3f}", file=sys.stderr, flush=True)
        out.write_text(json.dumps(asdict(Run(strategy, learner, seed, run.labels, scores, run.seconds))))
    return Run(**json.loads(out.read_text()))


def theirs(data: Path, name: str, rival: str, seed: int) -> tuple[Run, Run]:
    """A run of a rival with its own classifier, and with `frozen` on what it asked."""
    folder = KEPT / name
    out, again = folder / f"{rival}-{seed}.json", folder / f"{rival}-{LEARNER}-{seed}.json"
    if not again.exists():
        prepared(data, name)
        config = {"data": str(folder / "data.npz"), "rival": rival, "seed": seed, "sizes": SETS[name].sizes}
        (folder / "config.json").write_text(json.dumps(config | {"start": None, "out": str(out)}))
        command = [RIVALS, "-W", "ignore", ROOT / "tests" / "bench" / "rivals.py", folder / "config.json"]
        subprocess.run(command, check=True, env=os.environ)
        played = json.loads(out.read_text())
        again.write_text(json.dumps(asdict(learned(data, name, rival, seed, played["asked"]))))
    played = json.loads(out.read_text())
    own = Run(rival, "theirs", seed, played["labels"], played["accuracy"], played["seconds"])
    return own, Run(**json.loads(again.read_text()))


def knowing(data: Path, name: str, seed: int) -> Run:
    """A run of a choice that knows the labels beforehand: what there is to gain by choosing."""
    out = KEPT / name / f"{KNOWING}-{LEARNER}-{seed}.json"
    if not out.exists():
        pool, _, settings = prepared(data, name)
        targets = multilabel.targets(pool.table.label, settings.classes)
        order = evened(targets, sum(SETS[name].sizes), np.random.default_rng(seed))
        asked = np.split(order, np.cumsum(SETS[name].sizes)[:-1])
        out.write_text(json.dumps(asdict(learned(data, name, KNOWING, seed, [one.tolist() for one in asked]))))
    return Run(**json.loads(out.read_text()))


def evened(targets: Floats, k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """k of n items by their (n, c) true labels: always the next one, in an order of chance, that has the label of which
    the fewest were taken so far; by chance when all that have one are taken."""
    order = rng.permutation(len(targets))
    queues = [iter([row for row in order if targets[row, label]]) for label in range(targets.shape[1])]
    counts, taken = np.zeros(targets.shape[1]), dict[int, None]()
    while len(taken) < k and np.isfinite(counts).any():
        label = int(counts.argmin())
        row = next((row for row in queues[label] if row not in taken), None)
        if row is None:
            counts[label] = np.inf
        else:
            taken[row] = None
            counts += targets[row]
    return np.array([*taken, *(row for row in order if row not in taken)][:k])


def learned(data: Path, name: str, asked_by: str, seed: int, asked: list[list[int]]) -> Run:
    """What the learner makes of batches of rows of the pool, after each."""
    pool, gold, settings = prepared(data, name)
    items, targets = pool.items(), multilabel.targets(pool.table.label, settings.classes)
    run = Run(asked_by, LEARNER, seed)
    for at in range(len(asked)):
        rows = np.array(sorted(row for batch in asked[: at + 1] for row in batch))
        examples = Examples(items.take(rows), targets[rows], settings.classes)
        run.score.append(macro_f1(LEARNERS[LEARNER].fit(examples, items, settings), gold))
        run.labels.append(len(rows))
    return run


def full(data: Path, name: str, learner: str) -> float:
    """The macro F1 that all labels of the pool give."""
    out = KEPT / name / f"full-{learner}.json"
    if not out.exists():
        pool, gold, settings = prepared(data, name)
        targets = kinds.answer("multilabel").targets(pool.table.label.tolist(), settings.classes)
        model = LEARNERS[learner].fit(Examples(pool.items(), targets, settings.classes), pool.items(), settings)
        out.write_text(json.dumps(macro_f1(model, gold)))
    return float(json.loads(out.read_text()))


def compared(name: str, own: list[Run], others: list[Run], best: float) -> dict[str, str]:
    """A row: labels for 95 % of the whole pool's macro F1, and the areas where both have the same points."""
    pairs = [(one, other) for one in own for other in others if one.seed == other.seed]
    target = SHARE * best
    needed = [
        rehearsal.median([rehearsal.labels_for(run, target) for run in side]) for side in zip(*pairs, strict=True)
    ]
    ratio = rehearsal.ratio_of(pairs, target)
    points = [zip(one.labels, other.labels, strict=False) for one, other in pairs]  # the areas, while they are the same
    n = min(sum(1 for _ in takewhile(lambda both: both[0] == both[1], two)) for two in points)
    cut = [[Run("", "", run.seed, run.labels[:n], run.score[:n]) for run in pair] for pair in pairs]
    area = rehearsal.Estimate.of([rehearsal.relative(rehearsal.area(one), rehearsal.area(two)) for one, two in cut])
    last = [pairs[0][side].labels[-1] for side in (0, 1)]
    return {
        "set": name,
        "ours": f"{own[0].strategy} + {own[0].learner}",
        "against": f"{others[0].strategy} + {others[0].learner}",
        "macro F1 to reach": f"{target:.3f}",
        "labels, ours": f"over {last[0]}" if needed[0] is None else f"{needed[0]:.0f}",
        "labels, theirs": f"over {last[1]}" if needed[1] is None else f"{needed[1]:.0f}",
        "ratio": f"{ratio['bound']} {rehearsal.Estimate(ratio['mean'], ratio['low'], ratio['high']):.2f}".strip(),
        "area, ratio": f"{area:.3f}",
        f"macro F1 at {pairs[0][0].labels[n - 1]}": " and ".join(
            f"{np.mean([pair[side].score[n - 1] for pair in pairs]):.3f}" for side in (0, 1)
        ),
    }


def curves(name: str, runs: dict[str, list[Run]]) -> list[dict[str, str]]:
    """The macro F1 of each seed after so many labels, a column for each who chose them."""
    points = next(iter(runs.values()))[0].labels
    return [
        {"set": name, "labels": f"{count:,}"}
        | {who: ", ".join(f"{run.score[at]:.3f}" for run in own if at < len(run.score)) for who, own in runs.items()}
        for at, count in enumerate(points)
        if count in (points[0], 400, 600, 800, 1_200, 1_800, 2_400)
    ]


def main(data: Path, names: Iterable[str]) -> None:
    """Play what has not been played, and print the tables as far as they go."""
    lines, points = [], []
    for name in names:
        best = full(data, name, LEARNER)
        own, chance = ([ours(data, name, each, LEARNER, seed) for seed in SEEDS] for each in ("auto", "random"))
        lines.append(compared(name, own, chance, best))
        known = [knowing(data, name, seed) for seed in SEEDS]
        lines.append(compared(name, known, chance, best))
        strong, strong_chance = (
            [ours(data, name, each, STRONGER, seed) for seed in SEEDS] for each in ("auto", "random")
        )
        lines.append(compared(name, strong, strong_chance, full(data, name, STRONGER)))
        lines.append(compared(name, strong, chance, best))
        runs = {"random": chance, "auto": own, KNOWING: known}
        runs |= {f"random + {STRONGER}": strong_chance, f"auto + {STRONGER}": strong}
        for rival in THEIRS if RIVALS.exists() else []:
            alone, again = zip(*(theirs(data, name, rival, seed) for seed in SEEDS), strict=True)
            lines += [compared(name, own, list(each), best) for each in (alone, again)]
            runs[f"{rival} + {LEARNER}"] = list(again)
        points += curves(name, runs)
        tables = [figures.table(pd.DataFrame(rows).fillna("")) for rows in (lines, points)]
        text = "\n\n".join([*tables, figures.machine()]) + "\n"
        print(text, flush=True)
        (KEPT / "multilabel.md").write_text(text, encoding="utf-8")
