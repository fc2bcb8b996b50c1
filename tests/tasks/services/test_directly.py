"""No proxy of the user's stands between this machine and itself."""

import http.server
import os
import threading
from collections.abc import Iterator

import httpx
import pytest
import requests

from labelwise.tasks.services.addresses import known
from labelwise.tasks.services.urls import ask_directly

NOBODY = "http://127.0.0.1:9"
NAMES = [each for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for each in (name, name.upper())]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Answers 200 on loopback; no variable names a proxy."""
    for name in NAMES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


@pytest.mark.parametrize(
    "given",
    [
        {"HTTP_PROXY": NOBODY, "HTTPS_PROXY": NOBODY},
        {"http_proxy": NOBODY},
        {"ALL_PROXY": "socks5://127.0.0.1:9"},
        {"all_proxy": "socks://127.0.0.1:9/"},
        {"ALL_PROXY": "socks4://127.0.0.1:9"},
        {"HTTP_PROXY": "http://proxy:port"},
        {"HTTP_PROXY": "proxy.example.org:3128", "NO_PROXY": "intranet"},
        {"http_proxy": NOBODY, "NO_PROXY": "a.example", "no_proxy": "b.example"},
        {"HTTP_PROXY": NOBODY, "no_proxy": "*"},
    ],
)
def test_loopback_is_asked_directly(server: str, given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    ask_directly()
    assert httpx.get(server, timeout=5).status_code == 200
    assert requests.get(server, timeout=5).status_code == 200
    for name in ("no_proxy", "NO_PROXY"):
        kept = given.get(name, "").split(",")
        assert set(filter(None, kept)) <= set(os.environ[name].split(","))
    before = dict(os.environ)
    ask_directly()
    assert dict(os.environ) == before


def test_all_else_goes_where_the_user_says(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server)  # answers 200 as a proxy, too
    ask_directly()
    assert httpx.get("http://nowhere.invalid/", timeout=5).status_code == 200
    assert requests.get("http://nowhere.invalid/", timeout=5).status_code == 200


def test_what_no_client_can_speak_to_is_said(
    server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks4://me:secret@127.0.0.1:9")
    ask_directly()
    assert "ALL_PROXY=socks4://***@127.0.0.1:9 is left out" in caplog.text
    assert "ALL_PROXY" not in os.environ


def test_an_unusual_loopback_address_is_loopback_too(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOBODY)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.3.1:5000")
    known("MLFLOW_TRACKING_URI")
    assert "127.0.3.1" in os.environ["NO_PROXY"].split(",")
