"""What Label Studio exports: the shape of a task with its annotations, as much of it as the loop rests on."""

import json
from typing import Annotated, Any

import pandas as pd
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError

from labelwise.tasks.errors import ServiceError

MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"  # the one form of a date and time that the filters take


def _moment(text: str) -> str:
    """The text, where it is a date with a time and a zone; ValueError otherwise."""
    in_utc(text)
    return text


Moment = Annotated[
    str,
    Field(pattern=r"^\d{4}-\d\d-\d\d[T ][0-9:.]+(Z|[+-][0-9:]+)$", max_length=40),
    AfterValidator(_moment),
]


class _Reviewer(BaseModel):
    id: int


class _Annotation(BaseModel):
    id: Annotated[int, Field(ge=0, lt=2**63)]
    result: list[Any]
    was_cancelled: bool | None
    completed_by: int | _Reviewer | None
    lead_time: Annotated[float, Field(allow_inf_nan=False)] | None
    created_at: Moment
    updated_at: Moment | None = None
    import_id: Annotated[int, Field(ge=0, lt=2**63)] | None = None


class _Annotated(BaseModel):
    """A task as it is exported: as much of it as the loop rests on."""

    id: Annotated[int, Field(ge=0, lt=2**63)]
    data: dict[str, Any]
    annotations: list[_Annotation]


def annotated(exported: bytes, url: str) -> list[dict[str, Any]]:
    """The tasks in an export. ServiceError when it is none, or not of the shape that we know."""
    try:
        tasks: list[dict[str, Any]] = json.loads(exported)
        TypeAdapter(list[_Annotated]).validate_python(tasks, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        got = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise ServiceError(f"Label Studio at {url} exports tasks of another shape", got=got[:160]) from None
    except (ValueError, RecursionError) as error:
        raise ServiceError(f"Label Studio at {url} exports no JSON", got=str(error)[:160]) from None
    return tasks


ROUND_OF_ESCALATED = 0  # of items that no round asked for: the model at work gave them to people


def ask_of(data: dict[str, Any]) -> tuple[str, int]:
    """The item and the round that a task's data names; ('', 0) where somebody else made the task.

    >>> ask_of({"item": "2cf24dba5fb0a30e", "round": 3}), ask_of({"text": "anything"})
    (('2cf24dba5fb0a30e', 3), ('', 0))
    """
    item, number = data.get("item"), data.get("round")
    first = ROUND_OF_ESCALATED
    return (item, number) if isinstance(item, str) and isinstance(number, int) and first <= number < 2**31 else ("", 0)


def in_utc(moment: Any) -> str:
    """A moment as the ledger keeps it, so that text sorts as time does.

    >>> in_utc("2026-11-25T10:00:00+02:00")
    '2026-11-25T08:00:00.000000Z'
    """
    return pd.Timestamp(moment).tz_convert("UTC").strftime(MOMENT)
