"""Inputs that nobody thought of: thousands of damaged and invented ones. Each is used, or refused by one of our errors
in one line; never a traceback, never a file half written.

How many cases each test runs is written in CASES and checked, so that the sum cannot shrink unseen.
"""

import gzip
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelwise.flows.wake import HEADER, Listen, Listener
from labelwise.tasks import settings as params
from labelwise.tasks import snapshot
from labelwise.tasks.errors import LabelwiseError, ServiceError
from labelwise.tasks.records import LABELS
from labelwise.tasks.services.label_studio.exported import annotated
from labelwise.tasks.sources import chunks
from labelwise.tasks.workspace import write_csv, write_json, write_parquet

CASES = {
    "csv": 900,
    "tsv": 500,
    "jsonl": 900,
    "parquet": 600,
    "csv.gz": 300,
    "params.yaml": 600,
    "export": 700,
    "sifted": 10,  # each is checked by Great Expectations, which takes its time
    "webhook": 500,
    "writing": 300,
}


def test_there_are_enough_of_them() -> None:
    assert sum(CASES.values()) >= 5000


def run(name: str, case: Callable[[Any], object], inputs: st.SearchStrategy[Any]) -> None:
    """Run `case` on CASES[name] inputs at least."""
    seen = 0

    def counted(given: Any) -> None:
        nonlocal seen
        seen += 1
        case(given)

    slow = [
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
        HealthCheck.filter_too_much,
    ]
    settings(max_examples=CASES[name], deadline=None, suppress_health_check=slow)(given(inputs)(counted))()
    assert seen >= CASES[name]


def refused(do: Callable[[], Any]) -> Any:
    """What `do` gives; None when one of our errors says in one line why not."""
    try:
        return do()
    except LabelwiseError as error:
        assert str(error).isprintable() and str(error)
        return None


@st.composite
def damaged(draw: st.DrawFn, whole: bytes, often: list[bytes]) -> bytes:
    """A good file with some cuts, changes and insertions: of any bytes, and of those that mean something to readers."""
    content = whole
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from([0, 0, 1, 1, 4, 40])))
        content = content[:start] + draw(st.sampled_from(often) | st.binary(max_size=12)) + content[end:]
    return content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 9)) == 0 else content


TABLE = {"text": ["one", "two, and", 'a "third"\nline', "ÄÖ 猫", ""], "label": ["a", "b", "", "a", "007"]}
FRAME = pd.DataFrame(TABLE)
BITS = [
    b"\0",
    b"\n",
    b"\r\n",
    b'"',
    b'""',
    b",",
    b"\t",
    b"{",
    b"[",
    b"}",
    b"\\",
    b"\\ud800",
    b"\xff",
    b"\xef\xbb\xbf",
    b"1e999",
]


def parquet(**options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(TABLE), file, **options)
    return file.getvalue()


LINES = "".join(json.dumps({"text": t, "label": b}) + "\n" for t, b in zip(*TABLE.values(), strict=True)).encode()
GOOD = {
    "csv": FRAME.to_csv(index=False).encode(),
    "tsv": FRAME.to_csv(index=False, sep="\t").encode(),
    "jsonl": LINES,
    "parquet": parquet(),
    "csv.gz": gzip.compress(FRAME.to_csv(index=False).encode(), mtime=0),
}


