"""`make bench-labels DATA=. ARGS=row`: labels needed by rows of figures and by windows of signals, all of which are
in installed packages or made here: nothing is read from DATA.

Batches are small and budgets such that random labels get there, too: where 95 % of the whole pool's accuracy is reached
with the first batch, the number of labels would be that batch. `wine`, `blobs` and `cuts` are other kinds of
sets than the goals are about; the members of `ensemble` and their weights were chosen on sets like them, too.

`auto` against labels by chance, both with the learner `auto`; and against margin sampling of scikit-activeml, with each
of three classifiers on standardised figures (a logistic head, a forest, a Parzen window), of which the best on a set
counts. Paired seeds; the same batches for all.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labelwise.flows import rehearse
from labelwise.flows.demos.recordings import RATE, recorded
from labelwise.tasks.kinds import row
from labelwise.tasks.learners.kernel import Kernel, settled
from labelwise.tasks.settings import Columns, Pull
from labelwise.tasks.trial import rehearsal
from labelwise.tasks.trial.plan import Plan
from labelwise.tasks.trial.rehearsal import Estimate, Run
from tests.bench import figures
from tests.bench.figures import KEPT, RIVALS, ROOT

SEEDS, GOLD = 10, 1 / 3
BUDGETS = {  # batch, rounds
    "cancer": (5, 14),
    "recordings": (10, 12),
    "digits": (15, 16),
    "cover": (40, 14),
    "wine": (3, 10),
    "blobs": (15, 14),
    "cuts": (20, 12),
}
SETS = tuple(BUDGETS)
CLASSIFIERS = ("logistic", "forest", "parzen")
SHARE, GOAL = 0.95, 0.6


def made(name: str) -> tuple[pd.DataFrame, Columns]:
    """A labelled set, in the order of its rows, and what its columns are. Those of `recordings` have a group."""
    if name == "recordings":
        signals = dict.fromkeys(("front", "back"), f"signal at {RATE} Hz")
        features = {"age": "number", "electrodes": "category", **signals}
        return recorded(48, 30, seed=0), Columns(id="window", group="recording", features=features)
    if name == "cover":
        return cover(3000), Columns()
    if name in ("blobs", "cuts"):
        return (blobs if name == "blobs" else cuts)(2000), Columns()
    from sklearn import datasets

    loaders = {"digits": datasets.load_digits, "cancer": datasets.load_breast_cancer, "wine": datasets.load_wine}
    found = loaders[name](as_frame=True)
    frame = found.frame.drop(columns="target")
    return frame.assign(label=np.array(found.target_names)[found.target].astype(str)), Columns()


def blobs(rows: int) -> pd.DataFrame:
    """Three classes of two clouds each, and columns that say nothing or the same again."""
    from sklearn.datasets import make_classification

    shape: dict[str, Any] = {"n_features": 15, "n_informative": 6, "n_redundant": 2, "n_classes": 3}
    x, y = make_classification(rows, n_clusters_per_class=2, flip_y=0.02, random_state=1, **shape)
    return pd.DataFrame(x, columns=[f"f{at}" for at in range(15)]).assign(label=[f"kind {each}" for each in y])


def cuts(rows: int) -> pd.DataFrame:
    """Five classes by thresholds of skewed figures."""
    x = np.random.default_rng(6).exponential(size=(rows, 8))
    label = (x[:, 0] > 0.7) * 2 + (x[:, 1] > 0.7)
    label = np.where((x[:, 2] > 1.5) & (x[:, 3] > 0.5), 4, label)
    return pd.DataFrame(x, columns=[f"f{at}" for at in range(8)]).assign(label=[f"kind {each}" for each in label])


def cover(rows: int) -> pd.DataFrame:
    """Like forest cover: classes by bands of height, by soil, and by what holds together; skewed figures, some of them
    missing, and columns that say nothing."""
    rng = np.random.default_rng(0)
    height, slope, sun = rng.normal(size=(3, rows))
    water, road = rng.exponential(size=(2, rows))
    soil = rng.choice(["sand", "clay", "rock", "peat"], rows, p=[0.4, 0.3, 0.2, 0.1])
    label = np.digitize(height, [-0.9, 0.0, 0.9])
    label = np.where((slope * sun > 0.7) & (label < 3), label + 1, label)
    label = np.where((soil == "peat") & (water < 1.5), 4, label)
    label = np.where((soil == "rock") & (height > 0.3), 5, label)
    frame = pd.DataFrame({"height": height, "slope": slope, "sun": sun, "water": water, "road": road, "soil": soil})
    frame["water"] = frame.water.where(rng.random(rows) > 0.05)
    for number in range(4):
        frame[f"noise {number}"] = rng.normal(size=rows)
    return frame.assign(label=[f"kind {each}" for each in label])


def written(name: str) -> tuple[Path, Columns]:
    """The folder of a set with pool.parquet and gold.parquet, and its columns."""
    folder = KEPT / f"row-{name}"
    frame, columns = made(name)
    folder.mkdir(parents=True, exist_ok=True)
    units = frame.recording if columns.group else pd.Series(np.arange(len(frame)))
    drawn = np.random.default_rng(0).permutation(units.unique())
    is_gold = units.isin(drawn[: round(GOLD * len(drawn))]).to_numpy()
    for part, rows in (("pool", frame[~is_gold]), ("gold", frame[is_gold])):
        rows.to_parquet(folder / f"{part}.parquet", index=False)
    return folder, columns


def ours(name: str) -> tuple[list[Run], float, Columns]:
    """Runs of `random` and `auto` by the loop's own stages, and the accuracy of all labels of the pool."""
    folder, columns = written(name)
    sources = str(folder / "pool.parquet"), str(folder / "gold.parquet")
    plan = Plan(*sources, ["random", "auto"], ["auto"], *BUDGETS[name], SEEDS, 0.0, columns=columns, item="row")
    content = rehearse.rehearse(plan, folder / "ours", None, lambda line: print(name, line, file=sys.stderr))
    return [Run.of(run) for run in content["runs"]], content["full"]["by_learner"]["auto"], columns


