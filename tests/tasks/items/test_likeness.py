"""Items are alike by what the encoder says, or by the words they share."""

import numpy as np
import pytest

from labelwise.tasks.items import likeness as here
from labelwise.tasks.items.likeness import Like, likeness
from labelwise.tasks.learners.base import Items

TEXTS = ["the parcel is late", "estoppel applies here", "a late parcel again", "we waive estoppel", "hello", "good day"]
VECTORS = np.eye(6, dtype=np.float32)


def like(text: str, vector: np.ndarray, found: list[int] | None = None, vain: list[int] | None = None) -> Like:
    rows = [np.array(each or [], dtype=np.int64) for each in (found, vain)]
    return Like(np.float32([vector]), [text], *rows)


def test_a_rare_word_brings_what_the_encoder_does_not_see() -> None:
    blind = likeness(Items.of(VECTORS, TEXTS), [like("estoppel", np.zeros(6))])
    assert {*np.argsort(-blind[:, 0])[:2]} == {1, 3}


def test_the_encoder_brings_what_shares_no_word() -> None:
    seen = likeness(Items.of(VECTORS, TEXTS), [like("greetings", VECTORS[4] + VECTORS[5])])
    assert {*np.argsort(-seen[:, 0])[:2]} == {4, 5}


def test_what_was_found_draws_and_what_was_in_vain_pushes() -> None:
    items = Items.of(VECTORS, TEXTS)
    plain = likeness(items, [like("parcel", np.zeros(6))])[:, 0]
    drawn = likeness(items, [like("parcel", np.zeros(6), found=[1])])[:, 0]
    pushed = likeness(items, [like("parcel", np.zeros(6), vain=[0])])[:, 0]
    assert np.argmax(drawn) == 1 != np.argmax(plain)
    assert drawn[3] > drawn[4]
    assert plain[3] == plain[4]
    assert np.argmax(pushed) == 2


def test_no_words_and_items_beyond_those_whose_words_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    here_all = likeness(Items.of(VECTORS, TEXTS), [like("estoppel", VECTORS[1])], words=False)
    assert np.argmax(here_all[:, 0]) == 1
    monkeypatch.setattr(here, "WORDED", 2)
    few = likeness(Items.of(VECTORS, TEXTS), [like("estoppel", VECTORS[1] + 0.5 * VECTORS[3])])
    assert np.argsort(-few[:, 0])[:2].tolist() == [1, 3]
    assert len(few) == len(TEXTS)


def test_nothing_in_common_is_ranked_all_the_same() -> None:
    found = likeness(Items.of(VECTORS, TEXTS), [like("新しい法律", np.zeros(6)), like("", np.zeros(6))])
    assert np.isfinite(found).all()
    assert found.shape == (6, 2)
