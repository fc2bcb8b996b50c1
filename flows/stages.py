"""The stages that follow from pool, gold, ledger, params and code alone, in their order: the graph of dvc.yaml."""

from collections.abc import Callable

from labelwise.tasks import agree, embed, evaluate, prove, score, select, train
from labelwise.tasks.workspace import Workspace

REPRODUCIBLE: dict[str, Callable[[Workspace], str]] = {
    "embed": embed.run,
    "agree": agree.run,
    "train": train.run,
    "evaluate": evaluate.run,
    "score": score.run,
    "prove": prove.run,
    "select": select.run,
}
