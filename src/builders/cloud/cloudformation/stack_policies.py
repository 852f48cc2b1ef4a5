"""Stack policies: which resources an update may modify, replace or delete.

Sources: CloudFormation user guide, "Prevent updates to stack resources"; LocalStack's api/test_stack_policies, run on
AWS, for the refusals and for what two statements say of the same: the later one holds.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from dataclasses import dataclass

from builders.resource_types import Json

ACTIONS = ("Update:Modify", "Update:Replace", "Update:Delete", "Update:*")
_INVALID = "Error validating stack policy: Invalid stack policy"
_ANY_RESOURCE = "*"
_CONDITIONS = ("StringEquals", "StringLike")


@dataclass(frozen=True)
class StackPolicy:
    """The statements of a policy, in their order."""

    statements: tuple[Mapping[str, Json], ...]

    def refusal(self, action: str, logical_id: str, kind: str) -> str:
        """Return CloudFormation's reason why an update may not do this to a resource; empty where it may."""
        last = {_subject(each): number for number, each in enumerate(self.statements)}
        allowed = False
        for number, each in enumerate(self.statements):
            if number != last[_subject(each)] or not _matches(each, action, logical_id, kind):
                continue
            if each["Effect"] == "Deny":
                actions, resources = (_texts(each, name) for name in ("Action", "Resource"))
                return (
                    f"Action denied by stack policy: Statement [#{number + 1}] does not allow "
                    f"[{', '.join(actions or [action])}] for resource "
                    f"[{', '.join(resources or [f'LogicalResourceId/{logical_id}'])}];"
                )
            allowed = True
        if allowed or not self.statements:
            return ""
        return f"Action not allowed by stack policy: [{action}] for resource [LogicalResourceId/{logical_id}];"


def parse(text: str) -> StackPolicy:
    """Return a policy; `{}` has no statements and allows all. Raises ValueError with CloudFormation's sentence."""
    try:
        document = json.loads(text)
    except ValueError:
        raise ValueError(_INVALID) from None
    if document == {}:
        return StackPolicy(())
    statements = document.get("Statement") if isinstance(document, dict) else None
    statements = [statements] if isinstance(statements, dict) else statements
    if not isinstance(statements, list) or not statements or not all(map(_valid, statements)):
        raise ValueError(_INVALID)
    return StackPolicy(tuple(statements))


def _valid(statement: Json) -> bool:
    if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
        return False
    if statement.get("Principal", statement.get("NotPrincipal")) not in ("*", {"AWS": "*"}):
        return False
    if len({"Action", "NotAction"} & set(statement)) != 1 or len({"Resource", "NotResource"} & set(statement)) != 1:
        return False
    actions = _texts(statement, "Action") or _texts(statement, "NotAction")
    resources = _texts(statement, "Resource") or _texts(statement, "NotResource")
    if not actions or not all(each in ACTIONS for each in actions):
        return False
    if not resources or not all(each == _ANY_RESOURCE or each.startswith("LogicalResourceId/") for each in resources):
        return False
    condition = statement.get("Condition", {})
    return isinstance(condition, dict) and all(
        name in _CONDITIONS and isinstance(keys, dict) and set(keys) == {"ResourceType"}
        for name, keys in condition.items()
    )


def _texts(node: Mapping[str, Json], name: str) -> list[str]:
    value = node.get(name)
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)] if value is not None else []


def _subject(statement: Mapping[str, Json]) -> str:
    """Return what a statement is about, so that a later one about the same replaces it."""
    return json.dumps(
        {key: statement[key] for key in sorted(statement) if key not in ("Effect", "Sid")}, sort_keys=True
    )


def _matches(statement: Mapping[str, Json], action: str, logical_id: str, kind: str) -> bool:
    resource = f"LogicalResourceId/{logical_id}"
    for name, value in (("Action", action), ("Resource", resource)):
        given = _texts(statement, name)
        if given and not any(fnmatch.fnmatchcase(value, each) for each in given):
            return False
        if any(fnmatch.fnmatchcase(value, each) for each in _texts(statement, f"Not{name}")):
            return False
    for keys in (statement.get("Condition") or {}).values():
        if not any(fnmatch.fnmatchcase(kind, each) for each in _texts(keys, "ResourceType")):
            return False
    return True
