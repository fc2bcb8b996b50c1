"""`labelwise gc`: what can go from DVC's cache and from MLflow, and, when asked, its removal.

Nothing that is removed is the last of its kind. From the cache only what the DVC remote has; `dvc pull` brings it back.
From MLflow only models whose round is tagged; its tag rebuilds them. Pool, gold, ledger and the remote are not touched.
"""

from dataclasses import dataclass

import pandas as pd

from labelwise.tasks.records import number_of, round_tags, tag
from labelwise.tasks.services.mlflow import open_tracking
from labelwise.tasks.services.versions import remote
from labelwise.tasks.services.versions.cache import Cache
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace, claimed


@dataclass(frozen=True)
class Waste:
    """What can go. objects: of DVC's cache, with their bytes, by number; only_here: those that could go if the remote
    had them. models: of MLflow (columns version, model_id, round, bytes)."""

    objects: pd.Series
    only_here: pd.Series
    models: pd.DataFrame


def unneeded(objects: pd.Series, needed: set[str]) -> pd.Series:
    """The objects of the cache (bytes by number) that no version needs."""
    return objects[~objects.index.isin(list(needed))]


def old_models(models: pd.DataFrame, rounds: dict[str, int], champion: str | None, since: int) -> pd.DataFrame:
    """The versions (as of `Tracking.models`) whose model can go, with their `round`: not the champion, not one that has
    ever been it, for it may come back, and not of round `since` or later. rounds: by run; one of an unknown round
    stays."""
    found = models.assign(round=models.run_id.map(rounds).astype("Int64"))
    kept = (found.version == champion) | found.promoted | found.removed | found.model_id.isna()
    return found[~kept & (found["round"] < since).fillna(False)].reset_index(drop=True)


def find(workspace: Workspace, versions: Versions, keep: int, rebuildable: bool) -> Waste:
    """What can go, when the last `keep` rounds are to stay as they are. rebuildable: also what `dvc repro` can make
    again of earlier rounds: models, scores, vectors, batches."""
    numbers = sorted(map(number_of, round_tags(versions.git("tag", "--list", "round-*"))))
    last = numbers[-keep:]
    cache = Cache(versions)
    left = unneeded(cache.objects(), cache.needed(map(tag, last) if rebuildable else None))
    there = left.index.isin(list(cache.in_remote(left.index)))
    tracking = open_tracking(workspace.settings)
    champion = tracking.champion()
    learned = {run_id: int(tags["labelwise.round"]) for run_id, (tags, _) in tracking.runs().items()}
    of_run = {run_id: number for run_id, number in learned.items() if number in numbers}
    models = old_models(tracking.models(), of_run, champion.version if champion else None, min(last, default=0))
    return Waste(left[there], left[~there], models.assign(bytes=[tracking.size(one) for one in models.model_id]))


def run(workspace: Workspace, keep: int, rebuildable: bool, remove: bool) -> list[str]:
    """Say what can go, and let it go when told to. Returns lines for people."""
    versions = Versions(workspace.root)
    remote.refuse_lack(versions)
    if not remove:
        return lines(find(workspace, versions, keep, rebuildable), keep, removed=False)
    with claimed(workspace) as claim:
        claim.refuse_unfinished()
        waste = find(workspace, versions, keep, rebuildable)
        Cache(versions).remove(waste.objects.index)
        tracking = open_tracking(workspace.settings)
        for row in waste.models.to_dict("records"):
            tracking.drop(row["version"], row["model_id"], f"by labelwise gc; the tag {tag(row['round'])} rebuilds it")
    return lines(waste, keep, removed=True)


def lines(waste: Waste, keep: int, removed: bool) -> list[str]:
    """The same for people."""
    did = "removed" if removed else "can go"
    objects, models, here = (amount(each) for each in (waste.objects, waste.models.bytes, waste.only_here))
    said = [
        f"DVC cache    {objects} {did}: no version needs them, and the DVC remote has them",
        f"MLflow       {models} {did}: models that were never champion, nor are of the last {keep} rounds",
    ]
    if len(waste.only_here):
        said.append(f"kept         {here} that no version needs, for the DVC remote lacks them")
    return said if removed else [*said, "Nothing was removed; `labelwise gc --remove` does it."]


def amount(sizes: pd.Series) -> str:
    """How many, and how much.

    >>> amount(pd.Series([1_000_000, 234_567]))
    '2 (1.2 MB)'
    """
    return f"{len(sizes):,} ({sizes.sum() / 1e6:,.1f} MB)"
