"""`make bench-finish DATA=FOLDER`: is the promise of a finished pool kept, and what does it spare?

FOLDER holds labelled sets. A run plays the loop by its own stages, looks once in the middle (the loop then learns from
that exam), plays on, and looks again; it is broken when either look leaves more wrong labels than promised. ARGS: names
of sets; --runs N; --noise SHARE of people's answers that are wrong; --weak SHARE of a language model's that are right;
--strategy NAME; --json FILE. What was played is kept in .bench/finish/, so that a call that was cut off goes on where
it was. With `--engine ray` runs are played on a cluster (`RAY_ADDRESS`, else one of this machine's cores), whose
workers have this checkout.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from labelwise.tasks import kinds
from labelwise.tasks.labels import reliability
from labelwise.tasks.learners import Model, thresholds_of
from labelwise.tasks.proof import finishing, promise
from labelwise.tasks.services import ray
from labelwise.tasks.settings import Settings
from labelwise.tasks.trial.kept import encoded, settings_of_run
from labelwise.tasks.trial.plan import Plan, gathered, settings_of
from labelwise.tasks.trial.rehearsal import Rows, Run, play
from labelwise.tasks.workspace import atomic
from tests.bench import figures, multilabel
from tests.bench.labels import cleaned, tell

KEPT = figures.KEPT / "finish"
WRONG = (0.01, 0.02, 0.05)
CONFIDENCE = 0.95
POOL, GOLD = 6_000, 500  # items of a set at most
ROUNDS, CONTROL = 8, 0.2


@dataclass(frozen=True)
class Set:
    """batch: labels a round."""

    batch: int
    answer: str = "choice"


SETS = {
    "banking77": Set(100),
    "clinc150": Set(150),
    "it_tickets": Set(75),
    "spamassassin": Set(25),
    "convabuse": Set(25),
    "unfair_tos": Set(50, "multilabel"),
}


@dataclass(frozen=True)
class Look:
    """A fixed model at a pool. Of each item: doubt; loss against what people would say, and truth against what is
    right; known: whether it had a label. gold_doubt, gold_loss: of the gold set."""

    doubt: NDArray[np.float64]
    loss: NDArray[np.float64]
    truth: NDArray[np.float64]
    known: NDArray[np.bool_]
    gold_doubt: NDArray[np.float64]
    gold_loss: NDArray[np.float64]

    def order(self) -> NDArray[np.int64]:
        """The items without a label, the surest first."""
        rows = np.flatnonzero(~self.known)
        return rows[np.argsort(self.doubt[rows], kind="stable")]


def prepared(data: Path, name: str) -> tuple[Rows, Rows, Settings]:
    """Pool and gold with their vectors."""
    folder, of = KEPT / name, SETS[name]
    folder.mkdir(parents=True, exist_ok=True)
    if of.answer == "multilabel":
        parts = []
        for part in ("pool", "gold"):
            found = multilabel.rows(data, name, part, multilabel.SETS[name])
            parts.append(found)
            found.assign(label=found.label)[["text", "label"]].to_parquet(folder / f"{part}.parquet")
    else:
        cleaned(data, name, folder)
    sources = str(folder / "pool.parquet"), str(folder / "gold.parquet")
    plan = Plan(*sources, [], [], 1, 1, 1, 0.0, answer=of.answer)
    pool, gold = gathered(plan, lambda _line: None)
    pool, gold = (
        rows.sample(min(len(rows), most), random_state=0).reset_index(drop=True)
        for rows, most in ((pool, POOL), (gold, GOLD))
    )
    settings = settings_of(plan, sorted({one for label in pool.label for one in plan.kind.members(label)}))
    return (*(Rows(rows, encoded(rows, settings, folder)) for rows in (pool, gold)), settings)


@dataclass(frozen=True)
class Case:
    """What is played: a set, how its labels are chosen, and which shares of what people say are wrong, and of what a
    language model says are right (0: there is none)."""

    name: str
    strategy: str
    noise: float
    weak: float

    def kept_at(self, seed: int) -> Path:
        """Where the looks of a run are kept."""
        beside = f"-{self.weak}" if self.weak else ""
        return KEPT / self.name / f"{self.strategy}-{self.noise}-{seed}{beside}.npz"

    def looks(self, seed: int) -> list[Look]:
        """The two looks of a run, as they were kept."""
        with np.load(self.kept_at(seed)) as found:
            return [Look(**{key: found[f"{at}-{key}"] for key in Look.__dataclass_fields__}) for at in range(2)]


def play_missing(case: Case, data: Path, runs: int, engine: ray.Engine) -> None:
    """Play the runs that are not kept yet, here or on a cluster's cores, and keep each as it is done."""
    missing = [(case.kept_at(seed), seed) for seed in range(runs) if not case.kept_at(seed).exists()]
    if not missing:
        return
    do = partial(one_run, case, prepared(data, case.name))
    for path, both in ray.each(engine, do, missing):
        kept = {f"{at}-{key}": value for at, look in enumerate(both) for key, value in vars(look).items()}
        with atomic(path) as scratch, scratch.open("wb") as file:
            np.savez_compressed(file, **kept)


