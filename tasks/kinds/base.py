"""What a kind of label must offer: two small protocols, of which a module is a value. numpy and pandas only."""

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labelwise.tasks.kinds.files import Files
from labelwise.tasks.kinds.wording import Wording
from labelwise.tasks.services.expectations import ONE_OF, Rule
from labelwise.tasks.settings import Columns, Embed, Pull, Settings

Floats = NDArray[np.floating]
# What a model says of n items: (n, c) probabilities, or of spans (n,) Marked, see marked.py.
Opinion = NDArray[Any]
YES, NO = "yes", "no"  # what a label says to most questions, see `Answer.questions`
OfRows = Callable[[NDArray[np.int64]], float]  # a figure of the gold items in these rows
# One rule of each content: all cells of a row are proper Unicode, which tasks/items/suites.py measures.
DECODES = Rule("row is not UTF-8", "row: is UTF-8", ONE_OF, {"value_set": [True]})


@dataclass(frozen=True)
class Views:
    """What a model's opinion of n items looks like to a strategy, whatever it is that is said of an item.

    simplex: (n, k) rows that sum to 1; errors: (n, e) the gradient of the loss by the logits, if the model's own guess
    were right; doubt: (n,) 1 less the score that the guess is expected to have. Where nothing has been learned all are
    NaN.

    words: (n, 5) of spans: the mean and the sum over words of how improbable the likeliest tag is, by how much the best
    tagging is more probable than the next best, how many words there are to read, and a number for the least sure one;
    else None.

    Of one class an item they are p, p less 1 at the best guess, and 1 - max p. Of several labels: p and 1 - p of the
    least sure one; p less the labels that are said; 1 less the expected F1. Of spans: the tags of the least sure word;
    these less the likeliest; 1 less the expected F1.
    """

    simplex: Floats
    errors: Floats
    doubt: Floats
    words: Floats | None = None

    def take(self, rows: NDArray[np.integer]) -> "Views":
        """Those of the items at these rows."""
        words = None if self.words is None else self.words[rows]
        return Views(self.simplex[rows], self.errors[rows], self.doubt[rows], words)


@dataclass(frozen=True)
class Measured:
    """What g gold items say of a model.

    said: (g,) its labels. scores: (g,) what each is worth, in [0, 1]. confidence: (g,) the score that it expected of
    itself. measures: further figures by name, in [0, 1], each of any rows of the gold set, so that it can be asked of
    resamples. by_class: a row a class: class, precision, recall, f1, items.
    """

    said: NDArray[np.object_]
    scores: NDArray[np.float64]
    confidence: NDArray[np.float64]
    measures: dict[str, OfRows]
    by_class: pd.DataFrame


@dataclass(frozen=True)
class Read:
    """What n cells of a source say. labels: as they are kept, None where a cell is missing; one that is none stays as
    it came. faults: what is wrong with each, None where nothing is. remarks: lines for people."""

    labels: list[str | None]
    faults: list[str | None]
    remarks: list[str]


def one_by_one(read: Callable[[str], str], cells: Sequence[str | None]) -> Read:
    """What cells say of which each can be read by itself. read: gives the label of one that is not blank, ValueError
    where there is none in it."""
    labels: list[str | None] = []
    faults: list[str | None] = []
    for cell in cells:
        label, fault = cell and cell.strip(), None
        if label:
            try:
                label = read(label)
            except ValueError as error:
                fault = str(error)
        labels.append(label if cell else None)
        faults.append(fault)
    return Read(labels, faults, [])


