"""Intrinsic functions where ministack's differ from CloudFormation's.

Source: CloudFormation user guide, "Fn::GetAtt" (the attribute's name may be a Ref) and "Fn::ImportValue".
"""

from __future__ import annotations

from typing import Any

from builders.cloud.patches import patch
from builders.resource_types import Json


@patch(
    "ministack.services.cloudformation.engine._resolve_refs",
    why="Fn::GetAtt takes no Ref as the name of an attribute, and an export that is missing has words of its own",
)
def _resolve(original: Any, value: Json, *context: Json) -> Json:
    if isinstance(value, dict) and len(value) == 1:
        arguments = value.get("Fn::GetAtt")
        if isinstance(arguments, list) and any(isinstance(each, dict) for each in arguments):
            return original({"Fn::GetAtt": [original(each, *context) for each in arguments]}, *context)
    try:
        return original(value, *context)
    except ValueError as error:
        name = str(error).removeprefix("Export '").removesuffix("' not found")
        if str(error) == f"Export '{name}' not found":
            raise ValueError(f"No export named {name} found.") from error
        raise
