"""params.yaml, typed: a class a section, unknown keys refused, each message naming the path to the bad key.

Secrets are not settings: they come from the environment (see services/addresses.py) and never enter this file.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from labelwise.tasks.errors import SettingsError, named, without_secrets

_COMMANDS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# A call, a command of another program, or a cell of another sheet.
_FORMULA = re.compile(r"\s*[=+@-].*([A-Za-z]\w*\(|(HYPERLINK|WEBSERVICE)\s*\(|\||![$A-Za-z])", re.IGNORECASE)


def _showing(name: str) -> str:
    """A name that people see, in terminals, where control characters are commands. What a spreadsheet takes for a
    formula is quoted where a table is written, see `workspace.write_csv`."""
    if _COMMANDS.search(name):
        raise ValueError(f"{name!a} has control characters, such as the end of a line: write it without them")
    return name


def formula(text: str) -> bool:
    """Whether a spreadsheet that opens a CSV would run this text.

    >>> formula("=HYPERLINK(A1)"), formula("-1"), formula("a=b(c)"), formula("+1 (agree)")
    (True, False, False, False)
    """
    return bool(_FORMULA.match(text))


def without_credentials(address: str) -> str:
    """An address that may be committed, logged and shown. ValueError when it carries a password, a token or a
    signature."""
    whole = "".join(address.split())  # a blank in a password would pass for the end of the address
    if without_secrets(whole) != whole:
        raise ValueError("the address carries a password or a key; give credentials by the environment, not here")
    return address


def _encoding(name: str) -> str:
    try:
        "".encode(name)  # there are codecs of other things than text
    except LookupError:
        raise ValueError(f"{name!r} is no encoding; one such as cp1252, latin-1, utf-16 or gbk") from None
    return name


def _share_or_auto(value: Any) -> Any:
    if value != "auto" and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1):
        raise ValueError(f"expected a share from 0 to 1, or auto; got {value!r}")
    return value


def _as_written(value: Any) -> Any:
    """A day, which YAML reads as one, as text."""
    return value.isoformat() if isinstance(value, date) else value


def _unless(value: Any, **more: Any) -> Any:
    """A key with this default that is written only where it differs: what was made before there was such a key stays as
    it was, to the byte."""
    return Field(default=value, exclude_if=lambda given: given == value, **more)


Shown = Annotated[str, AfterValidator(_showing)]
ClassName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_showing)]
Address = Annotated[str, AfterValidator(without_credentials)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """A section of params.yaml. Strict: '25' is no number, and a key that nobody reads is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Project(Section):
    # Label Studio takes titles of 50 characters: name, " · " and id.
    name: Shown = Field(min_length=1, max_length=36)
    id: str = Field(min_length=1, max_length=11, pattern=r"^[A-Za-z0-9_.-]+$")


# What can be said of which item. Here and not in tasks/kinds/, which takes numpy and pandas to import.
NONE = "none of these"  # what reviewers say where no class of a multilabel fits
BOTH = ("choice", "multilabel")
PAIRS: dict[str, tuple[str, ...]] = {"text": (*BOTH, "spans"), "image": BOTH, "row": BOTH}


def fewest(answer: str) -> int:
    """How many classes there must be: of one alone there is nothing to choose, but something to mark."""
    return 1 if answer == "spans" else 2


ONE_LABEL = "stands between several labels of an item, which multilabel alone has"

# The mean score of a gold item, by what is said of it: its name in metrics/ and MLflow, and in words.
MEASURES = {
    "choice": ("accuracy", "accuracy"),
    "multilabel": ("set_f1", "set F1"),
    "spans": ("span_f1", "mean F1 of a text"),
}


# What a model can be judged by beside that (`evaluate.measure`), in words; OF_CLASS, RECALL: of one class.
BALANCED, MACRO_F1, OF_CLASS, RECALL = "balanced_accuracy", "macro_f1", "f1", "recall"
# Forms of measures that are means of a ratio of each class, or one such.
BY_CLASS = (BALANCED, MACRO_F1, OF_CLASS, RECALL)
AT_PRECISION = f"{RECALL}:CLASS at precision 0.9"
ENTITY_F1 = "entity_f1"  # of all spans together, whatever their class
FURTHER = {
    "choice": {BALANCED: "balanced accuracy", MACRO_F1: "macro F1"},
    "multilabel": {MACRO_F1: "macro F1"},
    "spans": {ENTITY_F1: "entity F1", MACRO_F1: "macro F1"},
}
# What a model is judged by where the settings name nothing: most texts hold no span, and their mean score is that of
# texts where nothing is to be found.
BY_ITSELF = {answer: name for answer, (name, _) in MEASURES.items()} | {"spans": ENTITY_F1}


