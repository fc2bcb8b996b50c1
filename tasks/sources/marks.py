"""Spans and tokens in rows of files: what other tools call them, tokens joined to a text, tags beside their tokens.

A label goes on as JSON, for whoever reads labels to judge: spans as they were written, or an object of `tokens` and
`tags`. A text that is a list of tokens is those with single spaces between them.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from labelwise.tasks.errors import InputError

# Columns that stand for `text` and `label` where a file has none of that name.
TEXTS = ("tokens", "words")
LABELS = ("spans", "entities", "labels", "tags", "ner_tags")
OTHER_NAMES = {"text": TEXTS, "label": LABELS}
# Types of Label Studio's results that mark something else than a text.
KIND = "labels"
BESIDE = ("relation", "choices", "textarea", "rating", "taxonomy", "number", "datetime")  # answers to something else


def called(row: dict[str, Any], columns: Sequence[str], label: str | None) -> dict[str, Any]:
    """The row with `text` and `label` under these names, and tags with their tokens; without a token the text is
    empty. columns: those that are asked.

    >>> called({"tokens": ["in", "Rome"], "tags": ["O", "B-LOC"]}, ["text", "label"], "label")["label"]
    {'tokens': ['in', 'Rome'], 'tags': ['O', 'B-LOC']}
    """
    found = dict(row)
    for name, others in OTHER_NAMES.items():
        if name not in found and (other := next((each for each in others if each in found), None)):
            found[name] = found[other]
    given = [found.get(name) for name in (*columns, *TEXTS) if name != label]
    tokens = next((value for value in given if is_tokens(value)), None)
    if label and tokens is not None and is_tokens(found.get(label)):
        found[label] = {"tokens": tokens, "tags": found[label]}
    asked = {name for name in columns if name != label}
    return {
        name: joined(value) if name != label and (is_tokens(value) or (value == [] and name in asked)) else value
        for name, value in found.items()
    }


def of_pair(row: Any) -> Any:
    """A pair of a text and what is marked in it, as spaCy's training data had it, as an object; another row as it is.

    >>> of_pair(["in Rome", {"entities": [[3, 7, "LOC"]]}])
    {'text': 'in Rome', 'entities': [[3, 7, 'LOC']]}
    """
    pair = isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], dict)
    return {"text": row[0], **row[1]} if pair else row


def is_tokens(value: Any) -> bool:
    """Whether it is a list of texts, one at least."""
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)


def is_marked(value: Any) -> bool:
    """Whether it is spans as Label Studio has them."""
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) and KIND in each for each in value)


def joined(tokens: list[str]) -> str:
    """The text of tokens."""
    return " ".join(tokens)


def tokens_beside(header: list[str], picks: list[str | None]) -> list[str]:
    """The column of tokens that tags may belong to where the text is another one."""
    return [name for name in TEXTS if name in header and name not in picks][:1]


def with_names(value: Any, feature: Any) -> Any:
    """A value with the names of classes for their numbers. feature: what a dataset of the Hugging Face hub says of it.

    >>> with_names([0, 1], {"feature": {"names": ["O", "B-PER"], "_type": "ClassLabel"}, "_type": "Sequence"})
    ['O', 'B-PER']
    """
    if isinstance(value, list):
        inner = feature[0] if isinstance(feature, list) and feature else feature
        inner = inner.get("feature", inner) if isinstance(inner, dict) else inner
        return [with_names(each, inner) for each in value]
    if isinstance(value, dict):
        inner = feature.get("feature", feature) if isinstance(feature, dict) else None
        return {
            key: with_names(each, inner.get(key) if isinstance(inner, dict) else None) for key, each in value.items()
        }
    names = feature.get("names") if isinstance(feature, dict) else None
    if isinstance(value, int) and isinstance(names, list):
        return str(names[value]) if 0 <= value < len(names) else None
    return value


def as_json(value: Any) -> str:
    """A label for whoever reads it; of numbers that JSON has not, their digits."""
    return json.dumps(value, ensure_ascii=False, default=str)


def of_result(result: list[Any], where: str) -> list[Any]:
    """The spans in a result of Label Studio's. InputError where it marks something else than a text."""
    spans = []
    for part in result:
        value = part.get("value") if isinstance(part, dict) else None
        kind = str(part.get("type", "")) if isinstance(part, dict) else ""
        if isinstance(value, dict) and kind in ("", KIND) and KIND in value:
            spans.append({key: value[key] for key in ("start", "end", "text", KIND) if key in value})
        elif kind not in BESIDE:
            fix = "export a project of <Labels> over <Text>"
            raise InputError(where, expected="spans of a text", got=kind or "no spans", fix=fix)
    return spans


def of_conll(lines: Iterator[tuple[int, str]], name: str, tagged: bool) -> Iterator[tuple[list[str], list[str]]]:
    """The sentences of a file with a token a line, its tag last, and blank lines between them: tokens and tags. tagged:
    whether there must be tags. InputError with the number of the line where there is none."""
    sentence: list[list[str]] = []
    for number, line in lines:
        parts = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
        parts = parts if any(parts) else []
        if not parts:
            if sentence:
                yield _taken(sentence)
            sentence = []
        elif not _aside(parts, first=not sentence):
            if tagged and len(parts) < 2:
                got = ascii(line.strip()[:40])
                raise InputError(f"{name} line {number}", expected="a token and its tag", got=got)
            sentence.append(parts)
    if sentence:
        yield _taken(sentence)


def _taken(sentence: list[list[str]]) -> tuple[list[str], list[str]]:
    """Tokens and tags of the lines of a sentence. A first column that counts the tokens is none of the two."""
    counts = all(len(parts) > 2 and parts[0] == str(at) for at, parts in enumerate(sentence, start=1))
    return [parts[1 if counts else 0] for parts in sentence], [parts[-1] for parts in sentence]


def _aside(parts: list[str], first: bool) -> bool:
    """Whether a line is none of a sentence: a document's begin, a comment before a sentence."""
    tag = parts[-1]
    return parts[0] == "-DOCSTART-" or (
        first and parts[0].startswith("#") and tag != "O" and tag[1:2] not in ("-", "_")
    )
