"""The loop: learn from the labels there are, choose a batch, bring it to the reviewers, wait, keep what they say.

What has been done is what git, DVC, Label Studio and MLflow say. A stage whose inputs are unchanged is skipped, a push
finds what is there, a wait looks again; so to resume is to run again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from uuid import UUID

import httpx
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run
from prefect.states import Crashed

from labelwise.flows.stages import REPRODUCIBLE
from labelwise.flows.steps import Steps
from labelwise.tasks import made_with
from labelwise.tasks.errors import LabelwiseError
from labelwise.tasks.labels import ledger
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace, claimed


def run_name() -> str:
    """What Prefect's page calls a run: the project and the round that it begins in."""
    given = str(flow_run.parameters.get("workspace", "."))
    try:
        here = Workspace.open(given)
        return f"{here.settings.project.name}, round {ledger.current_round(here.labels)}"
    except LabelwiseError:  # the run itself says it
        return f"loop {given}"


@flow(name="loop", flow_run_name=run_name, validate_parameters=False)
def loop(
    workspace: str = ".",
    rounds: int | None = None,
    max_wait: float | None = None,
    take_over: bool = False,
    lost: bool = False,
) -> str:
    """Play `rounds` rounds (None: until the pool is empty), waiting `max_wait` seconds for each (None: forever).

    `max_wait=0` does all that can be done now and ends well: what a schedule calls. take_over, lost: see
    `player.Play.refuse`. Returns why it ended.
    """
    with begun(workspace, take_over, lost) as steps:
        return play(steps, rounds, max_wait)


@flow(name="finish", flow_run_name=run_name, validate_parameters=False)
def finish(workspace: str, wrong: float, confidence: float, max_wait: float | None = None) -> str:
    """Have the pool labelled to its end, at most the share `wrong` of it wrongly, with this confidence, see
    tasks/finish.py. It is the loop's rounds, with a plan in force. Returns why it ended."""
    with begun(workspace) as steps:
        steps.begin_finish(wrong, confidence)
        return play(steps, None, max_wait)


@contextmanager
def begun(workspace: str, take_over: bool = False, lost: bool = False) -> Iterator[Steps]:
    """The steps in a workspace that is held meanwhile, once all is in order."""
    here = Workspace.open(workspace)
    with claimed(here) as claim:
        steps = Steps(here, Versions(here.root))
        steps.check(claim.unfinished, claim.loop_unfinished, take_over=take_over, lost=lost)
        declare_dead(claim.unfinished_run)
        claim.begin(flow_run.id or "")
        steps.upgrade()
        yield steps


def play(steps: Steps, rounds: int | None, max_wait: float | None) -> str:
    """Rounds, from where the workspace stands."""
    for played in count():
        if not steps.learned():
            steps.go_on_playing()
            learn(steps)
        if steps.finishing and steps.nothing_to_ask():
            promise = steps.finish()
            steps.snapshot_labels()
            learn(steps)  # all that people said meanwhile
            return promise
        rests = steps.finished and rounds is None  # whoever names rounds wants them
        if rests or steps.nothing_to_ask():
            if not steps.anything_new():
                return steps.finished or "the pool is empty: nothing is left to ask"
            steps.snapshot_labels()
            continue
        if reason := steps.told_to_stop():
            return reason
        steps.go_on_playing()
        steps.push()
        if rounds is not None and played >= rounds:
            return "the next batch is with the reviewers"
        answers = steps.wait(max_wait)
        if not answers.complete:
            return str(answers)
        steps.go_on_playing()
        steps.snapshot_labels()
    raise AssertionError("the loop has no other end")


def learn(steps: Steps) -> None:
    """Train on every label so far, measure, choose whom to ask next; kept as one version, tagged with the round."""
    steps.workspace.reread()
    made_with.note(steps.workspace.root)
    steps.pull()
    for stage in REPRODUCIBLE:
        if stage == "agree":
            steps.run_rules()
            steps.ask_llm()
        if stage == "select":
            steps.plan_finish()
        steps.reproduce(stage)
    steps.promote()
    steps.report()
    steps.snapshot_round()


def declare_dead(run_id: str) -> None:
    """Tell Prefect that the process of an earlier run is gone: it cannot know, and would show it as running forever.
    The loop does not rest on that, so a Prefect that does not listen is no error."""
    if not run_id:
        return
    gone: Any = Crashed(message="its process died; the next run of the loop went on from where it was")
    try:
        run = UUID(run_id)
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(run).state
            if state is None or not state.is_final():
                client.set_flow_run_state(run, gone, force=True)
    except (httpx.HTTPError, PrefectException, ValueError):  # the last: what was noted is no id of Prefect's
        pass
