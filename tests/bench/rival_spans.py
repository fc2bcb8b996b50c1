"""What spaCy's `ner` makes of the same sentences, and what seqeval and nervaluate count. Run by an interpreter that has
them (.venv-rivals): `python rival_spans.py CONFIG.json`. Imports nothing of the project.

CONFIG: {"pool", "gold": [[tokens, spans as [first token, last token, class]], a sentence]; "rows": [[of the pool], a
model]; "epochs": int; "out": JSON}. OUT: {"said": [[spans of each gold sentence], a model]; "seconds": [CPU seconds of
training]; "seqeval": [entity F1 of each model, strict, IOB2]; "nervaluate": [the same by its strict scheme]}.
"""

import json
import random
import sys
import time
from pathlib import Path
from typing import Any


def trained(sentences: list[Any], epochs: int, seed: int) -> Any:
    """A blank English pipeline with `ner`, taught as spaCy's documentation does in a program: shuffled minibatches of
    growing size, dropout of a fifth."""
    import spacy
    from spacy.training import Example
    from spacy.util import compounding, fix_random_seed, minibatch

    fix_random_seed(seed)
    pipeline = spacy.blank("en")
    ner = pipeline.add_pipe("ner")
    for name in sorted({name for _, spans in sentences for _, _, name in spans}):
        ner.add_label(name)
    examples = [Example(of(pipeline, tokens), of(pipeline, tokens, spans)) for tokens, spans in sentences]
    optimizer = pipeline.initialize(lambda: examples)
    rng = random.Random(seed)
    for _ in range(epochs):
        rng.shuffle(examples)
        for batch in minibatch(examples, compounding(4.0, 32.0, 1.001)):
            pipeline.update(batch, drop=0.2, sgd=optimizer)
    return pipeline


def of(pipeline: Any, tokens: list[str], spans: list[Any] | None = None) -> Any:
    """A sentence in the tokens that it has, with its spans."""
    from spacy.tokens import Doc, Span

    found = Doc(pipeline.vocab, words=tokens)
    found.ents = [Span(found, first, last + 1, name) for first, last, name in spans or []]
    return found


def tags(tokens: list[str], spans: list[Any]) -> list[str]:
    """Spans as BIO."""
    found = ["O"] * len(tokens)
    for first, last, name in spans:
        found[first : last + 1] = [f"B-{name}"] + [f"I-{name}"] * (last - first)
    return found


def main(config: dict[str, Any]) -> None:
    """Train one model after the other, and write what came of them."""
    from nervaluate.evaluator import Evaluator
    from seqeval.metrics import f1_score
    from seqeval.scheme import IOB2

    truth = [tags(*sentence) for sentence in config["gold"]]
    out: dict[str, list[Any]] = {"said": [], "seconds": [], "seqeval": [], "nervaluate": []}
    for seed, rows in enumerate(config["rows"]):
        began = time.process_time()
        pipeline = trained([config["pool"][row] for row in rows], config["epochs"], seed)
        out["seconds"].append(time.process_time() - began)
        docs = [pipeline(of(pipeline, tokens)) for tokens, _ in config["gold"]]
        said = [[(span.start, span.end - 1, span.label_) for span in doc.ents] for doc in docs]
        out["said"].append(said)
        marked = [tags(tokens, spans) for (tokens, _), spans in zip(config["gold"], said, strict=True)]
        out["seqeval"].append(float(f1_score(truth, marked, mode="strict", scheme=IOB2)))
        names = sorted({name for _, spans in config["gold"] for _, _, name in spans})
        counted = Evaluator(truth, marked, tags=names, loader="list").evaluate()
        out["nervaluate"].append(float(counted["overall"]["strict"].f1))
        print(f"spaCy: {len(rows)} sentences, F1 {out['seqeval'][-1]:.3f}, {out['seconds'][-1]:.0f} s", file=sys.stderr)
    Path(config["out"]).write_text(json.dumps(out))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