@dataclass(frozen=True)
class MeasureName:
    """What a model is judged by. form: the name without its class. of: that class, '' for a measure of all.
    precision: what share of the items that are said to be of it has to be, where that is asked for."""

    form: str
    words: str
    of: str = ""
    precision: float | None = None

    @property
    def text(self) -> str:
        """As in `evaluate.measure`."""
        name = f"{self.form}:{self.of}" if self.of else self.form
        return name if self.precision is None else f"{name} at precision {self.precision}"

    @property
    def price(self) -> float:
        """How many items of the class have to be found for each that is said to be of it and is not; 0 where no
        precision is asked for.

        >>> round(of_class(RECALL, "spam", 0.9).price, 6), of_class(OF_CLASS, "spam").price
        (9.0, 0.0)
        """
        return 0.0 if self.precision is None else self.precision / (1 - self.precision)

    def about(self, of: str) -> "MeasureName":
        """The same of another class. ValueError for a measure of all.

        >>> measure_named("recall:spam at  precision 0.90", "choice", ["ham", "spam"]).about("junk").text
        'recall:junk at precision 0.9'
        """
        if not self.of:
            raise ValueError(f"{self.text!r} is about no class")
        return of_class(self.form, of, self.precision)


def of_class(form: str, of: str, precision: float | None = None) -> MeasureName:
    """A measure of one class: `OF_CLASS`, or with a precision `RECALL`."""
    if precision is None:
        return MeasureName(form, f"F1 of {of}", of)
    return MeasureName(form, f"recall of {of} (at precision {precision})", of, precision)


def measure_named(text: str | None, answer: str, classes: Sequence[str]) -> MeasureName:
    """The measure of that name, the kind's own for None. ValueError, with those that there are, for another.

    >>> measure_named("f1:spam", "choice", ["ham", "spam"]).words
    'F1 of spam'
    """
    plain = dict([MEASURES[answer]]) | FURTHER[answer]
    form, _, of = (BY_ITSELF[answer] if text is None else text).partition(":")
    if form.split(maxsplit=1)[:1] == [RECALL]:
        return _at_precision(str(text), classes)
    if form == OF_CLASS and of in classes:
        return of_class(form, of)
    if form == OF_CLASS:
        raise ValueError(_names_no_class(f"{OF_CLASS}:CLASS", of, str(text), classes))
    if form not in plain or of:
        among = f"{', '.join(plain)}, {OF_CLASS}:CLASS and {AT_PRECISION}"
        raise ValueError(f"{text!r} is no measure of a {answer}; there are {among}")
    return MeasureName(form, plain[form])


def _names_no_class(form: str, of: str, text: str, classes: Sequence[str]) -> str:
    near = difflib.get_close_matches(of, classes, n=1)
    hint = f"did you mean {form.replace('CLASS', near[0])!r}?" if near else f"there are {named(classes[:5])}"
    return f"{text!r} names none of the classes; {hint}"


def _at_precision(text: str, classes: Sequence[str]) -> MeasureName:
    """The recall of a class, as `AT_PRECISION` has it; blanks may be several. The class may hold those words itself."""
    parts = re.fullmatch(rf"\s*{RECALL}\s*:(.*?)\s+at\s+precision\s+(\S+)\s*", text, re.DOTALL)
    if parts is None:
        meant = (name for name in classes if text.partition(":")[2].strip().startswith(name))
        example = AT_PRECISION.replace("CLASS", next(meant, "CLASS"))
        raise ValueError(f"{text!r} does not name a class and a precision; write it as {example!r}")
    of, said = parts.groups()
    of = of if of in classes else of.strip()
    if of not in classes:
        raise ValueError(_names_no_class(f"{RECALL}:CLASS at precision {said}", of, text, classes))
    try:
        precision = float(said)
    except ValueError:
        precision = float("nan")
    if not 0 < precision < 1:
        raise ValueError(f"{text!r}: expected a precision above 0 and below 1, such as 0.9; got {said!r}")
    return of_class(RECALL, of, precision)


