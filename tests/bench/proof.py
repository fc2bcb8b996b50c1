"""`make bench-proof DATA=FOLDER`: does the proof hold? The methods of tasks/proof on simulated loops of known truth.

Labelled sets lie in FOLDER. Of each, every seed draws a pool, a gold set and an exam, which nothing but the truth is
measured on. Each run is kept in .bench/proof/, so that a call that was cut off goes on where it was. With `--engine
ray` runs are played on a cluster (`RAY_ADDRESS`, else one of this machine's cores), whose workers have this checkout.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.special import betainc, betaln
from sklearn.isotonic import IsotonicRegression
from threadpoolctl import threadpool_limits

from labelwise.tasks import prove, report
from labelwise.tasks.evaluate import evaluate
from labelwise.tasks.learners import Items, Model
from labelwise.tasks.promote import decide
from labelwise.tasks.proof import control, successor
from labelwise.tasks.proof.gate import compare, level
from labelwise.tasks.proof.stopping import RULES, Prices
from labelwise.tasks.reporting import pictures
from labelwise.tasks.score import score
from labelwise.tasks.services import ray
from labelwise.tasks.settings import Settings, parse
from labelwise.tasks.strategies import STRATEGIES, Candidates, Choice
from labelwise.tasks.strategies.base import top
from labelwise.tasks.train import train
from labelwise.tasks.trial.kept import encoded
from labelwise.tasks.trial.plan import Plan, rows_of
from labelwise.tasks.trial.rehearsal import Rows, Run, judged, play
from labelwise.tasks.workspace import write_json
from tests.bench import figures, proof_measures, proof_prevalence, proof_scores
from tests.bench.labels import cleaned
from tests.bench.proof_gold import SEEDS as GOLD_SEEDS
from tests.bench.proof_gold import gold_table
from tests.bench.proof_imported import imported_rows

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".bench" / "proof"
ROUNDS = 20
SEEDS = 20
STOP_SEEDS = 10
EARLY = (7, 8, 9, 10)  # rounds in which a bad strategy must be found out; before, the control arm has no curve
WORTHS = (1.0, 2.0, 5.0, 10.0)  # of a point of accuracy, in batches
BUDGETS = range(2, ROUNDS + 1, 2)
PAIRS = 1000
LOOKS, RUNS = 30, 3000
GOLD = 1000
DRAWS, ARMS, WRONG = 50, (60, 240), 0.4  # successor check: control and chosen labels, share of wrong ones if planted
MOST = 5000  # items of a set
SHARES = (0.6, 0.8)  # up to where the pool goes, and gold; the rest is the exam
BATCHES = {"spamassassin": 25, "convabuse": 25, "unfair_tos": 25, "it_tickets": 50, "banking77": 75}


@dataclass(frozen=True)
class World:
    """The items of a set, of which every seed draws its own pool, gold and exam."""

    name: str
    rows: Rows
    settings: Settings

    def drawn(self, seed: int) -> tuple[Rows, Rows, Rows]:
        """Pool, gold and exam of a seed."""
        order = np.random.default_rng([seed, 7]).permutation(len(self.rows.table))
        ends = [int(share * len(order)) for share in SHARES]
        pool, gold, exam = (
            Rows(self.rows.table.iloc[part].reset_index(drop=True), self.rows.vectors[part])
            for part in map(np.sort, np.split(order, ends))
        )
        return pool, gold, exam


def world(data: Path, name: str) -> World:
    """A set with its vectors, computed once and kept."""
    folder = KEPT / name
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "rows.parquet").exists():
        cleaned(data, name, folder)
        sources = [str(folder / f"{part}.parquet") for part in ("pool", "gold")]
        plan = Plan(*sources, strategies=[], learners=[], batch=1, rounds=1, seeds=1, noise=0.0)
        parts = [rows_of(source, plan, print) for source in sources]
        rows = pd.concat(parts).drop_duplicates("id")
        rows = rows.sample(min(MOST, len(rows)), random_state=0).sort_values("id", ignore_index=True)
        rows.to_parquet(folder / "rows.parquet")
    table = pd.read_parquet(folder / "rows.parquet")
    project = {"name": "proof", "id": "proof"}
    classes = sorted(set(table.label))
    settings = parse(
        {"project": project, "classes": classes, "pull": {"pool": "", "gold": ""}, "train": {"learner": "frozen"}}
    )
    return World(name, Rows(table, encoded(table, settings, folder)), settings)


@dataclass(frozen=True)
class Played:
    """A run with what its truth and its stop rules need, a value a round. chance: (labels, exam accuracy) of models
    trained on so many items of this seed's pool, drawn by chance."""

    run: Run
    exam: list[float]
    settled: list[dict[str, float | None]]
    wrong: list[str]  # of gold and exam, which items the round's model got wrong: bits, in hexadecimal
    chance: list[tuple[int, float]]

    @property
    def history(self) -> pd.DataFrame:
        """What tasks/proof/stopping.py looks at."""
        rows = {"labels": self.run.labels, "score": self.run.score, "exam": self.exam}
        return pd.DataFrame({**rows, "asks": len(self.run.asked[-1])}).join(pd.DataFrame(self.settled))

    def errors(self) -> NDArray[np.bool_]:
        """(rounds, items) wrong or not, of gold and exam."""
        bits = [np.unpackbits(np.frombuffer(bytes.fromhex(one), np.uint8)) for one in self.wrong]
        return np.array(bits).astype(bool)


