"""A rehearsal's folder: what was computed once is kept in it, so that a call that was cut off goes on where it was."""

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from labelwise.tasks import kinds
from labelwise.tasks.embed import PIECE, refuse_broken
from labelwise.tasks.errors import InputError
from labelwise.tasks.items.vectors import Vectors
from labelwise.tasks.kinds.wording import Wording
from labelwise.tasks.learners import words
from labelwise.tasks.progress import console, counted
from labelwise.tasks.services import ray
from labelwise.tasks.settings import Columns, Settings
from labelwise.tasks.train import taught
from labelwise.tasks.trial import rehearsal
from labelwise.tasks.trial.plan import Plan, digest
from labelwise.tasks.trial.rehearsal import Rows, Run
from labelwise.tasks.workspace import atomic, write_json


def claim(out: Path, plan: Plan, settings: Settings, pool: pd.DataFrame, gold: pd.DataFrame) -> None:
    """Refuse a folder that holds another rehearsal: its runs could not be compared with these."""
    more = {"strategies", "learners", "seeds", "rounds"}  # may differ: runs are kept by name, and can be played on
    mine = {
        key: value
        for key, value in json.loads(json.dumps(asdict(plan), default=Columns.model_dump)).items()
        if key not in more
    }
    mine |= {
        "settings": settings.model_dump(exclude={"project", "engine"}),
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


def encoded(
    rows: pd.DataFrame, settings: Settings, out: Path, first: pd.DataFrame | None = None
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float16]]":
    """(n, d) vectors of the items, computed once and kept in `out`. first: the rows by which an encoder settles what it
    has to know; None: these."""
    item = kinds.item(settings.kind.item)
    known = item.settled((rows if first is None else first)[item.COLUMN].tolist(), settings) if item.settled else None
    of = [*rows.id, settings.embed.model_dump_json(), *([] if known is None else [json.dumps(known)])]
    path = out / f"vectors-{digest(of)}.npy"
    marked = kinds.answer(settings.kind.answer).PLACES
    if not path.exists() or (marked and not _words_file(rows, settings, out).exists()):
        encoder, cells = item.encoder(settings.embed, known), rows[item.COLUMN].tolist()
        with counted(f"encode {len(cells):,} {item.NAME}s", len(cells)) as done:
            pieces = [cells[start : start + PIECE] for start in range(0, len(cells), PIECE)]
            if marked:
                both = [words.read(encoder, piece, done) for piece in pieces]
                vectors = np.concatenate([each.astype(np.float16) for each, _ in both])
                _keep_words(words.Words.joined([each for _, each in both]), _words_file(rows, settings, out))
            else:
                vectors = np.concatenate([encoder.encode(piece, done).astype(np.float16) for piece in pieces])
        with atomic(path) as scratch, scratch.open("wb") as file:
            np.save(file, vectors)
    vectors = np.load(path)
    refuse_broken(vectors)
    return vectors


def read_words(rows: pd.DataFrame, settings: Settings, out: Path) -> words.Words | None:
    """The words of the texts, which `encoded` has kept in `out`; None where no spans are learned."""
    if not kinds.answer(settings.kind.answer).PLACES:
        return None
    with np.load(_words_file(rows, settings, out)) as kept:
        return words.Words(**kept)


def _words_file(rows: pd.DataFrame, settings: Settings, out: Path) -> Path:
    return out / f"words-{digest([*rows.id, settings.embed.model_dump_json(), str(words.READ)])}.npz"


def _keep_words(found: words.Words, path: Path) -> None:
    with atomic(path) as scratch, scratch.open("wb") as file:
        states = found.states.astype(np.float16)
        np.savez(file, starts=found.starts, places=found.places, marks=found.marks, states=states)


def worded(rows: pd.DataFrame, settings: Settings, out: Path) -> Wording | None:
    """(n,) how the texts are worded, computed once and kept in `out`; None where the settings do not ask for it."""
    item, wording = kinds.item(settings.kind.item), kinds.worded_by(settings)
    if wording is None:
        return None
    path = out / f"wording-{digest([*rows.id, settings.embed.encoder])}.npy"
    if not path.exists():
        found = wording(rows[item.COLUMN].tolist(), item.encoder(settings.embed))
        with atomic(path) as scratch, scratch.open("wb") as file:
            np.save(file, found)
    kept: Wording = np.load(path)
    return kept


def whole_pool_scores(pool: Rows, gold: Rows, settings: Settings, plan: Plan, out: Path) -> dict[str, float]:
    """The score of each learner on all labels of the pool, as noisy as those of the runs (seed 0's): what more
    labels could give at most."""
    path = out / "full.json"
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    measure = kinds.measure(settings)
    labels = pool.answers(plan.noise, settings.classes, 0, measure.answer)
    known = labels.rename("label").rename_axis("id").reset_index().assign(round=0, why="")
    near = rehearsal.leaked(pool, gold, settings.gold.near_duplicate)
    for name in plan.learners:
        if name not in found:
            with console.status(f"{name} on all {len(labels):,} labels"):
                own = settings_of_run(settings, "random", name, 0)
                model, _ = taught(known, near, Vectors(pd.Index(pool.table.id), [pool.vectors]), pool.items(), own)
                found[name] = rehearsal.judged(model, gold.items(), gold.table.label, measure)
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
                run = cut(_read(path), len(sizes))
            progress.update(bar, advance=len(run.asked))
            runs.append(run)

        def kept(point: Run) -> None:
            write_json(out / "runs" / f"{point.name}.json", asdict(point))
            progress.update(bar, advance=1, description=point.name)

        open_runs = [(at, run) for at, run in enumerate(runs) if len(run.asked) < len(sizes)]
        if settings.engine == "local":
            do = partial(played_to_its_end, pool, gold, settings, sizes, plan.noise, kept)
        else:
            do = partial(played_to_its_end, pool, gold, settings, sizes, plan.noise, _forgotten)
        for at, run in ray.each(settings.engine, do, open_runs):
            if settings.engine != "local":
                kept(run)
                progress.update(bar, advance=len(run.asked) - len(runs[at].asked) - 1)
            runs[at] = run
    return runs


def _forgotten(_run: Run) -> None:
    """Of a run on another machine, which comes back when it is over."""


def played_to_its_end(
    pool: Rows,
    gold: Rows,
    settings: Settings,
    sizes: list[int],
    noise: float,
    kept: Callable[[Run], None],
    run: Run,
) -> Run:
    """A run, from where it stands. kept: is given it after each round."""
    own = settings_of_run(settings, run.strategy, run.learner, run.seed)
    for point in rehearsal.play(run, pool, gold, own, sizes, noise):
        kept(point)
    return run


def _read(path: Path) -> Run:
    try:
        return Run.of(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise InputError(f"{path} is broken", expected="a run of this rehearsal", fix="remove that file") from None


def cut(run: Run, rounds: int) -> Run:
    """The first rounds of a run: an earlier call may have played more."""
    lists = {key: value[:rounds] for key, value in asdict(run).items() if isinstance(value, list)}
    return Run(run.strategy, run.learner, run.seed, **lists)


def settings_of_run(settings: Settings, strategy: str, learner: str, seed: int) -> Settings:
    """The settings of one run."""
    return settings.model_copy(
        update={
            "seed": seed,
            "select": settings.select.model_copy(update={"strategy": strategy}),
            "train": settings.train.model_copy(update={"learner": learner}),
        }
    )