class Answer(Protocol):
    """What is said of an item. A label is one canonical string; everything else is derived from it."""

    @property
    def NAME(self) -> str:
        """As in `kind.answer`."""

    @property
    def METRIC(self) -> str:
        """The name of the mean score in metrics/ and MLflow."""

    @property
    def MEASURE(self) -> str:
        """The same in words."""

    @property
    def HEADER(self) -> str:
        """What reviewers are asked of an {item}."""

    @property
    def HINT(self) -> str:
        """How, in a line below the choices."""

    @property
    def HOW(self) -> str:
        """How, in full, as HTML."""

    @property
    def EXAMPLE(self) -> str:
        """What a label in a file looks like, in words."""

    @property
    def LISTS(self) -> bool:
        """Whether a label may be a list of names in files that have lists: JSON, Parquet."""

    @property
    def PLACES(self) -> bool:
        """Whether a label names places in its item: in a source that may be tokens, which are joined to a text."""

    @property
    def FAULTS(self) -> Mapping[str, str]:
        """All reasons why `read` may refuse a cell, and what to do about each; '' where `EXAMPLE` says it."""

    def read(self, cell: str, delimiter: str | None) -> str:
        """The label in a cell of a file that is not blank, as far as it can be told without its item. delimiter: what
        stands between several names, None for the kind's own form. ValueError with one of `FAULTS` where there is none
        in it."""

    def read_all(self, cells: Sequence[str | None], items: Sequence[str | None], delimiter: str | None) -> Read:
        """The labels in cells of a source, of all of it where they name `PLACES`: what one row shows then holds for the
        others. items: what they are said of, as it came; a label that names places in its item names those in the item
        as it is kept."""

    def members(self, label: str) -> list[str]:
        """The classes that a label names."""

    def spoken(self, label: str, item: str | None = None) -> str:
        """The label for people. item: the cell that it is said of, where that is known."""

    def renamed(self, label: str, renames: Mapping[str, str], dropped: Collection[str] = ()) -> str:
        """The label with its classes under other names, and without those that were dropped where that leaves an
        answer."""

    def questions(self, labels: Iterable[str]) -> list[str]:
        """What people must agree on, each by itself, where these labels were given of one item."""

    def reply(self, label: str, question: str) -> str:
        """What a label says to one of the questions."""

    def joined(self, replies: Mapping[str, str]) -> str:
        """The label that says just this to each question."""

    def choices(self, classes: Sequence[str]) -> list[str]:
        """What reviewers choose from."""

    def control(self, classes: Sequence[str]) -> ET.Element:
        """The control of Label Studio by which a reviewer gives a label, with a key for each of the first classes."""

    def result(self, label: str, item: str | None = None) -> list[dict[str, Any]]:
        """A label as Label Studio's result of an annotation. item: the cell that it is said of."""

    def parse(self, result: Sequence[Any], item: str | None = None) -> str | None:
        """The label in a result, whatever that may look like; None when it holds none. item: the cell that was shown,
        as far as that is known. A name that is no class is given all the same."""

    def targets(self, labels: Sequence[str], classes: Sequence[str]) -> NDArray[Any]:
        """What a learner is taught, (m,) or (m, c); -1, or a row of -1, where a label names what is no class."""

    def decide(self, opinion: Opinion, classes: Sequence[str], thresholds: Floats | None = None) -> NDArray[np.object_]:
        """What a model says of n items -> (n,) labels."""

    def expect(self, opinion: Opinion, thresholds: Floats | None = None) -> NDArray[np.float64]:
        """What a model says of n items -> (n,) the expected score of what is decided, in [0, 1]; NaN without a
        model."""

    def kept(self, opinion: Opinion, thresholds: Floats | None = None) -> Floats:
        """What a model says of n items -> (n, w) what the table of scores keeps of it, from which `simplex` and `views`
        follow: the probabilities, where they are (n, c)."""

    def score(self, said: Sequence[str | None], truth: Sequence[str]) -> NDArray[np.float64]:
        """(n,) what each label is worth against the truth, in [0, 1]."""

    def chances(self, kept: Floats) -> Floats:
        """(n, w) of `kept` -> (n, c) how probable it is that an item has each class."""

    def counts(self, said: Sequence[str | None], truth: Sequence[str], classes: Sequence[str]) -> NDArray[np.float64]:
        """(3, g, c) of each class in each item: how much of it is right, is said, and is true."""

    def simplex(self, kept: Floats, thresholds: Floats | None = None) -> Floats:
        """(n, w) of `kept` -> (n, k) rows that sum to 1, see Views."""

    def views(self, kept: Floats, thresholds: Floats | None = None) -> Views | None:
        """(n, w) of `kept` as strategies see it; None where they see probabilities as they are."""

    def measured(
        self,
        truth: Sequence[str],
        opinion: Opinion,
        classes: Sequence[str],
        thresholds: Floats | None,
        weights: Floats,
    ) -> Measured:
        """g gold labels against what a model says of their items. weights: (g,) what each item counts, 1 on average."""

    def suggestion(self, label: str, confidence: float) -> str:
        """What the model thinks of an item, for reviewers."""

    def wrong(self, label: str, classes: Sequence[str], chance: Any) -> str:
        """Another label than this one, drawn by `chance` (random.Random): what a careless reviewer may say."""

    @property
    def VALUE(self) -> str:
        """The type of `value`, see values.py."""

    def value(self, label: str, item: str) -> Any:
        """The label for other programs. item: the cell that it is said of."""


class Encoder(Protocol):
    """A frozen encoder of items."""

    def encode(self, cells: list[str], progress: Callable[[int], None] = ..., /) -> NDArray[np.float32]:
        """n cells -> (n, d) vectors of unit length. `progress` is told how many more are done."""