def kept_at(world: World, strategy: str, seed: int) -> Path:
    """Where a run is kept."""
    return KEPT / world.name / f"{strategy}-{seed}.json"


def played(world: World, strategy: str, seed: int) -> Played:
    """One run, as it was kept."""
    content = json.loads(kept_at(world, strategy, seed).read_text(encoding="utf-8"))
    return Played(**content | {"run": Run.of(content["run"])})


def play_missing(worlds: list[World], engine: ray.Engine) -> None:
    """Play the runs that are not kept yet, here or on a cluster's cores, and keep each as it is done."""
    asked = [
        (at, strategy, seed, rounds)
        for seed in range(SEEDS)
        for at in range(len(worlds))
        for strategy, rounds in (("random", ROUNDS), ("auto", ROUNDS), ("easiest", EARLY[-1]))
    ]
    paths = [kept_at(worlds[at], strategy, seed) for at, strategy, seed, _ in asked]
    missing = [(path, run) for path, run in zip(paths, asked, strict=True) if not path.exists()]
    for done, (path, run) in enumerate(ray.each(engine, partial(one_run, worlds), missing), start=1):
        write_json(path, asdict(run))
        print(f"played: {done:,} of {len(missing):,}", file=sys.stderr, flush=True)


def one_run(worlds: list[World], asked: tuple[int, str, int, int]) -> Played:
    """One run through the loop's own stages: of which world, by which strategy, seed and number of rounds."""
    at, strategy, seed, rounds = asked
    with threadpool_limits(1), patch.dict(STRATEGIES, easiest=easiest):
        return _run(worlds[at], strategy, seed, rounds)


def _run(world: World, strategy: str, seed: int, rounds: int) -> Played:
    pool, gold, exam = world.drawn(seed)
    select: dict[str, Any] = {"strategy": strategy}
    if strategy == "random":
        select["near_duplicate"] = None  # else it is a little better than chance
    settings = world.settings.model_copy(update={"select": world.settings.select.model_copy(update=select)})
    result = Played(Run(strategy, "frozen", seed), [], [], [], by_chance(world, seed) if strategy == "random" else [])
    before: list[pd.DataFrame | None] = [None]

    def watch(model: Model) -> None:
        scores = score(pd.Index(pool.table.id), pool.items(), model, settings.score)
        result.settled.append(report.settling(scores, before[0]))
        before[0] = scores
        names = np.asarray(model.classes, dtype=object)
        missed = [
            names[model.probabilities(rows.items()).argmax(axis=1)] != rows.table.label.to_numpy(dtype=object)
            for rows in (gold, exam)
        ]
        result.exam.append(float(1 - missed[1].mean()))
        result.wrong.append(np.packbits(np.concatenate(missed)).tobytes().hex())

    for _ in play(result.run, pool, gold, settings, [BATCHES[world.name]] * rounds, 0.0, watch):
        pass
    return result


