"""The page of a finished pool: the promise first, then what it rests on."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from labelwise.tasks import kinds
from labelwise.tasks.finish import WHOSE, Finished
from labelwise.tasks.labels import ledger
from labelwise.tasks.proof import finishing
from labelwise.tasks.proof.finishing import GOLD, LLM, MACHINES, MODEL, NOBODY, PERSON, RULE
from labelwise.tasks.reporting.page import Card, render
from labelwise.tasks.reporting.pictures import DARK, IDEAL, LIGHT, OWN, as_link
from labelwise.tasks.reporting.tables import Table
from labelwise.tasks.workspace import Workspace


def page(workspace: Workspace, found: Finished) -> str:
    """The page as HTML, one file."""
    answer = kinds.answer(workspace.settings.kind.answer)
    limit = finishing.allowed(found.plan, sum(found.counts.values()), answer)
    return render(
        "finished.html",
        name=workspace.settings.project.name,
        round=ledger.current_round(workspace.labels),
        date=datetime.now().astimezone().date().isoformat(),
        verdict=found.promise,
        cards=cards(found),
        picture=tuple(_drawn(found, theme) for theme in (LIGHT, DARK)) if limit >= 0 else None,
        exam=f"{found.exam:,}",
        share=f"{100 * (found.plan.share or 1):.2g}",
        mistakes=f"{found.mistakes:g}",
        limit=f"{limit:g}",
        allowed=f"{found.allowed:,}",
        risk=f"{finishing.risk_of(found.plan):.2g}",
        look=found.plan.look,
        learned=found.plan.round,
        classes=by_class(found.table, answer),
    )


def cards(found: Finished) -> list[Card]:
    """By whom the labels are."""
    said = {
        PERSON: ("people", f"{found.exam:,} of them for the exam"),
        GOLD: ("the gold set", "trusted labels that were there"),
        MODEL: ("the model", "which nobody had to label"),
        LLM: ("a language model", "where it is likelier right than the model"),
        RULE: ("rules", "where they are likelier right than the model"),
        NOBODY: ("nobody", "skipped, refused, or still with the reviewers"),
    }
    tones = {NOBODY: "open"} | dict.fromkeys(MACHINES, "good")
    return [
        Card(f"labelled by {said[by][0]}", f"{count:,}", said[by][1], tones.get(by, ""))
        for by, count in found.counts.items()
        if count or by == MODEL
    ]


def by_class(table: pd.DataFrame, answer: kinds.Answer) -> Table:
    """How many labels name each class, and by whom they are."""
    labelled = table[table.label.notna()]
    counts = Counter(
        (name, by) for label, by in zip(labelled.label, labelled.by, strict=True) for name in answer.members(label)
    )
    names = sorted({name for name, _ in counts})
    whose = {PERSON: "people's", GOLD: "gold", MODEL: "the model's"} | WHOSE
    shown = [by for by in whose if by not in WHOSE or any(of == by for _, of in counts)]
    rows = [[name, *(f"{counts[name, by]:,}" for by in shown)] for name in names]
    return Table("Labels", ["class", *(whose[by] for by in shown)], rows)


def picture(found: Finished) -> Figure:
    """Mistakes that the exam found, passed in the order of the model's doubt, and where it had to end."""
    drawn = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = drawn.subplots()
    passed = np.cumsum(np.nan_to_num(found.losses))
    axes.step(np.arange(1, len(passed) + 1), passed, where="post", color=OWN, label="mistakes in the exam")
    axes.axvline(found.end, linestyle="--", color=IDEAL, label="from here on people label all")
    axes.set(xlabel="items, those first that the model is surest of", ylabel="mistakes")
    axes.set_xlim(0, len(passed))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    drawn.legend(loc="outside lower center", frameon=False)
    return drawn


def _drawn(found: Finished, theme: Any) -> str:
    with TemporaryDirectory() as scratch, mpl.rc_context(theme):
        file = Path(scratch) / "exam.png"
        picture(found).savefig(file)
        return as_link(file)
