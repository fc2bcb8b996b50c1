"""The stage `pull` in a plain folder with params.yaml: what it keeps, what it refuses, that nothing is half-written."""

import json
import random
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from labelwise.tasks import pull, sources
from labelwise.tasks.errors import InputError, LabelwiseError, WorkspaceError
from labelwise.tasks.gold import trusted
from labelwise.tasks.items import stored
from labelwise.tasks.kinds import context
from labelwise.tasks.kinds.forms import canonical, folded
from labelwise.tasks.records import GOLD, POOL, QUARANTINE, content_id
from labelwise.tasks.settings import change
from labelwise.tasks.sources import addresses
from labelwise.tasks.workspace import Workspace
from tests.tasks.kinds.pictures import RED, as_bytes, drawn

SHARED = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Rows = list[tuple[Any, ...]]


def fill(path: Path, rows: Rows, columns: tuple[str, ...]) -> None:
    """The rows as JSON lines, in the place of what was there."""
    lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


class Place:
    """A workspace and its two sources."""

    def __init__(self, root: Path, **pull_settings: Any) -> None:
        self.root, self.pool, self.gold = root, root / "in" / "pool.jsonl", root / "in" / "gold.jsonl"
        self.pool.parent.mkdir(parents=True)
        self.params = {"pool": str(self.pool), "gold": str(self.gold), "columns": {"id": "key"}, **pull_settings}
        self.classes = ["pos", "neg"]
        self.renamed: dict[str, str] = {}
        self.set()
        self.fill(pool=[("1", "one"), ("2", "two")], gold=[("g1", "good", "pos"), ("g2", "bad", "neg")])

    def set(self, **changes: Any) -> None:
        self.params |= changes
        content = {"project": {"name": "t", "id": "t"}, "classes": self.classes, "pull": self.params}
        content |= {"renamed": self.renamed}
        with (self.root / "params.yaml").open("w", encoding="utf-8") as file:
            YAML().dump(content, file)

    def fill(self, pool: Rows | None = None, gold: Rows | None = None) -> None:
        if pool is not None:
            fill(self.pool, pool, ("key", "text", "label")[: len(pool[0])] if pool else ())
        if gold is not None:
            fill(self.gold, gold, ("key", "text", "label"))

    def pull(self) -> pull.Pulled:
        return pull.run(self.workspace)

    def refusal(self) -> str:
        """The one line with which a pull is refused. What was there is as it was."""
        before = self.files()
        with pytest.raises(InputError) as caught:
            self.pull()
        assert self.files() == before
        assert "\n" not in str(caught.value)
        return str(caught.value)

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root)  # anew: settings are read once for each

    def files(self) -> dict[str, bytes]:
        data = self.root / "data"
        return {str(path.relative_to(data)): path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}

    def pooled(self) -> list[str]:
        """The texts of the pool, in order."""
        return [text for shard in sorted((self.root / "data" / "pool").iterdir()) for text in read(shard)["text"]]

    def golden(self) -> dict[str, str]:
        rows = read(self.root / "data" / "gold" / "gold.parquet")
        return dict(zip(rows["text"], rows["label"], strict=True))

    def quarantine(self) -> list[tuple[str, str | None, str]]:
        """File, text and reason of each row in quarantine."""
        files = sorted((self.root / "data" / "quarantine").glob("*"))
        rows = [(file.name, row.text, row.reason) for file in files for row in read(file).itertuples()]
        return [(name, None if pd.isna(text) else str(text), str(reason)) for name, text, reason in rows]


def read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path)


@pytest.fixture(autouse=True)
def plain_docs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data Docs without their pages, which take half the time of a small pull; `real_docs` keeps them."""
    if "real_docs" not in request.fixturenames:
        monkeypatch.setattr(
            "labelwise.tasks.services.expectations._render", lambda folder, _: (folder / "index.html").touch()
        )


@pytest.fixture
def real_docs() -> None:
    """Build the pages too."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "workspace")