def by_chance(world: World, seed: int) -> list[tuple[int, float]]:
    """The exam accuracy of models trained on items drawn by chance, on the rounds' sizes and far beyond: the truth that
    the control arm is to tell."""
    pool, _, exam = world.drawn(seed)
    order = np.random.default_rng([seed, 8]).permutation(len(pool.table))
    batch = BATCHES[world.name]
    sizes = [batch * k for k in [0.2, 0.4, 0.7, *range(1, ROUNDS + 1), *(ROUNDS * np.array([1.3, 1.7, 2.2, 3, 4, 6]))]]
    found = []
    for size in [int(size) for size in sizes if size <= len(order)]:
        rows = np.sort(order[:size])
        labels = pool.table.label.iloc[rows].reset_index(drop=True)
        model = train(pool.items().take(rows), labels, pool.items(), world.settings)
        found.append((size, judged(model, exam.items(), exam.table.label)))
    return found


def easiest(candidates: Candidates, k: int, rng: np.random.Generator) -> Choice:
    """A bad strategy, planted: ask what the model is surest of."""
    return top(candidates.probabilities.max(axis=1), k, rng)


def metered(world: World, strategy: str, seed: int, at: int) -> dict[str, Any] | None:
    """What the savings meter says after round `at` of a run, by the stage's own function; kept."""
    path = KEPT / world.name / f"meter-{strategy}-{seed}-{at}.json"
    if not path.exists():
        run = played(world, strategy, seed).run
        pool, gold, _ = world.drawn(seed)
        asked = [
            (item, number, why)
            for number, batch in enumerate(zip(run.asked[:at], run.why[:at], strict=True), start=1)
            for item, why in zip(*batch, strict=True)
        ]
        ledger = pd.DataFrame(asked, columns=["id", "round", "why"]).sort_values("id", ignore_index=True)
        ledger = ledger.merge(pool.table[["id", "label"]], on="id")
        rows = pd.Index(pool.table.id).get_indexer(pd.Index(ledger.id))
        settings = world.settings.model_copy(update={"seed": seed})
        still_open = pd.Index(pool.table.id).difference(pd.Index(ledger.id))
        ledger = ledger.assign(control=control.sample(ledger, still_open, seed))
        exam = gold.table.assign(weight=1.0)
        found = prove.meter(ledger, pool.items().take(rows), exam, gold.items(), pool.items(), settings)
        content = found and {key: value for key, value in found.as_json().items() if key != "curves"}
        write_json(path, {"found": content})
    return json.loads(path.read_text(encoding="utf-8"))["found"]


# The truth


@dataclass(frozen=True)
class Truth:
    """A learning curve averaged over seeds: labels (j,), accuracy (j,), never falling."""

    labels: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @classmethod
    def of(cls, labels: list[float], runs: list[list[float]]) -> "Truth":
        mean = np.mean(runs, axis=0)
        risen = IsotonicRegression().fit_transform(np.arange(len(mean)), mean)
        return cls(np.asarray(labels, float), risen)

    def at(self, labels: float) -> float:
        return float(np.interp(np.log(labels), np.log(self.labels), self.accuracy))

    def labels_for(self, accuracy: float) -> tuple[float, float]:
        """Between how many labels the curve is at that accuracy: two ends where it is flat, 0 or infinity beyond it."""
        low, high = np.searchsorted(self.accuracy, accuracy, "left"), np.searchsorted(self.accuracy, accuracy, "right")
        if low == len(self.accuracy):
            return float(self.labels[-1]), np.inf
        if high == 0:
            return 0.0, float(self.labels[0])
        if low < high:
            return float(self.labels[low]), float(self.labels[high - 1])
        part = (accuracy - self.accuracy[low - 1]) / (self.accuracy[low] - self.accuracy[low - 1])
        logs = np.log(self.labels[low - 1 : low + 1])
        found = float(np.exp(logs[0] + part * (logs[1] - logs[0])))
        return found, found


def truths(world: World, strategy: str, seeds: list[int]) -> tuple[Truth, Truth]:
    """The loop's curve and that of labels by chance, both averaged over the seeds."""
    chance = [played(world, "random", seed).chance for seed in seeds]
    by_chance = Truth.of([size for size, _ in chance[0]], [[value for _, value in one] for one in chance])
    if strategy == "random":
        return by_chance, by_chance
    runs = [played(world, strategy, seed) for seed in seeds]
    return Truth.of([float(n) for n in runs[0].run.labels], [one.exam for one in runs]), by_chance