class Kind(Section):
    item: str = "text"
    answer: str = "choice"

    @property
    def metric(self) -> str:
        """The name of the mean score in metrics/ and MLflow."""
        return MEASURES[self.answer][0]

    @property
    def measure(self) -> str:
        """The same in words."""
        return MEASURES[self.answer][1]

    @model_validator(mode="after")
    def makes_sense(self) -> "Kind":
        if self.answer not in PAIRS.get(self.item, ()):
            pairs = ", ".join(f"{answer} of a {item}" for item, answers in PAIRS.items() for answer in answers)
            raise ValueError(f"{self.answer!r} of a {self.item!r} is no kind of label; there are {pairs}")
        return self


def kind_of(item: str, answer: str, delimiter: str | None = None) -> Kind:
    """The kind that the command line names. SettingsError, with the pairs that there are, for another one; also for a
    delimiter where an item has one label."""
    if delimiter and answer != "multilabel":
        raise SettingsError(f"--delimiter {ONE_LABEL}", fix="leave it out, or add --answer multilabel")
    try:
        return Kind(item=item, answer=answer)
    except ValidationError as error:
        raise SettingsError(f"--item, --answer: {error.errors()[0]['ctx']['error']}") from None


WIDEST = 100_000  # columns of one signal
NUMBER, COMMA, CATEGORY, SIGNAL = "number", "number with decimal comma", "category", "signal"
_SIGNAL = re.compile(rf"{SIGNAL}(?: of (\d{{1,7}}))?(?: at (\d+(?:\.\d+)?) Hz)?(?: in (\S.*?)(\d+)\.\.(.*?)(\d+))?")


@dataclass(frozen=True)
class Feature:
    """What a column of a row is. form: NUMBER, COMMA, CATEGORY or SIGNAL. Of a signal, length: how many figures it has,
    None where that is not said; rate: how many a second; wide: the columns that hold one figure each, none where one
    column holds a list."""

    form: str
    length: int | None = None
    rate: float | None = None
    wide: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """As in `pull.columns.features`.

        >>> Feature(SIGNAL, 3, 128.0, ("t0", "t1", "t2")).text
        'signal of 3 at 128 Hz in t0..t2'
        """
        length = "" if self.length is None else f" of {self.length}"
        rate = "" if self.rate is None else f" at {self.rate:g} Hz"
        return self.form + length + rate + (f" in {self.wide[0]}..{self.wide[-1]}" if self.wide else "")


def feature_of(text: str) -> Feature:
    """What a column is, as `pull.columns.features` has it. ValueError for what is none of that.

    >>> feature_of("signal at 128 Hz in t08..t10").wide
    ('t08', 't09', 't10')
    """
    if text in (NUMBER, COMMA, CATEGORY):
        return Feature(text)
    found = _SIGNAL.fullmatch(text)
    if found is None:
        examples = f"{NUMBER}, {COMMA}, {CATEGORY}, {SIGNAL} or such as '{SIGNAL} of 256 at 128 Hz'"
        raise ValueError(f"{text!r} says of no column what it is; write {examples}")
    length, rate, stem, first, again, last = found.groups()
    wide: tuple[str, ...] = ()
    if stem is not None:
        # Before the names are made: a slip in a figure must not fill the memory.
        if max(len(first), len(last)) > 18 or int(last) - int(first) >= WIDEST:
            raise ValueError(f"{text[:200]!r} names too many columns; a signal has at most {WIDEST:,}, write its own")
        digits = len(first) if first.startswith("0") or len(first) == len(last) else 1
        wide = tuple(f"{stem}{at:0{digits}d}" for at in range(int(first), int(last) + 1)) if again == stem else ()
        if len(wide) < 2 or (length and int(length) != len(wide)):
            raise ValueError(f"{text!r} names no columns in a row, as 't0..t255' does, of the length that it says")
    if rate is not None and not float(rate):
        raise ValueError(f"{text!r}: expected a rate above 0 Hz")
    return Feature(SIGNAL, len(wide) or (int(length) if length else None), float(rate) if rate else None, wide)


def features_named(given: Sequence[str]) -> dict[str, str]:
    """Columns as the command line names them, some with what they are. SettingsError for a signal that cannot be.

    >>> features_named(["age", "zip=category", "a=b"])
    {'age': '', 'zip': 'category', 'a=b': ''}
    """
    found = {}
    for text in given:
        name, _, said = text.rpartition("=")
        try:
            feature_of(said)
        except ValueError as error:
            if _SIGNAL.fullmatch(said):  # it says what the column is, but wrongly
                raise SettingsError(f"--features: {error}") from None
            name, said = text, ""
        found[name] = said
    return found


