"""The packaged encoder against one text at a time, and how texts are put together for it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labelwise.tasks.errors import InputError
from labelwise.tasks.learners import devices
from labelwise.tasks.learners.encoder import PACKAGED, Encoder, path_of, steps, unknown_to_packaged

TEXTS = [
    "Shares rose.",
    "",
    "the " * 300,
    "Ä猫🐈 ?! \n\n \t two\r\nlines",
    "A goal in the last minute took the visitors through to the final of the cup.",
    "Shares rose.",
    "x",
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(PACKAGED, max_tokens=64)


def one_by_one(encoder: Encoder, text: str) -> np.ndarray:
    """The vector of a text by itself: mean of its tokens' states, scaled to length 1."""
    tokens = encoder.tokenizer([text], truncation=True, max_length=encoder.max_tokens, return_tensors="pt")
    with torch.inference_mode():
        states = encoder.model(**tokens).last_hidden_state[0]
    mean = states.mean(dim=0).numpy()
    return mean / np.linalg.norm(mean)


def test_a_text_has_the_same_vector_alone_and_among_others(encoder: Encoder) -> None:
    vectors = encoder.encode(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [one_by_one(encoder, text) for text in TEXTS], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_order_of_the_texts_is_kept_over_several_steps(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = encoder.encode(TEXTS)
    monkeypatch.setattr(devices, "ON_CPU", 40)
    done: list[int] = []
    np.testing.assert_allclose(encoder.encode(TEXTS[::-1], done.append)[::-1], expected, atol=1e-5)
    assert len(done) > 2
    assert sum(done) == len(TEXTS)


def test_like_meanings_are_near_each_other(encoder: Encoder) -> None:
    a, b, c = encoder.encode(["The striker scored twice.", "Two goals in the match.", "Interest rates are rising."])
    assert a @ b > a @ c + 0.2


def test_a_text_is_cut_at_max_tokens(encoder: Encoder) -> None:
    long = "goal " * 100
    same, other = encoder.encode([long + "one end", long + "another end, and a longer one"])
    np.testing.assert_allclose(same, other, atol=1e-5)
    assert Encoder(PACKAGED, max_tokens=8192).max_tokens == 512  # no more than the model can take


def test_no_texts(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, 384)


# What cannot be loaded. Names of the hub are left out: asking it takes a network, or a minute of waiting for one.


def without_weights(folder: Path) -> Path:
    """A copy of the packaged encoder, all but its weights."""
    shutil.copytree(path_of(PACKAGED), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    return folder


def broken_weights(folder: Path) -> Path:
    (without_weights(folder) / "model.safetensors").write_bytes(b"no tensors")
    return folder


def pickled_weights(folder: Path) -> Path:
    """Weights as PyTorch pickles them. Reading them would run what they hold."""
    torch.save({}, without_weights(folder) / "pytorch_model.bin")
    return folder


def with_code(folder: Path) -> Path:
    """A model that brings its own code, as Hugging Face allows. Whoever loads it must not run that, nor ask."""
    shutil.copytree(path_of(PACKAGED), folder)
    (folder / "evil.py").write_text(f"open({str(folder / 'owned')!r}, 'w')\nclass Evil: pass\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize("make", [empty, without_weights, broken_weights, pickled_weights, with_code, Path])
def test_an_encoder_that_cannot_be_loaded_is_one_line(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    name = str(make(tmp_path / "encoder"))
    with pytest.raises(InputError, match=r"cannot be loaded.*set embed\.encoder in params\.yaml$") as caught:
        Encoder(name, max_tokens=64)
    assert repr(name) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "encoder" / "owned").exists()


# Steps


@given(lengths=st.lists(st.integers(0, 9000) | st.integers(1, 130), max_size=60))
def test_steps_hold_every_row_once_and_keep_to_the_budget(lengths: list[int]) -> None:
    groups = [rows.tolist() for rows in steps(lengths, devices.CPU.tokens)]
    assert sorted(row for rows in groups for row in rows) == list(range(len(lengths)))
    for rows in groups:
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= devices.CPU.tokens
    ordered = [lengths[row] for rows in groups for row in rows]
    assert ordered == sorted(lengths, reverse=True)  # like lengths together, so that little is padding


def test_what_the_encoder_does_not_know_is_said_with_and_without_loading_it(encoder: Encoder) -> None:
    texts = ["Shares rose.", "😀🎉😍 !!!", "I like it 😀", "?!", "", "屏幕边缘有一道划痕"]
    shares = encoder.unknown(texts)
    assert shares[[0, 3, 4]].tolist() == [0, 0, 0]
    assert shares[1] == 1
    assert shares[2] == 0.25
    assert 0.3 < shares[5] < 1
    assert unknown_to_packaged(texts).tolist() == shares.tolist()
    assert len(encoder.unknown([])) == 0


def test_steps_on_several_cores_give_the_bits_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "ON_CPU", 60)
    made, texts = Encoder(PACKAGED, 16), [f"ticket {n} " * (n % 5 + 1) for n in range(40)]
    threads, told = torch.get_num_threads(), list[int]()
    try:
        torch.set_num_threads(1)
        one = made.encode(texts)
        torch.set_num_threads(3)
        several = made.encode(texts, told.append)
        assert torch.get_num_threads() == 3  # what the process had before
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(one, several)
    assert sum(told) == 40


def test_a_precision_that_the_machine_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "computes_bfloat16", lambda: False)
    with pytest.raises(InputError, match=r"embed.precision: expected auto or float32, .* got bfloat16"):
        Encoder(PACKAGED, 16, "bfloat16")


@pytest.mark.parametrize(("unit", "dtype"), [(True, "bfloat16"), (False, "float32")])
def test_a_cpu_computes_in_half_precision_where_it_has_a_unit_for_it(
    monkeypatch: pytest.MonkeyPatch, unit: bool, dtype: str
) -> None:
    monkeypatch.setattr(devices, "multiplies_bfloat16", lambda: unit)
    assert devices.place("auto") == devices.Place("cpu", dtype)
    assert devices.place("float32") == devices.place(None) == devices.CPU  # None: a workspace of before


@pytest.mark.skipif(not devices.computes_bfloat16(), reason="this CPU has no instructions for bfloat16")
def test_bfloat16_is_float32_but_for_rounding() -> None:
    texts = ["Shares rose.", "A goal in the last minute.", ""]
    exact, half = Encoder(PACKAGED, 16).encode(texts), Encoder(PACKAGED, 16, "bfloat16").encode(texts)
    assert half.dtype == np.float32
    assert (exact * half).sum(axis=1).min() > 0.999
    assert (exact != half).any()


def test_where_torch_computes_is_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_more: False)
    assert devices.place("auto") == devices.Place("cuda", "float16")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_more: True)
    assert devices.place("auto") == devices.Place("cuda", "bfloat16")
    assert devices.place("float32") == devices.Place("cuda", "float32")
    assert devices.place(None) == devices.CPU  # a workspace of before
