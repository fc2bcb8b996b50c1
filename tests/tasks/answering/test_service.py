"""The model at work: what it answers, what goes to people, and what it makes of requests that are none."""

import asyncio
import base64
import json
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from labelwise.tasks.answering import escalation, service
from labelwise.tasks.answering.at_work import NOT_SURE, POLICY, UNLIKE, AtWork, Keeper, Served
from labelwise.tasks.answering.batching import Batcher
from labelwise.tasks.answering.reading import faults
from labelwise.tasks.answering.service import application
from labelwise.tasks.answering.tickets import ANSWERED, OPEN, Tickets, standing, store
from labelwise.tasks.errors import ServiceDown
from labelwise.tasks.kinds import Answer, Content, choice, image, multilabel, row, text
from labelwise.tasks.learners.serving import PULL
from labelwise.tasks.proof.answering import FIRST, Threshold
from labelwise.tasks.reporting import tables
from labelwise.tasks.settings import Columns, Pull
from labelwise.tasks.workspace import Workspace

FROM_08, FROM_095 = (Threshold(least, 0.5, 100) for least in (0.8, 0.95))
NEVER = Threshold(math.inf, 0.0, 0, None)
SAID = {"was_cancelled": False, "lead_time": 1.0, "created_at": "2026-01-01T00:00:00Z"}


@dataclass
class Model:
    """Is as sure of an item as the number that it ends with; a long one is `long`. Fails at what says so."""

    item: Content = text
    answer: Answer = choice
    pull: Pull = PULL
    read: list[int] = field(default_factory=list)

    def judged(self, cells: list[str]) -> pd.DataFrame:
        return self.seen(cells)[0]

    def seen(self, cells: list[str]) -> tuple[pd.DataFrame, NDArray[np.float32]]:
        self.read.append(len(cells))
        if any("fail" in cell for cell in cells):
            raise RuntimeError("failed")
        sure = [float(cell.rpartition(" ")[2]) if cell[-1].isdigit() else 0.9 for cell in cells]
        names = ["long" if len(cell) > 20 else "short" for cell in cells]
        labels = [multilabel.label_of([name]) if self.answer is multilabel else name for name in names]
        return pd.DataFrame({"label": labels, "confidence": sure}), np.array([[len(cell)] for cell in cells], "float32")


def workspace(folder: Path, **content: Any) -> Workspace:
    project = {"project": {"name": "n", "id": "i"}, "classes": ["long", "short"], "pull": {"pool": "p", "gold": "g"}}
    folder.mkdir(exist_ok=True)
    (folder / "params.yaml").write_text(json.dumps(project | content))
    return Workspace(folder)


def at_work(
    folder: Path, model: Any = None, watch: float = 0.0, found: Threshold = FROM_08, wrong: float = 0.05, **content: Any
) -> AtWork:
    here = workspace(folder, answer={"watch": watch, "never": ["long"], "wrong": wrong}, **content)
    served = Served(model or Model(), "version 3", found, lambda vectors: vectors[:, 0] > 30)
    return AtWork(here, served, Tickets(folder / "tickets.sqlite3"), lambda: 0.5)


@pytest.fixture
def work(tmp_path: Path) -> AtWork:
    return at_work(tmp_path)


@pytest.fixture
def client(work: AtWork) -> Iterator[TestClient]:
    with TestClient(application(work, "")) as found:
        yield found


def test_what_is_answered_and_what_goes_to_people(client: TestClient, work: AtWork) -> None:
    items = [
        "sure 0.9",
        "doubt 0.7",
        {"text": "a class that people keep 1"},
        "unlike everything that there is 0.9",
        " \t",
    ]
    said = client.post("/answer", json={"items": items}).json()
    assert said["model"] == "version 3"
    answers = said["answers"]
    assert [each["reason"] for each in answers] == [None, NOT_SURE, POLICY, POLICY, "cannot be read: text is blank"]
    assert [each["answered"] for each in answers] == [True, False, False, False, False]
    assert [each["label"] for each in answers] == ["short", "short", "long", "long", None]
    assert [bool(each["ticket"]) for each in answers] == [False, True, True, True, False]
    kept = work.tickets.undelivered()
    assert [each.cell for each in kept] == [
        "doubt 0.7",
        "a class that people keep 1",
        "unlike everything that there is 0.9",
    ]
    ticket = client.get(f"/tickets/{answers[1]['ticket']}").json()
    assert (ticket["state"], ticket["label"], ticket["suggested"], ticket["reason"]) == (OPEN, None, "short", NOT_SURE)
    work.tickets.decide(kept[0].item, ANSWERED, "long")
    ticket = client.get(f"/tickets/{answers[1]['ticket']}").json()
    assert (ticket["state"], ticket["label"]) == (ANSWERED, "long")


