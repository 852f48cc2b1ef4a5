"""Holds the data of rollout.yaml against the models, and says in this project's words what pydantic found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from builders.rollout.file.mistakes import Mistake
from builders.rollout.file.models import KeyPath, RolloutFile
from builders.spelling import suggestion

_SENTENCES = {
    "missing": "is missing; add it",
    "string_type": "must be a text; put it in quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list, such as [a, b]",
    "dict_type": "must be keys and values",
    "model_type": "must be keys and values",
    "string_too_short": "is empty; give a value or leave the key out",
    "too_short": "is empty; give at least one",
}


def validated(data: Any) -> tuple[RolloutFile | None, list[Mistake]]:
    """The model of a file's data, or what is wrong with it."""
    try:
        return RolloutFile.model_validate(data), []
    except ValidationError as error:
        return None, [_mistake(found) for found in error.errors(include_url=False, include_input=False)]


def _mistake(found: ErrorDetails) -> Mistake:
    path: KeyPath = tuple(part for part in found["loc"] if part != "[key]")
    context: Mapping[str, Any] = found.get("ctx", {})
    kind = found["type"]
    if kind == "extra_forbidden":
        message = _unknown(path)
    elif kind == "value_error":
        message = str(context["error"])
    elif kind == "literal_error":
        message = f"must be {context['expected']}"
    elif kind in ("greater_than_equal", "less_than_equal"):
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        message = f"must be {bound}"
    else:
        message = _SENTENCES.get(kind, found["msg"].lower())
    return Mistake(path, message)


def _unknown(path: KeyPath) -> str:
    known = sorted(_keys(RolloutFile, path[:-1]))
    close = suggestion(str(path[-1]), known)
    return "is no key of this file; " + (f"did you mean {close}?" if close else f"known here: {', '.join(known)}")


def _keys(model: type[BaseModel], path: KeyPath) -> Iterator[str]:
    """The keys that the model at a path has: names of fields lead there, other parts are phases and list items."""
    for part in path:
        if part in model.model_fields:
            model = _model_in(model.model_fields[str(part)].annotation) or model
    yield from model.model_fields


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds: as it is, in a list or by name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(argument) for argument in getattr(annotation, "__args__", ()))
    return next((model for model in inner if model), None)
