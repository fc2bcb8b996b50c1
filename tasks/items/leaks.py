"""Gold that has leaked: items of the pool which are in the gold set, or so like one that a model which learns them has
learned it."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks import kinds
from labelwise.tasks.items import stored
from labelwise.tasks.kinds.wording import Wording, alike
from labelwise.tasks.records import LEAKS
from labelwise.tasks.settings import Settings
from labelwise.tasks.workspace import Workspace, read_parquet

WORDS = "nearly gold (gold.near_duplicate): neither asked nor learned"
OF_GROUP = "of a group that gold has (pull.columns.group): neither asked nor learned"
OF_POOL = "item of the pool is", "items of the pool are"
MANY = 0.05  # of a pool that are nearly gold, above which the threshold may be too low for the encoder
BLOCK = 8192  # items compared at once: bounds memory


def leaks(
    ids: pd.Index,
    vectors: NDArray[np.floating],
    gold_ids: pd.Index,
    gold: NDArray[np.float32],
    least: float | None,
    wording: tuple[Wording, Wording] | None = None,
) -> pd.DataFrame:
    """Which of n items (n, d) are one of g gold items (g, d), or have a cosine similarity of at least `least` with one:
    a row (LEAKS) each, with the gold item it is most like. Vectors are of unit length. least None: only the same items.
    wording: of the items and of gold; a similarity that it does not confirm does not count. O(n g d)."""
    same = ids.isin(gold_ids)
    parts = [pd.DataFrame({"id": ids[same], "gold": ids[same], "similarity": 1.0})]
    for start in range(0, len(ids) if least is not None and len(gold) else 0, BLOCK):
        similar = np.asarray(vectors[start : start + BLOCK], dtype=np.float32) @ gold.T
        if wording is not None:
            similar[~alike(wording[0][start : start + BLOCK], wording[1])] = -1
        best = similar.argmax(axis=1)
        height = similar[np.arange(len(best)), best]
        found = np.flatnonzero((height >= (least or 1)) & ~same[start : start + BLOCK])
        parts.append(
            pd.DataFrame({"id": ids[start + found], "gold": gold_ids[best[found]], "similarity": height[found]})
        )
    return LEAKS.conform(pd.concat(parts, ignore_index=True))


def of_groups(ids: pd.Index, groups: pd.Series, gold: pd.DataFrame) -> pd.DataFrame:
    """Which of n items have a group (n,) that one of the gold items (id, group) has: a row (LEAKS) each, without a
    similarity, with the first such gold item."""
    first = gold.dropna(subset="group").drop_duplicates("group").set_index("group").id
    owner = groups.map(first)
    found = np.flatnonzero(owner.notna())
    rows = {"id": ids[found], "gold": owner.iloc[found].to_numpy(), "similarity": np.nan}
    return LEAKS.conform(pd.DataFrame(rows))


def near(found: pd.DataFrame) -> pd.DataFrame:
    """The leaks that are like a gold item and not one themselves."""
    return found[(found.id != found.gold) & found.similarity.notna()]


def grouped(found: pd.DataFrame) -> pd.DataFrame:
    """The leaks that are of a group with a gold item."""
    return found[found.similarity.isna()]


def counted(found: pd.DataFrame) -> list[tuple[int, str]]:
    """How many leak, and how, in words; nothing for what is gold itself."""
    parts = (len(near(found)), WORDS), (len(grouped(found)), OF_GROUP)
    return [(count, words) for count, words in parts if count]


def remark(found: pd.DataFrame, pool: int, settings: Settings) -> str:
    """What to do where vectors alone have it that more than MANY of the pool's items are nearly gold; '' else. A
    threshold is measured with one encoder, and to another one many items may be as like each other as that."""
    nearly = near(found)
    if len(nearly) <= MANY * pool or kinds.worded_by(settings):
        return ""
    least, middle = settings.gold.near_duplicate, min(1.0, float(nearly.similarity.median()))
    return (
        f"that is {len(nearly) / pool:.0%}: if they are not nearly the same to people, raise gold.near_duplicate in "
        f"params.yaml ({least}; half of them are at {middle:.4g} or more), or set it to null"
    )


def leaked(workspace: Workspace) -> pd.DataFrame:
    """The items of the pool that are in the gold set or nearly so (LEAKS), as the stage `embed` found them."""
    files = [path for shard in stored.shards(workspace) if (path := leaks_of(workspace, shard)).exists()]
    return pd.concat([LEAKS.frame(), *map(read_parquet, files)], ignore_index=True) if files else LEAKS.frame()


def leaks_of(workspace: Workspace, shard: Path) -> Path:
    """The file of a shard's leaks."""
    return workspace.vectors / leaks_name(shard)


def leaks_name(shard: Path) -> str:
    """What the file of a shard's leaks is called, in whatever version."""
    return f"{shard.stem}.leaks.parquet"
