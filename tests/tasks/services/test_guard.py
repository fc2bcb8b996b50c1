"""Who may ask a local server."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from labelwise.tasks.services.guard import HOSTS, Guard, admitted, hosts

OURS = ["127.0.0.1", "localhost", "[::1]", "labels.example.org"]


async def hello(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.close()


@pytest.fixture
def client() -> TestClient:
    routes = [Route("/", lambda _: PlainTextResponse("hello"), methods=["GET", "POST"]), WebSocketRoute("/ws", hello)]
    return TestClient(Guard(Starlette(routes=routes), OURS), base_url="http://127.0.0.1:4200")


@pytest.mark.parametrize("host", ["127.0.0.1:4200", "LOCALHOST", "localhost.:1", "[::1]:4200", "labels.example.org"])
def test_own_names_are_answered_at_any_port(host: str) -> None:
    assert admitted(host, None, OURS)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "evil@127.0.0.1:x", "[::1", "localhost:a"],
)
def test_others_are_not(host: str) -> None:
    assert not admitted(host, None, OURS)


@pytest.mark.parametrize(
    ("origin", "answer"),
    [
        (None, 200),
        ("http://127.0.0.1:4200", 200),
        ("http://localhost:4200", 200),
        ("http://localhost:8080", 403),  # a page of another server of this machine
        ("http://evil.example:4200", 403),
        ("http://127.0.0.1.evil.example:4200", 403),
        ("null", 403),
        ("", 403),
        ("file://", 403),
    ],
)
def test_a_page_may_ask_its_own_server_alone(client: TestClient, origin: str | None, answer: int) -> None:
    headers = {} if origin is None else {"Origin": origin}
    assert client.post("/", headers=headers).status_code == answer
    if answer == 403:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/ws", headers=headers):
            pass


def test_a_websocket_of_the_servers_own_page_is_answered(client: TestClient) -> None:
    headers = {"Origin": "http://127.0.0.1:4200", "Host": "127.0.0.1:4200"}
    with client.websocket_connect("/ws", headers=headers) as socket:
        assert socket.receive_text() == "hello"


def test_names_are_added_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOSTS, " Labels.example.org,, localhost ")
    assert hosts() == ["127.0.0.1", "localhost", "[::1]", "labels.example.org"]
