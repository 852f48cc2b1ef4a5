"""Intrinsic functions where ministack's differ from CloudFormation's.

Source: CloudFormation user guide, "Fn::GetAtt" (the attribute's name may be a Ref) and "Fn::ImportValue".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from builders.cloud.ec2 import addresses
from builders.cloud.patches import patch
from builders.resource_types import Json


@patch(
    "ministack.services.cloudformation.engine._resolve_refs",
    why="Fn::GetAtt takes no Ref as an attribute's name, and gives the old value of what another resource has changed",
)
def _resolve(original: Any, value: Json, *context: Json) -> Json:
    if isinstance(value, dict) and len(value) == 1:
        arguments = value.get("Fn::GetAtt")
        live = _live(arguments, context[0])
        if live is not None:
            return live
        if isinstance(arguments, list) and any(isinstance(each, dict) for each in arguments):
            return original({"Fn::GetAtt": [original(each, *context) for each in arguments]}, *context)
    try:
        return original(value, *context)
    except ValueError as error:
        name = str(error).removeprefix("Export '").removesuffix("' not found")
        if str(error) == f"Export '{name}' not found":
            raise ValueError(f"No export named {name} found.") from error
        raise


def _live(arguments: Json, resources: Mapping[str, Json]) -> Json:
    """Return an attribute that another resource changes; None for every other."""
    if not isinstance(arguments, list) or not all(isinstance(each, str) for each in arguments):
        return None
    resource = resources.get(arguments[0]) or {}
    find = addresses.LIVE.get((str(resource.get("ResourceType")), arguments[-1]))
    return find(resource["PhysicalResourceId"]) if find and resource.get("PhysicalResourceId") else None
