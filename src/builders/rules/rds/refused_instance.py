"""E9207: an instance that RDS refuses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from builders.database_instances import CHECKS, Check, refusals
from builders.rules._rule import Finding, Rule
from builders.rules._template import Resource, Template, walk
from builders.rules._values import ABSENT, UNKNOWN, Value

_MOST_COMBINATIONS = 64
_OF_CFN_LINT = ("BackupRetentionPeriod",)


class RefusedInstance(Rule):
    """Reports windows that overlap or are too short, growth of less than a tenth, Iops that the storage cannot have,
    and other values of an RDS instance that do not go together.
    """

    id = "E9207"
    shortdesc = "Values that RDS refuses together"
    why = (
        "The registry's schema knows each property by itself. RDS looks at them together, when the stack has been"
        " deploying for minutes, and everything is rolled back."
    )
    source = "Amazon RDS API reference, 'CreateDBInstance'; Amazon RDS user guide, 'Amazon RDS DB instance storage'"
    bad = """
    Resources:
      Database:
        Type: AWS::RDS::DBInstance
        Properties: {PreferredBackupWindow: "04:00-04:30", PreferredMaintenanceWindow: "sun:04:00-sun:04:30"}
    """
    good = """
    Resources:
      Database:
        Type: AWS::RDS::DBInstance
        Properties: {PreferredBackupWindow: "03:00-03:30", PreferredMaintenanceWindow: "sun:04:00-sun:04:30"}
    """

    def _findings(self, template: Template) -> Iterator[Finding]:
        for kind, checks in CHECKS.items():
            for resource in template.resources(kind):
                for check in checks:
                    if check.properties != _OF_CFN_LINT:
                        yield from _of_check(template, resource, check)


def _of_check(template: Template, resource: Resource, check: Check) -> Iterator[Finding]:
    choices = [template.constants(resource, name) for name in check.properties]
    for values in itertools.islice(itertools.product(*choices), _MOST_COMBINATIONS):
        given = dict(zip(check.properties, values, strict=True))
        if not template.possible(*values) or not _together(template, values):
            continue
        for _, sentence in refusals({name: _as_text(value) for name, value in given.items()}, (check,)):
            where = next((value for value in reversed(values) if value.value is not ABSENT), resource.path)
            source = where.source if isinstance(where, Value) else ""
            yield Finding(where, f"RDS refuses {resource.name}: {sentence.rstrip('.')}{source}")


def _together(template: Template, values: Sequence[Value]) -> bool:
    """Return whether values of parameters agree: with each other, and with no condition on the same parameter.

    What a condition says of the very value is not followed: without knowledge, no finding.
    """
    chosen: dict[str, object] = {}
    for value in values:
        if value.parameter and chosen.setdefault(value.parameter, value.value) != value.value:
            return False
    conditions = {name for value in values for name, _ in value.when}
    return not any(_decides(template, name) & set(chosen) for name in conditions)


def _decides(template: Template, condition: str) -> set[str]:
    """The parameters that a condition looks at, directly or through others."""
    unseen, found, waiting = dict(template.section("Conditions")), set[str](), [condition]
    while waiting:
        node = unseen.pop(waiting.pop(), None)
        found |= template.references(node)
        waiting += [
            inner["Condition"]
            for _, inner in walk(node, ())
            if isinstance(inner, dict) and isinstance(inner.get("Condition"), str)
        ]
    return found


def _as_text(value: Value) -> object:
    """The value as `database_instances` takes it: None where nobody gives one."""
    if value.value is ABSENT:
        return None
    return "${unknown}" if value.value is UNKNOWN else value.value
