"""Marking: annotated texts from a file to Label Studio and back, and from its exports into a file's rows again, with
whatever moves characters in their way. Not one may be off.

python -m tests.bench.marking [TEXTS]
"""

import json
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labelwise.tasks import sources
from labelwise.tasks.kinds import forms, interface, offsets, spans, text
from labelwise.tasks.kinds.cells import Cells
from labelwise.tasks.labels import annotations
from labelwise.tasks.services.label_studio.project import LabelStudioProject
from tests.bench.figures import servers

TEXTS, SEED, PART = 10_000, 0, 1000
CLASSES = ["person", "place", "a class & <b>more</b>"]
WORDS = ("Ada", "Łódź", "Ünal", "naïve", "e\u0301cole", "نيويورك", "שלום", "東京", "Bob's", "<b>", "&amp;", "x", "it’s")
SIGNS = (
    "\U0001f600",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "\U0001f1e9\U0001f1ea",
    "\u200b",
    "\ufeff",
)
BETWEEN = (" ", " ", " ", "  ", "   ", "\t", "\n", "\r\n", " \r\n", "\r\n\r\n", "\u00a0", " \u2028", "\u200f ", "\r")


@dataclass(frozen=True)
class Annotated:
    """A text as it came, and what is marked in it: start, end (in characters) and class."""

    text: str
    marks: list[tuple[int, int, str]]

    def row(self, unit: str) -> str:
        """A line of a file, with starts and ends counted in that unit."""
        given = [
            {"start": self._in(unit, start), "end": self._in(unit, end), "label": name, "text": self.text[start:end]}
            for start, end, name in self.marks
        ]
        return json.dumps({"text": self.text, "label": given}, ensure_ascii=False)

    def _in(self, unit: str, place: int) -> int:
        before = self.text[:place]
        if unit == offsets.CHARACTERS:
            return place
        return len(before.encode("utf-16-le")) // 2 if unit == offsets.UTF16 else len(before.encode())


@dataclass
class Off:
    """What came back otherwise than it went, by where it was seen."""

    texts: int = 0
    marks: int = 0
    found: list[str] = field(default_factory=list)

    def see(self, where: str, there: object, wanted: object) -> None:
        if there != wanted:
            self.found.append(f"{where}: {there!r}, not {wanted!r}")


def made(count: int, seed: int = SEED) -> Iterator[Annotated]:
    """Texts of words, signs and white space of all sorts, each with up to four marks on whole words, which may lie in
    each other."""
    chance = random.Random(seed)
    for number in range(count):
        words = [chance.choice(SIGNS if chance.random() < 0.3 else WORDS) for _ in range(chance.randrange(3, 14))]
        whole, places = f"{number}", list[tuple[int, int]]()
        for word in words:
            whole += chance.choice(BETWEEN)
            places.append((len(whole), len(whole) + len(word)))
            whole += word
        whole += chance.choice(("", " ", "\r\n"))
        visible = [at for at, word in enumerate(words) if not word.isspace() and word not in ("\u200b", "\ufeff")]
        marks = set[tuple[int, int]]()
        for _ in range(chance.randrange(5) if visible else 0):
            first, last = sorted(chance.choices(visible, k=2))
            marks.add((places[first][0], places[min(last, first + 3) if min(last, first + 3) in visible else first][1]))
        yield Annotated(whole, [(start, end, chance.choice(CLASSES)) for start, end in sorted(marks)])


def round_trip(project: LabelStudioProject, folder: Path, count: int) -> Off:
    """Files, pool, Label Studio, its exports, files. The project must be new."""
    off = Off()
    wanted = read_back(off, folder, list(made(count)))
    project.create(interface.interface(text, spans, CLASSES))
    tasks = [
        {
            "data": {**text.task(kept), "item": text.identify(kept), "round": 1, "suggestion": ""},
            "annotations": [{"result": spans.result(label, kept)}],
        }
        for kept, label in wanted.items()
    ]
    for start in range(0, len(tasks), PART):
        project.add(tasks[start : start + PART])
    exported = project.everything()
    off.see("tasks in Label Studio", len(exported), len(wanted))
    by_item = {text.identify(kept): (kept, label) for kept, label in wanted.items()}
    for task in exported:
        kept, label = by_item[task["data"]["item"]]
        off.see("text in Label Studio", task["data"]["text"], kept)
        off.see("label in Label Studio", annotations.said(task["annotations"][0], spans, kept)["label"], label)
    for kind, ending in (("JSON", "json"), ("JSON_MIN", "json")):
        again = folder / f"{kind}.{ending}"
        again.write_bytes(b"".join(project.client.projects.exports.download_sync(project.number, export_type=kind)))
        off.see(f"export {kind}", dict(rows_of(off, again)), wanted)
    return off


def read_back(off: Off, folder: Path, given: list[Annotated]) -> dict[str, str]:
    """Labels by the text as it is kept, from a file in characters, one in UTF-16 units and one in bytes."""
    found: dict[str, str] = {}
    for part, unit in enumerate((offsets.CHARACTERS, *offsets.OTHERS)):
        own = given[part::3]
        path = folder / f"{part}.jsonl"
        path.write_text("\n".join(each.row(unit) for each in own) + "\n", encoding="utf-8")
        for each, (kept, label) in zip(own, rows_of(off, path), strict=True):
            marked = [(kept[start:end], name) for start, end, name in spans.spans_of(label)]
            there = [(forms.canonical(each.text[start:end]), name) for start, end, name in each.marks]
            off.see("words", sorted(marked), sorted(there))
            off.texts, off.marks = off.texts + 1, off.marks + len(marked)
            found[kept] = label
    return found


def rows_of(off: Off, path: Path) -> Iterator[tuple[str, str]]:
    """Texts as they are kept and labels of a file."""
    for chunk in sources.chunks(str(path), ["text", "label"], cells=Cells("label", lists=True, spans=True)):
        read = spans.read_all(chunk["label"].tolist(), chunk["text"].tolist())
        for cell, label, fault in zip(chunk["text"], read.labels, read.faults, strict=True):
            off.see(f"fault in {path.name} of {cell!r}", fault, None)
            yield text.tidy(cell), str(label)


def main(count: int) -> None:
    """Run it, and print what came of it."""
    with servers(), tempfile.TemporaryDirectory(prefix="labelwise-bench-") as scratch:
        project: Any = LabelStudioProject("round trip of marks", f"{random.randrange(16**8):08x}")
        try:
            off = round_trip(project, Path(scratch), count)
        finally:
            project.client.projects.delete(project.number)
    print(
        f"{off.texts:,} texts with {off.marks:,} marks: {len(off.found):,} came back otherwise",
        *off.found[:20],
        sep="\n",
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else TEXTS)
