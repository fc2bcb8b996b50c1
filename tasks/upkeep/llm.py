"""`labelwise llm`: ask a language model about items of the pool, and keep what it says. The loop does the same in every
round."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

from labelwise.tasks import kinds
from labelwise.tasks.errors import InputError, LabelwiseError, quantity
from labelwise.tasks.labels import llm, weak
from labelwise.tasks.labels.journal import Journal
from labelwise.tasks.labels.judged import Judged, Spoken, interval, judge, of_control_arm
from labelwise.tasks.labels.llm import Asked
from labelwise.tasks.labels.prompts import Prompt, room
from labelwise.tasks.services.consent import Consent
from labelwise.tasks.services.patience import Tell
from labelwise.tasks.services.urls import is_loopback, public
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.settings import Settings
from labelwise.tasks.terminal import plain
from labelwise.tasks.upkeep import beside
from labelwise.tasks.workspace import Workspace

ALLOW, ALLOWED = "LABELWISE_LLM", "llm.json"


@dataclass(frozen=True)
class Found:
    """A language model by what people said of the control arm, a uniform sample of the pool. by_class: of each class
    that it said of one of these, how often, and how often rightly; of spans each counts. items: that it was asked
    about; spent: on all."""

    of: Judged
    items: int
    spent: float
    by_class: dict[str, tuple[int, int]] = field(default_factory=dict)


def run(
    workspace: Workspace, most: int | None, dry_run: bool, ask: Callable[[str], bool] | None, tell: Tell
) -> Found | None:
    """Ask about at most so many items (None: `llm.items`), and keep what it says; what is known of it then. With
    dry_run say what would be asked, and ask nothing: None."""
    settings = workspace.settings
    llm.refuse_unready(workspace)
    most = settings.llm.items if most is None else most
    wanted = llm.to_ask(workspace, most)
    if wanted.empty and not Journal(workspace).records:
        tell("nothing is left that it was not asked, or the pool is empty: `labelwise run` brings items in")
        return found(workspace)
    if dry_run:
        for line in plan(workspace, wanted):
            tell(line)
        return None
    refuse_unasked(workspace, ask)
    asked: list[Asked] = []

    def change() -> pd.DataFrame:
        still_wanted = llm.to_ask(workspace, most)  # a round may have come between
        asked.append(llm.ask(workspace, still_wanted.tolist(), tell))
        return asked[0].rows

    beside.add(workspace, "llm", change, keep, message, tell)
    for line in asked[0].lines(settings):
        tell(line)
    if asked[0].error is not None:
        raise asked[0].error
    return found(workspace)


def of_round(workspace: Workspace, versions: Versions, number: int, tell: Tell) -> str:
    """What the loop does before it learns: as many items as `llm.items` says for each round so far. Returns a line. A
    model that cannot be asked hinders no round: it is said, and the round goes on without."""
    settings = workspace.settings
    try:
        llm.refuse_unready(workspace)
        refuse_unasked(workspace, None)
        left = settings.llm.items * (number + 1) - llm.asked_so_far(workspace)
        wanted = llm.to_ask(workspace, max(left, 0))
        if wanted.empty and not Journal(workspace).records:
            return "nothing to ask"
        asked = llm.ask(workspace, wanted.tolist(), tell)
    except LabelwiseError as error:
        return f"not asked: {error}"
    if len(asked.rows):
        keep(workspace, asked.rows)
        beside.keep(versions, message(len(asked.rows)))
    return "; ".join([*asked.lines(settings), *([str(asked.error)] if asked.error else [])])


def keep(workspace: Workspace, rows: pd.DataFrame) -> Path:
    """Write down what was asked, which is then in no journal."""
    path = weak.append(workspace, rows)
    Journal(workspace).clear()
    return path


def message(count: int) -> str:
    """Of the commit."""
    return f"llm: asked about {quantity(count, 'item')}"


def refuse_unasked(workspace: Workspace, ask: Callable[[str], bool] | None) -> None:
    """InputError unless the owner of this machine lets the texts go to that address: by ALLOW=1, or by an answer, which
    is remembered as long as address, model and prompt stay what they are. At an address on this machine, too: a
    workspace of a stranger may name any, and what listens there need not be a language model."""
    settings = workspace.settings
    address = settings.llm.address or ""
    of = [address, settings.llm.model, Prompt.of(settings).digest, settings.llm.examples, settings.pull.columns.context]
    digest = hashlib.sha256(json.dumps(of).encode()).hexdigest()
    consent = Consent(ALLOWED, ALLOW, f"{workspace.root.resolve()} to {urlsplit(address).netloc}", digest)
    if consent.given:
        return
    sending = sends(settings)
    if ask is None or not ask(f"{sending} Go on?"):
        fix = f"`labelwise llm --dry-run` shows what; {ALLOW}=1 labelwise llm lets it, or a yes at the terminal"
        raise InputError(f"llm: {sending} Nothing was sent", fix=fix)
    consent.keep()


def sends(settings: Settings) -> str:
    """What is sent, where to, and whether it leaves this machine."""
    parts = [f"each {settings.kind.item} that is asked about"]
    if settings.pull.columns.context:
        parts.append(f"its columns {', '.join(settings.pull.columns.context)}")
    if settings.llm.examples:
        parts.append(f"up to {settings.llm.examples} labelled ones beside it")
    address = settings.llm.address or ""
    where = "on this machine" if is_loopback(address) else "which is not on this machine"
    return f"{', '.join(parts)} and the classes go to {public(address)}, {where}."


def plan(workspace: Workspace, wanted: pd.Series) -> list[str]:
    """What would be asked, of how many, at what cost at most; and one prompt as it would be sent."""
    settings, prices = workspace.settings, workspace.settings.llm.prices
    assert prices is not None
    prompts = llm.Prompts(workspace, wanted.tolist())
    sizes = [len(prompts.of(each).encode()) for each in wanted]
    # Four bytes a token is the common rule for English: https://help.openai.com/en/articles/4936856
    likely = llm.cost(prices, sum(sizes) / 4, len(sizes) * room(settings))
    return [
        sends(settings),
        f"{quantity(len(wanted), 'item')} would be asked of {settings.llm.model}, for about {likely:.4f} "
        f"{settings.prove.currency} at prices of {prices.as_of}; spent so far {weak.spent(workspace):.4f}, "
        f"of at most {settings.llm.budget:g}. The first:",
        *(prompts.of(wanted[0]).splitlines() if len(wanted) else []),
    ]


def found(workspace: Workspace) -> Found:
    """What people's labels of the control arm say of the model."""
    settings = workspace.settings
    name, answer = llm.source(settings), kinds.answer(settings.kind.answer)
    rows, people = weak.read(workspace), of_control_arm(workspace)
    said = rows.loc[rows.source == name, ["id", "label"]].reset_index(drop=True)
    (of,) = judge(workspace, [Spoken(settings.llm.model, said)], people)
    both = said.merge(people, on="id", suffixes=("", "_people"))
    right, named, _ = answer.counts(both.label.tolist(), both.label_people.tolist(), settings.classes).sum(axis=1)
    counted = zip(settings.classes, named.astype(int).tolist(), right.astype(int).tolist(), strict=True)
    by_class = {each: (times, well) for each, times, well in counted if times}
    return Found(of, llm.asked_so_far(workspace), weak.spent(workspace), by_class)