# The tables


def seeds_of(name: str, strategy: str) -> list[int]:
    """The seeds whose run is there, of a set."""
    kept = [seed for seed in range(SEEDS) if (KEPT / name / f"{strategy}-{seed}.json").exists()]
    return [seed for seed in kept if (KEPT / name / f"random-{seed}.json").exists()]


def savings_rows(worlds: list[World]) -> list[dict[str, str]]:
    """How often the meter's 90 % interval holds the true ratio after all rounds; of the projected figure as well."""
    rows = []
    for strategy in ("random", "auto"):
        total = np.zeros(3, int)
        for here in worlds:
            batch, seeds = BATCHES[here.name], seeds_of(here.name, strategy)
            loop, chance = truths(here, strategy, seeds)
            n, m = float(batch * ROUNDS), batch * ROUNDS * control.arm(here.settings.select.control, None).share
            true = [end / m for end in loop.labels_for(chance.at(m))] if strategy != "random" else [1.0, 1.0]
            ends = [end / n for end in chance.labels_for(loop.at(n))] if strategy != "random" else [1.0, 1.0]
            far = [1 / max(end, 1e-9) for end in reversed(ends)]
            found = [one for seed in seeds if (one := metered(here, strategy, seed, ROUNDS))]
            held = sum(held_by(one["ratio"], true) for one in found)
            held_far = sum(held_by(one["projected"], far) for one in found)
            total += [held, held_far, len(found)]
            verdicts = [one["verdict"] for one in found]
            ends = [float(np.median([one["ratio"][end] for one in found])) for end in ("low", "high")]
            rows.append(
                {
                    "set": here.name,
                    "strategy": strategy,
                    "true ratio": ranged(true),
                    "interval (medians)": ranged(
                        [np.median([one["ratio"][k] for one in found]) for k in ("low", "high")]
                    ),
                    "holds it": f"{held} of {len(found)}",
                    "saves / costs said": f"{verdicts.count('saves')} / {verdicts.count('costs')}",
                    "true, projected": ranged(far),
                    "holds that": f"{held_far} of {len(found)}",
                }
            )
        said = {"set": "together", "strategy": strategy, "holds it": share(total[0], total[2])}
        rows.append(dict.fromkeys(rows[0], "") | said | {"holds that": share(total[1], total[2])})
    return rows


def bad_rows(worlds: list[World]) -> list[dict[str, str]]:
    """In how many runs of a strategy the meter says `costs` at some of the rounds 7 to 10: of the planted bad one, and
    of chance, where it would be a false alarm. True ratio: at the tenth round."""
    rows = []
    for here in worlds:
        for strategy in ("easiest", "random"):
            seeds = seeds_of(here.name, strategy)
            red = [
                [
                    one is not None and one["verdict"] == "costs"
                    for at in EARLY
                    if [one := metered(here, strategy, seed, at)]
                ]
                for seed in seeds
            ]
            true, far = [1.0, 1.0], [1.0, 1.0]
            if strategy != "random":
                loop, chance = truths(here, strategy, seeds)
                n, m = float(BATCHES[here.name] * EARLY[-1]), BATCHES[here.name] * EARLY[-1] * 0.2
                true = [end / m for end in loop.labels_for(chance.at(m))]
                far = [n / max(end, 1e-9) for end in reversed(chance.labels_for(loop.at(n)))]
            rows.append(
                {
                    "set": here.name,
                    "strategy": strategy,
                    "true ratio": ranged(true),
                    "true, projected": ranged(far),
                    "red by round 10": f"{sum(map(any, red))} of {len(red)}",
                    "red in round 10": f"{sum(one[-1] for one in red)} of {len(red)}",
                }
            )
    return rows


def costs(found: dict[str, Any] | None) -> bool:
    """Whether the meter is red."""
    return found is not None and found["verdict"] == "costs"


def held_by(interval: dict[str, float], true: list[float]) -> bool:
    """Whether an interval holds a truth that lies between two ends."""
    return interval["low"] <= true[1] and interval["high"] >= true[0]


