"""Where the servers keep what they are told: what may be said, what is kept of it, and what is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labelwise.tasks.errors import InputError, ServiceDown, ServiceError
from labelwise.tasks.services.local import cluster, stores
from labelwise.tasks.services.local.stores import Stores
from tests.team import PROGRAMS, as_user, postgresql

ADDRESS = "postgresql://me:p%40ss@db.example.org:6543/team_a"


def test_an_address_becomes_what_each_server_reads() -> None:
    told = Stores(ADDRESS, "s3://bucket/mlflow").environment(Path("nowhere"))
    assert told["POSTGRE_HOST"] == "db.example.org" and told["POSTGRE_PORT"] == "6543"
    assert told["POSTGRE_USER"] == "me" and told["POSTGRE_PASSWORD"] == "p@ss"
    assert told["POSTGRE_NAME"] == "team_a_label_studio"
    assert told["LABELWISE_MLFLOW_STORE"] == "postgresql://me:p%40ss@db.example.org:6543/team_a_mlflow"
    own = "postgresql+asyncpg://me:p%40ss@db.example.org:6543/team_a_prefect"
    assert told["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == own
    assert told["LABELWISE_MLFLOW_ARTIFACTS"] == "s3://bucket/mlflow"
    assert Stores().environment(Path("nowhere")) == {}


def test_keys_of_s3_reach_the_servers_only_where_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert "AWS_SECRET_ACCESS_KEY" in Stores(artifacts="s3://b/m").environment(Path("nowhere"))
    assert "AWS_SECRET_ACCESS_KEY" not in Stores(ADDRESS).environment(Path("nowhere"))


@pytest.mark.parametrize(
    "address",
    [
        "mysql://me:secret@host/x",
        "postgresql://host/x",
        "postgresql://me:secret@host:port/x",
        "postgresql://me:secret@host/Team-A",
        "postgresql://me:secret@host/x?sslmode=require",
        "a b",
        "",
    ],
)
def test_what_is_no_address_is_refused_without_its_password(tmp_path: Path, address: str) -> None:
    with pytest.raises(InputError, match=r"^--database: expected ") as refused:
        stores.chosen(tmp_path, address, None)
    assert "secret" not in str(refused.value)
    with pytest.raises(InputError, match=r"^--artifacts: expected s3://BUCKET/FOLDER, or files"):
        stores.chosen(tmp_path, None, "gs://bucket")


def test_the_choice_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    now, news = stores.chosen(tmp_path, ADDRESS, None)
    assert now == Stores(ADDRESS) and news == ""  # nothing is left behind
    stores.keep(tmp_path, now)
    assert (tmp_path / stores.FILE).stat().st_mode & 0o777 == 0o600
    assert stores.kept(tmp_path) == now == stores.chosen(tmp_path, None, None)[0]
    (tmp_path / "secrets.env").touch()  # the servers have run
    back, news = stores.chosen(tmp_path, "sqlite", None)
    assert back == Stores()
    assert "`labelwise up --database postgresql://…@db.example.org:6543/team_a --artifacts files` goes back" in news


def test_nobody_there_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(ServiceDown, match=r"^PostgreSQL at 127\.0\.0\.1:9 lets nobody in: got .*refused") as refused:
        stores.ready(tmp_path, Stores("postgresql://me:secret@127.0.0.1:9/x"), ("mlflow",), print)
    assert "secret" not in str(refused.value)


needs_postgresql = pytest.mark.skipif(not PROGRAMS, reason="PostgreSQL is not installed: apt install postgresql")


@needs_postgresql
def test_databases_are_made_once_or_asked_for(tmp_path: Path) -> None:
    with postgresql() as there:
        told: list[str] = []
        for _ in range(2):
            stores.ready(tmp_path, Stores(f"{there.address}/own"), ("mlflow", "prefect"), told.append)
        assert [line.rpartition(" ")[2] for line in told] == ["own_mlflow", "own_prefect"]
        with pytest.raises(ServiceDown, match="password authentication failed"):
            stores.ready(tmp_path, Stores(f"{there.address}/own".replace("p%40ss", "other")), ("mlflow",), print)
        found = stores.parsed(there.address)
        with found.connected("postgres") as opened, opened.cursor() as cursor:
            cursor.execute("CREATE USER guest PASSWORD 'guest'")
        guest = there.address.replace("team:p%40ss", "guest:guest") + "/guests"
        with pytest.raises(ServiceError, match="makes no database guests_mlflow: got permission denied") as refused:
            stores.ready(tmp_path, Stores(guest), ("mlflow",), print)
        advice = str(refused.value).rpartition("have it made: ")[2]  # followed by who may
        with found.connected("postgres") as opened, opened.cursor() as cursor:
            cursor.execute(advice)
        stores.ready(tmp_path, Stores(guest), ("mlflow",), print)


OWN = """
import sys
from pathlib import Path
from labelwise.tasks.services.local import cluster, stores
folder = Path(sys.argv[1])
(folder / "logs").mkdir(exist_ok=True)
own = stores.Stores(cluster.OWN)
for turn in range(2):
    stores.ready(folder, own, ("mlflow",), print)
    found = own.postgresql(folder)
    with found.connected(found.name("mlflow")) as opened, opened.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS kept (turn int)")
        cursor.execute("INSERT INTO kept VALUES (%s)", [turn])
        cursor.execute("SELECT count(*) FROM kept")
        print("rows", cursor.fetchone()[0])
    cluster.stop(folder)
"""


@needs_postgresql
def test_one_of_its_own_is_started_and_keeps_what_it_has(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = as_user([sys.executable, "-c", OWN, str(home)], home)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"HOME": str(home)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rows 1\n" in done.stdout and done.stdout.endswith("rows 2\n")
    assert (home / cluster.OWN / "address").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")
def test_root_is_told_to_name_a_server(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"^PostgreSQL does not run as root. To mend it: start it as a service"):
        stores.ready(tmp_path, Stores(cluster.OWN), ("mlflow",), print)