def one_run(case: Case, given: tuple[Rows, Rows, Settings], seed: int) -> list[Look]:
    """The two looks of a run. given: pool, gold and settings."""
    with threadpool_limits(1):
        return list(_run(case, given, seed))


def _run(case: Case, given: tuple[Rows, Rows, Settings], seed: int) -> Iterator[Look]:
    pool, gold, settings = given
    settings = settings_of_run(settings, case.strategy, "frozen", seed)
    settings = settings.model_copy(update={"select": settings.select.model_copy(update={"control": CONTROL})})
    answer = kinds.answer(settings.kind.answer)
    said, right = (pool.answers(share, settings.classes, seed, answer).to_numpy() for share in (case.noise, 0.0))
    rng = np.random.default_rng([seed, 9])
    run, models = Run(case.strategy, "frozen", seed), dict[int, Model]()
    sizes = [SETS[case.name].batch] * ROUNDS
    for half in (ROUNDS // 2, ROUNDS + 1):
        for _ in play(run, pool, gold, settings, sizes[:half], case.noise, lambda model: models.update({0: model})):
            pass
        model, vectors = models[0], pool.items()
        doubts, losses = [], []
        for items, truth in ((vectors, said), (gold.items(), gold.table.label)):
            opinion, thresholds = model.probabilities(items), thresholds_of(model)
            found = pd.DataFrame({"id": pool.table.id if items is vectors else gold.table.id})
            found["prediction"] = answer.decide(opinion, model.classes, thresholds)
            found["doubt"] = 1 - answer.expect(opinion, thresholds)
            if case.weak and items is vectors:
                found = finishing.overruled(found, spoken(pool, said, run, case.weak, seed, settings))
            doubts.append(found.doubt.to_numpy())
            losses.append(1 - answer.score(found.prediction.tolist(), list(truth)))
            if items is vectors:
                wrong = 1 - answer.score(found.prediction.tolist(), list(right))
        known = pool.table.id.isin([one for batch in run.asked for one in batch]).to_numpy()
        look = Look(doubts[0], losses[0], wrong, known, doubts[1], losses[1])
        yield look
        if half < ROUNDS:  # the loop learns from the exam of this look
            order = look.order()
            plan = planned(look, 0.05, len(look.loss), promise.risk_of(CONFIDENCE, 1), answer.NAME == "choice")
            exam = order[: plan.trusted][rng.random(plan.trusted) < plan.share]
            run.asked.append(pool.table.id[exam].tolist())
            run.why.append(["exam"] * len(exam))
            run.by.append("exam")
            run.exams.append([])
            sizes.insert(half, 0)


def spoken(pool: Rows, said: NDArray[Any], run: Run, right: float, seed: int, settings: Settings) -> pd.DataFrame:
    """What a language model that is right of this share says of all items, as far as people's labels bear it out."""
    asked = pool.table.id.isin([one for batch in run.asked for one in batch]).to_numpy()
    labels = pool.answers(1 - right, settings.classes, seed + 5000, kinds.answer(settings.kind.answer))
    rows = pd.DataFrame({"id": pool.table.id, "label": labels.to_numpy(), "source": "llm:simulated"})
    known = pd.DataFrame({"id": pool.table.id[asked], "label": said[asked]})
    return reliability.combined(rows, known, settings)[["id", "label", "trust"]].assign(source=finishing.LLM)


def planned(
    look: Look, wrong: float, items: int, risk: float, whole: bool, slips: NDArray[np.float64] = promise.LIKELY
) -> promise.Plan:
    """The plan of a look."""
    order = look.order()
    losses = promise.expected(look.doubt[order], look.gold_doubt, look.gold_loss)
    return promise.plan(losses, int(wrong * items), risk, whole, slips)


def slipping(before: Look, labels: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """What the control arm says of people's slips: as many items as it has of so many labels, drawn by chance from
    those that had none at the look before."""
    drawn = rng.choice(before.order(), int(CONTROL * labels), replace=False)
    losses = promise.expected(before.doubt[drawn], before.gold_doubt, before.gold_loss)
    return promise.slipping(losses, before.loss[drawn])


@dataclass(frozen=True)
class Outcome:
    """What a way to finish came to: items that people need not label, and wrong ones among these, against what people
    would say, and against what is right."""

    spared: int
    bad: float
    untrue: float


def ours(
    look: Look, wrong: float, risk: float, whole: bool, rng: np.random.Generator, slips: NDArray[np.float64]
) -> tuple[Outcome, int, bool]:
    """And how many items the exam had, and whether people's labels lay in the range that was forecast."""
    order, n = look.order(), len(look.loss)
    plan = planned(look, wrong, n, risk, whole, slips)
    inside = rng.random(len(order)) < plan.share
    end = promise.trusted(np.where(inside, look.loss[order], np.nan), plan.allowed)
    by_model = order[:end][~inside[:end]]
    foreseen = plan.least <= len(order) - len(by_model) <= plan.most
    return outcome(look, by_model), int(inside[:end].sum()), foreseen


def outcome(look: Look, by_model: NDArray[np.int64]) -> Outcome:
    """When the model labels these."""
    return Outcome(len(by_model), float(look.loss[by_model].sum()), float(look.truth[by_model].sum()))


def pac(look: Look, wrong: float, risk: float, m: int, rng: np.random.Generator) -> Outcome:
    """PAC labels (Candes, Ilyas & Zrnic 2025, arXiv 2506.10908): m items drawn at random from those without a label,
    and the lowest doubt above which people label, by a bound on the loss below each doubt: betting, not asymptotic
    (Waudby-Smith & Ramdas 2024)."""
    order = look.order()
    most = wrong * len(look.loss) / len(order)  # labels of before are right
    drawn = np.sort(rng.choice(len(order), min(m, len(order)), replace=False))
    arrived = rng.permutation(len(drawn))
    losses = look.loss[order[drawn]]
    end = 0
    ends = [*drawn.tolist()[1:], len(order)]
    for at, until in enumerate(ends):  # of the drawn items the first at + 1 are below the doubt
        below = np.where(np.arange(len(drawn)) <= at, losses, 0.0)[arrived]
        if not bet_against(below, most, risk):
            break
        end = until
    by_model = np.setdiff1d(np.arange(end), drawn)
    return outcome(look, order[by_model])


def bet_against(losses: NDArray[np.float64], mean: float, risk: float) -> bool:
    """Whether these losses show that their mean is below `mean`: a bet against it has multiplied to 1 / risk."""
    t = np.arange(1, len(losses) + 1)
    means = (0.5 + np.cumsum(losses)) / (t + 1)
    spread = (0.25 + np.cumsum((losses - means) ** 2)) / (t + 1)
    before = np.concatenate([[0.25], spread[:-1]])
    stake = np.minimum(np.sqrt(2 * np.log(1 / risk) / (len(losses) * before)), 0.75 / (1 - mean))
    return bool(np.log1p(stake * (mean - losses)).cumsum().max(initial=0.0) >= np.log(1 / risk))


def by_validation(look: Look, wrong: float, m: int, rng: np.random.Generator) -> Outcome:
    """A threshold on a validation sample (SageMaker Ground Truth's way): m items drawn at random, and the model labels
    where, of those that are as sure, at most `wrong` are wrong. No promise goes with it."""
    order = look.order()
    drawn = np.sort(rng.choice(len(order), min(m, len(order)), replace=False))
    means = np.cumsum(look.loss[order[drawn]]) / np.arange(1, len(drawn) + 1)
    good = np.flatnonzero(means <= wrong)
    end = drawn[good[-1]] + 1 if len(good) else 0
    return outcome(look, order[np.setdiff1d(np.arange(end), drawn)])


def rows_of(case: Case, runs: int) -> list[dict[str, Any]]:
    """A row a promised share."""
    whole = SETS[case.name].answer == "choice"
    broken = dict.fromkeys(WRONG, 0)
    untrue, pac_broken, ground_broken, foreseen = (dict(broken) for _ in range(4))
    shares: dict[float, list[list[float]]] = {wrong: [] for wrong in WRONG}
    for seed in range(runs):
        both = case.looks(seed)
        for wrong in WRONG:
            rng = np.random.default_rng([seed, int(1000 * wrong)])
            kept = lied = True
            slips = promise.LIKELY
            for at, look in enumerate(both, start=1):
                n, risk = len(look.loss), promise.risk_of(CONFIDENCE, at)
                own, *_ = ours(look, wrong, risk, whole, rng, slips)
                kept &= own.bad <= int(wrong * n)
                lied &= own.untrue <= int(wrong * n)
                slips = slipping(both[0], int(both[1].known.sum()), rng)
            alone = 1 - CONFIDENCE  # one look, and the labels of the second
            own, m, inside = ours(look, wrong, promise.risk_of(CONFIDENCE, 1), whole, rng, slips)
            foreseen[wrong] += inside
            other, ground = pac(look, wrong, alone, m, rng), by_validation(look, wrong, m, rng)
            broken[wrong] += not kept
            untrue[wrong] += not lied
            pac_broken[wrong] += other.bad > wrong * n
            ground_broken[wrong] += ground.bad > wrong * max(ground.spared, 1)
            shares[wrong].append([own.spared / n, other.spared / n, ground.spared / n, m / n, look.known.mean()])
    rows = []
    for wrong in WRONG:
        mean = np.mean(shares[wrong], axis=0)
        rows.append(
            {
                "set": case.name,
                "wrong": wrong,
                "runs": runs,
                "broken": broken[wrong],
                "untrue": untrue[wrong],
                "spared": mean[0],
                "foreseen": foreseen[wrong],
                "pac": mean[1],
                "pac_broken": pac_broken[wrong],
                "validation": mean[2],
                "validation_broken": ground_broken[wrong],
                "exam": mean[3],
                "labels": mean[4],
            }
        )
    return rows


def main(data: Path, words: Sequence[str]) -> None:
    """Play what has not been played, and print the table as far as it goes."""
    parser = argparse.ArgumentParser(prog="bench-finish")
    parser.add_argument("sets", nargs="*", default=list(SETS))
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--weak", type=float, default=0.0)
    parser.add_argument("--strategy", default="auto")
    parser.add_argument("--json")
    parser.add_argument("--engine", choices=get_args(ray.Engine), default="local", help="where runs are played")
    given = parser.parse_args(words)
    if strange := [name for name in given.sets if name not in SETS]:
        parser.error(f"no set is called {strange[0]!r}: expected some of {', '.join(SETS)}")
    rows: list[dict[str, Any]] = []
    for name in given.sets:
        tell(f"finish: {name}")
        case = Case(name, given.strategy, given.noise, given.weak)
        play_missing(case, data, given.runs, given.engine)
        rows += rows_of(case, given.runs)
        print(figures.table(pd.DataFrame(rows).round(3)), flush=True)
        if given.json:
            Path(given.json).write_text(json.dumps(rows), encoding="utf-8")
    print(figures.machine())


if __name__ == "__main__":
    with threadpool_limits(1):
        main(Path(sys.argv[1]), sys.argv[2:])
