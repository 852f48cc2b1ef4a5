"""Reads IAM policy documents: statements, principals and actions, and the principals that a trust policy lets in.

Principals, actions and external ids are heeded. Other conditions are taken as fulfilled, since only AWS knows the
values of their keys.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from typing import Any

Statement = Mapping[str, Any]
Document = str | Mapping[str, Any] | None
"""A policy as JSON or as plain data; None where there is none."""


def statements(document: Document) -> list[Statement]:
    """The statements of a policy, which may have one without a list."""
    policy = json.loads(document) if isinstance(document, str) else document
    return as_list((policy or {}).get("Statement"))


def as_list(value: Any) -> list[Any]:
    """The values of an element that may have one value or a list of them, or be absent."""
    return value if isinstance(value, list) else [] if value is None else [value]


def principals(statement: Statement) -> list[tuple[str, str]]:
    """The principals of a statement as (kind, principal); a bare "*" is an AWS principal."""
    principal = statement.get("Principal") or {}
    if isinstance(principal, str):
        return [("AWS", principal)]
    return [(kind, each) for kind, value in principal.items() for each in as_list(value)]


def covers(statement: Statement, action: str) -> bool:
    """Return whether a statement covers an action; case does not count ("IAM JSON policy elements: Action")."""
    return any(
        fnmatch.fnmatchcase(action.lower(), str(pattern).lower()) for pattern in as_list(statement.get("Action"))
    )


def allows(statement: Statement, action: str) -> bool:
    """Return whether a statement allows an action."""
    return statement.get("Effect") == "Allow" and covers(statement, action)


def trusts_service(trust: Document, service: str) -> bool:
    """Return whether a trust policy lets a service assume the role, such as cloudformation.amazonaws.com."""
    return any(("Service", service) in principals(each) for each in _assumable(trust))


def trusts_role(trust: Document, arn: str) -> bool:
    """Return whether a trust policy lets another account's role, or that whole account, in without an external id."""
    account = arn.split(":")[4]
    ours = {("AWS", each) for each in (arn, account, f"{arn.rsplit(':', 1)[0]}:root", "*")}
    return any(ours & set(principals(each)) and not _needs_external_id(each) for each in _assumable(trust))


def _assumable(trust: Document) -> list[Statement]:
    return [each for each in statements(trust) if allows(each, "sts:AssumeRole")]


def _needs_external_id(statement: Statement) -> bool:
    conditions = statement.get("Condition") or {}
    return any(key.lower() == "sts:externalid" for operator in conditions.values() for key in operator)
