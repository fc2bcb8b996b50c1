"""`make bench-answer DATA=FOLDER`: is the promise of `answer` kept, how much is answered, and is a change noticed?

FOLDER holds labelled sets. The models are those of bench-finish, two of each of its runs, which it plays unless it has:
TOGETHER runs are looked at as one, with the items that none of their models has learned from. These are the items to
come; known ones are drawn from them, again and again, so that it is known what is wrong of what a threshold lets a
model answer. ARGS: names of sets, and of the parts `watch`, `unlike` and `drift` (all where none is named); --groups N
of runs; --draws N of KNOWN items each; --json FILE; --engine ray, as of bench-finish.
"""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from labelwise.tasks.proof import answering, unlike, watching
from labelwise.tasks.services import ray
from tests.bench import drift, figures, finish
from tests.bench.labels import tell

TOGETHER = 6
SELDOM = 5
WRONG = (0.02, 0.05)
CONFIDENCE = 0.95
KNOWN = 500
WATCHES, LONG = 200, 100  # simulated watches, and those over 100,000 items
SCOPE = {"clinc150": "oos"}  # what a set calls items that no class is for
ASIDE = {"clinc150": 15, "banking77": 8}  # classes taken out
PARTS = ("watch", "unlike", "drift")


@dataclass(frozen=True)
class Seen:
    """What the models of some runs make of n items that none of them has learned from: (models, n) confidences and
    losses."""

    sure: NDArray[np.float64]
    loss: NDArray[np.float64]


def played_by(name: str) -> finish.Case:
    """The runs of a set."""
    return finish.Case(name, "auto", noise=0.0, weak=0.0)


def seen(name: str, group: int) -> Seen:
    """Of a group of runs, as they were kept."""
    seeds = range(group * TOGETHER, (group + 1) * TOGETHER)
    looks = [look for seed in seeds for look in played_by(name).looks(seed)]
    fresh = ~np.any([look.known for look in looks], axis=0)
    return Seen(np.array([1 - look.doubt[fresh] for look in looks]), np.array([look.loss[fresh] for look in looks]))


@dataclass(frozen=True)
class Case:
    """A draw of known items, and one of the models. at: their places."""

    seen: Seen
    at: NDArray[np.int64]
    model: int

    def share(self, model: int, value: float) -> tuple[float, float]:
        """What is answered from a confidence on, and what is wrong of it."""
        answered = self.seen.sure[model] >= value
        return float(answered.mean()), float(self.seen.loss[model, answered].mean()) if answered.any() else 0.0

    def ours(self, model: int, wrong: float, risk: float, whole: bool) -> float:
        """The threshold."""
        sure, loss = self.seen.sure[model], self.seen.loss[model]
        return answering.threshold(sure, sure[self.at], loss[self.at], wrong, risk, None, whole).value

    def naive(self, model: int, wrong: float) -> float:
        """The lowest confidence from which on the known items look good enough."""
        sure, loss = self.seen.sure[model, self.at], self.seen.loss[model, self.at]
        order = np.argsort(-sure)
        good = np.flatnonzero(np.cumsum(loss[order]) / np.arange(1, len(order) + 1) <= wrong)
        return float(sure[order[good[-1]]]) if len(good) else math.inf

    def best(self, model: int, wrong: float) -> float:
        """The share that could be answered, were all known."""
        order = np.argsort(-self.seen.sure[model])
        good = np.flatnonzero(np.cumsum(self.seen.loss[model, order]) / np.arange(1, len(order) + 1) <= wrong)
        return float(good[-1] + 1) / len(order) if len(good) else 0.0

    def crowned(self) -> int:
        """The model that is best on the known items."""
        return int(np.argmin(self.seen.loss[:, self.at].mean(axis=1)))


