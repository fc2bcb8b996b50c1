"""`finetune` of marked texts: it learns, comes back as it was, and is its draft where nothing can be tuned."""

import json
from dataclasses import replace
from itertools import chain, pairwise, product
from pathlib import Path
from secrets import token_hex

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer, BertConfig, BertModel

import labelwise
from labelwise.tasks import learners, promote, settings
from labelwise.tasks.kinds import measures, spans
from labelwise.tasks.learners import Examples, Items, calibration, crf, finetune, tagger, tuned, tuned_tagger, words
from labelwise.tasks.learners.encoder import PACKAGED, Encoder, path_of
from labelwise.tasks.learners.serving import Classifier
from labelwise.tasks.services.home import Addresses
from labelwise.tasks.services.mlflow import RoundRun, Tracking
from labelwise.tasks.settings import Settings
from labelwise.tasks.workspace import Workspace

CLASSES = ["city", "name", "never given"]
NAMES, CITIES = ["Ann", "Bob", "Cleo", "Dan", "Eve", "Finn"], ["Rome", "Oslo", "Lima", "Paris", "Cairo", "Delhi"]
LONG = "Nothing happened for a while . " * 4  # beyond the window
WIDTH, TAUGHT = 32, [*range(0, 36, 2), 36, 37]
FRAMES = ("{} lives in {} .", LONG + "{} saw {} .", "Yesterday {} left {} !")
PAIRS = [(name, city) for name in NAMES for city in CITIES]
TEXTS = [*(FRAMES[at % 3].format(*pair) for at, pair in enumerate(PAIRS)), "Nothing at all .", ""]


def label_of(text: str) -> str:
    found = [(text.find(word), word, of) for of, known in (("name", NAMES), ("city", CITIES)) for word in known]
    return spans.label_of((at, at + len(word), of) for at, word, of in found if at >= 0)