def ranged(ends: list[float]) -> str:
    low, high = (f"{end:.2f}" if end < 99 else "over 99" for end in ends)
    return low if low == high else f"{low} to {high}"


def share(count: int, of: int) -> str:
    """A share with its 95 % interval (Wilson)."""
    found = stats.binomtest(int(count), int(of)).proportion_ci(method="wilson")
    return f"{count} of {of} ({found.low:.0%} to {found.high:.0%})"


def stop_rows(worlds: list[World]) -> list[dict[str, str]]:
    """Money lost by each rule, in batches, against stopping at the best round; a point is worth so many batches."""
    lost: dict[str, dict[tuple[str, int, float], float]] = {}
    flips: dict[str, list[int]] = {}
    for here in worlds:
        for seed in seeds_of(here.name, "auto")[:STOP_SEEDS]:
            history = played(here, "auto", seed).history
            truth = 100 * IsotonicRegression().fit_transform(np.arange(len(history)), history.exam)
            for worth in WORTHS:
                gained = worth * truth - np.arange(1, len(history) + 1)
                for name, stops in advised(history, Prices(1.0, worth)).items():
                    at = int(np.argmax(stops)) if any(stops) else len(history) - 1
                    lost.setdefault(name, {})[(here.name, seed, worth)] = float(gained.max() - gained[at])
                    flips.setdefault(name, []).append(int(np.abs(np.diff(stops)).sum()))
    rows = []
    for name, one in lost.items():
        by_run = pd.Series(one).rename_axis(["set", "seed", "worth"])
        means = by_run.groupby("worth").mean()
        more = (by_run - pd.Series(lost["value"])).groupby(level=["set", "seed"]).mean()
        rows.append(
            {
                "rule": name,
                **{f"a point = {worth:g}": f"{means[worth]:.2f}" for worth in WORTHS},
                "mean": f"{by_run.mean():.2f}",
                "more than value loses": "" if name == "value" else f"{figures.Estimate(more.tolist()):+.2f}",
                "most flips": str(max(flips[name])),
            }
        )
    return rows


def advised(history: pd.DataFrame, prices: Prices) -> dict[str, list[int]]:
    """Whether each rule says stop, after each round."""
    found = {
        name: [int(rule(history[:at], prices).stop) for at in range(1, len(history) + 1)]
        for name, rule in RULES.items()
        if name != "none"
    }
    budgets = {f"{budget} rounds": [int(at >= budget) for at in range(1, len(history) + 1)] for budget in BUDGETS}
    return found | budgets


def gate_rows(worlds: list[World]) -> list[dict[str, str]]:
    """Simulated pairs of models on 1,000 gold items that differ on as many items as real ones: two models of a run
    whose accuracies are 1.5 to 2.5 points apart on gold and exam. One test at 5 %; looks in a row: `look_rows`."""
    rng = np.random.default_rng(0)
    differ: dict[str, list[float]] = {}
    for here in worlds:
        for seed in seeds_of(here.name, "auto"):
            wrong = played(here, "auto", seed).errors()
            for old in range(len(wrong)):
                for new in range(old + 1, len(wrong)):
                    if 0.015 <= wrong[old].mean() - wrong[new].mean() <= 0.025:
                        differ.setdefault(here.name, []).append(float((wrong[old] != wrong[new]).mean()))
    rows = []
    for name, disagreement in [*differ.items(), *((f"{d:.0%} of items", [d]) for d in (0.03, 0.05, 0.07, 0.1, 0.2))]:
        row = {"models of": name, "differ on": f"{np.median(disagreement):.1%} of items"}
        for gain in (0.0, 0.02):
            passed = 0
            for d in rng.choice(disagreement, PAIRS):
                d = max(d, gain)
                kinds = rng.choice(3, GOLD, p=[(d + gain) / 2, (d - gain) / 2, 1 - d])
                found = compare((kinds != 1) * 1.0, (kinds != 0) * 1.0, np.ones(GOLD), 0.05)
                passed += found.p_better <= 0.05
            row["equal: promoted" if gain == 0 else "2 points better: promoted"] = share(passed, PAIRS)
        rows.append(row)
    return rows


