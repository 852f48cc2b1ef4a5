"""W9308: booleans that become text on their way."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._dms import is_postgresql
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT


class BooleansAsText(Rule):
    """Reports MapBooleanAsBoolean off, on one side or both, of a task from PostgreSQL to PostgreSQL."""

    id = "W9308"
    shortdesc = "A DMS task between PostgreSQL databases that makes booleans text"
    why = "DMS carries a boolean as varchar(5) unless both endpoints say otherwise."
    source = "AWS DMS user guide, 'Endpoint settings when using PostgreSQL as a source' (and as a target)"
    bad = """
    Resources:
      Source:
        Type: AWS::DMS::Endpoint
        Properties: {EndpointType: source, EngineName: postgres, PostgreSqlSettings: {MapBooleanAsBoolean: true}}
      Target:
        Type: AWS::DMS::Endpoint
        Properties: {EndpointType: target, EngineName: postgres, PostgreSqlSettings: {DatabaseMode: default}}
      Task:
        Type: AWS::DMS::ReplicationTask
        Properties: {SourceEndpointArn: !Ref Source, TargetEndpointArn: !Ref Target}
    """
    good = """
    Resources:
      Source:
        Type: AWS::DMS::Endpoint
        Properties: {EndpointType: source, EngineName: postgres, PostgreSqlSettings: {MapBooleanAsBoolean: true}}
      Target:
        Type: AWS::DMS::Endpoint
        Properties: {EndpointType: target, EngineName: postgres, PostgreSqlSettings: {MapBooleanAsBoolean: true}}
      Task:
        Type: AWS::DMS::ReplicationTask
        Properties: {SourceEndpointArn: !Ref Source, TargetEndpointArn: !Ref Target}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for task in template.resources("AWS::DMS::ReplicationTask"):
            sides = [
                template.target(value.value)
                for side in ("SourceEndpointArn", "TargetEndpointArn")
                for value in template.branches(task, side)
            ]
            endpoints = [side for side in sides if side is not None and is_postgresql(template, side)]
            if len(endpoints) == len(sides):
                for endpoint in endpoints:
                    yield from self._check_endpoint(template, endpoint)

    def _check_endpoint(self, template: Template, endpoint: Resource) -> Iterator[RuleFinding]:
        for switch in template.constants(endpoint, "PostgreSqlSettings.MapBooleanAsBoolean"):
            if switch.value in (ABSENT, False, "false") and template.possible(switch):
                yield RuleFinding(
                    switch, f"{endpoint.name} makes booleans text: set MapBooleanAsBoolean on both endpoints"
                )
