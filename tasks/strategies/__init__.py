"""How to choose: pure functions over arrays, one family a file. They know nothing of files, Prefect or Label Studio.

A strategy takes the candidates, the size of the batch and a random generator, and returns a `Choice`. To add one, write
the function and put it into `STRATEGIES`; from another package, register it under the entry point group
`labelwise.strategies`.
"""

from importlib.metadata import entry_points

from labelwise.tasks.kinds.base import Views
from labelwise.tasks.strategies import (
    auto,
    balanced,
    bayesian,
    committee,
    conformal,
    diversity,
    expected,
    exploration,
    finishing,
    hybrid,
    mismatch,
    reading,
    stream,
    uncertainty,
)
from labelwise.tasks.strategies.base import Candidates, Choice, Labelled, Strategy, uniform

VECTORS, SIMPLEX = frozenset({"vectors"}), frozenset({"simplex"})

AUTO = "auto"
STRATEGIES: dict[str, Strategy] = {
    AUTO: auto.auto,
    "random": uniform,
    "least_confidence": uncertainty.least_confidence,
    "margin": uncertainty.margin,
    "entropy": uncertainty.entropy,
    "bald": bayesian.bald,
    "bald_dropout": bayesian.bald_dropout,
    "bald_epinet": bayesian.bald_epinet,
    "batch_bald": bayesian.batch_bald,
    "power_bald": bayesian.power_bald,
    "vote_entropy": committee.vote_entropy,
    "consensus_kl": committee.consensus_kl,
    "k_centre": diversity.k_centre,
    "medoids": diversity.medoids,
    "typiclust": diversity.typiclust,
    "prob_cover": diversity.prob_cover,
    "badge": hybrid.badge,
    "cluster_margin": hybrid.cluster_margin,
    "cal": hybrid.cal,
    "density": hybrid.density,
    "discriminative": hybrid.discriminative,
    "bait": hybrid.bait,
    "gradient_length": expected.gradient_length,
    "error_reduction": expected.error_reduction,
    "epsilon": exploration.epsilon,
    "exponentiated_gradient": exploration.exponentiated_gradient,
    "bandit": exploration.bandit,
    "conformal_size": conformal.conformal_size,
    "conformal_p": conformal.conformal_p,
    "mismatch_first": mismatch.mismatch_first,
    "stream": stream.stream,
    "round_robin": balanced.round_robin,
    "word_mean": reading.word_mean,
    "word_sum": reading.word_sum,
    "tagging_margin": reading.tagging_margin,
    "finish": finishing.finish,
}

# What each reads of the items and of a model's opinion on them. simplex and errors: see Views; classes: the columns of
# the probabilities, where an item has one class; labels: the same, where it may have several; words: of texts in which
# spans are marked. One of another package says it in an attribute `NEEDS` of its own, and is taken to need classes
# where it has none.
NEEDS: dict[str, frozenset[str]] = {
    "auto": frozenset({"vectors", "simplex", "errors"}),
    "random": frozenset(),
    **dict.fromkeys(["least_confidence", "margin", "entropy", "gradient_length", "epsilon", "stream"], SIMPLEX),
    **dict.fromkeys(["k_centre", "medoids", "typiclust", "prob_cover", "discriminative"], VECTORS),
    **dict.fromkeys(["cluster_margin", "density", "bait"], VECTORS | SIMPLEX),
    "badge": VECTORS | {"errors"},
    "finish": VECTORS | {"doubt"},
    "round_robin": frozenset({"labels"}),
    **dict.fromkeys(["word_mean", "word_sum", "tagging_margin"], frozenset({"words"})),
    **dict.fromkeys(
        [
            *["bald", "bald_dropout", "bald_epinet", "batch_bald", "power_bald", "vote_entropy", "consensus_kl", "cal"],
            *["error_reduction", "exponentiated_gradient", "bandit", "conformal_size", "conformal_p", "mismatch_first"],
        ],
        VECTORS | {"classes"},
    ),
}

# What is there to read, by what is said of an item (`kind.answer`).
GIVEN: dict[str, frozenset[str]] = {
    "choice": frozenset({"vectors", "simplex", "errors", "doubt", "classes"}),
    "multilabel": frozenset({"vectors", "simplex", "errors", "doubt", "labels"}),
    "spans": frozenset({"vectors", "simplex", "errors", "doubt", "labels", "words"}),
}

# For round 0: these need no model.
COLD_STARTS: dict[str, Strategy] = {
    "typiclust": diversity.typiclust,
    "medoids": diversity.medoids,
    "k_centre": diversity.k_centre,
    "prob_cover": diversity.prob_cover,
    "random": uniform,
}


def strategies() -> dict[str, Strategy]:
    """Ours and those of installed packages; a stranger's may not take the name of one of ours."""
    strangers = {entry.name: entry.load() for entry in entry_points(group="labelwise.strategies")}
    return strangers | STRATEGIES


def serving(answer: str) -> list[str]:
    """The strategies that need nothing but what there is to read where this is said of an item.

    >>> "badge" in serving("multilabel"), "bald" in serving("multilabel"), "bald" in serving("choice")
    (True, False, True)
    """
    given = GIVEN.get(answer, VECTORS)
    known = strategies()
    needs = {name: NEEDS.get(name, getattr(one, "NEEDS", frozenset({"classes"}))) for name, one in known.items()}
    return [name for name in known if needs[name] <= given]


__all__ = [
    "AUTO",
    "COLD_STARTS",
    "GIVEN",
    "NEEDS",
    "STRATEGIES",
    "Candidates",
    "Choice",
    "Labelled",
    "Strategy",
    "Views",
    "serving",
    "strategies",
]
