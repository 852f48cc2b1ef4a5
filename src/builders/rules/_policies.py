"""IAM policies as the rules read them."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, Value


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
