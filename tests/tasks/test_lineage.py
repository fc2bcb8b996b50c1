"""When an item came, which rounds learned from it, and that its words cannot harm a terminal."""

from dataclasses import replace

from tasks import lineage
from tasks.lineage import Answer, Entry, Lineage
from tasks.services.history import Commit
from tasks.terminal import plain
from tests.tasks.labels.rows import labelled, rows

LIFE = Lineage(
    "i", "text", ["in the pool"], Entry("pool/shard-0001.parquet", "c" * 40, "2026", "round 0"), None, [], {}
)


def test_an_item_is_learned_from_the_round_in_which_its_label_came_in() -> None:
    life = rows({"id": "a", "status": "unanswered", "task_id": 1}, labelled("a", "x", 1)).assign(shard=[1, 3])
    assert lineage.learned(life, range(5)) == [3, 4]
    assert lineage.learned(life, range(5), leaks=["a"]) == []
    assert lineage.learned(life[:1], range(5)) == lineage.learned(life[:0], range(5)) == []


def test_the_commit_that_brought_a_shard() -> None:
    commits = [(Commit("first", "2026", "round 0: asks 5"), 1), (Commit("second", "2027", "round 4"), 3)]
    assert lineage.entry(1, "s", commits) == Entry("s", "first", "2026", "round 0: asks 5")
    assert [found.commit for n in (2, 3) if (found := lineage.entry(n, "s", commits))] == ["second", "second"]
    assert lineage.entry(4, "s", commits) is None


def test_the_rows_tell_who_answered_what_and_what_counts() -> None:
    first = Answer(1, "control", 0.25, "labelled", "x", "7", "2026-01-01", 1, 1)
    answers = [
        first,
        replace(first, label="y", annotation=2, counts=True),
        Answer(3, "uncertain", None, "unanswered", *[None] * 5),
    ]
    said = lineage.lines(replace(LIFE, rows=answers, learned={"round-0001": "4"}, open_in=4))
    assert "  asked       round 1: control with probability 0.2500, task 1" in said
    assert "  answered    2026-01-01: 'x' by reviewer 7 (superseded)" in said
    assert "  answered    2026-01-01: 'y' by reviewer 7 (counts)" in said
    assert "  answered    unanswered" in said
    assert "  learned by  the model of round-0001, version 4" in said


def test_a_text_is_shortened_and_can_do_nothing_to_a_terminal() -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\n" + "x" * 500
    said = "\n".join(lineage.lines(replace(LIFE, text=hostile)))
    assert "\x1b" not in said and "\x07" not in said and "\u202e" not in said
    assert "x" * 300 not in said and "\\x1b" in said
    assert "\x1b" not in replace(LIFE, text=hostile).json()
    assert plain("größe 猫") == "größe 猫"
