"""Requests and answers of CloudFormation's query protocol as botocore's own model describes them, and the errors.

The model says which members a request has, of which type and within which bounds, and how an answer is written, so
that no operation here parses or formats anything itself. Names and HTTP statuses of errors are those of the
CloudFormation API reference. Sentences marked "(seen)" were read in public threads or documents, which are named; the
others are ours, since no public text shows AWS's own.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

import botocore.loaders
import botocore.model
from ministack.services.cloudformation.helpers import validation_error_message

from builders.cloud.internals import cloudformation
from builders.resource_types import Json


class Refused(Exception):
    """An error of the API; `name` is the shape that the API reference gives it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def invalid(message: str) -> Refused:
    """The request cannot be meant."""
    return Refused("ValidationError", message)


def impossible(message: str) -> Refused:
    """The request is well-formed, but not in this state."""
    return Refused("InvalidOperationException", message)


def no_set(name: str) -> Refused:
    """(seen) aws-cloudformation/rain #585."""
    return Refused("StackSetNotFoundException", f"StackSet {name} not found")


def name_taken(name: str) -> Refused:
    """An active set of this name is there."""
    return Refused("NameAlreadyExistsException", f"StackSet {name} already exists")


def not_empty() -> Refused:
    """(seen) Reachability Analyzer guide, "Troubleshoot cross-account analyses"."""
    return Refused("StackSetNotEmptyException", "StackSet is not empty")


def no_instance(account: str, region: str) -> Refused:
    """The set has no instance there."""
    return Refused("StackInstanceNotFoundException", f"Stack instance in account {account}, region {region} not found")


def no_operation(operation_id: str) -> Refused:
    """The set never had this operation."""
    return Refused("OperationNotFoundException", f"Operation {operation_id} not found")


def in_progress(arn: str) -> Refused:
    """(seen) ansible-collections/community.aws #103, hashicorp/terraform-provider-aws #28675."""
    return Refused("OperationInProgressException", f"Another Operation on StackSet {arn} is in progress")


def operation_id_taken(operation_id: str) -> Refused:
    """The id belongs to another request."""
    return Refused("OperationIdAlreadyExistsException", f"Operation {operation_id} already exists")


def stale(operation_id: str) -> Refused:
    """The same request again, but the set has moved on since (API reference, StaleRequestException)."""
    message = f"Another operation has been performed on this StackSet since operation {operation_id}"
    return Refused("StaleRequestException", message)


def limit(message: str) -> Refused:
    """A quota is reached."""
    return Refused("LimitExceededException", message)


def denied(caller: str, action: str, resource: str) -> Refused:
    """IAM does not allow it. (seen) hashicorp/terraform-provider-aws #12125."""
    return Refused(DENIED, f"User: {caller} is not authorized to perform: {action} on resource: {resource}")


DENIED = "AccessDenied"

Form = Mapping[str, list[str]]
Request = dict[str, Json]
Answer = dict[str, Json]
Response = tuple[int, dict[str, str], bytes]
Action = Callable[[Request], Answer]


@functools.cache
def model() -> botocore.model.ServiceModel:
    """Return botocore's model of CloudFormation."""
    return botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model("cloudformation", "service-2"))


def handler(operation: str, action: Action) -> Callable[[Form], Response]:
    """Return `action` as ministack calls the handlers of CloudFormation's actions."""

    def handle(form: Form) -> Response:
        try:
            return answer(operation, action(read(operation, form)))
        except Refused as refused:
            return refusal(refused)

    return handle


_read: ContextVar[tuple[str, Form, Request] | None] = ContextVar("read", default=None)
"""The request that is under way, as it came and as it was read."""


@contextmanager
def already_read(operation: str, form: Form) -> Iterator[None]:
    """Read a request once for all. Raises `Refused` as `read` does."""
    token = _read.set((operation, form, read(operation, form)))
    try:
        yield
    finally:
        _read.reset(token)


def read(operation: str, form: Form) -> Request:
    """Return a request as the model types it. Raises `Refused` with all that breaks the model's bounds."""
    known = _read.get()
    if known and known[0] == operation and known[1] is form:
        return dict(known[2])
    shape = model().operation_model(operation).input_shape
    sent = {key.partition(".")[0] for key in form}
    values = {name: _value(form, name, member) for name, member in shape.members.items() if name in sent}
    request: Request = {name: value for name, value in values.items() if value is not None}
    problems = list(_problems(request, shape, ""))
    if problems:
        raise invalid(validation_error_message(problems))
    return request


def answer(operation: str, result: Answer) -> Response:
    """Return an answer as the model writes it."""
    shape = model().operation_model(operation).output_shape
    written = "".join(_elements(result, shape)) if shape else ""
    response: Response = cloudformation.xml(
        200, f"{operation}Response", f"<{operation}Result>{written}</{operation}Result>"
    )
    return response