def left_out(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """What `features_named` is given, and the columns that no model is to learn from: those with a `-` before them.

    >>> left_out(["age", "-outcome"])
    (['age'], ['outcome'])
    """
    without = [text[1:] for text in given if text.startswith("-") and len(text) > 1 and "=" not in text]
    return [text for text in given if text[1:] not in without or not text.startswith("-")], without


def _feature(text: str) -> str:
    if text:
        feature_of(text)
    return text


class Columns(Section):
    text: str = "text"
    image: str = _unless("image")
    label: str = "label"
    id: str | None = None
    group: str | None = None
    context: list[Annotated[Shown, Field(min_length=1)]] = []
    # Of a row: what each column is, '' where that is yet to be found out, see `feature_of`
    features: dict[Annotated[Shown, Field(min_length=1)], Annotated[str, AfterValidator(_feature)]] = _unless({})
    # Columns of a row that are no features, where it is yet to be found out which are
    without: list[Shown] = _unless([])

    @model_validator(mode="after")
    def each_has_its_part(self) -> "Columns":
        parts = (("group", [self.group]), ("context", self.context), ("features", self.sources))
        for part, names in parts:
            if self.label in names:
                raise ValueError(f"{part}: {self.label!r} is the column of the label, which stays unread; take it out")
        if twice := next((name for name in self.context if self.context.count(name) > 1), None):
            raise ValueError(f"context: {twice!r} stands there more than once")
        if twice := next((name for name in self.sources if self.sources.count(name) > 1), None):
            raise ValueError(f"features: the column {twice!r} is part of several")
        return self

    @property
    def sources(self) -> list[str]:
        """The columns that the features are read from."""
        known = {name: feature_of(text).wide if text else () for name, text in self.features.items()}
        return [column for name, wide in known.items() for column in (wide or (name,))]


def columns_of(**given: Any) -> Columns:
    """The columns that the command line names. SettingsError where they make no sense."""
    try:
        return Columns(**given)
    except ValidationError as error:
        raise explained(error, "the columns") from None


class Pull(Section):
    pool: Address
    gold: Address
    encoding: Annotated[str, AfterValidator(_encoding)] | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=5)] | None = None
    columns: Columns = Columns()
    max_chars: PositiveInt = 20_000
    picture_side: int = _unless(512, ge=32, le=4096)
    max_refused: Share = 0.2


Engine = Literal["torch", "onnx", "int8"]  # what runs the encoder, see learners/runtimes.py
Precision = Literal["auto", "float32", "bfloat16", "float16"]  # see learners/devices.py


class Embed(Section):
    encoder: str = Field(default="all-MiniLM-L6-v2", min_length=1)
    max_tokens: Annotated[int, Field(ge=8, le=8192)] = 128
    pixels: int | None = _unless(None, ge=32, le=2048)  # of pictures; None: as the encoder was trained
    wording: bool = False  # workspaces made before there was such a thing replay as they were
    engine: Engine = _unless("torch")  # of texts
    precision: Precision | None = _unless(
        None
    )  # of texts by torch; None, as before there was such a thing: float32, CPU

    @model_validator(mode="after")
    def precision_is_of_torch(self) -> "Embed":
        if self.engine != "torch" and self.precision not in (None, "auto"):
            way = "set engine: torch, or precision: auto"
            raise ValueError(f"precision: {self.precision} is for engine torch, not {self.engine}; {way}")
        return self


By = Literal["auto", "latest", "majority", "dawid_skene"]  # how what several people said is taken together


class Agree(Section):
    by: By = "latest"  # workspaces made before there was such a thing replay as they were


class Train(Section):
    learner: str = "auto"
    regularisation: Annotated[float, Field(gt=0)] | None = None
    self_training: bool = False
    zero_shot: bool = False


class Evaluate(Section):
    measure: str | None = None  # see `measure_named`; None: the mean score of the kind
    resamples: Annotated[int, Field(ge=100, le=100_000)] = 1000


class Score(Section):
    reencode: PositiveInt = 2000
    candidates: PositiveInt | None = _unless(None)


class Finish(Section):
    """A pool that is being finished; written and taken away by `labelwise finish`, see tasks/finish.py. round: whose
    model labels. look: of all at these items, 1 and on. after: shards of the pool that were finished before. weak: of
    weak labels those that may label, too. share: of the exam, and model: a digest of what it thinks, both None until it
    has been trained."""

    wrong: Annotated[float, Field(gt=0, lt=1)]
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    round: Annotated[int, Field(ge=0)]
    look: PositiveInt = 1
    after: Annotated[int, Field(ge=0)] = 0
    weak: Annotated[int, Field(ge=0)] = _unless(0)
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    model: str | None = None


