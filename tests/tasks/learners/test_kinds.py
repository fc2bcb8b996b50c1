"""What holds for every learner, and what each is for."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from rich.console import Console

from labelwise.tasks import learners
from labelwise.tasks.learners import (
    LEARNERS,
    Exam,
    Examples,
    Items,
    able_to_learn,
    auto,
    calibration,
    contrastive,
    ensemble,
    finetune,
    frozen,
    prefilter_of,
    propagate,
    self_training,
    tuned,
)
from labelwise.tasks.learners.encoder import Encoder
from labelwise.tasks.settings import Embed, Settings, parse

CLASSES = ["colour", "animal", "never given"]
WORDS = [
    ["red", "blue", "green", "a dark yellow", "the pink one", "deep orange", "violet", "pale white"],
    ["a dog", "the cat", "some horse", "a green parrot", "two cows", "one white sheep", "wolf", "the fox"],
]
TEXTS = [f"{word} {at}" for at in range(2) for kind in WORDS for word in kind]
LABELS = np.array([label for _ in range(2) for label, kind in enumerate(WORDS) for _ in kind])


def settings_of(learner: str = "auto", seed: int = 0, **train: object) -> Settings:
    content = {
        "seed": seed,
        "project": {"name": "n", "id": "i"},
        "classes": CLASSES,
        "pull": {"pool": "p", "gold": "g"},
    }
    return parse(content | {"train": {"learner": learner, **train}, "embed": {"max_tokens": 16}})


@pytest.fixture(scope="module")
def pool() -> Items:
    vectors = Encoder("all-MiniLM-L6-v2", 16).encode(TEXTS).astype(np.float16).astype(np.float32)
    return Items.of(vectors, TEXTS)


def examples_of(pool: Items, rows: NDArray[np.int64] | None = None) -> Examples:
    rows = np.arange(16) if rows is None else rows
    return Examples(pool.take(rows), LABELS[rows], CLASSES)


@pytest.mark.parametrize("name", able_to_learn("choice"))
def test_a_learner_learns_says_what_sums_to_one_and_comes_back_as_it_was(
    name: str, pool: Items, tmp_path: Path
) -> None:
    model = LEARNERS[name].fit(examples_of(pool), pool, settings_of(name))
    p = model.probabilities(pool)
    assert p.shape == (32, 3)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert (p[:, 2] < 1e-4).all()  # a class that nobody has given
    assert (p.argmax(axis=1) == LABELS).mean() > 0.8

    model.save(tmp_path)
    again = learners.load(tmp_path)

    assert again.classes == CLASSES
    assert again.trained
    np.testing.assert_allclose(again.probabilities(pool), p, atol=2e-3 if name == "propagate" else 1e-5)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} == {".json", ".safetensors"}


@pytest.mark.parametrize("name", able_to_learn("choice"))
def test_the_same_seed_gives_the_same_bytes(name: str, pool: Items, tmp_path: Path) -> None:
    made = []
    for at in ("first", "second"):
        (tmp_path / at).mkdir()
        LEARNERS[name].fit(examples_of(pool), pool, settings_of(name)).save(tmp_path / at)
        made.append({file.relative_to(tmp_path / at): file.read_bytes() for file in (tmp_path / at).rglob("*.*")})
    assert made[0] == made[1]


@pytest.mark.parametrize(
    "rows", [[0], [0, 1, 2], [0, 8], [0, 1, 2, 3, 8]], ids=["one", "one class", "two", "one alone"]
)
@pytest.mark.parametrize("name", able_to_learn("choice"))
def test_few_labels_are_no_trouble(name: str, rows: list[int], pool: Items) -> None:
    p = LEARNERS[name].fit(examples_of(pool, np.array(rows)), pool, settings_of(name)).probabilities(pool)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert np.isfinite(p).all()


@pytest.mark.parametrize("name", ["frozen", "propagate", "ensemble"])
def test_items_that_are_all_alike_are_no_trouble(name: str) -> None:
    alike = Items.of(np.tile(np.float32([1, 0, 0, 0]), (40, 1)), ["same"] * 40)
    examples = Examples(alike.take(np.arange(10)), np.arange(10) % 2, CLASSES)
    p = LEARNERS[name].fit(examples, alike, settings_of(name)).probabilities(alike)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p[:, 2], 0, atol=1e-3)


# Calibration


def test_the_temperature_is_the_one_of_the_least_smoothed_loss() -> None:
    rng = np.random.default_rng(0)
    logits, labels = 5 * rng.normal(size=(200, 4)), rng.integers(4, size=200)
    labels[:150] = logits[:150].argmax(axis=1)

    def loss(t: float) -> float:
        p = np.exp(logits / t) / np.exp(logits / t).sum(axis=1, keepdims=True)
        smooth = 1 / 202
        target = np.full((200, 4), smooth / 4)
        target[np.arange(200), labels] += 1 - smooth
        return float(-(target * np.log(p)).sum(axis=1).mean())

    found = calibration.temperature(logits, labels)
    assert loss(found) <= min(loss(t) for t in np.geomspace(0.05, 20, 300)) + 1e-6


def test_an_opinion_that_is_of_no_use_gets_no_weight() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=400)
    useful, noise = 2 * np.eye(3)[labels] + rng.normal(size=(400, 3)), rng.normal(size=(400, 3))
    weights = calibration.pooling([useful, noise], labels)
    assert weights[0] > 0.5
    assert weights[1] < 0.15


def test_folds_are_even_in_every_class() -> None:
    labels = np.repeat([0, 1, 2], [30, 9, 1])
    fold = calibration.folds(labels, seed=0)
    for label in (0, 1):
        assert np.ptp(np.bincount(fold[labels == label], minlength=3)) <= 1
    assert (calibration.folds(labels, 0) == fold).all()


# Propagation


def test_labels_spread_to_where_the_closed_form_says() -> None:
    rng = np.random.default_rng(0)
    nodes = rng.normal(size=(40, 5)).astype(np.float32)
    nodes /= np.linalg.norm(nodes, axis=1, keepdims=True)
    links = propagate.neighbours(nodes)
    truth = np.zeros((40, 2), np.float32)
    truth[[0, 1, 2], [0, 0, 1]] = 1
    start = truth / truth.sum(axis=0)
    literal = np.linalg.solve(np.eye(40) - propagate.SPREAD * links.toarray(), start)
    literal /= literal.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(propagate.spread(links, truth), literal, atol=0.02)
    assert abs(links - links.T).max() < 1e-6
    assert np.abs(np.linalg.eigvalsh(links.toarray())).max() <= 1 + 1e-5


# Tuning


def literal_contrast(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Supervised contrastive loss, term by term."""
    losses = []
    for i in range(len(labels)):
        others = [j for j in range(len(labels)) if j != i]
        same = [j for j in others if labels[j] == labels[i]]
        total = sum(np.exp(vectors[i] @ vectors[j] / contrastive.SHARPNESS) for j in others)
        if same:
            losses.append(-np.mean([vectors[i] @ vectors[j] / contrastive.SHARPNESS - np.log(total) for j in same]))
    return float(np.mean(losses))


