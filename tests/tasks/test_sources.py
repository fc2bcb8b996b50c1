"""Sources: real files of every kind, a real S3 endpoint on loopback, and what a bad one says."""

import csv
import datetime
import decimal
import gzip
import json
import os
import sys
import types
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelwise.tasks.errors import InputError, LabelwiseError, ServiceError
from labelwise.tasks.kinds.cells import Cells
from labelwise.tasks.sources import chunks, columns, fingerprint, formats
from labelwise.tasks.sources.reach import public

TEXTS = st.lists(st.text(max_size=40), min_size=1, max_size=12)
SHARED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HOSTILE = [
    "NA",
    "null",
    "NaN",
    "",
    "  ",
    "007",
    'a "b" c',
    "one\ntwo\r\nthree",
    "x,y\tz",
    "=1+1",
    "ÄÖ 猫 🐈",
    "\ufeffbom",
]


def read(source: Path | str, *columns: str, rows: int = 50_000) -> list[dict[str, Any]]:
    """All rows of a source."""
    return [row for chunk in chunks(str(source), columns or ["text"], rows) for row in chunk.to_dict("records")]


def texts(source: Path | str) -> list[str | None]:
    return [row["text"] for row in read(source)]


def refusal(source: Path | str, *columns: str) -> str:
    """The one line with which a source is refused."""
    with pytest.raises(InputError) as caught:
        read(source, *(columns or ["text"]))
    line = str(caught.value)
    assert "\n" not in line
    return line


