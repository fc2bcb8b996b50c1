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
from labelwise.tasks.items.vectors import Vectors, gold_vectors, pool_items
from labelwise.tasks.kinds.base import Encoder
from labelwise.tasks.labels import seeds
from labelwise.tasks.learners.base import Items
from labelwise.tasks.settings import Settings
from labelwise.tasks.strategies.seeking import PATIENCE, SHARE, WHY, Sought, in_vain, one_each, quotas, wanting
from labelwise.tasks.workspace import Workspace

_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True)
class Texts:
    """What the classes are looked for by: cells and their vectors, (a, d), by class. given: the classes of which people
    gave something; the others are known by their names. gold: how many cells were left out since gold has them."""

    cells: dict[str, list[str]]
    vectors: dict[str, NDArray[np.float32]]
    given: frozenset[str]
    gold: int = 0


NOTHING = Texts({}, {}, frozenset())


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
        lambda names: looked_for_by(workspace, names),
    )


def looked_for(
    items: Items,
    rows: NDArray[np.int64],
    labels: pd.DataFrame,
    settings: Settings,
    given: Collection[str],
    texts_of: Callable[[list[str]], Texts],
) -> Sought | None:
    """The same of any items. rows: (m,) where those with a label are; labels: columns label, why; given: the classes of
    which people gave something; texts_of: what classes are looked for by."""
    classes, room = settings.classes, int(SHARE * settings.select.batch)
    has = one_each(kinds.answer(settings.kind.answer).targets(labels.label.tolist(), classes), len(classes))
    of_people = np.array([name in given for name in classes])
    wanted = wanting(has.sum(axis=0), of_people, len(labels))
    wanted = wanted[of_people[wanted] | settings.select.seek]
    texts = texts_of([classes[label] for label in wanted]) if room and len(wanted) else NOTHING
    wanted = np.array([label for label in wanted if classes[label] in texts.cells], dtype=np.int64)
    wanted = wanted[np.argsort([classes[label] not in texts.given for label in wanted], kind="stable")][:room]
    if not len(wanted):
        return None
    names, has = [classes[label] for label in wanted], has[:, wanted]
    means = np.stack([texts.vectors[name].mean(axis=0) for name in names])
    why = labels.why.to_numpy(dtype=object)
    vain = in_vain(why, items.vectors_at(rows) @ means.T, has)
    likes = [
        Like(texts.vectors[name], texts.cells[name], rows[has[:, at]], rows[vain[:, at]])
        for at, name in enumerate(names)
    ]
    nearness = likeness(items, likes, words=kinds.item(settings.kind.item).wording is not None)
    tried = np.maximum(vain.sum(axis=0) - PATIENCE * (has & (why == WHY)[:, None]).sum(axis=0), 0)
    first = sum(name in texts.given for name in names)  # those of which people said something come first
    most = quotas(tried[:first], room)
    return Sought(wanted, nearness, np.concatenate([most, quotas(tried[first:], room - int(most.sum()))]))


def looked_for_by(workspace: Workspace, names: list[str]) -> Texts:
    """What these classes are looked for by: seeds that are not gold, or else names, where `select.seek` says so."""
    settings, item = workspace.settings, kinds.item(workspace.settings.kind.item)
    rows = seeds.read(workspace)
    rows = rows[rows["class"].isin(names)]
    encoder = item.encoder(settings.embed)
    vectors = encoder.encode(rows[item.COLUMN].tolist())
    gold = of_gold(workspace, rows[item.COLUMN], vectors)
    seen = Texts({}, {}, frozenset(rows["class"][~gold]), int(gold.sum()))
    for name in seen.given:
        mine = ~gold & (rows["class"] == name).to_numpy()
        seen.cells[name], seen.vectors[name] = rows[item.COLUMN][mine].tolist(), vectors[mine]
    if settings.select.seek:
        named = by_name([name for name in names if name not in seen.given], settings, encoder)
        return Texts({**seen.cells, **named.cells}, {**seen.vectors, **named.vectors}, seen.given, seen.gold)
    return seen


def by_name(names: Iterable[str], settings: Settings, encoder: Encoder) -> Texts:
    """The names and descriptions of classes, of those where these hold a word."""
    cells = {name: said for name in names if (said := described(name, settings))}
    return Texts(cells, {name: encoder.encode(said) for name, said in cells.items()}, frozenset())


def described(name: str, settings: Settings) -> list[str]:
    """The name and the description of a class as texts; those that hold no word are left out, such as `A1`."""
    said = [re.sub(r"[_-]", " ", name), settings.descriptions.get(name, "")]
    return [text for text in said if _WORD.search(text)]


def of_gold(workspace: Workspace, cells: pd.Series, vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(a,) which texts are an item of gold, or as like one as `gold.near_duplicate`: what is measured by must not say
    where to look. Those that gold has before anything was encoded are found by what they say."""
    item, least = kinds.item(workspace.settings.kind.item), workspace.settings.gold.near_duplicate
    gold = pd.concat([part[["id", item.COLUMN]] for part in (stored.gold(workspace), trusted.drawn(workspace))])
    folds = {forgotten.fold(cell, item) for cell in gold[item.COLUMN]}
    same = np.array([forgotten.fold(cell, item) in folds for cell in cells], dtype=bool)
    if least is None or not len(gold) or not len(cells) or not workspace.vectors.exists():
        return same
    return np.asarray(same | ((vectors @ gold_vectors(workspace, gold.id).T).max(axis=1) >= least))
