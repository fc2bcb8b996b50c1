"""A client of MLflow that only looks, by plain HTTP: to import its own takes seconds.

It has those methods of MLflow's client that a look needs, and gives what that one would give.
"""

from types import SimpleNamespace
from typing import Any

import httpx

from labelwise.tasks.errors import ServiceBusy, ServiceError
from labelwise.tasks.services.patience import seconds_asked
from labelwise.tasks.services.urls import public

TIMEOUT_S = 10.0


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