class Select(Section):
    strategy: str = "auto"
    cold_start: str = "typiclust"
    batch: PositiveInt = 25
    control: Annotated[float | str, BeforeValidator(_share_or_auto)] = 0.2
    relabel: Share = 0.2
    suspects: Share = 0.0  # workspaces made before there was such a thing replay as they were
    seek: bool = False  # workspaces made before there was such a thing replay as they were
    fallback: bool = False  # the same
    typical: bool = False  # the same
    near_duplicate: Annotated[float, Field(gt=0, le=1)] | None = 0.95
    balance: bool = False
    finish: Finish | None = _unless(None)


class Prove(Section):
    learner: str = "frozen"
    hourly_rate: Amount = 30.0
    compute_rate: Amount = 0.5
    point_worth: Amount = 100.0
    found_worth: Amount = 0.0
    currency: Annotated[Shown, Field(max_length=8)] = "EUR"
    targets: list[Annotated[float, Field(gt=0, lt=1)]] = [0.9, 0.95]


class Gold(Section):
    reserve: Annotated[float, Field(ge=0, lt=1)] = 0.1
    near_duplicate: Annotated[float, Field(gt=0, le=1)] | None = 0.98


class Stop(Section):
    rule: str = "value"
    recall: Annotated[float, Field(gt=0, le=1)] = 0.95
    absent: Share = 0.01
    act: Literal["advise", "stop"] = "advise"
    max_rounds: PositiveInt | None = None
    max_labels: PositiveInt | None = None
    max_cost: Annotated[float, Field(gt=0)] | None = None


class Push(Section):
    show_prediction: bool = True


PLACES = ("{classes}", "{item}")  # that a template of a prompt must have; it may have {examples}


