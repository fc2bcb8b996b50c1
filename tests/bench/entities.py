"""`make bench-labels DATA=FOLDER ARGS=spans`: what has to be read where parts of texts are marked.

Sets are Parquet with columns `tokens` and `tags` (BIO). First the tagger on as many sentences as spaCy's `ner` is
trained on, the same ones; then `auto` against chance by `labelwise rehearse`, in labels and in words that people read.
Everything is kept in .bench/spans/.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from labelwise.flows import rehearse
from labelwise.tasks.kinds import measures, spans
from labelwise.tasks.learners import Examples, tagger
from labelwise.tasks.settings import Columns, Settings
from labelwise.tasks.trial import rehearsal
from labelwise.tasks.trial.kept import encoded, read_words, worded
from labelwise.tasks.trial.plan import Plan, classes_in, gathered, looked_at, settings_of
from labelwise.tasks.trial.rehearsal import Rows, Run
from tests.bench import figures

KEPT = figures.KEPT / "spans"
SETS = ("wnut17",)
SENTENCES, SEEDS, EPOCHS = (100, 500), 3, 30
STRATEGIES = ["random", "auto"]
BATCH, ROUNDS = 100, 12
SHARE = 0.95  # of the whole pool's entity F1


def main(data: Path, names: Iterable[str]) -> None:
    """The two tables."""
    for name in names:
        folder = KEPT / name
        folder.mkdir(parents=True, exist_ok=True)
        pool, gold = (str(data / name / f"{part}.parquet") for part in ("pool", "gold"))
        columns = Columns(label="tags")
        plan = Plan(pool, gold, STRATEGIES, ["tagger"], BATCH, ROUNDS, SEEDS, 0.0, columns=columns, answer=spans.NAME)
        plan = looked_at(plan, tell)
        write(beside_spacy(plan, folder), f"{name}-learners.md")
        write(rehearsed(plan, folder), f"{name}-labels.md")


def rehearsed(plan: Plan, folder: Path) -> list[dict[str, str]]:
    """Labels and words for a share of the whole pool's figure, of each strategy."""
    found = rehearse.rehearse(plan, folder / "ours", None, tell)
    fields = ("strategy", "learner", "seed", "labels", "score", "seconds", "tokens")
    runs = [Run(**{key: run[key] for key in fields}) for run in found["runs"]]
    full = found["full"]["score"]
    rows = []
    for strategy in plan.strategies:
        own = [run for run in runs if run.strategy == strategy]
        rivals = {run.seed: run for run in runs if run.strategy == "random"}
        pairs = [(run, rivals[run.seed]) for run in own]
        by_tokens = [(rehearsal.by_tokens(run), rehearsal.by_tokens(rival)) for run, rival in pairs]
        areas = [rehearsal.relative(rehearsal.area(run), rehearsal.area(rival)) for run, rival in by_tokens]
        rows.append(
            {
                "set": folder.name,
                "whole pool": f"{full:.3f}",
                "strategy": strategy,
                "labels of random's": said(rehearsal.ratio_of(pairs, SHARE * full)),
                "words of random's": said(rehearsal.ratio_of(by_tokens, SHARE * full)),
                "area over words": f"{figures.Estimate(areas):.3f}",
                "last F1": f"{np.mean([run.score[-1] for run in own]):.3f}",
                "s a round": f"{np.mean([each for run in own for each in run.seconds]):.1f}",
            }
        )
    return rows


def said(ratio: dict[str, Any]) -> str:
    """A ratio with its interval, and on which side of the truth it lies where runs never got there."""
    return f"{ratio['bound']} {ratio['mean']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})".strip()