def test_the_contrastive_loss_is_as_defined() -> None:
    vectors = np.random.default_rng(0).normal(size=(9, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = np.array([0, 0, 1, 1, 1, 2, 2, 0, 3])
    found = contrastive.contrast(torch.from_numpy(vectors), torch.from_numpy(labels), torch.ones(len(labels)))
    assert float(found) == pytest.approx(literal_contrast(vectors, labels))


def test_batches_hold_every_item_once_and_like_with_like() -> None:
    labels = np.arange(50) % 5
    batches = contrastive.batches_of(labels, np.random.default_rng(0))
    assert sorted(row for batch in batches for row in batch) == list(range(50))
    assert max(map(len, batches)) <= contrastive.BATCH
    lonely = [row for batch in batches for row in batch if sum(labels[other] == labels[row] for other in batch) == 1]
    assert len(lonely) < 5


@pytest.mark.parametrize("frozen_layers", [None, 0, 5])
def test_the_two_parts_of_a_tower_are_the_whole_encoder(frozen_layers: int | None) -> None:
    tower = tuned.Tower(Embed(max_tokens=16), frozen_layers)
    whole = tower.encoder.encode(TEXTS)
    np.testing.assert_allclose(tuned.encoded(tower, tower.prepared(TEXTS)), whole, atol=1e-5)


def test_tuning_changes_the_upper_part_alone() -> None:
    tower = tuned.Tower(Embed(max_tokens=16))
    before = {name: tensor.clone() for name, tensor in tower.model.state_dict().items()}
    texts = tower.prepared(TEXTS)
    labels = torch.from_numpy(LABELS)
    tuned.train(
        tower,
        [[[0, 1, 8, 9]]] * 2,
        lambda rows: contrastive.contrast(tower.vectors([texts[r] for r in rows]), labels[rows], torch.ones(len(rows))),
        1e-3,
    )
    moved = {name for name, tensor in tower.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved
    assert all(int(name.split("layer.")[1].split(".")[0]) >= 3 for name in moved)


def test_tuning_and_judging_say_how_far_they_are(pool: Items, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = StringIO()
    monkeypatch.setattr("labelwise.tasks.progress.console", Console(file=shown, force_terminal=True, width=120))
    contrastive.fit(examples_of(pool), pool, settings_of("contrastive")).probabilities(pool)
    assert "tune the encoder, batches" in shown.getvalue()
    assert "32 texts through the tuned encoder" in shown.getvalue()


# Self-training and auto


def test_self_training_adds_the_surest_and_no_class_more_than_it_has_labels(pool: Items) -> None:
    examples = examples_of(pool, np.array([0, 1, 2, 8]))
    model = frozen.fit(examples_of(pool), pool, settings_of("frozen"))
    more = self_training.with_sure_items(model, examples, pool, 0)
    assert more.weights is not None
    own = more.weights == 1
    assert own.sum() == 4
    assert (more.weights[~own] == self_training.WEIGHT).all()
    added = np.bincount(more.labels[~own], minlength=3)
    assert added[0] <= 3
    assert added[1] <= 1
    p = model.probabilities(more.items)
    assert (p.max(axis=1)[~own] >= self_training.SURE).all()


def test_auto_takes_the_opinion_that_labels_held_out_speak_for(pool: Items, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(32)
    chosen = auto.fit(examples_of(pool, rows), pool, settings_of())
    losses = dict(reversed(part.split(" for ")) for part in chosen.reason.split(": ")[1].split(", "))
    assert set(losses) == {"ensemble", "contrastive", "ensemble + contrastive"}
    assert min(losses, key=lambda name: float(losses[name])) == chosen.chosen
    monkeypatch.setattr(auto, "MOST_TUNED", 31)
    assert auto.fit(examples_of(pool, rows), pool, settings_of()).chosen == "ensemble"


def test_tuning_that_has_clearly_lost_is_not_tried_before_labels_have_doubled(
    pool: Items, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = examples_of(pool, np.arange(32))
    tried = auto.fit(examples, pool, settings_of())
    assert tried.exam is not None
    assert tried.exam.labels == 32
    losses = dict(reversed(part.split(" for ")) for part in tried.reason.split(": ")[1].split(", "))
    own = float(losses.pop("ensemble"))
    assert tried.exam.gain == pytest.approx(own - min(map(float, losses.values())), abs=2e-3)

    started: list[int] = []
    real = contrastive.start

    def start(examples: Examples, settings: Settings) -> contrastive.Started:
        started.append(len(examples))
        return real(examples, settings)

    monkeypatch.setattr(contrastive, "start", start)
    lost = auto.fit(replace(examples, exams=[Exam(16, -0.5, 0.1)]), pool, settings_of())
    assert (lost.chosen, lost.exam, started) == ("ensemble", None, [])
    assert lost.reason == "tuning lost 0.500 of log loss with 16 labels; it is tried again beyond 32"
    for earlier in ([Exam(15, -0.5, 0.1)], [Exam(31, -0.5, 0.3)], [Exam(16, -0.5, 0.1), Exam(20, 0.2, 0.1)]):
        assert auto.clearly_lost(earlier, 32) == ""
    again = auto.fit(replace(examples, exams=[Exam(32, -0.5, 0.1)]), pool, settings_of())  # what this round said itself
    assert (again.chosen, again.exam, started) == (tried.chosen, tried.exam, [32])


def test_two_learners_together_are_one_opinion(pool: Items, tmp_path: Path) -> None:
    examples = examples_of(pool)
    members = {kind.NAME: kind.fit(examples, pool, settings_of()) for kind in (ensemble, contrastive)}
    both = auto.Auto(members, "made for this test")
    product = np.prod([model.probabilities(pool) for model in members.values()], axis=0)
    expected = np.sqrt(product) / np.sqrt(product).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(both.probabilities(pool), expected, atol=1e-5)
    assert both.draft is members["ensemble"]

    both.save(tmp_path)
    again = learners.load(tmp_path)
    np.testing.assert_allclose(again.probabilities(pool), both.probabilities(pool), atol=2e-3)


def test_what_no_person_labelled_is_never_held_out() -> None:
    items = Items.of(np.eye(12, 4, dtype=np.float32))
    guessed = np.arange(12) % 2 == 1
    examples = Examples(items, np.arange(12) % 2, ["a", "b"], guessed=guessed)
    fold = calibration.held_out(examples, 0)
    assert (fold == 0).any()
    assert not guessed[fold == 0].any()
    assert examples.take(np.arange(3, 9)).given.tolist() == [1, 3, 5]
    assert calibration.sampled(examples, 0).tolist() == [0, 2, 4, 6, 8, 10]


def test_labels_that_are_trusted_less_still_choose_how_strongly_to_regularise() -> None:
    """A weight below 1 says how far people's label is trusted, not that a model guessed it."""
    items, labels = Items.of(np.eye(12, 4, dtype=np.float32)), np.arange(12) % 2
    examples = Examples(items, labels, ["a", "b"], np.full(12, 0.7, np.float32))
    assert len(calibration.sampled(examples, 0)) == 12
    assert calibration.held_out(examples, 0).tolist() == calibration.folds(labels, 0).tolist()


def test_batches_of_like_length() -> None:
    lengths = np.random.default_rng(0).integers(3, 100, 200)
    batches = finetune.bucketed(np.arange(200), lengths, np.random.default_rng(1))
    assert sorted(row for batch in batches for row in batch) == list(range(200))
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.3 * lengths.sum()


@pytest.mark.parametrize("several", [False, True], ids=["one", "several"])
def test_the_head_of_an_ensemble_alone_orders_as_it_does_and_is_less_sure_when_told(pool: Items, several: bool) -> None:
    examples = examples_of(pool)
    if several:
        examples = replace(examples, labels=np.eye(3, dtype=np.float32)[LABELS[:16]])
    model = ensemble.fit(examples, pool, settings_of("ensemble"))
    head = prefilter_of(model)
    assert head is not None
    p, less = head.probabilities(pool), head.at(4.0).probabilities(pool)
    np.testing.assert_array_equal(p.argmax(axis=1), less.argmax(axis=1))
    assert (np.abs(less[:, :2] - 0.5) < np.abs(p[:, :2] - 0.5)).all()
    assert prefilter_of(auto.Auto({"ensemble": model}, "only one")) is head
    assert prefilter_of(auto.Auto({"frozen": head}, "only one")) is None
