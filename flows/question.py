"""Whether to stop, asked as an input of the Prefect run: while the question is open the run is paused, and its page has
a form. Nobody need answer: the loop looks on at the reviewers meanwhile."""

from types import TracebackType
from typing import Any, Literal
from uuid import uuid4

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException
from prefect.input import RunInput, keyset_from_paused_state
from prefect.states import Paused, Running

A_YEAR = 365 * 24 * 3600  # Prefect fails a run whose pause has ended


class Answer(RunInput):
    """The form."""

    answer: Literal["go on", "stop"] = "go on"


class Question:
    """Asked for as long as the block runs; then the run goes on, answered or not.

    Prefect is where it is asked, not what the loop rests on: when it does not answer, nobody is asked.
    """

    def __init__(self, why: str) -> None:
        self.why = why
        context = FlowRunContext.get()
        self.run_id = context.flow_run.id if context and context.flow_run else None
        self.state: State = Paused(timeout_seconds=A_YEAR, reschedule=False, pause_key=uuid4().hex, message=why)
        self.keys = keyset_from_paused_state(self.state)
        self.state.state_details.run_input_keyset = self.keys  # type: ignore[assignment]
        self.open = False

    def __enter__(self) -> "Question":
        if self.run_id is None:
            return self
        try:
            form = Answer.with_initial_data(description=f"Stopping is advised: {self.why}. Stop, or go on?")
            form.save(self.keys, self.run_id)
            with get_client(sync_client=True) as client:
                client.set_flow_run_state(self.run_id, self.state)
            self.open = True
        except (httpx.HTTPError, PrefectException):
            pass
        return self

    def look(self) -> str:
        """What has been answered since the last look: `stop`, `go on`, or '' for nothing."""
        if not self.open or self.run_id is None:
            return ""
        try:
            with get_client(sync_client=True) as client:
                state = client.read_flow_run(self.run_id).state
            if state is None or not state.is_running():
                return ""
            self.open = False
            answer: Any = Answer.load(self.keys, self.run_id)  # in a sync flow it is no coroutine
            return str(answer.answer)
        except (httpx.HTTPError, PrefectException):
            return ""

    def close(self) -> None:
        """Take the form away: the run goes on."""
        if not self.open or self.run_id is None:
            return
        self.open = False
        try:
            with get_client(sync_client=True) as client:
                client.set_flow_run_state(self.run_id, Running())
        except (httpx.HTTPError, PrefectException):
            pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
