"""Labels of spans: what files may say, what is refused, and that no character is lost on the way to the kept text."""

import json
import random

import pytest

from labelwise.tasks.kinds import bio, forms, offsets, spans
from labelwise.tasks.kinds.offsets import Given, counted

SMILE = "\U0001f600"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
PARTS = ("Ada", "Ünal", SMILE, FAMILY, "  ", "\r\n", " \r\n", "\t", "\u200b", "שלום", "\u2028", "e\u0301", " ", "x")


def label(*given: object) -> str:
    return json.dumps(given, ensure_ascii=False)


def one(cell: object, text: str) -> tuple[str | None, str | None, list[str]]:
    """The label, the fault and the remarks of one cell."""
    read = spans.read_all([cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)], [text])
    return read.labels[0], read.faults[0], read.remarks


@pytest.mark.parametrize(
    "cell",
    [
        [[7, 11, "LOC"], [0, 3, "PER"], [0, 3, "PER"]],
        [{"start": 0, "end": 3, "label": "PER", "text": "Ada"}, {"start": 7, "end": 11, "label": "LOC"}],
        [{"start_offset": "0", "end_offset": "3", "type": "PER"}, {"begin": 7, "stop": 11.0, "tag": " LOC "}],
        [{"start": 0, "end": 3, "labels": ["PER"]}, {"start": 7, "end": 11, "entity_group": "LOC", "score": 0.9}],
        {"entities": [[0, 3, "PER"], [7, 11, "LOC"]]},
        {"tokens": ["Ada", "in", "Rome"], "tags": ["B-PER", "O", "B-LOC"]},
        {"tokens": ["Ada", "in", "Rome"], "tags": ["I-PER", "O", "I-LOC"]},
        {"tokens": ["Ada", "in", "Rome"], "tags": ["U-PER", "O", "S-LOC"]},
        "[(0, 3, 'PER'), (7, 11, 'LOC')]",
    ],
)
def test_all_ways_to_write_a_label_come_to_the_same(cell: object) -> None:
    assert one(cell, "Ada in Rome") == ('[[0, 3, "PER"], [7, 11, "LOC"]]', None, [])


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("PER", spans.NO_SPANS),
        ('"PER"', spans.NO_SPANS),
        ('{"a": 1}', spans.NO_SPANS),
        ("[" * 100_000, spans.NO_SPANS),
        ("__import__('os').system('true')", spans.NO_SPANS),
        ([[0, 3]], spans.NO_SPANS),
        ([[0, 1.5, "PER"]], spans.NO_OFFSETS),
        ([[True, 3, "PER"]], spans.NO_OFFSETS),
        ([[0, "1e999", "PER"]], spans.NO_OFFSETS),
        ([[0, None, "PER"]], spans.NO_OFFSETS),
        ([[0, 3, " "]], spans.NO_CLASS),
        ([{"start": 0, "end": 3}], spans.NO_CLASS),
        ([{"start": 0, "end": 3, "labels": []}], spans.NO_CLASS),
        ([[3, 0, "PER"]], offsets.REVERSED),
        ([[3, 3, "PER"]], offsets.LENGTH_ZERO),
        ([[0, 99, "PER"]], offsets.OUTSIDE),
        ([[-3, 2, "PER"]], offsets.OUTSIDE),
        ([[10**400, 10**401, "PER"]], spans.NO_OFFSETS),
        ([{"start": 0, "end": 3, "label": "PER", "text": "ada"}], offsets.OTHER_TEXT),
        (["PER"], bio.NO_TAGS),
        (["NNP", "IN", "NNP"], bio.NO_TAGS),
        (["B-PER", "O"], bio.UNLIKE),
        (["O", "I-PER", "B-PER"], None),  # IOB1: one after the other
        (["B-PER", "O", "I-LOC"], bio.NO_TAGS),
        (["B-PER", "E-LOC", "O"], bio.NO_TAGS),
        ({"tokens": ["Ada", "of", "Rome"], "tags": ["O", "O", "O"]}, bio.APART),
        ({"tokens": ["Ada", "in"], "tags": ["O", "O"]}, bio.APART),
        ({"tokens": ["Ada", 3, "Rome"], "tags": ["O", "O", "O"]}, bio.APART),
        ({"tokens": "Ada in Rome", "tags": ["O"]}, bio.APART),
    ],
)
def test_what_is_no_label_is_refused_with_its_reason(cell: object, fault: str | None) -> None:
    found, said, _ = one(cell, "Ada in Rome")
    assert said == fault
    assert fault is None or fault in spans.FAULTS
    if fault:
        assert found == (cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False))


