"""A client of Label Studio that only looks, by plain HTTP: to import its own takes a second.

It has those methods of the SDK's client that a look needs, and gives what that one would give.
"""

from types import SimpleNamespace
from typing import Any

import httpx

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