def prepared(name: str, columns: Columns) -> Path:
    """For the rivals: standardised figures and codes of categories, as our trees read them, in data.npz."""
    folder = KEPT / f"row-{name}"
    if not (path := folder / "data.npz").exists():
        tables = [pd.read_parquet(folder / f"{part}.parquet") for part in ("pool", "gold")]
        whole = pd.concat(tables, ignore_index=True)
        if not columns.features:
            columns = row.detected(lambda: whole.astype(str).astype(object), columns)[0]
        cells = row.given(whole, Pull(pool="", gold="", columns=columns))
        first = len(tables[0])
        kernel = Kernel.of(settled(cells[:first], columns.features))
        read = [json.loads(cell) for cell in cells]
        coded = [pd.get_dummies([each[of] for each in read], dtype=float) for of in kernel.layout.categories]
        x = np.column_stack([kernel.standard(read), *coded])
        y = pd.factorize(whole.label, sort=True)[0]
        parts = {"pool": x[:first], "pool_labels": y[:first], "gold": x[first:], "gold_labels": y[first:]}
        np.savez(path, **parts)
    return path


def theirs(name: str, columns: Columns) -> dict[str, list[Run]]:
    """Runs of margin sampling by classifier."""
    found: dict[str, list[Run]] = {}
    batch, rounds = BUDGETS[name]
    for classifier in CLASSIFIERS:
        rival = f"skactiveml-margin-{classifier}"
        for seed in range(SEEDS):
            out = KEPT / f"row-{name}" / f"{rival}-{seed}.json"
            if not out.exists():
                config: dict[str, Any] = {"data": str(prepared(name, columns)), "rival": rival, "seed": seed}
                config |= {"sizes": [batch] * rounds, "start": None, "out": str(out)}
                out.with_name("config.json").write_text(json.dumps(config), encoding="utf-8")
                command = [RIVALS, "-W", "ignore", ROOT / "tests" / "bench" / "rivals.py", out.with_name("config.json")]
                subprocess.run(command, check=True, env=os.environ)
            played = json.loads(out.read_text(encoding="utf-8"))
            own = {key: played[key] for key in ("labels", "accuracy", "seconds")}
            found.setdefault(rival, []).append(Run.of({"strategy": rival, "learner": "theirs", "seed": seed, **own}))
    return found


def row_of(name: str, own: list[Run], rivals: list[Run], of: str, full: float) -> dict[str, str]:
    """A line: labels for 95 % of the whole pool's accuracy, and areas."""
    pairs = list(zip(own, rivals, strict=True))
    ratio = rehearsal.ratio_of(pairs, SHARE * full)
    needed = [
        rehearsal.median([rehearsal.labels_for(run, SHARE * full) for run in side]) for side in zip(*pairs, strict=True)
    ]
    area = Estimate.of([rehearsal.area(run) / rehearsal.area(rival) for run, rival in pairs])
    estimate = Estimate(*(ratio[key] for key in ("mean", "low", "high")))
    labels = ["over" if each is None else f"{each:.0f}" for each in needed]
    return {
        "set": name,
        "against": of,
        f"accuracy to reach ({SHARE:.0%})": f"{SHARE * full:.3f}",
        "labels, ours": labels[0],
        "labels, theirs": labels[1],
        "ratio": f"{ratio['bound']} {estimate:.2f}".strip(),
        "area, ratio": f"{area:.3f}",
    }


def main(_data: Path, names: list[str]) -> None:
    """The table, as far as it has been measured."""
    rows = []
    for name in names:
        runs, full, columns = ours(name)
        by = {strategy: [run for run in runs if run.strategy == strategy] for strategy in ("random", "auto")}
        rows.append(row_of(name, by["auto"], by["random"], f"random (goal {GOAL})", full))
        if RIVALS.exists():
            margins = theirs(name, columns)
            best = max(margins, key=lambda rival: np.mean([rehearsal.area(run) for run in margins[rival]]))
            rows.append(row_of(name, by["auto"], margins[best], best, full))
        text = f"{figures.table(pd.DataFrame(rows))}\n\n{figures.machine()}\n"
        print(text)
        (KEPT / "row.md").write_text(text, encoding="utf-8")