class Prices(Section):
    """What a million tokens cost, in `prove.currency`, and the day on which that was so."""

    input: Amount
    output: Amount
    as_of: Annotated[str, BeforeValidator(_as_written), Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class LanguageModel(Section):
    """A language model that labels, at an address that speaks OpenAI's protocol."""

    address: Address | None = None
    model: Shown = ""
    prompt: str | None = None
    examples: Annotated[int, Field(ge=0, le=50)] = 4
    items: Annotated[int, Field(ge=0)] = 100
    budget: Amount = 0.0
    prices: Prices | None = None
    max_tokens: Annotated[int, Field(ge=1, le=16_384)] | None = None  # see labels/prompts.py
    at_once: Annotated[int, Field(ge=1, le=64)] = 4
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0

    @field_validator("address")
    @classmethod
    def is_of_the_web(cls, address: str | None) -> str | None:
        if address is not None and not re.match(r"https?://[^/]", address):
            raise ValueError(f"expected http://NAME/v1 or https://NAME/v1, got {address[:80]!r}")
        return address

    @field_validator("prompt")
    @classmethod
    def has_places(cls, prompt: str | None) -> str | None:
        missing = [place for place in PLACES if prompt is not None and place not in prompt]
        if missing:
            raise ValueError(f"the template has no {missing[0]}, where it is to be put")
        return prompt

    @model_validator(mode="after")
    def is_named(self) -> "LanguageModel":
        if self.address is not None and not self.model:
            raise ValueError("llm.model: say which model is asked at llm.address")
        return self


class People(Section):
    overlap: Annotated[int, Field(ge=1, le=20)] = 1


class Wait(Section):
    quorum: Annotated[float, Field(gt=0, le=1)] = 1.0
    deadline_hours: Annotated[float, Field(gt=0, le=87_600)] | None = None  # ten years: dates end somewhere
    poll_seconds: list[Annotated[float, Field(gt=0, le=86_400)]] = Field(default=[1, 30], min_length=2, max_length=2)

    @model_validator(mode="after")
    def first_is_shorter(self) -> "Wait":
        if self.poll_seconds[0] > self.poll_seconds[1]:
            raise ValueError("poll_seconds must rise: [first, longest]")
        return self


class Promote(Section):
    rule: Literal["better", "not_worse"] = "better"
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    tolerance: Share = 0.0
    protected: list[str] = []


class Answering(Section):
    """What the model at work may answer by itself."""

    wrong: Annotated[float, Field(gt=0, lt=1)] = 0.05
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    watch: Share = 0.01
    unlike: Share = 0.01
    never: list[str] = []
    online: bool = False


class Settings(Section):
    """All of params.yaml."""

    FILE: ClassVar[str] = "params.yaml"

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    project: Project
    classes: Annotated[list[ClassName], Field(min_length=1)]
    descriptions: dict[str, Annotated[str, Field(max_length=1000)]] = Field(default={}, exclude=True)  # see `described`
    # What became of classes that people have answered by, see tasks/labels/renamed.py
    renamed: dict[str, str] = {}  # names that classes had before -> the class of today
    dropped: list[str] = []  # classes that were taken out
    split: list[str] = []  # classes in whose place there are several now
    pull: Pull
    kind: Kind = Kind()
    engine: Literal["local", "ray"] = _unless(
        "local"
    )  # where what can be spread is computed, see tasks/services/ray.py
    embed: Embed = Embed()
    agree: Agree = _unless(Agree())
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    score: Score = Score()
    select: Select = Select()
    prove: Prove = Prove()
    gold: Gold = Gold()
    stop: Stop = Stop()
    push: Push = Push()
    people: People = _unless(People())
    llm: LanguageModel = _unless(LanguageModel())
    wait: Wait = Wait()
    promote: Promote = Promote()
    answer: Answering = _unless(Answering())

    @model_validator(mode="before")
    @classmethod
    def described(cls, content: Any) -> Any:
        """`classes` is a list of names, or a mapping from names to what reviewers are told of each."""
        if "descriptions" in content:
            raise ValueError("`descriptions` is no key; say it where a class is named, `classes: {name: what it is}`")
        classes = content.get("classes")
        if not isinstance(classes, dict):
            return content
        said = {name: text for name, text in classes.items() if text is not None}
        return content | {"classes": list(classes), "descriptions": said}

    @property
    def lapsed(self) -> list[str]:
        """The classes that no longer exist, so that what was said by them counts as nothing."""
        return [*self.dropped, *self.split]

    @property
    def answerable(self) -> list[str]:
        """What an answer may say: the classes, the names that they had before, and classes that no longer exist."""
        return [*self.classes, *self.renamed, *self.lapsed]

    @field_validator("renamed")
    @classmethod
    def followed(cls, renamed: dict[str, str]) -> dict[str, str]:
        """A class that was renamed twice has its last name at once."""
        found: dict[str, str] = {}
        for old in renamed:
            names = [old]
            while names[-1] in renamed:
                names.append(renamed[names[-1]])
                if names.count(names[-1]) > 1:
                    raise ValueError(f"{' -> '.join(map(repr, names))} leads to no class; take one of these out")
            found[old] = names[-1]
        return found

    @model_validator(mode="after")
    def renamed_to_classes(self) -> "Settings":
        for old, new in self.renamed.items():
            if old in self.classes:
                raise ValueError(
                    f"renamed: {old!r} is one of the classes; take it out of `renamed`, or out of `classes`"
                )
            if new not in self.classes and new not in self.lapsed:
                near = difflib.get_close_matches(new, self.classes, n=1)
                raise ValueError(
                    f"renamed: {old!r} leads to {new!r}, which is none of the classes; "
                    + (f"did you mean {near[0]!r}? " if near else "")
                    + f"if {new!r} has another name today, say it there, too"
                )
        return self

    @model_validator(mode="after")
    def lapsed_are_no_classes(self) -> "Settings":
        for key, names in (("dropped", self.dropped), ("split", self.split)):
            tables = {"classes": self.classes, "renamed": self.renamed, "dropped": self.dropped, "split": self.split}
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{key}: {name!r} stands there more than once")
                if other := next((each for each in tables if each != key and name in tables[each]), ""):
                    raise ValueError(f"{key}: {name!r} stands in `{other}`, too; take it out of one of them")
        return self

    @model_validator(mode="after")
    def protected_are_classes(self) -> "Settings":
        strange = [name for name in self.promote.protected if name not in self.classes]
        if strange:
            raise ValueError(f"promote.protected names {strange[0]!r}, which is none of the classes")
        return self

    @model_validator(mode="after")
    def measure_is_known(self) -> "Settings":
        try:
            measure_named(self.evaluate.measure, self.kind.answer, self.classes)
        except ValueError as error:
            raise ValueError(f"evaluate.measure: {error}") from None
        return self

    @model_validator(mode="after")
    def measure_names_what_is_found(self) -> "Settings":
        asked = {"stop.rule: recall": self.stop.rule == "recall", "prove.found_worth": self.prove.found_worth > 0}
        for key in (key for key, used in asked.items() if used and not self.measure.of):
            ways = f"set that to one such as {OF_CLASS}:{self.classes[-1]}, or take this out"
            raise ValueError(f"{key} is about the class of evaluate.measure, which names none; {ways}")
        return self

    @property
    def measure(self) -> MeasureName:
        """What a model is judged by."""
        return measure_named(self.evaluate.measure, self.kind.answer, self.classes)

    @model_validator(mode="after")
    def engine_reads_the_items(self) -> "Settings":
        if self.embed.engine != "torch" and (self.kind.item != "text" or self.kind.answer == "spans"):
            kind = f"{self.kind.item}s" if self.kind.item != "text" else "spans, which need the state of each token"
            raise ValueError(f"embed.engine: {self.embed.engine} is not for {kind}; set it to torch")
        return self

    @model_validator(mode="after")
    def features_are_those_of_a_row(self) -> "Settings":
        unsaid = [name for name, text in self.pull.columns.features.items() if not text]
        if self.kind.item == "row" and (unsaid or not self.pull.columns.features):
            of = f"{unsaid[0]!r} is" if unsaid else "the columns of a row are"
            example = f"{{age: {NUMBER}, job: {CATEGORY}}}"
            raise ValueError(f"pull.columns.features: say what {of}, such as {example}; `labelwise init` finds it out")
        return self

    @model_validator(mode="after")
    def classes_are_enough(self) -> "Settings":
        if len(self.classes) < fewest(self.kind.answer):
            raise ValueError(f"`classes`: expected two at least, got {named(self.classes)} alone")
        return self

    @model_validator(mode="after")
    def none_is_no_class(self) -> "Settings":
        if self.kind.answer == "multilabel" and NONE in self.classes:
            raise ValueError(f"classes: {NONE!r} is what reviewers say where no class fits; call the class otherwise")
        return self

    @model_validator(mode="after")
    def item_is_shown_anyway(self) -> "Settings":
        columns, item = self.pull.columns, self.kind.item
        own = {"text": [columns.text], "image": [columns.image], "row": columns.sources}.get(item, [])
        for part, names in (("group", [columns.group]), ("context", columns.context)):
            if twice := next((name for name in names if name in own), None):
                where = f"pull.columns.{part}: {twice!r}"
                raise ValueError(f"{where} is the column of the {item}, which is shown anyway; take it out")
        return self

    @model_validator(mode="after")
    def delimited_are_several(self) -> "Settings":
        if self.kind.answer != "multilabel" and self.pull.delimiter:
            raise ValueError(f"pull.delimiter {ONE_LABEL}")
        return self

    @model_validator(mode="after")
    def classes_differ(self) -> "Settings":
        twice = sorted({name for name in self.classes if self.classes.count(name) > 1})
        if twice:
            raise ValueError(f"classes must differ; {', '.join(twice)} stands there more than once")
        return self


def read(path: Path) -> Settings:
    """The settings in `path`. SettingsError names the path to the first bad key, what was expected and what came."""
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path} is missing", fix="`git checkout HEAD -- params.yaml` brings it back") from None
    except (YAMLError, ValueError, LookupError) as error:  # ruamel gives all three
        said = str(error).splitlines()[-1].strip()
        raise SettingsError(f"{path.name} is no YAML: {said}", fix=_aside(path)) from None
    return parse(content, path.name, _aside(path))