def look_rows() -> list[dict[str, str]]:
    """30 looks at one champion on 1,000 gold items, of which each new model differs from it on 5 %. alike: how the
    looks' luck correlates, since they share the champion, the gold items and most labels."""
    rng = np.random.default_rng(0)
    looks, differ = np.arange(1, LOOKS + 1), 0.05
    spent = {
        "each at 5 %": np.full(LOOKS, 0.05),
        "spent": np.array([level(int(look), 0.95) for look in looks]),
        "spent as 1 / k (k + 1)": 0.05 / (looks * (looks + 1)),
    }
    gains = {
        "equal": np.zeros(LOOKS),
        "2 points better at once": np.full(LOOKS, 0.02),
        "2 points better after 10 looks": np.where(looks > 10, 0.02, 0.0),
        "better by 0.2 points a look, up to 2": np.minimum(0.002 * looks, 0.02),
    }
    rows = []
    for alike in (0.3, 0.6, 0.9):
        for name, gain in gains.items():
            luck = np.sqrt(alike) * rng.normal(size=(RUNS, 1)) + np.sqrt(1 - alike) * rng.normal(size=(RUNS, LOOKS))
            n = rng.binomial(GOLD, differ, size=(RUNS, LOOKS))
            won = stats.binom.ppf(stats.norm.cdf(luck), n, 0.5 + gain / (2 * differ))
            p = stats.binom.sf(won, n, 0.5) + stats.binom.pmf(won, n, 0.5) / 2
            # A bet on every share won above a half, evenly: by its mean a fair coin never gains (an e-value).
            tail = np.log(np.maximum(1 - betainc(won + 1, n - won + 1, 0.5), 1e-300))
            bet = (n + 1) * np.log(2) + betaln(won + 1, n - won + 1) + tail
            crowned = {how: (p <= levels).any(axis=1).mean() for how, levels in spent.items()}
            crowned["betting, spent"] = (bet >= -np.log(spent["spent"])).any(axis=1).mean()
            cells = {how: f"{share:.1%}" for how, share in crowned.items()}
            rows.append({"alike": f"{alike:.1f}", "the new models are": name, **cells})
    return rows


def successor_rows(worlds: list[World]) -> list[dict[str, str]]:
    """The successor check where both arms are drawn by chance, and where a part of the chosen labels is wrong."""
    rows = []
    for here in worlds:
        found = {"equal": [_checked(here, seed, 0.0) for seed in range(DRAWS)]}
        found["planted"] = [_checked(here, seed, WRONG) for seed in range(DRAWS)]
        said = [one.high - one.low for one in found["equal"]]
        rows.append(
            {
                "set": here.name,
                "equal: said worse": share(sum(one.worse for one in found["equal"]), DRAWS),
                "equal: said better": share(sum(one.low > 0 for one in found["equal"]), DRAWS),
                "spread": f"{np.std([one.difference for one in found['equal']], ddof=1):.3f}",
                "spread it claims": f"{np.mean(said) / 2 / stats.norm.ppf(0.975):.3f}",
                f"{WRONG:.0%} wrong: said worse": share(sum(one.worse for one in found["planted"]), DRAWS),
            }
        )
    return rows


def _checked(here: World, seed: int, wrong: float) -> successor.Successor:
    pool, gold, _ = here.drawn(seed)
    rng = np.random.default_rng([seed, 8])
    rows = pool.table.iloc[rng.permutation(len(pool.table))[: sum(ARMS)]].reset_index(drop=True)
    chosen = np.arange(len(rows)) >= ARMS[0]
    spoilt = chosen & (rng.random(len(rows)) < wrong)
    labels = rows.label.mask(spoilt, pd.Series(rng.choice(here.settings.classes, len(rows))))
    found = successor.check(rows.assign(label=labels), chosen, ~chosen, gold.table.assign(weight=1.0), seed)
    assert found is not None
    return found


