"""Resources that are kept as records, from outside their stack: Cloud Control, import.

Cloud Control reads and writes the same records, so what it changes has drifted, and what it makes can be imported.
Sources: Cloud Control API reference; CloudFormation user guide, "Detect unmanaged configuration changes" and "Import
AWS resources into a CloudFormation stack".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ministack.core.responses import error_response_json, json_response

from builders import resource_types
from builders.cloud.cloudformation import records
from builders.cloud.internals import cloudcontrol, cloudformation
from builders.cloud.patches import patch, patch_value
from builders.resource_types import Json

_STACK = "cloud-control"
"""The stack name in the names of resources that no stack made."""


def install() -> None:
    """Let all types that are kept as records be imported."""
    for name in records.types:
        cloudformation.resource_handlers[name]["import"] = _importer(name)


@patch_value("ministack.services.cloudcontrol._resources", why="Cloud Control has resources of its own, beside stacks'")
def _resources(_original: Any) -> _Resources:
    return _Resources()


@patch("ministack.services.cloudcontrol._create_resource", why="resources that Cloud Control makes are in no store")
def _create_resource(_original: Any, request: Mapping[str, Json]) -> Json:
    return _answer("CREATE", request, _create)


@patch("ministack.services.cloudcontrol._update_resource", why="no resource refuses an update; here its handler may")
def _update_resource(original: Any, request: Mapping[str, Json]) -> Json:
    return _answer("UPDATE", request, original)


class _Resources(dict[str, Any]):
    """Cloud Control's store: {"type NUL identifier": description}, read from and written to the records."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the description of a resource; its properties are a JSON text, as Cloud Control gives them."""
        name, _, identifier = key.partition("\0")
        record = records.find(name).get(identifier)
        return _described(name, identifier, record) if record else default

    def __contains__(self, key: object) -> bool:
        return self.get(str(key)) is not None

    def __setitem__(self, key: str, description: Mapping[str, Json]) -> None:
        name, _, identifier = key.partition("\0")
        old = records.find(name)[identifier]["Properties"]
        kind = resource_types.load(name)
        new = {path: value for path, value in json.loads(description["Properties"]).items()
               if kind and path not in kind.read_only}  # fmt: skip
        cloudformation.resource_handlers[name]["update"](identifier, old, new, _STACK, "Resource")

    def __delitem__(self, key: str) -> None:
        name, _, identifier = key.partition("\0")
        properties = records.find(name)[identifier]["Properties"]
        cloudformation.resource_handlers[name]["delete"](identifier, properties)

    def values(self) -> Any:
        """Return the descriptions of all resources of the caller's account and region."""
        found = [(name, records.find(name)) for name in records.types]
        return [_described(name, each, record) for name, of_type in found for each, record in of_type.items()]


@patch_value(
    "ministack.services.cloudformation.changesets._IMPORT_LOOKUPS",
    why="resources of some types only can be imported",
)
class _Lookups(dict[str, Any]):
    """Import's {type: (identifier's keys, what is wrong with a value)}, with all types that are kept as records.

    CloudFormation names a resource by one value here, so types whose identifier has several are left out.
    """

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (name in records.types and len(_identifiers(str(name))) == 1)

    def __missing__(self, name: str) -> Any:
        return _identifiers(name), lambda value: None if value in records.find(name) else (
            f"Resource of type '{name}' with identifier '{value}' was not found."
        )  # fmt: skip


def _identifiers(name: str) -> tuple[str, ...]:
    kind = resource_types.load(name)
    return kind.identifiers if kind else ()


def _importer(name: str) -> Any:
    def take(identifier: Mapping[str, str]) -> records.Made:
        physical_id = identifier[_identifiers(name)[0]]
        return physical_id, records.find(name)[physical_id]["Attributes"]

    return take


def _described(name: str, identifier: str, record: Mapping[str, Json]) -> dict[str, Json]:
    attributes = {path: value for path, value in record["Attributes"].items() if "." not in path}
    properties = json.dumps({**attributes, **record["Properties"]})
    return {"TypeName": name, "Identifier": identifier, "Properties": properties}


def _create(request: Mapping[str, Json]) -> Json:
    name, properties = request["TypeName"], json.loads(request["DesiredState"])
    handlers = cloudformation.resource_handlers.get(name)
    if handlers is None:
        return error_response_json("TypeNotFoundException", f"Type {name} is not found.", 400)
    identifier, _ = handlers["create"]("Resource", properties, _STACK)
    return _event("CREATE", "SUCCESS", request, identifier=identifier, resource_model=json.dumps(properties))


def _answer(operation: str, request: Mapping[str, Json], act: Any) -> Json:
    """Answer with a failed progress event where the resource refuses, as Cloud Control does."""
    try:
        return act(request)
    except ValueError as error:
        return _event(operation, "FAILED", request, status_message=str(error), error_code="InvalidRequest")


def _event(operation: str, status: str, request: Mapping[str, Json], **more: Json) -> Json:
    more.setdefault("identifier", request.get("Identifier"))
    event = cloudcontrol.progress_event(operation, status, type_name=request["TypeName"], **more)
    return json_response({"ProgressEvent": cloudcontrol.record_request(event)})
