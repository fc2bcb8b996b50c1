"""What runs keep of the ledger finds a row that was changed, lost or added, and names its item."""

from pathlib import Path

import pandas as pd
import pytest

from labelwise.tasks.labels import ledger, witness
from labelwise.tasks.labels.witness import Recorded
from tests.tasks.labels.rows import labelled, rows

FIRST = rows(labelled("a", "x", 1), labelled("b", "y", 2))
SECOND = rows(labelled("c", "x", 3), {"id": "d", "status": "skipped", "task_id": 4, "annotation_id": 4})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, shard in enumerate((rows(), FIRST, SECOND)):
        ledger.append(tmp_path, number, shard)
    return tmp_path


def put(folder: Path, number: int, shard: pd.DataFrame) -> None:
    shard.to_parquet(ledger.shard(folder, number), index=False)


def said(folder: Path, then: pd.DataFrame, *forgotten: str) -> list[str]:
    return [str(each) for each in witness.differences(witness.table(folder, range(3)), then, forgotten)]


def test_the_same_rows_are_the_same_through_a_csv_and_whatever_columns_come_later(folder: Path, tmp_path: Path) -> None:
    then = witness.table(folder, range(3))
    kept = tmp_path / witness.FILE
    kept.write_text(witness.text(then))
    read = pd.read_csv(kept, dtype=str, keep_default_na=False)
    assert witness.digest(read) == witness.digest(then)
    put(folder, 1, FIRST.assign(later=pd.NA))
    assert said(folder, read) == []


def test_no_person_and_no_time_is_in_it() -> None:
    row = labelled("a", "x", 1, "2031-05-05") | {"annotator": "carol", "lead_time_s": 7.25}
    assert not {"carol", "2031-05-05", "7.25"} & set(witness.witnessed(rows(row), 1).to_numpy().ravel())


@pytest.mark.parametrize(
    ("shard", "expected"),
    [
        (rows(labelled("a", "y", 1), labelled("b", "y", 2)), "item a: labelled 'y', but it was labelled 'x'"),
        (rows(labelled("a", "x", 1)), "item b: its row in round 1 is gone (it was labelled 'y')"),
        (rows(*[labelled("a", "x", 1)] * 2, labelled("b", "y", 2)), "item a: a row too many in round 1"),
        (rows(labelled("a", "x", 1, "2026-01-02"), labelled("b", "y", 2)), "item a: its row in round 1 differs in rev"),
        (rows(labelled("b", "y", 2), labelled("a", "x", 1)), ""),  # another order says nothing else
    ],
)
def test_what_is_not_as_it_was_is_named(folder: Path, shard: pd.DataFrame, expected: str) -> None:
    then = witness.table(folder, range(3))
    put(folder, 1, shard)
    found = said(folder, then)
    assert len(found) == bool(expected)
    assert not expected or found[0].startswith(expected)


def test_rows_of_forgotten_items_may_be_gone_and_no_others(folder: Path) -> None:
    then = witness.table(folder, range(3))
    put(folder, 1, rows(labelled("b", "y", 2)))
    put(folder, 2, rows())
    assert said(folder, then, "a", "c", "d") == []
    assert [line[:6] for line in said(folder, then, "a", "c")] == ["item d"]


def test_a_table_is_fetched_only_where_a_digest_differs_and_believed_only_with_its_digest(folder: Path) -> None:
    tables = {f"run {n}": witness.table(folder, [n]) for n in (1, 2)}
    recorded = [Recorded(run, range(n, n + 1), witness.digest(tables[run])) for n, run in enumerate(tables, 1)]
    fetched: list[str] = []

    def fetch(run: str) -> pd.DataFrame | None:
        fetched.append(run)
        return tables.get(run)

    assert witness.check(folder, recorded, fetch) == [] == fetched
    put(folder, 2, rows(labelled("c", "y", 3)))
    assert [each.item for each in witness.check(folder, recorded, fetch)] == ["c", "d"]
    assert fetched == ["run 2"]
    tables["run 2"] = tables["run 1"]
    assert "labels.csv is gone or changed" in str(witness.check(folder, recorded, fetch)[0])


def test_runs_of_before_bear_no_witness() -> None:
    tags = {witness.SHARDS: "0-2", witness.DIGEST: "d"}
    assert witness.recorded_by([("old", {"labelwise.round": "1"}), ("new", tags)]) == [
        Recorded("new", range(0, 3), "d")
    ]
