"""Exports of other labelling tools, known by their shape: Label Studio (JSON, JSON-MIN), doccano, Prodigy. Each row
comes out flat, as if it had been a row of a table, its label under `label`."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from labelwise.tasks.errors import InputError
from labelwise.tasks.sources import marks
from labelwise.tasks.sources.opened import SEVERAL

LABEL = "label"
LISTS = ("label", "labels")  # doccano's
BOOKS = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"}  # what JSON-MIN adds
PRODIGY = ("accept", "reject", "ignore")
BESIDE_ANSWER = {"_task_hash", "_input_hash", "accept", "options"}  # of which Prodigy writes one at least
ONE = "one class an item"
TO_SPANS = "export text classification; for spans make the workspace with `labelwise init --answer spans`"
Taken = Callable[[Any, str], Any]  # a label as it was written, and where -> as it is taken


def flat(row: dict[str, Any], where: str, lists: bool = False, spans: bool = False) -> Iterator[dict[str, Any]]:
    """The row itself, or what it holds where another tool wrote it: several rows where several people answered
    differently. A label that is not given yet is None. lists: whether a label may be a list of names, and is one then.
    spans: whether it may be spans.

    InputError: several classes for one item where `lists` is not; spans where `spans` is not, or the other way round.
    """
    taken = class_list if lists else one
    if isinstance(row.get("data"), dict) and {"annotations", "predictions", "completions"} & row.keys():
        yield from _label_studio(row, where, taken, spans)
    elif row.get("answer") in PRODIGY and (BESIDE_ANSWER | ({"spans"} if spans else set())) & row.keys():
        yield _prodigy_spans(row) if spans else _prodigy(row, where, taken)
    elif (
        spans and "annotation_id" in row
    ):  # JSON-MIN: the label has its control's name, or is left out where it is empty
        yield {LABEL: next((value for value in row.values() if marks.is_marked(value)), []), **row}
    elif spans:
        yield row
    else:
        picked = {name for name, value in row.items() if name in LISTS or _is_choices(value)}
        plain = {name: taken(value, where) if name in picked else value for name, value in row.items()}
        rest = [name for name in row if name not in {"text", *BOOKS}]
        if "annotation_id" in row and "text" in row and len(rest) == 1:  # JSON-MIN: the label has its control's name
            single = lists and isinstance(plain[rest[0]], str)  # JSON-MIN writes one choice without its list
            plain[rest[0]] = [plain[rest[0]]] if single else plain[rest[0]]
            plain.setdefault(LABEL, plain[rest[0]])
        yield plain


def _is_choices(value: Any) -> bool:
    return isinstance(value, dict) and "choices" in value


def one(value: Any, where: str) -> Any:
    """The class in a list of classes, None in an empty one: doccano's `label`, and `choices` of JSON-MIN.

    >>> one(["spam"], "row 1"), one([], "row 1"), one({"choices": ["ham"]}, "row 1")
    ('spam', None, 'ham')
    """
    given = value.get("choices") if isinstance(value, dict) else value
    if not isinstance(given, list):
        return value
    if any(not isinstance(each, str) for each in given):
        raise InputError(f"{where}: spans instead of a class", expected=ONE, fix=TO_SPANS)
    if len(given) > 1:
        raise InputError(f"{where}: several classes", expected=ONE, got=", ".join(given[:5])[:80], fix=SEVERAL)
    return given[0] if given else None


def class_list(value: Any, _where: str) -> Any:
    """The list of classes, an empty one too; anyone who reads the label judges what is in it.

    >>> class_list(["a", "b"], "row 1"), class_list({"choices": ["a"]}, "row 1")
    (['a', 'b'], ['a'])
    >>> class_list([], "row 1"), class_list(None, "row 1")
    ([], None)
    """
    return value.get("choices") if isinstance(value, dict) else value


def _label_studio(row: dict[str, Any], where: str, taken: Taken, spans: bool) -> Iterator[dict[str, Any]]:
    answers: dict[str, dict[str, Any]] = {}
    for answer in row.get("annotations") or row.get("completions") or []:
        if not isinstance(answer, dict) or answer.get("was_cancelled") or answer.get("skipped"):
            continue
        said: dict[str, Any] = {}
        if spans:
            said[LABEL] = marks.of_result(answer.get("result") or [], where)
        for result in [] if spans else answer.get("result") or []:
            value = result.get("value") or {}
            if "choices" not in value:
                got = str(result.get("type", "no choice"))
                raise InputError(where, expected=ONE, got=got, fix="export a project of choices")
            said[str(result.get("from_name"))] = taken(value, where)
        answers[json.dumps(said, sort_keys=True)] = said
    for said in answers.values() or [{}]:
        first = next(iter(said.values()), None)
        yield {"id": row.get("id"), LABEL: first} | row["data"] | said


def _prodigy_spans(row: dict[str, Any]) -> dict[str, Any]:
    """The spans that were accepted; a text that was accepted without any has none."""
    return {**row, LABEL: (row.get("spans") or []) if row["answer"] == "accept" else None}


def _prodigy(row: dict[str, Any], where: str, taken: Taken) -> dict[str, Any]:
    """`accept` of a choice, or the one class that a yes or no was asked for."""
    yes = row["answer"] == "accept"
    given = taken(row["accept"], where) if "accept" in row else row.get(LABEL)
    if "spans" in row and not {"accept", LABEL} & row.keys():
        raise InputError(f"{where}: spans instead of a class", expected=ONE, fix=TO_SPANS)
    return {**row, LABEL: given if yes else None}
