"""`make bench-answer DATA=FOLDER ARGS=drift`: is a change of real texts noticed?

Of each set a model learns some items, and its threshold is found on others, as `answer` does it; items that look unlike
the pool are not answered. Then the rest comes in, by chance, CALM watched items of it as before, and after that one of
these: classes that the model has never seen, the classes that it knows worst more often, texts that are cut, or that
are written badly. A watch that is shown what is wrong of what is answered raises its alarm, or not.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.labels.agreement import encoded
from labelwise.tasks.learners import Items, Model, thresholds_of
from labelwise.tasks.proof import answering, unlike, watching
from labelwise.tasks.settings import Settings
from labelwise.tasks.train import train
from labelwise.tasks.trial.kept import settings_of_run
from tests.bench import finish

SETS = ("banking77", "clinc150", "convabuse", "it_tickets", "spamassassin")
LEARNED, KNOWN, CALM, MOST, STREAMS, CHANGED = 1500, 500, 300, 4000, 40, 500
WRONG, RISK = 0.05, 0.05
ASIDE, PART, MORE = 0.2, 0.3, 5.0  # classes that appear; their part of the traffic; how much more often others come


def rows_of(data: Path, name: str) -> Iterator[dict[str, Any]]:
    """A row a change."""
    pool, _, settings = finish.prepared(data, name)
    rng = np.random.default_rng(0)
    labels, texts = pool.table.label.to_numpy(object), pool.table.text.tolist()
    vectors = pool.vectors.astype(np.float32)
    classes = sorted(set(labels))
    new = set(rng.choice(classes, int(ASIDE * len(classes)), replace=False)) if len(classes) > 5 else set[str]()
    order = rng.permutation(np.flatnonzero(~pd.Series(labels).isin(new)))
    learned, known, rest = np.split(order, [LEARNED, LEARNED + KNOWN])
    settings = settings_of_run(settings, "auto", "frozen", 0).model_copy(update={"classes": sorted(set(classes) - new)})
    model = train(Items.of(vectors[learned]), pd.Series(labels[learned]), Items.of(vectors[learned]), settings)
    says = _saying(model, settings)
    sure, loss = says(vectors[known], labels[known])
    reference = unlike.fit(vectors[learned])
    value = answering.threshold(says(vectors[rest], labels[rest])[0], sure, loss, WRONG, RISK).value

    def seen(rows: NDArray[np.int64], changed: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
        """(n,) the loss of each item, NaN where it is not answered."""
        own = vectors[rows] if changed is None else changed
        sure, loss = says(own, labels[rows])
        return np.where((sure >= value) & (reference.strangeness(own) <= reference.limit), loss, np.nan)

    calm = seen(rest)
    if np.isnan(calm).all():
        yield {"set": name, "change": f"of {KNOWN} known items nothing may be answered"}
        return
    some = rng.permutation(rest)[:CHANGED]
    changes: dict[str, tuple[NDArray[np.float64], NDArray[np.float64] | None]] = {}
    if new:
        strange = seen(np.flatnonzero(pd.Series(labels).isin(new)))
        both = np.concatenate([calm, strange])
        chance = np.repeat([(1 - PART) / len(calm), PART / len(strange)], [len(calm), len(strange)])
        changes[f"{len(new)} new classes, {PART:.0%} of all"] = both, chance
    worst = _worst(model, settings, vectors[known], labels[known])
    chance = np.where(pd.Series(labels[rest]).isin(worst), MORE, 1.0)
    changes[f"the worst classes {MORE:g} times as often"] = calm, chance / chance.sum()
    for what, worse in (("cut to four words", _cut), ("a third of the words misspelt", _misspelt)):
        changes[what] = seen(some, encoded([worse(texts[row], rng) for row in some])), None
    for what, (after, chance) in changes.items():
        found = [_noticed(calm, after, chance, seed) for seed in range(STREAMS)]
        late = [each for each in found if each is not None and each > 0]
        share = np.ones(len(after)) / len(after) if chance is None else chance
        answered = ~np.isnan(after)
        yield {
            "set": name,
            "change": what,
            "answered: before, after": f"{(~np.isnan(calm)).mean():.2f}, {share[answered].sum():.2f}",
            "wrong before": f"{np.nanmean(calm):.3f}",
            "wrong after": f"{(share * np.nan_to_num(after)).sum() / max(share[answered].sum(), 1e-9):.3f}",
            "alarms": f"{len(late)} of {STREAMS}",
            "false before": sum(each is not None and each <= 0 for each in found),
            "watched until then, median": f"{np.median(late):.0f}" if late else "",
        }


def _saying(model: Model, settings: Settings) -> Callable[..., tuple[NDArray[np.float64], NDArray[np.float64]]]:
    answer = kinds.answer(settings.kind.answer)

    def says(vectors: NDArray[np.floating], truth: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Confidence and loss of each item."""
        opinion, thresholds = model.probabilities(Items.of(vectors)), thresholds_of(model)
        decided = answer.decide(opinion, model.classes, thresholds)
        return answer.expect(opinion, thresholds), 1 - answer.score(decided.tolist(), list(truth))

    return says


def _worst(model: Model, settings: Settings, vectors: NDArray[np.floating], labels: NDArray[Any]) -> list[str]:
    """The third of the classes that it knows worst."""
    loss = pd.Series(_saying(model, settings)(vectors, labels)[1]).groupby(labels).mean().sort_values(ascending=False)
    return loss.index[: max(1, len(loss) // 3)].tolist()


def _noticed(
    calm: NDArray[np.float64], after: NDArray[np.float64], chance: NDArray[np.float64] | None, seed: int
) -> int | None:
    """How many watched items after the change the alarm comes; negative: before it, a false one; None: not at all."""
    rng, watch = np.random.default_rng([seed, 21]), watching.begin(WRONG)
    first = rng.choice(calm[~np.isnan(calm)], CALM)
    share = None if chance is None else chance[~np.isnan(after)] / chance[~np.isnan(after)].sum()
    there = after[~np.isnan(after)]
    if not len(there):
        return None
    for at, loss in enumerate(np.concatenate([first, rng.choice(there, MOST, p=share)]).tolist(), start=1):
        watch = watching.update(watch, loss)
        if watching.alarm(watch):
            return at - CALM
    return None


def _cut(text: str, _rng: np.random.Generator) -> str:
    return " ".join(text.split()[:4])


def _misspelt(text: str, rng: np.random.Generator) -> str:
    """Two letters of a word changed places."""
    words = text.split()
    for at in np.flatnonzero(rng.random(len(words)) < 1 / 3):
        if len(words[at]) > 3:
            k = int(rng.integers(1, len(words[at]) - 2))
            words[at] = words[at][:k] + words[at][k + 1] + words[at][k] + words[at][k + 2 :]
    return " ".join(words)
