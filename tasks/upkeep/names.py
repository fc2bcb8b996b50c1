"""The names in params.yaml that must stand for something, looked at before anything is touched."""

from typing import Any

from labelwise.tasks.errors import SettingsError
from labelwise.tasks.learners import able_to_learn, learners
from labelwise.tasks.proof.stopping import RECALL, RULES
from labelwise.tasks.settings import Settings, one_of
from labelwise.tasks.strategies import COLD_STARTS, strategies
from labelwise.tasks.strategies import serving as strategies_serving


def registers() -> dict[str, dict[str, Any]]:
    """What may stand under each key: ours, and what installed packages register."""
    learning = learners()
    return {
        "select.strategy": strategies(),
        "select.cold_start": COLD_STARTS,
        "train.learner": learning,
        "prove.learner": learning,
        "stop.rule": {**RULES, RECALL: None},
    }


def refuse_unknown(settings: Settings) -> None:
    """SettingsError for the first name that nobody knows, or that cannot serve what is said of an item, under its own
    key."""
    for key, known in registers().items():
        section, _, field = key.partition(".")
        one_of(key, getattr(getattr(settings, section), field), known)
    refuse_unserved(settings)


def refuse_unserved(settings: Settings) -> None:
    """SettingsError for the first setting that makes no sense of what is said of an item, with what does."""
    answer, item = settings.kind.answer, settings.kind.item
    learning = able_to_learn(answer, item)
    able = {"select.strategy": strategies_serving(answer), "train.learner": learning, "prove.learner": learning}
    for key, names in able.items():
        section, _, field = key.partition(".")
        name = getattr(getattr(settings, section), field)
        if name not in names:
            raise SettingsError(
                f"params.yaml: `{key}: {name}` cannot serve `kind.answer: {answer}`"
                + (f" of a {item}" if key.endswith("learner") and name in able_to_learn(answer) else ""),
                expected="one of " + ", ".join(names),
                got=repr(name),
                fix=f"set {key} to one of these, such as {'auto' if 'auto' in names else names[0]}",
            )
    for key in ("select.balance", "train.self_training", "train.zero_shot"):
        section, _, field = key.partition(".")
        if answer != "choice" and getattr(getattr(settings, section), field):
            raise SettingsError(
                f"params.yaml: `{key}: true` cannot serve `kind.answer: {answer}`",
                expected="false: it goes by the one class of an item",
                got="true",
                fix=f"set {key} to false, or take it out",
            )
