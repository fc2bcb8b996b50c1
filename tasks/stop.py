"""Whether to stop: what the rule and the limits of the settings advise, and what a person answered to that.

The answer is a tag of the workspace's MLflow experiment, with the advice it was given to, and holds until the advice is
another one. So a loop that is started again, here or elsewhere, does not ask the same again.
"""

from dataclasses import dataclass

from labelwise.tasks import report
from labelwise.tasks.promote import open_tracking
from labelwise.tasks.workspace import Workspace

STOP, GO_ON = "stop", "go on"
HOW = "`labelwise stop` ends the loop, `labelwise go-on` lets it go on and ask no more"


@dataclass(frozen=True)
class Advised:
    """cause: the rule or limit that advises to stop, '' when none does. why: in words. act: `stop.act`."""

    cause: str
    why: str
    act: str = "advise"

    @property
    def key(self) -> str:
        """What an answer is kept with: the advice without its figures, which change from round to round."""
        return f"{self.act}, {self.cause or 'go on'}"

    @property
    def words(self) -> str:
        """For people."""
        return f"{STOP if self.cause else GO_ON}: {self.why}"

    def verdict(self, answer: str) -> str:
        """Why the loop ends, '' when it goes on. A person's answer counts for more than `stop.act: stop`."""
        if answer == STOP:
            return f"stopped, as you said (`labelwise go-on` takes it up again): {self.why}"
        if self.cause and self.act == "stop" and not answer:
            return f"stopped by the rule of params.yaml: {self.why}"
        return ""


def advised(workspace: Workspace) -> Advised:
    """What rule and limits say now."""
    found, limit, settings = report.advice(workspace), report.limit(workspace), workspace.settings.stop
    cause = limit or (settings.rule if found.stop else "")
    return Advised(cause, limit or found.why, settings.act)


class Answers:
    """What a person said to the advice of one workspace. ServiceDown when MLflow does not answer."""

    def __init__(self, workspace: Workspace) -> None:
        self.tracking = open_tracking(workspace.settings)

    def to(self, advice: Advised) -> str:
        """STOP, GO_ON, or '' when nobody has answered this advice."""
        return answer_to(advice, self.tracking.remembered())

    def keep(self, said: str, advice: Advised) -> None:
        """Keep an answer; the one before it is forgotten."""
        self.tracking.remember({"labelwise.answer": said, "labelwise.answered": advice.key})

    def forget_others(self, advice: Advised) -> None:
        """Forget an answer that was given to other advice: when that comes again, it is asked again."""
        said, key = self._kept()
        if said and key != advice.key:
            self.keep("", advice)

    def of_now(self, advice: Advised) -> str:
        """What `to` gives, once an answer to other advice is forgotten."""
        self.forget_others(advice)
        return self.to(advice)

    def _kept(self) -> tuple[str, str]:
        return _answer(self.tracking.remembered())


def answer_to(advice: Advised, remembered: dict[str, str]) -> str:
    """What was answered to this advice: STOP, GO_ON, or '' for nothing. remembered: the experiment's tags."""
    said, key = _answer(remembered)
    return said if key == advice.key else ""


def _answer(remembered: dict[str, str]) -> tuple[str, str]:
    return remembered.get("labelwise.answer", ""), remembered.get("labelwise.answered", "")


def run(workspace: Workspace, said: str) -> str:
    """Keep what a person says: STOP or GO_ON. Returns a line for people."""
    advice = advised(workspace)
    Answers(workspace).keep(said, advice)
    done = "the loop ends at its next look" if said == STOP else "the loop goes on"
    return f"{said}: kept until the advice changes; {done}. The advice is to {advice.words}"
