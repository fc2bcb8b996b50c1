"""`make bench-labels DATA=FOLDER ARGS=rare`: labels needed where one class is rare, by balanced accuracy and by its F1.

FOLDER holds banking77, spamassassin, it_tickets and convabuse as parquet. In each, one class is thinned to 1 % and 2 %
of a pool of some 5,000 items; gold keeps what it has of the class (300 at most), each weighed so that together they
have the share of the pool. Ours are played by the loop's own stages, as `labelwise rehearse` plays them, without a
control arm; the rivals' in an environment of their own (.venv-rivals), on the same vectors, seeds and budgets, each
once with its own classifier and once with our learner on what it asked.
Everything is kept in .bench/rare/.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.kinds.measures import measure_of
from labelwise.tasks.learners import LEARNERS, Examples, Model, thresholds_of
from labelwise.tasks.settings import Settings, parse
from labelwise.tasks.trial import kept, rehearsal
from labelwise.tasks.trial.rehearsal import Estimate, Rows, Run
from tests.bench import figures
from tests.bench.figures import RIVALS, ROOT

KEPT = figures.KEPT / "rare"
SIZES = (25,) * 8 + (50,) * 4 + (100,) * 6  # 1,000 labels
SHARES = (0.01, 0.02)
SEEDS = (40, 41)  # nothing was chosen on these
LEARNER = "frozen"
STRATEGIES = ("random", "auto", "margin")
THEIRS = ("skactiveml-margin", "smalltext-breakingties")
POOL, GOLD = 5_000, 2_000  # items of other classes, at most
EACH = 300  # of a class that may be the rare one


@dataclass(frozen=True)
class Case:
    """rare: the classes of the set that are the rare one together. several: whether the other classes stay what they
    are, or are one. dev: whether the strategy and the learner were chosen on it."""

    set: str
    rare: tuple[str, ...]
    several: bool = False
    dev: bool = False

    @property
    def name(self) -> str:
        """The name of the rare class."""
        return " + ".join(self.rare)


CASES = {
    "delivery": Case("banking77", ("card_arrival", "card_delivery_estimate"), dev=True),
    "ham": Case("spamassassin", ("ham",), dev=True),
    "storage": Case("it_tickets", ("Storage",), several=True, dev=True),
    "exchange": Case("banking77", ("exchange_rate", "exchange_charge")),
    "spam": Case("spamassassin", ("spam",)),
    "rights": Case("it_tickets", ("Administrative rights",), several=True),
    "abuse": Case("convabuse", ("abusive",)),
}
OTHER = "other"


def rows(data: Path, of: Case, part: str) -> pd.DataFrame:
    """Columns id, text, label of all that the case may be made of; each text once. Where classes stay what they are,
    the cases of a set share them."""
    of = next(case for case in CASES.values() if case.set == of.set) if of.several else of
    found = pd.read_parquet(data / of.set / f"{part}.parquet").drop_duplicates("text")
    found = found[found.label != "tie"]
    is_rare = found.label.isin(of.rare)
    most = POOL if part == "pool" else GOLD
    others = found[~is_rare].sample(min(int((~is_rare).sum()), most), random_state=0)
    rare = found[is_rare].sample(min(int(is_rare.sum()), EACH), random_state=0)
    both = pd.concat([rare.assign(label=of.name), others if of.several else others.assign(label=OTHER)])
    return both.assign(id=both.id.astype(str))[["id", "text", "label"]].reset_index(drop=True)


def prepared(data: Path, name: str, measure: str) -> tuple[Rows, Rows, Settings]:
    """All of pool and gold with their vectors, gold without what is in the pool, too."""
    of = CASES[name]
    pool, gold = (rows(data, of, part) for part in ("pool", "gold"))
    gold = gold[~gold.text.isin(pool.text)].reset_index(drop=True)
    settings = parse(
        {
            "project": {"name": "bench", "id": "bench"},
            "classes": sorted(pool.label.unique()),
            "pull": {"pool": "pool", "gold": "gold"},
            "select": {"control": 0.0, "seek": True, "typical": True},  # as in a new workspace
            "evaluate": {"measure": measure},
        }
    )
    (KEPT / name).mkdir(parents=True, exist_ok=True)
    vectors = KEPT / f"{of.set}-vectors"
    vectors.mkdir(exist_ok=True)
    both = [Rows(one, kept.encoded(one, settings, vectors)) for one in (pool, gold)]
    return both[0], both[1], settings


def thinned(whole: Rows, of: Case, share: float, seed: int) -> Rows:
    """The rare class thinned to a share of the pool, drawn anew with each seed."""
    is_rare = (whole.table.label == of.name).to_numpy()
    there, others = np.flatnonzero(is_rare), np.flatnonzero(~is_rare)
    wanted = round(share / (1 - share) * len(others))
    if wanted > len(there):
        wanted, fewer = len(there), round(len(there) * (1 - share) / share)
        others = np.random.default_rng([seed, 7]).choice(others, fewer, replace=False)
    drawn = np.random.default_rng(seed).choice(there, wanted, replace=False)
    keep = np.random.default_rng([seed, 8]).permutation(np.concatenate([drawn, others]))
    return Rows(whole.table.iloc[keep].reset_index(drop=True), whole.vectors[keep])


def weights(gold: Rows, of: Case, share: float) -> NDArray[np.float64]:
    """(g,) what each gold item counts, so that the rare class has this share of all, 1 on average."""
    is_rare = (gold.table.label == of.name).to_numpy()
    return np.where(is_rare, share / is_rare.mean(), (1 - share) / (1 - is_rare.mean()))


def measures(of: Case) -> tuple[str, str]:
    """By which the case is played."""
    return "balanced_accuracy", f"f1:{of.name}"


def form(measure: str) -> str:
    """In names of files."""
    return measure.partition(":")[0]


def ours(data: Path, name: str, share: float, measure: str, strategy: str, learner: str, seed: int) -> Run:
    """A run by the loop's own stages, its score by the measure."""
    out = KEPT / name / f"{form(measure)}-{share:g}-{strategy}-{learner}-{seed}.json"
    if not out.exists():
        whole, gold, settings = prepared(data, name, measure)
        figure = judged(gold, settings, weights(gold, CASES[name], share))
        run = Run(strategy, learner, seed)
        scores: list[float] = []

        def watch(model: Model) -> None:
            scores.append(figure(answers(model, gold)))

        own = kept.settings_of_run(settings, strategy, learner, seed)
        pool = thinned(whole, CASES[name], share, seed)
        for _ in rehearsal.play(run, pool, gold, own, list(SIZES), 0.0, watch):
            pass
        print(name, share, form(measure), run.name, *(f"{one:.2f}" for one in scores), file=sys.stderr, flush=True)
        out.write_text(json.dumps(asdict(Run(strategy, learner, seed, run.labels, scores, run.seconds))))
    return Run(**json.loads(out.read_text()))


