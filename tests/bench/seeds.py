"""`make bench-labels DATA=FOLDER ARGS=seeds`: how many are asked until the first five of a rare class are found.

A class is thinned to 0.2 % of a pool of other texts; three of those taken out are the examples. Batches of 25 by the
stage `select` itself: a fifth by chance, what is near the examples and the name (or the name alone), the rest by chance
again, so that no model helps. Chance alone is known: of n items, r of them of the class, five come within
5 (n + 1) / (r + 1) on average. Vectors are kept in .bench/seeds/.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.items.vectors import Vectors
from labelwise.tasks.kinds.base import Encoder
from labelwise.tasks.labels.sought import Way, by_name, looked_for
from labelwise.tasks.learners import Items
from labelwise.tasks.learners.untrained import Untrained
from labelwise.tasks.score import score
from labelwise.tasks.select import as_labelled, select
from labelwise.tasks.settings import Settings, parse
from labelwise.tasks.trial.kept import encoded
from tests.bench import figures

KEPT = figures.KEPT / "seeds"
OTHER = "other"
SHARE, EXAMPLES, FIRST, BATCH = 0.002, 3, 5, 25
MOST = 12  # batches; who has not found five by then is said to have needed more
SEEDS = (40, 41, 42)  # nothing was chosen on these
WAYS = ("examples", "name")


@dataclass(frozen=True)
class Pool:
    """Sets whose texts are one pool, and the classes that are looked for in it. On other classes of these sets it was
    chosen how to look."""

    sets: tuple[str, ...]
    classes: tuple[str, ...]


POOLS = {
    "intents": Pool(
        ("clinc150", "banking77", "unfair_tos"),
        (
            "card_swallowed",
            "exchange_rate",
            "oil_change_when",
            "insurance",
            "unilateral termination",
            "limitation of liability",
            "shopping_list_update",
            "top_up_failed",
        ),
    ),
    "emotions": Pool(("goemotions",), ("pride", "relief", "nervousness", "embarrassment", "remorse", "fear")),
}


def rows(data: Path, sets: Iterable[str]) -> pd.DataFrame:
    """Columns id, text, labels (a list), each text once."""
    parts = []
    for name in sets:
        of = pd.read_parquet(data / name / "pool.parquet")
        labels = of.labels.map(list) if "labels" in of else of.label.map(lambda label: [label])
        parts.append(pd.DataFrame({"text": of.text, "labels": labels}))
    whole = pd.concat(parts, ignore_index=True).drop_duplicates("text", ignore_index=True)
    return whole.assign(id=[kinds.item("text").identify(text) for text in whole.text])


def settings_of(rare: str, seek: bool) -> Settings:
    """Those of a workspace with two classes."""
    given = {
        "project": {"name": "bench", "id": "bench"},
        "classes": [OTHER, rare],
        "pull": {"pool": "", "gold": ""},
        "select": {"seek": seek, "batch": BATCH, "strategy": "random", "cold_start": "random"},
    }
    return parse(given)


@dataclass(frozen=True)
class Thinned:
    """A pool in which a class is rare. truth: (n,) whether an item is of it; given: examples that were taken out."""

    items: Items
    pool: Vectors
    truth: NDArray[np.bool_]
    given: Way

    @classmethod
    def of(cls, whole: pd.DataFrame, vectors: NDArray[np.float16], name: str, seed: int) -> "Thinned":
        is_rare = whole.labels.map(lambda labels: name in labels).to_numpy()
        rare = np.random.default_rng(seed).permutation(np.flatnonzero(is_rare))
        kept = min(round(SHARE / (1 - SHARE) * int((~is_rare).sum())), len(rare) - EXAMPLES)
        at = np.sort(np.concatenate([np.flatnonzero(~is_rare), rare[EXAMPLES : EXAMPLES + kept]]))
        texts, out = whole.text.to_numpy(dtype=object), rare[:EXAMPLES]
        own = np.asarray(vectors[at], np.float32)
        items = Items(len(at), lambda rows: own[rows], lambda rows: texts[at[rows]].tolist())
        given = Way(name, texts[out].tolist(), np.asarray(vectors[out], np.float32), given=True)
        return cls(items, Vectors(pd.Index(whole.id.to_numpy()[at]), [vectors[at]]), is_rare[at], given)

    @property
    def chance(self) -> float:
        """How many are asked by chance until five are found, on average."""
        return FIRST * (len(self.truth) + 1) / (int(self.truth.sum()) + 1)


def asked_until(thinned: Thinned, name: str, way: str, seed: int, encoder: Encoder) -> int:
    """How many are asked until five are found; one more than `MOST` batches where they are not."""
    settings = settings_of(name, way == "name")
    scores = score(thinned.pool.ids, thinned.items, Untrained(settings.classes), settings.score)
    ledger = pd.DataFrame({"id": [], "label": [], "round": [], "why": []}, dtype=object)
    ways = by_name([name], settings, encoder)
    given = {name} if way == "examples" else set()
    ways += [thinned.given] if given else []
    for number in range(MOST):
        rows = thinned.pool.rows(ledger.id)
        wanted = looked_for(thinned.items, rows, ledger, settings, given, lambda _: ways)
        labelled = as_labelled(scores, thinned.pool, ledger, settings.classes)
        rng = np.random.default_rng([seed, number])
        closed = pd.Index(ledger.id)
        batch = select(scores, thinned.pool, labelled, closed, settings.select, rng, seed, looked_for=wanted)
        right = thinned.truth[thinned.pool.rows(batch.id)]
        ledger = pd.concat([ledger, batch.assign(label=np.where(right, name, OTHER), round=number + 1)[[*ledger]]])
        hits = np.flatnonzero((ledger.label == name).to_numpy())
        if len(hits) >= FIRST:
            return int(hits[FIRST - 1]) + 1
    return MOST * BATCH + 1


def measured(data: Path, name: str) -> list[dict[str, str]]:
    """A row a class."""
    KEPT.mkdir(parents=True, exist_ok=True)
    of, settings = POOLS[name], settings_of("rare", False)
    whole = rows(data, of.sets)
    vectors, encoder = encoded(whole, settings, KEPT), kinds.item("text").encoder(settings.embed)
    made = []
    for rare in of.classes:
        pools = [Thinned.of(whole, vectors, rare, seed) for seed in SEEDS]
        row = {"class": rare, "items": f"{len(pools[0].truth):,}", "of it": f"{int(pools[0].truth.sum()):,}"}
        for way in WAYS:
            needed = sorted(
                asked_until(pool, rare, way, seed, encoder) for pool, seed in zip(pools, SEEDS, strict=True)
            )
            row[way] = ", ".join(str(each) if each <= MOST * BATCH else f"over {MOST * BATCH}" for each in needed)
        made.append(row | {"chance": f"{pools[0].chance:,.0f}"})
        print(figures.table(pd.DataFrame(made[-1:])), flush=True)
    return made


def main(data: Path, names: list[str]) -> None:
    """The table, printed and kept."""
    made = [row for name in names for row in measured(data, name)]
    text = f"{figures.table(pd.DataFrame(made))}\n\n{figures.machine()}\n"
    print(text)
    (KEPT / "seeds.md").write_text(text, encoding="utf-8")
