"""Sources of pictures: folders, globs, archives, tables of paths, addresses and bytes; what they are guarded from."""

import errno
import io
import os
import sys
import tarfile
import zipfile
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from labelwise.tasks import sources
from labelwise.tasks.errors import InputError
from labelwise.tasks.kinds import files, image, picture
from labelwise.tasks.kinds.cells import Cells
from labelwise.tasks.settings import Columns, Pull
from labelwise.tasks.sources import addresses
from tests.tasks.kinds.pictures import BLUE, RED, as_bytes, drawn, folder_of

FILES = image.files(Columns())
ONE = as_bytes(drawn(RED))


def rows_of(source: Path | str, *columns: str, lists: bool = False) -> pd.DataFrame:
    wanted = ["image", *(columns or ("label",))]
    return pd.concat(sources.chunks(str(source), wanted, cells=Cells("label", lists, files=FILES)), ignore_index=True)


def held(cells: pd.Series) -> list[files.Held]:
    return [files.unpacked(cell) for cell in cells]


def zipped(folder: Path, name: str) -> Path:
    path = folder.with_name(name)
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(folder.rglob("*.png")):
                archive.write(file, file.relative_to(folder.parent))
    else:
        with tarfile.open(path, f"w:{name.partition('.tar.')[2]}") as archive:
            archive.add(folder, "./photos")
    return path


