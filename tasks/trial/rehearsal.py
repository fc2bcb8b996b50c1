"""What a rehearsal is made of: labelled rows, the rounds of one run, and what the runs say together. No files, no
servers."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, astuple, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from labelwise.tasks import kinds
from labelwise.tasks.figures import ACCURACY
from labelwise.tasks.items import leaks
from labelwise.tasks.items.vectors import Vectors
from labelwise.tasks.kinds import Answer, Measure, choice, measures
from labelwise.tasks.kinds.wording import Wording
from labelwise.tasks.labels import sought
from labelwise.tasks.labels.sought import Way
from labelwise.tasks.learners import Exam, Items, Model, thresholds_of
from labelwise.tasks.learners.words import Words
from labelwise.tasks.score import score
from labelwise.tasks.select import Opinion, as_labelled, select, strategy_for
from labelwise.tasks.settings import Settings
from labelwise.tasks.train import exam_of, taught

SHARES = (0.90, 0.95, 0.98, 0.99)  # of the score that the whole pool gives
HEADLINE = 0.98
CONFIDENCE = 0.95
BASELINE = "random"
NOTHING = 1e-6  # scores are kept with six digits


@dataclass(frozen=True)
class Rows:
    """Labelled items. table: columns id, `column` (the items), label, and group where there are any; in the same order,
    vectors: (n, d) float16; wording: (n,), None where nobody has looked at it; words: of the texts, where spans are
    learned, else None."""

    table: pd.DataFrame
    vectors: NDArray[np.float16]
    wording: Wording | None = None
    column: str = "text"
    words: Words | None = None

    def items(self) -> Items:
        """For a learner."""
        cells = self.table[self.column].tolist()
        return Items(
            len(self.table),
            lambda rows: self.vectors[rows].astype(np.float32),
            lambda rows: [cells[at] for at in rows],
            self.groups(),
            None if self.words is None else self.words.take,
        )

    def groups(self) -> NDArray[np.int64] | None:
        """(n,) a number for the group of each, -1 where it has none; None where there are no groups."""
        return None if "group" not in self.table else np.asarray(pd.factorize(self.table.group)[0], dtype=np.int64)

    def answers(self, noise: float, classes: list[str], seed: int, answer: Answer = choice) -> pd.Series:
        """The labels by id, a share of them wrong: the same ones for all strategies of a seed."""
        rng = np.random.default_rng([seed, 1])
        labels = self.table.label.to_numpy(dtype=object).copy()
        for row in np.flatnonzero(rng.random(len(labels)) < noise):
            labels[row] = answer.wrong(labels[row], classes, rng)
        return pd.Series(labels, index=self.table.id)


@dataclass
class Run:
    """One strategy with one learner and one seed, a point a round: score, the measure on the gold items in [0, 1],
    such as the accuracy; asked and why: what went into each batch; by: who chose it, in words; exams:
    the numbers of an Exam, none where there was none. tokens: where spans are learned, how many words people have read,
    punctuation marks too; else empty.
    """

    strategy: str
    learner: str
    seed: int
    labels: list[int] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    why: list[list[str]] = field(default_factory=list)
    by: list[str] = field(default_factory=list)
    exams: list[list[float]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For files and people."""
        return f"{self.strategy}-{self.learner}-{self.seed}"

    @classmethod
    def of(cls, content: dict[str, Any]) -> "Run":
        """From JSON, in which the score is called accuracy where it is one, too. TypeError for anything else."""
        scores = {"score": content["accuracy"]} if "accuracy" in content else {}
        return cls(**{key: value for key, value in content.items() if key != "accuracy"} | scores)

    def as_json(self, measure: Measure = measures.OF_CHOICE) -> dict[str, Any]:
        """Without what was asked."""
        hidden = ("asked", "why", "by", "exams") + (() if self.tokens else ("tokens",))
        shown = {key: value for key, value in asdict(self).items() if key not in hidden}
        return shown | also_accuracy(self.score, measure)


