"""The same rounds against labels you already have, no servers: will it save me anything, and which strategy?"""

import hashlib
import importlib.metadata
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from labelwise.tasks import kinds, sources
from labelwise.tasks.embed import refuse_broken
from labelwise.tasks.errors import InputError, named
from labelwise.tasks.items import leaks
from labelwise.tasks.items.vectors import Vectors
from labelwise.tasks.items.wording import Wording, wording
from labelwise.tasks.learners import able_to_learn, learners
from labelwise.tasks.learners.encoder import Encoder
from labelwise.tasks.progress import console, counted
from labelwise.tasks.pull import read_labels
from labelwise.tasks.records import content_id, folded
from labelwise.tasks.services import mlflow
from labelwise.tasks.settings import Columns, Pull, Settings, kind_of, one_of, parse, read
from labelwise.tasks.strategies import serving, strategies
from labelwise.tasks.train import taught
from labelwise.tasks.trial import rehearsal
from labelwise.tasks.trial.rehearsal import Rows, Run
from labelwise.tasks.upkeep import names
from labelwise.tasks.workspace import atomic, write_json

LIBRARIES = ("labelwise", "numpy", "scikit-learn", "torch", "transformers")
GOLD_SHARE = 1 / 3  # of the rows, when no gold set is given
PIECE = 4096  # texts encoded together


COLUMNS = Columns()


@dataclass(frozen=True)
class Plan:
    """What to rehearse. pool, gold: sources with labels; gold None: a third of the pool. params: a params.yaml to
    follow."""

    pool: str
    gold: str | None
    strategies: list[str]
    learners: list[str]
    batch: int
    rounds: int
    seeds: int
    noise: float
    first: int | None = None
    columns: Columns = COLUMNS
    params: str | None = None
    encoding: str | None = None
    item: str = "text"
    answer: str = "choice"
    delimiter: str | None = None

    @property
    def kind(self) -> kinds.Answer:
        """What is said of an item."""
        return kinds.answer(self.answer)


def rehearse(plan: Plan, out: Path, json_to: Path | None, tell: Callable[[str], None]) -> dict[str, Any]:
    """Play every run of the plan, go on where an earlier call stopped, and say what came of it. Returns what the JSON
    holds."""
    kind_of(plan.item, plan.answer)
    known_strategies, known_learners = strategies(), learners()
    for option, given in (("--strategies", plan.strategies), ("--learner", plan.learners)):
        if not given:
            raise InputError(option, expected="at least one name", fix="leave it out for the default")
    for name in plan.strategies:
        one_of("--strategies", name, known_strategies)
    for name in plan.learners:
        one_of("--learner", name, known_learners)
    for option, given, able in (
        ("--strategies", plan.strategies, serving(plan.answer)),
        ("--learner", plan.learners, able_to_learn(plan.answer)),
    ):
        if unable := [name for name in given if name not in able]:
            raise InputError(f"{option}: {unable[0]} cannot serve {plan.answer}", expected="one of " + ", ".join(able))
    pool, gold = gathered(plan, tell)
    settings = settings_of(plan, sorted(classes_in(pool, plan) | classes_in(gold, plan)))
    claim(out, plan, settings, pool, gold)
    own, exam = (Rows(rows, encoded(rows, settings, out), worded(rows, settings, out)) for rows in (pool, gold))
    near = len(rehearsal.leaked(own, exam, settings.gold.near_duplicate))
    if near:
        tell(f"rehearse: {near:,} rows of the pool are {leaks.WORDS}")
    sizes = batches(plan, len(pool) - near, tell)
    full = whole(own, exam, settings, plan, out)
    runs = played(plan, own, exam, settings, sizes, out)
    return concluded(plan, settings, runs, full, out, json_to, tell)