class Content(Protocol):
    """What an item is. The tables keep it as one string, its cell; everything else is derived from that. What is asked
    of a cell is asked of any, also of one that breaks a rule."""

    @property
    def NAME(self) -> str:
        """As in `kind.item`; with an s, several of them."""

    @property
    def COLUMN(self) -> str:
        """The column of the tables that has the cells."""

    @property
    def DEFAULTS(self) -> Mapping[str, Any]:
        """What params.yaml of a new workspace has other than that of texts, by dotted path."""

    def columns(self, columns: Columns) -> list[str]:
        """The columns of a source that an item is read from; where there are none, it is not in the source."""

    @property
    def WORDS(self) -> bool:
        """Whether words are such an item, so that its encoder can read the name of a class."""

    @property
    def ARRAYS(self) -> bool:
        """Whether a list may stand in these columns of JSON or Parquet; it comes as JSON."""

    def files(self, columns: Columns) -> Files | None:
        """The column whose cells stand for files, whose bytes `read` is then given, see kinds/files.py; None where none
        does."""

    def read(self, rows: pd.DataFrame, pull: Pull) -> pd.Series:
        """(n, k) those columns, whose cells are text or None -> (n,) the cells as they came, None where there is none.
        What is wrong with one is told by `measures`."""

    def rules(self, max_chars: int) -> list[Rule]:
        """What is expected of each cell that came, over `measures`, with `DECODES` at its place among them; of those
        that are broken the first is the reason. max_chars: as in `pull.max_chars`."""

    def measures(self, cells: Sequence[str | None]) -> dict[str, Any]:
        """What `rules` are about: columns of n values. Numbers of a few bytes, and nothing of the cells: they are kept
        for a whole source, and end in the Data Docs."""

    def tidy(self, cell: str) -> str:
        """The cell as it is kept."""

    def identify(self, cell: str) -> str:
        """The id of an item: a hash of its content, see `records.content_id`."""

    def fold(self, cell: str) -> str:
        """What two items that count as the same have in common."""

    def detected(self, look: Callable[[], pd.DataFrame], columns: Columns) -> tuple[Columns, list[str]]:
        """The columns with what the user has not said of them, and what is to be said of that, a line each. look: gives
        the first rows of the pool's source, all columns. InputError where nothing in it can be such an item."""

    @property
    def settled(self) -> Callable[[list[str], Settings], dict[str, Any]] | None:
        """The cells of the first items -> what an encoder has to know of them before it reads any, such as their scale,
        as JSON: made once, kept in git and with the models, so that items that come later move no vector, and none that
        is made again. No item must be told from it. None where it is nothing."""

    def encoder(self, embed: Embed, settled: Mapping[str, Any] | None = None) -> Encoder:
        """What makes vectors of the cells. InputError where the settings name none."""

    def needs(self, embed: Embed) -> list[str]:
        """The packages that the encoder needs, by the names that pip has for them."""

    @property
    def wording(self) -> Callable[[list[str], Any], Wording] | None:
        """n cells and their encoder -> (n,) a second opinion, beside the vectors, on which items are nearly the same,
        where `embed.wording` asks for it; None where there is none."""

    def given(self, items: Any, pull: Pull) -> Iterable[str]:
        """One by one, where they are large, the cells of what a program gives to a model: a frame with the columns of
        the source, or what else such items are in a program, read as `pull` has the items of the source read.
        InputError for what is none, with the position of the first."""

    def takes(self, columns: Columns) -> list[tuple[str, str | None]]:
        """The same for MLflow: a type of its data (`string`, `binary`, `double`, `any`) and a name for each column;
        None for one whose name does not matter."""

    def remarks(self, cells: list[str], gold: Sequence[tuple[str, str]] = ()) -> list[str]:
        """What to say of a sample of the pool before anything is made of it, a line each; it must not take seconds.
        gold: items of the gold set with their labels."""

    def notes(self, cells: list[str]) -> Counter[str]:
        """What was done to items so that they could be kept, and to how many of these, as `pictures have ...`."""

    def view(self, columns: Columns) -> ET.Element:
        """What Label Studio shows of the item."""

    def task(self, cell: str) -> dict[str, str]:
        """The item in a task of Label Studio: what `view` reads."""

    def values(self, cell: str) -> dict[str, Any]:
        """The item for other programs, by the columns of `value_types`."""

    def value_types(self, columns: Columns) -> dict[str, str]:
        """The types of `values`, see values.py."""

    def brief(self, cell: str) -> str:
        """The item in words, for people; whoever shows it cuts it."""

    def thumbnail(self, cell: str) -> str:
        """A small picture of the item for pages, as a data address; '' where words say it."""
