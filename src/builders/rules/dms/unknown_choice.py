"""E9304: a value that DMS does not know."""

from __future__ import annotations

from collections.abc import Iterator

from builders import service_limits
from builders.rules._limits import refused_values
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template


class UnknownDmsChoice(Rule):
    """Reports a misspelt EngineName, SslMode, PluginName, EndpointType or other choice of DMS that the schema lets
    through, a number out of its range, a window that is too short, a retired version or class, and an engine that DMS
    has on the other side alone.
    """

    id = "E9304"
    shortdesc = "A value that DMS does not know"
    why = "The resource schema takes any text; the DMS API refuses the value when the stack is deployed."
    source = "AWS DMS API reference, 'CreateEndpoint' and 'PostgreSQLSettings'"
    bad = """
    Resources:
      Target:
        Type: AWS::DMS::Endpoint
        Properties: {EndpointType: target, EngineName: postgres, SslMode: verify-fulll}
    """
    good = """
    Resources:
      Target:
        Type: AWS::DMS::Endpoint
        Properties: {EndpointType: target, EngineName: postgres, SslMode: require}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for kind in service_limits.TYPES:
            if kind.startswith("AWS::DMS::"):
                yield from refused_values(template, kind, "DMS")
