"""`labelwise finish`: what it would take, and taking it back. The rest are rounds of the loop."""

from collections.abc import Callable

from labelwise.tasks import finish
from labelwise.tasks.services import player
from labelwise.tasks.services.versions import differences
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.workspace import Workspace, claimed

ABANDON = "finish --abandon"


def forecast(workspace: Workspace, wrong: float, confidence: float) -> list[str]:
    """What it would take, with the model of now, a line a share of wrong labels. Nothing is changed."""
    finish.refuse_untrained(workspace)
    finish.wanted(workspace, wrong, confidence)  # is it a share, and not done yet?
    lines = [f"with {100 * confidence:g} % confidence, by the model of now:"]
    for each in finish.forecasts(workspace, confidence, [*finish.CURVE, wrong]):
        lines.append(f"{'->' if each.wrong == wrong else '  '} {each}")
    return [*lines, *filter(None, [finish.by_head(workspace)])]


def abandon(workspace: Workspace, tell: Callable[[str], None]) -> str:
    """Take the plan back, in a workspace that no loop holds, as a version of its own. Returns a line for people."""
    with claimed(workspace) as claim:
        versions = Versions(workspace.root)
        if claim.loop_unfinished:  # whoever plays next puts in order what that left
            claim.leave()
        else:
            if claim.unfinished_command != ABANDON:
                claim.refuse_unfinished()
            claim.begin(command=ABANDON)
        differences.refuse_side_tracks(versions)
        player.entitled(workspace, versions, tell)
        said = finish.abandon(workspace)
        versions.save(f"finish: {said}", only=["params.yaml", "metrics/finish.json"])
    return said
