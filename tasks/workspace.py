"""A workspace: where its files are, how they are written, and who may change them now."""

import fcntl
import io
import json
import math
import os
import re
import secrets
import shlex
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from ruamel.yaml.error import YAMLError

from labelwise.tasks import settings
from labelwise.tasks.errors import WorkspaceBusy, WorkspaceError
from labelwise.tasks.records import Schema
from labelwise.tasks.settings import formula

if TYPE_CHECKING:
    import pyarrow as pa

LOOKS, LOOK_S = 10, 0.05  # for a table that is missing: 5 ms were seen, on two busy cores
ROW_GROUP = 2**20  # rows that are written together, as Arrow does by itself


@dataclass(frozen=True)
class Workspace:
    """The folder of one labelling project: a git + DVC repository with params.yaml."""

    root: Path

    @classmethod
    def open(cls, root: Path | str) -> "Workspace":
        """The workspace at `root`; WorkspaceError when it is none."""
        root = Path(root).resolve()
        if not (root / "params.yaml").is_file():
            if all((root / name).exists() for name in (".git", ".dvc", "dvc.yaml")):
                raise WorkspaceError(
                    f"{root / 'params.yaml'} is missing", fix="`git checkout HEAD -- params.yaml` brings it back"
                )
            raise WorkspaceError(
                f"{root} is no workspace (it has no params.yaml)",
                fix="`labelwise init DIR --pool SRC --gold SRC`, or point --workspace at one",
            )
        for folder, tool in ((".git", "git"), (".dvc", "DVC")):
            if not (root / folder).exists():
                raise WorkspaceError(f"{root} is not a {tool} repository", fix="make workspaces with `labelwise init`")
        return cls(root)

    @cached_property
    def settings(self) -> settings.Settings:
        """params.yaml as it was when first asked for."""
        return settings.read(self.root / "params.yaml")

    def reread(self) -> None:
        """Read params.yaml again: while a loop waits for its reviewers people change it, and the next commit takes it
        along as what the round was learned with."""
        self.__dict__.pop("settings", None)

    # Data: versioned by DVC
    @property
    def pool(self) -> Path:
        return self.root / "data" / "pool"

    @property
    def gold(self) -> Path:
        return self.root / "data" / "gold" / "gold.parquet"

    @property
    def trusted(self) -> Path:
        """What was asked and answered for trusted labels, beside the user's own gold."""
        return self.root / "data" / "gold"

    @property
    def labels(self) -> Path:
        return self.root / "data" / "labels"

    @property
    def consensus(self) -> Path:
        return self.root / "data" / "consensus.parquet"

    @property
    def quarantine(self) -> Path:
        return self.root / "data" / "quarantine"

    @property
    def vectors(self) -> Path:
        return self.root / "data" / "vectors"

    @property
    def scores(self) -> Path:
        return self.root / "data" / "scores.parquet"

    @property
    def batch(self) -> Path:
        return self.root / "data" / "batch.parquet"

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def finished(self) -> Path:
        return self.root / "finished"

    # Figures: versioned by git, or by DVC where they are long
    @property
    def metrics(self) -> Path:
        return self.root / "metrics"

    # Scraps of this machine: in no version
    @property
    def scraps(self) -> Path:
        return self.root / ".labelwise"


def write_parquet(path: Path, rows: pd.DataFrame, table: Schema | None = None) -> None:
    """Write `rows` so that a reader sees the old file or the new one, never half of it."""
    content = table.conform(rows) if table else rows
    with atomic(path) as scratch:
        content.to_parquet(scratch, index=False)


def write_blocks(path: Path, blocks: Iterable[pd.DataFrame]) -> None:
    """The same of a table that comes in parts, at least one, and need not fit into memory: the bytes are those of the
    whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = (pa.Table.from_pandas(block, preserve_index=False) for block in blocks)
    first = next(tables)
    with atomic(path) as scratch, pq.ParquetWriter(scratch, first.schema, compression="snappy") as file:
        waiting = first
        for table in tables:
            waiting = pa.concat_tables([waiting, table])
            while len(waiting) > ROW_GROUP:
                file.write_table(waiting[:ROW_GROUP].combine_chunks())  # else its pages would end where parts do
                waiting = waiting[ROW_GROUP:]
        file.write_table(waiting.combine_chunks())


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Read a file of ours: WorkspaceError says which one is broken, and the command that brings it back."""
    try:
        yield
    except FileNotFoundError:
        raise WorkspaceError(f"{path} is missing", fix=brought_back(path)) from None
    except (ValueError, LookupError, TypeError, OSError, EOFError, YAMLError) as error:  # and kinds of these
        if isinstance(error, OSError) and error.errno:
            raise
        said = f"{type(error).__name__}: {error}".splitlines()[0][:120]
        raise WorkspaceError(f"{path} is broken", got=said, fix=brought_back(path)) from None