def test_nothing_to_mark_is_an_answer_and_a_blank_cell_is_none() -> None:
    read = spans.read_all(["[]", " ", None, '{"spans": []}'], ["a", "b", "c", "d"])
    assert read.labels == ["[]", "", None, "[]"] and read.faults == [None] * 4


@pytest.mark.parametrize(
    ("scheme", "tags", "runs"),
    [
        ("IOB2", "B-X I-X B-X O B-Y", [(0, 2, "X"), (2, 3, "X"), (4, 5, "Y")]),
        ("IOB1", "I-X I-X B-X O I-Y", [(0, 2, "X"), (2, 3, "X"), (4, 5, "Y")]),
        ("BIOES", "B-X E-X S-X O S-Y", [(0, 2, "X"), (2, 3, "X"), (4, 5, "Y")]),
        ("BILOU", "B-X I-X L-X U-X O", [(0, 3, "X"), (3, 4, "X")]),
        ("a class with a hyphen", "B-work-of-art I-work-of-art O O O", [(0, 2, "work-of-art")]),
    ],
)
def test_schemes_of_tags(scheme: str, tags: str, runs: list[tuple[int, int, str]]) -> None:
    tokens = ["aa", "b", "cc", "d", "e"]
    starts = [0, 3, 5, 8, 10]
    wanted = [Given(starts[first], starts[after - 1] + len(tokens[after - 1]), name) for first, after, name in runs]
    assert bio.spans(tokens, tags.split()) == wanted, scheme


def test_tokens_lie_in_a_text_that_is_spaced_otherwise() -> None:
    given = bio.spans(["``", "Ada", "'s", SMILE, "!"], ["O", "B-X", "O", "B-X", "O"], f"``Ada's  {SMILE} !\n")
    assert [(span.start, span.end) for span in given] == [(2, 5), (9, 10)]
    with_blanks = bio.spans(["06 12", "", "Ada"], ["B-TEL", "O", "B-PER"])
    assert [(span.start, span.end) for span in with_blanks] == [(0, 5), (7, 10)]


def test_offsets_move_with_the_text_to_its_kept_form() -> None:
    """Of any text and any span the words are the same there, but for what is not kept."""
    chance = random.Random(0)
    for _ in range(400):
        text = "".join(chance.choices(PARTS, k=chance.randrange(1, 14)))
        kept, places = forms.canonical(text), forms.places(text)
        assert len(places) == len(text) + 1 and places == sorted(places) and places[-1] == len(kept)
        start, end = sorted(chance.sample(range(len(text) + 1), 2))
        found, fault, _ = one([{"start": start, "end": end, "label": "X", "text": text[start:end]}], text)
        if fault:
            assert fault == offsets.NOT_KEPT and not text[start:end].strip("\r\n\t \u2028")
        else:
            ((first, last, _name),) = spans.spans_of(str(found))
            between = forms.canonical(text[start:end] + "|")[:-1].rstrip("\r")
            assert kept[first:last].split() == between.split()
            assert 0 <= first < last <= len(kept)


def test_a_label_of_the_kept_text_stays_as_it_is() -> None:
    text = forms.canonical(f"a {SMILE} \r\n\r\n Ada  b\t\r\n")
    at = text.index("Ada")
    assert one([[at, at + 3, "PER"]], text)[0] == label([at, at + 3, "PER"])