def play(
    run: Run,
    pool: Rows,
    gold: Rows,
    settings: Settings,
    sizes: list[int],
    noise: float,
    watch: Callable[[Model], None] = lambda _model: None,
) -> Iterator[Run]:
    """The rounds of a run from where it stands, through the loop's own stages; the run after each. `sizes`: of the
    batches. watch: is shown the model of each round. Classes that are rare are looked for by name where `select.seek`
    says so, but by labels by chance alone. Ends early when the pool is used up."""
    vectors = Vectors(pd.Index(pool.table.id), [pool.vectors], pool.wording, pool.groups())
    seeks, ways = settings.select.seek and run.strategy != BASELINE, by_name(settings)
    near = leaked(pool, gold, settings.gold.near_duplicate)
    items, exam = pool.items(), gold.items()
    measure = kinds.measure(settings)
    answer = measure.answer
    truth = pool.answers(noise, settings.classes, run.seed, answer)
    model, ledger = learn(run, items, vectors, truth, near, settings)
    while len(run.asked) < len(sizes):
        began = time.perf_counter()
        scores = score(vectors.ids, items, model, settings.score, answer, [run.seed, len(run.asked)])
        opinion = Opinion(answer, thresholds_of(model))
        labelled = as_labelled(scores, vectors, ledger, settings.classes, opinion)
        size = settings.select.model_copy(update={"batch": sizes[len(run.asked)]})
        rng = np.random.default_rng([run.seed, len(run.asked)])
        closed = pd.Index(ledger.id).union(pd.Index(near.id))
        now = settings.model_copy(update={"select": size})
        looked_for = sought.looked_for(items, vectors.rows(ledger.id), ledger, now, (), ways) if seeks else None
        batch = select(scores, vectors, labelled, closed, size, rng, run.seed, opinion, looked_for=looked_for)
        if batch.empty:
            return
        run.asked.append(batch.id.tolist())
        run.why.append(batch.why.tolist())
        run.by.append(strategy_for(settings.select, labelled)[1])
        model, ledger = learn(run, items, vectors, truth, near, settings)
        compared = exam_of(model)
        run.exams.append([] if compared is None else [*astuple(compared)])
        run.seconds.append(round(time.perf_counter() - began, 3))
        run.labels.append(len(ledger))
        if pool.words is not None:
            run.tokens.append(int(pool.words.lengths[vectors.rows(ledger.id)].sum()))
        run.score.append(judged(model, exam, gold.table.label, measure))
        watch(model)
        yield run


def by_name(settings: Settings) -> Callable[[list[str]], list[Way]]:
    """Classes -> the ways to look for them by name, each encoded once."""
    known: dict[str, list[Way]] = {}

    def ways(names: list[str]) -> list[Way]:
        item = kinds.item(settings.kind.item)
        if fresh := [name for name in names if name not in known and item.WORDS]:
            encoder = item.encoder(settings.embed)
            known.update({name: sought.by_name([name], settings, encoder) for name in fresh})
        return [way for name in names for way in known.get(name, ())]

    return ways


def learn(
    run: Run, items: Items, vectors: Vectors, truth: pd.Series, near: pd.DataFrame, settings: Settings
) -> tuple[Model, pd.DataFrame]:
    """The model of all that has been asked, and the ledger it learned from (columns id, label, round, why), in order
    of id."""
    rows = [
        (item, truth[item], number, why)
        for number, (items_, whys) in enumerate(zip(run.asked, run.why, strict=True), start=1)
        for item, why in zip(items_, whys, strict=True)
    ]
    ledger = pd.DataFrame(rows, columns=["id", "label", "round", "why"]).sort_values("id", ignore_index=True)
    before = [Exam(int(labels), gain, error) for labels, gain, error in filter(None, run.exams)]
    return taught(ledger, near, vectors, items, settings, before)


def leaked(pool: Rows, gold: Rows, least: float | None) -> pd.DataFrame:
    """The items of the pool that are nearly gold (LEAKS), as the stage `embed` finds them."""
    worded = None if pool.wording is None or gold.wording is None else (pool.wording, gold.wording)
    exam = gold.vectors.astype(np.float32)
    return leaks.leaks(pd.Index(pool.table.id), pool.vectors, pd.Index(gold.table.id), exam, least, worded)


def judged(model: Model, exam: Items, truth: pd.Series, measure: Measure = measures.OF_CHOICE) -> float:
    """What the measure says of the model's answers to the gold items, in [0, 1]."""
    said = measure.answer.decide(model.probabilities(exam), model.classes, thresholds_of(model))
    return round(measure.value(said.tolist(), truth.tolist()), 6)


# What the runs say together


def fallbacks(runs: list[Run]) -> list[str]:
    """A line for each strategy whose place the cold start took, with the number of batches."""
    batches = [(run.strategy, by) for run in runs for by in run.by]
    return [
        f"{count} of {sum(name == strategy for name, _ in batches)} batches of {strategy} are by {by}"
        for (strategy, by), count in Counter(batches).items()
        if by != strategy
    ]


def area(run: Run) -> float:
    """The mean score over the labels: the area under the curve divided by its width."""
    if len(run.labels) < 2:
        return run.score[0]
    return float(np.trapezoid(run.score, run.labels) / (run.labels[-1] - run.labels[0]))


def relative(own: float, other: float) -> float:
    """One area over another; an area of 0, where no gold item was ever right, counts as a millionth."""
    return max(own, NOTHING) / max(other, NOTHING)