def cost_rows() -> list[dict[str, str]]:
    """CPU seconds at 5,000 labels of 77 classes, a fifth in the control arm, 1,000 gold items."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(77, 384))
    labels = rng.integers(0, 77, 6000)
    vectors = (centres[labels] + 2 * rng.normal(size=(6000, 384))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = np.array([f"class {n}" for n in range(77)], dtype=object)
    texts = [f"class{label} " + " ".join(f"w{w}" for w in rng.integers(0, 3000, 12)) for label in labels]
    settings = parse({"project": {"name": "p", "id": "p"}, "classes": sorted(names), "pull": {"pool": "", "gold": ""}})
    ids = [f"{n:016x}" for n in range(6000)]
    rounds = np.repeat(np.arange(1, 51), 100)
    places = control.order(pd.Index(ids[:5000]), 0)
    why = np.where(places <= np.sort(places)[999], control.WHY, "uncertain")
    ledger = pd.DataFrame({"id": ids[:5000], "label": names[labels[:5000]], "round": rounds, "why": why})
    ledger["control"] = control.sample(ledger, pd.Index([]), 0)
    gold = pd.DataFrame({"id": ids[5000:], "label": names[labels[5000:]], "weight": 1.0})
    items, exam = Items.of(vectors[:5000], texts[:5000]), Items.of(vectors[5000:], texts[5000:])
    rows = []

    def timed(name: str, do: Callable[[], Any]) -> Any:
        began = time.process_time()
        result = do()
        rows.append({"work": name, "CPU s": f"{time.process_time() - began:.1f}"})
        return result

    frozen = settings.model_copy(update={"train": settings.train.model_copy(update={"learner": "frozen"})})
    model = timed("a round's learning, frozen", lambda: train(items, ledger.label, items, frozen))
    timed("a round's learning, auto", lambda: train(items, ledger.label, items, settings))
    p = model.probabilities(exam)
    result = timed("evaluate", lambda: evaluate(gold, p, model.classes, 1000, 0))
    measured = timed("savings meter", lambda: prove.meter(ledger, items, gold, exam, items, settings))
    timed("meter and successor check", lambda: prove.prove(ledger, items, gold, exam, items, settings))
    timed("gate", lambda: decide(result.predictions, result.predictions, settings.promote))

    def drawn() -> None:
        curve = pd.DataFrame({"labels": np.arange(1, 51) * 100, "score": 0.8, "low": 0.78, "high": 0.82})
        chance = pd.DataFrame(measured.as_json()["curves"]["random"])
        for picture in (
            pictures.learning_curve(curve, {"random": chance}, 1000),
            pictures.confusion(result.predictions),
            pictures.calibration(result.calibration),
        ):
            picture.savefig(BytesIO(), dpi=110)

    timed("the report's pictures", drawn)
    return rows


SECTIONS: dict[str, Callable[[list[World]], list[dict[str, str]]]] = {
    "savings": savings_rows,
    "bad": bad_rows,
    "stop": stop_rows,
    "gate": gate_rows,
    "looks": lambda _worlds: look_rows(),
    "successor": successor_rows,
    "cost": lambda _worlds: cost_rows(),
    "imported": lambda _worlds: imported_rows(),
    "scores": lambda _worlds: list(proof_scores.gate_rows()),
    "mean score": lambda _worlds: list(proof_scores.accuracy_rows()),
    "measures": lambda _worlds: list(proof_measures.gate_rows()),
    "at precision": lambda _worlds: list(proof_measures.precision_rows()),
    "metered": lambda _worlds: list(proof_measures.meter_rows()),
    "how many": lambda _worlds: list(proof_prevalence.interval_rows()),
    "stop by recall": lambda _worlds: list(proof_prevalence.stop_rows()),
}


def main(data: Path, words: list[str]) -> None:
    """Play what has not been played, of the sets named, then print the sections named; all of both by default. `kept`:
    play nothing."""
    parser = argparse.ArgumentParser(prog="bench-proof")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--engine", choices=get_args(ray.Engine), default="local", help="where runs are played")
    given = parser.parse_args(words)
    names = given.names
    with threadpool_limits(1):
        worlds = [world(data, name) for name in [name for name in names if name in BATCHES] or BATCHES]
        sections = SECTIONS | {"gold": lambda chosen: gold_table(data, [one.name for one in chosen], GOLD_SEEDS)}
        wanted = [name for name in names if name in sections] or list(sections)
        if "kept" not in names:
            play_missing(worlds, given.engine)
        for name in wanted:
            text = f"{figures.table(pd.DataFrame(sections[name](worlds)))}\n\n{figures.machine()}\n"
            print(f"{name}\n\n{text}", flush=True)
            (KEPT / f"{name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