def brought_back(path: Path) -> str:
    """The command, given in the workspace, that brings a file back as the last version has it."""
    root = next((folder for folder in path.parents if (folder / "params.yaml").is_file()), None)
    if root is None:
        return ""
    name = path.relative_to(root)
    inside = [part for part in [name, *name.parents] if part.parts]
    if inside[-1].name == ".labelwise":
        return f"`rm {shlex.quote(str(name))}`; `labelwise run` makes it anew"
    kept = next((part for part in inside if _ignored(root / part)), None)  # what DVC keeps it has git ignore
    if kept is None:
        return f"`git checkout HEAD -- {shlex.quote(str(name))}`"
    if not (root / kept).exists() or not (root / ".dvc" / "cache").exists():
        return "`dvc pull`"  # perhaps a clone that has never had its data
    return f"`dvc checkout --force {f'{kept}.dvc' if (root / f'{kept}.dvc').is_file() else kept}`"


def _ignored(path: Path) -> bool:
    """Whether DVC has written a file or folder into the .gitignore beside it."""
    ignored = path.with_name(".gitignore")
    return ignored.is_file() and f"/{path.name}" in ignored.read_text(encoding="utf-8", errors="replace").splitlines()


@contextmanager
def opened(path: Path) -> Iterator["pa.NativeFile"]:
    """A table of ours to be read while a stage in another process may replace it. It is opened once: given a path,
    Arrow opens it twice, and would read the columns of one table by the description of another. And DVC takes a table
    away for some milliseconds when it has kept it, before it puts a link or a copy there: one that is missing is looked
    for again, for half a second."""
    import pyarrow as pa  # who only reads a model needs no Arrow

    with reading(path):
        looks = 0
        while not path.exists() and looks < LOOKS:
            time.sleep(LOOK_S)
            looks += 1
        with pa.OSFile(str(path)) as file:
            yield file


def read_parquet(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """A table of ours, or some columns of it."""
    with opened(path) as file:
        return pd.read_parquet(file, columns=columns)


def columns_of(path: Path) -> list[str]:
    """What the columns of a table of ours are called."""
    import pyarrow.parquet as pq

    with opened(path) as file:
        return list(pq.read_schema(file).names)


def read_table(path: Path, columns: list[str] | None = None, where: Any = None) -> "pa.Table":
    """The same as Arrow has it. where: an Arrow expression that chooses rows."""
    import pyarrow.parquet as pq

    with opened(path) as file:
        return pq.read_table(file, columns=columns, filters=where)


def read_array(path: Path, on_disk: bool = False) -> NDArray[Any]:
    """An array of ours. on_disk: its rows stay there until they are asked for."""
    with reading(path):
        return np.asanyarray(np.load(path, mmap_mode="r" if on_disk else None))


def read_csv(path: Path) -> pd.DataFrame:
    """Figures of ours."""
    with reading(path):
        return pd.read_csv(_whole(path))


def table_of_text(path: Path) -> pd.DataFrame:
    """A CSV of ours whose cells stay as they are: a class called NA is a class."""
    with reading(path):
        return pd.read_csv(_whole(path), dtype=str, keep_default_na=False).map(_as_it_was)


def _whole(path: Path) -> io.BytesIO:
    """A CSV of ours. ValueError where it was cut off: pandas takes half a line for a line without its last cells."""
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        raise ValueError("its last line was cut off")
    return io.BytesIO(content)


def read_json(path: Path) -> Any:
    """What a JSON file of ours holds: an object."""
    with reading(path):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"an object was expected, it holds {type(content).__name__}")
        return content


