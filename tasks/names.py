"""The names in params.yaml that must stand for something, looked at before anything is touched."""

from typing import Any

from labelwise.tasks.learners import learners
from labelwise.tasks.proof.stopping import RULES
from labelwise.tasks.settings import Settings, one_of
from labelwise.tasks.strategies import COLD_STARTS, strategies


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
