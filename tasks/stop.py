"""Whether to stop: what the rule and the limits of the settings advise, and what a person answered to that.

The answer is a tag of the workspace's MLflow experiment, with the advice it was given to, and holds until the advice is
another one. So a loop that is started again, here or elsewhere, does not ask the same again.
"""

from dataclasses import dataclass

from labelwise.tasks import figures, kinds
from labelwise.tasks.labels import ledger, renamed
from labelwise.tasks.proof import prevalence, stopping
from labelwise.tasks.proof.money import spending
from labelwise.tasks.records import probabilities
from labelwise.tasks.services.mlflow import open_tracking
from labelwise.tasks.settings import one_of
from labelwise.tasks.workspace import Workspace, read_parquet

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
    found, reached, settings = advice(workspace), limit(workspace), workspace.settings.stop
    cause = reached or (settings.rule if found.stop else "")
    return Advised(cause, reached or found.why, settings.act)


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
        return _remembered_answer(self.tracking.remembered())


def answer_to(advice: Advised, remembered: dict[str, str]) -> str:
    """What was answered to this advice: STOP, GO_ON, or '' for nothing. remembered: the experiment's tags."""
    said, key = _remembered_answer(remembered)
    return said if key == advice.key else ""


def _remembered_answer(remembered: dict[str, str]) -> tuple[str, str]:
    return remembered.get("labelwise.answer", ""), remembered.get("labelwise.answered", "")


def run(workspace: Workspace, said: str) -> str:
    """Keep what a person says: STOP or GO_ON. Returns a line for people."""
    advice = advised(workspace)
    Answers(workspace).keep(said, advice)
    done = "the loop ends at its next look" if said == STOP else "the loop goes on"
    return f"{said}: kept until the advice changes; {done}. The advice is to {advice.words}"


def advice(workspace: Workspace) -> stopping.Advice:
    """Whether to stop, by the rule of the settings."""
    settings = workspace.settings
    if settings.stop.rule == stopping.RECALL:
        there, wanted = prevalence.counted(workspace), settings.stop
        return stopping.recall(there, settings.measure.of, wanted.recall, wanted.absent)
    rule = one_of("stop.rule", settings.stop.rule, stopping.RULES)
    rounds = figures.curve(workspace)
    history = rounds.dropna(subset="score").reset_index(drop=True)
    paid = spending(workspace)
    if paid.label is None and settings.stop.rule == "value":
        return stopping.Advice(False, "nobody knows yet how long an answer takes")
    if history.empty:
        why = f"{settings.measure.words} is not measured yet" if figures.trained(rounds) else "no model yet"
        return stopping.Advice(False, why)
    a_round = paid.compute / len(history)
    batch = (paid.label or 0.0) * float(history.asks.iloc[-1]) + a_round
    found: stopping.Advice = rule(history, stopping.Prices(batch, settings.prove.point_worth, worth_found(workspace)))
    return found


def worth_found(workspace: Workspace) -> float:
    """What the items of the measured class are worth that the open batch should hold, as the model has it."""
    settings = workspace.settings
    if not settings.prove.found_worth or not workspace.batch.exists() or not workspace.scores.exists():
        return 0.0
    asked, scores = read_parquet(workspace.batch, columns=["id"]), read_parquet(workspace.scores)
    from labelwise.tasks.learners import load  # torch with it

    kept, classes = probabilities(scores[scores.id.isin(asked.id)]), load(workspace.model).classes
    found = renamed.chances(kinds.answer(settings.kind.answer).chances(kept), classes, settings).get(
        settings.measure.of
    )
    return 0.0 if found is None else settings.prove.found_worth * float(found.fillna(0.0).sum())


def limit(workspace: Workspace) -> str:
    """Which limit of the settings has been reached, in words; '' while none has."""
    stop, paid = workspace.settings.stop, spending(workspace).total
    rows = ledger.today(workspace)
    reached = {
        "max_rounds": (ledger.current_round(workspace.labels), stop.max_rounds),
        "max_labels": (len(ledger.effective(rows)), stop.max_labels),
        "max_cost": (paid, stop.max_cost),
    }
    return next(
        (f"stop.{name} ({most}) is reached" for name, (now, most) in reached.items() if most and now >= most), ""
    )