def test_what_is_unlike_the_pool_goes_to_people(tmp_path: Path) -> None:
    work = at_work(tmp_path)
    work.settings.answer.never.clear()
    assert [each.reason for each in work.answer(["a" * 31, "b" * 29])] == [UNLIKE, ""]


def test_some_of_what_is_answered_is_watched(tmp_path: Path) -> None:
    work = at_work(tmp_path, watch=0.6)
    (said,) = work.answer(["sure 0.9"])
    assert said.answered and said.ticket
    (kept,) = work.tickets.undelivered()
    assert (kept.why, kept.reason) == ("watched", "")


def test_a_promise_that_no_longer_holds_raises_the_threshold(tmp_path: Path) -> None:
    work = at_work(tmp_path, watch=0.6)
    for number in range(120):
        work.answer([f"{number} 0.{85 + number % 10}"])
        (ticket,) = work.tickets.undelivered()
        wrong = number >= 60 and ticket.confidence < 0.9  # after a change the model is wrong below 0.9
        work.tickets.decide(ticket.item, ANSWERED, "long" if wrong else "short")
        work.watch()
        if not work.holds:
            break
    assert 60 < number < 119 and work.threshold > 0.89
    assert work.health()["holds"] is False
    (said,) = work.answer(["0.85"])
    assert (said.answered, said.reason) == (False, NOT_SURE)
    work.swap(Served(Model(), "version 4", FROM_08))
    assert work.holds and work.threshold == 0.8


def people(work: AtWork, number: int, wrong: bool) -> None:
    """An item comes in that the model is 0.80 to 0.99 sure of, and people say whether it is right."""
    work.answer([f"{number} 0.{80 + number % 20}"])
    (ticket,) = work.tickets.undelivered()
    work.tickets.decide(ticket.item, ANSWERED, "long" if wrong else "short")


def test_a_model_that_may_answer_nothing_learns_from_people_from_when_on_it_may(tmp_path: Path) -> None:
    """All items go to people, so what they say is drawn like the items to come."""
    work = at_work(tmp_path, found=NEVER)
    assert "answers nothing yet" in work.promise
    for number in range(FIRST - 1):
        people(work, number, wrong=False)
    work.watch()
    assert math.isinf(work.threshold)
    for number in range(FIRST - 1, 8 * FIRST):
        people(work, number, wrong=number % 20 < 4)  # wrong below 0.84
    work.watch()
    assert 0.84 <= work.threshold <= 0.9 and "the items that came in" in work.promise
    assert [each.answered for each in work.answer(["sure 0.95", "doubt 0.83"])] == [True, False]
    again = AtWork(work.workspace, work.served, work.tickets, lambda: 0.5)
    assert again.threshold == work.threshold  # after a restart


def test_items_that_wait_for_people_count_for_nothing_and_neither_do_those_behind_them(tmp_path: Path) -> None:
    """What is answered first may be the easiest."""
    work = at_work(tmp_path, found=NEVER)
    work.answer(["hard 0.5"])
    for number in range(2 * FIRST):
        work.answer([f"{number} 0.9"])
    waiting, *rest = work.tickets.undelivered()
    for each in rest:
        work.tickets.decide(each.item, ANSWERED, "short")
    work.watch()
    assert math.isinf(work.threshold)
    work.tickets.decide(waiting.item, ANSWERED, "short")
    work.watch()
    assert work.threshold == 0.5


def test_a_model_that_was_stopped_answers_again_when_people_see_it_right(tmp_path: Path) -> None:
    work = at_work(tmp_path, watch=0.6, wrong=0.2)
    number = 0
    while work.threshold < math.inf:
        people(work, number, wrong=True)
        work.watch()
        number += 1
    said = work.answer(["sure 0.97"])[0]
    assert (said.answered, said.reason) == (False, NOT_SURE)
    assert not work.holds
    work.tickets.decide(work.tickets.undelivered()[0].item, ANSWERED, "short")
    assert said.ticket in [each.id for each in work.tickets.untold()]  # its caller waits
    for later in range(number, number + 150):
        people(work, later, wrong=False)
    work.watch()
    assert 0.8 <= work.threshold < 1 and not work.holds