def theirs(data: Path, name: str, share: float, measure: str, rival: str, seed: int) -> tuple[Run, Run]:
    """A run of a rival on the same vectors, judged by the same measure: with its own classifier, and with our learner
    on what it asked."""
    folder = KEPT / name
    out = folder / f"{share:g}-{rival}-{seed}.json"
    whole, gold, settings = prepared(data, name, measure)
    pool = thinned(whole, CASES[name], share, seed)
    codes = {label: code for code, label in enumerate(settings.classes)}
    given = pool.table.label.map(codes).to_numpy()
    if not out.exists():
        arrays = {
            f"{part}{what}": values
            for part, one in (("pool", pool), ("gold", gold))
            for what, values in {"": one.vectors, "_labels": one.table.label.map(codes).to_numpy()}.items()
        }
        np.savez(folder / "data.npz", **arrays)
        config = {"data": str(folder / "data.npz"), "rival": rival, "seed": seed, "sizes": SIZES, "start": None}
        (folder / "config.json").write_text(json.dumps(config | {"out": str(out)}))
        command = [RIVALS, "-W", "ignore", ROOT / "tests" / "bench" / "rivals.py", folder / "config.json"]
        subprocess.run(command, check=True, env=os.environ)
    played = json.loads(out.read_text())
    figure = judged(gold, settings, weights(gold, CASES[name], share))
    own = [figure([settings.classes[code] for code in said]) for said in played["said"]]
    items, ours = pool.items(), list[float]()
    for batches in range(1, len(played["asked"]) + 1):
        rows = np.array(sorted(row for batch in played["asked"][:batches] for row in batch))
        examples = Examples(items.take(rows), given[rows], settings.classes)
        model = LEARNERS[LEARNER].fit(examples, items, settings) if len(np.unique(given[rows])) > 1 else None
        ours.append(0.0 if model is None else figure(answers(model, gold)))
    return (
        Run(rival, "theirs", seed, played["labels"], own, played["seconds"]),
        Run(f"{rival} + {LEARNER}", LEARNER, seed, played["labels"], ours),
    )


