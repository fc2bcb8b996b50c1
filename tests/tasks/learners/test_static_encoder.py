"""A table of tokens in place of an encoder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from labelwise.tasks.errors import InputError
from labelwise.tasks.learners import static_encoder
from labelwise.tasks.learners.static_encoder import unit

WORDS = ["[UNK]", *(f"w{number}" for number in range(40)), "never"]


class Sum:
    """An encoder that is a table itself."""

    def __init__(self) -> None:
        self.table = np.random.default_rng(0).normal(size=(len(WORDS), 16)).astype(np.float32)

    def encode(self, cells: list[str], _progress: Callable[[int], None] = print, /) -> np.ndarray:
        rows = [[WORDS.index(word) if word in WORDS else 0 for word in cell.split()] for cell in cells]
        return unit(np.array([self.table[ids].sum(axis=0) if ids else self.table[0] * 0 for ids in rows]))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folder of its tokenizer."""
    tokenizer = Tokenizer(WordLevel(dict(zip(WORDS, range(len(WORDS)), strict=True)), unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    folder = tmp_path / "source"
    folder.mkdir()
    tokenizer.save(str(folder / static_encoder.TOKENIZER))
    return folder


def texts(seed: int, count: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS[1:-1], rng.integers(1, 9))) for _ in range(count)]


def made(source: Path, tmp_path: Path, seen: list[str]) -> static_encoder.Encoder:
    encoder = Sum()
    static_encoder.make(tmp_path / "table", str(source), encoder, seen, encoder.encode(seen), 8)
    return static_encoder.Encoder(tmp_path / "table", 8)


def test_it_imitates_an_encoder_on_texts_that_it_was_not_fitted_to(source: Path, tmp_path: Path) -> None:
    found, fresh = made(source, tmp_path, texts(0, 800)), texts(1, 200)
    vectors, done = found.encode(fresh), list[int]()
    assert (vectors * Sum().encode(fresh)).sum(axis=1).mean() > 0.98
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found.encode(fresh[:3], done.append), vectors[:3])
    assert done == [3]


def test_a_token_that_no_text_has_stays_as_the_encoder_has_it(source: Path, tmp_path: Path) -> None:
    found = made(source, tmp_path, texts(0, 50))
    assert (found.encode(["never"]) * Sum().encode(["never"])).sum() > 0.999


def test_texts_without_a_token_and_those_that_are_long(source: Path, tmp_path: Path) -> None:
    found = made(source, tmp_path, [*texts(0, 50), ""])
    assert not found.encode([""]).any()
    assert found.encode([]).shape == (0, 16)
    np.testing.assert_array_equal(*found.encode(["w1 " * 8 + "w2", "w1 " * 8]))


def test_a_table_that_is_gone_and_an_encoder_without_a_tokenizer(source: Path, tmp_path: Path) -> None:
    made(source, tmp_path, texts(0, 10))
    (tmp_path / "table" / static_encoder.TABLE).write_bytes(b"{")
    with pytest.raises(InputError, match="has no table of tokens"):
        static_encoder.Encoder(tmp_path / "table", 8)
    with pytest.raises(InputError, match=r"no table can be made of this encoder: expected a folder with"):
        static_encoder.make(tmp_path / "other", str(tmp_path), Sum(), ["w1"], Sum().encode(["w1"]), 8)
