"""Whom a role's trust policy lets assume it. Pure.

What a policy says on principals and on external ids is heeded; other conditions are taken as fulfilled, since only AWS
knows their keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

ASSUME = ("sts:assumerole", "sts:*", "*")


def trusts_role(trust: Mapping[str, Any], arn: str) -> bool:
    """Whether a role of another account may assume it, without an external id: by itself or by its account."""
    account = arn.split(":")[4]
    meant = {arn, account, f"{arn.rsplit(':', 1)[0]}:root", "*"}
    return any(
        meant & set(_listed(_principals(statement).get("AWS"))) and not _wants_external_id(statement)
        for statement in _allowing(trust)
    )


def trusts_service(trust: Mapping[str, Any], service: str) -> bool:
    """Whether a service may assume it, such as cloudformation.amazonaws.com."""
    return any(service in _listed(_principals(statement).get("Service")) for statement in _allowing(trust))


def _allowing(trust: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for statement in _listed(trust.get("Statement")):
        actions = [str(each).lower() for each in _listed(statement.get("Action"))]
        if statement.get("Effect") == "Allow" and any(each in ASSUME for each in actions):
            yield statement


def _principals(statement: Mapping[str, Any]) -> Mapping[str, Any]:
    principal = statement.get("Principal", {})
    return {"AWS": "*"} if principal == "*" else principal


def _wants_external_id(statement: Mapping[str, Any]) -> bool:
    conditions = statement.get("Condition", {})
    return any(key.lower() == "sts:externalid" for operator in conditions.values() for key in operator)


def _listed(value: Any) -> list[Any]:
    """A policy may give one value, or a list of them."""
    return value if isinstance(value, list) else [] if value is None else [value]