def test_what_stands_is_kept_for_status_and_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELWISE_HOME", str(tmp_path / "home"))
    here = workspace(tmp_path / "w")
    assert standing(here) is None and not tables.at_work(here).rows
    told: list[str] = []
    held = Tickets(store(here))
    work = AtWork(here, Served(Model(), "version 3", FROM_08), held, lambda: 0.5, told.append)
    work.watch()
    assert told == [f"version 3: {work.promise}"]
    work.answer(["doubt 0.1"])
    found = standing(here)
    assert found is not None and str(found) == f"version 3: {work.promise}; 1 ticket open, 0 answered"
    ((model, promise, holds, *_, waiting, answered),) = tables.at_work(here).rows
    assert (model, promise, holds, waiting, answered) == ("version 3", work.promise, "yes", "1", "0")


def test_a_task_that_was_deleted_is_brought_to_people_once_more(work: AtWork) -> None:
    work.answer(["doubt 0.1", "doubt 0.2"])
    kept, gone = work.tickets.undelivered()
    work.tickets.deliver({kept.item: 8, gone.item: 9})
    project: Any = type("Project", (), {"found": 1, "tasks": lambda *_: pd.DataFrame({"task_id": [8]})})()
    escalation.missing(project, work.tickets)
    assert [each.id for each in work.tickets.undelivered()] == [gone.id]
    assert [each.id for each in work.tickets.waiting()] == [kept.id]


