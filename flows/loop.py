"""The loop: learn from the labels there are, choose a batch, bring it to the reviewers, wait, keep what they say.

What has been done is what git, DVC, Label Studio and MLflow say. A stage whose inputs are unchanged is skipped, a push
finds what is there, a wait looks again; so to resume is to run again.
"""

from itertools import count

from prefect import flow

from flows.steps import Steps
from tasks.services.dvc import Versions
from tasks.workspace import Workspace, claimed


@flow(name="loop", flow_run_name="loop {workspace}", validate_parameters=False)
def loop(workspace: str = ".", rounds: int | None = None, max_wait: float | None = None) -> str:
    """Play `rounds` rounds (None: till the pool is empty), waiting `max_wait` seconds for each (None: for ever).

    `max_wait=0` does all that can be done now and ends well: what a schedule calls. Returns why it ended.
    """
    here = Workspace.open(workspace)
    with claimed(here) as claim:
        steps = Steps(here, Versions(here.root))
        steps.check(claim.unfinished)
        claim.begin()
        for played in count():
            if not steps.learned():
                learn(steps)
            if steps.nothing_to_ask():
                if not steps.anything_new():
                    return "the pool is empty: nothing is left to ask"
                steps.snapshot_labels()
                continue
            if reason := steps.told_to_stop():
                return reason
            steps.push()
            if played == rounds:
                return "the next batch is with the reviewers"
            answers = steps.wait(max_wait)
            if not answers.complete:
                return str(answers)
            steps.snapshot_labels()
    raise AssertionError("the loop has no other end")


def learn(steps: Steps) -> None:
    """Train on every label so far, measure, choose whom to ask next; kept as one version, tagged with the round."""
    steps.pull()
    for stage in ("embed", "train", "evaluate", "score", "select", "prove"):
        steps.reproduce(stage)
    steps.promote()
    steps.report()
    steps.snapshot_round()
