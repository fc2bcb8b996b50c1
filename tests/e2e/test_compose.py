"""What infra/compose.yaml and the Dockerfile start, without containers: the same commands and variables, by a user who
is not root and in the image's folders, against a real PostgreSQL and a real store. `make test-team`."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psycopg2
import pytest
from ruamel.yaml import YAML

from labelwise.tasks.services.home import Addresses
from tests.e2e.conftest import Source
from tests.team import BUCKET, UID, Cluster, as_user, free_port
from tests.waiting import until

pytestmark = pytest.mark.team
ROOT = Path(__file__).parents[2]


class Image:
    """The image's folders below another root, the code not to be written by its user."""

    def __init__(self, root: Path) -> None:
        self.root, self.app, self.data, self.own = root, root / "app", root / "data", root / "home"
        lines = (ROOT / "infra" / "Dockerfile").read_text().splitlines()
        self.app.mkdir()
        for *sources, target in (shlex.split(line)[1:] for line in lines if line.startswith("COPY ")):
            for source in (ROOT / each for each in sources):
                if source.is_dir():
                    shutil.copytree(source, self.app / target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copyfile(source, self.app / source.name)
        (root / "path").mkdir()
        (root / "path" / "labelwise").symlink_to(self.app)
        as_user([], self.data)  # his, too
        said = " ".join(
            line.rstrip("\\") for line in lines[next(i for i, x in enumerate(lines) if x.startswith("ENV LAB")) :]
        )
        self.variables = dict(word.split("=", 1) for word in said.removeprefix("ENV ").split())
        self.variables |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(root / "path"),
            "HOME": str(self.own),
        }

    def command(self, words: list[str]) -> list[str]:
        return as_user(words, self.own)

    def run(self, words: list[str], variables: dict[str, str]) -> str:
        done = subprocess.run(
            self.command(words), cwd=self.app, env=self.variables | variables, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    @contextmanager
    def running(self, name: str, words: list[str], variables: dict[str, str]) -> Iterator[Path]:
        """A container of it; what it says."""
        said = self.root / f"{name}.log"
        with said.open("w") as out:
            program = self.command(words)
            process = subprocess.Popen(
                program, cwd=self.app, env=self.variables | variables, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip
        try:
            yield said
            assert process.poll() is None, said.read_text()[-3000:]
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=4).status_code == 200
    except httpx.HTTPError:
        return False


def test_the_containers_commands_run_a_round(
    servers: Addresses, database: Cluster, store: str, source: Source, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("image")
    image = Image(root)
    kept = YAML(typ="safe").load((ROOT / "infra" / "compose.yaml").read_text())["services"]
    given = {
        "POSTGRES_PASSWORD": "p%40ss", "S3_ACCESS_KEY": "tests", "S3_SECRET_KEY": "tests",
        "LABEL_STUDIO_TOKEN": servers.label_studio_api_key,
    }  # fmt: skip
    ports = {name: str(free_port()) for name in ("mlflow", "prefect")}
    places = {
        "http://s3:8333": store,
        "labelwise:p%40ss@postgres:5432": f"team:p%40ss@127.0.0.1:{database.port}",
        "http://label-studio:8080": servers.label_studio_url,
        "http://mlflow:5000": f"http://127.0.0.1:{ports['mlflow']}",
        "http://prefect:4200": f"http://127.0.0.1:{ports['prefect']}",
        "/data/": f"{image.data}/",
        "/app": str(image.app),
        "0.0.0.0": "127.0.0.1",
        "--port 5000": f"--port {ports['mlflow']}",
        "--port 4200": f"--port {ports['prefect']}",
    }
    image.variables["LABELWISE_HOME"] = image.variables["LABELWISE_HOME"].replace("/data/", f"{image.data}/")

    def here(text: str) -> str:
        text = re.sub(r"\$\{(\w+)(?::[?-][^}]*)?\}", lambda name: given.get(name[1], ""), text)
        for there, place in places.items():
            text = text.replace(there, place)
        return text

    def service(name: str) -> tuple[list[str], dict[str, str]]:
        command, said = kept[name]["command"], kept[name].get("environment", {})
        words = shlex.split(here(command)) if isinstance(command, str) else [here(word) for word in command]
        return words, {key: here(str(value)) for key, value in said.items()}

    created = psycopg2.connect(f"{database.address}/postgres")
    created.autocommit = True
    for name in ("mlflow", "prefect"):
        created.cursor().execute(f"CREATE DATABASE {name}")
    created.close()

    assert BUCKET in service("bucket")[0][-1]
    image.run(*service("bucket"))
    with ExitStack() as up:
        for name, health in (("mlflow", "/health"), ("prefect", "/api/health")):
            said = up.enter_context(image.running(name, *service(name)))
            until(lambda at=f"http://127.0.0.1:{ports[name]}{health}": answers(at), 120, said.read_text)
        words, variables = service("worker")
        workspace = image.data / "workspace"
        assert variables["LABELWISE_WORKSPACE"] == str(workspace)
        shutil.copytree(source.pool.parent, image.data / "source")
        words_of_init = ["labelwise", "init", str(workspace)]
        words_of_init += ["--pool", str(image.data / "source" / "pool.csv")]
        image.run([*words_of_init, "--gold", str(image.data / "source" / "gold.csv")], variables)
        said = up.enter_context(image.running("worker", words, variables))
        until(lambda: "Worker" in said.read_text() and "started" in said.read_text(), 120, said.read_text)
        deployed = image.run(["prefect", "deployment", "ls"], variables)
        name = re.search(r"[\w-]+/scheduled", deployed)
        assert name is not None, deployed
        image.run(["prefect", "deployment", "run", name[0]], variables)
        until(lambda: "round-0000" in image.run(["git", "-C", str(workspace), "tag"], variables), 240, said.read_text)
    assert (image.data / "workspace.remote").is_dir()  # in the volume
    assert (image.data / "home").stat().st_uid == (UID if os.geteuid() == 0 else os.geteuid())