def examples_of(items: Items, rows: list[int], labels: list[str] | None = None) -> Examples:
    said = [label_of(TEXTS[row]) for row in rows] if labels is None else labels
    return Examples(items.take(np.array(rows)), spans.targets(said, CLASSES), CLASSES, said=said)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with an encoder of three small layers whose weights are chance."""
    folder = tmp_path_factory.mktemp("encoder")
    AutoTokenizer.from_pretrained(path_of(PACKAGED)).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(hidden_size=WIDTH, num_hidden_layers=3, num_attention_heads=2, intermediate_size=64)
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return settings.parse(
        {
            "project": {"name": "n", "id": "i"},
            "kind": {"answer": "spans"},
            "classes": CLASSES,
            "pull": {"pool": "", "gold": ""},
            "train": {"learner": "finetune"},
            "embed": {"encoder": str(folder), "max_tokens": 16},
        }
    )


@pytest.fixture(scope="module")
def encoder(chosen: Settings) -> Encoder:
    return Encoder(chosen.embed.encoder, chosen.embed.max_tokens)


@pytest.fixture(scope="module")
def pool(encoder: Encoder) -> Items:
    vectors, read = words.read(encoder, TEXTS)
    read = replace(read, states=read.states.astype(np.float16).astype(np.float32))
    return replace(Items.of(vectors, TEXTS), words_at=read.take)


@pytest.fixture(scope="module")
def model(pool: Items, chosen: Settings) -> tuned_tagger.TunedTagger:
    found = finetune.fit(examples_of(pool, TAUGHT), pool, chosen)
    assert isinstance(found, tuned_tagger.TunedTagger)
    return found


def test_it_marks_what_it_was_taught_and_has_a_cheap_draft(
    pool: Items, model: tuned_tagger.TunedTagger, chosen: Settings
) -> None:
    truth = [label_of(text) for text in TEXTS]
    measure = measures.measure_of(chosen.measure, spans, CLASSES)
    for each in (model, model.draft):
        said = spans.decide(each.probabilities(pool), CLASSES, each.thresholds)
        assert measure.value(said.tolist(), truth) > 0.9
    assert isinstance(model.draft, tagger.Tagger)
    before = tuned.Tower(chosen.embed)
    before.settle()
    assert any(not torch.equal(each, model.tower.weights()[name]) for name, each in before.weights().items())
    assert "finetune" in learners.able_to_learn("spans")


def test_there_and_back_and_in_a_program(
    pool: Items, model: tuned_tagger.TunedTagger, encoder: Encoder, tmp_path: Path
) -> None:
    model.save(tmp_path)
    again = learners.load(tmp_path)
    assert learners.answer(tmp_path) == "spans"
    np.testing.assert_array_equal(learners.thresholds(tmp_path), model.thresholds)
    opinion = model.probabilities(pool)
    for one, other in zip(again.probabilities(pool), opinion, strict=True):
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-5)
    assert all(path.suffix in learners.PLAIN for path in tmp_path.rglob("*") if path.is_file())
    given = Classifier(encoder, again, spans).predict(TEXTS)
    assert given.label.tolist() == spans.decide(opinion, CLASSES, model.thresholds).tolist()
    assert given.label.iloc[-1] == "[]" and given.confidence.between(0, 1).all()


def test_registered_in_mlflow_and_loaded_by_both_ways_it_marks_the_same(
    servers: Addresses, pool: Items, model: tuned_tagger.TunedTagger, chosen: Settings, tmp_path: Path
) -> None:
    import mlflow.pyfunc

    del servers
    workspace = Workspace(tmp_path)
    workspace.model.mkdir()
    model.save(workspace.model)
    (tmp_path / "params.yaml").write_text(json.dumps(chosen.model_dump()))
    tracking = Tracking(f"finetune-of-spans-{token_hex(4)}")  # servers may be kept from run to run
    tags = {"labelwise.round": "1", "labelwise.inputs": "x"}
    run = RoundRun(1, {}, {"entity_f1": 0.5}, tags, {}, metric="entity_f1")
    _, version = tracking.record(run, promote.bundle(workspace, tmp_path / "bundle"))
    address = f"models:/{tracking.name}/{version}"
    said = spans.decide(model.probabilities(pool), CLASSES, model.thresholds).tolist()
    served = mlflow.pyfunc.load_model(address).predict(pd.DataFrame({"text": TEXTS}))
    assert served.label.tolist() == labelwise.load(address).predict(TEXTS).label.tolist() == said
    assert any(label != "[]" for label in said)


def test_the_same_seed_gives_the_same_bytes(
    pool: Items, model: tuned_tagger.TunedTagger, chosen: Settings, tmp_path: Path
) -> None:
    made = []
    for at, each in enumerate([model, finetune.fit(examples_of(pool, TAUGHT), pool, chosen)]):
        (tmp_path / str(at)).mkdir()
        each.save(tmp_path / str(at))
        made.append(
            {file.relative_to(tmp_path / str(at)): file.read_bytes() for file in tmp_path.rglob(f"{at}/**/*.*")}
        )
    assert len(made[0]) == 6 and made[0] == made[1]


def test_a_word_is_tuned_where_it_is_read(pool: Items, chosen: Settings) -> None:
    """The states that are tuned are those that the tuned encoder gives, also of a text of several windows."""
    tower = tuned.Tower(chosen.embed)
    windows = words.Windows.of(tower.encoder, TEXTS)
    assert len(windows.ids) > len(TEXTS)
    rows = [row for row in range(len(windows.ids)) if len(windows.pairs[row][0])]
    numbers, states = tuned_tagger.states(tower, windows, tower.entering(windows.ids), rows)
    read = words.read(tower.encoder, TEXTS, last=True)[1]
    assert numbers.tolist() == list(range(len(read.places)))
    np.testing.assert_allclose(states.detach().numpy(), read.states[:, WIDTH:], atol=1e-4)
    np.testing.assert_allclose(pool.words().states, read.states[:, :WIDTH], atol=1e-2)


def test_two_opinions_are_one_field() -> None:
    rng = np.random.default_rng(0)
    steps = np.where(crf.allowed(1), rng.normal(size=(3, 3)), -np.inf)
    weights = crf.Weights(rng.normal(size=(4, 3)), rng.normal(size=(words.HASHED, 3)), rng.normal(size=3), steps)
    head = rng.normal(size=(4, 3)), rng.normal(size=3)
    text = "Ann met Bob"
    places = words.places(text)
    read = words.Words(np.array([0, 3]), places, words.marks(text, places), rng.normal(size=(3, 8)).astype(np.float32))
    both = tuned_tagger.joined(weights, head, 0.5, 2.0)
    frozen = weights.scores(replace(read, states=read.states[:, :4]))
    np.testing.assert_allclose(
        both.scores(read), 0.5 * frozen + 2 * (read.states[:, 4:] @ head[0] + head[1]), rtol=1e-5
    )
    np.testing.assert_array_equal(np.isfinite(both.steps), crf.allowed(1))
    value, *slopes = crf.log_loss(frozen, steps, read.lengths, np.ones((3, 3), bool))
    assert value == pytest.approx(0) and all(np.allclose(each, 0) for each in slopes)


def test_the_weights_are_those_of_the_highest_likelihood() -> None:
    """Of 3,000 texts whose tags are drawn from the field in which one opinion counts 0.7 and the other 0.4."""
    rng, (n, t, k) = np.random.default_rng(0), (3000, 3, 3)
    steps = np.where(crf.allowed(1), rng.normal(size=(k, k)), -np.inf)
    one, other = rng.normal(size=(2, n, t, k))
    ways = [
        way for way in product(range(k), repeat=t) if way[0] != 2 and all(crf.allowed(1)[at] for at in pairwise(way))
    ]

    def total(a: float, b: float) -> np.ndarray:
        of_words = [(a * one + b * other)[:, range(t), way].sum(axis=1) for way in ways]
        return np.stack(of_words, axis=1) + [a * sum(steps[at] for at in pairwise(way)) for way in ways]

    def loss(a: float, b: float) -> float:
        each = total(a, b)
        return float((np.logaddexp.reduce(each, axis=1) - each[np.arange(n), said]).sum())

    said = (total(0.7, 0.4) + rng.gumbel(size=(n, len(ways)))).argmax(axis=1)
    open_tags = np.eye(k, dtype=bool)[np.array(ways)[said].ravel()]
    given = one.reshape(-1, k), other.reshape(-1, k), steps, np.full(n, t), open_tags
    found = tuned_tagger.weighed(*given)
    assert found == tuned_tagger.weighed(*given)
    assert found == pytest.approx((0.7, 0.4), abs=0.06)
    grid = [(found[0] + a, found[1] + b) for a, b in product((-0.02, -0.002, 0, 0.002, 0.02), repeat=2)]
    assert min(grid, key=lambda at: loss(*at)) == found
    few = np.arange(0), np.empty((0, k))
    assert tuned_tagger.weighed(few[1], few[1], steps, few[0], few[1].astype(bool)) == (1.0, 0.0)
    against = tuned_tagger.weighed(given[0], -given[1], *given[2:])
    assert against[1] == 0.0 and found[0] > against[0] > 0.3


def test_labels_that_weigh_it_have_no_part_in_it(
    pool: Items, model: tuned_tagger.TunedTagger, chosen: Settings
) -> None:
    """Not in what the encoder learned, nor in when that ended."""
    before = examples_of(pool, TAUGHT)
    held = np.flatnonzero(calibration.held_out(before, chosen.seed, finetune.HELD_OUT) == 0)
    others = list(before.said)
    for row in held:  # the same classes in other places
        others[row] = spans.label_of((0, 1, of) for _, _, of in spans.spans_of(before.said[row]))
    assert others != before.said
    other = finetune.fit(replace(before, said=others), pool, chosen)
    assert all(torch.equal(each, model.tower.weights()[name]) for name, each in other.tower.weights().items())
    assert not np.array_equal(other.thresholds, model.thresholds) or other.field.slope != model.field.slope


def test_long_texts_take_no_more_room_than_short_ones(
    pool: Items, model: tuned_tagger.TunedTagger, chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower = tuned.Tower(chosen.embed)
    all_of_them = tuned_tagger.affordable(pool, tower, 100, 10**6, 0)
    assert all_of_them.tolist() == list(range(len(TEXTS)))
    some = tuned_tagger.affordable(pool, tower, 100, 300, 0)
    used = sum(map(len, words.Windows.of(tower.encoder, pool.texts_at(some)).ids))
    assert 150 < used <= 300 and np.isin(some, all_of_them).all()
    assert len(tuned_tagger.affordable(pool, tower, 7, 10**6, 0)) == 7

    entered: list[int] = []
    entering = tuned.Tower.entering
    monkeypatch.setattr(finetune, "TOKENS", 500)
    monkeypatch.setattr(
        tuned.Tower, "entering", lambda self, ids: (entered.append(sum(map(len, ids))), entering(self, ids))[1]
    )
    read, texts = words.read, []
    monkeypatch.setattr(
        words, "read", lambda of, given, *more, **how: (texts.append(given), read(of, given, *more, **how))[1]
    )
    whole = model.probabilities(pool)
    assert len(texts) == 1
    monkeypatch.setattr(tuned_tagger, "TOGETHER", 200)
    for one, other in zip(whole, model.probabilities(pool), strict=True):
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-4)
    assert [*chain.from_iterable(texts[1:])] == TEXTS and max(sum(map(len, each[:-1])) for each in texts[1:]) <= 200
    finetune.fit(examples_of(pool, TAUGHT), pool, chosen)
    assert len(entered) == 1 and 300 < entered[0] <= 500


@pytest.mark.parametrize("at", range(5))
def test_texts_without_words_teach_nothing(pool: Items, chosen: Settings, at: int) -> None:
    """Whichever part of the labels the only text with words is in."""
    rows = [len(TEXTS) - 1] * 5
    rows[at] = 0
    model = finetune.fit(examples_of(pool, rows), pool, chosen)
    assert model.field.remark == "" and np.isfinite(model.thresholds).all()
    for one, other in zip(model.probabilities(pool), model.draft.probabilities(pool), strict=True):
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-2)


@pytest.mark.parametrize("labels", [["[]"], ["[]"] * 4, ['[[0, 3, "name"]]']], ids=["one", "no marks", "one mark"])
def test_where_nothing_can_be_tuned_it_says_what_its_draft_says(
    pool: Items, chosen: Settings, labels: list[str]
) -> None:
    model = finetune.fit(examples_of(pool, list(range(len(labels))), labels), pool, chosen)
    told = zip(model.probabilities(pool), model.draft.probabilities(pool), strict=True)
    for one, other in told:
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-2)
    before = tuned.Tower(chosen.embed)
    before.settle()
    assert all(torch.equal(each, model.tower.weights()[name]) for name, each in before.weights().items())


def test_what_is_open_teaches_nothing(encoder: Encoder) -> None:
    text = "Bank of New York unfair end"
    label = spans.label_of([(0, 16, "name"), (8, 16, "city"), (19, 23, "city")])
    items = Items.of(np.zeros((1, WIDTH), np.float32), [text])
    examples = Examples(items, spans.targets([label], CLASSES), CLASSES, said=[label])
    found = tuned_tagger.open_tags(words.Windows.of(encoder, [text]), examples, examples.seen)
    assert [np.flatnonzero(row).tolist() for row in found] == [
        [3],
        [4],
        [0, 1, 2, 3, 4],
        [0, 1, 2, 3, 4],
        [0, 1, 2, 3, 4],
        [0],
    ]