def choice(name: str) -> dict[str, Any]:
    """As Label Studio exports it."""
    return {"type": "choices", "from_name": "mood", "value": {"choices": [name]}}


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_rows(path: Path, rows: list[str]) -> Path:
    """The texts as a file of the kind that the name says."""
    if path.suffix in (".csv", ".tsv"):
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, delimiter="," if path.suffix == ".csv" else "\t", quoting=csv.QUOTE_ALL)
            table.writerows([("id", "text"), *((str(number), text) for number, text in enumerate(rows))])
    elif path.suffix == ".jsonl":
        lines = [json.dumps({"id": number, "text": text}) for number, text in enumerate(rows)]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    else:
        pq.write_table(pa.table({"id": list(range(len(rows))), "text": rows}), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
class TestEveryKind:
    def test_its_columns_are_told(self, tmp_path: Path, kind: str) -> None:
        assert columns(str(write_rows(tmp_path / f"a.{kind}", ["x"]))) == ["id", "text"]

    def test_hostile_texts_come_as_they_are(self, tmp_path: Path, kind: str) -> None:
        assert texts(write_rows(tmp_path / f"a.{kind}", HOSTILE)) == HOSTILE

    @SHARED
    @given(rows=TEXTS)
    def test_round_trip(self, tmp_path: Path, kind: str, rows: list[str]) -> None:
        rows = [text.replace("\0", "") for text in rows]  # a NUL near the start makes a file binary data
        assert texts(write_rows(tmp_path / f"a.{kind}", rows)) == rows

    def test_only_the_asked_columns_in_the_asked_order_as_text(self, tmp_path: Path, kind: str) -> None:
        path = write_rows(tmp_path / f"a.{kind}", ["x", "y"])
        assert read(path, "text", "id") == [{"text": "x", "id": "0"}, {"text": "y", "id": "1"}]

    def test_chunks_are_bounded_by_rows(self, tmp_path: Path, kind: str) -> None:
        path = write_rows(tmp_path / f"a.{kind}", [f"row {number}" for number in range(25)])
        assert [len(chunk) for chunk in chunks(str(path), ["text"], rows=10)] == [10, 10, 5]

    def test_a_huge_cell_ends_a_chunk(self, tmp_path: Path, kind: str) -> None:
        long = "word " * 1_048_576  # 5 MB
        path = write_rows(tmp_path / f"a.{kind}", [long] * 5)
        sizes = [len(chunk) for chunk in chunks(str(path), ["text"])]
        assert sum(sizes) == 5
        assert max(sizes) == 4
        assert texts(path) == [long] * 5

    def test_an_empty_file(self, tmp_path: Path, kind: str) -> None:
        assert refusal(write(tmp_path / f"a.{kind}", "")).startswith(f"{tmp_path}/a.{kind} is empty: expected rows of")

    def test_a_missing_file(self, tmp_path: Path, kind: str) -> None:
        assert f"a.{kind} is not there. To mend it: check the address" in refusal(tmp_path / f"a.{kind}")

    def test_no_such_column(self, tmp_path: Path, kind: str) -> None:
        path = write_rows(tmp_path / f"a.{kind}", ["x"])
        assert refusal(path, "Texts") == (
            f"{path} has no column 'Texts': expected one of id, text. "
            "To mend it: name it: --text-column, --label-column, --id-column, --group-column or --context of "
            "`labelwise init`, later pull.columns in params.yaml; did you mean 'text'?"
        )

    def test_an_image_under_this_name(self, tmp_path: Path, kind: str) -> None:
        line = refusal(write(tmp_path / f"a.{kind}", b"\x89PNG\r\n\x1a\n" + bytes(100)))
        assert f"is not what its name says: expected {kind}, got a PNG image" in line


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_gzip(tmp_path: Path, kind: str) -> None:
    plain = write_rows(tmp_path / f"a.{kind}", HOSTILE)
    packed = write(tmp_path / "b" / f"a.{kind}.gz", gzip.compress(plain.read_bytes()))
    assert texts(packed) == HOSTILE
    assert "is no whole gzip file" in refusal(write(packed, packed.read_bytes()[:-20]))
    assert "is no whole gzip file" in refusal(write(packed, plain.read_bytes()))


class TestPlaces:
    def test_a_folder_is_its_data_files_sorted(self, tmp_path: Path) -> None:
        for name in ("b", "a", "c"):
            write_rows(tmp_path / f"{name}.csv", [name])
        for name in ("README.md", ".hidden.csv", "_SUCCESS", "below/d.csv"):
            write(tmp_path / name, "id,text\n1,no\n")
        (tmp_path / "d.csv").symlink_to(tmp_path / "a.csv")
        assert texts(tmp_path) == ["a", "b", "c", "a"]
        assert texts(f"{tmp_path}/") == ["a", "b", "c", "a"]
        assert texts(f"{tmp_path}/[bc].csv") == ["b", "c"]
        assert texts(f"{tmp_path}/**/d.csv") == ["no", "a"]

    def test_a_name_with_glob_characters(self, tmp_path: Path) -> None:
        assert texts(write_rows(tmp_path / "a[1].csv", ["x"])) == ["x"]
        assert texts(write(tmp_path / "a#1?.csv.gz", gzip.compress(b"text\nx\n"))) == ["x"]

    def test_a_link_to_a_folder(self, tmp_path: Path) -> None:
        write_rows(write(tmp_path / "real" / "a.csv", ""), ["x"])
        (tmp_path / "link").symlink_to(tmp_path / "real")
        assert texts(tmp_path / "link") == ["x"]

    def test_memory(self) -> None:
        with fsspec.open("memory://sources/a.csv", "w") as file:
            file.write("text\nx\n")
        assert texts("memory://sources/a.csv") == texts("memory://sources") == texts("memory://sources/*.csv") == ["x"]

    def test_several_kinds(self, tmp_path: Path) -> None:
        write_rows(tmp_path / "a.csv", ["x"])
        write_rows(tmp_path / "a.jsonl", ["x"])
        line = refusal(tmp_path)
        assert "holds several kinds: expected files of one kind, got csv, jsonl" in line
        assert f"{tmp_path}/*.csv" in line

    def test_nothing_there(self, tmp_path: Path) -> None:
        assert f"no file matches {tmp_path}/*.csv" in refusal(f"{tmp_path}/*.csv")
        assert "holds no data: expected files ending in .csv, .tsv, .jsonl" in refusal(tmp_path)
        assert "no source is given. To mend it: set pull.pool" in refusal("")

    def test_unknown_kinds(self, tmp_path: Path) -> None:
        assert "a.xlsx is of no known kind: expected a name ending in .csv" in refusal(write(tmp_path / "a.xlsx", "x"))
        assert "is of no known kind" in refusal(write(tmp_path / "a.parquet.gz", "x"))

    def test_unknown_protocol(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LABELWISE_SOURCES", "nowhere")
        assert "expected a path or an address that fsspec knows" in refusal("nowhere://a/b.csv")

    def test_a_package_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "s3fs", None)
        for protocol in ("s3", "s3a"):  # forget that it was there
            monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, protocol, raising=False)
        assert refusal("s3://bucket/a.csv").endswith("To mend it: pip install labelwise[s3]")

    def test_not_allowed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write_rows(tmp_path / "a.csv", ["x"])

        def forbidden(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")  # root may read everything, so chmod proves nothing here

        monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.open", forbidden)
        assert "may not be read" in refusal(path)


class TestSeparated:
    def test_a_byte_order_mark_and_windows_lines(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", b"\xef\xbb\xbftext,id\r\nx,1\r\n\r\ny,2\r\n")
        assert texts(path) == ["x", "y"]

    def test_bytes_that_are_no_utf8_are_handed_on_where_the_file_is_utf8(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", "text\nÄrger über\n".encode() + b"caf\xe9\nfine\n")
        assert texts(path) == ["Ärger über", "caf\udce9", "fine"]
        path = write(tmp_path / "a.csv", b"text\ncaf\xe9\nfine\n")
        assert [row for chunk in chunks(str(path), ["text"], encoding="utf-8") for row in chunk.text] == [
            "caf\udce9",
            "fine",
        ]

    @pytest.mark.parametrize("row", ["hello, world,1", "only", '"open,1'])
    def test_a_row_that_cannot_be_taken_apart(self, tmp_path: Path, row: str) -> None:
        path = write(tmp_path / "a.csv", f"text,id\nfine,0\n{row}\nfine,2\n")
        assert f"{path} line" in refusal(path)

    def test_the_line_is_named(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", 'text,id\n"two\nlines",0\nhello, world,1\n')
        assert f"{path} line 4: expected 2 fields as in the header, got 3. To mend it: put quotes" in refusal(path)
        path = write(tmp_path / "a.csv", 'text,id\n"he said \\"hi\\"",0\n')
        assert f"{path} line 2 cannot be taken apart" in refusal(path)

    @pytest.mark.parametrize("separator", [";", "\t", "|"])
    def test_another_separator_is_known_by_the_header(self, tmp_path: Path, separator: str) -> None:
        plain = "id;text\n1;x, y\n".replace(";", separator)
        assert texts(write(tmp_path / "a.csv", plain)) == ["x, y"]
        assert texts(write(tmp_path / "a.csv", f"sep={separator}\r\n{plain}")) == ["x, y"]
        assert "separate the columns by commas" in refusal(write(tmp_path / "a.csv", plain), "label")

    def test_a_column_twice(self, tmp_path: Path) -> None:
        assert "has several columns 'text'" in refusal(write(tmp_path / "a.csv", "text,text\n1,x\n"))

    @pytest.mark.parametrize(
        ("content", "looks"),
        [
            (b"PAR1" + bytes(50), "a Parquet file"),
            (b"PK\x03\x04" + bytes(50), "a zip file or an Excel workbook"),
            (b"\n <!DOCTYPE html><html>", "an HTML page"),
            (b"a,b\0\0\0", "binary data"),
        ],
    )
    def test_it_is_something_else(self, tmp_path: Path, content: bytes, looks: str) -> None:
        assert f"is not what its name says: expected csv, got {looks}" in refusal(write(tmp_path / "a.csv", content))

    def test_no_rows_is_for_the_caller_to_judge(self, tmp_path: Path) -> None:
        assert texts(write(tmp_path / "a.csv", "id,text\n")) == []


class TestJsonLines:
    def test_values_as_they_are_written(self, tmp_path: Path) -> None:
        lines = ['{"text": 1.50}', '{"text": true}', '{"text": null}', "", '{"other": 1}', '{"text": "\\ud800"}']
        assert texts(write(tmp_path / "a.jsonl", "\n".join(lines))) == ["1.50", "true", None, None, "\ud800"]

    @pytest.mark.parametrize("line", ['{"text": "x"', '["x"]', "text", '"x"', "[" * 100_000])
    def test_a_broken_line_is_named(self, tmp_path: Path, line: str) -> None:
        path = write(tmp_path / "a.jsonl", f'{{"text": "x"}}\n\n{line}\n')
        assert f"{path} line 3 is broken: expected one JSON object a line, got" in refusal(path)

    def test_no_text(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.jsonl", '{"text": "x"}\n{"text": ["x"]}\n')
        assert f"{path} line 2: 'text': expected a text, got a list" in refusal(path)

    def test_a_csv_under_this_name(self, tmp_path: Path) -> None:
        assert "line 1 is broken" in refusal(write(tmp_path / "a.jsonl", "id,text\n1,x\n"))


class TestParquet:
    def test_types(self, tmp_path: Path) -> None:
        for values, expected in [
            (pa.array(["x", None]).dictionary_encode(), ["x", None]),
            (pa.array([1, None]), ["1", None]),
            (pa.array([b"x", b"\xff"]), ["x", "\udcff"]),
            (pa.array(["x", None], pa.large_string()), ["x", None]),
            (pa.array(["x", None], pa.string_view()), ["x", None]),
            (pa.array([None, None]), [None, None]),
        ]:
            pq.write_table(pa.table({"text": values}), tmp_path / "a.parquet")
            assert texts(tmp_path / "a.parquet") == expected

    def test_lists_are_no_texts(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"text": [["x"]]}), tmp_path / "a.parquet")
        assert "column 'text': expected texts, got list" in refusal(tmp_path / "a.parquet")

    def test_a_csv_under_this_name(self, tmp_path: Path) -> None:
        line = refusal(write(tmp_path / "a.parquet", "id,text\n1,x\n"))
        assert "is not what its name says: expected parquet, got text" in line

    def test_broken(self, tmp_path: Path) -> None:
        path = tmp_path / "a.parquet"
        pq.write_table(pa.table({"text": [f"text {number}" for number in range(1000)]}), path)
        whole = path.read_bytes()
        assert "is a broken Parquet file" in refusal(write(path, whole[:-50]))
        assert "is a broken Parquet file" in refusal(write(path, whole[:4] + bytes(300) + whole[304:]))


class TestHostileFiles:
    """Files that a stranger has put there. The limits are lowered, so that the tests take no time."""

    @pytest.fixture(autouse=True)
    def low_limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(formats, "FREE", 100_000)
        monkeypatch.setattr(formats, "MAX_CELL", 1_000_000)
        monkeypatch.setattr(formats.separated, "MAX_CELL", 1_000_000)

    @pytest.mark.parametrize("row", ["a" * 50, "", ","])
    def test_a_gzip_bomb_stops_early(self, tmp_path: Path, row: str) -> None:
        path = tmp_path / "a.csv.gz"
        with gzip.open(path, "wt") as file:
            file.write("text\n" + f"{row}\n" * 400_000)
        assert "unpacks to more than 200 times its size" in refusal(path) or row == ","

    def test_text_that_packs_well_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv.gz"
        with gzip.open(path, "wt") as file:
            file.write("text\n" + "".join(f"{number} is much the same each time\n" for number in range(20_000)))
        assert len(texts(path)) == 20_000

    @pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
    def test_a_line_without_an_end(self, tmp_path: Path, name: str) -> None:
        start = '{"text": "' if name == "a.jsonl" else 'text\n"'
        assert "is too long: expected less than 1,000,000" in refusal(write(tmp_path / name, start + "a" * 3_000_000))

    def test_a_parquet_bomb_stops_early(self, tmp_path: Path) -> None:
        path = tmp_path / "a.parquet"
        often = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), ["x" * 1000])
        pq.write_table(pa.table({"text": often}), path)
        assert path.stat().st_size < 20_000
        assert "unpacks to more than 200 times its size" in refusal(path)
        pq.write_table(pa.table({"text": ["x" * 900_000]}), path, compression="zstd", use_dictionary=False)
        assert "unpacks to more than 200 times its size" in refusal(path)

    def test_rows_that_are_read_in_parts_have_each_text_read_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given, read = [f"ticket {number} says {number % 7}" for number in range(20_000)], list[str | None]()
        pq.write_table(pa.table({"text": [*given, None, *given[:50]]}), tmp_path / "a.parquet")
        looked_at = formats._broken
        monkeypatch.setattr(formats, "_broken", lambda text: bool(read.append(text)) or looked_at(text))
        parts = list(chunks(str(tmp_path / "a.parquet"), ["text"], rows=1000))
        assert len(parts) > 20
        assert [text for part in parts for text in part.text] == [*given, None, *given[:50]]
        assert len(read) <= 20_051

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.csv")
        assert "a.csv is no regular file" in refusal(tmp_path)
        assert "a.csv is no regular file" in refusal(tmp_path / "a.csv")

    def test_links_that_lead_out_of_the_folder(self, tmp_path: Path) -> None:
        secret, shared = tmp_path / "elsewhere" / "secret.csv", tmp_path / "shared"
        for folder in (secret.parent, shared):
            folder.mkdir()
        write_rows(secret, ["mine"])
        write_rows(shared / "a.csv", ["x"])
        (shared / "b.csv").symlink_to("a.csv")
        assert texts(shared) == ["x", "x"]
        assert texts(shared / "b.csv") == ["x"]
        (shared / "c.csv").symlink_to(secret)
        for source in (shared, f"{shared}/*.csv"):
            assert f"c.csv is a link that leads out of {shared}" in refusal(source)
        assert texts(shared / "c.csv") == ["mine"]  # named by itself, it is meant
        (shared / "c.csv").unlink()
        (shared / "folder").symlink_to(secret.parent)
        assert "no file matches" in refusal(f"{shared}/*/*.csv")  # a glob goes through no link

    def test_a_link_in_a_circle(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").symlink_to("a.csv")
        for source in (tmp_path, tmp_path / "a.csv"):
            with pytest.raises((InputError, OSError)):  # the command line says either in one line
                read(source)

    def test_too_many_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("labelwise.tasks.sources.addresses.MOST_FILES", 3)
        for number in range(4):
            write_rows(tmp_path / f"{number}.csv", ["x"])
        for source in (tmp_path, f"{tmp_path}/*.csv"):
            assert "holds too many files: expected 3 at most" in refusal(source)

    def test_names_that_are_commands_to_a_terminal(self, tmp_path: Path) -> None:
        line = refusal(write(tmp_path / "\x1b]0;owned\x07\x1b[2J.csv", b"\x89PNG"))
        assert "\\x1b]0;owned\\x07\\x1b[2J.csv is not what its name says" in line
        assert line.isprintable()

    def test_deep_json(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.jsonl", '{"text": ' + "[" * 200_000 + "]" * 200_000 + "}\n")
        assert "line 1 is broken" in refusal(path)


class Redirecting(BaseHTTPRequestHandler):
    """Sends everybody on to `to`, and counts who comes."""

    to = ""
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(302 if self.to else 200)
        self.send_header("Location", self.to)
        body = b"" if self.to else b"text\nthe inner secret\n"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def inner(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A web server that is not on the public internet."""
    monkeypatch.setattr(Redirecting, "to", "")
    monkeypatch.setattr(Redirecting, "asked", [])
    fsspec.filesystem("http").clear_instance_cache()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Redirecting)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class TestReach:
    @pytest.mark.parametrize(
        "source", ["http://example.org/a.csv", "ftp://x/a.csv", "sftp://x/a.csv", "github://o:r@m/a.csv", "data:,x"]
    )
    def test_kinds_that_are_not_read(self, source: str) -> None:
        assert "are not read: expected a path or s3://" in refusal(source)

    @pytest.mark.parametrize(
        "source", ["zip://a.csv::pool.zip", "simplecache::https://x/a.csv", "tar::/a.tar", "https://[::1]/a.csv"]
    )
    def test_one_inside_the_other(self, source: str) -> None:
        assert "sources of kind 'chained' are not read" in refusal(source)

    @pytest.mark.parametrize("host", ["169.254.169.254", "127.0.0.1", "localhost", "10.0.0.1", "0x7f000001"])
    def test_internal_addresses_are_not_asked(self, host: str) -> None:
        assert "is not on the public internet" in refusal(f"https://{host}/latest/meta-data/a.csv")

    @pytest.mark.parametrize("allowed", ["", "internal"])
    @pytest.mark.parametrize("host", ["[bad", "bad]", "x\u2100y"])
    def test_what_is_no_address(self, host: str, allowed: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LABELWISE_SOURCES", allowed)
        assert "expected a web address, https://HOST/PATH" in refusal(f"https://{host}/pool.csv")

    def test_not_even_by_a_redirect(self, inner: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first answer comes from a server that passes for a public one; where it sends us is not asked."""
        seen = public("93.184.216.34"), public("127.0.0.1")
        assert seen == (True, False)
        monkeypatch.setenv("LABELWISE_SOURCES", "http")
        monkeypatch.setattr(Redirecting, "to", f"http://{inner.replace('127.0.0.1', '127.0.0.2')}/inside.csv")
        monkeypatch.setattr("labelwise.tasks.sources.reach.public", lambda address: address == "127.0.0.1")
        with pytest.raises(LabelwiseError):
            read(f"http://{inner}/a.csv")
        assert set(Redirecting.asked) == {"/a.csv"}

    def test_a_name_that_moves_inside_is_not_followed(self, inner: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LABELWISE_SOURCES", "http")
        monkeypatch.setattr(
            "labelwise.tasks.sources.reach._refuse_internal", lambda _: None
        )  # it was public when we looked
        with pytest.raises(LabelwiseError):
            read(f"http://{inner}/a.csv")
        assert Redirecting.asked == []

    def test_who_runs_the_loop_may_allow_it(self, inner: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LABELWISE_SOURCES", "http, internal")
        assert texts(f"http://{inner}/a.csv") == ["the inner secret"]


class TestFingerprint:
    def test_changes_with_the_files(self, tmp_path: Path) -> None:
        path = write_rows(tmp_path / "a.csv", ["x"])
        before = fingerprint(str(tmp_path))
        assert before
        assert fingerprint(str(tmp_path)) == before
        write_rows(path, ["y"])
        changed = fingerprint(str(tmp_path))
        assert changed != before
        write_rows(tmp_path / "b.csv", ["y"])
        assert fingerprint(str(tmp_path)) != changed

    def test_none_without_stamps(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = write_rows(tmp_path / "a.csv", ["x"])
        monkeypatch.setattr("labelwise.tasks.sources.addresses.STAMPS", ())
        assert fingerprint(str(path)) is None
        assert fingerprint("hf://owner/dataset") is None


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A real S3 endpoint on loopback, and an empty bucket `data` in it."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fs = fsspec.filesystem("s3", skip_instance_cache=True)
        fs.mkdir("data")
        yield fs
    server.stop()


class TestS3:
    def test_file_folder_and_glob(self, bucket: Any, tmp_path: Path) -> None:
        for name in ("b", "a"):
            bucket.put(str(write_rows(tmp_path / f"{name}.parquet", [name])), f"data/texts/{name}.parquet")
        assert texts("s3://data/texts/a.parquet") == ["a"]
        assert texts("s3://data/texts") == texts("s3://data/texts/") == texts("s3://data/texts/*.parquet") == ["a", "b"]
        first = fingerprint("s3://data/texts")
        assert first == fingerprint("s3://data/texts")
        bucket.put(str(write_rows(tmp_path / "c.parquet", ["c"])), "data/texts/c.parquet")
        assert texts("s3://data/texts") == ["a", "b", "c"]
        assert fingerprint("s3://data/texts") != first

    @pytest.mark.usefixtures("bucket")
    def test_what_is_not_there(self) -> None:
        assert "s3://data/none.csv is not there" in refusal("s3://data/none.csv")
        assert "s3://none/none.csv is not there" in refusal("s3://none/none.csv")
        assert "no file matches s3://data/none/*.csv" in refusal("s3://data/none/*.csv")

    def test_a_bad_file_is_named_by_its_address(self, bucket: Any) -> None:
        bucket.pipe("data/bad.csv", b"\x89PNG")
        assert refusal("s3://data/bad.csv").startswith("s3://data/bad.csv is not what its name says")

    @pytest.mark.usefixtures("bucket")
    def test_the_server_is_down(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        fsspec.filesystem("s3").clear_instance_cache()
        try:
            with pytest.raises(ServiceError, match=r"s3://data/a\.csv cannot be read: got EndpointConnectionError"):
                read("s3://data/a.csv")
        finally:
            fsspec.filesystem("s3").clear_instance_cache()


class FakeDataset:
    """What `datasets.load_dataset(streaming=True)` gives, as far as sources use it."""

    def __init__(self, rows: list[dict[str, Any]], names: list[str] | None) -> None:
        self.rows = rows
        self.column_names = list(rows[0])
        self.features = {"text": object(), "label": types.SimpleNamespace(names=names) if names else object()}

    def select_columns(self, columns: list[str]) -> list[dict[str, Any]]:
        return [{column: row[column] for column in columns} for row in self.rows]


class TestHub:
    def test_streamed_with_class_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[Any] = []
        rows = [{"text": "x", "label": 1}, {"text": None, "label": -1}]

        def load_dataset(*names: Any, **options: Any) -> FakeDataset:
            asked.append((names, options))
            return FakeDataset(rows, ["neg", "pos"])

        monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
        assert read("hf://o/d/c:test", "text", "label") == [
            {"text": "x", "label": "pos"},
            {"text": None, "label": None},
        ]
        assert asked == [(("o/d", "c"), {"split": "test", "streaming": True})]
        assert "hf://o/d has no column 'body'" in refusal("hf://o/d", "body")

    def test_numbers_stay_numbers_without_class_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        dataset = FakeDataset([{"text": "x", "label": 7}], None)
        module = types.SimpleNamespace(load_dataset=lambda *_, **__: dataset)
        monkeypatch.setitem(sys.modules, "datasets", module)
        assert read("hf://o/d", "label") == [{"label": "7"}]

    def test_without_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "datasets", None)
        assert refusal("hf://o/d").endswith("To mend it: pip install labelwise[hub]")

    def test_the_hub_says_no(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def load_dataset(*_: Any, **__: Any) -> None:
            raise ConnectionError("no way\nout")

        monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
        with pytest.raises(LabelwiseError, match="hf://o/d cannot be read: got ConnectionError: no way out"):
            read("hf://o/d")

    @pytest.mark.parametrize("address", ["hf://", "hf://owner", "hf://a/b/c/d", "hf://a//b"])
    def test_a_bad_address(self, address: str) -> None:
        assert "expected hf://owner/dataset" in refusal(address)


def test_a_chunk_is_a_frame_of_objects(tmp_path: Path) -> None:
    (chunk,) = chunks(str(write_rows(tmp_path / "a.csv", ["x"])), ["text", "text"])
    assert list(chunk.columns) == ["text"]
    pd.testing.assert_frame_equal(chunk, pd.DataFrame({"text": ["x"]}, dtype=object))


# Files as people have them


def labelled(path: Path, **options: Any) -> list[tuple[str | None, str | None]]:
    """Text and label of every row."""
    found = list(chunks(str(path), ["text", "label"], **options))
    return [pair for chunk in found for pair in chunk.itertuples(index=False, name=None)]


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
    @pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "json"])
    def test_marks_and_utf8_are_certain(self, tmp_path: Path, encoding: str, kind: str) -> None:
        path = write_rows(tmp_path / f"a.{kind if kind != 'json' else 'jsonl'}", ["Gebühr", "猫"]).rename(
            tmp_path / f"b.{kind}"
        )
        path.write_bytes(path.read_bytes().decode().encode(encoding))
        for said in (None, "cp1252"):
            found = [row for chunk in chunks(str(path), ["text"], encoding=said) for row in chunk.text]
            assert found == ["Gebühr", "猫"]

    @pytest.mark.parametrize(
        ("text", "encoding"),
        [
            ("Rückerstattung für “Müller” – 5 €", "cp1252"),
            ("Возврат денег за доставку не пришёл до сих пор", "cp1251"),
            ("退款没有到账，请尽快处理我的订单", "gb18030"),
            ("plain", "utf-16-le"),
            ("plain", "utf-16-be"),
        ],
    )
    def test_another_is_refused_and_then_read_as_asked(self, tmp_path: Path, text: str, encoding: str) -> None:
        path = write(tmp_path / "a.csv", f"text,label\n{text},x\n".encode(encoding))
        line = refusal(path)
        assert "is not UTF-8" in line
        assert "--encoding" in line
        assert "utf-8 there, broken rows are set aside" in line
        assert labelled(path, encoding=encoding) == [(text, "x")]

    def test_a_wrong_encoding_and_one_that_nobody_knows(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", "text\ncaf\xe9 \x81\n".encode("latin-1"))
        with pytest.raises(InputError, match="expected text in"):
            list(chunks(str(path), ["text"], encoding="gbk"))
        for name in ("klingon", "rot13"):
            with pytest.raises(InputError, match=f"encoding '{name}'"):
                list(chunks(str(path), ["text"], encoding=name))


class TestTakenApartWithCertainty:
    PLAIN = 'text\tlabel\n"open and\tpos\nclosed later"\tneg\n27" screen\tneg\n"Great" is the word\tpos\n'

    def test_a_tsv_without_quoting(self, tmp_path: Path) -> None:
        rows = labelled(write(tmp_path / "a.tsv", self.PLAIN))
        assert rows == [
            ('"open and', "pos"),
            ('closed later"', "neg"),
            ('27" screen', "neg"),
            ('"Great" is the word', "pos"),
        ]

    def test_a_tsv_with_quoting(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tsv", 'text\tlabel\n"two\nlines"\tpos\n"a ""b"" c"\tneg\n')
        assert labelled(path) == [("two\nlines", "pos"), ('a "b" c', "neg")]

    def test_one_column_that_nothing_tells(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.tsv", 'text\nfine\n"open\nclosed later"\nlast\n')
        assert f"{path} line 3 cannot be taken apart with certainty" in refusal(path)
        mended = write(tmp_path / "c.tsv", 'text\nfine\n"""open"\n"closed later"""\nlast\n')
        assert texts(mended) == ["fine", '"open', 'closed later"', "last"]
        told = write(tmp_path / "b.tsv", 'text\n27" screen\n"open\nclosed later"\n')
        assert texts(told) == ['27" screen', '"open', 'closed later"']

    def test_a_csv_whose_quote_swallows_a_row(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.csv", 'text,label\nfine,pos\n"open,pos\nclosed later",neg\n')
        assert f"{path} line 3 cannot be taken apart with certainty" in refusal(path)
        assert texts(write(tmp_path / "b.csv", 'text\n"two\nlines"\nthree\n')) == ["two\nlines", "three"]

    @pytest.mark.parametrize(
        "again",
        ["text,label", "\ufefftext,label", '\ufeff"text","label"', '"text","label"', "label,text", "Text,Label"],
    )
    def test_two_exports_joined(self, tmp_path: Path, again: str) -> None:
        path = write(tmp_path / "a.csv", f"\ufefftext,label\r\none,x\r\n{again}\r\ntwo,y\r\n".encode())
        assert f"{path} line 3 is the header once more: two exports were joined" in refusal(path)

    def test_two_json_lines_joined(self, tmp_path: Path) -> None:
        lines = '\ufeff{"text": "one"}\n'
        assert texts(write(tmp_path / "a.jsonl", (lines * 2).encode())) == ["one", "one"]


class TestExports:
    @pytest.mark.parametrize(
        ("kind", "rows", "expected"),
        [
            (
                "json",
                [
                    {"id": 1, "data": {"text": "a"}, "annotations": [{"result": [choice("x")]}]},
                    {"id": 2, "data": {"text": "b"}, "annotations": [{"was_cancelled": True, "result": []}]},
                    {"id": 3, "data": {"text": "c"}, "annotations": [{"result": [choice(n)]} for n in "xy"]},
                ],
                [("a", "x"), ("b", None), ("c", "x"), ("c", "y")],
            ),
            (
                "json",
                [{"text": "a", "mood": "x", "annotation_id": 1, "annotator": 1, "id": 1, "lead_time": 1.5}],
                [("a", "x")],
            ),
            ("json", [{"text": "a", "label": {"choices": ["x"]}}], [("a", "x")]),
            (
                "jsonl",
                [{"id": 1, "text": "a", "label": ["x"]}, {"id": 2, "text": "b", "label": []}],
                [("a", "x"), ("b", None)],
            ),
            (
                "jsonl",
                [
                    {"text": "a", "accept": ["x"], "answer": "accept", "options": []},
                    {"text": "b", "accept": [], "answer": "ignore", "options": []},
                    {"text": "c", "label": "x", "answer": "reject", "_task_hash": 1},
                    {"text": "d", "label": "x", "answer": "accept", "_task_hash": 2},
                ],
                [("a", "x"), ("b", None), ("c", None), ("d", "x")],
            ),
            ("json", [{"text": "a", "label": 1}, {"text": "b", "label": True}], [("a", "1"), ("b", "true")]),
        ],
    )
    def test_text_and_label_are_taken(self, tmp_path: Path, kind: str, rows: list[Any], expected: list[Any]) -> None:
        content = json.dumps(rows) if kind == "json" else "".join(f"{json.dumps(row)}\n" for row in rows)
        assert labelled(write(tmp_path / f"a.{kind}", content)) == expected

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            ({"text": "a", "label": [[0, 1, "PER"]]}, "spans instead of a class"),
            ({"text": "a", "label": ["x", "y"]}, "several classes: expected one class an item, got x, y"),
            ({"data": {"text": "a"}, "annotations": [{"result": [{"type": "labels", "value": {}}]}]}, "got labels"),
        ],
    )
    def test_what_is_not_one_class(self, tmp_path: Path, row: dict[str, Any], said: str) -> None:
        assert said in refusal(write(tmp_path / "a.json", json.dumps([row])), "text", "label")

    @pytest.mark.parametrize("content", ['[{"text": "a"}', '["a"]', '[{"text": "a"}] x', "[1]", '{"text": "a"'])
    def test_broken_json(self, tmp_path: Path, content: str) -> None:
        path = write(tmp_path / "a.json", content)
        assert str(path) in refusal(path)


class TestColumnsOfParquet:
    def test_class_numbers_have_names(self, tmp_path: Path) -> None:
        features = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["ham", "spam"]}}}}
        table = pa.table({"text": ["a", "b", "c"], "label": [1, 0, -1]})
        path = tmp_path / "a.parquet"
        pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), path)
        assert labelled(path) == [("a", "spam"), ("b", "ham"), ("c", None)]
        pq.write_table(
            table.set_column(1, "label", [[2, 0, 0]]).replace_schema_metadata({"huggingface": json.dumps(features)}),
            path,
        )
        assert "expected class numbers from 0 to 1, or -1 for none, got 2" in refusal(path, "text", "label")

    @pytest.mark.parametrize("type_", [pa.uuid(), pa.binary(16), pa.binary()])
    def test_uuids(self, tmp_path: Path, type_: pa.DataType) -> None:
        keys = [uuid.uuid4() for _ in range(5)]
        storage = pa.array([key.bytes for key in keys], pa.binary(16) if type_ != pa.binary() else type_)
        column = pa.ExtensionArray.from_storage(type_, storage) if isinstance(type_, pa.BaseExtensionType) else storage
        pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
        assert texts(tmp_path / "a.parquet") == [str(key) for key in keys]

    def test_floats_are_whole_numbers_or_have_lost_digits(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"text": [17.0, 0.5, None]}), tmp_path / "a.parquet")
        assert texts(tmp_path / "a.parquet") == ["17", "0.5", None]
        pq.write_table(pa.table({"text": [float(2**53)]}), tmp_path / "a.parquet")
        assert "column 'text': expected texts or whole numbers, got floats such as 9007199254740992, whose" in refusal(
            tmp_path / "a.parquet"
        )

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            (pa.array([decimal.Decimal("1.50")]), "1.50"),
            (pa.array([datetime.date(2026, 11, 27)]), "2026-11-27"),
            (pa.array([True]), "true"),
        ],
    )
    def test_other_types(self, tmp_path: Path, values: pa.Array, expected: str) -> None:
        pq.write_table(pa.table({"text": values}), tmp_path / "a.parquet")
        assert texts(tmp_path / "a.parquet") == [expected]


