"""Which classes are looked for in the next batch, and how near each item of the pool is to them.

A class is looked for while it has few labels: by what people gave of it (labels/seeds.py); where `select.seek` says so,
also by its name and description, as long as it is rarer than an even share. Its labels so far go along.
"""

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import forgotten, stored
from labelwise.tasks.items.likeness import Like, likeness
from labelwise.tasks.items.vectors import Vectors, encoded, encoder_of, gold_vectors, pool_items
from labelwise.tasks.kinds.base import Encoder
from labelwise.tasks.labels import seeds
from labelwise.tasks.learners.base import Items
from labelwise.tasks.settings import Settings
from labelwise.tasks.strategies.seeking import PATIENCE, SHARE, WHY, Sought, in_vain, one_each, quotas, wanting
from labelwise.tasks.workspace import Workspace

_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True)
class Way:
    """A way to look for a class (`of`): by what people gave of it, or else by its name. vectors: (a, d) of the cells.
    The two go side by side, since either may lead nowhere; that one fades."""

    of: str
    cells: list[str]
    vectors: NDArray[np.float32]
    given: bool


def sought(workspace: Workspace, vectors: Vectors, labels: pd.DataFrame) -> Sought | None:
    """What the next batch looks for; None for nothing. labels: those that count (columns id, label, why)."""
    settings = workspace.settings
    given = set(seeds.read(workspace)["class"])
    if not (given or settings.select.seek):
        return None
    return looked_for(
        pool_items(workspace, vectors),
        vectors.rows(labels.id),
        labels,
        settings,
        given,
        lambda names: ways_of(workspace, names),
    )


def looked_for(
    items: Items,
    rows: NDArray[np.int64],
    labels: pd.DataFrame,
    settings: Settings,
    given: Collection[str],
    ways_of: Callable[[list[str]], list[Way]],
) -> Sought | None:
    """The same of any items. rows: (m,) where those with a label are; labels: columns label, why; given: the classes of
    which people gave something; ways_of: the ways to look for classes."""
    classes, room = settings.classes, int(SHARE * settings.select.batch)
    has = one_each(kinds.answer(settings.kind.answer).targets(labels.label.tolist(), classes), len(classes))
    of_people = np.array([name in given for name in classes])
    wanted = wanting(has.sum(axis=0), of_people, len(labels))
    names = [classes[label] for label in wanted if of_people[label] or settings.select.seek]
    if not (room and names):
        return None
    ways = sorted(ways_of(names), key=lambda way: (way.of not in given, names.index(way.of), not way.given))[:room]
    if not ways:
        return None
    wanted = np.array([classes.index(way.of) for way in ways], dtype=np.int64)
    has = has[:, wanted]
    means = np.stack([way.vectors.mean(axis=0) for way in ways])
    why = labels.why.to_numpy(dtype=object)
    vain = in_vain(why, items.vectors_at(rows) @ means.T, has)
    likes = [Like(way.vectors, way.cells, rows[has[:, at]], rows[vain[:, at]]) for at, way in enumerate(ways)]
    nearness = likeness(items, likes, words=kinds.item(settings.kind.item).WORDS)
    tried = np.maximum(vain.sum(axis=0) - PATIENCE * (has & (why == WHY)[:, None]).sum(axis=0), 0)
    first = sum(way.of in given for way in ways)  # classes of which people said something come first
    most = quotas(tried[:first], room)
    return Sought(wanted, nearness, np.concatenate([most, quotas(tried[first:], room - int(most.sum()))]))


def ways_of(workspace: Workspace, names: list[str]) -> list[Way]:
    """The ways to look for these classes: by seeds that are not gold; by name those of which there are seeds, and all
    where `select.seek` says so."""
    settings, item = workspace.settings, kinds.item(workspace.settings.kind.item)
    rows = seeds.read(workspace)
    rows = rows[rows["class"].isin(names)]
    encoder = encoder_of(workspace)
    vectors = encoder.encode(rows[item.COLUMN].tolist())
    usable = ~of_gold(workspace, rows[item.COLUMN], vectors)
    of = rows["class"].to_numpy(dtype=object)
    given = [name for name in names if (usable & (of == name)).any()]
    mine = {name: usable & (of == name) for name in given}
    ways = [Way(name, rows[item.COLUMN][at].tolist(), vectors[at], True) for name, at in mine.items()]
    return ways + by_name(names if settings.select.seek else given, settings, encoder)


def by_name(names: Iterable[str], settings: Settings, encoder: Encoder) -> list[Way]:
    """By the names and descriptions of classes, where these hold a word and the encoder reads words."""
    if not kinds.item(settings.kind.item).WORDS:
        return []
    told = {name: said for name in names if (said := described(name, settings))}
    return [Way(name, said, encoder.encode(said), False) for name, said in told.items()]


def described(name: str, settings: Settings) -> list[str]:
    """The name and the description of a class as texts; those that hold no word are left out, such as `A1`."""
    said = [re.sub(r"[_-]", " ", name), settings.descriptions.get(name, "")]
    return [text for text in said if _WORD.search(text)]


def of_gold(workspace: Workspace, cells: pd.Series, vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(a,) which texts are an item of gold, or as like one as `gold.near_duplicate`: what is measured by must not say
    where to look. Before anything was encoded, by this encoder, only those that say the same
    are found."""
    item, least = kinds.item(workspace.settings.kind.item), workspace.settings.gold.near_duplicate
    gold = pd.concat([part[["id", item.COLUMN]] for part in (stored.gold(workspace), trusted.drawn(workspace))])
    folds = {forgotten.fold(cell, item) for cell in gold[item.COLUMN]}
    same = np.array([forgotten.fold(cell, item) in folds for cell in cells], dtype=bool)
    if least is None or not len(gold) or not len(cells) or not encoded(workspace):
        return same
    return np.asarray(same | ((vectors @ gold_vectors(workspace, gold.id).T).max(axis=1) >= least))
