"""`labelwise rules`: run the rules of a workspace over its pool, show how good each is, and keep what they say.

The loop does the same in every round.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import pandas as pd

from labelwise.tasks.errors import InputError, LabelwiseError, named, quantity
from labelwise.tasks.items.withheld import offered
from labelwise.tasks.labels import consensus, ledger, rules, weak
from labelwise.tasks.labels.judged import Judged, Spoken, judge
from labelwise.tasks.services.patience import Tell
from labelwise.tasks.services.versions.workspace import Versions
from labelwise.tasks.terminal import plain
from labelwise.tasks.upkeep import beside
from labelwise.tasks.workspace import Workspace

FILE = rules.FILE


def run(workspace: Workspace, dry_run: bool, ask: Callable[[str], bool] | None, tell: Tell) -> list[Judged]:
    """Run the rules, keep what is new in what they say unless dry_run, and give what was found of each."""
    consensus.refuse_without_stage(workspace, "rules")
    rules.refuse_unasked(workspace, ask)
    if dry_run:
        return look(workspace)[0]
    found: list[Judged] = []

    def change() -> pd.DataFrame:
        seen, rows = look(workspace)
        found.extend(seen)
        return rows

    made = beside.add(workspace, "rules", change, weak.append, message, tell)
    tell(f"{quantity(made, 'weak label')} written: learned from the next round on" if made else "nothing new to write")
    return found


def of_round(workspace: Workspace, versions: Versions) -> str:
    """What the loop does before it learns: what the rules say of new items is kept, too, and that of a rule that people
    refute by now is taken back. Returns a line. Rules that cannot run hinder no round: it is said, and the round goes
    on without."""
    try:
        consensus.refuse_without_stage(workspace, "rules")
        rules.refuse_unasked(workspace, None)
        found, rows = look(workspace)
    except LabelwiseError as error:
        return f"not run: {error}"
    if len(rows):
        weak.append(workspace, rows)
        beside.keep(versions, message(len(rows)))
    said = f"{quantity(len(found), 'rule')}; {quantity(len(rows), 'weak label')} new or taken back"
    out = [plain(each.name, 60) for each in found if each.refuted]
    wrong = [f"{plain(each.name, 60)} {remark}" for each in found for remark in each.remarks]
    return "; ".join([said, *([f"refuted by people, and left out: {named(out)}"] if out else []), *wrong])


def message(count: int) -> str:
    """Of the commit."""
    return f"rules: {quantity(count, 'weak label')}"


def look(workspace: Workspace) -> tuple[list[Judged], pd.DataFrame]:
    """What was found of each rule, and rows (WEAK) for what is new in what they say. Runs them."""
    ids = offered(workspace)
    if ids.empty:
        raise InputError("rules: the pool is empty", fix="`labelwise run` brings it in, and runs them")
    spoken = rules.spoken(workspace, ids)
    # Items that a strategy chose are harder than others: a rule is rather better than it looks.
    found = judge(workspace, spoken, ledger.effective(ledger.today(workspace)))
    refuted = {each.name for each in found if each.refuted}
    return found, news(workspace, [each for each in spoken if each.name not in refuted])


def news(workspace: Workspace, spoken: Sequence[Spoken]) -> pd.DataFrame:
    """Rows (WEAK) for what the rules say now and did not before, and null for what none says any more."""
    before = weak.every(workspace)
    before = before[before.source.str.startswith(weak.RULE)].drop_duplicates(["source", "id"], keep="last")
    parts = [each.labels.assign(source=f"{weak.RULE}{each.name}") for each in spoken]
    now = pd.concat([before.loc[[], ["id", "label", "source"]], *parts], ignore_index=True)
    both = now.merge(before[["id", "source", "label"]], on=["id", "source"], how="outer", suffixes=("", "_before"))
    changed = both[both.label.fillna("\0") != both.label_before.fillna("\0")]
    written = datetime.now(UTC).isoformat(timespec="seconds")
    return (
        changed[["id", "label", "source"]].assign(written_at=written).sort_values(["source", "id"], ignore_index=True)
    )


def lines(found: Sequence[Judged], items: int) -> list[str]:
    """The same for people: a table, and below it what is to be said of single rules."""
    wide = max([4, *(min(len(plain(each.name)), 30) for each in found)])
    rows = [f"{'rule':<{wide}}  {'covers':>16}  {'conflicts':>9}  right, by people's labels"]
    for each in found:
        share = f"{each.covers:,} ({each.covers / max(items, 1):.1%})"
        said = "no label of people yet"
        if each.low is not None and each.high is not None:
            said = f"{each.right:,} of {each.judged:,} ({each.low:.0%} to {each.high:.0%})"
        said += "; refuted: left out" if each.refuted else ""
        rows.append(f"{plain(each.name, 30):<{wide}}  {share:>16}  {each.conflicts:>9,}  {said}")
    for each in found:
        rows += [f"{plain(each.name, 30)} {remark}" for remark in each.remarks]
        rows += [
            f"{plain(each.name, 30)} says {plain(word, 40)}, people {plain(said, 40)}: {cell}"
            for cell, word, said in each.differ
        ]
    return rows


def as_json(found: Sequence[Judged]) -> str:
    """The same for a program."""
    return json.dumps({"rules": [asdict(each) for each in found]}, indent=2)