class TestFoldersOfTools:
    def test_partitions(self, tmp_path: Path) -> None:
        for label, text in (("spam", "a"), ("not%20spam", "b"), ("__HIVE_DEFAULT_PARTITION__", "c")):
            pq.write_table(pa.table({"text": [text]}), write(tmp_path / f"label={label}" / "part-0.parquet", ""))
        assert sorted(labelled(tmp_path), key=str) == [("a", "spam"), ("b", "not spam"), ("c", None)]

    def test_only_folders(self, tmp_path: Path) -> None:
        for split in ("train", "test"):
            write(tmp_path / split / "a.csv", "text\nx\n")
        assert "got only folders: test, train. To mend it: name one of them" in refusal(tmp_path)

    def test_the_links_of_the_hubs_cache(self, tmp_path: Path) -> None:
        blob = write_rows(tmp_path / "a.csv", ["x"]).rename(write(tmp_path / "repo" / "blobs" / "0a1b", ""))
        snapshot = tmp_path / "repo" / "snapshots" / "main"
        snapshot.mkdir(parents=True)
        (snapshot / "a.csv").symlink_to(Path("../../blobs") / blob.name)
        assert texts(snapshot) == ["x"]
        (snapshot / "b.csv").symlink_to(write(tmp_path / "other" / "secret", "text\ny\n"))
        assert "is a link that leads out of" in refusal(snapshot)


