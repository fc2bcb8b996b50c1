"""A language model as one more labeller: what it is asked, what it said, what that cost.

What it says of an item is asked for once, paid once and written down once, as a weak label (labels/weak.py). It is
asked in the order of the control arm (proof/control.py) and sees no label of the item that it is asked about, so that
what people say of the arm measures it: both are the same uniform sample of the pool.

Each request is in a journal on the disk before it is sent, with the most that it can cost. So whatever cuts the asking
off, nothing is asked twice, and nothing is spent beyond the budget; what was sent and never answered counts as paid.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from threading import Condition

import numpy as np
import pandas as pd

from labelwise.tasks.errors import InputError, LabelwiseError, ServiceError, plain, quantity
from labelwise.tasks.items.seen import refuse_kind, seen
from labelwise.tasks.items.vectors import pool_vectors
from labelwise.tasks.items.withheld import offered
from labelwise.tasks.labels import consensus, ledger, weak
from labelwise.tasks.labels.journal import Journal
from labelwise.tasks.labels.prompts import Prompt, room, understood
from labelwise.tasks.progress import counted
from labelwise.tasks.proof import control
from labelwise.tasks.records import CONSENSUS
from labelwise.tasks.services.chat import Chat, Declined, Reply, Unknown
from labelwise.tasks.services.patience import Tell, patient
from labelwise.tasks.settings import LanguageModel, Prices, Settings
from labelwise.tasks.workspace import Workspace

MILLION = 1_000_000
AROUND = 64  # tokens that a server puts around a prompt, at most
FAILED = 5  # requests one after the other that bring no answer: then the next would not either
SHOWN = 40  # characters of an answer that names no class


def source(settings: Settings) -> str:
    """Its name among the weak sources."""
    return f"{weak.LLM}{settings.llm.model}"


def refuse_unready(workspace: Workspace) -> None:
    """InputError where nobody is named to be asked, the kind is none that it can label, what it costs is not known, or
    nothing would be learned from it."""
    settings, llm = workspace.settings, workspace.settings.llm
    if llm.address is None:
        fix = "set llm.address and llm.model in params.yaml, see docs/llm.md"
        raise InputError("llm: no language model is named", fix=fix)
    refuse_kind(settings.kind, "llm", spans=True)
    consensus.refuse_without_stage(workspace, "llm")
    if llm.prices is None:
        raise InputError(
            "params.yaml: `llm.prices` is not set, so no budget could be kept",
            expected="what a million tokens cost, and when: {input: 0.15, output: 0.6, as_of: 2026-11-01}",
            fix="look it up where the model is sold; zeros where it is your own",
        )
    if not llm.budget and (llm.prices.input or llm.prices.output):
        raise InputError("params.yaml: `llm.budget` is 0, so nothing may be spent", fix="set what it may cost in all")


def to_ask(workspace: Workspace, most: int) -> pd.Series:
    """Ids of at most so many items, in the order of the control arm: none that this model was asked by the same prompt
    before, and none that is gold or nearly so, or kept for it."""
    ids = pd.Index(offered(workspace))
    ids = ids[np.argsort(control.order(ids, workspace.settings.seed), kind="stable")]
    before = _of_this(workspace)
    before = before[before.prompt == Prompt.of(workspace.settings).digest]
    return pd.Series(ids[~ids.isin(before.id)][:most], dtype=object)


def asked_so_far(workspace: Workspace) -> int:
    """Items that this model was asked about, by whichever prompt."""
    return int(_of_this(workspace).id.replace(weak.NO_ITEM, None).nunique())


def _of_this(workspace: Workspace) -> pd.DataFrame:
    """Each time that the model of today was asked."""
    before = weak.asked_before(workspace)
    return before[before.source == source(workspace.settings)]


@dataclass
class Asked:
    """What came of asking. rows: WEAK, a row an item; spent: in all, ever; unclear: how often an answer named no class,
    by how it begins; stopped: why not all were asked, in words; error: and which of ours it was."""

    rows: pd.DataFrame
    spent: float
    unclear: Counter[str] = field(default_factory=Counter)
    stopped: str = ""
    error: LabelwiseError | None = None

    def lines(self, settings: Settings) -> list[str]:
        """For people."""
        said, budget = int(self.rows.label.notna().sum()), settings.llm.budget
        cost = f"{self.spent:.4f} of {budget:g} {settings.prove.currency} spent in all" if budget else "at no cost"
        found = [
            f"{settings.llm.model} was asked about {quantity(len(self.rows), 'item')}, said a label of {said:,}; {cost}"
        ]
        if self.unclear:
            often = ", ".join(f"{text!r} ({many:,})" for text, many in self.unclear.most_common(3))
            found.append(f"no class was named of {quantity(self.unclear.total(), 'item')}; most often: {often}")
        return [*found, *([self.stopped] if self.stopped else [])]


def ask(workspace: Workspace, ids: Sequence[str], tell: Tell) -> Asked:
    """Ask about these items, within the budget. What an earlier asking did not bring home is in the rows, too.

    InputError where `refuse_unready` has something to say. What else goes wrong ends the asking, and is in `error`.
    """
    settings, llm = workspace.settings, workspace.settings.llm
    refuse_unready(workspace)
    assert llm.address is not None
    journal = Journal(workspace)
    wanted = [each for each in ids if each not in journal]
    with closing(Chat(llm.address, llm.model, llm.timeout_s)) as chat:
        asking = Asking(chat, settings, Prompts(workspace, wanted), journal, weak.spent(workspace) + journal.cost, tell)
        with counted(f"{quantity(len(wanted), 'item')} to {plain(llm.model)}", len(wanted)) as done:
            try:
                for each in wanted[:1]:  # alone: what is wrong with it is wrong with all
                    asking.one(each)
                    done(1)
                with ThreadPoolExecutor(llm.at_once) as threads:
                    for _ in threads.map(asking.one, wanted[1:]):
                        done(1)
            except BaseException:
                asking.stopped = "broken off"  # else all that are left would be asked before this goes on
                raise
    return Asked(journal.rows(), asking.spent, asking.unclear, asking.stopped, asking.error)


class Prompts:
    """What is asked of each of these items, with the labelled items that are most like it."""

    def __init__(self, workspace: Workspace, ids: Sequence[str]) -> None:
        self.prompt, self.most = Prompt.of(workspace.settings), workspace.settings.llm.examples
        self.items = {each["id"]: each for each in seen(workspace, pd.Series(ids, dtype=object))}
        labels = consensus.today(workspace, ledger.today(workspace)) if self.most else CONSENSUS.frame()
        self.labels = labels[labels.id.isin(offered(workspace))].reset_index(drop=True)
        self.examples = {each["id"]: each for each in seen(workspace, self.labels.id)}
        if len(self.labels) and ids:
            vectors = pool_vectors(workspace)
            own = vectors.gather(vectors.rows(pd.Series(ids, dtype=object)))
            near = np.argsort(-(own @ vectors.gather(vectors.rows(self.labels.id)).T), axis=1, kind="stable")
            self.near = dict(zip(ids, near[:, : self.most + 1], strict=True))

    def of(self, item: str) -> str:
        """The prompt about an item. Its own label is in no example."""
        near = self.labels.iloc[self.near[item]] if len(self.labels) else self.labels
        near = near[near.id != item].head(self.most)
        shown = [(self.examples[each], label) for each, label in zip(near.id, near.label, strict=True)]
        return self.prompt.about(self.items[item], shown)


class Asking:
    """Asks about one item after the other, from several threads at once, within a budget."""

    def __init__(
        self, chat: Chat, settings: Settings, prompts: Prompts, journal: Journal, spent: float, tell: Tell
    ) -> None:
        self.chat, self.settings, self.prompts, self.journal, self.tell = chat, settings, prompts, journal, tell
        self.spent = spent
        self._held: dict[str, float] = {}  # the most that requests on their way can cost
        self.unclear = Counter[str]()
        self.stopped = ""
        self.error: LabelwiseError | None = None
        self._failed, self._met, self._lock = 0, False, Condition()

    def one(self, item: str) -> None:
        """Ask about an item, unless the asking has ended."""
        llm, prompt, longest = self.settings.llm, self.prompts.of(item), room(self.settings)
        assert llm.prices is not None
        # No tokeniser makes more tokens of a text than it has bytes.
        most = cost(llm.prices, len(prompt.encode()) + AROUND, longest)
        with self._lock:
            while not self.stopped and self._held and self._beyond_budget(most):
                self._lock.wait()  # those on their way rather cost less
            if not self.stopped and self._beyond_budget(most):
                self.stopped = f"llm.budget is {llm.budget:g}, and the next answer may take it beyond that: not asked"
            if self.stopped:
                return
            self._held[item] = most
            self.journal.asking(item, source(self.settings), self.prompts.prompt.digest, most)
        reply, paid = Reply(""), most
        failure: ServiceError | None = None
        try:
            reply = patient(lambda: self.chat.ask(prompt, longest), self.tell, met=self._met)
            paid = _paid(llm, reply, most)
        except Unknown as error:
            failure = error
        except Declined as error:
            failure, paid = error, 0.0
        except LabelwiseError as error:
            with self._lock:
                del self._held[item]
                self.journal.unsent(item)
                self._lock.notify_all()
                self._stop(error)
            return
        with self._lock:
            self._met = True
            del self._held[item]
            self.spent += paid
            text = self.prompts.items[item].get("text", "")
            label = None if failure else understood(reply.text, self.settings, text)
            self.journal.told(item, label, reply, paid)
            if label is None:
                self.unclear[plain(str(failure) if failure else reply.text)[:SHOWN]] += 1
            self._lock.notify_all()
            self._failed = self._failed + 1 if failure else 0
            if failure and self._failed >= FAILED:
                self._stop(failure)

    def _beyond_budget(self, most: float) -> bool:
        return most > 0 and self.spent + sum(self._held.values()) + most > self.settings.llm.budget

    def _stop(self, error: LabelwiseError) -> None:
        self.error = self.error or error
        self.stopped = self.stopped or "the rest was not asked"


def cost(prices: Prices, tokens_in: float, tokens_out: float) -> float:
    """Of so many tokens, in `prove.currency`.

    >>> round(cost(Prices(input=0.15, output=0.6, as_of="2026-11-01"), 1_000_000, 500_000), 4)
    0.45
    """
    return (prices.input * tokens_in + prices.output * tokens_out) / MILLION


def _paid(llm: LanguageModel, reply: Reply, most: float) -> float:
    assert llm.prices is not None
    if reply.tokens_in is None or reply.tokens_out is None:
        return most
    return cost(llm.prices, reply.tokens_in, reply.tokens_out)
