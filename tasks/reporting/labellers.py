"""Who should label the next hundred: people, the model that they have taught, rules, a language model; each by how
often it is right and what it costs."""

from labelwise.tasks import figures
from labelwise.tasks.errors import quantity
from labelwise.tasks.kinds import choice
from labelwise.tasks.labels import ledger, weak
from labelwise.tasks.labels.judged import Judged, Spoken, judge, of_control_arm
from labelwise.tasks.proof import money
from labelwise.tasks.reporting.tables import Table
from labelwise.tasks.workspace import Workspace

TITLE = "Who should label the next hundred"
FEW = 10  # items of the control arm; of fewer no advice is given
HEAD = ["who", "right", "95 % interval", "measured by", "a hundred labels cost"]
NOTHING = "nothing more"


def table(workspace: Workspace) -> Table:
    """The table; empty where neither rules nor a language model have labelled anything. A language model is measured by
    the control arm, a rule by all that people have labelled: it says something of few items."""
    rows = weak.read(workspace)
    if rows.empty:
        return Table("", [], [])
    metrics = figures.headline(workspace)
    cells = [["people", "", "", "what all others are measured by", _of_people(workspace)]]
    if "score" in metrics:
        right, ends = f"{metrics['score']:.1%}", f"{metrics['score_low']:.1%} to {metrics['score_high']:.1%}"
        cells.append(["the model that they have taught", right, ends, "the gold set", NOTHING])
    spoken = [Spoken(str(name), own[["id", "label"]]) for name, own in rows.groupby("source")]
    models = [each for each in spoken if each.name.startswith(weak.LLM)]
    rules = [each for each in spoken if each.name.startswith(weak.RULE)]
    found = judge(workspace, models, of_control_arm(workspace))
    for each in found:
        cells.append([each.name, *_measured(each, "item of the control arm"), _of_model(workspace, each.name)])
    for each in judge(workspace, rules, ledger.effective(ledger.today(workspace))):
        cells.append([each.name, *_measured(each, "label of people"), NOTHING])
    if workspace.settings.kind.answer == choice.NAME:
        said = " ".join([*(advice(each, metrics) for each in found), together(figures.weakly(workspace))]).rstrip()
    else:
        said = "A model is judged by its mean score of an item, the others by whether what they name holds."
    return Table(TITLE, HEAD, cells, said)


def advice(found: Judged, metrics: dict[str, float]) -> str:
    """About a language model, in a sentence or two. metrics: of the model that people have taught, see
    `figures.headline`."""
    name = found.name.removeprefix(weak.LLM)
    if found.low is None or found.high is None or found.judged < FEW:
        return f"{name}: measured on {quantity(found.judged, 'item')} of the control arm, too few to tell."
    if "score" not in metrics:
        return f"{name} is right of {found.low:.0%} to {found.high:.0%}; there is no model yet to compare it with."
    if found.high < metrics["score_low"]:
        return (
            f"{name} is right less often than the model that people have taught: do not bother to ask it more. What it "
            "said counts as little as people's labels show it to be worth."
        )
    if found.low > metrics["score_high"]:
        return f"{name} is right more often than the model that people have taught: let it label more (`llm.items`)."
    return f"{name} and the model that people have taught cannot be told apart yet."


def together(found: dict[str, float | None]) -> str:
    """What people and weak labels teach together, in a sentence; '' where nobody knows. found: see `figures.weakly`."""
    labels, alone, beside, low, high = (found.get(name) for name in ("labels", "alone", "beside", "low", "high"))
    if not labels or alone is None or beside is None or low is None or high is None:
        return ""
    of = f"Of {quantity(int(labels), 'label')} of people, each held out, a model of the others"
    said = f"{of} says {alone:.1%} rightly"
    if not found.get("weight"):
        return f"{said}; weak labels beside them teach it nothing more."
    return f"{said}, and {beside:.1%} with weak labels beside them ({low:+.1%} to {high:+.1%})."


def _measured(each: Judged, by: str) -> list[str]:
    if each.low is None or each.high is None:
        return ["not measured yet", "", f"no {by}"]
    head, _, rest = by.partition(" ")
    of = f"{quantity(each.judged, head)} {rest}"
    return [f"{each.right / each.judged:.1%}", f"{each.low:.1%} to {each.high:.1%}", of]


def _of_people(workspace: Workspace) -> str:
    """Of a hundred labels, each of which takes `people.overlap` answers."""
    answer = money.spending(workspace).label
    return "not known yet" if answer is None else _price(workspace, 100 * answer * workspace.settings.people.overlap)


def _of_model(workspace: Workspace, name: str) -> str:
    """Of a hundred labels, not of a hundred questions: of some items it says nothing."""
    asked = weak.asked_before(workspace)
    own = asked[asked.source == name]
    said = int(own.label.notna().sum())
    return _price(workspace, 100 * float(own.cost.sum()) / said) if said else ""


def _price(workspace: Workspace, amount: float) -> str:
    unit = workspace.settings.prove.currency
    return f"{amount:,.2f}{unit and f' {unit}'}" if amount >= 0.01 or not amount else f"under 0.01{unit and f' {unit}'}"
