"""Labels as people use them elsewhere, a file a format. A writer is given frames of items with their labels and what is
known of these, and makes one file or folder of them, in parts: it holds no more than a frame."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from labelwise.tasks.errors import InputError
from labelwise.tasks.exports import conll, files, hugging_face, label_studio
from labelwise.tasks.exports.place import replacing
from labelwise.tasks.exports.table import About, table_of, with_files
from labelwise.tasks.kinds import values

Writer = Callable[[Path, Iterable[pd.DataFrame], About], list[str]]


@dataclass(frozen=True)
class Format:
    """ending: of the file's name, '' for a folder. write: see `Writer`; it gives what is to be said of it, a line each.
    beside: whether pictures go into a folder beside the file. spans: whether it holds nothing but marked texts."""

    ending: str
    write: Writer
    beside: bool = False
    spans: bool = False


def _flat(form: files.Form) -> Writer:
    def written(path: Path, frames: Iterable[pd.DataFrame], about: About) -> list[str]:
        table = table_of(frames, about)
        if about.pictures and values.PICTURE in table.columns.values():
            table = with_files(table, *about.pictures)
        files.put(form, path, table)
        return []

    return written


FORMATS = {
    "csv": Format(".csv", _flat(files.csv), beside=True),
    "jsonl": Format(".jsonl", _flat(files.jsonl), beside=True),
    "parquet": Format(".parquet", _flat(files.parquet)),
    "conll": Format(".conll", conll.write, spans=True),
    "label-studio": Format(".json", label_studio.write),
    "hugging-face": Format("", hugging_face.write),
}


def format_of(place: Path, named: str, about: About) -> str:
    """The name of the format: the one that is named, else that of the ending. InputError for another one, and for one
    that cannot hold such labels."""
    endings = {each.ending: name for name, each in FORMATS.items()}
    found = named or endings.get(place.suffix.lower(), "")
    if found not in FORMATS:
        known = ", ".join(f"{ending or 'no ending'} ({name})" for ending, name in endings.items())
        got = repr(named or place.name)
        raise InputError("the format of an export", expected=known, got=got, fix="name one by --format")
    if FORMATS[found].spans and not about.answer.PLACES:
        others = ", ".join(name for name, each in FORMATS.items() if not each.spans)
        got = f"labels of the kind {about.answer.NAME}"
        raise InputError(f"{found} holds marked texts alone", expected="spans", got=got, fix=f"take one of {others}")
    return found


def write(place: Path, named: str, frames: Iterable[pd.DataFrame], about: About, force: bool = False) -> list[str]:
    """Write the frames to `place` whole, or nothing of them. named: one of FORMATS. force: whether to replace what is
    no earlier export and unchanged since. Gives what is to be said of it, a line each.

    InputError: something of another's is there.
    """
    form = FORMATS[named]
    beside = form.beside and values.PICTURE in about.item.value_types(about.settings.pull.columns).values()
    folder = place.with_name(f"{place.stem}_{about.item.NAME}s")
    with replacing([folder, place] if beside else [place], about.root, force) as scratches:
        about = about.with_pictures(scratches[0], folder.name) if beside else about
        return form.write(scratches[-1], frames, about)