def _aside(path: Path) -> str:
    """How a workspace gets its last params.yaml back and keeps what stands there now."""
    mend = "mend it, or put it aside for the last version: `git stash push -- params.yaml`"
    return mend if (path.parent / ".git").exists() and path.name == Settings.FILE else ""


def parse(content: Any, name: str = Settings.FILE, fix: str = "") -> Settings:
    """Settings from parsed YAML. fix: what to do where that is no mapping."""
    if not isinstance(content, dict):
        raise SettingsError(name, expected="sections such as `pull:`", got=type(content).__name__, fix=fix)
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise explained(error, name) from None


def refuse_empty_rules(settings: Settings) -> None:
    """SettingsError for a rule that says nothing. Past rounds that were played by it can still be read."""
    if settings.promote.rule == "not_worse" and not settings.promote.tolerance:
        raise SettingsError(
            "params.yaml: `promote.rule: not_worse` with `promote.tolerance: 0`",
            expected="a tolerance above 0: 'worse by nothing' can never be shown, only 'better' can",
            fix="set promote.tolerance to the accuracy that you would give up, such as 0.01, or promote.rule: better",
        )


def change(path: Path, changes: dict[str, Any]) -> None:
    """Set keys of the YAML file at `path`, given by dotted path, sections that are not there
    included, and keep its comments and order."""
    with edited(path) as content:
        for dotted, value in changes.items():
            *sections, key = dotted.split(".")
            section = content
            for part in sections:
                if section.get(part) is None:  # a file may leave out a section whose defaults will do
                    section[part] = {}
                section = section[part]
            section[key] = inline(value) if isinstance(value, list) else value
            if isinstance(value, Mapping):
                cells = {name: quoted(each) if isinstance(each, str) else each for name, each in value.items()}
                section[key] = CommentedMap({quoted(name): each for name, each in cells.items()})


