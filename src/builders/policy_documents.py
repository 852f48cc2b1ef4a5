"""Reads IAM policy documents: statements, principals and actions, and the principals that a trust policy lets in.

Principals, actions, external ids and names of callers are heeded. Other conditions are taken as fulfilled, since only
AWS knows the values of their keys.
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
    """Return whether a trust policy lets another account's role, or that whole account, in without an external id.

    The ARN of an account's root means anybody of that account.
    """
    return any(not wanted for wanted in _wanted_external_ids(trust, arn))


def wants_external_id(trust: Document, arn: str) -> bool:
    """Return whether a trust policy lets a role or its account in, but with an external id alone."""
    found = _wanted_external_ids(trust, arn)
    return bool(found) and all(found)


def _wanted_external_ids(trust: Document, arn: str) -> list[bool]:
    """Return whether an external id is wanted, for each statement that lets a role in."""
    account, of_account = arn.split(":")[4], arn.rsplit(":", 1)[0]
    anybody = arn == f"{of_account}:root"

    def lets_in(statement: Statement) -> bool:
        named = {name for kind, name in principals(statement) if kind == "AWS"}
        if anybody and any(name.startswith(f"{of_account}:") for name in named):
            return True
        ours = {arn, account, f"{of_account}:root", "*"} & named
        return bool(ours) and (anybody or _names_the_caller(statement, arn))

    return [_needs_external_id(each) for each in _assumable(trust) if lets_in(each)]


def _assumable(trust: Document) -> list[Statement]:
    return [each for each in statements(trust) if allows(each, "sts:AssumeRole")]


def _names_the_caller(statement: Statement, arn: str) -> bool:
    """Return whether a condition on aws:PrincipalArn, where there is one, names a role."""
    return all(
        any(fnmatch.fnmatchcase(arn, str(pattern)) for pattern in as_list(value))
        for operator, keys in (statement.get("Condition") or {}).items()
        for key, value in keys.items()
        if key.lower() == "aws:principalarn" and operator in ("ArnEquals", "ArnLike", "StringEquals", "StringLike")
    )


def _needs_external_id(statement: Statement) -> bool:
    conditions = statement.get("Condition") or {}
    return any(key.lower() == "sts:externalid" for operator in conditions.values() for key in operator)
