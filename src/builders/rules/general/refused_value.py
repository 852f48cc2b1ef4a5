"""E9023: a value that the service's API refuses."""

from __future__ import annotations

from collections.abc import Iterator

from builders import service_limits
from builders.rules._limits import refused_values
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template


class RefusedValue(Rule):
    """Reports a value that the schema of the type takes and the service refuses: a choice that its API does not know,
    or a number out of its range.
    """

    id = "E9023"
    shortdesc = "A value that the service refuses"
    why = "The resource schema takes any text or number; the service refuses it when the stack is deployed."
    source = "The API reference of the service; its model in botocore"
    bad = """
    Resources:
      Task:
        Type: AWS::ECS::TaskDefinition
        Properties:
          ContainerDefinitions: [{Name: app, Image: app, LogConfiguration: {LogDriver: cloudwatch}}]
    """
    good = """
    Resources:
      Task:
        Type: AWS::ECS::TaskDefinition
        Properties:
          ContainerDefinitions: [{Name: app, Image: app, LogConfiguration: {LogDriver: awslogs}}]
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for kind in service_limits.TYPES:
            if not kind.startswith("AWS::DMS::"):  # E9304
                yield from refused_values(template, kind, kind.split("::")[1])