class _Written(RoundTripRepresenter):
    """How values are written: what is `null` stays so, rather than become an empty cell."""


_Written.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))


@contextmanager
def edited(path: Path) -> Iterator[CommentedMap]:
    """The content of the YAML file at `path`, to be changed in place; its comments and order stay. Readers see the old
    file or the new one, never half of it, and the old one when the block fails."""
    yaml = YAML()
    yaml.Representer = _Written
    yaml.width = 100_000  # a name that is broken over two lines does not always come back whole
    yaml.preserve_quotes = True  # without them a name with a colon, within braces, could not be read again
    content = yaml.load(path.read_text(encoding="utf-8"))
    yield content
    scratch = path.with_name(f".{path.name}.part")
    try:
        with scratch.open("w", encoding="utf-8") as file:
            yaml.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def as_line(content: Mapping[str, Any]) -> str:
    """Keys and values as one line of a YAML file; a mapping among them in braces.

    >>> print(as_line({"renamed": {"billing": "invoices & fees", "2.0": "two"}}))
    renamed: {billing: "invoices & fees", "2.0": two}
    """
    yaml = YAML()
    yaml.width = 100_000
    written = StringIO()
    yaml.dump({key: braced(value) if isinstance(value, Mapping) else value for key, value in content.items()}, written)
    return written.getvalue().strip()


def braced(content: Mapping[str, str]) -> CommentedMap:
    """A mapping on one line."""
    mapping = CommentedMap({quoted(key): quoted(value) for key, value in content.items()})
    mapping.fa.set_flow_style()
    return mapping


def inline(values: list[Any]) -> CommentedSeq:
    """A list on one line, [a, b], so that the comment behind it stays behind it. Of itself ruamel leaves `a:b` and `a?`
    without quotes there, and cannot read them again."""
    sequence = CommentedSeq([quoted(value) if isinstance(value, str) else value for value in values])
    sequence.fa.set_flow_style()
    return sequence


def quoted(value: str) -> str:
    """A name as it may stand within braces or brackets."""
    return value if re.fullmatch(r"[\w -]+", value) else DoubleQuotedScalarString(value)


def explained(error: ValidationError, name: str) -> SettingsError:
    """The first complaint of pydantic as one line: the key, what was expected, what came, did you mean."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _keys(first["loc"][:-1])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        fix = f"did you mean `{near[0]}`?" if near else "remove it"
        return SettingsError(f"{name}: unknown key `{key}`", expected="one of " + ", ".join(known), fix=fix)
    if first["type"] == "missing":
        return SettingsError(f"{name}: `{key}` is missing", fix="add it, or start from `labelwise init`")
    got = repr(first["input"])
    if first["type"] == "value_error":
        return SettingsError(f"{name}: {key or 'settings'}: {first['ctx']['error']}")
    if first["type"] == "string_too_long":
        most, characters = first["ctx"]["max_length"], len(first["input"])
        return SettingsError(
            f"{name}: `{key}`",
            expected=f"at most {most} characters",
            got=f"{characters}: {got[:140]}",
            fix="shorten it in all files",
        )
    return SettingsError(f"{name}: `{key}`", expected=first["msg"], got=got[:80])


def one_of(key: str, value: str, known: dict[str, Any]) -> Any:
    """The entry `value` of the table `known`; SettingsError with the nearest name when it is not there."""
    if value in known:
        return known[value]
    near = difflib.get_close_matches(value, known, n=1)
    raise SettingsError(
        key if key.startswith("-") else f"params.yaml: `{key}`",
        expected="one of " + ", ".join(known),
        got=repr(value),
        fix=f"did you mean `{near[0]}`?" if near else "",
    )


def _keys(path: tuple[str | int, ...]) -> list[str]:
    """The keys that the section at `path` may have."""
    model: Any = Settings
    for part in path:
        model = model.model_fields[part].annotation
    return [name for name, field in model.model_fields.items() if not field.exclude]