def test_while_label_studio_is_down_tickets_wait_and_each_is_delivered_once(
    work: AtWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took the first request and did not say so; a fault of ours does not end the keeper either."""
    monkeypatch.setattr("labelwise.tasks.answering.at_work.PAUSE_S", 0.01)
    monkeypatch.setattr("labelwise.tasks.answering.at_work.LONGEST_S", 0.02)
    faults: list[Exception] = [ServiceDown("Label Studio does not answer"), ValueError("a secret of ours")]
    seen: list[str] = []

    class Project:
        found, made, out_of_reach = 1, dict[str, int](), True

        def escalated(self, items: Any) -> dict[str, int]:
            return {each: self.made[each] for each in items if each in self.made}

        def add(self, tasks: list[Any]) -> None:
            for each in tasks:
                assert each["data"]["item"] not in self.made
                self.made[each["data"]["item"]] = len(self.made) + 1
            if self.out_of_reach:
                self.out_of_reach = False
                raise ServiceDown("the answer was lost")

        def tab_of_escalated(self) -> str:
            return ""

        def tasks(self, _round: int) -> pd.DataFrame:
            return pd.DataFrame({"task_id": list(self.made.values())})

        def touched(self, _since: Any) -> pd.DataFrame:
            return pd.DataFrame({"task_id": [], "answers": [], "updated_at": []})

        def answered(self, _numbers: list[int]) -> list[Any]:
            return []

    project = Project()

    def opened(_settings: Any) -> Project:
        seen.append(str(work.health()["trouble"]))
        if faults:
            raise faults.pop(0)
        return project

    monkeypatch.setattr("labelwise.tasks.answering.at_work.open_project", opened)
    work.answer(["doubt 0.1", "doubt 0.2", "doubt 0.1"])
    keeper = Keeper(work, lambda: None, "", "")
    keeper.start()
    end = time.monotonic() + 30
    while (work.tickets.undelivered() or work.counts.trouble) and time.monotonic() < end:
        time.sleep(0.01)
    keeper.close()
    assert len(project.made) == 2 and len(work.tickets.waiting()) == 3
    assert "Label Studio does not answer" in seen[1] and "a fault of ours, ValueError" in seen[2]
    assert "secret" not in " ".join(seen) and work.health()["trouble"] is None


def test_another_model_answers_from_the_next_batch_on(client: TestClient, work: AtWork) -> None:
    work.swap(Served(Model(), "version 4", FROM_095))
    said = client.post("/answer", json={"items": ["sure 0.9"]}).json()
    assert (said["model"], said["answers"][0]["reason"]) == ("version 4", NOT_SURE)
    assert client.get("/health").json()["model"] == "version 4"


BAD = [
    (b"{", 400, "expected JSON, got JSONDecodeError"),
    (b'{"items": ["\xff"]}', 400, "expected JSON in UTF-8"),
    (b"[" * 100_000, 400, "expected JSON, got"),
    (b'["text"]', 422, "with one item at least"),
    (b'{"items": []}', 422, "with one item at least"),
    (b'{"items": "text"}', 422, "with one item at least"),
    (b'{"items": [1]}', 422, "expected each item as a string"),
    (b'{"items": [{"image": "x"}]}', 422, "expected each item as a string"),
    (json.dumps({"items": ["a"] * 1001}).encode(), 413, "at most 1,000 items in a request, got 1,001"),
]


@pytest.mark.parametrize(("body", "status", "error"), BAD, ids=[f"{body[:20]!r}" for body, *_ in BAD])
def test_a_request_that_is_none(client: TestClient, body: bytes, status: int, error: str) -> None:
    said = client.post("/answer", content=body)
    assert said.status_code == status
    assert error in said.json()["error"]
    assert client.post("/answer", json={"items": ["sure 0.9"]}).status_code == 200


def test_a_request_that_is_too_large(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BODY", 2**20)
    said = client.post("/answer", content=b"x" * (2**20 + 1))
    assert (said.status_code, said.json()["error"]) == (
        413,
        "expected at most 1 MiB in a request: send fewer items at once",
    )


def test_a_caller_that_goes_away_leaves_no_ticket_and_harms_nobody(client: TestClient, work: AtWork) -> None:
    parts = iter(
        [{"type": "http.request", "body": b'{"items": ["doubt', "more_body": True}, {"type": "http.disconnect"}]
    )
    sent: list[Any] = []

    async def receive() -> Any:
        return next(parts)

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "method": "POST", "path": "/answer", "headers": [], "query_string": b""}
    assert client.portal is not None
    client.portal.call(client.app, scope, receive, send)
    assert sent[0]["status"] == 499 and not work.tickets.waiting()
    assert client.post("/answer", json={"items": ["sure 0.9"]}).status_code == 200


def test_half_a_letter_is_refused_by_itself(client: TestClient) -> None:
    said = client.post("/answer", content=b'{"items": ["\\ud83d", "sure 0.9"]}').json()["answers"]
    assert [each["answered"] for each in said] == [False, True]
    assert said[0]["reason"].startswith("cannot be read")


def test_a_token_is_asked_for_before_anything_else(work: AtWork) -> None:
    with TestClient(application(work, "a secret of ours")) as client:
        for headers in ({}, {"Authorization": "Bearer another"}, {"Authorization": "a secret of ours"}):
            assert client.post("/answer", content=b"{", headers=headers).status_code == 401
            assert client.get("/metrics", headers=headers).status_code == 401
        assert client.get("/health").status_code == 200
        headers = {"Authorization": "Bearer a secret of ours"}
        assert client.post("/answer", json={"items": ["sure 0.9"]}, headers=headers).status_code == 200


def test_no_caller_has_a_file_of_this_machine_read(tmp_path: Path) -> None:
    picture = tmp_path / "cat.png"
    Image.new("RGB", (8, 8), (200, 10, 10)).save(picture)
    written = BytesIO()
    Image.new("RGB", (8, 8), (10, 200, 10)).save(written, "PNG")
    work = at_work(tmp_path / "w", Model(image), kind={"item": "image", "answer": "choice"})
    good = base64.b64encode(written.getvalue()).decode()
    with TestClient(application(work, "")) as client:
        assert client.post("/answer", json={"items": [good, f"data:image/png;base64,{good}"]}).status_code == 200
        refused = client.post("/answer", json={"items": [str(picture)]})
        assert (refused.status_code, refused.json()["error"]) == (422, "expected each picture as base64 of its bytes")
        assert client.post("/answer", json={"items": [base64.b64encode(b"GIF89a").decode()]}).status_code == 422


def test_rows_come_as_objects(tmp_path: Path) -> None:
    pull = PULL.model_copy(update={"columns": Columns(features={"age": "number", "town": "category"})})
    sources = {"pool": "p", "gold": "g", "columns": {"features": {"age": "number", "town": "category"}}}
    work = at_work(tmp_path, Model(row, pull=pull), kind={"item": "row", "answer": "choice"}, pull=sources)
    with TestClient(application(work, "")) as client:
        said = client.post("/answer", json={"items": [{"age": 3, "town": "Ulm"}]}).json()
        assert said["answers"][0]["label"] in ("long", "short")
        assert "no column 'town'" in client.post("/answer", json={"items": [{"age": 3}]}).json()["error"]
        assert client.post("/answer", json={"items": ["age"]}).status_code == 422


def test_several_labels_come_as_a_list(tmp_path: Path) -> None:
    work = at_work(tmp_path, Model(answer=multilabel), kind={"item": "text", "answer": "multilabel"})
    with TestClient(application(work, "")) as client:
        assert client.post("/answer", json={"items": ["sure 0.9"]}).json()["answers"][0]["label"] == ["short"]


def test_metrics_and_description(client: TestClient) -> None:
    client.post("/answer", json={"items": ["sure 0.9", "doubt 0.1", "\x00"]})
    client.post("/answer", content=b"")
    told = client.get("/metrics").text
    for line in (
        'labelwise_items_total{result="answered"} 1.0',
        'labelwise_items_total{result="not sure"} 1.0',
        'labelwise_items_total{result="cannot be read"} 1.0',
        'labelwise_refused_requests_total{status="400"} 1.0',
        'labelwise_tickets{state="open"} 1.0',
        "labelwise_promise_holds 1.0",
    ):
        assert line in told
    described = client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1") and {"/answer", "/tickets/{ticket}"} <= described["paths"].keys()


def test_requests_that_wait_are_read_together_and_a_bad_one_harms_no_other() -> None:
    read: list[list[str]] = []
    begun, gate = threading.Event(), threading.Event()

    def answer(items: list[str]) -> list[str]:
        read.append(items)
        begun.set()
        gate.wait(10)  # until the others have come
        if "bad" in items:
            raise RuntimeError("no answer")
        return [item.upper() for item in items]

    async def play() -> list[Any]:
        batcher: Batcher[str, str] = Batcher(answer)
        work = asyncio.create_task(batcher.run())
        first = asyncio.create_task(batcher.ask(["a"]))
        await asyncio.to_thread(begun.wait, 10)
        later = [asyncio.create_task(batcher.ask(items)) for items in (["b", "c"], ["bad"], ["d"])]
        await asyncio.sleep(0)
        later[2].cancel()  # a caller that went away
        gate.set()
        found = await asyncio.gather(first, *later, return_exceptions=True)
        work.cancel()
        return found

    first, good, bad, gone = asyncio.run(play())
    assert (first, good) == (["A"], ["B", "C"])
    assert str(bad) == "no answer" and isinstance(gone, asyncio.CancelledError)
    assert read[1] == ["b", "c", "bad", "d"]


def test_rules_of_a_pull_hold_here_too() -> None:
    cells = ["fine", "", "a\0b", "x" * 11, "\udcff"]
    assert faults(text, cells, 10) == [
        "",
        "text is blank",
        "text has a NUL",
        "text has more than 10 characters",
        "row is not UTF-8",
    ]


def test_what_people_said_before_is_the_answer_to_a_new_ticket(work: AtWork) -> None:
    (first,) = work.answer(["doubt 0.1"])
    (ticket,) = work.tickets.undelivered()
    work.tickets.decide(ticket.item, ANSWERED, "long")
    (second,) = work.answer(["doubt 0.1"])
    nobody: Any = type("Project", (), {"found": None})()
    escalation.deliver(work.settings, nobody, work.tickets)
    found = work.tickets.get(second.ticket)
    assert found is not None and (found.state, found.answer) == (ANSWERED, "long")
    assert not work.tickets.undelivered() and first.ticket != second.ticket


def test_an_answer_that_was_there_before_its_ticket_is_taken(work: AtWork) -> None:
    """The tickets' file was lost, say, and Label Studio has the answer for long."""
    work.answer(["doubt 0.1"])
    (ticket,) = work.tickets.undelivered()
    given = {"id": 9, "annotations": [{"id": 1, "completed_by": 7, "result": choice.result("long")} | SAID]}

    class Project:
        found = 1

        def escalated(self, items: Any) -> dict[str, int]:
            return dict.fromkeys(items, 9)

        def tab_of_escalated(self) -> str:
            return ""

        def touched(self, since: pd.Timestamp | None) -> pd.DataFrame:
            assert since is not None
            return pd.DataFrame({"task_id": [], "answers": [], "updated_at": []})

        def answered(self, task_ids: list[int]) -> list[dict[str, Any]]:
            assert task_ids == [9]
            return [given]

    project: Any = Project()
    fresh = escalation.deliver(work.settings, project, work.tickets)
    moment = pd.Timestamp("2026-01-01T00:00:00Z")
    decided, read_to = escalation.collect(work.settings, project, work.tickets, moment, fresh)
    assert [each.id for each in decided] == [ticket.id] and read_to == moment
    found = work.tickets.get(ticket.id)
    assert found is not None and found.answer == "long"
