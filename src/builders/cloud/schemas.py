"""The CloudFormation registry as the embedded cloud has it: the types, and the names of all of them."""

from __future__ import annotations

import functools

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from builders.resource_types import HOME_REGION, Json, ResourceType, load, value_at

__all__ = ["HOME_REGION", "Json", "ResourceType", "load", "names", "value_at"]


@functools.cache
def names() -> frozenset[str]:
    """Return the names of all types."""
    return frozenset(PROVIDER_SCHEMA_MANAGER.get_resource_types(HOME_REGION))