def labels_for(run: Run, target: float) -> float | None:
    """How many labels a run needs to get to a score, on straight lines between its points; None: it never does."""
    for at, reached in enumerate(run.score):
        if reached >= target:
            if at == 0:
                return float(run.labels[0])
            below, above = run.score[at - 1], reached
            share = (target - below) / (above - below)
            return run.labels[at - 1] + share * (run.labels[at] - run.labels[at - 1])
    return None


@dataclass(frozen=True)
class Estimate:
    """A mean with the ends of its 95 % interval (Student's t over seeds); NaN ends with one value. Those of a share, or
    of a ratio, lie where such a thing can be."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float], least: float = -np.inf, most: float = np.inf) -> "Estimate":
        """Of values that lie between `least` and `most`."""
        mean = float(np.mean(values))
        if len(values) < 2:
            return cls(mean, float("nan"), float("nan"))
        reach = float(stats.sem(values) * stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
        return cls(mean, max(mean - reach, least), min(mean + reach, most))

    def exp(self) -> "Estimate":
        """Of logarithms: the geometric mean."""
        return Estimate(*(float(np.exp(value)) for value in (self.mean, self.low, self.high)))

    def __format__(self, spec: str) -> str:
        if np.isnan(self.low):
            return f"{self.mean:{spec}}"
        return f"{self.mean:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


def also_accuracy(score: Any, measure: Measure) -> dict[str, Any]:
    """The score under the name that it had before there were kinds of labels, where it is an accuracy."""
    return {"accuracy": score} if measure.name == ACCURACY else {}


def summary(runs: list[Run], full: dict[str, float], measure: Measure = measures.OF_CHOICE) -> list[dict[str, Any]]:
    """An entry a strategy and learner. Against random: the same learner and seed, pairs of runs."""
    return [_entry(own, _pairs(own, runs), full[own[0].learner], measure) for own in _groups(runs)]


def _groups(runs: list[Run]) -> list[list[Run]]:
    names = dict.fromkeys((run.strategy, run.learner) for run in runs)
    return [[run for run in runs if (run.strategy, run.learner) == name] for name in names]


def _pairs(own: list[Run], runs: list[Run]) -> list[tuple[Run, Run]]:
    rivals = {run.seed: run for run in runs if run.strategy == BASELINE and run.learner == own[0].learner}
    return [(run, rivals[run.seed]) for run in own if run.seed in rivals]


def _entry(own: list[Run], pairs: list[tuple[Run, Run]], full: float, measure: Measure) -> dict[str, Any]:
    score = asdict(Estimate.of([run.score[-1] for run in own], 0.0, 1.0))
    needed = {f"{share:.0%}": [labels_for(run, share * full) for run in own] for share in SHARES}
    entry: dict[str, Any] = {
        "strategy": own[0].strategy,
        "learner": own[0].learner,
        "score": score,
        **also_accuracy(score, measure),
        "labels": {share: median(values) for share, values in needed.items()},
        "seconds": float(np.mean([second for run in own for second in run.seconds])),
    }
    if pairs and own[0].strategy != BASELINE:
        entry["area"] = asdict(Estimate.of([relative(area(run), area(rival)) for run, rival in pairs], 0.0))
        entry["ratio"] = decisive_ratio(pairs, full)
        if all(run.tokens for pair in pairs for run in pair):
            entry["ratio_of_tokens"] = decisive_ratio(
                [(by_tokens(run), by_tokens(rival)) for run, rival in pairs], full
            )
    return entry


def by_tokens(run: Run) -> Run:
    """The same run, what it cost counted in words that people read."""
    return replace(run, labels=run.tokens)


def decisive_ratio(pairs: list[tuple[Run, Run]], full: float) -> dict[str, Any]:
    """`ratio_of` at 98 % of the whole pool's score; at the next lower share where runs of both sides fell short of
    that, since then it says nothing. `share` tells which."""
    shares = [share for share in reversed(SHARES) if share <= HEADLINE]
    found = [{**ratio_of(pairs, share * full), "share": share} for share in shares]
    return next((ratio for ratio in found if ratio["bound"] != "unknown"), found[0])


def median(values: list[float | None]) -> float | None:
    """The median, when at least half of the runs got there."""
    middle = float(np.median([np.inf if value is None else value for value in values]))
    return middle if np.isfinite(middle) else None


def ratio_of(pairs: list[tuple[Run, Run]], target: float) -> dict[str, Any]:
    """Labels needed relative to random's. A run that never got there counts with the labels it had, and `bound` says on
    which side of the truth that leaves the figure."""
    found = [(labels_for(run, target), labels_for(rival, target)) for run, rival in pairs]
    logs = [
        float(np.log((own or run.labels[-1]) / (other or rival.labels[-1])))
        for (own, other), (run, rival) in zip(found, pairs, strict=True)
    ]
    missed = any(own is None for own, _ in found), any(other is None for _, other in found)
    missed = missed if target > 0 else (True, True)  # what the whole pool gives is nothing: that is no target
    bound = {(False, False): "", (False, True): "at most", (True, False): "at least", (True, True): "unknown"}[missed]
    return {**asdict(Estimate.of(logs).exp()), "bound": bound}


def verdict(entries: list[dict[str, Any]], measure: str = ACCURACY) -> str:
    """The answer in a sentence: whether asking cleverly saves labels here, and by which strategy. measure: the name of
    the score."""
    clear = [
        entry
        for entry in entries
        if "ratio" in entry and entry["ratio"]["high"] < 1 and entry["ratio"]["bound"] in ("", "at most")
    ]
    if clear:
        best = min(clear, key=lambda entry: float(entry["ratio"]["mean"]))
        ratio = best["ratio"]
        shown = Estimate(ratio["mean"], ratio["low"], ratio["high"])
        most = f"{ratio['bound']} " if ratio["bound"] else ""
        return (
            f"{best['strategy']} ({best['learner']}) needs {most}{shown:.2f} of random's labels "
            f"for {ratio['share']:.0%} of the {measure} that the whole pool gives"
        )
    compared = [entry for entry in entries if "ratio" in entry]
    if not compared:
        return "nothing to compare: add `random` and another strategy"
    if any(np.isnan(entry["ratio"]["low"]) for entry in compared):
        return "one seed is no comparison: use --seeds 5"
    measured = [entry for entry in compared if entry["ratio"]["bound"] != "unknown"]
    if not measured:
        best = max(compared, key=lambda entry: float(entry["area"]["mean"]))
        return (
            f"cannot tell: no run came to {min(SHARES):.0%} of the {measure} that the whole pool gives; so far the "
            f"mean {measure} of {best['strategy']} is {Estimate(**best['area']):.3f} of random's. Play more --rounds"
        )
    return "no gain here: no strategy needs clearly fewer labels than random"


def table(entries: list[dict[str, Any]], measure: str = ACCURACY) -> pd.DataFrame:
    """A row a strategy and learner, as text."""
    return pd.DataFrame([_cells(entry, measure) for entry in entries])


def _cells(entry: dict[str, Any], measure: str) -> dict[str, str]:
    labels = {f"labels for {share}": "not reached" if n is None else f"{n:.0f}" for share, n in entry["labels"].items()}
    ratio = entry.get("ratio")
    return {
        "strategy": entry["strategy"],
        "learner": entry["learner"],
        measure: f"{Estimate(**entry['score']):.3f}",
        "area / random": f"{Estimate(**entry['area']):.3f}" if "area" in entry else "1",
        **labels,
        "labels / random": _against(ratio),
        "s a round": f"{entry['seconds']:.1f}",
    }


def _against(ratio: dict[str, Any] | None) -> str:
    if ratio is None:
        return "1"
    if ratio["bound"] == "unknown":
        return "cannot tell"
    estimate = Estimate(*(ratio[key] for key in ("mean", "low", "high")))
    return f"{ratio['bound']} {estimate:.2f} for {ratio['share']:.0%}".strip()


def picture(runs: list[Run], full: dict[str, float], measure: str = ACCURACY) -> Figure:
    """Score against labels, a line a strategy and learner with its 95 % band; dashed: the whole pool."""
    drawn = Figure(figsize=(8, 5), layout="constrained")
    axes = drawn.subplots()
    for own in _groups(runs):
        points = min(len(run.labels) for run in own)
        estimates = [Estimate.of([run.score[at] for run in own], 0.0, 1.0) for at in range(points)]
        labels = own[0].labels[:points]
        (line,) = axes.plot(
            labels, [one.mean for one in estimates], marker=".", label=f"{own[0].strategy}, {own[0].learner}"
        )
        if len(own) > 1:
            lows, highs = [one.low for one in estimates], [one.high for one in estimates]
            axes.fill_between(labels, lows, highs, color=line.get_color(), alpha=0.15)
    for learner, value in full.items():
        axes.axhline(value, color="grey", linestyle="--", linewidth=1)
        axes.annotate(
            f"whole pool, {learner}", (0.01, value), xycoords=("axes fraction", "data"), va="bottom", color="grey"
        )
    axes.set(xlabel="labels", ylabel=f"{measure} on gold", title="What each strategy makes of the labels (bands: 95 %)")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return drawn
