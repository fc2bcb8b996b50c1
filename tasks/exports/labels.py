"""The labels of a workspace, with what is known of each: those that count of the pool, and the gold set."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from labelwise.tasks import kinds
from labelwise.tasks.errors import InputError
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import stored
from labelwise.tasks.kinds import Answer
from labelwise.tasks.labels import consensus, ledger, renamed
from labelwise.tasks.proof import finishing
from labelwise.tasks.records import BESIDE
from labelwise.tasks.workspace import Workspace, opened, read_parquet

PERSON, IMPORTED = "person", ledger.IMPORTED
PART = 4096  # gold rows in a frame
AT_ONCE = 64 * 2**20  # characters of items in a frame


@dataclass(frozen=True)
class Labels:
    """table: a row a label, without its item: id, label and what `table.PROVENANCE` has. gold: the gold set with its
    items, where it is asked for. without: items that somebody was asked about and that have no label, by reason."""

    table: pd.DataFrame
    gold: pd.DataFrame | None
    without: dict[str, int]

    def __len__(self) -> int:
        return len(self.table) + (0 if self.gold is None else len(self.gold))

    @property
    def disputed(self) -> int:
        """On how many items people differ."""
        tables = [each for each in (self.table, self.gold) if each is not None and "agreement" in each]
        return sum(int((each.agreement < 1).sum()) for each in tables)


def counting(found: pd.DataFrame, rows: pd.DataFrame, answer: Answer) -> pd.DataFrame:
    """The labels that count (id, label, round, why), with what ledger rows as of today say of each: by, people,
    agreement, gold, labelled_at."""
    given = ledger.labelled(rows)
    latest = given.drop_duplicates("id", keep="last").set_index("id").loc[found.id]
    people = given[given.annotator.notna() & given.label.notna() & (given.annotator != IMPORTED)]
    asked = people.drop_duplicates(["id", "annotator"], keep="last")
    return found.assign(
        by=latest.origin.map(lambda origin: IMPORTED if origin == IMPORTED else PERSON).to_numpy(),
        gold=False,
        labelled_at=latest.created_at.to_numpy(),
        **agreement(found, asked[["id", "label"]], answer),
    )


def agreement(found: pd.DataFrame, said: pd.DataFrame, answer: Answer) -> dict[str, pd.Series]:
    """`people`, how many have said something of each item, and `agreement`, the mean score of what they said against
    the label that counts; null where nobody has. found, said: columns id, label."""
    both = said.merge(found[["id", "label"]], on="id", suffixes=("", "_counting"))
    scores = pd.Series(answer.score(both.label.tolist(), both.label_counting.tolist()), dtype="float64")
    by_item = scores.groupby(both.id.to_numpy())
    return {
        "people": found.id.map(by_item.size()).fillna(0).astype("int64"),
        "agreement": found.id.map(by_item.mean()).astype("float64"),
    }


def without_label(rows: pd.DataFrame, counted: Collection[str]) -> dict[str, int]:
    """Items that people have answered without a label that counts, by reason."""
    lapsed = set(ledger.lapsed(rows))
    said = ledger.not_withdrawn(rows)
    skipped = set(said.id[said.status.isin(ledger.NOTHING)]) - set(counted) - lapsed
    found = {"skipped": len(skipped), "labelled by a class that no longer exists": len(lapsed)}
    return {reason: count for reason, count in found.items() if count}


def gold_set(workspace: Workspace, answer: Answer) -> pd.DataFrame:
    """The gold set with its items, and what is known of each label, as `counting` has it."""
    gold = trusted.gold(workspace)
    votes = trusted.votes(trusted.today(workspace, trusted.answers(workspace)))
    said = [(item, label) for item, each in votes.items() for _, label in each if label is not None]
    frame = pd.DataFrame(said, columns=["id", "label"])
    answers = trusted.not_withdrawn(trusted.answers(workspace).reset_index(drop=True))
    last = answers.groupby("id").created_at.max()
    people = agreement(gold, frame, answer)
    by = people["people"].map(lambda count: PERSON if count else IMPORTED)
    return gold.assign(by=by, round=None, why="gold", gold=True, labelled_at=gold.id.map(last), **people)


def read(workspace: Workspace, gold: bool = False, forgotten: Collection[str] = ()) -> Labels:
    """The labels of a workspace. gold: the gold set, too; an item of both is of that alone. forgotten: ids that have
    been forgotten since."""
    answer, rows = kinds.answer(workspace.settings.kind.answer), ledger.today(workspace)
    table = counting(consensus.today(workspace, rows), rows, answer)
    without = without_label(rows, set(table.id))
    trusted_rows = gold_set(workspace, answer) if gold else None
    if trusted_rows is not None:
        table = table[~table.id.isin(trusted_rows.id)]
        trusted_rows = trusted_rows[~trusted_rows.id.isin(list(forgotten))]
    gone = table.id.isin(list(forgotten))
    if gone.any():
        without["forgotten since"] = int(gone.sum())
    return Labels(table[~gone].reset_index(drop=True), trusted_rows, without)


def finished(workspace: Workspace) -> Labels:
    """The finished pool: id, label, by, confidence. InputError where there is none."""
    path = workspace.finished / finishing.TABLE
    if not path.exists():
        raise InputError("there is no finished pool", expected=f"{path}", fix="`labelwise finish` makes it")
    rows = read_parquet(path, columns=["id", "label", "by", "confidence"])
    label = renamed.counting(rows.label, workspace.settings)
    left = int(label.isna().sum())
    table = rows.assign(label=label)[label.notna()].reset_index(drop=True)
    return Labels(table, None, {"that nobody labelled": left} if left else {})


def frames(workspace: Workspace, labels: Labels) -> Iterator[pd.DataFrame]:
    """The labels with their items, in the order of the pool, then of the gold set."""
    yield from with_items(workspace, labels.table)
    if labels.gold is not None:
        for start in range(0, len(labels.gold), PART):
            yield labels.gold.iloc[start : start + PART]


def with_items(workspace: Workspace, table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows of a table (column id) with their items of the pool, in its order: the columns of the pool first, then
    those of the table. A frame holds so much as a row group has of them, at most about AT_ONCE characters."""
    column = stored.column_of(workspace)
    asked, known = pa.array(table.id.tolist(), type=pa.string()), table.set_index("id")
    for shard in stored.shards(workspace) if len(table) else []:
        with opened(shard) as handle, pq.ParquetFile(handle) as file:
            names = ["id", "source_id", column, *(name for name in BESIDE if name in file.schema_arrow.names)]
            for group in range(file.num_row_groups):
                own = file.read_row_group(group, columns=["id"])["id"].cast(pa.string())
                mine = pc.indices_nonzero(pc.is_in(own, value_set=asked))
                if not len(mine):
                    continue
                part = file.read_row_group(group, columns=names).take(mine)
                width = max(1, int(part.nbytes / len(part)))
                for start in range(0, len(part), max(1, AT_ONCE // width)):
                    frame = part.slice(start, max(1, AT_ONCE // width)).to_pandas()
                    yield frame.join(known, on="id")