def in_unit(text: str, place: int, unit: str) -> int:
    before = text[:place]
    return {"characters": place, "UTF-16 units": len(before.encode("utf-16-le")) // 2}.get(unit, len(before.encode()))


@pytest.mark.parametrize("unit", ["UTF-16 units", "UTF-8 bytes"])
def test_another_unit_is_recognised_and_said(unit: str) -> None:
    texts = [
        f"{SMILE} Ada in Köln {SMILE} today",
        f"with {FAMILY} Ada ran away",
        "Ada and no other sign",
        f"{SMILE * 3} Ada",
    ]
    cells = []
    for text, words in zip(texts, (True, False, False, False), strict=True):
        start = text.index("Ada")
        span: dict[str, object] = {"start": in_unit(text, start, unit), "end": in_unit(text, start + 3, unit)}
        cells.append(json.dumps([span | {"label": "PER"} | ({"text": "Ada"} if words else {})]))
    read = spans.read_all(cells, texts)
    assert read.faults == [None] * 4
    assert [
        text[start:end]
        for text, found in zip(texts, read.labels, strict=True)
        for start, end, _ in spans.spans_of(str(found))
    ] == ["Ada"] * 4
    assert len(read.remarks) == 1 and f"counted in {unit}" in read.remarks[0]


def test_a_unit_that_nobody_can_tell_is_refused() -> None:
    text = f"{SMILE} a b c d"
    both = [Given(2, 3, "X")], text  # one of the letters, whichever way it is counted
    shown = [Given(3, 4, "X", "a")], text
    assert counted([both]).units == [offsets.CHARACTERS]
    assert counted([shown, both]).units == [offsets.UTF16, offsets.UNSURE]
    by_the_way = [Given(0, len(text) + 1, "X")], text  # outside, and inside in UTF-16 and bytes alike
    assert counted([by_the_way]).units == [offsets.UNSURE]
    cut = [Given(4, 6, "X")], f"{SMILE} abc"
    assert counted([cut]).units == [offsets.CHARACTERS]  # where it is outside of the text, and refused


def test_characters_that_no_row_shows_are_said_to_be_assumed() -> None:
    """[3, 5] of it are the blank and "a" of " ab", or "ab" when counted in UTF-16 units."""
    text = f"{SMILE} ab cd"
    open_row = label([3, 5, "X"])
    plain = label([0, 2, "X"])
    read = spans.read_all([open_row, plain, "[]"], [text, "ab cd", text])
    assert read.labels == [open_row, plain, "[]"] and read.faults == [None] * 3
    assert len(read.remarks) == 1 and read.remarks[0].startswith("the spans of 1 label lie elsewhere")

    def with_words(start: int) -> str:
        return json.dumps([{"start": start, "end": start + 2, "label": "X", "text": "ab"}])

    for start, first in ((2, [3, 5, "X"]), (3, [2, 4, "X"])):  # as it is advised: the words show the unit
        read = spans.read_all([open_row, with_words(start)], [text, text])
        assert read.labels == [label(first), label([2, 4, "X"])]
        assert not any("lie elsewhere" in line for line in read.remarks)
    assert spans.read_all([open_row, label([2, 4, "X"])], [text, text]).remarks == []  # else it cuts a word


def test_what_was_marked_in_label_studio_refers_to_the_text() -> None:
    text = f"{SMILE}  Ada\nin Rome"
    made = spans.result('[[3, 6, "PER"], [3, 9, "X"]]', text)
    assert [each["value"]["text"] for each in made] == ["Ada", "Ada\nin"]
    made[1]["value"]["text"] = "Ada\\nin"  # how Label Studio writes the end of a line
    assert spans.parse(made, text) == '[[3, 6, "PER"], [3, 9, "X"]]'
    assert spans.parse(made, text.replace("Ada", "Eve")) is None
    assert spans.parse([], text) == "[]"
    for broken in (
        [None],
        ["x"],
        [{"value": None}],
        [{"type": "labels", "value": {"labels": ["X"]}}],
        [{"type": "choices"}],
    ):
        assert spans.parse(broken, text) is None
    far = [{"type": "labels", "value": {"start": 3, "end": 60, "labels": ["X"]}}]
    assert spans.parse(far, text) is None and spans.parse(far) is not None


def test_people_agree_on_each_span() -> None:
    labels = ['[[0, 3, "PER"], [4, 6, "LOC"]]', '[[0, 3, "PER"]]']
    questions = spans.questions(labels)
    assert len(questions) == 2
    for each in labels:
        assert spans.joined({question: spans.reply(each, question) for question in questions}) == each


def test_a_careless_answer_is_a_label_and_another_one() -> None:
    chance = random.Random(0)
    for truth in ("[]", '[[0, 1, "A"]]', '[[0, 5, "A"], [2, 4, "B"]]'):
        for _ in range(20):
            said = spans.wrong(truth, ["A", "B"], chance)
            assert said != truth and spans.read(said) == said
