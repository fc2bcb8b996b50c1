"""Label Studio without a server: its tasks, its errors as ours."""

from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from labelwise.tasks.errors import ServiceDown, ServiceError
from labelwise.tasks.services.label_studio.project import LabelStudioProject
from labelwise.tasks.services.label_studio.wire import connected
from labelwise.tasks.services.local import servers

URL = "http://127.0.0.1:8080"


def test_tasks_that_somebody_else_made_are_no_tasks_of_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    strangers: list[Any] = [{"round": 1}, {"round": 1, "item": 5}, {"round": 1.0, "item": "b"}]
    data = [{"item": "a", "round": 1, "text": "t"}, *strangers]
    listed = [
        SimpleNamespace(id=number, data=each, total_annotations=1, cancelled_annotations=None)
        for number, each in enumerate(data, 1)
    ]
    monkeypatch.setattr(LabelStudioProject, "_list", lambda *_: iter(listed))
    project = LabelStudioProject.__new__(LabelStudioProject)
    project.people, project._began = 1, {}
    assert project.tasks(1).to_dict("records") == [{"task_id": 1, "id": "a", "answers": 1, "data": data[0]}]


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "refuses our token"), (403, "refuses our token"), (404, "no longer has"), (400, "400: got no")],
)
def test_a_refusal_is_one_line(status: int, says: str) -> None:
    response = httpx.Response(status, text="no\nno", request=httpx.Request("GET", URL))
    with pytest.raises(ServiceError, match=says) as caught, connected(URL):
        response.raise_for_status()
    assert not isinstance(caught.value, ServiceDown)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "key", "says"),
    [
        (URL, "old", "`labelwise up` takes over"),
        ("", "", "`labelwise up` takes over"),
        (URL, "another", "unset LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"),
        ("https://labels.example.org", "old", "set LABEL_STUDIO_API_KEY to the new token"),
    ],
)
def test_a_token_that_was_made_anew(monkeypatch: pytest.MonkeyPatch, url: str, key: str, says: str) -> None:
    """`labelwise up` helps where the token is the local server's own, and not one from the environment."""
    monkeypatch.setattr(servers, "running", lambda: {"LABEL_STUDIO_URL": URL, "LABEL_STUDIO_API_KEY": "old"})
    monkeypatch.setenv("LABEL_STUDIO_URL", url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", key)
    response = httpx.Response(401, request=httpx.Request("GET", URL))
    with pytest.raises(ServiceError, match=f"To mend it: {says}"), connected(url or URL):
        response.raise_for_status()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"detail": "Validation error", "validation_errors": {"title": ["too long"]}}, "{'title': ['too long']}"),
        ({"detail": "Not so"}, "got Not so"),
        ({"other": 1}, "{'other': 1}"),
        ("plain", "got plain"),
    ],
)
def test_of_a_bad_request_is_said_what_matters(body: object, says: str) -> None:
    from label_studio_sdk.core.api_error import ApiError

    with pytest.raises(ServiceError) as caught, connected(URL):
        raise ApiError(status_code=400, body=body)
    assert says in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[bad", "ftp://127.0.0.1"])
def test_a_server_that_does_not_answer(url: str) -> None:
    with pytest.raises(ServiceDown, match="does not answer") as caught, connected(url):
        httpx.get(url)
    assert url in str(caught.value)
