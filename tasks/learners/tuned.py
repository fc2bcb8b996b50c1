"""An encoder whose upper layers learn, with a head on its vectors: what `contrastive` and `finetune` have in common.

Lower layers hold what any text needs, upper ones what a task needs: half of the layers stay as they are. What they
make of the labelled texts is computed once, so that a step of training goes through the upper half alone.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.learners import frozen, one_vs_rest
from labelwise.tasks.learners.base import Items
from labelwise.tasks.learners.encoder import Encoder, pooled
from labelwise.tasks.progress import counted
from labelwise.tasks.settings import Embed

CHUNK = 16  # texts of like length that go through the layers together: little padding


@dataclass(frozen=True)
class Prepared:
    """A text as it enters the tuned layers: its token ids, and the (tokens, d) states that the frozen layers give."""

    ids: list[int]
    states: Any


@dataclass(frozen=True)
class Tuned:
    """Texts to vectors by the tuned encoder, vectors to classes by a head. `draft`: a head on the frozen vectors."""

    learner: str
    tower: "Tower"
    head: frozen.Head | one_vs_rest.Heads
    draft: frozen.Head | one_vs_rest.Heads
    trained: bool = True

    @property
    def classes(self) -> list[str]:
        return self.head.classes

    @property
    def thresholds(self) -> NDArray[np.float32] | None:
        return self.head.thresholds

    def probabilities(self, items: Items) -> NDArray[np.float32]:
        """n items -> (n, c): each costs a pass through the encoder."""
        with counted(f"{len(items):,} texts through the tuned encoder", len(items)) as done:
            return self.head.of(self.tower.encoder.encode(items.texts(), done))

    def save(self, folder: Path) -> None:
        """`config.json`, the tuned layers as float16 in `layers.safetensors`, the two heads in folders of their own."""
        config = {
            "learner": self.learner,
            "classes": self.classes,
            "frozen_layers": self.tower.frozen_layers,
            "embed": self.tower.settings.model_dump(),
            **one_vs_rest.kept(self.thresholds),
        }
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        self.tower.write(folder / "layers.safetensors")
        for name, head in (("head", self.head), ("draft", self.draft)):
            (folder / name).mkdir()
            head.save(folder / name)


def load(folder: Path) -> Tuned:
    """The model that `Tuned.save` wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tower = Tower(Embed(**config["embed"]), config["frozen_layers"])
    tower.read(folder / "layers.safetensors")
    return Tuned(config["learner"], tower, frozen.load(folder / "head"), frozen.load(folder / "draft"))


class Tower:
    """An encoder in two parts: the lowest `frozen_layers` (None: half of them) stay, those above are tuned.

    Works with any Hugging Face encoder that keeps its layers in one list and hands the hidden states from one to the
    next.
    """

    def __init__(self, settings: Embed, frozen_layers: int | None = None) -> None:
        import torch

        self.settings = settings
        self.encoder = Encoder(settings.encoder, settings.max_tokens)
        self.model: Any = self.encoder.model
        lists = [(name, part) for name, part in self.model.named_modules() if isinstance(part, torch.nn.ModuleList)]
        self._place, layers = max(lists, key=lambda named: len(named[1]))
        self.frozen_layers = len(layers) // 2 if frozen_layers is None else frozen_layers
        self.upper = layers[self.frozen_layers :]
        self.model.requires_grad_(False)
        self.upper.requires_grad_(True)

    def prepared(self, texts: list[str]) -> list[Prepared]:
        """What the frozen part makes of each text."""
        return self.entering(
            self.encoder.tokenizer(texts, truncation=True, max_length=self.encoder.max_tokens).input_ids
        )

    def entering(self, ids: list[list[int]]) -> list[Prepared]:
        """The same of token ids."""
        import torch

        result: dict[int, Prepared] = {}
        for rows in _chunks([len(row) for row in ids]):
            with torch.no_grad(), _entering(self.upper[0]) as entered:
                self.model(**self._padded([ids[row] for row in rows]))
            for row, states in zip(rows, entered[0], strict=True):
                result[row] = Prepared(ids[row], states[: len(ids[row])].clone())
        return [result[row] for row in range(len(ids))]

    def vectors(self, texts: list[Prepared]) -> Any:
        """(k,) prepared texts -> (k, d) tensor of unit vectors, through which gradients flow to the tuned part."""
        import torch

        order, parts = [], []
        for rows, states, mask in self._passed(texts):
            parts.append(pooled(states, mask))
            order.extend(rows)
        return torch.cat(parts)[torch.from_numpy(np.argsort(order))]

    def states(self, texts: list[Prepared]) -> Any:
        """(k,) prepared texts -> (N, d) tensor of the states of all their tokens, one text after the other."""
        import torch

        found: dict[int, Any] = {}
        for rows, states, _ in self._passed(texts):
            found |= {row: own[: len(texts[row].ids)] for row, own in zip(rows, states, strict=True)}
        return torch.cat([found[row] for row in range(len(texts))])

    def _passed(self, texts: list[Prepared]) -> Iterator[tuple[list[int], Any, Any]]:
        """Rows of like length, what the tuned part makes of their tokens, (b, t, d), and where there are any."""
        import torch

        for rows in _chunks([len(text.ids) for text in texts]):
            padded = self._padded([texts[row].ids for row in rows])
            states = torch.nn.utils.rnn.pad_sequence([texts[row].states for row in rows], batch_first=True)
            with _layers(self.model, self._place, self.upper), _replaced(self.upper[0], states):
                passed = self.model(**padded).last_hidden_state
            yield rows, passed, padded["attention_mask"]

    def weights(self) -> dict[str, Any]:
        """The tuned part, as float16."""
        return {name: tensor.half().contiguous() for name, tensor in self.upper.state_dict().items()}

    def restore(self, weights: dict[str, Any]) -> None:
        """Take over what `weights` gave."""
        self.upper.load_state_dict({name: tensor.float() for name, tensor in weights.items()})

    def write(self, path: Path) -> None:
        """The tuned part as a safetensors file."""
        from safetensors.torch import save_file  # torch

        save_file(self.weights(), path)

    def read(self, path: Path) -> None:
        """Take over what `write` wrote."""
        from safetensors.torch import load_file

        self.restore(load_file(path))

    def settle(self) -> None:
        """Round the tuned part to what will be saved, so that the model in memory is the one on disk."""
        self.restore(self.weights())

    def _padded(self, ids: list[list[int]]) -> Any:
        return self.encoder.tokenizer.pad({"input_ids": ids}, return_tensors="pt")


