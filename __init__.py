"""Spends people's labelling time where it teaches a model most, and proves what it saved.

What stands here is for programs that use a model, for packages that add a strategy or a learner, and for the rules of a
workspace; it stays as it is while everything below may move. A name is imported when it is first asked for, so that a
command which computes nothing does not wait for numpy and torch.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# OpenBLAS reads it when numpy is first imported: 2 to this power cycles for which an idle thread of its spins before it
# sleeps. By its own setting, 26, a round on a million items took the processor a third longer, and no less time.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "14")

if TYPE_CHECKING:
    from labelwise.tasks.errors import InputError, LabelwiseError
    from labelwise.tasks.kinds import Answer, Content, Measured, Views
    from labelwise.tasks.labels.rule import rule
    from labelwise.tasks.learners import Examples, Items, Model
    from labelwise.tasks.learners.serving import Classifier, load
    from labelwise.tasks.settings import Settings
    from labelwise.tasks.strategies import Candidates, Choice, Labelled, Strategy
    from labelwise.tasks.strategies.base import top

__all__ = [
    "Answer",
    "Candidates",
    "Choice",
    "Classifier",
    "Content",
    "Examples",
    "InputError",
    "Items",
    "Labelled",
    "LabelwiseError",
    "Measured",
    "Model",
    "Settings",
    "Strategy",
    "Views",
    "load",
    "rule",
    "top",
]

_FROM = {
    "labelwise.tasks.errors": ("InputError", "LabelwiseError"),
    "labelwise.tasks.kinds": ("Answer", "Content", "Measured", "Views"),
    "labelwise.tasks.labels.rule": ("rule",),
    "labelwise.tasks.learners": ("Examples", "Items", "Model"),
    "labelwise.tasks.learners.serving": ("Classifier", "load"),
    "labelwise.tasks.settings": ("Settings",),
    "labelwise.tasks.strategies": ("Candidates", "Choice", "Labelled", "Strategy"),
    "labelwise.tasks.strategies.base": ("top",),
}
_MODULE = {name: module for module, names in _FROM.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
