"""The suites: what they refuse, asked of real Great Expectations."""

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.tasks.items import suites
from labelwise.tasks.kinds import text
from labelwise.tasks.records import LABELS
from labelwise.tasks.services import expectations

CLASSES = ["pos", "neg"]


def texts(*cells: str | None) -> pd.DataFrame:
    return pd.DataFrame({"text": list(cells), "source_id": [None] * len(cells)}, dtype=object)


def reasons(rows: pd.DataFrame, max_chars: int = 20) -> dict[int, str]:
    suite = suites.pool(max_chars, 0.2)
    found = expectations.refusals(suite, suites.measured(rows))
    return {position: refusal.reason for position, refusal in found.items()}


class TestPool:
    def test_each_reason_in_plain_words(self) -> None:
        rows = texts("fine", None, "", " \n\t ", " \u200b\ufeff", "caf\udce9", "a\0b", "x" * 21, "x" * 20, "\U0001f408")
        assert reasons(rows) == {
            1: "text is missing",
            2: "text is blank",
            3: "text is blank",
            4: "text is blank",
            5: "row is not UTF-8",
            6: "text has a NUL",
            7: "text has 21 characters, at most 20 allowed",
        }

    def test_five_million_characters(self) -> None:
        assert reasons(texts("x" * 5_242_880), 20_000) == {0: "text has 5242880 characters, at most 20000 allowed"}

    def test_an_id_that_does_not_decode(self) -> None:
        rows = texts("fine")
        rows["source_id"] = pd.Series(["\udce9"], dtype=object)
        assert reasons(rows) == {0: "row is not UTF-8"}

    def test_no_rows(self) -> None:
        assert reasons(texts()) == {}

    def test_positions_do_not_depend_on_the_index(self) -> None:
        rows = texts("fine", None)
        rows.index = pd.Index([7, 7])
        assert list(reasons(rows)) == [1]

    @settings(max_examples=30, deadline=None)
    @given(cells=st.lists(st.none() | st.text(st.characters(), max_size=6), max_size=8))
    def test_agrees_with_a_loop(self, cells: list[str | None]) -> None:
        """Surrogates, NUL, white space and emptiness in all mixtures: refused exactly when one of the rules says so."""

        def bad(cell: str | None) -> bool:
            shows = cell is not None and cell.strip().strip(text.INVISIBLE)
            surrogate = cell is not None and any("\ud800" <= character <= "\udfff" for character in cell)
            return not shows or surrogate or "\0" in (cell or "") or len(cell or "") > 4

        assert list(reasons(texts(*cells), 4)) == [position for position, cell in enumerate(cells) if bad(cell)]

    def test_the_table_rules(self) -> None:
        suite = suites.pool(20, 0.2)
        frame = suites.measured(texts(*["x"] * 10))
        at_limit = suites.with_decisions(frame, range(2), [])
        assert expectations.checked(suite, at_limit).broken == []
        above = suites.with_decisions(frame, range(3), [])
        assert expectations.checked(suite, above).broken == ["more than 20% of the rows are refused"]
        none_used = suites.with_decisions(frame, [], range(10))
        assert expectations.checked(suite, none_used).broken == ["no row is left"]


def test_gold_wants_a_label_from_the_classes() -> None:
    rows = texts("a", "b", "c", "d", None)
    rows["label"] = pd.Series(["pos", None, "  ", "positive", "positive"], dtype=object)
    found = expectations.refusals(suites.gold(20, 1, CLASSES), suites.measured(rows, CLASSES))
    assert {position: refusal.rule for position, refusal in found.items()} == {
        1: "label is missing",
        2: "label is missing",
        3: suites.OUTSIDE,
        4: "text is missing",
    }


class TestLabels:
    @staticmethod
    def rows(*changes: dict[str, object]) -> pd.DataFrame:
        """A ledger row for each of the changes to a good one."""
        good = {"id": "a", "label": "pos", "status": "labelled", "round": 1, "annotation_id": None}
        rest = {"propensity": None, "task_id": None, "lead_time_s": None}
        blank = dict.fromkeys(LABELS.columns) | rest
        return LABELS.conform(pd.DataFrame([blank | good | change for change in changes]))

    def found(self, *changes: dict[str, object]) -> dict[int, str]:
        checked = suites.check_labels(self.rows(*changes), CLASSES, {"a", "b"})
        assert '"suite_name": "ledger"' in checked.page.result
        return {position: refusal.reason for position, refusal in checked.refusals.items()}

    def test_good_rows(self) -> None:
        others = {"label": None, "annotation_id": 3}
        assert (
            self.found({}, {"annotation_id": 1}, {"id": "b", "annotation_id": 2}, others | {"status": "skipped"}) == {}
        )
        assert self.found({"status": "unanswered", "label": None}) == {}
        assert self.found(others | {"status": "refused"}) == {}

    def test_each_reason(self) -> None:
        assert self.found(
            {"id": "c"},
            {"status": "done"},
            {"round": -1},
            {"label": "positive"},
            {"label": None},
            {"status": "skipped"},
            {"annotation_id": 12},
            {"annotation_id": 12},
        ) == {
            0: "id was never asked",
            1: "status is none of " + ", ".join(suites.STATUSES),
            2: "round is below 0",
            3: "label is outside the classes",
            4: "label is outside the classes",
            5: "label without being labelled",
            6: "annotation 12 is there more than once",
            7: "annotation 12 is there more than once",
        }

    def test_no_rows(self) -> None:
        assert suites.check_labels(LABELS.frame(), CLASSES, set()).refusals == {}
