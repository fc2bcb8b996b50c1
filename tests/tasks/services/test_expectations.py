"""Real Great Expectations, and the Data Docs it makes."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from labelwise.tasks.items import suites
from labelwise.tasks.services import expectations

CLASSES = ["pos", "neg", "<script>alert(1)</script>", "$price"]


def texts(*cells: str | None) -> pd.DataFrame:
    return pd.DataFrame({"text": list(cells), "source_id": [None] * len(cells)}, dtype=object)


class TestDocs:
    HOSTILE = "<img src=x onerror=alert(2)>"

    def pages(self) -> list[expectations.Page]:
        rows = texts(self.HOSTILE, f"{self.HOSTILE} once more and much too long", None)
        rows["label"] = pd.Series([self.HOSTILE, "pos", "pos"], dtype=object)
        rows["source_id"] = pd.Series([self.HOSTILE] * 3, dtype=object)
        made = []
        for suite, classes in ((suites.pool(30, 1), None), (suites.gold(30, 1, CLASSES), CLASSES)):
            frame = suites.measured(rows, classes)
            made.append(expectations.checked(suite, suites.with_decisions(frame, [], [])).page)
        return made

    @staticmethod
    def everything(folder: Path) -> str:
        return "".join(path.read_text() for path in sorted(folder.rglob("*")) if path.suffix in (".html", ".json"))

    def test_they_carry_no_text_and_no_markup(self, tmp_path: Path) -> None:
        index = expectations.build_docs(tmp_path / "docs", self.pages())
        assert index == tmp_path / "docs" / "index.html"
        assert index.is_file()
        everything = self.everything(tmp_path / "docs")
        assert "onerror" not in everything
        html = "".join(path.read_text() for path in tmp_path.rglob("*.html"))
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
        assert "<script>alert(1)" not in html
        assert "$price" in html
        assert "text: characters" in html
        assert str(tmp_path) not in everything

    def test_they_fetch_nothing_and_run_nothing(self, tmp_path: Path) -> None:
        index = expectations.build_docs(tmp_path / "docs", self.pages())
        pages = sorted(index.parent.rglob("*.html"))
        assert len(pages) == 5  # the first one, and of either suite what is expected and what was found
        for path in pages:
            html = path.read_text()
            assert not re.search(r"""(src|href|data-href|url)\s*[=(]\s*["']?\s*(https?:)?//""", html, re.IGNORECASE)
            assert not re.search(r"<(script|link|img|iframe)\b|@import|\bon\w+=", html, re.IGNORECASE)
            assert "<style>:root" in html
            for link in re.findall(r'href="([^"#]+)', html):
                assert (path.parent / link).resolve() in pages, link
        assert index.read_text().count("fa-times") == 2 + 1  # either suite fails; the styles name it once

    def test_other_suites_keep_their_page(self, tmp_path: Path) -> None:
        pool, gold = self.pages()
        expectations.build_docs(tmp_path / "docs", [pool])
        expectations.build_docs(tmp_path / "docs", [gold])
        index = expectations.build_docs(tmp_path / "docs", [pool])
        shown = sorted(path.relative_to(index.parent).parts[1] for path in index.parent.glob("validations/**/*.html"))
        assert shown == ["gold", "pool"]
        assert [path.name for path in tmp_path.iterdir()] == ["docs"]


def test_nothing_is_imported_before_the_first_check() -> None:
    code = "import sys, labelwise.tasks.pull; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_a_rule_that_cannot_be_evaluated_is_no_pass() -> None:
    suite = expectations.Suite("broken", [expectations.Rule("none is there", "none", expectations.PRESENT)])
    with pytest.raises(RuntimeError, match="could not be evaluated"):
        expectations.refusals(suite, pd.DataFrame({"text": ["x"]}))
