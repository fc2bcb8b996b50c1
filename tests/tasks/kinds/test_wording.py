"""Wording: what is one template, and which texts look alike."""

import numpy as np
import pytest

from labelwise.tasks.kinds.wording import NEARLY_THE_SAME, alike, masked, wording

KNOWN = np.zeros(2, np.float16)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Memory usage on mail-09 is above 26 percent", "Memory usage on db-12 is above 5 percent"),
        ("Dear Anna Smith, your parcel 4711 is on its way", "Dear Bob, your parcel AX-9/3 is on its way"),
        ("login failed for user 'root' from 10.0.0.1", "login failed for user 'o.brien' from fe80::1"),
        ("GET https://a.example/x?y=1 timed out", "GET http://b.example/z/2 timed out"),
        ("退款已经三天没有到账了。订单尾号192。", "退款已经三天没有到账了。订单尾号7。"),
        ("[2026-11-27T05:55:49Z] worker 3 crashed again", "[2026-11-28T00:01:02Z] worker 17 crashed again"),
        ("Zahlung über 12,50 EUR eingegangen", "Zahlung über 1.000 EUR eingegangen"),
    ],
)
def test_messages_that_differ_in_numbers_and_names_have_one_template(one: str, other: str) -> None:
    assert masked(one) == masked(other)
    rows = wording([one, other], KNOWN)
    assert rows["template"][0] == rows["template"][1]
    assert not alike(rows[:1], rows[1:]).any()  # two messages, however like


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Memory usage on mail-09 is above 26 percent", "Disk usage on mail-09 is above 26 percent"),
        ("Order 17", "Order 18"),  # too little is left to be a template
        ("3,50", "4,50"),
        ("Shares rose.", "Shares fell."),
        ("Anna Smith", "Bob Jones"),
    ],
)
def test_other_texts_have_templates_of_their_own(one: str, other: str) -> None:
    rows = wording([one, other], KNOWN)
    assert rows["template"][0] != rows["template"][1]


def test_alike_is_about_the_cosine_of_what_the_texts_hold() -> None:
    """Texts of which a known share is equal, against the cosine counted out."""
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz "))
    text = "".join(rng.choice(letters, 400))
    others = [
        text[: len(text) * part // 10] + "".join(rng.choice(letters, 400))[: 400 - 40 * part] for part in range(11)
    ]
    rows = wording([text, *others], np.zeros(12, np.float16))
    rows["template"] = np.arange(12)
    found = alike(rows[:1], rows[1:])[0]
    assert not found[:2].any()  # cosines of .0 and .1
    assert found[6:].all()  # .6 and more
    rows["unknown"] = 1
    assert alike(rows[:1], rows[1:])[0].tolist() == [False] * 10 + [True]
    assert NEARLY_THE_SAME > 0.8


def test_the_same_text_has_the_same_wording_alone_and_among_others() -> None:
    texts = ["", "x", "😀", "A text\nof two lines", "a text of two lines!"]
    rows = wording(texts, np.zeros(5, np.float16))
    for row, text in zip(rows, texts, strict=True):
        assert wording([text], np.zeros(1, np.float16))[0] == row
    assert alike(rows, rows).diagonal().all()
    assert alike(rows[3:4], rows[4:]).all()  # case, line ends and punctuation do not count
    assert len(wording([], np.zeros(0))) == 0
