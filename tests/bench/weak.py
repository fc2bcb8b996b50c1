"""`make bench-people DATA=FOLDER ARGS=weak`: weak labels beside people's.

A language model is simulated that is right of a known share of the items and errs evenly; in each round it is asked
four batches' worth of items, in the order of the control arm, or about all items before the first round. Each set is
played with and without it, seeds paired. Of spamassassin five rules, written without a look at gold, too. ARGS: weak,
names of sets, --seeds N.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binom

from labelwise.tasks.labels import judged, reliability
from labelwise.tasks.labels.rule import Item
from labelwise.tasks.proof import control
from labelwise.tasks.train import Weak
from labelwise.tasks.trial.rehearsal import Rows, Run, area, labels_for
from tests.bench import figures, finish
from tests.bench.loops import Played, printed

SETS = ("it_tickets", "spamassassin", "banking77")
RIGHT = (0.6, 0.8, 0.95)
ROUNDS, ASKED, SEEDS = 6, 4, 3  # ASKED: batches' worth of items a round
RULED = "spamassassin"
MEASURED = (10, 20, 30, 50, 100, 200)

Says = Callable[[Rows, list[str], int, int], pd.DataFrame]  # pool, classes, seed, round -> id, label, source
SELLS, LEAVES = ("click here", "free!", "order now"), ("unsubscribe", "remove me", "opt-out")
CODE = ("perl", "rpm", "linux", "kernel")


def _names(item: Item, words: Sequence[str]) -> bool:
    return any(word in item.text.lower() for word in words)


RULES: dict[str, Callable[[Item], str | None]] = {
    "sells": lambda item: "spam" if _names(item, SELLS) else None,
    "shouts": lambda item: "spam" if item.text.count("!") >= 3 else None,
    "leaves": lambda item: "spam" if _names(item, LEAVES) else None,
    "quotes": lambda item: "ham" if "\n>" in item.text or "wrote:" in item.text else None,
    "codes": lambda item: "ham" if _names(item, CODE) else None,
}


def model_of(right: float, asked: int | None) -> Says:
    """A language model that is right of this share of the items, asked about so many in each round; None: about all at
    once."""

    def says(pool: Rows, classes: list[str], seed: int, number: int) -> pd.DataFrame:
        order = np.argsort(control.order(pd.Index(pool.table.id), seed), kind="stable")
        rows = order if asked is None else order[: asked * (number + 1)]
        labels = pool.answers(1 - right, classes, seed + 500)
        return pd.DataFrame({"id": pool.table.id.iloc[rows], "label": labels.iloc[rows].to_numpy(), "source": "llm:m"})

    return says


def rules(pool: Rows, _classes: list[str], _seed: int, _number: int) -> pd.DataFrame:
    """What RULES say of the pool."""
    items = [Item(item, text) for item, text in zip(pool.table.id, pool.table.text, strict=True)]
    said = [(item.id, word, f"rule:{name}") for name, says in RULES.items() for item in items if (word := says(item))]
    return pd.DataFrame(said, columns=["id", "label", "source"])


def played(data: Path, name: str, seed: int, says: Says | None) -> tuple[Run, list[float]]:
    """A loop of `auto`, from round 0 on, and what a weak label counted in each round."""
    here, run, size = Played.of(data, name, "auto", seed), Run("auto", "frozen", seed), finish.SETS[name].batch
    known = pd.DataFrame(columns=["id", "label", "round", "why"])
    weights = []
    for number in range(ROUNDS + 1):
        weak = None
        if says:
            word = says(here.pool, here.settings.classes, seed, number)
            found = reliability.combined(word[~word.id.isin(here.near.id)], known[["id", "label"]], here.settings)
            weak = Weak(here.items.take(here.vectors.rows(found.id)), found) if len(found) else None
        model = here.model(known, weak)
        weights.append(weak.compared.weight if weak and weak.compared else 0.0)
        run.labels.append(len(known))
        run.score.append(here.judged(model) if len(known) or weak else 0.0)
        chosen = here.batch(model, known, size, seed, number)
        rows = chosen[["id", "why"]].assign(label=here.truth[chosen.id].to_numpy(), round=number + 1)
        known = pd.concat([known, rows] if len(known) else [rows])[["id", "label", "round", "why"]]
        known = known.sort_values("id", ignore_index=True)
    return run, weights


def rows_of(data: Path, name: str, seeds: int) -> Iterator[dict[str, str]]:
    """A row a source of weak labels."""
    batch = finish.SETS[name].batch
    sources: dict[str, Says | None] = {"none": None}
    sources |= {f"a model, right of {right:.0%}": model_of(right, ASKED * batch) for right in RIGHT}
    sources |= {f"a model, right of {right:.0%}, asked about all": model_of(right, None) for right in RIGHT}
    sources |= {"five rules": rules} if name == RULED else {}
    alone: list[Run] = []
    for source, says in sources.items():
        found = [played(data, name, seed, says) for seed in range(seeds)]
        runs = [run for run, _ in found]
        alone = alone or runs
        areas = [[area(Run("", "", 0, one.labels[1:], one.score[1:])) for one in some] for some in (runs, alone)]
        ends = [one.score[-1] for one in alone]
        needed = [labels_for(run, end) for run, end in zip(runs, ends, strict=True)]
        reached = [each for each in needed if each is not None]
        yield {
            "set": name,
            "weak labels": source,
            **{
                f"{at * batch} labels": f"{np.mean([run.score[at] for run in runs]):.3f}" for at in (0, 1, 2, 4, ROUNDS)
            },
            "area, of that without": f"{figures.Ratio(*areas):.2f}" if says else "1",
            "labels for its end": f"{np.mean(reached):.0f} ({len(reached)} of {seeds})" if reached else "not reached",
            "weight": ", ".join(f"{each:g}" for each in np.median([each for _, each in found], axis=0)),
        }


def coverage() -> Iterator[dict[str, str]]:
    """How often the interval in which a model's accuracy is said to be holds it, by how many items of the control arm
    measured it: exactly, over all that may be found."""
    for right in RIGHT:
        row = {"right of": f"{right:.0%}"}
        for items in MEASURED:
            found = np.arange(items + 1)
            ends = [judged.interval(int(each), items) or (0.0, 1.0) for each in found]
            holds = np.array([low <= right <= high for low, high in ends])
            row[f"{items} items"] = f"{binom.pmf(found, items, right)[holds].sum():.3f}"
        yield row


def main(data: Path, words: Sequence[str]) -> None:
    """Print the tables."""
    print(figures.table(pd.DataFrame(coverage())), flush=True)
    printed("weak", SETS, SEEDS, rows_of, data, words)