def rows_of(name: str, groups: int, draws: int) -> list[dict[str, Any]]:
    """A row a promised share."""
    whole, rows = finish.SETS[name].answer == "choice", []
    cases = [
        Case(
            found, np.random.default_rng([group, draw]).integers(0, found.sure.shape[1], KNOWN), draw % len(found.sure)
        )
        for group in range(groups)
        for found in [seen(name, group)]
        for draw in range(draws)
    ]
    for wrong in WRONG:
        ways: dict[str, list[tuple[float, float]]] = {}
        for case in cases:
            one, crowned = case.model, case.crowned()
            values = {
                "answer": (one, case.ours(one, wrong, 1 - CONFIDENCE, whole)),
                "by betting": (one, case.ours(one, wrong, 1 - CONFIDENCE, False)),
                "naive": (one, case.naive(one, wrong)),
                "crowned": (crowned, case.ours(crowned, wrong, 1 - CONFIDENCE, whole)),
                "crowned, spent": (
                    crowned,
                    case.ours(crowned, wrong, answering.risk_of_model(CONFIDENCE, crowned + 1), whole),
                ),
            }
            for way, (model, value) in values.items():
                ways.setdefault(way, []).append(case.share(model, value))
        seldom = cases[::SELDOM] if whole else []  # MAPIE takes seconds a draw
        for way, found in of_mapie(seldom, wrong).items():
            ways["answer, same draws"] = ways["answer"][::SELDOM]
            ways[f"MAPIE {way}"] = [case.share(case.model, value) for case, value in zip(seldom, found, strict=True)]
        row: dict[str, Any] = {"set": name, "wrong": wrong, "draws": len(cases)}
        row["possible"] = np.mean([case.best(case.model, wrong) for case in cases])
        for way, shares in ways.items():
            coverage, bad = np.array(shares).T
            row |= {way: coverage.mean(), f"{way}: broken": float((bad > wrong + 1e-12).mean())}
        rows.append(row)
    return rows


def of_mapie(cases: list[Case], wrong: float) -> dict[str, list[float]]:
    """The thresholds of MAPIE's settings, in an environment of its own; none where it is not installed."""
    if not cases or not figures.RIVALS.exists():
        return {}
    with TemporaryDirectory() as scratch:
        given, out = Path(scratch) / "known.npz", Path(scratch) / "out.json"
        sure = np.array([case.seen.sure[case.model, case.at] for case in cases])
        right = np.array([1 - case.seen.loss[case.model, case.at] for case in cases])
        levels = np.array([np.quantile(case.seen.sure[case.model], np.linspace(0, 0.98, 50)) for case in cases])
        np.savez(given, sure=sure, right=right, levels=levels)
        script = figures.ROOT / "tests" / "bench" / "rival_answers.py"
        command = [figures.RIVALS, "-W", "ignore", script, given, str(1 - wrong), str(CONFIDENCE), out]
        subprocess.run(command, check=True)
        found: dict[str, list[float | None]] = json.loads(out.read_text(encoding="utf-8"))
    return {way: [math.inf if one is None else one for one in values] for way, values in found.items()}


def shown(rows: list[dict[str, Any]]) -> str:
    """Coverage of each way, and in brackets in what share of the draws it broke the promise."""
    lines = []
    for row in rows:
        line: dict[str, Any] = {"set": row["set"], "wrong": row["wrong"], "possible": f"{row['possible']:.3f}"}
        for way in [key for key in row if f"{key}: broken" in row]:
            line[way] = f"{row[way]:.3f} ({100 * row[f'{way}: broken']:.1f} %)"
        low, high = wilson(round(row["answer: broken"] * row["draws"]), row["draws"])
        line["interval of broken"] = f"{100 * low:.1f} to {100 * high:.1f} %"
        lines.append(line)
    return figures.table(pd.DataFrame(lines).fillna("-"))


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    found = stats.binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def noticed(before: int, share: float, wrong: float, seed: int, most: int) -> int:
    """How many watched items after a change to twice as many mistakes the alarm comes, `before` items of which `share`
    are wrong; negative: before it, a false one."""
    rng, watch = np.random.default_rng([seed, before]), watching.begin(wrong)
    chances = np.repeat([share, 2 * wrong], [before, most])
    for at, lost in enumerate((rng.random(before + most) < chances).tolist(), start=1):
        watch = watching.update(watch, lost)
        if watching.alarm(watch):
            return at - before
    return most


def watch_rows(runs: int) -> list[dict[str, Any]]:
    """What a change costs to be noticed, and how often there is an alarm without one."""
    rows = []
    for wrong in (0.05, 0.02):
        for part in (1.0, 0.5):
            for before in (0, 300, 1000, 3000):
                took = [noticed(before, part * wrong, wrong, seed, 4000) for seed in range(runs)]
                good = [each for each in took if each > 0]
                middle, late = np.quantile(good, [0.5, 0.9])
                rows.append(
                    {
                        "promised": wrong,
                        "wrong before": part * wrong,
                        "change after": before,
                        "median": int(middle),
                        "90 %": int(late),
                        "within 300": f"{np.mean(np.array(good) <= 300):.2f}",
                        "false": len(took) - len(good),
                    }
                )
    return rows