class TestTheFirstPull:
    def test_tables_are_laid_out_as_records_says(self, place: Place) -> None:
        pulled = place.pull()
        assert pulled.summary() == "pool 2 items (2 new, 0 repeated), gold 2 (2 new)"
        shard = read(place.root / "data" / "pool" / "shard-0001.parquet")
        assert list(shard.columns) == list(POOL.columns)
        assert shard.to_dict("list") == {
            "id": [content_id("one"), content_id("two")],
            "text": ["one", "two"],
            "source_id": ["1", "2"],
        }
        gold = read(place.root / "data" / "gold" / "gold.parquet")
        assert list(gold.columns) == list(GOLD.columns)
        assert gold["label"].tolist() == ["pos", "neg"]
        assert sorted(place.files()) == ["gold/gold.parquet", "pool/shard-0001.parquet"]

    @pytest.mark.usefixtures("real_docs")
    def test_data_docs_are_built(self, place: Place) -> None:
        pulled = place.pull()
        assert pulled.docs == place.root / ".labelwise" / "data_docs" / "index.html"
        assert "Data Docs" in pulled.docs.read_text()

    def test_the_label_of_a_pool_row_is_never_asked_for(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[list[str]] = []
        original = sources.chunks
        monkeypatch.setattr(
            sources,
            "chunks",
            lambda source, columns, **how: (asked.append(columns), original(source, columns, **how))[1],
        )
        place.fill(pool=[("1", "one", "SECRET"), ("2", "two", "SECRET")])
        place.pull()
        assert asked == [["text", "key", "label"], ["text", "key"]]
        assert not any(b"SECRET" in content for content in place.files().values())

    def test_without_ids_of_the_users_own(self, place: Place) -> None:
        place.set(columns={})
        place.pull()
        assert read(place.root / "data" / "pool" / "shard-0001.parquet")["source_id"].isna().all()

    def test_other_column_names(self, place: Place) -> None:
        fill(place.pool, [("one",)], ("body",))
        fill(place.gold, [("good", "pos"), ("bad", "neg")], ("body", "mood"))
        place.set(columns={"text": "body", "label": "mood"})
        place.pull()
        assert place.pooled() == ["one"]

    def test_a_class_without_a_gold_row_is_a_warning(self, place: Place) -> None:
        place.classes.append("mixed")
        place.set()
        (warning,) = place.pull().warnings
        assert warning.startswith("class 'mixed' has no gold row")
        assert place.pull().warnings == [warning]  # remembered


class TestPullingAgain:
    def test_nothing_new_writes_nothing(self, place: Place) -> None:
        place.pull()
        before = place.files()
        place.pool.touch()
        again = place.pull()
        assert (again.new_pool, again.new_gold, again.pool_rows, again.gold_rows, again.repeated) == (0, 0, 2, 2, 0)
        assert place.files() == before

    def test_only_what_is_new_in_a_new_shard(self, place: Place) -> None:
        place.pull()
        before = place.files()
        place.fill(pool=[("3", "three"), ("1", "one"), ("4", "four"), ("3", "three")])
        pulled = place.pull()
        assert (pulled.new_pool, pulled.repeated, pulled.pool_rows) == (2, 1, 4)
        assert read(place.root / "data" / "pool" / "shard-0002.parquet")["text"].tolist() == ["three", "four"]
        assert place.files()["pool/shard-0001.parquet"] == before["pool/shard-0001.parquet"]

    def test_gold_is_appended_in_its_order(self, place: Place) -> None:
        place.pull()
        place.fill(gold=[("g3", "fine", "pos"), ("g2", "bad", "neg"), ("g4", "poor", "neg"), ("g3", "fine", "pos")])
        pulled = place.pull()
        assert (pulled.new_gold, pulled.repeated) == (2, 1)
        assert list(place.golden().items()) == [("good", "pos"), ("bad", "neg"), ("fine", "pos"), ("poor", "neg")]

    def test_a_picture_that_could_not_be_had_is_pulled_once_it_can(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = Place(tmp_path, columns={"image": "text"}, max_refused=0.9)
        change(tmp_path / "params.yaml", {"kind": {"item": "image"}})
        names = ["1.png", "2.png", "late.png", "cut.png"]
        pictures = {name: as_bytes(drawn(RED, number)) for number, name in enumerate(names)}
        for name in names:
            (place.pool.parent / name).write_bytes(pictures[name])
        (place.pool.parent / "late.png").unlink()
        (place.pool.parent / "cut.png").write_bytes(pictures["cut.png"][:900])
        place.fill([(name, name) for name in names[1:]], [("g", names[0], "pos")])
        assert place.pull().refused == {"file is not there": 1, "picture is cut off before its end": 1}
        with monkeypatch.context() as unread:
            unread.setattr("labelwise.tasks.sources.addresses.File.open", None)
            assert place.pull().new_pool == 0
        for name in names[2:]:  # the table stays as it was
            (place.pool.parent / name).write_bytes(pictures[name])
            assert place.pull().new_pool == 1
        assert place.pull().refused == {}

    def test_unchanged_sources_are_not_read(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        place.fill(pool=[("1", "one"), ("1", "one"), ("2", "two"), ("3", "three"), ("4", ""), ("5", "five")])
        first = place.pull()
        assert first.refused == {"text is blank": 1}
        monkeypatch.setattr("labelwise.tasks.sources.addresses.File.open", None)
        again = place.pull()
        assert (again.new_pool, again.new_gold) == (0, 0)
        assert (again.repeated, again.refused, again.docs) == (first.repeated, first.refused, first.docs)

    @pytest.mark.parametrize(
        "change",
        [
            lambda place: place.set(max_chars=100),
            lambda place: (place.classes.append("mixed"), place.set()),
            lambda place: (place.root / "data" / "pool" / "shard-0001.parquet").unlink(),
            lambda place: (place.root / "data" / "gold" / "gold.parquet").unlink(),
            lambda place: (place.root / ".labelwise" / "pull.json").unlink(),
            lambda place: (place.root / ".labelwise" / "pull.json").write_text("[]"),
            lambda place: (place.root / ".labelwise" / "pull.json").write_text("{"),
        ],
    )
    def test_they_are_read_when_anything_else_changed(self, place: Place, change: Callable[[Place], Any]) -> None:
        place.pull()
        before = place.files()
        change(place)
        read_anew: list[str] = []
        original = addresses.File.open
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(addresses.File, "open", lambda file: (read_anew.append(file.name), original(file))[1])
            place.pull()
        assert len(set(read_anew)) == 2
        assert place.files() == before

    @SHARED
    @given(data=st.data())
    def test_in_parts_or_at_once_or_twice(self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
        """However rows are spread over files, and however often they are pulled: each text once, the bad ones once."""
        cells = st.text("aB \u00e9", max_size=3)
        texts = data.draw(st.lists(cells, min_size=1, max_size=12))
        cut = data.draw(st.integers(0, len(texts)))
        place = Place(tmp_path_factory.mktemp("any") / "workspace", columns={}, max_refused=1.0)
        place.fill(gold=[("", "a", "pos"), ("", "b", "neg")])
        bad = {text for text in texts if not text.strip() or folded(text) in ("a", "b")}
        good = {canonical(text) for text in texts if text not in bad}
        for part in (texts[:cut], texts[cut:], texts, texts[::-1]):
            place.fill(pool=[(None, text) for text in ["always here", *part]])
            place.pull()
        assert sorted(place.pooled()) == sorted({"always here", *good})
        assert sorted(text or "" for _, text, _ in place.quarantine()) == sorted(bad)

    def test_stored_rows_without_ids_of_the_users_own(self, place: Place) -> None:
        """Null ids are read back as null: they clash with nothing, and stay null beside new rows that have one."""
        place.set(columns={})
        place.pull()
        place.set(columns={"id": "key"})
        place.fill(pool=[("1", "one"), ("3", "three")], gold=[("g1", "good", "pos"), ("g3", "fine", "pos")])
        pulled = place.pull()
        assert (pulled.new_pool, pulled.new_gold) == (1, 1)
        assert read(place.root / "data" / "gold" / "gold.parquet")["source_id"].isna().tolist() == [True, True, False]

    def test_shards_in_any_order(self, place: Place) -> None:
        for number in range(3):
            place.fill(pool=[(str(number), f"text {number}")])
            place.pull()
        folder = place.root / "data" / "pool"
        (folder / "shard-0001.parquet").rename(folder / "swap")
        (folder / "shard-0003.parquet").rename(folder / "shard-0001.parquet")
        (folder / "swap").rename(folder / "shard-0003.parquet")
        place.fill(pool=[(str(number), f"text {number}") for number in range(4)])
        assert place.pull().new_pool == 1


class TestQuarantine:
    def test_pool_rows_with_their_reasons(self, place: Place) -> None:
        place.set(max_chars=10, max_refused=0.9)
        place.fill(pool=[("1", "one"), ("2", " "), ("3", None), ("4", "x" * 11), ("5", "\ud800"), ("6", "GOOD ")])
        pulled = place.pull()
        assert place.pooled() == ["one"]
        assert place.quarantine() == [
            ("pool-shard-0001.parquet", " ", "text is blank"),
            ("pool-shard-0001.parquet", None, "text is missing"),
            ("pool-shard-0001.parquet", "x" * 11, "text has 11 characters, at most 10 allowed"),
            ("pool-shard-0001.parquet", "\\ud800", "row is not UTF-8"),
            ("pool-shard-0001.parquet", "GOOD ", "also in the gold set"),
        ]
        assert pulled.refused["text has more than 10 characters"] == 1
        assert sum(pulled.refused.values()) == 5
        assert "refused 5 (1 x text is blank, 1 x text is missing" in pulled.summary()

    def test_the_same_rows_only_once(self, place: Place) -> None:
        rows: Rows = [("1", "one"), ("2", ""), ("3", "")]
        place.set(max_refused=0.9)
        place.fill(pool=rows)
        place.pull()
        assert len(place.quarantine()) == 2  # blank both, but two rows of the source
        before = place.files()
        place.pool.touch()
        assert place.pull().refused == {"text is blank": 2}
        assert place.files() == before
        place.fill(pool=[*rows, ("4", ""), ("5", "five")])
        place.pull()
        assert [name for name, _, _ in place.quarantine()] == ["pool-shard-0001.parquet"] * 2 + [
            "pool-shard-0002.parquet"
        ]
        assert read(place.root / "data" / "pool" / "shard-0002.parquet")["text"].tolist() == ["five"]

    def test_a_mended_row_is_taken(self, place: Place) -> None:
        place.set(max_refused=0.9)
        place.fill(pool=[("1", "one"), ("2", "")])
        place.pull()
        place.fill(pool=[("1", "one"), ("2", "two")])
        assert place.pull().new_pool == 1

    def test_five_million_characters(self, place: Place) -> None:
        place.fill(pool=[("1", "x" * 5_242_880), *((str(number), f"text {number}") for number in range(2, 9))])
        assert place.pull().new_pool == 7
        ((_, text, reason),) = place.quarantine()
        assert (len(text or ""), reason) == (5_242_880, "text has 5242880 characters, at most 20000 allowed")

    def test_gold_rows_with_their_reasons(self, place: Place) -> None:
        place.set(max_refused=0.9)
        place.fill(
            gold=[("1", "good", "pos"), ("2", "", "pos"), ("3", "x", None), ("4", "so", "pos"), ("5", "SO ", "neg")]
        )
        place.pull()
        assert place.golden() == {"good": "pos"}
        assert place.quarantine() == [
            ("gold-0001.parquet", "", "text is blank"),
            ("gold-0001.parquet", "x", "label is missing"),
            ("gold-0001.parquet", "so", "the same text has several labels: 'neg' and 'pos'"),
            ("gold-0001.parquet", "SO ", "the same text has several labels: 'neg' and 'pos'"),
        ]
        assert read(place.root / "data" / "quarantine" / "gold-0001.parquet")["label"].tolist()[2:] == ["pos", "neg"]

    def test_white_space_around_a_label_is_no_part_of_it(self, place: Place) -> None:
        place.fill(gold=[("1", "good", " pos"), ("2", "bad", "neg\t"), ("3", "blank", "  ")])
        place.set(max_refused=0.9)
        place.pull()
        assert place.golden() == {"good": "pos", "bad": "neg"}
        assert place.quarantine() == [("gold-0001.parquet", "blank", "label is missing")]

    def test_a_gold_row_that_the_pool_has(self, place: Place) -> None:
        place.pull()
        place.fill(gold=[("g1", "good", "pos"), ("g2", "bad", "neg"), ("g3", "ONE", "pos")])
        pulled = place.pull()
        assert (pulled.new_gold, pulled.refused) == (0, {"already in the pool": 1})
        assert place.quarantine() == [("gold-0001.parquet", "ONE", "already in the pool")]

    def test_a_gold_label_that_changes(self, place: Place) -> None:
        """The row pulled earlier stays: silently changing what models were measured on would falsify the curve."""
        place.set(max_refused=0.9)
        place.pull()
        place.fill(gold=[("g1", "good", "neg"), ("g2", "bad", "neg")])
        assert place.pull().refused == {"the same text has several labels": 1}
        assert place.golden() == {"good": "pos", "bad": "neg"}

    def test_texts_in_both_do_not_count_as_refused(self, place: Place) -> None:
        place.set(max_refused=0.0)
        place.fill(pool=[("1", "one"), ("2", "Good"), ("3", "bad"), ("4", " BAD")])
        assert place.pull().refused == {"also in the gold set": 3}


class TestBadInput:
    def test_too_many_refused(self, place: Place) -> None:
        place.fill(pool=[("1", "one"), ("2", ""), ("3", None), ("4", "four")])
        line = place.refusal()
        assert f"pool: {place.pool}: more than 20% of the rows are refused: expected usable rows" in line
        assert "got 1 x text is blank, 1 x text is missing among 4 rows" in line
        assert "data_docs/index.html" in line
        assert line.endswith("; mend the source, or change pull.columns or pull.max_refused")  # not pull.max_chars

    def test_too_many_refused_in_gold(self, place: Place) -> None:
        place.fill(gold=[("1", "good", "pos"), ("2", "x", "")])
        assert (
            "more than 20% of the rows are refused: expected usable rows, got 1 x label is missing" in place.refusal()
        )

    def test_nothing_left(self, place: Place) -> None:
        place.fill(pool=[("1", "Good"), ("2", "bad")])
        assert "no row is left: expected usable rows, got 2 x also in the gold set among 2 rows" in place.refusal()

    @pytest.mark.parametrize("name", ["pool", "gold"])
    def test_no_rows(self, place: Place, name: str) -> None:
        path = place.root / "in" / f"{name}.csv"
        path.write_text("key,text,label\n")
        place.set(**{name: str(path)})
        assert f"{name}: {path} has no rows. To mend it: check pull.{name}" in place.refusal()

    @pytest.mark.parametrize("name", ["pool", "gold"])
    def test_no_source(self, place: Place, name: str) -> None:
        place.set(**{name: ""})
        assert "no source is given" in place.refusal()

    def test_labels_outside_the_classes(self, place: Place) -> None:
        place.fill(gold=[("1", "good", "pos"), ("2", "x", "Pos"), ("3", "y", "Pos"), ("4", "z", "neutral")])
        assert place.refusal() == (
            "gold: 3 rows have labels outside the classes: expected one of pos, neg, got 'Pos' (2), 'neutral' (1). "
            "To mend it: correct the labels, or the classes by `labelwise classes add NAME` or `rename OLD NEW`; names "
            "that classes had before go under `renamed` in params.yaml"
        )

    def test_a_class_taken_away(self, place: Place) -> None:
        place.pull()
        place.classes[1] = "negative"
        place.set()
        place.fill(gold=[("1", "good", "pos")])
        assert (
            "gold.parquet holds labels outside the classes: expected one of pos, negative, got 'neg'" in place.refusal()
        )

    @pytest.mark.parametrize("written", ["neg", "bad one"])
    def test_a_class_that_was_renamed(self, place: Place, written: str) -> None:
        """Whether the source has the old name or the new one: what is stored stays, and counts as today's class."""
        place.pull()
        place.classes[1] = "bad one"
        place.renamed = {"neg": "bad one"}
        place.set(max_refused=0.5)
        place.fill(gold=[("g1", "good", "pos"), ("g2", "bad", written), ("g3", "awful", written), ("g4", " ", written)])
        pulled = place.pull()
        assert (pulled.gold_rows, pulled.new_gold, pulled.refused) == (3, 1, {"text is blank": 1})
        assert not pulled.warnings
        assert pd.read_parquet(place.workspace.gold).label.tolist() == ["pos", "neg", "bad one"]
        assert trusted.gold(place.workspace).label.tolist() == ["pos", "bad one", "bad one"]
        (aside,) = place.workspace.quarantine.glob("gold-*.parquet")
        assert pd.read_parquet(aside).label.tolist() == [written]
        assert place.pull().new_gold == 0

    @pytest.mark.parametrize("name", ["pool", "gold"])
    def test_an_id_with_two_texts(self, place: Place, name: str) -> None:
        rest = ("pos",) if name == "gold" else ()
        place.fill(**{name: [("7", "seven", *rest), ("8", "eight", *rest), ("7", "Sieben", *rest)]})
        line = f"{name}: the id '7': expected one text for an id, got different texts. To mend it: give the changed row"
        assert line in place.refusal()
        place.fill(
            **{name: [("7", "seven", *rest), ("8", "eight", *rest), ("7", "seven", *rest), (" ", "nine", *rest)]}
        )
        place.pull()
        place.fill(**{name: [("", "ten", *rest), ("7", "Sieben", *rest)]})
        assert line in place.refusal()

    def test_the_last_pool_stays_when_gold_is_bad(self, place: Place) -> None:
        place.pull()
        place.fill(pool=[("3", "three")], gold=[("1", "good", "sour")])
        place.refusal()

    @pytest.mark.parametrize("folder", ["pool", "gold", "labels"])
    def test_a_fresh_clone_before_dvc_pull(self, place: Place, folder: str) -> None:
        """The history of the pool must not be replaced by what a source happens to hold now."""
        place.pull()
        shutil.rmtree(place.root / "data" / folder, ignore_errors=folder == "labels")  # a pull makes none
        (place.root / "data" / f"{folder}.dvc").touch()
        subprocess.run(["git", "init", "--quiet", str(place.root)], check=True)
        with pytest.raises(WorkspaceError, match=rf"data/{folder} is missing: .*`dvc pull`"):
            place.pull()
        assert not (place.root / "data" / folder).exists()

    def test_a_broken_shard(self, place: Place) -> None:
        place.pull()
        shard = place.root / "data" / "pool" / "shard-0001.parquet"
        shard.write_bytes(shard.read_bytes()[:-30])
        with pytest.raises(WorkspaceError, match=r"shard-0001\.parquet is broken: .*To mend it"):
            place.pull()


# Dies when it has put as many files in place as its argument says. In one process, as great_expectations loads slowly.
KILLED = """
    import os, signal, sys
    from pathlib import Path
    from labelwise.tasks import pull
    from labelwise.tasks.items import drafts
    from labelwise.tasks.services import expectations
    from labelwise.tasks.workspace import Workspace, atomic
    expectations._batches()
    for place in sys.argv[1:]:
        if not (child := os.fork()):
            left = int(Path(place).name)
            def deadly(path):
                global left
                left -= "data/" in str(path)
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return atomic(path)
            drafts.atomic = deadly
            pull.run(Workspace(Path(place)))
            os._exit(7)
        print(os.waitpid(child, 0)[1])
"""

# A disk that is full after 64 KB of any one file.
FULL = """
    import resource, sys
    from pathlib import Path
    from labelwise.tasks import pull
    from labelwise.tasks.workspace import Workspace
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
    try:
        pull.run(Workspace(Path(sys.argv[1])))
    except OSError as error:
        sys.exit(f"OSError {error.errno}")
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


class TestInterrupted:
    def test_killed_between_any_two_files(self, tmp_path: Path) -> None:
        places = [Place(tmp_path / str(number), max_refused=0.9) for number in range(4)]
        for place in places:
            place.fill(pool=[("1", "one"), ("2", ""), ("3", "good")], gold=[("g1", "good", "pos"), ("g2", "", "pos")])
        done = python(KILLED, *(str(place.root) for place in places))
        assert done.stdout.split() == ["9"] * 4, done.stderr  # killed, all of them
        assert [len(place.files()) for place in places] == [0, 1, 2, 3]
        for place in places:
            place.pull()
            assert place.pooled() == ["one"]
            assert place.golden() == {"good": "pos"}
            assert sorted(text or "" for _, text, _ in place.quarantine()) == ["", "", "good"]
            assert not list((place.root / ".labelwise").glob("pull/*"))

    def test_what_a_killed_pull_left_is_cleared(self, place: Place) -> None:
        place.pull()
        part = place.root / "data" / "pool" / ".shard-0002.parquet.123.part"
        part.write_bytes(b"half")
        place.fill(pool=[("3", "three")])
        place.pull()
        assert not part.exists()

    def test_a_full_disk(self, place: Place) -> None:
        place.pull()
        before = place.files()
        draw = random.Random(0)
        place.fill(pool=[(f"k{n}", "".join(draw.choices("abcdefghijklmnop", k=1000))) for n in range(1000)])
        done = python(FULL, str(place.root))
        assert "OSError 27" in done.stderr  # file too large: the limit's way of saying that the disk is full
        assert place.files() == before
        assert place.pull().new_pool == 1000


class TestByItself:
    def test_in_a_workspace(self, place: Place) -> None:
        for folder in (".git", ".dvc"):
            (place.root / folder).mkdir()
        command = [sys.executable, "-m", "labelwise.tasks.pull"]
        done = subprocess.run(command, cwd=place.root, capture_output=True, text=True, timeout=120)
        assert (done.stdout, done.returncode) == ("pool 2 items (2 new, 0 repeated), gold 2 (2 new)\n", 0)
        assert done.stderr == ""

    def test_an_error_is_one_line(self, tmp_path: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "labelwise.tasks.pull"], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert (done.stdout, done.returncode) == ("", LabelwiseError.exit_code + 2)
        assert done.stderr.count("\n") == 1
        assert "is no workspace" in done.stderr


def test_row_groups_follow_the_chunks(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labelwise.tasks.sources.formats.CHUNK_CHARS", 100)
    place.fill(pool=[(str(number), f"text {number:4} " * 5) for number in range(50)])
    assert place.pull().new_pool == 50
    assert pq.ParquetFile(place.root / "data" / "pool" / "shard-0001.parquet").num_row_groups > 10
    assert len(place.pooled()) == 50


class TestContext:
    """Further columns that reviewers see."""

    COLUMNS = ("text", "label", "subject", "url")

    @pytest.fixture
    def place(self, place: Place) -> Place:
        fill(place.pool, [("one", "", "S1", "https://a.example"), ("two", "", " ", None)], self.COLUMNS)
        place.set(columns={"context": ["url", "subject"]})
        return place

    def contexts(self, place: Place) -> dict[str, dict[str, str]]:
        ids = pd.Series([content_id(text) for text in place.pooled()])
        found = stored.contexts_by_id(place.workspace, ids)
        return {text: context.unpacked(found.get(item)) for text, item in zip(place.pooled(), ids, strict=True)}

    def test_it_is_kept_in_the_order_of_the_settings(self, place: Place) -> None:
        assert place.pull().warnings == []
        shard = read(place.root / "data" / "pool" / "shard-0001.parquet")
        assert list(shard.columns) == [*POOL.columns, "context"]
        found = self.contexts(place)
        assert found == {"one": {"url": "https://a.example", "subject": "S1"}, "two": {}}
        assert list(found["one"]) == ["url", "subject"]

    def test_gold_may_lack_it_and_get_it_later(self, place: Place) -> None:
        place.pull()
        gold = place.root / "data" / "gold" / "gold.parquet"
        assert read(gold)["context"].isna().all()
        fill(place.gold, [("fine", "pos", "S3", "")], self.COLUMNS)
        assert place.pull().new_gold == 1
        assert read(gold)["context"].tolist()[2:] == ['{"subject": "S3"}']
        assert stored.gold(place.workspace)["label"].tolist() == ["pos", "neg", "pos"]

    def test_the_same_text_with_another_context_is_the_same_item(self, place: Place) -> None:
        fill(place.pool, [("one", "", "S1", ""), ("one", "", "S2", "")], self.COLUMNS)
        assert (place.pull().new_pool, place.pull().new_pool) == (1, 0)
        fill(place.pool, [("one", "", "S3", "")], self.COLUMNS)
        assert place.pull().new_pool == 0
        assert self.contexts(place) == {"one": {"subject": "S1"}}

    def test_a_refused_row_has_its_own_in_quarantine(self, place: Place) -> None:
        fill(
            place.pool, [("one", "", "S1", ""), (" ", "", "<b>" * 9000, ""), ("ok", "", "bad \ud800", "")], self.COLUMNS
        )
        place.set(max_refused=1.0)
        assert place.pull().refused == {"text is blank": 1, "row is not UTF-8": 1}
        (file,) = (place.root / "data" / "quarantine").iterdir()
        rows = read(file)
        assert context.unpacked(rows["context"][0]) == {"subject": "<b>" * 9000}
        assert "bad \\ud800" in rows["context"][1]
        assert place.pull().refused and len(list((place.root / "data" / "quarantine").iterdir())) == 1

    def test_a_megabyte_is_kept_up_to_the_limit_and_that_is_said(self, place: Place) -> None:
        fill(place.pool, [("one", "", "x" * 2**20, ""), ("two", "", "short", "")], self.COLUMNS)
        place.set(max_chars=1000)
        assert place.pull().warnings == ["1 item has context of more than 1,000 characters: kept up to there"]
        assert self.contexts(place) == {"one": {"subject": "x" * 999 + "…"}, "two": {"subject": "short"}}

    def test_a_column_that_is_missing(self, place: Place) -> None:
        place.set(columns={"context": ["subject", "link"]})
        said = place.refusal()
        assert "has no column 'link'" in said and "one of text, label, subject, url" in said
        place.set(columns={"context": ["Url"]})
        assert "did you mean 'url'?" in place.refusal()

    @pytest.mark.parametrize(
        "columns, said",
        [
            ({"context": ["subject", "label"]}, "'label' is the column of the label"),
            ({"context": ["mood"], "label": "mood"}, "'mood' is the column of the label"),
            ({"context": ["text"]}, "'text' is the column of the text"),
            ({"context": ["url", "subject", "url"]}, "'url' stands there more than once"),
            ({"context": "url"}, "pull.columns.context"),
            ({"context": [""]}, "pull.columns.context"),
            ({"group": "label"}, "'label' is the column of the label"),
        ],
    )
    def test_columns_that_make_no_sense(self, place: Place, columns: dict[str, Any], said: str) -> None:
        place.set(columns=columns)
        with pytest.raises(LabelwiseError) as caught:
            place.pull()
        assert said in str(caught.value) and "\n" not in str(caught.value)

    def test_one_that_is_set_later_shows_with_what_is_pulled_from_then_on(self, place: Place) -> None:
        place.set(columns={})
        place.pull()
        before = place.files()
        place.set(columns={"context": ["subject"]})
        fill(place.pool, [("one", "", "S1", ""), ("three", "", "S3", "")], self.COLUMNS)
        (warning,) = place.pull().warnings
        assert warning == "2 items pulled before pull.columns.context was set: shown without it"
        assert self.contexts(place) == {"one": {}, "two": {}, "three": {"subject": "S3"}}
        assert {name: place.files()[name] for name in before} == before

    def test_without_it_the_tables_are_as_they_were(self, place: Place) -> None:
        place.set(columns={"context": [], "group": None}, max_refused=1.0)
        fill(place.pool, [("one", "", "S1", ""), ("", "", "S2", "")], self.COLUMNS)
        place.pull()
        for file, table in (("pool/shard-0001", POOL), ("gold/gold", GOLD), ("quarantine/pool-shard-0001", QUARANTINE)):
            assert list(read(place.root / "data" / f"{file}.parquet").columns) == list(table.columns)

    def test_the_group_is_kept_and_gold_may_lack_it(self, place: Place) -> None:
        place.set(columns={"group": "subject"})
        place.pull()
        shard = read(place.root / "data" / "pool" / "shard-0001.parquet")
        assert list(shard.columns) == [*POOL.columns, "group"]
        assert shard["group"].astype(object).where(shard["group"].notna(), None).tolist() == ["S1", None]
        assert stored.beside(place.workspace, shard["id"])["group"].dropna().tolist() == ["S1"]
        assert read(place.root / "data" / "gold" / "gold.parquet")["group"].isna().all()
