"""The model at work, on the real servers: an item that it does not answer is answered in a browser, the ticket has it,
and the next round has learned it. Killed in between, nothing is lost."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from playwright.sync_api import Page, expect

from labelwise.tasks.answering import escalation
from labelwise.tasks.answering.tickets import Tickets, store
from labelwise.tasks.kinds import text
from labelwise.tasks.kinds.choice import result as choice
from labelwise.tasks.labels import ledger
from labelwise.tasks.reporting.status import status
from labelwise.tasks.services.label_studio.accounts import Reviewer
from labelwise.tasks.services.label_studio.project import labelling, open_project
from labelwise.tasks.services.mlflow import open_tracking
from labelwise.tasks.workspace import Workspace
from tests.e2e.conftest import Make, Source, command, play, play_rounds, rows
from tests.e2e.test_browser import given, instructions, sign_in
from tests.waiting import until

README = Path(__file__).parents[2] / "README.md"
SECRET = "a secret of the tests"
NEW = "The minister told parliament that the committee had voted for the new bill on housing."


@contextmanager
def answering(workspace: Workspace, *words: str) -> Iterator[tuple[httpx.Client, "subprocess.Popen[str]"]]:
    """`labelwise answer` as a process of its own, and a client of it."""
    line = [sys.executable, "-P", "-m", "labelwise.flows.cli", "answer", "--workspace", str(workspace.root)]
    environment = os.environ | {"LABELWISE_WEBHOOK_SECRET": SECRET}
    process = subprocess.Popen(
        [*line, "--listen", "127.0.0.1:0", *words], stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stderr is not None
    said = []
    try:
        for line_said in process.stderr:
            said.append(line_said)
            if " answers at http://" in line_said:
                break
        else:
            raise AssertionError("".join(said))
        Thread(target=process.stderr.read, daemon=True).start()
        address = said[-1].split(" answers at ")[1].split(": ")[0]
        with httpx.Client(base_url=address, timeout=60) as client:
            yield client, process
    finally:
        process.terminate()
        assert process.wait(60) in (0, -signal.SIGKILL)


@contextmanager
def listening() -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    """A caller's webhook, and what it was told. It is out of order the first time."""
    told: list[tuple[str, str, bytes]] = []
    broken = [True]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = 503 if broken and broken.pop() else 200
            if status == 200:
                told.append((self.headers[escalation.SIGNATURE], self.headers[escalation.MOMENT], body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/told", told
    server.shutdown()


def as_displayed(page: Page, tab: str) -> None:
    """Begin to label the tasks of a tab alone: *Label All Tasks* shows those of all tabs."""
    page.goto(tab)
    page.get_by_role("button", name="Toggle open").click()
    page.get_by_text("Label Tasks As Displayed").click()
    told = instructions(page)
    page.keyboard.press("Escape")
    expect(told).to_be_hidden()


def of_the_readme(address: str) -> str:
    """The README's question, for the service at this address."""
    (line,) = re.findall(r"^curl .*$", README.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert "http://127.0.0.1:8900/" in line
    return line.replace("http://127.0.0.1:8900", address)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_an_item_that_is_not_answered_is_answered_in_a_browser(make: Make, source: Source, page: Page) -> None:
    workspace = make(stop__rule="none", train__learner="frozen", evaluate__resamples=100, answer__watch=0)
    refused = command("answer", "--workspace", str(workspace.root))
    assert refused.returncode != 0 and "there is no champion yet" in refused.stderr
    play_rounds(workspace, source, 1)
    project = open_project(workspace.settings)
    with listening() as (hook, told):
        with answering(workspace, "--webhook", hook) as (client, process):
            health = client.get("/health").json()
            assert health["answers_from"] is None and "it answers nothing yet" in health["promise"]
            said = client.post("/answer", json={"items": [NEW, NEW, " "]}).json()["answers"]
            assert [each["answered"] for each in said] == [False] * 3
            assert said[0]["reason"] == "not sure" and said[0]["ticket"] != said[1]["ticket"]
            tickets = [each["ticket"] for each in said[:2]]
            asked = subprocess.run(["bash", "-c", of_the_readme(str(client.base_url))], capture_output=True, check=True)
            assert json.loads(asked.stdout)["answers"][0]["reason"] == "not sure"
            process.kill()  # whether or not Label Studio has it by now
            process.wait()
        with answering(workspace, "--webhook", hook) as (client, _):
            until(lambda: bool(project.escalated([text.identify(NEW)])))
            assert len(project.tasks(0)) == 3  # the README's two, and NEW once, whoever was killed
            seen = status(workspace)
            assert f"version 1 (round-0001): {health['promise']}" in seen.at_work
            assert seen.beside == f"answer 3 escalated: {labelling(project.tab_of_escalated())}"
            sign_in(page, project.url)
            as_displayed(page, project.tab_of_escalated())
            expect(page.get_by_text(NEW)).to_be_visible()
            page.locator("label", has_text="politics").first.click()
            with given(page):
                page.get_by_test_id("bottombar-submit-button").click()
            until(lambda: all(client.get(f"/tickets/{name}").json()["state"] == "answered" for name in tickets))
            assert {client.get(f"/tickets/{name}").json()["label"] for name in tickets} == {"politics"}
            until(lambda: len(told) == 2)
            for signature, moment, body in told:
                assert signature == escalation.signed(SECRET, moment, body)
                assert json.loads(body)["label"] == "politics"

            # The next round has the label, and a champion that has learned it is taken at once.
            before = client.get("/health").json()["model"]
            play_rounds(workspace, source, 1)
            (row,) = rows(workspace).query("origin == 'escalated'").to_dict("records")
            assert (row["id"], row["label"], row["round"]) == (text.identify(NEW), "politics", 0)
            assert row["id"] in set(ledger.effective(ledger.today(workspace)).id)
            tracking = open_tracking(workspace.settings)
            champion = tracking.champion()
            (other,) = {*tracking.models().version} - {champion.version if champion else ""}
            tracking.crown(other)

            def taken() -> bool:
                """Whoever asks meanwhile gets an answer."""
                assert client.post("/answer", json={"items": [NEW]}).status_code == 200
                return bool(client.get("/health").json()["model"] != before)

            until(taken)
    play(workspace)
    forgotten = command("forget", text.identify(NEW), "--yes", "--workspace", str(workspace.root))
    assert forgotten.returncode == 0, forgotten.stderr
    held = Tickets(store(workspace))
    assert not held.get(tickets[0]) and not project.tasks_of([text.identify(NEW)])
    held.close()
    whole = command("audit", "--workspace", str(workspace.root))
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert not status(Workspace.open(workspace.root)).problems


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_what_people_say_of_its_items_is_learned_before_the_next_round(make: Make, source: Source) -> None:
    """A class that people keep for themselves: its items go to Label Studio, and the answers move the model at once."""
    at_work = {"answer__watch": 0, "answer__online": True, "answer__wrong": 0.4, "answer__never": ["politics"]}
    workspace = make(stop__rule="none", train__learner="frozen", evaluate__resamples=100, **at_work)
    play_rounds(workspace, source, 1)
    project = open_project(workspace.settings)
    asked = [NEW, *(f"The {who} of the opposition party voted against the bill in parliament." for who in LEADERS)]
    with answering(workspace) as (client, _):
        before = client.get("/health").json()
        said = client.post("/answer", json={"items": asked}).json()["answers"]
        kept = [text.identify(item) for item, each in zip(asked, said, strict=True) if not each["answered"]]
        assert len(kept) >= 3
        until(lambda: len(project.escalated(kept)) == len(kept))
        for task in project.escalated(kept).values():
            Reviewer(1).answer(task, choice("politics"), 1.0)
        until(lambda: " answers since" in client.get("/health").json()["model"])
        after = client.get("/health").json()
        assert after["model"].startswith(before["model"])
        assert after["answers_from"] is not None
    assert rows(workspace).origin.eq("escalated").sum() == 0  # the ledger has them with the next round


LEADERS = ("leader", "chairman", "spokesman", "founder", "treasurer")