def beside_spacy(plan: Plan, folder: Path) -> list[dict[str, str]]:
    """Entity F1 on the gold sentences, and seconds to learn, of the same sentences drawn by chance."""
    pool, gold = gathered(plan, tell)
    settings = settings_of(plan, sorted(classes_in(pool, plan) | classes_in(gold, plan)))
    own, exam = (
        Rows(
            rows,
            encoded(rows, settings, folder),
            worded(rows, settings, folder),
            words=read_words(rows, settings, folder),
        )
        for rows in (pool, gold)
    )
    drawn = [
        np.sort(np.random.default_rng(seed).permutation(len(pool))[:count]).tolist()
        for count in SENTENCES
        for seed in range(SEEDS)
    ]
    truth = gold.label.tolist()
    ours = [learned(own, exam, rows, settings, truth) for rows in drawn]
    theirs = spacy_on(pool, gold, drawn, folder)
    measure = measures.measure_of(settings.measure, spans, settings.classes)
    counted = [
        measure.value([as_label(*each) for each in zip(gold.text, said, strict=True)], truth) for said in theirs["said"]
    ]
    apart = max(abs(np.array(counted) - theirs[by]).max() for by in ("seqeval", "nervaluate"))
    tell(
        f"spans: entity F1 of {len(counted)} models, ours against seqeval's and nervaluate's: at most {apart:.1e} apart"
    )
    rows = []
    for at, count in enumerate(SENTENCES):
        mine = slice(at * SEEDS, (at + 1) * SEEDS)
        f1, seconds = (np.array(each) for each in zip(*ours[mine], strict=True))
        gaps = f1 - np.array(counted[mine])
        rows.append(
            {
                "sentences": str(count),
                "tagger": f"{f1.mean():.3f}",
                "spaCy": f"{np.mean(counted[mine]):.3f}",
                "difference": f"{figures.Estimate(gaps.tolist()):+.3f}",
                "CPU s, tagger": f"{seconds.mean():.0f}",
                "CPU s, spaCy": f"{np.mean(theirs['seconds'][mine]):.0f}",
            }
        )
    return rows


def learned(own: Rows, exam: Rows, rows: list[int], settings: Settings, truth: list[str]) -> tuple[float, float]:
    """Entity F1 of the tagger taught these rows, and CPU seconds to learn; the encoder has read them before."""
    labels = own.table.label.iloc[rows].tolist()
    targets = spans.targets(labels, settings.classes)
    examples = Examples(own.items().take(np.array(rows)), targets, settings.classes, said=labels)
    began = time.process_time()
    with threadpool_limits(1):
        model = tagger.fit(examples, own.items(), settings)
    seconds = time.process_time() - began
    answers = spans.decide(model.probabilities(exam.items()), settings.classes, model.thresholds)
    return measures.measure_of(settings.measure, spans, settings.classes).value(answers.tolist(), truth), seconds


def spacy_on(pool: pd.DataFrame, gold: pd.DataFrame, drawn: list[list[int]], folder: Path) -> dict[str, list[Any]]:
    """What spaCy makes of the same sentences, kept."""
    out = folder / "spacy.json"
    if not out.exists():
        config = {
            "pool": [as_tokens(*each) for each in zip(pool.text, pool.label, strict=True)],
            "gold": [as_tokens(*each) for each in zip(gold.text, gold.label, strict=True)],
            **{"rows": drawn, "epochs": EPOCHS, "out": str(out)},
        }
        (folder / "spacy-config.json").write_text(json.dumps(config), encoding="utf-8")
        script = Path(__file__).with_name("rival_spans.py")
        subprocess.run([figures.RIVALS, script, folder / "spacy-config.json"], check=True)
    found: dict[str, list[Any]] = json.loads(out.read_text(encoding="utf-8"))
    return found


def as_tokens(text: str, label: str) -> tuple[list[str], list[tuple[int, int, str]]]:
    """A text of tokens with one blank between them, and its spans by the numbers of these."""
    tokens = text.split(" ")
    starts = np.concatenate([[0], np.cumsum([len(token) + 1 for token in tokens])])
    found = []
    for begin, end, name in spans.spans_of(label):
        found.append((int(np.searchsorted(starts, begin)), int(np.searchsorted(starts, end + 1)) - 1, name))
    return tokens, found


def as_label(text: str, found: list[Any]) -> str:
    """Spans by the numbers of tokens, as a label."""
    tokens = text.split(" ")
    starts = np.concatenate([[0], np.cumsum([len(token) + 1 for token in tokens])])
    return spans.label_of((int(starts[first]), int(starts[last + 1]) - 1, name) for first, last, name in found)


def tell(line: str) -> None:
    """Progress, apart from the tables."""
    print(line, file=sys.stderr)


def write(rows: list[dict[str, str]], name: str) -> None:
    """A table."""
    text = f"{figures.table(pd.DataFrame(rows))}\n\n{figures.machine()}\n"
    print(text)
    (KEPT / name).write_text(text, encoding="utf-8")
