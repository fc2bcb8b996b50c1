"""Where the three servers keep what they are told: each in a file of its own beside the others, or all in PostgreSQL;
and MLflow's models in a folder, or in an S3-compatible store. Chosen once, by `labelwise up --database --artifacts`,
and kept in `stores.env`, which its owner alone may read: an address may have a password in it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from labelwise.tasks.errors import InputError, ServiceDown, ServiceError
from labelwise.tasks.services.local import cluster
from labelwise.tasks.services.local.layout import Tell, write_private

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

FILE = "stores.env"
DATABASE, ARTIFACTS = "LABELWISE_DATABASE", "LABELWISE_ARTIFACTS"
SQLITE = "sqlite"  # a file for each server
BESIDE = "files"  # artifacts in a folder beside them
PREFIX = "labelwise"  # of the databases' names, where the address says none
EXAMPLE = "postgresql://USER:PASSWORD@HOST:5432/labelwise"
# What the clients of PostgreSQL and S3 themselves read, and only they are given.
FOR_POSTGRESQL = ("PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGPASSFILE")
FOR_S3 = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_REGION"),
    *("AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
    *("AWS_CA_BUNDLE", "MLFLOW_S3_ENDPOINT_URL"),
)


@dataclass(frozen=True)
class PostgreSQL:
    """A server of PostgreSQL, and what the names of our databases there begin with."""

    host: str
    port: int
    user: str
    password: str
    prefix: str

    def name(self, server: str) -> str:
        """The database of one of our servers."""
        return f"{self.prefix}_{server.replace('-', '_')}"

    def address(self, server: str, scheme: str = "postgresql") -> str:
        """The same as an address, its password in it."""
        who = quote(self.user, safe="") + (f":{quote(self.password, safe='')}" if self.password else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{who}@{host}:{self.port}/{self.name(server)}"

    def __str__(self) -> str:
        return f"PostgreSQL at {self.host}:{self.port}"  # never its password

    @contextmanager
    def connected(self, database: str) -> Iterator["Connection"]:
        """A connection. ServiceDown where there is none, in one line; ServiceError where psycopg2 is missing."""
        try:
            import psycopg2
        except ImportError:
            fix = "`pip install 'labelwise[team]'`"
            raise ServiceError("--database postgresql://… needs psycopg2", fix=fix) from None
        try:
            opened = psycopg2.connect(
                host=self.host, port=self.port, user=self.user, password=self.password or None, dbname=database,
                connect_timeout=10,
            )  # fmt: skip
        except psycopg2.OperationalError as error:
            said = re.sub(r"\s+", " ", str(error)).strip()
            fix = "see that it runs and lets this user in, or `labelwise up --database ADDRESS` with another"
            raise ServiceDown(f"{self} lets nobody in", got=said[-200:], fix=fix) from None
        opened.autocommit = True  # a database is made outside a transaction
        try:
            yield opened
        finally:
            opened.close()


def parsed(address: str) -> PostgreSQL:
    """The server of an address such as EXAMPLE. InputError where it is none."""
    expected = f"{EXAMPLE}, {cluster.OWN} (started here), or {SQLITE}"
    try:
        parts = urlsplit(address.strip())
        port = parts.port or 5432
    except ValueError:
        raise InputError("--database", expected=expected, got="an address with a port that is none") from None
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not parts.username:
        raise InputError("--database", expected=expected, got=_without_password(address))
    if parts.query or parts.fragment:
        fix = "leave it out; PGSSLMODE and PGSSLROOTCERT are read from the environment"
        raise InputError("--database", expected=expected, got=f"?{parts.query}", fix=fix)
    prefix = parts.path.strip("/") or PREFIX
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,40}", prefix):
        what = "small letters, digits and _, with which the names of three databases begin"
        raise InputError("--database", expected=what, got=prefix[:60])
    return PostgreSQL(parts.hostname, port, unquote(parts.username), unquote(parts.password or ""), prefix)


def _without_password(address: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", address.strip())[:80] or "nothing"


@dataclass(frozen=True)
class Stores:
    """What is kept in `stores.env`: the database as SQLITE, `cluster.OWN` or an address, and the artifacts as BESIDE or
    an address."""

    database: str = SQLITE
    artifacts: str = BESIDE

    def postgresql(self, folder: Path) -> PostgreSQL | None:
        """The server, once it runs, see `ready`; None for SQLite."""
        if self.database == SQLITE:
            return None
        return parsed(cluster.address(folder) if self.database == cluster.OWN else self.database)

    def environment(self, folder: Path) -> dict[str, str]:
        """What the three servers are told of it."""
        told: dict[str, str] = {}
        if found := self.postgresql(folder):
            told |= {
                "DJANGO_DB": "default",
                "POSTGRE_HOST": found.host,
                "POSTGRE_PORT": str(found.port),
                "POSTGRE_NAME": found.name("label-studio"),
                "POSTGRE_USER": found.user,
                "POSTGRE_PASSWORD": found.password,
                "LABELWISE_MLFLOW_STORE": found.address("mlflow"),
                "PREFECT_SERVER_DATABASE_CONNECTION_URL": found.address("prefect", "postgresql+asyncpg"),
            } | _from_outside(FOR_POSTGRESQL)
        if self.artifacts != BESIDE:
            told |= {"LABELWISE_MLFLOW_ARTIFACTS": self.artifacts} | _from_outside(FOR_S3)
        return told


def _from_outside(names: tuple[str, ...]) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}


def kept(folder: Path) -> Stores:
    """What was chosen; files where nothing was."""
    try:
        lines = (folder / FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return Stores()
    said = dict(line.split("=", 1) for line in lines if "=" in line)
    return Stores(said.get(DATABASE) or SQLITE, said.get(ARTIFACTS) or BESIDE)


def chosen(folder: Path, database: str | None, artifacts: str | None) -> tuple[Stores, str]:
    """What is to hold from now on, None: as it was; and a line for people where that is another than before. InputError
    where it is none."""
    before = kept(folder)
    if database not in (None, SQLITE, cluster.OWN):
        parsed(database or "")
    if artifacts not in (None, BESIDE) and not re.fullmatch(r"s3://[A-Za-z0-9.-]+(/[^\s?#]*)?", artifacts or ""):
        raise InputError(
            "--artifacts", expected=f"s3://BUCKET/FOLDER, or {BESIDE}", got=_without_password(artifacts or "")
        )
    now = Stores(database or before.database, artifacts or before.artifacts)
    if now == before:
        return now, ""
    news = "" if not (folder / "secrets.env").exists() else (
        "what the servers knew stays where it was, and is not moved: `labelwise up "
        f"--database {_without_password(before.database)} --artifacts {before.artifacts}` goes back to it"
    )  # fmt: skip
    return now, news


def keep(folder: Path, stores: Stores) -> None:
    """For every `up` to come."""
    write_private(folder / FILE, f"{DATABASE}={stores.database}\n{ARTIFACTS}={stores.artifacts}")


def ready(folder: Path, stores: Stores, servers: tuple[str, ...], progress: Tell) -> None:
    """Start the PostgreSQL that is ours, and make the databases that are missing. ServiceDown where it cannot be
    reached, ServiceError where this user may make none."""
    if stores.database == cluster.OWN:
        cluster.start(folder, progress)
    found = stores.postgresql(folder)
    if found is None:
        return
    wanted = [found.name(server) for server in servers]
    with found.connected("postgres") as opened, opened.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        there = {name for (name,) in cursor.fetchall()}
        for name in (name for name in wanted if name not in there):
            _make(found, cursor, name)
            progress(f"{found}: made the database {name}")


def _make(found: PostgreSQL, cursor: Any, name: str) -> None:
    import psycopg2
    from psycopg2.sql import SQL, Identifier

    try:
        cursor.execute(SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0").format(Identifier(name)))
    except psycopg2.errors.DuplicateDatabase:
        pass  # another `up` was quicker
    except psycopg2.Error as error:
        fix = f"have it made: CREATE DATABASE {name} OWNER \"{found.user}\" ENCODING 'UTF8' TEMPLATE template0;"
        raise ServiceError(f"{found} makes no database {name}", got=str(error).splitlines()[0][:120], fix=fix) from None


def owner_tokens(found: PostgreSQL, mail: str) -> list[str]:
    """The tokens of Label Studio's user of this address. ServiceDown where the database cannot be reached."""
    import psycopg2

    asked = "SELECT key FROM authtoken_token JOIN htx_user ON htx_user.id = user_id WHERE email = %s"
    try:
        with found.connected(found.name("label-studio")) as opened, opened.cursor() as cursor:
            cursor.execute(asked, [mail])
            return [str(key) for (key,) in cursor.fetchall()]
    except psycopg2.Error as error:
        raise ServiceDown(f"{found} does not answer", got=str(error).splitlines()[0][:120]) from None