class TestLabelsThatAreLists:
    """They come as JSON where an item may have several; an empty one is an answer, a missing one is none."""

    COLUMN: ClassVar[list[Any]] = [["b", "a"], [], None, ["ä"]]
    AS_JSON: ClassVar[list[Any]] = ['["b", "a"]', "[]", None, '["ä"]']
    SEVERAL = Cells("label", lists=True)

    def pairs(self, path: Path) -> list[str | None]:
        return [label for _, label in labelled(path, cells=self.SEVERAL)]

    @pytest.mark.parametrize(
        "type_", [pa.list_(pa.string()), pa.large_list(pa.string()), pa.list_(pa.dictionary(pa.int8(), pa.string()))]
    )
    def test_parquet(self, tmp_path: Path, type_: pa.DataType) -> None:
        column = pa.array(self.COLUMN, pa.list_(pa.string()))
        table = pa.table({"text": list("wxyz"), "label": column.cast(type_)})
        pq.write_table(table, tmp_path / "a.parquet")
        assert self.pairs(tmp_path / "a.parquet") == self.AS_JSON

    @pytest.mark.parametrize(
        "of_lists",
        [
            {"_type": "Sequence", "feature": {"_type": "ClassLabel", "names": ["joy", "fear"]}},
            {"_type": "List", "feature": {"_type": "ClassLabel", "names": ["joy", "fear"]}},
            [{"_type": "ClassLabel", "names": ["joy", "fear"]}],
        ],
    )
    def test_class_numbers_in_lists_have_names(self, tmp_path: Path, of_lists: Any) -> None:
        named = {"huggingface": json.dumps({"info": {"features": {"label": of_lists}}})}
        table = pa.table({"text": list("xyz"), "label": [[1, 0], [], [0]]}).replace_schema_metadata(named)
        pq.write_table(table, tmp_path / "a.parquet")
        assert self.pairs(tmp_path / "a.parquet") == ['["fear", "joy"]', "[]", '["joy"]']

    @pytest.mark.parametrize("kind", ["json", "jsonl"])
    def test_json(self, tmp_path: Path, kind: str) -> None:
        rows = [{"text": "x", "label": label} for label in [*self.COLUMN, [7], [["a"]], ["a", None]]]
        content = json.dumps(rows) if kind == "json" else "".join(f"{json.dumps(row)}\n" for row in rows)
        found = self.pairs(write(tmp_path / f"a.{kind}", content))
        assert found == [*self.AS_JSON, '["7"]', '[["a"]]', '["a", null]']

    def test_the_hub(self, monkeypatch: pytest.MonkeyPatch) -> None:
        dataset = FakeDataset([{"text": "x", "label": [1, 0]}, {"text": "y", "label": []}], None)
        names = types.SimpleNamespace(names=["joy", "fear"])
        dataset.features = {"label": types.SimpleNamespace(feature=names)}
        module = types.SimpleNamespace(load_dataset=lambda *_, **__: dataset)
        monkeypatch.setitem(sys.modules, "datasets", module)
        (chunk,) = chunks("hf://o/d", ["text", "label"], cells=self.SEVERAL)
        assert chunk.label.tolist() == ['["fear", "joy"]', "[]"]

    def test_exports_of_other_tools(self, tmp_path: Path) -> None:
        def answer(*names: str) -> dict[str, Any]:
            return {"result": [{"from_name": "mood", "type": "choices", "value": {"choices": names}}]}

        kept = {"annotation_id": 1, "annotator": 1, "id": 1, "lead_time": 1.5}
        for rows, expected in (
            ([{"data": {"text": "a"}, "annotations": [answer("x", "y"), answer("x", "y")]}], ['["x", "y"]']),
            ([{"data": {"text": "a"}, "annotations": []}], [None]),
            ([{"text": "a", "mood": {"choices": ["x", "y"]}, **kept}], ['["x", "y"]']),
            ([{"text": "a", "mood": "x", **kept}], ['["x"]']),
            ([{"text": "a", "accept": [], "answer": "accept", "options": []}], ["[]"]),
            ([{"text": "a", "accept": ["x"], "answer": "ignore", "options": []}], [None]),
        ):
            assert self.pairs(write(tmp_path / "a.json", json.dumps(rows))) == expected

    def test_one_class_an_item_is_no_list(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"text": ["x"], "label": [["a"]]}), tmp_path / "a.parquet")
        write(tmp_path / "a.json", json.dumps([{"text": "x", "label": ["a", "b"]}]))
        write(tmp_path / "b.json", json.dumps([{"text": "x", "tags": ["a", "b"]}]))
        for file, label in (("a.parquet", "label"), ("a.json", "label"), ("b.json", "tags")):
            with pytest.raises(LabelwiseError, match=r"To mend it: .*`labelwise init --answer multilabel`"):
                list(chunks(str(tmp_path / file), ["text", label], cells=Cells(label=label)))

    def test_only_the_label_may_be_one(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"text": [["x"]], "label": [["a"]]}), tmp_path / "a.parquet")
        with pytest.raises(LabelwiseError, match="column 'text': expected texts, got list"):
            labelled(tmp_path / "a.parquet", cells=self.SEVERAL)
        pq.write_table(pa.table({"text": ["x"], "label": [[["a"]]]}), tmp_path / "a.parquet")
        with pytest.raises(LabelwiseError, match="column 'label': expected texts, got list"):
            labelled(tmp_path / "a.parquet", cells=self.SEVERAL)