def write_json(path: Path, content: Any) -> None:
    """Write JSON, atomically, keys in the order given; what is not known (NaN) as null."""
    with atomic(path) as scratch:
        scratch.write_text(json.dumps(_known(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _known(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _known(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_known(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_csv(path: Path, rows: pd.DataFrame) -> None:
    """Write CSV, atomically; floats keep six digits, so that a diff shows what moved. `table_of_text` reads it back."""
    with atomic(path) as scratch:
        harmless(rows).to_csv(scratch, index=False, float_format="%.6f", lineterminator="\n", encoding="utf-8")


def harmless(rows: pd.DataFrame) -> pd.DataFrame:
    """The table with a quote before each text that a spreadsheet would run, such as a class called =A(1): it shows the
    text then. A text that begins with such a quote gets one more, so that `_as_it_was` knows both."""
    texts = [str(column) for column in rows if not pd.api.types.is_numeric_dtype(rows[column])]
    return rows.assign(**{column: rows[column].map(_quoted) for column in texts})


def _quoted(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and formula(cell.lstrip("'")) else cell


def _as_it_was(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and formula(cell.lstrip("'")) else cell


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A scratch path (file or folder) beside `path` that takes its place, flushed to disk, when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield scratch
        for file in [scratch] if scratch.is_file() else scratch.rglob("*"):
            if file.is_file():
                with file.open("rb") as handle:
                    os.fsync(handle.fileno())
        if path.is_dir():
            shutil.rmtree(path)
        scratch.replace(path)
    except OSError as error:
        if error.errno and error.filename is None:  # a write that fails does not say where
            error.filename = str(path)
        raise
    finally:
        if scratch.is_dir():
            shutil.rmtree(scratch)
        scratch.unlink(missing_ok=True)


class Claim:
    """What the holder of a workspace knows and says of its work, for the next one to know."""

    def __init__(self, note: Path) -> None:
        self._note = note
        before = _read_note(note)
        self.unfinished = not before.get("finished", True)
        self.unfinished_run = str(before.get("run", "")) if self.unfinished else ""
        self.unfinished_command = str(before.get("command", "")) if self.unfinished else ""
        ask = before.get("ask")
        self.unfinished_ask = ask if self.unfinished and isinstance(ask, int) else 0
        self._left = False
        self._tell(not self.unfinished, self.unfinished_run, self.unfinished_command, self.unfinished_ask)

    @property
    def loop_unfinished(self) -> bool:
        """Whether it is the loop whose work is unfinished, not another command's."""
        return self.unfinished and not self.unfinished_command

    def refuse_unfinished(self) -> None:
        """WorkspaceError when the last holder's work is unfinished: what it left is the loop's to put in order."""
        if not self.unfinished:
            return
        what, fix = "run of the loop", "`labelwise run` goes on from where it was"
        if self.unfinished_command:
            what = f"`labelwise {self.unfinished_command}`"
            fix = f"{what} again goes on from where it was; `labelwise run` keeps what it had written"
        raise WorkspaceError(f"the last {what} did not end", fix=fix)

    def begin(self, run: str = "", command: str = "", ask: int = 0) -> None:
        """From here on files are changed: who comes after a death finds the work unfinished. run: Prefect's id of
        it; command: the words of one that is not the loop; ask: the number of the ask that it makes."""
        self._tell(False, run, command, ask)

    def leave(self) -> None:
        """What the last holder's work left unfinished stays so when this one ends."""
        self._left = True

    def end(self) -> None:
        """All is in order, unless it was left."""
        if not self._left:
            self._tell(True)

    def _tell(self, finished: bool, run: str = "", command: str = "", ask: int = 0) -> None:
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": _now(), "finished": finished, "run": run}
        write_json(self._note, holder | ({"command": command, "ask": ask} if command else {}))


@contextmanager
def claimed(workspace: Workspace) -> Iterator[Claim]:
    """Hold the workspace for one loop. It says whether the last holder's work is unfinished (it died, or failed).

    WorkspaceBusy says who holds it. The kernel frees the lock of a dead process; that it was at work is in `loop.json`.
    """
    workspace.scraps.mkdir(exist_ok=True)
    lock = FileLock(workspace.scraps / "lock", timeout=0.2)  # anyone who only asks `running` holds it for a moment
    try:
        lock.acquire()
    except Timeout:
        raise _busy(workspace) from None
    try:
        for scrap in workspace.scraps.glob(f".{_note(workspace).name}.*.part"):
            scrap.unlink()  # of one that died while it wrote the note; nobody else writes it
        claim = Claim(_note(workspace))
        yield claim
        claim.end()
    finally:
        lock.release()


def refuse_running(workspace: Workspace) -> None:
    """WorkspaceBusy when a loop holds the workspace now: before Prefect has a run of ours to show as failed."""
    if running(workspace):
        raise _busy(workspace)


def running(workspace: Workspace) -> bool:
    """Whether a loop holds the workspace now. Who may only read the workspace may ask, too."""
    try:
        with (workspace.scraps / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # what filelock takes, but shared; closing gives it up
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def unfinished(workspace: Workspace) -> bool:
    """Whether somebody is at work in the workspace, or died there, so that its files are between two versions."""
    return not _read_note(_note(workspace)).get("finished", True)


def holder(workspace: Workspace) -> str:
    """Who holds the workspace now, in words; '' for nobody."""
    if not running(workspace):
        return ""
    note = _read_note(_note(workspace))
    return f"process {note.get('pid', '?')} on {note.get('host', '?')} since {note.get('since', '?')}"


def _busy(workspace: Workspace) -> WorkspaceBusy:
    return WorkspaceBusy(
        f"another loop is at work in {workspace.root}",
        got=holder(workspace) or "one that has just ended",
        fix="let it end; this run had nothing to do",
    )


def _note(workspace: Workspace) -> Path:
    return workspace.scraps / "loop.json"


def _read_note(path: Path) -> dict[str, Any]:
    """What the last holder said. A note that cannot be read says that the work is unfinished: to look for what is to be
    put in order costs less than to leave it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:  # no JSON, or no text
        content = None
    return content if isinstance(content, dict) else {"finished": False}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def copy_token(workspace: Workspace, anew: bool = False) -> str:
    """What tells this copy from others; made where it has none, or again. No clone has it, it moves along."""
    if not anew and (found := known_token(workspace)):
        return found
    made = secrets.token_hex(8)
    with atomic(_token_file(workspace)) as scratch:
        scratch.write_text(made, encoding="ascii")
    return made


def known_token(workspace: Workspace) -> str:
    """The token, '' in a copy that has never played."""
    file = _token_file(workspace)
    found = file.read_text(encoding="ascii", errors="replace") if file.exists() else ""
    return found if re.fullmatch("[0-9a-f]{16}", found) else ""


def _token_file(workspace: Workspace) -> Path:
    return workspace.scraps / "player"