@pytest.mark.parametrize("kind", GOOD)
def test_files(kind: str) -> None:
    memory, place = fsspec.filesystem("memory"), f"memory://inputs/x.{kind}"
    json_lines = st.lists(
        st.dictionaries(st.sampled_from(["text", "label", "x"]), ANYTHING, max_size=3).map(json.dumps), max_size=5
    ).map(lambda lines: "\n".join(lines).encode())
    invented = json_lines if kind == "jsonl" else st.binary(max_size=200)

    def case(content: bytes) -> None:
        memory.pipe(f"/inputs/x.{kind}", content)
        frames = refused(lambda: list(chunks(place, ["text", "label"], rows=3)))
        for frame in frames or []:
            assert list(frame.columns) == ["text", "label"] and 0 < len(frame) <= 3
            assert all(cell is None or isinstance(cell, str) for cell in frame.to_numpy().ravel())

    run(kind, case, damaged(GOOD[kind], BITS) | damaged(GOOD[kind], BITS) | invented)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["\ud800", "\0", "a", "b", "label", "choices", "2026-01-01T00:00:00Z", "\x1b[2J", "x" * 5000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def test_params(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = (Path(__file__).parents[1] / "params.yaml").read_bytes()
    whole = text.replace(b"classes: []", b"classes: [no, yes]").replace(b'pool: ""', b'pool: "p.csv"')
    often = [
        b"\n",
        b":",
        b" ",
        b"- ",
        b"*a",
        b"&a ",
        b"!!python/object/apply:os.system [ls]",
        b"{",
        b"#",
        b"\t",
        b"null",
    ]
    often += [b"\xff", b"\x1b", b"1e400", b"https://u:hunter2@h/x", b"=cmd|x!a", b"<<: *a", b"9" * 5000, b"[" * 500]

    def case(content: bytes) -> None:
        path.write_bytes(content)
        found = refused(lambda: params.read(path))
        assert found is None or isinstance(found, params.Settings)

    run("params.yaml", case, damaged(whole, often))


def annotations(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Annotations as Label Studio exports them, with here and there something else in a place."""
    choice = st.fixed_dictionaries({"from_name": st.just("label"), "value": st.fixed_dictionaries({"choices": value})})
    stamps = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456+02:00"])
    return st.fixed_dictionaries(
        {
            "id": st.integers(0, 9),
            "result": st.lists(choice, max_size=2),
            "was_cancelled": st.booleans(),
            "completed_by": st.integers(1, 3) | st.fixed_dictionaries({"id": st.integers(1, 3)}) | st.none(),
            "lead_time": st.none() | st.floats(0, 1e6),
            "created_at": stamps,
            "updated_at": st.none() | stamps,
            "import_id": st.none() | st.integers(0, 9),
        }
    )


def tasks_of(one: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    ask = st.fixed_dictionaries({"item": st.sampled_from("wxyz"), "round": st.just(1)})
    task = {"id": st.integers(1, 4), "data": ask, "annotations": st.lists(one, max_size=3)}
    return st.lists(st.fixed_dictionaries(task), max_size=3)


@st.composite
def exports(draw: st.DrawFn) -> bytes:
    """An export, with one thing in it replaced by anything, or taken away."""
    labels = st.lists(st.sampled_from(["a", "b", "strange", "\ud800", "\0"]), max_size=2) | ANYTHING
    tree = draw(tasks_of(annotations(labels)))
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(tree)
    if places and draw(st.booleans()):
        node, key = draw(st.sampled_from(places))
        if isinstance(node, dict) and draw(st.booleans()):
            del node[key]
        else:
            node[key] = draw(ANYTHING)
    return json.dumps(tree).encode()


ASKED = pd.DataFrame(
    {"id": ["w", "x", "y", "z"], "round": 1, "why": "uncertain", "propensity": 0.5, "task_id": [1, 2, 3, 4]}
)


def collected(content: bytes) -> pd.DataFrame | None:
    rows: pd.DataFrame | None = refused(lambda: snapshot.collect(annotated(content, "http://ls"), ASKED))
    if rows is not None and len(rows):
        assert rows.dtypes.astype(str).to_dict() == LABELS.columns | {"import_id": "Int64"}
        rows.to_parquet(io.BytesIO())  # what a file cannot hold is not among it
    return rows


def test_exports() -> None:
    raw = damaged(b'[{"id": 1, "data": {}, "annotations": []}]', BITS) | st.sampled_from(
        [b"[" * 100_000, b"<html>", b"null", b"7"]
    )
    run("export", collected, exports() | exports() | raw)


def test_exports_are_sifted() -> None:
    def case(content: bytes) -> None:
        rows = collected(content)
        if rows is None:
            return
        found = snapshot.sift(rows, ["a", "b"], ASKED.id)
        assert len(found.rows) == len(rows)  # every answer leaves a trace
        assert set(found.rows.label[found.rows.status == "labelled"]) <= {"a", "b"}
        found.refused.to_parquet(io.BytesIO())

    labels = st.lists(st.sampled_from(["a", "b", "strange", "\ud800", "\0"]), max_size=2) | ANYTHING
    run("sifted", case, tasks_of(annotations(labels)).map(lambda tree: json.dumps(tree).encode()))


def test_an_export_of_another_shape_is_said() -> None:
    with pytest.raises(ServiceError, match=r"another shape: got 0.annotations.0.id: Field required"):
        annotated(b'[{"id": 1, "data": {}, "annotations": [{}]}]', "http://ls")
    naive = {"id": 1, "result": [], "was_cancelled": False, "completed_by": 1, "lead_time": 1.0}
    tree = [{"id": 1, "data": {}, "annotations": [naive | {"created_at": "2026-01-01T00:00:00"}]}]
    with pytest.raises(ServiceError, match=r"another shape: got 0.annotations.0.created_at"):
        annotated(json.dumps(tree).encode(), "http://ls")
    with pytest.raises(ServiceError, match="exports no JSON"):
        annotated(b"<html>Bad gateway</html>", "http://ls")
    said = {"id": 1, "result": [], "was_cancelled": False, "completed_by": 7, "lead_time": 1.0}
    said["created_at"] = "2026-11-25T10:00:00"  # of which zone, nobody says
    exported = json.dumps([{"id": 1, "data": {}, "annotations": [said]}]).encode()
    with pytest.raises(ServiceError, match=r"another shape: got 0\.annotations\.0\.created_at: String should match"):
        annotated(exported, "http://ls")


# Webhooks, as they come off the wire


SECRET = "the-secret-of-this-test"
EVENT = (
    f"POST /labelwise/x HTTP/1.1\r\nHost: h\r\n{HEADER}: {SECRET}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
)


@pytest.fixture
def woken() -> Iterator[tuple[Listener, list[int]]]:
    times: list[int] = []
    listener = Listener(Listen(), "/labelwise/x", SECRET, lambda: times.append(1))
    yield listener, times
    listener.close()


def test_webhooks(woken: tuple[Listener, list[int]], capfd: pytest.CaptureFixture[str]) -> None:
    listener, times = woken

    def send(content: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as wire:
            try:
                wire.sendall(content)
                wire.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: wire.recv(65_536), b""))
            except ConnectionError:
                return b""

    def case(content: bytes) -> None:
        before = len(times)
        status = send(content)[9:12]
        assert not status.startswith(b"5")
        assert (status == b"204") <= (len(times) == before + 1)
        if SECRET.encode() not in content:
            assert len(times) == before

    often = [
        b"\r\n",
        b"\n",
        b":",
        b"\0",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"9" * 50,
        b"-1",
    ]
    run("webhook", case, damaged(EVENT.encode(), often) | st.binary(max_size=300))
    assert send(EVENT.encode()).startswith(b"HTTP/1.1 204")
    assert capfd.readouterr() == ("", "")


# Files that we write


def test_writing_fails_at_any_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever refuses, and whenever: the file is the old one or the new one, and nothing else lies there."""
    writers: dict[str, tuple[Callable[[Path, Any], None], Callable[[str], Any]]] = {
        "a.json": (write_json, lambda text: {"text": text}),
        "a.csv": (write_csv, lambda text: pd.DataFrame({"text": [text]})),
        "a.parquet": (write_parquet, lambda text: pd.DataFrame({"text": [text]})),
    }
    full = OSError(28, "No space left on device")

    def case(given: tuple[str, str, str, str]) -> None:
        name, old, new, point = given
        write, made = writers[name]
        path = tmp_path / name
        write(path, made(old))
        before = path.read_bytes()
        with monkeypatch.context() as patch:
            if point != "nothing":
                owner, function = {"fsync": (os, "fsync"), "replace": (Path, "replace")}.get(point, (io, "open"))
                patch.setattr(owner, function, lambda *_, **__: (_ for _ in ()).throw(full))
            try:
                write(path, made(new))
                failed = False
            except (OSError, UnicodeEncodeError):
                failed = True
        assert not failed or path.read_bytes() == before
        assert [each.name for each in tmp_path.iterdir() if each.name not in writers] == []

    texts = st.text(max_size=30) | st.just("\ud800")
    points = st.sampled_from(["fsync", "replace", "open", "nothing"])
    fine = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    run("writing", case, st.tuples(st.sampled_from(list(writers)), fine, texts, points))


def test_killed_while_writing(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    endless = (
        "import sys; from pathlib import Path; from itertools import count\n"
        "from labelwise.tasks.workspace import write_json\n"
        "for n in count(): write_json(Path(sys.argv[1]), [n] * 100_000)"
    )
    for wait in (0.01, 0.05, 0.13):
        path.unlink(missing_ok=True)
        with subprocess.Popen([sys.executable, "-c", endless, str(path)]) as process:
            while not path.exists():
                assert process.poll() is None
                time.sleep(0.01)
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
        found = json.loads(path.read_text())
        assert len(found) == 100_000 and len(set(found)) == 1