def lines(found: Found, settings: Settings) -> list[str]:
    """For people: how often it is right, as a whole and by class, and where people say otherwise."""
    of, name = found.of, plain(found.of.name, 60)
    paid = f"{found.spent:.4f} {settings.prove.currency} spent"
    rows = [f"{name}: asked about {quantity(found.items, 'item')}, said a label of {of.covers:,}; {paid}"]
    if of.low is None or of.high is None:
        return [*rows, "nobody has labelled an item of the control arm that it said something of: not measured yet"]
    measured = f"{of.right:,} of {of.judged:,} items of the control arm, {of.low:.0%} to {of.high:.0%}"
    rows.append(f"right of {of.right / of.judged:.0%} ({measured})")
    for each, (said, right) in sorted(found.by_class.items(), key=lambda one: -one[1][0]):
        ends = interval(right, said)
        assert ends is not None
        rows.append(f"  {plain(each, 40)}: right {right:,} of {said:,} times ({ends[0]:.0%} to {ends[1]:.0%})")
    rows += [f"says {plain(word, 40)}, people {plain(said, 40)}: {cell}" for cell, word, said in of.differ]
    return rows


def as_json(found: Found) -> str:
    """The same for a program."""
    return json.dumps({"llm": asdict(found)}, indent=2)