class _EnoughError(Exception):
    """Stops a forward pass where it need not go on."""


@contextmanager
def _entering(layer: Any) -> Iterator[list[Any]]:
    """Collects the hidden states that enter `layer`, and ends the forward pass there."""
    entered: list[Any] = []

    def note(_layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        entered.append(args[0] if args else kwargs["hidden_states"])
        raise _EnoughError

    hook = layer.register_forward_pre_hook(note, with_kwargs=True)
    try:
        with suppress(_EnoughError):
            yield entered
    finally:
        hook.remove()


@contextmanager
def _replaced(layer: Any, states: Any) -> Iterator[None]:
    """Lets `states` enter `layer` whatever comes from below."""

    def replace(_layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return ((states, *args[1:]), kwargs) if args else ((), {**kwargs, "hidden_states": states})

    hook = layer.register_forward_pre_hook(replace, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _layers(model: Any, place: str, layers: Any) -> Iterator[None]:
    """The model with only these layers."""
    all_of_them = model.get_submodule(place)
    model.set_submodule(place, layers)
    try:
        yield
    finally:
        model.set_submodule(place, all_of_them)


def _chunks(lengths: list[int]) -> list[list[int]]:
    order = np.argsort(lengths, kind="stable").tolist()
    return [order[start : start + CHUNK] for start in range(0, len(order), CHUNK)]


def encoded(tower: Tower, texts: list[Prepared]) -> NDArray[np.float32]:
    """(k,) prepared texts -> (k, d) vectors as the tuned part gives them now."""
    import torch

    with torch.no_grad():
        vectors: NDArray[np.float32] = tower.vectors(texts).numpy()
    return vectors


def train(
    tower: Tower,
    epochs: list[list[list[int]]],
    loss: Callable[[list[int]], Any],
    rate: float,
    extra: Sequence[Any] = (),
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Adjust the tuned part (and the `extra` parameters) to the loss of each batch of each epoch: AdamW, the rate
    rising over the first tenth of the batches and falling to zero over the others. `stop` is asked after each
    epoch."""
    import torch

    parameters = [*tower.upper.parameters()]
    groups: list[dict[str, Any]] = [{"params": parameters}, *({"params": [one], "lr": rate * 100} for one in extra)]
    optimiser = torch.optim.AdamW(groups, lr=rate, weight_decay=0.01)
    total = sum(map(len, epochs))
    warm = total // 10 + 1
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda at: min((at + 1) / warm, (total - at) / total))
    with counted("tune the encoder, batches", total) as done:
        for batches in epochs:
            for batch in batches:
                optimiser.zero_grad()
                loss(batch).backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimiser.step()
                schedule.step()
                done(1)
            if stop():
                return
