"""The names in params.yaml, looked at before anything is touched: those that must stand for something, and the classes
that must not go."""

from collections import Counter
from typing import Any

from tasks.errors import SettingsError
from tasks.labels import ledger, trusted
from tasks.learners import learners
from tasks.proof.stopping import RULES
from tasks.settings import Settings, one_of
from tasks.strategies import COLD_STARTS, strategies
from tasks.workspace import Workspace


def registers() -> dict[str, dict[str, Any]]:
    """What may stand under each key: ours, and what installed packages register."""
    learning = learners()
    return {
        "select.strategy": strategies(),
        "select.cold_start": COLD_STARTS,
        "train.learner": learning,
        "prove.learner": learning,
        "stop.rule": RULES,
    }


def refuse_unknown(settings: Settings) -> None:
    """SettingsError for the first name that nobody knows, under its own key."""
    for key, known in registers().items():
        section, _, field = key.partition(".")
        one_of(key, getattr(getattr(settings, section), field), known)


def refuse_removed(workspace: Workspace) -> None:
    """SettingsError when a class was taken out of params.yaml that labels or gold bear: reviewers would be shown a
    choice without it, and no model could learn from what was said."""
    labels = Counter(ledger.effective(ledger.read(workspace.labels)).label if workspace.labels.exists() else ())
    gold = Counter(trusted.gold(workspace).label if workspace.gold.exists() else ())
    classes = workspace.settings.classes
    gone = [str(name) for name in dict.fromkeys([*labels, *gold]) if name not in classes]
    if gone:
        borne = [f"{name!r} ({labels[name]:,} labels, {gold[name]:,} gold rows)" for name in gone]
        raise SettingsError(
            "`classes` in params.yaml lacks what labels or gold bear",
            expected="each of their classes",
            got="none of the name " + ", ".join(borne[:5]),
            fix="put it back as it was written; `git show HEAD:params.yaml` shows how",
        )
