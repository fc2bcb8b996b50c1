"""Clients of MLflow and Label Studio that only look, by plain HTTP: to import those two's own takes seconds.

Each has those methods of the client whose place it takes that a look needs, and gives what that one would give.
"""

from types import SimpleNamespace
from typing import Any

import httpx

from labelwise.tasks.errors import ServiceBusy, ServiceError
from labelwise.tasks.services.patience import seconds_asked
from labelwise.tasks.services.urls import public

TIMEOUT_S = 10.0


class LabelStudioLook:
    """Projects, tabs and tasks of Label Studio. Errors are those of httpx, as the SDK lets them through."""

    def __init__(self, url: str, key: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=TIMEOUT_S)
        self.http.headers["Authorization"] = f"Token {key}" if key.count(".") != 2 else f"Bearer {self._access(key)}"
        self.projects = SimpleNamespace(list=self._projects, get=self._project)
        self.tasks = SimpleNamespace(list=self._tasks)
        self.views = SimpleNamespace(list=self._views)

    def _access(self, key: str) -> str:
        """What a personal access token is exchanged for."""
        answer = self.http.post("/api/token/refresh", json={"refresh": key})
        return str(answer.raise_for_status().json()["access"])

    def _get(self, path: str, **words: Any) -> Any:
        return self.http.get(path, params=words).raise_for_status().json()

    def _projects(self, **words: Any) -> list[SimpleNamespace]:
        found: list[SimpleNamespace] = []
        while True:
            page = self._get("/api/projects/", **words, page=len(found) // 100 + 1, page_size=100)
            found += [SimpleNamespace(**{"label_config": "", **each}) for each in page["results"]]
            if not page["next"]:
                return found

    def _project(self, number: int, request_options: Any) -> SimpleNamespace:
        return SimpleNamespace(
            **self._get(f"/api/projects/{number}/", **request_options["additional_query_parameters"])
        )

    def _views(self, project: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(**each) for each in self._get("/api/dm/views", project=project)]

    def _tasks(self, **words: Any) -> SimpleNamespace:
        page = self._get("/api/tasks", **words)
        items = [SimpleNamespace(**each) for each in page["tasks"]]
        return SimpleNamespace(response=SimpleNamespace(total=page["total"]), items=items)


class MLflowLook:
    """Experiments and registered models of an MLflow server. ServiceError, as `mlflow.tracking` would end in."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.http = httpx.Client(base_url=f"{uri}/api/2.0/mlflow", timeout=TIMEOUT_S)

    def get_experiment_by_name(self, name: str) -> SimpleNamespace | None:
        """The experiment, None where there is none."""
        found = self._ask("GET", "/experiments/get-by-name", params={"experiment_name": name})
        return found and _experiment(found["experiment"])

    def search_experiments(self, view_type: int, max_results: int, page_token: str | None) -> Any:
        """A page of the experiments."""
        del view_type  # all
        wanted = {"max_results": max_results, "view_type": "ALL"} | ({"page_token": page_token} if page_token else {})
        found = self._ask("POST", "/experiments/search", json=wanted) or {}
        return _Page([_experiment(each) for each in found.get("experiments", [])], found.get("next_page_token"))

    def search_runs(self, experiments: list[str], run_view_type: int, max_results: int) -> list[SimpleNamespace]:
        """The last runs of the experiments, with their tags."""
        del run_view_type  # all
        wanted = {"experiment_ids": experiments, "max_results": max_results, "run_view_type": "ALL"}
        runs = (self._ask("POST", "/runs/search", json=wanted) or {}).get("runs", [])
        return [SimpleNamespace(data=SimpleNamespace(tags=_tags(run["data"]))) for run in runs]

    def get_model_version_by_alias(self, name: str, alias: str) -> SimpleNamespace | None:
        """The version under an alias, None where there is none."""
        found = self._ask("GET", "/registered-models/alias", params={"name": name, "alias": alias})
        if found is None:
            return None
        version = found["model_version"]
        return SimpleNamespace(version=version["version"], run_id=version.get("run_id", ""), tags=_tags(version))

    def _ask(self, method: str, path: str, **words: Any) -> Any:
        """What the server says; None where it has nothing of that name."""
        answer = self.http.request(method, path, **words)
        if answer.is_success:
            return answer.json()
        said = answer.json() if answer.headers.get("content-type", "").startswith("application/json") else {}
        if said.get("error_code") in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        where, got = f"MLflow at {public(self.uri)} answered {answer.status_code}", str(said.get("message", ""))[:200]
        if answer.status_code == 429 or answer.status_code >= 500:
            raise ServiceBusy(where, got=got, retry_after=seconds_asked(answer.headers))
        raise ServiceError(where, got=got)


class _Page(list[SimpleNamespace]):
    """As MLflow's own: a list that knows where the next page begins."""

    def __init__(self, found: list[SimpleNamespace], token: str | None) -> None:
        super().__init__(found)
        self.token = token


def _experiment(found: dict[str, Any]) -> SimpleNamespace:
    stage = found.get("lifecycle_stage", "active")
    return SimpleNamespace(
        experiment_id=found["experiment_id"], name=found["name"], lifecycle_stage=stage, tags=_tags(found)
    )


def _tags(found: dict[str, Any]) -> dict[str, str]:
    return {each["key"]: each["value"] for each in found.get("tags", [])}