def message(response: Response) -> str:
    """Return the sentence of an error that ministack answers with."""
    return html.unescape(response[2].decode().partition("<Message>")[2].partition("</Message>")[0])


def refusal(refused: Refused) -> Response:
    """The name on the wire and the HTTP status are the model's; what it does not have is a ValidationError."""
    modelled = refused.name in model().shape_names
    error = model().shape_for(refused.name).metadata.get("error", {}) if modelled else {}
    status = 403 if refused.name == DENIED else error.get("httpStatusCode", 400)
    response: Response = cloudformation.error(error.get("code", refused.name), str(refused), status)
    return response


def _value(form: Form, prefix: str, shape: Json) -> Json:
    """Return the value below a prefix (`Tags`, `Tags.member.1.Key`), or None when the request does not have it."""
    if shape.type_name == "structure":
        members = {name: _value(form, f"{prefix}.{name}", member) for name, member in shape.members.items()}
        present = {name: value for name, value in members.items() if value is not None}
        return present or None
    if shape.type_name == "list":
        values: list[Json] = []
        while (value := _value(form, f"{prefix}.member.{len(values) + 1}", shape.member)) is not None:
            values.append(value)
        return values if values or prefix in form else None  # an empty list is sent as `Tags=`
    if shape.type_name == "map":
        return _map(form, prefix, shape)
    if prefix not in form:
        return None
    return _scalar(form[prefix][0], prefix, shape.type_name)


def _map(form: Form, prefix: str, shape: Json) -> Json:
    entries: dict[str, Json] = {}
    while (key := form.get(f"{prefix}.entry.{len(entries) + 1}.key")) is not None:
        entries[key[0]] = _value(form, f"{prefix}.entry.{len(entries) + 1}.value", shape.value)
    return entries or None


def _scalar(text: str, name: str, kind: str) -> Json:
    if kind == "boolean":
        return text.lower() == "true"
    if kind not in ("integer", "long"):
        return text
    try:
        return int(text)
    except ValueError:
        raise invalid(f"Value '{text}' at '{name}' is not an integer") from None


_AS_ANSWERED = {
    r"([a-zA-Z][-a-zA-Z0-9]*)|(arn:\b(aws|aws-us-gov|aws-cn)\b:[-a-zA-Z0-9:/._+]*)": (
        "[a-zA-Z][-a-zA-Z0-9]*|arn:[-a-zA-Z0-9:/._+]*"
    )
}
"""Patterns that AWS's sentence gives otherwise than the model (LocalStack api/test_stacks)."""


def _problems(value: Json, shape: Json, path: str) -> Iterator[str]:
    """Say what breaks the model's bounds, as AWS does: each a sentence about a value at a path."""
    if shape.type_name == "structure":
        for name in shape.required_members:
            if value.get(name) is None:
                yield f"Value null at '{_wire_name(path, name)}' failed to satisfy constraint: Member must not be null"
        for name, member in shape.members.items():
            if value.get(name) is not None:
                yield from _problems(value[name], member, _wire_name(path, name))
        return
    bounds = shape.metadata
    if shape.type_name == "list":
        for number, item in enumerate(value, 1):
            yield from _problems(item, shape.member, f"{path}.{number}.member")
    size, what = (value, "value") if isinstance(value, int) else (len(value), "length")
    limits = {"min": "greater than or equal to", "max": "less than or equal to"}
    for limit, words in limits.items():
        if limit in bounds and (size < bounds[limit] if limit == "min" else size > bounds[limit]):
            yield f"{_at(value, path)}: Member must have {what} {words} {bounds[limit]}"
    if shape.type_name != "string":
        return
    if shape.enum and value not in shape.enum:
        yield f"{_at(value, path)}: Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    if "pattern" in bounds and not re.fullmatch(bounds["pattern"], value):
        pattern = _AS_ANSWERED.get(bounds["pattern"], bounds["pattern"])
        yield f"{_at(value, path)}: Member must satisfy regular expression pattern: {pattern}"


def _wire_name(path: str, name: str) -> str:
    camel = name[0].lower() + name[1:]
    return f"{path}.{camel}" if path else camel


def _at(value: Json, path: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint"


def _elements(value: Mapping[str, Json], shape: Json) -> Iterator[str]:
    unknown = set(value) - set(shape.members)
    assert not unknown, f"{shape.name} has no {unknown}"
    for name, member in shape.members.items():
        if value.get(name) is not None:
            yield f"<{name}>{_text(value[name], member)}</{name}>"


def _text(value: Any, shape: Json) -> str:
    if shape.type_name == "structure":
        return "".join(_elements(value, shape))
    if shape.type_name == "list":
        return "".join(f"<member>{_text(item, shape.member)}</member>" for item in value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return str(value).lower() if isinstance(value, bool) else escape(str(value))