def false_alarms(wrong: float, runs: int, items: int = 100_000) -> tuple[int, float, float]:
    """Of how many watches over so many items, just as many of which are wrong as promised, there is an alarm."""
    times = sum(noticed(items, wrong, wrong, seed, 0) <= 0 for seed in range(runs))
    return times, *wilson(times, runs)


def unlike_rows(data: Path) -> list[dict[str, Any]]:
    """How well items are told from those of a pool (AUROC), and at 1 % false alarms which share of both is found: the
    texts of other sets, what a pool has no class for, and classes that were taken out of it."""
    sets = {name: finish.prepared(data, name)[:2] for name in finish.SETS}
    rows = []
    for name, (pool, gold) in sets.items():
        inside, near = outside(pool.table.label, SCOPE.get(name)), outside(gold.table.label, SCOPE.get(name))
        strange = {other: sets[other][1].vectors for other in sets if other != name}
        if name in SCOPE:
            strange["out of scope"] = np.concatenate([pool.vectors[~inside], gold.vectors[~near]])
        rows += told(name, pool.vectors[inside], gold.vectors[near], strange)
        if name in ASIDE:
            classes = np.random.default_rng(0).choice(sorted(set(pool.table.label[inside])), ASIDE[name], replace=False)
            kept, known = (~each.table.label.isin(classes).to_numpy() for each in (pool, gold))
            aside = {f"{ASIDE[name]} of its classes": pool.vectors[inside & ~kept]}
            rows += told(name, pool.vectors[inside & kept], gold.vectors[near & known], aside)
    return rows


def outside(labels: pd.Series, scope: str | None) -> NDArray[np.bool_]:
    """(n,) which items have another label."""
    return (labels != scope).to_numpy() if scope else np.ones(len(labels), bool)


def told(
    name: str, pool: NDArray[np.float16], near: NDArray[np.float16], strange: dict[str, NDArray[np.float16]]
) -> list[dict[str, Any]]:
    """A row for each of what is strange to a pool."""
    reference = unlike.fit(pool)
    own, rows = reference.strangeness(near), []
    for what, vectors in strange.items():
        found = reference.strangeness(vectors)
        auroc = roc_auc_score(np.repeat([0, 1], [len(own), len(found)]), np.concatenate([own, found]))
        alarms, hits = np.mean(own > reference.limit), np.mean(found > reference.limit)
        rows.append({"pool": name, "items": what, "AUROC": auroc, "false alarms": alarms, "found": hits})
    return rows


def main(data: Path, words: Sequence[str]) -> None:
    """Play what has not been played, and print the tables as far as they go."""
    parser = argparse.ArgumentParser(prog="bench-answer")
    parser.add_argument("parts", nargs="*", default=[*finish.SETS, *PARTS])
    parser.add_argument("--groups", type=int, default=3)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--json")
    parser.add_argument("--engine", choices=get_args(ray.Engine), default="local", help="where runs are played")
    given = parser.parse_args(words)
    if strange := [name for name in given.parts if name not in (*finish.SETS, *PARTS)]:
        parser.error(f"nothing is called {strange[0]!r}: expected some of {', '.join((*finish.SETS, *PARTS))}")
    rows: list[dict[str, Any]] = []
    for name in [each for each in given.parts if each in finish.SETS]:
        tell(f"answer: {name}")
        finish.play_missing(played_by(name), data, given.groups * TOGETHER, given.engine)
        rows += rows_of(name, given.groups, given.draws)
        print(shown(rows), flush=True)
        if given.json:
            Path(given.json).write_text(json.dumps(rows), encoding="utf-8")
    if "watch" in given.parts:
        tell("answer: the watch")
        print(figures.table(pd.DataFrame(watch_rows(WATCHES))), flush=True)
        for wrong in (0.05, 0.02):
            times, low, high = false_alarms(wrong, LONG)
            of = f"of {LONG} watches over 100,000 items"
            print(
                f"{wrong:.0%} promised and wrong: {times} false {of} ({100 * low:.1f} to {100 * high:.1f} %)",
                flush=True,
            )
    if "unlike" in given.parts:
        print(figures.table(pd.DataFrame(unlike_rows(data)).round(3)))
    if "drift" in given.parts:
        for name in drift.SETS:
            print(figures.table(pd.DataFrame(drift.rows_of(data, name))), flush=True)
    print(figures.machine())


if __name__ == "__main__":
    with threadpool_limits(1):
        main(Path(sys.argv[1]), sys.argv[2:])
