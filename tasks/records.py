"""The tables that travel between stages: their columns, types and order. Nothing else defines a column.

`Schema.frame()` makes an empty one, `Schema.conform(df)` orders the columns and sets the types, so that the same rows
always give the same Parquet bytes.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ID_DIGITS = 16  # 64 bits: one expected collision in 6e9 items


@dataclass(frozen=True)
class Schema:
    """Name of a table and the type of each of its columns, in order. further: columns that stand behind these where
    rows have them, and are missing else."""

    name: str
    columns: dict[str, str]
    further: dict[str, str] = field(default_factory=dict)

    def frame(self) -> pd.DataFrame:
        """An empty table."""
        return self.conform(pd.DataFrame({column: [] for column in self.columns}))

    def holding(self, column: str) -> "Schema":
        """The same table of items that are kept in `column`, see kinds/base.py; here it is that of texts."""
        names = {name: column if name == "text" else name for name in self.columns}
        return replace(self, columns={names[name]: kind for name, kind in self.columns.items()})

    def conform(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with exactly these columns, in this order and of these types. KeyError if one is missing."""
        kept = self.columns | {name: kind for name, kind in self.further.items() if name in rows}
        return rows[list(kept)].astype(kept).reset_index(drop=True)

    def readable(self, there: Iterable[str]) -> list[str]:
        """The columns to be read of a file that has those `there`."""
        return [*self.columns, *(name for name in there if name in self.further)]


# An item to label. `source_id` is the user's own key, null where there is none.
# What `pull.columns` may add: `group`, the thread, customer or recording that it belongs to; `context`, further columns
# that reviewers see, as JSON, see kinds/context.py. Null where its row has none.
BESIDE = {"group": "string", "context": "string"}
POOL = Schema("pool", {"id": "string", "text": "string", "source_id": "string"}, BESIDE)
GOLD = Schema("gold", {**POOL.columns, "label": "string"}, BESIDE)

# A row refused: as it came, and why. `id` is a hash of the row as it came, by which the next pull knows it again.
QUARANTINE = Schema("quarantine", {**GOLD.columns, "reason": "string"}, BESIDE)

# One annotation as somebody gave, changed or withdrew it, or what became of one ask. Append-only: a later row may
# supersede an earlier one. `gone`: its task is no longer in Label Studio; `moved`: it is there under another number.
LABELS = Schema(
    "labels",
    {
        "id": "string",
        "label": "string",  # null unless status is `labelled`
        "status": "string",  # labelled, skipped, refused, withdrawn; unanswered, gone, moved
        "annotator": "string",
        "round": "int64",  # in which it was asked, which may be before the round it arrived in
        "origin": "string",  # asked, imported, escalated
        "why": "string",
        "propensity": "float64",
        "task_id": "Int64",
        "annotation_id": "Int64",
        "lead_time_s": "float64",
        "created_at": "string",  # when the annotation was given, last changed or withdrawn: ISO 8601, UTC
    },
)

# What the ledger amounts to: the label of an item. `trust`: how likely it is right; `people`: how many have labelled
# the item; `doubt`: the share of them that said otherwise. `round`, `why`: of the ask that chose the item.
CONSENSUS = Schema(
    "consensus",
    {
        "id": "string",
        "label": "string",
        "trust": "float64",
        "people": "int64",
        "doubt": "float64",
        "round": "int64",
        "why": "string",
    },
)

# What a run keeps of each ledger row, all cells text; `digest` is that of the whole row. See labels/witness.py.
WITNESS = ("shard", "id", "label", "status", "round", "task_id", "annotation_id", "digest")

# A text that people gave of a class, by which its first items are looked for; or its removal. Append-only.
SEEDS = Schema(
    "seeds",
    {
        "id": "string",  # as of an item with this text
        "text": "string",  # null where it is removed
        "class": "string",  # as it was called then
        "status": "string",  # given, removed
        "given_at": "string",  # ISO 8601, UTC
    },
)

# What a rule or a language model said of an item, see labels/weak.py. Append-only.
WEAK = Schema(
    "weak",
    {
        "id": "string",
        "label": "string",  # null: it says nothing
        "source": "string",  # rule:NAME, llm:MODEL
        "written_at": "string",  # ISO 8601, UTC
    },
    {  # of a language model: a digest of what it was asked, and what the answer took
        "prompt": "string",
        "tokens_in": "Int64",
        "tokens_out": "Int64",
        "cost": "float64",
    },
)

