"""IAM policies as the rules read them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, UNKNOWN, Scenario, Value


def statements(template: Template, document: Value) -> Iterator[Value]:
    """The statements of a policy document, each side of an Fn::If by itself."""
    for listed in template.child(document, "Statement"):
        for statement in template.items(listed):
            if isinstance(statement.value, dict):
                yield statement


def principals(template: Template, statement: Value, kind: str) -> Iterator[Value]:
    """The principals of a kind ("AWS", "Service") that a statement names."""
    for principal in template.child(statement, "Principal"):
        if isinstance(principal.value, dict):
            for named in template.child(principal, kind):
                yield from (value for value in template.items(named) if value.value is not ABSENT)


def trusts(template: Template, role: Resource) -> Iterator[Value]:
    """The Allow statements of a role's trust policy."""
    for document in template.branches(role, "AssumeRolePolicyDocument"):
        for statement in statements(template, document):
            if statement.value.get("Effect") == "Allow":
                yield statement


def lets_in(
    template: Template, documents: Iterable[Value], service: str, actions: Sequence[str]
) -> dict[str, list[Scenario]] | None:
    """Return when the policy of a resource lets a service in, or may do so, by action; None where it is not known."""
    allowed: dict[str, list[Scenario]] = {action: [] for action in actions}
    for document in documents:
        allowing = allow_statements(template, document)
        if allowing is None:
            return None
        for statement in allowing:
            if _names(template, statement, service):
                for action in allowed_actions(template, statement, actions):
                    allowed[action].append(statement.when)
    return allowed


def allow_statements(template: Template, document: Value) -> list[Value] | None:
    """The Allow statements of a policy; None where not all of its statements are known."""
    if not isinstance(document.value, dict) or "Statement" not in document.value:
        return None
    listed = [value for each in template.child(document, "Statement") for value in template.items(each)]
    known = [each for each in listed if each.value is not ABSENT]
    if not known or not all(isinstance(each.value, dict) and "Effect" in each.value for each in known):
        return None
    return [statement for statement in statements(template, document) if statement.value.get("Effect") == "Allow"]


def _names(template: Template, statement: Value, service: str) -> bool:
    """Return whether a statement's principals hold a service, or something unknown."""
    given = statement.value
    if "Principal" not in given:
        return True
    if given["Principal"] == "*" or "*" in [each.value for each in principals(template, statement, "AWS")]:
        # kms:ViaService holds for callers with an identity in the account, and a service has none.
        return "kms:ViaService" not in str(given.get("Condition"))
    if not isinstance(given["Principal"], dict):
        return True
    for principal in principals(template, statement, "Service"):
        values = template.resolver.constants(principal.value, principal.path, principal.when)
        if any(value.value is UNKNOWN or _is_service(value.value, service) for value in values):
            return True
    return False


def _is_service(named: Any, service: str) -> bool:
    return not isinstance(named, str) or named in (service, "*")


def allowed_actions(template: Template, statement: Value, wanted: Sequence[str]) -> set[str]:
    """The wanted actions that a statement allows; all of them where it cannot be known."""
    actions: list[Any] = [
        constant.value
        for listed in template.child(statement, "Action")
        for action in template.items(listed)
        for constant in template.resolver.constants(action.value, action.path, action.when)
    ]
    if not actions or not all(isinstance(action, str) for action in actions):
        return set(wanted)
    return {each for each in wanted if any(fnmatch.fnmatchcase(each.lower(), str(it).lower()) for it in actions)}