def test_a_folder_a_glob_and_archives_give_the_same(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", 2)
    (folder / "readme.txt").write_text("not a picture")
    (folder / ".hidden.png").write_bytes(ONE)
    found = rows_of(folder, "label", "name", "folder")
    assert found.label.tolist() == ["blue", "blue", "red", "red"] == found.folder.tolist()
    assert found["name"].tolist()[0] == "blue/000.png"
    assert all(one.content.startswith(b"\x89PNG") for one in held(found.image))
    for source in (tmp_path / "photos/*/*.png", zipped(folder, "a.zip"), zipped(folder, "a.tar.gz")):
        again = rows_of(source)
        assert again.label.tolist() == found.label.tolist(), source
        assert [one.content for one in held(again.image)] == [one.content for one in held(found.image)]
    assert rows_of(folder, lists=True).label.tolist()[0] == '["blue"]'


def test_a_fingerprint_changes_with_the_files(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", 2)
    before = sources.fingerprint(str(folder), FILES)
    assert before == sources.fingerprint(str(folder), FILES)
    (folder / "red/new.png").write_bytes(ONE)
    assert sources.fingerprint(str(folder), FILES) != before


def test_a_folder_without_class_folders_has_no_labels(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(ONE)
    with pytest.raises(InputError, match=r"has no class folders.*cats/1.jpg"):
        rows_of(tmp_path)
    assert len(rows_of(tmp_path, "name")) == 1
    (tmp_path / "1.png").rename(tmp_path / "1.txt")
    with pytest.raises(InputError, match="holds no data"):
        rows_of(tmp_path, "name")


def test_a_folder_above_the_classes_is_told_and_is_no_class(tmp_path: Path) -> None:
    from labelwise.tasks.upkeep.init import classes_for, labels_in

    folder_of(tmp_path / "gold/cats", 1)
    folder_of(tmp_path / "flat", 1)
    pull, told = Pull(pool="", gold=str(tmp_path / "gold")), list[str]()
    assert classes_for(pull, None, item=image, tell=told.append) == ["blue", "red"]
    assert classes_for(pull, ["blue", "red"], item=image, tell=told.append) == ["blue", "red"]
    assert len(told) == 2 and "all files lie in 'cats/'" in told[0]
    with pytest.raises(InputError, match=r"in 'cats/', so .*got the class 'cats' as a folder above"):
        classes_for(pull, ["cats", "dogs"], item=image, tell=told.append)
    with pytest.raises(InputError, match="add the folders of the other classes beside 'cats'"):
        labels_in(pull.gold, pull, told.append, item=image, classes=["cats", "red"])
    (tmp_path / "gold/dogs").mkdir()
    (tmp_path / "gold/dogs/1.png").write_bytes(ONE)  # the advice taken
    assert classes_for(pull, ["cats", "dogs"], item=image, tell=told.append) == ["cats", "dogs"]
    assert sources.above(str(tmp_path / "flat"), FILES) == "" and len(told) == 2


def test_a_table_names_files_beside_it_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "set"
    folder_of(inside / "photos", 1)
    (tmp_path / "secret.png").write_bytes(ONE)
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    os.mkfifo(inside / "pipe.png")
    names = {
        "photos/red/000.png": "",
        "photos\\red\\000.png": "",
        "./photos/../photos/red/000.png": "",
        str(inside / "photos/red/000.png"): "",
        "../secret.png": files.OUTSIDE,
        str(tmp_path / "secret.png"): files.OUTSIDE,
        "link.png": files.OUTSIDE,
        "file:///etc/passwd": files.OUTSIDE,
        "none.png": files.MISSING,
        "~draft.png": files.MISSING,
        "~/none.png": files.MISSING,
        "photos": files.MISSING,
        "pipe.png": files.MISSING,
        "n" * 5000: files.MISSING,
        "http://example.com/a.png": files.REFUSED,
        "https://127.0.0.1/a.png": files.REFUSED,
        "https://169.254.169.254/latest": files.REFUSED,
        "zip://a.png::photos.zip": files.REFUSED,
        "data:image/png;base64,AAAA": "",
        "data:image/png;base64,A=A": files.NO_DATA,
    }
    pd.DataFrame({"image": [*names, ""], "label": "red"}).to_csv(inside / "table.csv", index=False)
    cells = rows_of(inside / "table.csv").image
    assert cells.iloc[-1] is None
    assert {name: one.fault for name, one in zip(names, held(cells[:-1]), strict=True)} == names
    monkeypatch.setenv("LABELWISE_SOURCES", "outside")
    found = held(rows_of(inside / "table.csv").image[:-1])
    assert [one.fault for one in found].count(files.OUTSIDE) == 0 and found[4].content == ONE


def test_a_table_names_no_other_bucket_than_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from labelwise.tasks.sources import held as reading

    store, table = addresses.file_system("s3://own/set/table.csv")
    monkeypatch.setattr(reading, "fetched", lambda _fs, path, name: files.packed(path.encode(), name))

    def faults(fs: Any, table: str, *names: str) -> list[str]:
        records = reading.cells([(name,) for name in names], 0, fs, table)
        return [files.unpacked(cell).fault for (cell,) in records if cell]

    others = ["s3://other/a.png", "s3://own2/a.png", "s3a://other/a.png", "hf://datasets/o/d/a.png"]
    web, own = "https://93.184.216.34/a.png", ["s3://own/a.png", "s3a://own/b/a.png", "c.png"]
    assert faults(store, table, *own, web, *others) == [""] * 4 + [files.ELSEWHERE] * 4
    here, local = addresses.file_system(str(tmp_path / "table.csv"))
    assert faults(here, local, "s3://own/a.png", *others) == [files.ELSEWHERE] * 5
    monkeypatch.setenv("LABELWISE_SOURCES", "outside")
    assert faults(store, table, *own, web, *others) == [""] * 8


def test_links_out_of_a_folder_and_an_archive(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", 1)
    (tmp_path / "secret.png").write_bytes(ONE)
    (folder / "red/link.png").symlink_to(tmp_path / "secret.png")
    assert [one.fault for one in held(rows_of(folder).image)] == ["", "", files.OUTSIDE]
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(folder / "red/000.png", "red/000.png")
        for name, kind in (("red/link.png", tarfile.SYMTYPE), ("red/hard.png", tarfile.LNKTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
        archive.addfile(tarfile.TarInfo("../../up.png"), io.BytesIO())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipping:
        for name in ("red/000.png", "/abs.png", "a/../../up.png", "C:\\x.png"):
            zipping.writestr(name, ONE)
    found = [one.fault for one in held(rows_of(tmp_path / "a.tar", "name").image)]
    assert found == ["", files.OUTSIDE, files.OUTSIDE, files.OUTSIDE]
    assert sorted(one.fault for one in held(rows_of(tmp_path / "a.zip", "name").image)) == ["", *[files.OUTSIDE] * 3]
    (folder / "more").symlink_to(tmp_path)
    with pytest.raises(InputError, match="is a link to a folder"):
        rows_of(folder)


def test_archives_that_are_none_or_would_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from labelwise.tasks.sources import formats

    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 no more")
    (tmp_path / "a.tar.gz").write_bytes(b"no gzip")
    for name in ("a.zip", "a.tar.gz"):
        with pytest.raises(InputError, match="broken archive"):
            rows_of(tmp_path / name, "name")
    monkeypatch.setattr(formats, "FREE", 2**20)
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(8):
            archive.writestr(f"{number}.png", b"\0" * 2**20)
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo("a.png")
        entry.size = 2**23
        tar.addfile(entry, io.BytesIO(b"\0" * 2**23))
    for name in ("b.zip", "b.tar.gz"):
        with pytest.raises(InputError, match="unpacks to more than"):
            rows_of(tmp_path / name, "name")


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from labelwise.tasks.sources import held as reading

    monkeypatch.setattr(reading, "MOST", 1000)
    (tmp_path / "a.png").write_bytes(b"\x89PNG" + b"0" * 5000)
    assert held(rows_of(tmp_path, "name").image)[0].fault == files.BIG


def test_damaged_archives_give_what_they_can_or_say_why(tmp_path: Path) -> None:
    chance, folder = np.random.default_rng(0), folder_of(tmp_path / "photos", 2)
    names = ["a.zip", "a.tar", "a.tar.gz", "a.tar.xz"]
    whole = {name: zipped(folder, name).read_bytes() for name in names}
    found = Counter[str]()
    for number in range(240):
        name = names[number % 4]
        content = bytearray(whole[name])
        at = int(chance.integers(0, len(content)))
        content[at : at + 4] = [b"", b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"][number // 4 % 4]
        if number % 9 == 0:
            content = content[:at]
        (tmp_path / name).write_bytes(content)
        try:
            found.update(one.fault for one in held(rows_of(tmp_path / name, "name").image))
        except InputError as error:
            found[str(error).partition(": ")[0].removeprefix(str(tmp_path / name)).split(" than")[0]] += 1
    assert found[""] > 100 and found[files.BROKEN] > 5 and found[" is a broken archive"] > 5
    assert set(found) <= {"", files.BROKEN, files.OUTSIDE, " is a broken archive", " holds no data", " unpacks to more"}


def test_a_zip_with_a_name_that_is_no_text(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("blue/\u00fc.png", ONE)
        archive.writestr("red/000.png", ONE)
    content = (tmp_path / "a.zip").read_bytes()
    first = content.replace("\u00fc".encode(), b"\xff\xff", 1)  # that of the entry; the directory's is as it was
    (tmp_path / "a.zip").write_bytes(first)
    assert [one.fault for one in held(rows_of(tmp_path / "a.zip", "name").image)] == [files.BROKEN, ""]
    (tmp_path / "a.zip").write_bytes(content.replace("\u00fc".encode(), b"\xff\xff"))
    with pytest.raises(InputError, match="is a broken archive"):
        rows_of(tmp_path / "a.zip", "name")


def test_a_zip_with_an_entry_without_a_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("?.txt", b"")
        archive.writestr("red/000.png", ONE)
    (tmp_path / "a.zip").write_bytes((tmp_path / "a.zip").read_bytes().replace(b"?.txt", b"\0.txt"))
    assert rows_of(tmp_path / "a.zip", "name")["name"].tolist() == ["red/000.png"]


@pytest.mark.parametrize("error", [OSError(errno.EIO, "disk"), MemoryError(), InputError("refused"), KeyError("a bug")])
def test_what_is_no_fault_of_a_file_does_not_refuse_it(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labelwise.tasks.sources import held as reading

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(reading, "read_from", fail)
    with pytest.raises(type(error)):
        rows_of(zipped(folder_of(tmp_path / "photos", 1), "a.zip"))
    if not isinstance(error, OSError):
        store, _ = addresses.file_system("memory://x")
        with store.open("memory://a.png", "wb") as file:
            file.write(ONE)
        with pytest.raises(type(error)):
            reading.fetched(store, "/a.png", "a.png")


class Web(BaseHTTPRequestHandler):
    """A picture, one that never ends, one that never begins, one that is elsewhere, one that is not for everyone."""

    asked = Event()

    def do_GET(self) -> None:
        if self.path == "/slow.png":
            self.asked.wait(30)
            return
        self.send_response({"/none.png": 404, "/moved.png": 302, "/private.png": 403}.get(self.path, 200))
        if self.path == "/moved.png":  # to where the guard does not let anyone go
            self.send_header("Location", f"http://127.0.0.2:{self.server.server_address[1]}/a.png")
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(ONE if self.path == "/a.png" else b"")
            while self.path == "/endless.png":
                self.wfile.write(b"0" * 2**16)

    do_HEAD = do_GET

    def log_message(self, *words: Any) -> None:
        pass


def test_addresses_are_read_with_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from labelwise.tasks.sources import held as reading

    monkeypatch.setenv("LABELWISE_SOURCES", "http,internal")
    monkeypatch.setattr(reading, "MOST", 2**20)
    monkeypatch.setattr(reading, "SECONDS", 1)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    Thread(target=server.serve_forever, daemon=True).start()
    names = ["a.png", "none.png", "endless.png", "slow.png", "private.png"]
    addresses = [f"http://127.0.0.1:{server.server_port}/{name}" for name in names]
    pd.DataFrame({"image": [*addresses, "http://127.0.0.1:1/a.png"], "label": "x"}).to_csv(tmp_path / "t.csv")
    try:
        found = held(rows_of(tmp_path / "t.csv").image)
    finally:
        Web.asked.set()
        server.shutdown()
    assert found[0] == files.Held(addresses[0], ONE)
    wanted = [files.MISSING, files.BIG, files.UNREACHABLE, files.UNREACHABLE, files.UNREACHABLE]
    assert [one.fault for one in found[1:]] == wanted


def test_an_address_that_leads_on_into_the_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from labelwise.tasks.sources import reach

    monkeypatch.setenv("LABELWISE_SOURCES", "http")
    monkeypatch.setattr(reach, "public", lambda address: address == "127.0.0.1")  # the one public address there is here
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    Thread(target=server.serve_forever, daemon=True).start()
    names = [f"http://127.0.0.1:{server.server_port}/{name}.png" for name in ("a", "moved")]
    pd.DataFrame({"image": names, "label": "x"}).to_csv(tmp_path / "t.csv")
    try:
        found = held(rows_of(tmp_path / "t.csv").image)
    finally:
        server.shutdown()
    assert [one.fault for one in found] == ["", files.REFUSED] and found[0].content == ONE


@pytest.mark.parametrize("form", ["bytes", "struct", "dictionary", "paths"])
def test_parquet_of_bytes_and_of_paths(tmp_path: Path, form: str) -> None:
    folder_of(tmp_path, 1)
    other = as_bytes(drawn(RED, 7))
    column: Any = {
        "bytes": pa.array([ONE, other, None]),
        "struct": pa.array([{"bytes": ONE, "path": "x.png"}, {"bytes": other, "path": None}, None]),
        "dictionary": pa.array([ONE, other, None]).dictionary_encode(),
        "paths": pa.array(["red/000.png", "blue/000.png", None]),
    }[form]
    pq.write_table(pa.table({"image": column, "label": ["a", "b", "a"]}), tmp_path / "t.parquet")
    cells = rows_of(tmp_path / "t.parquet").image
    assert cells.iloc[2] is None
    read = image.read(cells.to_frame(), image_pull())
    assert all(image.identify(cell) and not files.is_unread(cell) for cell in read[:2])
    assert form == "paths" or [one.content for one in held(cells[:2])] == [ONE, other]


class Image:
    """The feature of datasets by which a column holds pictures."""

    def __init__(self, decode: bool) -> None:
        self.decode = decode


class OfPictures:
    """A dataset of the hub as it is streamed: its pictures are decoded unless somebody asks for them as they are."""

    column_names = ("image", "label")

    def __init__(self, rows: list[tuple[Any, int]], image: Image) -> None:
        self.rows = rows
        self.features = {"image": image, "label": SimpleNamespace(names=["blue", "red"])}

    def cast_column(self, column: str, feature: Image) -> "OfPictures":
        assert column == "image"
        return OfPictures(self.rows, feature)

    def select_columns(self, columns: list[str]) -> list[dict[str, Any]]:
        assert not self.features["image"].decode
        return [{each: dict(zip(self.column_names, row, strict=True))[each] for each in columns} for row in self.rows]


def test_a_dataset_of_the_hub_has_pictures_as_bytes_and_as_files(monkeypatch: pytest.MonkeyPatch) -> None:
    from labelwise.tasks.sources import held as reading
    from labelwise.tasks.sources import hub

    class Hub(MemoryFileSystem):
        protocol = "hf"
        store: ClassVar[dict[str, Any]] = {}

    def of(number: int) -> bytes:
        return as_bytes(drawn((BLUE, RED)[number % 2], number))

    fs = Hub()
    for path, number in (("d@4f2a/train/2.png", 2), ("d/3.png", 3), ("other/4.png", 4)):
        fs.pipe(f"datasets/o/{path}", of(number))
    for module in (hub, reading):
        monkeypatch.setattr(module, "url_to_fs", lambda name, **_: (fs, name.removeprefix("hf://")))
    good = [{"bytes": of(0), "path": "0.png"}, {"bytes": of(1), "path": None}, "hf://datasets/o/d@4f2a/train/2.png"]
    bad = {
        "/etc/passwd": files.OUTSIDE,
        "../other/4.png": files.OUTSIDE,
        "hf://datasets/o/other/4.png": files.ELSEWHERE,
    }
    bad |= {"none.png": files.MISSING, "zip://a.png::hf://datasets/o/d/a.zip": files.REFUSED, "x": "file is no picture"}
    cells = [*good, {"bytes": None, "path": "3.png"}, None, *({"bytes": None, "path": path} for path in bad)]
    cells[-1] = {"bytes": b"GIF", "path": "x"}
    rows = [(cell, number % 2) for number, cell in enumerate(cells)]
    module = SimpleNamespace(load_dataset=lambda *_, **__: OfPictures(rows, Image(decode=True)), Image=Image)
    monkeypatch.setitem(sys.modules, "datasets", module)
    gold = rows_of("hf://o/d:test")
    pool = pd.concat(sources.chunks("hf://o/d", ["image"], cells=Cells(files=FILES)))  # nobody asks it for labels
    assert gold.label.tolist() == [("blue", "red")[label] for _, label in rows]
    assert pool.image.tolist() == gold.image.tolist()
    read = image.read(pool, image_pull()).tolist()
    wanted = [image.identify(picture.cell_of(of(number), "", 512)) for number in range(4)]
    assert [image.identify(cell) for cell in read[:4]] == wanted and read[4] is None
    assert [files.unpacked(cell).fault for cell in read[5:]] == [*bad.values()]


def image_pull() -> Any:
    from labelwise.tasks.settings import Pull

    return Pull(pool="", gold="")