# An item to ask. `why`: uncertain, diverse, random, control, relabel, seed, exam, finish. `propensity` is null where
# the choice is deterministic.
BATCH = Schema(
    "batch",
    {
        "id": "string",
        "rank": "int64",
        "score": "float64",
        "why": "string",
        "propensity": "float64",
        "prediction": "string",
        "confidence": "float64",
    },
)

# The label of an item of a finished pool. `by`: person, gold, model, or nobody, whose label is null. `confidence`: the
# model's; null for others. `finish`: the number of the finish that it is of.
FINISHED = Schema(
    "finished",
    {
        "id": "string",
        "source_id": "string",
        "label": "string",
        "by": "string",
        "confidence": "float64",
        "finish": "int64",
    },
    {"text": "string"},  # where items are texts
)

# An item put before people for a trusted label, append-only, a shard an ask. What the weights follow from is kept.
ASKED = Schema(
    "asked",
    {
        **GOLD.columns,  # `label`: the user's own, null unless `why` is `review`
        "ask": "int64",  # number of the ask, 1 and on
        "why": "string",  # grown: drawn from the reserve; review: a gold row of the user's that the model contradicts
        "turn": "Int64",  # of all draws ever, 1 and on; null for a review, as the rest
        "propensity": "float64",  # the chance with which it was drawn at this turn
        "among": "Int64",  # how many items could be drawn at this turn
        "doubt": "float64",  # the model's chance of being wrong about it, null without a model
    },
    BESIDE,
)

# What one person said of an item that was put up for a trusted label, or withdrew. Append-only.
ANSWERS = Schema(
    "answers",
    {
        "id": "string",
        "label": "string",  # null unless `status` is `labelled`
        "status": "string",  # labelled, skipped, refused, withdrawn
        "annotator": "string",
        "ask": "int64",
        "task_id": "int64",
        "annotation_id": "int64",  # there again when that person has changed or withdrawn the answer
        "lead_time_s": "float64",
        "created_at": "string",  # as in LABELS; older rows have the time zone of Label Studio
    },
)

# An item of the pool that is in the gold set (then it is its own `gold`), or nearly so.
LEAKS = Schema("leaks", {"id": "string", "gold": "string", "similarity": "float64"})

# What the model thinks of an item; `p<n>` columns of class probabilities follow, one a class, in the classes' order.
# `candidate`, with `score.candidates`: whether strategies may choose it, and the whole model has judged it.
SCORES = Schema(
    "scores",
    {
        "id": "string",
        "prediction": "string",
        "confidence": "float64",
        "least_confidence": "float64",
        "margin": "float64",
        "entropy": "float64",
    },
    {"candidate": "bool"},
)


def probabilities(scores: pd.DataFrame) -> NDArray[np.float32]:
    """(n, w) what a table of SCORES keeps of a model's opinion, see `Answer.kept`: (n, c) class probabilities, but of
    spans."""
    known = SCORES.columns | SCORES.further
    columns = [column for column in scores.columns if column not in known]
    return cast("NDArray[np.float32]", scores[columns].to_numpy(dtype=np.float32))


class Refusal(NamedTuple):
    """Why a row is refused: the rule it breaks, the same words for all such rows, and the reason with its figures."""

    rule: str
    reason: str


def tag(number: int) -> str:
    """The git tag of a round that is complete: trained, measured, and its next batch chosen.

    >>> tag(7)
    'round-0007'
    """
    return f"round-{number:04d}"


def round_tags(names: str) -> list[str]:
    """Which of these names of tags, divided by white space, are those of rounds: people make tags too.

    >>> round_tags("round-0001 round-x round-0002 round-0002-bad")
    ['round-0001', 'round-0002']
    """
    return [name for name in names.split() if re.fullmatch(r"round-[0-9]{4,9}", name)]


def number_of(name: str) -> int:
    """The number in a round's tag.

    >>> number_of("round-0007")
    7
    """
    return int(name.removeprefix("round-"))


def content_id(content: str) -> str:
    """The id of an item: a hash of its content, so that the same text has the same id everywhere.

    >>> content_id("hello")
    '2cf24dba5fb0a30e'
    """
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:ID_DIGITS]


RUN = "MLflow-Run"  # the line of a round's commit that names its run


def run_of(message: str) -> str:
    """The id of the run that a round's commit names; '' for a round without a model."""
    return message.partition(f"{RUN}: ")[2].strip()
