"""Wake-up: the listener against what any network may send, and the looking without Prefect and Label Studio."""

import http.client
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event

import httpx
import psutil
import pytest

from labelwise.flows import wake
from labelwise.flows.wake import BODY, HEADER, Listen, Listener, Waker
from labelwise.tasks.errors import InputError, ServiceDown

SECRET = "a-secret-of-32-characters-or-so-"
PATH = "/labelwise/abc"
RIGHT = {HEADER: SECRET}
IN_TIME = 1.0  # Label Studio waits no longer


class Heard:
    """A listener, and how often it woke somebody."""

    def __init__(self) -> None:
        self.times = 0
        self.listener = Listener(Listen(), PATH, SECRET, self.wake)
        self.url = self.listener.url

    def wake(self) -> None:
        self.times += 1

    def post(self, headers: dict[str, str] = RIGHT, **body: object) -> httpx.Response:
        return httpx.post(self.url, headers=headers, timeout=IN_TIME, **body)  # type: ignore[arg-type]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    monkeypatch.setattr(wake, "LONGEST_S", 1.0)
    made = Heard()
    yield made
    made.listener.close()


def raw(port: int, *parts: bytes, hold: float = 0.0) -> bytes:
    """What comes back when these bytes are sent, one part every `hold` seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as wire:
        for part in parts:
            try:
                wire.sendall(part)
            except OSError:
                break
            time.sleep(hold)
        answer = b""
        try:
            while part := wire.recv(65_536):
                answer += part
        except OSError:
            pass
        return answer


class TestListener:
    def test_an_event_wakes(self, heard: Heard) -> None:
        assert heard.post(json={"action": "ANNOTATION_CREATED"}).status_code == 204
        assert heard.times == 1

    @pytest.mark.parametrize("headers", [{}, {HEADER: ""}, {HEADER: SECRET[:-1]}, {HEADER: f"{SECRET}x"}])
    def test_a_forged_one_does_not(self, heard: Heard, headers: dict[str, str]) -> None:
        assert heard.post(headers, json={"action": "ANNOTATION_CREATED"}).status_code == 401
        assert heard.times == 0

    @pytest.mark.parametrize(("method", "path", "status"), [("GET", PATH, 405), ("POST", "/", 404), ("PUT", PATH, 405)])
    def test_nothing_else_is_there(self, heard: Heard, method: str, path: str, status: int) -> None:
        address = heard.url.removesuffix(PATH) + path
        assert httpx.request(method, address, headers=RIGHT).status_code == status
        assert heard.times == 0

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff" * 100, b"[" * 50_000, b'{"action": ["' + b"9" * 5000])
    def test_what_it_says_is_not_read(self, heard: Heard, body: bytes) -> None:
        assert heard.post(content=body).status_code == 204
        assert heard.times == 1

    def test_one_too_long_is_cut_off(self, heard: Heard) -> None:
        before = psutil.Process(os.getpid()).memory_info().rss
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{HEADER}: {SECRET}\r\nContent-Length: {2**40}\r\n\r\n".encode()
        begun = time.monotonic()
        answer = raw(heard.listener.port, head, *[bytes(2**20)] * 50)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 413")  # its sender may see the connection end first
        assert time.monotonic() - begun < wake.LONGEST_S
        assert psutil.Process(os.getpid()).memory_info().rss - before < 40 * 2**20
        assert heard.post(content=bytes(BODY)).status_code == 204

    @pytest.mark.parametrize("sent", [b"\0" * 20_000, b"hello\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", b"A" * 200_000])
    def test_what_is_no_http(self, heard: Heard, sent: bytes, capfd: pytest.CaptureFixture[str]) -> None:
        assert b"204" not in raw(heard.listener.port, sent)
        assert heard.times == 0
        assert capfd.readouterr() == ("", "")  # nobody fills our log
        assert heard.post().status_code == 204

    def test_slow_ones_are_cut_and_keep_nobody_out(self, heard: Heard) -> None:
        slow = [socket.create_connection(("127.0.0.1", heard.listener.port)) for _ in range(wake.CONNECTIONS - 2)]
        for wire in slow:
            wire.sendall(b"POST / HT")
        assert heard.post().status_code == 204
        for wire in slow:
            wire.settimeout(5)
            with suppress(ConnectionResetError):
                assert wire.recv(1) == b""
            wire.close()

    def test_two_requests_on_one_connection(self, heard: Heard) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", heard.listener.port, timeout=5)
        connection.request("POST", PATH, b"", RIGHT)
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Connection")) == (204, "close")

    def test_many_at_once_are_answered_in_time(self, heard: Heard) -> None:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: heard.post(json={}).status_code, range(20)))
        assert answers == [204] * 20
        assert heard.times == 20

    def test_a_port_that_is_taken(self, heard: Heard) -> None:
        with pytest.raises(InputError, match=r"got Address already in use. To mend it: choose another port"):
            Listener(Listen(port=heard.listener.port), PATH, SECRET, heard.wake)


@pytest.mark.parametrize("address", ["", "8765", "here", "127.0.0.1:", "127.0.0.1:99999", ":80", "a:b", "a:-1"])
def test_no_address(address: str) -> None:
    with pytest.raises(InputError, match="expected HOST:PORT"):
        Listen.parse(address)


def test_every_address_is_none_to_call() -> None:
    with pytest.raises(InputError, match="add --webhook-url"):
        Listen.parse("0.0.0.0:8765")
    assert Listen.parse("0.0.0.0:8765", "http://loop.example.org:8765/").url == "http://loop.example.org:8765"
    strange = ("http://[abc", "http://x:port", "http://x:99999")
    for url in ("loop.example.org", "ftp://x", "http://", "http://me:secret@x", "http://x?a=b", *strange):
        with pytest.raises(InputError, match="--webhook-url"):
            Listen.parse("127.0.0.1:0", url)


class Work:
    """A loop that takes as long as the test likes, and counts its runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wake, "SETTLE_S", 0.05)
        monkeypatch.setattr(wake, "PAUSES_S", (0.01, 0.02))
        self.flag = Event()
        self.to_do, self.runs, self.looks, self.busy, self.said = 0, 0, 0, 0, list[str]()
        self.at_work, self.go_on = Event(), Event()
        self.go_on.set()
        self.waker = Waker(self.flag, self.due, self.run, lambda: None, self.said.append)

    def due(self) -> bool:
        self.looks += 1
        return self.to_do > 0

    def run(self) -> bool:
        if self.busy:
            self.busy -= 1
            return False
        self.runs += 1
        found, self.to_do = self.to_do, 0
        self.at_work.set()
        assert self.go_on.wait(10)
        assert found
        return True

    def answered(self) -> None:
        """Something is there, and an event says so."""
        self.to_do += 1
        self.flag.set()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    made = Work(monkeypatch)
    made.waker.start()
    until(lambda: made.looks == 1)  # the first, of itself
    yield made
    made.go_on.set()
    made.waker.close()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class TestWaker:
    def test_two_events_at_once_are_one_run(self, work: Work) -> None:
        work.answered()
        work.answered()
        until(lambda: work.runs == 1)
        time.sleep(0.2)
        assert (work.runs, work.looks) == (1, 2)

    def test_an_event_without_cause_runs_nothing(self, work: Work) -> None:
        work.flag.set()
        until(lambda: work.looks == 2)
        assert work.runs == 0

    def test_events_during_a_run_are_one_run_afterwards(self, work: Work) -> None:
        work.go_on.clear()
        work.answered()
        assert work.at_work.wait(10)
        for _ in range(5):
            work.answered()
        work.go_on.set()
        until(lambda: work.runs == 2)
        time.sleep(0.2)
        assert (work.runs, work.to_do) == (2, 0)

    def test_while_another_loop_is_at_work_it_is_put_off(self, work: Work) -> None:
        work.busy = 3
        work.answered()
        until(lambda: work.runs == 1)
        assert work.busy == 0

    def test_a_server_that_is_down_is_said_and_survived(self, work: Work) -> None:
        def down() -> bool:
            raise ServiceDown("Label Studio does not answer")

        work.waker._due = down
        work.flag.set()
        until(lambda: bool(work.said))
        assert work.said == ["wake-up: Label Studio does not answer"]
        work.waker._due = work.due
        work.answered()
        until(lambda: work.runs == 1)
