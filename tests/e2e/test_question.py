"""Whether to stop, asked in Prefect's page while the loop waits for its reviewers; a real Prefect server, a form filled
in as its page does."""

import threading
from typing import Any

import pytest

from labelwise.tasks import stop
from labelwise.tasks.proof.stopping import Advice
from labelwise.tasks.reporting import status
from tests.e2e.conftest import Make, Source, answer, play
from tests.waiting import until

PATIENCE = 120


@pytest.fixture(autouse=True)
def stopping_is_advised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "advice", lambda _workspace: Advice(True, "no batch pays"))


def paused() -> Any:
    """The run that asks now, or None. Prefect is imported late, when its address is in the environment."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType

    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED]))
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=state))
    return runs[0] if runs else None


def test_a_person_stops_the_loop_and_lets_it_go_on(make: Make, source: Source) -> None:
    from prefect.client.orchestration import get_client

    workspace = make(select__batch=3)
    assert play(workspace, max_wait=0).startswith("0 of 3 answered")  # a run on schedule asks nobody
    assert paused() is None
    ended: list[str] = []

    def start() -> threading.Thread:
        waiting = threading.Thread(target=lambda: ended.append(play(workspace, 1, PATIENCE)))
        waiting.start()
        return waiting

    # In Prefect's page: the form is there, and only its own answers are taken.
    waiting = start()
    run = until(paused, PATIENCE)
    assert run.state.message == "no batch pays"
    with get_client(sync_client=True) as client:
        assert client.resume_flow_run(run.id, run_input={"answer": "perhaps"}).status.value == "REJECT"
        assert client.resume_flow_run(run.id, run_input={"answer": "stop"}).status.value == "ACCEPT"
    waiting.join(PATIENCE)
    assert ended.pop().startswith("stopped, as you said")
    assert status.status(workspace).answer == stop.STOP

    # A loop that is started again remembers, and asks nobody.
    assert play(workspace, 1, PATIENCE).startswith("stopped, as you said")

    # By a command, while the loop waits; then the reviewers' answers are taken in though nobody answers the question.
    stop.run(workspace, "")
    waiting = start()
    until(paused, PATIENCE)
    stop.run(workspace, stop.STOP)
    waiting.join(PATIENCE)
    assert ended.pop().startswith("stopped, as you said")
    assert paused() is None
    stop.run(workspace, "")
    waiting = start()
    until(paused, PATIENCE)
    answer(workspace, source)
    waiting.join(PATIENCE)
    assert ended.pop() == "the next batch is with the reviewers"
    assert paused() is None
    assert status.status(workspace).round == 1

    # Told to go on, it does not ask again.
    stop.run(workspace, stop.GO_ON)
    assert play(workspace, 1, 1).startswith("0 of 3 answered")
    assert status.status(workspace).answer == stop.GO_ON
