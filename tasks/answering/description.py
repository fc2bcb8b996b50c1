"""What callers may ask, as OpenAPI 3.1 has it."""

from typing import Any

from labelwise.tasks.kinds.values import LABEL, LABELS, MARKS
from labelwise.tasks.learners.serving import Classifier

TYPES: dict[str, dict[str, Any]] = {
    LABEL: {"type": "string"},
    LABELS: {"type": "array", "items": {"type": "string"}},
    MARKS: {"type": "array", "items": {"type": "object"}},
}
ERROR = {"type": "object", "properties": {"error": {"type": "string"}}}


def described(model: Classifier, with_token: bool) -> dict[str, Any]:
    """The description of the service that has this model. with_token: whether callers must send one."""
    item: dict[str, Any] = {"type": "object"} if model.item.NAME == "row" else {"type": "string"}
    if model.item.NAME == "image":
        item["contentEncoding"] = "base64"
    label = TYPES[model.answer.VALUE]
    answer = {
        "label": label,
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "answered": {"type": "boolean", "description": "whether the label may be used: the promise is about these"},
        "reason": {"type": ["string", "null"], "description": "why people are asked"},
        "ticket": {"type": ["string", "null"], "description": "where the answer of people will be"},
    }
    ticket = {
        "ticket": {"type": "string"},
        "item": {"type": "string"},
        "state": {"enum": ["open", "answered", "skipped"]},
        "reason": {"type": ["string", "null"]},
        "label": label | {"description": "what people said; null before"},
        "suggested": label | {"description": "what the model would have said"},
        "confidence": {"type": "number"},
        "model": {"type": "string"},
    }
    items = {"type": "array", "items": item, "minItems": 1, "maxItems": 1000}
    asked = _object({"items": items}, ["items"])
    said = _object({"model": {"type": "string"}, "answers": {"type": "array", "items": _object(answer)}})
    named = [{"name": "ticket", "in": "path", "required": True, "schema": {"type": "string"}}]
    refused = {str(status): _content(ERROR, why) for status, why in REFUSALS.items()}
    paths: dict[str, Any] = {
        "/answer": {
            "post": {
                "summary": f"Label {model.item.NAME}s; those that the model had better not answer go to people.",
                "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
                "responses": {"200": _content(said, "an answer for each item, in their order"), **refused},
            }
        },
        "/tickets/{ticket}": {
            "get": {
                "summary": "What people said.",
                "parameters": named,
                "responses": {"200": _content(_object(ticket), "the ticket"), "404": _content(ERROR, "there is none")},
            }
        },
        "/health": {"get": {"summary": "How it is.", "responses": {"200": _content({"type": "object"}, "as it is")}}},
        "/metrics": {"get": {"summary": "For Prometheus.", "responses": {"200": {"description": "text"}}}},
    }
    found: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "labelwise answer", "version": "1"},
        "paths": paths,
    }
    if with_token:
        found["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
        found["security"] = [{"token": []}]
    return found


REFUSALS = {
    400: "the body is no JSON in UTF-8",
    401: "the token is missing or wrong",
    413: "too many items, or bytes",
    422: "an item is none of this kind",
}


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": properties} | ({"required": required} if required else {})


def _content(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