def gathered(plan: Plan, tell: Callable[[str], None]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of pool and gold, columns id, text, label, each text once; what was left out is told."""
    pool = rows_of(plan.pool, plan, tell)
    if plan.gold is None:
        order = np.random.default_rng(0).permutation(len(pool))
        shuffled = pool.iloc[order]
        of_class = shuffled.groupby("label")
        rank = (of_class.cumcount() + 1) / of_class.label.transform("size")  # a class with one row can be learned
        is_gold = (rank <= GOLD_SHARE).reindex(pool.index)
        pool, gold = pool[~is_gold], pool[is_gold]
        tell(f"rehearse: no --gold: {len(gold):,} of the rows, every class in its share, are kept to measure with")
    else:
        gold = rows_of(plan.gold, plan, tell)
        there = set(gold.text.map(folded))
        leaked = pool.text.map(folded).isin(there)
        if leaked.any():
            tell(f"rehearse: {leaked.sum():,} rows of the pool are in gold too; left out")
        pool = pool[~leaked]
    classes = sorted(classes_in(pool, plan))
    if len(classes) < 2 or gold.empty:
        raise InputError(
            "rehearse",
            expected="two classes in the pool, and rows to measure with",
            got=f"{len(pool):,} pool rows of {len(classes)} ({named(classes[:3])}), {len(gold):,} gold rows",
            fix="add labelled rows that differ in text and label",
        )
    if strangers := sorted(classes_in(gold, plan) - set(classes)):
        tell(f"rehearse: classes that only gold has, which nobody can learn: {', '.join(strangers[:5])}")
    return pool.reset_index(drop=True), gold.reset_index(drop=True)


def classes_in(rows: pd.DataFrame, plan: Plan) -> set[str]:
    """The classes that the labels of rows name."""
    return {name for label in rows.label.unique() for name in plan.kind.members(label)}


def rows_of(source: str, plan: Plan, tell: Callable[[str], None]) -> pd.DataFrame:
    """The labelled rows of a source."""
    columns = plan.columns
    chunks = list(sources.chunks(source, [columns.text, columns.label], encoding=plan.encoding))
    if not chunks:
        raise InputError(f"{source} holds no row", expected="labelled rows")
    rows = pd.concat(chunks, ignore_index=True).rename(columns={columns.text: "text", columns.label: "label"})
    labels, faults = read_labels(rows.label, Pull(pool="", gold="", delimiter=plan.delimiter), plan.kind)
    if wrong := [(cell, fault) for cell, fault in zip(rows.label, faults, strict=True) if fault]:
        cell, fault = wrong[0]
        raise InputError(f"{source}: {len(wrong):,} rows: {fault}", expected=plan.kind.EXAMPLE, got=repr(cell[:60]))
    rows = rows.assign(label=pd.Series(labels, rows.index, dtype=object), text=rows.text.fillna(""))
    blank = (rows.text.str.strip() == "") | rows.label.isna() | (rows.label == "")
    again = ~blank & rows.text.map(folded).duplicated()
    if blank.any() or again.any():
        tell(
            f"rehearse: {source}: {blank.sum():,} rows without text or label and {again.sum():,} repeated ones left out"
        )
    rows = rows[~blank & ~again]
    return rows.assign(id=rows.text.map(content_id))[["id", "text", "label"]].reset_index(drop=True)


def settings_of(plan: Plan, classes: list[str]) -> Settings:
    """The settings of the rounds: those of `plan.params`, or the defaults."""
    if plan.params:
        given = read(Path(plan.params))
        names.refuse_unknown(given)
        if given.kind.answer != plan.answer:
            raise InputError(
                f"{plan.params}: kind.answer is {given.kind.answer}", expected=plan.answer, fix="give --answer as there"
            )
        return given.model_copy(update={"classes": classes})
    project = {"name": "rehearsal", "id": "rehearsal"}
    if len(classes) < 2:
        raise InputError("rehearse", expected="two classes at least", got=named(classes))
    sources = {"pool": plan.pool, "gold": plan.gold or ""}
    # No control arm: what is compared is the strategies, each with the whole of its batches.
    return parse(
        {
            "project": project,
            "classes": classes,
            "kind": {"item": plan.item, "answer": plan.answer},
            "pull": sources,
            "select": {"control": 0.0},
            "embed": {"wording": True},
        }
    )


def claim(out: Path, plan: Plan, settings: Settings, pool: pd.DataFrame, gold: pd.DataFrame) -> None:
    """Refuse a folder that holds another rehearsal: its runs could not be compared with these."""
    more = {"strategies", "learners", "seeds", "rounds"}  # may differ: runs are kept by name, and can be played on
    mine = {
        key: value
        for key, value in json.loads(json.dumps(asdict(plan), default=Columns.model_dump)).items()
        if key not in more
    }
    mine |= {
        "settings": settings.model_dump(exclude={"project"}),
        "rows": digest([*pool.id, *pool.label, *gold.id, *gold.label]),
    }
    path = out / "plan.json"
    if path.exists() and (theirs := json.loads(path.read_text(encoding="utf-8"))) != mine:
        other = next(key for key in mine if theirs.get(key) != mine[key])
        raise InputError(
            f"{out} holds a rehearsal of other {other}",
            fix="give another --out, or remove that folder",
            got=str(theirs.get(other))[:80],
        )
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, mine)


def encoded(rows: pd.DataFrame, settings: Settings, out: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.float16]]":
    """(n, d) vectors of the texts, computed once and kept in `out`."""
    path = out / f"vectors-{digest([*rows.id, settings.embed.model_dump_json()])}.npy"
    if not path.exists():
        encoder = Encoder(settings.embed.encoder, settings.embed.max_tokens)
        texts = rows.text.tolist()
        with counted(f"encode {len(texts):,} texts", len(texts)) as done:
            pieces = [texts[start : start + PIECE] for start in range(0, len(texts), PIECE)]
            vectors = np.concatenate([encoder.encode(piece, done).astype(np.float16) for piece in pieces])
        with atomic(path) as scratch, scratch.open("wb") as file:
            np.save(file, vectors)
    vectors = np.load(path)
    refuse_broken(vectors)
    return vectors


def worded(rows: pd.DataFrame, settings: Settings, out: Path) -> Wording | None:
    """(n,) how the texts are worded, computed once and kept in `out`; None where the settings do not ask for it."""
    if not settings.embed.wording:
        return None
    path = out / f"wording-{digest([*rows.id, settings.embed.encoder])}.npy"
    if not path.exists():
        texts = rows.text.tolist()
        found = wording(texts, Encoder(settings.embed.encoder, settings.embed.max_tokens).unknown(texts))
        with atomic(path) as scratch, scratch.open("wb") as file:
            np.save(file, found)
    kept: Wording = np.load(path)
    return kept


def batches(plan: Plan, pool: int, tell: Callable[[str], None]) -> list[int]:
    """The size of each batch."""
    first = plan.first or plan.batch
    if first > pool:
        raise InputError("rehearse", expected=f"a first batch of at most {pool} (the pool)", got=str(first))
    if first + (plan.rounds - 1) * plan.batch > pool:
        tell(f"rehearse: the pool ends after {pool:,} labels, before {plan.rounds} rounds are played")
    return [first] + [plan.batch] * (plan.rounds - 1)


def whole(pool: Rows, gold: Rows, settings: Settings, plan: Plan, out: Path) -> dict[str, float]:
    """The score of each learner on all labels of the pool, as noisy as those of the runs (seed 0's): what more
    labels could give at most."""
    path = out / "full.json"
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    answer = kinds.answer(settings.kind.answer)
    labels = pool.answers(plan.noise, settings.classes, 0, answer)
    known = labels.rename("label").rename_axis("id").reset_index()
    near = rehearsal.leaked(pool, gold, settings.gold.near_duplicate)
    for name in plan.learners:
        if name not in found:
            with console.status(f"{name} on all {len(labels):,} labels"):
                own = chosen(settings, "random", name, 0)
                model, _ = taught(known, near, Vectors(pd.Index(pool.table.id), [pool.vectors]), pool.items(), own)
                found[name] = rehearsal.mean_score(model, gold.items(), gold.table.label, answer)
            write_json(path, found)
    return {name: found[name] for name in plan.learners}


def played(plan: Plan, pool: Rows, gold: Rows, settings: Settings, sizes: list[int], out: Path) -> list[Run]:
    """Every run; each round is kept, so that a call that was cut off goes on where it was."""
    wanted = [
        Run(strategy, learner, seed)
        for seed in range(plan.seeds)
        for learner in plan.learners
        for strategy in plan.strategies
    ]
    runs: list[Run] = []
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("rounds", total=len(wanted) * len(sizes))
        for run in wanted:
            path = out / "runs" / f"{run.name}.json"
            if path.exists():
                run = cut(_kept(path), len(sizes))
            progress.update(bar, advance=len(run.asked), description=run.name)
            own = chosen(settings, run.strategy, run.learner, run.seed)
            for point in rehearsal.play(run, pool, gold, own, sizes, plan.noise):
                write_json(path, asdict(point))
                progress.advance(bar)
            runs.append(run)
    return runs


def _kept(path: Path) -> Run:
    try:
        return Run.of(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise InputError(f"{path} is broken", expected="a run of this rehearsal", fix="remove that file") from None


def cut(run: Run, rounds: int) -> Run:
    """The first rounds of a run: an earlier call may have played more."""
    lists = {key: value[:rounds] for key, value in asdict(run).items() if isinstance(value, list)}
    return Run(run.strategy, run.learner, run.seed, **lists)


def chosen(settings: Settings, strategy: str, learner: str, seed: int) -> Settings:
    """The settings of one run."""
    return settings.model_copy(
        update={
            "seed": seed,
            "select": settings.select.model_copy(update={"strategy": strategy}),
            "train": settings.train.model_copy(update={"learner": learner}),
        }
    )


def concluded(
    plan: Plan,
    settings: Settings,
    runs: list[Run],
    full: dict[str, float],
    out: Path,
    json_to: Path | None,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Table, picture, JSON and MLflow runs."""
    answer = kinds.answer(settings.kind.answer)
    best, entries = full[plan.learners[0]], rehearsal.summary(runs, full, answer)
    content: dict[str, Any] = {
        "pool": plan.pool,
        "gold": plan.gold,
        "settings": settings.model_dump(exclude={"project"}),
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "measure": answer.MEASURE,
        "full": {"score": best, **rehearsal.also_accuracy(best, answer), "by_learner": full},
        "runs": [run.as_json(answer) for run in runs],
        "summary": entries,
        "verdict": rehearsal.verdict(entries, answer.MEASURE),
    }
    cells = rehearsal.table(entries, answer.MEASURE)
    for path in filter(None, (out / "rehearsal.json", json_to)):
        write_json(path, content)
    drawn = rehearsal.picture(runs, full, answer.MEASURE)
    drawn.savefig(out / "rehearsal.png", dpi=110)
    shown = Table(*cells.columns)
    for row in cells.to_numpy().tolist():
        shown.add_row(*row)
    Console(width=200, highlight=False).print(shown)
    noisy = f", its labels as noisy as the runs' ({plan.noise:.0%} wrong)" if plan.noise else ""
    tell("rehearse: the whole pool gives " + ", ".join(f"{value:.3f} ({name})" for name, value in full.items()) + noisy)
    for line in rehearsal.fallbacks(runs):
        tell(f"rehearse: {line}")
    where = mlflow.record_rehearsal(
        out,
        digest([json.dumps(asdict(plan), default=str)]),
        content["runs"],
        [out / "rehearsal.png", out / "rehearsal.json"],
        answer.METRIC,
    )
    tell(f"rehearse: picture {out / 'rehearsal.png'}, figures {out / 'rehearsal.json'}, runs in MLflow at {where}")
    print(content["verdict"])
    return content


def digest(parts: list[str]) -> str:
    """A short hash of all parts."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]