def answers(model: Model, gold: Rows) -> list[str]:
    """What a model says of the gold items."""
    said = kinds.answer("choice").decide(model.probabilities(gold.items()), model.classes, thresholds_of(model))
    return [str(each) for each in said]


def judged(gold: Rows, settings: Settings, counting: NDArray[np.float64]) -> Callable[[list[str]], float]:
    """What is said of the gold items -> the figure, each item counting so much."""
    judge, truth = measure_of(settings.measure, kinds.answer("choice"), settings.classes), gold.table.label.tolist()
    return lambda said: judge.value(said, truth, counting)


def share_of_labels(own: Run, other: Run) -> float:
    """How many labels a run needs to get to the last value of another, over those that this had; more than 1 is not
    said: a run that does not get there counts with all of its labels."""
    found = rehearsal.labels_for(own, other.score[-1])
    return (own.labels[-1] if found is None else found) / other.labels[-1]


def compared(name: str, share: float, measure: str, own: list[Run], others: list[Run]) -> dict[str, str]:
    """A row: labels for the other's last value, areas, and values on the way."""
    pairs = list(zip(own, others, strict=True))
    needed = [share_of_labels(*pair) for pair in pairs]
    missed = sum(
        one.score[-1] < other.score[-1] for one, other in pairs if rehearsal.labels_for(one, other.score[-1]) is None
    )
    at = [own[0].labels.index(labels) for labels in (100, 200, 400, 1_000)]
    return {
        "class": f"{name}, {share:.0%}",
        "measure": form(measure),
        "against": others[0].strategy,
        "of its labels": f"{np.exp(np.mean(np.log(needed))):.2f}"
        + (f" ({missed} did not get there)" if missed else ""),
        "area, ratio": f"{np.mean([rehearsal.relative(rehearsal.area(a), rehearsal.area(b)) for a, b in pairs]):.3f}",
        "at 100, 200, 400, 1,000": " ".join(f"{np.mean([run.score[one] for run in own]):.2f}" for one in at),
        "the other's": " ".join(f"{np.mean([run.score[one] for run in others]):.2f}" for one in at),
    }


def main(data: Path, names: Iterable[str]) -> None:
    """Play what has not been played, and print the table as far as it goes; of classes that nothing was chosen on."""
    lines: list[dict[str, str]] = []
    logs: dict[str, list[float]] = {}
    for name, share in ((name, share) for name in names if not CASES[name].dev for share in SHARES):
        for measure in measures(CASES[name]):
            runs = {
                strategy: [ours(data, name, share, measure, strategy, LEARNER, seed) for seed in SEEDS]
                for strategy in STRATEGIES
            }
            for rival in THEIRS if RIVALS.exists() else ():
                both = [theirs(data, name, share, measure, rival, seed) for seed in SEEDS]
                runs[rival], runs[f"{rival} + {LEARNER}"] = ([pair[at] for pair in both] for at in (0, 1))
            for other in [one for one in runs if one != "auto"]:
                lines.append(compared(name, share, measure, runs["auto"], runs[other]))
                shares = [share_of_labels(*pair) for pair in zip(runs["auto"], runs[other], strict=True)]
                logs.setdefault(other, []).extend(np.log(shares).tolist())
            means = [f"{other}: {Estimate.of(found).exp():.2f}" for other, found in logs.items()]
            said = "of the labels for the last value, geometric mean: " + "; ".join(means)
            text = f"{figures.table(pd.DataFrame(lines))}\n\n- {said}\n{figures.machine()}\n"
            print(text, flush=True)
            (KEPT / "rare.md").write_text(text, encoding="utf-8")
