"""CSV and TSV: rows of text taken apart with certainty, or refused at their line."""

import csv
import io
import itertools
import re
import sys
from collections.abc import Iterator
from typing import IO

from labelwise.tasks.errors import InputError
from labelwise.tasks.sources.opened import MAX_CELL, Opened, Record, place

SEPARATORS = (",", ";", "\t", "|")
SEP_LINE = re.compile(r"sep=(.)\s*")  # what Excel writes and reads where lists are not separated by commas
WHOLE = 'put quotes around each text that holds a quote and write that as "", or save as JSONL'


def records(file: Opened, usual: str) -> Iterator[Record]:
    """The asked cells of each row. By the csv module: pandas drops the end of a row with a field too many without a
    word. usual: the separator that the name of the file promises; another one counts where the header speaks for it."""
    csv.field_size_limit(min(MAX_CELL, sys.maxsize))
    with file.open() as handle:
        lines = _lines(_text(handle, file), file.name)
        first, skipped = next(_begun(lines), ("", 0))
    separator, header = _header(first, usual, file)
    picks = [place(column, header, file) for column in file.columns]
    quoted = not _plain(file, separator, len(header), skipped)
    for number, row in _rows(file, separator, quoted, skipped):
        if len(row) == len(header):
            _refuse_second_header(row, header, f"{file.name} line {number}")
            yield tuple([None if pick is None else row[pick] for pick in picks])
        elif len(row) > 1 or "".join(row).strip():  # else a blank line
            raise InputError(
                f"{file.name} line {number}",
                expected=f"{len(header)} fields as in the header",
                got=str(len(row)),
                fix="put quotes around texts that hold separators or line breaks",
            )


def titles(file: Opened, usual: str) -> list[str]:
    """The names of all columns, by the separator that gives the most."""
    with file.open() as handle:
        first, _ = next(_begun(_lines(_text(handle, file), file.name)), ("", 0))
    if SEP_LINE.fullmatch(first.partition("\n")[0].strip("\r")):
        return _header(first, usual, file)[1]
    apart = [next(csv.reader([first], delimiter=each), []) for each in dict.fromkeys([usual, *SEPARATORS])]
    return max(apart, key=len)


def _header(line: str, usual: str, file: Opened) -> tuple[str, list[str]]:
    """The separator, and the header taken apart by it: the first under which all asked columns are there."""
    if said := SEP_LINE.fullmatch(line.partition("\n")[0].strip("\r")):
        return said[1], next(csv.reader([line.partition("\n")[2]], delimiter=said[1]), [])
    asked = {column for column in file.columns if column not in file.optional}
    for separator in dict.fromkeys([usual, *SEPARATORS]):
        header = next(csv.reader([line], delimiter=separator), [])
        if asked <= set(header):
            return separator, header
    return usual, next(csv.reader([line], delimiter=usual), [])


def _begun(lines: Iterator[str]) -> Iterator[tuple[str, int]]:
    """The header's line, with the line `sep=;` before it where there is one, and how many lines that makes."""
    said = ""
    for number, line in enumerate(lines, start=1):
        if SEP_LINE.fullmatch(line) and not said:
            said = line.strip("\r\n") + "\n"
        elif line.strip():
            yield said + line, number
            return


def _rows(file: Opened, separator: str, quoted: bool, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """The rows below the header, each with the number of its last line."""
    with file.open() as handle:
        lines = _lines(_text(handle, file), file.name)
        for _ in range(skipped):
            next(lines)
        if not quoted:
            for number, line in enumerate(lines, start=skipped + 1):
                if line.strip():
                    yield number, line.rstrip("\r\n").split(separator)
            return
        reader = csv.reader(lines, delimiter=separator, strict=True)
        try:
            for row in reader:
                yield reader.line_num + skipped, row
        except csv.Error as error:
            where = f"{file.name} line {reader.line_num + skipped} cannot be taken apart"
            raise InputError(where, got=str(error), fix=WHOLE) from None


def _plain(file: Opened, separator: str, fields: int, skipped: int) -> bool:
    """Whether quotes are text like any other, as in a TSV that was written without quoting: there a quote that begins a
    text would swallow the line's end and the next row, unseen.

    The two readings are compared where every line by itself has the fields of the header. Where they give as many rows
    there is no question. With several columns the lines are right, in a TSV: a quoted text over lines that all hold as
    many separators as the header is nobody's. With one column, a quote within a text that does not begin with one tells
    (who quotes would have quoted that, too). InputError with the line where nothing tells.
    """
    between = re.escape(separator)
    begins, within = re.compile(rf'(?:^|{between})"'), re.compile(rf'[^{between}]"[^{between}\r\n]')
    inner = doubled = False
    alone = begun = 0  # rows, a line each; those of them that begin a text with a quote
    with file.open() as handle:
        for line in itertools.islice(_lines(_text(handle, file), file.name), skipped, None):
            if not line.strip():
                continue
            alone += 1
            if line.count(separator) != fields - 1:
                return False
            if '"' in line:
                own = bool(begins.search(line))
                begun += own
                inner = inner or (not own and bool(within.search(line)))
                doubled = doubled or (own and '""' in line)
    if not begun:
        return False
    tabs = separator == "\t"  # which are often written without quoting; commas are not
    together, apart = 0, 0
    try:
        last = skipped
        for number, row in _rows(file, separator, True, skipped):
            if "".join(row).strip():
                together += 1
                apart = apart or (last + 1 if number > last + 1 and "\n" in "".join(row).strip() else 0)
            last = number
    except InputError:
        if tabs:
            return True
        raise
    unquoted = inner and not doubled
    if together == alone or (fields == 1 and not unquoted and (not tabs or doubled or begun >= together)):
        return False
    if tabs and (fields > 1 or unquoted):
        return True
    raise InputError(
        f"{file.name} line {apart or skipped + 1} cannot be taken apart with certainty",
        got="a quote that begins a text and is closed on a later line: one row, or several?",
        fix=WHOLE,
    )


def _refuse_second_header(row: list[str], header: list[str], where: str) -> None:
    """InputError where two exports were written after one another."""
    bare, titles = ([cell.strip('\ufeff" ').casefold() for cell in cells] for cells in (row, header))
    if bare == titles or (len(header) > 1 and sorted(bare) == sorted(titles)):
        fix = (
            "take that line out, or give the files as a folder; if it is a row, give the column another name in line 1"
        )
        raise InputError(f"{where} is the header once more: two exports were joined", fix=fix)


def _text(handle: IO[bytes], file: Opened) -> io.TextIOWrapper:
    return io.TextIOWrapper(handle, encoding=file.encoding, errors=file.errors, newline="")


def _lines(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    """The lines of a text. InputError where one is so long that it is none."""
    for number in itertools.count(1):
        line = text.readline(MAX_CELL)
        if len(line) == MAX_CELL:
            raise InputError(f"{name} line {number} is too long", expected=f"less than {MAX_CELL:,} characters")
        if not line:
            return
        yield line
