"""E9401: two ways to say when a secret rotates."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT


class TwoRotationRules(Rule):
    """Reports RotationRules with AutomaticallyAfterDays and ScheduleExpression together."""

    id = "E9401"
    shortdesc = "A rotation schedule with both of its rules"
    why = "Secrets Manager takes one of them and refuses both."
    source = "AWS Secrets Manager API reference, 'RotationRulesType'"
    bad = """
    Resources:
      Schedule:
        Type: AWS::SecretsManager::RotationSchedule
        Properties:
          SecretId: payments
          RotationRules: {AutomaticallyAfterDays: 30, ScheduleExpression: rate(30 days)}
    """
    good = """
    Resources:
      Schedule:
        Type: AWS::SecretsManager::RotationSchedule
        Properties:
          SecretId: payments
          RotationRules: {ScheduleExpression: rate(30 days)}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for schedule in template.resources("AWS::SecretsManager::RotationSchedule"):
            for days in template.branches(schedule, "RotationRules.AutomaticallyAfterDays"):
                for expression in template.branches(schedule, "RotationRules.ScheduleExpression"):
                    if ABSENT not in (days.value, expression.value) and template.possible(days, expression):
                        yield RuleFinding(expression, f"{schedule.name} gives days and an expression: keep one of them")
